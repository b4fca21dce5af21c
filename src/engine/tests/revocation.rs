//! Tokens that a backend has revoked: wherever they are shown from then on, and for as long as they would be good.

use serde_json::json;

use super::{
    api::{ask, post, with_key},
    api_errands::posted,
    client::{Client, Heard, upgrade_request},
    harness::{Node, START_UNIX_MS, token_issued, token_named},
    http::bearer,
};
use crate::{
    base::ShareLimits,
    engine::{Config, Input, NodeFacts},
    metrics::Table,
    model::Scope,
};

const DISCONNECT: &str = "/api/v1/disconnect";

fn node(shards: u16) -> Node {
    Node::with(with_key(shards, &[Scope::Connections], &[]))
}

fn authenticate(token: &str) -> String {
    format!(r#"{{"type":"authenticate","id":1,"token":"{token}"}}"#)
}

fn is_welcome(heard: &[Heard]) -> bool {
    match heard.last() {
        Some(Heard::Text(text)) => text.contains("connection:established"),
        Some(Heard::Close(Some((4401, reason)))) if reason.contains("revoked") => false,
        other => panic!("{other:?}"),
    }
}

/// Whether a token is good at every door of every shard, or at none.
fn is_good(node: &mut Node, token: &str) -> bool {
    let shards = node.engines.len() as u16;
    let mut verdicts = Vec::new();
    for shard in 0..shards {
        let mut client = Client::with_token(node, shard, token);
        verdicts.push(is_welcome(&client.heard(node)));
        let mut client = Client::upgrade(node, shard, "/ws", "");
        client.say(node, &authenticate(token));
        verdicts.push(is_welcome(&client.heard(node)));
        let id = node.accept(shard);
        node.receive(id, &upgrade_request("/ws", &bearer(token)));
        verdicts.push(!node.take(id).starts_with(b"HTTP/1.1 401 "));
    }
    assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
    verdicts[0]
}

#[test]
fn whose_tokens_are_refused_from_then_on() {
    let old = token_named("ada", "acme", "t-1");
    let other_id = token_named("ada", "acme", "t-2");
    let bobs = token_named("bob", "acme", "t-3");
    let elsewhere = token_named("ada", "globex", "t-1");
    let newer = token_issued("ada", "acme", 3);
    let tokens = [&old, &other_id, &bobs, &elsewhere, &newer];
    // Who is closed, and whose tokens are good afterwards, in this order.
    let rows = [
        (r#"{"tenant":"acme","jti":"t-1"}"#, 1, [false, true, true, true, true]),
        (r#"{"tenant":"acme","jti":"t-1","revoke":false}"#, 1, [true, true, true, true, true]),
        (r#"{"tenant":"acme","user":"ada","revoke":true}"#, 2, [false, false, true, true, true]),
        (r#"{"tenant":"acme","user":"ada"}"#, 2, [true, true, true, true, true]),
        (r#"{"tenant":"acme","revoke":true}"#, 3, [false, false, false, true, true]),
        (r#"{"tenant":"acme"}"#, 3, [true, true, true, true, true]),
    ];
    for (body, closed, good) in rows {
        let mut node = node(3);
        let id = node.accept(2);
        let mut clients: Vec<_> = (0..4)
            .map(|place| Client::with_token(&mut node, place % 3, tokens[usize::from(place)]))
            .collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.json(&mut node).len(), 1));
        node.advance(2_000);
        let told = posted(&mut node, id, DISCONNECT, body);
        assert_eq!(told["disconnected"], closed, "{body}");
        let until = START_UNIX_MS + 2_000 + 86_400_000;
        let is_revoked = good.contains(&false);
        assert_eq!(told.get("revokedUntil"), is_revoked.then(|| json!(until)).as_ref(), "{body}");
        node.advance(2_000);
        for (token, good) in tokens.iter().zip(good) {
            assert_eq!(is_good(&mut node, token), good, "{body}");
        }
    }
}

#[test]
fn an_open_connection_cannot_take_up_a_revoked_token() {
    let mut node = node(2);
    let id = node.accept(0);
    let mut client = Client::connect(&mut node, 1, "ada", "acme");
    posted(&mut node, id, DISCONNECT, r#"{"tenant":"acme","jti":"t-1"}"#);
    let answer = client.ask(&mut node, &authenticate(&token_named("ada", "acme", "t-1"))).remove(0);
    assert_eq!(answer["error"]["code"], "unauthenticated");
    assert_eq!(answer["error"]["message"], "the token was revoked");
    assert!(
        client.ask(&mut node, r#"{"type":"ping"}"#)[0]["type"] == "pong",
        "it goes on with the one it has"
    );
}

/// Whoever was told that something is revoked can rely on it; whoever cannot be told so changes nothing.
#[test]
fn a_full_table_revokes_and_closes_nothing() {
    let revocations = ShareLimits { total: 1, percent: 50 };
    let config = Config { revocations, ..with_key(2, &[Scope::Connections], &[]) };
    let mut node = Node::with(config);
    let id = node.accept(0);
    posted(&mut node, id, DISCONNECT, r#"{"tenant":"acme","jti":"t-1"}"#);
    let mut client = Client::connect(&mut node, 1, "ada", "acme");
    let answer = ask(&mut node, id, &post(DISCONNECT, "", r#"{"tenant":"acme","user":"ada","revoke":true}"#));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("unavailable")));
    assert_eq!(client.heard(&mut node), []);
    posted(&mut node, id, DISCONNECT, r#"{"tenant":"acme","jti":"t-1"}"#);
    assert!(!is_good(&mut node, &token_named("ada", "acme", "t-1")));
}

#[test]
fn a_tenant_that_revokes_all_it_may_leaves_room_for_others() {
    let revocations = ShareLimits { total: 4, percent: 50 };
    let mut node = Node::with(Config { revocations, ..with_key(2, &[Scope::Connections], &[]) });
    let id = node.accept(0);
    // Revokes one token more of a tenant; the status.
    let mut revoke = |tenant: &str, jti: &str| {
        let body = format!(r#"{{"tenant":"{tenant}","jti":"{jti}"}}"#);
        let answer = ask(&mut node, id, &post(DISCONNECT, "", &body));
        if answer.status == 503 {
            let text = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(text.contains("auth.revocations_tenant_percent"), "{text}");
        }
        answer.status
    };
    let statuses = ["t-1", "t-2", "t-3", "t-4"].map(|jti| revoke("loud", jti));
    assert_eq!(statuses, [200, 200, 503, 503]);
    assert_eq!((revoke("quiet", "t-1"), revoke("loud", "t-2")), (200, 200));
    let shares = &node.engines[0].metrics_mut().share_full;
    assert_eq!(shares.get(Table::Revocations), 2);
    assert!(!is_good(&mut node, &token_named("ada", "quiet", "t-1")));
    assert!(is_good(&mut node, &token_named("ada", "loud", "t-3")));
}

#[test]
fn what_has_expired_is_forgotten() {
    let mut node = node(2);
    let id = node.accept(0);
    let until = START_UNIX_MS + 10_000;
    posted(&mut node, id, DISCONNECT, &format!(r#"{{"tenant":"acme","jti":"t-1","until":{until}}}"#));
    let kept = |node: &mut Node, ms: u64| {
        node.advance(ms);
        let now = node.now;
        node.engines.iter_mut().for_each(|engine| engine.handle(Input::Facts(NodeFacts::default()), now));
        node.engines.iter_mut().map(|engine| engine.metrics_mut().revocations).collect::<Vec<_>>()
    };
    // A token is honoured for five seconds longer than it says.
    assert_eq!(kept(&mut node, 14_000), [1, 1]);
    assert_eq!(kept(&mut node, 1_000), [0, 0]);
}
