//! One case: a gateway of its own, a good crowd that talks, newcomers, and an attack or none.
//!
//! The attack begins with the measured window and ends with it, so that its onset is part of the figures. Attackers are
//! another process on the generators' core, by default of the class that only gets what others leave; how late the good
//! generator itself was is measured all the same.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use compare::{
    connect::{Arrivals, Spec, Target, connect},
    failure::Failure,
    histogram::Percentiles,
    ledger::{Crowd, Faults},
    meter::Meter,
    net::{Net, Sources},
    peers::Peer,
    procfs,
    protocol::{Protocol, Role},
    server::Server,
    token,
    traffic::{self, LEAD_NS, Load, Pace, Timing},
};
use serde::{Deserialize, Serialize};

use crate::{
    args::{Common, Priority, RunArgs},
    comers::{self, Comers},
    decoy::Decoy,
    kind::Kind,
    tally::Tally,
};

const WARM_UP_NS: u64 = 1_000_000_000;
/// How long to wait for what is under way at the end.
const DRAIN_NS: u64 = 2_000_000_000;
const FILLING: Arrivals = Arrivals { in_flight_max: 64, per_s: None };
/// Fewer than an address may have.
const GOOD_SOURCES: Sources = Sources { first: Ipv4Addr::new(127, 0, 1, 1), connections_each: 40 };

/// What a case came to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Of good clients' deliveries, from when a message was due.
    pub(crate) latency: Percentiles,
    pub(crate) deliveries: u64,
    pub(crate) faults: Faults,
    /// Why the first good client that was dropped was.
    pub(crate) first_drop: String,
    /// How late the good generator woke to publish: its own part in each latency, at least.
    pub(crate) lateness: Percentiles,
    /// Of a core.
    pub(crate) server_share: f64,
    /// Of a core: good clients alone.
    pub(crate) generator_share: f64,
    /// How long packets waited because others had the cores, the server's or the generators', whichever was worse off; of the time.
    pub(crate) packets_waited_share: f64,
    /// Kept from its core by others, the server or the good generator, whichever was worse off; of the time.
    pub(crate) waited_share: f64,
    pub(crate) comers: Comers,
    pub(crate) foes: Tally,
}

/// What stays the same through a run.
pub(crate) struct Bench<'a> {
    pub(crate) args: &'a RunArgs,
    pub(crate) crowd: Crowd,
    pub(crate) tokens: Vec<String>,
    pub(crate) comers: Vec<String>,
    pub(crate) interrupted: &'a AtomicBool,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(args: &'a RunArgs, interrupted: &'a AtomicBool) -> Self {
        let crowd =
            Crowd { rooms: args.rooms, members_per_room: args.members_per_room, publishers_per_room: 1 };
        Self {
            args,
            crowd,
            tokens: token::tokens(crowd.members()),
            comers: token::tokens_of("comer", comers::count((args.seconds * 1e9) as u64)),
            interrupted,
        }
    }

    /// Runs one case. `kind` is the attack.
    pub(crate) fn run(&self, peer: &Peer, kind: Option<Kind>, log: &Path) -> Result<Outcome, Failure> {
        let mut server = Server::start(peer, &vec![self.args.common.server_core], 1, log)?;
        let measured = self.measure(&server, kind);
        // A server that has ended is the reason for whatever else went wrong.
        match (server.check(), measured) {
            (_, Err(Failure::Interrupted)) => Err(Failure::Interrupted),
            (Err(ended), _) => Err(ended),
            (Ok(()), measured) => measured,
        }
    }

    fn measure(&self, server: &Server, kind: Option<Kind>) -> Result<Outcome, Failure> {
        let (crowd, port) = (self.crowd, server.port);
        let decoy =
            kind.filter(|it| *it == Kind::Decoy).map(|_| Decoy::start(&self.args.common)).transpose()?;
        let attacked = decoy.as_ref().map_or(port, |it| it.port);
        let foes = kind.map(|kind| Foes::prepare(kind, attacked, self.args)).transpose()?;
        let mut net = Net::from(GOOD_SOURCES)?;
        let target = Target { protocol: Protocol::Ringway, port, tokens: &self.tokens };
        let spec = |member| Spec { room: member / crowd.members_per_room, role: Role::Member };
        let specs: Vec<Spec> = (0..crowd.members()).map(spec).collect();
        connect(&mut net, target, &specs, FILLING, self.interrupted)?;
        let window_ns = (self.args.seconds * 1e9) as u64;
        let load = Load {
            protocol: Protocol::Ringway,
            role: Role::Member,
            crowd,
            pace: Pace::Rate(self.args.rate),
            timing: Timing { warm_up_ns: WARM_UP_NS, window_ns, drain_ns: DRAIN_NS, tick_ns: None },
        };
        let meter = Meter { pid: server.pid() };
        let packets = Packets::look(&self.args.common);
        let (outcome, beside) = thread::scope(|scope| {
            let beside = scope.spawn(|| {
                thread::sleep(Duration::from_nanos(LEAD_NS + WARM_UP_NS));
                let foes = foes.map(Foes::begin).transpose()?;
                let comers = comers::come(port, &self.comers, window_ns);
                Ok::<_, Failure>((comers, foes.map(Foes::end).transpose()?.unwrap_or_default()))
            });
            let outcome = traffic::run(&mut net, load, meter, self.interrupted);
            (outcome, beside.join())
        });
        let outcome = outcome?;
        let (comers, foes) = beside
            .unwrap_or_else(|_| Err(Failure::Setup("the thread of newcomers has failed".to_owned())))?;
        Ok(Outcome {
            latency: outcome.latency,
            deliveries: outcome.arrived,
            faults: outcome.faults,
            first_drop: outcome.first_drop.unwrap_or_default(),
            lateness: outcome.publish_late,
            server_share: outcome.usage.server_share(),
            generator_share: outcome.usage.generator_share(),
            packets_waited_share: packets.waited_share(),
            waited_share: outcome.usage.waited_share(),
            comers,
            foes,
        })
    }
}

/// How long the kernel's threads that carry packets have waited for their cores.
struct Packets {
    since: Instant,
    /// With what was there before.
    threads: Vec<(u32, u64)>,
}

impl Packets {
    fn look(common: &Common) -> Self {
        let cores = [common.server_core, common.generator_core];
        let threads = cores.into_iter().filter_map(procfs::softirq_thread);
        Self { since: Instant::now(), threads: threads.map(|it| (it, waited_ns(it))).collect() }
    }

    fn waited_share(&self) -> f64 {
        let waited = self.threads.iter().map(|&(thread, before_ns)| waited_ns(thread) - before_ns);
        waited.max().unwrap_or_default() as f64 / self.since.elapsed().as_nanos().max(1) as f64
    }
}

fn waited_ns(thread: u32) -> u64 {
    procfs::times(thread).unwrap_or_default().waited_ns
}

/// The attackers' process. Dropped, it ends.
struct Foes {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<std::process::ChildStdout>,
}

impl Foes {
    /// Starts it, and waits until it could begin.
    fn prepare(kind: Kind, port: u16, args: &RunArgs) -> Result<Self, Failure> {
        // Of a class of their own, whatever this program was started in.
        let class: &[&str] = match args.foes_priority {
            Priority::Idle => &["--idle", "0"],
            Priority::Nice => &["--other", "0", "nice", "-n", "19"],
            Priority::Normal => &["--other", "0"],
        };
        let mut command = Command::new("chrt");
        command.args(class).arg(env::current_exe()?);
        command.arg("foes").args(["--kind", &kind.to_string()]).args(["--port", &port.to_string()]);
        command.args(["--foes-per-s", &args.foes_per_s.to_string()]);
        command.args(["--foes", &args.foes.to_string()]).args(["--rooms", &args.rooms.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let gone = || Failure::Setup("attackers have no pipes".to_owned());
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().ok_or_else(gone)?);
        let mut foes = Self { child, stdin, lines: BufReader::new(stdout) };
        foes.line()?;
        Ok(foes)
    }

    fn begin(mut self) -> Result<Self, Failure> {
        if let Some(stdin) = &mut self.stdin {
            stdin.write_all(b"\n")?;
            stdin.flush()?;
        }
        Ok(self)
    }

    /// Ends the attack; what attackers say of it.
    fn end(mut self) -> Result<Tally, Failure> {
        drop(self.stdin.take());
        let line = self.line()?;
        sonic_rs::from_str(&line).map_err(|it| Failure::Setup(format!("attackers said {line:?}: {it}")))
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Err(Failure::Setup("attackers have ended".to_owned())),
            _ => Ok(line),
        }
    }
}

impl Drop for Foes {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
