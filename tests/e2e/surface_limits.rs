//! HTTP clients that are slow, idle, too large, or want two parsers to disagree.

use ringway::shell::driver::Driver;

use crate::support::{Http, Socket, Start, token::token, until, upgrade_request};

on_both_drivers!(slow_heads_and_idle_connections, oversized_heads, smuggling, capacity);

fn slow_heads_and_idle_connections(driver: Driver) {
    let mut gateway =
        Start::on(driver).set("http.head_timeout_ms", 300).set("http.keep_alive_ms", 300).start();
    // All at once, so that the time is waited for once.
    let connect = || Http::connect(gateway.address);
    let (mut silent, mut begun, mut second, mut idle) = (connect(), connect(), connect(), connect());
    begun.write("GET /health HTTP/1.1\r\nHost: loc");
    assert_eq!(second.get("/ready").status, 200);
    second.write("GET /ready HT");
    assert_eq!(idle.get("/ready").status, 200);

    assert!(silent.is_closed(), "who says nothing is told nothing");
    for late in [&mut begun, &mut second] {
        let response = late.response();
        response.is_error(408, "timeout");
        assert_eq!(response.header("Connection"), Some("close"));
        assert!(late.is_closed());
    }
    assert!(idle.is_closed(), "an idle connection is closed without a word");
    drop([begun, second]);

    let reasons =
        |reason: &str| gateway.metric(&format!("websocket_disconnections_total{{reason=\"{reason}\"}}"));
    until("all have gone", || (reasons("head_timeout") == 3.0).then_some(()));
    assert_eq!(reasons("idle_timeout"), 1.0);
    gateway.serves_the_next("slow clients");
}

fn oversized_heads(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let lines = |count: usize| -> String { (0..count).map(|number| format!("X-{number}: y\r\n")).collect() };
    let rows = [
        (
            "a head of 17 KiB",
            format!("GET /health HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "y".repeat(17 << 10)),
            431,
        ),
        (
            "a head without an end",
            format!("GET /health HTTP/1.1\r\nHost: h\r\nX: {}", "y".repeat(64 << 10)),
            431,
        ),
        ("65 headers", format!("GET /health HTTP/1.1\r\nHost: h\r\n{}\r\n", lines(64)), 431),
        ("a target of 17 KiB", format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "y".repeat(17 << 10)), 414),
        ("a megabyte without a line", "y".repeat(1 << 20), 414),
    ];
    let rest = gateway.at_rest();
    for (name, request, status) in rows {
        let mut http = Http::connect(gateway.address);
        http.write(request);
        let response = http.response();
        response.is_error(status, "too_large");
        assert!(http.is_closed(), "after {name}");
        drop(http);
        gateway.has_recovered(&rest, 0, name);
    }
    // What just fits is served.
    let mut http = Http::connect(gateway.address);
    assert_eq!(http.get_with("/ready", &lines(63)).status, 200);
    let padding = (16 << 10) - "GET /ready HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n".len();
    assert_eq!(http.get_with("/ready", &format!("X: {}\r\n", "y".repeat(padding))).status, 200);
}

/// What two parsers could read in two ways is refused, and nothing behind it is taken for a request.
fn smuggling(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let post = |headers: &str| format!("POST /health HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    let get = |headers: &str| format!("GET /health HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    let rows = [
        ("both lengths", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"),
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
        ("chunked not last", post("Transfer-Encoding: chunked, gzip\r\n")),
        ("a folded header", get("X: a\r\n b\r\n")),
        ("a folded first header", "GET /health HTTP/1.1\r\n Host: h\r\n\r\n".to_owned()),
        ("space before the colon", get("Content-Length : 1\r\n")),
        ("a bare line feed", "GET /health HTTP/1.1\nHost: h\n\n".to_owned()),
        ("a bare line feed in a header", get("X: a\nY: b\r\n")),
        ("a bare carriage return", get("X: a\rY: b\r\n")),
        ("a NUL in a header", get("X: a\0b\r\n")),
        ("no Host", "GET /health HTTP/1.1\r\nX: y\r\n\r\n".to_owned()),
        ("two Hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned()),
        ("a Host of two", "GET /health HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned()),
        ("a Host with a user", "GET /health HTTP/1.1\r\nHost: a@b\r\n\r\n".to_owned()),
        ("two spaces", "GET  /health HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
        ("a tab", "GET\t/health HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
        ("a fragment", "GET /health#x HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
        ("chunked in HTTP/1.0", "POST /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        ("a header without a name", get(": x\r\n")),
        ("a header without a colon", get("nonsense\r\n")),
        ("a header that is not UTF-8", "GET /health HTTP/1.1\r\nHost: h\r\n".to_owned() + "\u{1}: x\r\n\r\n"),
        ("an upgrade with a body", upgrade_request("/ws", "Content-Length: 3\r\n")),
    ];
    let rest = gateway.at_rest();
    for (name, request) in rows {
        let mut http = Http::connect(gateway.address);
        http.write([request.as_str(), "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        let response = http.try_response(true).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status, 400, "{name}: {} {}", response.head, response.text());
        response.is_error(400, "bad_request");
        assert!(http.is_closed(), "{name}: the second request was answered");
        drop(http);
        gateway.has_recovered(&rest, 0, name);
    }
    // A body that nobody asked for is not read as a request either.
    let mut http = Http::connect(gateway.address);
    http.write(post("Content-Length: 39\r\n") + "GET /metrics HTTP/1.1\r\nHost: local\r\n\r\n\r\n");
    http.response().is_error(405, "method_not_allowed");
    assert!(http.is_closed());
}

/// `limits.connections_total` takes exactly so many, whichever shard they come to.
fn capacity(driver: Driver) {
    let gateway = Start::on(driver).shards(1).set("limits.connections_total", 3).start();
    let mut sockets: Vec<_> =
        (0..3).map(|number| gateway.socket(&format!("user-{number}"), "acme")).collect();
    let refused = Http::connect(gateway.address).get_with("/ready", "");
    assert_eq!((refused.status, refused.json()["status"].as_str()), (503, Some("over_capacity")));
    let refused = Socket::try_open(gateway.address, "/ws", "").err().expect("no room");
    refused.is_error(503, "unavailable");
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(gateway.metric(r#"websocket_connection_rejected_total{reason="capacity"}"#), 1.0);
    assert_eq!(gateway.get("/health").json()["status"], "degraded", "but it lives");
    for socket in &mut sockets {
        assert_eq!(socket.ping(), "pong", "those inside notice nothing");
    }
    drop(sockets.pop());
    // One who asked may not have been missed yet.
    until("room for one", || (gateway.get("/ready").status == 200).then_some(()));
    until("that one is let in", || Socket::try_with_token(gateway.address, &token("next", "acme")));
}
