//! Heartbeats: who answers stays, who is silent is let go.

use ringway::shell::driver::Driver;

use crate::support::{Received, Socket, Start, token::token};

on_both_drivers!(who_answers_stays_and_who_is_silent_goes);

fn who_answers_stays_and_who_is_silent_goes(driver: Driver) {
    let start = Start::on(driver).set("heartbeat.interval_ms", 200).set("heartbeat.timeout_ms", 700);
    let gateway = start.start();
    let connect = || Socket::with_token(gateway.address, &token("ada", "acme"));
    let (mut silent, mut answering, mut talking) = (connect(), connect(), connect());
    for socket in [&mut silent, &mut answering, &mut talking] {
        let heartbeat = socket.expect("connection:established")["heartbeat"].clone();
        assert_eq!(heartbeat, serde_json::json!({"intervalMs": 200, "timeoutMs": 700}));
        socket.answers_pings = false;
    }
    let mut echo = Socket::open(gateway.address, "/echo", "");
    echo.answers_pings = false;

    // Twice as many pings as the silent one is given.
    let mut pings = 0;
    while pings < 7 {
        match answering.receive() {
            Received::Ping(payload) => {
                assert_eq!(payload.len(), 8, "a time that the pong brings back");
                answering.write(crate::support::frame(ringway::ws::Opcode::Pong, &payload));
                pings += 1;
            }
            other => panic!("{other:?}"),
        }
        // Any frame is a sign of life; its pings go unanswered.
        talking.send(r#"{"type":"ping"}"#);
        // A wrong pong is one, too, but measures nothing.
        talking.write(crate::support::frame(ringway::ws::Opcode::Pong, b"unasked"));
    }
    let (mut pongs, mut unanswered) = (0, 0);
    while pongs < 7 {
        match talking.receive() {
            Received::Text(_) => pongs += 1,
            Received::Ping(_) => unanswered += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(unanswered > 0);
    for socket in [&mut silent, &mut echo] {
        assert_eq!(socket.closed().0, 4408);
    }
    assert_eq!(gateway.metric(r#"websocket_disconnections_total{reason="heartbeat_timeout"}"#), 2.0);
    let measured = gateway.metric("websocket_connection_rtt_ms_count");
    assert!((6.0..=7.0).contains(&measured), "{measured} round trips of 7 answered pings");
}
