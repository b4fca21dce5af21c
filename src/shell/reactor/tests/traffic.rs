//! What clients send comes back, whole and in order, and every end of a connection is noticed.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use super::*;

on_both_drivers_and_restless!(
    many_clients_get_their_own_bytes_back,
    one_byte_at_a_time,
    five_megabytes_to_a_slow_reader,
    five_megabytes_there_and_back,
    more_data_than_buffers,
    queues_that_are_too_small,
    a_reset_is_a_failure,
    a_half_close_comes_after_the_bytes,
    a_half_closed_client_gets_everything,
    a_half_closed_client_that_vanishes_is_noticed,
    after_our_fin_input_still_comes,
    the_engine_closes,
    slots_are_reused_and_never_mixed_up,
    over_the_limit_is_refused,
    a_harvest_keeps_to_its_budget,
    a_door_closes_behind_those_who_wait,
    the_admin_door_is_another_one,
);

fn many_clients_get_their_own_bytes_back(driver: Driver) {
    let server = Server::start(driver, Script::default());
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for round in 0..20 {
        for (seed, client) in clients.iter_mut().enumerate() {
            client.write_all(&pattern(seed + round, 100 + seed)).unwrap();
        }
        for (seed, client) in clients.iter_mut().enumerate() {
            assert_eq!(read_exactly(client, 100 + seed), pattern(seed + round, 100 + seed));
        }
    }
    drop(clients);
    let tally = server.until(|tally| tally.open == 0);
    assert_eq!((tally.accepted, tally.ended, tally.failed.len()), (100, 100, 0));
    server.stop();
}

fn one_byte_at_a_time(driver: Driver) {
    let server = Server::start(driver, Script::default());
    let mut client = server.connect();
    client.set_nodelay(true).unwrap();
    let bytes = pattern(1, 2000);
    for byte in &bytes {
        client.write_all(&[*byte]).unwrap();
    }
    assert_eq!(read_exactly(&mut client, bytes.len()), bytes);
    server.stop();
}

fn five_megabytes_to_a_slow_reader(driver: Driver) {
    let greeting = pattern(2, 5 << 20);
    let server = Server::start(driver, Script { greeting: greeting.clone(), ..Script::default() });
    let mut client = server.connect();
    server.until(|tally| tally.cut_short > 0);
    let mut got = Vec::new();
    // Small bites first, so that the server is blocked over and over.
    while got.len() < 1 << 20 {
        got.extend(read_exactly(&mut client, 5_000));
    }
    got.extend(read_exactly(&mut client, greeting.len() - got.len()));
    assert!(got == greeting, "bytes differ");
    client.write_all(b"still alive").unwrap();
    assert_eq!(read_exactly(&mut client, 11), b"still alive");
    let tally = server.stop();
    assert!(tally.resumed > 0 && tally.resumed <= tally.cut_short, "{tally:?}");
}

fn five_megabytes_there_and_back(driver: Driver) {
    let server = Server::start(driver, Script::default());
    echo_at_once(&server, 1, 5 << 20);
    server.stop();
}

fn more_data_than_buffers(driver: Driver) {
    let ring = RingConfig { buffer_bytes: 256, buffers_first: 1, buffers_max: 2, ..RingConfig::default() };
    let server = Server::start(driver, Script { ring, ..Script::default() });
    echo_at_once(&server, 16, 256 << 10);
    server.stop();
}

fn queues_that_are_too_small(driver: Driver) {
    let ring = RingConfig { submissions: 1, completions: 2, ..RingConfig::default() };
    let server = Server::start(driver, Script { ring, ..Script::default() });
    echo_at_once(&server, 64, 16 << 10);
    server.until(|tally| tally.open == 0);
    server.stop();
}

/// Each of `clients` sends `len` bytes from a thread and reads them back.
fn echo_at_once(server: &Server, clients: usize, len: usize) {
    thread::scope(|scope| {
        for seed in 0..clients {
            let mut reader = server.connect();
            let mut writer = reader.try_clone().unwrap();
            let bytes = Arc::new(pattern(seed, len));
            let expected = Arc::clone(&bytes);
            scope.spawn(move || writer.write_all(&bytes).unwrap());
            scope.spawn(move || assert!(read_exactly(&mut reader, len) == *expected, "bytes differ"));
        }
    });
}

fn a_reset_is_a_failure(driver: Driver) {
    let server = Server::start(driver, Script::default());
    let client = server.connect();
    server.until(|tally| tally.open == 1);
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let tally = server.until(|tally| tally.open == 0);
    assert_eq!((tally.ended, tally.failed), (0, vec![io::ErrorKind::ConnectionReset]));
    server.stop();
}

fn a_half_close_comes_after_the_bytes(driver: Driver) {
    let server = Server::start(driver, Script { mute: true, ..Script::default() });
    let mut client = server.connect();
    client.write_all(&pattern(3, 300_000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_ended(&mut client);
    let tally = server.until(|tally| tally.open == 0);
    assert_eq!((tally.received, tally.ended), (300_000, 1));
    server.stop();
}

fn a_half_closed_client_gets_everything(driver: Driver) {
    let server = Server::start(driver, Script::default());
    let mut client = server.connect();
    let bytes = pattern(5, 5 << 20);
    client.write_all(&bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.until(|tally| tally.ended == 1 && tally.cut_short > 0);
    assert!(read_exactly(&mut client, bytes.len()) == bytes, "bytes differ");
    assert_ended(&mut client);
    let tally = server.until(|tally| tally.open == 0);
    assert!(tally.resumed > 0 && tally.failed.is_empty(), "{tally:?}");
    server.stop();
}

/// By the write that its going away makes possible.
fn a_half_closed_client_that_vanishes_is_noticed(driver: Driver) {
    let server = Server::start(driver, Script { greeting: pattern(6, 5 << 20), ..Script::default() });
    for round in 1..=20 {
        let client = server.connect();
        client.shutdown(Shutdown::Write).unwrap();
        server.until(|tally| tally.ended == round && tally.cut_short >= round);
        assert_eq!(server.until(|tally| tally.accepted == round).open, 1);
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        server.until(|tally| tally.open == 0);
    }
    assert_eq!(server.stop().failed, []);
}

fn after_our_fin_input_still_comes(driver: Driver) {
    let server = Server::start(driver, Script::default());
    let mut client = server.connect();
    client.write_all(&[b"good bye".as_slice(), &[FINISH]].concat()).unwrap();
    assert_eq!(read_exactly(&mut client, 8), b"good bye");
    assert_ended(&mut client);
    server.until(|tally| tally.received == 9);
    for _ in 0..50 {
        client.write_all(&pattern(4, 1000)).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    let tally = server.until(|tally| tally.open == 0);
    assert_eq!((tally.received, tally.ended), (9 + 50_000, 1));
    server.stop();
}

fn the_engine_closes(driver: Driver) {
    let server = Server::start(driver, Script::default());
    let mut client = server.connect();
    client.write_all(&[b"enough".as_slice(), &[CLOSE]].concat()).unwrap();
    assert_eq!(read_exactly(&mut client, 6), b"enough");
    assert_ended(&mut client);
    let tally = server.until(|tally| tally.open == 0);
    assert_eq!((tally.ended, tally.failed.len()), (0, 0), "closing is not reported back to who closed");
    server.stop();
}

fn slots_are_reused_and_never_mixed_up(driver: Driver) {
    let server = Server::start(driver, Script::default());
    for round in 0..300 {
        let mut client = server.connect();
        let mut bytes = pattern(round, 2000);
        client.write_all(&bytes).unwrap();
        assert_eq!(read_exactly(&mut client, bytes.len()), bytes);
        match round % 4 {
            0 => {}
            3 => client.shutdown(Shutdown::Write).unwrap(),
            1 => {
                // Closed by the engine with bytes on the way, and half of the time with its write blocked.
                bytes.insert(0, CLOSE);
                let _ = client.write_all(&bytes);
                while client.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
            }
            _ => SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap(),
        }
    }
    let tally = server.until(|tally| tally.open == 0);
    assert_eq!(tally.accepted, 300);
    server.stop();
}

fn over_the_limit_is_refused(driver: Driver) {
    let server = Server::start(driver, Script { open_max: 1, ..Script::default() });
    let mut first = server.connect();
    first.write_all(b"a").unwrap();
    assert_eq!(read_exactly(&mut first, 1), b"a");
    // By reset, so that nothing of him stays in the kernel.
    let refused = server.connect().read_to_end(&mut Vec::new()).map_err(|it| it.kind());
    assert_eq!(refused, Err(io::ErrorKind::ConnectionReset));
    first.write_all(b"b").unwrap();
    assert_eq!(read_exactly(&mut first, 1), b"b");
    server.stop();
}

fn a_harvest_keeps_to_its_budget(driver: Driver) {
    const WORD: usize = 100;
    let few = Budget { accepts: 2, receives: 3, bytes: 1 << 20 };
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let waker = Waker::new().unwrap();
    let config = ReactorConfig { shard: SHARD, ring: RingConfig::default() };
    driver::with_runtime(driver, async {
        let mut reactor = Reactor::new(driver, listener, &waker, &config).unwrap();
        let mut echo = Echo::new(Script { mute: true, ..Script::default() });
        let mut clients = Vec::new();
        for round in 1..=2 {
            clients.extend((0..6).map(|_| TcpStream::connect(address).unwrap()));
            clients.iter_mut().for_each(|client| client.write_all(&pattern(round, WORD)).unwrap());
            let words: usize = (1..=round).map(|round| 6 * round).sum();
            while (echo.tally.accepted, echo.tally.received) != (6 * round, words * WORD) {
                let (accepted, received) = (echo.tally.accepted, echo.tally.received);
                reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
                let _ = reactor.harvest(few, &mut echo).unwrap();
                assert!(echo.tally.accepted <= accepted + 2);
                assert!(echo.tally.received <= received + 3 * WORD);
            }
        }
    })
    .unwrap();
}

fn the_admin_door_is_another_one(driver: Driver) {
    let [public, admin] =
        [(); 2].map(|()| listener::bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0));
    let addresses = [&public, &admin].map(|listener| listener.local_addr().unwrap());
    let waker = Waker::new().unwrap();
    let config = ReactorConfig { shard: SHARD, ring: RingConfig::default() };
    driver::with_runtime(driver, async {
        let mut reactor = Reactor::new(driver, public, &waker, &config).unwrap();
        reactor.open_admin_door(admin).unwrap();
        let mut echo = Echo::new(Script::default());
        // Each for its own listener, in whichever order, and with a pause between.
        for (door, address) in
            [(Door::Admin, addresses[1]), (Door::Public, addresses[0]), (Door::Admin, addresses[1])]
        {
            let (accepted, _client) = (echo.tally.accepted, TcpStream::connect(address).unwrap());
            while echo.tally.accepted == accepted {
                reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
                let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
            }
            assert_eq!(echo.doors.pop(), Some(door));
        }
        reactor.close_door(Door::Admin, &mut echo).unwrap();
        assert_eq!(TcpStream::connect(addresses[1]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let _client = TcpStream::connect(addresses[0]).unwrap();
        reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
        let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
        assert_eq!(echo.doors, [Door::Public], "the other one goes on");
    })
    .unwrap();
}

fn a_door_closes_behind_those_who_wait(driver: Driver) {
    const WAITING: usize = 200;
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 4096).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let waker = Waker::new().unwrap();
    let config = ReactorConfig { shard: SHARD, ring: RingConfig::default() };
    driver::with_runtime(driver, async {
        let mut reactor = Reactor::new(driver, listener, &waker, &config).unwrap();
        let mut echo = Echo::new(Script::default());
        let _first = TcpStream::connect(address).unwrap();
        reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
        let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
        assert_eq!(echo.tally.accepted, 1);
        // More than a turn accepts, and nobody has reported them.
        let mut waiting: Vec<_> = (0..WAITING).map(|_| TcpStream::connect(address).unwrap()).collect();
        waiting.iter_mut().for_each(|client| client.write_all(b"x").unwrap());
        for _ in 0..2 {
            reactor.close_door(Door::Public, &mut echo).unwrap();
            assert_eq!(echo.tally.accepted, 1 + WAITING);
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
        while echo.tally.received < WAITING {
            reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
            let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
            echo.flush(&mut reactor);
        }
        for client in &mut waiting {
            assert_eq!(read_exactly(client, 1), b"x", "nobody was reset");
        }
    })
    .unwrap();
}
