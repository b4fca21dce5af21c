//! How one thread records while it runs. [`Recorder::delivery`] is called for every delivery, so it is one increment in a table
//! by phase; what is to be known of it is worked out when the second is over. Whoever calls says which phase and second it is.
//!
//! Invariant: seconds do not go back. What arrives for an earlier second than the latest counts for the latest.

use crate::figures::{
    hdr::Hdr,
    read_lag::ReadLag,
    record::{
        Counts, Event, PhaseRecord, ReasonsBy, Record, SECONDS_MAX, SecondRecord, ThreadPhase, ThreadRecord,
        Timing, Timings,
    },
    tally::Tally,
};

/// When something happens: a phase of the scenario, by number, and a second of the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct When {
    pub(crate) phase: usize,
    pub(crate) second: u32,
}

/// What one thread has recorded so far.
#[derive(Debug)]
pub(crate) struct Recorder {
    phases: Vec<PhaseRecord>,
    /// The latest second that anything was recorded for.
    latest: u32,
    /// By phase: deliveries of the second that is going on, which neither `phases` nor `now` has yet.
    tallies: Vec<Tally>,
    /// The second that is going on. Its number is the length of `record.seconds`; the latencies of earlier hand-overs are in
    /// `latencies`.
    now: SecondRecord,
    latencies: Hdr,
    /// Seconds that are over, and all but `seconds`, `phases` and `threads` of the outcome.
    record: Record,
    thread: u32,
    own: Vec<ThreadPhase>,
    /// By phase.
    read_lags: Vec<ReadLag>,
}

impl Recorder {
    /// For the thread of this number (within its process), of a scenario of so many phases.
    pub(crate) fn new(thread: u32, phases: usize) -> Self {
        Self {
            phases: vec![PhaseRecord::default(); phases],
            latest: 0,
            tallies: vec![Tally::default(); phases],
            now: SecondRecord::default(),
            latencies: Hdr::coarse(),
            record: Record::default(),
            thread,
            own: vec![ThreadPhase::default(); phases],
            read_lags: vec![ReadLag::default(); phases],
        }
    }

    /// The first delivery of a publication to a membership: the phase in which it was due, the second in which it arrived.
    #[inline]
    pub(crate) fn delivery(&mut self, phase: usize, second: u32, latency_ns: u64) {
        self.reach(second);
        self.tallies[phase].count(latency_ns);
    }

    /// A delivery whose latency says nothing about the target: its member took its time.
    #[inline]
    pub(crate) fn delivery_untimed(&mut self, phase: usize, second: u32) {
        self.reach(second);
        self.phases[phase].counts.delivered += 1;
        self.now.delivered += 1;
    }

    /// So many deliveries arrived while this phase went on.
    pub(crate) fn arrived(&mut self, phase: usize, deliveries: u64) {
        self.phases[phase].counts.arrived += deliveries;
    }

    /// A delivery was there before it was due.
    #[cold]
    pub(crate) fn early(&mut self, phase: usize) {
        self.phases[phase].counts.early += 1;
    }

    /// Any other duration. Deliveries count by [`Recorder::delivery`].
    #[inline]
    pub(crate) fn timing(&mut self, phase: usize, timing: Timing, ns: u64) {
        self.phases[phase].timings.of_mut(timing).record(ns);
    }

    /// Counts an event; deliveries are [`delivery`](Self::delivery)'s.
    #[inline]
    pub(crate) fn count(&mut self, when: When, event: Event) {
        self.reach(when.second);
        self.phases[when.phase].counts.add(event, 1);
        self.now.sent += u64::from(event == Event::Sent);
        self.now.errors += u64::from(event.is_error());
    }

    /// Counts an event that concerns this stream.
    #[cold]
    pub(crate) fn trouble(&mut self, when: When, stream: u32, event: Event) {
        self.count(when, event);
        self.record.trouble(stream, event);
    }

    /// What was counted as such a trouble of this stream was none.
    pub(crate) fn forgive(&mut self, when: When, stream: u32, event: Event) {
        let counts = &mut self.phases[when.phase].counts;
        // Those of streams past the bound are with the last one.
        let kept = if self.record.streams.contains_key(&stream) { stream } else { u32::MAX };
        let Some(trouble) = self.record.streams.get_mut(&kept) else { return };
        let (all, of_stream) = match event {
            Event::Duplicated => (&mut counts.duplicated, &mut trouble.duplicated),
            Event::Reordered => (&mut counts.reordered, &mut trouble.reordered),
            Event::Sent
            | Event::Acked
            | Event::Refused
            | Event::Withheld
            | Event::Unsent
            | Event::Opened
            | Event::Failed
            | Event::Dropped
            | Event::Left
            | Event::Returned
            | Event::PresenceChanged
            | Event::Corrupt
            | Event::Misrouted
            | Event::Unexpected
            | Event::Foreign
            | Event::Fault => return, // Nobody doubts these.
        };
        *all = all.saturating_sub(1);
        *of_stream = of_stream.saturating_sub(1);
        if trouble.total() == 0 {
            self.record.streams.remove(&kept);
        }
        let second = self.record.seconds.get_mut(when.second as usize).unwrap_or(&mut self.now);
        second.errors = second.errors.saturating_sub(1);
    }

    /// How many connections are open by now.
    #[inline]
    pub(crate) fn open(&mut self, second: u32, connections: u32) {
        self.reach(second);
        self.now.open = connections.into();
    }

    /// CPU time and time that passed since the last call, and how many bytes lie around.
    pub(crate) fn load(
        &mut self,
        phase: usize,
        cpu_ns: u64,
        wall_ns: u64,
        unsent_bytes: u64,
        unread_bytes: u64,
    ) {
        let own = &mut self.own[phase];
        own.cpu_ns += cpu_ns;
        own.wall_ns += wall_ns;
        own.unsent_bytes_max = own.unsent_bytes_max.max(unsent_bytes);
        own.unread_bytes_max = own.unread_bytes_max.max(unread_bytes);
    }

    /// The thread looks at its sockets, for the first time in so long.
    #[inline]
    pub(crate) fn look(&mut self, phase: usize, gap_ns: u64) {
        self.own[phase].looks += 1;
        self.read_lags[phase].gap(gap_ns);
    }

    /// It should have looked so long ago: it had no core.
    pub(crate) fn overslept(&mut self, phase: usize, gap_ns: u64) {
        self.read_lags[phase].gap(gap_ns);
    }

    /// It has read from a socket.
    #[inline]
    pub(crate) fn read(&mut self, phase: usize) {
        self.own[phase].reads += 1;
    }

    /// Why connections and publications failed.
    pub(crate) fn reasons(&mut self) -> &mut ReasonsBy {
        &mut self.record.reasons
    }

    /// The latest second that is over, if it is not among the first `known`, which then are more.
    pub(crate) fn second_since(&self, known: &mut usize) -> Option<SecondRecord> {
        let seconds = &self.record.seconds;
        (seconds.len() > std::mem::replace(known, seconds.len())).then(|| seconds.last().cloned())?
    }

    /// The sum over all phases.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.phases.iter().for_each(|phase| sum.merge(&phase.counts));
        sum
    }

    /// Everything that was an error.
    pub(crate) fn errors(&self) -> u64 {
        self.record.seconds.iter().map(|second| second.errors).sum::<u64>() + self.now.errors
    }

    /// What went wrong most often, in a word or two, and how often.
    pub(crate) fn worst_error(&self) -> Option<(String, u64)> {
        let ReasonsBy { failures, drops, refusals, faults } = &self.record.reasons;
        let reasons = [failures, drops, refusals, faults].into_iter().flat_map(|reasons| {
            reasons.ranked().into_iter().next().map(|(reason, count)| (reason.to_owned(), count))
        });
        let Counts { withheld, duplicated, reordered, corrupt, misrouted, unexpected, .. } = self.counts();
        let counts = [
            ("withheld", withheld),
            ("duplicated", duplicated),
            ("reordered", reordered),
            ("corrupt", corrupt),
            ("misrouted", misrouted),
            ("unexpected", unexpected),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), count));
        reasons.chain(counts).filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count)
    }

    pub(crate) fn timings(&self, phase: usize) -> &Timings {
        &self.phases[phase].timings
    }

    /// Ends it in this second.
    pub(crate) fn close(mut self, second: u32) -> Record {
        self.reach(second);
        self.hand_over();
        self.end_second();
        for ((own, lag), phase) in self.own.iter_mut().zip(&self.read_lags).zip(&self.phases) {
            own.lag_p99_ns = phase.timings.lag.at(0.99).unwrap_or(0);
            own.read_lag_p99_ns = lag.exceeded_in(0.01, own.wall_ns);
            own.read_lag_max_ns = lag.max_ns();
        }
        self.record.phases = self.phases;
        self.record.threads = vec![ThreadRecord { agent: 0, thread: self.thread, phases: self.own }];
        self.record
    }

    #[inline]
    fn reach(&mut self, second: u32) {
        if second > self.latest {
            self.turn(second);
        }
    }

    /// Ends the current second and those up to `second`, in which nothing happened.
    #[cold]
    fn turn(&mut self, second: u32) {
        self.latest = second;
        self.hand_over();
        while self.record.seconds.len() < second.min(SECONDS_MAX - 1) as usize {
            self.end_second();
        }
    }

    fn hand_over(&mut self) {
        for (tally, phase) in self.tallies.iter_mut().zip(&mut self.phases) {
            let delivered = tally.hand_over(&mut phase.timings.delivery, &mut self.latencies);
            phase.counts.delivered += delivered;
            self.now.delivered += delivered;
        }
    }

    fn end_second(&mut self) {
        let next = SecondRecord { open: self.now.open, ..SecondRecord::default() };
        let mut over = std::mem::replace(&mut self.now, next);
        over.delivery = self.latencies.encode();
        self.latencies.reset();
        self.record.seconds.push(over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::record::{Account, Counts, Trouble};

    const MS: u64 = 1_000_000;

    fn at(phase: usize, second: u32) -> When {
        When { phase, second }
    }

    #[test]
    fn everything_is_where_it_belongs() {
        let mut recorder = Recorder::new(3, 2);
        recorder.open(0, 10);
        recorder.timing(0, Timing::Connect, MS);
        recorder.count(at(1, 2), Event::Sent);
        recorder.timing(1, Timing::Lag, 4 * MS);
        recorder.delivery(1, 2, 2 * MS);
        recorder.open(2, 9);
        recorder.trouble(at(1, 3), 77, Event::Duplicated);
        recorder.delivery(0, 2, 3 * MS); // Due in the phase before, and late for its second.
        recorder.load(1, 5, 10, 300, 4);
        recorder.load(1, 5, 10, 200, 7);
        recorder.look(1, 3 * MS);
        recorder.look(1, MS);
        recorder.overslept(1, 8 * MS);
        recorder.read(1);
        recorder.reasons().drops.add("gone");
        assert_eq!(recorder.worst_error(), Some(("duplicated".to_owned(), 1)));
        recorder.reasons().drops.add("gone");
        assert_eq!(recorder.worst_error(), Some(("gone".to_owned(), 2)));
        recorder.arrived(1, 2);
        recorder.early(1);
        assert_eq!(recorder.second_since(&mut 0).map(|second| second.sent), Some(1));
        assert_eq!(recorder.second_since(&mut 3), None);
        let record = recorder.close(4);

        assert_eq!(record.phases[0].counts, Counts { delivered: 1, ..Counts::default() });
        assert_eq!(
            record.phases[1].counts,
            Counts { sent: 1, delivered: 1, duplicated: 1, arrived: 2, early: 1, ..Counts::default() }
        );
        assert_eq!(record.phases[0].timings.connect.samples(), 1);
        assert_eq!(record.phases[1].timings.delivery.samples(), 1);
        let seconds: Vec<_> =
            record.seconds.iter().map(|it| (it.sent, it.delivered, it.errors, it.open)).collect();
        assert_eq!(seconds, [(0, 0, 0, 10), (0, 0, 0, 10), (1, 1, 0, 9), (0, 1, 1, 9), (0, 0, 0, 9)]);
        let near = |ns: Option<u64>, ms: u64| ns.is_some_and(|ns| ns.abs_diff(ms * MS) < ms * MS / 100);
        assert!(near(record.seconds[2].latencies().max(), 2), "{:?}", record.seconds[2].latencies());
        assert!(near(record.seconds[3].latencies().max(), 3), "{:?}", record.seconds[3].latencies());
        assert_eq!(record.streams[&77], Trouble { duplicated: 1, ..Trouble::default() });
        let own = record.threads[0].phases[1];
        assert_eq!((record.threads[0].thread, own.cpu_ns, own.wall_ns), (3, 10, 20));
        assert_eq!((own.unsent_bytes_max, own.unread_bytes_max), (300, 7));
        assert!(near(Some(own.lag_p99_ns), 4), "{own:?}");
        assert_eq!((own.looks, own.reads), (2, 1));
        assert!(near(Some(own.read_lag_max_ns), 8), "{own:?}");
    }

    #[test]
    fn seconds_are_bounded() {
        let mut recorder = Recorder::new(0, 1);
        recorder.delivery(0, u32::MAX, 1);
        recorder.delivery(0, u32::MAX, 1);
        let record = recorder.close(u32::MAX);
        assert_eq!(record.seconds.len(), SECONDS_MAX as usize);
        assert_eq!(record.seconds.last().map(|second| second.delivered), Some(2));
    }

    #[test]
    fn the_sum_of_two_threads_is_what_one_would_have_recorded() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut both = Recorder::new(0, 3);
        let mut parts = [Recorder::new(0, 3), Recorder::new(1, 3)];
        for step in 0..3_000_u32 {
            let (second, phase, part) = (step / 300, (step / 1_000) as usize, rng.usize(..2));
            let ns = rng.u64(1..50 * MS);
            for recorder in [&mut both, &mut parts[part]] {
                recorder.delivery(phase, second, ns);
                recorder.timing(phase, Timing::Ack, ns / 2);
                recorder.count(at(phase, second), Event::Sent);
                if step.is_multiple_of(100) {
                    recorder.trouble(at(phase, second), step % 7, Event::Reordered);
                    recorder.reasons().faults.add("some");
                }
            }
        }
        let (both, [first, second]) = (both.close(9), parts.map(|part| part.close(9)));
        let mut sum = first.clone();
        sum.merge(&second);
        let mut reverse = second;
        reverse.merge(&first);
        for sum in [&sum, &reverse] {
            assert_eq!(
                (&sum.phases, &sum.streams, &sum.reasons),
                (&both.phases, &both.streams, &both.reasons)
            );
            assert_eq!(sum.seconds, both.seconds);
            assert_eq!((sum.threads.len(), sum.counts()), (2, both.counts()));
        }
    }

    #[test]
    fn connections_stay_open_after_the_last_second_of_a_thread() {
        let [mut long, mut short] = [Recorder::new(0, 1), Recorder::new(1, 1)];
        long.open(0, 5);
        short.open(0, 2);
        let (long, short) = (long.close(3), short.close(1));
        for (a, b) in [(&long, &short), (&short, &long)] {
            let mut sum = a.clone();
            sum.merge(b);
            assert_eq!(sum.seconds.iter().map(|it| it.open).collect::<Vec<_>>(), [7; 4]);
        }
    }

    #[test]
    fn a_record_travels_as_json() {
        let mut recorder = Recorder::new(0, 2);
        recorder.delivery(1, 1, 5 * MS);
        recorder.trouble(at(1, 1), 9, Event::Corrupt);
        recorder.reasons().failures.add("HTTP 401");
        let mut record = recorder.close(2);
        record.account = Account { expected: 2, delivered: 1, lost: 1, ..Account::default() };
        record.lost(9, 1);
        let text = sonic_rs::to_string(&record).unwrap();
        assert_eq!(sonic_rs::from_str::<Record>(&text).unwrap(), record);
        assert_eq!(record.streams[&9].total(), 2);
    }
}
