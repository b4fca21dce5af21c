//! Clients that stay within every limit, and try its patience.

use ringway::{shell::driver::Driver, ws::Opcode};

use crate::support::{
    Http, Received, Socket, Start, frame, text_frame, token::token, until, upgrade_request,
};

on_both_drivers!(
    ten_thousand_pings,
    byte_by_byte,
    connections_that_say_nothing,
    resets,
    answers_that_nobody_reads,
    nobody_reads_the_log,
    the_log_is_stuck,
);

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

/// Requests without end, and not one answer is read: what waits for the client stays bounded, and so does its patience.
fn answers_that_nobody_reads(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let mut scraper = Http::connect(gateway.address);
    let requests = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1_000);
    let mut flood: Vec<_> = (0..4).map(|_| Http::connect(gateway.address)).collect();
    for round in 0..20 {
        for http in &mut flood {
            // More than is taken before the answers are: the rest stays in the kernel, or the connection ends.
            http.write_some(&requests);
        }
        let text = scraper.get("/metrics").text();
        let queued = text.lines().find_map(|line| line.strip_prefix("websocket_outbound_queue_bytes "));
        let queued: f64 = queued.expect("the gauge").parse().expect("a number");
        assert!(queued < 16e6, "{queued} bytes wait in round {round}");
    }
    gateway.serves_the_next("requests without end");
}

/// Whoever reads the log may go: lines are lost then, connections are not.
fn nobody_reads_the_log(driver: Driver) {
    let (mut gateway, reader) = Start::on(driver).arg("--log-level").arg("debug").start_unheard();
    drop(reader);
    let mut socket = gateway.socket("ada", "acme");
    for _ in 0..10 {
        gateway.serves_the_next("the log has gone");
    }
    assert_eq!(socket.ping(), "pong");
    gateway.signal(libc::SIGTERM);
    socket.expect("system:restart");
    assert_eq!(socket.closed().0, 1012);
    assert_eq!(gateway.wait().code(), Some(0));
}

/// Whoever reads the log may be stuck: far more lines than a pipe holds keep nobody from being served, nor the end.
fn the_log_is_stuck(driver: Driver) {
    const PIPE_BYTES: usize = 64 * 1024;
    const LINE_BYTES_MIN: usize = 64;
    let (mut gateway, _reader) = Start::on(driver).arg("--log-level").arg("debug").start_unheard();
    let mut probe = Http::connect(gateway.address);
    for _ in 0..2 * PIPE_BYTES / LINE_BYTES_MIN {
        // A line for each that goes.
        Http::connect(gateway.address).write("x");
    }
    assert_eq!(probe.get("/live").status, 200);
    gateway.serves_the_next("lines that nobody reads");
    gateway.signal(libc::SIGTERM);
    assert_eq!(gateway.wait().code(), Some(0));
}
