//! `/api/metrics/websocket`: rates and what was counted today, over shards, seconds and midnight.

use serde_json::{Value, json};

use super::{
    client::Client,
    harness::{Node, START_UNIX_MS, admin_token},
    http::{ask, bearer, request},
};
use crate::{
    base::ConnId,
    engine::{Input, NodeFacts},
};

const DAY_MS: u64 = 86_400_000;

/// Lets seconds pass as the shell does.
fn tick(node: &mut Node, seconds: u64) {
    for _ in 0..seconds {
        node.step(1_000);
        let now = node.now;
        node.engines.iter_mut().for_each(|engine| engine.handle(Input::Facts(NodeFacts::default()), now));
    }
}

fn page(node: &mut Node, id: ConnId) -> Value {
    ask(node, id, &request("/api/metrics/websocket", &bearer(&admin_token()))).json()
}

#[test]
fn all_shards_together() {
    let mut node = Node::new(3);
    let id = node.accept(0);
    let none = json!({"per_second": 0.0, "total_today": 0});
    let mut messages = none.clone();
    messages["received"] = none.clone();
    messages["sent"] = none.clone();
    let empty = json!({
        "connections": {"total": 0, "per_tenant": {}}, "messages": messages, "errors": none, "dropped": none,
    });
    assert_eq!(page(&mut node, id), empty, "before the shell's first word");

    let mut clients: Vec<Client> = [(0, "acme"), (1, "acme"), (2, "globex")]
        .map(|(shard, tenant)| Client::connect(&mut node, shard, "ada", tenant))
        .into();
    let _pending = Client::upgrade(&mut node, 1, "/ws", "");
    tick(&mut node, 1);
    // In each of four seconds each client says one good thing and one bad thing, and is answered twice.
    for _ in 0..4 {
        for client in &mut clients {
            assert_eq!(client.ask(&mut node, r#"{"type":"ping"}"#).len(), 1);
            assert_eq!(client.ask(&mut node, r#"{"type":"nothing"}"#).len(), 1);
        }
        tick(&mut node, 1);
    }
    let found = page(&mut node, id);
    let count = |per_second: f64, total: u64| json!({"per_second": per_second, "total_today": total});
    assert_eq!(found["connections"], json!({"total": 4, "per_tenant": {"acme": 2, "globex": 1}}));
    assert_eq!(found["messages"]["received"], count(6.0, 24));
    // The greetings are among them, but were before the first sample.
    assert_eq!(found["messages"]["sent"], count(6.0, 27));
    assert_eq!(
        (&found["messages"]["per_second"], &found["messages"]["total_today"]),
        (&json!(12.0), &json!(51))
    );
    assert_eq!(found["errors"], count(3.0, 12));
    assert_eq!(found["dropped"], count(0.0, 0));
    tick(&mut node, 11);
    let found = page(&mut node, id);
    assert_eq!(found["messages"]["received"], count(0.0, 24), "the rate is that of ten seconds");
}

#[test]
fn midnight_begins_a_new_count() {
    let mut node = Node::new(2);
    let mut client = Client::connect(&mut node, 1, "ada", "acme");
    let id = node.accept(0);
    tick(&mut node, 1);
    client.ask(&mut node, r#"{"type":"ping"}"#);
    tick(&mut node, 1);
    assert_eq!(page(&mut node, id)["messages"]["received"]["total_today"], 1);
    let until_midnight_ms = DAY_MS - node.now.unix_ms % DAY_MS;
    assert!(node.now.unix_ms > START_UNIX_MS && until_midnight_ms > 1_000);
    node.step(until_midnight_ms - 1);
    assert_eq!(page(&mut node, id)["messages"]["received"]["total_today"], 1);
    node.step(1);
    assert_eq!(page(&mut node, id)["messages"]["received"]["total_today"], 0);
    client.ask(&mut node, r#"{"type":"ping"}"#);
    assert_eq!(page(&mut node, id)["messages"]["received"]["total_today"], 1);
}
