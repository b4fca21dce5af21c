//! When things happen: the timetable of phases on the run's clock, and publications, which never look at how the target is doing.
//!
//! Publications are due in *publishing time*, which stands still in ramps and runs faster in spikes. So a schedule is drawn once,
//! from the seed, whatever the phases; the timetable says what the clock shows when publishing time has come that far.
//! Even schedules are computed from the message's number, so that no rounding adds up.

use crate::{
    plan::{Slot, think},
    scenario::{Arrivals, Pace, PhaseKind, ThinkTime},
};

/// One phase, on the run's clock.
#[derive(Clone, PartialEq, Debug)]
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
#[derive(Clone, PartialEq, Debug, Default)]
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
        let reached = self.spans[..next].iter().rev().find(|span| span.rate() > 0.0)?;
        let at_ns = reached.start_ns + scale(virtual_ns - reached.virtual_ns, 1.0 / reached.rate());
        (at_ns < reached.end_ns).then_some(at_ns)
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
                let index = round * u64::from(self.publishers)
                    + u64::from(self.first)
                    + place * u64::from(self.step);
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

    /// The publisher after `slot`, for when that one is not there.
    pub(crate) fn after(&self, slot: Slot) -> Slot {
        let place = self.own.partition_point(|own| *own <= slot);
        self.own.get(place).or(self.own.first()).copied().unwrap_or(slot)
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
