//! Golden packets, the recorded ones of Socket.IO's server, and everything near them.

use proptest::prelude::*;

use super::{
    super::testing::{Client, cuts, mutants},
    *,
};

/// Recorded from socket.io 4 with handlers for JSON v1's types; ids as [`Call::number`] gives them for two rooms.
const RECORDED: &[&str] = &[
    r#"0{"sid":"LA4DNyMi-rdCF1IgAAAA","upgrades":[],"pingInterval":1500,"pingTimeout":3000,"maxPayload":1000000}"#,
    r#"40{"sid":"NIx8m_hfszwEqD97AAAA"}"#,
    r#"42["connection:established",{"connectionId":"NIx8m_hfszwEqD97AAAA"}]"#,
    r#"433[{"success":true,"room":"r0"}]"#,
    r#"42["room:joined",{"room":"r0"}]"#,
    r#"435[{"success":true,"messageId":"m1"}]"#,
    r#"42["room:message",{"id":"m1","room":"r0","from":"u","payload":{"lg":"1 /é"},"timestamp":1795276248898}]"#,
    r#"434[{"success":false,"error":{"code":"forbidden","message":"no","status":403}}]"#,
    r#"432[{"success":true}]"#,
    r#"44{"message":"not authorized","data":{"code":"unauthenticated","status":401}}"#,
];

const SOCKETIO: SocketIo = SocketIo { transport: Transport::WebSocket };

fn client() -> Client<'static> {
    Client::new(&SOCKETIO, &["r0", "r1"])
}

fn delivery<'a>(room: &'a str, payload: &'a str) -> Heard<'a> {
    Heard::Delivery { room: RoomRef::Name(Cow::Borrowed(room)), payload: Cow::Borrowed(payload.as_bytes()) }
}

#[test]
fn what_is_said_is_golden() {
    let mut client = client();
    let rows = [
        ("/", "/socket.io/?EIO=4&transport=websocket"),
        ("/chat/", "/chat/?EIO=4&transport=websocket"),
        ("/socket.io/?tenant=a", "/socket.io/?tenant=a&EIO=4&transport=websocket"),
    ];
    for (path, expected) in rows {
        assert_eq!(client.upgrade(path), Upgrade { path: expected.to_owned(), ..Upgrade::default() });
    }
    let polling = SocketIo { transport: Transport::Polling };
    assert_eq!(Client::new(&polling, &[]).upgrade("/").path, "/socket.io/?EIO=4&transport=polling");

    assert_eq!(client.open(), (None, vec![]));
    assert_eq!(client.join(0), [r#"423["room:join",{"room":"r0","presence":false}]"#]);
    assert_eq!(client.join(1), [r#"424["room:join",{"room":"r1","presence":false}]"#]);
    let sent = r#"425["room:send",{"room":"r0","payload":{"lg":"x"}}]"#;
    assert_eq!(client.publish(0, 0, r#"{"lg":"x"}"#), [sent]);
    assert_eq!(client.publish(1, 40, "{}"), [r#"4286["room:send",{"room":"r1","payload":{}}]"#]);
    assert_eq!(client.presence(1), [r#"422["presence:status",{"status":"busy"}]"#]);
}

#[test]
fn the_recorded_session_is_understood() {
    let mut client = client();
    let expected = [
        (Heard::Other, vec![r#"40{"token":"a.b.c"}"#.to_owned()]),
        (Heard::Established, vec![]),
        (Heard::Other, vec![]),
        (Heard::Acked(Call::Join(0)), vec![]),
        (Heard::Other, vec![]),
        (Heard::Acked(Call::Publish { ordinal: 0, seq: 0 }), vec![]),
        (delivery("r0", r#"{"lg":"1 /é"}"#), vec![]),
        (Heard::Refused(Call::Join(1), "forbidden".to_owned()), vec![]),
        (Heard::Acked(Call::Presence), vec![]),
        (Heard::Refused(Call::Open, "unauthenticated".to_owned()), vec![]),
    ];
    for (text, (heard, said)) in RECORDED.iter().zip(expected) {
        assert_eq!(client.read(text), Ok((vec![heard], said)), "{text}");
    }
}

#[test]
fn other_layouts_are_understood() {
    // text, what it means, whether the quick way knows it
    let rows = [
        (r#"42["room:message",{"payload":{"a": [1]},"room":"r1"}]"#, delivery("r1", r#"{"a": [1]}"#), true),
        (
            r#"42["room:message",{"room":"r1","payload":"\"\u00e9\""}]"#,
            delivery("r1", r#""\"\u00e9\"""#),
            true,
        ),
        (
            r#"42["room:message",{"room":"r1", "payload":"\"\u00e9\""}]"#,
            delivery("r1", r#""\"\u00e9\"""#),
            false,
        ),
        (
            r#"42["room:message",{"room":"r1","payload":"text","x":{"room":1}}]"#,
            delivery("r1", "\"text\""),
            true,
        ),
        (r#"42[ "room:message", {"room" : "r1","payload": 7.5 } , 1]"#, delivery("r1", "7.5"), false),
        (r#"42["room:message",{"room":"\u0072","payload":{}}]"#, delivery("r", "{}"), false),
        (r#"4217["room:message",{"room":"r1","payload":{}}]"#, delivery("r1", "{}"), false),
        (r#"432[{"success":false}]"#, Heard::Refused(Call::Presence, "no code".to_owned()), false),
        (r#"42["system:error",{"code":"bad_request"}]"#, Heard::Fault("bad_request".to_owned()), false),
        (r#"42["system:error"]"#, Heard::Fault("no code".to_owned()), false),
        (
            r#"44{"message":"Invalid namespace"}"#,
            Heard::Refused(Call::Open, "Invalid namespace".to_owned()),
            false,
        ),
        (r#"451-["room:message",{"binary":{"_placeholder":true,"num":0}}]"#, Heard::Other, false),
        ("41", Heard::Fault("the namespace was left".to_owned()), false),
        ("1", Heard::Fault("the session was closed".to_owned()), false),
        ("3probe", Heard::Other, false),
        ("6", Heard::Other, false),
    ];
    let names = ["r0".to_owned()];
    let rooms = RoomNames { all: &names, own: &[crate::plan::RoomId(0)] };
    for (text, heard, quick) in rows {
        assert_eq!(walk(text, rooms).is_some(), quick, "{text}");
        assert_eq!(client().read(text), Ok((vec![heard], vec![])), "{text}");
    }
    assert_eq!(client().read("2"), Ok((vec![Heard::Other], vec!["3".to_owned()])));
    assert_eq!(client().read("2probe"), Ok((vec![Heard::Other], vec!["3probe".to_owned()])));
    assert_eq!(client().read_binary(b"\0"), Ok((vec![Heard::Other], vec![])));
}

#[test]
fn rich_values_are_walked() {
    for text in RICH {
        assert!(walk(text, RoomNames { all: &[], own: &[] }).is_some(), "{text}");
    }
}

#[test]
fn what_is_no_message_is_malformed() {
    let rows = [
        "5",
        "7",
        "é",
        "11",
        "66",
        "48",
        "42",
        "42[]",
        "42[7]",
        "42{}",
        r#"42/admin,["a"]"#,
        r#"42["room:message"]"#,
        r#"42["room:message",{"room":"r1"}]"#,
        r#"42["room:message",{"payload":{}}]"#,
        r#"42["room:message",{"room":"r1","room":"r2","payload":{}}]"#,
        r#"42["room:message",{"room":"r1","payload":{"a":tru}}]"#,
        r#"43[{"success":true}]"#,
        r#"430[{"success":true}]"#,
        r#"4399999999999999999999[{"success":true}]"#,
        r#"433[{}]"#,
        r#"433[{"success":1}]"#,
        r#"451["a"]"#,
        r#"45a-["#,
    ];
    // A ping with less after it is a ping; there is none here.
    for text in rows.into_iter().chain(cuts(RECORDED)) {
        assert_eq!(client().read(text), Err(Malformed), "{text}");
    }
}

/// Deliveries that have everything in them that a value may have.
const RICH: &[&str] = &[
    r#"42["room:message",{"room":"r1","payload":{"lg":"a\u00e9\"\\/é","b":[true,null,-12,{"c": false}]}}]"#,
];

proptest! {
    #[test]
    fn the_walk_says_what_the_parser_says(text in prop_oneof![mutants(RECORDED), mutants(RICH)]) {
        let mut client = client();
        let _ = client.read(&text);
        let names = ["r0".to_owned(), "r1".to_owned()];
        let rooms = RoomNames { all: &names, own: &[crate::plan::RoomId(0), crate::plan::RoomId(1)] };
        if let Some(walked) = walk(&text, rooms) {
            prop_assert_eq!(packet(&mut Dialogue::Fresh, rooms, &text[1..]), Ok(walked));
        }
    }
}
