//! Polls and receives on io_uring: which of them a connection has, and that nothing is lost between them.

use std::io::Write;

use super::{super::slots::Lookout, *};

fn on_uring(round: Duration, busy_above: u8, test: impl AsyncFnOnce(Reactor, Echo, SocketAddr)) {
    let driver = match driver::choose(DriverChoice::Uring) {
        Ok((driver, _)) => driver,
        Err(refused) => return println!("not run: {refused}"),
    };
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let ring = RingConfig { round, busy_above, ..RingConfig::default() };
    driver::with_runtime(driver, async {
        let config = ReactorConfig { shard: SHARD, ring };
        let reactor = Reactor::new(driver, listener, &Waker::new().unwrap(), &config).unwrap();
        test(reactor, Echo::new(Script::default()), address).await;
    })
    .unwrap();
}

async fn turn(reactor: &mut Reactor, echo: &mut Echo) {
    reactor.wait(WaitFor::Anything, Duration::from_millis(1), || false).await.unwrap();
    let _ = reactor.harvest(BUDGET, echo).unwrap();
    echo.flush(reactor);
}

/// The id of the connection that was accepted as `number`th, if none has gone.
fn id(echo: &Echo, number: u32) -> ConnId {
    ConnId { shard: SHARD, slot: number, generation: echo.conns[number as usize].0 }
}

/// Echoes `len` bytes; says what is in flight for the connection when it has them.
async fn echoed(reactor: &mut Reactor, echo: &mut Echo, client: &mut TcpStream, len: usize) -> Lookout {
    client.write_all(&pattern(len, len)).unwrap();
    let expected = echo.tally.received + len;
    while echo.tally.received < expected {
        turn(reactor, echo).await;
    }
    assert_eq!(read_exactly(client, len), pattern(len, len));
    reactor.slots.get(id(echo, 0)).unwrap().lookout
}

async fn connected(reactor: &mut Reactor, echo: &mut Echo, address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    let expected = echo.tally.accepted + 1;
    while echo.tally.accepted < expected {
        turn(reactor, echo).await;
    }
    client
}

#[test]
fn who_speaks_often_is_received_from() {
    on_uring(DEADLINE, 2, async |mut reactor, mut echo, address| {
        let mut client = connected(&mut reactor, &mut echo, address).await;
        let expected = [Lookout::Poll, Lookout::Poll, Lookout::Receive, Lookout::Receive];
        for (lookout, len) in expected.into_iter().zip(1..) {
            assert_eq!(echoed(&mut reactor, &mut echo, &mut client, len).await, lookout, "word {len}");
        }
    });
}

#[test]
fn who_sends_in_bulk_is_polled() {
    on_uring(DEADLINE, 2, async |mut reactor, mut echo, address| {
        let mut client = connected(&mut reactor, &mut echo, address).await;
        for len in [1, 20_000, 1, 200_000, 1] {
            echoed(&mut reactor, &mut echo, &mut client, len).await;
        }
        for len in [1, 2, 3] {
            echoed(&mut reactor, &mut echo, &mut client, len).await;
        }
        assert_eq!(reactor.slots.get(id(&echo, 0)).unwrap().lookout, Lookout::Receive, "who speaks often");
        echoed(&mut reactor, &mut echo, &mut client, 200_000).await;
        while reactor.slots.get(id(&echo, 0)).unwrap().lookout != Lookout::Poll {
            turn(&mut reactor, &mut echo).await;
        }
        echoed(&mut reactor, &mut echo, &mut client, 1).await;
    });
}

#[test]
fn who_falls_silent_is_polled() {
    on_uring(Duration::ZERO, 0, async |mut reactor, mut echo, address| {
        let mut client = connected(&mut reactor, &mut echo, address).await;
        for len in [1, 5_000, 20_000].repeat(20) {
            echoed(&mut reactor, &mut echo, &mut client, len).await;
            while reactor.slots.get(id(&echo, 0)).unwrap().lookout != Lookout::Poll {
                turn(&mut reactor, &mut echo).await;
            }
        }
    });
}

#[test]
fn a_connection_that_is_polled_can_end_in_any_way() {
    on_uring(DEADLINE, u8::MAX, async |mut reactor, mut echo, address| {
        let ends = connected(&mut reactor, &mut echo, address).await;
        let is_reset = connected(&mut reactor, &mut echo, address).await;
        let mut is_closed = connected(&mut reactor, &mut echo, address).await;
        let third = id(&echo, 2);
        drop(ends);
        SockRef::from(&is_reset).set_linger(Some(Duration::ZERO)).unwrap();
        drop(is_reset);
        while echo.tally.ended + echo.tally.failed.len() < 2 {
            turn(&mut reactor, &mut echo).await;
        }
        assert_eq!((echo.tally.ended, &*echo.tally.failed), (1, &[io::ErrorKind::ConnectionReset][..]));
        reactor.close(third);
        echo.free(third);
        assert_ended(&mut is_closed);
        turn(&mut reactor, &mut echo).await;
    });
}
