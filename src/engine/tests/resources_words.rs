//! Rooms about which servers decide, where these fail, could not be asked, or have several words to say of one command.

use super::{
    client::Client,
    harness::{Node, config_with, token_as},
    resources::{Answered, DOWN, NO, YES, answers, join, node, ok, rule, send, urls, with_rules},
};
use crate::{
    auth::{ResourceLimits, VerdictLimits},
    model::{Action, OutsideError},
};

/// What one client finds to ask for that a server fails at, or that we could not send, closes it for nobody else.
#[test]
fn one_client_opens_no_breaker() {
    let busy = Err(OutsideError::Busy);
    let rows: [(Answered, u64); 6] = [
        (DOWN, 0),
        (Ok((408, "")), 0),
        (Ok((429, "")), 0),
        (Err(OutsideError::Timeout), 0),
        (busy, 0),
        (Err(OutsideError::Connect), 1),
    ];
    for (answer, open) in rows {
        let mut node = node();
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        for number in 0..5 {
            ada.say(&mut node, &join(number, &format!("note:{number}")));
            if !node.calls.is_empty() {
                node.answer_call(answer);
            }
        }
        assert_eq!(answers(&mut node, &mut ada).len(), 5);
        assert_eq!(node.engines[0].words.breakers_open(), open, "{answer:?}");
    }
    // A try that could not be sent leaves the next one to be it.
    let mut node = node();
    let mut clients: Vec<_> =
        (0..5).map(|number| Client::connect(&mut node, 0, &format!("u{number}"), "acme")).collect();
    for client in &mut clients[..3] {
        client.say(&mut node, &join(1, "note:1"));
        node.answer_call(DOWN);
    }
    node.advance(5_000);
    for answer in [busy, YES] {
        clients[4].say(&mut node, &join(2, "note:1"));
        node.answer_call(answer);
    }
    assert_eq!(answers(&mut node, &mut clients[4]), [(2, "unavailable".to_owned()), (2, "ok".to_owned())]);
    assert_eq!(node.engines[0].words.breakers_open(), 0);
}

/// A server that is asked too often is not well, and one that refuses a request is.
#[test]
fn a_server_that_has_been_asked_too_often_works_no_better_than_one_that_fails() {
    for (status, open) in [(429, 1), (408, 1), (400, 0), (409, 0)] {
        let mut node = node();
        for (number, answer) in [DOWN, DOWN, Ok((status, ""))].into_iter().enumerate() {
            let client = Client::connect(&mut node, 0, &format!("u{number}"), "acme");
            client.say(&mut node, &join(1, &format!("note:{number}")));
            node.answer_call(answer);
        }
        assert_eq!(node.engines[0].words.breakers_open(), open, "{status}");
    }
}

/// Nor do two accounts of one, or as many as it takes while others have answers.
#[test]
fn accounts_of_one_open_no_breaker_for_those_who_have_answers() {
    let mut node = node();
    let breakers_open = |node: &Node| node.engines[0].words.breakers_open();
    let clients: Vec<_> =
        (0..4).map(|number| Client::connect(&mut node, 0, &format!("u{number}"), "acme")).collect();
    let mut room = 0;
    let mut ask = |node: &mut Node, client: &Client, answer| {
        room += 1;
        client.say(node, &join(1, &format!("note:{room}")));
        let is_asked = !node.calls.is_empty();
        if is_asked {
            node.answer_call(answer);
        }
        is_asked
    };
    for number in 0..10 {
        assert!(ask(&mut node, &clients[number % 2], DOWN));
    }
    assert_eq!(breakers_open(&node), 0, "two");
    assert!(ask(&mut node, &clients[3], YES));
    for number in 0..9 {
        assert!(ask(&mut node, &clients[number % 3], DOWN));
    }
    assert_eq!(breakers_open(&node), 0, "three, and a fourth has had an answer");
    node.advance(5_000);
    assert!(ask(&mut node, &clients[0], DOWN));
    assert_eq!(breakers_open(&node), 1, "nobody has had one for long");
    // They are not the ones who try whether it works again.
    node.advance(5_000);
    assert!(!ask(&mut node, &clients[0], DOWN));
    assert!(ask(&mut node, &clients[3], YES));
    assert_eq!(breakers_open(&node), 0);
}

#[test]
fn what_a_server_could_not_say_is_not_asked_at_once_again() {
    let mut node = node();
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.say(&mut node, &join(1, "note:1"));
    node.answer_call(DOWN);
    ada.say(&mut node, &join(2, "note:1"));
    node.advance(999);
    ada.say(&mut node, &join(3, "note:1"));
    assert!(node.calls.is_empty());
    let refused = [1, 2, 3].map(|id| (id, "unavailable".to_owned()));
    assert_eq!(answers(&mut node, &mut ada), refused);
    node.advance(1);
    ada.say(&mut node, &join(4, "note:1"));
    node.answer_call(YES);
    assert_eq!(answers(&mut node, &mut ada), ok(&[4]));
}

/// A join, presence and history, each by another server, of which nothing is remembered.
#[test]
fn words_that_are_waited_for_together_are_asked_for_once() {
    let rules = vec![
        rule("note:{id}", &[Action::Join], "http://a/{id}"),
        rule("note:{id}", &[Action::Presence], "http://b/{id}"),
        rule("note:{id}", &[Action::History], "http://c/{id}"),
        rule("note:{id}", &[Action::Send], "http://d/{id}"),
    ];
    let verdicts = VerdictLimits { good_ms: 0, bad_ms: 0, entries_max: 64 };
    let mut node = Node::with(config_with(1, |policy| {
        with_rules(policy, rules, ResourceLimits { verdicts, ..ResourceLimits::for_tests() });
    }));
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.say(&mut node, &join(1, "note:1"));
    ada.say(&mut node, &send(2, "note:1"));
    let mut asked = Vec::new();
    while !node.calls.is_empty() && asked.len() < 10 {
        asked.extend(urls(&node).first().map(|url| (*url).to_owned()));
        node.answer_call(YES);
        node.advance(10);
    }
    assert_eq!(asked, ["http://a/1", "http://b/1", "http://d/1"]);
    assert_eq!(answers(&mut node, &mut ada), ok(&[1, 2]));
    // Of a member with another token the same.
    let token = token_as("ada", "acme", &["x"], &[]);
    ada.say(&mut node, &format!(r#"{{"type":"authenticate","id":3,"token":"{token}"}}"#));
    node.advance(1);
    let mut asked = Vec::new();
    while !node.calls.is_empty() && asked.len() < 10 {
        asked.extend(urls(&node).first().map(|url| (*url).to_owned()));
        node.answer_call(YES);
        node.advance(10);
    }
    asked.sort();
    assert_eq!(asked, ["http://a/1", "http://b/1"]);
    node.hang_up(ada.id, true);
    node.assert_empty();
}

/// Who wants to go on where it was is not given less because the server is down for a moment.
#[test]
fn what_is_wanted_with_a_join_is_not_left_out_in_silence() {
    for (answer, code) in [(YES, "ok"), (NO, "ok"), (DOWN, "unavailable")] {
        let rules = vec![
            rule("note:{id}", &[Action::Join], "http://a/{id}"),
            rule("note:{id}", &[Action::History], "http://b/{id}"),
        ];
        let mut node =
            Node::with(config_with(1, |policy| with_rules(policy, rules, ResourceLimits::for_tests())));
        let mut ada = Client::connect(&mut node, 0, "ada", "acme");
        let since =
            r#"{"type":"room:join","id":1,"room":"note:1","since":{"epoch":"00000000000000af","offset":0}}"#;
        ada.say(&mut node, since);
        node.answer_call(YES);
        node.answer_call(answer);
        assert_eq!(answers(&mut node, &mut ada), [(1, code.to_owned())], "{answer:?}");
    }
}

#[test]
fn what_is_printed_of_a_url_ends_before_its_query() {
    let rules = vec![rule("note:{id}", &[Action::Join], "http://a/{id}?key=planted")];
    let config = config_with(1, |policy| with_rules(policy, rules, ResourceLimits::for_tests()));
    let printed = format!("{:?}", config.policy.resources);
    assert!(printed.contains("http://a/{id}") && !printed.contains("planted"), "{printed}");
    let mut node = Node::with(config);
    let ada = Client::connect(&mut node, 0, "ada", "acme");
    (0..4).for_each(|number| ada.say(&mut node, &join(number, &format!("note:{number}"))));
    let printed = format!("{:?} {:?}", node.engines[0].words, node.calls[0].2);
    assert!(printed.contains("http://a/3") && !printed.contains("planted"), "{printed}");
}
