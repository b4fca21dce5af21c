//! The node: one thread per shard, the signals, and the end.
//!
//! A shard that fails, by a panic or because its reactor cannot go on, ends with its connections; the others are
//! drained, so that their clients are told, and the process exits with a failure for the supervisor to restart it.

use std::{
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{error, info};

use super::{
    beats::Beat,
    clock::Clock,
    driver::{Driver, with_runtime},
    log::NoticeLog,
    mailbox::{Courier, Mailbox, mailboxes},
    process::ProcessFacts,
    reactor::{Reactor, ReactorConfig, RingConfig},
    shard::{Control, Shard},
    waker::Waker,
};
use crate::{
    base::ShardId,
    engine::{self, Engine, NodeFacts, ShardFacts},
};

/// How often shards are told of the process and of each other.
const FACTS_EVERY: Duration = Duration::from_secs(1);

/// Everything that a node needs.
pub struct NodeConfig {
    /// One listener for each shard.
    pub listeners: Vec<TcpListener>,
    pub driver: Driver,
    pub engine: engine::Config,
    /// Room in each lane of a shard's mailbox.
    pub mailbox_parcels: usize,
    /// Feeds each shard's hashes and jitter.
    pub seed: u64,
}

/// How a node ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Drained after a signal.
    Drained,
    /// A second signal came before the drain was over.
    Interrupted,
    /// A shard failed; the others were drained.
    ShardFailed,
}

enum Happening {
    Signal(i32),
    ShardEnded(ShardId, Result<(), String>),
}

struct ShardHandle {
    control: Sender<Control>,
    waker: Waker,
    running: bool,
}

/// Runs a node until it has drained. `started` is called when every shard serves.
///
/// # Errors
/// When wakers, signals or threads cannot be had.
pub fn run(config: NodeConfig, started: impl FnOnce(SocketAddr)) -> std::io::Result<Ended> {
    run_shards(config, started, ShardStart::run)
}

fn run_shards(
    config: NodeConfig,
    started: impl FnOnce(SocketAddr),
    body: fn(ShardStart) -> std::io::Result<()>,
) -> std::io::Result<Ended> {
    let address = config.listeners[0].local_addr()?;
    let clock = Clock::start();
    let (happened, happenings) = unbounded();
    watch_signals(happened.clone())?;
    let wakers = config.listeners.iter().map(|_| Waker::new()).collect::<std::io::Result<Vec<_>>>()?;
    let beats: Arc<[Beat]> = wakers.iter().map(|_| Beat::default()).collect();
    let boxes = mailboxes(&wakers, config.mailbox_parcels);
    let started_unix_s = clock.now().unix_ms as f64 / 1_000.0;
    let mut shards = Vec::new();
    let parts = config.listeners.into_iter().zip(boxes).zip(&wakers);
    for (number, ((listener, (mailbox, courier)), waker)) in (0..).zip(parts) {
        let id = ShardId(number);
        let (control, controls) = unbounded();
        let start = ShardStart {
            id,
            listener,
            driver: config.driver,
            engine: config.engine.clone(),
            seed: config.seed.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            mailbox,
            courier,
            control: controls,
            waker: waker.clone(),
            clock,
            beats: Arc::clone(&beats),
        };
        let happened = happened.clone();
        thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
            let result = supervised(|| body(start));
            // Nobody listens only when the node has ended already.
            let _ = happened.send(Happening::ShardEnded(id, result));
        })?;
        shards.push(ShardHandle { control, waker: waker.clone(), running: true });
    }
    let mut node = Node { shards, clock, beats, started_unix_s, happenings, draining: false, failed: false };
    node.send_facts();
    started(address);
    Ok(node.serve())
}

struct Node {
    shards: Vec<ShardHandle>,
    clock: Clock,
    beats: Arc<[Beat]>,
    started_unix_s: f64,
    happenings: Receiver<Happening>,
    draining: bool,
    failed: bool,
}

impl Node {
    fn serve(&mut self) -> Ended {
        while self.shards.iter().any(|shard| shard.running) {
            match self.happenings.recv_timeout(FACTS_EVERY) {
                Ok(Happening::Signal(signal)) if self.draining => {
                    info!(signal, "second signal: ending at once");
                    return Ended::Interrupted;
                }
                Ok(Happening::Signal(signal)) => {
                    info!(signal, "draining");
                    self.drain();
                }
                Ok(Happening::ShardEnded(id, result)) => {
                    self.shards[id.index()].running = false;
                    if let Err(reason) = result {
                        error!(shard = id.0, err = reason, "shard failed: draining the others");
                        self.failed = true;
                        self.drain();
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.send_facts(),
            }
        }
        if self.failed { Ended::ShardFailed } else { Ended::Drained }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.tell_all(|_| Control::Drain);
    }

    fn send_facts(&mut self) {
        let process = ProcessFacts::read();
        let now = self.clock.now();
        let facts = NodeFacts {
            uptime_s: now.mono_us as f64 / 1e6,
            cpu_s: process.cpu_s,
            resident_bytes: process.resident_bytes,
            memory_bytes_max: process.memory_bytes_max,
            fds_open: process.fds_open,
            fds_max: process.fds_max,
            started_unix_s: self.started_unix_s,
            other_connections: 0,
            shards: self
                .beats
                .iter()
                .map(|beat| ShardFacts {
                    turned_ago_ms: now.mono_ms().saturating_sub(beat.turned_ms()),
                    lag_us: beat.take_lag_us(),
                })
                .collect(),
        };
        let connections: Vec<usize> = self.beats.iter().map(Beat::connections).collect();
        let total: usize = connections.iter().sum();
        self.tell_all(|shard| {
            let other_connections = total - connections[shard];
            Control::Facts(NodeFacts { other_connections, ..facts.clone() })
        });
    }

    fn tell_all(&self, control: impl Fn(usize) -> Control) {
        for (number, shard) in self.shards.iter().enumerate() {
            // A shard that has ended hears nothing.
            let _ = shard.control.send(control(number));
            shard.waker.wake();
        }
    }
}

struct ShardStart {
    id: ShardId,
    listener: TcpListener,
    driver: Driver,
    engine: engine::Config,
    seed: u64,
    mailbox: Mailbox,
    courier: Courier,
    control: Receiver<Control>,
    waker: Waker,
    clock: Clock,
    beats: Arc<[Beat]>,
}

impl ShardStart {
    /// Runs the shard on this thread, pinned to its core.
    fn run(self) -> std::io::Result<()> {
        pin(self.id);
        with_runtime(self.driver, async move {
            let config = ReactorConfig { shard: self.id, ring: RingConfig::default() };
            let shard = Shard {
                id: self.id,
                engine: Engine::new(self.id, self.engine, self.seed),
                reactor: Reactor::new(self.driver, self.listener, &self.waker, &config)?,
                mailbox: self.mailbox,
                courier: self.courier,
                control: self.control,
                clock: self.clock,
                beats: self.beats,
                log: NoticeLog::new(self.id),
            };
            shard.run().await
        })?
    }
}

/// Runs `shard`; a panic is an error like any other.
fn supervised(shard: impl FnOnce() -> std::io::Result<()>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(shard)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(panic_text(&*panic)),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}

/// Pins the thread to the core of its number among those that the process may use; more shards than cores share.
fn pin(shard: ShardId) {
    if let Some(cores) = core_affinity::get_core_ids().filter(|cores| !cores.is_empty()) {
        core_affinity::set_for_current(cores[shard.index() % cores.len()]);
    }
}

fn watch_signals(happened: Sender<Happening>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if happened.send(Happening::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{self, KeySet, Verifier},
        shell::listener::bind,
    };

    #[test]
    fn when_a_shard_panics_the_others_drain_and_the_node_has_failed() {
        let verifier = Verifier::new(auth::Config::new(KeySet::default()));
        let config = NodeConfig {
            listeners: bind(SocketAddr::from(([127, 0, 0, 1], 0)), 3, 16).unwrap(),
            driver: Driver::Epoll,
            engine: engine::Config::for_tests(3, verifier),
            mailbox_parcels: 16,
            seed: 1,
        };
        let body =
            |start: ShardStart| if start.id == ShardId(1) { panic!("on purpose") } else { start.run() };
        assert_eq!(run_shards(config, |_| {}, body).unwrap(), Ended::ShardFailed);
    }

    #[test]
    fn a_panicking_shard_is_an_error_and_not_the_end_of_the_process() {
        assert_eq!(supervised(|| Ok(())), Ok(()));
        assert_eq!(supervised(|| panic!("on purpose")), Err("panic: on purpose".to_owned()));
        let number = 7;
        assert_eq!(supervised(|| panic!("with {number}")), Err("panic: with 7".to_owned()));
        let refused = || Err(std::io::Error::other("no ring"));
        assert_eq!(supervised(refused), Err("no ring".to_owned()));
    }
}
