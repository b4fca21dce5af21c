//! JSON v1: one client's message in, one event out. The `room:send` of 128 bytes is the figure to hold: 300 ns.

use std::{hint::black_box, sync::Arc};

use ringway::{
    base::{RoomKey, RoomName, SenderId, TenantName, UserName},
    dialect::native,
    model::{Call, Command, CorrelationId, Event, Message, MessageName, Payload, Reply},
};

use crate::{Work, ready};

/// A `room:send` of `length` bytes with a payload like an application's: short names, numbers, some prose.
pub fn send(length: usize) -> String {
    let head = r#"{"type":"room:send","room":"lobby","payload":{"at":1795000000123,"by":"ada","text":""#;
    let sentence = "All clocks agree, ünlike before. ";
    let prose: String = sentence.chars().cycle().take(length - head.len() - 3).collect();
    let mut text = format!(r#"{head}{prose}"#);
    while text.len() > length - 3 {
        text.pop();
    }
    text + "\"}}"
}

/// A message as it goes through a room.
pub fn message(length: usize) -> Message {
    let payload = match native::decode(&send(length)) {
        Ok(Call { command: Command::Send(send), .. }) => send.payload,
        other => unreachable!("the text is a room:send, but: {other:?}"),
    };
    Message {
        id: MessageName::Numbered { epoch: 0x2a << 32, number: 7_000_000_000 },
        key: RoomKey {
            tenant: TenantName::default_tenant(),
            room: RoomName::parse("lobby").expect("short and plain"),
        },
        from: UserName::parse("ada").expect("short and plain"),
        sender: SenderId::BACKEND,
        payload: Payload::Json(payload),
        timestamp: 1_795_000_000_123,
        offset: None,
    }
}

/// A `room:send` of `length` bytes.
pub fn decode_send(length: usize) -> Work {
    decode(send(length), true)
}

/// A `room:send` of about `length` bytes whose payload has nearly no long string to skip.
pub fn decode_send_dense(length: usize) -> Work {
    let point = r#"{"x":-12.5,"y":3,"tag":["a","b"],"ok":true},"#;
    let points = point.repeat(length / point.len());
    decode(format!(r#"{{"type":"room:send","room":"lobby","payload":[{points}null]}}"#), true)
}

/// Everything that makes a short message long to read.
pub fn decode_send_with_id_and_escapes() -> Work {
    let text =
        r#"{"id":"c-17","type":"room:send","room":"r\u00e4ume\/1","messageId":"m-1","payload":"say \"hi\""}"#;
    decode(text.to_owned(), true)
}

/// The shortest message.
pub fn decode_ping() -> Work {
    decode(r#"{"type":"ping"}"#.to_owned(), true)
}

/// 64 KiB of nothing but unknown fields: refused, and read to the end all the same.
pub fn decode_unknown_fields() -> Work {
    let fields: String =
        (0..7_000).map(|n: u32| format!(r#","{:x}":0"#, n.wrapping_mul(0x9e37) & 0xffff)).collect();
    decode(format!(r#"{{"type":"ping"{fields}}}"#), false)
}

/// Drops what it decodes inside the measured time, so that memory is reused as in the gateway.
fn decode(text: String, is_taken: bool) -> Work {
    assert_eq!(native::decode(&text).is_ok(), is_taken);
    ready(move || drop(black_box(native::decode(black_box(&text)))))
}

/// A `room:message` for the members, from a `room:send` of `length` bytes.
pub fn encode_message(length: usize) -> Work {
    encode(Event::Message(Arc::new(message(length))))
}

/// The answer to a `room:send`.
pub fn encode_ack() -> Work {
    let reply = Reply::Sent { message_id: message(128).id, offset: None };
    encode(Event::Ack { id: CorrelationId::from_checked("17"), result: Ok(reply) })
}

fn encode(event: Event) -> Work {
    let mut out = Vec::new();
    ready(move || {
        out.clear();
        native::encode(black_box(&event), &mut out);
        black_box(&out);
    })
}
