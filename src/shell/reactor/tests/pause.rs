//! Connections that are paused: nothing but what was under way is received, nothing is lost, and no end is missed. The test
//! thread drives the reactor itself, so that it knows when.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::Shutdown,
};

use super::{super::slots::Lookout, *};
use crate::base::prng::Prng;

on_both_drivers_and_restless!(
    what_is_sent_to_a_pause_stays_in_the_socket,
    streams_that_are_paused_at_random_arrive_whole,
    a_paused_connection_is_written_to,
    a_paused_connection_can_be_closed_and_its_slot_used_again,
    who_ends_his_side_while_paused_is_heard_afterwards,
    who_breaks_off_while_paused_is_heard_afterwards,
    only_what_is_paused_is_resumed,
);

/// Turns after which a reactor that has nothing to do must have noticed it.
const TURNS_MAX: usize = 10_000;

/// Keeps what it is told.
#[derive(Default)]
struct Tap {
    /// Connections so far; each gets a slot of its own unless `reuses`.
    accepted: u32,
    reuses: bool,
    bytes: BTreeMap<ConnId, Vec<u8>>,
    /// Those that are paused whenever something comes from them.
    shut: BTreeSet<ConnId>,
    writable: Vec<ConnId>,
    /// An error, or the end of the peer's side.
    ends: Vec<(ConnId, Option<io::ErrorKind>)>,
}

impl Sink for Tap {
    fn accepted(&mut self, _door: Door, _peer: SocketAddr) -> Option<ConnId> {
        let number = self.accepted;
        self.accepted += 1;
        let (slot, generation) = if self.reuses { (0, number) } else { (number, 7) };
        let id = ConnId { shard: SHARD, slot, generation };
        self.bytes.insert(id, Vec::new());
        Some(id)
    }

    fn received(&mut self, id: ConnId, bytes: &mut [u8]) -> Reading {
        assert!(!self.ends.iter().any(|(ended, _)| *ended == id), "bytes after the end");
        self.bytes.get_mut(&id).expect("an open connection").extend_from_slice(bytes);
        if self.shut.contains(&id) { Reading::Paused } else { Reading::On }
    }

    fn writable(&mut self, id: ConnId) {
        self.writable.push(id);
    }

    fn ended(&mut self, id: ConnId) {
        self.ends.push((id, None));
    }

    fn closed(&mut self, id: ConnId, error: io::ErrorKind) {
        self.ends.push((id, Some(error)));
    }

    fn accept_failed(&mut self, error: &io::Error) {
        panic!("{error}");
    }
}

/// A reactor and what it has said.
struct Bench {
    reactor: Reactor,
    tap: Tap,
    address: SocketAddr,
}

impl Bench {
    fn run(driver: Driver, test: impl AsyncFnOnce(Self)) {
        let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let mut ring = RingConfig::default();
        if RESTLESS.get() {
            (ring.round, ring.busy_above) = (Duration::ZERO, 0);
        }
        driver::with_runtime(driver, async {
            let config = ReactorConfig { shard: SHARD, ring };
            let reactor = Reactor::new(driver, listener, &Waker::new().unwrap(), &config).unwrap();
            test(Self { reactor, tap: Tap::default(), address }).await;
        })
        .unwrap();
    }

    async fn turn(&mut self) {
        self.reactor.wait(WaitFor::Anything, Duration::from_millis(1), || false).await.unwrap();
        let _ = self.reactor.harvest(BUDGET, &mut self.tap).unwrap();
    }

    async fn until(&mut self, is_so: impl Fn(&Tap) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(&self.tap) {
            assert!(Instant::now() < deadline, "never came true");
            self.turn().await;
        }
    }

    /// Turns until a wait ends by its timeout alone: whatever is in the sockets, nothing is reported any more.
    async fn quiet(&mut self) {
        for _ in 0..TURNS_MAX {
            self.reactor.wait(WaitFor::Anything, Duration::from_millis(1), || false).await.unwrap();
            if !self.reactor.has_reports() {
                return;
            }
            let _ = self.reactor.harvest(BUDGET, &mut self.tap).unwrap();
        }
        panic!("never quiet");
    }

    async fn connect(&mut self) -> (TcpStream, ConnId) {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let count = self.tap.bytes.len();
        self.until(|tap| tap.bytes.len() > count).await;
        let number = self.tap.accepted - 1;
        let (slot, generation) = if self.tap.reuses { (0, number) } else { (number, 7) };
        (client, ConnId { shard: SHARD, slot, generation })
    }

    /// A connection that has been paused by its first words, which are `len` bytes.
    async fn paused(&mut self, len: usize) -> (TcpStream, ConnId) {
        let (mut client, id) = self.connect().await;
        // Some words before make a multishot receive of the poll, on io_uring.
        for word in 1..=6 {
            client.write_all(b"x").unwrap();
            self.until(|tap| tap.bytes[&id].len() == word).await;
        }
        self.tap.bytes.insert(id, Vec::new());
        self.tap.shut.insert(id);
        client.write_all(&pattern(0, len)).unwrap();
        self.until(|tap| !tap.bytes[&id].is_empty()).await;
        self.quiet().await;
        assert!(self.slot(id).paused);
        let is_idle = match self.reactor.backend {
            Backend::Uring(_) => Lookout::Idle,
            Backend::Epoll(_) => Lookout::Poll,
        };
        assert_eq!(self.slot(id).lookout, is_idle);
        (client, id)
    }

    fn slot(&mut self, id: ConnId) -> &mut Slot {
        self.reactor.slots.get(id).expect("an open connection")
    }

    fn resume(&mut self, id: ConnId) {
        self.tap.shut.remove(&id);
        self.reactor.resume(id);
    }
}

/// Writes as much as the kernel takes.
fn fill(client: &mut TcpStream, bytes: &[u8]) -> usize {
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    while written < bytes.len() {
        match client.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    client.set_nonblocking(false).unwrap();
    written
}

fn what_is_sent_to_a_pause_stays_in_the_socket(driver: Driver) {
    Bench::run(driver, async |mut bench| {
        let (mut client, id) = bench.paused(1_000).await;
        let all = pattern(0, 64 << 20);
        // The kernel has an end, and so has what is received.
        let mut sent = 1_000;
        for _ in 0..5 {
            sent += fill(&mut client, &all[sent..]);
            bench.quiet().await;
            assert_eq!(bench.tap.bytes[&id].len(), 1_000);
        }
        assert!(sent < all.len(), "nobody made the client wait");
        bench.resume(id);
        bench.until(|tap| tap.bytes[&id].len() == sent).await;
        assert!(bench.tap.bytes[&id] == all[..sent], "bytes differ");
        client.write_all(b"more").unwrap();
        bench.until(|tap| tap.bytes[&id].ends_with(b"more")).await;
    });
}

fn streams_that_are_paused_at_random_arrive_whole(driver: Driver) {
    const CLIENTS: usize = 3;
    const LEN: usize = 1 << 20;
    for seed in 0..4 {
        println!("seed {seed}");
        Bench::run(driver, async |mut bench| {
            let mut chance = Prng::new(seed);
            let mut writers = Vec::new();
            let mut ids = Vec::new();
            for number in 0..CLIENTS {
                let (mut client, id) = bench.connect().await;
                ids.push(id);
                writers.push(thread::spawn(move || {
                    let mut chance = Prng::new(seed << 8 | number as u64);
                    let bytes = pattern(number, LEN);
                    let mut rest = bytes.as_slice();
                    while !rest.is_empty() {
                        let length = (chance.below(50_000) as usize + 1).min(rest.len());
                        client.write_all(&rest[..length]).unwrap();
                        rest = &rest[length..];
                    }
                    client.shutdown(Shutdown::Write).unwrap();
                    client
                }));
            }
            while bench.tap.ends.len() < CLIENTS {
                for id in &ids {
                    if chance.below(2) == 0 {
                        bench.resume(*id);
                    }
                    if chance.below(3) == 0 {
                        bench.tap.shut.insert(*id);
                    }
                }
                bench.turn().await;
            }
            for (number, id) in ids.iter().enumerate() {
                assert!(bench.tap.bytes[id] == pattern(number, LEN), "bytes of {number} differ");
                assert!(bench.tap.ends.contains(&(*id, None)), "{:?}", bench.tap.ends);
            }
            writers.into_iter().for_each(|writer| drop(writer.join().unwrap()));
        });
    }
}

fn a_paused_connection_is_written_to(driver: Driver) {
    Bench::run(driver, async |mut bench| {
        let (mut client, id) = bench.paused(100).await;
        client.write_all(b"unread").unwrap();
        let all = pattern(1, 16 << 20);
        let mut got = 0;
        let mut written = 0;
        while written < all.len() {
            let WriteOutcome::Written(count) = bench.reactor.write(id, &[IoSlice::new(&all[written..])])
            else {
                panic!("broken")
            };
            written += count;
            bench.tap.writable.clear();
            if written < all.len() {
                assert!(read_exactly(&mut client, written - got) == all[got..written], "bytes differ");
                got = written;
                bench.until(|tap| tap.writable == [id]).await;
            }
        }
        assert!(got > 0 && read_exactly(&mut client, written - got) == all[got..], "bytes differ");
        bench.quiet().await;
        assert_eq!(bench.tap.bytes[&id].len(), 100, "still paused");
        bench.resume(id);
        bench.until(|tap| tap.bytes[&id].ends_with(b"unread")).await;
    });
}

fn a_paused_connection_can_be_closed_and_its_slot_used_again(driver: Driver) {
    Bench::run(driver, async |mut bench| {
        bench.tap.reuses = true;
        for round in 0..50 {
            let (mut client, id) = bench.connect().await;
            bench.tap.shut.insert(id);
            let len = 20_000 + round * 1_000;
            client.write_all(&pattern(round, len)).unwrap();
            bench.until(|tap| !tap.bytes[&id].is_empty()).await;
            if round % 3 == 0 {
                bench.quiet().await;
            } else if round % 3 == 1 {
                // Resumed while its receive is still being cancelled.
                bench.reactor.resume(id);
            }
            let got = bench.tap.bytes[&id].clone();
            assert!(got == pattern(round, len)[..got.len()], "bytes of another");
            bench.reactor.close(id);
            assert_eq!(
                bench.reactor.write(id, &[IoSlice::new(b"x")]),
                WriteOutcome::Broken(io::ErrorKind::NotConnected)
            );
            bench.reactor.resume(id);
            // Behind unread bytes a close is a reset, or it was an end.
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest);
            assert!(rest.is_empty());
        }
        bench.quiet().await;
        assert_eq!(bench.tap.ends, []);
    });
}

fn who_ends_his_side_while_paused_is_heard_afterwards(driver: Driver) {
    Bench::run(driver, async |mut bench| {
        let (mut client, id) = bench.paused(3_000).await;
        client.write_all(&pattern(0, 50_000)[3_000..]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        bench.quiet().await;
        assert_eq!((bench.tap.bytes[&id].len(), bench.tap.ends.len()), (3_000, 0));
        bench.resume(id);
        bench.until(|tap| !tap.ends.is_empty()).await;
        assert_eq!(bench.tap.ends, [(id, None)]);
        assert!(bench.tap.bytes[&id] == pattern(0, 50_000), "bytes differ");
        bench.reactor.resume(id);
        bench.quiet().await;
        assert_eq!(bench.tap.ends.len(), 1, "once");
    });
}

fn who_breaks_off_while_paused_is_heard_afterwards(driver: Driver) {
    Bench::run(driver, async |mut bench| {
        for number in 1..=10 {
            let (client, id) = bench.paused(3_000).await;
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            bench.quiet().await;
            assert_eq!(bench.tap.ends.len(), number - 1);
            if number % 2 == 0 {
                let outcome = bench.reactor.write(id, &[IoSlice::new(b"x")]);
                assert!(matches!(outcome, WriteOutcome::Broken(_)), "{outcome:?}");
            }
            bench.resume(id);
            bench.until(|tap| tap.ends.len() == number).await;
            assert_eq!(bench.tap.ends[number - 1].0, id);
            assert!(bench.reactor.slots.get(id).is_none() || number % 2 == 0);
            bench.reactor.close(id);
        }
    });
}

fn only_what_is_paused_is_resumed(driver: Driver) {
    Bench::run(driver, async |mut bench| {
        let (mut client, id) = bench.connect().await;
        for round in 1..=20 {
            bench.reactor.resume(id);
            bench.reactor.resume(ConnId { generation: 8, ..id });
            client.write_all(b"word").unwrap();
            bench.until(|tap| tap.bytes[&id].len() == 4 * round).await;
        }
        bench.quiet().await;
        assert_eq!((bench.tap.bytes[&id].len(), bench.tap.ends.len()), (80, 0));
    });
}
