//! One thread of the generator: an event loop over its share of the connections.
//!
//! `mod` runs the loop and the agenda; `dial` brings connections up, `moves` lets them go and come back, `publish` sends, `flow`
//! moves bytes, `watch` looks at the thread itself. What messages mean is `traffic`'s; how the phases follow each other is the
//! main thread's, which sends `Command`s and gets `Report`s.

mod dial;
mod flow;
mod moves;
mod publish;
mod watch;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    io::{self, ErrorKind},
    mem,
    sync::{Arc, mpsc},
    time::Duration,
};

use mio::{Events, Poll, Token, Waker};
use ringway::ws::{Limits, deflate::Inflater};
use serde::{Deserialize, Serialize};

use crate::{
    client::{conn::Conn, crew::Obey, polling::Lane, setup::Setup, traffic::Traffic, wire::Gear},
    figures::record::{Record, SecondRecord},
    host::clock::Alarm,
    plan::{
        ConnId, Slot,
        schedule::{Span, Timetable},
        seeded,
    },
    protocol::Out,
    scenario::Reading,
    truth::audit::Published,
};

use dial::Ramp;
use moves::Moves;
use publish::Publications;
use watch::Watch;

const WAKE: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);
/// Tokens are slots; those of side lanes have this bit too.
const SIDE: usize = 1 << 40;
const EVENTS_PER_TURN: usize = 1024;
/// What one read takes at most: enough that a flood costs few reads, and still in the processor's cache.
const READ_BYTES: usize = 256 << 10;
/// A message may be this much longer than the longest payload.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;

/// What the main thread asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// The phases as far as they are known by now.
    Timetable(Arc<Timetable>),
    /// No further publications; nobody leaves any more.
    StopPublishing,
    /// Says what was published.
    Settle,
    /// What all threads published.
    Expect(Arc<Published>),
    /// Close all connections and report.
    Finish,
}

/// What a thread tells the main thread.
#[derive(Debug)]
pub(crate) enum Report {
    Snapshot {
        /// Within this process.
        thread: u32,
        snapshot: Snapshot,
        /// A second that is over since the last one.
        second: Option<SecondRecord>,
    },
    /// Every connection that the ramp of this phase is about was tried.
    Settled {
        phase: usize,
    },
    Published(Box<Published>),
    Finished(Box<Record>),
    /// The thread cannot go on, nor can the run.
    Broken(Broken),
}

/// Why somebody who takes part in a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("an event loop failed: {0}")]
    EventLoop(#[from] io::Error),
    /// Who it is, and what happened.
    #[error("agent {0}: {1}")]
    Agent(String, String),
}

/// How it stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Connections that were dialed at least once, with whatever success.
    pub(crate) tried: u32,
    /// On their way to be ready.
    pub(crate) opening: u32,
    pub(crate) ready: u32,
    pub(crate) failed: u64,
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) errors: u64,
    /// What went wrong most often, and how often.
    pub(crate) worst_error: Option<(String, u64)>,
    pub(crate) unanswered: u64,
    /// Deliveries that are still to come, once that is known.
    pub(crate) awaited: Option<u64>,
    /// Of one core, since the last snapshot.
    pub(crate) cpu: f64,
    /// 99th percentile of the phase that it is.
    pub(crate) lag_ns: u64,
    /// Nothing more will be published.
    pub(crate) published: bool,
    /// Connections that the target ended, or let fail, and that are still to come back.
    pub(crate) missing: u32,
}

/// The main thread's end of a worker.
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

impl Obey for Handle {
    fn obey(&self, command: Command) -> io::Result<()> {
        if self.commands.send(command).is_ok() { self.waker.wake() } else { Ok(()) }
    }
}

/// What is to be done at a certain time. (The order among things due at once is of no importance.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    /// The timetable's phase of that place begins.
    Phase(u32),
    /// The next connection of the ramp.
    Dial,
    /// Dials that were too many before.
    DialWaiting,
    /// A connection comes back.
    Redial(Slot),
    /// The connection of that dial has taken too long.
    Deadline(Slot, u32),
    /// It goes, to come back later.
    Leave(Slot, u32),
    /// One goes for good.
    Retire,
    Presence(Slot, u32),
    /// It may read again.
    Resume(Slot, u32),
    /// What quiet connections say, for a part of them.
    Keepalive(u32),
    Snapshot,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Running,
    /// Close frames are out.
    Finishing,
    Finished,
}

pub(crate) struct Worker {
    setup: Arc<Setup>,
    /// Numbered over all agents.
    thread: u32,
    poll: Poll,
    alarm: Alarm,
    /// Kept here too: whoever gives the last command may drop his end at once, and it must still wake the loop.
    _waker: Arc<Waker>,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Report>,
    agenda: BinaryHeap<Reverse<(u64, Due)>>,
    publications: Publications,
    timetable: Arc<Timetable>,
    /// Phases of the timetable that are on the agenda, or were.
    phases_planned: usize,
    /// The clock as of the last look.
    now_ns: u64,
    /// The same by this process's own time, which nobody sets: for lengths of time.
    own_ns: u64,
    life: Life,
    /// In the middle of what is due.
    is_busy: bool,

    /// By slot.
    conns: Vec<Option<Conn>>,
    traffic: Traffic,
    ready: u32,
    /// Connections that are there (in whatever stage).
    open: u32,
    ramp: Ramp,
    moves: Moves,
    watch: Watch,
    /// Dials that are due, but too many are under way.
    /// With when they were due.
    dials_waiting: VecDeque<(Slot, u64)>,
    dials: u32,
    in_flight: u32,
    has_slow_readers: bool,
    /// Until when connections that read slowly have read enough.
    sated_until_ns: HashMap<Slot, u64>,

    buffer: Vec<u8>,
    /// Response heads that came in pieces.
    heads: HashMap<Slot, Vec<u8>>,
    /// Frames, and the messages inside them, on their way out.
    outgoing: Vec<u8>,
    out: Out,
    gear: Gear,
}

impl Worker {
    /// The worker with that number within this process.
    pub(crate) fn new(
        setup: Arc<Setup>,
        number: u32,
        reports: mpsc::Sender<Report>,
    ) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let alarm = Alarm::register(poll.registry(), ALARM)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (command_sender, commands) = mpsc::channel();
        let thread = setup.first_thread + number;
        let share = setup.plan.share(thread) as usize;
        let worker = Self {
            thread,
            poll,
            alarm,
            _waker: Arc::clone(&waker),
            commands,
            reports,
            agenda: BinaryHeap::new(),
            publications: Publications::new(&setup, thread),
            timetable: Arc::default(),
            phases_planned: 0,
            now_ns: 0,
            own_ns: 0,
            life: Life::Running,
            is_busy: false,
            conns: (0..share).map(|_| None).collect(),
            traffic: Traffic::new(&setup, thread),
            ready: 0,
            open: 0,
            ramp: Ramp::new(share),
            moves: Moves::new(&setup, thread),
            watch: Watch::default(),
            dials_waiting: VecDeque::new(),
            dials: 0,
            in_flight: 0,
            has_slow_readers: setup.scenario.roles.iter().any(|role| role.reading != Reading::Quick),
            sated_until_ns: HashMap::new(),
            buffer: vec![0; READ_BYTES],
            heads: HashMap::new(),
            outgoing: Vec::new(),
            out: Out::default(),
            gear: Gear {
                inflater: Inflater::new(),
                limits: Limits {
                    message_bytes_max: setup.payload_bytes_max() * 2 + ENVELOPE_BYTES_MAX,
                    fragments_max: u32::MAX,
                    inflate_ratio_max: u32::MAX,
                },
                masks: seeded(setup.scenario.seed, [0x3a, thread.into()]),
            },
            setup,
        };
        Ok((worker, Handle { commands: command_sender, waker }))
    }

    /// Runs until told to finish.
    pub(crate) fn run(mut self) {
        let reports = self.reports.clone();
        let report = match self.turn_until_finished() {
            Ok(()) => {
                let mut record = self.traffic.close();
                record.account.missing = self.moves.missing_count().into();
                Report::Finished(Box::new(record))
            }
            Err(error) => Report::Broken(error.into()),
        };
        // Nobody listens any more when the main thread has given up: then there is nobody to tell.
        let _ = reports.send(report);
    }

    fn turn_until_finished(&mut self) -> io::Result<()> {
        self.look_at_clock();
        self.plan_ahead(0, Due::Snapshot);
        self.plan_keepalive();
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut looked_ns = self.own_ns;
        while self.life != Life::Finished {
            self.do_what_is_due();
            // Also since the alarm is set by it: what is due next is not to be late by what took so long now.
            self.look_at_clock();
            let asked_ns = self.own_ns;
            let phase = self.traffic.when().phase;
            self.traffic.recorder().look(phase, asked_ns - looked_ns);
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
            looked_ns = self.own_ns;
            self.note_oversleep(asked_ns);
            for event in &events {
                match event.token() {
                    WAKE => self.obey(),
                    ALARM => self.alarm.went_off(),
                    Token(slot) => {
                        let lane = if slot & SIDE == 0 { Lane::Main } else { Lane::Side };
                        self.on_event(Slot(slot as u32), lane, event);
                    }
                }
            }
        }
        Ok(())
    }

    /// Since the alarm should have woken the thread, which has waited since `asked_ns`, nobody has looked at the sockets either.
    /// (A stop by a signal ends the wait without the alarm.)
    fn note_oversleep(&mut self, asked_ns: u64) {
        let late_ns = self.alarm.overdue_ns(self.now_ns).min(self.own_ns - asked_ns);
        if late_ns > 0 {
            let phase = self.traffic.when().phase;
            self.traffic.recorder().overslept(phase, late_ns);
        }
    }

    fn look_at_clock(&mut self) {
        self.own_ns = self.setup.clock.own_ns();
        self.now_ns = self.setup.clock.at(self.own_ns);
        self.traffic.at(self.now_ns);
    }

    /// Puts it on the agenda, so far ahead.
    fn plan_ahead(&mut self, wait_ns: u64, due: Due) {
        self.agenda.push(Reverse((self.now_ns.saturating_add(wait_ns), due)));
    }

    fn next_due_ns(&self) -> u64 {
        let on_agenda = self.agenda.peek().map_or(u64::MAX, |Reverse((due_ns, _))| *due_ns);
        on_agenda.min(self.publications.next_due_ns())
    }

    /// Everything up to now: what is on the agenda, then publications. Some of it reads, and who reads looks for what is due:
    /// not within each other.
    fn do_what_is_due(&mut self) {
        if mem::replace(&mut self.is_busy, true) {
            return;
        }
        self.do_all_that_is_due();
        self.is_busy = false;
    }

    fn do_all_that_is_due(&mut self) {
        let now_ns = self.now_ns;
        while let Some(&Reverse((due_ns, due))) = self.agenda.peek()
            && due_ns <= now_ns
        {
            self.agenda.pop();
            match due {
                Due::Phase(place) => self.begin_phase(place as usize),
                Due::Dial => self.dial_next(due_ns),
                Due::DialWaiting => self.dial_waiting(),
                Due::Redial(slot) => self.redial(slot, due_ns),
                Due::Deadline(slot, dial) => self.on_deadline(slot, dial),
                Due::Leave(slot, dial) => self.leave(slot, dial),
                Due::Retire => self.retire_one(),
                Due::Presence(slot, dial) => self.change_presence(slot, dial),
                Due::Resume(slot, dial) => self.resume(slot, dial),
                Due::Keepalive(part) => self.keep_alive(part, due_ns),
                Due::Snapshot => self.watch(),
            }
        }
        while let Some((due_ns, slot)) = self.publications.next(now_ns, &self.timetable) {
            self.publish(slot, due_ns);
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Timetable(timetable) => self.take_timetable(timetable),
                Command::StopPublishing => self.stop_publishing(),
                Command::Settle => {
                    let published = self.traffic.published(self.setup.plan.stream_count());
                    let _ = self.reports.send(Report::Published(Box::new(published)));
                }
                Command::Expect(everybody) => self.traffic.learn(everybody),
                Command::Finish => {
                    self.stop_publishing();
                    self.close_all();
                }
            }
        }
    }

    fn take_timetable(&mut self, timetable: Arc<Timetable>) {
        self.traffic.set_timetable(Arc::clone(&timetable));
        self.timetable = timetable;
        self.publications.on_timetable(&self.timetable);
        let spans = self.timetable.spans();
        for (place, span) in (0..).zip(spans).skip(self.phases_planned) {
            self.agenda.push(Reverse((span.start_ns, Due::Phase(place))));
        }
        self.phases_planned = spans.len();
        if spans.iter().any(Span::publishes) {
            self.begin_moves();
        }
    }

    fn stop_publishing(&mut self) {
        self.give_up_publishing();
        self.agenda.retain(|Reverse((_, due))| {
            !matches!(due, Due::Leave(..) | Due::Retire | Due::Presence(..) | Due::Phase(_))
        });
        self.moves.stop();
        self.read_freely();
    }

    fn conn_id(&self, slot: Slot) -> ConnId {
        self.setup.plan.conn_at(self.thread, slot)
    }
}
