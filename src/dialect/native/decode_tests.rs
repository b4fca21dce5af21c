//! Every command both ways round: as the table of the protocol says it, and as it must not be.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Refusal, decode, encode};
use crate::{
    base::{RoomKey, RoomName, RoomRef, SenderId, TenantName, UserName},
    model::{
        Authenticate, Availability, Call, Command, CorrelationId, Event, FaultCode, History, Join, Json,
        Message, MessageId, MessageName, Payload, Position, Send,
    },
};

fn room(name: &str) -> RoomRef<'_> {
    RoomRef::parse(name).unwrap()
}

fn json(text: &str) -> Json {
    Json::from_checked(text.to_owned().into())
}

fn plain_send<'a>(name: &'a str, payload: &str) -> Send<'a> {
    Send { room: room(name), payload: json(payload), persistent: false, message_id: None, echo: false }
}

#[test]
fn every_command() {
    let acme = TenantName::parse("acme").unwrap();
    let rows = [
        (r#"{"type":"ping"}"#, Command::Ping),
        (r#"{"type":"query:rooms"}"#, Command::Rooms),
        (
            r#"{"type":"authenticate","token":"a.b.c"}"#,
            Command::Authenticate(Authenticate { token: "a.b.c".into(), tenant: None }),
        ),
        (
            r#"{"type":"authenticate","token":"a\/b","tenantId":"\u0061cme"}"#,
            Command::Authenticate(Authenticate { token: "a/b".into(), tenant: Some(acme) }),
        ),
        (r#"{"type":"subscribe","channel":"dashboard"}"#, Command::Subscribe { channel: room("dashboard") }),
        (
            r#"{"type":"unsubscribe","channel":"dashboard"}"#,
            Command::Unsubscribe { channel: room("dashboard") },
        ),
        (r#"{"type":"room:leave","room":"lobby"}"#, Command::Leave { room: room("lobby") }),
        (
            r#"{"type":"room:join","room":"lobby"}"#,
            Command::Join(Join { room: room("lobby"), metadata: None, presence: true, since: None }),
        ),
        (
            r#"{"type":"room:join","room":"lobby","presence":false,"metadata":{ "a" : 1 },"since":{"epoch":"00000000000000aF","offset":7,"more":[]}}"#,
            Command::Join(Join {
                room: room("lobby"),
                metadata: Some(json(r#"{ "a" : 1 }"#)),
                presence: false,
                since: Some(Position { offset: 7, epoch: 0xaf }),
            }),
        ),
        (
            r#"{"type":"presence:status","status":"away","metadata":[ 1 ]}"#,
            Command::PresenceStatus { status: Availability::Away, metadata: Some(json("[ 1 ]")) },
        ),
        (
            r#"{"type":"presence:status","status":"b\u0075sy"}"#,
            Command::PresenceStatus { status: Availability::Busy, metadata: None },
        ),
        (r#"{"type":"presence:heartbeat"}"#, Command::PresenceHeartbeat { status: None }),
        (
            r#"{"type":"presence:heartbeat","status":"offline"}"#,
            Command::PresenceHeartbeat { status: Some(Availability::Offline) },
        ),
        (
            r#"{"type":"query:presence","room":"lobby"}"#,
            Command::QueryPresence { room: room("lobby"), after: None, limit: None },
        ),
        (
            r#"{"type":"query:presence","room":"lobby","after":"ada","limit":20}"#,
            Command::QueryPresence {
                room: room("lobby"),
                after: Some(UserName::parse("ada").unwrap()),
                limit: Some(20),
            },
        ),
        (
            r#"{"type":"room:history","room":"lobby"}"#,
            Command::History(History { room: room("lobby"), since: None, limit: None }),
        ),
        (
            r#"{"type":"room:history","room":"lobby","limit":4294967295,"since":{"offset":18446744073709551615,"epoch":"ffffffffffffffff"}}"#,
            Command::History(History {
                room: room("lobby"),
                since: Some(Position { offset: u64::MAX, epoch: u64::MAX }),
                limit: Some(u32::MAX),
            }),
        ),
        (r#"{"type":"room:send","room":"lobby","payload":1}"#, Command::Send(plain_send("lobby", "1"))),
        (r#"{"type":"room:send","room":"lobby","payload":null}"#, Command::Send(plain_send("lobby", "null"))),
        (
            r#"{"payload": [ 1,2 ] ,"echo":true,"messageId":"m-1","persistent":true,"room":"r\u00e4ume\/1","type":"room:send"}"#,
            Command::Send(Send {
                room: room("räume/1"),
                payload: json("[ 1,2 ]"),
                persistent: true,
                message_id: MessageId::parse("m-1"),
                echo: true,
            }),
        ),
        // Names and types may be spelled with escapes, and others' fields may hold anything.
        (
            " {\"t\\u0079pe\":\"room\\u003asend\",\n\"room\":\"lobby\",\"payload\":\"x\",\"token\":[],\"since\":0,\"later\":{}}\n",
            Command::Send(plain_send("lobby", r#""x""#)),
        ),
    ];
    for (text, command) in rows {
        assert_eq!(decode(text), Ok(Call { id: None, command }), "{text}");
    }
}

#[test]
fn ids_come_back_as_they_were_written() {
    let escaped = format!(r#""{}""#, r"\u0041".repeat(64));
    let longest = format!(r#""{}""#, "x".repeat(64));
    let rows = [
        r#""""#,
        r#""a""#,
        r#""\u00e9\n""#,
        &longest,
        &escaped,
        "0",
        "-0",
        "7",
        "-9223372036854775808",
        "18446744073709551615",
    ];
    for id in rows {
        let text = format!(r#"{{"type":"ping","id": {id} }}"#);
        assert_eq!(decode(&text).expect(id).id, Some(CorrelationId::from_checked(id)));
    }
    let too_long = format!(r#""{}""#, "x".repeat(65));
    let many_bytes = format!(r#""{}""#, "é".repeat(33));
    for id in ["1.0", "1e3", "18446744073709551616", "true", "null", "[1]", "{}", &too_long, &many_bytes] {
        let refusal = decode(&format!(r#"{{"type":"ping","id":{id}}}"#)).expect_err(id);
        let message = "id: expected once, a string of at most 64 bytes or a 64-bit integer";
        assert_eq!((refusal.id, &*refusal.fault.message), (None, message), "{id}");
        assert_eq!(refusal.fault.code, FaultCode::BadRequest);
    }
}

#[test]
fn refusals_name_the_field_and_what_it_should_be() {
    let long = "x".repeat(257);
    let long_room = format!(r#""type":"room:leave","room":"{long}""#);
    let long_message_id =
        format!(r#""type":"room:send","room":"a","payload":1,"messageId":"{}""#, &long[..129]);
    let since = "since: expected {offset, epoch}: an integer and 16 hexadecimal digits";
    let status = "status: expected online, away, busy or offline";
    let limit = "limit: expected 1 to 2^32 - 1";
    let message_id = "messageId: expected 1 to 128 bytes without control characters";
    let rows = [
        (r#""a":1"#, "type: expected a string"),
        (r#""type":1"#, "type: expected a string"),
        (r#""type":null"#, "type: expected a string"),
        (r#""type":"authenticate""#, "token: expected a string"),
        (r#""type":"authenticate","token":{}"#, "token: expected a string"),
        (r#""type":"authenticate","token":"t","tenantId":1"#, "tenantId: expected a string"),
        (r#""type":"authenticate","token":"t","tenantId":"""#, "tenantId: a name must not be empty"),
        (r#""type":"subscribe","room":"a""#, "channel: expected a string"),
        (r#""type":"unsubscribe","channel":["a"]"#, "channel: expected a string"),
        (r#""type":"room:join""#, "room: expected a string"),
        (r#""type":"room:join","room":7"#, "room: expected a string"),
        (r#""type":"room:join","room":"""#, "room: a name must not be empty"),
        (r#""type":"room:join","room":"a\nb""#, "room: a name may not contain control characters"),
        (r#""type":"room:join","room":"a","presence":1"#, "presence: expected true or false"),
        (r#""type":"room:join","room":"a","since":1"#, since),
        (r#""type":"room:join","room":"a","since":{}"#, since),
        (r#""type":"room:join","room":"a","since":{"offset":1}"#, since),
        (r#""type":"room:join","room":"a","since":{"offset":"1","epoch":"0123456789abcdef"}"#, since),
        (r#""type":"room:join","room":"a","since":{"offset":-1,"epoch":"0123456789abcdef"}"#, since),
        (r#""type":"room:join","room":"a","since":{"offset":1.5,"epoch":"0123456789abcdef"}"#, since),
        (r#""type":"room:join","room":"a","since":{"offset":1,"epoch":81985529216486895}"#, since),
        (r#""type":"room:join","room":"a","since":{"offset":1,"epoch":"0123456789abcdeg"}"#, since),
        (
            r#""type":"room:join","room":"a","since":{"offset":1,"offset":2,"epoch":"0123456789abcdef"}"#,
            since,
        ),
        (r#""type":"presence:status""#, status),
        (r#""type":"presence:status","status":"Away""#, status),
        (r#""type":"presence:heartbeat","status":null"#, "status: expected a string"),
        (r#""type":"query:presence""#, "room: expected a string"),
        (r#""type":"query:presence","room":"a","after":"""#, "after: a name must not be empty"),
        (r#""type":"query:presence","room":"a","limit":0"#, limit),
        (r#""type":"query:presence","room":"a","limit":"9""#, limit),
        (r#""type":"query:presence","room":"a","limit":4294967296"#, limit),
        (r#""type":"room:join","room":"a","since":{"offset":1,"epoch":"+123456789abcdef"}"#, since),
        (r#""type":"room:history""#, "room: expected a string"),
        (r#""type":"room:history","room":"a","since":[]"#, since),
        (r#""type":"room:history","room":"a","limit":0"#, limit),
        (r#""type":"room:history","room":"a","limit":4294967296"#, limit),
        (r#""type":"room:history","room":"a","limit":"1""#, limit),
        (r#""type":"room:history","room":"a","limit":1.0"#, limit),
        (r#""type":"room:leave""#, "room: expected a string"),
        (&long_room, "room: a name may have 256 bytes at most"),
        (r#""type":"room:send","payload":1"#, "room: expected a string"),
        (r#""type":"room:send","room":"a""#, "payload: expected a value"),
        (
            r#""type":"room:send","room":"a","payload":1,"persistent":"yes""#,
            "persistent: expected true or false",
        ),
        (r#""type":"room:send","room":"a","payload":1,"echo":null"#, "echo: expected true or false"),
        (r#""type":"room:send","room":"a","payload":1,"messageId":5"#, "messageId: expected a string"),
        (r#""type":"room:send","room":"a","payload":1,"messageId":"""#, message_id),
        (&long_message_id, message_id),
    ];
    for (fields, message) in rows {
        for (id, text) in [
            (None, format!("{{{fields}}}")),
            (Some(CorrelationId::from_checked("\"c\"")), format!(r#"{{"id":"c",{fields}}}"#)),
        ] {
            let refusal = decode(&text).expect_err(&text);
            assert_eq!((&refusal.id, &*refusal.fault.message), (&id, message), "{text}");
            assert_eq!(refusal.fault.code, FaultCode::BadRequest, "{text}");
        }
    }
}

#[test]
fn unknown_types_are_told_so() {
    for name in ["", "pong", "Ping", "ping ", "room:message", "ack", "presence:join"] {
        let refusal = decode(&format!(r#"{{"type":"{name}","id":1}}"#)).expect_err(name);
        assert_eq!(refusal.fault.code, FaultCode::UnknownType, "{name}");
        assert_eq!(refusal.id, Some(CorrelationId::from_checked("1")));
        assert!(refusal.fault.message.starts_with("type: none of authenticate, "));
    }
}

#[test]
fn a_field_that_occurs_twice_is_refused_however_it_is_spelled() {
    let id = Some(CorrelationId::from_checked("1"));
    let rows = [
        (r#"{"id":1,"type":"ping","type":"ping"}"#, &id),
        (r#"{"id":1,"type":"ping","typ\u0065":"query:rooms"}"#, &id),
        (r#"{"id":1,"room":"a","\u0072oom":"b","type":"room:leave"}"#, &id),
        (r#"{"id":1,"type":"ping","other":1,"more":2,"othe\u0072":3}"#, &id),
        (r#"{"id":1,"type":"ping","":1,"":2}"#, &id),
        (r#"{"type":"ping","id":1,"id":1}"#, &None),
        (r#"{"type":"ping","id":1,"\u0069d":2,"type":"ping"}"#, &None),
    ];
    for (text, id) in rows {
        let refusal = decode(text).expect_err(text);
        assert_eq!((refusal.fault.code, &refusal.id), (FaultCode::BadRequest, id), "{text}");
    }
    // Inside a payload they are the sender's affair.
    assert!(decode(r#"{"type":"room:send","room":"a","payload":{"a":1,"a":2}}"#).is_ok());
}

#[test]
fn unknown_fields_are_ignored_up_to_a_number() {
    let text = |count: usize| {
        let fields: String = (0..count).map(|n| format!(r#","f{n}":{{}}"#)).collect();
        format!(r#"{{"type":"ping","id":1{fields}}}"#)
    };
    assert!(decode(&text(64)).is_ok());
    let refusal = decode(&text(65)).unwrap_err();
    assert_eq!(refusal.fault.message, "more than 64 unknown fields");
    assert_eq!(refusal.id, Some(CorrelationId::from_checked("1")));
}

#[test]
fn a_broken_message_is_refused_without_its_id() {
    for text in [
        "",
        "null",
        "[]",
        "ping",
        r#"{"id":1,"type":"ping""#,
        r#"{"id":1,"type":"ping"}}"#,
        r#"{"id":1,"type":"ping"} {}"#,
        r#"{"id":1,"type":"room:send","room":"a","payload":[1,]}"#,
        r#"{"id":1,"type":"room:send","room":"a","payload":"\ud800"}"#,
        r#"{"id":1,"type":"ping","later":"\x"}"#,
    ] {
        let Refusal { id, fault } = decode(text).expect_err(text);
        assert_eq!((id, fault.code), (None, FaultCode::BadRequest), "{text}");
        assert!(fault.message.starts_with("not one JSON object: expected "), "{text}");
    }
}

/// Valid JSON values with odd spacing, escapes and numbers.
fn value() -> impl Strategy<Value = String> {
    let space = || "[ \t\r\n]{0,2}";
    let text = || {
        const PIECES: &[&str] = &[
            "a",
            "é",
            "😀",
            " ",
            "\u{7f}",
            "\u{2028}",
            "0123456789",
            "[",
            "}",
            ":",
            "\\\"",
            "\\\\",
            "\\/",
            "\\n",
            "\\u0000",
            "\\u00e9",
            "\\ud83d\\ude00",
        ];
        prop::collection::vec(prop::sample::select(PIECES), 0..6).prop_map(|p| format!("\"{}\"", p.concat()))
    };
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,9})?([eE][-+]?[0-9]{1,2})?",
        text(),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        let item = (space(), inner, space()).prop_map(|(before, value, after)| before + &value + &after);
        let member = (space(), text(), space(), item.clone())
            .prop_map(|(before, name, after, item)| format!("{before}{name}{after}:{item}"));
        prop_oneof![
            prop::collection::vec(item, 1..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 1..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            space().prop_map(|space| format!("[{space}]")),
            space().prop_map(|space| format!("{{{space}}}")),
        ]
    })
}

proptest! {
    #[test]
    fn a_payload_reaches_the_members_byte_for_byte(
        payload in value(), before in "[ \t\r\n]{0,3}", after in "[ \t\r\n]{0,3}", name in "[^\\p{Cc}]{1,32}",
    ) {
        let quoted = serde_json::to_string(&name).unwrap();
        let text = format!(r#"{{"type":"room:send","payload":{before}{payload}{after},"room":{quoted}}}"#);
        let Ok(Call { id: None, command: Command::Send(send) }) = decode(&text) else { panic!("{text}") };
        prop_assert_eq!(send.payload.as_bytes(), payload.as_bytes());
        prop_assert_eq!(send.room.as_str(), &name);

        let event = Event::Message(Arc::new(Message {
            id: MessageName::Given(MessageId::parse(&name).unwrap()),
            key: RoomKey {
                tenant: TenantName::default_tenant(),
                room: RoomName::parse(&name).unwrap(),
            },
            from: UserName::parse(&name).unwrap(),
            sender: SenderId::BACKEND,
            payload: Payload::Json(send.payload),
            timestamp: u64::MAX,
            offset: None,
        }));
        let mut out = Vec::new();
        encode(&event, &mut out);
        let expected = format!(
            r#"{{"type":"room:message","id":{quoted},"room":{quoted},"from":{quoted},"payload":{payload},"timestamp":18446744073709551615}}"#
        );
        prop_assert_eq!(str::from_utf8(&out).unwrap(), &expected);
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(&read["payload"], &serde_json::from_str::<serde_json::Value>(&payload).unwrap());
        prop_assert!(sonic_rs::from_slice::<sonic_rs::Value>(&out).is_ok());
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = decode(&text);
        let _ = decode(&format!(r#"{{"type":"room:send","room":"a","payload":{text}}}"#));
        let _ = decode(&format!(r#"{{"type":"{text}","id":"{text}","room":"{text}","since":{{{text}}}}}"#));
    }

    #[test]
    fn a_message_cut_or_changed_anywhere_never_panics(place in 0usize..140, piece in any::<char>()) {
        let text = r#"{"id":"c","type":"room:join","room":"\ud83d\ude00","metadata":[1,{"a":-0.5e1}],"since":{"offset":1,"epoch":"0123456789abcdef"}}"#;
        let place = place.min(text.len());
        let _ = decode(&text[..place]);
        let _ = decode(&format!("{}{piece}{}", &text[..place], &text[place..]));
        let _ = decode(&format!("{}{piece}{}", &text[..place], &text[(place + 1).min(text.len())..]));
    }
}
