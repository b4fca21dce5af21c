//! Presence as clients meet it: what they say and ask, what they are told, in what order, and at what pace.

use serde_json::{Value, json};

use super::{
    client::{Client, text},
    harness::{Node, START_UNIX_MS, config, text_of},
};
use crate::{
    engine::{Config, PresenceConfig},
    metrics::{Protocol, Sent},
};

fn join(client: &mut Client, node: &mut Node, fields: &str) {
    let heard = client.ask(node, &format!(r#"{{"type":"room:join","id":1,"room":"lobby"{fields}}}"#));
    assert_eq!((&heard[0]["success"], &heard[1]["type"]), (&Value::Bool(true), &"room:joined".into()));
    assert_eq!(heard.len(), 2, "nobody hears of himself: {heard:?}");
}

/// Two on different shards who listen in the lobby, whose home may be a third.
fn pair(node: &mut Node) -> [Client; 2] {
    let mut ada = Client::connect(node, 0, "ada", "acme");
    let mut bob = Client::connect(node, 1, "bob", "acme");
    join(&mut ada, node, "");
    join(&mut bob, node, r#","metadata":{ "at": "desk" }"#);
    [ada, bob]
}

fn info(user: &str, connections: u32, status: &str) -> Value {
    json!({"userId": user, "connections": connections, "status": status, "since": START_UNIX_MS,
        "lastSeen": START_UNIX_MS})
}

fn with_metadata(mut info: Value, metadata: Value) -> Value {
    info["metadata"] = metadata;
    info
}

#[test]
fn members_hear_who_comes_changes_and_goes() {
    let mut node = Node::new(3);
    let [mut ada, mut bob] = pair(&mut node);
    let desk = json!({"at": "desk"});
    let user = with_metadata(info("bob", 1, "online"), desk.clone());
    assert_eq!(ada.json(&mut node), [json!({"type": "presence:join", "room": "lobby", "user": user})]);
    // Another connection of somebody who is there is no news.
    let mut phone = Client::connect(&mut node, 2, "bob", "acme");
    join(&mut phone, &mut node, "");
    assert_eq!((ada.json(&mut node), bob.json(&mut node)), (vec![], vec![]));

    let heard = bob.ask(&mut node, r#"{"type":"presence:status","id":7,"status":"busy"}"#);
    assert_eq!(heard, [json!({"type": "ack", "id": 7, "success": true})]);
    let user = with_metadata(info("bob", 2, "busy"), desk);
    let update = json!({"type": "presence:update", "room": "lobby", "presence": [user]});
    assert_eq!(ada.json(&mut node), std::slice::from_ref(&update));
    assert_eq!(phone.json(&mut node), [update], "his own other connection, too");

    node.hang_up(bob.id, true);
    assert_eq!(text_of(&ada.json(&mut node)[0]["presence"][0]["status"]), "online");
    assert_eq!(phone.ask(&mut node, r#"{"type":"room:leave","room":"lobby"}"#).len(), 2);
    assert_eq!(ada.json(&mut node), [json!({"type": "presence:leave", "room": "lobby", "userId": "bob"})]);
    node.hang_up(ada.id, true);
    node.hang_up(phone.id, false);
    node.assert_empty();
}

#[test]
fn a_status_is_the_connections_and_goes_with_it_into_every_room() {
    let mut node = Node::new(3);
    let [mut ada, mut bob] = pair(&mut node);
    ada.json(&mut node);
    let heard = bob.ask(&mut node, r#"{"type":"presence:heartbeat","id":1,"status":"away"}"#);
    assert_eq!(
        (&heard[0]["success"], ada.types(&mut node)),
        (&json!(true), vec!["presence:update".to_owned()])
    );
    // And stays under a new token.
    let token = super::harness::token("bob", "acme", Some(3_600));
    bob.say(&mut node, &format!(r#"{{"type":"authenticate","token":"{token}"}}"#));
    for room in ["red", "green", "blue"] {
        ada.join(&mut node, room);
        bob.join(&mut node, room);
        let query = format!(r#"{{"type":"query:presence","id":2,"room":"{room}"}}"#);
        let presence = &ada.ask(&mut node, &query).pop().unwrap()["presence"];
        let status: Vec<_> =
            presence.as_array().unwrap().iter().map(|info| text_of(&info["status"])).collect();
        assert_eq!(status, ["online", "away"], "{room}");
    }
    // A sign of life without a status changes only when it was last seen.
    node.step(500);
    bob.say(&mut node, r#"{"type":"presence:heartbeat"}"#);
    let heard = ada.ask(&mut node, r#"{"type":"query:presence","id":2,"room":"red"}"#).pop().unwrap();
    assert_eq!(heard["presence"][1]["lastSeen"], START_UNIX_MS + 500);
    assert_eq!(heard["presence"][1]["since"], START_UNIX_MS);
}

#[test]
fn pages_go_through_a_room() {
    let mut node = Node::new(2);
    let mut clients: Vec<_> =
        (0..5).map(|user| Client::connect(&mut node, user % 2, &format!("u{user}"), "acme")).collect();
    clients.iter_mut().for_each(|client| client.join(&mut node, "lobby"));
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let query = format!(r#"{{"type":"query:presence","id":2,"room":"lobby","limit":2{after}}}"#);
        let ack = clients[0].ask(&mut node, &query).remove(0);
        seen.extend(ack["presence"].as_array().unwrap().iter().map(|info| text_of(&info["userId"])));
        match ack["next"].as_str() {
            Some(next) => after = format!(r#","after":"{next}""#),
            None => break,
        }
    }
    assert_eq!(seen, ["u0", "u1", "u2", "u3", "u4"]);
    // More than the configuration allows is cut to it.
    let presence = PresenceConfig { page_max: 3, ..config(2).presence };
    let mut node = Node::with(Config { presence, ..config(2) });
    let mut clients: Vec<_> =
        (0..5).map(|user| Client::connect(&mut node, user % 2, &format!("u{user}"), "acme")).collect();
    clients.iter_mut().for_each(|client| client.join(&mut node, "lobby"));
    for limit in ["", r#","limit":4294967295"#] {
        let query = format!(r#"{{"type":"query:presence","id":2,"room":"lobby"{limit}}}"#);
        let ack = clients[0].ask(&mut node, &query).remove(0);
        assert_eq!((ack["presence"].as_array().unwrap().len(), &ack["next"]), (3, &json!("u2")));
    }
}

#[test]
fn what_is_refused() {
    let long = "x".repeat(1_024);
    let mut node = Node::new(2);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    client.join(&mut node, "lobby");
    let rows = [
        (r#""query:presence","room":"other""#.to_owned(), "forbidden"),
        (r#""presence:status","status":"asleep""#.to_owned(), "bad_request"),
        (format!(r#""presence:status","status":"away","metadata":"{long}""#), "too_large"),
        (format!(r#""room:join","room":"lobby","metadata":"{long}""#), "too_large"),
    ];
    for (fields, code) in rows {
        let heard = client.ask(&mut node, &format!(r#"{{"id":1,"type":{fields}}}"#));
        assert_eq!((heard.len(), &heard[0]["error"]["code"]), (1, &json!(code)), "{fields}");
        let heard = client.ask(&mut node, &format!(r#"{{"type":{fields}}}"#));
        assert_eq!((heard.len(), &heard[0]["code"]), (1, &json!(code)), "{fields}");
    }
    // Without an id nobody waits for a page.
    assert_eq!(client.ask(&mut node, r#"{"type":"query:presence","room":"lobby"}"#), Vec::<Value>::new());
    // Who says it all the time; a heartbeat that says nothing new is always welcome.
    let say = |status: &str| format!(r#"{{"type":"presence:status","id":1,"status":"{status}"}}"#);
    for _ in 0..21 {
        assert_eq!(client.ask(&mut node, &say("away"))[0]["success"], true);
    }
    let refused = &client.ask(&mut node, &say("busy"))[0];
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["retryAfterMs"]),
        (&json!("rate_limited"), &json!(100))
    );
    let beat = r#"{"type":"presence:heartbeat","id":1,"status":"away"}"#;
    assert_eq!(client.ask(&mut node, beat)[0]["success"], true);
    assert_eq!(client.ask(&mut node, &beat.replace("away", "busy"))[0]["success"], false);
    node.step(100);
    assert_eq!(client.ask(&mut node, &say("busy"))[0]["success"], true);
}

#[test]
fn switched_off_nobody_asks_or_hears() {
    let presence = PresenceConfig { enabled: false, ..config(2).presence };
    let mut node = Node::with(Config { presence, ..config(2) });
    let [mut ada, mut bob] = pair(&mut node);
    assert_eq!(ada.json(&mut node), Vec::<Value>::new());
    for message in [
        r#"{"type":"query:presence","id":1,"room":"lobby"}"#,
        r#"{"type":"presence:status","id":1,"status":"away"}"#,
    ] {
        assert_eq!(bob.ask(&mut node, message)[0]["error"]["code"], "unavailable");
    }
    assert_eq!(bob.ask(&mut node, r#"{"type":"presence:heartbeat","id":1}"#)[0]["success"], true);
    node.hang_up(bob.id, true);
    assert_eq!(ada.json(&mut node), Vec::<Value>::new());
}

#[test]
fn who_does_not_want_events_gets_none_and_is_seen() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let mut deaf = Client::connect(&mut node, 1, "deaf", "acme");
    join(&mut ada, &mut node, "");
    join(&mut deaf, &mut node, r#","presence":false"#);
    assert_eq!(ada.types(&mut node), ["presence:join"]);
    node.hang_up(ada.id, true);
    assert_eq!(deaf.json(&mut node), Vec::<Value>::new());
    // Channels are rooms, and their members listen.
    let mut eve = Client::connect(&mut node, 0, "eve", "acme");
    eve.say(&mut node, r#"{"type":"subscribe","channel":"lobby"}"#);
    assert_eq!(eve.types(&mut node), ["room:joined"]);
    assert_eq!(deaf.ask(&mut node, r#"{"type":"presence:status","status":"busy"}"#), Vec::<Value>::new());
    assert_eq!(eve.types(&mut node), ["presence:update"]);
}

/// Also while messages wait for company: what was ordered first is heard first.
#[test]
fn presence_stands_in_the_rooms_order() {
    let mut node = Node::with(Config { latency_budget_us: 100_000, ..config(2) });
    node.writes_last_us = 500;
    let [mut ada, bob] = pair(&mut node);
    ada.json(&mut node);
    for number in 0..4 {
        node.step(1);
        bob.say(&mut node, &format!(r#"{{"type":"room:send","room":"lobby","payload":{number}}}"#));
    }
    assert!(ada.json(&mut node).len() < 4, "some wait");
    node.receive_only(bob.id, &text(r#"{"type":"room:send","room":"lobby","payload":"last"}"#));
    node.hang_up(bob.id, true);
    let heard = ada.json(&mut node);
    let last: Vec<_> = heard.iter().rev().take(2).map(|event| text_of(&event["type"])).collect();
    assert_eq!(last, ["presence:leave", "room:message"]);
}

/// All of a room go and come back within a second: as many frames as its pace allows, and who was back in time is not
/// mentioned. Told one by one they would be two for each pair of members.
#[test]
fn a_room_that_comes_back_is_told_at_its_pace() {
    const MEMBERS: usize = 300;
    let mut node = Node::new(2);
    let connect = |node: &mut Node, member: usize| {
        let mut client = Client::connect(node, (member % 2) as u16, &format!("user-{member:03}"), "acme");
        client.say(node, r#"{"type":"room:join","room":"lobby"}"#);
        client.heard(node);
        client
    };
    let mut clients: Vec<_> = (0..MEMBERS).map(|member| connect(&mut node, member)).collect();
    node.advance(60_000 - 1);
    let frames = |node: &Node| -> u64 {
        let presence = [Sent::PresenceJoin, Sent::PresenceLeave, Sent::PresenceUpdate];
        let sent = |sent| {
            node.engines.iter().map(|engine| engine.metrics.sent.get(sent, Protocol::Json)).sum::<u64>()
        };
        presence.into_iter().map(sent).sum()
    };
    let before = frames(&node);
    for (member, client) in clients.iter_mut().enumerate() {
        node.hang_up(client.id, true);
        node.advance(1);
        *client = connect(&mut node, member);
        node.advance(1);
    }
    node.advance(2_000);
    let told = frames(&node) - before;
    let pace = 10_000 * (2 * MEMBERS as u64 + 2_000) / 1_000;
    assert!(told > 0 && told <= pace, "{told} frames of {pace}, and not {}", 2 * MEMBERS * MEMBERS);
    let mut view: Vec<_> = Vec::new();
    let mut after = String::new();
    while let Some(ack) = Some(
        clients[0]
            .ask(&mut node, &format!(r#"{{"type":"query:presence","id":1,"room":"lobby"{after}}}"#))
            .pop()
            .unwrap(),
    ) {
        view.extend(ack["presence"].as_array().unwrap().iter().map(|info| text_of(&info["userId"])));
        match ack["next"].as_str() {
            Some(next) => after = format!(r#","after":"{next}""#),
            None => break,
        }
    }
    assert_eq!(view, (0..MEMBERS).map(|member| format!("user-{member:03}")).collect::<Vec<_>>());
}
