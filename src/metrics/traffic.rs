//! What a shard has counted lately and today: its counters as they were each second, and as they were at midnight (UTC).
//!
//! Owns no clock: who drives it says the time, about once a second. So a day begins up to that much too early: what was
//! counted between the last word before midnight and the first one after it belongs to the new day.

use super::shard::ShardMetrics;
use crate::base::Now;

/// How many seconds' counters are kept: a rate is that of this time.
const SAMPLES: usize = 10;

/// Samples that come sooner are left out: after a standstill the shell may have several words at once.
const APART_US_MIN: u64 = 500_000;

const DAY_MS: u64 = 86_400_000;

/// A clock that is set back by less does not begin a day again.
const SET_BACK_MS_MAX: u64 = 3_600_000;

/// One value for each of the things that are counted.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Flows<T> {
    /// Messages from clients.
    pub received: T,
    /// Messages to clients.
    pub sent: T,
    pub errors: T,
    pub dropped: T,
}

impl<T: Copy> Flows<T> {
    /// Each value together with the other's.
    pub fn with<U: Copy, V>(self, other: Flows<U>, join: impl Fn(T, U) -> V) -> Flows<V> {
        Flows {
            received: join(self.received, other.received),
            sent: join(self.sent, other.sent),
            errors: join(self.errors, other.errors),
            dropped: join(self.dropped, other.dropped),
        }
    }
}

impl Flows<u64> {
    /// What a shard has counted since its start.
    pub fn of(metrics: &ShardMetrics) -> Self {
        Self {
            received: metrics.received.total(),
            sent: metrics.sent.total(),
            errors: metrics.errors.total(),
            dropped: metrics.dropped.total(),
        }
    }

    fn since(self, earlier: Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }
}

/// What is told of the traffic of a shard, or of several.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Lately {
    /// Over the last ten seconds, or since the start.
    pub per_second: Flows<f64>,
    /// Since midnight (UTC), or since the start.
    pub today: Flows<u64>,
}

impl Lately {
    /// Adds another shard's.
    pub fn absorb(&mut self, other: &Self) {
        self.per_second = self.per_second.with(other.per_second, |one, two| one + two);
        self.today = self.today.with(other.today, |one, two| one + two);
    }
}

/// The memory of one shard.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// A ring of which `taken` samples were written.
    samples: [Sample; SAMPLES],
    taken: usize,
    /// Unix time; 0 before the first word.
    day_ends_ms: u64,
    at_midnight: Flows<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    mono_us: u64,
    totals: Flows<u64>,
}

impl Traffic {
    /// Notes what has been counted until now. For about once a second.
    pub fn sample(&mut self, totals: Flows<u64>, now: Now) {
        self.turn_day(now);
        let last_us = self.last().map_or(0, |last| last.mono_us);
        if self.taken == 0 || now.mono_us >= last_us + APART_US_MIN {
            self.samples[self.taken % SAMPLES] = Sample { mono_us: now.mono_us, totals };
            self.taken += 1;
        }
    }

    /// What there is to tell, `totals` having been counted until now.
    pub fn lately(&mut self, totals: Flows<u64>, now: Now) -> Lately {
        self.turn_day(now);
        let oldest = if self.taken < SAMPLES { self.samples[0] } else { self.samples[self.taken % SAMPLES] };
        let passed_us = now.mono_us.saturating_sub(oldest.mono_us);
        let counted = totals.since(oldest.totals);
        let per_second = counted.with(counted, |count, _| {
            if self.taken == 0 || passed_us == 0 { 0.0 } else { count as f64 * 1e6 / passed_us as f64 }
        });
        Lately { per_second, today: totals.since(self.at_midnight) }
    }

    fn turn_day(&mut self, now: Now) {
        let is_over = now.unix_ms >= self.day_ends_ms;
        let is_yet_to_come = now.unix_ms + DAY_MS + SET_BACK_MS_MAX < self.day_ends_ms;
        if is_over || is_yet_to_come {
            self.at_midnight = self.last().map_or_else(Flows::default, |last| last.totals);
            self.day_ends_ms = (now.unix_ms / DAY_MS + 1) * DAY_MS;
        }
    }

    fn last(&self) -> Option<&Sample> {
        let last = self.taken.checked_sub(1)?;
        Some(&self.samples[last % SAMPLES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15 in the evening.
    const MIDNIGHT_MS: u64 = 1_800_057_600_000;

    fn received(received: u64) -> Flows<u64> {
        Flows { received, sent: 2 * received, ..Flows::default() }
    }

    fn at(unix_ms: u64) -> Now {
        Now { mono_us: (unix_ms + DAY_MS - MIDNIGHT_MS) * 1_000, unix_ms }
    }

    #[test]
    fn a_rate_is_of_the_last_ten_samples() {
        let mut traffic = Traffic::default();
        let start_ms = MIDNIGHT_MS + 1_000;
        assert_eq!(traffic.lately(received(5), at(start_ms)).per_second, Flows::default(), "no sample yet");
        let rate = |traffic: &mut Traffic, second: u64, count| {
            traffic.lately(received(count), at(start_ms + second * 1_000)).per_second.received
        };
        // 100 a second for 20 seconds, then nothing.
        for second in 0..20 {
            traffic.sample(received(second * 100), at(start_ms + second * 1_000));
            // One that comes at once is left out.
            traffic.sample(received(second * 100), at(start_ms + second * 1_000 + 1));
            assert_eq!(rate(&mut traffic, second + 1, (second + 1) * 100), 100.0, "{second}");
        }
        for second in 20..40 {
            traffic.sample(received(2_000), at(start_ms + second * 1_000));
        }
        assert_eq!(rate(&mut traffic, 40, 2_000), 0.0);
        let lately = traffic.lately(received(2_100), at(start_ms + 40_000));
        assert_eq!((lately.per_second.received, lately.per_second.sent), (10.0, 20.0));
        assert_eq!((lately.today.received, lately.today.sent), (2_100, 4_200));
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let mut traffic = Traffic::default();
        let rows = [
            // (since midnight in ms, counted, whether it is sampled, today's)
            (-3_000_i64, 10, true, 10),
            (-1_000, 20, true, 20),
            (-1, 30, false, 30),
            (0, 30, false, 10),
            (1_000, 40, true, 20),
            // Set back by a little, and put right again.
            (-500, 41, true, 21),
            (2_000, 42, true, 22),
            (DAY_MS as i64 - 1, 50, true, 30),
            (DAY_MS as i64 + 1_000, 60, true, 10),
            // Nobody spoke for days.
            (5 * DAY_MS as i64, 70, false, 10),
            // The clock had been wrong by days.
            (2 * DAY_MS as i64, 80, true, 20),
            (2 * DAY_MS as i64 + 1, 90, true, 30),
        ];
        for (since_ms, counted, is_sampled, today) in rows {
            let now = at(MIDNIGHT_MS.strict_add_signed(since_ms));
            if is_sampled {
                traffic.sample(received(counted), now);
            }
            let lately = traffic.lately(received(counted), now);
            assert_eq!(lately.today.received, today, "at {since_ms} ms");
        }
    }

    #[test]
    fn shards_add_up() {
        let one = |n: u64| Lately {
            per_second: received(n).with(received(n), |n, _| n as f64),
            today: received(n),
        };
        let mut all = Lately::default();
        [1, 2, 3].iter().for_each(|&n| all.absorb(&one(n)));
        assert_eq!(all, one(6));
    }
}
