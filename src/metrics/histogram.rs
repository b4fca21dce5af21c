//! Durations, counted in buckets. One scale for all of them, from 0.05 ms to 10 s, so that quantiles of different
//! histograms compare and shards add up.

/// Upper bounds in microseconds, each inclusive; what is longer goes into a last bucket without bound.
const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How often which duration was seen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Histogram {
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Counts one duration in microseconds.
    pub fn observe_us(&mut self, us: u64) {
        self.counts[BOUNDS_US.partition_point(|&bound| bound < us)] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Adds what another one of the same kind has counted.
    pub(super) fn absorb(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Pairs of (upper bound in ms, how many were not longer), without the last bucket.
    pub(super) fn cumulative_ms(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS_US.iter().zip(self.counts).scan(0, |total, (&bound, count)| {
            *total += count;
            Some((ms(bound), *total))
        })
    }

    /// All durations together, in ms.
    pub(super) fn sum_ms(&self) -> f64 {
        ms(self.sum_us)
    }

    /// How many durations were counted.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let rows: [(u64, f64); 7] = [
            (0, 0.05),
            (50, 0.05),
            (51, 0.1),
            (1_000, 1.0),
            (1_001, 2.5),
            (10_000_000, 10_000.0),
            (10_000_001, f64::INFINITY),
        ];
        for (us, expected_ms) in rows {
            let mut histogram = Histogram::default();
            histogram.observe_us(us);
            let bound_ms =
                histogram.cumulative_ms().find(|(_, count)| *count == 1).map_or(f64::INFINITY, |it| it.0);
            assert_eq!(bound_ms, expected_ms, "{us} us");
            assert_eq!(histogram.count(), 1);
        }
    }

    #[test]
    fn absorbing_adds_counts_and_sum() {
        let mut all = Histogram::default();
        let mut parts = [Histogram::default(); 3];
        for us in (0..12_000_000).step_by(7_919) {
            all.observe_us(us);
            parts[us as usize % 3].observe_us(us);
        }
        let mut merged = Histogram::default();
        parts.iter().for_each(|part| merged.absorb(part));
        assert_eq!(merged, all);
    }
}
