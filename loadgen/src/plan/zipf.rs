//! Draws from a Zipf distribution, without a table: rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to
//! generate variates from monotone discrete distributions", ACM TOMACS 6(3), 1996).
//!
//! Rank `k` of `n` has a probability in proportion to `k^-s`. The density is covered by its own integral: a point of the area
//! is drawn, its rank is the nearest whole number, and it is drawn again when it lies above that rank's bar. The result is
//! exact, and fewer than one draw in twenty is repeated, whatever the exponent.

use fastrand::Rng;

/// Zipf over `0..count`, the most likely first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zipf {
    count: f64,
    exponent: f64,
    /// The area under the density from the left edge of rank 1, whose bar is 1 high and 1 wide, to the right edge of the last.
    area: (f64, f64),
    /// A point this close to the left of its rank is below the bar, whatever the rank.
    sure: f64,
}

impl Zipf {
    /// Ranks `0..count` (at least one), with `exponent` of at least 0 (which makes all equally likely).
    pub(crate) fn new(count: u32, exponent: f64) -> Self {
        debug_assert!(count > 0 && exponent >= 0.0 && exponent.is_finite());
        let count = f64::from(count);
        let area = (integral(1.5, exponent) - 1.0, integral(count + 0.5, exponent));
        let sure = 2.0 - inverse(integral(2.5, exponent) - 2_f64.powf(-exponent), exponent);
        Self { count, exponent, area, sure }
    }

    /// The next rank, from 0.
    pub(crate) fn sample(&self, rng: &mut Rng) -> u32 {
        loop {
            let point = self.area.0 + (1.0 - rng.f64()) * (self.area.1 - self.area.0);
            let at = inverse(point, self.exponent);
            let rank = at.round().clamp(1.0, self.count);
            let top = integral(rank + 0.5, self.exponent) - rank.powf(-self.exponent);
            if rank - at <= self.sure || point >= top {
                return rank as u32 - 1;
            }
        }
    }
}

/// `∫ t^-s dt` from 1 to `x`, for every `s`: the logarithm where `s` is 1.
fn integral(x: f64, s: f64) -> f64 {
    let log = x.ln();
    log * ratio((1.0 - s) * log, f64::exp_m1)
}

/// The `x` of which `area` is the [`integral`].
fn inverse(area: f64, s: f64) -> f64 {
    // Rounding must not carry the argument below where the logarithm ends.
    let scaled = ((1.0 - s) * area).max(-1.0);
    (area * ratio(scaled, f64::ln_1p)).exp()
}

/// `f(x) / x` for the two functions above, which behave as `x` near 0.
fn ratio(x: f64, f: fn(f64) -> f64) -> f64 {
    if x.abs() < 1e-12 { 1.0 } else { f(x) / x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's statistic of `draws` against `k^-s`, and its degrees of freedom; rare ranks are taken together.
    fn chi_square(count: u32, exponent: f64, draws: u32) -> (f64, f64) {
        let (zipf, mut rng) = (Zipf::new(count, exponent), Rng::with_seed(11));
        let mut seen = vec![0_u32; count as usize];
        for _ in 0..draws {
            seen[zipf.sample(&mut rng) as usize] += 1;
        }
        let weight = |rank: usize| (rank as f64 + 1.0).powf(-exponent);
        let total: f64 = (0..seen.len()).map(weight).sum();
        let (mut statistic, mut bins) = (0.0, 0.0);
        let (mut expected, mut observed) = (0.0, 0.0);
        for (rank, times) in seen.iter().enumerate() {
            expected += weight(rank) / total * f64::from(draws);
            observed += f64::from(*times);
            if expected >= 10.0 {
                statistic += (observed - expected) * (observed - expected) / expected;
                bins += 1.0;
                (expected, observed) = (0.0, 0.0);
            }
        }
        (statistic, bins - 1.0)
    }

    #[test]
    fn every_rank_comes_as_often_as_it_should() {
        for exponent in [0.0, 0.3, 0.8, 0.999_999_9, 1.0, 1.1, 2.0, 3.5] {
            for count in [2, 3, 10, 1_000, 50_000] {
                let (statistic, freedom) = chi_square(count, exponent, 200_000);
                // Four standard deviations; the seed makes this one number, not a chance.
                let bound = freedom + 4.0 * (2.0 * freedom).sqrt() + 4.0;
                assert!(statistic < bound, "{count} ranks, exponent {exponent}: {statistic} of {freedom}");
            }
        }
    }

    #[test]
    fn ends_are_kept_whatever_the_exponent() {
        for (count, exponent) in [(1, 0.0), (1, 1.0), (1, 4.0), (2, 30.0), (u32::MAX, 0.5), (u32::MAX, 4.0)] {
            let (zipf, mut rng) = (Zipf::new(count, exponent), Rng::with_seed(3));
            assert!((0..10_000).all(|_| zipf.sample(&mut rng) < count), "{count}, {exponent}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let (zipf, mut rng) = (Zipf::new(100, 1.1), Rng::with_seed(seed));
            (0..8).map(|_| zipf.sample(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
