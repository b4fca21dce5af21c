//! The backend's API as a backend uses it: a key of `ringway key make`, messages one by one and as a stream, what it
//! finds and ends, and the drain.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    path::PathBuf,
    thread,
};

use ringway::shell::driver::Driver;
use serde_json::Value;

use crate::support::{Gateway, Http, Response, Start, ringway, until};

on_both_drivers!(
    a_backend_speaks_to_members,
    a_stream_is_answered_as_it_comes,
    a_stream_at_full_speed_is_answered_to_its_end,
    who_sends_far_more_than_may_be_still_gets_the_refusal,
    a_drain_ends_the_process,
);

/// A gateway that knows a key for this, and the key.
fn start(driver: Driver, name: &str, arguments: &[&str]) -> (Gateway, String) {
    let output = ringway().args(["key", "make"]).args(arguments).output().expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    let key = text.lines().find(|line| line.starts_with("rk_")).expect("a key").to_owned();
    let (_, file) = text.split_once("[[api.keys]]").expect("what belongs into the file");
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("api-{name}-{}.toml", driver.as_str()));
    fs::write(&path, format!("[[api.keys]]{file}")).expect("the folder for temporary files can be written");
    let gateway = Start::on(driver).shards(3).arg("--config").arg(&path).start();
    (gateway, key)
}

fn post(gateway: &Gateway, key: &str, path: &str, body: &str) -> Response {
    let mut http = Http::connect(gateway.address);
    let length = body.len();
    http.write(format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    http.response()
}

fn a_backend_speaks_to_members(driver: Driver) {
    let scopes = ["publish", "rooms", "history", "connections", "request"];
    let arguments: Vec<_> = scopes.iter().flat_map(|scope| ["--scope", scope]).collect();
    let (gateway, key) = start(driver, "speaks", &[&arguments[..], &["--tenant", "acme"]].concat());
    let mut sockets: Vec<_> = (0..6).map(|_| gateway.socket("ada", "acme")).collect();
    let told = post(&gateway, &key, "/api/v1/users/ada/rooms", r#"{"join":["lobby"]}"#);
    assert_eq!(told.json()["connections"], 6, "{}", told.text());
    for socket in &mut sockets {
        assert_eq!(socket.expect("room:joined")["room"], "lobby");
    }
    let body = r#"{"room":"lobby","payload":{"n":1},"persistent":true,"messageId":"m1"}"#;
    for _ in 0..2 {
        let told = post(&gateway, &key, "/api/v1/publish", body);
        assert_eq!((told.status, told.text().as_str()), (200, r#"{"messageId":"m1","offset":1}"#));
    }
    let told = post(&gateway, &key, "/api/v1/publish", r#"[{"room":"lobby","payload":2},{"room":"lobby"}]"#);
    let results = &told.json()["results"];
    assert_eq!((&results[0]["success"], &results[1]["success"]), (&Value::Bool(true), &Value::Bool(false)));
    for socket in &mut sockets {
        let (one, two) = (socket.expect("room:message"), socket.expect("room:message"));
        assert_eq!(
            (&one["payload"]["n"], &one["from"], &two["payload"]),
            (&1.into(), &"backend".into(), &2.into())
        );
    }
    let rooms = gateway.get_as(&key, "/api/v1/rooms").json();
    assert_eq!(rooms["rooms"], serde_json::json!([{ "room": "lobby", "members": 6 }]));
    let page = gateway.get_as(&key, "/api/v1/rooms/lobby/history").json();
    assert_eq!(page["messages"].as_array().expect("a list").len(), 1);
    let page = gateway.get_as(&key, "/api/v1/connections?limit=4").json();
    assert_eq!(page["connections"].as_array().expect("a list").len(), 4);
    assert!(page["next"].is_string());
    gateway.get_as(&key, "/api/v1/rooms?tenant=globex").is_error(403, "forbidden");
    gateway.get_as(&key, "/api/v1/nodes").is_error(403, "forbidden");
    let told = post(&gateway, &key, "/api/v1/disconnect", r#"{"user":"ada"}"#);
    assert_eq!(told.json()["disconnected"], 6);
    for mut socket in sockets {
        assert_eq!(socket.closed().0, 4409);
    }
    assert!(!gateway.output().contains(&key), "a key in the log");
}

fn a_stream_is_answered_as_it_comes(driver: Driver) {
    let (gateway, key) = start(driver, "stream", &["--tenant", "acme"]);
    let mut socket = gateway.socket("ada", "acme");
    socket.join("lobby");
    let mut stream = begin_stream(&gateway, &key);
    let send = |stream: &mut BufReader<TcpStream>, text: &str| {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        stream.get_mut().write_all(chunk.as_bytes()).expect("it reads");
    };
    // One line at a time, each answered before the next is written.
    for number in 1..=3 {
        send(&mut stream, &format!("{{\"room\":\"lobby\",\"payload\":{number}}}\n"));
        let told = next_result(&mut stream);
        assert_eq!((&told["line"], &told["success"]), (&number.into(), &true.into()), "{told}");
        assert_eq!(socket.expect("room:message")["payload"], number);
    }
    // And many at once.
    let many: String = (4..=2_003).map(|n| format!("{{\"room\":\"lobby\",\"payload\":{n}}}\n")).collect();
    let writer = stream.get_ref().try_clone().expect("a socket can be cloned");
    let sending = std::thread::spawn(move || {
        let mut writer = writer;
        let chunk = format!("{:x}\r\n{many}\r\n0\r\n\r\n", many.len());
        writer.write_all(chunk.as_bytes()).expect("it reads");
    });
    for number in 4..=2_003 {
        assert_eq!(next_result(&mut stream)["line"], number);
    }
    sending.join().expect("writing does not panic");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("it closes");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    for number in 4..=2_003 {
        assert_eq!(socket.expect("room:message")["payload"], number);
    }
}

/// A sender that is much quicker than his results is made to wait, and loses none.
fn a_stream_at_full_speed_is_answered_to_its_end(driver: Driver) {
    const LINES: usize = 300_000;
    let (gateway, key) = start(driver, "speed", &["--tenant", "acme"]);
    let mut stream = begin_stream(&gateway, &key);
    let writer = stream.get_ref().try_clone().expect("a socket can be cloned");
    let sending = std::thread::spawn(move || {
        let mut writer = writer;
        let line = |number: usize| format!("{{\"room\":\"r{}\",\"payload\":{number}}}\n", number % 9);
        for first in (0..LINES).step_by(1_000) {
            let block: String = (first..first + 1_000).map(line).collect();
            let chunk = format!("{:x}\r\n{block}\r\n", block.len());
            writer.write_all(chunk.as_bytes()).expect("it reads");
        }
        writer.write_all(b"0\r\n\r\n").expect("it reads");
    });
    // Nobody takes results yet: sooner or later no more is read.
    until("a pause", || (gateway.metric("websocket_reads_paused_total") > 0.0).then_some(()));
    let mut line = String::new();
    for number in 1..=LINES {
        let expected = format!("{{\"line\":{number},\"success\":true,");
        loop {
            line.clear();
            assert!(stream.read_line(&mut line).expect("results come in time") > 0, "before line {number}");
            if line.starts_with('{') {
                break;
            }
        }
        assert!(line.starts_with(&expected), "{line}, not {expected}");
    }
    sending.join().expect("writing does not panic");
    line.clear();
    stream.read_to_string(&mut line).expect("it closes");
    assert!(line.ends_with("0\r\n\r\n"), "{line:?}");
}

/// A stream of lines whose head has been sent.
fn begin_stream(gateway: &Gateway, key: &str) -> BufReader<TcpStream> {
    let mut http = Http::connect(gateway.address);
    http.write(format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    ));
    http.into_stream()
}

/// The next line that is JSON: between them stand the head, and the sizes of chunks.
fn next_result(stream: &mut impl BufRead) -> Value {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("results come in time") > 0, "it ended");
        if line.starts_with('{') {
            return serde_json::from_str(&line).expect("a result is JSON");
        }
    }
}

fn who_sends_far_more_than_may_be_still_gets_the_refusal(driver: Driver) {
    const BODY_BYTES: usize = 3 << 20;
    let (mut gateway, key) = start(driver, "refusal", &["--scope", "publish"]);
    let stream = TcpStream::connect(gateway.address).expect("the gateway listens");
    let mut sender = stream.try_clone().expect("a socket can be had twice");
    let mut http = Http::over(stream);
    // As clients do that look at no answer before they have sent all.
    let sending = thread::spawn(move || {
        let head = format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
        );
        // What the gateway reads no more, and the kernels do not hold, is never sent.
        let _ = sender.write_all(&[head.into_bytes(), vec![b' '; BODY_BYTES]].concat());
    });
    until("it is read no further", || (gateway.metric("websocket_reads_paused_total") >= 1.0).then_some(()));
    http.response().is_error(413, "too_large");
    let mut rest = http.into_stream();
    assert_eq!(rest.read(&mut [0]).expect("the end in order, and no reset"), 0);
    rest.get_ref().shutdown(Shutdown::Both).expect("the connection is open");
    sending.join().expect("sending does not panic");
    gateway.serves_the_next("a refusal");
    until("it is gone in time", || (gateway.get("/health").json()["connections"] == 1).then_some(()));
}

fn a_drain_ends_the_process(driver: Driver) {
    let (mut gateway, key) = start(driver, "drain", &["--scope", "admin", "--tenant", "*"]);
    let mut socket = gateway.socket("ada", "acme");
    let nodes = gateway.get_as(&key, "/api/v1/nodes").json();
    assert_eq!(nodes["nodes"][0]["address"], gateway.address.to_string());
    assert_eq!(post(&gateway, &key, "/api/v1/drain", "").status, 202);
    assert_eq!(socket.expect("system:restart")["reason"], "drain");
    assert_eq!(socket.closed().0, 1012);
    assert_eq!(gateway.wait().code(), Some(0));
}
