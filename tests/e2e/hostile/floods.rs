//! Many at once that take their time, do not read, or send what grows: all are cut off at their deadlines, and memory and
//! tables are as they were.

use std::thread;

use ringway::{
    shell::driver::Driver,
    ws::{
        Opcode,
        deflate::{self, Deflater},
        encode,
    },
};

use crate::support::{Gateway, Http, Socket, Start, frame, text_frame, token, until, upgrade_request};

on_both_drivers!(drips, pings_whose_pongs_nobody_reads, half_closed_at_every_stage, memory_is_back);

/// Waits until nobody is left but who asks, and nothing of the others.
#[track_caller]
fn all_are_gone(gateway: &mut Gateway, after: &str) {
    until("that all are gone", || (gateway.get("/health").json()["connections"] == 1).then_some(()));
    for gauge in ["websocket_active_rooms", "websocket_room_subscriptions", "websocket_outbound_queue_bytes"]
    {
        assert_eq!(gateway.metric(gauge), 0.0, "{gauge} after {after}");
    }
    gateway.serves_the_next(after);
}

/// A byte now and then is not progress: the time for a head, a body and a token is for the whole of it.
fn drips(driver: Driver) {
    let backend =
        token::sign(token::HS256, r#"{"sub":"b","abilities":["ringway:publish"],"exp":4102444800}"#);
    let begun = [
        "GET /live HTTP/1.1\r\nHost: h\r\nX: ".to_owned(),
        format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {backend}\r\nContent-Length: 60000\r\n\r\n"
        ),
        upgrade_request("/ws", ""),
    ];
    let mut gateway = Start::on(driver)
        .set("http.head_timeout_ms", 500)
        .set("http.body_timeout_ms", 500)
        .set("auth.timeout_ms", 500)
        .start();
    // Of a frame that is never whole, the first bytes.
    let frame = frame(Opcode::Text, &[b' '; 60_000]);
    let mut slow: Vec<(usize, Http)> = Vec::new();
    for (which, begin) in begun.iter().enumerate().cycle().take(60) {
        let mut http = Http::connect(gateway.address);
        http.write(begin);
        slow.push((which, http));
    }
    let gone =
        |reason: &str| gateway.metric(&format!("websocket_disconnections_total{{reason=\"{reason}\"}}"));
    let mut dripped = 0;
    until("that those who drip are cut off", || {
        for (which, http) in &mut slow {
            // Without an end of line a head goes on, and a body of spaces does, too.
            let byte = if *which == 2 { frame[dripped] } else { b' ' };
            http.write_some([byte]);
        }
        dripped += 1;
        let is_over = gone("auth_timeout") >= 20.0 && gone("head_timeout") >= 20.0;
        (is_over && gateway.get("/health").json()["connections"] == 1).then_some(())
    });
    drop(slow);
    all_are_gone(&mut gateway, "drips");
}

/// Each ping is worth a pong, and who does not read them is a slow consumer.
fn pings_whose_pongs_nobody_reads(driver: Driver) {
    let mut gateway = Start::on(driver).set("limits.outbox_bytes", 64 << 10).start();
    let mut deaf: Vec<Socket> =
        (0..4).map(|number| gateway.socket(&format!("deaf{number}"), "default")).collect();
    let mut good = gateway.socket("good", "default");
    let pings = &frame(Opcode::Ping, &[b'?'; 125]).repeat(1_000);
    thread::scope(|scope| {
        for socket in &mut deaf {
            // Ends with the connection: writes to it fail then.
            scope.spawn(move || (0..200).for_each(|_| socket.write(pings)));
        }
        for _ in 0..50 {
            assert_eq!(good.ping(), "pong", "beside the flood");
        }
    });
    until("that the deaf are let go", || {
        (gateway.metric("websocket_slow_consumers_total") == 4.0).then_some(())
    });
    assert!(gateway.metric("websocket_outbound_queue_bytes") < 1e6);
    drop((deaf, good));
    all_are_gone(&mut gateway, "pings");
}

/// Clients that have ended their side wherever they were, and go on holding the connection.
fn half_closed_at_every_stage(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let headers = format!("Authorization: Bearer {}\r\n", token::token("mallory", "default"));
    let request = upgrade_request("/ws", &headers);
    let join = text_frame(r#"{"type":"room:join","room":"lobby"}"#);
    let all = [request.as_bytes(), &join, &join[..7]].concat();
    let mut held = Vec::new();
    for cut in (0..=all.len()).step_by(7).chain([request.len(), request.len() + join.len(), all.len()]) {
        let mut http = Http::connect(gateway.address);
        http.write(&all[..cut]);
        http.end();
        held.push(http);
    }
    all_are_gone(&mut gateway, "half-closed connections");
}

fn bomb() -> Vec<u8> {
    let (mut deflated, mut out) = (Vec::new(), Vec::new());
    Deflater::new().compress(15, &vec![b' '; 8 << 20], &mut deflated);
    encode::frame(&mut out, Opcode::Text, &deflated, true, Some([0; 4]));
    out
}

/// As much as each may make the gateway keep, by many at once, again and again: the first round shows what that takes, and
/// no other takes more.
fn memory_is_back(driver: Driver) {
    const CLIENTS: usize = 48;
    let mut gateway = Start::on(driver).start();
    let authorization = format!("Authorization: Bearer {}\r\n", token::token("mallory", "default"));
    let deflating = format!("{authorization}Sec-WebSocket-Extensions: {}\r\n", deflate::offer());
    let (bomb, most) = (bomb(), frame(Opcode::Text, &[b' '; 60_000]));
    let round = |gateway: &mut Gateway| {
        let mut held = Vec::new();
        for number in 0..CLIENTS {
            let headers = if number % 3 == 0 { &deflating } else { &authorization };
            let mut socket = Socket::open(gateway.address, "/ws", headers);
            socket.expect("connection:established");
            socket.join("lobby");
            match number % 3 {
                0 => socket.write(&bomb),
                // A message that is never whole, at its largest.
                1 => socket.write(&most[..most.len() - 1]),
                // Fragments without an end.
                _ => {
                    let mut fragment = most[..].to_vec();
                    fragment[0] = 0x01;
                    socket.write(&fragment);
                }
            }
            held.push(socket);
            // A head that is never whole, at its largest.
            let mut http = Http::connect(gateway.address);
            http.write(format!("GET /live HTTP/1.1\r\nHost: h\r\nX: {}", "y".repeat(15 << 10)));
            drop(http);
        }
        drop(held);
        all_are_gone(gateway, "a round of large things");
        gateway.resident_bytes()
    };
    // Pages that nobody had touched are taken once; a leak of one round's messages is taken in every round.
    let first = (0..2).map(|_| round(&mut gateway)).max().unwrap();
    for _ in 0..4 {
        round(&mut gateway);
    }
    until("that memory is back", || (gateway.resident_bytes() <= first + (4 << 20)).then_some(()));
}
