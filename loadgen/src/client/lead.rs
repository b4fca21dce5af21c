//! Leads a run through its phases: connect, publish (warm-up and measured), drain, close.
//!
//! The threads do the work; this one looks at their reports, says when the next phase begins, and
//! shows how far it has come.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    cli::args::Mode,
    client::traffic::Start,
    client::worker::{Command, Handle, Outcome, Report, Setup, Snapshot, Worker},
    report::format,
    report::progress::Phase,
};

/// The main thread looks at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// From the order to publish to the first message, so that all threads are there in time.
const START_AHEAD: Duration = Duration::from_millis(100);
/// When everything has arrived, duplicates may still come: this long they are waited for.
const AFTERMATH: Duration = Duration::from_millis(500);
/// Threads have this long to close all connections.
const FINISH_TIMEOUT: Duration = Duration::from_secs(20);
/// When so many connections have failed and none succeeded, the rest need not be tried.
const HOPELESS_FAILURES: u64 = 200;

/// What a run leaves behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// By thread.
    pub(crate) outcomes: Vec<Outcome>,
    /// Length of the measured phase: shorter than planned when it was interrupted.
    pub(crate) measured: Duration,
    /// Resident memory of this process when publishing ended.
    pub(crate) memory_bytes: u64,
    pub(crate) interrupted: bool,
}

/// Why a run came to no end of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("an event loop failed: {0}")]
    EventLoop(#[from] io::Error),
    #[error("a thread ended without a report")]
    ThreadLost,
}

/// Runs it. Setting `interrupted` ends it early, with a report of what there is.
pub(crate) fn run(setup: Setup, interrupted: &AtomicBool) -> Result<Finished, RunError> {
    let mut lead = Lead::spawn(setup, interrupted)?;
    let mut measured = Duration::ZERO;
    if lead.connect()? {
        measured = lead.publish()?;
        lead.drain()?;
    }
    let memory_bytes = resident_bytes();
    Ok(Finished {
        outcomes: lead.finish()?,
        measured,
        memory_bytes,
        interrupted: interrupted.load(Ordering::Relaxed),
    })
}

/// The main thread's view of the run.
struct Lead<'i> {
    setup: Arc<Setup>,
    interrupted: &'i AtomicBool,
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    reports: Receiver<Report>,
    /// The latest of each thread.
    snapshots: Vec<Snapshot>,
    settled: usize,
    /// By room.
    members: Vec<u32>,
    outcomes: Vec<Outcome>,
}

impl<'i> Lead<'i> {
    fn spawn(setup: Setup, interrupted: &'i AtomicBool) -> io::Result<Self> {
        let setup = Arc::new(setup);
        let count = setup.plan.threads();
        let (sender, reports) = mpsc::channel();
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for thread in 0..count {
            let (worker, handle) = Worker::new(Arc::clone(&setup), thread, sender.clone())?;
            let name = format!("loadgen-{thread}");
            threads.push(thread::Builder::new().name(name).spawn(move || worker.run())?);
            handles.push(handle);
        }
        Ok(Self {
            interrupted,
            handles,
            threads,
            reports,
            snapshots: vec![Snapshot::default(); count as usize],
            settled: 0,
            members: vec![0; setup.plan.rooms() as usize],
            outcomes: Vec::new(),
            setup,
        })
    }

    /// Until every connection was tried; whether there is anything to go on with.
    fn connect(&mut self) -> Result<bool, RunError> {
        let total = u64::from(self.setup.config.conns);
        let mut phase = Phase::begin("connecting", Some(total));
        let settled = loop {
            self.look()?;
            let (ready, failed) = (self.sum(|s| s.ready.into()), self.sum(|s| s.failed.into()));
            phase.connecting(ready, failed, total);
            if self.settled == self.handles.len() {
                break true;
            }
            if self.is_interrupted() || (ready == 0 && failed >= HOPELESS_FAILURES.min(total)) {
                break false;
            }
        };
        let ready = self.sum(|s| s.ready.into());
        let gave_up = if settled || self.is_interrupted() { "" } else { " (all failed so far: gave up)" };
        phase.end(&format!("{} of {} connections{gave_up}", format::count(ready), format::count(total)));
        Ok(settled && ready > 0)
    }

    /// Warm-up and measured phase; gives how long the latter was.
    fn publish(&mut self) -> Result<Duration, RunError> {
        let config = &self.setup.config;
        let (mode, warmup, publishing) = (config.mode, config.warmup, config.publishing());
        let begin = Instant::now() + START_AHEAD;
        let at_ns = self.setup.clock.now_ns() + nanos(START_AHEAD);
        let measured_ns = at_ns + nanos(warmup)..at_ns + nanos(publishing);
        let members: Arc<[u32]> = std::mem::take(&mut self.members).into();
        for handle in &self.handles {
            handle.send(Command::Start(Start {
                at_ns,
                measured_ns: measured_ns.clone(),
                members: Arc::clone(&members),
            }))?;
        }
        let mut phase = Phase::begin(
            if warmup.is_zero() { "running" } else { "warm-up" },
            Some(nanos(publishing) / 1_000_000),
        );
        let mut warming = !warmup.is_zero();
        loop {
            self.look()?;
            let elapsed = begin.elapsed();
            if warming && elapsed >= warmup {
                warming = false;
                phase.rename("running");
            }
            match mode {
                Mode::Idle => phase.holding(elapsed, self.sum(|s| s.ready.into())),
                Mode::Fanout | Mode::Churn | Mode::Echo => {
                    phase.publishing(elapsed, self.sum(|s| s.sent), self.sum(|s| s.delivered));
                }
            }
            let all_gone = self.sum(|s| s.ready.into()) == 0;
            let over = elapsed >= publishing && self.snapshots.iter().all(|s| s.published);
            if over || all_gone || self.is_interrupted() {
                break;
            }
        }
        for handle in &self.handles {
            handle.send(Command::StopPublishing)?;
        }
        let elapsed = begin.elapsed().min(publishing);
        phase.end(&match mode {
            Mode::Idle => "held the connections".to_owned(),
            Mode::Fanout | Mode::Churn | Mode::Echo => {
                let (sent, delivered) = (self.sum(|s| s.sent), self.sum(|s| s.delivered));
                format!("{} messages, {} deliveries", format::count(sent), format::count(delivered))
            }
        });
        Ok(elapsed.saturating_sub(warmup))
    }

    /// Until nothing is missing, or for as long as may be waited.
    fn drain(&mut self) -> Result<(), RunError> {
        if self.setup.config.mode == Mode::Idle {
            return Ok(());
        }
        let mut phase = Phase::begin("draining", None);
        let deadline = Instant::now() + self.setup.config.drain_timeout;
        let mut complete = None;
        loop {
            // The first look may still show what was before the last publication.
            self.look()?;
            let missing = self.sum(|s| s.owed).saturating_sub(self.sum(|s| s.paid));
            let unanswered = self.sum(|s| s.unanswered);
            phase.draining(missing, unanswered);
            let published = self.snapshots.iter().all(|s| s.published);
            if published && missing == 0 && unanswered == 0 {
                let since: &mut Instant = complete.get_or_insert_with(Instant::now);
                if since.elapsed() >= AFTERMATH {
                    phase.end("everything arrived");
                    return Ok(());
                }
            } else {
                complete = None;
            }
            let all_gone = self.sum(|s| s.ready.into()) == 0;
            if complete.is_none() && (all_gone || Instant::now() >= deadline) {
                phase.end(&format!(
                    "{} deliveries and {} acks did not come",
                    format::count(missing),
                    format::count(unanswered)
                ));
                return Ok(());
            }
        }
    }

    /// Closes everything and collects the outcomes.
    fn finish(mut self) -> Result<Vec<Outcome>, RunError> {
        for handle in &self.handles {
            handle.send(Command::Finish)?;
        }
        let deadline = Instant::now() + FINISH_TIMEOUT;
        while self.outcomes.len() < self.handles.len() {
            self.look()?;
            if Instant::now() >= deadline {
                return Err(RunError::ThreadLost);
            }
        }
        for thread in self.threads {
            thread.join().map_err(|_| RunError::ThreadLost)?;
        }
        self.outcomes.sort_by_key(|outcome| outcome.thread);
        Ok(self.outcomes)
    }

    /// Takes in reports, for [`LOOK_EVERY`].
    fn look(&mut self) -> Result<(), RunError> {
        let until = Instant::now() + LOOK_EVERY;
        loop {
            let report = match self.reports.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(report) => report,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) if self.outcomes.len() == self.handles.len() => {
                    return Ok(());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::ThreadLost),
            };
            match report {
                Report::Snapshot { thread, snapshot } => self.snapshots[thread as usize] = snapshot,
                Report::Settled { members } => {
                    self.settled += 1;
                    self.members.iter_mut().zip(members).for_each(|(sum, more)| *sum += more);
                }
                Report::Finished(outcome) => self.outcomes.push(*outcome),
                Report::Broken(error) => return Err(error.into()),
            }
        }
    }

    fn sum(&self, of: impl Fn(&Snapshot) -> u64) -> u64 {
        self.snapshots.iter().map(of).sum()
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// From `/proc/self/status`; 0 where there is none.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
