//! When things happen: the timetable of phases on the run's clock, and publications, which never look at how the target is doing.
//!
//! Publications are due in *publishing time*, which stands still in ramps and runs faster in spikes. So a schedule is drawn once,
//! from the seed, whatever the phases; the timetable says what the clock shows when publishing time has come that far.
//! Even schedules are computed from the message's number, so that no rounding adds up.

use serde::{Deserialize, Serialize};

use crate::{
    plan::{Slot, think},
    scenario::{Arrivals, Pace, PhaseKind, ThinkTime},
};

/// One phase, on the run's clock.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Span {
    /// By its place in the scenario.
    pub(crate) phase: usize,
    pub(crate) kind: PhaseKind,
    pub(crate) start_ns: u64,
    /// `u64::MAX` while it is not known.
    pub(crate) end_ns: u64,
    /// Publishing time at its start.
    virtual_ns: u64,
}

impl Span {
    /// Whether anybody publishes in it.
    pub(crate) fn publishes(&self) -> bool {
        self.rate() > 0.0
    }

    /// How fast publishing time goes.
    fn rate(&self) -> f64 {
        match self.kind {
            PhaseKind::Ramp { .. } => 0.0,
            PhaseKind::Steady | PhaseKind::Storm { .. } | PhaseKind::Drain { .. } => 1.0,
            PhaseKind::Spike { rate } => rate,
        }
    }

    fn virtual_after(&self, elapsed_ns: u64) -> u64 {
        self.virtual_ns.saturating_add(scale(elapsed_ns, self.rate()))
    }
}

/// The phases so far and those that are sure to follow. Invariant: without gaps; only the last one's end may be unknown.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Timetable {
    spans: Vec<Span>,
}

impl Timetable {
    /// Appends a phase that begins where the one before it ends (the first one at 0).
    pub(crate) fn push(&mut self, phase: usize, kind: PhaseKind, duration_ns: Option<u64>) {
        let (start_ns, virtual_ns) = match self.spans.last() {
            Some(last) => (last.end_ns, last.virtual_after(last.end_ns - last.start_ns)),
            None => (0, 0),
        };
        debug_assert!(start_ns < u64::MAX, "only the last end is unknown");
        let end_ns = duration_ns.map_or(u64::MAX, |duration| start_ns.saturating_add(duration));
        self.spans.push(Span { phase, kind, start_ns, end_ns, virtual_ns });
    }

    /// The last phase ends, or is cut short, at `end_ns`.
    pub(crate) fn end_at(&mut self, end_ns: u64) {
        while self.spans.len() > 1 && self.spans.last().is_some_and(|last| last.start_ns >= end_ns) {
            self.spans.pop();
        }
        if let Some(last) = self.spans.last_mut() {
            last.end_ns = last.end_ns.min(end_ns.max(last.start_ns));
        }
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The phase that it is at `now_ns`; after the end still the last one.
    pub(crate) fn at(&self, now_ns: u64) -> Option<&Span> {
        let place = self.spans.partition_point(|span| span.end_ns <= now_ns);
        self.spans.get(place).or(self.spans.last())
    }

    /// When publishing time reaches `virtual_ns`, if that is known to happen before the end.
    pub(crate) fn real_of(&self, virtual_ns: u64) -> Option<u64> {
        let next = self.spans.partition_point(|span| span.virtual_ns <= virtual_ns);
        let reached = self.spans[..next].iter().rev().find(|span| span.publishes())?;
        if virtual_ns >= reached.virtual_after(reached.end_ns - reached.start_ns) {
            return None;
        }
        let at_ns = reached.start_ns + scale(virtual_ns - reached.virtual_ns, 1.0 / reached.rate());
        // Rounding must not put it where it would be never.
        Some(at_ns.min(reached.end_ns - 1))
    }
}

/// Exact where the factor is 1.
fn scale(ns: u64, factor: f64) -> u64 {
    if factor == 1.0 { ns } else { (ns as f64 * factor).round() as u64 }
}

/// The publications of one role on one thread: who publishes next, and when in publishing time.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    /// All publishers of the role together at a rate.
    Together(Together),
    /// Each for itself.
    Each(ThinkTime),
}

/// Publications at a common rate.
#[derive(Clone, Debug)]
pub(crate) struct Together {
    arrivals: Arrivals,
    per_s: f64,
    /// Of the role, all threads together.
    publishers: u32,
    /// Those of this thread, in the order of their numbers in the role, which are `first`, `first + step`, ….
    own: Vec<Slot>,
    first: u32,
    step: u32,
    count: u64,
    at_ns: f64,
}

impl Schedule {
    /// Of the publishers `own`, whose numbers in the role are `first`, `first + step`, … below `publishers`.
    pub(crate) fn new(pace: &Pace, own: Vec<Slot>, publishers: u32, first: u32, step: u32) -> Self {
        match *pace {
            Pace::Together { per_s, arrivals } => Self::Together(Together {
                arrivals,
                per_s,
                publishers,
                own,
                first,
                step,
                count: 0,
                at_ns: 0.0,
            }),
            Pace::Each(think) => Self::Each(think),
        }
    }
}

impl Together {
    /// Who publishes the next message, and when it is due; due times never decrease. `None` when nobody publishes.
    pub(crate) fn next(&mut self, rng: &mut fastrand::Rng) -> Option<(u64, Slot)> {
        let own = self.own.len() as u64;
        if own == 0 {
            return None;
        }
        match self.arrivals {
            Arrivals::Even => {
                let (round, place) = (self.count / own, self.count % own);
                self.count += 1;
                let index =
                    round * u64::from(self.publishers) + u64::from(self.first) + place * u64::from(self.step);
                let due_ns = (index as f64 / self.per_s * 1e9).round() as u64;
                Some((due_ns, self.own[place as usize]))
            }
            Arrivals::Poisson => {
                let per_s = self.per_s * own as f64 / f64::from(self.publishers);
                self.at_ns += -(1.0 - rng.f64()).ln() * 1e9 / per_s;
                Some((self.at_ns.round() as u64, self.own[rng.usize(..self.own.len())]))
            }
        }
    }

    /// Any publisher of this thread, for when the one whose turn it is is not there.
    pub(crate) fn any(&self, rng: &mut fastrand::Rng) -> Option<Slot> {
        rng.choice(&self.own).copied()
    }
}

/// The first publication of a publisher for itself, from the beginning of publishing time.
pub(crate) fn first_due_ns(think: &ThinkTime, rng: &mut fastrand::Rng) -> u64 {
    think::first_ns(think, rng)
}

/// A schedule of even events, anchored on the run's clock. What is late is caught up with.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    origin_ns: u64,
    index: u64,
    step: u64,
    per_s: f64,
}

impl Pacer {
    /// `per_s` events per second of all threads together (0: all at once), from `origin_ns` on; this is one thread's part.
    pub(crate) fn new(origin_ns: u64, thread: u32, threads: u32, per_s: f64) -> Self {
        Self { origin_ns, index: thread.into(), step: threads.into(), per_s }
    }

    /// When the next event is due.
    pub(crate) fn next_due_ns(&mut self) -> u64 {
        if self.per_s <= 0.0 {
            return self.origin_ns;
        }
        let due = self.index as f64 / self.per_s * 1e9;
        self.index += self.step;
        self.origin_ns + due.round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn together(arrivals: Arrivals, publishers: u32, per_s: f64, threads: u32) -> Vec<Together> {
        let part = |thread: u32| {
            let own = (thread..publishers).step_by(threads as usize).map(Slot).collect();
            match Schedule::new(&Pace::Together { per_s, arrivals }, own, publishers, thread, threads) {
                Schedule::Together(together) => together,
                Schedule::Each(_) => unreachable!("the pace is a common one"),
            }
        };
        (0..threads).map(part).collect()
    }

    /// What all threads together publish before `until_ns`.
    fn due(parts: Vec<Together>, seed: u64, until_ns: u64) -> Vec<(u64, Slot)> {
        let mut all = Vec::new();
        for (seed, mut part) in (seed..).zip(parts) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let times = std::iter::from_fn(|| part.next(&mut rng));
            all.extend(times.take_while(|(due, _)| *due < until_ns));
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn even_arrivals_are_exact_in_number_and_never_drift() {
        // publishers, rate, seconds, messages
        let rows = [
            (1, 1.0, 10, 10),
            (1_000, 500.0, 20, 10_000),
            (7, 1_000.0, 3, 3_000),
            (3, 0.5, 20, 10),
            (1_000, 333.0, 1_000, 333_000),
        ];
        for (publishers, rate, seconds, messages) in rows {
            for threads in [1, 3] {
                let all = due(together(Arrivals::Even, publishers, rate, threads), 1, seconds * SECOND);
                assert_eq!(all.len(), messages, "{publishers} publishers, {rate}/s, {threads} threads");
                for (index, (at, Slot(publisher))) in all.iter().enumerate() {
                    let exact = index as f64 * 1e9 / rate;
                    assert!((*at as f64 - exact).abs() <= 1.0, "message {index} at {at}, not {exact}");
                    assert_eq!(*publisher, index as u32 % publishers, "they take turns");
                }
            }
        }
    }

    #[test]
    fn a_long_run_stays_on_the_grid() {
        let mut parts = together(Arrivals::Even, 1, 3.0, 1);
        let mut rng = fastrand::Rng::with_seed(1);
        let last = (0..3 * 3600 * 24 * 7 + 1).map(|_| parts[0].next(&mut rng)).last();
        assert_eq!(last, Some(Some((3600 * 24 * 7 * SECOND, Slot(0)))));
    }

    #[test]
    fn poisson_arrivals_repeat_with_the_seed_and_have_the_rate_and_spread_of_poisson() {
        let all = due(together(Arrivals::Poisson, 10, 1_000.0, 2), 42, 100 * SECOND);
        assert_eq!(all, due(together(Arrivals::Poisson, 10, 1_000.0, 2), 42, 100 * SECOND));
        assert_ne!(all, due(together(Arrivals::Poisson, 10, 1_000.0, 2), 44, 100 * SECOND));
        // 100,000 expected, standard deviation 316; the seed makes this one number, not a chance.
        assert!((98_500..101_500).contains(&all.len()), "{}", all.len());
        let gaps: Vec<f64> = all.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((0.97..1.03).contains(&(variance.sqrt() / mean)), "exponential gaps: deviation equals mean");
    }

    #[test]
    fn anybody_may_stand_in() {
        let [part] = &together(Arrivals::Even, 3, 1.0, 1)[..] else { unreachable!("there is one thread") };
        let mut rng = fastrand::Rng::with_seed(1);
        let drawn: std::collections::HashSet<Slot> = (0..99).filter_map(|_| part.any(&mut rng)).collect();
        assert_eq!(drawn.len(), 3);
    }

    fn timetable() -> Timetable {
        let mut timetable = Timetable::default();
        timetable.push(0, PhaseKind::Ramp { share: 1.0, per_s: 1.0 }, None);
        timetable.end_at(10);
        timetable.push(1, PhaseKind::Steady, Some(100));
        timetable.push(2, PhaseKind::Spike { rate: 3.0 }, Some(100));
        timetable.push(3, PhaseKind::Ramp { share: 1.0, per_s: 1.0 }, None);
        timetable
    }

    #[test]
    fn publishing_time_stands_still_in_ramps_and_runs_in_spikes() {
        let mut timetable = timetable();
        // publishing time, on the run's clock
        let rows = [
            (0, Some(10)),
            (99, Some(109)),
            (100, Some(110)),
            (103, Some(111)),
            (397, Some(209)),
            (399, Some(209)),
            (400, None),
            (u64::MAX, None),
        ];
        for (virtual_ns, real_ns) in rows {
            assert_eq!(timetable.real_of(virtual_ns), real_ns, "{virtual_ns}");
        }
        timetable.end_at(1_000);
        timetable.push(4, PhaseKind::Steady, Some(50));
        assert_eq!(
            [399, 400, 449, 450].map(|it| timetable.real_of(it)),
            [Some(209), Some(1_000), Some(1_049), None]
        );
    }

    #[test]
    fn every_moment_has_its_phase() {
        let mut timetable = timetable();
        let phases = |table: &Timetable, times: &[u64]| -> Vec<usize> {
            times.iter().filter_map(|at| table.at(*at)).map(|span| span.phase).collect()
        };
        assert_eq!(phases(&timetable, &[0, 9, 10, 109, 110, 209, 210, u64::MAX]), [0, 0, 1, 1, 2, 2, 3, 3]);
        timetable.end_at(150);
        assert_eq!(phases(&timetable, &[149, 150, 1_000]), [2, 2, 2], "cut short");
        assert_eq!(timetable.real_of(100 + 3 * 40), None);
        assert_eq!(Timetable::default().at(0), None);
    }

    #[test]
    fn paces_are_shared_by_threads() {
        let mut pacers = [0, 1].map(|thread| Pacer::new(7, thread, 2, 1e9));
        let due: Vec<u64> = (0..4).map(|index| pacers[index % 2].next_due_ns()).collect();
        assert_eq!(due, [7, 8, 9, 10]);
        let mut at_once = Pacer::new(7, 1, 2, 0.0);
        assert_eq!([at_once.next_due_ns(), at_once.next_due_ns()], [7, 7]);
    }
}
