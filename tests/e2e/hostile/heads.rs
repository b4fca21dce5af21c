//! Bytes that are no request, and upgrades that are none.

use ringway::shell::driver::Driver;

use crate::support::{Http, Start, upgrade_request};

on_both_drivers!(not_http, not_an_upgrade);

fn not_http(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let tls: &[u8] =
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03................................\x20\x13\x02";
    let ssl2: &[u8] = b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10";
    let rows: [(&str, &[u8], u16); 22] = [
        ("TLS", tls, 400),
        ("SSL 2", ssl2, 400),
        ("HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", 400),
        ("Redis", b"*1\r\n$4\r\nPING\r\n\r\n", 400),
        ("SMTP", b"EHLO example.com\r\n\r\n", 400),
        ("SOCKS 5", b"\x05\x01\x00", 400),
        ("RDP", b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08", 400),
        ("memcached", b"stats\r\n\r\n", 400),
        (
            "a WebSocket frame without an upgrade",
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\r\n",
            400,
        ),
        ("zeros", &[0; 64], 400),
        ("bytes beyond ASCII", "ÿþ / HTTP/1.1\r\n\r\n".as_bytes(), 400),
        ("no target", b"GET HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("no version", b"GET /\r\nHost: h\r\n\r\n", 400),
        ("a version of the future", b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        ("a version with more digits", b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400),
        ("a method with a slash", b"G/T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("a relative target", b"GET health HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("a target with a NUL", b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("a query with half an escape", b"GET /ws?token=%4 HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        ("an unknown coding", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("a header value that is not UTF-8", b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\xfe\r\n\r\n", 400),
    ];
    let rest = gateway.at_rest();
    for (name, bytes, status) in rows {
        let mut http = Http::connect(gateway.address);
        http.write(bytes);
        let response = http.try_response(true).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status, status, "{name}: {}", response.text());
        assert!(response.json()["error"]["message"].is_string(), "{name}");
        if status != 426 {
            assert!(http.is_closed(), "{name}: where the next request would begin is unknown");
        }
        drop(http);
        gateway.has_recovered(&rest, 0, name);
    }
}

fn not_an_upgrade(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let good = upgrade_request("/ws", "");
    let without = |line: &str| good.replace(line, "");
    let instead = |from: &str, to: &str| good.replace(from, to);
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let rows = [
        ("no Upgrade", without("Upgrade: websocket\r\n"), 426),
        ("another Upgrade", instead("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("no Connection", without("Connection: Upgrade\r\n"), 400),
        ("no version", without("Sec-WebSocket-Version: 13\r\n"), 426),
        ("version 8", instead("Version: 13", "Version: 8"), 426),
        ("two versions", instead("Version: 13", "Version: 13, 8"), 426),
        ("no key", without(KEY), 400),
        ("two keys", instead(KEY, &[KEY, KEY].concat()), 400),
        ("a short key", instead("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400),
        ("a key that is not base64", instead("dGhl", "dG_l"), 400),
        ("HTTP/1.0", instead("HTTP/1.1", "HTTP/1.0"), 400),
        ("POST", instead("GET", "POST"), 405),
        ("a protocol with a space", upgrade_request("/ws", "Sec-WebSocket-Protocol: a b\r\n"), 400),
        (
            "two bearers",
            upgrade_request("/ws", "Sec-WebSocket-Protocol: ringway.bearer.a, ringway.bearer.b\r\n"),
            400,
        ),
        ("two tokens", upgrade_request("/ws?token=a&token=b", ""), 400),
        ("half an escape", upgrade_request("/ws?token=%4", ""), 400),
        (
            "two credentials",
            upgrade_request("/ws", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"),
            400,
        ),
        ("another path", upgrade_request("/wss", ""), 404),
    ];
    let rest = gateway.at_rest();
    for (name, request, status) in rows {
        for request in [request.clone(), request.replace("/ws", "/echo")] {
            // What only `/ws` looks at is nothing wrong on `/echo`.
            let is_echo = request.contains("/echo");
            if is_echo
                && (request.contains("token=") || request.contains("Bearer ") || request.contains("/echos"))
            {
                continue;
            }
            let mut http = Http::connect(gateway.address);
            http.write(&request);
            let response = http.try_response(true).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(response.status, status, "{name}: {}", response.text());
            if status == 426 {
                assert_eq!(response.header("Sec-WebSocket-Version"), Some("13"), "{name}");
                assert_eq!(response.header("Upgrade"), Some("websocket"), "{name}");
            }
        }
        gateway.has_recovered(&rest, 0, name);
    }
    let rejected = gateway.metric(r#"websocket_connection_rejected_total{reason="bad_handshake"}"#);
    assert!(rejected >= 20.0, "{rejected}");
}
