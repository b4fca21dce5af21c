//! Golden texts of every event.

use std::{num::NonZeroU64, sync::Arc};

use bytes::Bytes;

use super::encode;
use crate::{
    base::{RoomId, RoomKey, RoomName, SenderId, TenantName, UserName},
    model::{
        Authenticated, Availability, BurstRate, CorrelationId, Established, Event, Fault, FaultCode,
        HistoryPage, Joined, Json, Message, MessageId, MessageName, Payload, Position, PresenceChange,
        PresenceInfo, PresencePage, Rates, Reply,
    },
};

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn key(name: &str) -> RoomKey {
    RoomKey { tenant: tenant("acme"), room: room(name) }
}

fn name(id: &str) -> MessageName {
    MessageName::Given(MessageId::parse(id).unwrap())
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn tenant(name: &str) -> TenantName {
    TenantName::parse(name).unwrap()
}

fn json(text: &str) -> Json {
    Json::from_checked(text.to_owned().into())
}

fn info(name: &str, status: Availability, metadata: Option<&str>) -> PresenceInfo {
    PresenceInfo {
        user: user(name),
        connections: 2,
        status,
        metadata: metadata.map(json),
        since_ms: 1_800_000_000_000,
        last_seen_ms: 1_800_000_000_007,
    }
}

fn check(rows: impl IntoIterator<Item = (Event, &'static str)>) {
    for (event, expected) in rows {
        // What stands in the buffer before stays.
        let mut out = b"before".to_vec();
        encode(&event, &mut out);
        assert_eq!(str::from_utf8(&out).unwrap().strip_prefix("before"), Some(expected));
        assert!(serde_json::from_str::<serde_json::Value>(expected).unwrap().is_object(), "{expected}");
    }
}

#[test]
fn every_event() {
    let limited =
        || Fault { retry_after_ms: Some(250), ..Fault::new(FaultCode::RateLimited, "too many messages") };
    check([
        (
            Event::Established(Box::new(Established {
                connection_id: "0000002a0100000700000003".into(),
                user: user("ada"),
                tenant: tenant("acme"),
                heartbeat_interval_ms: 30_000,
                heartbeat_timeout_ms: 60_000,
                message_bytes_max: 65_536,
                rooms_max: 100,
                rates: Rates::default(),
                node: "0000002a".into(),
            })),
            r#"{"type":"connection:established","connectionId":"0000002a0100000700000003","tenantId":"acme","userId":"ada","heartbeat":{"intervalMs":30000,"timeoutMs":60000},"limits":{"messageBytes":65536,"rooms":100},"node":"0000002a"}"#,
        ),
        (
            Event::Established(Box::new(Established {
                connection_id: "0000002a0100000700000003".into(),
                user: user("ada"),
                tenant: tenant("acme"),
                heartbeat_interval_ms: 30_000,
                heartbeat_timeout_ms: 60_000,
                message_bytes_max: 65_536,
                rooms_max: 0,
                rates: Rates {
                    messages_per_10s: 200,
                    bytes_per_10s: 1_048_576,
                    user: BurstRate { per_s: 50, burst: 200 },
                    tenant: BurstRate { per_s: 500, burst: 2_000 },
                },
                node: "0000002a".into(),
            })),
            r#"{"type":"connection:established","connectionId":"0000002a0100000700000003","tenantId":"acme","userId":"ada","heartbeat":{"intervalMs":30000,"timeoutMs":60000},"limits":{"messageBytes":65536,"messagesPer10s":200,"bytesPer10s":1048576,"userMessages":{"perS":50,"burst":200},"tenantMessages":{"perS":500,"burst":2000}},"node":"0000002a"}"#,
        ),
        (
            Event::RoomJoined { room: room("lobby"), metadata: None },
            r#"{"type":"room:joined","room":"lobby"}"#,
        ),
        (
            Event::RoomJoined { room: room(r#"a"b\c"#), metadata: Some(json(r#"{ "a" : 1 }"#)) },
            r#"{"type":"room:joined","room":"a\"b\\c","metadata":{ "a" : 1 }}"#,
        ),
        (Event::RoomLeft { room: room("räume/1") }, r#"{"type":"room:left","room":"räume/1"}"#),
        (
            Event::Message(Arc::new(Message {
                id: name("m\"1"),
                key: key("lobby"),
                from: user("ada \"the first\""),
                sender: SenderId::BACKEND,
                payload: Payload::Json(json("[1,  \"\\u00e9\"]")),
                timestamp: 1_795_000_000_123,
                offset: None,
            })),
            r#"{"type":"room:message","id":"m\"1","room":"lobby","from":"ada \"the first\"","payload":[1,  "\u00e9"],"timestamp":1795000000123}"#,
        ),
        (
            Event::Message(Arc::new(Message {
                id: MessageName::Numbered { epoch: 0x00ab_cdef_0123_4567, number: 12 },
                key: key("lobby"),
                from: user("ada"),
                sender: SenderId::BACKEND,
                payload: Payload::Opaque(Bytes::from_static(&[0, 255, 1, 254])),
                timestamp: 7,
                offset: NonZeroU64::new(3),
            })),
            r#"{"type":"room:message","id":"00abcdef-12","room":"lobby","from":"ada","binary":"AP8B/g==","timestamp":7,"offset":3}"#,
        ),
        (Event::TokenExpiring { expires_in_ms: 60_000 }, r#"{"type":"token:expiring","expiresIn":60000}"#),
        (
            Event::Restart { reason: "drain", reconnect_in_ms: 1_500 },
            r#"{"type":"system:restart","reason":"drain","reconnectIn":1500}"#,
        ),
        (
            Event::Error(Fault::new(FaultCode::BadRequest, "say \"type\"")),
            r#"{"type":"system:error","code":"bad_request","message":"say \"type\""}"#,
        ),
        (
            Event::Error(limited()),
            r#"{"type":"system:error","code":"rate_limited","message":"too many messages","retryAfterMs":250}"#,
        ),
        (Event::Pong { timestamp: 0 }, r#"{"type":"pong","timestamp":0}"#),
        (
            Event::Ack { id: CorrelationId::from_checked("7"), result: Err(limited()) },
            r#"{"type":"ack","id":7,"success":false,"error":{"code":"rate_limited","message":"too many messages","status":429,"retryAfterMs":250}}"#,
        ),
    ]);
}

#[test]
fn every_ack() {
    let ack = |id, reply| Event::Ack { id: CorrelationId::from_checked(id), result: Ok(reply) };
    let authenticated = |expires_at| {
        Reply::Authenticated(Box::new(Authenticated {
            connection_id: "0000002a0100000700000003".into(),
            user: user("ada"),
            tenant: tenant("acme"),
            expires_at,
        }))
    };
    let joined = |room_id, epoch, recovered| {
        Reply::Joined(Box::new(Joined {
            room: room("lobby"),
            room_id: RoomId(room_id),
            position: Position { offset: 7, epoch },
            recovered,
        }))
    };
    let page = |messages| {
        Reply::History(Box::new(HistoryPage { messages, position: Position { offset: 9, epoch: 10 } }))
    };
    let kept = |offset| {
        Arc::new(Message {
            id: MessageName::Numbered { epoch: 10, number: offset },
            key: RoomKey { tenant: tenant("acme"), room: room("lobby") },
            from: user("ada"),
            sender: SenderId::BACKEND,
            payload: Payload::Json(json("{ }")),
            timestamp: 1,
            offset: NonZeroU64::new(offset),
        })
    };
    check([
        (
            ack("\"a\\u0062\"", authenticated(Some(1_795_000_000_000))),
            r#"{"type":"ack","id":"a\u0062","success":true,"connectionId":"0000002a0100000700000003","userId":"ada","tenantId":"acme","expiresAt":1795000000000}"#,
        ),
        (
            ack("1", authenticated(None)),
            r#"{"type":"ack","id":1,"success":true,"connectionId":"0000002a0100000700000003","userId":"ada","tenantId":"acme","expiresAt":null}"#,
        ),
        (
            ack("-2", joined(u64::MAX, 0xabc, false)),
            r#"{"type":"ack","id":-2,"success":true,"room":"lobby","roomId":"18446744073709551615","offset":7,"epoch":"0000000000000abc","recovered":false}"#,
        ),
        (
            ack("3", joined(0, u64::MAX, true)),
            r#"{"type":"ack","id":3,"success":true,"room":"lobby","roomId":"0","offset":7,"epoch":"ffffffffffffffff","recovered":true}"#,
        ),
        (ack("4", Reply::Left), r#"{"type":"ack","id":4,"success":true}"#),
        (
            ack("5", Reply::Sent { message_id: name("m\"1"), offset: None }),
            r#"{"type":"ack","id":5,"success":true,"messageId":"m\"1"}"#,
        ),
        (
            ack("5", Reply::Sent { message_id: name("m"), offset: NonZeroU64::new(u64::MAX) }),
            r#"{"type":"ack","id":5,"success":true,"messageId":"m","offset":18446744073709551615}"#,
        ),
        (
            ack("8", page(vec![])),
            r#"{"type":"ack","id":8,"success":true,"messages":[],"offset":9,"epoch":"000000000000000a"}"#,
        ),
        (
            ack("9", page(vec![kept(8), kept(9)])),
            r#"{"type":"ack","id":9,"success":true,"messages":[{"id":"00000000-8","room":"lobby","from":"ada","payload":{ },"timestamp":1,"offset":8},{"id":"00000000-9","room":"lobby","from":"ada","payload":{ },"timestamp":1,"offset":9}],"offset":9,"epoch":"000000000000000a"}"#,
        ),
        (ack("6", Reply::Rooms { rooms: vec![] }), r#"{"type":"ack","id":6,"success":true,"rooms":[]}"#),
        (
            ack("7", Reply::Rooms { rooms: vec![room("a"), room("b\\"), room("c")] }),
            r#"{"type":"ack","id":7,"success":true,"rooms":["a","b\\","c"]}"#,
        ),
    ]);
}

#[test]
fn every_fault_has_its_code_and_status() {
    let rows = [
        (FaultCode::Unauthenticated, "unauthenticated", 401),
        (FaultCode::Forbidden, "forbidden", 403),
        (FaultCode::NotFound, "not_found", 404),
        (FaultCode::NoTarget, "no_target", 404),
        (FaultCode::Conflict, "conflict", 409),
        (FaultCode::TooLarge, "too_large", 413),
        (FaultCode::RateLimited, "rate_limited", 429),
        (FaultCode::BadRequest, "bad_request", 400),
        (FaultCode::UnknownType, "unknown_type", 400),
        (FaultCode::Unavailable, "unavailable", 503),
        (FaultCode::Timeout, "timeout", 504),
        (FaultCode::Internal, "internal", 500),
    ];
    for (code, text, status) in rows {
        let event = Event::Ack { id: CorrelationId::from_checked("1"), result: Err(Fault::new(code, "no")) };
        let mut out = Vec::new();
        encode(&event, &mut out);
        let expected = format!(
            r#"{{"type":"ack","id":1,"success":false,"error":{{"code":"{text}","message":"no","status":{status}}}}}"#
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn presence() {
    let event = |change| Event::Presence { room: room("lobby"), change: Arc::new(change) };
    let ack = |presence, next| Event::Ack {
        id: CorrelationId::from_checked("1"),
        result: Ok(Reply::Presence(Box::new(PresencePage { presence, next }))),
    };
    check([
        (
            event(PresenceChange::Joined(info("ada", Availability::Online, None))),
            r#"{"type":"presence:join","room":"lobby","user":{"userId":"ada","connections":2,"status":"online","since":1800000000000,"lastSeen":1800000000007}}"#,
        ),
        (
            event(PresenceChange::Left(user("a\"da"))),
            r#"{"type":"presence:leave","room":"lobby","userId":"a\"da"}"#,
        ),
        (
            event(PresenceChange::Updated(vec![
                info("ada", Availability::Busy, Some("{ }")),
                info("bob", Availability::Offline, None),
            ])),
            r#"{"type":"presence:update","room":"lobby","presence":[{"userId":"ada","connections":2,"status":"busy","metadata":{ },"since":1800000000000,"lastSeen":1800000000007},{"userId":"bob","connections":2,"status":"offline","since":1800000000000,"lastSeen":1800000000007}]}"#,
        ),
        (ack(Vec::new(), None), r#"{"type":"ack","id":1,"success":true,"presence":[]}"#),
        (
            ack(vec![info("ada", Availability::Away, None)], Some(user("ada"))),
            r#"{"type":"ack","id":1,"success":true,"presence":[{"userId":"ada","connections":2,"status":"away","since":1800000000000,"lastSeen":1800000000007}],"next":"ada"}"#,
        ),
        (
            Event::Ack { id: CorrelationId::from_checked("1"), result: Ok(Reply::Noted) },
            r#"{"type":"ack","id":1,"success":true}"#,
        ),
    ]);
}
