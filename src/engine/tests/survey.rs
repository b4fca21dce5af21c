//! Pages that need every shard: `/health`, `/stats`, `/metrics`, whole and with a shard that does not answer.

use serde_json::json;

use super::{
    client::Client,
    harness::{Node, Side, admin_token},
    http::{answers, ask, bearer, request},
};
use crate::engine::{
    Ask, Input, NodeFacts, Parcel, ShardFacts,
    survey::{AT_ONCE, PACE_MS, QUERIES_MAX},
};

fn facts(shards: usize) -> NodeFacts {
    NodeFacts {
        uptime_s: 12.3456,
        resident_bytes: 128 * 1024 * 1024,
        memory_bytes_max: 1024 * 1024 * 1024,
        shards: vec![ShardFacts { turned_ago_ms: 3, lag_us: 250 }; shards],
        ..NodeFacts::default()
    }
}

fn tell_facts(node: &mut Node, facts: &NodeFacts) {
    let now = node.now;
    for engine in &mut node.engines {
        engine.handle(Input::Facts(facts.clone()), now);
    }
}

#[test]
fn health_covers_the_node() {
    let mut node = Node::new(3);
    tell_facts(&mut node, &facts(3));
    let _clients = [Client::connect(&mut node, 0, "a", "x"), Client::connect(&mut node, 2, "b", "x")];
    let id = node.accept(1);
    let answer = ask(&mut node, id, &request("/health", ""));
    assert_eq!(answer.status, 200);
    let shard = |shard| json!({"shard": shard, "alive": true, "loopLagUs": 250});
    let expected = json!({
        "status": "healthy", "timestamp": "2027-01-15T08:00:00Z", "uptime": 12.346, "connections": 3,
        "memory_usage": "128MB", "version": "1.2.3", "node": "0000002a", "driver": "test",
        "websocket": {"active": 2},
        "checks": {
            "redis": {"status": "disabled"},
            "memory": {"bytes": 134_217_728, "limit": 1_073_741_824, "ratio": 0.125},
            "capacity": {"connections": 3, "limit": 0, "ratio": 0.0},
            "shards": [shard(0), shard(1), shard(2)],
        },
    });
    assert_eq!(answer.json(), expected);
}

#[test]
fn a_request_behind_a_survey_waits_for_its_turn() {
    let mut node = Node::new(3);
    let id = node.accept(0);
    node.deaf = vec![2];
    let bytes = [request("/health", ""), request("/live", "")].concat();
    node.receive(id, &bytes);
    node.receive(id, &request("/none", ""));
    assert_eq!(node.take_text(id), "", "one shard has not answered");
    node.deaf = vec![];
    node.settle();
    let status: Vec<u16> = answers(&node.take_text(id), 0).iter().map(|answer| answer.status).collect();
    assert_eq!(status, [200, 200, 404]);
}

/// Also before the shell has told its first facts.
#[test]
fn a_shard_that_does_not_answer_is_left_out_after_a_second() {
    for told in [true, false] {
        let mut node = Node::new(3);
        if told {
            tell_facts(&mut node, &facts(3));
        }
        let id = node.accept(0);
        node.deaf = vec![1];
        node.receive(id, &request("/health", ""));
        node.advance(999);
        assert_eq!(node.take_text(id), "");
        node.advance(1);
        let answer = answers(&node.take_text(id), 0).remove(0);
        assert_eq!(answer.status, 503);
        let health = answer.json();
        assert_eq!(health["status"], "degraded");
        let alive: Vec<_> =
            health["checks"]["shards"].as_array().unwrap().iter().map(|it| &it["alive"]).collect();
        assert_eq!(alive, [true, false, true], "told: {told}");
        // The late report is of no use to the next page.
        node.deaf = vec![];
        node.settle();
        assert_eq!(ask(&mut node, id, &request("/health", "")).status, 200);
    }
}

#[test]
fn a_shard_that_stands_still_fails_live_and_health() {
    let mut node = Node::new(2);
    let mut facts = facts(2);
    facts.shards[1].turned_ago_ms = 5_000;
    tell_facts(&mut node, &facts);
    let id = node.accept(0);
    let live = ask(&mut node, id, &request("/live", ""));
    assert_eq!((live.status, live.body.as_str()), (503, r#"{"status":"stalled"}"#));
    assert_eq!(ask(&mut node, id, &request("/health", "")).status, 503);
    facts.shards[1].turned_ago_ms = 4_999;
    tell_facts(&mut node, &facts);
    assert_eq!(ask(&mut node, id, &request("/live", "")).body, r#"{"status":"alive"}"#);
}

/// How many surveys a shard has been asked for, while it does not listen.
fn asked(node: &Node, shard: u16) -> usize {
    let is_survey = |parcel: &&Parcel| matches!(parcel, Parcel::Ask(Ask::Survey { .. }));
    node.lanes.get(&(0, shard, false)).map_or(0, |lane| lane.iter().filter(is_survey).count())
}

/// However many ask however often, the shards are asked at a pace, and everybody is answered in his order.
#[test]
fn a_survey_is_for_all_who_wait() {
    let mut node = Node::new(2);
    node.deaf = vec![1];
    let (few, many) = (usize::try_from(AT_ONCE).unwrap(), 100);
    let ids: Vec<_> = (0..many).map(|_| node.accept(0)).collect();
    for id in &ids {
        node.receive(*id, &[request("/health", ""), request("/metrics", "")].concat());
    }
    assert_eq!(asked(&node, 1), few, "the first without a pause");
    node.advance(PACE_MS);
    assert_eq!(asked(&node, 1), few + 1, "one for all the others");
    node.deaf.clear();
    node.settle();
    for step in 0..2 * many {
        if node.engines[0].surveys.due_ms().is_none() {
            break;
        }
        assert!(step < few + 4, "they end together");
        node.advance(PACE_MS);
    }
    for id in &ids {
        let answers = answers(&node.take_text(*id), 0);
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200]);
        assert!(answers[1].body.contains("websocket_connections_total 100"));
    }
    // What is counted is never older than the question.
    let client = Client::connect(&mut node, 0, "ada", "acme");
    node.receive(ids[0], &request("/metrics", ""));
    client.say(&mut node, r#"{"type":"ping"}"#);
    node.receive(ids[1], &request("/metrics", ""));
    node.advance(PACE_MS * AT_ONCE);
    let text = node.take_text(ids[1]);
    assert!(text.contains(r#"websocket_messages_received_total{type="ping",protocol="json"} 1"#));
}

/// A client that sends its requests all at once is answered, and paces nobody but those who ask for such pages.
#[test]
fn pipelined_requests_are_paced() {
    let mut node = Node::new(1);
    let id = node.accept(0);
    node.receive(id, &request("/health", "").repeat(50));
    let told = |node: &mut Node| answers(&node.take_text(id), 0).len();
    let mut all = told(&mut node);
    assert_eq!(all as u64, AT_ONCE);
    let probe = node.accept(0);
    assert_eq!(ask(&mut node, probe, &request("/ready", "")).status, 200);
    for _ in AT_ONCE..50 {
        node.advance(PACE_MS);
        all += told(&mut node);
    }
    assert_eq!(all, 50);
    assert_eq!(node.engines[0].surveys.due_ms(), None);
}

/// One that wants more than counts is served together with those that do not.
#[test]
fn who_wants_the_top_has_it_among_others() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 1, "ada", "acme");
    ada.join(&mut node, "lobby");
    let id = node.accept(0);
    for _ in 0..AT_ONCE {
        ask(&mut node, id, &request("/health", ""));
    }
    let ids = [node.accept(0), node.accept(0), node.accept(0)];
    for (id, path) in ids.into_iter().zip(["/health", "/stats", "/metrics"]) {
        node.receive(id, &request(path, &bearer(&admin_token())));
    }
    node.advance(PACE_MS);
    let [health, stats, metrics] = ids.map(|id| answers(&node.take_text(id), 0).remove(0));
    assert_eq!((health.status, &stats.json()["rooms"]["largest"][0]["room"]), (200, &json!("lobby")));
    assert!(metrics.body.contains("websocket_active_rooms 1"));
}

/// Who pages through connections shares a survey with everybody else, so many different pages at a time.
#[test]
fn pages_of_connections_share_a_survey() {
    let mut node = Node::new(2);
    let _ada = Client::connect(&mut node, 1, "ada", "acme");
    let _bob = Client::connect(&mut node, 0, "bob", "acme");
    let probe = node.accept(0);
    node.deaf = vec![1];
    for _ in 0..AT_ONCE {
        let id = node.accept(0);
        node.receive(id, &request("/health", ""));
    }
    let few = asked(&node, 1);
    let page = |query: &str| request(&format!("/api/v1/connections/health{query}"), &bearer(&admin_token()));
    let rows = [("?user=ada", 1), ("?user=ada", 1), ("?tenant=acme", 2), ("?quality=poor", 0)];
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(query, found)| {
            let id = node.accept(0);
            node.receive(id, &page(query));
            (id, found)
        })
        .collect();
    node.receive(probe, &request("/health", ""));
    node.advance(PACE_MS);
    assert_eq!(asked(&node, 1), few + 1, "one for all of them");
    // More different pages than one survey is for have to wait for the next, and nobody waits for them.
    let many: Vec<_> = (0..=QUERIES_MAX)
        .map(|limit| {
            let id = node.accept(0);
            node.receive(id, &page(&format!("?limit={}", limit + 1)));
            id
        })
        .collect();
    node.advance(PACE_MS);
    assert_eq!(asked(&node, 1), few + 2);
    node.advance(PACE_MS);
    assert_eq!(asked(&node, 1), few + 3);
    node.deaf.clear();
    node.settle();
    for (id, found) in rows {
        let page = answers(&node.take_text(id), 0).remove(0).json();
        assert_eq!((page["totalClients"].as_u64(), &page["partial"]), (Some(found), &json!(false)));
    }
    for (limit, id) in (1..).zip(many) {
        let page = answers(&node.take_text(id), 0).remove(0).json();
        assert_eq!(
            (&page["totalClients"], page["clients"].as_array().unwrap().len()),
            (&json!(2), 2.min(limit))
        );
    }
    assert_eq!(answers(&node.take_text(probe), 0)[0].status, 200);
}

#[test]
fn a_client_that_does_not_wait_for_its_page_leaves_nothing() {
    let mut node = Node::new(2);
    let id = node.accept(0);
    node.deaf = vec![1];
    node.receive(id, &request("/health", ""));
    node.hang_up(id, true);
    assert_eq!(node.engines[0].surveys.due_ms(), None);
    node.deaf = vec![];
    node.settle();
    node.assert_empty();
}

/// The shell reads all sockets before it does what the engine said: nobody may be given the slot of a socket
/// that is still open.
#[test]
fn a_slot_is_not_given_out_before_its_socket_is_closed() {
    let mut node = Node::new(2);
    let id = node.accept(0);
    node.deaf = vec![1];
    node.receive(id, &request("/health", ""));
    // More than may wait behind the page.
    let filler = request("/live", "");
    node.receive_only(id, &filler.repeat(300 * 1024 / filler.len()));
    let next = node.accept(0);
    node.settle();
    assert_eq!(node.side(id), Side::Closed);
    assert_eq!(ask(&mut node, next, &request("/live", "")).status, 200);
}

#[test]
fn stats_name_tenants_rooms_and_talkers() {
    let mut node = Node::new(3);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let mut bob = Client::connect(&mut node, 1, "bob", "acme");
    let mut eve = Client::connect(&mut node, 2, "eve", "other");
    ada.join(&mut node, "lobby");
    bob.join(&mut node, "lobby");
    eve.join(&mut node, "lobby");
    for _ in 0..3 {
        bob.say(&mut node, r#"{"type":"ping"}"#);
    }
    let id = node.accept(0);
    let stats = ask(&mut node, id, &request("/stats", &bearer(&admin_token()))).json();
    assert_eq!(
        stats["connections"],
        json!({
            "total": 4, "byTenant": {"acme": 2, "other": 1}, "byProtocol": {"json": 3, "relay": 0, "echo": 0, "http": 1}, "byShard": [2, 1, 1],
        })
    );
    assert_eq!(
        stats["rooms"],
        json!({"total": 2, "subscriptions": 3, "largest": [
            {"tenant": "acme", "room": "lobby", "members": 2},
            {"tenant": "other", "room": "lobby", "members": 1},
        ]})
    );
    assert_eq!(stats["topTalkers"][0]["user"], "bob");
    assert_eq!(stats["topTalkers"][0]["messages"], 4);
    // A shard that is missing keeps its place.
    node.deaf = vec![1];
    node.receive(id, &request("/stats", &bearer(&admin_token())));
    node.advance(1_000);
    let stats = answers(&node.take_text(id), 0).remove(0).json();
    assert_eq!(stats["connections"]["byShard"], json!([2, null, 1]));
}

/// Probes and scrapes come often, and naming rooms and talkers means looking at every one of them.
#[test]
fn only_stats_makes_the_shards_look_for_the_top() {
    for (path, wanted) in
        [("/health", false), ("/metrics", false), ("/api/metrics/websocket", false), ("/stats", true)]
    {
        let mut node = Node::new(2);
        node.deaf = vec![1];
        let id = node.accept(0);
        node.receive(id, &request(path, &bearer(&admin_token())));
        let asks = &node.lanes[&(0, 1, false)];
        let is_asked =
            |parcel: &Parcel| matches!(parcel, Parcel::Ask(Ask::Survey { want, .. }) if want.top == wanted);
        assert!(asks.len() == 1 && is_asked(&asks[0]), "{path}: {asks:?}");
    }
}

#[test]
fn metrics_sum_what_the_shards_counted() {
    let mut node = Node::new(3);
    for shard in 0..3 {
        let mut client = Client::connect(&mut node, shard, "ada", "acme");
        client.join(&mut node, "lobby");
        client.say(&mut node, r#"{"type":"room:send","id":1,"room":"lobby","payload":1,"echo":true}"#);
    }
    let id = node.accept(2);
    let text = ask(&mut node, id, &request("/metrics", "")).body;
    for line in [
        r#"websocket_active_connections{tenant="acme",status="authenticated",protocol="json"} 3"#,
        r#"websocket_messages_sent_total{type="room:message",protocol="json"} 6"#,
        r#"websocket_messages_received_total{type="room:send",protocol="json"} 3"#,
        "websocket_active_rooms 1",
        "websocket_room_subscriptions 3",
        "websocket_connections_total 4",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
}
