//! Latencies, counted in log-linear buckets: 64 to each doubling, so that a value is known to 1.6 %.
//!
//! One increment a delivery, no bounds that must be grown, 18 kB that stay in the cache.

use serde::{Deserialize, Serialize};

const SUB_BITS: u32 = 6;
const SUBS: usize = 1 << SUB_BITS;
/// Longer is counted as this long: 68 s.
const NS_MAX: u64 = (1 << 36) - 1;
const BUCKETS: usize = bucket(NS_MAX) + 1;

/// What is shown of a histogram; all 0 without samples.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Percentiles {
    pub samples: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p99_9_us: f64,
    pub max_us: f64,
}

/// Counts of durations in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), max_ns: 0 }
    }

    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket(ns.min(NS_MAX))] += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    pub fn percentiles(&self) -> Percentiles {
        let samples: u64 = self.counts.iter().sum();
        if samples == 0 {
            return Percentiles::default();
        }
        let at = |per_mille: u64| self.value_at((samples * per_mille).div_ceil(1000)) as f64 / 1e3;
        Percentiles {
            samples,
            p50_us: at(500),
            p99_us: at(990),
            p99_9_us: at(999),
            max_us: self.max_ns as f64 / 1e3,
        }
    }

    /// The value that so many samples do not pass.
    fn value_at(&self, rank: u64) -> u64 {
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(self.max_ns, |bucket| ceiling(bucket).min(self.max_ns))
    }
}

/// Below 64 each value has its bucket; above, the six bits behind the leading one count.
#[inline]
const fn bucket(ns: u64) -> usize {
    if ns < SUBS as u64 {
        return ns as usize;
    }
    let shift = ns.ilog2() - SUB_BITS;
    (shift as usize + 1) * SUBS + (ns >> shift) as usize - SUBS
}

/// The largest value of a bucket.
const fn ceiling(bucket: usize) -> u64 {
    if bucket < SUBS {
        return bucket as u64;
    }
    let shift = bucket / SUBS - 1;
    (((bucket % SUBS + SUBS) as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_meet_without_gap_and_are_narrow() {
        for at in 1..BUCKETS {
            let (floor, ceiling) = (ceiling(at - 1) + 1, ceiling(at));
            assert_eq!((bucket(floor), bucket(ceiling)), (at, at));
            assert!((ceiling - floor) * SUBS as u64 <= floor, "bucket {at} is {floor}..={ceiling}");
        }
        assert_eq!(ceiling(BUCKETS - 1), NS_MAX);
    }

    #[test]
    fn percentiles_are_known_to_two_per_cent() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|us| histogram.record(us * 1_000));
        let got = histogram.percentiles();
        for (value, exact) in [(got.p50_us, 5_000.0), (got.p99_us, 9_900.0), (got.p99_9_us, 9_990.0)] {
            assert!((0.0..0.017).contains(&(value / exact - 1.0)), "{value} for {exact}");
        }
        assert_eq!((got.samples, got.max_us), (10_000, 10_000.0));
    }

    #[test]
    fn few_and_extreme_samples() {
        assert_eq!(Histogram::new().percentiles(), Percentiles::default());
        let mut histogram = Histogram::new();
        histogram.record(u64::MAX);
        assert!(histogram.percentiles().p50_us > 68e6);
        let mut histogram = Histogram::new();
        histogram.record(1_000);
        let got = histogram.percentiles();
        assert_eq!((got.p50_us, got.p99_9_us), (1.0, 1.0));
    }
}
