//! Clients that stay within every limit, and try its patience.

use ringway::{shell::driver::Driver, ws::Opcode};

use crate::support::{
    Http, Received, Socket, Start, frame, text_frame, token::token, until, upgrade_request,
};

on_both_drivers!(ten_thousand_pings, byte_by_byte, connections_that_say_nothing, resets);

fn ten_thousand_pings(driver: Driver) {
    const PINGS: u32 = 10_000;
    let mut gateway = Start::on(driver).start();
    let mut socket = gateway.socket("mallory", "default");
    let mut read = 0_u32;
    // In batches: a client that never reads its pongs is a slow consumer, and another test's.
    for batch in 0..10 {
        let numbers = (0..PINGS / 10).map(|number| batch * (PINGS / 10) + number);
        let pings: Vec<u8> = numbers.flat_map(|number| frame(Opcode::Ping, &number.to_be_bytes())).collect();
        socket.write(pings);
        for _ in 0..PINGS / 10 {
            assert_eq!(socket.receive(), Received::Pong(read.to_be_bytes().to_vec()));
            read += 1;
        }
    }
    assert_eq!(socket.ping(), "pong");
    // Pongs that nobody asked for are nothing.
    socket.write(frame(Opcode::Pong, b"unasked").repeat(10_000));
    assert_eq!(socket.ping(), "pong");
    gateway.serves_the_next("pings");
}

fn byte_by_byte(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut http = Http::connect(gateway.address);
    let request = upgrade_request("/ws", &format!("Authorization: Bearer {}\r\n", token("ada", "acme")));
    for byte in &request.as_bytes()[..request.len() - 2] {
        http.write([*byte]);
    }
    let mut socket = Socket::finish_upgrade(http, "\r\n");
    socket.expect("connection:established");
    let text = r#"{"type":"room:join","id":1,"room":"räume","metadata":"😀"}"#.as_bytes();
    // Three fragments, cut within characters, a ping between them, and every byte a segment of its own.
    let cuts = [0, 37, 57, text.len()];
    for (number, first) in [0x01, 0x00, 0x80].into_iter().enumerate() {
        let mut bytes = frame(Opcode::Text, &text[cuts[number]..cuts[number + 1]]);
        bytes[0] = first;
        bytes.extend(frame(Opcode::Ping, b"between"));
        for byte in bytes {
            socket.write([byte]);
        }
        if number < 2 {
            assert_eq!(socket.receive(), Received::Pong(b"between".to_vec()));
        }
    }
    let (mut acks, mut pongs) = (0, 0);
    while acks + pongs < 3 {
        match socket.receive() {
            Received::Text(text) => acks += u32::from(text.contains("räume")),
            Received::Pong(_) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((acks, pongs), (2, 1), "the ack, the event and the pong");
}

fn connections_that_say_nothing(driver: Driver) {
    let mut gateway = Start::on(driver).set("http.head_timeout_ms", 500).start();
    let mut silent: Vec<_> = (0..200).map(|_| Http::connect(gateway.address)).collect();
    gateway.serves_the_next("silent connections");
    assert!(silent.iter_mut().all(Http::is_closed));
    let series = r#"websocket_disconnections_total{reason="head_timeout"}"#;
    assert_eq!(gateway.metric(series), 200.0);
}

/// Connections that are torn down at every stage of their life leave nothing behind.
fn resets(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let headers = format!("Authorization: Bearer {}\r\n", token("mallory", "default"));
    let request = upgrade_request("/ws", &headers);
    let join = text_frame(r#"{"type":"room:join","room":"lobby"}"#);
    let all = [request.as_bytes(), &join, &join[..7]].concat();
    for cut in (0..=all.len()).step_by(9).chain([all.len()]) {
        let stream = std::net::TcpStream::connect(gateway.address).expect("the gateway listens");
        // Closing it resets it: there is no orderly end.
        socket2::SockRef::from(&stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("an option of TCP");
        Http::over(stream).write(&all[..cut]);
    }
    gateway.serves_the_next("resets");
    until("that all are gone", || {
        let left = gateway.get("/health").json()["connections"].clone();
        (left == 1).then_some(())
    });
    assert_eq!(gateway.metric("websocket_active_rooms"), 0.0);
    assert_eq!(gateway.metric("websocket_outbound_queue_bytes"), 0.0);
}
