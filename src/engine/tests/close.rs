//! How connections end: close frames in both directions, breaches of the protocol, silence.

use super::{
    client::{Client, Heard, close, frame, text},
    harness::{Flow, Node, Side},
};
use crate::{
    metrics::{Disconnect, Label},
    ws::{Opcode, encode},
};

fn ended(node: &Node, reason: Disconnect) -> u64 {
    node.engines.iter().map(|engine| engine.metrics.disconnections.get(reason)).sum()
}

#[test]
fn breaches_have_their_codes() {
    let unmasked = {
        let mut out = Vec::new();
        encode::frame(&mut out, Opcode::Text, b"{}", false, None);
        out
    };
    let many_fragments: Vec<u8> = (0..70).flat_map(|number| fragment(number == 0, false)).collect();
    let rows = [
        (frame(Opcode::Binary, b"x"), 1003, Disconnect::UnsupportedData),
        (frame(Opcode::Text, &[b' '; 65_537]), 1009, Disconnect::TooBig),
        (many_fragments, 1009, Disconnect::TooBig),
        (frame(Opcode::Text, b"\xff"), 1007, Disconnect::InvalidUtf8),
        (unmasked, 1002, Disconnect::ProtocolError),
        (frame(Opcode::Continuation, b""), 1002, Disconnect::ProtocolError),
        (frame(Opcode::Close, b"\x03"), 1002, Disconnect::ProtocolError),
        (frame(Opcode::Close, b"\x03\xed"), 1002, Disconnect::ProtocolError),
        (frame(Opcode::Close, b"\x03\xe8\xff"), 1007, Disconnect::InvalidUtf8),
    ];
    for (mut bytes, code, reason) in rows {
        let mut node = Node::new(2);
        let mut client = Client::connect(&mut node, 0, "ada", "acme");
        client.join(&mut node, "lobby");
        bytes.extend(text(r#"{"type":"ping"}"#));
        node.receive(client.id, &bytes);
        assert_eq!(client.close_code(&mut node), Some(code), "{reason:?}");
        assert_eq!(client.side(&node), Side::Shut);
        assert!(node.engines.iter().all(|engine| engine.home.is_empty()), "it has left its rooms");
        node.receive(client.id, &close(1000));
        node.hang_up(client.id, false);
        assert_eq!(ended(&node, reason), 1, "{}", reason.as_str());
        node.assert_empty();
    }
}

/// One byte of a message of many.
fn fragment(first: bool, last: bool) -> Vec<u8> {
    let opcode = if first { Opcode::Text } else { Opcode::Continuation };
    let mut bytes = frame(opcode, b" ");
    bytes[0] = opcode as u8 | if last { 0x80 } else { 0 };
    bytes
}

#[test]
fn a_message_of_the_largest_size_and_in_fragments_is_taken() {
    let mut node = Node::new(1);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    let ping = r#"{"type":"ping"}"#;
    client.say(&mut node, &format!("{ping}{}", " ".repeat(65_536 - ping.len())));
    assert_eq!(client.types(&mut node), ["pong"]);
    let mut bytes = frame(Opcode::Text, br#"{"type":"#);
    bytes[0] = 0x01;
    bytes.extend(frame(Opcode::Ping, b"between"));
    bytes.extend(frame(Opcode::Continuation, br#""ping"}"#));
    node.receive(client.id, &bytes);
    let heard = client.heard(&mut node);
    assert_eq!(heard[0], Heard::Pong(b"between".to_vec()));
    assert!(matches!(&heard[1], Heard::Text(text) if text.contains("pong")));
}

#[test]
fn the_client_closes() {
    for (payload, expected) in [(&b""[..], None), (b"\x03\xe8", Some(1000)), (b"\x0f\xa0bye", Some(4000))] {
        let mut node = Node::new(2);
        let mut client = Client::connect(&mut node, 0, "ada", "acme");
        client.join(&mut node, "lobby");
        let mut bytes = frame(Opcode::Close, payload);
        bytes.extend(text(r#"{"type":"ping"}"#));
        node.receive(client.id, &bytes);
        assert_eq!(client.close_code(&mut node), expected);
        assert_eq!(client.side(&node), Side::Closed, "the server closes first (RFC 6455 7.1.1)");
        assert_eq!(ended(&node, Disconnect::ClientClose), 1);
        node.assert_empty();
    }
}

#[test]
fn the_gateway_closes_and_waits_for_the_answer() {
    // By the end of the time to authenticate.
    let begin = |node: &mut Node| {
        let mut client = Client::upgrade(node, 0, "/ws", "");
        node.advance(10_100);
        assert_eq!(client.close_code(node), Some(4408));
        assert_eq!(client.side(node), Side::Open);
        client
    };
    let mut node = Node::new(1);
    let client = begin(&mut node);
    // Messages under way are read past; the answer may come in pieces.
    let mut bytes = text(r#"{"type":"ping"}"#);
    bytes.extend(close(4408));
    for byte in bytes.chunks(1) {
        assert_eq!(client.side(&node), Side::Open);
        node.receive(client.id, byte);
    }
    assert_eq!((client.side(&node), node.take(client.id)), (Side::Closed, vec![]));

    let client = begin(&mut node);
    node.hang_up(client.id, false);
    let client = begin(&mut node);
    node.receive(client.id, b"\xff\xff nonsense");
    assert_eq!(client.side(&node), Side::Closed);
    let client = begin(&mut node);
    node.advance(4_800);
    assert_eq!(client.side(&node), Side::Open);
    node.advance(200);
    assert_eq!(client.side(&node), Side::Closed);
    assert_eq!(ended(&node, Disconnect::AuthTimeout), 4);
    node.assert_empty();
}

#[test]
fn who_sends_on_and_on_behind_the_end_is_cut_off() {
    let whole = text(&format!(r#"{{"type":"ping","padding":"{}"}}"#, "x".repeat(60_000)));
    let in_vain = |node: &mut Node, client: &mut Client, code, grace: usize| {
        assert_eq!(client.close_code(node), Some(code));
        let mut sent = 0;
        while client.side(node) != Side::Closed {
            node.receive(client.id, &whole);
            sent += whole.len();
        }
        assert!((grace..grace + whole.len()).contains(&sent), "closed after {sent} bytes");
    };
    let mut node = Node::new(1);
    let mut late = Client::upgrade(&mut node, 0, "/ws", "");
    node.advance(10_100);
    in_vain(&mut node, &mut late, 4408, 1 << 20);
    let mut wrong = Client::connect(&mut node, 0, "ada", "acme");
    node.receive(wrong.id, &frame(Opcode::Binary, b"x"));
    in_vain(&mut node, &mut wrong, 1003, 1 << 20);
    // One that does not read its close frame either.
    let deaf = Client::upgrade(&mut node, 0, "/ws", "");
    node.flow(deaf.id, Flow::Blocked);
    node.advance(10_100);
    (0..18).for_each(|_| node.receive(deaf.id, &whole));
    assert_eq!(deaf.side(&node), Side::Closed);
    let reasons = [Disconnect::AuthTimeout, Disconnect::UnsupportedData];
    assert_eq!(reasons.map(|it| ended(&node, it)), [2, 1]);
    node.assert_empty();
}

#[test]
fn a_connection_that_vanishes_leaves_its_rooms() {
    for reset in [true, false] {
        let mut node = Node::new(3);
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        for room in ["a", "b", "c", "d", "e"] {
            ada.join(&mut node, room);
        }
        let reason = if reset { Disconnect::Reset } else { Disconnect::Eof };
        node.hang_up(ada.id, reset);
        assert_eq!(ended(&node, reason), 1);
        node.assert_empty();
    }
}

/// Connections taken are those that are open and those that ended, whatever way they went.
#[test]
fn every_end_is_counted_once() {
    let mut node = Node::new(1);
    let clients: Vec<Client> = (0..6).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
    node.hang_up(clients[0].id, true);
    node.receive(clients[1].id, &close(1000));
    node.receive(clients[2].id, &frame(Opcode::Binary, b""));
    node.hang_up(clients[2].id, true);
    node.flow(clients[3].id, super::harness::Flow::Broken);
    clients[3].say(&mut node, r#"{"type":"ping"}"#);
    let http = node.accept(0);
    node.hang_up(http, false);
    let metrics = &node.engines[0].metrics;
    let ended: u64 = Disconnect::ALL.iter().map(|reason| metrics.disconnections.get(*reason)).sum();
    assert_eq!((metrics.connections, ended, node.engines[0].connections()), (7, 5, 2));
    let told = node.notices.iter().filter(|notice| matches!(notice, crate::engine::Notice::Closed { .. }));
    assert_eq!(told.count(), 5);
}
