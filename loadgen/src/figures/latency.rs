//! Histograms of durations and the percentiles that are shown of them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer durations count as this long.
const NS_MAX: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// An empty histogram of nanoseconds, up to 60 s, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, NS_MAX, SIGNIFICANT_DIGITS).expect("the bounds are constant and valid")
}

/// What is shown of a histogram. In µs; 0 where there are no samples.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) samples: u64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p99_9_us: f64,
    pub(crate) max_us: f64,
    pub(crate) mean_us: f64,
}

impl Percentiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            samples: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: histogram.max() as f64 / 1e3,
            mean_us: histogram.mean() / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_three_digits() {
        let mut histogram = histogram();
        (1..=10_000).for_each(|us| histogram.saturating_record(us * 1_000));
        let got = Percentiles::of(&histogram);
        for (value, exact) in
            [(got.p50_us, 5_000.0), (got.p90_us, 9_000.0), (got.p99_us, 9_900.0), (got.p99_9_us, 9_990.0)]
        {
            assert!((value / exact - 1.0).abs() < 0.001, "{value} for {exact}");
        }
        assert_eq!(got.samples, 10_000);
    }

    #[test]
    fn what_is_longer_than_the_histogram_counts_as_its_longest() {
        let mut histogram = histogram();
        histogram.saturating_record(u64::MAX);
        assert!(Percentiles::of(&histogram).max_us >= 60e6);
        assert_eq!(Percentiles::of(&super::histogram()), Percentiles::default());
    }
}
