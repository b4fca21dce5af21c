//! Requests without an upgrade: routes, refusals, pipelining, time limits, any split.

use serde_json::Value;

use super::harness::{Flow, Node, Side, admin_token, config, config_with, token};
use crate::{base::ConnId, engine::Config};

/// A response, taken apart.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn json(&self) -> Value {
        assert_eq!(self.header("Content-Type"), Some("application/json"));
        serde_json::from_str(&self.body).unwrap()
    }
}

/// All responses in what a client has received; `heads` are those that have no body.
pub(super) fn answers(mut text: &str, mut heads: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !text.is_empty() {
        let (head, rest) = text.split_once("\r\n\r\n").expect("a whole head");
        let mut answer =
            Answer { status: head[9..12].parse().unwrap(), head: head.into(), body: String::new() };
        let mut length: usize = answer.header("Content-Length").unwrap().parse().unwrap();
        if heads > 0 {
            (heads, length) = (heads - 1, 0);
        }
        answer.body = rest[..length].to_owned();
        text = &rest[length..];
        answers.push(answer);
    }
    answers
}

pub(super) fn request(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// One request on a connection that is kept.
pub(super) fn ask(node: &mut Node, id: ConnId, request: &[u8]) -> Answer {
    node.receive(id, request);
    node.wait_for_pages();
    let mut answers = answers(&node.take_text(id), usize::from(request.starts_with(b"HEAD")));
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// What only those with the ability `ringway:admin` see.
const ADMIN_PAGES: &[&str] =
    &["/stats", "/api/metrics/websocket", "/api/v1/connections/health", "/printing/desktop-health"];

#[test]
fn every_route_and_alias() {
    let admin = bearer(&admin_token());
    let rows: [(&[&str], &str, u16, &str); 8] = [
        (&["/health", "/healthz", "/api/health", "/api/v1/ws/health"], "", 200, "application/json"),
        (&["/health/ready", "/ready", "/readyz", "/ready?x=1"], "", 200, "application/json"),
        (&["/health/live", "/live", "/livez"], "", 200, "application/json"),
        (&["/metrics"], "", 200, "text/plain; version=0.0.4; charset=utf-8"),
        (&["/metrics"], "Accept: application/json\r\n", 200, "application/json"),
        (ADMIN_PAGES, "", 401, "application/json"),
        (ADMIN_PAGES, &admin, 200, "application/json"),
        (&["/ws", "/echo"], "", 426, "application/json"),
    ];
    for shards in [1, 4] {
        let mut node = Node::new(shards);
        let id = node.accept(0);
        for (paths, headers, status, content_type) in rows {
            for path in paths {
                let answer = ask(&mut node, id, &request(path, headers));
                assert_eq!(
                    (answer.status, answer.header("Content-Type")),
                    (status, Some(content_type)),
                    "{path}"
                );
                assert_eq!(answer.header("Connection"), Some("keep-alive"));
                let head = String::from_utf8(request(path, headers)).unwrap().replacen("GET", "HEAD", 1);
                let head = ask(&mut node, id, head.as_bytes());
                assert_eq!(head.status, if status == 426 { 405 } else { status }, "HEAD {path}");
                assert_eq!(head.body, "");
            }
        }
        assert_eq!(node.side(id), Side::Open);
    }
}

#[test]
fn refusals_say_why_in_json() {
    let mut node = Node::with(Config { echo: false, ..config(1) });
    let id = node.accept(0);
    let user = bearer(&token("ada", "acme", None));
    let rows: [(&str, &str, &str, u16, &str); 8] = [
        ("GET", "/", "", 404, "not_found"),
        ("POST", "/nothing", "", 404, "not_found"),
        ("GET", "/echo", "", 404, "not_found"),
        ("GET", "/dev/token", "", 404, "not_found"),
        ("POST", "/health", "", 405, "method_not_allowed"),
        ("DELETE", "/ws", "", 405, "method_not_allowed"),
        ("GET", "/stats", &user, 403, "forbidden"),
        ("GET", "/stats", "Authorization: Bearer e.e.e\r\n", 401, "unauthenticated"),
    ];
    for (method, path, headers, status, code) in rows {
        let bytes = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        let answer = ask(&mut node, id, bytes.as_bytes());
        assert_eq!(answer.status, status, "{method} {path}");
        let error = &answer.json()["error"];
        assert_eq!(error["code"], code, "{method} {path}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(answer.header("Allow").is_some(), status == 405);
        assert_eq!(answer.header("WWW-Authenticate"), (status == 401).then_some("Bearer"));
    }
    assert_eq!(node.side(id), Side::Open);
}

#[test]
fn malformed_heads_are_refused_and_the_connection_ends() {
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(17_000));
    let headers = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(64));
    let rows: [(&str, u16); 10] = [
        ("\x16\x03\x01", 400),
        ("GET / HTTP/1.1\nHost: h\n\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (&long, 414),
        (&headers, 431),
    ];
    for (bytes, status) in rows {
        let mut node = Node::new(1);
        let id = node.accept(0);
        // A second request behind it is not looked at.
        node.receive(id, format!("{bytes}GET /live HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let answers = answers(&node.take_text(id), 0);
        assert_eq!(answers.len(), 1, "{bytes:?}");
        assert_eq!(
            (answers[0].status, answers[0].header("Connection")),
            (status, Some("close")),
            "{bytes:?}"
        );
        assert!(answers[0].json()["error"]["code"].is_string());
        assert_eq!(node.side(id), Side::Shut, "the client may still be sending");
        node.advance(4_900);
        assert_eq!(node.side(id), Side::Shut);
        node.advance(200);
        assert_eq!(node.side(id), Side::Closed);
        node.assert_empty();
    }
}

#[test]
fn a_client_that_wants_no_more_is_closed_behind_its_answer() {
    for bytes in [
        "GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET /live HTTP/1.0\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /live HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let mut node = Node::new(2);
        let id = node.accept(1);
        let answer = ask(&mut node, id, bytes.as_bytes());
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")), "{bytes}");
        assert_eq!(node.side(id), Side::Shut);
        node.hang_up(id, false);
        node.assert_empty();
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let paths = ["/live", "/health", "/none", "/metrics", "/ready", "/health", "/live"];
    let expected = [200, 200, 404, 200, 200, 200, 200];
    let bytes: Vec<u8> = paths.iter().flat_map(|path| request(path, "")).collect();
    let mut node = Node::new(3);
    let whole = node.accept(1);
    node.receive(whole, &bytes);
    let whole = answers(&node.take_text(whole), 0);
    let status: Vec<u16> = whole.iter().map(|answer| answer.status).collect();
    assert_eq!(status, expected);
    let keys = |answers: &[Answer]| -> Vec<Option<String>> {
        let first_word =
            |answer: &Answer| answer.body.split(['"', ' ']).find(|word| word.len() > 1).map(str::to_owned);
        answers.iter().map(first_word).collect()
    };
    // The answers do not depend on how the requests were cut.
    for size in 1..40 {
        let id = node.accept(1);
        for part in bytes.chunks(size) {
            node.receive(id, part);
        }
        node.wait_for_pages();
        let cut = answers(&node.take_text(id), 0);
        assert_eq!(cut.iter().map(|answer| answer.status).collect::<Vec<_>>(), expected, "{size}");
        assert_eq!(keys(&cut), keys(&whole), "{size}");
        node.hang_up(id, false);
    }
}

#[test]
fn an_unfinished_head_ends_after_ten_seconds() {
    let mut node = Node::new(1);
    let silent = node.accept(0);
    let begun = node.accept(0);
    node.receive(begun, b"GET / HT");
    node.advance(9_900);
    node.receive(begun, b"TP");
    assert_eq!((node.side(silent), node.side(begun)), (Side::Open, Side::Open));
    node.advance(200);
    // Who has said nothing is told nothing.
    assert_eq!((node.side(silent), node.take_text(silent)), (Side::Closed, String::new()));
    assert_eq!(node.side(begun), Side::Shut);
    let answers = answers(&node.take_text(begun), 0);
    assert_eq!((answers.len(), answers[0].status), (1, 408));
    node.hang_up(begun, false);
    node.assert_empty();
}

#[test]
fn a_kept_connection_ends_after_sixty_idle_seconds() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    for _ in 0..3 {
        assert_eq!(ask(&mut node, id, &request("/live", "")).status, 200);
        node.advance(59_900);
        assert_eq!(node.side(id), Side::Open);
    }
    node.advance(200);
    assert_eq!((node.side(id), node.take_text(id)), (Side::Closed, String::new()));
    node.assert_empty();
}

#[test]
fn the_head_of_a_later_request_has_ten_seconds_too() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    assert_eq!(ask(&mut node, id, &request("/live", "")).status, 200);
    // Past the first deadline of all, so that the timer stands at the keep-alive's.
    node.advance(30_000);
    node.receive(id, b"GET /live");
    node.advance(9_900);
    assert_eq!(node.side(id), Side::Open);
    node.advance(200);
    assert_eq!(node.side(id), Side::Shut);
    node.hang_up(id, false);
    node.assert_empty();
}

#[test]
fn deadlines_that_move_leave_few_timers_behind() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    for _ in 0..1_000 {
        node.receive(id, b"GET /li");
        node.advance(10);
        node.receive(id, b"ve HTTP/1.1\r\nHost: h\r\n\r\n");
        node.advance(90);
    }
    assert_eq!(answers(&node.take_text(id), 0).len(), 1_000);
    let timers = node.engines[0].timers.filed();
    assert!(timers <= 10, "{timers} timers of one connection");
}

/// A client that asks and never reads: what waits for it is bounded.
#[test]
fn answers_that_nobody_reads_stop_the_questions() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    node.flow(id, Flow::Blocked);
    let burst: Vec<u8> = (0..100).flat_map(|_| request("/metrics", "")).collect();
    for _ in 0..1_000 {
        node.receive(id, &burst);
        node.wait_for_pages();
    }
    let queued = node.engines[0].store.bytes();
    assert!(queued < 1 << 20, "{queued} bytes wait for one client");
    node.hang_up(id, true);
    node.assert_empty();
}

#[test]
fn questions_that_waited_for_room_are_answered_when_there_is_some() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    node.flow(id, Flow::Blocked);
    let burst: Vec<u8> = (0..100).flat_map(|_| request("/metrics", "")).collect();
    for _ in 0..5 {
        node.receive(id, &burst);
        node.wait_for_pages();
    }
    assert!(node.engines[0].conns.iter().all(|(_, _, conn)| conn.outbox.bytes() < 512 * 1024));
    node.flow(id, Flow::Open);
    node.wait_for_pages();
    while node.writable(id) {
        node.settle();
        node.wait_for_pages();
    }
    assert_eq!(answers(&node.take_text(id), 0).len(), 500);
    assert_eq!(ask(&mut node, id, &request("/live", "")).status, 200);
}

#[test]
fn over_capacity_counts_the_others() {
    let mut node = Node::with(config_with(1, |policy| policy.limits.connections_max = 2));
    let first = node.accept(0);
    assert_eq!(ask(&mut node, first, &request("/ready", "")).status, 200);
    let second = node.accept(0);
    assert_eq!(ask(&mut node, second, &request("/ready", "")).status, 200, "two of two are allowed");
    let third = node.accept(0);
    let answer = ask(&mut node, third, &request("/ready", ""));
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"status":"over_capacity"}"#));
}
