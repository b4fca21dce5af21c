//! History from end to end: what is kept and acked, what a join recovers, pages, repeats, and who is refused what.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    client::{Client, text},
    harness::{Flow, Node, START_UNIX_MS, config},
};
use crate::{
    engine::Config,
    hub::{HistoryConfig, Keep},
};

/// Rooms whose homes are on different shards.
const ROOMS: [&str; 3] = ["a", "b", "c"];

fn node_with(history: HistoryConfig) -> Node {
    Node::with(Config { history: Arc::new(history), ..config(3) })
}

fn send(room: &str, payload: &str) -> String {
    format!(r#"{{"type":"room:send","id":"s","room":"{room}","payload":{payload},"persistent":true}}"#)
}

fn join_since(room: &str, position: &Value) -> String {
    let (offset, epoch) = (&position["offset"], &position["epoch"]);
    format!(
        r#"{{"type":"room:join","id":"j","room":"{room}","since":{{"offset":{offset},"epoch":{epoch}}}}}"#
    )
}

fn payloads(events: &[Value]) -> Vec<i64> {
    let messages = events.iter().filter(|event| event["type"] == "room:message");
    messages.map(|event| event["payload"].as_i64().unwrap()).collect()
}

#[test]
fn a_join_brings_what_was_missed_between_its_events_and_live_ones() {
    for room in ROOMS {
        let mut node = Node::new(3);
        let [mut ada, mut bob] = [0, 1].map(|shard| Client::connect(&mut node, shard, "u", "acme"));
        ada.join(&mut node, room);
        let acked = ada.ask(&mut node, &send(room, "1"));
        assert_eq!(acked[0]["offset"], 1);
        bob.join(&mut node, room);
        let acked = ada.ask(&mut node, &send(room, "2"));
        let expected = json!({
            "type": "ack", "id": "s", "success": true, "messageId": acked[0]["messageId"], "offset": 2,
        });
        assert_eq!(acked, [expected]);
        let heard = bob.json(&mut node);
        let expected = json!({
            "type": "room:message", "id": acked[0]["messageId"], "room": room, "from": "u", "payload": 2,
            "timestamp": START_UNIX_MS, "offset": 2,
        });
        assert_eq!(heard, [expected]);
        node.hang_up(bob.id, true);
        // Some count and some do not; one comes behind the join in the same turn.
        ada.ask(&mut node, &send(room, "3"));
        ada.ask(&mut node, &format!(r#"{{"type":"room:send","room":"{room}","payload":4}}"#));
        let epoch =
            ada.ask(&mut node, &format!(r#"{{"type":"room:history","id":1,"room":"{room}"}}"#))[0]["epoch"]
                .clone();
        let mut bob = Client::connect(&mut node, 1, "u", "acme");
        node.receive_only(bob.id, &text(&join_since(room, &json!({"offset": 1, "epoch": epoch}))));
        node.receive_only(ada.id, &text(&send(room, "5")));
        node.settle();
        let heard = bob.json(&mut node);
        let expected = json!({
            "type": "ack", "id": "j", "success": true, "room": room, "roomId": heard[0]["roomId"],
            "offset": heard[0]["offset"], "epoch": epoch, "recovered": true,
        });
        assert_eq!(heard[0], expected);
        assert_eq!(heard[1], json!({"type": "room:joined", "room": room}));
        assert_eq!(payloads(&heard[2..]), [2, 3, 5], "{heard:?}");
        assert!(heard[2..].windows(2).all(|pair| pair[0]["offset"].as_u64() < pair[1]["offset"].as_u64()));
    }
}

#[test]
fn what_cannot_be_shown_to_be_all_is_not_recovered() {
    let keep = Keep { messages: 3, seconds: 20 };
    let mut node = node_with(HistoryConfig { keep, ..HistoryConfig::for_tests() });
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let first = ada.ask(&mut node, r#"{"type":"room:join","id":1,"room":"a"}"#)[0].clone();
    let epoch = first["epoch"].clone();
    for number in 1..=5 {
        ada.say(&mut node, &send("a", &number.to_string()));
    }
    ada.json(&mut node);
    let rows: [(u64, &Value, Option<&[i64]>); 7] = [
        (1, &epoch, None),
        (2, &epoch, Some(&[3, 4, 5])),
        (4, &epoch, Some(&[5])),
        (5, &epoch, Some(&[])),
        (6, &epoch, None),
        (u64::MAX, &epoch, None),
        (5, &json!("0123456789abcdef"), None),
    ];
    for (offset, epoch_of, expected) in rows {
        let mut bob = Client::connect(&mut node, 1, "bob", "acme");
        let heard = bob.ask(&mut node, &join_since("a", &json!({"offset": offset, "epoch": epoch_of})));
        assert_eq!(
            (&heard[0]["recovered"], &heard[0]["offset"]),
            (&expected.is_some().into(), &5.into()),
            "{offset}"
        );
        assert_eq!((&heard[0]["epoch"], payloads(&heard)), (&epoch, expected.unwrap_or_default().to_vec()));
        node.hang_up(bob.id, true);
    }
    // By age.
    node.advance(22_000);
    let mut bob = Client::connect(&mut node, 1, "bob", "acme");
    let heard = bob.ask(&mut node, &join_since("a", &json!({"offset": 4, "epoch": epoch})));
    assert_eq!((&heard[0]["recovered"], heard.len()), (&false.into(), 2));
    let heard = bob.ask(&mut node, &join_since("a", &json!({"offset": 5, "epoch": epoch})));
    assert_eq!((&heard[0]["recovered"], heard.len()), (&true.into(), 2));
    let metrics = |node: &Node, pick: fn(&crate::metrics::ShardMetrics) -> u64| -> u64 {
        node.engines.iter().map(|engine| pick(&engine.metrics)).sum()
    };
    assert_eq!(metrics(&node, |it| it.history_recovered), 4);
    assert_eq!(metrics(&node, |it| it.history_unrecoverable), 5);
}

/// A room that only its history keeps: it is there for whoever comes back, and goes when that is too old.
#[test]
fn a_room_waits_for_its_members_as_long_as_its_history() {
    let mut node = Node::new(3);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let position = ada.ask(&mut node, r#"{"type":"room:join","id":1,"room":"a"}"#)[0].clone();
    ada.say(&mut node, &send("a", "1"));
    ada.say(&mut node, r#"{"type":"room:leave","room":"a"}"#);
    assert!(node.engines.iter().any(|engine| !engine.home.is_empty()));
    assert!(node.engines.iter().all(|engine| engine.home.occupied() == 0));
    ada.json(&mut node);
    assert_eq!(payloads(&ada.ask(&mut node, &join_since("a", &position))), [1]);
    node.hang_up(ada.id, true);
    node.advance(3_700_000);
    node.assert_empty();
}

#[test]
fn history_comes_by_pages_and_to_members() {
    let mut node = Node::new(3);
    let [mut ada, mut eve] = ["acme", "other"].map(|tenant| Client::connect(&mut node, 0, "u", tenant));
    ada.join(&mut node, "a");
    for number in 1..=5 {
        ada.say(&mut node, &send("a", &number.to_string()));
    }
    ada.json(&mut node);
    let ask = |ada: &mut Client, node: &mut Node, more: &str| {
        let heard = ada.ask(node, &format!(r#"{{"type":"room:history","id":1,"room":"a"{more}}}"#));
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard[0].clone()
    };
    let page = ask(&mut ada, &mut node, r#","limit":2"#);
    let epoch = page["epoch"].clone();
    let message = |number: u64, id: &Value| json!({"id": id, "room": "a", "from": "u", "payload": number, "timestamp": START_UNIX_MS, "offset": number});
    let messages: Vec<Value> =
        (4..=5).map(|number| message(number, &page["messages"][number as usize - 4]["id"])).collect();
    let expected =
        json!({"type": "ack", "id": 1, "success": true, "messages": messages, "offset": 5, "epoch": epoch});
    assert_eq!(page, expected);
    let page = ask(&mut ada, &mut node, &format!(r#","since":{{"offset":1,"epoch":{epoch}}},"limit":3"#));
    let offsets: Vec<_> =
        page["messages"].as_array().unwrap().iter().map(|it| it["offset"].as_u64()).collect();
    assert_eq!(offsets, [Some(2), Some(3), Some(4)]);
    // Without an id there is nobody to answer; and another tenant's room of this name is another room.
    assert!(ada.ask(&mut node, r#"{"type":"room:history","room":"a"}"#).is_empty());
    eve.join(&mut node, "a");
    assert_eq!(ask(&mut eve, &mut node, "")["messages"], json!([]));
}

#[test]
fn a_message_that_is_sent_again_is_acked_again_and_comes_once() {
    for room in ROOMS {
        let mut node = Node::new(3);
        let [mut ada, mut bob] = [0, 1].map(|shard| Client::connect(&mut node, shard, "ada", "acme"));
        let mut eve = Client::connect(&mut node, 2, "eve", "acme");
        for client in [&mut ada, &mut bob, &mut eve] {
            client.join(&mut node, room);
        }
        for (id, persistent, offset) in [("x", true, json!(1)), ("y", false, Value::Null)] {
            let send = format!(
                r#"{{"type":"room:send","id":7,"room":"{room}","payload":1,"messageId":"{id}","persistent":{persistent}}}"#
            );
            let first = ada.ask(&mut node, &send);
            assert_eq!((&first[0]["messageId"], &first[0]["offset"]), (&id.into(), &offset));
            assert_eq!(ada.ask(&mut node, &send), first);
            // The same user from elsewhere, as after a reconnect.
            assert_eq!(bob.ask(&mut node, &send).iter().filter(|it| **it == first[0]).count(), 1);
            assert_eq!(eve.types(&mut node), ["room:message"], "{room}");
            // Another's message may have the same name.
            assert_eq!(eve.ask(&mut node, &send)[0]["success"], true);
            for client in [&mut ada, &mut bob] {
                assert_eq!(client.types(&mut node), ["room:message"]);
            }
        }
        let silent = format!(r#"{{"type":"room:send","room":"{room}","payload":1,"messageId":"x"}}"#);
        assert!(ada.ask(&mut node, &silent).is_empty());
        assert_eq!(eve.types(&mut node).len(), 0);
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let none = HistoryConfig { keep: Keep { messages: 0, seconds: 60 }, ..HistoryConfig::for_tests() };
    let little = HistoryConfig { bytes_max: 4096, ..HistoryConfig::for_tests() };
    let long = format!("\"{}\"", "x".repeat(3_000));
    for (history, payload, reason) in [(none, "1", "keeps no history"), (little, &*long, "too small")] {
        let mut node = node_with(history);
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        ada.join(&mut node, "a");
        for (heard, error) in [
            (ada.ask(&mut node, &send("a", payload)), "error"),
            (ada.ask(&mut node, &send("a", payload).replacen(r#""id":"s","#, "", 1)), ""),
        ] {
            let fault = if error.is_empty() { &heard[0] } else { &heard[0][error] };
            assert_eq!(fault["code"], "unavailable", "{heard:?}");
            assert!(fault["message"].as_str().unwrap().contains(reason), "{heard:?}");
        }
        assert_eq!(
            ada.ask(&mut node, r#"{"type":"room:send","id":1,"room":"a","payload":1}"#)[0]["success"],
            true
        );
    }
}

/// Nobody becomes a slow consumer by asking for the past, or makes the gateway hold much of it.
#[test]
fn the_past_has_room_in_the_outbox_or_waits() {
    // 256 KiB may wait.
    let history = HistoryConfig { page_bytes_max: 128 * 1024, ..HistoryConfig::for_tests() };
    let mut node = node_with(history);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let position = ada.ask(&mut node, r#"{"type":"room:join","id":1,"room":"a"}"#)[0].clone();
    let long = format!("\"{}\"", "x".repeat(50_000));
    for _ in 0..2 {
        ada.say(&mut node, &send("a", &long));
    }
    ada.json(&mut node);
    let mut bob = Client::connect(&mut node, 1, "bob", "acme");
    node.flow(bob.id, Flow::Blocked);
    bob.say(&mut node, &join_since("a", &position));
    node.flow(bob.id, Flow::Open);
    let heard = bob.json(&mut node);
    assert_eq!((&heard[0]["recovered"], heard.len()), (&true.into(), 4));
    ada.say(&mut node, &send("a", &long));
    bob.json(&mut node);
    // Three are too much for one join, but not for pages.
    let mut eve = Client::connect(&mut node, 1, "eve", "acme");
    let heard = eve.ask(&mut node, &join_since("a", &position));
    assert_eq!((&heard[0]["recovered"], &heard[0]["offset"], heard.len()), (&false.into(), &3.into(), 2));
    let page = r#"{"type":"room:history","id":1,"room":"a","limit":2}"#;
    let many: Vec<u8> = (0..100).flat_map(|_| text(page)).collect();
    node.flow(eve.id, Flow::Blocked);
    node.receive(eve.id, &many);
    let waiting = node.engines[1].store.bytes();
    assert!(waiting <= 256 * 1024, "{waiting} bytes wait");
    node.flow(eve.id, Flow::Open);
    let heard = eve.json(&mut node);
    let is_page = |event: &&Value| event["success"] == true;
    assert_eq!((heard.len(), heard.iter().filter(is_page).count()), (100, 1));
    assert_eq!(heard[1]["error"]["code"], "rate_limited");
    assert!(heard[1]["error"]["retryAfterMs"].as_u64().unwrap() > 0);
    assert_eq!(eve.ask(&mut node, page)[0]["messages"].as_array().unwrap().len(), 2);
}
