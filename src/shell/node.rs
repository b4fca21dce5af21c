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

use crossbeam_channel::{Receiver, Sender, select, tick, unbounded};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{error, info};

use super::{
    beats::Beat,
    clock::Clock,
    driver::{Driver, with_runtime},
    keys::IssuerKeys,
    log::NoticeLog,
    mailbox::{Courier, Mailbox, mailboxes},
    outside::{Line, Outside, OutsideConfig},
    process::ProcessFacts,
    reactor::{Reactor, ReactorConfig, RingConfig},
    shard::{Control, News, Shard},
    waker::Waker,
};
use crate::{
    base::ShardId,
    engine::{self, Engine, NodeFacts, Policy, ShardFacts},
    metrics::{ReloadResult, ReloadStats},
};

/// How often shards are told of the process and of each other.
const FACTS_EVERY: Duration = Duration::from_secs(1);

/// Everything that a node needs.
pub struct NodeConfig {
    /// One listener for each shard.
    pub listeners: Vec<TcpListener>,
    /// One for each shard, or none: what administrators and backends connect to.
    pub admin_listeners: Vec<TcpListener>,
    pub driver: Driver,
    pub engine: engine::Config,
    pub outside: OutsideConfig,
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

struct ShardHandle {
    control: Sender<Control>,
    waker: Waker,
    stage: Stage,
}

/// How far a shard has come, as far as the node knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Starting,
    Serving,
    Drained,
    Ended,
}

/// Runs a node until it has drained. `started` is called when every shard serves; `reload` on SIGHUP, for the policy
/// that every shard is to take, if there is one.
///
/// # Errors
/// When wakers, signals or threads cannot be had.
pub fn run(
    config: NodeConfig,
    started: impl FnOnce(SocketAddr),
    reload: impl FnMut() -> Option<Arc<Policy>>,
) -> std::io::Result<Ended> {
    run_shards(config, started, reload, ShardStart::run)
}

fn run_shards(
    config: NodeConfig,
    started: impl FnOnce(SocketAddr),
    reload: impl FnMut() -> Option<Arc<Policy>>,
    body: fn(ShardStart) -> std::io::Result<()>,
) -> std::io::Result<Ended> {
    let address = config.listeners[0].local_addr()?;
    let clock = Clock::start();
    let signals = watch_signals()?;
    let (tell, news) = unbounded();
    let wakers = config.listeners.iter().map(|_| Waker::new()).collect::<std::io::Result<Vec<_>>>()?;
    let beats: Arc<[Beat]> = wakers.iter().map(|_| Beat::default()).collect();
    let boxes = mailboxes(&wakers, config.mailbox_parcels);
    let started_unix_s = clock.now().unix_ms as f64 / 1_000.0;
    let outside = Outside::new(config.outside);
    let mut keys = IssuerKeys::new(outside.clone(), Arc::clone(&config.engine.policy));
    keys.look_and_wait(clock.now());
    let engine = engine::Config { policy: keys.policy(), ..config.engine };
    let mut shards = Vec::new();
    let mut admin_listeners = config.admin_listeners.into_iter();
    let parts = config.listeners.into_iter().zip(boxes).zip(&wakers);
    for (number, ((listener, (mailbox, courier)), waker)) in (0..).zip(parts) {
        let id = ShardId(number);
        let (control, controls) = unbounded();
        let start = ShardStart {
            id,
            listener,
            admin_listener: admin_listeners.next(),
            driver: config.driver,
            engine: engine.clone(),
            seed: config.seed.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            mailbox,
            courier,
            line: Line { outside: outside.clone(), control: control.clone(), waker: waker.clone() },
            control: controls,
            news: tell.clone(),
            waker: waker.clone(),
            clock,
            beats: Arc::clone(&beats),
        };
        let tell = tell.clone();
        thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
            let result = supervised(|| body(start));
            // Nobody listens only when the node has ended already.
            let _ = tell.send((id, News::Ended(result)));
        })?;
        shards.push(ShardHandle { control, waker: waker.clone(), stage: Stage::Starting });
    }
    let reloads = ReloadStats { loaded_unix_s: started_unix_s, ..ReloadStats::default() };
    let mut node = Node {
        shards,
        clock,
        beats,
        started_unix_s,
        news,
        signals,
        keys,
        reloads,
        draining: false,
        failed: false,
    };
    node.send_facts();
    Ok(node.serve(|| started(address), reload))
}

struct Node {
    shards: Vec<ShardHandle>,
    clock: Clock,
    beats: Arc<[Beat]>,
    started_unix_s: f64,
    news: Receiver<(ShardId, News)>,
    signals: Receiver<i32>,
    keys: IssuerKeys,
    reloads: ReloadStats,
    draining: bool,
    failed: bool,
}

impl Node {
    fn serve(&mut self, started: impl FnOnce(), mut reload: impl FnMut() -> Option<Arc<Policy>>) -> Ended {
        let mut started = Some(started);
        let facts = tick(FACTS_EVERY);
        let (news, signals, keys) = (self.news.clone(), self.signals.clone(), self.keys.answers());
        while !self.are_all(Stage::Ended) {
            select! {
                recv(news) -> news => {
                    // The node holds a sender for as long as a shard runs.
                    let Ok((id, news)) = news else { break };
                    self.heard(id, news);
                    if self.are_all(Stage::Serving) && let Some(started) = started.take() {
                        started();
                    }
                }
                recv(signals) -> signal => {
                    let signal = signal.unwrap_or_default();
                    if signal == SIGHUP {
                        self.reloaded(reload());
                        continue;
                    }
                    if self.draining {
                        info!(signal, "second signal: ending at once");
                        return Ended::Interrupted;
                    }
                    info!(signal, "draining");
                    self.drain();
                }
                recv(keys) -> answer => {
                    // The node holds a sender, too.
                    let Ok(answer) = answer else { break };
                    if self.keys.came(answer, self.clock.now()) {
                        self.tell_policy();
                    }
                }
                recv(facts) -> _ => {
                    self.keys.look(self.clock.now());
                    self.send_facts();
                }
            }
        }
        if self.failed { Ended::ShardFailed } else { Ended::Drained }
    }

    /// The configuration was loaded again: another policy, or none, where it was wrong.
    fn reloaded(&mut self, policy: Option<Arc<Policy>>) {
        let now = self.clock.now();
        match policy {
            Some(policy) => {
                self.reloads.results.inc(ReloadResult::Applied);
                self.reloads.loaded_unix_s = now.unix_ms as f64 / 1_000.0;
                self.keys.configure(policy, now);
                self.tell_policy();
            }
            None => self.reloads.results.inc(ReloadResult::Refused),
        }
        self.send_facts();
    }

    fn heard(&mut self, id: ShardId, news: News) {
        self.shards[id.index()].stage = match news {
            News::Serving => Stage::Serving,
            News::KeysWanted => {
                self.keys.want(self.clock.now());
                return;
            }
            News::DrainAsked => {
                if !self.draining {
                    info!(shard = id.0, "draining, as the API asks");
                    self.drain();
                }
                return;
            }
            News::Drained => Stage::Drained,
            News::Ended(result) => {
                if let Err(reason) = result {
                    error!(shard = id.0, err = reason, "shard failed: draining the others");
                    self.failed = true;
                    self.drain();
                }
                Stage::Ended
            }
        };
        // Until then each may be the home of rooms that the others still have members of.
        if self.shards.iter().all(|shard| matches!(shard.stage, Stage::Drained | Stage::Ended)) {
            self.tell_all(|_| Control::End);
        }
    }

    fn are_all(&self, stage: Stage) -> bool {
        self.shards.iter().all(|shard| shard.stage == stage)
    }

    fn drain(&mut self) {
        self.draining = true;
        // Whether anybody is there to whom it has to be announced, each shard knows from this.
        self.send_facts();
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
            keys: self.keys.stats(),
            reloads: self.reloads,
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

    /// Every shard takes the policy that is in effect from here on.
    fn tell_policy(&self) {
        let policy = self.keys.policy();
        self.tell_all(|_| Control::Reload(Arc::clone(&policy)));
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
    admin_listener: Option<TcpListener>,
    driver: Driver,
    engine: engine::Config,
    seed: u64,
    mailbox: Mailbox,
    courier: Courier,
    line: Line,
    control: Receiver<Control>,
    news: Sender<(ShardId, News)>,
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
            let mut reactor = Reactor::new(self.driver, self.listener, &self.waker, &config)?;
            if let Some(listener) = self.admin_listener {
                reactor.open_admin_door(listener)?;
            }
            let shard = Shard {
                id: self.id,
                engine: Engine::new(self.id, self.engine, self.seed),
                reactor,
                mailbox: self.mailbox,
                courier: self.courier,
                line: self.line,
                control: self.control,
                news: self.news,
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

fn watch_signals() -> std::io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (caught, receiver) = unbounded();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if caught.send(signal).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
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
            admin_listeners: Vec::new(),
            driver: Driver::Epoll,
            engine: engine::Config::for_tests(3, verifier),
            outside: OutsideConfig { in_flight_max: 16, roots_pem: None },
            mailbox_parcels: 16,
            seed: 1,
        };
        let body =
            |start: ShardStart| if start.id == ShardId(1) { panic!("on purpose") } else { start.run() };
        assert_eq!(run_shards(config, |_| {}, || None, body).unwrap(), Ended::ShardFailed);
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
