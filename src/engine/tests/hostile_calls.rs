//! Hostile messages of clients, over JSON and relay, and hostile bodies of a backend that has a key.

use super::{
    api::key,
    client::{frame, text},
    hostile_inputs::{Fate, Row, Stage, call, row},
    http::bearer,
};
use crate::ws::Opcode;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, message) in broken() {
        rows.push(row(name, Stage::Open, text(&message), Fate::Fault("bad_request")));
    }
    for (name, fields, code) in calls() {
        rows.push(row(name, Stage::Open, call(&fields), Fate::Fault(code)));
        rows.push(row(format!("{name}, over relay"), Stage::Relay, call(&fields), Fate::Fault(code)));
    }
    for (name, bytes, code) in publications() {
        rows.push(row(name, Stage::Relay, frame(Opcode::Binary, &bytes), Fate::Fault(code)));
    }
    for (name, path, body, status) in bodies() {
        rows.push(row(name, Stage::Http, post(path, "", &body), Fate::Status(status)));
    }
    rows.extend(framed());
    let early = call(r#""type":"query:rooms""#);
    rows.push(row("a call before the token", Stage::Pending, early, Fate::Fault("unauthenticated")));
    rows.push(row("nonsense before the token", Stage::Pending, text("{"), Fate::Fault("bad_request")));
    rows
}

fn broken() -> Vec<(&'static str, String)> {
    let many: String = (0..65).map(|number| format!(r#""f{number}":0,"#)).collect();
    let rows = [
        ("no text", ""),
        ("space", " "),
        ("no JSON", "hello"),
        ("an array", r#"[{"type":"ping"}]"#),
        ("null", "null"),
        ("half an object", r#"{"type":"ping""#),
        ("two objects", r#"{"type":"ping"}{"type":"ping"}"#),
        ("a trailing comma", r#"{"type":"ping",}"#),
        ("single quotes", "{'type':'ping'}"),
        ("a comment", r#"{"type":"ping"/* */}"#),
        ("a raw line feed", "{\"type\":\"ping\",\"x\":\"\n\"}"),
        ("a NUL", "{\"type\":\"ping\",\"x\":\"\0\"}"),
        ("a byte order mark", "\u{feff}{\"type\":\"ping\"}"),
        ("half a surrogate pair", r#"{"type":"ping","x":"\ud800"}"#),
        ("the wrong half first", r#"{"type":"ping","x":"\udc00\ud800"}"#),
        ("a bad escape", r#"{"type":"ping","x":"\x41"}"#),
        ("NaN", r#"{"type":"ping","x":NaN}"#),
        ("a leading zero", r#"{"type":"ping","x":01}"#),
        ("two types", r#"{"type":"ping","type":"query:rooms"}"#),
        ("two types, one escaped", r#"{"type":"ping","t\u0079pe":"query:rooms"}"#),
        ("two ids", r#"{"type":"ping","id":1,"id":2}"#),
        ("an unknown field twice", r#"{"type":"ping","x":1,"x":2}"#),
        ("an id beyond 64 bits", r#"{"type":"ping","id":99999999999999999999}"#),
        ("an id of null", r#"{"type":"ping","id":null}"#),
        ("no type", "{}"),
    ];
    let mut rows: Vec<(&'static str, String)> = rows.map(|(name, text)| (name, text.to_owned())).into();
    rows.push(("opening brackets", format!(r#"{{"x":{}"#, "[".repeat(60_000))));
    rows.push(("opening braces", r#"{"x":"#.repeat(10_000)));
    rows.push(("nesting of 30,000", format!(r#"{{"x":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000))));
    rows.push(("65 unknown fields", format!(r#"{{{many}"type":"ping"}}"#)));
    rows.push(("ten thousand fields", format!(r#"{{{}"type":"ping"}}"#, r#""a":0,"#.repeat(10_000))));
    rows.push(("an id of 60,000 bytes", format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(60_000))));
    rows
}

fn calls() -> Vec<(&'static str, String, &'static str)> {
    let long = "x".repeat(257);
    let nobody = "0000002a00fffff000000000";
    let bad = [
        ("no room", r#""type":"room:join""#.to_owned()),
        ("an empty room", r#""type":"room:join","room":"""#.to_owned()),
        ("a room of 257 bytes", format!(r#""type":"room:join","room":"{long}""#)),
        ("a room with a NUL", r#""type":"room:join","room":"a\u0000b""#.to_owned()),
        ("a room with a C1 control", r#""type":"room:join","room":"a\u0085b""#.to_owned()),
        ("a room of null", r#""type":"room:join","room":null"#.to_owned()),
        ("since without an epoch", r#""type":"room:join","room":"a","since":{"offset":1}"#.to_owned()),
        ("since of 2^64", r#""type":"room:join","room":"a","since":{"offset":18446744073709551616,"epoch":"0123456789abcdef"}"#.to_owned()),
        ("no payload", r#""type":"room:send","room":"lobby""#.to_owned()),
        ("a message id of 129 bytes", format!(r#""type":"room:send","room":"lobby","payload":1,"messageId":"{}""#, &long[..129])),
        ("a limit of nothing", r#""type":"room:history","room":"lobby","limit":0"#.to_owned()),
        ("a status of one's own", r#""type":"presence:status","status":"root""#.to_owned()),
        ("a request to two", r#""type":"request","to":{"user":"ada","connection":"x"},"method":"m","payload":1"#.to_owned()),
        ("a request without end", r#""type":"request","to":{"user":"ada"},"method":"m","payload":1,"timeoutMs":999999999"#.to_owned()),
        ("a response with both", format!(r#""type":"response","correlationId":"{nobody}","payload":1,"error":{{"code":"x","message":"y"}}"#)),
    ];
    let mut rows: Vec<_> = bad.into_iter().map(|(name, fields)| (name, fields, "bad_request")).collect();
    let others = [
        ("an unknown type", r#""type":"room:fly""#.to_owned(), "unknown_type"),
        ("an event of the gateway", r#""type":"room:message","room":"lobby""#.to_owned(), "unknown_type"),
        ("a room that one is not in", r#""type":"room:send","room":"x","payload":1"#.to_owned(), "forbidden"),
        ("history of another room", r#""type":"room:history","room":"x""#.to_owned(), "forbidden"),
        ("presence of another room", r#""type":"query:presence","room":"x""#.to_owned(), "forbidden"),
        ("leaving another room", r#""type":"room:leave","room":"x""#.to_owned(), "not_found"),
        (
            "a request to nobody",
            r#""type":"request","to":{"user":"nobody"},"method":"m","payload":1"#.to_owned(),
            "no_target",
        ),
        (
            "a request to no connection",
            format!(r#""type":"request","to":{{"connection":"{nobody}"}},"method":"m","payload":1"#),
            "no_target",
        ),
        (
            "a response to nothing",
            format!(r#""type":"response","correlationId":"{nobody}","payload":1"#),
            "not_found",
        ),
        (
            "a response to no id",
            r#""type":"response","correlationId":"1","payload":1"#.to_owned(),
            "not_found",
        ),
        (
            "a token of 60 KiB",
            format!(r#""type":"authenticate","token":"{}""#, "x".repeat(60 << 10)),
            "unauthenticated",
        ),
    ];
    rows.extend(others);
    rows
}

/// Binary messages that are no publication.
fn publications() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("nothing binary", Vec::new(), "bad_request"),
        ("a publication of one byte", vec![1], "bad_request"),
        ("a publication without its room", vec![1, 0, 0, 0, 0, 0, 0, 0], "bad_request"),
        ("what only the gateway says", [&[2][..], &[0; 16], b"x"].concat(), "unknown_type"),
        ("an unknown kind", [&[255][..], &[0; 8], b"x"].concat(), "unknown_type"),
        ("a publication to a room not joined", [&[1][..], &[7; 8], b"x"].concat(), "forbidden"),
    ]
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let (key, length) = (bearer(&key()), body.len());
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{key}{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn bodies() -> Vec<(&'static str, &'static str, String, u16)> {
    const PUBLISH: &str = "/api/v1/publish";
    const DISCONNECT: &str = "/api/v1/disconnect";
    const ROOMS: &str = "/api/v1/users/ada/rooms";
    const REQUEST: &str = "/api/v1/request";
    let rows = [
        ("no body", PUBLISH, "", 400),
        ("half a body", PUBLISH, r#"{"room":"#, 400),
        ("a body that is text", PUBLISH, "hello", 400),
        ("a body and more", PUBLISH, r#"{"room":"a","payload":1} x"#, 400),
        ("a body with a field twice", PUBLISH, r#"{"room":"a","payload":1,"room":"b"}"#, 400),
        ("a body with an unknown field", PUBLISH, r#"{"room":"a","payload":1,"x":1}"#, 400),
        ("a body with half a pair", PUBLISH, r#"{"room":"a","payload":"\ud800"}"#, 400),
        ("a body without a payload", PUBLISH, r#"{"room":"a"}"#, 400),
        ("an array that is not closed", PUBLISH, r#"[{"room":"a","payload":1}"#, 400),
        ("another tenant's room", PUBLISH, r#"{"tenant":"globex","room":"a","payload":1}"#, 403),
        ("everybody by accident", DISCONNECT, "{}", 400),
        ("everybody of another tenant", DISCONNECT, r#"{"tenant":"globex"}"#, 403),
        ("a user and a token", DISCONNECT, r#"{"user":"a","jti":"b"}"#, 400),
        ("a connection that is none", DISCONNECT, r#"{"connection":"zz"}"#, 400),
        ("an empty jti", DISCONNECT, r#"{"jti":""}"#, 400),
        ("rooms of a number", ROOMS, r#"{"join":[1]}"#, 400),
        ("a room without a name", ROOMS, r#"{"join":[""]}"#, 400),
        ("rooms of another tenant", ROOMS, r#"{"tenant":"globex","join":["a"]}"#, 403),
        ("a request to everybody", REQUEST, r#"{"to":{},"method":"m","payload":1}"#, 400),
        ("a request to nobody there", REQUEST, r#"{"to":{"user":"nobody"},"method":"m","payload":1}"#, 404),
        (
            "a request for ever",
            REQUEST,
            r#"{"to":{"user":"nobody"},"method":"m","payload":1,"timeoutMs":999999999}"#,
            400,
        ),
    ];
    let mut rows: Vec<_> =
        rows.map(|(name, path, body, status)| (name, path, body.to_owned(), status)).into();
    let nested = format!(r#"{{"room":"a","payload":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    rows.push(("a deep body", PUBLISH, nested, 400));
    rows.push(("a thousand and one messages", PUBLISH, format!("[{}0]", "0,".repeat(1_000)), 413));
    rows.push((
        "a hundred and one rooms",
        ROOMS,
        format!(r#"{{"join":["a"{}]}}"#, r#","a""#.repeat(100)),
        400,
    ));
    rows.push(("a body of 65 KiB", PUBLISH, " ".repeat(65 << 10), 413));
    rows
}

/// Bodies whose framing is wrong, or that do not end.
fn framed() -> Vec<Row> {
    let head = |headers: &str| {
        let key = bearer(&key());
        format!("POST /api/v1/publish HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{key}{headers}\r\n")
    };
    let chunked = |rest: &str| head("Transfer-Encoding: chunked\r\n") + rest;
    let lines =
        |rest: &str| head("Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n") + rest;
    let rows = [
        ("a chunk of no size", chunked("\r\n"), Fate::Status(400)),
        ("a chunk of no number", chunked("x\r\n"), Fate::Status(400)),
        ("a chunk of a negative size", chunked("-1\r\n"), Fate::Status(400)),
        ("a chunk size of 17 digits", chunked("10000000000000000\r\n"), Fate::Status(413)),
        ("a chunk size of zeros without end", chunked(&"0".repeat(20_000)), Fate::Status(400)),
        ("a chunk that is longer than it says", chunked("2\r\nabc\r\n"), Fate::Status(400)),
        ("a chunk of 2^63", chunked("7fffffffffffffff\r\n"), Fate::Status(413)),
        ("a bare line feed behind a chunk", chunked("1\na\n0\n\n"), Fate::Status(400)),
        ("extensions without end", chunked(&format!("1;{}", "x".repeat(20_000))), Fate::Status(400)),
        ("trailers without end", chunked(&format!("0\r\n{}", "X: y\r\n".repeat(5_000))), Fate::Status(400)),
        ("a body that never comes", head("Content-Length: 10\r\n"), Fate::Silence),
        ("a body that stops", head("Content-Length: 10\r\n") + "{", Fate::Silence),
        ("chunks that stop", chunked("5\r\n{\"a"), Fate::Silence),
        ("lines that stop", lines("5\r\n{\"roo"), Fate::Silence),
        ("another type", head("Content-Type: text/plain\r\nContent-Length: 2\r\n") + "{}", Fate::Status(415)),
        ("another expectation", head("Expect: tea\r\nContent-Length: 2\r\n") + "{}", Fate::Status(417)),
    ];
    rows.map(|(name, request, fate)| row(name, Stage::Http, request, fate)).into()
}
