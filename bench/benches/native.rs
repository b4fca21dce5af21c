//! JSON v1: one client's message in, one event out. The `room:send` of 128 bytes is the figure to hold: 300 ns.

use std::sync::Arc;

use divan::{Bencher, black_box, counter::BytesCount};
use ringway::{
    base::{RoomName, UserName},
    dialect::native,
    model::{Call, Command, CorrelationId, Event, Json, Message, Reply},
};

fn main() {
    divan::main();
}

/// Whole lengths of `room:send` messages, in bytes.
const LENGTHS: [usize; 4] = [128, 1 << 10, 1 << 13, 1 << 16];

/// A `room:send` of `length` bytes with a payload like an application's: short names, numbers, some prose.
fn send(length: usize) -> String {
    let head = r#"{"type":"room:send","room":"lobby","payload":{"at":1795000000123,"by":"ada","text":""#;
    let sentence = "All clocks agree, ünlike before. ";
    let prose: String = sentence.chars().cycle().take(length - head.len() - 3).collect();
    let mut text = format!(r#"{head}{prose}"#);
    while text.len() > length - 3 {
        text.pop();
    }
    text + "\"}}"
}

/// A `room:send` of about `length` bytes whose payload has nearly no long string to skip.
fn send_dense(length: usize) -> String {
    let point = r#"{"x":-12.5,"y":3,"tag":["a","b"],"ok":true},"#;
    let points = point.repeat(length / point.len());
    format!(r#"{{"type":"room:send","room":"lobby","payload":[{points}null]}}"#)
}

/// Drops what it decodes inside the measured time, so that memory is reused as in the gateway.
fn decode(text: &str) {
    drop(black_box(native::decode(black_box(text))));
}

fn payload(text: &str) -> Json {
    match native::decode(text) {
        Ok(Call { command: Command::Send(send), .. }) => send.payload,
        other => unreachable!("the text is a room:send, but: {other:?}"),
    }
}

#[divan::bench(args = LENGTHS)]
fn decode_send(bencher: Bencher<'_, '_>, length: usize) {
    let text = send(length);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| decode(&text));
}

#[divan::bench(args = LENGTHS)]
fn decode_send_dense(bencher: Bencher<'_, '_>, length: usize) {
    let text = send_dense(length);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| decode(&text));
}

#[divan::bench]
fn decode_send_with_id_and_escapes(bencher: Bencher<'_, '_>) {
    let text =
        r#"{"id":"c-17","type":"room:send","room":"r\u00e4ume\/1","messageId":"m-1","payload":"say \"hi\""}"#;
    bencher.bench_local(|| decode(text));
}

#[divan::bench]
fn decode_ping(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| decode(r#"{"type":"ping"}"#));
}

/// What 64 KiB of nothing but unknown fields cost: no more than other messages of that length.
#[divan::bench]
fn decode_unknown_fields(bencher: Bencher<'_, '_>) {
    let fields: String =
        (0..7_000).map(|n: u32| format!(r#","{:x}":0"#, n.wrapping_mul(0x9e37) & 0xffff)).collect();
    let text = format!(r#"{{"type":"ping"{fields}}}"#);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| decode(&text));
}

#[divan::bench(args = LENGTHS)]
fn encode_message(bencher: Bencher<'_, '_>, length: usize) {
    let text = send(length);
    let name = "lobby";
    let (Ok(room), Ok(from)) = (RoomName::parse(name), UserName::parse(name)) else { return };
    let event = Event::Message(Arc::new(Message {
        id: "0000002a-0000000000000007".into(),
        room,
        from,
        payload: payload(&text),
        timestamp: 1_795_000_000_123,
    }));
    encode(bencher, &event);
}

#[divan::bench]
fn encode_ack(bencher: Bencher<'_, '_>) {
    let reply = Reply::Sent { message_id: "0000002a-0000000000000007".into() };
    encode(bencher, &Event::Ack { id: CorrelationId::from_checked("17"), result: Ok(reply) });
}

fn encode(bencher: Bencher<'_, '_>, event: &Event) {
    let mut out = Vec::new();
    native::encode(event, &mut out);
    bencher.counter(BytesCount::new(out.len())).bench_local(|| {
        out.clear();
        native::encode(black_box(event), &mut out);
        black_box(&out);
    });
}
