//! Hostile requests: bytes that are no HTTP, heads that two parsers could read in two ways, sizes past the limits, and
//! upgrades that are none.

use super::{
    client::upgrade_request,
    hostile_inputs::{Fate, Row, Stage, row},
};

pub(super) fn rows() -> Vec<Row> {
    let behind = "GET /live HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut rows = Vec::new();
    for (name, bytes, status) in not_http() {
        rows.push(row(name, Stage::Http, bytes, Fate::Status(status)));
    }
    for (name, head, status) in smuggling().into_iter().chain(sizes()) {
        rows.push(row(name, Stage::Http, [head.as_str(), behind].concat(), Fate::Status(status)));
    }
    for (name, request, status) in upgrades() {
        rows.push(row(name, Stage::Http, request, Fate::Status(status)));
    }
    rows.push(row("half a head", Stage::Http, &behind[..20], Fate::Silence));
    rows.push(row("a single byte", Stage::Http, "G", Fate::Silence));
    rows.push(row("empty lines without end", Stage::Http, "\r\n".repeat(20), Fate::Status(400)));
    rows
}

fn not_http() -> Vec<(&'static str, Vec<u8>, u16)> {
    let rows: [(&str, &[u8], u16); 20] = [
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03................\x20\x13\x02", 400),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 400),
        ("HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", 400),
        ("Redis", b"*1\r\n$4\r\nPING\r\n\r\n", 400),
        ("SMTP", b"EHLO example.com\r\n\r\n", 400),
        ("SOCKS 5", b"\x05\x01\x00", 400),
        ("RDP", b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08", 400),
        ("memcached", b"stats\r\n\r\n", 400),
        ("a frame without an upgrade", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\r\n", 400),
        ("zeros", &[0; 64], 400),
        ("bytes beyond ASCII", b"\xc3\xbf\xc3\xbe / HTTP/1.1\r\n\r\n", 400),
        ("no target", b"GET HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("no version", b"GET /\r\nHost: h\r\n\r\n", 400),
        ("a version of the future", b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        ("a version with more digits", b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400),
        ("a method with a slash", b"G/T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("a relative target", b"GET health HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("a target with a NUL", b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("a value that is no UTF-8", b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\xfe\r\n\r\n", 400),
    ];
    rows.map(|(name, bytes, status)| (name, bytes.to_vec(), status)).into()
}

/// Nothing behind one of these may be taken for a request.
fn smuggling() -> Vec<(&'static str, String, u16)> {
    let post = |headers: &str| format!("POST /live HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    let get = |headers: &str| format!("GET /live HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    let rows = [
        ("both lengths", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")),
        ("both, the other way round", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n")),
        ("two equal lengths", post("Content-Length: 1\r\nContent-Length: 1\r\n")),
        ("two different lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n")),
        ("a list of lengths", post("Content-Length: 1, 1\r\n")),
        ("a signed length", post("Content-Length: +1\r\n")),
        ("a negative length", post("Content-Length: -1\r\n")),
        ("a hexadecimal length", post("Content-Length: 0x1\r\n")),
        ("an empty length", post("Content-Length:\r\n")),
        ("a length beyond 64 bits", post("Content-Length: 99999999999999999999\r\n")),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n")),
        ("chunked in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("chunked not last", post("Transfer-Encoding: chunked, gzip\r\n")),
        ("a folded header", get("X: a\r\n b\r\n")),
        ("a folded first header", "GET /live HTTP/1.1\r\n Host: h\r\n\r\n".to_owned()),
        ("space before the colon", get("Content-Length : 1\r\n")),
        ("a bare line feed", "GET /live HTTP/1.1\nHost: h\n\n".to_owned()),
        ("a bare line feed in a header", get("X: a\nY: b\r\n")),
        ("a bare carriage return", get("X: a\rY: b\r\n")),
        ("a NUL in a header", get("X: a\0b\r\n")),
        ("no Host", "GET /live HTTP/1.1\r\nX: y\r\n\r\n".to_owned()),
        ("two Hosts", get("Host: other\r\n")),
        ("a Host of two", "GET /live HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned()),
        ("a Host with a user", "GET /live HTTP/1.1\r\nHost: a@b\r\n\r\n".to_owned()),
        ("two spaces", "GET  /live HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
        ("a tab", "GET\t/live HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
        ("a fragment", "GET /live#x HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
        ("chunked in HTTP/1.0", "POST /live HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        ("a header without a name", get(": x\r\n")),
        ("a header without a colon", get("nonsense\r\n")),
        ("a control byte in a name", get("\u{1}: x\r\n")),
        (
            "an upgrade with a body",
            String::from_utf8(upgrade_request("/ws", "Content-Length: 3\r\n")).unwrap(),
        ),
    ];
    let mut rows = rows.map(|(name, head)| (name, head, 400)).to_vec();
    rows.push(("an unknown coding", post("Transfer-Encoding: gzip, chunked\r\n"), 501));
    rows.push(("a body that nobody asked for", post("Content-Length: 29\r\n"), 405));
    rows
}

fn sizes() -> Vec<(&'static str, String, u16)> {
    let lines = |count: usize| -> String { (0..count).map(|number| format!("X-{number}: y\r\n")).collect() };
    let long = "y".repeat(17 << 10);
    vec![
        ("a head of 17 KiB", format!("GET /live HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"), 431),
        ("a head without an end", format!("GET /live HTTP/1.1\r\nHost: h\r\nX: {long}"), 431),
        ("65 headers", format!("GET /live HTTP/1.1\r\nHost: h\r\n{}\r\n", lines(64)), 431),
        ("a thousand headers", format!("GET /live HTTP/1.1\r\nHost: h\r\n{}\r\n", lines(1_000)), 431),
        ("a target of 17 KiB", format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414),
        ("kilobytes without a line", long, 414),
    ]
}

fn upgrades() -> Vec<(&'static str, String, u16)> {
    // Whoever is refused with a connection that could go on is told to end it.
    let with = |path: &str, headers: &str| {
        String::from_utf8(upgrade_request(path, headers))
            .unwrap()
            .replace("Connection: Upgrade", "Connection: Upgrade, close")
    };
    let good = with("/ws", "");
    let without = |line: &str| good.replace(line, "");
    let instead = |from: &str, to: &str| good.replace(from, to);
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    vec![
        ("no Upgrade", without("Upgrade: websocket\r\n"), 426),
        ("another Upgrade", instead("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("no Connection", instead("Connection: Upgrade, close", "Connection: close"), 400),
        ("no version", without("Sec-WebSocket-Version: 13\r\n"), 426),
        ("version 8", instead("Version: 13", "Version: 8"), 426),
        ("two versions", instead("Version: 13", "Version: 13, 8"), 426),
        ("no key", without(KEY), 400),
        ("two keys", instead(KEY, &[KEY, KEY].concat()), 400),
        ("a short key", instead("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400),
        ("a key that is no base64", instead("dGhl", "dG_l"), 400),
        ("HTTP/1.0", instead("HTTP/1.1", "HTTP/1.0"), 400),
        ("POST", instead("GET", "POST"), 405),
        ("a protocol with a space", with("/ws", "Sec-WebSocket-Protocol: a b\r\n"), 400),
        ("two bearers", with("/ws", "Sec-WebSocket-Protocol: ringway.bearer.a, ringway.bearer.b\r\n"), 400),
        ("two tokens", with("/ws?token=a&token=b", ""), 400),
        ("half an escape", with("/ws?token=%4", ""), 400),
        ("two credentials", with("/ws", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), 400),
        ("another path", with("/wss", ""), 404),
        ("a path with dots", with("/x/../ws", ""), 404),
        ("a path with an escaped slash", with("/%2fws", ""), 404),
    ]
}
