//! Leads a run through its phases, then settles the accounts: what was published, what is still to come, what is lost.
//!
//! The threads do the work; this one keeps the timetable. Phases after a ramp follow each other without gaps, at times that all
//! threads know beforehand; a ramp lasts until every connection that it is about was tried.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::RecvTimeoutError,
    },
    time::{Duration, Instant},
};

use crate::{
    client::{
        crew::Crew,
        progress::{Progress, Stand},
        setup::Setup,
        worker::{Broken, Command, Report, Snapshot},
    },
    figures::record::{Record, SecondRecord},
    host::memory,
    plan::schedule::{Span, Timetable},
    scenario::{Phase, PhaseKind},
    truth::audit::Published,
};

/// The main thread looks at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A ramp's end is announced so much ahead, so that all threads are there in time, and so many round trips more where they are far
/// away: half of one would do, if nothing had to be sent again.
const START_AHEAD: Duration = Duration::from_millis(100);
const START_AHEAD_ROUND_TRIPS: u32 = 4;
/// A connection that once hung for long is not waited for so long.
const START_AHEAD_MAX: Duration = Duration::from_secs(10);
/// When everything has arrived, duplicates may still come: this long they are waited for.
const AFTERMATH: Duration = Duration::from_millis(500);
/// Threads have this long to say what they published, and to close all connections.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// When so many connections have failed and none succeeded, the rest need not be tried.
const HOPELESS_FAILURES: u64 = 200;

/// What a run leaves behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) record: Record,
    /// The phases that there were; the last one is shorter than planned when it was interrupted.
    pub(crate) spans: Vec<Span>,
    pub(crate) published: Arc<Published>,
    /// Resident memory of this process when publishing ended.
    pub(crate) memory_bytes: u64,
    pub(crate) interrupted: bool,
}

/// Why a run came to no end of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("a thread cannot be started or told: {0}")]
    Crew(#[from] io::Error),
    #[error("a thread ended without a report")]
    ThreadLost,
}

/// Runs it; `observe` is told some times a second how it stands. Setting `interrupted` ends it early, with what there is.
pub(crate) fn run(
    setup: Arc<Setup>,
    crew: Crew,
    interrupted: &AtomicBool,
    observe: &mut dyn FnMut(&Progress<'_>),
) -> Result<Finished, RunError> {
    let mut lead = Lead::new(setup, crew, interrupted, observe);
    lead.carry_out()?;
    let published = if lead.began { lead.drain()? } else { Arc::default() };
    let memory_bytes = memory::resident_bytes();
    lead.finish(published, memory_bytes)
}

impl Crew {
    /// How long before its time something has to be announced.
    fn start_ahead(&self) -> Duration {
        let round_trip = Duration::from_nanos(self.round_trip_ns.load(Ordering::Relaxed));
        let far = round_trip.checked_mul(START_AHEAD_ROUND_TRIPS).unwrap_or(START_AHEAD_MAX);
        START_AHEAD.saturating_add(far).min(START_AHEAD_MAX)
    }
}

/// The main thread's view of the run.
struct Lead<'r> {
    setup: Arc<Setup>,
    interrupted: &'r AtomicBool,
    observe: &'r mut dyn FnMut(&Progress<'_>),
    crew: Crew,
    timetable: Timetable,
    /// Publishing has begun.
    began: bool,
    /// The ramp that ended for want of patience, and what share it was about.
    unfinished: Option<(usize, f64)>,
    /// The latest of each thread, as are the seconds.
    snapshots: Vec<Snapshot>,
    seconds: Vec<SecondRecord>,
    /// By phase: threads that have settled this ramp, maybe before this one has turned to it.
    settled: Vec<usize>,
    published: Vec<Published>,
    records: Vec<Record>,
}

impl<'r> Lead<'r> {
    fn new(
        setup: Arc<Setup>,
        crew: Crew,
        interrupted: &'r AtomicBool,
        observe: &'r mut dyn FnMut(&Progress<'_>),
    ) -> Self {
        Self {
            interrupted,
            observe,
            snapshots: vec![Snapshot::default(); crew.threads],
            seconds: vec![SecondRecord::default(); crew.threads],
            crew,
            timetable: Timetable::default(),
            began: false,
            unfinished: None,
            settled: vec![0; setup.scenario.phases.len()],
            published: Vec::new(),
            records: Vec::new(),
            setup,
        }
    }

    /// All phases, or as many as there is anything to do in.
    fn carry_out(&mut self) -> Result<(), RunError> {
        let setup = Arc::clone(&self.setup);
        let phases = &setup.scenario.phases;
        self.append_phases(phases, 0)?;
        for (index, phase) in phases.iter().enumerate() {
            let goes_on = match phase.kind {
                PhaseKind::Ramp { share, per_s } => self.ramp(index, phase, share, per_s)?,
                PhaseKind::Steady
                | PhaseKind::Storm { .. }
                | PhaseKind::Spike { .. }
                | PhaseKind::Drain { .. } => self.hold(index)?,
            };
            if !goes_on {
                self.timetable.end_at(self.setup.clock.now_ns());
                return self.announce();
            }
            if matches!(phase.kind, PhaseKind::Ramp { .. }) {
                self.timetable.end_at(self.setup.clock.now_ns() + nanos(self.crew.start_ahead()));
                self.append_phases(phases, index + 1)?;
            }
        }
        Ok(())
    }

    /// Puts the phases from `index` on into the timetable, up to the next ramp, whose end nobody knows yet.
    fn append_phases(&mut self, phases: &[Phase], index: usize) -> Result<(), RunError> {
        for (index, phase) in phases.iter().enumerate().skip(index) {
            let is_ramp = matches!(phase.kind, PhaseKind::Ramp { .. });
            self.timetable.push(index, phase.kind, (!is_ramp).then(|| nanos(phase.duration)));
            if is_ramp {
                break;
            }
        }
        self.began |= self.timetable.spans().iter().any(Span::publishes);
        self.announce()
    }

    fn announce(&self) -> Result<(), RunError> {
        let timetable = Arc::new(self.timetable.clone());
        self.tell(&Command::Timetable(timetable))
    }

    /// Until every connection of the ramp was tried, or it takes too long; whether there is anything to go on with.
    fn ramp(&mut self, index: usize, phase: &Phase, share: f64, per_s: f64) -> Result<bool, RunError> {
        let start_ns = self.timetable.spans().get(index).map_or(0, |span| span.start_ns);
        let total = u64::from(self.setup.scenario.connections);
        let planned_s = if per_s > 0.0 { total as f64 * share / per_s } else { 0.0 };
        let planned = Duration::try_from_secs_f64(planned_s).unwrap_or(Duration::MAX);
        let limit_ns = start_ns.saturating_add(nanos(planned.saturating_add(phase.duration)));
        loop {
            self.look(index)?;
            let (ready, failed) = (self.sum(|it| it.ready.into()), self.sum(|it| it.failed));
            if self.is_interrupted() || (ready == 0 && failed >= HOPELESS_FAILURES.min(total)) {
                return Ok(false);
            }
            let is_settled = self.is_settled(index);
            if is_settled || self.setup.clock.now_ns() >= limit_ns {
                self.unfinished = (!is_settled).then_some((index, share));
                return Ok(ready > 0 || failed < total);
            }
        }
    }

    fn is_settled(&self, ramp: usize) -> bool {
        self.settled[ramp] == self.crew.threads
    }

    /// Until the phase is over; whether there is anything to go on with.
    fn hold(&mut self, index: usize) -> Result<bool, RunError> {
        let end_ns = self.timetable.spans().get(index).map_or(0, |span| span.end_ns);
        while self.setup.clock.now_ns() < end_ns {
            self.look(index)?;
            let all_gone = self.sum(|it| it.ready.into()) == 0 && !self.anybody_returns();
            if all_gone || self.is_interrupted() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether connections that are not there may come back.
    fn anybody_returns(&self) -> bool {
        let scenario = &self.setup.scenario;
        let later = |phase: &Phase| matches!(phase.kind, PhaseKind::Storm { .. } | PhaseKind::Ramp { .. });
        scenario.comes_back.is_some()
            || scenario.roles.iter().any(|role| role.reconnect.is_some())
            || scenario.phases.iter().skip(1).any(later)
    }

    /// Until nothing is missing, or for as long as may be waited. Gives what everybody published.
    fn drain(&mut self) -> Result<Arc<Published>, RunError> {
        let last = self.setup.scenario.phases.len();
        let deadline = Instant::now() + self.setup.scenario.drain_timeout;
        let is_late = || Instant::now() >= deadline;
        while !self.snapshots.iter().all(|it| it.published) && !is_late() {
            self.look(last)?;
        }
        self.tell(&Command::StopPublishing)?;
        // The first look may still show what was before the last publication.
        self.look(last)?;
        while (self.sum(|it| it.unanswered) > 0 || self.is_anybody_missing()) && !is_late() {
            self.look(last)?;
        }
        self.tell(&Command::Settle)?;
        let give_up = Instant::now() + ANSWER_TIMEOUT;
        while self.published.len() < self.crew.threads {
            self.look(last)?;
            if Instant::now() >= give_up {
                return Err(RunError::ThreadLost);
            }
        }
        let mut published = Published::new(self.setup.plan.stream_count());
        self.published.drain(..).for_each(|part| published.merge(part));
        let everybody = Arc::new(published);
        self.tell(&Command::Expect(Arc::clone(&everybody)))?;
        self.wait_for_arrivals(last, deadline)?;
        Ok(everybody)
    }

    /// Whether connections are still to come back; who interrupts does not wait for them.
    fn is_anybody_missing(&self) -> bool {
        !self.is_interrupted() && self.sum(|it| it.missing.into()) > 0
    }

    /// Until everything that is expected has arrived and everybody is there, and then a little, or until the deadline.
    fn wait_for_arrivals(&mut self, last: usize, deadline: Instant) -> Result<(), RunError> {
        if self.setup.plan.stream_count() == 0 {
            return Ok(());
        }
        let mut complete_since: Option<Instant> = None;
        loop {
            self.look(last)?;
            if self.snapshots.iter().all(|it| it.awaited == Some(0)) && !self.is_anybody_missing() {
                let since = complete_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= AFTERMATH {
                    return Ok(());
                }
            } else {
                complete_since = None;
                if Instant::now() >= deadline {
                    return Ok(());
                }
            }
        }
    }

    /// Closes everything and collects the records.
    fn finish(mut self, published: Arc<Published>, memory_bytes: u64) -> Result<Finished, RunError> {
        self.tell(&Command::Finish)?;
        let last = self.setup.scenario.phases.len();
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while self.records.len() < self.crew.threads {
            self.look(last)?;
            if Instant::now() >= deadline {
                return Err(RunError::ThreadLost);
            }
        }
        let unopened = self.unopened();
        // Who hands commands on ends when there is nobody left to give any.
        let Crew { members, joins, .. } = self.crew;
        drop(members);
        for thread in joins {
            thread.join().map_err(|_| RunError::ThreadLost)?;
        }
        self.records.sort_by_key(|record| record.threads.first().map(|it| it.thread));
        let mut sum = Record::default();
        self.records.iter().for_each(|record| sum.merge(record));
        if let Some((ramp, never)) = unopened {
            sum.never_opened(ramp, never);
        }
        Ok(Finished {
            record: sum,
            spans: self.timetable.spans().to_vec(),
            published,
            memory_bytes,
            interrupted: self.interrupted.load(Ordering::Relaxed),
        })
    }

    /// The ramp that was cut short by its patience, and how many of its connections were not tried to the end by now.
    fn unopened(&self) -> Option<(usize, u64)> {
        let (ramp, share) = self.unfinished.filter(|_| !self.is_interrupted())?;
        let plan = &self.setup.plan;
        let wanted = (0..plan.threads()).map(|it| (f64::from(plan.share(it)) * share).round() as u64);
        Some((ramp, wanted.sum::<u64>().saturating_sub(self.sum(|it| it.tried.into()))))
    }

    /// Takes in reports, for [`LOOK_EVERY`], and shows how it stands in that phase (in none, when all are over).
    fn look(&mut self, phase: usize) -> Result<(), RunError> {
        let until = Instant::now() + LOOK_EVERY;
        loop {
            let report = match self.crew.reports.recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(report) => report,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) if self.records.len() == self.crew.threads => break,
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::ThreadLost),
            };
            match report {
                Report::Snapshot { thread, snapshot, second } => {
                    self.snapshots[thread as usize] = snapshot;
                    if let Some(second) = second {
                        self.seconds[thread as usize] = second;
                    }
                }
                Report::Settled { phase } => {
                    self.settled.get_mut(phase).into_iter().for_each(|threads| *threads += 1);
                }
                Report::Published(published) => self.published.push(*published),
                Report::Finished(record) => self.records.push(*record),
                Report::Broken(broken) => return Err(broken.into()),
            }
        }
        let stand = Stand {
            span: self.timetable.spans().get(phase),
            phase: self.setup.scenario.phases.get(phase),
            index: phase,
            now_ns: self.setup.clock.now_ns(),
        };
        (self.observe)(&Progress::of(&self.setup.scenario, &stand, &self.snapshots, &self.seconds));
        Ok(())
    }

    fn tell(&self, command: &Command) -> Result<(), RunError> {
        self.crew.tell(command)?;
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::sync::{atomic::AtomicU64, mpsc};

    use super::*;
    use crate::{
        cli::{parsed, resolve},
        protocol::json::Json,
        run::{self, Ends, Share},
        tokens::Tokens,
    };

    /// For four connections on two threads, whose reports are the test's.
    fn setup() -> (Arc<Setup>, Crew, mpsc::Sender<Report>) {
        let scenario = resolve::scenario(&parsed("--conns 4 --rooms 1"), 1).unwrap();
        let ends = Ends { targets: Vec::new(), sources: Vec::new(), tokens: Tokens::None };
        let share = Share { first_thread: 0, threads: 2, threads_total: 2 };
        let setup = run::prepare(scenario, Box::new(Json { presence: false }), ends, 1, share).unwrap();
        let (sender, reports) = mpsc::channel();
        let round_trip_ns = Arc::default();
        let crew = Crew { members: Vec::new(), threads: 2, reports, round_trip_ns, joins: Vec::new() };
        (Arc::new(setup), crew, sender)
    }

    #[test]
    fn who_is_cut_off_while_the_last_deliveries_are_waited_for_is_waited_for_too() {
        for (missing, looks) in [(0, AFTERMATH.as_millis() / LOOK_EVERY.as_millis()), (1, 1)] {
            let (setup, crew, sender) = setup();
            let (interrupted, mut looked) = (AtomicBool::new(false), 0);
            let mut observe = |_: &Progress<'_>| looked += 1;
            let mut lead = Lead::new(setup, crew, &interrupted, &mut observe);
            for thread in 0..2 {
                let snapshot = Snapshot { awaited: Some(0), missing, ..Snapshot::default() };
                sender.send(Report::Snapshot { thread, snapshot, second: None }).unwrap();
            }
            // It is over already: only who has everything waits for duplicates.
            lead.wait_for_arrivals(0, Instant::now()).unwrap();
            assert!(if missing == 0 { looked >= looks } else { looked == looks }, "{missing}: {looked}");
        }
    }

    #[test]
    fn a_ramp_that_was_settled_before_it_was_looked_at_is_settled() {
        let (setup, crew, sender) = setup();
        let (interrupted, mut observe) = (AtomicBool::new(false), |_: &Progress<'_>| {});
        let mut lead = Lead::new(setup, crew, &interrupted, &mut observe);
        for phase in [2, 1, 2, usize::MAX] {
            sender.send(Report::Settled { phase }).unwrap();
        }
        lead.look(1).unwrap();
        assert_eq!([0, 1, 2].map(|ramp| lead.is_settled(ramp)), [false, false, true]);
    }

    #[test]
    fn what_far_agents_are_told_is_told_earlier() {
        let rows = [(0, 100), (50, 300), (2_000, 8_100), (60_000, 10_000), (u64::MAX / 1_000_000, 10_000)];
        for (round_trip_ms, ahead_ms) in rows {
            let crew = Crew {
                members: Vec::new(),
                threads: 0,
                reports: mpsc::channel().1,
                round_trip_ns: Arc::new(AtomicU64::new(round_trip_ms * 1_000_000)),
                joins: Vec::new(),
            };
            assert_eq!(crew.start_ahead(), Duration::from_millis(ahead_ms), "{round_trip_ms} ms");
        }
    }
}
