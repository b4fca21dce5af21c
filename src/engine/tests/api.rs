//! The backend's API: who may, bodies however they come, messages, and what is answered when something is wrong.

use super::{
    client::Client,
    harness::{Flow, Node, Side, admin_token, config_with, token, token_with},
    http::{Answer, answers, bearer, request},
};
use crate::{
    auth::{ApiKeys, Backend, Tenants, key_digest, spell_key},
    base::{ConnId, TenantName, UserName},
    engine::{Config, Input, Notice},
    http::{HttpFault, route::Access, routes::OPERATIONS},
    metrics::ErrorType,
    model::{Scope, Scopes},
};

pub(super) fn key() -> String {
    spell_key(&[7; 32])
}

/// A configuration with [`key`], which has these scopes for these tenants; none is all.
pub(super) fn with_key(shards: u16, scopes: &[Scope], tenants: &[&str]) -> Config {
    let tenants = tenants.iter().map(|name| TenantName::parse(name).unwrap()).collect::<Vec<_>>();
    let backend = Backend {
        name: UserName::parse("billing").unwrap(),
        scopes: scopes.iter().fold(Scopes::default(), |scopes, scope| scopes.with(*scope)),
        tenants: if tenants.is_empty() { Tenants::Every } else { Tenants::These(tenants.into()) },
    };
    config_with(shards, |policy| policy.api_keys = ApiKeys::new(vec![(key_digest(&key()), backend)]))
}

pub(super) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let (key, length) = (bearer(&key()), body.len());
    format!("POST {path} HTTP/1.1\r\nHost: h\r\n{key}{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// One answer to one request.
pub(super) fn ask(node: &mut Node, id: ConnId, request: &[u8]) -> Answer {
    node.receive(id, request);
    let mut answers = answers(&node.take_text(id), 0);
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

const PUBLISH: &str = "/api/v1/publish";

#[test]
fn every_path_of_the_table_wants_what_the_table_says() {
    for operation in OPERATIONS {
        let Access::Scope(scope) = operation.access else { continue };
        let method = if operation.methods == crate::http::route::Methods::Post { "POST" } else { "GET" };
        for path in operation.paths {
            let path = path.replace("{user}", "ada").replace("{room}", "lobby");
            let asked = |scopes: &[Scope], headers: &str| {
                let mut node = Node::with(with_key(2, scopes, &[]));
                let id = node.accept(0);
                ask(&mut node, id, format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n").as_bytes())
            };
            let others: Vec<_> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
            assert_eq!(code(&asked(&others, &bearer(&key()))), (403, "forbidden".into()), "{path}");
            assert_eq!(code(&asked(&[], &bearer(&token("ada", "acme", None)))).0, 403, "{path}");
            for wrong in ["", &bearer("rk_wrong"), &bearer("e.e.e"), "Authorization: Basic dTpw\r\n"] {
                let answer = asked(&[scope], wrong);
                assert_eq!(code(&answer), (401, "unauthenticated".into()), "{path} {wrong}");
                assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"));
            }
            let allowed = asked(&[scope], &bearer(&key()));
            assert!(![401, 403, 405].contains(&allowed.status), "{path}: {allowed:?}");
            let admin = asked(&[], &bearer(&admin_token())).status;
            assert_eq!(admin, allowed.status, "{path}");
            let publisher = asked(&[], &bearer(&token_with("ada", "acme", &["ringway:publish"]))).status;
            assert_eq!(publisher, if scope == Scope::Admin { 403 } else { allowed.status }, "{path}");
        }
    }
}

#[test]
fn bad_keys_and_tokens_are_counted_and_said() {
    let expired = token("ada", "acme", Some(0));
    let rows = [
        (bearer("rk_wrong"), "unknown_api_key"),
        (bearer(&format!("{}x", key())), "unknown_api_key"),
        (bearer(&expired), "expired"),
        (bearer("e.e.e"), "malformed"),
        (String::new(), "no_credentials"),
        ("Authorization: Basic dTpw\r\n".to_owned(), "no_credentials"),
    ];
    for path in ["/api/v1/rooms", "/stats"] {
        let mut node = Node::with(with_key(2, &Scope::ALL, &[]));
        node.advance(120_000);
        let id = node.accept(0);
        for (count, (headers, reason)) in rows.iter().enumerate() {
            assert_eq!(ask(&mut node, id, &request(path, headers)).status, 401, "{path} {reason}");
            let counted = node.engines[0].metrics.errors.get(ErrorType::Unauthenticated);
            assert_eq!(counted, count as u64 + 1, "{path} {reason}");
            let said = node.notices.pop();
            assert!(
                matches!(&said, Some(Notice::AuthFailed { conn, reason: why, .. }) if *conn == id && why == reason),
                "{path} {reason}: {said:?}"
            );
        }
        let open = ask(&mut node, id, &request("/ready", &bearer("rk_wrong")));
        assert_eq!(open.status, 200, "nobody has to be known here");
        let good = ask(&mut node, id, &request("/api/v1/rooms?tenant=acme", &bearer(&key())));
        assert_eq!(good.status, 200);
        assert!(node.notices.is_empty(), "{:?}", node.notices);
    }
}

#[test]
fn a_message_reaches_all_members_once() {
    let mut node = Node::with(with_key(3, &[Scope::Publish], &[]));
    let mut members: Vec<_> = (0..3).map(|shard| Client::connect(&mut node, shard, "ada", "acme")).collect();
    members.iter_mut().for_each(|member| member.join(&mut node, "lobby"));
    let mut stranger = Client::connect(&mut node, 0, "ada", "globex");
    stranger.join(&mut node, "lobby");
    for shard in 0..3 {
        let id = node.accept(shard);
        let body = r#"{"tenant":"acme","room":"lobby","payload":{"a": 1.0}}"#;
        let answer = ask(&mut node, id, &post(PUBLISH, "", body));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let message_id = answer.json()["messageId"].as_str().unwrap().to_owned();
        let name = format!("m{shard}");
        let named =
            format!(r#"{{"tenant":"acme","room":"lobby","payload":2,"from":"bob","messageId":"{name}"}}"#);
        for _ in 0..2 {
            // The repeat is answered alike, and not delivered.
            let told = ask(&mut node, id, &post(PUBLISH, "", &named)).body;
            assert_eq!(told, format!(r#"{{"messageId":"{name}"}}"#));
        }
        for member in &mut members {
            let heard = member.json(&mut node);
            assert_eq!(heard.len(), 2, "{heard:?}");
            assert_eq!(
                (&heard[0]["from"], &heard[0]["id"]),
                (&"billing".into(), &message_id.as_str().into())
            );
            assert_eq!(heard[0]["payload"], serde_json::json!({ "a": 1.0 }));
            assert_eq!((&heard[1]["from"], &heard[1]["id"]), (&"bob".into(), &name.as_str().into()));
        }
        assert!(stranger.json(&mut node).is_empty(), "another tenant's");
        assert_eq!(node.side(id), Side::Open);
    }
}

#[test]
fn several_messages_are_answered_one_by_one_in_their_order() {
    let mut node = Node::with(with_key(3, &[Scope::Publish], &["acme"]));
    let mut member = Client::connect(&mut node, 1, "ada", "acme");
    for room in ["a", "b"] {
        member.join(&mut node, room);
    }
    let id = node.accept(0);
    let body = r#"[{"room":"a","payload":1,"messageId":"1"}, {"room":""}, {"room":"b","payload":2,"messageId":"2"},
        {"tenant":"globex","room":"a","payload":3}, {"room":"a","payload":4,"messageId":"4"}]"#;
    let answer =
        ask(&mut node, id, &post(PUBLISH, "Content-Type: application/json; charset=utf-8\r\n", body));
    assert_eq!(answer.status, 200);
    let results = &answer.json()["results"];
    let told: Vec<_> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let word = &result[if result["success"] == true { "messageId" } else { "error" }];
            word.as_str().or_else(|| word["code"].as_str()).unwrap().to_owned()
        })
        .collect();
    assert_eq!(told, ["1", "bad_request", "2", "forbidden", "4"], "{results}");
    assert_eq!(results[3]["index"], 3);
    let mut heard: Vec<_> = member.json(&mut node).iter().map(|event| event["id"].to_string()).collect();
    heard.sort();
    assert_eq!(heard, [r#""1""#, r#""2""#, r#""4""#]);
    assert_eq!(ask(&mut node, id, &post(PUBLISH, "", "[]")).body, r#"{"results":[]}"#);
}

#[test]
fn the_header_names_a_message() {
    let mut node = Node::with(with_key(1, &[Scope::Publish], &["acme"]));
    let mut member = Client::connect(&mut node, 0, "ada", "acme");
    member.join(&mut node, "a");
    let id = node.accept(0);
    let header = "Idempotency-Key: k1\r\n";
    let rows = [
        (header, r#"{"room":"a","payload":1}"#, 200),
        (header, r#"{"room":"a","payload":1,"messageId":"k1"}"#, 200),
        (header, r#"{"room":"a","payload":1,"messageId":"k2"}"#, 409),
        (header, r#"[{"room":"a","payload":1}]"#, 409),
        ("Idempotency-Key: k1\r\nIdempotency-Key: k1\r\n", r#"{"room":"a","payload":1}"#, 400),
        ("Idempotency-Key: \r\n", r#"{"room":"a","payload":1}"#, 400),
    ];
    for (headers, body, status) in rows {
        // A refusal of the head closes the connection, since the body behind it is not read.
        let id = if node.side(id) == Side::Open { id } else { node.accept(0) };
        let answer = ask(&mut node, id, &post(PUBLISH, headers, body));
        assert_eq!(answer.status, status, "{headers}{body}: {}", answer.body);
        if status == 200 {
            assert_eq!(answer.body, r#"{"messageId":"k1"}"#);
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let long = format!(r#"{{"room":"a","payload":"{}"}}"#, "x".repeat(65 * 1024));
    let rows: [(&str, &str, u16, &str); 7] = [
        ("", "", 400, "bad_request"),
        ("", "{", 400, "bad_request"),
        ("", r#"{"room":"a","payload":1,"x":1}"#, 400, "bad_request"),
        ("", r#"{"tenant":"globex","room":"a","payload":1}"#, 403, "forbidden"),
        ("", &long, 413, "too_large"),
        ("Content-Type: text/plain\r\n", "{}", 415, "unsupported_media_type"),
        ("Expect: tea\r\n", "{}", 417, "bad_request"),
    ];
    for (headers, body, status, word) in rows {
        let mut config = with_key(2, &[Scope::Publish], &["acme"]);
        config.body_bytes_max = 128 * 1024;
        let mut node = Node::with(config);
        let id = node.accept(1);
        let answer = ask(&mut node, id, &post(PUBLISH, headers, body));
        assert_eq!(code(&answer), (status, word.into()), "{headers}{body:.40}");
        assert!(!answer.body.contains("xxxx"), "a payload in a refusal");
    }
}

#[test]
fn bodies_are_read_however_they_are_cut_and_what_follows_is_the_next_request() {
    let whole = post(PUBLISH, "", r#"{"room":"a","payload":[1,2]}"#);
    let chunked = format!(
        "POST {PUBLISH} HTTP/1.1\r\nHost: h\r\n{}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{{\"roo\r\n17\r\nm\":\"a\",\"payload\":[1,2]}}\r\n0\r\nT: x\r\n\r\n",
        bearer(&key())
    );
    let empty = format!("POST {PUBLISH} HTTP/1.1\r\nHost: h\r\n{}Content-Length: 0\r\n\r\n", bearer(&key()));
    let all =
        [&whole, chunked.as_bytes(), &request("/live", ""), empty.as_bytes(), &whole, &request("/live", "")]
            .concat();
    for size in [1, 2, 3, 7, 50, 333, all.len()] {
        let mut node = Node::with(with_key(2, &[Scope::Publish], &["acme"]));
        let mut member = Client::connect(&mut node, 0, "ada", "acme");
        member.join(&mut node, "a");
        let id = node.accept(1);
        for part in all.chunks(size) {
            node.receive(id, part);
        }
        let answers = answers(&node.take_text(id), 0);
        let status: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(status, [200, 200, 200, 400, 200, 200], "{size}");
        assert_eq!(member.json(&mut node).len(), 3, "{size}");
        node.hang_up(id, false);
        member.say(&mut node, "");
        node.hang_up(member.id, true);
        node.assert_empty();
    }
}

#[test]
fn a_body_that_is_too_long_or_broken_ends_the_connection() {
    let head = format!("POST {PUBLISH} HTTP/1.1\r\nHost: h\r\n{}", bearer(&key()));
    let rows = [
        ("Content-Length: 65537\r\n\r\n".to_owned(), 413),
        ("Transfer-Encoding: chunked\r\n\r\n10001\r\n".to_owned(), 413),
        (
            format!(
                "Transfer-Encoding: chunked\r\n\r\n{}",
                format!("8000\r\n{}\r\n", "x".repeat(0x8000)).repeat(3)
            ),
            413,
        ),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n".to_owned(), 400),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n".to_owned(), 400),
    ];
    for (rest, status) in rows {
        let mut node = Node::with(with_key(1, &[Scope::Publish], &["acme"]));
        let id = node.accept(0);
        let answer =
            ask(&mut node, id, format!("{head}{rest}GET /live HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!((answer.status, answer.header("Connection")), (status, Some("close")), "{rest:.60}");
        assert_eq!(node.side(id), Side::Shut);
        node.hang_up(id, false);
        node.assert_empty();
    }
}

/// A client in the middle of a body gets its answer; one that floods behind it is read no further.
#[test]
fn who_sends_on_and_on_behind_the_answer_is_read_no_further_and_not_cut_off() {
    const GRACE_BYTES: usize = 1 << 20;
    let head = format!("POST {PUBLISH} HTTP/1.1\r\nHost: h\r\n{}", bearer(&key()));
    for flow in [Flow::Open, Flow::Bytes(10)] {
        let mut node = Node::with(with_key(1, &[Scope::Publish], &["acme"]));
        let id = node.accept(0);
        node.flow(id, flow);
        node.receive(id, format!("{head}Content-Length: 3145728\r\n\r\n").as_bytes());
        let mut sent = 0;
        while !node.sockets[&id].paused {
            node.receive(id, &[b' '; 8 * 1024]);
            sent += 8 * 1024;
        }
        assert_eq!(sent, GRACE_BYTES);
        // What the shell had received by then.
        let now = node.now;
        node.engine(id).handle(Input::Received { conn: id, bytes: &mut [b' '; 8 * 1024] }, now);
        node.settle();
        while node.writable(id) {
            node.settle();
        }
        let answer = answers(&node.take_text(id), 0).remove(0);
        assert_eq!((answer.status, answer.header("Connection")), (413, Some("close")));
        assert_eq!(node.engine(id).metrics_mut().reads_paused, 1);
        node.advance(4_900);
        assert_eq!(node.side(id), Side::Shut);
        node.advance(200);
        assert_eq!(node.side(id), Side::Closed);
        node.assert_empty();
    }
}

#[test]
fn who_waits_for_100_gets_it_and_who_does_not_does_not() {
    let mut node = Node::with(with_key(1, &[Scope::Publish], &["acme"]));
    let mut member = Client::connect(&mut node, 0, "ada", "acme");
    member.join(&mut node, "a");
    let id = node.accept(0);
    let whole = post(PUBLISH, "Expect: 100-continue\r\n", r#"{"room":"a","payload":1}"#);
    let head = whole.len() - 24;
    node.receive(id, &whole[..head]);
    assert_eq!(node.take_text(id), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(ask(&mut node, id, &whole[head..]).status, 200);
    assert_eq!(ask(&mut node, id, &whole).status, 200, "the body was there already");
    let refused = whole.iter().map(|byte| if *byte == b'_' { b'x' } else { *byte }).collect::<Vec<_>>();
    assert_eq!(ask(&mut node, id, &refused[..head]).status, 401);
    assert_eq!(node.side(id), Side::Shut, "whether a body follows is not known");
}

#[test]
fn a_body_has_its_time() {
    let mut node = Node::with(with_key(1, &[Scope::Publish], &["acme"]));
    let id = node.accept(0);
    let whole = post(PUBLISH, "", r#"{"room":"a","payload":1}"#);
    node.receive(id, &whole[..whole.len() - 10]);
    for byte in &whole[whole.len() - 10..whole.len() - 1] {
        node.advance(3_200);
        node.receive(id, &[*byte]);
        assert_eq!(node.side(id), Side::Open);
    }
    node.advance(3_200);
    let answers = answers(&node.take_text(id), 0);
    assert_eq!((answers.len(), answers[0].status), (1, HttpFault::BODY_TIMEOUT.status));
    assert_eq!(node.side(id), Side::Shut);
    node.hang_up(id, false);
    node.assert_empty();
}

#[test]
fn who_leaves_in_the_middle_leaves_nothing() {
    let whole = post(PUBLISH, "", r#"{"room":"a","payload":1}"#);
    for reset in [false, true] {
        for cut in [whole.len() / 2, whole.len() - 1, whole.len()] {
            let mut node = Node::with(with_key(2, &[Scope::Publish], &["acme"]));
            let id = node.accept(1);
            node.receive_only(id, &whole[..cut]);
            node.hang_up(id, reset);
            node.assert_empty();
        }
    }
}

#[test]
fn a_shard_that_does_not_answer_is_unavailable() {
    for method in ["GET", "HEAD"] {
        let mut node = Node::with(with_key(2, &[Scope::Rooms, Scope::Connections], &["acme"]));
        let id = node.accept(0);
        node.deaf = vec![1];
        let asked = String::from_utf8(request("/api/v1/rooms", &bearer(&key()))).unwrap();
        node.receive(id, asked.replacen("GET", method, 1).as_bytes());
        assert_eq!(node.take_text(id), "");
        node.advance(5_100);
        let answers = answers(&node.take_text(id), usize::from(method == "HEAD"));
        assert_eq!((answers.len(), answers[0].status), (1, 503), "{method}");
        if method == "GET" {
            assert_eq!(code(&answers[0]).1, "unavailable");
        }
        // The late answer finds nobody.
        node.deaf.clear();
        node.settle();
        assert_eq!(node.take_text(id), "");
        node.hang_up(id, false);
        node.assert_empty();
    }
}

#[test]
fn a_drain_is_asked_for() {
    let mut node = Node::with(with_key(1, &[Scope::Admin], &[]));
    let id = node.accept(0);
    let answer = ask(&mut node, id, &post("/api/v1/drain", "", ""));
    assert_eq!((answer.status, answer.body.as_str(), node.drain_asked), (202, r#"{"status":"draining"}"#, 1));
}

#[test]
fn a_backend_asks_and_a_client_answers() {
    for (to, shards) in
        [(r#"{"user":"ada"}"#, 3), (r#"{"room":"lobby"}"#, 3), ("connection", 3), (r#"{"user":"ada"}"#, 1)]
    {
        let mut node = Node::with(with_key(shards, &[Scope::Request], &["acme"]));
        let mut client = Client::connect(&mut node, shards - 1, "ada", "acme");
        client.join(&mut node, "lobby");
        let id = node.accept(0);
        let connection = format!(r#"{{"connection":"{}"}}"#, client.id.public(crate::base::NodeId(0x2a)));
        let to = if to == "connection" { &connection } else { to };
        let body = format!(r#"{{"to":{to},"method":"m","payload":{{"a":1}},"timeoutMs":500}}"#);
        for answer in [r#""payload":[2 ]"#, r#""error":{"code":"busy","message":"later"}"#] {
            node.receive(id, &post("/api/v1/request", "", &body));
            assert_eq!(node.take_text(id), "");
            let asked = client.json(&mut node);
            assert_eq!(
                (asked.len(), &asked[0]["type"], &asked[0]["method"]),
                (1, &"request".into(), &"m".into())
            );
            assert!(asked[0].get("from").is_none(), "the backend is nobody");
            let correlation_id = asked[0]["correlationId"].as_str().unwrap();
            client.say(
                &mut node,
                &format!(r#"{{"type":"response","correlationId":"{correlation_id}",{answer}}}"#),
            );
            let told = answers(&node.take_text(id), 0);
            assert_eq!((told.len(), told[0].status), (1, 200));
            assert!(
                told[0].body.contains(answer) && told[0].body.contains(correlation_id),
                "{}",
                told[0].body
            );
        }
        node.receive(id, &post("/api/v1/request", "", &body));
        node.advance(600);
        let told = answers(&node.take_text(id), 0);
        assert_eq!(code(&told[0]), (504, "timeout".into()));
        assert!(told[0].json()["correlationId"].as_str().unwrap().len() > 8);
        node.hang_up(client.id, true);
        let told = ask(&mut node, id, &post("/api/v1/request", "", &body));
        assert_eq!(code(&told), (404, "no_target".into()));
        for timeout in ["999999", "18446744073709551615"] {
            let wrong = body.replace("500", timeout);
            assert_eq!(
                code(&ask(&mut node, id, &post("/api/v1/request", "", &wrong))),
                (400, "bad_request".into())
            );
        }
        assert_eq!(node.side(id), Side::Open);
        node.hang_up(id, true);
        node.assert_empty();
    }
}

/// Who asked is gone: nothing waits for the answer.
#[test]
fn a_backend_that_leaves_waits_for_nothing() {
    let mut node = Node::with(with_key(2, &[Scope::Request], &["acme"]));
    let mut client = Client::connect(&mut node, 1, "ada", "acme");
    let id = node.accept(0);
    node.receive(id, &post("/api/v1/request", "", r#"{"to":{"user":"ada"},"method":"m","payload":1}"#));
    assert_eq!(client.types(&mut node), ["request"]);
    node.hang_up(id, true);
    node.hang_up(client.id, true);
    node.assert_empty();
}
