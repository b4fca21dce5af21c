//! Limits of messages, seen by clients: what is refused, how, and what it costs who goes on.

use std::{net::Ipv4Addr, sync::Arc};

use serde_json::{Value, json};

use super::{
    client::{Client, Heard, frame, text, upgrade_request},
    harness::{Flow, Node, Side, limited, token},
};
use crate::{
    base::Rate,
    conn::MessageLimits,
    engine::{Input, Limits, Notice},
    http::route::Door,
    hub::{AddressLimits, PayerLimit},
    metrics::{Disconnect, Label, RateLimit},
    ws::Opcode,
};

fn of_messages(messages: u32) -> Limits {
    let messages = MessageLimits { messages: Rate::new(messages), ..MessageLimits::default() };
    Limits { messages, ..Limits::default() }
}

fn of_user(per_s: u32, burst: u32, shards: u16) -> Limits {
    Limits { user: PayerLimit::new(per_s, burst, shards), ..Limits::default() }
}

const PING: &str = r#"{"type":"ping"}"#;

/// How many of `count` pings are answered, and what the last refusal says.
fn pings(node: &mut Node, client: &mut Client, count: usize) -> (usize, Option<Value>) {
    (0..count).for_each(|_| client.say(node, PING));
    let heard = client.json(node);
    assert_eq!(heard.len(), count, "each is answered somehow");
    let refused = heard.iter().rfind(|event| event["type"] == "system:error").cloned();
    (heard.iter().filter(|event| event["type"] == "pong").count(), refused)
}

fn limited_total(node: &Node, limit: RateLimit) -> u64 {
    node.engines.iter().map(|engine| engine.metrics.rate_limited.get(limit)).sum()
}

/// Those that hold when it connects; of what is not limited nothing is said.
#[test]
fn a_client_is_told_how_much_it_may_send() {
    let limits = Limits {
        rooms_per_connection_max: 5,
        messages: MessageLimits { bytes: Rate::new(4_000), ..of_messages(40).messages },
        tenant: PayerLimit::new(7, 70, 1),
        ..of_user(3, 9, 1)
    };
    let all = json!({
        "messageBytes": 65_536, "rooms": 5, "messagesPer10s": 40, "bytesPer10s": 4_000,
        "userMessages": {"perS": 3, "burst": 9}, "tenantMessages": {"perS": 7, "burst": 70},
    });
    for (limits, expected) in [
        (limits, all),
        (Limits::default(), json!({"messageBytes": 65_536})),
        (of_messages(4), json!({"messageBytes": 65_536, "messagesPer10s": 4})),
    ] {
        let mut node = Node::with(limited(1, limits));
        let mut client = Client::with_token(&mut node, 0, &token("ada", "acme", None));
        assert_eq!(client.json(&mut node)[0]["limits"], expected);
    }
}

#[test]
fn a_message_over_the_limit_is_answered_and_not_done() {
    let mut node = Node::with(limited(1, of_messages(4)));
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    client.join(&mut node, "lobby");
    let send = r#"{"type":"room:send","id":"s","room":"lobby","payload":1,"echo":true}"#;
    for _ in 0..3 {
        assert_eq!(client.ask(&mut node, send).len(), 2);
    }
    let message = "this connection sends more messages than it may: slow down";
    let fault = json!({"code": "rate_limited", "message": message, "status": 429, "retryAfterMs": 2_500});
    let ack = json!({"type": "ack", "id": "s", "success": false, "error": fault});
    assert_eq!(client.ask(&mut node, send), [ack], "no echo");
    let error =
        json!({"type": "system:error", "code": "rate_limited", "message": message, "retryAfterMs": 2_500});
    assert_eq!(client.ask(&mut node, PING), std::slice::from_ref(&error));
    assert_eq!(client.ask(&mut node, r#"{"type":"#), [error], "what is no message is one, too");
    assert_eq!(limited_total(&node, RateLimit::Messages), 3);
    assert!(
        node.notices
            .iter()
            .any(|notice| matches!(notice, Notice::RateLimited { limit: RateLimit::Messages, .. }))
    );
    node.advance(2_499);
    assert_eq!(client.ask(&mut node, send).len(), 1);
    node.advance(1);
    assert_eq!(client.ask(&mut node, send).len(), 2, "as it was told");
}

#[test]
fn bytes_count_as_they_are_after_inflation() {
    let bytes = MessageLimits { bytes: Rate::new(2_000), ..MessageLimits::default() };
    let mut node = Node::with(limited(1, Limits { messages: bytes, ..Limits::default() }));
    let headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut client = Client::upgrade(&mut node, 0, "/ws", headers);
    let message = format!(r#"{{"type":"ping","x":"{}"}}"#, "a".repeat(978));
    assert_eq!(message.len(), 1_000);
    let wire = client.compressed(&message);
    assert!(wire.len() < 100);
    node.receive(client.id, &wire.repeat(3));
    assert_eq!(client.types(&mut node), ["pong", "pong", "system:error"]);
    assert_eq!(limited_total(&node, RateLimit::Bytes), 1);
}

#[test]
fn relay_echo_and_pings_are_limited() {
    let mut node = Node::with(limited(1, of_messages(2)));
    let mut relay = Client::upgrade(&mut node, 0, "/ws", "Sec-WebSocket-Protocol: ringway.relay.v1\r\n");
    (0..3).for_each(|_| node.receive(relay.id, &frame(Opcode::Binary, &[1; 9])));
    let codes: Vec<_> = relay.json(&mut node).iter().map(|event| event["code"].clone()).collect();
    assert_eq!(codes, ["unauthenticated", "unauthenticated", "rate_limited"].map(Value::from));

    let mut echo = Client::upgrade(&mut node, 0, "/echo", "");
    (0..3).for_each(|_| node.receive(echo.id, &text("hello")));
    assert_eq!(echo.heard(&mut node), [Heard::Text("hello".into()), Heard::Text("hello".into())]);

    let mut client = Client::upgrade(&mut node, 0, "/ws", "");
    (0..3).for_each(|_| node.receive(client.id, &frame(Opcode::Ping, b"x")));
    assert_eq!(client.heard(&mut node), [Heard::Pong(b"x".into()), Heard::Pong(b"x".into())]);
    assert_eq!(limited_total(&node, RateLimit::Messages), 3);
}

#[test]
fn who_goes_on_and_on_is_closed() {
    let messages =
        MessageLimits { messages: Rate::new(2), refusals: Rate::new(5), ..MessageLimits::default() };
    let mut node = Node::with(limited(1, Limits { messages, ..Limits::default() }));
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    client.join(&mut node, "lobby");
    node.receive(client.id, &text(PING).repeat(20));
    let (before, code) = client.closed(&mut node);
    assert_eq!((before.len(), code), (1 + 5, Some(4429)));
    assert_eq!(node.engines[0].metrics.disconnections.get(Disconnect::RateLimited), 0, "it is still there");
    // Of what still comes little is taken.
    let kibibyte = text(&"x".repeat(1_024));
    (0..63).for_each(|_| node.receive(client.id, &kibibyte));
    assert_eq!(client.side(&node), Side::Open);
    node.receive(client.id, &kibibyte);
    assert_eq!(client.side(&node), Side::Closed);
    assert_eq!(node.engines[0].metrics.disconnections.get(Disconnect::RateLimited), 1);
    assert_eq!(limited_total(&node, RateLimit::Messages), 6);
    node.assert_empty();
}

#[test]
fn a_user_has_one_limit_on_all_shards() {
    const BURST: usize = 80;
    let mut node = Node::with(limited(4, of_user(10, BURST as u32, 4)));
    let mut clients: Vec<Client> =
        (0..8).map(|number| Client::connect(&mut node, number % 4, "ada", "acme")).collect();
    let mut others =
        [("eve", "acme"), ("ada", "other")].map(|(user, tenant)| Client::connect(&mut node, 0, user, tenant));
    let mut passed = 0;
    for _ in 0..BURST {
        for client in &mut clients {
            passed += pings(&mut node, client, 1).0;
        }
    }
    assert!((BURST..=BURST * 3 / 2).contains(&passed), "{passed}");
    for other in &mut others {
        assert_eq!(pings(&mut node, other, 50).0, 50, "other users have theirs");
    }
    // Whoever comes now hears of it, also where nobody was before.
    clients.iter().for_each(|client| node.hang_up(client.id, true));
    let mut client = Client::connect(&mut node, 1, "ada", "acme");
    let (passed, refused) = pings(&mut node, &mut client, 1);
    let refused = refused.filter(|_| passed == 0).or_else(|| pings(&mut node, &mut client, 1).1).unwrap();
    let retry_after_ms = refused["retryAfterMs"].as_u64().unwrap();
    assert!((1..=5_000).contains(&retry_after_ms), "{refused}");
    node.advance(retry_after_ms);
    assert_eq!(pings(&mut node, &mut client, 1).0, 1);
    [client, others.into_iter().next().unwrap()].iter().for_each(|client| node.hang_up(client.id, true));
}

#[test]
fn a_user_on_one_shard_gets_exactly_the_limit() {
    let mut node = Node::with(limited(3, of_user(10, 25, 3)));
    let mut client = Client::connect(&mut node, 2, "ada", "acme");
    assert_eq!(pings(&mut node, &mut client, 40).0, 25);
    for _ in 0..20 {
        node.advance(1_000);
        assert_eq!(pings(&mut node, &mut client, 40).0, 10);
    }
    node.advance(50_000);
    client.heard(&mut node);
    assert_eq!(pings(&mut node, &mut client, 40).0, 25);
    node.hang_up(client.id, true);
    node.assert_empty();
}

#[test]
fn a_tenants_limit_closes_nobody() {
    let refusals = MessageLimits { refusals: Rate::new(1), ..MessageLimits::default() };
    let limits = Limits { messages: refusals, tenant: PayerLimit::new(5, 10, 2), ..Limits::default() };
    let mut node = Node::with(limited(2, limits));
    let mut noisy = Client::connect(&mut node, 0, "ada", "acme");
    let mut quiet = Client::connect(&mut node, 1, "eve", "acme");
    let mut other = Client::connect(&mut node, 1, "ada", "other");
    let (passed, refused) = pings(&mut node, &mut noisy, 50);
    assert_eq!(passed, 10);
    assert_eq!(
        refused.unwrap()["message"],
        "this tenant's connections send more messages than they may: slow down"
    );
    pings(&mut node, &mut quiet, 50);
    assert_eq!(pings(&mut node, &mut other, 10).0, 10);
    for client in [&noisy, &quiet, &other] {
        assert!(node.sockets.contains_key(&client.id) && client.side(&node) == Side::Open);
    }
    assert!(limited_total(&node, RateLimit::TenantMessages) >= 80);
}

#[test]
fn limits_change_while_it_runs() {
    let mut node = Node::with(limited(2, Limits::default()));
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    assert_eq!(pings(&mut node, &mut client, 100).0, 100);
    let both = Limits { user: PayerLimit::new(1, 20, 2), ..of_messages(30) };
    for (limits, passed) in [(both, 20), (of_messages(30), 10), (Limits::default(), 100), (of_messages(3), 0)]
    {
        let policy = limited(2, limits).policy;
        let now = node.now;
        node.engines.iter_mut().for_each(|engine| engine.handle(Input::Reload(Arc::clone(&policy)), now));
        assert_eq!(pings(&mut node, &mut client, 100).0, passed, "{limits:?}");
    }
    node.hang_up(client.id, true);
    node.assert_empty();
}

/// A limit, the limits of a node of one shard, and somebody who is over that one, once.
type Row = (RateLimit, Limits, fn(&mut Node));

fn come_twice(node: &mut Node) {
    for _ in 0..2 {
        let id = node.accept(0);
        node.receive(id, &upgrade_request("/ws", ""));
    }
}

fn ping_twice(node: &mut Node) {
    let mut client = Client::connect(node, 0, "ada", "acme");
    assert_eq!(pings(node, &mut client, 2).0, 1);
}

fn join_twice(node: &mut Node) {
    let mut client = Client::connect(node, 0, "ada", "acme");
    client.join(node, "a");
    let heard = client.ask(node, r#"{"type":"room:join","id":1,"room":"b"}"#);
    assert_eq!(heard[0]["success"], false, "{heard:?}");
}

#[test]
fn every_limit_has_its_metric_and_its_line_in_the_log() {
    let of_address = |open, opened| {
        let address = AddressLimits { open, opened: Rate::new(opened) };
        Limits { address, ..Limits::default() }
    };
    let bytes = MessageLimits { bytes: Rate::new(20), ..MessageLimits::default() };
    let rows: [Row; 12] = [
        (RateLimit::Connections, Limits { connections_max: 1, ..Limits::default() }, come_twice),
        (RateLimit::Connections, Limits { connections_max: 1, ..Limits::default() }, |node| {
            // So many that he is not even heard.
            for _ in 0..17 {
                node.accept(0);
            }
            let now = node.now;
            assert!(!node.engines[0].welcomes(Door::Public, Ipv4Addr::LOCALHOST.into(), now));
            node.settle();
        }),
        (
            RateLimit::RoomsPerConnection,
            Limits { rooms_per_connection_max: 1, ..Limits::default() },
            join_twice,
        ),
        (RateLimit::RoomCreates, Limits { room_creates_per_ip_per_min: 1, ..Limits::default() }, join_twice),
        (RateLimit::ConnectionsPerIp, of_address(1, 0), come_twice),
        (RateLimit::ConnectsPerIp, of_address(0, 1), come_twice),
        (RateLimit::Messages, of_messages(1), ping_twice),
        (RateLimit::Bytes, Limits { messages: bytes, ..Limits::default() }, ping_twice),
        (RateLimit::UserMessages, of_user(1, 1, 1), ping_twice),
        (
            RateLimit::TenantMessages,
            Limits { tenant: PayerLimit::new(1, 1, 1), ..Limits::default() },
            ping_twice,
        ),
        (RateLimit::MessageSize, Limits::default(), |node| {
            let mut client = Client::connect(node, 0, "ada", "acme");
            client.say(node, &"x".repeat(64 * 1024 + 1));
            assert_eq!(client.close_code(node), Some(1009));
        }),
        (RateLimit::MessageSize, Limits::default(), |node| {
            let mut echo = Client::upgrade(node, 0, "/echo", "");
            node.receive(echo.id, &frame(Opcode::Binary, &vec![0; (1 << 20) + 1]));
            assert_eq!(echo.close_code(node), Some(1009));
        }),
    ];
    for label in RateLimit::ALL {
        assert!(rows.iter().any(|(limit, ..)| limit == label), "{label:?} has no row");
    }
    for (limit, limits, go_over) in rows {
        let mut node = Node::with(limited(1, limits));
        go_over(&mut node);
        for label in RateLimit::ALL {
            assert_eq!(limited_total(&node, *label), u64::from(*label == limit), "{label:?} for {limit:?}");
        }
        let lines = node.notices.iter().filter_map(|notice| {
            let Notice::RateLimited { peer, limit } = notice else { return None };
            Some((*peer, *limit))
        });
        assert_eq!(lines.collect::<Vec<_>>(), [(Ipv4Addr::LOCALHOST.into(), limit)]);
    }
}

/// The limit of what waits for a client has a metric and a line of its own.
#[test]
fn a_full_outbox_is_counted_and_said() {
    let mut node = Node::with(limited(1, Limits::default()));
    let mut clients = [(); 2].map(|()| Client::connect(&mut node, 0, "ada", "acme"));
    clients.iter_mut().for_each(|client| client.join(&mut node, "lobby"));
    let [talker, slow] = clients;
    node.flow(slow.id, Flow::Blocked);
    let send = format!(r#"{{"type":"room:send","room":"lobby","payload":"{}"}}"#, "x".repeat(50_000));
    (0..6).for_each(|_| talker.say(&mut node, &send));
    assert_eq!(node.engines[0].metrics.slow_consumers, 1);
    let lines = node.notices.iter().filter(|notice| matches!(notice, Notice::SlowConsumer { .. }));
    assert_eq!(lines.count(), 1);
}
