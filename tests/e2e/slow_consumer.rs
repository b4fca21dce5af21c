//! A client that does not read is let go, and nobody else pays for it.

use std::net::SocketAddr;

use ringway::shell::driver::Driver;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::support::{Gateway, Http, Received, Socket, Start, token::token, until};

on_both_drivers!(who_does_not_read_is_let_go, who_never_comes_back_is_cut_off);

const PAYLOAD_BYTES: usize = 32 << 10;

/// Messages that a publisher sends at most: far more than the kernel's buffers take.
const MESSAGES_MAX: usize = 2_000;

/// Small buffers make slow consumers of clients sooner.
fn with_small_buffers(address: SocketAddr, user: &str) -> Socket {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    socket.connect(&address.into()).unwrap();
    let headers = format!("Authorization: Bearer {}\r\n", token(user, "acme"));
    let mut socket = Socket::over(Http::over(socket.into()), "/ws", &headers, &[]).expect("an upgrade");
    socket.expect("connection:established");
    socket
}

struct Room {
    gateway: Gateway,
    slow: Socket,
    /// Keeps the fast one in the room.
    _fast: Socket,
}

/// Floods a room until its slow member is let go, while a fast one reads. Checks that the fast one lost nothing.
fn flooded(driver: Driver) -> Room {
    let gateway = Start::on(driver).set("limits.outbox_bytes", 128 << 10).start();
    let mut slow = with_small_buffers(gateway.address, "slow");
    slow.join("lobby");
    let mut fast = gateway.socket("fast", "acme");
    fast.join("lobby");
    let mut publisher = gateway.socket("publisher", "acme");
    publisher.join("lobby");

    let filling = "x".repeat(PAYLOAD_BYTES);
    let mut sent = 0;
    while gateway.metric("websocket_slow_consumers_total") == 0.0 {
        for _ in 0..8 {
            let call = format!(r#""type":"room:send","room":"lobby","payload":["{sent}","{filling}"]"#);
            assert_eq!(publisher.call(&call)["success"], true);
            let text = fast.text();
            assert!(text.contains(&format!(r#""payload":["{sent}","#)), "message {sent} is missing");
            sent += 1;
        }
        assert!(sent < MESSAGES_MAX, "the slow one is still there");
    }
    assert_eq!(gateway.metric("websocket_slow_consumers_total"), 1.0, "and only that one was let go");
    assert!(gateway.metric(r#"websocket_dropped_total{reason="outbox_full"}"#) >= 1.0);
    assert!(gateway.output().contains("slow consumer disconnected"), "it is said");
    assert_eq!(gateway.metric("websocket_room_subscriptions"), 2.0, "it has left its room");
    Room { gateway, slow, _fast: fast }
}

fn who_does_not_read_is_let_go(driver: Driver) {
    let Room { mut gateway, mut slow, _fast } = flooded(driver);
    // What was on its way still comes, whole and in order, and then the reason.
    let mut next = 0;
    let code = loop {
        match slow.receive() {
            Received::Text(text) => {
                assert!(text.contains(&format!(r#""payload":["{next}","#)), "message {next} is missing");
                next += 1;
            }
            Received::Close(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4430);
    assert!(next > 0);
    slow.write(crate::support::frame(ringway::ws::Opcode::Close, &4430_u16.to_be_bytes()));
    assert_eq!(slow.receive(), Received::End);
    nothing_is_left(&mut gateway);
}

fn who_never_comes_back_is_cut_off(driver: Driver) {
    let Room { mut gateway, slow, _fast } = flooded(driver);
    // Not a byte is read: after the linger time the gateway does not wait for its close frame to leave.
    nothing_is_left(&mut gateway);
    drop(slow);
}

fn nothing_is_left(gateway: &mut Gateway) {
    let series = r#"websocket_disconnections_total{reason="slow_consumer"}"#;
    until("the end of the slow connection", || (gateway.metric(series) == 1.0).then_some(()));
    assert_eq!(gateway.metric("websocket_outbound_queue_bytes"), 0.0);
    gateway.serves_the_next("a slow consumer");
}
