//! Opaque tokens: on all their ways in, while the server that knows them answers well, badly, late or not at all.

use std::sync::Arc;

use super::{
    client::{Client, upgrade_request},
    harness::{Node, Side, config_with, token, token_with},
    http::{Answer, answers},
};
use crate::{
    auth::{
        Introspection, VerdictLimits,
        introspection::{FieldPath, Fields},
    },
    base::{BreakerLimits, ConnId},
    engine::{Input, Policy},
    metrics::{AuthCache, OutsideResult},
    model::OutsideError,
};

pub(super) const GOOD: Result<(u16, &str), OutsideError> = Ok((200, r#"{"id":"ada","tenant_id":"acme"}"#));
const ADMIN: Result<(u16, &str), OutsideError> = Ok((200, r#"{"id":"root","abilities":["ringway:admin"]}"#));
pub(super) const BAD: Result<(u16, &str), OutsideError> = Ok((401, ""));
const DOWN: Result<(u16, &str), OutsideError> = Ok((503, ""));

pub(super) fn introspection() -> Introspection {
    let path = |text| FieldPath::parse(text).unwrap();
    Introspection {
        url: "http://backend/api/user".into(),
        timeout_ms: 3_000,
        in_flight_max: 2,
        fields: Fields {
            user: path("id"),
            tenant: path("tenant_id"),
            roles: path("roles"),
            abilities: path("abilities"),
            token_id: path("jti"),
            issued_at: path("iat"),
            expires_at: path("expires_at"),
        },
        verdicts: VerdictLimits { good_ms: 30_000, bad_ms: 5_000, entries_max: 64 },
        breaker: BreakerLimits { failures_max: 3, open_ms: 5_000 },
    }
}

pub(super) fn node() -> Node {
    Node::with(config_with(1, |policy| policy.introspection = Some(Arc::new(introspection()))))
}

/// A connection on its way to `/ws` that shows a token.
pub(super) fn knock(node: &mut Node, way: Way, token: &str) -> ConnId {
    let (target, headers) = match way {
        Way::Header => ("/ws".to_owned(), format!("Authorization: Bearer {token}\r\n")),
        Way::Protocol => {
            ("/ws".to_owned(), format!("Sec-WebSocket-Protocol: ringway.json.v1, ringway.bearer.{token}\r\n"))
        }
        Way::Query => (format!("/ws?token={token}"), String::new()),
    };
    let id = node.accept(0);
    node.receive(id, &upgrade_request(&target, &headers));
    id
}

/// The responses that came since the last call.
pub(super) fn said(node: &mut Node, id: ConnId) -> Vec<Answer> {
    answers(&node.take_text(id), 0)
}

/// Where a token comes with the upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Header,
    Protocol,
    Query,
}

const WAYS: [Way; 3] = [Way::Header, Way::Protocol, Way::Query];

fn authenticate(token: &str) -> String {
    format!(r#"{{"type":"authenticate","id":1,"token":"{token}"}}"#)
}

#[test]
fn the_upgrade_waits_for_the_verdict() {
    for way in WAYS {
        let mut node = node();
        let id = knock(&mut node, way, "7|abc");
        assert_eq!(node.take_text(id), "", "{way:?}");
        let (_, _, request) = &node.calls[0];
        assert_eq!((&*request.url, request.timeout_ms), ("http://backend/api/user", 3_000));
        assert_eq!(node.answer_call(GOOD), "7|abc");
        let mut client = Client::of(&mut node, id);
        let heard = client.json(&mut node);
        assert_eq!(
            (heard.len(), &heard[0]["userId"], &heard[0]["tenantId"]),
            (1, &"ada".into(), &"acme".into())
        );
        client.join(&mut node, "lobby");
        node.hang_up(id, true);
        node.assert_empty();
    }
}

#[test]
fn a_token_that_is_not_taken() {
    let lost = Err(OutsideError::Timeout);
    let unreadable = Ok((200, "<html>"));
    let rows = [
        (BAD, 401, 4401),
        (Ok((403, "")), 401, 4401),
        (DOWN, 503, 1013),
        (lost, 503, 1013),
        (unreadable, 503, 1013),
    ];
    for (answer, status, code) in rows {
        for way in WAYS {
            let mut node = node();
            let id = knock(&mut node, way, "7|abc");
            node.answer_call(answer);
            if way == Way::Header {
                let answer = said(&mut node, id).remove(0);
                assert_eq!(answer.status, status);
                assert_eq!(answer.head.contains("Retry-After"), status == 503, "{}", answer.head);
            } else {
                assert_eq!(Client::of(&mut node, id).close_code(&mut node), Some(code), "{way:?} {answer:?}");
            }
        }
        let mut node = node();
        let mut client = Client::upgrade(&mut node, 0, "/ws", "");
        assert!(client.ask(&mut node, &authenticate("7|abc")).is_empty());
        node.answer_call(answer);
        let (mut heard, closed) = client.closed(&mut node);
        assert_eq!((heard.len(), closed), (1, Some(code)), "{answer:?}");
        let expected = if status == 401 { "unauthenticated" } else { "unavailable" };
        assert!(format!("{:?}", heard.remove(0)).contains(expected), "{answer:?}");
    }
}

#[test]
fn what_comes_behind_authenticate_waits() {
    let mut node = node();
    let mut client = Client::upgrade(&mut node, 0, "/ws", "");
    let messages = [
        authenticate("7|abc"),
        r#"{"type":"room:join","id":2,"room":"lobby","presence":false}"#.to_owned(),
        r#"{"type":"ping"}"#.to_owned(),
    ];
    let bytes: Vec<u8> = messages.iter().flat_map(|message| super::client::text(message)).collect();
    for at in 0..bytes.len() {
        let (first, second) = bytes.split_at(at);
        let mut node = self::node();
        let mut client = Client::upgrade(&mut node, 0, "/ws", "");
        node.receive(client.id, first);
        node.receive(client.id, second);
        assert_eq!(client.types(&mut node), [""; 0], "{at}");
        node.answer_call(GOOD);
        // The room answers when what has come is read.
        let expected = ["ack", "connection:established", "pong", "ack", "room:joined"];
        assert_eq!(client.types(&mut node), expected, "split at {at}");
    }
    // A bad token, and nothing else is answered.
    node.receive(client.id, &bytes);
    node.answer_call(BAD);
    let (heard, code) = client.closed(&mut node);
    assert_eq!((heard.len(), code), (1, Some(4401)));
}

#[test]
fn no_more_waits_than_a_client_may_say_at_once() {
    let mut node = node();
    let mut client = Client::upgrade(&mut node, 0, "/ws", "");
    client.say(&mut node, &authenticate("7|abc"));
    let ping = super::client::text(r#"{"type":"ping"}"#).repeat(100);
    for _ in 0..10 {
        node.receive(client.id, &ping);
    }
    assert_eq!(client.close_code(&mut node), Some(1009));
    node.answer_call(GOOD);
    assert!(client.heard(&mut node).is_empty());
    node.hang_up(client.id, true);
    node.assert_empty();
}

#[test]
fn equal_tokens_share_a_call_and_its_answer() {
    let mut node = node();
    let ids: Vec<_> = (0..10).map(|number| knock(&mut node, WAYS[number % 3], "7|abc")).collect();
    let mut talker = Client::upgrade(&mut node, 0, "/ws", "");
    assert!(talker.ask(&mut node, &authenticate("7|abc")).is_empty());
    assert_eq!(node.calls.len(), 1);
    node.answer_call(GOOD);
    for id in ids {
        assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
    }
    assert_eq!(talker.types(&mut node), ["ack", "connection:established"]);
    // It is known for a while, and no longer.
    node.advance(29_000);
    let id = knock(&mut node, Way::Header, "7|abc");
    assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
    assert!(node.calls.is_empty());
    node.advance(1_000);
    let _ = knock(&mut node, Way::Header, "7|abc");
    assert_eq!(node.calls.len(), 1);
    let metrics = node.engines[0].metrics_mut();
    let cache = [AuthCache::Hit, AuthCache::Miss].map(|it| metrics.introspection_cache.get(it));
    assert_eq!((cache, metrics.introspection_calls.get(OutsideResult::Ok)), ([1, 12], 1));
}

#[test]
fn a_bad_token_is_known_for_less_long() {
    let mut node = node();
    for (after_ms, calls) in [(0, 1), (4_000, 0), (1_000, 1)] {
        node.advance(after_ms);
        let id = knock(&mut node, Way::Header, "7|abc");
        assert_eq!(node.calls.len(), calls, "after {after_ms} more");
        if calls > 0 {
            node.answer_call(BAD);
        }
        assert_eq!(said(&mut node, id)[0].status, 401);
    }
}

#[test]
fn a_token_that_ends_ends_its_connection() {
    let mut node = node();
    let id = knock(&mut node, Way::Header, "7|abc");
    let ends_s = node.now.unix_s() + 10;
    node.answer_call(Ok((200, &format!(r#"{{"id":"ada","expires_at":{ends_s}}}"#))));
    let mut client = Client::of(&mut node, id);
    assert_eq!(client.types(&mut node), ["connection:established", "token:expiring"]);
    node.advance(9_000);
    let _ = knock(&mut node, Way::Header, "7|abc");
    assert!(node.calls.is_empty(), "known until its end");
    node.advance(1_000);
    let _ = knock(&mut node, Way::Header, "7|abc");
    assert_eq!(node.calls.len(), 1);
    node.advance(5_000);
    assert_eq!(client.close_code(&mut node), Some(4401));
}

#[test]
fn what_our_keys_have_signed_never_goes_out() {
    let mut node = node();
    let expired = token("ada", "acme", Some(0));
    node.advance(10_000);
    let id = knock(&mut node, Way::Header, &expired);
    assert_eq!(said(&mut node, id)[0].status, 401);
    let good = token("ada", "acme", None);
    let id = knock(&mut node, Way::Header, &good);
    assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
    let too_long = "x".repeat(8_193);
    let mut client = Client::upgrade(&mut node, 0, "/ws", "");
    client.say(&mut node, &authenticate(&too_long));
    assert_eq!(client.closed(&mut node).1, Some(4401));
    let mut client = Client::upgrade(&mut node, 0, "/ws", "");
    client.say(&mut node, &authenticate("no header carries ü"));
    assert_eq!(client.closed(&mut node).1, Some(4401));
    assert!(node.calls.is_empty());
    // Another's is another's business.
    let mut foreign = good;
    foreign.replace_range(foreign.len() - 4.., "AAAA");
    let _ = knock(&mut node, Way::Header, &foreign);
    assert_eq!(node.calls.len(), 1);
}

#[test]
fn calls_under_way_are_bounded_and_the_others_wait_their_turn() {
    let mut node = node();
    let ids: Vec<_> = (0..5).map(|number| knock(&mut node, Way::Header, &format!("{number}|t"))).collect();
    assert_eq!(node.calls.len(), 2);
    // Whoever has gone is not asked about.
    node.hang_up(ids[3], true);
    let asked: Vec<_> = (0..4).map(|_| node.answer_call(GOOD)).collect();
    assert_eq!(asked, ["0|t", "1|t", "2|t", "4|t"]);
    for id in [0, 1, 2, 4].map(|number: usize| ids[number]) {
        assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
    }
    assert!(node.calls.is_empty());
}

#[test]
fn a_server_that_fails_is_left_alone_and_tried_again() {
    let mut node = node();
    let status = |node: &mut Node, id| said(node, id).first().map(|answer| answer.status);
    let ids: Vec<_> = (0..6).map(|number| knock(&mut node, Way::Header, &format!("{number}|t"))).collect();
    for answer in [DOWN, Err(OutsideError::Connect), DOWN] {
        node.answer_call(answer);
    }
    // The fourth call was under way by then; those who waited for their turn are told at once.
    assert_eq!(node.calls.len(), 1);
    let statuses: Vec<_> = ids.iter().map(|id| status(&mut node, *id)).collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(503), None, Some(503), Some(503)]);
    node.answer_call(DOWN);
    let id = knock(&mut node, Way::Header, "9|t");
    assert_eq!((status(&mut node, id), node.calls.len()), (Some(503), 0));
    // What is known is known.
    node.advance(5_000);
    let tried = knock(&mut node, Way::Header, "10|t");
    assert_eq!(node.calls.len(), 1);
    let other = knock(&mut node, Way::Header, "11|t");
    assert_eq!((status(&mut node, other), node.calls.len()), (Some(503), 1), "one try");
    node.answer_call(GOOD);
    assert_eq!(Client::of(&mut node, tried).types(&mut node), ["connection:established"]);
    let _ = knock(&mut node, Way::Header, "12|t");
    assert_eq!(node.calls.len(), 1);
}

/// What a server says to an odd token is the client's doing, and no reason to leave the server alone.
#[test]
fn tokens_that_the_server_refuses_to_read_break_nothing() {
    let mut node = node();
    for number in 0..5 {
        let id = knock(&mut node, Way::Header, &format!("odd-{number}"));
        node.answer_call(Ok((400, "")));
        assert_eq!(said(&mut node, id)[0].status, 503, "{number}");
    }
    knock(&mut node, Way::Header, "7|abc");
    assert_eq!(node.calls.len(), 1, "it is still asked");
}

/// What we could not ask says nothing of the server; that it has been asked too often says that it is not well.
#[test]
fn what_never_reached_the_server_opens_no_breaker() {
    let rows = [
        (Err(OutsideError::Busy), false),
        (Err(OutsideError::Unsendable), false),
        (Ok((429, "")), true),
        (Ok((408, "")), true),
        (Err(OutsideError::Timeout), true),
    ];
    for (answer, opens) in rows {
        let mut node = node();
        for number in 0..3 {
            let id = knock(&mut node, Way::Header, &format!("{number}|t"));
            node.answer_call(answer);
            assert_eq!(said(&mut node, id)[0].status, 503, "{answer:?}");
        }
        assert_eq!(node.engines[0].introspections.is_breaker_open(), opens, "{answer:?}");
    }
    // A try that was none leaves the next one to be it.
    let mut node = node();
    for number in 0..3 {
        knock(&mut node, Way::Header, &format!("{number}|t"));
        node.answer_call(DOWN);
    }
    node.advance(5_000);
    for answer in [Err(OutsideError::Busy), GOOD] {
        assert!(node.engines[0].introspections.is_breaker_open());
        knock(&mut node, Way::Header, "7|abc");
        node.answer_call(answer);
    }
    assert!(!node.engines[0].introspections.is_breaker_open());
}

/// A trial whose answer comes when nobody is to be asked any more does not block the next ones.
#[test]
fn a_breaker_does_not_wait_for_what_was_switched_off() {
    let mut node = node();
    for number in 0..3 {
        knock(&mut node, Way::Header, &format!("t-{number}"));
        node.answer_call(DOWN);
    }
    node.advance(5_000);
    knock(&mut node, Way::Header, "trial");
    assert_eq!(node.calls.len(), 1);
    let now = node.now;
    let policy = node.engines[0].config.policy.clone();
    let without = Arc::new(Policy { introspection: None, ..(*policy).clone() });
    node.engines[0].handle(Input::Reload(without), now);
    node.answer_call(DOWN);
    node.engines[0].handle(Input::Reload(policy), now);
    knock(&mut node, Way::Header, "7|abc");
    assert_eq!(node.calls.len(), 1, "it is asked again");
}

#[test]
fn nobody_waits_longer_than_for_a_token() {
    let mut node = node();
    let id = knock(&mut node, Way::Query, "7|abc");
    let header = knock(&mut node, Way::Header, "7|abc");
    let mut client = Client::upgrade(&mut node, 0, "/ws", "");
    client.say(&mut node, &authenticate("8|abc"));
    // Calls that the shell loses are given up after their time and a second.
    node.advance(4_100);
    assert_eq!(said(&mut node, header)[0].status, 503);
    assert_eq!(Client::of(&mut node, id).close_code(&mut node), Some(1013));
    assert_eq!(client.closed(&mut node).1, Some(1013));
    node.calls.clear();
    // Two calls are slow; the third's token waits in vain.
    for number in 0..4 {
        let _ = knock(&mut node, Way::Header, &format!("{number}|slow"));
    }
    let mut client = Client::upgrade(&mut node, 0, "/ws", "");
    client.say(&mut node, &authenticate("last"));
    node.advance(10_100);
    assert!(matches!(client.closed(&mut node).1, Some(1013 | 4408)));
    let ids: Vec<_> = node.sockets.keys().copied().collect();
    for id in ids {
        if node.side(id) != Side::Closed {
            node.hang_up(id, true);
        }
    }
    node.assert_empty();
}

#[test]
fn a_new_token_for_an_open_connection() {
    let mut node = node();
    let mut client = Client::connect(&mut node, 0, "ada", "acme");
    client.join(&mut node, "lobby");
    client.say(&mut node, &authenticate("7|abc"));
    // It goes on meanwhile, and asks for one at a time.
    assert_eq!(client.ask(&mut node, r#"{"type":"ping"}"#)[0]["type"], "pong");
    let again = client.ask(&mut node, &authenticate("8|abc"));
    assert_eq!(again[0]["error"]["code"], "conflict");
    assert_eq!(node.calls.len(), 1);
    node.answer_call(GOOD);
    assert_eq!(client.json(&mut node)[0]["success"], true);
    for (answer, code) in [(ADMIN, "forbidden"), (BAD, "unauthenticated"), (DOWN, "unavailable")] {
        client.say(&mut node, &authenticate(code));
        node.answer_call(answer);
        assert_eq!(client.json(&mut node)[0]["error"]["code"], code);
    }
    assert_eq!(client.ask(&mut node, r#"{"type":"query:rooms","id":9}"#)[0]["rooms"][0], "lobby");
}

#[test]
fn pages_and_the_api_wait_too() {
    let mut node = node();
    let id = node.accept(0);
    let head = |path: &str, token: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
    };
    let requests = [head("/stats", "1|root"), head("/api/v1/rooms", "1|root"), head("/live", "x")].concat();
    node.receive(id, &requests);
    assert_eq!((node.take_text(id).as_str(), node.calls.len()), ("", 1));
    node.answer_call(ADMIN);
    let answers_of =
        |node: &mut Node, id| said(node, id).iter().map(|answer| answer.status).collect::<Vec<_>>();
    assert_eq!(answers_of(&mut node, id), [200, 200, 200]);
    for (answer, expected) in [(GOOD, 403), (BAD, 401), (DOWN, 503)] {
        node.receive(id, &head("/stats", &expected.to_string()));
        node.answer_call(answer);
        assert_eq!(answers_of(&mut node, id), [expected]);
    }
    // A call with a body that has begun to come.
    let body = r#"{"tenant":"acme","room":"lobby","payload":1}"#;
    let post = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer 2|root\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for at in 0..post.len() {
        let mut node = self::node();
        let id = node.accept(0);
        node.receive(id, &post.as_bytes()[..at]);
        node.receive(id, &post.as_bytes()[at..]);
        node.answer_call(ADMIN);
        assert_eq!(answers_of(&mut node, id), [200], "split at {at}");
    }
}

#[test]
fn whoever_goes_while_waiting_leaves_nothing() {
    for reset in [false, true] {
        let mut node = node();
        let ids: Vec<_> = WAYS.into_iter().map(|way| knock(&mut node, way, "7|abc")).collect();
        let client = Client::upgrade(&mut node, 0, "/ws", "");
        client.say(&mut node, &authenticate("8|abc"));
        client.say(&mut node, r#"{"type":"ping"}"#);
        for id in ids.into_iter().chain([client.id]) {
            node.hang_up(id, reset);
            if node.side(id) != Side::Closed && !reset {
                node.hang_up(id, true);
            }
        }
        // The slots have other owners when the answers come.
        let strangers: Vec<_> = (0..4).map(|_| node.accept(0)).collect();
        node.answer_call(GOOD);
        node.answer_call(GOOD);
        for id in strangers {
            assert_eq!(node.take_text(id), "");
            node.hang_up(id, true);
        }
        node.assert_empty();
    }
}

#[test]
fn other_settings_know_nothing_of_what_was_said_before() {
    let mut node = node();
    let id = knock(&mut node, Way::Header, "7|abc");
    node.answer_call(GOOD);
    assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
    let reload = |node: &mut Node, introspection: Option<Introspection>| {
        let config = config_with(1, |policy| policy.introspection = introspection.map(Arc::new));
        let now = node.now;
        node.engines[0].handle(Input::Reload(config.policy), now);
    };
    // The same ones do.
    reload(&mut node, Some(introspection()));
    let _ = knock(&mut node, Way::Header, "7|abc");
    assert!(node.calls.is_empty());
    let other = Introspection { url: "http://other/".into(), ..introspection() };
    reload(&mut node, Some(other));
    let waits = knock(&mut node, Way::Header, "7|abc");
    assert_eq!(&*node.calls[0].2.url, "http://other/");
    // Switched off while somebody waits.
    reload(&mut node, None);
    node.answer_call(GOOD);
    assert_eq!(said(&mut node, waits)[0].status, 401);
    let id = knock(&mut node, Way::Header, "7|abc");
    assert_eq!((said(&mut node, id)[0].status, node.calls.len()), (401, 0));
}

#[test]
fn a_revoked_token_is_refused_whatever_the_server_says() {
    let mut node = node();
    let named = Ok((200, r#"{"id":"ada","tenant_id":"acme","jti":"7"}"#));
    let waits = knock(&mut node, Way::Header, "1|abc");
    let knocked = knock(&mut node, Way::Header, "7|abc");
    node.answer_call(GOOD);
    node.answer_call(named);
    for id in [waits, knocked] {
        assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
    }
    let api = node.accept(0);
    let root = token_with("root", "default", &[crate::auth::ABILITY_ADMIN]);
    let revoke = |node: &mut Node, whose: &str| {
        let body = format!(r#"{{"tenant":"acme",{whose},"revoke":true}}"#);
        let head = format!(
            "POST /api/v1/disconnect HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {root}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        node.receive(api, head.as_bytes());
        said(node, api)[0].status
    };
    assert_eq!(revoke(&mut node, r#""jti":"7""#), 200);
    // Known, and asked about anew.
    for (after_ms, calls) in [(0, 0), (31_000, 1)] {
        node.advance(after_ms);
        let id = knock(&mut node, Way::Header, "7|abc");
        assert_eq!(node.calls.len(), calls);
        if calls > 0 {
            node.answer_call(named);
        }
        assert_eq!(said(&mut node, id)[0].status, 401);
    }
    // While its answer is awaited.
    let id = knock(&mut node, Way::Header, "8|abc");
    assert_eq!(revoke(&mut node, r#""user":"ada""#), 200);
    node.answer_call(GOOD);
    assert_eq!(said(&mut node, id)[0].status, 401);
}

#[test]
fn without_introspection_nobody_is_asked() {
    let mut node = Node::new(1);
    let id = knock(&mut node, Way::Header, "7|abc");
    assert_eq!((said(&mut node, id)[0].status, node.calls.len()), (401, 0));
    let id = knock(&mut node, Way::Header, &token_with("root", "default", &[]));
    assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
}
