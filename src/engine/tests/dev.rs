//! `/dev/token`: for this machine only.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::{
    harness::{Node, SECRET, START_UNIX_S, config_with},
    http::{Answer, ask},
};
use crate::auth::{Algorithm, Rights, SigningKey};

fn node() -> Node {
    let key = SigningKey::from_secret(Algorithm::Hs256, SECRET).unwrap();
    Node::with(config_with(1, |policy| policy.dev_tokens = Some(Arc::new(key))))
}

fn get(node: &mut Node, peer: IpAddr, host: &str, query: &str) -> Answer {
    let id = node.accept_from(0, peer);
    let bytes = format!("GET /dev/token{query} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    ask(node, id, bytes.as_bytes())
}

fn local(node: &mut Node, query: &str) -> Answer {
    get(node, Ipv4Addr::LOCALHOST.into(), "localhost:8080", query)
}

#[test]
fn one_token() {
    let mut node = node();
    let rows = [
        ("", "dev", "default", false),
        ("?user=ada&tenant=acme", "ada", "acme", false),
        ("?user=b%20c&admin=1", "b c", "default", true),
        ("?admin=0", "dev", "default", false),
    ];
    for (query, user, tenant, admin) in rows {
        let answer = local(&mut node, query);
        assert_eq!(answer.status, 200, "{query}");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let identity = node.engines[0].config.policy.verifier.verify(&token, START_UNIX_S).unwrap();
        assert_eq!((identity.user.as_str(), identity.tenant.as_str(), identity.admin), (user, tenant, admin));
        assert_eq!(identity.expires_at_s, Some(START_UNIX_S + 86_400));
    }
}

#[test]
fn roles() {
    let mut node = node();
    for (query, roles) in
        [("?roles=member,editor", &["editor", "member"][..]), ("?roles=", &[]), ("?roles=,a,", &["a"])]
    {
        let token = local(&mut node, query).json()["token"].as_str().unwrap().to_owned();
        let identity = node.engines[0].config.policy.verifier.verify(&token, START_UNIX_S).unwrap();
        assert_eq!(identity.rights, Rights::new(roles, &[]), "{query}");
    }
}

#[test]
fn many_tokens_but_not_too_many() {
    let mut node = node();
    let answer = local(&mut node, "?count=3&prefix=load&tenant=acme").json();
    let tokens = answer["tokens"].as_array().unwrap();
    let users = tokens.iter().map(|token| {
        let identity =
            node.engines[0].config.policy.verifier.verify(token.as_str().unwrap(), START_UNIX_S).unwrap();
        (identity.user.to_string(), identity.tenant.to_string(), identity.admin)
    });
    let expected: Vec<_> = (0..3).map(|it| (format!("load-{it}"), "acme".to_owned(), false)).collect();
    assert_eq!(users.collect::<Vec<_>>(), expected);
    assert_eq!(local(&mut node, "?count=0").json()["tokens"].as_array().unwrap().len(), 0);
    assert_eq!(local(&mut node, "?count=10000").json()["tokens"].as_array().unwrap().len(), 10_000);
    for query in
        ["?count=10001", "?count=-1", "?count=", "?count=x", "?count=1&count=1", "?user=", "?tenant=%00"]
    {
        let answer = local(&mut node, query);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &"bad_request".into()), "{query}");
    }
}

#[test]
fn only_for_this_machine_and_only_by_its_name() {
    let mut node = node();
    let loopback: IpAddr = Ipv4Addr::LOCALHOST.into();
    let rows: [(IpAddr, &str, u16); 13] = [
        (loopback, "localhost", 200),
        (loopback, "LocalHost:8080", 200),
        (loopback, "127.0.0.1:8080", 200),
        (loopback, "127.9.9.9", 200),
        (loopback, "[::1]:8080", 200),
        (Ipv6Addr::LOCALHOST.into(), "localhost", 200),
        (Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), "localhost", 200),
        (loopback, "example.com", 403),
        (loopback, "localhost.example.com", 403),
        (loopback, "192.168.1.7:8080", 403),
        (loopback, "127.0.0.1.example.com", 403),
        (Ipv4Addr::new(192, 168, 1, 7).into(), "localhost", 403),
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(), "[::1]", 403),
    ];
    for (peer, host, status) in rows {
        assert_eq!(get(&mut node, peer, host, "").status, status, "{peer} {host}");
    }
    let id = node.accept(0);
    assert_eq!(ask(&mut node, id, b"GET /dev/token HTTP/1.0\r\n\r\n").status, 403, "no host at all");
}
