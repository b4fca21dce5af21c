//! Frames that break RFC 6455 or RFC 7692, or are too large: each earns its close code.

use ringway::{
    shell::driver::Driver,
    ws::{
        Opcode,
        deflate::{self, Deflater},
    },
};

use crate::support::{Gateway, Received, Socket, Start, frame, text_frame, token::token};

on_both_drivers!(broken_frames, broken_deflate, binary_is_for_other_protocols, close_frames, limits_of_echo);

/// A masked frame from its first two bytes, whatever they say; the mask is zero, so payloads travel as they are.
fn raw(first: u8, second: u8, rest: &[u8]) -> Vec<u8> {
    [&[first, second][..], rest].concat()
}

const TEXT: u8 = 0x81;
const NO_MASK: [u8; 4] = [0; 4];

/// First byte, length below 126, payload.
fn small(first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, 0x80 | payload.len() as u8, &[&NO_MASK, payload].concat())
}

/// A header that announces a length in its 64-bit form, and nothing behind it.
fn announced(first: u8, length: u64) -> Vec<u8> {
    raw(first, 0x80 | 127, &[&length.to_be_bytes()[..], &NO_MASK].concat())
}

fn fragments(count: usize) -> Vec<u8> {
    let mut bytes = small(0x01, b"\"");
    bytes.extend(small(0x00, b"").repeat(count));
    bytes
}

fn broken_frames(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let ping = text_frame(r#"{"type":"ping"}"#);
    let unmasked = raw(TEXT, 0x02, b"{}");
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("an unmasked frame", unmasked.clone(), 1002),
        ("an unmasked frame after a good one", [ping.clone(), unmasked].concat(), 1002),
        ("RSV1 without an extension", small(0xc1, b"{}"), 1002),
        ("RSV2", small(0xa1, b"{}"), 1002),
        ("RSV3", small(0x91, b"{}"), 1002),
        ("RSV1 on a control frame", small(0xc9, b""), 1002),
        ("opcode 3", small(0x83, b""), 1002),
        ("opcode 7", small(0x87, b""), 1002),
        ("opcode 11", small(0x8b, b""), 1002),
        ("opcode 15", small(0x8f, b""), 1002),
        ("a fragmented ping", small(0x09, b""), 1002),
        ("a fragmented pong", small(0x0a, b""), 1002),
        ("a fragmented close", small(0x08, b""), 1002),
        ("a ping of 126 bytes", raw(0x89, 0x80 | 126, &[&[0, 126][..], &[0; 130]].concat()), 1002),
        ("a ping of 2^32 bytes", announced(0x89, 1 << 32), 1002),
        ("a continuation of nothing", small(0x80, b"{}"), 1002),
        ("a message inside a message", [small(0x01, b"{"), small(0x81, b"}")].concat(), 1002),
        ("a length in two bytes that fits in none", raw(TEXT, 0x80 | 126, &[0, 125, 0, 0, 0, 0]), 1002),
        ("a length in eight bytes that fits in two", announced(TEXT, 1_000), 1002),
        ("a length with its highest bit", announced(TEXT, 1 << 63), 1002),
        ("2^62 bytes announced", announced(TEXT, 1 << 62), 1009),
        ("one byte too many announced", announced(TEXT, (64 << 10) + 1), 1009),
        ("one byte too many sent", frame(Opcode::Text, &vec![b' '; (64 << 10) + 1]), 1009),
        (
            "too many bytes in fragments",
            [small(0x01, &[b' '; 100]), small(0x00, &[b' '; 100]).repeat(700)].concat(),
            1009,
        ),
        ("too many fragments", fragments(1_100), 1009),
        ("text that is not UTF-8", small(TEXT, b"\"\xff\xfe\""), 1007),
        ("text that ends within a character", small(TEXT, b"\"\xf0\x9f\x98"), 1007),
        ("a surrogate in UTF-8", small(TEXT, b"\"\xed\xa0\x80\""), 1007),
        ("an overlong slash", small(TEXT, b"\"\xc0\xaf\""), 1007),
        ("beyond U+10FFFF", small(TEXT, b"\"\xf4\x90\x80\x80\""), 1007),
        ("not UTF-8 in its second fragment", [small(0x01, b"\"\xc3"), small(0x80, b"\x28\"")].concat(), 1007),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 1002),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 1002),
    ];
    let rest = gateway.at_rest();
    for (name, bytes, code) in rows {
        let mut socket = gateway.socket("mallory", "default");
        socket.join("lobby");
        socket.write(&bytes);
        assert_eq!(socket.closed().0, code, "{name}");
        // Split at every byte of its first hundred it is no better; it may be refused before all of it was read.
        if bytes.len() <= 100 {
            let mut socket = gateway.socket("mallory", "default");
            for byte in &bytes {
                socket.write([*byte]);
            }
            assert_eq!(socket.close_frame().0, code, "{name}, byte by byte");
        }
        // Without a token the same holds.
        let mut socket = Socket::open(gateway.address, "/ws", "");
        socket.write(&bytes);
        assert_eq!(socket.close_frame().0, code, "{name}, without a token");
        drop(socket);
        gateway.has_recovered(&rest, 0, name);
    }
    for kind in ["protocol_error", "invalid_utf8", "too_big"] {
        assert!(gateway.metric(&format!("websocket_errors_total{{type=\"{kind}\"}}")) > 0.0, "{kind}");
    }
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    Deflater::new().compress(15, payload, &mut compressed);
    compressed
}

/// A compressed text frame with this payload.
fn compressed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ringway::ws::encode::frame(&mut bytes, Opcode::Text, payload, true, Some(NO_MASK));
    bytes
}

fn deflating(gateway: &Gateway) -> Socket {
    let headers = format!(
        "Authorization: Bearer {}\r\nSec-WebSocket-Extensions: {}\r\n",
        token("mallory", "default"),
        deflate::offer()
    );
    let mut socket = Socket::open(gateway.address, "/ws", &headers);
    socket.expect("connection:established");
    socket
}

fn broken_deflate(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let good = deflated(format!(r#"{{"type":"ping","x":"{}"}}"#, "ab".repeat(100)).as_bytes());
    let bomb = deflated(&vec![b' '; 64 << 20]);
    assert!(bomb.len() > 128 << 10, "{} bytes: it is refused by its length already", bomb.len());
    let small_bomb = deflated(&vec![b' '; 4 << 20]);
    assert!(small_bomb.len() < 64 << 10, "{} bytes: only inflating it shows what it is", small_bomb.len());
    let ones = |first| {
        let mut bytes = compressed(&good);
        bytes[0] = first;
        bytes
    };
    let rows = [
        ("a bomb", compressed(&bomb), 1009),
        ("a bomb of a few kilobytes", compressed(&small_bomb), 1009),
        ("one byte too many when inflated", compressed(&deflated(&vec![b' '; (64 << 10) + 1])), 1009),
        ("truncated", compressed(&good[..good.len() / 2]), 1007),
        ("random bytes", compressed(b"\xde\xad\xbe\xef\xde\xad\xbe\xef"), 1007),
        ("a reserved block type", compressed(&[0x07]), 1007),
        ("a stored block with a wrong length", compressed(&[0x00, 0x05, 0x00, 0x00, 0x00]), 1007),
        ("a distance before the start", compressed(&[0x03, 0x02]), 1007),
        ("not UTF-8 when inflated", compressed(&deflated(b"\"\xff\"")), 1007),
        ("RSV2 beside RSV1", ones(0xe1), 1002),
        ("compressed in its second fragment", [small(0x01, b"{"), ones(0xc0)].concat(), 1002),
    ];
    let rest = gateway.at_rest();
    for (name, bytes, code) in rows {
        let mut socket = deflating(&gateway);
        socket.write(&bytes);
        assert_eq!(socket.closed().0, code, "{name}");
        drop(socket);
        gateway.has_recovered(&rest, 0, name);
    }
    // What is good stays good: fragmented, empty, with control frames in between.
    let mut socket = deflating(&gateway);
    let (start, rest) = good.split_at(5);
    socket.write([small(0x41, start), small(0x89, b"?"), small(0x00, b""), small(0x80, rest)].concat());
    assert_eq!(socket.receive(), Received::Pong(b"?".to_vec()));
    socket.expect("pong");
    // `/echo` takes megabytes, but not without end.
    let headers = format!("Sec-WebSocket-Extensions: {}\r\n", deflate::offer());
    let mut echo = Socket::open(gateway.address, "/echo", &headers);
    echo.write(compressed(&small_bomb));
    assert_eq!(echo.text().len(), 4 << 20);
    echo.write(compressed(&bomb));
    assert_eq!(echo.closed().0, 1009);
    gateway.serves_the_next("bombs");
}

fn binary_is_for_other_protocols(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let rest = gateway.at_rest();
    for payload in [&b""[..], b"{}", b"\x00\xff"] {
        let mut socket = gateway.socket("mallory", "default");
        socket.write(frame(Opcode::Binary, payload));
        assert_eq!(socket.closed().0, 1003);
        drop(socket);
        gateway.has_recovered(&rest, 0, "binary");
    }
}

fn close_frames(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let close = |payload: &[u8]| frame(Opcode::Close, payload);
    let with = |code: u16, text: &[u8]| close(&[&code.to_be_bytes()[..], text].concat());
    // What may be said comes back.
    for code in [1000, 1001, 1003, 1007, 1011, 1012, 3000, 4000, 4999] {
        let mut socket = gateway.socket("ada", "default");
        socket.write(with(code, b"bye"));
        assert_eq!(socket.receive(), Received::Close(code, String::new()), "{code}");
        assert_eq!(socket.receive(), Received::End);
    }
    let mut socket = gateway.socket("ada", "default");
    socket.write(close(b""));
    assert_eq!(socket.receive(), Received::Close(1005, String::new()), "an empty one is answered with one");
    // What may not is an error.
    let mut rows: Vec<(String, Vec<u8>, u16)> =
        [0, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535]
            .map(|code| (format!("code {code}"), with(code, b""), 1002))
            .into();
    rows.push(("one byte".to_owned(), close(&[3]), 1002));
    rows.push(("a reason that is not UTF-8".to_owned(), with(1000, b"\xff"), 1007));
    let rest = gateway.at_rest();
    for (name, bytes, code) in rows {
        let mut socket = gateway.socket("mallory", "default");
        socket.write(bytes);
        assert_eq!(socket.closed().0, code, "{name}");
        drop(socket);
        gateway.has_recovered(&rest, 0, &name);
    }
    // Nothing after a close frame counts.
    let mut socket = gateway.socket("ada", "default");
    socket.write([with(1000, b""), text_frame(r#"{"type":"ping"}"#)].concat());
    assert_eq!(socket.receive(), Received::Close(1000, String::new()));
    assert_eq!(socket.receive(), Received::End);
    gateway.serves_the_next("close frames");
}

/// `/echo` is for conformance suites: its limits are those that they need, and they are limits.
fn limits_of_echo(driver: Driver) {
    const BYTES_MAX: usize = 16 << 20;
    const FRAGMENTS_MAX: usize = 65_536;
    let mut gateway = Start::on(driver).start();
    let mut echo = Socket::open(gateway.address, "/echo", "");
    let largest = vec![0xa5; BYTES_MAX];
    echo.write(frame(Opcode::Binary, &largest));
    assert!(echo.receive() == Received::Binary(largest), "16 MiB come back as they were");
    let last = small(0x80, b".");
    echo.write([small(0x01, b"."), small(0x00, b".").repeat(FRAGMENTS_MAX - 1), last.clone()].concat());
    assert_eq!(echo.text().len(), FRAGMENTS_MAX + 1);
    echo.write([small(0x01, b"."), small(0x00, b".").repeat(FRAGMENTS_MAX), last].concat());
    assert_eq!(echo.closed().0, 1009);
    let mut echo = Socket::open(gateway.address, "/echo", "");
    echo.write(announced(TEXT, BYTES_MAX as u64 + 1));
    assert_eq!(echo.closed().0, 1009);
    gateway.serves_the_next("large messages");
}
