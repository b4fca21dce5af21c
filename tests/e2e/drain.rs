//! Leaving: not ready first, then no new connections, a word and a close for everybody, and an end in time.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use ringway::shell::driver::Driver;

use crate::support::{Gateway, Http, Received, Socket, Start, until};

on_both_drivers!(
    announced_then_told_then_closed,
    rooms_go_on_until_the_end,
    who_has_connected_is_answered,
    who_ignores_the_close_is_cut_off,
    at_a_pace,
    a_second_signal_ends_at_once,
    with_nobody_there,
    interrupt_drains_too,
);

/// One more than `drain.timeout_s`: the node as a whole looks at its shards after they have ended.
fn ends_within(gateway: &mut Gateway, since: Instant, timeout_s: u64) -> Option<i32> {
    let status = gateway.wait();
    let took = since.elapsed();
    assert!(took < Duration::from_secs(timeout_s + 1), "it took {took:?} of {timeout_s} s");
    status.code()
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn announced_then_told_then_closed(driver: Driver) {
    let mut gateway = Start::on(driver).set("drain.announce_s", 1).set("drain.timeout_s", 6).start();
    // On whichever shards: no shard leaves before the others.
    let mut sockets: Vec<Socket> = (0..6).map(|_| gateway.socket("ada", "acme")).collect();
    let mut probe = Http::connect(gateway.address);
    assert_eq!(probe.get("/ready").status, 200);
    let since = Instant::now();
    gateway.signal(libc::SIGTERM);

    // A load balancer hears it on the connection that it has, or on a new one: they are still taken.
    until("not ready", || {
        let response = Http::connect(gateway.address).get("/ready");
        (response.status == 503).then(|| assert_eq!(response.json()["status"], "draining"))
    });
    let last = probe.get("/ready");
    assert_eq!((last.status, last.header("Connection")), (503, Some("close")));
    assert_eq!(gateway.get("/live").status, 200, "it is leaving, not stuck: nobody should kill it");
    let health = gateway.get("/health");
    assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("draining")));
    // Nor is a client turned away that a load balancer has sent before it looked.
    sockets.push(gateway.socket("late", "acme"));

    for socket in &mut sockets {
        let restart = socket.expect("system:restart");
        assert_eq!(restart["reason"], "drain");
        assert!(restart["reconnectIn"].as_u64() >= Some(1), "{restart}");
    }
    until("new connections refused", || is_refused(gateway.address).then_some(()));
    for socket in &mut sockets {
        assert_eq!(socket.closed().0, 1012);
    }
    assert_eq!(ends_within(&mut gateway, since, 6), Some(0));
    assert!(gateway.output().contains("draining"));
}

/// Between the announcement and its own close a client is served like before, whichever shard is home to its room.
fn rooms_go_on_until_the_end(driver: Driver) {
    // Long enough for a machine that is busy with other things to let us look meanwhile.
    let start = Start::on(driver).shards(4).set("drain.announce_s", 2).set("drain.timeout_s", 8);
    let mut gateway = start.start();
    let mut ada = gateway.socket("ada", "acme");
    let mut bob = gateway.socket("bob", "acme");
    // So many rooms that every shard is home to some.
    let rooms: Vec<String> = (0..16).map(|number| format!("room-{number}")).collect();
    for room in &rooms {
        ada.join(room);
        bob.join(room);
    }
    gateway.signal(libc::SIGTERM);
    until("not ready", || (Http::connect(gateway.address).get("/ready").status == 503).then_some(()));
    for room in &rooms {
        ada.send(&format!(r#"{{"type":"room:send","room":"{room}","payload":"during","id":"{room}"}}"#));
    }
    let (mut acked, mut delivered) = (Vec::new(), Vec::new());
    while acked.len() < rooms.len() {
        let message = ada.json();
        match message["type"].as_str() {
            Some("ack") => acked.push(message["id"].as_str().expect("an id").to_owned()),
            _ => panic!("{message} after the acks of {acked:?}"),
        }
    }
    while delivered.len() < rooms.len() {
        delivered.push(bob.expect("room:message")["room"].as_str().expect("a room").to_owned());
    }
    for found in [&mut acked, &mut delivered] {
        found.sort_by_key(|room| rooms.iter().position(|known| known == room));
        assert_eq!(*found, rooms);
    }
    for socket in [&mut ada, &mut bob] {
        socket.expect("system:restart");
        assert_eq!(socket.closed().0, 1012);
    }
    assert_eq!(gateway.wait().code(), Some(0));
}

/// Also who waits to be accepted when the listener is closed.
fn who_has_connected_is_answered(driver: Driver) {
    let start = Start::on(driver).shards(1).set("drain.announce_s", 0).set("drain.timeout_s", 6);
    let mut gateway = start.start();
    // Far more than a turn accepts come while it stands still, and with them the end.
    gateway.signal(libc::SIGSTOP);
    let mut waiting: Vec<Http> = (0..300).map(|_| Http::connect(gateway.address)).collect();
    for http in &mut waiting {
        http.write("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    gateway.signal(libc::SIGTERM);
    gateway.signal(libc::SIGCONT);
    for http in &mut waiting {
        let status = http.response().status;
        assert!([200, 503].contains(&status), "{status}");
    }
    drop(waiting);
    assert_eq!(gateway.wait().code(), Some(0));
}

fn who_ignores_the_close_is_cut_off(driver: Driver) {
    let mut gateway = Start::on(driver).set("drain.timeout_s", 2).start();
    let mut stubborn = gateway.socket("ada", "acme");
    let mut half_a_head = Http::connect(gateway.address);
    half_a_head.write("GET /hea");
    let since = Instant::now();
    gateway.signal(libc::SIGTERM);
    stubborn.expect("system:restart");
    assert_eq!(stubborn.close_frame().0, 1012);
    // Connections are refused while it waits for the answer that does not come.
    assert!(is_refused(gateway.address));
    assert!(gateway.exit_status().is_none());
    assert!(half_a_head.is_closed());
    assert_eq!(stubborn.receive(), Received::End);
    assert_eq!(ends_within(&mut gateway, since, 2), Some(0));
}

/// A pace below the steps that the drain takes, shared by two shards.
fn at_a_pace(driver: Driver) {
    let mut gateway = Start::on(driver).set("drain.rate", 10).set("drain.timeout_s", 10).start();
    let mut sockets: Vec<Socket> = (0..10).map(|_| gateway.socket("ada", "acme")).collect();
    let since = Instant::now();
    gateway.signal(libc::SIGTERM);
    let mut delays: Vec<u64> = sockets
        .iter_mut()
        .map(|socket| socket.expect("system:restart")["reconnectIn"].as_u64().expect("milliseconds"))
        .collect();
    for socket in &mut sockets {
        assert_eq!(socket.closed().0, 1012);
    }
    assert_eq!(gateway.wait().code(), Some(0));
    let took = since.elapsed();
    assert!(took >= Duration::from_millis(900), "ten connections at ten a second took {took:?}");
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 1, "they are not all told to come back at once: {delays:?}");
}

fn a_second_signal_ends_at_once(driver: Driver) {
    let mut gateway = Start::on(driver).set("drain.timeout_s", 600).start();
    let mut stubborn = gateway.socket("ada", "acme");
    gateway.signal(libc::SIGTERM);
    stubborn.expect("system:restart");
    gateway.signal(libc::SIGINT);
    assert_eq!(gateway.wait().code(), Some(130));
    assert!(gateway.output().contains("second signal"));
}

fn with_nobody_there(driver: Driver) {
    let mut gateway = Start::on(driver).set("drain.announce_s", 20).set("drain.timeout_s", 60).start();
    let since = Instant::now();
    gateway.signal(libc::SIGTERM);
    assert_eq!(ends_within(&mut gateway, since, 10), Some(0), "nobody is there to wait for");
}

fn interrupt_drains_too(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let mut socket = gateway.socket("ada", "acme");
    gateway.signal(libc::SIGINT);
    socket.expect("system:restart");
    assert_eq!(socket.closed().0, 1012);
    assert_eq!(gateway.wait().code(), Some(0));
}
