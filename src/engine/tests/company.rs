//! Publications that leave together: in one turn, and by waiting for company under load.

use super::{
    client::{Client, close},
    harness::{Flow, Node, config, text_of},
};
use crate::{engine::Config, metrics::Disconnect};

fn send(text: &str) -> String {
    format!(r#"{{"type":"room:send","room":"lobby","payload":"{text}"}}"#)
}

/// A node of one shard whose writes take 500 us and whose publications may wait for 2 ms, with connections that are in
/// one room.
fn crowd<const N: usize>(latency_budget_us: u64) -> (Node, [Client; N]) {
    let mut node = Node::with(Config { latency_budget_us, ..config(1) });
    let mut clients = std::array::from_fn(|_| Client::connect(&mut node, 0, "ada", "acme"));
    clients.iter_mut().for_each(|client| client.join(&mut node, "lobby"));
    node.writes_last_us = 500;
    (node, clients)
}

/// The same in a room that is published into so often that its next publication waits.
fn busy_crowd<const N: usize>(latency_budget_us: u64) -> (Node, [Client; N]) {
    let (mut node, mut clients) = crowd(latency_budget_us);
    for _ in 0..2 {
        clients[0].say(&mut node, &send("busy"));
        node.step(1);
    }
    clients.iter_mut().skip(1).for_each(|client| assert_eq!(client.json(&mut node).len(), 2));
    (node, clients)
}

fn payloads(client: &mut Client, node: &mut Node) -> Vec<String> {
    client.json(node).iter().map(|event| text_of(&event["payload"])).collect()
}

#[test]
fn where_company_can_be_expected_it_is_waited_for_within_the_budget() {
    let (mut node, [talker, mut listener]) = crowd(2_000);
    for after_ms in [0, 10, 1] {
        node.step(after_ms);
        talker.say(&mut node, &send("x"));
        assert_eq!(payloads(&mut listener, &mut node), ["x"], "{after_ms} ms after the last: at once");
    }
    let opens_us = node.now.mono_us + 500 + 2_000;
    node.step(1);
    talker.say(&mut node, &send("1"));
    node.step(1);
    talker.say(&mut node, &send("2"));
    assert_eq!(payloads(&mut listener, &mut node), Vec::<String>::new());
    assert_eq!(node.engines[0].poll_release(), Some(opens_us));
    let writes = node.writes;
    node.step(1);
    node.settle();
    assert_eq!(payloads(&mut listener, &mut node), ["1", "2"]);
    assert_eq!((node.writes - writes, node.engines[0].poll_release()), (1, None), "in one write");
}

#[test]
fn with_a_budget_that_brings_no_company_nothing_waits() {
    for latency_budget_us in [0, 900] {
        let (mut node, [talker, mut listener]) = crowd(latency_budget_us);
        for _ in 0..5 {
            talker.say(&mut node, &send("x"));
            assert_eq!(payloads(&mut listener, &mut node), ["x"]);
            node.step(1);
        }
    }
}

#[test]
fn answers_do_not_wait() {
    let (mut node, [mut talker, mut listener]) = busy_crowd(2_000);
    talker.say(&mut node, &send("x"));
    assert_eq!(talker.ask(&mut node, r#"{"type":"ping"}"#)[0]["type"], "pong");
    let acked = r#"{"type":"room:send","id":7,"room":"lobby","payload":0,"echo":true}"#;
    assert_eq!(talker.ask(&mut node, acked)[0]["success"], true);
    assert_eq!(listener.json(&mut node).len(), 0);
    node.step(3);
    node.settle();
    assert_eq!(talker.types(&mut node), ["room:message"]);
    assert_eq!(listener.types(&mut node), ["room:message", "room:message"]);
}

#[test]
fn who_joins_or_leaves_gets_what_was_ordered_while_it_was_a_member() {
    let (mut node, [talker, mut leaver]) = busy_crowd(2_000);
    let mut late = Client::connect(&mut node, 0, "eve", "acme");
    talker.say(&mut node, &send("held"));
    assert_eq!(leaver.json(&mut node).len(), 0);
    late.join(&mut node, "lobby");
    talker.say(&mut node, &send("both"));
    leaver.say(&mut node, r#"{"type":"room:leave","room":"lobby"}"#);
    talker.say(&mut node, &send("late"));
    node.step(3);
    node.settle();
    assert_eq!(payloads(&mut late, &mut node), ["both", "late"]);
    let heard: Vec<_> = leaver.json(&mut node);
    let heard: Vec<_> =
        heard.iter().map(|event| (text_of(&event["type"]), text_of(&event["payload"]))).collect();
    let message = |payload: &str| ("room:message".to_owned(), payload.to_owned());
    assert_eq!(heard, [message("held"), message("both"), ("room:left".to_owned(), String::new())]);
}

#[test]
fn what_was_ordered_before_a_close_is_heard_before_it() {
    let (mut node, [talker, mut closing, mut staying]) = busy_crowd(2_000);
    talker.say(&mut node, &send("1"));
    talker.say(&mut node, &send("2"));
    assert_eq!(staying.json(&mut node).len(), 0);
    node.receive(closing.id, &close(1000));
    assert_eq!(closing.closed(&mut node).0.len(), 2);
    assert_eq!(payloads(&mut staying, &mut node), ["1", "2"]);
    // The drain's last words, too.
    talker.say(&mut node, &send("3"));
    assert_eq!(staying.json(&mut node).len(), 0);
    node.drain();
    node.advance(100);
    let (heard, code) = staying.closed(&mut node);
    assert_eq!((heard.len(), code), (2, Some(1012)), "a message and the announcement: {heard:?}");
}

#[test]
fn much_is_not_held() {
    let (mut node, [talker, mut listener]) = busy_crowd(100_000);
    let long = "x".repeat(60_000);
    for _ in 0..8 {
        talker.say(&mut node, &send(&long));
    }
    assert_eq!(listener.json(&mut node).len(), 0);
    talker.say(&mut node, &send(&long));
    assert_eq!(listener.json(&mut node).len(), 9);
}

/// More in one turn than an outbox holds: who reads is not slow because the shard was busy, who does not is.
#[test]
fn a_turn_longer_than_an_outbox_cuts_off_only_who_does_not_read() {
    let (mut node, [talker, mut reads, mut stuck]) = crowd(0);
    node.flow(stuck.id, Flow::Blocked);
    let long = "x".repeat(10_000);
    for _ in 0..60 {
        node.receive_only(talker.id, &super::client::text(&send(&long)));
    }
    node.settle();
    assert_eq!(reads.json(&mut node).len(), 60);
    let metrics = &node.engines[0].metrics;
    assert_eq!(metrics.slow_consumers, 1);
    node.flow(stuck.id, Flow::Open);
    assert_eq!(stuck.close_code(&mut node), Some(4430));
    node.receive(stuck.id, &close(4430));
    assert_eq!(node.engines[0].metrics.disconnections.get(Disconnect::SlowConsumer), 1);
}

/// Everybody talks in one turn: each gets all but its own, in one order.
#[test]
fn a_turn_in_which_everybody_talks() {
    let (mut node, mut clients) = crowd::<5>(0);
    for round in 0..4 {
        for (index, client) in clients.iter().enumerate() {
            node.receive_only(client.id, &super::client::text(&send(&format!("{index}.{round}"))));
        }
    }
    node.settle();
    for (index, client) in clients.iter_mut().enumerate() {
        let others = (0..4).flat_map(|round| (0..5).map(move |talker| (talker, round)));
        let others = others.filter(|(talker, _)| *talker != index);
        let expected: Vec<_> = others.map(|(talker, round)| format!("{talker}.{round}")).collect();
        assert_eq!(payloads(client, &mut node), expected);
    }
}
