//! Requests and responses both ways round: as the table of the protocol says them, and as they must not be.

use super::{decode, encode};
use crate::{
    base::{ConnId, NodeId, RequestId, ShardId, UserName},
    model::{
        Answer, Call, Command, CorrelationId, Event, FaultCode, Json, Method, Reply, Request, Requested,
        Response, Target,
    },
};

fn json(text: &str) -> Json {
    Json::from_checked(text.to_owned().into())
}

fn request(to: Target, method: &str, payload: &str, timeout_ms: Option<u64>) -> Command<'static> {
    let method = Method::parse(method).unwrap();
    Command::Request(Box::new(Request { to, method, payload: json(payload), timeout_ms }))
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

#[test]
fn requests_and_responses_are_read() {
    let id = "0000002a0100000700000003";
    let (node, shard, slot, generation) = (NodeId(0x2a), ShardId(1), 7, 3);
    let known = Some((node, RequestId { shard, slot, generation }));
    let response = |request, answer| Command::Response(Response { request, answer });
    let rows = [
        (
            r#"{"type":"request","to":{"more":1,"user":"b\u00f6b"},"method":"print","payload":{ "a":1 }}"#.to_owned(),
            request(Target::User(user("böb")), "print", r#"{ "a":1 }"#, None),
        ),
        (
            format!(r#"{{"type":"request","to":{{"connection":"{id}"}},"method":"\"","payload":null,"timeoutMs":18446744073709551615}}"#),
            request(
                Target::Connection { node, conn: ConnId { shard, slot, generation } },
                "\"",
                "null",
                Some(u64::MAX),
            ),
        ),
        (
            format!(r#"{{"type":"response","correlationId":"{id}","payload":[ 1 ]}}"#),
            response(known, Answer::Payload(json("[ 1 ]"))),
        ),
        (
            r#"{"type":"response","correlationId":"what?","error":{"message":"","more":{},"code":"no\u005fpaper"}}"#
                .to_owned(),
            response(None, Answer::Error(json(r#"{"message":"","more":{},"code":"no\u005fpaper"}"#))),
        ),
    ];
    for (text, command) in rows {
        assert_eq!(decode(&text), Ok(Call { id: None, command }), "{text}");
    }
}

#[test]
fn refusals_name_the_field_and_what_it_should_be() {
    let to = "to: expected {user} or {connection}, a name or a connection's id";
    let method = "method: expected 1 to 128 bytes without control characters";
    let error = "error: expected {code, message}: strings, the code of 1 to 64 bytes";
    let either = "expected either `payload` or `error`";
    let long_method =
        format!(r#""type":"request","to":{{"user":"a"}},"payload":1,"method":"{}""#, "m".repeat(129));
    let long_code = format!(
        r#""type":"response","correlationId":"c","error":{{"code":"{}","message":""}}"#,
        "é".repeat(33)
    );
    let rows = [
        (r#""type":"request","method":"m","payload":1"#, to),
        (r#""type":"request","method":"m","payload":1,"to":"a""#, to),
        (r#""type":"request","method":"m","payload":1,"to":["user","a"]"#, to),
        (r#""type":"request","method":"m","payload":1,"to":{}"#, to),
        (r#""type":"request","method":"m","payload":1,"to":{"user":""}"#, to),
        (r#""type":"request","method":"m","payload":1,"to":{"user":7}"#, to),
        (r#""type":"request","method":"m","payload":1,"to":{"user":"a","user":"b"}"#, to),
        (r#""type":"request","method":"m","payload":1,"to":{"connection":"a"}"#, to),
        (
            r#""type":"request","method":"m","payload":1,"to":{"user":"a","connection":"0000002a0100000700000003"}"#,
            to,
        ),
        (r#""type":"request","method":"m","payload":1,"to":{"room":"a"}"#, to),
        (r#""type":"request","to":{"user":"a"},"payload":1"#, "method: expected a string"),
        (r#""type":"request","to":{"user":"a"},"payload":1,"method":"""#, method),
        (r#""type":"request","to":{"user":"a"},"payload":1,"method":"a\nb""#, method),
        (&long_method, method),
        (r#""type":"request","to":{"user":"a"},"method":"m""#, "payload: expected a value"),
        (
            r#""type":"request","to":{"user":"a"},"method":"m","payload":1,"timeoutMs":"1""#,
            "timeoutMs: expected a whole number",
        ),
        (
            r#""type":"request","to":{"user":"a"},"method":"m","payload":1,"timeoutMs":1.5"#,
            "timeoutMs: expected a whole number",
        ),
        (
            r#""type":"request","to":{"user":"a"},"method":"m","payload":1,"timeoutMs":-1"#,
            "timeoutMs: expected a whole number",
        ),
        (r#""type":"response","payload":1"#, "correlationId: expected a string"),
        (r#""type":"response","correlationId":7,"payload":1"#, "correlationId: expected a string"),
        (r#""type":"response","correlationId":"c""#, either),
        (r#""type":"response","correlationId":"c","payload":1,"error":{"code":"a","message":"b"}"#, either),
        (r#""type":"response","correlationId":"c","error":"no""#, error),
        (r#""type":"response","correlationId":"c","error":null"#, error),
        (r#""type":"response","correlationId":"c","error":{"code":"a"}"#, error),
        (r#""type":"response","correlationId":"c","error":{"code":1,"message":"b"}"#, error),
        (r#""type":"response","correlationId":"c","error":{"code":"","message":"b"}"#, error),
        (r#""type":"response","correlationId":"c","error":{"code":"a","code":"b","message":"b"}"#, error),
        (r#""type":"response","correlationId":"c","error":["code","message"]"#, error),
        (&long_code, error),
    ];
    for (fields, message) in rows {
        let refusal = decode(&format!("{{\"id\":1,{fields}}}")).expect_err(fields);
        assert_eq!(&*refusal.fault.message, message, "{fields}");
        assert_eq!(
            (refusal.id, refusal.fault.code),
            (Some(CorrelationId::from_checked("1")), FaultCode::BadRequest)
        );
    }
}

#[test]
fn requests_and_answers_are_written() {
    let requested = |from| Event::Request {
        correlation_id: "0000002a0100000700000003".into(),
        request: Box::new(Requested {
            from,
            method: Method::parse("say \"a\"").unwrap(),
            payload: json("[1,  \"\\u00e9\"]"),
            deadline: 1_795_000_000_123,
        }),
    };
    let ack = |reply| Event::Ack { id: CorrelationId::from_checked("7"), result: Ok(reply) };
    let rows = [
        (
            requested(Some(user("ada"))),
            r#"{"type":"request","correlationId":"0000002a0100000700000003","from":"ada","method":"say \"a\"","payload":[1,  "\u00e9"],"deadline":1795000000123}"#,
        ),
        (
            requested(None),
            r#"{"type":"request","correlationId":"0000002a0100000700000003","method":"say \"a\"","payload":[1,  "\u00e9"],"deadline":1795000000123}"#,
        ),
        (
            ack(Reply::Answered(Answer::Payload(json("{ }")))),
            r#"{"type":"ack","id":7,"success":true,"payload":{ }}"#,
        ),
        (
            ack(Reply::Answered(Answer::Error(json(r#"{"code":"x", "message":"y"}"#)))),
            r#"{"type":"ack","id":7,"success":false,"error":{"code":"x", "message":"y"}}"#,
        ),
        (ack(Reply::Responded), r#"{"type":"ack","id":7,"success":true}"#),
    ];
    for (event, expected) in rows {
        let mut out = Vec::new();
        encode(&event, &mut out);
        assert_eq!(str::from_utf8(&out), Ok(expected));
        assert!(serde_json::from_str::<serde_json::Value>(expected).unwrap().is_object(), "{expected}");
    }
}
