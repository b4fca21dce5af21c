//! Another policy: it holds from one input to the next on its shard, for open connections too, and takes nobody's
//! connection away.

use std::sync::Arc;

use super::{
    client::Client,
    harness::{Node, admin_token, config, config_with, token},
    http::{ask, bearer, request},
};
use crate::{
    auth::{self, Algorithm, Key, KeySet, Verifier, key_digest},
    engine::{ChannelTemplates, Input, MetricsPolicy, Policy},
};

fn policy(change: impl FnOnce(&mut Policy)) -> Arc<Policy> {
    config_with(1, change).policy
}

fn stranger() -> Arc<Verifier> {
    let key = Key::from_secret(Algorithm::Hs256, b"another secret of more than 32 bytes").unwrap();
    Arc::new(Verifier::new(auth::Config::new(KeySet::new(vec![key]).unwrap())))
}

fn reload(node: &mut Node, shard: usize, policy: &Arc<Policy>) {
    let now = node.now;
    node.engines[shard].handle(Input::Reload(Arc::clone(policy)), now);
}

fn stats(node: &mut Node, shard: u16, token: &str) -> u16 {
    let id = node.accept(shard);
    ask(node, id, &request("/stats", &bearer(token))).status
}

#[test]
fn a_shard_takes_it_between_two_inputs() {
    let mut node = Node::new(2);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    ada.join(&mut node, "lobby");
    let other = policy(|policy| policy.verifier = stranger());
    reload(&mut node, 0, &other);
    assert_eq!(stats(&mut node, 0, &admin_token()), 401, "a key that is gone is gone");
    assert_eq!(stats(&mut node, 1, &admin_token()), 200, "each shard by its own policy");

    // Who was let in stays, and cannot come back with a token of the old key.
    let sent = ada.ask(&mut node, r#"{"type":"room:send","id":1,"room":"lobby","payload":1}"#);
    assert_eq!(sent[0]["success"], true, "{sent:?}");
    let token = token("ada", "acme", Some(60));
    let refused = ada.ask(&mut node, &format!(r#"{{"type":"authenticate","id":2,"token":"{token}"}}"#));
    assert_eq!(refused[0]["error"]["code"], "unauthenticated", "{refused:?}");
    assert_eq!(ada.types(&mut node), Vec::<String>::new());

    reload(&mut node, 0, &config(1).policy);
    assert_eq!(stats(&mut node, 0, &admin_token()), 200, "and back");
}

#[test]
fn short_names_stand_for_what_they_stand_for_now() {
    let mut node = Node::new(1);
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    let room = |node: &mut Node, ada: &mut Client| {
        let answers = ada.ask(node, r#"{"type":"subscribe","id":1,"channel":"dashboard"}"#);
        answers[0]["room"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(room(&mut node, &mut ada), "dashboard.ada");
    let other =
        policy(|policy| policy.channels = ChannelTemplates::new(["dashboard.of.{user_id}".to_owned()]));
    reload(&mut node, 0, &other);
    assert_eq!(room(&mut node, &mut ada), "dashboard.of.ada");
}

#[test]
fn metrics_are_for_whom_the_policy_says() {
    const BEARER: &str = "0123456789abcdef0123456789abcdef";
    let open = MetricsPolicy { is_open: true, ..MetricsPolicy::default() };
    let closed = MetricsPolicy::default();
    let with_bearer = MetricsPolicy { bearer: Some(key_digest(BEARER)), ..MetricsPolicy::default() };
    let (admin, user) = (bearer(&admin_token()), bearer(&token("ada", "acme", None)));
    let (good, near) = (bearer(BEARER), bearer(&BEARER[1..]));
    let rows: [(&MetricsPolicy, &str, u16); 12] = [
        (&open, "", 200),
        (&open, &near, 200),
        (&closed, "", 401),
        (&closed, &good, 401),
        (&closed, &user, 403),
        (&closed, &admin, 200),
        (&with_bearer, "", 401),
        (&with_bearer, &near, 401),
        (&with_bearer, &bearer("rk_0123456789abcdef"), 401),
        (&with_bearer, &user, 403),
        (&with_bearer, &admin, 200),
        (&with_bearer, &good, 200),
    ];
    let mut node = Node::new(1);
    for (metrics, header, expected) in rows {
        reload(&mut node, 0, &policy(|policy| policy.metrics = metrics.clone()));
        let id = node.accept(0);
        let answer = ask(&mut node, id, &request("/metrics", header));
        assert_eq!(answer.status, expected, "{metrics:?} {header}");
        // It is good for nothing else.
        let id = node.accept(0);
        assert_eq!(ask(&mut node, id, &request("/stats", &good)).status, 401);
    }
    let with_names = MetricsPolicy { legacy_names: true, ..open.clone() };
    for (metrics, expected) in [(open, false), (with_names, true)] {
        reload(&mut node, 0, &policy(|policy| policy.metrics = metrics));
        let id = node.accept(0);
        let answer = ask(&mut node, id, &request("/metrics", ""));
        assert_eq!(answer.body.contains("\nws_messages_sent "), expected);
    }
}
