//! Where requests come from: pages and their origins, CORS on every answer, clients behind proxies.

use std::net::IpAddr;

use super::{
    api::{key, post, with_key},
    client::{Client, upgrade_request},
    harness::{Node, Side, config_with},
    http::{Answer, ask, bearer, request},
};
use crate::{
    base::ConnId,
    engine::{Config, Notice},
    http::{Origins, ProxyProtocol},
    metrics::{Disconnect, Label, Reject},
    model::Scope,
};

const PAGE: &str = "https://app.example.com";

fn node_for(origins: &[&str]) -> Node {
    let allowed = Origins::new(origins.iter().map(|text| text.parse().unwrap()));
    Node::with(config_with(2, |policy| policy.origins = allowed))
}

fn behind(protocol: ProxyProtocol) -> Node {
    Node::with(config_with(1, |policy| {
        policy.proxies.trusted = ["10.0.0.0/8", "127.0.0.1"].map(|text| text.parse().unwrap()).into();
        policy.proxies.protocol = protocol;
    }))
}

fn peer_of(node: &mut Node, id: ConnId) -> IpAddr {
    let conn = node.engine(id).conns.get(id.slot, id.generation).unwrap();
    conn.peer.to_canonical()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn upgrades_are_for_pages_that_may() {
    let rows: &[(&[&str], &str, bool)] = &[
        (&[PAGE], "", true),
        (&[PAGE], "Origin: https://app.example.com\r\n", true),
        (&[PAGE], "Origin: https://evil.example\r\n", false),
        (&[PAGE], "Origin: null\r\n", false),
        (&[PAGE], "Origin: https://app.example.com\r\nOrigin: https://app.example.com\r\n", false),
        (&[], "Origin: http://localhost\r\n", false),
        (&["localhost"], "Origin: http://localhost:5173\r\n", true),
        (&["*"], "Origin: null\r\n", true),
    ];
    for (origins, headers, allowed) in rows {
        for path in ["/ws", "/echo"] {
            let mut node = node_for(origins);
            let id = node.accept(0);
            if *allowed {
                node.receive(id, &upgrade_request(path, headers));
                let client = Client::of(&mut node, id);
                assert!(!client.head.contains("Access-Control"), "{headers}");
                continue;
            }
            let answer = ask(&mut node, id, &upgrade_request(path, headers));
            let refused = node.engines[0].metrics.rejected.get(Reject::Origin);
            assert_eq!((answer.status, refused), (403, 1), "{origins:?} {headers}");
            assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
            assert!(matches!(&node.notices[0], Notice::OriginRefused { .. }));
        }
    }
}

/// The three headers, as they stand in every answer.
fn shown_to(answer: &Answer) -> Option<&str> {
    let reader = answer.header("Access-Control-Allow-Origin");
    assert_eq!(answer.head.contains("Vary: Origin"), reader.is_some(), "{}", answer.head);
    reader
}

#[test]
fn every_answer_and_refusal_is_shown_to_the_page_that_asked() {
    let key = bearer(&key());
    let good = format!("Origin: {PAGE}\r\n");
    let allowed = || {
        let Config { policy, .. } = with_key(2, &[Scope::Publish, Scope::Rooms], &[]);
        let keys = policy.api_keys.clone();
        Node::with(config_with(2, |policy| {
            policy.api_keys = keys;
            policy.origins = Origins::new([PAGE.parse().unwrap()]);
        }))
    };
    let requests: [(Vec<u8>, u16); 8] = [
        (request("/health", &good), 200),
        (request("/metrics", &good), 200),
        (request("/ready", &good), 200),
        (request("/nothing", &good), 404),
        (request("/stats", &good), 401),
        (request("/api/v1/rooms", &format!("{good}{key}")), 200),
        (post("/api/v1/publish", &good, r#"{"room":"lobby","payload":1}"#), 200),
        (post("/api/v1/publish", &good, "{"), 400),
    ];
    for (request, status) in requests {
        let mut node = allowed();
        let id = node.accept(0);
        let text = String::from_utf8(request.clone()).unwrap();
        let answer = ask(&mut node, id, &request);
        assert_eq!((answer.status, shown_to(&answer)), (status, Some(PAGE)), "{text}");
        // The next request on the connection is another page's, or none's.
        let without = ask(&mut node, id, text.replace(&good, "").as_bytes());
        assert_eq!((without.status, shown_to(&without)), (status, None), "{text}");
        let evil = ask(&mut node, id, text.replace("app.example", "evil.example").as_bytes());
        assert_eq!((evil.status, shown_to(&evil)), (status, None), "{text}");
    }
    let mut node = node_for(&["*"]);
    let id = node.accept(0);
    let answer =
        ask(&mut node, id, &request("/ready", "Origin: what\x7f ever\r\n".replace('\x7f', "").as_str()));
    assert_eq!(shown_to(&answer), Some("*"));
}

#[test]
fn a_stream_of_lines_is_shown_once() {
    let config = with_key(1, &[Scope::Publish], &[]);
    let mut node = Node::with(config);
    let id = node.accept(0);
    let lines = "{\"room\":\"a\",\"payload\":1}\n";
    let head = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\nOrigin: http://localhost:1\r\n{}\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        bearer(&key()),
        2 * lines.len()
    );
    node.receive(id, format!("{head}{lines}").as_bytes());
    let first = node.take_text(id);
    assert!(first.contains("\r\nAccess-Control-Allow-Origin: http://localhost:1\r\n"), "{first}");
    node.receive(id, lines.as_bytes());
    let rest = node.take_text(id);
    assert!(!rest.contains("Access-Control") && rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[test]
fn preflights() {
    let asks = |origin: &str, method: &str, path: &str| {
        format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: h\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n\
             Access-Control-Request-Headers: authorization\r\n\r\n"
        )
    };
    let rows = [
        (asks(PAGE, "POST", "/api/v1/publish"), 204, Some("POST")),
        (asks(PAGE, "GET", "/api/v1/rooms/lobby/presence"), 204, Some("GET, HEAD")),
        (asks(PAGE, "DELETE", "/health"), 204, Some("GET, HEAD")),
        (asks(PAGE, "GET", "/nothing"), 404, None),
        (asks("https://evil.example", "GET", "/health"), 403, None),
        (format!("OPTIONS /health HTTP/1.1\r\nHost: h\r\nOrigin: {PAGE}\r\n\r\n"), 405, None),
    ];
    for (request, status, methods) in rows {
        let mut node = node_for(&[PAGE]);
        let id = node.accept(0);
        node.receive(id, request.as_bytes());
        let text = node.take_text(id);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{text}");
        let allowed = text.lines().find_map(|line| line.strip_prefix("Access-Control-Allow-Methods: "));
        assert_eq!(allowed, methods, "{request}{text}");
        let shown = text.contains(&format!("\r\nAccess-Control-Allow-Origin: {PAGE}\r\n"));
        assert_eq!(shown, status != 403, "{text}");
        assert_eq!(node.side(id), Side::Open);
    }
}

#[test]
fn an_upgrade_is_its_clients_and_the_connection_its_holders() {
    let mut node = behind(ProxyProtocol::Off);
    let hops = "X-Forwarded-For: 203.0.113.1, 192.0.2.7, 10.3.3.3\r\n";
    for (holder, client) in [("10.0.0.1", "192.0.2.7"), ("192.0.2.99", "192.0.2.99")] {
        let id = node.accept_from(0, address(holder));
        // Refused, and so the connection is still the proxy's.
        let refused =
            ask(&mut node, id, &upgrade_request("/ws", &format!("{hops}Authorization: Bearer e.e.e\r\n")));
        assert_eq!((refused.status, peer_of(&mut node, id)), (401, address(holder)));
        let Some(Notice::AuthFailed { peer, .. }) = node.notices.pop() else { panic!("no notice") };
        assert_eq!(peer, address(client));
        assert_eq!(ask(&mut node, id, &request("/ready", hops)).status, 200);
        assert_eq!(peer_of(&mut node, id), address(holder));
        node.receive(id, &upgrade_request("/ws", hops));
        Client::of(&mut node, id);
        assert_eq!(peer_of(&mut node, id), address(client));
    }
}

const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

#[test]
fn a_proxy_says_where_its_client_is_whatever_the_split() {
    let v2 =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &[192, 0, 2, 7, 1, 2, 3, 4, 0, 1, 0, 2]].concat();
    for preface in [LINE.as_bytes(), &v2] {
        let bytes = [preface, &upgrade_request("/ws", "X-Forwarded-For: 203.0.113.1\r\n")].concat();
        for cut in 0..bytes.len() {
            let mut node = behind(ProxyProtocol::Required);
            let id = node.accept_from(0, address("10.0.0.1"));
            node.receive(id, &bytes[..cut]);
            node.receive(id, &bytes[cut..]);
            Client::of(&mut node, id);
            // The client is no proxy: what it says itself does not count.
            assert_eq!(peer_of(&mut node, id), address("192.0.2.7"), "cut at {cut}");
        }
        let mut node = behind(ProxyProtocol::Optional);
        let id = node.accept_from(0, address("10.0.0.1"));
        bytes.chunks(1).for_each(|byte| node.receive(id, byte));
        Client::of(&mut node, id);
        assert_eq!(peer_of(&mut node, id), address("192.0.2.7"));
    }
}

#[test]
fn who_may_begin_with_a_header_and_who_must() {
    use ProxyProtocol::{Off, Optional, Required};
    let health = String::from_utf8(request("/ready", "")).unwrap();
    let local = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let with = |preface: &str| format!("{preface}{health}");
    // Whether it is answered, closed without a word, or answered with 400.
    let rows: [(ProxyProtocol, &str, String, u16); 16] = [
        (Off, "10.0.0.1", with(""), 200),
        (Off, "10.0.0.1", with(LINE), 400),
        (Optional, "10.0.0.1", with(""), 200),
        (Optional, "10.0.0.1", with(LINE), 200),
        (Optional, "10.0.0.1", with(local), 200),
        (Optional, "10.0.0.1", with("PROXY UNKNOWN\r\n"), 200),
        (Optional, "10.0.0.1", with("PROXY TCP4 x\r\n"), 0),
        (Optional, "192.0.2.9", with(""), 200),
        (Optional, "192.0.2.9", with(LINE), 0),
        (Optional, "192.0.2.9", with(local), 0),
        (Required, "10.0.0.1", with(LINE), 200),
        (Required, "10.0.0.1", with(""), 0),
        (Required, "10.0.0.1", with("PROXY TCP4 x\r\n"), 0),
        (Required, "192.0.2.9", with(LINE), 0),
        (Required, "192.0.2.9", with(""), 0),
        (Required, "192.0.2.9", "P".to_owned(), 0),
    ];
    for (protocol, peer, bytes, status) in rows {
        let mut node = behind(protocol);
        let id = node.accept_from(0, address(peer));
        node.receive(id, bytes.as_bytes());
        let text = node.take_text(id);
        let counted = node.engines[0].metrics.disconnections.get(Disconnect::ProxyProtocol);
        if status == 0 {
            assert_eq!(
                (text.as_str(), node.side(id), counted),
                ("", Side::Closed, 1),
                "{protocol:?} {peer} {bytes:?}"
            );
            assert!(matches!(node.notices[0], Notice::ProxyRefused { .. }));
            node.assert_empty();
        } else {
            assert!(
                text.starts_with(&format!("HTTP/1.1 {status} ")),
                "{protocol:?} {peer} {bytes:?}: {text}"
            );
            assert_eq!(counted, 0);
        }
    }
}

#[test]
fn a_header_that_does_not_come_whole_has_the_heads_time() {
    let mut node = behind(ProxyProtocol::Optional);
    let id = node.accept_from(0, address("10.0.0.1"));
    node.receive(id, &LINE.as_bytes()[..20]);
    node.advance(10_100);
    assert!(node.take_text(id).starts_with("HTTP/1.1 408 "));
    node.hang_up(id, false);
    node.assert_empty();
    assert_eq!(Disconnect::ProxyProtocol.as_str(), "proxy_protocol");
}
