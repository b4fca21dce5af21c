//! Heartbeat: pings, round trips, and who does not answer.

use super::{
    client::{Client, Heard, frame, text},
    harness::{Node, Side},
};
use crate::ws::Opcode;

fn pings(client: &mut Client, node: &mut Node) -> Vec<Vec<u8>> {
    let ping = |heard| {
        let Heard::Ping(payload) = heard else { panic!("{heard:?}") };
        payload
    };
    client.heard(node).into_iter().map(ping).collect()
}

#[test]
fn a_ping_each_interval_whose_pong_is_measured() {
    let mut node = Node::new(1);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    // The first comes up to a quarter early, so that not all come at once.
    node.advance(22_400);
    assert_eq!(pings(&mut client, &mut node).len(), 0);
    node.advance(7_700);
    for round in 1..=4 {
        let ping = pings(&mut client, &mut node);
        assert_eq!(ping.len(), 1, "round {round}");
        let mut reference = crate::metrics::Histogram::default();
        let sent_us = u64::from_be_bytes(ping[0][..].try_into().unwrap());
        reference.observe_us(node.now.mono_us - sent_us);
        node.receive(client.id, &frame(Opcode::Pong, &ping[0]));
        node.receive(client.id, &frame(Opcode::Pong, &ping[0]));
        if round == 1 {
            assert_eq!(node.engines[0].metrics.rtt, reference, "measured once");
        }
        node.advance(30_000);
    }
}

#[test]
fn silence_for_a_minute_is_the_end() {
    let mut node = Node::new(1);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    node.advance(59_900);
    assert_eq!(pings(&mut client, &mut node).len(), 2);
    node.advance(200);
    assert_eq!(client.close_code(&mut node), Some(4408));
    node.hang_up(client.id, false);
    node.assert_empty();
}

/// Any bytes are a sign of life, even part of a frame.
#[test]
fn whoever_says_something_lives() {
    let mut node = Node::new(1);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    let message = text(r#"{"type":"query:rooms"}"#);
    for _ in 0..20 {
        let (begin, end) = message.split_at(7);
        node.advance(59_000);
        node.receive(client.id, begin);
        node.advance(59_000);
        node.receive(client.id, end);
    }
    assert!(pings(&mut client, &mut node).len() >= 40);
    let echo = Client::upgrade(&mut node, 0, "/echo", "");
    node.advance(59_000);
    node.receive(echo.id, &frame(Opcode::Pong, b"unasked"));
    node.advance(59_000);
    assert_eq!(node.side(echo.id), Side::Open);
    node.advance(1_100);
    let mut echo = echo;
    let (before, code) = echo.closed(&mut node);
    assert!(code == Some(4408) && before.iter().all(|heard| matches!(heard, Heard::Ping(_))));
}

/// A message that never becomes whole is not kept for the sake of a byte now and then, whatever comes between.
#[test]
fn a_message_has_its_time() {
    let message = text(&format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(100)));
    let mut fragment = text("{");
    fragment[0] &= 0x7f;
    let pong = frame(Opcode::Pong, b"still here");
    let drips: Vec<&[u8]> = message[20..].chunks(1).collect();
    let rows: [(&[u8], &[&[u8]]); 3] =
        [(&message[..1], &[]), (&message[..20], &drips), (&fragment, &[pong.as_slice(); 30])];
    for (begin, rest) in rows {
        let mut node = Node::new(1);
        let client = Client::connect(&mut node, 0, "ada", "acme");
        node.receive(client.id, begin);
        let (mut lived_ms, mut rest) = (0, rest.iter());
        while node.side(client.id) == Side::Open {
            node.advance(5_000);
            lived_ms += 5_000;
            if let Some(more) = rest.next() {
                node.receive(client.id, more);
            }
        }
        // With the first ping that finds it a minute old, and what a close frame may wait for its answer.
        assert!((60_000..=100_000).contains(&lived_ms), "{lived_ms}");
        node.hang_up(client.id, true);
        node.assert_empty();
    }
}

#[test]
fn pings_of_the_client_are_answered_with_what_they_carry() {
    let mut node = Node::new(1);
    for target in ["/ws", "/echo"] {
        let mut client = Client::upgrade(&mut node, 0, target, "");
        for payload in [&b""[..], b"hello", &[0xff; 125]] {
            node.receive(client.id, &frame(Opcode::Ping, payload));
            assert_eq!(client.heard(&mut node), [Heard::Pong(payload.to_vec())]);
        }
    }
}

#[test]
fn pings_are_spread() {
    let mut node = Node::new(1);
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
    let mut sent = Vec::new();
    for _ in 0..30 {
        node.advance(1_000);
        sent.push(clients.iter_mut().map(|client| pings(client, &mut node).len()).sum::<usize>());
    }
    assert_eq!(sent.iter().sum::<usize>(), 50, "{sent:?}");
    assert!(sent.iter().all(|&count| count < 25), "{sent:?}");
}
