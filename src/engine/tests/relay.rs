//! Relay v1 beside JSON v1 in the same rooms: what each hears of the other, what is refused, and that a payload is
//! nowhere but in the frames of its members.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    client::{Client, Heard, frame},
    harness::{Node, admin_token, token},
    isolation::TENANTS,
    people::TWINS,
};
use crate::{
    base::{ConnId, prng::Prng},
    metrics::{Protocol, Received, Sent},
    ws::Opcode,
};

/// A greeted relay connection.
pub(super) fn relay(node: &mut Node, shard: u16, user: &str, tenant: &str) -> Client {
    let token = token(user, tenant, None);
    let headers = format!("Sec-WebSocket-Protocol: ringway.relay.v1, ringway.bearer.{token}\r\n");
    let mut client = Client::upgrade(node, shard, "/ws", &headers);
    assert_eq!(client.protocol(), Some("ringway.relay.v1"));
    assert_eq!(client.types(node), ["connection:established"]);
    client
}

/// Joins, and answers the room's id.
pub(super) fn join(client: &mut Client, node: &mut Node, room: &str) -> u64 {
    let heard =
        client.ask(node, &format!(r#"{{"type":"room:join","id":1,"room":"{room}","presence":false}}"#));
    assert_eq!(heard[0]["success"], true, "{heard:?}");
    heard[0]["roomId"].as_str().unwrap().parse().unwrap()
}

fn publication(room: u64, payload: &[u8]) -> Vec<u8> {
    [&[1], &room.to_le_bytes()[..], payload].concat()
}

pub(super) fn publish(client: &Client, node: &mut Node, room: u64, payload: &[u8]) {
    node.receive(client.id, &frame(Opcode::Binary, &publication(room, payload)));
}

/// What a member gets over relay.
fn relayed(node: &Node, room: u64, sender: ConnId, payload: &[u8]) -> Heard {
    let public = sender.public(node.engines[0].config.node);
    let mut id = u128::from_str_radix(&public, 16).unwrap() & u128::from(u64::MAX);
    id ^= u128::from_str_radix(&public[..8], 16).unwrap();
    Heard::Binary([&[2], &room.to_le_bytes()[..], &(id as u64).to_be_bytes(), payload].concat())
}

/// A room's id is a hash, and two rooms of a tenant may have one: a relay connection, which names rooms by it, can be in
/// one of them. Whoever names rooms in full can be in both, and gets from each what is sent there.
#[test]
fn of_two_rooms_with_one_id_a_relay_connection_is_in_one() {
    for (tenant, twins) in TENANTS.into_iter().zip(TWINS) {
        let mut node = Node::new(3);
        let mut relays = twins.map(|_| relay(&mut node, 0, "ada", tenant));
        let ids = [0, 1].map(|place| join(&mut relays[place], &mut node, twins[place]));
        assert_eq!(ids[0], ids[1]);
        let mut both = Client::connect(&mut node, 1, "bob", tenant);
        twins.iter().for_each(|room| both.join(&mut node, room));
        for place in [0, 1] {
            let other = format!(r#"{{"type":"room:join","id":1,"room":"{}"}}"#, twins[1 - place]);
            assert_eq!(relays[place].ask(&mut node, &other)[0]["error"]["code"], "conflict");
            publish(&relays[place], &mut node, ids[0], b"x");
            assert_eq!(both.json(&mut node)[0]["room"], twins[place]);
        }
        assert!(relays.iter_mut().all(|relay| relay.heard(&mut node).is_empty()), "nothing crosses");
        // Out of the one, it may go into the other.
        let leave = format!(r#"{{"type":"room:leave","room":"{}"}}"#, twins[0]);
        assert_eq!(relays[0].ask(&mut node, &leave)[0]["type"], "room:left");
        assert_eq!(join(&mut relays[0], &mut node, twins[1]), ids[1]);
    }
}

#[test]
fn opaque_bytes_reach_every_member_in_its_own_dialect() {
    let mut node = Node::new(3);
    let mut members: Vec<Client> =
        (0..6).map(|index| relay(&mut node, index % 3, &format!("r{index}"), "acme")).collect();
    let mut json: Vec<Client> = (0..3).map(|shard| Client::connect(&mut node, shard, "js", "acme")).collect();
    let room = join(&mut members[0], &mut node, "vault");
    for client in members[1..].iter_mut().chain(&mut json) {
        assert_eq!(join(client, &mut node, "vault"), room, "the same for all");
    }
    for payload in [&b"\0\x01\xff\xfe"[..], b"", b"{\"not\":\"parsed", &[0x80; 40_000]] {
        publish(&members[4], &mut node, room, payload);
        let expected = relayed(&node, room, members[4].id, payload);
        for (index, member) in members.iter_mut().enumerate() {
            let heard = member.heard(&mut node);
            assert_eq!(heard, if index == 4 { vec![] } else { vec![expected.clone()] }, "{index}");
        }
        for client in &mut json {
            let heard = client.json(&mut node);
            assert_eq!(heard.len(), 1);
            let message = &heard[0];
            assert_eq!((&message["type"], &message["from"]), (&"room:message".into(), &"r4".into()));
            assert_eq!(message["room"], "vault");
            assert!(message.get("payload").is_none() && message["id"].is_string(), "{message}");
            assert_eq!(STANDARD.decode(message["binary"].as_str().unwrap()).unwrap(), payload);
        }
    }
    // A JSON value is its own text, byte for byte.
    json[0].say(&mut node, r#"{"type":"room:send","room":"vault","payload":{ "a" : 1.0e0 },"echo":true}"#);
    let expected = relayed(&node, room, json[0].id, br#"{ "a" : 1.0e0 }"#);
    for member in &mut members {
        assert_eq!(member.heard(&mut node), std::slice::from_ref(&expected));
    }
    for client in &mut json {
        assert_eq!(client.json(&mut node)[0]["payload"]["a"], 1.0);
    }
    // And relay connections may send JSON, as everything else of JSON v1.
    members[0].say(&mut node, r#"{"type":"room:send","room":"vault","payload":7}"#);
    let expected = relayed(&node, room, members[0].id, b"7");
    assert_eq!(members[1].heard(&mut node), [expected]);
    assert_eq!(json[1].json(&mut node)[0]["payload"], 7);
    let sent: u64 =
        node.engines.iter().map(|it| it.metrics.sent.get(Sent::RoomMessage, Protocol::Relay)).sum();
    let received: u64 =
        node.engines.iter().map(|it| it.metrics.received.get(Received::RoomSend, Protocol::Relay)).sum();
    assert_eq!((sent, received), (4 * 5 + 6 + 5, 5));
}

#[test]
fn subprotocols_are_taken_in_the_clients_order_and_relay_is_not_compressed() {
    let mut node = Node::new(1);
    for (offers, chosen, deflates) in [
        ("ringway.relay.v1", Some("ringway.relay.v1"), false),
        ("ringway.relay.v1, ringway.json.v1", Some("ringway.relay.v1"), false),
        ("ringway.json.v1, ringway.relay.v1", Some("ringway.json.v1"), true),
        ("ringway.RELAY.v1", None, true),
    ] {
        let headers = format!(
            "Sec-WebSocket-Protocol: {offers}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
             Authorization: Bearer {}\r\n",
            token("ada", "acme", None)
        );
        let mut client = Client::upgrade(&mut node, 0, "/ws", &headers);
        assert_eq!((client.protocol(), client.deflates()), (chosen, deflates), "{offers}");
        assert_eq!(client.types(&mut node), ["connection:established"]);
    }
}

#[test]
fn what_is_no_publication_is_refused_and_the_connection_goes_on() {
    let mut node = Node::new(2);
    let mut ada = relay(&mut node, 0, "ada", "acme");
    let mut bob = relay(&mut node, 1, "bob", "acme");
    let mut eve = relay(&mut node, 1, "eve", "other");
    let room = join(&mut ada, &mut node, "vault");
    join(&mut bob, &mut node, "vault");
    let theirs = join(&mut eve, &mut node, "vault");
    assert_ne!(room, theirs);
    let elsewhere = join(&mut bob, &mut node, "elsewhere");
    let whole = publication(room, b"x");
    let rows = [
        (vec![], "bad_request"),
        (whole[..1].to_vec(), "bad_request"),
        (whole[..8].to_vec(), "bad_request"),
        ([&[2], &whole[1..]].concat(), "unknown_type"),
        (b"{}".to_vec(), "unknown_type"),
        (publication(theirs, b"x"), "forbidden"),
        (publication(elsewhere, b"x"), "forbidden"),
        (publication(0, b"x"), "forbidden"),
    ];
    for (message, code) in rows {
        node.receive(ada.id, &frame(Opcode::Binary, &message));
        let heard = ada.json(&mut node);
        assert_eq!(heard.len(), 1, "{message:?}");
        assert_eq!(
            (&heard[0]["type"], &heard[0]["code"]),
            (&"system:error".into(), &code.into()),
            "{message:?}"
        );
    }
    assert!(bob.heard(&mut node).is_empty() && eve.heard(&mut node).is_empty());
    // Cut into fragments it is one message.
    let mut cut = frame(Opcode::Binary, &whole[..4]);
    cut[0] &= 0x7f;
    cut.extend(frame(Opcode::Continuation, &whole[4..]));
    node.receive(ada.id, &cut);
    assert_eq!(bob.heard(&mut node), [relayed(&node, room, ada.id, b"x")]);
    // Who has left may not send.
    ada.ask(&mut node, r#"{"type":"room:leave","room":"vault"}"#);
    node.receive(ada.id, &frame(Opcode::Binary, &whole));
    assert_eq!(ada.json(&mut node)[0]["code"], "forbidden");
}

#[test]
fn binary_is_for_relay_connections_that_have_an_identity() {
    let mut node = Node::new(1);
    let mut stranger = Client::upgrade(&mut node, 0, "/ws", "Sec-WebSocket-Protocol: ringway.relay.v1\r\n");
    node.receive(stranger.id, &frame(Opcode::Binary, &publication(1, b"x")));
    assert_eq!(stranger.json(&mut node)[0]["code"], "unauthenticated");
    let token = token("ada", "acme", None);
    let heard = stranger.ask(&mut node, &format!(r#"{{"type":"authenticate","id":1,"token":"{token}"}}"#));
    assert_eq!(heard[0]["success"], true);
    let room = join(&mut stranger, &mut node, "vault");
    let mut json = Client::connect(&mut node, 0, "bob", "acme");
    join(&mut json, &mut node, "vault");
    publish(&stranger, &mut node, room, b"x");
    assert_eq!(json.json(&mut node)[0]["binary"], "eA==");
    node.receive(json.id, &frame(Opcode::Binary, &publication(room, b"x")));
    assert_eq!(json.close_code(&mut node), Some(1003));
}

/// Members of both dialects, on three shards, hear one order, whoever sent and in whatever batches it came.
#[test]
fn one_order_in_both_dialects() {
    for seed in super::harness::seeds(50) {
        let mut node = Node::new(3);
        let mut prng = Prng::new(seed);
        let mut clients: Vec<(Client, bool)> = Vec::new();
        let mut room = 0;
        for index in 0..9 {
            let (shard, is_relay) = (index % 3, prng.below(2) == 0);
            let user = format!("u{index}");
            let mut client = if is_relay {
                relay(&mut node, shard, &user, "acme")
            } else {
                Client::connect(&mut node, shard, &user, "acme")
            };
            room = join(&mut client, &mut node, "mixed");
            clients.push((client, is_relay));
        }
        let mut sent: Vec<(usize, String)> = Vec::new();
        for number in 0..60 {
            let sender = prng.below(9) as usize;
            let (client, is_relay) = &clients[sender];
            let text = format!("[{number}]");
            let bytes = if *is_relay && prng.below(4) > 0 {
                frame(Opcode::Binary, &publication(room, text.as_bytes()))
            } else {
                super::client::text(&format!(r#"{{"type":"room:send","room":"mixed","payload":{text}}}"#))
            };
            node.receive_only(client.id, &bytes);
            sent.push((sender, text));
            if prng.below(4) == 0 {
                let shard = prng.below(3) as u16;
                node.turn(shard);
            }
        }
        node.settle();
        let orders: Vec<Vec<String>> =
            clients.iter_mut().map(|(client, _)| payloads(client.heard(&mut node))).collect();
        // What each heard is the same order without its own.
        let mut whole: Vec<String> = Vec::new();
        for text in orders.iter().flatten() {
            if !whole.contains(text) {
                whole.push(text.clone());
            }
        }
        for (index, order) in orders.iter().enumerate() {
            let own = |text: &String| sent.iter().any(|(sender, other)| *sender == index && other == text);
            assert_eq!(
                order.len(),
                sent.iter().filter(|(sender, _)| *sender != index).count(),
                "seed {seed}"
            );
            assert!(!order.iter().any(own), "seed {seed}: its own");
        }
        for one in &orders {
            for two in &orders {
                let common = |order: &Vec<String>, other: &Vec<String>| -> Vec<String> {
                    order.iter().filter(|text| other.contains(text)).cloned().collect()
                };
                assert_eq!(common(one, two), common(two, one), "seed {seed}");
            }
        }
    }
}

fn payloads(heard: Vec<Heard>) -> Vec<String> {
    let text = |heard| match heard {
        Heard::Binary(bytes) => String::from_utf8(bytes[17..].to_vec()).unwrap(),
        Heard::Text(text) => {
            let message: Value = serde_json::from_str(&text).unwrap();
            match message["binary"].as_str() {
                Some(binary) => String::from_utf8(STANDARD.decode(binary).unwrap()).unwrap(),
                None => message["payload"].to_string(),
            }
        }
        other @ (Heard::Ping(_) | Heard::Pong(_) | Heard::Close(_)) => panic!("{other:?}"),
    };
    heard.into_iter().map(text).collect()
}

/// Everything but its members' frames, while a marked payload goes through a room, into refusals and into a full
/// outbox: parcels and notices as they would be printed, pages, metrics, errors, and what the engine keeps.
#[test]
fn a_payload_shows_nowhere() {
    const MARK: &[u8] = b"MARK-5d41402abc4b2a76-MARK";
    let mut node = Node::new(2);
    let mut ada = relay(&mut node, 0, "ada", "acme");
    let mut bob = relay(&mut node, 1, "bob", "acme");
    let mut json = Client::connect(&mut node, 1, "js", "acme");
    let room = join(&mut ada, &mut node, "vault");
    join(&mut bob, &mut node, "vault");
    join(&mut json, &mut node, "vault");

    let mut printed = String::new();
    // On its way, in every parcel.
    node.receive_only(ada.id, &frame(Opcode::Binary, &publication(room, MARK)));
    for shard in [0, 1, 0, 1] {
        node.turn(shard);
        for parcels in node.lanes.values() {
            printed += &format!("{parcels:?}");
        }
        printed += &format!("{:?}{:?}", node.engines[1].held, node.engines[0].held);
        let lanes: Vec<_> = node.lanes.keys().copied().collect();
        lanes.into_iter().for_each(|lane| while node.deliver(lane) {});
    }
    node.settle();
    assert_eq!(bob.heard(&mut node), [relayed(&node, room, ada.id, MARK)]);
    assert_eq!(json.json(&mut node).len(), 1);
    // Refused in every way.
    for message in [MARK.to_vec(), publication(room + 1, MARK), [&[1], &MARK[..7]].concat()] {
        node.receive(ada.id, &frame(Opcode::Binary, &message));
    }
    for error in ada.json(&mut node) {
        printed += &error.to_string();
    }
    let mut stranger = Client::upgrade(&mut node, 0, "/ws", "Sec-WebSocket-Protocol: ringway.relay.v1\r\n");
    node.receive(stranger.id, &frame(Opcode::Binary, &publication(room, MARK)));
    printed += &format!("{:?}", stranger.json(&mut node));
    json.say(&mut node, r#"{"type":"room:send","id":2,"room":"vault","payload":1}"#);
    // As a decoded command.
    printed += &format!("{:?}", crate::dialect::relay::decode(&publication(room, MARK)));
    // Pages, and whoever comes later.
    for path in ["/health", "/metrics", "/stats", "/api/v1/connections/health", "/api/metrics/websocket"] {
        let id = node.accept(0);
        let bearer = super::http::bearer(&admin_token());
        node.receive(id, format!("GET {path} HTTP/1.1\r\nHost: h\r\n{bearer}\r\n").as_bytes());
        printed += &node.take_text(id);
    }
    let mut late = Client::connect(&mut node, 0, "late", "acme");
    let calls = [
        r#"{"type":"room:join","id":1,"room":"vault","since":{"offset":0,"epoch":"0000000000000000"}}"#,
        r#"{"type":"room:history","id":2,"room":"vault"}"#,
    ];
    for call in calls {
        printed += &format!("{:?}", late.ask(&mut node, call));
    }
    printed += &format!("{:?}", node.notices);
    for engine in &node.engines {
        printed += &format!("{:?}{:?}{:?}", engine.home, engine.roster, engine.metrics);
    }

    let hex: String = MARK.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{MARK:?}").trim_matches(['[', ']']).to_owned();
    let text = String::from_utf8(MARK.to_vec()).unwrap();
    // In base64 at each of the three places that it can have in a group.
    let coded = (0..3).map(|shift| {
        let coded = STANDARD.encode([&vec![0; shift], MARK].concat());
        coded[4..coded.len() - 4].to_owned()
    });
    for needle in [text[5..20].to_owned(), hex, list].into_iter().chain(coded) {
        assert!(!printed.contains(&needle), "{needle} in {printed}");
    }
    for expected in ["Opaque(26 bytes)", "system:error", "websocket_sent_bytes_total", "\"largest\""] {
        assert!(printed.contains(expected), "{expected} was looked at");
    }
}
