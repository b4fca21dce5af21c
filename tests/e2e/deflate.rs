//! permessage-deflate, negotiated and used in both directions.

use ringway::{shell::driver::Driver, ws::deflate};

use crate::support::{Socket, Start, token::token};

on_both_drivers!(big_messages_travel_compressed, negotiation, switched_off);

fn deflating(gateway: &crate::support::Gateway, user: &str) -> Socket {
    let headers = format!(
        "Authorization: Bearer {}\r\nSec-WebSocket-Extensions: {}\r\n",
        token(user, "acme"),
        deflate::offer()
    );
    let mut socket = Socket::open(gateway.address, "/ws", &headers);
    assert!(socket.upgrade.header("Sec-WebSocket-Extensions").is_some());
    socket.expect("connection:established");
    socket
}

fn big_messages_travel_compressed(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut sender = deflating(&gateway, "ada");
    let mut deflating = [deflating(&gateway, "bob"), deflating(&gateway, "eve")];
    let mut plain = gateway.socket("joe", "acme");
    for socket in deflating.iter_mut().chain([&mut sender, &mut plain]) {
        socket.join("lobby");
    }
    let words = "the same words again, and Ünïcödé 😀; ";
    let noise: String =
        (0..5_000_u32).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 26) as u8)).collect();
    let noise = noise.replace(['"', '\\'], "_");
    // Below the threshold, above it, hard to compress, and more than one frame of TCP.
    for (text, compressed) in
        [(words.to_owned(), false), (words.repeat(100), true), (noise, true), (words.repeat(1_000), true)]
    {
        let call = format!(r#"{{"type":"room:send","room":"lobby","payload":"{text}"}}"#);
        for send in [Socket::send, Socket::send_compressed] {
            send(&mut sender, &call);
            for socket in &mut deflating {
                let received = socket.text();
                assert!(received.contains(&format!(r#""payload":"{text}""#)), "{received}");
                assert_eq!(socket.was_compressed, compressed, "{} bytes", received.len());
            }
            assert!(plain.text().contains(&format!(r#""payload":"{text}""#)));
            assert!(!plain.was_compressed, "who did not ask for it does not get it");
        }
    }
}

fn negotiation(driver: Driver) {
    let gateway = Start::on(driver).start();
    let rows = [
        (
            "permessage-deflate",
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
            ),
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9",
            ),
        ),
        // The first offer that can be met.
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; unknown", None),
        ("x-webkit-deflate-frame", None),
        (";;;", None),
    ];
    for (offer, expected) in rows {
        let headers = format!("Sec-WebSocket-Extensions: {offer}\r\n");
        let mut socket = Socket::open(gateway.address, "/echo", &headers);
        assert_eq!(socket.upgrade.header("Sec-WebSocket-Extensions"), expected, "{offer}");
        let text = "echo ".repeat(1_000);
        socket.send(&text);
        assert_eq!(socket.text(), text, "{offer}");
        assert_eq!(socket.was_compressed, expected.is_some(), "{offer}");
        if expected.is_some() {
            socket.send_compressed(&text);
            assert_eq!(socket.text(), text, "{offer}");
        }
    }
}

fn switched_off(driver: Driver) {
    let gateway = Start::on(driver).set("ws.deflate", false).start();
    let headers = format!("Sec-WebSocket-Extensions: {}\r\n", deflate::offer());
    let socket = Socket::open(gateway.address, "/echo", &headers);
    assert_eq!(socket.upgrade.header("Sec-WebSocket-Extensions"), None);
}
