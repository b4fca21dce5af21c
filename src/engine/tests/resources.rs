//! Rooms about which servers decide: what clients are answered, what waits meanwhile and in which order, and what servers are
//! asked, how often and not at all.

use std::sync::Arc;

use serde_json::Value;

use super::{
    api::{ask, post, with_key},
    client::{Client, frame, text},
    harness::{Node, Side, config, config_with, token, token_as},
};
use crate::{
    auth::{
        Abilities, AbilityPattern, ResourceLimits, ResourceRule, Resources, UrlTemplate, VerdictLimits,
        resources::{MAPPABLE, READING},
    },
    base::{RoomId, TenantName},
    engine::{Config, Notice, Policy},
    metrics::{AuthCache, OutsideResult, Table, Unasked},
    model::{Action, Actions, OutsideError, Scope},
    ws::Opcode,
};

pub(super) type Answered = Result<(u16, &'static str), OutsideError>;

pub(super) const YES: Answered = Ok((200, "{}"));
pub(super) const NO: Answered = Ok((403, ""));
pub(super) const DOWN: Answered = Ok((500, ""));

pub(super) fn rule(room: &str, actions: &[Action], url: &str) -> ResourceRule {
    let room = AbilityPattern::parse(room).unwrap();
    let actions = actions.iter().fold(Actions::NONE, |all, action| all.and((*action).into()));
    let url = UrlTemplate::parse(url, &room).unwrap();
    ResourceRule { room, actions, url }
}

/// Tasks, to which whoever may write them may send; and notes, which decide about everything by one URL.
pub(super) fn rules() -> Vec<ResourceRule> {
    vec![
        rule("task:{id}", &READING, "http://app/tasks/{id}"),
        rule("task:{id}", &[Action::Send], "http://app/tasks/{id}/comments"),
        rule("note:{id}", &MAPPABLE, "http://notes/{id}"),
    ]
}

pub(super) fn with_rules(policy: &mut Policy, rules: Vec<ResourceRule>, limits: ResourceLimits) {
    policy.resources = Some(Arc::new(Resources::new(rules, limits)));
}

/// With the rules, and nothing else allowed to anybody.
fn config_of(shards: u16, limits: ResourceLimits) -> Config {
    config_with(shards, |policy| {
        policy.abilities = Abilities::new(Vec::new());
        with_rules(policy, rules(), limits);
    })
}

pub(super) fn node() -> Node {
    Node::with(config_of(1, ResourceLimits::for_tests()))
}

pub(super) fn join(id: u32, room: &str) -> String {
    format!(r#"{{"type":"room:join","id":{id},"room":"{room}"}}"#)
}

pub(super) fn send(id: u32, room: &str) -> String {
    format!(r#"{{"type":"room:send","id":{id},"room":"{room}","payload":{id}}}"#)
}

pub(super) fn query(id: u32, room: &str) -> String {
    format!(r#"{{"type":"query:presence","id":{id},"room":"{room}"}}"#)
}

pub(super) fn history(id: u32, room: &str) -> String {
    format!(r#"{{"type":"room:history","id":{id},"room":"{room}"}}"#)
}

/// What was answered to calls, in the order of the answers: their ids, with `ok` or the error's code.
pub(super) fn acks(heard: &[Value]) -> Vec<(u64, String)> {
    let acks = heard.iter().filter(|event| event["type"] == "ack");
    acks.map(|ack| {
        let code = ack["error"]["code"].as_str().unwrap_or("ok").to_owned();
        (ack["id"].as_u64().unwrap(), code)
    })
    .collect()
}

/// The same, of everything that came since the last look.
pub(super) fn answers(node: &mut Node, client: &mut Client) -> Vec<(u64, String)> {
    acks(&client.json(node))
}

/// What is being asked for, in the order of the calls.
pub(super) fn urls(node: &Node) -> Vec<&str> {
    node.calls.iter().map(|(_, _, request)| &*request.url).collect()
}

pub(super) fn ok(ids: &[u64]) -> Vec<(u64, String)> {
    ids.iter().map(|id| (*id, "ok".to_owned())).collect()
}

#[test]
fn the_answer_is_the_status() {
    let rows: [(Answered, &str, u64); 17] = [
        (Ok((200, "")), "ok", 0),
        (Ok((204, "")), "ok", 0),
        (Ok((401, "")), "unauthenticated", 401),
        (Ok((403, "")), "forbidden", 403),
        (Ok((404, "")), "not_found", 404),
        (Ok((302, "")), "unavailable", 503),
        (Ok((304, "")), "unavailable", 503),
        (Ok((400, "")), "unavailable", 503),
        (Ok((429, "")), "unavailable", 503),
        (Ok((500, "")), "unavailable", 503),
        (Ok((503, "")), "unavailable", 503),
        (Err(OutsideError::Timeout), "unavailable", 503),
        (Err(OutsideError::Connect), "unavailable", 503),
        (Err(OutsideError::Broken), "unavailable", 503),
        (Err(OutsideError::Busy), "unavailable", 503),
        (Err(OutsideError::TooLong), "unavailable", 503),
        (Err(OutsideError::Unsendable), "unavailable", 503),
    ];
    for (answer, code, status) in rows {
        let mut node = node();
        let token = token("ada", "acme", None);
        let mut ada = Client::with_token(&mut node, 0, &token);
        ada.json(&mut node);
        assert_eq!(ada.ask(&mut node, &join(7, "note:1")), [] as [Value; 0], "{answer:?}");
        assert_eq!(urls(&node), ["http://notes/1"]);
        assert_eq!(node.calls[0].2.timeout_ms, 3_000);
        assert_eq!(node.answer_call(answer), token, "the user's own token");
        let heard = ada.json(&mut node);
        assert_eq!(acks(&heard), [(7, code.to_owned())], "{answer:?}");
        if status > 0 {
            assert_eq!(heard[0]["error"]["status"], status, "{heard:?}");
        }
        assert_eq!(
            ada.ask(&mut node, r#"{"type":"query:rooms","id":1}"#)[0]["rooms"][0] == "note:1",
            code == "ok"
        );
        // Nobody is in that would be heard of by others, and nothing is left.
        let failed = node.notices.iter().filter(|it| matches!(it, Notice::ResourceFailed { .. })).count();
        assert_eq!(failed, usize::from(status == 503), "{answer:?}");
        node.hang_up(ada.id, true);
        node.assert_empty();
    }
}

#[test]
fn every_action_is_asked_for_by_its_rule() {
    let mut node = node();
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    // Abilities allow nothing, and are not asked about what a rule maps.
    assert_eq!(acks(&ada.ask(&mut node, &join(1, "lobby"))), [(1, "forbidden".to_owned())]);
    assert_eq!(acks(&ada.ask(&mut node, &send(2, "task:1"))), [(2, "forbidden".to_owned())], "no member");
    assert!(node.calls.is_empty());
    ada.say(&mut node, &join(3, "task:1"));
    assert_eq!(urls(&node), ["http://app/tasks/1"]);
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[3]));
    // What reads goes by the same word, what writes by its own.
    assert_eq!(acks(&ada.ask(&mut node, &query(4, "task:1"))), ok(&[4]));
    assert_eq!(acks(&ada.ask(&mut node, &history(5, "task:1"))), ok(&[5]));
    ada.say(&mut node, &send(6, "task:1"));
    assert_eq!(urls(&node), ["http://app/tasks/1/comments"]);
    node.answer_call(Ok((404, "")));
    assert_eq!(answers(&mut node, &mut ada), [(6, "not_found".to_owned())]);
    assert_eq!(acks(&ada.ask(&mut node, &send(7, "task:1"))), [(7, "not_found".to_owned())], "known for 2 s");
    node.advance(2_000);
    ada.say(&mut node, &send(8, "task:1"));
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[8]));
    assert_eq!(acks(&ada.ask(&mut node, &send(9, "task:1"))), ok(&[9]));
    assert!(node.calls.is_empty());
    // A name that makes no URL is that of nothing, and nobody is asked.
    for room in ["note:", "task:"] {
        assert_eq!(acks(&ada.ask(&mut node, &join(10, room))), [(10, "not_found".to_owned())], "{room}");
    }
    // One with more parts is another room, about which abilities decide.
    assert_eq!(acks(&ada.ask(&mut node, &join(11, "note:1/../2"))), [(11, "forbidden".to_owned())]);
    ada.say(&mut node, &join(12, "note:a b?c#%2e"));
    assert_eq!(urls(&node), ["http://notes/a%20b%3Fc%23%252e"]);
}

#[test]
fn what_names_the_room_waits_in_order_and_all_else_goes_on() {
    let messages = [
        join(1, "note:1"),
        send(2, "note:1"),
        join(3, "note:2"),
        r#"{"type":"ping"}"#.to_owned(),
        query(4, "note:1"),
        send(5, "note:2"),
        r#"{"type":"room:leave","id":6,"room":"note:1"}"#.to_owned(),
        send(7, "note:1"),
        r#"{"type":"query:rooms","id":8}"#.to_owned(),
        join(9, "note:1"),
    ];
    let bytes: Vec<u8> = messages.iter().flat_map(|message| text(message)).collect();
    for at in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        let mut node = node();
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        let mut bob = Client::connect(&mut node, 0, "bob", "acme");
        bob.say(&mut node, &join(1, "note:1"));
        node.answer_call(YES);
        bob.json(&mut node);
        node.receive(ada.id, &bytes[..at]);
        node.receive(ada.id, &bytes[at..]);
        let heard = ada.json(&mut node);
        assert_eq!((acks(&heard), heard[0]["type"].as_str()), (ok(&[8]), Some("pong")), "{at}");
        assert_eq!(urls(&node), ["http://notes/1", "http://notes/2"]);
        node.answer_call(YES);
        let heard = ada.json(&mut node);
        // Joined, sent, seen, left; not a member any more; joined again.
        let expected = [(1, "ok"), (2, "ok"), (4, "ok"), (6, "ok"), (7, "forbidden"), (9, "ok")];
        let mut found = acks(&heard);
        found.sort();
        assert_eq!(found, expected.map(|(id, code)| (id, code.to_owned())), "{at}");
        node.answer_call(NO);
        let refused = [(3, "forbidden".to_owned()), (5, "forbidden".to_owned())];
        assert_eq!(answers(&mut node, &mut ada), refused);
        let heard = bob.json(&mut node);
        let payloads: Vec<_> = heard.iter().filter_map(|event| event["payload"].as_u64()).collect();
        assert_eq!(payloads, [2], "{heard:?}");
    }
}

#[test]
fn channels_and_relays_wait_as_others_do() {
    let mut node = Node::with(config_with(1, |policy| {
        let rules = vec![
            rule("dashboard.{user_id}", &MAPPABLE, "http://app/dashboards/{user_id}"),
            rule("note:{id}", &MAPPABLE, "http://notes/{id}"),
        ];
        with_rules(policy, rules, ResourceLimits::for_tests());
    }));
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.say(&mut node, r#"{"type":"subscribe","id":1,"channel":"dashboard"}"#);
    ada.say(&mut node, r#"{"type":"unsubscribe","id":2,"channel":"dashboard"}"#);
    assert_eq!(urls(&node), ["http://app/dashboards/ada"]);
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[1, 2]));

    let headers = format!(
        "Sec-WebSocket-Protocol: ringway.relay.v1, ringway.bearer.{}\r\n",
        token("bob", "acme", None)
    );
    let mut bob = Client::upgrade(&mut node, 0, "/ws", &headers);
    bob.json(&mut node);
    let tenant = TenantName::parse("acme").unwrap();
    let opaque = [&[1][..], &RoomId::of(&tenant, "note:1").0.to_le_bytes(), b"opaque"].concat();
    node.receive(bob.id, &[text(&join(1, "note:1")), frame(Opcode::Binary, &opaque)].concat());
    assert_eq!(bob.json(&mut node), [] as [Value; 0]);
    ada.say(&mut node, &join(3, "note:1"));
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut bob), ok(&[1]));
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[3]), "a room apart for each token");
    node.receive(bob.id, &frame(Opcode::Binary, &opaque));
    let heard = ada.json(&mut node);
    assert_eq!(heard[0]["binary"], "b3BhcXVl", "{heard:?}");
}

#[test]
fn equal_questions_share_a_call_and_are_known_for_a_while() {
    let mut node = node();
    let token = token("ada", "acme", None);
    let mut clients: Vec<_> = (0..3).map(|_| Client::with_token(&mut node, 0, &token)).collect();
    for client in &mut clients {
        client.json(&mut node);
        client.say(&mut node, &join(1, "note:1"));
    }
    let mut other = Client::with_token(&mut node, 0, &token_as("ada", "acme", &["x"], &[]));
    other.json(&mut node);
    other.say(&mut node, &join(1, "note:1"));
    assert_eq!(urls(&node), ["http://notes/1"; 2], "another token is another question");
    node.answer_call(YES);
    for client in &mut clients {
        assert_eq!(answers(&mut node, client), ok(&[1]));
    }
    node.answer_call(NO);
    assert_eq!(answers(&mut node, &mut other), [(1, "forbidden".to_owned())]);
    // A no is known for two seconds, a yes for ten.
    let [one, ..] = clients.as_mut_slice() else { unreachable!() };
    node.advance(1_900);
    assert_eq!(acks(&other.ask(&mut node, &join(2, "note:1"))), [(2, "forbidden".to_owned())]);
    node.advance(100);
    other.say(&mut node, &join(3, "note:1"));
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut other), ok(&[3]));
    let again = [r#"{"type":"room:leave","id":4,"room":"note:1"}"#.to_owned(), join(5, "note:1")];
    node.advance(7_900);
    again.iter().for_each(|message| one.say(&mut node, message));
    assert!(node.calls.is_empty());
    node.advance(100);
    again.iter().for_each(|message| one.say(&mut node, message));
    assert_eq!(node.calls.len(), 1);
    let metrics = node.engines[0].metrics_mut();
    assert_eq!(metrics.resource_calls.get(OutsideResult::Ok), 2);
    assert_eq!(metrics.resource_calls.get(OutsideResult::Denied), 1);
    assert!(
        metrics.resource_cache.get(AuthCache::Hit) > 0 && metrics.resource_cache.get(AuthCache::Miss) > 0
    );
}

#[test]
fn without_a_memory_every_question_is_asked() {
    let verdicts = VerdictLimits { good_ms: 0, bad_ms: 0, entries_max: 64 };
    let mut node = Node::with(config_of(1, ResourceLimits { verdicts, ..ResourceLimits::for_tests() }));
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    for message in [join(1, "note:1"), send(2, "note:1"), send(3, "note:1")] {
        ada.say(&mut node, &message);
        node.answer_call(YES);
    }
    assert_eq!(answers(&mut node, &mut ada), ok(&[1, 2, 3]));
    ada.say(&mut node, &send(4, "note:1"));
    ada.say(&mut node, &send(5, "note:1"));
    node.answer_call(NO);
    let refused = [(4, "forbidden".to_owned()), (5, "forbidden".to_owned())];
    assert_eq!(answers(&mut node, &mut ada), refused, "who waits together has one answer");
    node.hang_up(ada.id, true);
    node.assert_empty();
}

#[test]
fn calls_under_way_are_bounded_and_the_others_wait_for_so_long() {
    let mut node = node();
    let mut clients: Vec<_> =
        (0..5).map(|number| Client::connect(&mut node, 0, &format!("u{number}"), "acme")).collect();
    for client in &clients {
        client.say(&mut node, &join(1, "note:1"));
    }
    assert_eq!(node.calls.len(), 2);
    // Whoever has gone is not asked for.
    node.hang_up(clients[2].id, true);
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut clients[0]), ok(&[1]));
    assert_eq!(node.calls.len(), 2);
    assert_eq!(node.calls[1].2.bearer.as_ref().map(|it| it.expose().to_owned()), {
        Some(token("u3", "acme", None))
    });
    // The last one waits for a call as long as a call may last.
    node.advance(2_999);
    assert_eq!(answers(&mut node, &mut clients[4]), []);
    node.advance(1);
    assert_eq!(answers(&mut node, &mut clients[4]), [(1, "unavailable".to_owned())]);
    let metrics = node.engines[0].metrics_mut();
    assert_eq!(metrics.resource_unasked.get(Unasked::TooLate), 1);
    // What the shell loses ends a second after its time, and leaves nothing behind.
    node.advance(4_000);
    assert_eq!(answers(&mut node, &mut clients[1]), [(1, "unavailable".to_owned())]);
    node.calls.clear();
    for client in &clients {
        if client.side(&node) != Side::Closed {
            node.hang_up(client.id, true);
        }
    }
    node.assert_empty();
}

#[test]
fn no_more_questions_wait_than_may() {
    let mut node = Node::with(config_with(1, |policy| {
        with_rules(policy, rules(), ResourceLimits::for_tests());
        policy.limits.rooms_per_connection_max = 10_000;
    }));
    // How many are not asked for of a hundred rooms each.
    let ask = |node: &mut Node, tenant: &str, clients: usize| {
        let clients = (0..clients).map(|number| {
            let mut client = Client::connect(node, 0, &format!("u{number}"), tenant);
            (0..100).for_each(|room| client.say(node, &join(room, &format!("note:{room}"))));
            let refused = answers(node, &mut client).iter().filter(|(_, code)| code == "unavailable").count();
            (client.id, refused)
        });
        let (ids, refused): (Vec<_>, Vec<_>) = clients.unzip();
        (ids, refused.into_iter().sum::<usize>())
    };
    let (ids, refused) = ask(&mut node, "acme", 6);
    assert_eq!(refused, 600 - 513, "half of 1024 and two calls");
    let full = node.engines[0].metrics_mut().resource_unasked.get(Unasked::QueueFull);
    assert_eq!(full, refused as u64);
    assert_eq!(node.engines[0].metrics_mut().share_full.get(Table::Questions), full);
    assert_eq!(ask(&mut node, "globex", 2).1, 0, "others have room");
    // Who has gone takes none, but for the calls that are under way.
    ids.into_iter().for_each(|id| node.hang_up(id, true));
    assert_eq!(ask(&mut node, "acme", 4).1, 0);
}

#[test]
fn nobody_fills_the_queue_alone() {
    let mut node = Node::with(config_with(1, |policy| {
        with_rules(policy, rules(), ResourceLimits::for_tests());
        policy.limits.rooms_per_connection_max = 10_000;
    }));
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    for room in 0..130 {
        ada.say(&mut node, &join(room, &format!("note:{room}")));
    }
    let refused = [(128, "rate_limited".to_owned()), (129, "rate_limited".to_owned())];
    assert_eq!(answers(&mut node, &mut ada), refused);
    // Each answer lets one more come.
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[0]));
    ada.say(&mut node, &join(128, "note:128"));
    assert_eq!(answers(&mut node, &mut ada), []);
}

#[test]
fn no_more_waits_of_a_client_than_may() {
    let mut node = node();
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let long = format!(r#"{{"type":"room:send","id":2,"room":"note:1","payload":"{}"}}"#, "x".repeat(30_000));
    ada.say(&mut node, &join(1, "note:1"));
    for _ in 0..3 {
        ada.say(&mut node, &long);
    }
    let heard = ada.json(&mut node);
    assert_eq!(acks(&heard), [(2, "rate_limited".to_owned())]);
    assert_eq!(
        (&heard[0]["error"]["retryAfterMs"], heard[0]["error"]["status"].as_u64()),
        (&100.into(), Some(429))
    );
    assert_eq!(node.engines[0].metrics_mut().resource_unasked.get(Unasked::HeldFull), 1);
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[1, 2, 2]));
    // One alone waits whatever its length.
    node.advance(10_000);
    let longest =
        format!(r#"{{"type":"room:send","id":3,"room":"note:1","payload":"{}"}}"#, "x".repeat(65_400));
    ada.say(&mut node, &longest);
    assert_eq!(node.engines[0].words.held_bytes(), longest.len() as u64 + 128);
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[3]));
    assert_eq!(node.engines[0].words.held_bytes(), 0);
}

/// However much of one tenant waits, another's commands have room.
#[test]
fn no_tenant_holds_all_that_may_wait() {
    let mut node = Node::with(config_with(1, |policy| {
        with_rules(policy, rules(), ResourceLimits::for_tests());
    }));
    let long = |id| {
        format!(r#"{{"type":"room:send","id":{id},"room":"note:1","payload":"{}"}}"#, "x".repeat(60_000))
    };
    let cost = (long(2).len() + 128) as u64;
    // Waits with two commands; how many of these may not.
    let fill = |node: &mut Node, tenant: &str, clients: usize| {
        let clients = (0..clients).map(|number| {
            let mut client = Client::connect(node, 0, &format!("u{number}"), tenant);
            client.say(node, &join(1, "note:1"));
            client.say(node, &long(2));
            (client.id, answers(node, &mut client).len())
        });
        let (ids, refused): (Vec<_>, Vec<_>) = clients.unzip();
        (ids, refused.into_iter().sum::<usize>())
    };
    let own_max = 8 * 1024 * 1024;
    let (ids, refused) = fill(&mut node, "acme", 200);
    let held = node.engines[0].words.held_bytes();
    assert!(refused > 0 && held <= own_max && held + cost > own_max, "{refused} {held}");
    let metrics = node.engines[0].metrics_mut();
    assert_eq!(metrics.resource_unasked.get(Unasked::HeldFull), refused as u64);
    assert_eq!(metrics.share_full.get(Table::HeldCommands), refused as u64);
    let (others, refused) = fill(&mut node, "globex", 60);
    assert_eq!(refused, 0);
    // What has gone makes room.
    ids.into_iter().for_each(|id| node.hang_up(id, true));
    let (more, refused) = fill(&mut node, "acme", 60);
    assert_eq!(refused, 0);
    others.into_iter().chain(more).for_each(|id| node.hang_up(id, true));
    node.calls.clear();
    assert_eq!(node.engines[0].words.held_bytes(), 0);
}

#[test]
fn a_server_that_fails_is_left_alone_and_the_others_are_not() {
    let mut node = node();
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    for number in 0..3 {
        let mut client = Client::connect(&mut node, 0, &format!("u{number}"), "acme");
        client.say(&mut node, &join(number, &format!("note:{number}")));
        node.answer_call(DOWN);
        assert_eq!(answers(&mut node, &mut client).len(), 1);
    }
    assert_eq!(acks(&ada.ask(&mut node, &join(4, "note:4"))), [(4, "unavailable".to_owned())]);
    assert!(node.calls.is_empty());
    assert_eq!(node.engines[0].words.breakers_open(), 1);
    assert_eq!(node.engines[0].metrics_mut().resource_unasked.get(Unasked::BreakerOpen), 1);
    ada.say(&mut node, &join(5, "task:5"));
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[5]), "another server");
    // One is tried, and then it is as if nothing had been.
    node.advance(5_000);
    ada.say(&mut node, &join(6, "note:6"));
    assert_eq!(acks(&ada.ask(&mut node, &join(7, "note:7"))), [(7, "unavailable".to_owned())]);
    node.answer_call(NO);
    assert_eq!(answers(&mut node, &mut ada), [(6, "forbidden".to_owned())]);
    ada.say(&mut node, &join(8, "note:8"));
    assert_eq!(node.calls.len(), 1);
    // What a server says to an odd name is the client's doing.
    node.answer_call(Ok((400, "")));
    for number in 0..5 {
        ada.say(&mut node, &join(9, &format!("note:odd{number}")));
        node.answer_call(Ok((410, "")));
    }
    assert_eq!(node.engines[0].words.breakers_open(), 0);
}

#[test]
fn who_ends_while_it_waits_leaves_nothing() {
    for reset in [false, true] {
        let mut node = node();
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        ada.say(&mut node, &join(1, "note:1"));
        ada.say(&mut node, &send(2, "note:1"));
        node.hang_up(ada.id, reset);
        // Another has the slot when the answer comes.
        let mut bob = Client::connect(&mut node, 0, "bob", "acme");
        node.answer_call(YES);
        assert_eq!(bob.json(&mut node), [] as [Value; 0]);
        let ids: Vec<_> = node.sockets.keys().copied().collect();
        for id in ids.into_iter().filter(|id| *id != ada.id) {
            node.hang_up(id, true);
        }
        assert!(ada.json(&mut node).is_empty());
        node.assert_empty();
    }
    // A token that ends closes its connection, whatever waits.
    let mut node = node();
    let mut ada = Client::with_token(&mut node, 0, &token("ada", "acme", Some(1)));
    ada.json(&mut node);
    ada.say(&mut node, &join(1, "note:1"));
    node.advance(6_100);
    let (heard, code) = ada.closed(&mut node);
    assert_eq!(code, Some(4401), "{heard:?}");
    node.calls.clear();
    node.hang_up(ada.id, true);
    node.assert_empty();
}

#[test]
fn tokens_are_kept_only_where_there_are_rules() {
    let mut plain = Node::new(1);
    let ada = Client::connect(&mut plain, 0, "ada", "acme");
    assert_eq!(plain.engines[0].words.tokens(), 0);
    drop(ada);
    let mut node = node();
    let mut pending = Client::upgrade(&mut node, 0, "/ws", "");
    let message = format!(r#"{{"type":"authenticate","id":1,"token":"{}"}}"#, token("ada", "acme", None));
    assert_eq!(acks(&pending.ask(&mut node, &message)), ok(&[1]));
    let query = format!("/ws?token={}", token("ada", "acme", None));
    let mut by_query = Client::upgrade(&mut node, 0, &query, "");
    by_query.json(&mut node);
    assert_eq!(node.engines[0].words.tokens(), 2);
    for client in [&mut pending, &mut by_query] {
        client.say(&mut node, &join(2, "note:1"));
    }
    node.answer_call(YES);
    for client in [&mut pending, &mut by_query] {
        assert_eq!(answers(&mut node, client), ok(&[2]));
    }
    let said = format!("{:?}", node.engines[0].words);
    assert!(said.contains("***") && !said.contains("eyJ"), "{said}");
}

#[test]
fn the_backends_own_joins_are_not_asked_for() {
    let config = with_key(2, &[Scope::Rooms], &[]);
    let mut policy = (*config.policy).clone();
    with_rules(&mut policy, rules(), ResourceLimits::for_tests());
    let mut node = Node::with(Config { policy: Arc::new(policy), ..config });
    let api = node.accept(0);
    let mut ada = Client::connect(&mut node, 1, "ada", "acme");
    let body = r#"{"tenant":"acme","join":["note:1","task:1"]}"#;
    assert_eq!(ask(&mut node, api, &post("/api/v1/users/ada/rooms", "", body)).status, 200);
    assert_eq!(ada.types(&mut node), ["room:joined"; 2]);
    assert!(node.calls.is_empty());
    // What it does there is for the servers to say, and to join again needs nobody.
    ada.say(&mut node, &send(1, "task:1"));
    assert_eq!(urls(&node), ["http://app/tasks/1/comments"]);
    node.answer_call(NO);
    assert_eq!(answers(&mut node, &mut ada), [(1, "forbidden".to_owned())]);
    let again = r#"{"type":"room:join","id":2,"room":"task:1","presence":false}"#;
    assert_eq!(acks(&ada.ask(&mut node, again)), ok(&[2]));
    assert!(node.calls.is_empty());
}

/// A policy without rules is as it was.
#[test]
fn without_rules_nothing_is_different() {
    let mut node = Node::with(config(1));
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    assert_eq!(acks(&ada.ask(&mut node, &join(1, "note:1"))), ok(&[1]));
    assert_eq!(acks(&ada.ask(&mut node, &send(2, "note:1"))), ok(&[2]));
    assert!(node.calls.is_empty());
}
