//! The coordinator's end: connects to agents, gives each its part, keeps their clocks, and makes a crew of them.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{
        Arc, Mutex, PoisonError,
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
        worker::{Command, Report},
    },
    host::clock::Clock,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// To resolve a target, mint tokens and start threads.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(120);
/// How often an agent's clock is looked at while the run goes on, and before it.
const SYNC_EVERY: Duration = Duration::from_secs(1);
const SYNCS_BEFORE: usize = 16;
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
    #[error("it ended the connection: it may know another secret")]
    Ended,
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
        let connect = |address: &String| {
            Link::connect(address, secret).map_err(|fault| LinkError { agent: address.clone(), fault })
        };
        Ok(Self { links: addresses.iter().map(connect).collect::<Result<_, _>>()? })
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
        let facts: Arc<Mutex<Vec<AgentFacts>>> = Arc::default();
        let (mut members, mut joins): (Vec<Box<dyn Obey>>, Vec<JoinHandle<()>>) = (Vec::new(), Vec::new());
        let mut first_thread = 0;
        for (index, mut link) in self.links.into_iter().enumerate() {
            let part = Task { first_thread, threads: link.threads, threads_total, ..task.clone() };
            let sync = link.prepare(part, clock).map_err(|fault| link.error(fault))?;
            lock(&facts).push(link.facts.clone());
            let (asks, unsent) = mpsc::channel();
            let Link { stream, sealer, opener, facts: AgentFacts { name, .. }, threads, .. } = link;
            let writer =
                stream.try_clone().map_err(|error| LinkError { agent: name.clone(), fault: error.into() })?;
            let writing_clock = clock.clone();
            joins.push(thread::spawn(move || write_asks(writer, sealer, &unsent, &writing_clock)));
            let mut reading = Reading {
                index,
                name,
                first_thread,
                threads_left: threads,
                clock: clock.clone(),
                sync,
                asks: asks.clone(),
                reports: reports.clone(),
                facts: Arc::clone(&facts),
            };
            joins.push(thread::spawn(move || reading.read_all(stream, opener)));
            members.push(Box::new(Member(asks)));
            first_thread += threads;
        }
        Ok(Hired { crew: Crew { members, threads: threads_total as usize, reports: received, joins }, facts })
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
        link.ask(&Ask::Hello)?;
        let Answer::Hello { host, cores, threads } = link.answer()? else { return Err(LinkFault::OutOfTurn) };
        link.facts = AgentFacts { host, cores, ..link.facts };
        link.threads = threads;
        Ok(link)
    }

    /// Hands over the agent's part and sets its clock.
    fn prepare(&mut self, part: Task, clock: &Clock) -> Result<ClockSync, LinkFault> {
        self.ask(&Ask::Prepare(Box::new(part)))?;
        let answer = self.answer()?;
        if let Answer::Refused(reason) = answer {
            return Err(LinkFault::Refused(reason));
        }
        if !matches!(answer, Answer::Ready) {
            return Err(LinkFault::OutOfTurn);
        }
        let mut sync = ClockSync::default();
        for _ in 0..SYNCS_BEFORE {
            self.ask(&Ask::Time { asked_ns: clock.now_ns() })?;
            let mut answer = self.answer()?;
            // Its threads are there already, and say so.
            while matches!(answer, Answer::Snapshot { .. }) {
                answer = self.answer()?;
            }
            let Answer::Time { asked_ns, agent_ns } = answer else { return Err(LinkFault::OutOfTurn) };
            let estimate = sync.add(Exchange { asked_ns, agent_ns, answered_ns: clock.now_ns() });
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

    fn answer(&mut self) -> Result<Answer, LinkFault> {
        loop {
            if let Some(body) = self.opener.open()? {
                return sonic_rs::from_slice(body).map_err(LinkFault::Message);
            }
            match self.stream.read(&mut self.buffer)? {
                0 => return Err(LinkFault::Ended),
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
    threads_left: u32,
    clock: Clock,
    sync: ClockSync,
    asks: Sender<Ask>,
    reports: Sender<Report>,
    facts: Arc<Mutex<Vec<AgentFacts>>>,
}

impl Reading {
    fn read_all(&mut self, mut stream: TcpStream, mut opener: Opener) {
        if let Err(fault) = self.read_until_finished(&mut stream, &mut opener) {
            let error = LinkError { agent: self.name.clone(), fault };
            let _ = self.reports.send(Report::Broken(io::Error::other(error)));
        }
    }

    fn read_until_finished(&mut self, stream: &mut TcpStream, opener: &mut Opener) -> Result<(), LinkFault> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while let Some(body) = opener.open()? {
                let answer = sonic_rs::from_slice(body).map_err(LinkFault::Message)?;
                self.take_in(answer)?;
                if self.threads_left == 0 {
                    return Ok(());
                }
            }
            match stream.read(&mut buffer) {
                Ok(0) => return Err(LinkFault::Ended),
                Ok(count) => opener.feed(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take_in(&mut self, answer: Answer) -> Result<(), LinkFault> {
        let report = match answer {
            Answer::Time { asked_ns, agent_ns } => {
                let exchange = Exchange { asked_ns, agent_ns, answered_ns: self.clock.now_ns() };
                let estimate = self.sync.add(exchange);
                let _ = self.asks.send(Ask::Offset { offset_ns: estimate.offset_ns });
                self.note(|facts| facts.clock_error_ns = facts.clock_error_ns.max(estimate.error_ns));
                return Ok(());
            }
            Answer::Memory { bytes } => {
                self.note(|facts| facts.memory_bytes = bytes);
                return Ok(());
            }
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
            Answer::Broken(reason) => {
                Report::Broken(io::Error::other(format!("agent {}: {reason}", self.name)))
            }
            Answer::Hello { .. } | Answer::Ready | Answer::Refused(_) => return Err(LinkFault::OutOfTurn),
        };
        let _ = self.reports.send(report);
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut AgentFacts)) {
        if let Some(facts) = lock(&self.facts).get_mut(self.index) {
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
            return;
        }
    }
}

/// A thread that panicked while it noted something has left facts that are still facts.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
