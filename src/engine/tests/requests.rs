//! Requests from end to end: who gets them, whose answer counts, and what becomes of them when somebody goes.

use serde_json::{Value, json};

use super::{
    client::{Client, close, frame, text},
    harness::{self, Node, START_UNIX_MS},
};
use crate::{
    base::{ConnId, NodeId, RequestId, RoomName, ShardId, ShareLimits, TenantName},
    engine::{Caller, Notice, requests::Asker},
    hub::{Aim, PendingLimits},
    metrics::{Dropped, Table},
    model::{CorrelationId, Json, Method, Request, Target},
    ws::Opcode,
};

const NODE: NodeId = NodeId(0x2a);

fn to_user(user: &str) -> String {
    format!(r#"{{"type":"request","id":1,"to":{{"user":"{user}"}},"method":"m","payload":1}}"#)
}

fn to_conn(conn: ConnId) -> String {
    let conn = conn.public(NODE);
    format!(r#"{{"type":"request","id":1,"to":{{"connection":"{conn}"}},"method":"m","payload":1}}"#)
}

fn response(request: &Value, rest: &str) -> String {
    format!(r#"{{"type":"response","correlationId":{},{rest}}}"#, request["correlationId"])
}

/// The one request that a client has heard since the last call.
#[track_caller]
fn request(node: &mut Node, client: &mut Client) -> Value {
    let mut heard = client.json(node);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0]["type"], "request");
    heard.remove(0)
}

/// The code of the one failed ack that a client has heard.
#[track_caller]
fn fault(node: &mut Node, client: &mut Client) -> String {
    let heard = client.json(node);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((&heard[0]["type"], &heard[0]["success"]), (&json!("ack"), &json!(false)));
    harness::text_of(&heard[0]["error"]["code"])
}

fn dropped(node: &Node, reason: Dropped) -> u64 {
    node.engines.iter().map(|engine| engine.metrics.dropped.get(reason)).sum()
}

/// How many requests wait, and how many answers are owed.
fn pending(node: &Node) -> (usize, bool) {
    let waiting = node.engines.iter().map(|engine| engine.requests.pending.len()).sum();
    (waiting, node.engines.iter().any(|engine| !engine.requests.is_empty()))
}

#[test]
fn the_one_who_is_asked_answers_wherever_both_are() {
    for (here, there, by_conn) in
        [(0, 0, false), (0, 0, true), (0, 2, false), (0, 2, true), (2, 1, false), (1, 0, true)]
    {
        let mut node = Node::new(3);
        let mut ada = Client::connect(&mut node, here, "ada", "acme");
        let mut bob = Client::connect(&mut node, there, "bob", "acme");
        let to = if by_conn {
            format!(r#"{{"connection":"{}"}}"#, bob.id.public(NODE))
        } else {
            r#"{"user":"bob"}"#.to_owned()
        };
        let ask = format!(
            r#"{{"type":"request","id":"q","to":{to},"method":"print","payload":{{ "copies" : 2e0 }},"timeoutMs":500}}"#
        );
        ada.say(&mut node, &ask);
        assert_eq!(pending(&node), (1, true));
        let raw = String::from_utf8_lossy(node.sockets[&bob.id].peek()).into_owned();
        assert!(raw.contains(r#""payload":{ "copies" : 2e0 },"#), "byte for byte: {raw}");
        let asked = request(&mut node, &mut bob);
        let expected = json!({
            "type": "request", "correlationId": asked["correlationId"], "from": "ada", "method": "print",
            "payload": {"copies": 2e0}, "deadline": START_UNIX_MS + 500,
        });
        assert_eq!(asked, expected);
        assert_eq!(ada.json(&mut node), [json!(null); 0]);
        node.step(100);
        assert_eq!(bob.ask(&mut node, &response(&asked, r#""payload":{ "pages":[ 7 ]}"#)), [json!(null); 0]);
        let acked = String::from_utf8_lossy(node.sockets[&ada.id].peek()).into_owned();
        assert!(acked.contains(r#""payload":{ "pages":[ 7 ]}}"#), "byte for byte: {acked}");
        let expected = json!({"type": "ack", "id": "q", "success": true, "payload": {"pages": [7]}});
        assert_eq!(ada.json(&mut node), [expected]);
        assert_eq!(pending(&node), (0, false));
        let took = &node.engines[usize::from(here)].metrics.request_duration;
        assert!(format!("{took:?}").contains("sum_us: 100000"), "{took:?}");
        node.advance(20_000);
        assert_eq!((ada.json(&mut node).len(), bob.json(&mut node).len()), (0, 0));
    }
}

#[test]
fn a_responders_error_comes_as_it_was_written_and_a_response_can_be_acked() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let mut bob = Client::connect(&mut node, 1, "bob", "acme");
    ada.say(&mut node, &to_user("bob"));
    let asked = request(&mut node, &mut bob);
    let error = r#""id":5,"error":{"code":"no_paper","message":"none","left":0}"#;
    let heard = bob.ask(&mut node, &response(&asked, error));
    assert_eq!(heard, [json!({"type": "ack", "id": 5, "success": true})]);
    let error = json!({"code": "no_paper", "message": "none", "left": 0});
    assert_eq!(ada.json(&mut node), [json!({"type": "ack", "id": 1, "success": false, "error": error})]);
    // Without an id success is silent.
    ada.say(&mut node, r#"{"type":"request","to":{"user":"bob"},"method":"m","payload":1}"#);
    let asked = request(&mut node, &mut bob);
    bob.say(&mut node, &response(&asked, r#""payload":1"#));
    assert_eq!((ada.json(&mut node).len(), pending(&node)), (0, (0, false)));
    let heard = ada.ask(&mut node, r#"{"type":"request","to":{"user":"eve"},"method":"m","payload":1}"#);
    assert_eq!((&heard[0]["type"], &heard[0]["code"]), (&json!("system:error"), &json!("no_target")));
}

#[test]
fn who_is_not_there_or_of_another_tenant_is_no_target() {
    for shards in [1, 3] {
        let mut node = Node::new(shards);
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        let mut eve = Client::connect(&mut node, shards - 1, "eve", "other");
        let echo = Client::upgrade(&mut node, 0, "/echo", "").id;
        let http = node.accept(0);
        let pending_one = Client::upgrade(&mut node, 0, "/ws", "").id;
        let spoilt = [
            ConnId { generation: eve.id.generation + 1, ..eve.id },
            ConnId { slot: 99, ..eve.id },
            ConnId { shard: ShardId(shards), ..eve.id },
            ConnId { shard: ShardId(255), slot: 0, generation: 0 },
        ];
        let elsewhere = format!(
            r#"{{"type":"request","id":1,"to":{{"connection":"{}"}},"method":"m","payload":1}}"#,
            ada.id.public(NodeId(7))
        );
        let conns = [eve.id, echo, http, pending_one].into_iter().chain(spoilt).map(to_conn);
        for ask in conns.chain([to_user("eve"), to_user("nobody"), to_user("ada"), elsewhere]) {
            ada.say(&mut node, &ask);
            assert_eq!(fault(&mut node, &mut ada), "no_target", "{ask}");
        }
        assert_eq!((eve.json(&mut node).len(), pending(&node)), (0, (0, false)));
        // But one may ask oneself by connection, and another connection of one's own by name.
        ada.say(&mut node, &to_conn(ada.id));
        request(&mut node, &mut ada);
        let mut other = Client::connect(&mut node, shards - 1, "ada", "acme");
        ada.say(&mut node, &to_user("ada"));
        request(&mut node, &mut other);
    }
}

#[test]
fn of_several_connections_one_is_asked_and_the_newest_of_the_own_shard_first() {
    let mut node = Node::new(2);
    let ada = Client::connect(&mut node, 0, "ada", "acme");
    let mut bobs = [1, 0, 0, 1].map(|shard| Client::connect(&mut node, shard, "bob", "acme"));
    ada.say(&mut node, &to_user("bob"));
    let heard = bobs.each_mut().map(|bob| bob.json(&mut node).len());
    assert_eq!(heard, [0, 0, 1, 0]);
}

#[test]
fn late_unknown_and_foreign_answers_are_counted_and_dropped() {
    let mut node = Node::new(3);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let mut bob = Client::connect(&mut node, 1, "bob", "acme");
    let mut eve = Client::connect(&mut node, 2, "eve", "acme");
    ada.say(&mut node, &to_user("bob"));
    let asked = request(&mut node, &mut bob);
    let not_found = |heard: Vec<Value>| assert_eq!(heard[0]["error"]["code"], "not_found");

    assert_eq!(eve.ask(&mut node, &response(&asked, r#""payload":"mine""#)), [json!(null); 0]);
    not_found(eve.ask(&mut node, &response(&asked, r#""payload":"mine","id":1"#)));
    assert_eq!((dropped(&node, Dropped::ForeignResponse), ada.json(&mut node).len()), (2, 0));

    bob.say(&mut node, &response(&asked, r#""payload":1"#));
    assert_eq!(ada.json(&mut node)[0]["payload"], 1);
    assert_eq!(bob.ask(&mut node, &response(&asked, r#""payload":2"#)), [json!(null); 0]);
    not_found(bob.ask(&mut node, &response(&asked, r#""payload":2,"id":1"#)));
    assert_eq!((dropped(&node, Dropped::LateResponse), ada.json(&mut node).len()), (2, 0));

    let id = |shard, slot| RequestId { shard: ShardId(shard), slot, generation: 0 };
    let unknown = [id(0, 77).public(NODE), id(3, 0).public(NODE), id(0, 0).public(NodeId(1)), "x".into()];
    for id in &unknown {
        let made_up = json!({ "correlationId": id });
        assert_eq!(bob.ask(&mut node, &response(&made_up, r#""payload":1"#)), [json!(null); 0]);
        not_found(bob.ask(&mut node, &response(&made_up, r#""payload":1,"id":1"#)));
    }
    assert_eq!(dropped(&node, Dropped::UnknownResponse), 2 * unknown.len() as u64);
}

#[test]
fn a_request_ends_with_its_time() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let mut bob = Client::connect(&mut node, 1, "bob", "acme");
    for (rest, lasts_ms) in [("", 15_000), (r#","timeoutMs":1"#, 1), (r#","timeoutMs":120000"#, 120_000)] {
        let ask =
            format!(r#"{{"type":"request","id":1,"to":{{"user":"bob"}},"method":"m","payload":1{rest}}}"#);
        ada.say(&mut node, &ask);
        let asked = request(&mut node, &mut bob);
        for _ in 0..lasts_ms / 20_000 {
            node.advance(19_999);
            for id in [ada.id, bob.id] {
                node.receive(id, &frame(Opcode::Pong, b"alive"));
            }
        }
        node.advance(lasts_ms - lasts_ms / 20_000 * 19_999 - 1);
        assert_eq!((ada.json(&mut node).len(), pending(&node)), (0, (1, true)), "before {lasts_ms}");
        node.advance(1);
        assert_eq!((fault(&mut node, &mut ada), pending(&node)), ("timeout".into(), (0, false)));
        let late = dropped(&node, Dropped::LateResponse);
        bob.say(&mut node, &response(&asked, r#""payload":1"#));
        assert_eq!((ada.json(&mut node).len(), dropped(&node, Dropped::LateResponse)), (0, late + 1));
    }
    assert_eq!(node.engines[0].metrics.request_timeouts, 3);
    for wrong in [0, 120_001] {
        let ask = format!(
            r#"{{"type":"request","id":1,"to":{{"user":"bob"}},"method":"m","payload":1,"timeoutMs":{wrong}}}"#
        );
        ada.say(&mut node, &ask);
        assert_eq!(fault(&mut node, &mut ada), "bad_request");
    }
    // While shards that do not answer are asked for somebody, too.
    node.deaf = vec![1];
    ada.say(&mut node, &to_user("bob"));
    node.advance(15_000);
    assert_eq!(fault(&mut node, &mut ada), "timeout");
    node.deaf = vec![];
    node.settle();
    assert_eq!((bob.json(&mut node).len(), pending(&node)), (0, (0, false)));
}

#[test]
fn a_target_that_goes_is_no_target_at_once_however_it_goes() {
    let ways: [fn(&mut Node, &Client); 4] = [
        |node, bob| node.receive(bob.id, &close(1000)),
        |node, bob| node.hang_up(bob.id, true),
        |node, bob| node.hang_up(bob.id, false),
        |node, _| node.advance(5_000),
    ];
    for (there, way) in [0, 1].into_iter().flat_map(|there| ways.map(|way| (there, way))) {
        let mut node = Node::new(2);
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        let mut bob = Client::with_token(&mut node, there, &harness::token("bob", "acme", Some(1)));
        bob.heard(&mut node);
        for _ in 0..2 {
            ada.say(&mut node, &to_user("bob"));
            request(&mut node, &mut bob);
        }
        way(&mut node, &bob);
        node.advance(6_000);
        let heard: Vec<Value> = ada.json(&mut node);
        let codes: Vec<&Value> = heard.iter().map(|ack| &ack["error"]["code"]).collect();
        assert_eq!(codes, ["no_target", "no_target"]);
        assert_eq!(pending(&node), (0, false));
    }
}

#[test]
fn the_requests_of_who_goes_are_dropped() {
    for there in [0, 1] {
        let mut node = Node::new(2);
        let mut bob = Client::connect(&mut node, there, "bob", "acme");
        let ada = Client::connect(&mut node, 0, "ada", "acme");
        ada.say(&mut node, &to_user("bob"));
        let asked = request(&mut node, &mut bob);
        node.hang_up(ada.id, true);
        assert_eq!(pending(&node), (0, false));
        bob.say(&mut node, &response(&asked, r#""payload":1"#));
        assert_eq!(dropped(&node, Dropped::LateResponse), 1);
        // One who went while somebody was looked for; and both at once.
        let eve = Client::connect(&mut node, 0, "eve", "acme");
        node.receive_only(eve.id, &text(&to_user("bob")));
        node.hang_up_only(eve.id, true);
        node.settle();
        let eve = Client::connect(&mut node, 0, "eve", "acme");
        eve.say(&mut node, &to_user("bob"));
        node.hang_up_only(eve.id, true);
        node.hang_up_only(bob.id, true);
        node.settle();
        node.assert_empty();
    }
}

#[test]
fn full_tables_refuse() {
    let mut config = harness::config(1);
    let shares = ShareLimits { total: 3, percent: 100 };
    config.requests.pending_max = PendingLimits { per_connection: 2, shares };
    let mut node = Node::with(config);
    let [mut ada, mut bob] = ["ada", "bob"].map(|user| Client::connect(&mut node, 0, user, "acme"));
    for (client, fits) in [(&mut ada, 2), (&mut bob, 1)] {
        let ask = to_conn(client.id);
        for _ in 0..fits {
            client.say(&mut node, &ask);
            request(&mut node, client);
        }
        client.say(&mut node, &ask);
        assert_eq!(fault(&mut node, client), "unavailable");
    }
    node.advance(15_000);
    assert_eq!(ada.json(&mut node).len(), 2);
    ada.say(&mut node, &to_conn(ada.id));
    request(&mut node, &mut ada);
}

#[test]
fn a_tenant_that_has_all_it_may_have_leaves_room_for_others() {
    let mut config = harness::config(1);
    let shares = ShareLimits { total: 4, percent: 50 };
    config.requests.pending_max = PendingLimits { per_connection: 9, shares };
    let mut node = Node::with(config);
    let mut loud = ["ada", "bob"].map(|user| Client::connect(&mut node, 0, user, "loud"));
    for client in &mut loud {
        client.say(&mut node, &to_conn(client.id));
        request(&mut node, client);
    }
    let [ada, bob] = &mut loud;
    for client in [&mut *ada, bob] {
        client.say(&mut node, &to_conn(client.id));
        assert_eq!(fault(&mut node, client), "unavailable");
    }
    let mut eve = Client::connect(&mut node, 0, "eve", "quiet");
    eve.say(&mut node, &to_conn(eve.id));
    request(&mut node, &mut eve);
    let metrics = node.engines[0].metrics_mut();
    assert_eq!((metrics.share_full.get(Table::Requests), metrics.table_full.total()), (2, 0));
    // What has found its end makes room again.
    node.advance(15_000);
    ada.json(&mut node);
    ada.say(&mut node, &to_conn(ada.id));
    request(&mut node, ada);
}

/// As the backend asks: nobody is named as who asks, and one member of a room is taken, of whichever shard.
#[test]
fn one_member_of_a_room_is_asked() {
    let mut node = Node::new(3);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let mut members = [0, 1, 2, 2].map(|shard| Client::connect(&mut node, shard, "bob", "acme"));
    members.iter_mut().for_each(|member| member.join(&mut node, "lobby"));
    let mut asked = [0; 4];
    for (room, tenant) in [("empty", "acme"), ("lobby", "other")].into_iter().chain([("lobby", "acme"); 60]) {
        let caller = Caller::Client { conn: ada.id, call: Some(CorrelationId::from_checked("1")) };
        let request = Request {
            to: Target::Member(RoomName::parse(room).unwrap()),
            method: Method::parse("m").unwrap(),
            payload: Json::from_checked("1".into()),
            timeout_ms: None,
        };
        let asker = Asker { tenant: TenantName::parse(tenant).unwrap(), user: None };
        let now = node.now;
        node.engines[0].put_request(caller, asker, request, now);
        node.engines[0].take_own_parcels(now);
        node.settle();
        if (room, tenant) != ("lobby", "acme") {
            assert_eq!(fault(&mut node, &mut ada), "no_target");
            continue;
        }
        for (count, member) in asked.iter_mut().zip(&mut members) {
            for request in member.json(&mut node) {
                assert_eq!((request["type"].as_str(), request.get("from")), (Some("request"), None));
                *count += 1;
                member.say(&mut node, &response(&request, r#""payload":1"#));
            }
        }
        assert_eq!(ada.json(&mut node).len(), 1);
    }
    assert_eq!(asked.iter().sum::<u32>(), 60);
    assert!(asked.iter().all(|times| *times > 0), "{asked:?}");
}

/// What only an error of this code could leave behind is found, counted, said, and over.
#[test]
fn the_sweep_finds_what_was_forgotten_and_nothing_else() {
    let mut node = Node::new(1);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.say(&mut node, &to_conn(ada.id));
    request(&mut node, &mut ada);
    node.advance(14_000);
    assert!(!node.notices.iter().any(|notice| matches!(notice, Notice::StrayRequests { .. })));
    let gone = ConnId { generation: 7, ..ada.id };
    let (at, engine) = (node.now.mono_ms() + 100_000, &mut node.engines[0]);
    let caller = Caller::Client { conn: gone, call: None };
    engine.requests.pending.open(gone, TenantName::parse("acme").unwrap(), caller, 0, at, Aim::At(ada.id));
    let forgotten = RequestId { shard: ShardId(0), slot: 9, generation: 9 };
    engine.requests.owed.add(gone, forgotten, at);
    node.advance(31_000);
    let found: Vec<usize> = node
        .notices
        .iter()
        .filter_map(|notice| if let Notice::StrayRequests { count } = notice { Some(*count) } else { None })
        .collect();
    assert_eq!((found, node.engines[0].metrics.stray_requests, pending(&node)), (vec![2], 2, (0, false)));
}
