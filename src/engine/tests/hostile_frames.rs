//! Hostile frames: RFC 6455 and RFC 7692 broken one rule at a time, sizes past the limits, floods. The limits are the
//! harness's: messages of 64 KiB, 64 fragments, an inflation of 200.

use super::{
    client::frame,
    hostile_inputs::{Fate, Row, Stage, row},
};
use crate::ws::{Opcode, deflate::Deflater, encode};

const TEXT: u8 = 0x81;
const NO_MASK: [u8; 4] = [0; 4];
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A frame of less than 126 bytes whose first byte is anything; its mask is zero, so that it travels as it is.
fn small(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8][..], &NO_MASK, payload].concat()
}

/// A header that announces a length in its 64-bit form, and nothing behind it.
fn announced(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &NO_MASK].concat()
}

fn close(payload: &[u8]) -> Vec<u8> {
    small(0x88, payload)
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let (mut compressed, mut out) = (Vec::new(), Vec::new());
    Deflater::new().compress(15, payload, &mut compressed);
    encode::frame(&mut out, Opcode::Text, &compressed, true, Some(NO_MASK));
    out
}

fn compressed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::frame(&mut out, Opcode::Text, payload, true, Some(NO_MASK));
    out
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for stage in [Stage::Open, Stage::Pending] {
        rows.extend(
            framing().into_iter().map(|(name, bytes, code)| row(name, stage, bytes, Fate::Close(code))),
        );
    }
    rows.extend(closes());
    rows.extend(
        deflate().into_iter().map(|(name, bytes, code)| row(name, Stage::Deflated, bytes, Fate::Close(code))),
    );
    rows.extend(floods());
    rows
}

fn framing() -> Vec<(&'static str, Vec<u8>, u16)> {
    let fragments = |count: usize| [small(0x01, b"\""), small(0x00, b"").repeat(count)].concat();
    vec![
        ("an unmasked frame", vec![TEXT, 2, b'{', b'}'], 1002),
        ("RSV1 without an extension", small(0xc1, b"{}"), 1002),
        ("RSV2", small(0xa1, b"{}"), 1002),
        ("RSV3", small(0x91, b"{}"), 1002),
        ("opcode 3", small(0x83, b""), 1002),
        ("opcode 7", small(0x87, b""), 1002),
        ("opcode 11", small(0x8b, b""), 1002),
        ("opcode 15", small(0x8f, b""), 1002),
        ("a fragmented ping", small(0x09, b""), 1002),
        ("a fragmented pong", small(0x0a, b""), 1002),
        ("a fragmented close", small(0x08, b""), 1002),
        ("a ping of 126 bytes", [&[0x89, 0xfe, 0, 126][..], &[0; 130]].concat(), 1002),
        ("a ping of 2^32 bytes", announced(0x89, 1 << 32), 1002),
        ("a continuation of nothing", small(0x80, b"{}"), 1002),
        ("a message inside a message", [small(0x01, b"{"), small(0x81, b"}")].concat(), 1002),
        ("16 bits for 125 bytes", vec![TEXT, 0xfe, 0, 125, 0, 0, 0, 0], 1002),
        ("64 bits for 1,000 bytes", announced(TEXT, 1_000), 1002),
        ("a length with its highest bit", announced(TEXT, 1 << 63), 1002),
        ("2^62 bytes", announced(TEXT, 1 << 62), 1009),
        ("one byte too many announced", announced(TEXT, MESSAGE_BYTES_MAX as u64 + 1), 1009),
        ("one byte too many", frame(Opcode::Text, &vec![b' '; MESSAGE_BYTES_MAX + 1]), 1009),
        (
            "too many bytes in fragments",
            [small(0x01, &[b' '; 125]), frame_part(40_000).repeat(2)].concat(),
            1009,
        ),
        ("too many fragments", fragments(70), 1009),
        ("text that is no UTF-8", small(TEXT, b"\"\xff\xfe\""), 1007),
        ("text that ends within a character", small(TEXT, b"\"\xf0\x9f\x98"), 1007),
        ("a surrogate in UTF-8", small(TEXT, b"\"\xed\xa0\x80\""), 1007),
        ("an overlong slash", small(TEXT, b"\"\xc0\xaf\""), 1007),
        ("beyond U+10FFFF", small(TEXT, b"\"\xf4\x90\x80\x80\""), 1007),
        ("no UTF-8 across fragments", [small(0x01, b"\"\xc3"), small(0x80, b"\x28\"")].concat(), 1007),
        ("binary on JSON", small(0x82, b"{}"), 1003),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 1002),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 1002),
    ]
}

/// A continuation of that many spaces.
fn frame_part(bytes: usize) -> Vec<u8> {
    let mut part = frame(Opcode::Continuation, &vec![b' '; bytes]);
    part[0] = 0;
    part
}

fn closes() -> Vec<Row> {
    let mut rows = vec![
        row("a close of one byte", Stage::Open, close(&[3]), Fate::Close(1002)),
        row("a reason that is no UTF-8", Stage::Open, close(b"\x03\xe8\xff"), Fate::Close(1007)),
        row(
            "a close and more",
            Stage::Open,
            [close(b"\x03\xe8"), small(TEXT, b"nonsense")].concat(),
            Fate::Close(1000),
        ),
    ];
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        rows.push(row(format!("code {code}"), Stage::Open, close(&code.to_be_bytes()), Fate::Close(1002)));
    }
    rows
}

fn deflate() -> Vec<(&'static str, Vec<u8>, u16)> {
    let good = deflated(format!(r#"{{"type":"ping","x":"{}"}}"#, "ab".repeat(100)).as_bytes());
    let first = |first: u8| [&[first], &good[1..]].concat();
    vec![
        ("a bomb", deflated(&vec![b' '; 4 << 20]), 1009),
        ("one byte too many inflated", deflated(&noise(MESSAGE_BYTES_MAX + 1)), 1009),
        ("a truncated stream", compressed(&good[6..good.len() / 2]), 1007),
        ("random bytes", compressed(b"\xde\xad\xbe\xef\xde\xad\xbe\xef"), 1007),
        ("a reserved block", compressed(&[0x07]), 1007),
        ("a stored block of a wrong length", compressed(&[0, 5, 0, 0, 0]), 1007),
        ("a distance before the start", compressed(&[0x03, 0x02]), 1007),
        ("no UTF-8 when inflated", deflated(b"\"\xff\""), 1007),
        ("RSV2 beside RSV1", first(0xe1), 1002),
        ("compressed in its second fragment", [small(0x01, b"{"), first(0xc0)].concat(), 1002),
        ("a compressed ping", small(0xc9, b""), 1002),
    ]
}

/// Letters that compress to no less than half.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    };
    (0..bytes).map(letter).collect()
}

/// What is allowed, in numbers that are not nice.
fn floods() -> Vec<Row> {
    let half = small(0x01, b"{\"type\":");
    vec![
        row("half a header", Stage::Open, [TEXT], Fate::Silence),
        row(
            "a message that never ends",
            Stage::Open,
            [TEXT, 0xfe, 0xea, 0x60, 0, 0, 0, 0, b'{'],
            Fate::Silence,
        ),
        row("a fragment that nothing follows", Stage::Open, half, Fate::Silence),
        row("half a compressed message", Stage::Deflated, small(0x41, &[0x52, 0x56]), Fate::Silence),
        row(
            "pongs that nobody asked for",
            Stage::Open,
            frame(Opcode::Pong, b"unasked").repeat(2_000),
            Fate::Silence,
        ),
        row("pings", Stage::Open, frame(Opcode::Ping, b"answer me").repeat(1_000), Fate::Silence),
        row(
            "pings within a message",
            Stage::Open,
            [small(0x01, b"{"), small(0x89, b"?").repeat(500)].concat(),
            Fate::Silence,
        ),
        row(
            "a bomb that is no larger than a message",
            Stage::Deflated,
            deflated(&[b' '; 60_000]),
            Fate::Fault("bad_request"),
        ),
        row("empty texts", Stage::Open, small(TEXT, b"").repeat(300), Fate::Fault("bad_request")),
    ]
}
