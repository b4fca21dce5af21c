//! A circuit breaker: whether a server that may have failed should be asked at all.
//!
//! What is asked for may be all that does not work, and that is the asker's choice. So a breaker opens when several have failed since
//! anybody last had an answer, each of whom counts once, and that answer is some seconds old. When its time is over one is let
//! through, whose answer decides: somebody else than those who have failed, who have to wait as long again. What is nobody's
//! choice counts each time and at once. Owns no clock and no call. Invariants: who was let through reports one success, one failure,
//! or that it knows neither; a number of askers is known, and more are strangers again.

/// When to stop asking, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerLimits {
    /// Failures since the last success that open it; 0 is never.
    pub failures_max: u32,
    /// How long it stays open before the next try.
    pub open_ms: u64,
}

/// How long an answer keeps it shut, whatever others ask for in vain.
const HELD_MS: u64 = 5_000;

/// Those who have failed that are known at least, though fewer open it.
const ASKERS: usize = 64;

/// One server's breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    state: State,
    /// Since the last success.
    failures: u32,
    /// Whose some of these were, each once. Invariant: not more than [`ASKERS`], or than open it.
    askers: Vec<u64>,
    /// When somebody last had an answer.
    answered_ms: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Everybody is let through.
    Closed,
    /// Nobody is, until then.
    Open { until_ms: u64 },
    /// One is on the way.
    Trying,
}

impl Breaker {
    /// Closed.
    pub fn new(limits: BreakerLimits) -> Self {
        Self { limits, state: State::Closed, failures: 0, askers: Vec::new(), answered_ms: None }
    }

    /// Whether `who`, if that is known, is to ask now, in monotonic milliseconds. A `true` is to be followed by one report.
    pub fn admits(&mut self, now_ms: u64, who: Option<u64>) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until_ms } => {
                let more_ms = if self.has_failed(who) { self.limits.open_ms } else { 0 };
                let is_time = now_ms >= until_ms.saturating_add(more_ms);
                if is_time {
                    self.state = State::Trying;
                }
                is_time
            }
            State::Trying => false,
        }
    }

    /// An answer came that says that the server works; from whichever time, it closes the breaker.
    pub fn succeeded(&mut self, now_ms: u64) {
        self.state = State::Closed;
        self.failures = 0;
        self.askers.clear();
        self.answered_ms = Some(now_ms);
    }

    /// The server does not work, whatever it is asked.
    pub fn failed(&mut self, now_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        self.open_if(self.is_enough(), now_ms);
    }

    /// No answer came, or one that says that it does not work, to what somebody has chosen to ask. However often he fails, it counts
    /// once; if who he is is not known, each time.
    pub fn failed_for(&mut self, now_ms: u64, who: Option<u64>) {
        if !self.has_failed(who) {
            self.failures = self.failures.saturating_add(1);
            let known_max = ASKERS.max(self.limits.failures_max as usize);
            self.askers.extend(who.filter(|_| self.askers.len() < known_max));
        }
        let is_held = self.answered_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(HELD_MS));
        self.open_if(self.is_enough() && !is_held, now_ms);
    }

    /// The question did not reach the server: whether it works is not known. If it was the try, another may be.
    pub fn undecided(&mut self, now_ms: u64) {
        if self.state == State::Trying {
            self.state = State::Open { until_ms: now_ms };
        }
    }

    fn open_if(&mut self, is_enough: bool, now_ms: u64) {
        let opens = match self.state {
            State::Closed => is_enough,
            // Asked before it opened.
            State::Open { .. } => false,
            State::Trying => true,
        };
        if opens {
            self.state = State::Open { until_ms: now_ms.saturating_add(self.limits.open_ms) };
        }
    }

    fn is_enough(&self) -> bool {
        self.limits.failures_max > 0 && self.failures >= self.limits.failures_max
    }

    fn has_failed(&self, who: Option<u64>) -> bool {
        who.is_some_and(|who| self.askers.contains(&who))
    }

    /// Whether it keeps anybody from asking.
    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BreakerLimits = BreakerLimits { failures_max: 3, open_ms: 1_000 };

    enum Step {
        Asks(u64, bool),
        AsksFor(u64, u64, bool),
        Fails(u64),
        FailsFor(u64, u64),
        /// Of somebody who is not known.
        FailsForOne(u64),
        Undecided(u64),
        Succeeds(u64),
    }

    fn follow(name: &str, breaker: &mut Breaker, steps: &[Step]) {
        use Step::{Asks, AsksFor, Fails, FailsFor, FailsForOne, Succeeds, Undecided};
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Asks(at_ms, expected) => {
                    assert_eq!(breaker.admits(at_ms, None), expected, "{name}: step {number}");
                }
                AsksFor(at_ms, who, expected) => {
                    assert_eq!(breaker.admits(at_ms, Some(who)), expected, "{name}: step {number}");
                }
                Fails(at_ms) => breaker.failed(at_ms),
                FailsFor(at_ms, who) => breaker.failed_for(at_ms, Some(who)),
                FailsForOne(at_ms) => breaker.failed_for(at_ms, None),
                Undecided(at_ms) => breaker.undecided(at_ms),
                Succeeds(at_ms) => breaker.succeeded(at_ms),
            }
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_one_try() {
        use Step::{Asks, Fails, Succeeds, Undecided};
        let rows: [(&str, &[Step]); 7] = [
            ("closed", &[Asks(0, true), Asks(0, true), Fails(0), Fails(0), Asks(0, true)]),
            ("opens", &[Fails(0), Fails(0), Fails(5), Asks(5, false), Asks(1_004, false), Asks(1_005, true)]),
            ("not in a row", &[Fails(0), Fails(0), Succeeds(0), Fails(0), Fails(0), Asks(0, true)]),
            (
                "one try at a time, which fails",
                &[
                    Fails(0),
                    Fails(0),
                    Fails(0),
                    Asks(1_000, true),
                    Asks(1_000, false),
                    Asks(9_000, false),
                    Fails(9_000),
                    Asks(9_999, false),
                    Asks(10_000, true),
                ],
            ),
            (
                "one try, which succeeds",
                &[
                    Fails(0),
                    Fails(0),
                    Fails(0),
                    Asks(1_000, true),
                    Succeeds(1_000),
                    Asks(1_000, true),
                    Fails(1_000),
                    Asks(1_000, true),
                ],
            ),
            (
                "late reports of who asked before it opened",
                &[
                    Fails(0),
                    Fails(0),
                    Fails(0),
                    Fails(900),
                    Asks(999, false),
                    Asks(1_000, true),
                    Succeeds(1_000),
                    Asks(1_000, true),
                ],
            ),
            (
                "a try that did not reach the server",
                &[
                    Undecided(0),
                    Fails(0),
                    Fails(0),
                    Undecided(0),
                    Fails(0),
                    Undecided(1),
                    Asks(999, false),
                    Asks(1_000, true),
                    Undecided(1_000),
                    Asks(1_000, true),
                    Fails(1_000),
                    Asks(1_001, false),
                ],
            ),
        ];
        for (name, steps) in rows {
            follow(name, &mut Breaker::new(LIMITS), steps);
        }
    }

    #[test]
    fn what_some_ask_in_vain_is_no_reason_to_refuse_others() {
        use Step::{Asks, AsksFor, Fails, FailsFor, FailsForOne, Succeeds};
        let rows: [(&str, &[Step]); 7] = [
            (
                "two who fail in turns",
                &[
                    FailsFor(0, 7),
                    FailsFor(0, 8),
                    FailsFor(0, 7),
                    FailsFor(0, 8),
                    FailsFor(9_000, 7),
                    Asks(9_000, true),
                ],
            ),
            ("as many as it takes", &[FailsFor(0, 7), FailsFor(0, 8), FailsFor(0, 9), Asks(0, false)]),
            (
                "an answer to somebody holds it for a while",
                &[
                    Succeeds(0),
                    FailsFor(1, 7),
                    FailsFor(1, 8),
                    FailsFor(1, 9),
                    FailsFor(4_999, 10),
                    Asks(4_999, true),
                    // Whoever it is: these and nobody else have had none since.
                    FailsFor(5_000, 7),
                    Asks(5_000, false),
                ],
            ),
            (
                "and each answer anew",
                &[
                    Succeeds(0),
                    FailsFor(4_000, 7),
                    FailsFor(4_000, 8),
                    Succeeds(4_500),
                    FailsFor(5_000, 7),
                    FailsFor(5_000, 8),
                    FailsFor(5_000, 9),
                    FailsFor(9_499, 10),
                    Asks(9_499, true),
                    FailsFor(9_500, 10),
                    Asks(9_500, false),
                ],
            ),
            ("unless the server is not there", &[Succeeds(0), Fails(1), Fails(1), Fails(1), Asks(1, false)]),
            (
                "of somebody",
                &[Succeeds(0), FailsForOne(1), FailsForOne(1), FailsForOne(5_000), Asks(5_000, false)],
            ),
            (
                "the try is somebody else's",
                &[
                    FailsFor(0, 7),
                    FailsFor(0, 8),
                    FailsFor(0, 9),
                    AsksFor(1_000, 7, false),
                    AsksFor(1_999, 9, false),
                    AsksFor(1_999, 10, true),
                    FailsFor(2_500, 10),
                    AsksFor(3_500, 10, false),
                    // Where nobody else comes it is theirs.
                    AsksFor(4_499, 8, false),
                    AsksFor(4_500, 8, true),
                    Succeeds(4_500),
                    AsksFor(4_500, 7, true),
                ],
            ),
        ];
        for (name, steps) in rows {
            follow(name, &mut Breaker::new(LIMITS), steps);
        }
    }

    #[test]
    fn not_more_askers_are_known_than_there_is_room_for() {
        let limits = [LIMITS, BreakerLimits { failures_max: 1_000, ..LIMITS }];
        for (limits, known_max) in limits.into_iter().zip([ASKERS, 1_000]) {
            let mut breaker = Breaker::new(limits);
            (0..2_000).for_each(|who| breaker.failed_for(0, Some(who)));
            assert_eq!((breaker.askers.len(), breaker.failures, breaker.is_open()), (known_max, 2_000, true));
        }
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let mut breaker = Breaker::new(BreakerLimits { failures_max: 0, ..LIMITS });
        (0..10_000).for_each(|at_ms| breaker.failed(at_ms));
        (0..10_000).for_each(|at_ms| breaker.failed_for(at_ms, Some(at_ms)));
        assert!(breaker.admits(10_000, None) && !breaker.is_open());
    }
}
