//! Limits of rates and addresses as clients meet them.

use std::net::{Ipv4Addr, SocketAddr};

use ringway::shell::driver::Driver;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::support::{Gateway, Http, Response, Socket, Start, token::token, until};

on_both_drivers!(
    floods_are_refused_then_closed,
    a_user_has_one_limit_on_all_shards,
    connections_per_address,
    connects_per_address,
);

fn limited(gateway: &Gateway, limit: &str) -> f64 {
    gateway.metric(&format!("websocket_rate_limited_total{{limit=\"{limit}\"}}"))
}

fn floods_are_refused_then_closed(driver: Driver) {
    let start = Start::on(driver).env("MAX_MSGS_PER_10S", "20").env("MAX_BYTES_PER_10S", "100000");
    let gateway = start.set("limits.refusals_per_min", 5).start();
    let mut flooder = gateway.socket("ada", "acme");
    let mut other = gateway.socket("eve", "acme");
    for _ in 0..40 {
        flooder.send(r#"{"type":"query:rooms","id":"q"}"#);
    }
    let mut answers: Vec<serde_json::Value> = (0..25).map(|_| flooder.expect("ack")).collect();
    let refused = answers.split_off(20);
    assert!(answers.iter().all(|ack| ack["success"] == true));
    for ack in refused {
        let error = &ack["error"];
        assert_eq!((&error["code"], &error["status"]), (&"rate_limited".into(), &429.into()), "{ack}");
        assert!(error["retryAfterMs"].as_u64().is_some_and(|ms| (1..=500).contains(&ms)), "{ack}");
    }
    assert_eq!(flooder.closed().0, 4429);
    assert_eq!(limited(&gateway, "messages_per_connection"), 6.0);
    assert_eq!(other.ping(), "pong", "nobody else pays for it");
    let long = format!(r#"{{"type":"query:rooms","id":"q","x":"{}"}}"#, "y".repeat(60_000));
    other.send(&long);
    assert_eq!(other.expect("ack")["success"], true);
    other.send(&long);
    assert_eq!(other.expect("ack")["error"]["code"], "rate_limited");
    assert_eq!(limited(&gateway, "bytes_per_connection"), 1.0);
    let closed = r#"websocket_disconnections_total{reason="rate_limited"}"#;
    until("it has gone", || (gateway.metric(closed) == 1.0).then_some(()));
    assert!(gateway.output().contains("rate limited"), "it is said");
}

/// The rate is so low that nothing comes back within the test.
fn a_user_has_one_limit_on_all_shards(driver: Driver) {
    const BURST: usize = 160;
    let start = Start::on(driver).shards(4).set("limits.user_messages_per_s", 1);
    let gateway = start.set("limits.user_messages_burst", BURST).set("limits.refusals_per_min", 0).start();
    let mut sockets: Vec<Socket> = (0..8).map(|_| gateway.socket("ada", "acme")).collect();
    let mut passed = 0;
    for _ in 0..BURST {
        for socket in &mut sockets {
            socket.send(r#"{"type":"query:rooms","id":"q"}"#);
        }
        for socket in &mut sockets {
            passed += usize::from(socket.expect("ack")["success"] == true);
        }
    }
    // Some seconds may have passed, too.
    assert!((BURST..=BURST * 3 / 2 + 60).contains(&passed), "{passed}");
    assert_eq!(limited(&gateway, "messages_per_user"), (8 * BURST - passed) as f64);
    assert_eq!(gateway.socket("eve", "acme").ping(), "pong");
}

/// An upgrade from an address of this machine.
fn upgrade(address: SocketAddr, from: u8) -> Result<Socket, Response> {
    let socket = RawSocket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let headers = format!("Authorization: Bearer {}\r\n", token("ada", "acme"));
    Socket::over(Http::over(socket.into()), "/ws", &headers, &[])
}

fn connections_per_address(driver: Driver) {
    let gateway = Start::on(driver).shards(4).env("MAX_CONNS_PER_IP", "5").start();
    let mut inside: Vec<Socket> = (0..5).map(|_| upgrade(gateway.address, 2).expect("a place")).collect();
    for _ in 0..8 {
        let refused = upgrade(gateway.address, 2).err().expect("no place on any shard");
        refused.is_error(429, "rate_limited");
        assert_eq!(refused.header("Retry-After"), Some("15"));
        assert!(upgrade(gateway.address, 3).is_ok(), "another address");
    }
    assert_eq!(limited(&gateway, "connections_per_ip"), 8.0);
    assert_eq!(gateway.metric(r#"websocket_connection_rejected_total{reason="connections_per_ip"}"#), 8.0);
    drop(inside.pop());
    inside.push(until("a place is free again", || upgrade(gateway.address, 2).ok()));
    for socket in &mut inside {
        socket.expect("connection:established");
        assert_eq!(socket.ping(), "pong");
    }
}

/// Who comes again and again is told so at first, and then closed unheard.
fn connects_per_address(driver: Driver) {
    let gateway = Start::on(driver).shards(1).set("limits.connects_per_ip_per_min", 10).start();
    let mut answers = [0, 0, 0];
    for _ in 0..60 {
        let raw = RawSocket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        raw.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)).into()).unwrap();
        raw.connect(&gateway.address.into()).unwrap();
        let mut http = Http::over(raw.into());
        http.write_some(crate::support::upgrade_request("/ws", ""));
        match http.try_response(false) {
            Ok(response) if response.status == 101 => answers[0] += 1,
            Ok(response) if response.status == 429 => answers[1] += 1,
            Ok(response) => panic!("{}", response.head),
            Err(_) => answers[2] += 1,
        }
    }
    let [inside, told, unheard] = answers;
    assert!((10..=15).contains(&inside) && (5..=20).contains(&told) && unheard >= 25, "{answers:?}");
    assert_eq!(
        gateway.metric(r#"websocket_connection_rejected_total{reason="connects_per_ip"}"#),
        f64::from(told + unheard)
    );
    assert!(upgrade(gateway.address, 3).is_ok(), "others come in");
}
