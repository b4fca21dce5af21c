//! Connections per address and of the node: who may come in, who is told to wait, and who is closed unheard.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    client::{Client, text, upgrade_request},
    harness::{Node, Side, config_with, limited, token},
};
use crate::{
    base::{ConnId, Prng, Rate},
    conn::MessageLimits,
    engine::Limits,
    http::route::Door,
    hub::{AddressLimits, PayerLimit},
    metrics::{RateLimit, Reject},
};

fn of_address(open: u32, opened: u32) -> Limits {
    Limits { address: AddressLimits { open, opened: Rate::new(opened) }, ..Limits::default() }
}

fn peer(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

fn ask(node: &mut Node, shard: u16, peer: IpAddr) -> ConnId {
    let id = node.accept_from(shard, peer);
    node.receive_only(id, &upgrade_request("/ws", &authorization()));
    id
}

fn authorization() -> String {
    format!("Authorization: Bearer {}\r\n", token("ada", "acme", None))
}

/// The status line and the time to wait, if the answer has one.
fn answer(node: &mut Node, id: ConnId) -> (u16, Option<String>) {
    let head = String::from_utf8_lossy(&node.take(id)).into_owned();
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let wait = head.lines().find_map(|line| line.strip_prefix("Retry-After: "));
    (status, wait.map(str::to_owned))
}

fn upgrade(node: &mut Node, shard: u16, peer: IpAddr) -> (ConnId, u16) {
    let id = ask(node, shard, peer);
    node.settle();
    (id, answer(node, id).0)
}

fn total(node: &Node, reject: Reject) -> u64 {
    node.engines.iter().map(|engine| engine.metrics.rejected.get(reject)).sum()
}

#[test]
fn an_address_has_so_many_connections_on_all_shards_together() {
    let mut node = Node::with(limited(4, of_address(3, 0)));
    let inside: Vec<ConnId> = (0..3).map(|shard| upgrade(&mut node, shard, peer(1)).0).collect();
    for shard in 0..4 {
        let id = ask(&mut node, shard, peer(1));
        node.settle();
        assert_eq!(answer(&mut node, id), (429, Some("15".into())), "shard {shard}");
        assert_eq!(node.side(id), Side::Open, "a refused request keeps its connection");
        assert_eq!(upgrade(&mut node, shard, peer(2 + shard as u8)).1, 101, "other addresses");
        node.hang_up(id, true);
    }
    assert_eq!(total(&node, Reject::ConnectionsPerIp), 4);
    let limited: u64 =
        node.engines.iter().map(|engine| engine.metrics.rate_limited.get(RateLimit::ConnectionsPerIp)).sum();
    assert_eq!(limited, 4);
    node.hang_up(inside[1], true);
    assert_eq!([0, 1].map(|shard| upgrade(&mut node, shard, peer(1)).1), [101, 429]);
}

#[test]
fn an_ipv6_subscriber_is_one_address() {
    let mut node = Node::with(limited(2, of_address(1, 0)));
    let of =
        |subscriber: u16, host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, subscriber, 0, 0, 0, host));
    let answers = [(1, 1), (1, 2), (2, 1)].map(|(one, two)| upgrade(&mut node, 0, of(one, two)).1);
    assert_eq!(answers, [101, 429, 101]);
}

#[test]
fn an_address_opens_so_many_in_a_minute() {
    let mut node = Node::with(limited(2, of_address(0, 3)));
    for number in 0..3 {
        let (id, status) = upgrade(&mut node, number % 2, peer(1));
        assert_eq!(status, 101);
        node.hang_up(id, true);
    }
    let id = ask(&mut node, 1, peer(1));
    node.settle();
    assert_eq!(answer(&mut node, id), (429, Some("60".into())));
    node.advance(20_000);
    assert_eq!([0, 1].map(|shard| upgrade(&mut node, shard, peer(1)).1), [101, 429]);
    assert_eq!(total(&node, Reject::ConnectsPerIp), 2);
}

#[test]
fn what_came_behind_an_upgrade_waits_with_it() {
    let mut node = Node::with(limited(4, of_address(3, 0)));
    for shard in 0..4 {
        let id = node.accept_from(shard, peer(shard as u8));
        let mut bytes = upgrade_request("/ws", &authorization());
        bytes.extend(text(r#"{"type":"ping"}"#));
        let split = bytes.len() - 5;
        node.receive_only(id, &bytes[..split]);
        node.receive(id, &bytes[split..]);
        let mut client = Client::of(&mut node, id);
        assert_eq!(client.types(&mut node), ["connection:established", "pong"]);
        node.hang_up(id, true);
    }
    node.assert_empty();
}

#[test]
fn a_request_that_was_refused_does_not_hide_the_next() {
    let mut node = Node::with(limited(2, of_address(1, 0)));
    let (inside, _) = upgrade(&mut node, 0, peer(1));
    let id = node.accept_from(1, peer(1));
    let requests = [upgrade_request("/ws", ""), b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()].concat();
    node.receive(id, &requests);
    let heard = node.take_text(id);
    assert!(heard.starts_with("HTTP/1.1 429 ") && heard.contains("HTTP/1.1 200 OK"), "{heard}");
    node.hang_up(inside, true);
    node.receive(id, &upgrade_request("/ws", ""));
    assert_eq!(answer(&mut node, id).0, 101, "on the same connection");
}

#[test]
fn behind_a_proxy_clients_are_counted_and_the_proxy_is_not() {
    let mut node = Node::with(config_with(2, |policy| {
        policy.limits = of_address(1, 0);
        policy.proxies.trusted = ["10.0.0.0/8".parse().unwrap()].into();
    }));
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let held: Vec<ConnId> = (0..6).map(|number| node.accept_from(number % 2, proxy)).collect();
    let mut upgrade = |id: ConnId, client: &str| {
        let headers = format!("X-Forwarded-For: {client}\r\n{}", authorization());
        node.receive(id, &upgrade_request("/ws", &headers));
        let peer = node.engine(id).conns.get(id.slot, id.generation).unwrap().peer;
        (answer(&mut node, id).0, peer)
    };
    assert_eq!(upgrade(held[0], "192.0.2.1"), (101, peer(1)));
    assert_eq!(upgrade(held[1], "192.0.2.2"), (101, peer(2)));
    assert_eq!(upgrade(held[2], "192.0.2.1"), (429, proxy), "refused, and so it is the proxy's");
    assert_eq!(upgrade(held[2], "192.0.2.3"), (101, peer(3)), "another client on the same connection");
    assert_eq!(upgrade(held[3], "192.0.2.3").0, 429);
    assert_eq!([held[4], held[5]].map(|id| upgrade(id, "").0), [101; 2], "the proxy's own");
    for id in held {
        node.hang_up(id, true);
    }
    node.settle();
    assert!(node.engines.iter().all(|engine| engine.admission.is_empty()));
}

#[test]
fn who_is_gone_before_the_answer_takes_no_place() {
    for seed in super::harness::seeds(64) {
        let mut prng = Prng::new(seed);
        let mut node = Node::with(limited(3, of_address(2, 0)));
        let mut open: Vec<ConnId> = Vec::new();
        for _ in 0..60 {
            match prng.below(4) {
                0 | 1 => open.push(ask(&mut node, prng.below(3) as u16, peer(prng.below(3) as u8))),
                2 if !open.is_empty() => {
                    let id = open.swap_remove(prng.below(open.len() as u64) as usize);
                    node.hang_up_only(id, prng.below(2) == 0);
                }
                _ => {
                    (0..3).for_each(|shard| node.turn(shard));
                    let lanes: Vec<_> = node.lanes.keys().copied().collect();
                    if !lanes.is_empty() {
                        node.deliver(lanes[prng.below(lanes.len() as u64) as usize]);
                    }
                }
            }
        }
        node.settle();
        let ids: Vec<ConnId> = node.sockets.keys().copied().collect();
        ids.into_iter().for_each(|id| node.hang_up(id, true));
        node.assert_empty();
        // All places are free again.
        for number in 0..3 {
            let answers = [0, 1, 2].map(|shard| upgrade(&mut node, shard, peer(number)).1);
            assert_eq!(answers, [101, 101, 429], "seed {seed}");
        }
    }
}

#[test]
fn an_address_that_is_far_over_is_closed_unheard() {
    let mut node = Node::with(limited(1, of_address(2, 0)));
    let now = node.now;
    for _ in 0..4 {
        assert!(node.engines[0].welcomes(Door::Public, peer(1), now));
        node.accept_from(0, peer(1));
    }
    assert!(!node.engines[0].welcomes(Door::Public, peer(1), now), "connections that say nothing count, too");
    assert!(node.engines[0].welcomes(Door::Public, peer(2), now));
    assert_eq!(total(&node, Reject::ConnectionsPerIp), 1);
}

#[test]
fn an_address_whose_connections_are_closed_for_their_rate_is_closed_unheard() {
    let messages =
        MessageLimits { messages: Rate::new(1), refusals: Rate::new(1), ..MessageLimits::default() };
    let mut node = Node::with(limited(1, Limits { messages, ..of_address(50, 0) }));
    let flood = text(r#"{"type":"ping"}"#).repeat(3);
    for _ in 0..16 {
        let (id, status) = upgrade(&mut node, 0, peer(1));
        assert_eq!(status, 101);
        node.receive(id, &flood);
    }
    let now = node.now;
    assert!(!node.engines[0].welcomes(Door::Public, peer(1), now));
    assert!(node.engines[0].welcomes(Door::Public, peer(2), now));
    // It is forgotten in time.
    node.advance(3_750);
    let now = node.now;
    assert!(node.engines[0].welcomes(Door::Public, peer(1), now));
}

/// A proxy's connections are not closed for what its clients do.
#[test]
fn a_client_of_a_proxy_whose_connections_are_closed_for_their_rate_is_told_to_wait() {
    let messages =
        MessageLimits { messages: Rate::new(1), refusals: Rate::new(1), ..MessageLimits::default() };
    let limits = Limits { messages, ..of_address(50, 0) };
    let mut node = Node::with(config_with(1, |policy| {
        policy.limits = limits;
        policy.proxies.trusted = ["10.0.0.0/8".parse().unwrap()].into();
    }));
    let upgrade = |node: &mut Node, client: &str| {
        let id = node.accept_from(0, Ipv4Addr::new(10, 0, 0, 1).into());
        let headers = format!("X-Forwarded-For: {client}\r\n{}", authorization());
        node.receive_only(id, &upgrade_request("/ws", &headers));
        node.settle();
        (id, answer(node, id))
    };
    let flood = text(r#"{"type":"ping"}"#).repeat(3);
    for _ in 0..16 {
        let (id, (status, _)) = upgrade(&mut node, "192.0.2.9");
        assert_eq!(status, 101);
        node.receive(id, &flood);
    }
    assert_eq!(upgrade(&mut node, "192.0.2.9").1, (429, Some("5".into())));
    assert_eq!(upgrade(&mut node, "192.0.2.10").1.0, 101);
    assert_eq!(total(&node, Reject::ConnectsPerIp), 1);
}

/// A user's limit is used up from everywhere: no address is to blame.
#[test]
fn an_address_is_not_shut_out_for_a_users_limit() {
    let messages = MessageLimits { refusals: Rate::new(1), ..MessageLimits::default() };
    let limits = Limits { messages, user: PayerLimit::new(1, 1, 1), ..of_address(50, 0) };
    let mut node = Node::with(limited(1, limits));
    let flood = text(r#"{"type":"ping"}"#).repeat(9);
    for _ in 0..20 {
        let (id, status) = upgrade(&mut node, 0, peer(1));
        assert_eq!(status, 101);
        node.receive(id, &flood);
        assert!(node.take(id).windows(2).any(|code| code == 4429_u16.to_be_bytes()));
    }
    let now = node.now;
    assert!(node.engines[0].welcomes(Door::Public, peer(1), now));
}

#[test]
fn a_full_node_leaves_room_for_probes_and_for_no_crowd() {
    let mut node = Node::with(limited(1, Limits { connections_max: 32, ..Limits::default() }));
    let mut let_in = 0;
    while node.engines[0].welcomes(Door::Public, peer(1), node.now) {
        node.accept_from(0, peer(1));
        let_in += 1;
    }
    assert_eq!(let_in, 32 + 2 + 16);
    assert_eq!(total(&node, Reject::Capacity), 1);
    let id = *node.sockets.keys().next().unwrap();
    node.receive(id, b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
    let heard = node.take_text(id);
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.contains("Connection: close\r\n"), "{heard}");
    assert_ne!(node.side(id), Side::Open, "who is not inside is not kept");
    node.hang_up(id, true);
    assert!(node.engines[0].welcomes(Door::Public, peer(1), node.now));
}
