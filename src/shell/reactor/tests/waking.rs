//! No wake is lost, waiting for the waker looks at nothing else, and a busy shard lets the runtime's other tasks run.
#![allow(unsafe_code)]

use std::{
    cell::Cell, io::Write, net::Shutdown, os::fd::AsRawFd, rc::Rc, sync::atomic::AtomicUsize, time::Instant,
};

use super::*;

on_both_drivers!(
    no_wake_is_lost,
    no_wake_is_lost_between_long_sleeps,
    no_wake_is_lost_waiting_for_the_waker_alone,
    waiting_for_the_waker_alone_ignores_sockets,
    a_busy_shard_lets_other_tasks_run,
    a_dropped_wait_loses_nothing,
    a_timeout_ends_the_wait,
    a_short_wait_is_kept,
    sides_that_have_ended_keep_nobody_awake,
);

fn reactor(driver: Driver, waker: &Waker) -> (Reactor, SocketAddr) {
    let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let config = ReactorConfig { shard: SHARD, ring: RingConfig::default() };
    (Reactor::new(driver, listener, waker, &config).unwrap(), address)
}

fn no_wake_is_lost(driver: Driver) {
    ping_pong(driver, WaitFor::Anything, 100_000, Duration::ZERO);
}

fn no_wake_is_lost_between_long_sleeps(driver: Driver) {
    ping_pong(driver, WaitFor::Anything, 1_000, pace::ALONE_MAX);
}

fn no_wake_is_lost_waiting_for_the_waker_alone(driver: Driver) {
    ping_pong(driver, WaitFor::WakeOnly, 20_000, Duration::ZERO);
}

/// Another thread posts a number and wakes the shard; posts the next one once the shard has seen it, after a pause of
/// at least `pause` that varies so that it meets the shard in every stage of falling asleep.
fn ping_pong(driver: Driver, what: WaitFor, rounds: usize, pause: Duration) {
    let waker = Waker::new().unwrap();
    let (posted, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let poster = scope.spawn(|| {
            for round in 1..=rounds {
                posted.store(round, Ordering::Release);
                waker.wake();
                let since = Instant::now();
                while seen.load(Ordering::Acquire) < round {
                    if since.elapsed() > DEADLINE {
                        return Err(round);
                    }
                    thread::yield_now();
                }
                let since = Instant::now();
                while since.elapsed() < pause {
                    thread::yield_now();
                }
                for _ in 0..round % 64 * 8 {
                    std::hint::spin_loop();
                }
            }
            Ok(())
        });
        driver::with_runtime(driver, async {
            let (mut reactor, _) = reactor(driver, &waker);
            let mut echo = Echo::new(Script::default());
            let mut last = 0;
            while last < rounds {
                let has_work = || posted.load(Ordering::Acquire) > last;
                reactor.wait(what, 2 * DEADLINE, has_work).await.unwrap();
                let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
                last = posted.load(Ordering::Acquire);
                seen.store(last, Ordering::Release);
            }
        })
        .unwrap();
        assert_eq!(poster.join().unwrap(), Ok(()), "the wake of this round was lost");
    });
}

fn waiting_for_the_waker_alone_ignores_sockets(driver: Driver) {
    let waker = Waker::new().unwrap();
    let (address, connected) = std::sync::mpsc::channel();
    let allowed = AtomicUsize::new(0);
    let (done, go_on) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let (allowed, of_client) = (&allowed, &waker);
        scope.spawn(move || {
            let mut client = TcpStream::connect(connected.recv().unwrap()).unwrap();
            for round in 1..=200 {
                client.write_all(b"bytes").unwrap();
                until_delivered(&client);
                allowed.store(round, Ordering::SeqCst);
                of_client.wake();
                go_on.recv().unwrap();
            }
        });
        driver::with_runtime(driver, async {
            let (mut reactor, bound) = reactor(driver, &waker);
            let mut echo = Echo::new(Script { mute: true, ..Script::default() });
            address.send(bound).unwrap();
            while echo.tally.accepted == 0 {
                reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
                let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
            }
            for round in 1..=200 {
                let is_allowed = || allowed.load(Ordering::SeqCst) >= round;
                reactor.wait(WaitFor::WakeOnly, DEADLINE, is_allowed).await.unwrap();
                assert!(is_allowed(), "woken by a socket in round {round}");
                while echo.tally.received < round * 5 {
                    reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
                    let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
                }
                done.send(()).unwrap();
            }
        })
        .unwrap();
    });
}

/// Waits until the peer's kernel has acknowledged everything that was written.
fn until_delivered(stream: &TcpStream) {
    let mut unsent = 1;
    while unsent != 0 {
        // SAFETY: the ioctl writes one int to the given address.
        assert_eq!(unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut unsent) }, 0);
        thread::yield_now();
    }
}

fn a_busy_shard_lets_other_tasks_run(driver: Driver) {
    let waker = Waker::new().unwrap();
    driver::with_runtime(driver, async {
        let (mut reactor, _) = reactor(driver, &waker);
        let ticks = Rc::new(Cell::new(0));
        let of_task = Rc::clone(&ticks);
        let ticker = async move {
            // A timer and a socket's readiness: both need the driver.
            let (mut far, near) = std::os::unix::net::UnixStream::pair().unwrap();
            let near = monoio::net::UnixStream::from_std(near).unwrap();
            let mut timer = monoio::time::interval(Duration::from_millis(1));
            for _ in 0..10 {
                timer.tick().await;
                far.write_all(b"tick").unwrap();
                near.readable(false).await.unwrap();
                of_task.set(of_task.get() + 1);
            }
        };
        let _ticker = monoio::spawn(ticker);
        let since = Instant::now();
        while ticks.get() < 10 {
            reactor.wait(WaitFor::Anything, DEADLINE, || true).await.unwrap();
            assert!(since.elapsed() < DEADLINE, "other tasks starve");
        }
    })
    .unwrap();
}

fn a_dropped_wait_loses_nothing(driver: Driver) {
    let waker = Waker::new().unwrap();
    let (address, connected) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut client = TcpStream::connect(connected.recv().unwrap()).unwrap();
            for seed in 0..500 {
                client.write_all(&pattern(seed, 100)).unwrap();
                assert_eq!(read_exactly(&mut client, 100), pattern(seed, 100));
            }
        });
        driver::with_runtime(driver, async {
            let (mut reactor, bound) = reactor(driver, &waker);
            let mut echo = Echo::new(Script::default());
            address.send(bound).unwrap();
            while echo.tally.ended == 0 {
                let wait = reactor.wait(WaitFor::Anything, DEADLINE, || false);
                let _dropped = monoio::time::timeout(Duration::from_micros(500), wait).await;
                let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
                echo.flush(&mut reactor);
            }
        })
        .unwrap();
    });
}

fn a_timeout_ends_the_wait(driver: Driver) {
    let waker = Waker::new().unwrap();
    driver::with_runtime(driver, async {
        let (mut reactor, _) = reactor(driver, &waker);
        for what in [WaitFor::Anything, WaitFor::WakeOnly] {
            for timeout in [Duration::ZERO, Duration::from_millis(3)] {
                reactor.wait(what, timeout, || false).await.unwrap();
            }
        }
    })
    .unwrap();
}

fn a_short_wait_is_kept(driver: Driver) {
    let waker = Waker::new().unwrap();
    driver::with_runtime(driver, async {
        let (mut reactor, _) = reactor(driver, &waker);
        let mut echo = Echo::new(Script::default());
        for what in [WaitFor::Anything, WaitFor::WakeOnly] {
            for timeout in [30, 300, 3_000, 9_000].map(Duration::from_micros) {
                // A wait may end early, but not for long.
                let mut early = 0;
                loop {
                    let began = Instant::now();
                    reactor.wait(what, timeout, || false).await.unwrap();
                    if began.elapsed() >= timeout {
                        break;
                    }
                    let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
                    early += 1;
                    assert!(early < 10, "{what:?} of {timeout:?} ends early, time after time");
                }
            }
        }
    })
    .unwrap();
}

/// The peers' sides alone, theirs and then ours, ours and then theirs, and with a write under way; of each, one whose
/// peer goes away.
fn sides_that_have_ended_keep_nobody_awake(driver: Driver) {
    const CLIENTS: usize = 8;
    let waker = Waker::new().unwrap();
    driver::with_runtime(driver, async {
        let (mut reactor, address) = reactor(driver, &waker);
        let mut echo = Echo::new(Script { keep_ended: true, ..Script::default() });
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            // Blocked from the start is who gets more than a socket takes.
            let greeting = if number % 4 == 3 { 5 << 20 } else { 0 };
            echo.script.greeting = vec![b'x'; greeting];
            clients.push(TcpStream::connect(address).unwrap());
            while echo.tally.accepted <= number {
                turn(&mut reactor, &mut echo).await;
            }
        }
        let ids = (0..).zip(&echo.conns);
        let ids: Vec<_> = ids
            .map(|(slot, (generation, _))| ConnId { shard: SHARD, slot, generation: *generation })
            .collect();
        for id in ids.iter().filter(|id| id.slot % 4 == 2) {
            reactor.shutdown_write(*id);
        }
        for client in &clients {
            client.shutdown(Shutdown::Write).unwrap();
        }
        while echo.tally.ended < CLIENTS {
            turn(&mut reactor, &mut echo).await;
        }
        for id in ids.iter().filter(|id| id.slot % 4 == 1) {
            reactor.shutdown_write(*id);
        }
        for client in clients.drain(CLIENTS / 2..) {
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let (since, mut turns) = (Instant::now(), 0);
        while since.elapsed() < Duration::from_millis(100) {
            reactor.wait(WaitFor::Anything, Duration::from_millis(100), || false).await.unwrap();
            let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
            turns += 1;
        }
        assert!(turns < 50, "a busy loop: {turns} turns in which nothing was to be done");
        assert_eq!((echo.tally.open, echo.tally.failed), (CLIENTS, vec![]), "nothing more is reported");
    })
    .unwrap();
}

async fn turn(reactor: &mut Reactor, echo: &mut Echo) {
    reactor.wait(WaitFor::Anything, DEADLINE, || false).await.unwrap();
    let _ = reactor.harvest(BUDGET, echo).unwrap();
    echo.flush(reactor);
}
