//! Tokens whose signatures cost much: so many are checked in a turn, the others in the next, and nobody else waits for them.

use std::sync::Arc;

use serde_json::json;

use super::{
    client::{Client, text, upgrade_request},
    harness::{Node, START_UNIX_S, config_with},
    http::{answers, bearer, request},
    introspection::{BAD, GOOD, introspection},
};
use crate::{
    auth::{
        self, Algorithm, Introspection, Key, KeySet, MintClaims, SigningKey, VerdictLimits, Verifier, mint,
    },
    base::{ConnId, TenantName, UserName},
    engine::signatures::PER_TURN,
    metrics::AuthCache,
};

/// The key pair of RFC 8410 section 10.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

/// A node that takes tokens of this key, and those of all other tests.
fn node() -> Node {
    node_with(None)
}

/// The same, which may ask about those that no key has signed.
fn node_with(introspection: Option<Introspection>) -> Node {
    let keys = vec![
        Key::from_public_pem(Algorithm::EdDsa, PUBLIC).unwrap(),
        Key::from_secret(Algorithm::Hs256, super::harness::SECRET).unwrap(),
    ];
    let verifier = Verifier::new(auth::Config::new(KeySet::new(keys).unwrap()));
    Node::with(config_with(1, |policy| {
        policy.verifier = Arc::new(verifier);
        policy.introspection = introspection.map(Arc::new);
    }))
}

fn signed(user: &str) -> String {
    let claims = MintClaims {
        user: UserName::parse(user).unwrap(),
        tenant: Some(TenantName::parse("acme").unwrap()),
        issued_at_s: START_UNIX_S,
        expires_at_s: None,
        issuer: None,
        audience: None,
        id: None,
        roles: Vec::new(),
        abilities: vec![auth::ABILITY_ADMIN.into()],
        names: auth::ClaimNames::default(),
    };
    mint(&SigningKey::from_private_pem(PRIVATE).unwrap(), &claims)
}

/// A token whose signature is another's.
fn forged(user: &str) -> String {
    let token = signed(user);
    let (claims, _) = token.rsplit_once('.').unwrap();
    format!("{claims}.{}", signed("somebody").rsplit_once('.').unwrap().1)
}

fn authenticate(id: u32, token: &str) -> String {
    format!(r#"{{"type":"authenticate","id":{id},"token":"{token}"}}"#)
}

/// So many strangers bring new tokens in one turn; no turn has ended yet.
fn storm(node: &mut Node, name: &str, strangers: usize, token: impl Fn(&str) -> String) -> Vec<ConnId> {
    (0..strangers)
        .map(|number| {
            let id = node.accept(0);
            let headers = format!("Authorization: Bearer {}\r\n", token(&format!("{name}-{number}")));
            node.receive_only(id, &upgrade_request("/ws", &headers));
            id
        })
        .collect()
}

/// How many of these have had an answer.
fn answered(node: &Node, ids: &[ConnId]) -> usize {
    ids.iter().filter(|id| !node.sockets[id].peek().is_empty()).count()
}

#[test]
fn a_turn_checks_so_many_signatures_and_the_others_come_in_their_order() {
    for (token, is_good) in [(signed as fn(&str) -> String, true), (forged, false)] {
        let mut node = node();
        let ada = Client::connect(&mut node, 0, "ada", "acme");
        let ids = storm(&mut node, "stranger", 3 * PER_TURN, token);
        // Who is inside, and whose token costs little, does not wait.
        node.receive_only(ada.id, &text(r#"{"type":"ping"}"#));
        let cheap = storm(&mut node, "cheap", 1, |user| super::harness::token(user, "acme", None));
        for turn in 1..=3 {
            node.turn(0);
            let (first, rest) = ids.split_at(turn * PER_TURN);
            assert_eq!((answered(&node, first), answered(&node, rest)), (first.len(), 0), "turn {turn}");
            assert_eq!((answered(&node, &[ada.id]), answered(&node, &cheap)), (1, 1));
            node.begin_turns();
            // Whoever comes now is behind those who wait.
            if turn == 1 {
                let late = storm(&mut node, "late", 1, token);
                node.turn(0);
                assert_eq!(answered(&node, &late), 0);
                node.hang_up_only(late[0], true);
            }
        }
        node.settle();
        let metrics = node.engines[0].metrics_mut();
        assert_eq!(metrics.signatures_deferred, 2 * PER_TURN as u64 + 1);
        // What is known is known, however many others come.
        if is_good {
            assert_eq!(metrics.auth_cache.get(AuthCache::Hit), 0);
            let new = storm(&mut node, "new", PER_TURN + 1, token);
            let known = node.accept(0);
            let last = signed(&format!("stranger-{}", 3 * PER_TURN - 1));
            node.receive_only(known, &upgrade_request("/ws", &bearer(&last)));
            node.turn(0);
            assert_eq!((answered(&node, &new), answered(&node, &[known])), (PER_TURN, 1));
        }
    }
}

#[test]
fn what_waits_is_answered_as_if_it_had_not() {
    let mut node = node_with(Some(introspection()));
    let mut pending = Client::upgrade(&mut node, 0, "/ws", "");
    let mut open = Client::connect(&mut node, 0, "ada", "acme");
    let mut opaque = Client::upgrade(&mut node, 0, "/ws", "");
    let mut eve = Client::upgrade(&mut node, 0, "/ws", "");
    let (page, bad) = (node.accept(0), node.accept(0));
    let strangers = storm(&mut node, "stranger", PER_TURN, signed);
    let behind = r#"{"type":"room:join","id":2,"room":"lobby","presence":false}"#;
    let said = [authenticate(1, &signed("bob")), behind.to_owned()];
    node.receive_only(pending.id, &said.map(|message| text(&message)).concat());
    let ping = r#"{"type":"ping"}"#;
    let said = [authenticate(1, &signed("ada")), authenticate(2, &signed("ada")), ping.to_owned()];
    node.receive_only(open.id, &said.map(|message| text(&message)).concat());
    node.receive_only(opaque.id, &text(&authenticate(1, "7|abc")));
    let pages = [request("/stats", &bearer(&signed("root"))), request("/live", "")].concat();
    node.receive_only(page, &pages);
    node.receive_only(bad, &upgrade_request("/ws", &bearer(&forged("eve"))));
    node.receive_only(eve.id, &text(&authenticate(1, &forged("mallory"))));
    node.turn(0);
    assert_eq!(answered(&node, &strangers), PER_TURN);
    assert_eq!(pending.json(&mut node), [json!(null); 0]);
    let heard = open.json(&mut node);
    assert_eq!((&heard[0]["error"]["code"], &heard[1]["type"]), (&"conflict".into(), &"pong".into()));
    assert_eq!(answered(&node, &[page, bad]), 0);
    node.begin_turns();
    node.settle();
    assert_eq!(pending.types(&mut node), ["ack", "connection:established", "ack", "room:joined"]);
    let heard = open.json(&mut node);
    assert_eq!((&heard[0]["id"], &heard[0]["success"]), (&1.into(), &true.into()));
    let statuses: Vec<_> = answers(&node.take_text(page), 0).iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200]);
    // What no key has signed is asked about.
    assert_eq!(node.answer_call(GOOD), "7|abc");
    assert_eq!(node.answer_call(BAD), forged("eve"));
    assert_eq!(answers(&node.take_text(bad), 0)[0].status, 401);
    assert_eq!(node.answer_call(BAD), forged("mallory"));
    assert_eq!(eve.closed(&mut node).1, Some(4401));
    assert_eq!(opaque.types(&mut node), ["ack", "connection:established"]);
    let mut all = strangers;
    all.extend([pending.id, open.id, opaque.id, page, bad]);
    all.push(eve.id);
    all.into_iter().for_each(|id| node.hang_up(id, true));
    node.assert_empty();
}

/// Whoever takes what parcels bring into the same turn takes it from those of its sockets.
#[test]
fn a_turn_has_so_many_wherever_they_come_from() {
    let mut node = node();
    let now = node.now;
    node.engines[0].begin_turn();
    let first = storm(&mut node, "parcel", PER_TURN - 1, signed);
    node.engines[0].check_signatures(now);
    let then = storm(&mut node, "socket", 2, signed);
    node.turn(0);
    assert_eq!((answered(&node, &first), answered(&node, &then)), (PER_TURN - 1, 1));
}

/// Who has sent many at once has one of them checked in his turn, and the next ones behind those who waited with him.
#[test]
fn who_pipelines_tokens_has_no_more_than_his_turn() {
    let mut node = node();
    let strangers = storm(&mut node, "stranger", PER_TURN, signed);
    let pages: Vec<u8> = (0..2 * PER_TURN)
        .flat_map(|number| request("/stats", &bearer(&forged(&format!("page-{number}")))))
        .collect();
    let (greedy, honest) = (node.accept(0), node.accept(0));
    node.receive_only(greedy, &pages);
    node.receive_only(honest, &upgrade_request("/ws", &bearer(&signed("honest"))));
    node.turn(0);
    assert_eq!((answered(&node, &strangers), answered(&node, &[greedy, honest])), (PER_TURN, 0));
    node.begin_turns();
    node.turn(0);
    assert_eq!(answered(&node, &[greedy, honest]), 2);
    node.settle();
    let statuses: Vec<_> = answers(&node.take_text(greedy), 0).iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [401; 2 * PER_TURN]);
}

/// Tokens that cost nothing any more still let somebody in, each.
#[test]
fn a_turn_lets_no_more_in_than_it_looks_at() {
    let mut node = node();
    storm(&mut node, "stranger", PER_TURN, signed);
    let shared = signed("kiosk");
    let kiosks = storm(&mut node, "kiosk", 200, |_| shared.clone());
    for expected in [64, 128, 192, 200] {
        node.begin_turns();
        node.turn(0);
        assert_eq!(answered(&node, &kiosks), expected);
    }
}

/// A client may say what it wants in one go with its token, whoever else comes: one message as long as they may be.
#[test]
fn what_comes_behind_a_token_in_its_turn_is_kept() {
    let mut node = node();
    let mut pending = Client::upgrade(&mut node, 0, "/ws", "");
    let mut flood = Client::upgrade(&mut node, 0, "/ws", "");
    let join = text(r#"{"type":"room:join","id":2,"room":"lobby","presence":false}"#);
    let send = |bytes: usize| {
        let (head, tail) = (r#"{"type":"room:send","id":3,"room":"lobby","payload":""#, r#""}"#);
        text(&format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len())))
    };
    storm(&mut node, "stranger", PER_TURN, signed);
    let message_bytes_max = node.engines[0].config.ws.message_bytes_max;
    let behind = [&join[..], &send(message_bytes_max)].concat();
    for (client, name) in [(&pending, "bob"), (&flood, "eve")] {
        node.receive_only(client.id, &text(&authenticate(1, &signed(name))));
        behind.chunks(8 * 1024).for_each(|bytes| node.receive_only(client.id, bytes));
    }
    // Twice is too much.
    node.receive_only(flood.id, &behind);
    node.settle();
    assert_eq!(pending.types(&mut node), ["ack", "connection:established", "ack", "room:joined", "ack"]);
    assert_eq!(flood.close_code(&mut node), Some(1009));
}

/// What those have sent whose turn has come is no more than a turn takes from sockets, and of one more.
#[test]
fn a_turn_goes_on_with_so_much_of_what_waited() {
    let mut node = node();
    let clients: Vec<_> = (0..PER_TURN).map(|_| Client::upgrade(&mut node, 0, "/ws", "").id).collect();
    storm(&mut node, "stranger", PER_TURN, signed);
    let long = text(&format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(60_000)));
    for (number, id) in clients.iter().enumerate() {
        let message = text(&authenticate(1, &signed(&format!("client-{number}"))));
        node.receive_only(*id, &[&message[..], &long].concat());
    }
    for expected in [3, 6, PER_TURN] {
        node.begin_turns();
        node.turn(0);
        assert_eq!(answered(&node, &clients), expected);
    }
}

/// Whoever has been asked is not asked again for want of a turn, though what he said is not remembered.
#[test]
fn a_verdict_that_comes_in_a_full_turn_is_one() {
    let mut introspection = introspection();
    introspection.verdicts = VerdictLimits { good_ms: 0, bad_ms: 0, ..introspection.verdicts };
    for (answer, status) in [(BAD, 401), (Ok((503, "")), 503)] {
        let mut node = node_with(Some(introspection.clone()));
        let id = node.accept(0);
        node.receive(id, &upgrade_request("/ws", &bearer(&forged("eve"))));
        let strangers = storm(&mut node, "stranger", PER_TURN + 1, signed);
        assert_eq!(node.answer_call(answer), forged("eve"));
        assert_eq!((node.calls.len(), answered(&node, &strangers)), (0, PER_TURN + 1));
        assert_eq!(answers(&node.take_text(id), 0)[0].status, status);
        let metrics = node.engines[0].metrics_mut();
        assert_eq!(metrics.signatures_deferred, 1, "only the stranger");
    }
}

#[test]
fn who_goes_meanwhile_leaves_nothing() {
    let mut node = node();
    let strangers = storm(&mut node, "stranger", 2 * PER_TURN, signed);
    let mut pending = Vec::new();
    for number in 0..2 * PER_TURN {
        let client = Client::upgrade(&mut node, 0, "/ws", "");
        pending.push((client.id, authenticate(1, &signed(&format!("later-{number}")))));
    }
    let more = storm(&mut node, "more", PER_TURN, signed);
    for (id, message) in &pending {
        node.receive_only(*id, &text(message));
    }
    let waits = node.engines[0].has_unchecked();
    for id in strangers.into_iter().chain(more).chain(pending.into_iter().map(|(id, _)| id)) {
        node.hang_up_only(id, true);
    }
    assert!(waits);
    node.settle();
    node.assert_empty();
    // Those who come and go at once take no more room than others.
    storm(&mut node, "first", PER_TURN, signed);
    for _ in 0..1_000 {
        let id = storm(&mut node, "short", 1, forged)[0];
        node.hang_up_only(id, true);
    }
    assert!(node.engines[0].signatures.queue_len() <= 128);
}
