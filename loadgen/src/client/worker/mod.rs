//! One thread of the generator: an event loop over its share of the connections.
//!
//! `mod` runs the loop and the agenda, `dial` brings connections up and lets them go, `flow` moves
//! bytes. What messages mean is `traffic`'s; what phase the run is in is the main thread's, which
//! sends `Command`s and gets `Report`s.

mod dial;
mod flow;
mod tally;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io::{self, ErrorKind},
    sync::{Arc, mpsc},
    time::Duration,
};

use mio::{Events, Poll, Token, Waker};
use ringway::ws::{Limits, deflate::Inflater};

use crate::{
    cli::args::Config,
    client::conn::Conn,
    client::target::Target,
    client::traffic::{Books, Start, Traffic},
    host::clock::{Alarm, Clock, thread_cpu},
    plan::schedule::Pace,
    plan::{Plan, Slot},
    tokens::Tokens,
};

pub(crate) use tally::Tally;

const WAKE: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);
const EVENTS_PER_TURN: usize = 1024;
const READ_BYTES: usize = 64 << 10;
const SNAPSHOT_EVERY_NS: u64 = 50_000_000;
/// Upgrades under way at once, all threads together.
const IN_FLIGHT_MAX: u32 = 512;

/// What all threads of a run share.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) plan: Plan,
    pub(crate) target: Target,
    pub(crate) tokens: Tokens,
    pub(crate) clock: Clock,
    /// Marks this run's payloads.
    pub(crate) run: u32,
    /// By room.
    pub(crate) room_names: Arc<[String]>,
}

/// What the main thread asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Publish, and let connections come and go in churn mode.
    Start(Start),
    /// No further publications.
    StopPublishing,
    /// Close all connections and report.
    Finish,
}

/// What a thread tells the main thread.
#[derive(Debug)]
pub(crate) enum Report {
    Snapshot {
        thread: u32,
        snapshot: Snapshot,
    },
    /// Every connection was tried; this many of those that stay are in each room.
    Settled {
        members: Vec<u32>,
    },
    Finished(Box<Outcome>),
    /// The thread cannot go on.
    Broken(io::Error),
}

/// How it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) ready: u32,
    pub(crate) failed: u32,
    pub(crate) sent: u64,
    pub(crate) unanswered: u64,
    /// Deliveries that members which stay are to get, and those they got. The two may be of
    /// different threads: only the sums over all threads compare.
    pub(crate) owed: u64,
    pub(crate) paid: u64,
    /// Deliveries to all.
    pub(crate) delivered: u64,
    /// Nothing more will be published.
    pub(crate) published: bool,
}

/// How it was.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) thread: u32,
    pub(crate) books: Books,
    /// By slot: whether the connection was there when publishing began, and is one that stays.
    pub(crate) members: Vec<bool>,
    pub(crate) tally: Tally,
    /// Share of one core, from start to the last publication.
    pub(crate) cpu_ratio: f64,
}

/// The main thread's end of a worker.
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Hands over a command. A thread that has ended takes no more, and has said so.
    pub(crate) fn send(&self, command: Command) -> io::Result<()> {
        if self.commands.send(command).is_ok() { self.waker.wake() } else { Ok(()) }
    }
}

/// What is to be done at a certain time. (The order among things due at once is of no importance.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    Publish(Slot),
    Dial,
    Churn,
    /// The connection of that dial has taken too long.
    Deadline(Slot, u32),
    Snapshot,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    /// Close frames are out.
    Finishing,
    Finished,
}

pub(crate) struct Worker {
    setup: Arc<Setup>,
    thread: u32,
    poll: Poll,
    alarm: Alarm,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Report>,
    agenda: BinaryHeap<Reverse<(u64, Due)>>,
    /// The clock as of the last look.
    now_ns: u64,
    phase: Phase,

    /// By slot.
    conns: Vec<Option<Conn>>,
    traffic: Traffic,
    tally: Tally,
    ready: u32,
    /// Connections that are there (in whatever stage).
    open: u32,
    members: Vec<bool>,

    /// The next slot to dial for the first time.
    next_slot: u32,
    dial_pace: Pace,
    /// A dial is due, but too many are under way.
    dial_waits: bool,
    dials: u32,
    in_flight: u32,
    /// Slots whose first dial has come to an end, one way or the other.
    settled: u32,
    churn_pace: Option<Pace>,
    /// Where to look for the next connection that is to leave.
    churn_cursor: u32,

    /// Publishers that have messages left.
    publishing: u32,
    started_ns: Option<(u64, Duration)>,
    cpu_ratio: Option<f64>,

    buffer: Vec<u8>,
    /// Response heads that came in pieces.
    heads: HashMap<Slot, Vec<u8>>,
    /// Frames, and the JSON inside them, on their way out.
    outgoing: Vec<u8>,
    json: Vec<u8>,
    masks: fastrand::Rng,
    inflater: Inflater,
    limits: Limits,
}

impl Worker {
    pub(crate) fn new(
        setup: Arc<Setup>,
        thread: u32,
        reports: mpsc::Sender<Report>,
    ) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let alarm = Alarm::register(poll.registry(), ALARM)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (command_sender, commands) = mpsc::channel();
        let Setup { config, plan, run, .. } = &*setup;
        let share = plan.share(thread) as usize;
        let worker = Self {
            thread,
            poll,
            alarm,
            commands,
            reports,
            agenda: BinaryHeap::new(),
            now_ns: 0,
            phase: Phase::Running,
            conns: (0..share).map(|_| None).collect(),
            traffic: Traffic::new(config, *plan, thread, *run, Arc::clone(&setup.room_names)),
            tally: Tally::default(),
            ready: 0,
            open: 0,
            members: vec![false; share],
            next_slot: 0,
            dial_pace: Pace::new(setup.clock.now_ns(), thread, plan.threads(), config.connect_rate),
            dial_waits: false,
            dials: 0,
            in_flight: 0,
            settled: 0,
            churn_pace: None,
            churn_cursor: 0,
            publishing: 0,
            started_ns: None,
            cpu_ratio: None,
            buffer: vec![0; READ_BYTES],
            heads: HashMap::new(),
            outgoing: Vec::new(),
            json: Vec::new(),
            masks: fastrand::Rng::with_seed(config.seed ^ u64::from(thread)),
            inflater: Inflater::new(),
            limits: Limits {
                message_bytes_max: config.payload_bytes + (64 << 10),
                fragments_max: u32::MAX,
                inflate_ratio_max: u32::MAX,
            },
            setup,
        };
        Ok((worker, Handle { commands: command_sender, waker }))
    }

    /// Runs until told to finish.
    pub(crate) fn run(mut self) {
        let reports = self.reports.clone();
        let report = match self.turn_until_finished() {
            Ok(()) => Report::Finished(Box::new(self.into_outcome())),
            Err(error) => Report::Broken(error),
        };
        // Nobody listens any more when the main thread has given up: then there is nobody to tell.
        let _ = reports.send(report);
    }

    fn turn_until_finished(&mut self) -> io::Result<()> {
        self.look_at_clock();
        self.schedule_first_dial();
        self.agenda.push(Reverse((self.now_ns, Due::Snapshot)));
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while self.phase != Phase::Finished {
            self.do_what_is_due();
            let due_ns = self.next_due_ns();
            let wait = if due_ns <= self.now_ns {
                Some(Duration::ZERO)
            } else {
                self.alarm.set(self.now_ns, due_ns)?;
                None
            };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.look_at_clock();
            for event in &events {
                match event.token() {
                    WAKE => self.obey(),
                    ALARM => self.alarm.went_off(),
                    Token(slot) => self.on_event(Slot(slot as u32), event),
                }
            }
        }
        Ok(())
    }

    fn look_at_clock(&mut self) {
        self.now_ns = self.setup.clock.now_ns();
    }

    fn next_due_ns(&self) -> u64 {
        self.agenda.peek().map_or(u64::MAX, |Reverse((due_ns, _))| *due_ns)
    }

    /// Everything on the agenda up to now.
    fn do_what_is_due(&mut self) {
        let now_ns = self.now_ns;
        while let Some(&Reverse((due_ns, due))) = self.agenda.peek()
            && due_ns <= now_ns
        {
            self.agenda.pop();
            match due {
                Due::Publish(slot) => self.publish(slot, due_ns),
                Due::Dial => self.dial_next(),
                Due::Churn => self.churn(),
                Due::Deadline(slot, dial) => self.on_deadline(slot, dial),
                Due::Snapshot => {
                    self.send_snapshot();
                    self.agenda.push(Reverse((self.now_ns + SNAPSHOT_EVERY_NS, Due::Snapshot)));
                }
            }
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Start(start) => self.start(start),
                Command::StopPublishing => self.stop_publishing(),
                Command::Finish => {
                    self.stop_publishing();
                    self.close_all();
                }
            }
        }
    }

    fn start(&mut self, start: Start) {
        self.started_ns = Some((self.now_ns, thread_cpu()));
        let churn_rate = self.setup.config.churn_rate;
        if churn_rate > 0.0 {
            let pace = Pace::new(start.at_ns, self.thread, self.setup.plan.threads(), churn_rate);
            self.agenda.push(Reverse((self.churn_pace.insert(pace).next_due_ns(), Due::Churn)));
        }
        self.traffic.start(start);
        for slot in (0..self.setup.plan.publishers_share(self.thread)).map(Slot) {
            if self.conns[slot.index()].is_none() {
                self.traffic.disconnected(slot);
            } else if let Some(due_ns) = self.traffic.next_due_ns(slot) {
                self.agenda.push(Reverse((due_ns, Due::Publish(slot))));
                self.publishing += 1;
            }
        }
    }

    fn stop_publishing(&mut self) {
        self.agenda.retain(|Reverse((_, due))| !matches!(due, Due::Publish(_) | Due::Churn));
        self.publishing = 0;
        self.measure_cpu();
    }

    /// A publisher has no message left.
    fn publisher_done(&mut self) {
        self.publishing = self.publishing.saturating_sub(1);
        if self.publishing == 0 {
            self.measure_cpu();
        }
    }

    fn measure_cpu(&mut self) {
        if let (None, Some((started_ns, cpu))) = (self.cpu_ratio, self.started_ns) {
            let wall_s = self.setup.clock.now_ns().saturating_sub(started_ns).max(1) as f64 / 1e9;
            self.cpu_ratio = Some(thread_cpu().saturating_sub(cpu).as_secs_f64() / wall_s);
        }
    }

    fn send_snapshot(&mut self) {
        let counts = self.traffic.counts();
        let snapshot = Snapshot {
            ready: self.ready,
            failed: self.tally.failed as u32,
            sent: counts.sent,
            unanswered: self.traffic.unanswered(),
            owed: counts.owed,
            paid: counts.delivered,
            delivered: counts.delivered + counts.delivered_midway,
            published: self.started_ns.is_some() && self.publishing == 0,
        };
        let _ = self.reports.send(Report::Snapshot { thread: self.thread, snapshot });
    }

    fn into_outcome(mut self) -> Outcome {
        self.measure_cpu();
        Outcome {
            thread: self.thread,
            books: self.traffic.close(),
            members: self.members,
            tally: self.tally,
            cpu_ratio: self.cpu_ratio.unwrap_or_default(),
        }
    }
}
