//! Clients that send more than can be answered: who is paused, that nothing is lost by it, and who is cut off.

use super::{
    api::{key, with_key},
    api_lines::{begin, chunk, first_results, leave, line, node, results},
    client::{Client, text, upgrade_request},
    harness::{Flow, Node, Side, config, seeds, token},
    http::{answers, bearer, request},
};
use crate::{
    base::{ConnId, prng::Prng},
    conn::Stage,
    engine::{Input, SLACK_BYTES},
    model::Scope,
};

/// What is kept of a connection before it is paused.
const AHEAD_BYTES: usize = 64 * 1024;

/// What one receive brings.
const RECEIVE_BYTES: usize = 8 * 1024;

fn is_paused(node: &Node, id: ConnId) -> bool {
    node.sockets[&id].paused
}

/// What waits at the engine.
fn buffered(node: &Node, id: ConnId) -> usize {
    let conn = node.engines[id.shard.index()].conns.get(id.slot, id.generation);
    match conn.map(|conn| &conn.stage) {
        Some(Stage::Http(http)) => http.buffer.len(),
        Some(Stage::Socket(_) | Stage::Closing { .. }) | None => 0,
    }
}

/// Sends in receives as the reactor makes them.
fn send(node: &mut Node, id: ConnId, bytes: &[u8]) {
    for part in bytes.chunks(RECEIVE_BYTES) {
        node.receive(id, part);
    }
}

/// A stream whose lines are for a room of another shard, which does not answer for now.
fn stuck() -> (Node, Client, ConnId, u16) {
    let (mut node, member, id) = node(3);
    let home = (0..3).find(|shard| !node.engines[usize::from(*shard)].home.is_empty()).unwrap();
    let id = if home == 0 { node.accept(1) } else { id };
    begin(&mut node, id);
    node.deaf = vec![home];
    (node, member, id, home)
}

fn lines(numbers: std::ops::RangeInclusive<usize>) -> String {
    chunk(&numbers.map(line).collect::<String>())
}

fn assert_all(told: &[serde_json::Value], count: u64) {
    let numbers: Vec<_> = told.iter().map(|told| told["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
}

#[test]
fn who_is_quicker_than_his_results_is_paused_and_loses_nothing() {
    let (mut node, mut member, id, _) = stuck();
    send(&mut node, id, lines(1..=20_000).as_bytes());
    assert!(is_paused(&node, id));
    let kept = buffered(&node, id);
    assert!((AHEAD_BYTES..AHEAD_BYTES + RECEIVE_BYTES).contains(&kept), "{kept}");
    assert_eq!(node.engines[id.shard.index()].metrics_mut().reads_paused, 1);
    node.deaf.clear();
    send(&mut node, id, b"0\r\n\r\n");
    let (told, is_over) = first_results(&mut node, id);
    assert!(is_over && !is_paused(&node, id));
    assert_all(&told, 20_000);
    assert_eq!(member.json(&mut node).len(), 20_000);
    leave(node, &[id, member.id]);
}

/// Chance decides when the home answers, when the client reads, and how the stream is cut.
#[test]
fn whoever_waits_for_whom_every_line_is_answered_in_order() {
    for seed in seeds(20) {
        let mut chance = Prng::new(seed);
        let (mut node, member, id, home) = stuck();
        let mut stream = lines(1..=9_000) + "0\r\n\r\n";
        // More than is read ahead, to begin with.
        let first: String = stream.drain(..200_000).collect();
        send(&mut node, id, first.as_bytes());
        assert!(is_paused(&node, id));
        let mut told = String::new();
        while !stream.is_empty() || !told.ends_with("0\r\n\r\n") {
            let length = (chance.below(40_000) as usize + 1).min(stream.len());
            let part: String = stream.drain(..length).collect();
            node.receive(id, part.as_bytes());
            node.deaf = if chance.below(6) == 0 { Vec::new() } else { vec![home] };
            let flow = match chance.below(4) {
                0 => Flow::Blocked,
                1 => Flow::Bytes(chance.below(5_000) as usize + 1),
                _ => Flow::Open,
            };
            node.flow(id, flow);
            while flow == Flow::Open && node.writable(id) {
                node.settle();
            }
            node.advance(chance.below(300));
            told.push_str(&node.take_text(id));
        }
        let (_, body) = told.split_once("\r\n\r\n").expect("a head");
        let (told, is_over) = results(body);
        assert!(is_over, "seed {seed}");
        assert_all(&told, 9_000);
        node.deaf.clear();
        node.settle();
        leave(node, &[id, member.id]);
    }
}

/// He is silent because he is not read. His time begins when he is.
#[test]
fn who_is_paused_is_not_blamed_for_his_silence() {
    let (mut node, member, id) = node(1);
    begin(&mut node, id);
    node.flow(id, Flow::Blocked);
    let stream = lines(1..=60_000);
    send(&mut node, id, stream.as_bytes());
    assert!(is_paused(&node, id));
    // He reads, and never for long enough that he is read.
    for _ in 0..10 {
        node.advance(29_000);
        node.flow(id, Flow::Bytes(10));
        node.flow(id, Flow::Blocked);
        assert!(is_paused(&node, id) && node.side(id) == Side::Open);
    }
    node.flow(id, Flow::Open);
    while node.writable(id) {
        node.settle();
    }
    assert!(!is_paused(&node, id));
    node.advance(29_000);
    send(&mut node, id, b"0\r\n\r\n");
    let (told, is_over) = first_results(&mut node, id);
    assert!(is_over);
    assert_all(&told, 60_000);
    leave(node, &[id, member.id]);
}

#[test]
fn a_shard_that_does_not_answer_ends_a_stream_and_is_blamed_for_it() {
    for begun in [false, true] {
        let (mut node, member, id, home) = stuck();
        if begun {
            node.deaf.clear();
            node.receive(id, lines(1..=1).as_bytes());
            assert_eq!(first_results(&mut node, id).0.len(), 1);
            node.deaf = vec![home];
        }
        send(&mut node, id, lines(2..=9_000).as_bytes());
        assert!(is_paused(&node, id));
        node.advance(29_000);
        assert_eq!(node.side(id), Side::Open);
        node.advance(2_000);
        assert_eq!(node.side(id), Side::Shut, "and what he still sends is read and dropped");
        assert!(!is_paused(&node, id));
        let said = node.take_text(id);
        assert_eq!((said.is_empty(), said.starts_with("HTTP/1.1 503 ")), (begun, !begun), "{said}");
        node.deaf.clear();
        node.settle();
        leave(node, &[id, member.id]);
    }
}

#[test]
fn who_ends_his_side_while_he_is_paused_still_gets_every_result() {
    let (mut node, member, id, _) = stuck();
    send(&mut node, id, (lines(1..=5_000) + "0\r\n\r\n").as_bytes());
    node.hang_up(id, false);
    assert!(is_paused(&node, id) && node.side(id) == Side::Open);
    node.deaf.clear();
    node.settle();
    let (told, is_over) = first_results(&mut node, id);
    assert!(is_over);
    assert_all(&told, 5_000);
    assert_eq!(node.side(id), Side::Closed);
    leave(node, &[member.id]);
}

#[test]
fn who_breaks_off_while_he_is_paused_leaves_nothing() {
    let (mut node, member, id, _) = stuck();
    send(&mut node, id, lines(1..=5_000).as_bytes());
    node.hang_up(id, true);
    assert!(is_paused(&node, id) && node.side(id) == Side::Open, "nobody has looked");
    node.deaf.clear();
    node.settle();
    assert_eq!(node.side(id), Side::Closed);
    leave(node, &[member.id]);
}

#[test]
fn a_drain_waits_for_a_stream_that_is_paused() {
    let (mut node, member, id, _) = stuck();
    send(&mut node, id, lines(1..=5_000).as_bytes());
    node.drain();
    node.hang_up(member.id, true);
    node.advance(5_000);
    assert!(is_paused(&node, id) && node.side(id) == Side::Open);
    node.deaf.clear();
    send(&mut node, id, b"0\r\n\r\n");
    let (told, is_over) = first_results(&mut node, id);
    assert!(is_over);
    assert_all(&told, 5_000);
    assert_eq!(node.side(id), Side::Shut);
    node.hang_up(id, false);
    node.advance(100);
    assert_eq!(node.drained.len(), 3);
}

#[test]
fn pipelined_requests_are_paused_and_answered_in_their_order() {
    let mut node = Node::with(with_key(2, &[Scope::Rooms], &["acme"]));
    node.deaf = vec![1];
    let id = node.accept(0);
    let pair = [request("/health", ""), request("/api/v1/rooms", &bearer(&key()))].concat();
    send(&mut node, id, &pair.repeat(1_000));
    assert!(is_paused(&node, id) && buffered(&node, id) < AHEAD_BYTES + RECEIVE_BYTES);
    node.deaf.clear();
    node.settle();
    node.wait_for_pages();
    assert!(!is_paused(&node, id));
    let answers = answers(&node.take_text(id), 0);
    assert_eq!(answers.len(), 2_000);
    for pair in answers.chunks(2) {
        assert!(pair[0].json()["checks"].is_object() && pair[1].json()["rooms"].is_array());
    }
    node.hang_up(id, false);
    node.assert_empty();
}

/// What a client has sent behind his upgrade, before he could know of it.
#[test]
fn what_is_read_behind_an_upgrade_goes_on_as_a_socket() {
    let mut node = Node::with(config(2));
    node.deaf = vec![1];
    let id = node.accept(0);
    let headers =
        format!("Sec-WebSocket-Protocol: ringway.json.v1, ringway.bearer.{}\r\n", token("ada", "acme", None));
    let pings = text(r#"{"type":"ping"}"#).repeat(5_000);
    send(&mut node, id, &[request("/health", ""), upgrade_request("/ws", &headers), pings].concat());
    assert!(is_paused(&node, id));
    node.deaf.clear();
    node.settle();
    assert!(!is_paused(&node, id));
    let bytes = node.take(id);
    let head = bytes.windows(13).position(|word| word == b"HTTP/1.1 101 ").expect("an upgrade");
    node.sockets.get_mut(&id).unwrap().put_back(&bytes[head..]);
    let mut client = Client::of(&mut node, id);
    let types = client.types(&mut node);
    assert_eq!(
        (types.len(), types[0].as_str(), types[1].as_str()),
        (5_001, "connection:established", "pong")
    );
    node.hang_up(id, true);
    node.assert_empty();
}

/// What the reactor had received before it was told to pause: a stranger has room for some of it, a backend for all.
#[test]
fn more_than_can_be_under_way_is_cut_off() {
    let rows = [(false, 4 * AHEAD_BYTES), (true, 2 * AHEAD_BYTES + SLACK_BYTES)];
    for (is_backend, bytes_max) in rows {
        let mut node = Node::with(with_key(2, &[Scope::Rooms], &["acme"]));
        node.deaf = vec![1];
        let id = node.accept(0);
        let first =
            if is_backend { request("/api/v1/rooms", &bearer(&key())) } else { request("/health", "") };
        node.receive(id, &first);
        let mut part = request("/live", "").repeat(200);
        let mut kept = 0;
        while node.engines[0].is_paused(id) || kept < AHEAD_BYTES {
            let now = node.now;
            node.engines[0].handle(Input::Received { conn: id, bytes: &mut part }, now);
            kept += part.len();
            assert!(buffered(&node, id) <= bytes_max);
        }
        assert!(kept > bytes_max && kept <= bytes_max + part.len(), "{kept}");
        node.settle();
        assert_eq!((node.side(id), node.take_text(id)), (Side::Closed, String::new()));
        node.deaf.clear();
        node.settle();
        node.assert_empty();
    }
}
