//! What a backend finds and does on all shards: rooms, connections, nodes, ends of connections, rooms of users.

use serde_json::{Value, json};

use super::{
    api::{ask, key, post, with_key},
    client::Client,
    harness::{Node, START_UNIX_MS, token_with},
    http::{bearer, request},
};
use crate::{base::ConnId, model::Scope};

const SCOPES: [Scope; 3] = [Scope::Rooms, Scope::Connections, Scope::Admin];

fn get(node: &mut Node, id: ConnId, path: &str) -> Value {
    let answer = ask(node, id, &request(path, &bearer(&key())));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn status(node: &mut Node, id: ConnId, path: &str) -> u16 {
    ask(node, id, &request(path, &bearer(&key()))).status
}

pub(super) fn posted(node: &mut Node, id: ConnId, path: &str, body: &str) -> Value {
    let answer = ask(node, id, &post(path, "", body));
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    answer.json()
}

/// Pages through a list, `limit` entries at a time.
fn pages(node: &mut Node, id: ConnId, path: &str, list: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(node, id, &format!("{path}&limit={limit}{after}"));
        let entries = page[list].as_array().unwrap();
        assert!(entries.len() <= limit);
        all.extend(entries.iter().cloned());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={}", next.replace(' ', "+")),
            None => return all,
        }
        assert_eq!(entries.len(), limit, "more only behind a full page");
    }
}

#[test]
fn rooms_by_name_a_page_at_a_time() {
    for shards in [1, 4] {
        let mut node = Node::with(with_key(shards, &SCOPES, &[]));
        let id = node.accept(0);
        assert_eq!(get(&mut node, id, "/api/v1/rooms?tenant=acme"), json!({ "rooms": [] }));
        let mut expected = Vec::new();
        for number in 0..12 {
            let room = format!("room {number:02}");
            let members = number % 3 + 1;
            for member in 0..members {
                let mut client = Client::connect(&mut node, member as u16 % shards, "ada", "acme");
                client.join(&mut node, &room);
            }
            expected.push(json!({ "room": room, "members": members }));
        }
        Client::connect(&mut node, 0, "ada", "globex").join(&mut node, "room 05");
        for limit in [1, 5, 12, 100] {
            assert_eq!(pages(&mut node, id, "/api/v1/rooms?tenant=acme", "rooms", limit), expected);
        }
        let behind = get(&mut node, id, "/api/v1/rooms?tenant=acme&after=room+0%39a");
        assert_eq!(behind["rooms"], json!(expected[10..]));
        let globex = get(&mut node, id, "/api/v1/rooms?tenant=globex");
        assert_eq!(globex, json!({ "rooms": [{ "room": "room 05", "members": 1 }] }));
    }
}

#[test]
fn connections_a_page_at_a_time() {
    let mut node = Node::with(with_key(3, &SCOPES, &[]));
    let id = node.accept(1);
    let mut expected = Vec::new();
    for number in 0..9_u16 {
        let (user, tenant) = (format!("user{}", number % 2), if number == 4 { "globex" } else { "acme" });
        let mut client = Client::connect(&mut node, number / 3, &user, tenant);
        for room in 0..number {
            client.join(&mut node, &format!("r{}", room % 4));
        }
        let connection = client.id.public(crate::base::NodeId(0x2a));
        let entry = json!({
            "connectionId": connection, "userId": user, "tenantId": tenant, "address": "127.0.0.1", "connectedAt": START_UNIX_MS,
            "rooms": number.min(4),
        });
        expected.push(entry);
    }
    let globex = expected.remove(4);
    for limit in [1, 3, 8, 1_000] {
        assert_eq!(pages(&mut node, id, "/api/v1/connections?tenant=acme", "connections", limit), expected);
    }
    let of_user: Vec<_> = expected.iter().filter(|entry| entry["userId"] == "user1").cloned().collect();
    assert_eq!(pages(&mut node, id, "/api/v1/connections?tenant=acme&user=user1", "connections", 2), of_user);
    let page = get(&mut node, id, "/api/v1/connections?tenant=globex");
    assert_eq!(page, json!({ "connections": [globex] }));
}

#[test]
fn parameters_are_strict_and_tenants_are_the_keys() {
    let mut node = Node::with(with_key(2, &SCOPES[..2], &["acme"]));
    let id = node.accept(0);
    assert_eq!(get(&mut node, id, "/api/v1/rooms?x=1"), json!({ "rooms": [] }), "its only tenant");
    let rows = [
        ("/api/v1/rooms?tenant=globex", 403),
        ("/api/v1/rooms?tenant=", 400),
        ("/api/v1/rooms?tenant=a%01", 400),
        ("/api/v1/rooms?limit=0", 400),
        ("/api/v1/rooms?limit=1001", 400),
        ("/api/v1/rooms?limit=%2b1", 400),
        ("/api/v1/rooms?limit=1&limit=1", 400),
        ("/api/v1/rooms?after=%ff", 400),
        ("/api/v1/connections?after=7", 400),
        ("/api/v1/connections?user=", 400),
        ("/api/v1/connections?tenant=globex", 403),
    ];
    for (path, expected) in rows {
        assert_eq!(status(&mut node, id, path), expected, "{path}");
    }
    for (path, body, expected) in [
        ("/api/v1/disconnect", r#"{"tenant":"globex"}"#, 403),
        ("/api/v1/disconnect", "{}", 400),
        ("/api/v1/users/ada/rooms", r#"{"tenant":"globex"}"#, 403),
    ] {
        assert_eq!(ask(&mut node, id, &post(path, "", body)).status, expected, "{path} {body}");
    }
    let answer = ask(&mut node, id, &post("/api/v1/users/%ff/rooms", "", "{}"));
    assert_eq!((answer.status, answer.header("Connection")), (400, Some("close")), "its body is not read");
}

#[test]
fn connections_end_with_4409_and_no_other_does() {
    type Row = (&'static str, fn(&str, &str) -> String, &'static [usize]);
    let rows: [Row; 5] = [
        ("user", |_, _| r#"{"tenant":"acme","user":"ada"}"#.into(), &[0, 1, 2]),
        ("connection", |first, _| format!(r#"{{"tenant":"acme","connection":"{first}"}}"#), &[0]),
        (
            "another tenant's connection",
            |first, _| format!(r#"{{"tenant":"globex","connection":"{first}"}}"#),
            &[],
        ),
        ("token", |_, jti| format!(r#"{{"tenant":"acme","jti":"{jti}"}}"#), &[3]),
        ("tenant", |_, _| r#"{"tenant":"acme"}"#.into(), &[0, 1, 2, 3]),
    ];
    for (name, body, expected) in rows {
        let mut node = Node::with(with_key(3, &SCOPES, &[]));
        let id = node.accept(2);
        let mut clients: Vec<_> =
            (0..3).map(|shard| Client::connect(&mut node, shard, "ada", "acme")).collect();
        clients.push(Client::with_token(&mut node, 1, &super::harness::token_named("bob", "acme", "t-1")));
        clients.push(Client::connect(&mut node, 0, "ada", "globex"));
        for client in &mut clients {
            client.json(&mut node);
            client.join(&mut node, "lobby");
        }
        let first = clients[0].id.public(crate::base::NodeId(0x2a));
        let told = posted(&mut node, id, "/api/v1/disconnect", &body(&first, "t-1"));
        assert_eq!(told["disconnected"], expected.len(), "{name}");
        for (index, client) in clients.iter_mut().enumerate() {
            if expected.contains(&index) {
                assert_eq!(client.close_code(&mut node), Some(4409), "{name} {index}");
            } else {
                assert!(client.heard(&mut node).is_empty(), "{name} {index}");
            }
        }
        let again = posted(&mut node, id, "/api/v1/disconnect", &body(&first, "t-1"));
        assert_eq!(again["disconnected"], 0, "{name}: they have ended");
    }
}

#[test]
fn a_tenants_end_comes_in_steps() {
    let mut node = Node::with(with_key(1, &SCOPES, &[]));
    let id = node.accept(0);
    let mut clients: Vec<_> = (0..600).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
    let told = posted(&mut node, id, "/api/v1/disconnect", r#"{"tenant":"acme"}"#);
    assert_eq!(told, json!({ "disconnected": 600 }));
    let mut closed = |node: &mut Node| {
        let before = clients.len();
        clients.retain_mut(|client| client.heard(node).is_empty());
        before - clients.len()
    };
    assert_eq!(closed(&mut node), 256);
    node.advance(10);
    assert_eq!(closed(&mut node), 256);
    node.advance(10);
    assert_eq!(closed(&mut node), 88);
}

/// A backend that asks again because it heard nothing does not make the list longer, nor the next one's wait.
#[test]
fn an_end_that_is_decided_is_not_decided_again() {
    let mut node = Node::with(with_key(1, &SCOPES, &[]));
    let id = node.accept(0);
    let clients: Vec<_> = (0..600).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
    let mut other = Client::connect(&mut node, 0, "bob", "globex");
    for _ in 0..20 {
        posted(&mut node, id, "/api/v1/disconnect", r#"{"tenant":"acme"}"#);
    }
    drop(clients);
    node.advance(20);
    assert_eq!(node.engine(id).evictions.due_ms(), None, "nothing waits when all have ended");
    posted(&mut node, id, "/api/v1/disconnect", r#"{"user":"bob","tenant":"globex"}"#);
    assert_eq!(other.close_code(&mut node), Some(4409));
}

#[test]
fn a_user_is_put_into_rooms_and_taken_out() {
    let mut node = Node::with(with_key(3, &SCOPES, &["acme"]));
    let id = node.accept(0);
    let mut clients: Vec<_> = (0..3).map(|shard| Client::connect(&mut node, shard, "a/b", "acme")).collect();
    let mut other = Client::connect(&mut node, 0, "bob", "acme");
    clients[0].join(&mut node, "b");
    let path = "/api/v1/users/a%2Fb/rooms";
    let told = posted(&mut node, id, path, r#"{"join":["a","b"]}"#);
    assert_eq!(told, json!({ "connections": 3, "refused": 0 }));
    for (index, client) in clients.iter_mut().enumerate() {
        // Each room has a home of its own: the two answers may come in any order.
        let mut joined: Vec<_> =
            client.json(&mut node).iter().map(|event| event["room"].to_string()).collect();
        joined.sort();
        assert_eq!(joined, if index == 0 { vec![r#""a""#] } else { vec![r#""a""#, r#""b""#] });
        let rooms = client.ask(&mut node, r#"{"type":"query:rooms","id":1}"#);
        assert_eq!(rooms[0]["rooms"], json!(["a", "b"]));
    }
    let told =
        posted(&mut node, id, path, r#"{"leave":["a","none"],"join":["c","1","2","3","4","5","6","7","8"]}"#);
    assert_eq!(told, json!({ "connections": 3, "refused": 6 }), "a connection may be in eight rooms");
    for client in &mut clients {
        let types = client.types(&mut node);
        assert_eq!(types.iter().filter(|kind| *kind == "room:left").count(), 1);
        assert_eq!(types.iter().filter(|kind| *kind == "room:joined").count(), 7);
    }
    assert!(other.heard(&mut node).is_empty());
    assert_eq!(posted(&mut node, id, "/api/v1/users/nobody/rooms", r#"{"join":["a"]}"#)["connections"], 0);
}

#[test]
fn this_node() {
    let mut node = Node::with(with_key(3, &SCOPES, &[]));
    let id = node.accept(0);
    for room in ["a", "b", "c"] {
        Client::connect(&mut node, 1, "ada", "acme").join(&mut node, room);
    }
    for path in ["/api/v1/nodes", "/printing/service-registry/status"] {
        let nodes = &get(&mut node, id, path)["nodes"];
        assert_eq!(nodes.as_array().unwrap().len(), 1);
        assert_eq!((&nodes[0]["id"], &nodes[0]["version"]), (&json!("0000002a"), &json!("1.2.3")));
        assert_eq!((&nodes[0]["rooms"], &nodes[0]["state"]), (&json!(3), &json!("ready")));
        assert_eq!(nodes[0]["address"], "127.0.0.1:8080");
        assert!(nodes[0]["lastHeartbeat"].as_str().unwrap().ends_with('Z'));
    }
    let publisher = bearer(&token_with("ada", "acme", &["ringway:publish"]));
    assert_eq!(ask(&mut node, id, &request("/api/v1/nodes", &publisher)).status, 403);
}

#[test]
fn what_a_room_keeps_a_page_at_a_time() {
    for shards in [1, 3] {
        let mut node =
            Node::with(with_key(shards, &[Scope::Publish, Scope::History, Scope::Rooms], &["acme"]));
        let id = node.accept(0);
        let path = "/api/v1/rooms/a%2Fb/history";
        assert_eq!(status(&mut node, id, path), 404, "there is no such room");
        let message = |number: usize| {
            format!(r#"{{"room":"a/b","payload":{number},"persistent":true,"messageId":"m{number}"}}"#)
        };
        for number in 1..=5 {
            let told = posted(&mut node, id, "/api/v1/publish", &message(number));
            assert_eq!(told, json!({ "messageId": format!("m{number}"), "offset": number }), "to nobody");
        }
        let again = posted(&mut node, id, "/api/v1/publish", &message(3));
        assert_eq!(again["offset"], 3, "a repeat is answered alike");
        let page = get(&mut node, id, path);
        assert_eq!((page["room"].as_str(), &page["offset"]), (Some("a/b"), &json!(5)));
        let payloads = |page: &Value| -> Vec<u64> {
            page["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|message| message["payload"].as_u64().unwrap())
                .collect()
        };
        assert_eq!(payloads(&page), [1, 2, 3, 4, 5]);
        assert_eq!(page["messages"][0]["from"], "billing");
        assert_eq!(payloads(&get(&mut node, id, &format!("{path}?limit=2"))), [4, 5]);
        let epoch = page["epoch"].as_str().unwrap();
        let behind = get(&mut node, id, &format!("{path}?since=1@{epoch}&limit=2"));
        assert_eq!(payloads(&behind), [2, 3]);
        for query in
            ["?since=1", "?since=@0000000000000000", "?since=+1@0000000000000000", "?since=1@1", "?since="]
        {
            assert_eq!(status(&mut node, id, &format!("{path}{query}")), 400, "{query}");
        }
        assert_eq!(
            get(&mut node, id, "/api/v1/rooms"),
            json!({ "rooms": [{ "room": "a/b", "members": 0 }] })
        );
    }
}

/// However many messages are asked for.
#[test]
fn a_page_of_what_a_room_keeps_is_bounded_in_bytes() {
    let mut node = Node::with(with_key(2, &[Scope::Publish, Scope::History], &["acme"]));
    let bytes_max = node.engines[0].config.history.page_bytes_max;
    let id = node.accept(0);
    let payload = "x".repeat(50_000);
    for _ in 0..20 {
        let body = format!(r#"{{"room":"a","payload":"{payload}","persistent":true}}"#);
        posted(&mut node, id, "/api/v1/publish", &body);
    }
    let (mut since, mut count) = (String::new(), 0);
    while count < 20 {
        let answer = ask(
            &mut node,
            id,
            &request(&format!("/api/v1/rooms/a/history?limit=1000{since}"), &bearer(&key())),
        );
        assert!(answer.body.len() <= bytes_max, "{} bytes", answer.body.len());
        let page = answer.json();
        let messages = page["messages"].as_array().unwrap();
        count += messages.len();
        let last = &messages.last().expect("a page that is not the last has some")["offset"];
        since = format!("&since={last}@{}", page["epoch"].as_str().unwrap());
    }
    assert_eq!(count, 20);
}

#[test]
fn who_is_in_a_room_a_page_at_a_time() {
    let mut node = Node::with(with_key(3, &[Scope::Presence], &["acme"]));
    let id = node.accept(0);
    let path = "/api/v1/rooms/a%2Fb/presence";
    assert_eq!(get(&mut node, id, path), json!({ "room": "a/b", "presence": [] }));
    for number in 0..6_u16 {
        Client::connect(&mut node, number % 3, &format!("user{}", number / 2), "acme").join(&mut node, "a/b");
    }
    let users = pages(&mut node, id, &format!("{path}?x=1"), "presence", 2);
    let told: Vec<_> =
        users.iter().map(|user| (user["userId"].as_str().unwrap(), &user["connections"])).collect();
    assert_eq!(told, [("user0", &json!(2)), ("user1", &json!(2)), ("user2", &json!(2))]);
    assert_eq!((&users[0]["status"], &users[0]["since"]), (&json!("online"), &json!(START_UNIX_MS)));
    assert_eq!(status(&mut node, id, &format!("{path}?tenant=globex")), 403);
}
