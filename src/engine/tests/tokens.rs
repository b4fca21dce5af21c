//! Who a client is: every way to bring a token, the limits of time, refresh.

use serde_json::{Value, json};

use super::{
    client::{Client, text, upgrade_request},
    harness::{Node, START_UNIX_MS, Side, token},
    http::{ask, bearer, request},
};
use crate::engine::Notice;

fn authenticate(token: &str, more: &str) -> String {
    format!(r#"{{"type":"authenticate","id":"a","token":"{token}"{more}}}"#)
}

fn pending(node: &mut Node) -> Client {
    let mut client = Client::upgrade(node, 0, "/ws", "");
    assert_eq!(client.heard(node), []);
    client
}

#[test]
fn every_way_to_bring_a_token() {
    let good = token("ada", "acme", None);
    let in_query = format!("/ws?x=1&token={good}");
    let in_protocol = format!("Sec-WebSocket-Protocol: ringway.bearer.{good}\r\n");
    let rows = [
        ("/ws", bearer(&good)),
        (&in_query, String::new()),
        ("/ws", in_protocol),
        // Another scheme is a proxy's business.
        (&in_query, "Authorization: Basic dTpw\r\n".to_owned()),
    ];
    for (target, headers) in rows {
        let mut node = Node::new(2);
        let mut client = Client::upgrade(&mut node, 1, target, &headers);
        let greeting = client.json(&mut node).remove(0);
        let expected = json!({
            "type": "connection:established", "connectionId": "0000002a0100000000000000", "tenantId": "acme",
            "userId": "ada", "heartbeat": {"intervalMs": 30_000, "timeoutMs": 60_000},
            "limits": {"messageBytes": 65_536, "rooms": 8}, "node": "0000002a",
        });
        assert_eq!(greeting, expected);
        assert!(matches!(&node.notices[..], [Notice::Authenticated { user, .. }] if user.as_str() == "ada"));
    }
}

#[test]
fn a_bad_token_in_a_header_is_a_401() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    for bad in ["x", &token("ada", "acme", Some(0)).replace("eyJ", "eyK")] {
        let answer = ask(&mut node, id, &upgrade_request("/ws", &bearer(bad)));
        assert_eq!((answer.status, answer.header("WWW-Authenticate")), (401, Some("Bearer")));
        assert_eq!(answer.json()["error"]["code"], "unauthenticated");
    }
    assert_eq!(ask(&mut node, id, &request("/live", "")).status, 200);
    assert!(matches!(&node.notices[..], [Notice::AuthFailed { .. }, Notice::AuthFailed { .. }]));
}

#[test]
fn a_bad_token_of_a_browser_is_a_close_code() {
    for (target, headers) in
        [("/ws?token=x", ""), ("/ws", "Sec-WebSocket-Protocol: ringway.json.v1, ringway.bearer.x\r\n")]
    {
        let mut node = Node::new(1);
        let id = node.accept(0);
        // What it says meanwhile is not heard; its answer to the close is.
        let mut bytes = upgrade_request(target, headers);
        bytes.extend(text(r#"{"type":"ping","id":1}"#));
        node.receive(id, &bytes);
        let mut client = Client::of(&mut node, id);
        assert_eq!(client.close_code(&mut node), Some(4401));
        assert_eq!(client.side(&node), Side::Open, "the peer owes a close frame");
        node.receive(id, &super::client::close(4401));
        assert_eq!(client.side(&node), Side::Closed);
        assert_eq!(client.heard(&mut node), []);
        node.assert_empty();
    }
}

#[test]
fn a_close_frame_behind_a_bad_token_is_seen() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    let mut bytes = upgrade_request("/ws?token=x", "");
    bytes.extend(super::client::close(1000));
    node.receive(id, &bytes);
    assert_eq!(node.side(id), Side::Closed);
}

#[test]
fn a_first_message_may_bring_the_token() {
    let mut node = Node::new(1);
    let mut client = pending(&mut node);
    // Until then nothing but a ping is answered, and nothing ends the connection.
    let refused = client.ask(&mut node, r#"{"type":"room:join","id":1,"room":"lobby"}"#);
    assert_eq!(refused[0]["error"]["code"], "unauthenticated");
    assert_eq!(client.ask(&mut node, r#"{"type":"ping"}"#)[0]["timestamp"], START_UNIX_MS);
    let heard =
        client.ask(&mut node, &authenticate(&token("ada", "acme", Some(3_600)), r#","tenantId":"acme""#));
    let ack = json!({
        "type": "ack", "id": "a", "success": true, "connectionId": "0000002a0000000000000000",
        "userId": "ada", "tenantId": "acme", "expiresAt": START_UNIX_MS + 3_600_000,
    });
    assert_eq!(heard[0], ack);
    assert_eq!((heard.len(), &heard[1]["type"]), (2, &Value::from("connection:established")));
    client.join(&mut node, "lobby");
    // Without an id the greeting is the answer.
    let mut client = pending(&mut node);
    let good = token("bob", "acme", None);
    client.say(&mut node, &format!(r#"{{"type":"authenticate","token":"{good}"}}"#));
    assert_eq!(client.types(&mut node), ["connection:established"]);
}

#[test]
fn a_first_message_that_fails_ends_the_connection() {
    let rows = [
        (authenticate("x", ""), "unauthenticated", 4401),
        (authenticate(&token("ada", "acme", None), r#","tenantId":"other""#), "forbidden", 4403),
    ];
    for (message, code, close) in rows {
        let mut node = Node::new(1);
        let mut client = pending(&mut node);
        client.say(&mut node, &message);
        let (before, closed) = client.closed(&mut node);
        assert_eq!(closed, Some(close));
        let [super::client::Heard::Text(ack)] = &before[..] else { panic!("{before:?}") };
        let ack: Value = serde_json::from_str(ack).unwrap();
        assert_eq!((&ack["success"], &ack["error"]["code"]), (&Value::Bool(false), &code.into()));
    }
}

/// What was negotiated holds while the peer's close is awaited.
#[test]
fn compressed_messages_behind_the_close_are_read_past() {
    let mut node = Node::new(1);
    let mut client = Client::upgrade(&mut node, 0, "/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let mut bytes = text(&authenticate("x", ""));
    bytes.extend(client.compressed(r#"{"type":"ping"}"#));
    node.receive(client.id, &bytes);
    assert_eq!(client.closed(&mut node).1, Some(4401));
    assert_eq!(client.side(&node), Side::Open);
}

/// The rest of a frame that was cut by the gateway's close is no nonsense.
#[test]
fn a_frame_cut_by_the_close_is_read_on() {
    let mut node = Node::new(1);
    let mut client = pending(&mut node);
    let mut bytes = text(&authenticate("x", ""));
    let ping = text(r#"{"type":"ping"}"#);
    bytes.extend(&ping[..9]);
    node.receive(client.id, &bytes);
    assert_eq!(client.closed(&mut node).1, Some(4401));
    node.receive(client.id, &ping[9..]);
    assert_eq!(client.side(&node), Side::Open);
    node.receive(client.id, &super::client::close(1000));
    assert_eq!(client.side(&node), Side::Closed);
}

#[test]
fn ten_seconds_to_authenticate() {
    let mut node = Node::new(1);
    let mut client = pending(&mut node);
    node.advance(9_900);
    assert_eq!(client.heard(&mut node), []);
    node.advance(200);
    assert_eq!(client.close_code(&mut node), Some(4408));
    node.hang_up(client.id, false);
    node.assert_empty();
}

#[test]
fn a_token_is_announced_a_minute_before_its_end_and_ends_with_its_leeway() {
    let mut node = Node::new(1);
    let mut client = Client::with_token(&mut node, 0, &token("ada", "acme", Some(300)));
    client.json(&mut node);
    let to = |node: &mut Node, s: u64| {
        let left_ms = START_UNIX_MS + s * 1_000 - node.now.unix_ms;
        for _ in 0..left_ms / 100 {
            node.advance(100);
            node.receive(client.id, &super::client::frame(crate::ws::Opcode::Pong, b""));
        }
    };
    to(&mut node, 239);
    node.advance(900);
    let pings_only = client.json(&mut node);
    assert_eq!(pings_only, Vec::<Value>::new());
    node.advance(200);
    let announced = client.json(&mut node).remove(0);
    assert_eq!(announced["type"], "token:expiring");
    let left_ms = announced["expiresIn"].as_u64().unwrap();
    assert!((59_800..=60_000).contains(&left_ms), "{left_ms}");
    node.receive(client.id, &super::client::frame(crate::ws::Opcode::Pong, b""));
    node.advance(59_900);
    node.receive(client.id, &super::client::frame(crate::ws::Opcode::Pong, b""));
    assert_eq!(client.json(&mut node), Vec::<Value>::new(), "announced once");
    // A minute later is `exp`; five seconds are the leeway.
    node.advance(4_800);
    assert_eq!(client.side(&node), Side::Open);
    assert_eq!(client.json(&mut node), Vec::<Value>::new());
    node.advance(300);
    assert_eq!(client.close_code(&mut node), Some(4401));
}

#[test]
fn a_token_that_ends_soon_is_announced_at_once() {
    let mut node = Node::new(1);
    let mut client = Client::with_token(&mut node, 0, &token("ada", "acme", Some(10)));
    node.advance(100);
    let heard = client.json(&mut node);
    assert_eq!(heard[1]["type"], "token:expiring");
    let left_ms = heard[1]["expiresIn"].as_u64().unwrap();
    assert!((9_800..=10_000).contains(&left_ms), "{left_ms}");
}

#[test]
fn a_refresh_keeps_rooms_and_moves_the_end() {
    let mut node = Node::new(2);
    let mut client = Client::with_token(&mut node, 0, &token("ada", "acme", Some(100)));
    client.json(&mut node);
    for room in ["a", "b", "c", "d"] {
        client.join(&mut node, room);
    }
    node.advance(41_000);
    assert_eq!(client.types(&mut node), ["token:expiring"]);
    let heard = client.ask(&mut node, &authenticate(&token("ada", "acme", Some(200)), ""));
    assert_eq!(heard.len(), 1, "no second greeting");
    assert_eq!(heard[0]["expiresAt"], START_UNIX_MS + 200_000);
    let rooms = client.ask(&mut node, r#"{"type":"query:rooms","id":1}"#);
    assert_eq!(rooms[0]["rooms"], json!(["a", "b", "c", "d"]));
    for _ in 0..10 {
        node.advance(9_950);
        node.receive(client.id, &super::client::frame(crate::ws::Opcode::Pong, b""));
    }
    assert_eq!(client.types(&mut node), ["token:expiring"], "the new one is announced anew");
    node.advance(50_000);
    node.receive(client.id, &super::client::frame(crate::ws::Opcode::Pong, b""));
    node.advance(15_000);
    assert_eq!(client.close_code(&mut node), Some(4401));
}

/// A shorter token than before counts, too.
#[test]
fn a_refresh_may_bring_the_end_nearer() {
    let mut node = Node::new(1);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    node.advance(1_000);
    client.say(&mut node, &authenticate(&token("ada", "acme", Some(10)), ""));
    assert_eq!(client.types(&mut node), ["ack", "token:expiring"]);
    node.advance(13_900);
    assert_eq!(client.side(&node), Side::Open);
    node.advance(200);
    assert_eq!(client.close_code(&mut node), Some(4401));
}

#[test]
fn refreshes_leave_few_timers_behind() {
    let mut node = Node::new(1);
    let mut client = Client::with_token(&mut node, 0, &token("ada", "acme", None));
    let refresh = authenticate(&token("ada", "acme", Some(3_600)), "");
    for _ in 0..200 {
        client.ask(&mut node, &refresh);
        node.advance(100);
    }
    let timers = node.engines[0].timers.filed();
    assert!(timers <= 10, "{timers} timers of one connection");
}

#[test]
fn a_refresh_that_is_refused_changes_nothing() {
    let mut node = Node::new(1);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    client.join(&mut node, "lobby");
    let rows = [
        (authenticate("x", ""), "unauthenticated"),
        (authenticate(&token("bob", "acme", None), ""), "forbidden"),
        (authenticate(&token("ada", "other", None), ""), "forbidden"),
        (authenticate(&token("ada", "acme", None), r#","tenantId":"other""#), "forbidden"),
        (authenticate(&token("ada", "acme", None).replace('.', ".."), ""), "unauthenticated"),
    ];
    for (message, code) in rows {
        let heard = client.ask(&mut node, &message);
        assert_eq!((heard.len(), &heard[0]["error"]["code"]), (1, &code.into()), "{message}");
    }
    let heard =
        client.ask(&mut node, r#"{"type":"room:send","id":1,"room":"lobby","payload":0,"echo":true}"#);
    assert_eq!((&heard[0]["success"], &heard[1]["from"]), (&true.into(), &"ada".into()));
}
