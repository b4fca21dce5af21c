//! When held publications may leave: the pace at which a shard fans out.
//!
//! A frame that leaves alone costs a write of its own, and company is the only thing that makes it cheaper. So a shard
//! rests after each release, in proportion to what the release took, and what comes in meanwhile leaves together. A
//! shard that has time is past its rest when the next publication comes, and sends at once; one under load spends a
//! bounded part of its time on writing; no frame waits longer than the budget.

/// A release is followed by this many times its own length, within the budget: fan-out takes a fifth of the time, as
/// long as the budget allows it.
const REST: u64 = 4;

/// The pace of one shard. Times are monotonic microseconds.
#[derive(Debug)]
pub(super) struct Pace {
    budget_us: u64,
    opens_us: u64,
}

impl Pace {
    /// No publication waits longer for company than `budget_us`; with 0 none waits.
    pub(super) fn new(budget_us: u64) -> Self {
        Self { budget_us, opens_us: 0 }
    }

    /// A release and its writes lasted from `began_us` to `ended_us`.
    pub(super) fn released(&mut self, began_us: u64, ended_us: u64) {
        let lasted_us = ended_us.saturating_sub(began_us);
        self.opens_us = ended_us + (lasted_us * REST).min(self.budget_us);
    }

    /// From when on publications may leave.
    pub(super) fn opens_us(&self) -> u64 {
        self.opens_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_follow_the_length_of_a_release_within_the_budget() {
        for (budget_us, began_us, ended_us, opens_us) in [
            (2_000, 1_000, 1_100, 1_500),
            (2_000, 1_000, 1_500, 3_500),
            (2_000, 1_000, 9_000, 11_000),
            (0, 1_000, 9_000, 9_000),
            (2_000, 1_000, 1_000, 1_000),
            (2_000, 1_001, 1_000, 1_000),
        ] {
            let mut pace = Pace::new(budget_us);
            assert_eq!(pace.opens_us(), 0, "the first may leave at once");
            pace.released(began_us, ended_us);
            assert_eq!(pace.opens_us(), opens_us, "{budget_us} {began_us} {ended_us}");
        }
    }
}
