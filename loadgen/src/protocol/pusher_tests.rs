//! Golden messages, the recorded ones of two servers, and everything near them.

use proptest::prelude::*;

use super::{
    super::testing::{Client, cuts, mutants},
    *,
};

/// Recorded from soketi 1.6.
const SOKETI: [&str; 6] = [
    r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"8020250765.6426689035\",\"activity_timeout\":30}"}"#,
    r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-r0"}"#,
    r#"{"event":"pusher:subscription_error","channel":"private-r1","data":{"type":"AuthError","error":"The connection is unauthorized.","status":401}}"#,
    r#"{"event":"client-message","channel":"private-r0","data":{"lg":"1 /é"}}"#,
    r#"{"event":"pusher:pong","data":{}}"#,
    r#"{"event":"pusher:error","data":{"code":4001,"message":"App key nokey does not exist."}}"#,
];
/// Recorded from sockudo 5.2.
const SOCKUDO: [&str; 6] = [
    r#"{"event":"pusher:connection_established","data":"{\"activity_timeout\":120,\"socket_id\":\"4785886983.3495101472\"}"}"#,
    r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-r0","data":"{}"}"#,
    r#"{"event":"pusher:error","data":{"code":4009,"message":"Authentication error: Channel requires authentication"}}"#,
    r#"{"event":"client-message","channel":"private-r0","data":"{\"lg\":\"1\"}"}"#,
    r#"{"event":"pusher:pong"}"#,
    r#"{"event":"pusher:error","data":{"message":"Client event error: Socket 4785886983.3495101472 is not subscribed to channel private-r7","code":4301}}"#,
];
const RECORDED: &[&str] = &[
    SOKETI[0], SOKETI[1], SOKETI[2], SOKETI[3], SOKETI[4], SOKETI[5], SOCKUDO[0], SOCKUDO[1], SOCKUDO[2],
    SOCKUDO[3], SOCKUDO[4], SOCKUDO[5],
];

fn bench() -> Pusher {
    Pusher::new("bench", "bench-secret")
}

fn delivery<'a>(room: &'a str, payload: &'a str) -> Heard<'a> {
    Heard::Delivery { room: RoomRef::Name(Cow::Borrowed(room)), payload: Cow::Borrowed(payload.as_bytes()) }
}

#[test]
fn what_is_said_is_golden() {
    let pusher = bench();
    let mut client = Client::new(&pusher, &["r0", "r1"]);
    let query = concat!("protocol=7&client=ringway-loadgen&version=", env!("CARGO_PKG_VERSION"));
    let rows = [
        ("/", format!("/app/bench?{query}")),
        ("/base/", format!("/base/app/bench?{query}")),
        ("/app/other?x=1", format!("/app/other?x=1&{query}")),
    ];
    for (path, expected) in rows {
        assert_eq!(client.upgrade(path), Upgrade { path: expected, ..Upgrade::default() });
    }
    assert_eq!(client.open(), (None, vec![]));
    assert_eq!(client.join(0), [""; 0], "nothing to sign yet");
    client.read(SOKETI[0]).unwrap();
    // The signature is the one that soketi accepted for this socket.
    let signature = "373e271ab7819b8d394f1092b77e826413e02d14ea2a2d4d2064027ea059f77e";
    let expected = format!(
        r#"{{"event":"pusher:subscribe","data":{{"channel":"private-r0","auth":"bench:{signature}"}}}}"#
    );
    assert_eq!(client.join(0), [expected]);
    let expected = r#"{"event":"client-message","channel":"private-r1","data":{"lg":"x"}}"#;
    assert_eq!(client.publish(1, 9, r#"{"lg":"x"}"#), [expected]);
    assert_eq!(KEEPALIVE.text, r#"{"event":"pusher:ping","data":{}}"#);
}

#[test]
fn the_recorded_sessions_are_understood() {
    let expected = [
        [
            Heard::Established,
            Heard::Acked(Call::Join(0)),
            Heard::Refused(Call::Join(1), "AuthError".to_owned()),
            delivery("r0", r#"{"lg":"1 /é"}"#),
            Heard::Other,
            Heard::Fault("4001".to_owned()),
        ],
        [
            Heard::Established,
            Heard::Acked(Call::Join(0)),
            Heard::Fault("4009".to_owned()),
            delivery("r0", r#"{"lg":"1"}"#),
            Heard::Other,
            Heard::Fault("4301".to_owned()),
        ],
    ];
    let pusher = bench();
    for (recorded, expected) in [SOKETI, SOCKUDO].iter().zip(expected) {
        let mut client = Client::new(&pusher, &["r0", "r1"]);
        for (text, heard) in recorded.iter().zip(expected) {
            assert_eq!(client.read(text), Ok((vec![heard], vec![])), "{text}");
        }
    }
    let refused = Heard::Refused(Call::Open, "4001".to_owned());
    assert_eq!(Client::new(&pusher, &[]).read(SOKETI[5]), Ok((vec![refused], vec![])));
}

#[test]
fn other_layouts_are_understood() {
    // text, what it means, whether the quick way knows it
    let rows = [
        (
            r#"{"channel":"private-r1","data":{"a": 1},"event":"client-x","user_id":"u"}"#,
            delivery("r1", r#"{"a": 1}"#),
            true,
        ),
        (r#"{"event":"client-x","channel":"public","data":[]}"#, delivery("public", "[]"), true),
        (r#"{"event": "client-x", "channel": "private-\u0072", "data": 1.5}"#, delivery("r", "1.5"), false),
        (r#"{"event":"client-x","channel":"private-r1","data":"\u007b}"}"#, delivery("r1", "{}"), false),
        (
            r#"{"event":"pusher:connection_established","data":{"socket_id":"1.2"}}"#,
            Heard::Established,
            false,
        ),
        (r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-r9"}"#, Heard::Other, false),
        (r#"{"event":"pusher:subscription_error","data":{}}"#, Heard::Fault("no code".to_owned()), false),
        (
            r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{}"}"#,
            Heard::Other,
            false,
        ),
    ];
    let pusher = bench();
    for (text, heard, quick) in rows {
        assert_eq!(walk(text).is_some(), quick, "{text}");
        assert_eq!(Client::new(&pusher, &["r0"]).read(text), Ok((vec![heard], vec![])), "{text}");
    }
    let pong = vec![r#"{"event":"pusher:pong","data":{}}"#.to_owned()];
    let ping = r#"{"event":"pusher:ping","data":{}}"#;
    assert_eq!(Client::new(&pusher, &[]).read(ping), Ok((vec![Heard::Other], pong)));
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
        r#"{"data":{}}"#,
        r#"{"event":7}"#,
        r#"{"event":"client-x","channel":"private-r0"}"#,
        r#"{"event":"client-x","data":{}}"#,
        r#"{"event":"client-x","event":"client-x","channel":"private-r0","data":{}}"#,
        r#"{"event":"pusher:connection_established"}"#,
        r#"{"event":"pusher:connection_established","data":"{}"}"#,
        r#"{"event":"pusher:connection_established","data":"\ud800"}"#,
    ];
    let pusher = bench();
    for text in rows.into_iter().chain(cuts(RECORDED)) {
        assert_eq!(Client::new(&pusher, &["r0"]).read(text), Err(Malformed), "{text}");
    }
    assert_eq!(Client::new(&pusher, &["r0"]).read_binary(b"x"), Err(Malformed));
}

/// Deliveries that have everything in them that a value may have.
const RICH: &[&str] = &[
    r#"{"event":"client-message","channel":"private-r1","data":{"lg":"a\u00e9\"\\/é","b":[true,null,-12,{"c": false}]}}"#,
    r#"{"event":"client-message","channel":"private-r1","data":"{\"lg\":\"a\\u00e9\\\"\\\\/é\",\"b\":[true,null,-12,{\"c\": false}]}"}"#,
];

proptest! {
    #[test]
    fn the_walk_says_what_the_parser_says(text in prop_oneof![mutants(RECORDED), mutants(RICH)]) {
        let pusher = bench();
        let _ = Client::new(&pusher, &["r0"]).read(&text);
        if let Some(walked) = walk(&text) {
            let rooms = RoomNames { all: &[], own: &[] };
            let parsed = parse(&mut Dialogue::Fresh, rooms, &text, &mut Out::default());
            prop_assert_eq!(parsed, Ok(walked));
        }
    }
}
