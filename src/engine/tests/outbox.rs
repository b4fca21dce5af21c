//! Sockets that are slow, stuck or broken.

use super::{
    client::{Client, Heard, close, text},
    harness::{Flow, Node, Side, config, config_with},
};
use crate::{
    base::ConnId,
    engine::{Config, Notice},
    metrics::{Disconnect, Dropped},
};

fn send(text: &str) -> String {
    format!(r#"{{"type":"room:send","room":"lobby","payload":"{text}"}}"#)
}

/// A talker and a listener in one room.
fn pair(node: &mut Node) -> [Client; 2] {
    let mut pair = [0, 1].map(|shard| Client::connect(node, shard, "ada", "acme"));
    pair.iter_mut().for_each(|client| client.join(node, "lobby"));
    pair
}

fn drip(node: &mut Node, id: ConnId) {
    while node.writable(id) {
        node.settle();
    }
}

#[test]
fn partial_writes_of_every_size_lose_nothing() {
    for bytes in 1..200 {
        let mut node = Node::new(2);
        let [talker, mut listener] = pair(&mut node);
        node.flow(listener.id, Flow::Bytes(bytes));
        for number in 0..5 {
            talker.say(&mut node, &send(&number.to_string()));
        }
        drip(&mut node, listener.id);
        let heard = listener.json(&mut node);
        let numbers: Vec<_> = heard.iter().map(|event| event["payload"].as_str().unwrap()).collect();
        assert_eq!(numbers, ["0", "1", "2", "3", "4"], "{bytes} bytes a write");
        assert_eq!(node.engines[1].store.bytes(), 0);
    }
}

#[test]
fn a_queue_longer_than_one_write_is_written_in_several() {
    let mut node = Node::new(2);
    let [talker, mut listener] = pair(&mut node);
    node.flow(listener.id, Flow::Blocked);
    for number in 0..300 {
        talker.say(&mut node, &send(&number.to_string()));
    }
    assert_eq!(listener.heard(&mut node), []);
    node.flow(listener.id, Flow::Open);
    assert_eq!(listener.json(&mut node).len(), 300);
}

#[test]
fn a_blocked_socket_is_left_alone_until_it_is_writable() {
    let mut node = Node::new(2);
    let [talker, mut listener] = pair(&mut node);
    node.flow(listener.id, Flow::Blocked);
    // The harness fails on a write to a socket that is known to be full.
    for _ in 0..3 {
        talker.say(&mut node, &send("x"));
    }
    assert_eq!(listener.heard(&mut node), []);
    node.flow(listener.id, Flow::Open);
    assert_eq!(listener.json(&mut node).len(), 3);
    assert!(!node.writable(listener.id), "nobody waits for room any more");
}

#[test]
fn a_slow_consumer_is_told_so_behind_the_frame_that_was_begun() {
    for taken in [0, 1, 7, 100] {
        let mut node = Node::new(2);
        let [talker, mut listener] = pair(&mut node);
        node.flow(listener.id, Flow::Bytes(taken));
        let long = "x".repeat(10_000);
        for _ in 0..30 {
            talker.say(&mut node, &send(&long));
        }
        assert!(node.engines[1].store.bytes() <= 10_200, "what waited is given up");
        assert!(node.notices.iter().any(|notice| matches!(notice, Notice::SlowConsumer { .. })));
        let metrics = &node.engines[1].metrics;
        assert_eq!(metrics.slow_consumers, 1);
        assert!(metrics.dropped.get(Dropped::OutboxFull) >= 25);
        assert!(node.engines[1].home.is_empty() || node.engines[0].roster.subscriptions() == 1);
        assert_eq!(node.engines[1].roster.subscriptions(), 0);
        // It hears the rest of the frame that was begun, if any was, and why.
        node.flow(listener.id, Flow::Open);
        let (before, code) = listener.closed(&mut node);
        assert_eq!((before.len(), code), (usize::from(taken > 0), Some(4430)), "after {taken} bytes");
        for heard in &before {
            assert!(matches!(heard, Heard::Text(text) if text.contains(&long)));
        }
        node.receive(listener.id, &close(4430));
        assert_eq!(listener.side(&node), Side::Closed);
        assert_eq!(node.engines[1].metrics.disconnections.get(Disconnect::SlowConsumer), 1);
        node.hang_up(talker.id, false);
        node.assert_empty();
    }
}

#[test]
fn a_slow_consumer_that_stays_stuck_is_cut_off() {
    let mut node = Node::new(2);
    let [talker, listener] = pair(&mut node);
    node.flow(listener.id, Flow::Blocked);
    for _ in 0..30 {
        talker.say(&mut node, &send(&"x".repeat(10_000)));
    }
    node.advance(4_900);
    assert_eq!(listener.side(&node), Side::Open);
    let dropped = |node: &Node| node.engines[1].metrics.dropped.get(Dropped::ConnectionClosed);
    assert_eq!(dropped(&node), 0);
    node.advance(200);
    assert_eq!(listener.side(&node), Side::Closed);
    assert_eq!(node.engines[1].store.bytes(), 0);
    assert_eq!(dropped(&node), 1, "the close frame");
}

/// Its own answers count, too: a client that asks and does not read.
#[test]
fn a_client_that_does_not_read_its_answers_is_a_slow_consumer() {
    let mut node = Node::with(Config { outbox_bytes_max: 4_096, ..config(1) });
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    node.flow(client.id, Flow::Blocked);
    for _ in 0..200 {
        client.say(&mut node, r#"{"type":"query:rooms","id":1}"#);
    }
    node.flow(client.id, Flow::Open);
    assert_eq!(client.close_code(&mut node), Some(4430));
}

#[test]
fn one_slow_consumer_does_not_touch_the_others() {
    let mut node = Node::new(2);
    let [talker, mut good] = pair(&mut node);
    let mut slow = Client::connect(&mut node, 1, "eve", "acme");
    slow.join(&mut node, "lobby");
    node.flow(slow.id, Flow::Blocked);
    for number in 0..100 {
        talker.say(&mut node, &send(&format!("{number}{}", "x".repeat(5_000))));
    }
    let numbers: Vec<usize> = good
        .json(&mut node)
        .iter()
        .map(|event| event["payload"].as_str().unwrap().trim_end_matches('x').parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_write_that_breaks_ends_the_connection_and_its_rooms() {
    let mut node = Node::new(2);
    let [talker, listener] = pair(&mut node);
    node.flow(listener.id, Flow::Broken);
    talker.say(&mut node, &send("x"));
    assert_eq!(listener.side(&node), Side::Closed);
    assert_eq!(node.engines[1].metrics.disconnections.get(Disconnect::Reset), 1);
    // The talker's own connection breaks; whoever homes the room hears of it in the same turn.
    node.flow(talker.id, Flow::Broken);
    talker.say(&mut node, r#"{"type":"ping"}"#);
    assert_eq!(talker.side(&node), Side::Closed);
    node.assert_empty();
}

/// Nobody makes the gateway hold much by asking often what takes long to say: one read of a few kilobytes.
#[test]
fn long_answers_have_room_in_the_outbox_or_are_refused() {
    const BYTES_MAX: u32 = 64 * 1024;
    let roomy = config_with(1, |policy| policy.limits.rooms_per_connection_max = 100);
    let limits = Config { outbox_bytes_max: BYTES_MAX, ..roomy };
    let presence = r#"{"type":"query:presence","id":1,"room":"lobby","limit":1000}"#;
    let queries = [r#"{"type":"query:rooms","id":1}"#, presence];
    for query in queries {
        let mut node = Node::with(limits.clone());
        let mut client = Client::connect(&mut node, 0, "ada", "acme");
        for room in 0..99 {
            client.join(&mut node, &format!("{room:0>250}"));
        }
        client.join(&mut node, "lobby");
        for number in 0..100 {
            let user = format!("{number:0>250}");
            Client::connect(&mut node, 0, &user, "acme").join(&mut node, "lobby");
        }
        client.json(&mut node);
        let many: Vec<u8> = (0..100).flat_map(|_| text(query)).collect();
        node.receive_only(client.id, &many);
        let waiting = node.engines[0].store.bytes();
        assert!(waiting <= 2 * u64::from(BYTES_MAX), "{query}: {waiting} bytes wait");
        node.settle();
        let heard = client.json(&mut node);
        assert_eq!((heard.len(), &heard[0]["success"]), (100, &true.into()), "{query}");
        assert_eq!(heard[99]["error"]["code"], "rate_limited", "{query}");
    }
}

/// The ping that makes a client a slow consumer does not give it the time until the next one.
#[test]
fn a_client_that_has_no_room_for_a_ping_is_cut_off_as_soon_as_others() {
    let mut node = Node::new(2);
    let [talker, listener] = pair(&mut node);
    talker.say(&mut node, &send(&"x".repeat(1_000)));
    let around = node.take(listener.id).len() - 1_000;
    node.flow(listener.id, Flow::Blocked);
    talker.say(&mut node, &send(&"x".repeat(1_000)));
    let mut left = 256 * 1024 - node.engines[1].store.bytes() as usize;
    while left > 20_000 {
        talker.say(&mut node, &send(&"x".repeat(10_000 - around)));
        left = 256 * 1024 - node.engines[1].store.bytes() as usize;
    }
    talker.say(&mut node, &send(&"x".repeat(left - around - 5)));
    assert_eq!(node.engines[1].metrics.slow_consumers, 0);
    let mut ms = 0;
    while node.engines[1].metrics.slow_consumers == 0 {
        node.advance(100);
        ms += 100;
        assert!(ms <= 30_000, "{} bytes wait", node.engines[1].store.bytes());
    }
    node.advance(5_200);
    assert_eq!(listener.side(&node), Side::Closed);
}
