//! A circuit breaker: whether a server that may have failed should be asked at all.
//!
//! After so many failures in a row nobody is asked for a while; then one is let through, whose answer decides. Owns no
//! clock and no call. Invariant: who was let through reports one success, one failure, or that it knows neither.

/// When to stop asking, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerLimits {
    /// Failures in a row that open it; 0 is never.
    pub failures_max: u32,
    /// How long it stays open before the next try.
    pub open_ms: u64,
}

/// One server's breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    state: State,
}

/// With who has failed last, where that is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Everybody is let through.
    Closed { failures: u32, last: Option<u64> },
    /// Nobody is, until then.
    Open { until_ms: u64, last: Option<u64> },
    /// One is on the way.
    Trying { last: Option<u64> },
}

impl Breaker {
    /// Closed.
    pub fn new(limits: BreakerLimits) -> Self {
        Self { limits, state: State::Closed { failures: 0, last: None } }
    }

    /// Whether to ask now, in monotonic milliseconds. A `true` is to be followed by one report.
    pub fn admits(&mut self, now_ms: u64) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until_ms, last } if now_ms >= until_ms => {
                self.state = State::Trying { last };
                true
            }
            State::Open { .. } | State::Trying { .. } => false,
        }
    }

    /// An answer came that says that the server works; from whichever time, it closes the breaker.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0, last: None };
    }

    /// None came, or one that says that it does not work.
    pub fn failed(&mut self, now_ms: u64) {
        self.failed_with(now_ms, None);
    }

    /// The same, of what somebody has chosen to ask. However often he fails in a row, it counts once: what he asks for may be
    /// all that does not work.
    pub fn failed_for(&mut self, now_ms: u64, who: u64) {
        self.failed_with(now_ms, Some(who));
    }

    /// The question did not reach the server: whether it works is not known. If it was the try, another may be.
    pub fn undecided(&mut self, now_ms: u64) {
        if let State::Trying { last } = self.state {
            self.state = State::Open { until_ms: now_ms, last };
        }
    }

    fn failed_with(&mut self, now_ms: u64, who: Option<u64>) {
        let is_again = |last: Option<u64>| who.is_some() && who == last;
        let opened = State::Open { until_ms: now_ms.saturating_add(self.limits.open_ms), last: who };
        self.state = match self.state {
            State::Closed { last, .. } if is_again(last) => self.state,
            State::Closed { failures, .. } if failures + 1 == self.limits.failures_max => opened,
            State::Closed { failures, .. } => {
                State::Closed { failures: failures.saturating_add(1), last: who }
            }
            // Asked before it opened.
            State::Open { .. } => self.state,
            State::Trying { last } if is_again(last) => State::Open { until_ms: now_ms, last },
            State::Trying { .. } => opened,
        };
    }

    /// Whether it keeps anybody from asking.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BreakerLimits = BreakerLimits { failures_max: 3, open_ms: 1_000 };

    enum Step {
        Asks(u64, bool),
        Fails(u64),
        FailsFor(u64, u64),
        Undecided(u64),
        Succeeds,
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_one_try() {
        use Step::{Asks, Fails, FailsFor, Succeeds, Undecided};
        let rows: [(&str, &[Step]); 9] = [
            ("closed", &[Asks(0, true), Asks(0, true), Fails(0), Fails(0), Asks(0, true)]),
            ("opens", &[Fails(0), Fails(0), Fails(5), Asks(5, false), Asks(1_004, false), Asks(1_005, true)]),
            ("not in a row", &[Fails(0), Fails(0), Succeeds, Fails(0), Fails(0), Asks(0, true)]),
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
                    Succeeds,
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
                    Succeeds,
                    Asks(1_000, true),
                ],
            ),
            (
                "one who fails again and again",
                &[FailsFor(0, 7), FailsFor(0, 7), FailsFor(0, 7), FailsFor(0, 8), Asks(0, true)],
            ),
            (
                "several, and a try of the last of them, which says nothing new",
                &[
                    FailsFor(0, 7),
                    FailsFor(0, 8),
                    FailsFor(0, 9),
                    Asks(999, false),
                    Asks(1_000, true),
                    FailsFor(1_100, 9),
                    Asks(1_100, true),
                    FailsFor(1_200, 7),
                    Asks(1_200, false),
                    Asks(2_200, true),
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
            let mut breaker = Breaker::new(LIMITS);
            for (number, step) in steps.iter().enumerate() {
                match *step {
                    Asks(at_ms, expected) => {
                        assert_eq!(breaker.admits(at_ms), expected, "{name}: step {number}")
                    }
                    Fails(at_ms) => breaker.failed(at_ms),
                    FailsFor(at_ms, who) => breaker.failed_for(at_ms, who),
                    Undecided(at_ms) => breaker.undecided(at_ms),
                    Succeeds => breaker.succeeded(),
                }
            }
        }
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let mut breaker = Breaker::new(BreakerLimits { failures_max: 0, ..LIMITS });
        (0..10_000).for_each(|at_ms| breaker.failed(at_ms));
        assert!(breaker.admits(10_000) && !breaker.is_open());
    }
}
