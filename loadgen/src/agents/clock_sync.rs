//! How far an agent's clock is from the run's. Pure: exchanges in, an estimate out.
//!
//! As NTP does it (RFC 5905, section 8): the coordinator notes when it asked and when the answer came, the agent when it answered. The
//! quickest of the recent exchanges says most; it is wrong by half its round trip at most. Clocks drift (a few µs each second),
//! so that old exchanges are given up.

use std::collections::VecDeque;

/// Exchanges that are looked at.
const WINDOW: usize = 8;

/// One question for the time and its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Exchange {
    /// On the run's clock.
    pub(crate) asked_ns: u64,
    /// On the agent's own clock.
    pub(crate) agent_ns: u64,
    /// On the run's clock.
    pub(crate) answered_ns: u64,
}

impl Exchange {
    pub(crate) fn round_trip_ns(self) -> u64 {
        self.answered_ns.saturating_sub(self.asked_ns)
    }
}

/// What is known of an agent's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Estimate {
    /// To be added to the agent's clock to get the run's.
    pub(crate) offset_ns: i64,
    /// The offset is wrong by this at most, drift since the exchange aside.
    pub(crate) error_ns: u64,
}

/// The recent exchanges with one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClockSync {
    recent: VecDeque<Exchange>,
}

impl ClockSync {
    /// Takes in an exchange, and gives what is known now.
    pub(crate) fn add(&mut self, exchange: Exchange) -> Estimate {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(exchange);
        let best = self.recent.iter().copied().min_by_key(|one| one.round_trip_ns()).unwrap_or(exchange);
        let middle_ns = i128::from(best.asked_ns) + i128::from(best.round_trip_ns() / 2);
        let offset_ns = middle_ns - i128::from(best.agent_ns);
        Estimate {
            offset_ns: offset_ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
            error_ns: best.round_trip_ns().div_ceil(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An exchange that takes `there` and `back` ns, with an agent whose clock is `behind` ns behind.
    fn exchange(asked_ns: u64, there: u64, back: u64, behind: u64) -> Exchange {
        Exchange { asked_ns, agent_ns: asked_ns + there - behind, answered_ns: asked_ns + there + back }
    }

    #[test]
    fn the_quickest_exchange_decides_and_its_error_is_bounded() {
        let behind = 1_000_000;
        let mut sync = ClockSync::default();
        let rows = [(40_000, 40_000), (900_000, 20_000), (10_000, 30_000), (5_000_000, 10)];
        for (number, (there, back)) in (10..).zip(rows) {
            let estimate = sync.add(exchange(number * 1_000_000_000, there, back, behind));
            let wrong_by = (estimate.offset_ns - behind as i64).unsigned_abs();
            assert!(wrong_by <= estimate.error_ns, "{number}: wrong by {wrong_by}, said {estimate:?}");
        }
        let last = sync.add(exchange(60_000_000_000, 50_000, 50_000, behind));
        assert_eq!(last, Estimate { offset_ns: 1_000_000 + 10_000, error_ns: 20_000 });
    }

    #[test]
    fn drift_is_followed() {
        let mut sync = ClockSync::default();
        let mut estimate = sync.add(exchange(10_000_000_000, 1_000, 1_000, 0));
        for second in 11..60 {
            // The agent's clock falls behind by 50 µs each second; the first exchange was the quickest.
            let behind = (second - 10) * 50_000;
            estimate = sync.add(exchange(second * 1_000_000_000, 2_000, 2_000, behind));
        }
        let newest = 49 * 50_000;
        assert!(newest - estimate.offset_ns <= WINDOW as i64 * 50_000, "{estimate:?}");
    }

    #[test]
    fn a_clock_may_be_ahead() {
        let ahead = Exchange { asked_ns: 1_000, agent_ns: 500_000, answered_ns: 1_200 };
        assert_eq!(ClockSync::default().add(ahead), Estimate { offset_ns: -498_900, error_ns: 100 });
    }
}
