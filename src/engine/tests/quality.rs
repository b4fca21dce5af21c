//! `/api/v1/connections/health`: classes from pings, filters, pages over shards, and the gauge.

use serde_json::{Value, json};

use super::{
    client::{Client, Heard, frame},
    harness::{Node, START_UNIX_MS, admin_token},
    http::{Answer, answers, ask, bearer, request},
};
use crate::ws::Opcode;

const PATH: &str = "/api/v1/connections/health";

fn get(node: &mut Node, query: &str) -> Answer {
    let id = node.accept(0);
    ask(node, id, &request(&format!("{PATH}{query}"), &bearer(&admin_token())))
}

/// Lets so many pings go out and answers each after so many milliseconds; `None` is not at all.
fn pings(node: &mut Node, client: &mut Client, rtts_ms: &[Option<u64>]) {
    for rtt_ms in rtts_ms {
        let payload = loop {
            node.advance(100);
            if let Some(Heard::Ping(payload)) = client.heard(node).pop() {
                break payload;
            }
        };
        match rtt_ms {
            Some(rtt_ms) => {
                // The clock may have gone on since the ping left.
                let sent_us = u64::from_be_bytes(payload[..].try_into().unwrap());
                node.advance(rtt_ms - (node.now.mono_us - sent_us) / 1_000);
                node.receive(client.id, &frame(Opcode::Pong, &payload));
            }
            None => node.receive(client.id, &frame(Opcode::Pong, b"alive")),
        }
    }
}

fn users(page: &Value) -> Vec<&str> {
    page["clients"].as_array().unwrap().iter().map(|client| client["userId"].as_str().unwrap()).collect()
}

#[test]
fn one_client_as_its_pings_show_it() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 1, "ada", "acme");
    let unknown = json!({
        "totalClients": 1, "summary": {"excellent": 0, "good": 0, "fair": 0, "poor": 0, "unknown": 1},
        "clients": [{
            "connectionId": "0000002a0100000000000000", "tenantId": "acme", "userId": "ada",
            "connectedAt": START_UNIX_MS, "quality": "unknown", "averageLatencyMs": null, "p95": null,
            "jitterMs": null, "packetLossRate": 0.0,
        }],
        "partial": false,
    });
    assert_eq!(get(&mut node, "").json(), unknown);

    pings(&mut node, &mut ada, &[Some(100)]);
    let page = get(&mut node, "").json();
    assert_eq!(page["summary"], json!({"excellent": 0, "good": 1, "fair": 0, "poor": 0, "unknown": 0}));
    let client = &page["clients"][0];
    assert_eq!((&client["quality"], &client["averageLatencyMs"]), (&json!("good"), &json!(100.0)));
    // The percentile is rounded up, by less than a thousandth.
    assert_eq!((&client["p95"], &client["jitterMs"]), (&json!(100.032), &json!(0.0)));

    // The third of four is lost when the fourth leaves.
    pings(&mut node, &mut ada, &[Some(108), None, Some(101)]);
    let page = get(&mut node, "").json();
    let client = &page["clients"][0];
    assert_eq!(client["packetLossRate"], 0.25);
    assert_eq!((&client["quality"], &client["averageLatencyMs"]), (&json!("poor"), &json!(101.0)));
    assert_eq!(client["connectedAt"], START_UNIX_MS, "whatever has happened since");
    let id = node.accept(1);
    let metrics = ask(&mut node, id, &request("/metrics", "")).body;
    for (class, count) in [("excellent", 0), ("poor", 1), ("unknown", 0)] {
        let line = format!("websocket_connection_quality{{quality=\"{class}\"}} {count}");
        assert!(metrics.lines().any(|it| it == line), "{line} is not in\n{metrics}");
    }
}

/// A new token is not a new connection.
#[test]
fn a_refresh_keeps_the_time_of_the_connection() {
    let mut node = Node::new(1);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    node.step(90_000);
    let token = super::harness::token("ada", "acme", Some(600));
    let heard = ada.ask(&mut node, &format!(r#"{{"type":"authenticate","id":1,"token":"{token}"}}"#));
    assert_eq!(heard[0]["success"], true);
    assert_eq!(get(&mut node, "").json()["clients"][0]["connectedAt"], START_UNIX_MS);
}

#[test]
fn filters_apply_to_counts_and_page() {
    let mut node = Node::new(3);
    let mut clients = Vec::new();
    for (shard, user, tenant) in
        [(0, "ada", "acme"), (1, "bob", "acme"), (2, "ada", "globex"), (1, "eve", "globex")]
    {
        clients.push(Client::connect(&mut node, shard, user, tenant));
    }
    // Nobody who has no identity is among them.
    let _pending = Client::upgrade(&mut node, 0, "/ws", "");
    let _echo = Client::upgrade(&mut node, 0, "/echo", "");
    pings(&mut node, &mut clients[0], &[Some(20)]);
    let rows: [(&str, &[&str]); 9] = [
        ("", &["ada", "bob", "eve", "ada"]),
        ("?tenant=acme", &["ada", "bob"]),
        ("?user=ada", &["ada", "ada"]),
        ("?user=ada&tenant=globex", &["ada"]),
        ("?quality=excellent", &["ada"]),
        ("?quality=unknown&tenant=globex", &["eve", "ada"]),
        ("?quality=poor", &[]),
        ("?tenant=initech", &[]),
        ("?user=a%64a&other=1", &["ada", "ada"]),
    ];
    for (query, expected) in rows {
        let page = get(&mut node, query).json();
        assert_eq!(users(&page), expected, "{query}");
        assert_eq!(page["totalClients"], expected.len(), "{query}");
        let summary: u64 = page["summary"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(summary, expected.len() as u64, "{query}");
    }
    let parameters = ["tenant=", "user=%00", "quality=best", "quality=", "limit=0", "limit=1001", "limit=x"];
    for parameter in parameters.iter().chain(&["after=7", "after=", "tenant=a&tenant=a", "user=%ff"]) {
        let answer = get(&mut node, &format!("?{parameter}"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (400, &json!("bad_request")),
            "{parameter}"
        );
    }
}

#[test]
fn pages_go_through_all_of_them_once_whoever_leaves_meanwhile() {
    let mut node = Node::new(3);
    let clients: Vec<Client> = (0..20)
        .map(|number| Client::connect(&mut node, number % 3, &format!("user-{number}"), "acme"))
        .collect();
    for limit in [1, 3, 7, 19, 20, 1000] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = get(&mut node, &format!("?limit={limit}{after}")).json();
            assert_eq!(page["totalClients"], 20);
            let names = users(&page);
            assert!(names.len() <= limit);
            seen.extend(names.into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 20, "pages of {limit}");
    }
    // The one that a page ended with is gone: the next page begins behind where it was.
    let first = get(&mut node, "?limit=2").json();
    assert_eq!(users(&first), ["user-0", "user-3"]);
    node.hang_up(clients[3].id, true);
    let rest = get(&mut node, &format!("?limit=2&after={}", first["next"].as_str().unwrap())).json();
    assert_eq!(users(&rest), ["user-6", "user-9"]);
}

#[test]
fn a_page_says_when_a_shard_is_missing() {
    let mut node = Node::new(2);
    let _clients =
        [Client::connect(&mut node, 0, "ada", "acme"), Client::connect(&mut node, 1, "bob", "acme")];
    let id = node.accept(0);
    node.deaf = vec![1];
    node.receive(id, &request(PATH, &bearer(&admin_token())));
    node.advance(1_000);
    let page = answers(&node.take_text(id), 0).remove(0).json();
    assert_eq!((users(&page), &page["partial"]), (vec!["ada"], &json!(true)));
}
