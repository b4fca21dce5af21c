//! Calls that must be signed: by whom, when, once on the whole node, and what that leaves of other requests.

use ring::hmac;

use super::{
    api::{key, post, with_key},
    client::Client,
    harness::{Node, START_UNIX_S, Side, config_with},
    http::{Answer, ask, bearer, request},
};
use crate::{auth::CallKey, base::ConnId, engine::Config, metrics::Signed, model::Scope};

const SECRET: &[u8] = b"the secret that calls are signed with";
const PATH: &str = "/api/v1/publish";
const BODY: &str = r#"{"tenant":"acme","room":"lobby","payload":1}"#;

fn node(shards: u16, entries: usize) -> Node {
    let Config { policy, .. } = with_key(shards, &Scope::ALL, &[]);
    let keys = policy.api_keys.clone();
    let config = config_with(shards, |policy| {
        policy.api_keys = keys;
        policy.signing = Some(CallKey::new(SECRET).unwrap());
    });
    Node::with(Config { replay_entries: entries, ..config })
}

/// The two headers; made here and not by the code under test.
fn signed(timestamp: &str, path: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let tag = hmac::sign(&key, format!("{timestamp}.POST.{path}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X-Ringway-Timestamp: {timestamp}\r\nX-Ringway-Signature: {hex}\r\n")
}

fn signed_now(path: &str, body: &str) -> String {
    signed(&START_UNIX_S.to_string(), path, body)
}

fn told(node: &mut Node, id: ConnId, headers: &str) -> u16 {
    ask(node, id, &post(PATH, headers, BODY)).status
}

fn counted(node: &Node, label: Signed) -> u64 {
    node.engines.iter().map(|engine| engine.metrics.signed.get(label)).sum()
}

#[test]
fn only_a_call_that_is_signed_is_made() {
    let mut node = node(3, 16);
    let mut member = Client::connect(&mut node, 1, "ada", "acme");
    member.join(&mut node, "lobby");
    let good = signed_now(PATH, BODY);
    let other = |from: &str, to: &str| good.replacen(from, to, 1);
    let rows = [
        (String::new(), Signed::Missing),
        (other("X-Ringway-Timestamp", "X-Other"), Signed::Missing),
        (other("X-Ringway-Signature: ", "X-Ringway-Signature: 0"), Signed::Missing),
        (format!("{good}{good}"), Signed::Missing),
        (signed(&(START_UNIX_S - 301).to_string(), PATH, BODY), Signed::Untimely),
        (signed(&(START_UNIX_S + 301).to_string(), PATH, BODY), Signed::Untimely),
        (signed_now("/api/v1/request", BODY), Signed::Forged),
        (signed_now(PATH, "{}"), Signed::Forged),
    ];
    for (headers, reason) in rows {
        let (id, before) = (node.accept(0), counted(&node, reason));
        let answer = ask(&mut node, id, &post(PATH, &headers, BODY));
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (401, Some("unauthenticated")),
            "{headers}"
        );
        assert_eq!(counted(&node, reason), before + 1, "{headers}");
    }
    assert!(member.json(&mut node).is_empty());
    let id = node.accept(0);
    assert_eq!(told(&mut node, id, &good), 200);
    assert_eq!(
        told(&mut node, id, &signed(&format!("{START_UNIX_S}.5"), PATH, BODY)),
        200,
        "the connection goes on"
    );
    assert_eq!(member.json(&mut node).len(), 2);
    // What changes nothing needs no signature.
    assert_eq!(ask(&mut node, id, &request("/api/v1/rooms?tenant=acme", &bearer(&key()))).status, 200);
}

#[test]
fn a_signature_is_taken_once_on_the_whole_node_for_as_long_as_it_is_timely() {
    for shards in [1, 4] {
        let mut node = node(shards, 16);
        for number in 0..4 {
            let early = START_UNIX_S - 100;
            let headers = signed(&format!("{early}.{number}"), PATH, BODY);
            let outcomes: Vec<u16> = (0..2 * shards)
                .map(|shard| {
                    let id = node.accept(shard % shards);
                    told(&mut node, id, &headers)
                })
                .collect();
            assert_eq!(outcomes.iter().filter(|status| **status == 200).count(), 1, "{outcomes:?}");
            assert!(outcomes[1..].iter().all(|status| *status == 401), "{outcomes:?}");
        }
        let late = signed(&format!("{}.9", START_UNIX_S), PATH, BODY);
        let id = node.accept(0);
        assert_eq!(told(&mut node, id, &late), 200);
        node.step(300_000);
        let id = node.accept(0);
        assert_eq!(told(&mut node, id, &late), 401, "timely, and known");
        assert_eq!(counted(&node, Signed::Repeated), u64::from(4 * (2 * shards - 1) + 1));
        node.step(1_000);
        let id = node.accept(0);
        assert_eq!(told(&mut node, id, &late), 401);
        assert_eq!(counted(&node, Signed::Untimely), 1);
    }
}

#[test]
fn a_full_memory_refuses() {
    let mut node = node(1, 2);
    let statuses: Vec<u16> = (0..4)
        .map(|number| {
            let id = node.accept(0);
            told(&mut node, id, &signed(&format!("{START_UNIX_S}.{number}"), PATH, BODY))
        })
        .collect();
    assert_eq!(statuses, [200, 200, 503, 503]);
    assert_eq!(counted(&node, Signed::Full), 2);
    node.step(301_000);
    let id = node.accept(0);
    assert_eq!(told(&mut node, id, &signed(&(START_UNIX_S + 301).to_string(), PATH, BODY)), 200);
}

#[test]
fn bodies_however_they_come_and_none() {
    let headers = signed_now(PATH, BODY);
    let whole = post(PATH, &headers, BODY);
    for cut in 0..whole.len() {
        let mut node = node(2, 16);
        let id = node.accept(1);
        node.receive(id, &whole[..cut]);
        let answer = ask(&mut node, id, &whole[cut..]);
        assert_eq!(answer.status, 200, "cut at {cut}");
    }
    let mut node = node(2, 16);
    let id = node.accept(0);
    let (start, end) = BODY.split_at(10);
    let chunked = format!(
        "POST {PATH} HTTP/1.1\r\nHost: h\r\n{}{headers}Transfer-Encoding: chunked\r\n\r\na\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
        bearer(&key()),
        end.len()
    );
    assert_eq!(ask(&mut node, id, chunked.as_bytes()).status, 200);
    assert_eq!(ask(&mut node, id, &post("/api/v1/drain", "", "")).status, 401);
    let drain = post("/api/v1/drain", &signed_now("/api/v1/drain", ""), "");
    assert_eq!((ask(&mut node, id, &drain).status, node.drain_asked), (202, 1));
    let id = node.accept(0);
    let lines =
        ask(&mut node, id, &post(PATH, &format!("Content-Type: application/x-ndjson\r\n{headers}"), BODY));
    assert_eq!(lines.status, 415);
}

#[test]
fn a_client_that_is_gone_before_the_verdict_gets_none() {
    let mut node = node(2, 16);
    for number in 0..8 {
        let id = node.accept(0);
        node.receive_only(id, &post(PATH, &signed(&format!("{START_UNIX_S}.{number}"), PATH, BODY), BODY));
        node.hang_up(id, true);
        assert_eq!(node.side(id), Side::Closed);
    }
    let Answer { status, .. } = {
        let id = node.accept(0);
        ask(&mut node, id, &request("/ready", ""))
    };
    assert_eq!(status, 200);
}
