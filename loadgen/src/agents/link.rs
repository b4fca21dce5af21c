//! The coordinator's end: connects to agents, gives each its part, keeps their clocks, and makes a crew of them.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    panic,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    agents::{
        clock_sync::{ClockSync, Exchange},
        message::{Answer, Ask, Task},
        seal::{self, GREETING_BYTES, Greeting, Opener, Sealer, Side, Unsealed},
    },
    client::{
        crew::{Crew, Obey},
        worker::{Broken, Command, Report},
    },
    host::clock::Clock,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// To resolve a target, mint tokens and start threads.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(120);
/// Threads tell how they stand some times a second.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often an agent's clock is looked at while the run goes on, and before it.
const SYNC_EVERY: Duration = Duration::from_secs(1);
const SYNCS_BEFORE: usize = 16;
/// Agents that wait for others hear so often that the coordinator is still there.
const HELLO_EVERY: Duration = Duration::from_secs(5);
/// No agent has more threads.
const THREADS_MAX: u32 = 256;
const READ_BYTES: usize = 256 << 10;

/// Why there is no crew.
#[derive(Debug, thiserror::Error)]
#[error("agent {agent}: {fault}")]
pub(crate) struct LinkError {
    agent: String,
    fault: LinkFault,
}

impl LinkError {
    /// Whether the agent is there and obeys, but cannot carry out what it was given.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.fault, LinkFault::Refused(_))
    }
}

#[derive(Debug, thiserror::Error)]
enum LinkFault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unsealed(#[from] Unsealed),
    #[error("it ended the connection before it said anything: it may know another secret")]
    Stranger,
    #[error("it has gone")]
    Gone,
    #[error("nothing was heard of it for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("a message of it is none: {0}")]
    Message(sonic_rs::Error),
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("it answered something else than it was asked")]
    OutOfTurn,
    #[error("the system has no random numbers")]
    NoRandom,
}

/// Agents that are there and have no part yet.
pub(crate) struct Agents {
    links: Vec<Link>,
}

/// What became known of an agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct AgentFacts {
    /// As it was named on the command line.
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) cores: u32,
    pub(crate) memory_bytes: u64,
    /// Its clock was wrong by this at most, whenever it was set.
    pub(crate) clock_error_ns: u64,
    /// Limits of its machine that are too low for its part, a line each.
    pub(crate) limits: Vec<String>,
}

/// A crew of agents, and what becomes known of them.
pub(crate) struct Hired {
    pub(crate) crew: Crew,
    pub(crate) facts: Arc<Mutex<Vec<AgentFacts>>>,
}

struct Link {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
    buffer: Vec<u8>,
    facts: AgentFacts,
    threads: u32,
}

impl Agents {
    /// Connects to all of them.
    ///
    /// # Errors
    /// When one is not there, or does not know the secret.
    pub(crate) fn connect(addresses: &[String], secret: &[u8]) -> Result<Self, LinkError> {
        let others = Others { missing: Mutex::new(addresses.len()), changed: Condvar::new() };
        let connect = |address: &String| {
            let link = Link::connect(address, secret);
            others.one_is_done();
            let mut link = link?;
            while !others.are_done_within(HELLO_EVERY) {
                link.hello()?;
            }
            Ok(link)
        };
        let links = at_once(addresses, |address| {
            connect(address).map_err(|fault| LinkError { agent: address.clone(), fault })
        });
        Ok(Self { links: links.into_iter().collect::<Result<_, _>>()? })
    }

    /// Threads of all.
    pub(crate) fn threads(&self) -> u32 {
        self.links.iter().map(|link| link.threads).sum()
    }

    /// Gives each its part of `task` (whose threads are filled in here), and sets its clock by `clock`.
    ///
    /// # Errors
    /// When one cannot take part.
    pub(crate) fn hire(self, task: &Task, clock: &Clock) -> Result<Hired, LinkError> {
        let threads_total = self.threads();
        let (reports, received) = mpsc::channel();
        let facts: Vec<AgentFacts> = self.links.iter().map(|link| link.facts.clone()).collect();
        let facts = Arc::new(Mutex::new(facts));
        let mut first_thread = 0;
        let mut parts = Vec::new();
        for (index, link) in self.links.into_iter().enumerate() {
            let part = Task { first_thread, threads: link.threads, threads_total, ..task.clone() };
            first_thread += link.threads;
            parts.push((index, part, link));
        }
        let round_trip_ns = Arc::new(AtomicU64::new(0));
        // Who is ready hears from the coordinator from then on, however long the others take.
        let hired = at_once(parts, |(index, part, link)| {
            let shared = Shared { facts: Arc::clone(&facts), round_trip_ns: Arc::clone(&round_trip_ns) };
            link.start(index, part, clock, reports.clone(), shared)
        });
        let (mut members, mut joins): (Vec<Box<dyn Obey>>, Vec<JoinHandle<()>>) = (Vec::new(), Vec::new());
        if hired.iter().any(Result::is_err) {
            hired.iter().flatten().for_each(Started::dismiss);
        }
        for started in hired {
            let Started { member, threads, .. } = started?;
            members.push(Box::new(member));
            joins.extend(threads);
        }
        let crew = Crew { members, threads: threads_total as usize, reports: received, joins, round_trip_ns };
        Ok(Hired { crew, facts })
    }
}

/// What becomes known of all agents.
struct Shared {
    facts: Arc<Mutex<Vec<AgentFacts>>>,
    /// The longest of any.
    round_trip_ns: Arc<AtomicU64>,
}

impl Shared {
    fn saw(&self, exchange: Exchange) {
        self.round_trip_ns.fetch_max(exchange.round_trip_ns(), Ordering::Relaxed);
    }
}

/// An agent that has its part.
struct Started {
    member: Member,
    stream: TcpStream,
    threads: [JoinHandle<()>; 2],
}

impl Started {
    /// There will be no run: the threads end with the connection.
    fn dismiss(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// An agent in a crew.
struct Member(Sender<Ask>);

impl Obey for Member {
    fn obey(&self, command: Command) -> io::Result<()> {
        // When it has gone, its reader has said so.
        let _ = self.0.send(Ask::Obey(command));
        Ok(())
    }
}

impl Link {
    fn connect(address: &str, secret: &[u8]) -> Result<Self, LinkFault> {
        let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
        for resolved in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&resolved, CONNECT_TIMEOUT) {
                Ok(stream) => return Self::greet(stream, address, secret),
                Err(error) => failure = error,
            }
        }
        Err(failure.into())
    }

    fn greet(mut stream: TcpStream, name: &str, secret: &[u8]) -> Result<Self, LinkFault> {
        stream.set_nodelay(true)?;
        // It may have to finish with another coordinator first.
        stream.set_read_timeout(Some(PREPARE_TIMEOUT))?;
        let ours = Greeting::new().ok_or(LinkFault::NoRandom)?;
        stream.write_all(ours.bytes())?;
        let mut bytes = [0; GREETING_BYTES];
        stream.read_exact(&mut bytes)?;
        let theirs = Greeting::read(bytes)?;
        let (sealer, opener) = seal::keys(secret, &ours, &theirs, Side::Coordinator);
        let facts = AgentFacts { name: name.to_owned(), ..AgentFacts::default() };
        let mut link = Self { stream, sealer, opener, buffer: vec![0; READ_BYTES], facts, threads: 0 };
        // Who cannot open what we seal goes without a word.
        let greeted = link.hello();
        if matches!(greeted, Err(LinkFault::Gone)) { Err(LinkFault::Stranger) } else { greeted }?;
        Ok(link)
    }

    /// Asks who it is, and thereby shows that somebody is there.
    fn hello(&mut self) -> Result<(), LinkFault> {
        self.ask(&Ask::Hello)?;
        let Answer::Hello { host, cores, threads } = self.answer()? else { return Err(LinkFault::OutOfTurn) };
        if !(1..=THREADS_MAX).contains(&threads) {
            return Err(LinkFault::OutOfTurn);
        }
        self.facts.host = host;
        self.facts.cores = cores;
        self.threads = threads;
        Ok(())
    }

    /// Hands over the agent's part, then speaks and listens by threads of its own.
    fn start(
        mut self,
        index: usize,
        part: Task,
        clock: &Clock,
        reports: Sender<Report>,
        shared: Shared,
    ) -> Result<Started, LinkError> {
        let first_thread = part.first_thread;
        let sync = self.prepare(part, clock, &shared).map_err(|fault| self.error(fault))?;
        let (writer, kept) = (self.stream.try_clone(), self.stream.try_clone());
        let writer = writer.map_err(|error| self.error(error.into()))?;
        let kept = kept.map_err(|error| self.error(error.into()))?;
        if let Some(known) = lock(&shared.facts).get_mut(index) {
            known.clone_from(&self.facts);
        }
        let (asks, unsent) = mpsc::channel();
        let Self { stream, sealer, opener, facts: AgentFacts { name, .. }, threads, .. } = self;
        let writing_clock = clock.clone();
        let writing = thread::spawn(move || write_asks(writer, sealer, &unsent, &writing_clock));
        let mut reading = Reading {
            index,
            name,
            first_thread,
            threads,
            threads_left: threads,
            clock: clock.clone(),
            sync,
            asks: asks.clone(),
            reports,
            shared,
        };
        let reading = thread::spawn(move || reading.read_all(stream, opener));
        Ok(Started { member: Member(asks), stream: kept, threads: [writing, reading] })
    }

    /// Hands over the agent's part and sets its clock.
    fn prepare(&mut self, part: Task, clock: &Clock, shared: &Shared) -> Result<ClockSync, LinkFault> {
        self.ask(&Ask::Prepare(Box::new(part)))?;
        match self.answer_in_turn()? {
            Answer::Ready { limits } => self.facts.limits = limits,
            Answer::Refused(reason) => return Err(LinkFault::Refused(reason)),
            Answer::Hello { .. }
            | Answer::Time { .. }
            | Answer::Snapshot { .. }
            | Answer::Settled { .. }
            | Answer::Published(_)
            | Answer::Memory { .. }
            | Answer::Finished(_)
            | Answer::Broken(_) => return Err(LinkFault::OutOfTurn),
        }
        let mut sync = ClockSync::default();
        for _ in 0..SYNCS_BEFORE {
            self.ask(&Ask::Time { asked_ns: clock.now_ns() })?;
            let Answer::Time { asked_ns, agent_ns } = self.answer_in_turn()? else {
                return Err(LinkFault::OutOfTurn);
            };
            let exchange = Exchange { asked_ns, agent_ns, answered_ns: clock.now_ns() };
            shared.saw(exchange);
            let estimate = sync.add(exchange);
            self.facts.clock_error_ns = estimate.error_ns;
            self.ask(&Ask::Offset { offset_ns: estimate.offset_ns })?;
        }
        Ok(sync)
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), LinkFault> {
        let body = sonic_rs::to_vec(ask).map_err(LinkFault::Message)?;
        self.stream.write_all(&self.sealer.seal(&body)?)?;
        Ok(())
    }

    /// To what was asked: its threads may be there already, and tell how they stand.
    fn answer_in_turn(&mut self) -> Result<Answer, LinkFault> {
        loop {
            let answer = self.answer()?;
            if let Answer::Broken(reason) = answer {
                return Err(LinkFault::Refused(reason));
            }
            if !matches!(answer, Answer::Snapshot { .. }) {
                return Ok(answer);
            }
        }
    }

    fn answer(&mut self) -> Result<Answer, LinkFault> {
        loop {
            if let Some(body) = self.opener.open()? {
                return sonic_rs::from_slice(body).map_err(LinkFault::Message);
            }
            match self.stream.read(&mut self.buffer)? {
                0 => return Err(LinkFault::Gone),
                count => self.opener.feed(&self.buffer[..count]),
            }
        }
    }

    fn error(&self, fault: LinkFault) -> LinkError {
        LinkError { agent: self.facts.name.clone(), fault }
    }
}

/// What one agent says while the run goes on.
struct Reading {
    index: usize,
    name: String,
    first_thread: u32,
    threads: u32,
    threads_left: u32,
    clock: Clock,
    sync: ClockSync,
    asks: Sender<Ask>,
    reports: Sender<Report>,
    shared: Shared,
}

impl Reading {
    fn read_all(&mut self, mut stream: TcpStream, mut opener: Opener) {
        if let Err(fault) = self.read_until_finished(&mut stream, &mut opener) {
            let _ = self.reports.send(Report::Broken(Broken::Agent(self.name.clone(), fault.to_string())));
        }
    }

    fn read_until_finished(&mut self, stream: &mut TcpStream, opener: &mut Opener) -> Result<(), LinkFault> {
        let mut buffer = vec![0; READ_BYTES];
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        loop {
            while let Some(body) = opener.open()? {
                let answer = sonic_rs::from_slice(body).map_err(LinkFault::Message)?;
                self.take_in(answer)?;
                if self.threads_left == 0 {
                    return Ok(());
                }
            }
            match stream.read(&mut buffer) {
                Ok(0) => return Err(LinkFault::Gone),
                Ok(count) => opener.feed(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(LinkFault::Silent(SILENCE_MAX));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take_in(&mut self, answer: Answer) -> Result<(), LinkFault> {
        let report = match answer {
            Answer::Time { asked_ns, agent_ns } => {
                let exchange = Exchange { asked_ns, agent_ns, answered_ns: self.clock.now_ns() };
                self.shared.saw(exchange);
                let estimate = self.sync.add(exchange);
                let _ = self.asks.send(Ask::Offset { offset_ns: estimate.offset_ns });
                self.note(|facts| facts.clock_error_ns = facts.clock_error_ns.max(estimate.error_ns));
                return Ok(());
            }
            Answer::Memory { bytes } => {
                self.note(|facts| facts.memory_bytes = bytes);
                return Ok(());
            }
            Answer::Snapshot { thread, .. } if thread >= self.threads => return Err(LinkFault::OutOfTurn),
            Answer::Snapshot { thread, snapshot, second } => {
                Report::Snapshot { thread: self.first_thread + thread, snapshot, second }
            }
            Answer::Settled { phase } => Report::Settled { phase },
            Answer::Published(published) => Report::Published(published),
            Answer::Finished(mut record) => {
                self.threads_left -= 1;
                record.threads.iter_mut().for_each(|thread| thread.agent = self.index as u32);
                Report::Finished(record)
            }
            Answer::Broken(reason) => Report::Broken(Broken::Agent(self.name.clone(), reason)),
            Answer::Hello { .. } | Answer::Ready { .. } | Answer::Refused(_) => {
                return Err(LinkFault::OutOfTurn);
            }
        };
        let _ = self.reports.send(report);
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut AgentFacts)) {
        if let Some(facts) = lock(&self.shared.facts).get_mut(self.index) {
            change(facts);
        }
    }
}

/// Hands over what there is to say, and asks for the time in between, until nobody has anything to say any more.
fn write_asks(mut stream: TcpStream, mut sealer: Sealer, unsent: &Receiver<Ask>, clock: &Clock) {
    loop {
        let ask = match unsent.recv_timeout(SYNC_EVERY) {
            Ok(ask) => ask,
            Err(RecvTimeoutError::Timeout) => Ask::Time { asked_ns: clock.now_ns() },
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let Ok(body) = sonic_rs::to_vec(&ask) else { return };
        let Ok(frame) = sealer.seal(&body) else { return };
        if stream.write_all(&frame).is_err() {
            // Its reader says so.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Those that are still being connected to.
struct Others {
    missing: Mutex<usize>,
    changed: Condvar,
}

impl Others {
    fn one_is_done(&self) {
        *lock(&self.missing) -= 1;
        self.changed.notify_all();
    }

    /// Waits, but no longer than that.
    fn are_done_within(&self, wait: Duration) -> bool {
        let missing = self.changed.wait_timeout_while(lock(&self.missing), wait, |missing| *missing > 0);
        let (missing, _) = missing.unwrap_or_else(PoisonError::into_inner);
        *missing == 0
    }
}

/// What comes of each, in their order; a thread for each.
fn at_once<T: Send, R: Send>(all: impl IntoIterator<Item = T>, each: impl Fn(T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let each = &each;
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(move || each(one))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|outcome| outcome.unwrap_or_else(|cause| panic::resume_unwind(cause))).collect()
    })
}

/// A thread that panicked while it noted something has left facts that are still facts.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
