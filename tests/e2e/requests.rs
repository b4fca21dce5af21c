//! Requests between clients of the real binary: over shards, in a burst, to nobody, to one who says nothing, and to
//! one who goes.

use ringway::shell::driver::Driver;
use serde_json::{Value, json};

use crate::support::{Socket, Start, token::token};

on_both_drivers!(one_answer_each, a_burst_over_all_shards);

fn connect(address: std::net::SocketAddr, user: &str) -> (Socket, Value) {
    let mut socket = Socket::with_token(address, &token(user, "acme"));
    let established = socket.expect("connection:established");
    (socket, established)
}

fn one_answer_each(driver: Driver) {
    let gateway = Start::on(driver).shards(3).set("requests.timeout_ms", 300).start();
    let (mut ada, _) = connect(gateway.address, "ada");
    let (mut bob, established) = connect(gateway.address, "bob");
    let bobs = [json!({"user": "bob"}), json!({"connection": established["connectionId"]})];
    for (number, to) in bobs.iter().enumerate() {
        ada.send(&format!(
            r#"{{"type":"request","id":{number},"to":{to},"method":"print","payload":{{ "a" : 1 }}}}"#
        ));
        let request = bob.expect("request");
        assert_eq!((&request["from"], &request["method"]), (&"ada".into(), &"print".into()), "{request}");
        assert!(request["deadline"].as_u64() > Some(1_700_000_000_000), "Unix ms: {request}");
        let response =
            format!(r#""type":"response","correlationId":{},"payload":[ 7 ]"#, request["correlationId"]);
        assert_eq!(bob.call(&response)["success"], true);
        assert_eq!(ada.text(), format!(r#"{{"type":"ack","id":{number},"success":true,"payload":[ 7 ]}}"#));
        assert_eq!(bob.call(&response)["error"]["code"], "not_found");
    }
    assert_eq!(gateway.metric(r#"websocket_dropped_total{reason="late_response"}"#), 2.0);
    assert_eq!(gateway.metric("websocket_request_duration_ms_count"), 2.0);

    // Nobody, somebody who does not answer, somebody who goes.
    let ask =
        |user: &str| format!(r#""type":"request","to":{{"user":"{user}"}},"method":"m","payload":null"#);
    let outcomes = [("eve", "no_target", 404), ("bob", "timeout", 504)];
    for (user, code, status) in outcomes {
        let error = &ada.call(&ask(user))["error"];
        assert_eq!((&error["code"], &error["status"]), (&code.into(), &status.into()), "{error}");
    }
    bob.expect("request");
    ada.send(&format!(r#"{{"id":9,{},"timeoutMs":60000}}"#, ask("bob")));
    bob.expect("request");
    drop(bob);
    assert_eq!(ada.expect("ack")["error"]["code"], "no_target");
    assert_eq!(gateway.metric("websocket_request_timeouts_total"), 1.0);
    assert_eq!(gateway.metric("websocket_pending_requests"), 0.0);
}

/// As many requests as one connection may have waiting, each to another connection, answered in another order.
fn a_burst_over_all_shards(driver: Driver) {
    const RESPONDERS: usize = 8;
    const REQUESTS: usize = 120;
    let gateway = Start::on(driver).shards(3).start();
    let (mut ada, _) = connect(gateway.address, "ada");
    let mut responders: Vec<Socket> =
        (0..RESPONDERS).map(|number| connect(gateway.address, &format!("user-{number}")).0).collect();
    for number in 0..REQUESTS {
        let to = number % RESPONDERS;
        ada.send(&format!(
            r#"{{"type":"request","id":{number},"to":{{"user":"user-{to}"}},"method":"m","payload":{number}}}"#
        ));
    }
    for socket in responders.iter_mut().rev() {
        let requests: Vec<Value> = (0..REQUESTS / RESPONDERS).map(|_| socket.expect("request")).collect();
        for request in requests.iter().rev() {
            let (id, payload) = (&request["correlationId"], &request["payload"]);
            socket.send(&format!(r#"{{"type":"response","correlationId":{id},"payload":[{payload}]}}"#));
        }
    }
    let mut answered: Vec<u64> = (0..REQUESTS)
        .map(|_| {
            let ack = ada.expect("ack");
            assert_eq!(ack["payload"], json!([ack["id"]]), "{ack}");
            ack["id"].as_u64().expect("the id that was given")
        })
        .collect();
    answered.sort_unstable();
    assert!(answered.into_iter().eq(0..REQUESTS as u64));
    assert_eq!(gateway.metric("websocket_pending_requests"), 0.0);
}
