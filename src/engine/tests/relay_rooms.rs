//! Rooms that only relay connections have joined, which end for want of traffic, and the limit of rooms that an address
//! may create.

use std::net::IpAddr;

use super::{
    client::Client,
    harness::{Node, config, config_with, seeds, token},
    relay::{join, publish, relay},
};
use crate::{
    base::prng::Prng,
    engine::Config,
    metrics::{Protocol, RateLimit, Received, Sent},
};

const TTL_MS: u64 = 60_000;

fn node(shards: u16) -> Node {
    // Silent clients stay.
    let heartbeat_timeout_ms = 3_600_000;
    Node::with(Config { relay_room_ttl_ms: TTL_MS, heartbeat_timeout_ms, ..config(shards) })
}

/// What was heard but pings, by type; `binary` for a publication over relay.
fn heard(client: &mut Client, node: &mut Node) -> Vec<String> {
    use super::client::Heard;
    let kind = |heard| match heard {
        Heard::Text(text) => {
            let event: serde_json::Value = serde_json::from_str(&text).unwrap();
            Some(event["type"].as_str().unwrap().to_owned())
        }
        Heard::Binary(_) => Some("binary".to_owned()),
        Heard::Ping(_) => None,
        other @ (Heard::Pong(_) | Heard::Close(_)) => panic!("{other:?}"),
    };
    client.heard(node).into_iter().filter_map(kind).collect()
}

#[test]
fn an_ephemeral_room_ends_a_while_after_the_last_that_came() {
    let mut node = node(3);
    let mut members: Vec<Client> = (0..3).map(|shard| relay(&mut node, shard, "ada", "acme")).collect();
    let mut room = 0;
    for member in &mut members {
        room = join(member, &mut node, "vault");
    }
    node.advance(TTL_MS - 1_000);
    publish(&members[0], &mut node, room, b"x");
    for member in &mut members[1..] {
        assert_eq!(heard(member, &mut node), ["binary"]);
    }
    node.advance(TTL_MS - 1_000);
    assert!(members.iter_mut().all(|member| heard(member, &mut node).is_empty()));
    node.advance(2_000);
    for member in &mut members {
        assert_eq!(heard(member, &mut node), ["room:left"]);
        assert_eq!(
            member.ask(&mut node, r#"{"type":"query:rooms","id":1}"#)[0]["rooms"],
            serde_json::json!([])
        );
    }
    publish(&members[0], &mut node, room, b"x");
    assert_eq!(members[0].json(&mut node)[0]["code"], "forbidden");
    for engine in &node.engines {
        assert!(engine.home.is_empty() && engine.roster.sizes().count() == 0);
    }
    // It may be joined again, in another epoch, by the same.
    assert_eq!(join(&mut members[0], &mut node, "vault"), room);
    for member in &members {
        node.hang_up(member.id, true);
    }
    node.assert_empty();
}

#[test]
fn a_room_that_json_has_joined_stays() {
    let mut node = node(2);
    let mut ada = relay(&mut node, 0, "ada", "acme");
    let mut js = Client::connect(&mut node, 1, "js", "acme");
    join(&mut ada, &mut node, "vault");
    join(&mut js, &mut node, "vault");
    js.ask(&mut node, r#"{"type":"room:leave","room":"vault"}"#);
    node.advance(10 * TTL_MS);
    assert_eq!(heard(&mut ada, &mut node), [""; 0]);
}

#[test]
fn without_a_time_a_room_lasts_as_long_as_its_members() {
    let mut node = Node::with(Config { relay_room_ttl_ms: 0, heartbeat_timeout_ms: 86_400_000, ..config(1) });
    let mut ada = relay(&mut node, 0, "ada", "acme");
    join(&mut ada, &mut node, "vault");
    node.advance(3_600_000);
    assert_eq!(heard(&mut ada, &mut node), [""; 0]);
    node.hang_up(ada.id, true);
    node.assert_empty();
}

/// More rooms than end in one go.
#[test]
fn many_rooms_end_in_steps() {
    let rooms = 700;
    let limits = config_with(2, |policy| policy.limits.rooms_per_connection_max = rooms);
    let mut node =
        Node::with(Config { relay_room_ttl_ms: TTL_MS, heartbeat_timeout_ms: 3_600_000, ..limits });
    let mut ada = relay(&mut node, 0, "ada", "acme");
    for room in 0..rooms {
        join(&mut ada, &mut node, &format!("room-{room}"));
    }
    node.advance(TTL_MS + 2_000);
    assert_eq!(heard(&mut ada, &mut node), vec!["room:left"; rooms]);
    assert!(node.engines.iter().all(|engine| engine.home.is_empty()));
}

/// Joins, leaves, sends and ends while parcels are late: whoever is told that it is in a room gets what is sent to it
/// then, and at the end nothing is left.
#[test]
fn ends_that_cross_joins_and_leaves() {
    for seed in seeds(100) {
        let mut node = node(3);
        let mut prng = Prng::new(seed);
        let mut members: Vec<Client> =
            (0..6).map(|index| relay(&mut node, index % 3, "ada", "acme")).collect();
        for _ in 0..150 {
            let member = &members[prng.below(6) as usize];
            let message = match prng.below(3) {
                0 => r#"{"type":"room:leave","room":"vault"}"#,
                _ => r#"{"type":"room:join","room":"vault","presence":false}"#,
            };
            match prng.below(8) {
                0..=3 => node.receive_only(member.id, &super::client::text(message)),
                4 => {
                    node.step(2 * TTL_MS);
                    let now = node.now;
                    node.engines.iter_mut().for_each(|engine| engine.expire(now));
                }
                5 | 6 => node.carry(&mut prng, 1),
                _ => node.turn(prng.below(3) as u16),
            }
        }
        node.settle();
        // Who is in, by the last that it heard of the room, and by what it may do.
        let inside: Vec<bool> = members
            .iter_mut()
            .map(|member| {
                let said = member.types(&mut node);
                let last = said.iter().rev().find(|it| it.starts_with("room:"));
                let inside = last.is_some_and(|last| last == "room:joined");
                let rooms = member.ask(&mut node, r#"{"type":"query:rooms","id":1}"#)[0]["rooms"].clone();
                assert_eq!(rooms.as_array().unwrap().len(), usize::from(inside), "seed {seed}: {said:?}");
                inside
            })
            .collect();
        let mut late = relay(&mut node, 0, "late", "acme");
        let room = join(&mut late, &mut node, "vault");
        publish(&late, &mut node, room, b"x");
        for (member, inside) in members.iter_mut().zip(inside) {
            assert_eq!(heard(member, &mut node), vec!["binary"; usize::from(inside)], "seed {seed}");
        }
        for member in members.iter().chain([&late]) {
            node.hang_up(member.id, true);
        }
        node.assert_empty();
    }
}

#[test]
fn an_address_creates_so_many_rooms_in_a_minute_and_joins_any_number() {
    let mut node = Node::with(config_with(1, |policy| {
        policy.limits.room_creates_per_ip_per_min = 2;
        policy.limits.rooms_per_connection_max = 100;
    }));
    let connect = |node: &mut Node, address: &str| {
        let id = node.accept_from(0, address.parse::<IpAddr>().unwrap());
        let headers = super::http::bearer(&token("ada", "acme", None));
        node.receive(id, &super::client::upgrade_request("/ws", &headers));
        let mut client = Client::of(node, id);
        assert_eq!(client.types(node), ["connection:established"]);
        client
    };
    let mut ada = connect(&mut node, "192.0.2.1");
    let mut twin = connect(&mut node, "192.0.2.1");
    let mut other = connect(&mut node, "2001:db8::1");
    ada.join(&mut node, "a");
    twin.join(&mut node, "b");
    let ask = r#"{"type":"room:join","id":"x","room":"c"}"#;
    for client in [&mut ada, &mut twin] {
        let heard = client.ask(&mut node, ask);
        assert_eq!(heard.len(), 1, "{heard:?}");
        let error = &heard[0]["error"];
        assert_eq!((&error["code"], &error["status"]), (&"rate_limited".into(), &429.into()));
        assert_eq!(error["retryAfterMs"], 30_000);
        client.say(&mut node, r#"{"type":"room:join","room":"c"}"#);
        assert_eq!(client.json(&mut node)[0]["code"], "rate_limited");
        assert_eq!(
            client.ask(&mut node, r#"{"type":"query:rooms","id":1}"#)[0]["rooms"].as_array().unwrap().len(),
            1
        );
    }
    assert_eq!(node.engines[0].metrics.rate_limited.get(RateLimit::RoomCreates), 4);
    other.join(&mut node, "c");
    for room in ["a", "b", "c"] {
        ada.join(&mut node, room);
    }
    node.step(30_000);
    ada.join(&mut node, "d");
    assert_eq!(ada.ask(&mut node, r#"{"type":"room:join","id":1,"room":"e"}"#)[0]["success"], false);
    for client in [&ada, &twin, &other] {
        node.hang_up(client.id, true);
    }
    node.assert_empty();
}

/// Commands and answers of relay connections have their own label.
#[test]
fn relay_has_its_own_series() {
    let mut node = node(1);
    let mut ada = relay(&mut node, 0, "ada", "acme");
    let room = join(&mut ada, &mut node, "vault");
    publish(&ada, &mut node, room, b"x");
    publish(&ada, &mut node, room + 1, b"x");
    let metrics = &node.engines[0].metrics;
    let received =
        [Received::RoomJoin, Received::RoomSend].map(|it| metrics.received.get(it, Protocol::Relay));
    assert_eq!(received, [1, 2]);
    let kinds = [Sent::ConnectionEstablished, Sent::Ack, Sent::RoomJoined, Sent::SystemError];
    assert_eq!(kinds.map(|it| metrics.sent.get(it, Protocol::Relay)), [1; 4]);
    assert_eq!(kinds.map(|it| metrics.sent.get(it, Protocol::Json)), [0; 4]);
}
