//! Tests of the reactor over real loopback sockets. Every test runs on both drivers (`on_both_drivers!`), against
//! an echo engine on a thread of its own; the test thread is the client. Nothing sleeps: waits are for a condition,
//! with a deadline that only a failure reaches.

mod limits;
mod lookout;
mod pause;
mod traffic;
mod waking;

use std::{
    cell::Cell,
    collections::VecDeque,
    io::{IoSlice, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::*;
use crate::shell::{
    driver::{self, DriverChoice},
    listener,
};

/// What only a failure reaches.
const DEADLINE: Duration = Duration::from_secs(60);
const SHARD: ShardId = ShardId(3);
const BUDGET: Budget = Budget { accepts: 64, receives: 256, bytes: 1 << 20 };

/// Makes a test per driver of each function `fn(Driver)`. Where io_uring is refused, that half says so and passes.
macro_rules! on_both_drivers {
    ($($name:ident),* $(,)?) => {
        mod uring {
            $(#[test] fn $name() {
                match crate::shell::driver::choose(crate::shell::driver::DriverChoice::Uring) {
                    Ok((driver, _)) => super::$name(driver),
                    Err(refused) => println!("not run: {refused}"),
                }
            })*
        }
        mod epoll {
            $(#[test] fn $name() { super::$name(crate::shell::driver::Driver::Epoll); })*
        }
    };
}
use on_both_drivers;

/// The same, and once more on io_uring where every poll that reports makes a receive, and every wait may end it.
macro_rules! on_both_drivers_and_restless {
    ($($name:ident),* $(,)?) => {
        on_both_drivers!($($name),*);
        mod uring_restless {
            $(#[test] fn $name() {
                super::RESTLESS.set(true);
                match crate::shell::driver::choose(crate::shell::driver::DriverChoice::Uring) {
                    Ok((driver, _)) => super::$name(driver),
                    Err(refused) => println!("not run: {refused}"),
                }
            })*
        }
    };
}
use on_both_drivers_and_restless;

thread_local! {
    /// Whether servers that this test starts go to and fro between polls and receives.
    static RESTLESS: Cell<bool> = const { Cell::new(false) };
}

/// What the echo engine does beside echoing.
#[derive(Clone, Default)]
struct Script {
    ring: RingConfig,
    /// Sent to whoever connects.
    greeting: Vec<u8>,
    /// Connections at a time; more are refused. 0 means no limit.
    open_max: usize,
    /// What is received is counted and not sent back.
    mute: bool,
    /// Connections are kept when their peers have ended their side and got everything.
    keep_ended: bool,
}

/// Received in this place of the stream, the engine closes the connection, or ends its side of it.
const CLOSE: u8 = 0xff;
const FINISH: u8 = 0xfe;

/// What has happened so far.
#[derive(Clone, Default, Debug)]
struct Tally {
    accepted: usize,
    open: usize,
    received: usize,
    /// Writes that were cut short, and `writable` after them.
    cut_short: usize,
    resumed: usize,
    ended: usize,
    failed: Vec<io::ErrorKind>,
    accept_failed: Vec<Option<i32>>,
    turns: usize,
}

#[derive(Default)]
struct Conn {
    outbox: VecDeque<u8>,
    blocked: bool,
    ended: bool,
    verdict: Option<u8>,
    /// The engine has ended its side: what still comes is counted only.
    finished: bool,
}

struct Echo {
    script: Script,
    conns: Vec<(u32, Option<Conn>)>,
    dirty: Vec<ConnId>,
    /// By which door each came.
    doors: Vec<Door>,
    tally: Tally,
}

impl Echo {
    fn new(script: Script) -> Self {
        Self { script, conns: Vec::new(), dirty: Vec::new(), doors: Vec::new(), tally: Tally::default() }
    }

    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        assert_eq!(id.shard, SHARD);
        let (generation, conn) = &mut self.conns[id.slot as usize];
        if *generation == id.generation { conn.as_mut() } else { None }
    }

    fn free(&mut self, id: ConnId) {
        self.conn(id).expect("an open connection");
        self.conns[id.slot as usize] = (id.generation.wrapping_add(1), None);
        self.tally.open -= 1;
    }

    fn flush(&mut self, reactor: &mut Reactor) {
        for id in std::mem::take(&mut self.dirty) {
            let keep_ended = self.script.keep_ended;
            let Some(conn) = self.conn(id) else { continue };
            let mut cut_short = 0;
            if !conn.blocked && !conn.outbox.is_empty() {
                let (a, b) = conn.outbox.as_slices();
                match reactor.write(id, &[IoSlice::new(a), IoSlice::new(b)]) {
                    WriteOutcome::Written(n) => {
                        conn.blocked = n < conn.outbox.len();
                        cut_short = usize::from(conn.blocked);
                        conn.outbox.drain(..n);
                    }
                    WriteOutcome::Broken(_) => conn.verdict = Some(CLOSE),
                }
            }
            if conn.ended && conn.outbox.is_empty() && !keep_ended {
                conn.verdict = Some(CLOSE);
            }
            match conn.verdict.take_if(|_| !conn.blocked) {
                Some(CLOSE) => {
                    reactor.close(id);
                    self.free(id);
                }
                Some(_) => {
                    conn.finished = true;
                    reactor.shutdown_write(id);
                }
                None => {}
            }
            self.tally.cut_short += cut_short;
        }
    }
}

impl Sink for Echo {
    fn accepted(&mut self, door: Door, _peer: SocketAddr) -> Option<ConnId> {
        if self.script.open_max != 0 && self.tally.open >= self.script.open_max {
            return None;
        }
        // The lowest slot, so that slots are reused as soon as they can be.
        let slot = self.conns.iter().position(|(_, conn)| conn.is_none()).unwrap_or_else(|| {
            self.conns.push((u32::MAX - 1, None));
            self.conns.len() - 1
        });
        let conn = Conn { outbox: self.script.greeting.iter().copied().collect(), ..Conn::default() };
        self.conns[slot].1 = Some(conn);
        let id = ConnId { shard: SHARD, slot: slot as u32, generation: self.conns[slot].0 };
        self.dirty.push(id);
        self.doors.push(door);
        self.tally.accepted += 1;
        self.tally.open += 1;
        Some(id)
    }

    fn received(&mut self, id: ConnId, bytes: &mut [u8]) -> Reading {
        assert!(!bytes.is_empty());
        self.tally.received += bytes.len();
        let mute = self.script.mute;
        // Once closed by the engine, a connection may still be reported on in the same harvest.
        let Some(conn) = self.conn(id) else { return Reading::On };
        assert!(!conn.ended, "bytes after their end");
        let is_read = !mute && !conn.finished;
        for byte in bytes.iter().filter(|_| is_read) {
            match *byte {
                verdict @ (CLOSE | FINISH) => conn.verdict = Some(verdict),
                byte => conn.outbox.push_back(byte),
            }
        }
        self.dirty.push(id);
        Reading::On
    }

    fn writable(&mut self, id: ConnId) {
        self.tally.resumed += 1;
        self.conn(id).expect("only open connections are reported on").blocked = false;
        self.dirty.push(id);
    }

    fn ended(&mut self, id: ConnId) {
        self.tally.ended += 1;
        let conn = self.conn(id).expect("only open connections are reported on");
        assert!(!std::mem::replace(&mut conn.ended, true), "ended twice");
        self.dirty.push(id);
    }

    fn closed(&mut self, id: ConnId, error: io::ErrorKind) {
        assert!(!self.conn(id).expect("only open connections are reported on").ended, "closed after its end");
        self.free(id);
        self.tally.failed.push(error);
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.tally.accept_failed.push(error.raw_os_error());
    }
}

/// A shard with an echo engine.
struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    waker: Waker,
    stop: AtomicBool,
    tally: Mutex<Tally>,
    changed: Condvar,
}

impl Server {
    fn start(driver: Driver, script: Script) -> Self {
        let listener = listener::bind("127.0.0.1:0".parse().unwrap(), 1, 4096).unwrap().remove(0);
        Self::start_on(driver, script, listener)
    }

    fn start_on(driver: Driver, mut script: Script, listener: TcpListener) -> Self {
        if RESTLESS.get() {
            (script.ring.round, script.ring.busy_above) = (Duration::ZERO, 0);
        }
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            waker: Waker::new().unwrap(),
            stop: AtomicBool::new(false),
            tally: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            driver::with_runtime(driver, of_thread.run(driver, script, listener)).unwrap();
        });
        Self { address, shared, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Waits until `is_so` of what has happened.
    fn until(&self, is_so: impl Fn(&Tally) -> bool) -> Tally {
        let tally = self.shared.tally.lock().unwrap();
        let (tally, timeout) =
            self.shared.changed.wait_timeout_while(tally, DEADLINE, |tally| !is_so(tally)).unwrap();
        assert!(!timeout.timed_out(), "never came true: {tally:?}");
        tally.clone()
    }

    fn stop(mut self) -> Tally {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.waker.wake();
        self.thread.take().unwrap().join().unwrap();
        self.shared.tally.lock().unwrap().clone()
    }
}

impl Shared {
    async fn run(&self, driver: Driver, script: Script, listener: TcpListener) {
        let config = ReactorConfig { shard: SHARD, ring: script.ring };
        let mut reactor = Reactor::new(driver, listener, &self.waker, &config).unwrap();
        let mut echo = Echo::new(script);
        let is_stopped = || self.stop.load(Ordering::SeqCst);
        while !is_stopped() {
            reactor.wait(WaitFor::Anything, DEADLINE, is_stopped).await.unwrap();
            let _ = reactor.harvest(BUDGET, &mut echo).unwrap();
            echo.flush(&mut reactor);
            echo.tally.turns += 1;
            *self.tally.lock().unwrap() = echo.tally.clone();
            self.changed.notify_all();
        }
    }
}

/// Bytes that no two places or seeds share the pattern of, free of [`CLOSE`] and [`FINISH`].
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i.wrapping_mul(31) ^ (i >> 8) ^ seed.wrapping_mul(97)) % 251) as u8).collect()
}

fn read_exactly(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn assert_ended(stream: &mut TcpStream) {
    // Reads on, unlike `read`, when a ring of this thread interrupts it.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}
