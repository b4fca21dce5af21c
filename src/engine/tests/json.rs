//! JSON v1 from end to end: every command, its ack, its events, their order, on the room's home shard and off it.

use serde_json::{Value, json};

use super::{
    client::{Client, text},
    harness::{Node, START_UNIX_MS},
};

fn code(events: &[Value]) -> &str {
    assert_eq!(events.len(), 1, "{events:?}");
    let error = if events[0]["type"] == "ack" { &events[0]["error"] } else { &events[0] };
    error["code"].as_str().unwrap_or_else(|| panic!("no error: {events:?}"))
}

/// Each shard has clients, so that every room's home is near for one and far for others.
fn trio(node: &mut Node) -> [Client; 3] {
    [0, 1, 2].map(|shard| Client::connect(node, shard, &format!("user-{shard}"), "acme"))
}

#[test]
fn joining_answers_with_ack_then_joined_then_messages() {
    let mut node = Node::new(3);
    for [room, talk] in [["a", "x"], ["b", "y"], ["c", "z"]] {
        let [mut ada, mut bob, _] = trio(&mut node);
        ada.join(&mut node, room);
        let join = format!(r#"{{"type":"room:join","id":"j","room":"{room}","metadata":{{ "k": [1] }}}}"#);
        let heard = bob.ask(&mut node, &join);
        let epoch = heard[0]["epoch"].as_str().unwrap();
        assert!(epoch.len() == 16 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(heard[0]["roomId"].as_str().unwrap().parse::<u64>().is_ok());
        let expected = json!({
            "type": "ack", "id": "j", "success": true, "room": room, "roomId": heard[0]["roomId"], "offset": 0,
            "epoch": epoch, "recovered": false,
        });
        assert_eq!(heard[0], expected);
        assert_eq!(heard[1..], [json!({"type": "room:joined", "room": room, "metadata": {"k": [1]}})]);
        let send = format!(r#"{{"type":"room:send","id":9,"room":"{room}","payload":{{ "{talk}" : 1e3 }}}}"#);
        let acked = ada.ask(&mut node, &send);
        let id = acked[0]["messageId"].as_str().unwrap().to_owned();
        assert_eq!(acked, [json!({"type": "ack", "id": 9, "success": true, "messageId": id})]);
        let raw = String::from_utf8_lossy(node.sockets[&bob.id].peek()).into_owned();
        assert!(raw.contains(&format!(r#""payload":{{ "{talk}" : 1e3 }},"#)), "byte for byte: {raw}");
        let expected = json!({
            "type": "room:message", "id": id, "room": room, "from": "user-0", "payload": {talk: 1e3},
            "timestamp": START_UNIX_MS,
        });
        assert_eq!(bob.json(&mut node), [expected]);
    }
}

#[test]
fn leaving_is_acked_and_ends_delivery() {
    let mut node = Node::new(3);
    let [mut ada, mut bob, mut eve] = trio(&mut node);
    for client in [&mut ada, &mut bob, &mut eve] {
        client.join(&mut node, "lobby");
    }
    let heard = bob.ask(&mut node, r#"{"type":"room:leave","id":1,"room":"lobby"}"#);
    assert_eq!(
        heard,
        [json!({"type": "ack", "id": 1, "success": true}), json!({"type": "room:left", "room": "lobby"})]
    );
    ada.say(&mut node, r#"{"type":"room:send","room":"lobby","payload":1}"#);
    assert_eq!(bob.json(&mut node), Vec::<Value>::new());
    assert_eq!(eve.types(&mut node), ["room:message"]);
    assert_eq!(code(&bob.ask(&mut node, r#"{"type":"room:leave","room":"lobby"}"#)), "not_found");
    // Without ids only the events come.
    assert_eq!(eve.ask(&mut node, r#"{"type":"room:leave","room":"lobby"}"#).len(), 1);
    eve.say(&mut node, r#"{"type":"room:join","room":"lobby"}"#);
    assert_eq!(eve.types(&mut node), ["room:joined"]);
}

#[test]
fn echo_decides_whether_the_sender_hears_itself() {
    let mut node = Node::new(3);
    let [mut ada, mut bob, _] = trio(&mut node);
    // The same user on another connection is another subscriber.
    let mut twin = Client::connect(&mut node, 0, "user-0", "acme");
    for client in [&mut ada, &mut bob, &mut twin] {
        client.join(&mut node, "lobby");
    }
    for (echo, own) in [("", 0), (r#","echo":false"#, 0), (r#","echo":true"#, 1)] {
        ada.say(&mut node, &format!(r#"{{"type":"room:send","room":"lobby","payload":null{echo}}}"#));
        assert_eq!(ada.json(&mut node).len(), own, "{echo}");
        assert_eq!((bob.json(&mut node).len(), twin.json(&mut node).len()), (1, 1));
    }
}

#[test]
fn a_message_id_of_the_client_is_used() {
    let mut node = Node::new(2);
    let [mut ada, mut bob] = [0, 1].map(|shard| Client::connect(&mut node, shard, "u", "acme"));
    ada.join(&mut node, "lobby");
    bob.join(&mut node, "lobby");
    let heard =
        ada.ask(&mut node, r#"{"type":"room:send","id":1,"room":"lobby","payload":1,"messageId":"m\"1"}"#);
    assert_eq!(heard[0]["messageId"], "m\"1");
    assert_eq!(bob.json(&mut node)[0]["id"], "m\"1");
}

#[test]
fn what_is_refused_and_how() {
    let mut node = Node::new(2);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    client.join(&mut node, "lobby");
    let rows = [
        (r#"{"type":"room:send","id":1,"room":"other","payload":1}"#, "forbidden"),
        (r#"{"type":"room:history","id":1,"room":"other"}"#, "forbidden"),
        (r#"{"type":"room:send","id":1,"room":"lobby"}"#, "bad_request"),
        (r#"{"type":"room:leave","id":1,"room":"other"}"#, "not_found"),
        (r#"{"type":"room:join","id":1,"room":""}"#, "bad_request"),
        (r#"{"type":"room:join","id":1,"room":"a\u0000"}"#, "bad_request"),
        (r#"{"type":"unsubscribe","id":1,"channel":"dashboard"}"#, "not_found"),
        (r#"{"type":"dance","id":1}"#, "unknown_type"),
        (r#"{"type":"room:send","id":1,"room":"lobby","payload":1,"payload":2}"#, "bad_request"),
        (r#"{"id":1}"#, "bad_request"),
    ];
    for (message, expected) in rows {
        let heard = client.ask(&mut node, message);
        assert_eq!(
            (code(&heard), &heard[0]["type"], &heard[0]["id"]),
            (expected, &"ack".into(), &1.into()),
            "{message}"
        );
        let heard = client.ask(&mut node, &message.replacen(r#""id":1"#, r#""x":1"#, 1));
        assert_eq!((code(&heard), &heard[0]["type"]), (expected, &"system:error".into()), "{message}");
    }
    for message in ["", "{", "[]", "1", r#"{"type":"ping","id":{}}"#] {
        assert_eq!(code(&client.ask(&mut node, message)), "bad_request", "{message}");
    }
    assert_eq!(
        client.ask(&mut node, r#"{"type":"ping","id":1}"#),
        [json!({"type": "pong", "timestamp": START_UNIX_MS})]
    );
}

#[test]
fn channels_expand_to_the_users_own() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    for (channel, room) in [
        ("dashboard", "dashboard.ada"),
        ("metrics", "metrics.acme"),
        ("project", "project"),
        ("news.7", "news.7"),
    ] {
        let heard = ada.ask(&mut node, &format!(r#"{{"type":"subscribe","id":1,"channel":"{channel}"}}"#));
        assert_eq!((&heard[0]["room"], &heard[1]["room"]), (&room.into(), &room.into()), "{channel}");
        let heard = ada.ask(&mut node, &format!(r#"{{"type":"unsubscribe","id":1,"channel":"{channel}"}}"#));
        assert_eq!((&heard[0]["success"], &heard[1]["type"]), (&true.into(), &"room:left".into()));
        assert_eq!(heard[1]["room"], room);
    }
}

#[test]
fn a_connection_is_in_so_many_rooms() {
    let mut node = Node::new(3);
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    let join = |room: u32| format!(r#"{{"type":"room:join","id":1,"room":"r{room}"}}"#);
    for room in 0..8 {
        assert_eq!(client.ask(&mut node, &join(room)).len(), 2);
    }
    assert_eq!(code(&client.ask(&mut node, &join(8))), "forbidden");
    assert_eq!(client.ask(&mut node, &join(3)).len(), 2, "one that it is in");
    // In one read, before any home has answered.
    let mut bytes = text(r#"{"type":"room:leave","room":"r0"}"#);
    bytes.extend(text(&join(8)));
    bytes.extend(text(&join(9)));
    node.receive(client.id, &bytes);
    let heard = client.json(&mut node);
    let refused: Vec<_> = heard.iter().filter(|event| event["success"] == false).collect();
    assert_eq!(refused.len(), 1, "{heard:?}");
    let rooms = client.ask(&mut node, r#"{"type":"query:rooms","id":"q"}"#);
    assert_eq!(rooms[0]["rooms"], json!(["r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"]));
    assert!(client.ask(&mut node, r#"{"type":"query:rooms"}"#).is_empty(), "nobody to answer");
}

/// What one read holds is done in its order, wherever the home is.
#[test]
fn pipelined_commands_keep_their_order() {
    for room in ["a", "b", "c", "d", "e", "f"] {
        let mut node = Node::new(3);
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        let mut bob = Client::connect(&mut node, 1, "bob", "acme");
        bob.join(&mut node, room);
        let send = |id: u32| {
            format!(r#"{{"type":"room:send","id":{id},"room":"{room}","payload":{id},"echo":true}}"#)
        };
        let messages = [
            send(1),
            format!(r#"{{"type":"room:join","id":2,"room":"{room}"}}"#),
            send(3),
            format!(r#"{{"type":"room:leave","id":4,"room":"{room}"}}"#),
            send(5),
            format!(r#"{{"type":"room:leave","id":6,"room":"{room}"}}"#),
            format!(r#"{{"type":"room:join","id":7,"room":"{room}"}}"#),
            send(8),
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(|message| text(message)).collect();
        node.receive(ada.id, &bytes);
        let heard = ada.json(&mut node);
        let ack = |id: u32| heard.iter().position(|it| it["id"] == id && it["type"] == "ack").unwrap();
        let result = |id: u32| heard[ack(id)]["error"]["code"].as_str().unwrap_or("ok");
        let results: Vec<_> = (1..=8).map(result).collect();
        assert_eq!(
            results,
            ["forbidden", "ok", "ok", "ok", "forbidden", "not_found", "ok", "ok"],
            "{room}: {heard:?}"
        );
        let story: Vec<_> = heard
            .iter()
            .filter(|event| event["type"] != "ack")
            .map(|event| (event["type"].as_str().unwrap(), event["payload"].as_u64()))
            .collect();
        let (joined, left) = (("room:joined", None), ("room:left", None));
        assert_eq!(
            story,
            [joined, ("room:message", Some(3)), left, joined, ("room:message", Some(8))],
            "{room}"
        );
        assert!(ack(2) < ack(4) && ack(4) < ack(7));
        let seen: Vec<_> =
            bob.json(&mut node).iter().map(|event| event["payload"].as_u64().unwrap()).collect();
        assert_eq!(seen, [3, 8], "{room}");
    }
}

#[test]
fn joining_twice_is_acked_twice_and_delivers_once() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.join(&mut node, "lobby");
    ada.join(&mut node, "lobby");
    let heard = ada.ask(&mut node, r#"{"type":"room:send","room":"lobby","payload":1,"echo":true}"#);
    assert_eq!(heard.len(), 1);
    ada.ask(&mut node, r#"{"type":"room:leave","room":"lobby"}"#);
    assert!(node.engines.iter().all(|engine| engine.home.is_empty()), "one leave is enough");
}

#[test]
fn a_room_that_nobody_is_in_is_forgotten_and_comes_back_anew() {
    let mut node = Node::new(3);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let join = r#"{"type":"room:join","id":1,"room":"lobby"}"#;
    let first = ada.ask(&mut node, join)[0]["epoch"].clone();
    assert_eq!(ada.ask(&mut node, join)[0]["epoch"], first);
    ada.ask(&mut node, r#"{"type":"room:leave","room":"lobby"}"#);
    assert!(node.engines.iter().all(|engine| engine.home.is_empty()));
    assert_ne!(ada.ask(&mut node, join)[0]["epoch"], first);
    node.hang_up(ada.id, true);
    node.assert_empty();
}

/// A leave that is answered when its connection is gone must not touch whoever has the slot by then.
#[test]
fn an_answer_to_the_dead_does_not_reach_the_next_in_the_slot() {
    for room in ["a", "b", "c", "d", "e", "f"] {
        let mut node = Node::new(3);
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        let mut bob = Client::connect(&mut node, 1, "bob", "acme");
        ada.join(&mut node, room);
        bob.join(&mut node, room);
        node.deaf = vec![0];
        node.receive_only(ada.id, &text(&format!(r#"{{"type":"room:leave","id":1,"room":"{room}"}}"#)));
        node.settle();
        node.hang_up(ada.id, true);
        let mut eve = Client::connect(&mut node, 0, "eve", "acme");
        assert_eq!(eve.id.slot, ada.id.slot);
        eve.say(&mut node, &format!(r#"{{"type":"room:join","id":1,"room":"{room}"}}"#));
        node.deaf = vec![];
        node.settle();
        assert_eq!(eve.types(&mut node), ["ack", "room:joined"], "{room}");
        bob.say(&mut node, &format!(r#"{{"type":"room:send","room":"{room}","payload":1}}"#));
        assert_eq!(eve.types(&mut node), ["room:message"], "{room}");
        node.hang_up(eve.id, true);
        node.hang_up(bob.id, true);
        node.assert_empty();
    }
}

/// Publications that reach nobody leave nothing behind and are no latency.
#[test]
fn talking_to_an_empty_room_costs_nothing() {
    let mut node = Node::new(1);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.join(&mut node, "lobby");
    for _ in 0..100 {
        ada.say(&mut node, r#"{"type":"room:send","room":"lobby","payload":1}"#);
    }
    assert!(node.engines[0].fanned_out.is_empty());
    node.hang_up(ada.id, true);
    node.assert_empty();
}
