//! Messages that are no calls: each is answered with its error code, and the connection goes on.

use ringway::shell::driver::Driver;
use serde_json::Value;

use crate::support::Start;

on_both_drivers!(broken_messages, bad_calls);

fn nested(depth: usize) -> String {
    format!(r#"{{"type":"ping","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

/// No id could be read: the answer is an event.
fn broken_messages(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let many: String = (0..65).map(|number| format!(r#""f{number}":0,"#)).collect();
    let rows: Vec<(&str, String)> = vec![
        ("nothing", String::new()),
        ("space", " ".to_owned()),
        ("no JSON", "hello".to_owned()),
        ("an array", r#"[{"type":"ping"}]"#.to_owned()),
        ("a string", r#""ping""#.to_owned()),
        ("a number", "42".to_owned()),
        ("null", "null".to_owned()),
        ("half an object", r#"{"type":"ping""#.to_owned()),
        ("two objects", r#"{"type":"ping"}{"type":"ping"}"#.to_owned()),
        ("something after it", r#"{"type":"ping"} x"#.to_owned()),
        ("a trailing comma", r#"{"type":"ping",}"#.to_owned()),
        ("single quotes", "{'type':'ping'}".to_owned()),
        ("a comment", r#"{"type":"ping"/* */}"#.to_owned()),
        ("a raw line feed in a string", "{\"type\":\"ping\",\"x\":\"\n\"}".to_owned()),
        ("a NUL in a string", "{\"type\":\"ping\",\"x\":\"\0\"}".to_owned()),
        ("a byte order mark", "\u{feff}{\"type\":\"ping\"}".to_owned()),
        ("half a surrogate pair", r#"{"type":"ping","x":"\ud800"}"#.to_owned()),
        ("a bad escape", r#"{"type":"ping","x":"\x41"}"#.to_owned()),
        ("NaN", r#"{"type":"ping","x":NaN}"#.to_owned()),
        ("a leading zero", r#"{"type":"ping","x":01}"#.to_owned()),
        ("a lone minus", r#"{"type":"ping","x":-}"#.to_owned()),
        ("nesting of 65", nested(65)),
        ("nesting of 30,000", nested(30_000)),
        ("opening brackets", format!(r#"{{"x":{}"#, "[".repeat(60_000))),
        ("opening braces", r#"{"x":"#.repeat(10_000)),
        ("duplicate types", r#"{"type":"ping","type":"query:rooms"}"#.to_owned()),
        ("a duplicate that is escaped", r#"{"type":"ping","t\u0079pe":"ping"}"#.to_owned()),
        ("a duplicate that nobody knows", r#"{"type":"ping","x":1,"x":2}"#.to_owned()),
        ("duplicate ids", r#"{"type":"ping","id":1,"id":2}"#.to_owned()),
        ("too many unknown fields", format!(r#"{{{many}"type":"ping"}}"#)),
        ("an id of 65 bytes", format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65))),
        ("an id of 60,000 bytes", format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(60_000))),
        ("an id beyond 64 bits", r#"{"type":"ping","id":99999999999999999999}"#.to_owned()),
        ("an id with a fraction", r#"{"type":"ping","id":1.5}"#.to_owned()),
        ("an id that is an object", r#"{"type":"ping","id":{}}"#.to_owned()),
        ("an id that is null", r#"{"type":"ping","id":null}"#.to_owned()),
        ("no type", "{}".to_owned()),
        ("a type that is a number", r#"{"type":1}"#.to_owned()),
    ];
    let rest = gateway.at_rest();
    let mut socket = gateway.socket("mallory", "default");
    for (name, text) in &rows {
        socket.send(text);
        let error = socket.expect("system:error");
        assert_eq!(error["code"], "bad_request", "{name}: {error}");
        assert!(error["message"].as_str().is_some_and(|text| text.len() < 200), "{name}: {error}");
        assert_eq!(socket.ping(), "pong", "{name} ends nothing");
        gateway.has_recovered(&rest, 1, name);
    }
    let refused = gateway.metric(r#"websocket_errors_total{type="bad_request"}"#);
    assert_eq!(refused, rows.len() as f64);
    // The most that is allowed is allowed.
    socket.send(&nested(63));
    socket.expect("pong");
    socket.send(&format!(r#"{{"type":"query:rooms","id":"{}"}}"#, "x".repeat(64)));
    assert_eq!(socket.expect("ack")["success"], true);
    socket.send(r#"{"type":"query:rooms","id":18446744073709551615}"#);
    assert_eq!(socket.expect("ack")["id"], u64::MAX);
}

/// The id is good, the rest is not: the answer is the call's ack.
fn bad_calls(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let (long, longest) = ("x".repeat(257), "ü".repeat(128));
    let join = |room: &str| format!(r#""type":"room:join","room":{room}"#);
    let send = |rest: &str| format!(r#""type":"room:send","room":"lobby",{rest}"#);
    let rows: Vec<(&str, String, &str)> = vec![
        ("an unknown type", r#""type":"room:fly""#.to_owned(), "unknown_type"),
        ("an empty type", r#""type":"""#.to_owned(), "unknown_type"),
        ("a type in capitals", r#""type":"PING""#.to_owned(), "unknown_type"),
        ("no room", r#""type":"room:join""#.to_owned(), "bad_request"),
        ("an empty room", join(r#""""#), "bad_request"),
        ("a room of 257 bytes", join(&format!("\"{long}\"")), "bad_request"),
        ("a room with a line feed", join(r#""a\nb""#), "bad_request"),
        ("a room with a NUL", join(r#""a\u0000b""#), "bad_request"),
        ("a room with DEL", join("\"a\u{7f}b\""), "bad_request"),
        ("a room with a C1 control", join(r#""a\u0085b""#), "bad_request"),
        ("a room that is a number", join("1"), "bad_request"),
        ("a room that is null", join("null"), "bad_request"),
        ("a room that is a list", join(r#"["a","b"]"#), "bad_request"),
        ("an empty channel", r#""type":"subscribe","channel":"""#.to_owned(), "bad_request"),
        (
            "a channel that becomes too long",
            format!(r#""type":"subscribe","channel":"{long}""#),
            "bad_request",
        ),
        ("since without an epoch", join(r#""a","since":{"offset":1}"#), "bad_request"),
        ("since of text", join(r#""a","since":"1""#), "bad_request"),
        ("presence that is a number", join(r#""a","presence":1"#), "bad_request"),
        ("no payload", send(r#""echo":true"#), "bad_request"),
        ("echo that is text", send(r#""payload":1,"echo":"true""#), "bad_request"),
        ("persistent that is null", send(r#""payload":1,"persistent":null"#), "bad_request"),
        ("an empty message id", send(r#""payload":1,"messageId":"""#), "bad_request"),
        (
            "a message id of 129 bytes",
            send(&format!(r#""payload":1,"messageId":"{}""#, &long[..129])),
            "bad_request",
        ),
        ("a message id with a control character", send(r#""payload":1,"messageId":"\u0001""#), "bad_request"),
        ("a room that one is not in", send(r#""payload":1"#), "forbidden"),
        ("leaving a room that one is not in", r#""type":"room:leave","room":"x""#.to_owned(), "not_found"),
        ("a token that is a number", r#""type":"authenticate","token":1"#.to_owned(), "bad_request"),
        ("no token", r#""type":"authenticate""#.to_owned(), "bad_request"),
        ("an empty token", r#""type":"authenticate","token":"""#.to_owned(), "unauthenticated"),
        (
            "a token of 60 KiB",
            format!(r#""type":"authenticate","token":"{}""#, "x".repeat(60 << 10)),
            "unauthenticated",
        ),
        (
            "a tenant with a NUL",
            r#""type":"authenticate","token":"x","tenantId":"\u0000""#.to_owned(),
            "bad_request",
        ),
    ];
    let rest = gateway.at_rest();
    let mut socket = gateway.socket("mallory", "default");
    for (name, call, code) in &rows {
        let ack = socket.call(call);
        assert_eq!(ack["success"], false, "{name}");
        assert_eq!(ack["error"]["code"], *code, "{name}: {ack}");
        assert!(ack["error"]["status"].as_u64().is_some_and(|status| (400..504).contains(&status)), "{name}");
        assert!(ack["error"]["message"].as_str().is_some_and(|text| text.len() < 200), "{name}: {ack}");
        assert_eq!(socket.ping(), "pong", "{name} ends nothing");
        gateway.has_recovered(&rest, 1, name);
    }
    assert_eq!(
        socket.call(r#""type":"query:rooms""#)["rooms"],
        Value::Array(Vec::new()),
        "nothing was joined"
    );
    // The longest name there may be, and one that could break out of markup or paths, are names like others.
    for room in [longest.as_str(), "<script>", "../../etc", "%00", "a\u{202e}b", "😀", " "] {
        assert_eq!(socket.join(room)["room"], room);
    }
    gateway.serves_the_next("bad calls");
}
