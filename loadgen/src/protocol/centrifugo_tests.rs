//! Golden commands, replies in the shapes that the official JavaScript client takes, and everything near them.

use proptest::prelude::*;

use super::{
    super::testing::{Client, cuts, mutants},
    *,
};

/// Replies as the protocol's schema has them; numbers as [`Call::number`] gives them for two rooms.
const REPLIES: &[&str] = &[
    r#"{"id":1,"connect":{"client":"c1","version":"6.0.0","ping":25,"pong":true}}"#,
    r#"{"id":3,"subscribe":{}}"#,
    r#"{"id":4,"error":{"code":103,"message":"permission denied"}}"#,
    r#"{"push":{"channel":"r0","pub":{"data":{"lg":"1 é"},"info":{"user":"u","client":"c1"},"offset":7}}}"#,
    r#"{"id":5,"publish":{}}"#,
    r#"{"push":{"channel":"r0","join":{"info":{"user":"u","client":"c2"}}}}"#,
    r#"{"push":{"channel":"r0","unsubscribe":{"code":2500,"reason":"insufficient state"}}}"#,
    r#"{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}"#,
];

fn client() -> Client<'static> {
    Client::new(&Centrifugo, &["r0", "r1"])
}

fn delivery<'a>(room: &'a str, payload: &'a str) -> Heard<'a> {
    Heard::Delivery { room: RoomRef::Name(Cow::Borrowed(room)), payload: Cow::Borrowed(payload.as_bytes()) }
}

#[test]
fn what_is_said_is_golden() {
    let mut client = client();
    assert_eq!(client.upgrade("/").path, "/connection/websocket");
    assert_eq!(client.upgrade("/ws?x=1").path, "/ws?x=1");
    let connect = r#"{"id":1,"connect":{"token":"a.b.c","name":"ringway-loadgen"}}"#;
    assert_eq!(client.open(), (None, vec![connect.to_owned()]));
    assert_eq!(client.join(1), [r#"{"id":4,"subscribe":{"channel":"r1"}}"#]);
    let publish = r#"{"id":5,"publish":{"channel":"r0","data":{"lg":"x"}}}"#;
    assert_eq!(client.publish(0, 0, r#"{"lg":"x"}"#), [publish]);
}

#[test]
fn replies_are_understood() {
    let expected = [
        Heard::Established,
        Heard::Acked(Call::Join(0)),
        Heard::Refused(Call::Join(1), "103 permission denied".to_owned()),
        delivery("r0", r#"{"lg":"1 é"}"#),
        Heard::Acked(Call::Publish { ordinal: 0, seq: 0 }),
        Heard::Other,
        Heard::Fault("unsubscribed: 2500".to_owned()),
        Heard::Fault("disconnected: 3001".to_owned()),
    ];
    let mut one_by_one = client();
    for (text, heard) in REPLIES.iter().zip(&expected) {
        let (heard_now, said) = one_by_one.read(text).unwrap();
        assert_eq!((heard_now.as_slice(), said), (std::slice::from_ref(heard), vec![]), "{text}");
    }
    for end in ["", "\n"] {
        let together = REPLIES.join("\n") + end;
        let (heard, said) =
            client().read(&together).map(|(heard, said)| (format!("{heard:?}"), said)).unwrap();
        assert_eq!((heard, said), (format!("{expected:?}"), vec![]));
    }
}

#[test]
fn pings_are_answered_where_that_was_asked_for() {
    let rows = [
        (r#"{"id":1,"connect":{"ping":25,"pong":true}}"#, vec!["{}".to_owned()]),
        (r#"{"id":1,"connect":{"ping":25,"pong":false}}"#, vec![]),
        (r#"{"id":1,"connect":{}}"#, vec![]),
    ];
    for (connected, said) in rows {
        let mut client = client();
        assert_eq!(client.read(connected), Ok((vec![Heard::Established], vec![])));
        assert_eq!(client.read("{}"), Ok((vec![Heard::Other], said)), "{connected}");
    }
}

#[test]
fn other_layouts_are_understood() {
    // text, what it means, whether the quick way knows it
    let rows = [
        (
            r#"{"push":{"pub":{"offset":1,"data":{"a": [1]}},"channel":"r1"}}"#,
            delivery("r1", r#"{"a": [1]}"#),
            true,
        ),
        (r#"{"push":{"channel":"r1","pub":{"data":{},"tags":{"data":"no"}}}}"#, delivery("r1", "{}"), true),
        (r#"{ "push": {"channel":"r1","pub":{"data":{}}}}"#, delivery("r1", "{}"), false),
        (r#"{"push":{"channel":"\u0072","pub":{"data":{}}}}"#, delivery("r", "{}"), false),
        (r#"{"push":{"channel":"r1","id":9,"pub":{"data":0.5}}}"#, delivery("r1", "0.5"), false),
        (
            r#"{"id":1,"error":{"code":101,"message":"unauthorized"}}"#,
            Heard::Refused(Call::Open, "101 unauthorized".to_owned()),
            false,
        ),
        (
            r#"{"id":6,"error":{"code":100}}"#,
            Heard::Refused(Call::Publish { ordinal: 1, seq: 0 }, "100".to_owned()),
            false,
        ),
        (r#"{"push":{"message":{"data":{}}}}"#, Heard::Other, false),
    ];
    for (text, heard, quick) in rows {
        assert_eq!(walk(text).is_some(), quick, "{text}");
        assert_eq!(client().read(text), Ok((vec![heard], vec![])), "{text}");
    }
}

#[test]
fn rich_values_are_walked() {
    for text in RICH {
        assert!(walk(text).is_some(), "{text}");
    }
}

#[test]
fn what_is_no_message_is_malformed() {
    let rows = [
        "[]",
        "\n",
        "{}\n\n{}",
        r#"{"id":1}"#,
        r#"{"id":1,"subscribe":{}}"#,
        r#"{"id":3,"publish":{}}"#,
        r#"{"id":-1,"subscribe":{}}"#,
        r#"{"id":3,"error":{}}"#,
        r#"{"push":{"channel":"r0","pub":{}}}"#,
        r#"{"push":{"channel":"r0","pub":{"data":{},"data":{}}}}"#,
        r#"{"push":{"channel":"r0","pub":{"data":{}},"pub":{"data":{}}}}"#,
        r#"{"push":7}"#,
    ];
    for text in rows.into_iter().chain(cuts(REPLIES)) {
        assert_eq!(client().read(text), Err(Malformed), "{text}");
    }
    assert_eq!(client().read_binary(b"{}"), Err(Malformed));
}

/// Deliveries that have everything in them that a value may have.
const RICH: &[&str] =
    &[r#"{"push":{"channel":"r1","pub":{"data":{"lg":"a\u00e9\"\\/é","b":[true,null,-12,{"c": false}]}}}}"#];

proptest! {
    #[test]
    fn the_walk_says_what_the_parser_says(text in prop_oneof![mutants(REPLIES), mutants(RICH)]) {
        let _ = client().read(&text);
        if let Some(walked) = walk(&text) {
            let rooms = RoomNames { all: &[], own: &[] };
            let parsed = parse(&mut Dialogue::Fresh, rooms, &text, &mut Out::default());
            prop_assert_eq!(parsed, Ok(walked));
        }
    }
}
