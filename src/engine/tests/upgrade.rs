//! From HTTP to an open socket: the 101, what comes behind the request, and any split of both.

use super::{
    client::{Client, Heard, text, upgrade_request},
    harness::{Node, Side, config, config_with, token},
    http::{answers, ask, bearer, request},
};
use crate::{engine::Config, ws::Opcode};

#[test]
fn bytes_behind_the_request_are_the_first_frames() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    let mut bytes = upgrade_request("/ws", &bearer(&token("ada", "acme", None)));
    bytes.extend(text(r#"{"type":"ping"}"#));
    bytes.extend(text(r#"{"type":"room:join","id":"j","room":"lobby"}"#));
    node.receive(id, &bytes);
    let mut client = Client::of(&mut node, id);
    assert_eq!(client.types(&mut node), ["connection:established", "pong", "ack", "room:joined"]);
}

#[test]
fn an_upgrade_may_follow_other_requests() {
    let mut node = Node::new(2);
    let id = node.accept(0);
    let mut bytes = request("/health", "");
    bytes.extend(upgrade_request("/ws", &bearer(&token("ada", "acme", None))));
    bytes.extend(text(r#"{"type":"ping"}"#));
    node.receive(id, &bytes);
    let all = String::from_utf8(node.take(id)[..].iter().map(|byte| byte & 0x7f).collect()).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
    let switched = all.find("HTTP/1.1 101 ").expect("a 101");
    assert!(all[switched..].contains("connection:established") && all[switched..].contains("pong"));
}

/// Whatever the reads, the client hears the same bytes. What the gateway answers by itself stands before what a room
/// answers here: between the two there is no order.
#[test]
fn no_split_changes_what_is_heard() {
    let mut bytes = upgrade_request("/ws", &bearer(&token("ada", "acme", None)));
    bytes.extend(super::client::frame(Opcode::Ping, b"hello"));
    bytes.extend(text("{"));
    bytes.extend(text(r#"{"type":"room:join","id":1,"room":"lobby","metadata":{"a":1}}"#));
    bytes.extend(text(r#"{"type":"room:send","id":2,"room":"lobby","payload":"ü","echo":true}"#));
    bytes.extend(text(r#"{"type":"room:leave","id":3,"room":"lobby"}"#));
    let run = |cuts: &dyn Fn(&mut Node, crate::base::ConnId)| {
        let mut node = Node::new(1);
        let id = node.accept(0);
        cuts(&mut node, id);
        super::client::close(1000).chunks(1).for_each(|byte| node.receive(id, byte));
        assert_eq!(node.side(id), Side::Closed);
        let heard = node.take(id);
        node.assert_empty();
        heard
    };
    let whole = run(&|node, id| node.receive(id, &bytes));
    assert!(whole.ends_with(&[0x88, 2, 3, 0xe8]));
    let single = run(&|node, id| bytes.chunks(1).for_each(|byte| node.receive(id, byte)));
    assert_eq!(single, whole, "byte by byte");
    for cut in 1..bytes.len() {
        let halves = run(&|node, id| {
            node.receive(id, &bytes[..cut]);
            node.receive(id, &bytes[cut..]);
        });
        assert_eq!(halves, whole, "cut at {cut}");
    }
}

#[test]
fn the_subprotocol_that_is_chosen() {
    let good = token("ada", "acme", None);
    let bearer_only = format!("ringway.bearer.{good}");
    let rows: [(String, Option<&str>); 5] = [
        (String::new(), None),
        ("ringway.json.v1".into(), Some("ringway.json.v1")),
        (format!("{bearer_only}, ringway.json.v1"), Some("ringway.json.v1")),
        (bearer_only.clone(), Some(&bearer_only)),
        ("soap, wamp".into(), None),
    ];
    for (offer, expected) in rows {
        let mut node = Node::new(1);
        let header =
            if offer.is_empty() { String::new() } else { format!("Sec-WebSocket-Protocol: {offer}\r\n") };
        let client = Client::upgrade(&mut node, 0, "/ws", &header);
        assert_eq!(client.protocol(), expected, "{offer}");
    }
}

#[test]
fn deflate_is_negotiated_and_used_where_it_pays() {
    let mut node = Node::new(1);
    let headers = format!(
        "{}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        bearer(&token("ada", "acme", None))
    );
    let mut ada = Client::upgrade(&mut node, 0, "/ws", &headers);
    assert!(ada.deflates());
    let mut bob = Client::connect(&mut node, 0, "bob", "acme");
    assert!(!bob.deflates());
    assert_eq!(ada.types(&mut node), ["connection:established"]);
    ada.join(&mut node, "lobby");
    bob.join(&mut node, "lobby");
    let long = "a".repeat(10_000);
    let message = format!(r#"{{"type":"room:send","room":"lobby","echo":true,"payload":"{long}"}}"#);
    let compressed = ada.compressed(&message);
    assert!(compressed.len() < 200);
    node.receive(ada.id, &compressed);
    let bytes = node.take(ada.id);
    assert!(bytes.len() < 300, "{}", bytes.len());
    node.sockets.get_mut(&ada.id).unwrap().put_back(&bytes);
    let (to_ada, to_bob) = (ada.json(&mut node), bob.json(&mut node));
    assert_eq!((to_ada.len(), &to_ada), (1, &to_bob));
    assert_eq!(to_ada[0]["payload"], long);
    // Off by configuration: not offered back.
    let mut node = Node::with(Config { deflate: false, ..config(1) });
    assert!(!Client::upgrade(&mut node, 0, "/ws", &headers).deflates());
}

#[test]
fn echo_says_back_everything() {
    let mut node = Node::new(1);
    for extensions in ["", "Sec-WebSocket-Extensions: permessage-deflate\r\n"] {
        let mut client = Client::upgrade(&mut node, 0, "/echo", extensions);
        assert_eq!(client.heard(&mut node), []);
        assert_eq!(client.deflates(), !extensions.is_empty());
        let large = "ü".repeat(300_000);
        client.say(&mut node, &large);
        assert_eq!(client.heard(&mut node), [Heard::Text(large)]);
        node.receive(client.id, &super::client::frame(Opcode::Binary, &[0, 255]));
        node.receive(client.id, &text(""));
        assert_eq!(client.heard(&mut node), [Heard::Binary(vec![0, 255]), Heard::Text(String::new())]);
        if client.deflates() {
            let message = "echo ".repeat(1_000);
            let frame = client.compressed(&message);
            node.receive(client.id, &frame);
            assert_eq!(client.heard(&mut node), [Heard::Text(message)]);
        }
        node.receive(client.id, &super::client::close(4_000));
        assert_eq!(client.close_code(&mut node), Some(4_000));
    }
    node.assert_empty();
}

#[test]
fn a_full_node_refuses_upgrades() {
    let mut node = Node::with(config_with(1, |policy| policy.limits.connections_max = 1));
    let mut only = Client::connect(&mut node, 0, "ada", "acme");
    let id = node.accept(0);
    let answer = ask(&mut node, id, &upgrade_request("/ws", ""));
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    assert_eq!(answer.json()["error"]["code"], "unavailable");
    node.hang_up(id, false);
    assert_eq!(only.ask(&mut node, r#"{"type":"ping"}"#).len(), 1);
}

#[test]
fn broken_handshakes_keep_the_connection() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    let without_key =
        String::from_utf8(upgrade_request("/ws", "")).unwrap().replace("Sec-WebSocket-Key", "X");
    assert_eq!(ask(&mut node, id, without_key.as_bytes()).status, 400);
    let old = String::from_utf8(upgrade_request("/ws", "")).unwrap().replace("Version: 13", "Version: 8");
    assert_eq!(ask(&mut node, id, old.as_bytes()).header("Sec-WebSocket-Version"), Some("13"));
    node.receive(id, &upgrade_request("/ws", ""));
    let switched = node.take_text(id);
    assert!(switched.starts_with("HTTP/1.1 101"));
    assert!(answers("", 0).is_empty());
}
