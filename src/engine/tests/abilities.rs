//! Who may do what in which rooms: every action in every dialect, refreshes and new rules while rooms are joined, and the
//! backend, whom no rule binds.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    api::{ask, post, with_key},
    client::{Client, frame, text},
    harness::{Node, config, token_as},
};
use crate::{
    auth::{Abilities, AbilityPattern, Role, Rule},
    engine::{Config, Input, Policy},
    model::{Actions, Scope},
    ws::Opcode,
};

/// Rules as `role`, `actions` and one pattern.
fn rules(rules: &[(&str, &str, &str)]) -> Abilities {
    let rule = |(role, actions, room): &(&str, &str, &str)| Rule {
        role: Role::parse(role).unwrap(),
        actions: actions
            .split(' ')
            .map(|name| Actions::parse(name).unwrap())
            .fold(Actions::NONE, Actions::and),
        rooms: vec![AbilityPattern::parse(room).unwrap()],
    };
    Abilities::new(rules.iter().map(rule).collect())
}

fn with_rules(config: Config, list: &[(&str, &str, &str)]) -> Config {
    let policy = Policy { abilities: rules(list), ..(*config.policy).clone() };
    Config { policy: Arc::new(policy), ..config }
}

fn node(shards: u16, list: &[(&str, &str, &str)]) -> Node {
    Node::with(with_rules(config(shards), list))
}

/// New rules on every shard.
fn reload(node: &mut Node, list: &[(&str, &str, &str)]) {
    let policy = Arc::new(Policy { abilities: rules(list), ..(*node.engines[0].config.policy).clone() });
    for engine in &mut node.engines {
        engine.handle(Input::Reload(Arc::clone(&policy)), node.now);
    }
    node.settle();
}

/// A greeted client of the tenant `acme`.
fn client(node: &mut Node, shard: u16, user: &str, roles: &[&str], abilities: &[&str]) -> Client {
    let mut client = Client::with_token(node, shard, &token_as(user, "acme", roles, abilities));
    assert_eq!(client.types(node), ["connection:established"]);
    client
}

fn relay(node: &mut Node, user: &str, roles: &[&str]) -> Client {
    let token = token_as(user, "acme", roles, &[]);
    let headers = format!("Sec-WebSocket-Protocol: ringway.relay.v1, ringway.bearer.{token}\r\n");
    let mut client = Client::upgrade(node, 0, "/ws", &headers);
    assert_eq!(client.types(node), ["connection:established"]);
    client
}

/// The ack of a call: `ok` or the error's code.
fn answer(client: &mut Client, node: &mut Node, message: &str) -> String {
    let heard = client.ask(node, message);
    let ack =
        heard.iter().find(|event| event["type"] == "ack").unwrap_or_else(|| panic!("{message}: {heard:?}"));
    ack["error"]["code"].as_str().unwrap_or("ok").to_owned()
}

const SEND: &str = r#"{"type":"room:send","id":1,"room":"project.1","payload":1}"#;
const JOIN: &str = r#"{"type":"room:join","id":1,"room":"project.1"}"#;
const PRESENCE: &str = r#"{"type":"query:presence","id":1,"room":"project.1"}"#;
const HISTORY: &str = r#"{"type":"room:history","id":1,"room":"project.1"}"#;

#[test]
fn every_action_is_asked_for() {
    let list = [
        ("*", "join", "project.1"),
        ("*", "join history", "dashboard.{user_id}"),
        ("sender", "send", "project.*"),
        ("watcher", "presence", "project.*"),
        ("reader", "history", "**"),
        ("asker", "request", "user:{anybody}"),
        ("owner", "*", "**"),
    ];
    let outsider = ["join:other.1", "*:secret.{user_id}"];
    let rows: &[(&[&str], &[&str], &str, &str)] = &[
        (&[], &[], JOIN, "ok"),
        (&[], &[], SEND, "forbidden"),
        (&["sender"], &[], SEND, "ok"),
        (&["watcher", "reader"], &[], SEND, "forbidden"),
        (&["owner"], &[], SEND, "ok"),
        (&[], &["send:project.1"], SEND, "ok"),
        (&[], &["send:project.2"], SEND, "forbidden"),
        (&[], &[], PRESENCE, "forbidden"),
        (&["watcher"], &[], PRESENCE, "ok"),
        (&["sender"], &[], HISTORY, "forbidden"),
        (&["reader"], &[], HISTORY, "ok"),
        (&["reader"], &[], r#"{"type":"room:join","id":1,"room":"project.2"}"#, "forbidden"),
        (&["owner"], &[], r#"{"type":"room:join","id":1,"room":"project.2"}"#, "ok"),
        (&[], &[], r#"{"type":"subscribe","id":1,"channel":"dashboard"}"#, "ok"),
        (&[], &[], r#"{"type":"subscribe","id":1,"channel":"dashboard.ada"}"#, "ok"),
        (&[], &[], r#"{"type":"subscribe","id":1,"channel":"dashboard.bob"}"#, "forbidden"),
        (&[], &[], r#"{"type":"subscribe","id":1,"channel":"metrics"}"#, "forbidden"),
        (&[], &outsider, r#"{"type":"room:join","id":1,"room":"other.1"}"#, "ok"),
        (&[], &outsider, r#"{"type":"room:join","id":1,"room":"secret.ada"}"#, "ok"),
        (&[], &outsider, r#"{"type":"room:join","id":1,"room":"secret.bob"}"#, "forbidden"),
        (&[], &["ringway:admin"], r#"{"type":"room:join","id":1,"room":"other.1"}"#, "forbidden"),
        (&[], &[], r#"{"type":"request","id":1,"to":{"user":"bob"},"method":"m","payload":1}"#, "forbidden"),
        (
            &["asker"],
            &[],
            r#"{"type":"request","id":1,"to":{"user":"bob"},"method":"m","payload":1}"#,
            "no_target",
        ),
        (
            &["asker"],
            &[],
            r#"{"type":"request","id":1,"to":{"connection":"0000002a0000000000000000"},"method":"m","payload":1}"#,
            "forbidden",
        ),
        // What is about oneself asks nobody.
        (&[], &[], r#"{"type":"query:rooms","id":1}"#, "ok"),
        (&[], &[], r#"{"type":"presence:status","id":1,"status":"away"}"#, "ok"),
        (&[], &[], r#"{"type":"room:leave","id":1,"room":"project.1"}"#, "ok"),
    ];
    for (roles, own, message, expected) in rows {
        let mut node = node(2, &list);
        let mut ada = client(&mut node, 1, "ada", roles, own);
        assert_eq!(answer(&mut ada, &mut node, JOIN), "ok");
        assert_eq!(answer(&mut ada, &mut node, message), *expected, "{roles:?} {own:?} {message}");
        node.hang_up(ada.id, true);
        node.assert_empty();
    }
}

/// Nothing that is refused tells whether the room exists.
#[test]
fn a_room_that_is_there_and_one_that_is_not_are_refused_alike() {
    let mut node = node(1, &[("owner", "*", "**")]);
    let mut owner = client(&mut node, 0, "ada", &["owner"], &[]);
    assert_eq!(answer(&mut owner, &mut node, JOIN), "ok");
    let mut bob = client(&mut node, 0, "bob", &[], &[]);
    let there = bob.ask(&mut node, JOIN);
    let not_there = bob.ask(&mut node, &JOIN.replace("project.1", "project.2"));
    assert_eq!((there.len(), &there), (1, &not_there));
    assert_eq!(there[0]["error"]["status"], 403);
}

#[test]
fn what_relays_send_is_asked_for_too() {
    let mut node = node(1, &[("*", "join", "vault"), ("sender", "send", "vault")]);
    let mut ids = Vec::new();
    let mut clients = [relay(&mut node, "ada", &["sender"]), relay(&mut node, "bob", &[])];
    for client in &mut clients {
        ids.push(super::relay::join(client, &mut node, "vault"));
    }
    let publication = [&[1], &ids[0].to_le_bytes()[..], b"opaque"].concat();
    let [ada, bob] = &mut clients;
    node.receive(bob.id, &frame(Opcode::Binary, &publication));
    assert_eq!(bob.json(&mut node)[0]["code"], "forbidden");
    assert_eq!(ada.heard(&mut node), []);
    node.receive(ada.id, &frame(Opcode::Binary, &publication));
    assert_eq!((ada.heard(&mut node).len(), bob.heard(&mut node).len()), (0, 1));
}

#[test]
fn who_may_not_read_or_see_joins_without_it() {
    let list = [("*", "join send", "project.*"), ("reader", "history", "**"), ("watcher", "presence", "**")];
    let mut node = node(2, &list);
    let mut ada = client(&mut node, 0, "ada", &[], &[]);
    assert_eq!(answer(&mut ada, &mut node, JOIN), "ok");
    let send = SEND.replace("\"payload\"", "\"persistent\":true,\"payload\"");
    let epoch = ada.ask(&mut node, JOIN)[0]["epoch"].as_str().unwrap().to_owned();
    assert_eq!(answer(&mut ada, &mut node, &send), "ok");
    let since = JOIN.replace("}", &format!(r#","since":{{"offset":0,"epoch":"{epoch}"}}}}"#));
    for (roles, recovered, events) in [
        (&["reader"][..], true, vec!["ack", "room:joined", "room:message"]),
        (&[], false, vec!["ack", "room:joined"]),
    ] {
        let mut bob = client(&mut node, 1, "bob", roles, &[]);
        let heard = bob.ask(&mut node, &since);
        assert_eq!(heard[0]["recovered"], recovered);
        let types: Vec<&str> = heard.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(types, events);
    }
    ada.json(&mut node);
    let mut watcher = client(&mut node, 1, "eve", &["watcher"], &[]);
    assert_eq!(answer(&mut watcher, &mut node, JOIN), "ok");
    let mut carl = client(&mut node, 0, "carl", &[], &[]);
    assert_eq!(answer(&mut carl, &mut node, JOIN), "ok");
    node.advance(1_000);
    assert_eq!(watcher.types(&mut node), ["presence:join"]);
    assert_eq!(ada.json(&mut node), [] as [Value; 0], "without presence nobody is told who comes");
}

#[test]
fn a_refresh_counts_at_once() {
    let list = [("member", "join send", "project.*"), ("guest", "join", "project.1")];
    let mut node = node(2, &list);
    let mut ada = client(&mut node, 1, "ada", &["member"], &[]);
    ada.join(&mut node, "project.1");
    ada.join(&mut node, "project.2");
    let refresh = |roles: &[&str]| {
        let token = token_as("ada", "acme", roles, &[]);
        format!(r#"{{"type":"authenticate","id":"r","token":"{token}"}}"#)
    };
    // The same again changes nothing.
    assert_eq!(ada.ask(&mut node, &refresh(&["member"])).len(), 1);
    let heard = ada.ask(&mut node, &refresh(&["guest"]));
    let left = json!({"type": "room:left", "room": "project.2"});
    assert_eq!((heard.len(), &heard[0]["success"], &heard[1]), (2, &true.into(), &left));
    assert_eq!(answer(&mut ada, &mut node, SEND), "forbidden");
    ada.ask(&mut node, &refresh(&["guest", "member"]));
    assert_eq!(answer(&mut ada, &mut node, SEND), "ok");
    let rooms = ada.ask(&mut node, r#"{"type":"query:rooms","id":1}"#);
    assert_eq!(rooms[0]["rooms"], json!(["project.1"]));
    // In one read: the send is judged by the new token, the room is left behind it.
    let mut bytes = text(&refresh(&[]));
    bytes.extend(text(SEND));
    node.receive(ada.id, &bytes);
    let heard = ada.json(&mut node);
    let codes: Vec<&Value> = heard.iter().map(|event| &event["error"]["code"]).collect();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert_eq!(*codes[1], "forbidden");
    assert_eq!(heard[2], json!({"type": "room:left", "room": "project.1"}));
    node.hang_up(ada.id, true);
    node.assert_empty();
}

#[test]
fn new_rules_count_from_their_point_in_the_stream_and_those_who_only_listen_follow() {
    let mut node = node(2, &[("*", "join send presence", "**")]);
    let mut clients: Vec<Client> =
        (0..6).map(|index| client(&mut node, index % 2, &format!("u{index}"), &[], &[])).collect();
    for client in &mut clients {
        client.join(&mut node, "project.1");
        client.join(&mut node, "lobby");
    }
    clients.iter_mut().for_each(|client| drop(client.json(&mut node)));
    reload(&mut node, &[("*", "join presence", "lobby"), ("*", "send", "**")]);
    // Before any step: the next message is judged by the new rules.
    assert_eq!(answer(&mut clients[0], &mut node, PRESENCE), "forbidden");
    assert_eq!(answer(&mut clients[0], &mut node, SEND), "ok");
    clients.iter_mut().for_each(|client| drop(client.json(&mut node)));
    node.advance(10);
    for client in &mut clients {
        assert_eq!(client.json(&mut node), [json!({"type": "room:left", "room": "project.1"})]);
    }
    assert_eq!(answer(&mut clients[1], &mut node, JOIN), "forbidden");
    assert_eq!(answer(&mut clients[1], &mut node, &SEND.replace("project.1", "lobby")), "ok");
    assert_eq!(node.engines.iter().map(|engine| engine.reviewing.is_some()).collect::<Vec<_>>(), [false; 2]);
    reload(&mut node, &[("*", "*", "**")]);
    assert_eq!(answer(&mut clients[1], &mut node, JOIN), "ok");
    node.advance(10);
    clients.iter().for_each(|client| node.hang_up(client.id, true));
    node.assert_empty();
}

/// More connections than one step looks at.
#[test]
fn new_rules_reach_everybody_in_steps() {
    let mut node = node(1, &[("*", "*", "**")]);
    let clients: Vec<Client> = (0..1_500)
        .map(|index| {
            let mut client = client(&mut node, 0, &format!("u{index}"), &[], &[]);
            client.ask(&mut node, r#"{"type":"room:join","room":"lobby","presence":false}"#);
            client
        })
        .collect();
    assert_eq!(node.engines[0].roster.subscriptions(), clients.len());
    reload(&mut node, &[]);
    let before = node.now.mono_ms();
    while node.engines[0].review_due_ms().is_some() {
        node.advance(1);
    }
    assert_eq!(node.engines[0].roster.subscriptions(), 0);
    assert!((2..10).contains(&(node.now.mono_ms() - before)), "in steps, and not many");
}

#[test]
fn the_backend_is_bound_by_no_rule_but_members_are() {
    let config = with_key(2, &[Scope::Rooms, Scope::Publish], &[]);
    let mut node = Node::with(with_rules(config, &[("*", "send", "project.2")]));
    let api = node.accept(0);
    let mut ada = client(&mut node, 1, "ada", &[], &[]);
    assert_eq!(answer(&mut ada, &mut node, JOIN), "forbidden");
    let body = r#"{"tenant":"acme","join":["project.1","project.2"]}"#;
    let moved = ask(&mut node, api, &post("/api/v1/users/ada/rooms", "", body));
    assert_eq!(moved.status, 200, "{}", moved.body);
    assert_eq!(ada.types(&mut node), ["room:joined", "room:joined"]);
    let body = r#"{"tenant":"acme","room":"project.1","payload":1}"#;
    assert_eq!(ask(&mut node, api, &post("/api/v1/publish", "", body)).status, 200);
    assert_eq!(ada.types(&mut node), ["room:message"]);
    assert_eq!(answer(&mut ada, &mut node, SEND), "forbidden", "that is its own to do");
    assert_eq!(answer(&mut ada, &mut node, &SEND.replace("project.1", "project.2")), "ok");
    assert_eq!(answer(&mut ada, &mut node, JOIN), "ok", "it is in it already");
    // Neither new rules nor a new token take it out.
    reload(&mut node, &[]);
    node.advance(10);
    let token = token_as("ada", "acme", &["other"], &[]);
    ada.ask(&mut node, &format!(r#"{{"type":"authenticate","token":"{token}"}}"#));
    let rooms = ada.ask(&mut node, r#"{"type":"query:rooms","id":1}"#);
    assert_eq!(rooms[0]["rooms"], json!(["project.1", "project.2"]));
    assert_eq!(answer(&mut ada, &mut node, &SEND.replace("project.1", "project.2")), "forbidden");
    // Once it has left, it needs an ability again.
    assert_eq!(answer(&mut ada, &mut node, r#"{"type":"room:leave","id":1,"room":"project.1"}"#), "ok");
    assert_eq!(answer(&mut ada, &mut node, JOIN), "forbidden");
}

/// What a membership of one's own has become the backend's, too.
#[test]
fn the_backend_keeps_somebody_where_he_is() {
    let config = with_key(1, &[Scope::Rooms], &[]);
    let mut node = Node::with(with_rules(config, &[("*", "join", "**")]));
    let api = node.accept(0);
    let mut ada = client(&mut node, 0, "ada", &[], &[]);
    assert_eq!(answer(&mut ada, &mut node, JOIN), "ok");
    let body = r#"{"tenant":"acme","join":["project.1"]}"#;
    assert_eq!(ask(&mut node, api, &post("/api/v1/users/ada/rooms", "", body)).status, 200);
    reload(&mut node, &[]);
    node.advance(10);
    let rooms = ada.ask(&mut node, r#"{"type":"query:rooms","id":1}"#);
    assert_eq!(rooms[0]["rooms"], json!(["project.1"]));
}

/// The same user name in another tenant is another who.
#[test]
fn patterns_name_the_tenant_of_the_token() {
    let mut node = node(1, &[("*", "join", "metrics.{tenant_id}")]);
    let mut ada = client(&mut node, 0, "ada", &[], &[]);
    for (room, expected) in
        [("metrics.acme", "ok"), ("metrics.other", "forbidden"), ("metrics.{tenant_id}", "forbidden")]
    {
        let join = JOIN.replace("project.1", room);
        assert_eq!(answer(&mut ada, &mut node, &join), expected, "{room}");
    }
}
