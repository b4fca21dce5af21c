//! Members of rooms about which servers decide: how long what they were given lasts, and what another token and other rules
//! change about them.

use std::sync::Arc;

use serde_json::Value;

use super::{
    client::Client,
    harness::{Node, config_with, token, token_as},
    resources::{
        DOWN, NO, YES, acks, answers, history, join, node, ok, query, rule, rules, send, urls, with_rules,
    },
};
use crate::{
    auth::{Abilities, ResourceLimits, ResourceRule},
    base::Now,
    engine::{Input, Policy},
    model::Action,
};

/// Other rules on every shard; none is none.
fn reload(node: &mut Node, rules: Vec<ResourceRule>, abilities: Abilities) {
    let mut policy = (*node.engines[0].config.policy).clone();
    if rules.is_empty() {
        policy.resources = None;
    } else {
        with_rules(&mut policy, rules, ResourceLimits::for_tests());
    }
    let policy = Arc::new(Policy { abilities, ..policy });
    for engine in &mut node.engines {
        engine.handle(Input::Reload(Arc::clone(&policy)), node.now);
    }
    node.settle();
}

fn refresh(node: &mut Node, client: &mut Client, roles: &[&str]) -> Vec<Value> {
    let token = token_as("ada", "acme", roles, &[]);
    client.ask(node, &format!(r#"{{"type":"authenticate","id":99,"token":"{token}"}}"#))
}

/// A client who has joined `note:1`, by an answer that has come just now.
fn member(node: &mut Node) -> Client {
    let mut ada = Client::connect(node, 0, "ada", "acme");
    ada.say(node, &join(1, "note:1"));
    node.answer_call(YES);
    assert_eq!(answers(node, &mut ada), ok(&[1]));
    ada
}

#[test]
fn what_is_done_is_asked_for_anew_when_the_word_is_over() {
    let mut node = node();
    let mut ada = member(&mut node);
    node.advance(9_900);
    for message in [send(2, "note:1"), query(3, "note:1"), history(4, "note:1")] {
        assert_eq!(acks(&ada.ask(&mut node, &message)).len(), 1, "{message}");
    }
    assert!(node.calls.is_empty());
    node.advance(100);
    ada.say(&mut node, &send(5, "note:1"));
    ada.say(&mut node, &query(6, "note:1"));
    assert_eq!(urls(&node), ["http://notes/1"]);
    node.answer_call(NO);
    let refused = [(5, "forbidden".to_owned()), (6, "forbidden".to_owned())];
    assert_eq!(answers(&mut node, &mut ada), refused);
    // To be there is the same resource, and that was refused.
    let mut bob = Client::connect(&mut node, 0, "bob", "acme");
    bob.say(&mut node, &join(1, "note:1"));
    node.answer_call(YES);
    bob.say(&mut node, &send(2, "note:1"));
    assert_eq!(answers(&mut node, &mut bob), ok(&[1, 2]));
    assert_eq!(ada.json(&mut node), [] as [Value; 0]);
    // Nobody is asked about those who only listen.
    node.advance(120_000);
    assert!(node.calls.is_empty());
    for id in [ada.id, bob.id] {
        node.hang_up(id, true);
    }
    node.assert_empty();
}

/// One who listens hears of others as long as nobody has said that it may not.
#[test]
fn presence_goes_on_while_it_is_not_asked_for() {
    let mut node = node();
    let mut ada = member(&mut node);
    node.advance(11_000);
    ada.say(&mut node, &send(2, "note:1"));
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[2]));
    let mut bob = Client::connect(&mut node, 0, "bob", "acme");
    bob.say(&mut node, &join(1, "note:1"));
    node.answer_call(YES);
    assert_eq!(ada.types(&mut node), ["presence:join"]);
    assert_eq!(answers(&mut node, &mut bob), ok(&[1]));
}

/// Where the word about being there is another one, only what was refused is gone.
#[test]
fn who_may_not_send_stays_where_it_may_be() {
    let mut node = node();
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.say(&mut node, &join(1, "task:1"));
    node.answer_call(YES);
    ada.say(&mut node, &send(2, "task:1"));
    node.answer_call(NO);
    assert_eq!(answers(&mut node, &mut ada), [(1, "ok".to_owned()), (2, "forbidden".to_owned())]);
    assert_eq!(node.engines[0].roster.subscriptions(), 1);
}

#[test]
fn whoever_is_refused_when_it_joins_again_is_out() {
    let (unknown, bad_token) = (Ok((404, "")), Ok((401, "")));
    let rows = [(YES, "ok"), (NO, "forbidden"), (unknown, "not_found"), (bad_token, "unauthenticated")];
    for (answer, code) in rows.into_iter().chain([(DOWN, "unavailable")]) {
        let mut node = node();
        let mut ada = member(&mut node);
        let bob = Client::connect(&mut node, 0, "bob", "acme");
        bob.say(&mut node, &join(1, "note:1"));
        node.answer_call(YES);
        ada.json(&mut node);
        node.advance(10_000);
        ada.say(&mut node, &join(2, "note:1"));
        node.answer_call(answer);
        let heard = ada.json(&mut node);
        assert_eq!(acks(&heard), [(2, code.to_owned())]);
        let is_out = !matches!(answer, YES | DOWN);
        let left = heard.iter().any(|event| event["type"] == "room:left");
        assert_eq!(left, is_out, "{heard:?}");
        bob.say(&mut node, &send(3, "note:1"));
        node.answer_call(YES);
        assert_eq!(ada.types(&mut node).contains(&"room:message".to_owned()), !is_out, "{answer:?}");
    }
}

/// To be judged anew takes presence from nobody of whom nothing else is said, also when the word that gave it is over.
#[test]
fn presence_outlasts_a_refresh_after_its_word() {
    let apart = || {
        vec![
            rule("note:{id}", &[Action::Join], "http://notes/{id}"),
            rule("note:{id}", &[Action::Presence], "http://people/{id}"),
        ]
    };
    let rows = [(YES, true), (NO, false), (DOWN, true)];
    for (rules, questions) in [(rules(), 1), (apart(), 2)] {
        for (answer, stays) in rows {
            let mut node = node();
            reload(&mut node, rules.clone(), Abilities::new(Vec::new()));
            let mut ada = Client::connect(&mut node, 0, "ada", "acme");
            ada.say(&mut node, &join(1, "note:1"));
            (0..questions).for_each(|_| drop(node.answer_call(YES)));
            assert_eq!(answers(&mut node, &mut ada), ok(&[1]));
            node.advance(11_000);
            refresh(&mut node, &mut ada, &["x"]);
            node.advance(1);
            assert_eq!(node.calls.len(), questions);
            (0..questions).for_each(|_| drop(node.answer_call(answer)));
            ada.json(&mut node);
            let bob = Client::connect(&mut node, 0, "bob", "acme");
            bob.say(&mut node, &join(1, "note:1"));
            (0..questions).for_each(|_| drop(node.answer_call(YES)));
            let expected = if stays { vec!["presence:join"] } else { vec![] };
            assert_eq!(ada.types(&mut node), expected, "{questions} {answer:?}");
        }
    }
}

#[test]
fn a_new_token_is_asked_with_and_nobody_is_out_meanwhile() {
    for (answer, stays) in [(YES, true), (NO, false), (DOWN, true)] {
        let mut node = node();
        let mut ada = member(&mut node);
        assert_eq!(acks(&refresh(&mut node, &mut ada, &["x"])), ok(&[99]));
        node.advance(1);
        assert_eq!(urls(&node), ["http://notes/1"], "{answer:?}");
        ada.say(&mut node, &send(2, "note:1"));
        assert_eq!(node.answer_call(answer), token_as("ada", "acme", &["x"], &[]));
        let heard = ada.json(&mut node);
        let left = heard.iter().any(|event| event["type"] == "room:left");
        assert_eq!(left, !stays, "{heard:?}");
        let code = match answer {
            YES => "ok",
            NO => "forbidden",
            _ => "unavailable",
        };
        assert_eq!(acks(&heard), [(2, code.to_owned())]);
        let rooms = ada.ask(&mut node, r#"{"type":"query:rooms","id":3}"#);
        assert_eq!(rooms[0]["rooms"].as_array().map(Vec::len), Some(usize::from(stays)), "{answer:?}");
        // Where nothing was known, it is asked again.
        node.advance(5_000);
        assert_eq!(node.calls.len(), usize::from(answer == DOWN), "{answer:?}");
        if answer == DOWN {
            node.answer_call(NO);
            assert_eq!(ada.types(&mut node), ["room:left"]);
        }
        node.advance(20_000);
        assert!(node.calls.is_empty());
        node.hang_up(ada.id, true);
        node.assert_empty();
    }
    // The same token again changes nothing.
    let mut node = node();
    let mut ada = member(&mut node);
    let same = format!(r#"{{"type":"authenticate","id":2,"token":"{}"}}"#, token("ada", "acme", None));
    assert_eq!(acks(&ada.ask(&mut node, &same)), ok(&[2]));
    node.advance(10);
    assert!(node.calls.is_empty());
}

/// What waits is asked with the token of the moment in which it is decided.
#[test]
fn a_word_about_another_token_is_none() {
    let mut node = node();
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.say(&mut node, &join(1, "note:1"));
    assert_eq!(acks(&refresh(&mut node, &mut ada, &["x"])), ok(&[99]));
    assert_eq!(node.answer_call(YES), token("ada", "acme", None));
    assert_eq!(answers(&mut node, &mut ada), []);
    assert_eq!(node.answer_call(NO), token_as("ada", "acme", &["x"], &[]));
    assert_eq!(answers(&mut node, &mut ada), [(1, "forbidden".to_owned())]);
}

#[test]
fn other_rules_judge_who_is_in() {
    let mut node = node();
    let mut ada = member(&mut node);
    // By another server, which says no.
    let elsewhere = vec![rule("note:{id}", &[Action::Join], "http://elsewhere/{id}")];
    let everything = || Abilities::new(vec![crate::auth::Rule::everything()]);
    reload(&mut node, elsewhere, everything());
    node.advance(10);
    assert_eq!(urls(&node), ["http://elsewhere/1"]);
    assert_eq!(acks(&ada.ask(&mut node, &send(2, "note:1"))), ok(&[2]), "that is for abilities by now");
    node.answer_call(NO);
    assert_eq!(ada.types(&mut node), ["room:left"]);

    // None at all: abilities decide, and no token is kept.
    reload(&mut node, Vec::new(), everything());
    assert_eq!(acks(&ada.ask(&mut node, &join(3, "note:1"))), ok(&[3]));
    assert_eq!(node.engines[0].words.tokens(), 0);

    // And again: who has come before stays in its rooms, and is asked for its token by what it does.
    reload(&mut node, rules(), Abilities::new(Vec::new()));
    node.advance(10);
    let refused = [(4, "unavailable".to_owned())];
    assert_eq!(acks(&ada.ask(&mut node, &send(4, "note:1"))), refused);
    assert!(node.calls.is_empty());
    let heard = ada.ask(&mut node, &join(5, "note:2"));
    assert!(heard[0]["error"]["message"].as_str().unwrap().contains("`authenticate`"), "{heard:?}");
    refresh(&mut node, &mut ada, &[]);
    node.advance(10);
    assert_eq!(urls(&node), ["http://notes/1"]);
    node.answer_call(YES);
    assert_eq!(acks(&ada.ask(&mut node, &send(6, "note:1"))), ok(&[6]));
    node.hang_up(ada.id, true);
    node.assert_empty();
}

#[test]
fn what_waits_when_rules_change_goes_by_the_new_ones() {
    let everything = || Abilities::new(vec![crate::auth::Rule::everything()]);
    for other in [Vec::new(), vec![rule("note:{id}", &[Action::Join], "http://elsewhere/{id}")]] {
        let mut node = node();
        let mut clients: Vec<_> =
            (0..4).map(|number| Client::connect(&mut node, 0, &format!("u{number}"), "acme")).collect();
        for client in &clients {
            client.say(&mut node, &join(1, "note:1"));
            client.say(&mut node, &send(2, "note:1"));
        }
        assert_eq!(node.calls.len(), 2);
        let is_off = other.is_empty();
        reload(&mut node, other, everything());
        // Two had not been asked for; the others' answers say nothing any more.
        for _ in 0..2 {
            node.answer_call(NO);
        }
        if !is_off {
            assert_eq!(urls(&node), ["http://elsewhere/1"; 2]);
            for _ in 0..4 {
                node.answer_call(YES);
            }
        }
        for client in &mut clients {
            assert_eq!(answers(&mut node, client), ok(&[1, 2]), "{is_off}");
            node.hang_up(client.id, true);
        }
        node.assert_empty();
    }
}

/// Many members are asked about at the pace of the servers, beside those who join.
#[test]
fn a_reload_asks_about_all_members_at_a_pace() {
    let mut node = node();
    let mut clients = Vec::new();
    for number in 0..1_200 {
        let client = Client::connect(&mut node, 0, &format!("u{number}"), "acme");
        client.say(&mut node, &join(1, "note:1"));
        node.answer_call(YES);
        clients.push(client);
    }
    reload(
        &mut node,
        vec![rule("note:{id}", &[Action::Join], "http://elsewhere/{id}")],
        Abilities::new(Vec::new()),
    );
    node.advance(20);
    assert_eq!(node.calls.len(), 2);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.say(&mut node, &join(1, "note:2"));
    let (mut asked, mut joined) = (0, None);
    while !node.calls.is_empty() {
        node.answer_call(if asked % 2 == 0 { YES } else { NO });
        asked += 1;
        if joined.is_none() && !answers(&mut node, &mut ada).is_empty() {
            joined = Some(asked);
        }
    }
    assert_eq!(asked, 1_201);
    assert!(joined.is_some_and(|after| after < 600), "{joined:?}: whoever waits has room in the queue");
    let members = node.engines[0].roster.subscriptions();
    assert!((600..=601).contains(&members), "{members}");
}

/// A node where one client may be in many rooms.
fn roomy() -> Node {
    Node::with(config_with(1, |policy| {
        policy.abilities = Abilities::new(Vec::new());
        with_rules(policy, rules(), ResourceLimits::for_tests());
        policy.limits.rooms_per_connection_max = 10_000;
    }))
}

/// A client who has joined so many rooms; an eighth of the queue at a time.
fn member_of(node: &mut Node, user: &str, rooms: u32) -> Client {
    let mut client = Client::connect(node, 0, user, "acme");
    for room in 0..rooms {
        client.say(node, &join(room, &format!("note:{room}")));
        node.answer_call(YES);
    }
    assert_eq!(answers(node, &mut client).len(), rooms as usize);
    client
}

/// Who keeps servers busy lengthens nobody's word.
#[test]
fn a_word_is_over_also_while_many_questions_are_open() {
    let mut node = roomy();
    let mut ada = member(&mut node);
    node.advance(9_000);
    for number in 0..4 {
        let other = Client::connect(&mut node, 0, &format!("u{number}"), "globex");
        (0..100).for_each(|room| other.say(&mut node, &join(room, &format!("note:{room}"))));
    }
    assert_eq!(acks(&ada.ask(&mut node, &send(2, "note:1"))), ok(&[2]));
    node.advance(1_000);
    assert_eq!(acks(&ada.ask(&mut node, &send(3, "note:1"))), [], "it is asked anew");
}

/// However many rooms one client is in, a step looks at so many.
#[test]
fn memberships_are_looked_at_at_a_pace() {
    const ROOMS: u32 = 1_500;
    let mut node = roomy();
    let ada = member_of(&mut node, "ada", ROOMS);
    let may_send = |node: &Node| {
        let standings = node.engines[0].roster.standings(ada.id);
        standings.filter(|(_, standing)| standing.may(Action::Send)).count()
    };
    assert_eq!(may_send(&node), ROOMS as usize);
    node.step(10_000);
    let now = node.now;
    let mut left = vec![ROOMS as usize];
    for ms in 0..3 {
        let now = Now { mono_us: now.mono_us + 1_000 * ms, ..now };
        // More often is not more.
        (0..3).for_each(|_| node.engines[0].expire(now));
        left.push(may_send(&node));
    }
    assert_eq!(left, [1_500, 477, 0, 0], "one of a step's 1024 is to begin");
    node.hang_up(ada.id, true);
    node.assert_empty();
}

/// Who is in many rooms stands not before others with all of them.
#[test]
fn members_are_asked_about_in_turns() {
    let mut node = roomy();
    let clients =
        [("ada", 400), ("bob", 1), ("cyd", 2)].map(|(user, rooms)| member_of(&mut node, user, rooms));
    reload(
        &mut node,
        vec![rule("note:{id}", &[Action::Join], "http://elsewhere/{id}")],
        Abilities::new(Vec::new()),
    );
    node.advance(20);
    let mut askers = Vec::new();
    while !node.calls.is_empty() {
        askers.push(node.answer_call(YES));
    }
    assert_eq!(askers.len(), 403);
    let token = |user| token(user, "acme", None);
    let [ada, bob, cyd] = ["ada", "bob", "cyd"].map(token);
    assert_eq!(askers[..6], [&ada, &bob, &cyd, &ada, &cyd, &ada].map(String::clone));
    // Who goes meanwhile is not asked about.
    reload(&mut node, rules(), Abilities::new(Vec::new()));
    node.advance(20);
    clients.iter().for_each(|client| node.hang_up(client.id, true));
    (0..2).for_each(|_| drop(node.answer_call(YES)));
    node.assert_empty();
}
