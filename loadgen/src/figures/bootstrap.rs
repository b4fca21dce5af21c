//! How sure a ratio of two samples is: intervals by drawing the samples anew. Chance comes from a seed, so that the same results
//! always compare alike.
//!
//! The interval of runs is a percentile interval, widened for small samples as an interval of means would be by Student's t
//! (Hesterberg, "What Teachers Should Know About the Bootstrap", expanded percentile interval). With so few values that even
//! the most extreme arrangement of both samples comes by chance more often than doubt allows, nothing can be shown: see
//! [`enough`]. Seconds of one run depend on their neighbours, so they are drawn in blocks.

use fastrand::Rng;

const RESAMPLES: usize = 4_000;
/// Two-sided, of all statements.
const DOUBT: f64 = 0.05;

/// Where a ratio probably is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    pub(crate) fn contains(self, ratio: f64) -> bool {
        (self.low..=self.high).contains(&ratio)
    }
}

/// The middle one, or halfway between the two in the middle; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) })
}

/// Whether so many values on each side can show a difference at all: the chance that two samples of the same kind happen to lie
/// one above the other is two in the number of ways to choose one side.
pub(crate) fn enough(a: usize, b: usize) -> bool {
    let ways: f64 = (0..a).map(|i| (a + b - i) as f64 / (i + 1) as f64).product();
    a > 0 && b > 0 && 2.0 / ways <= DOUBT
}

/// Of the ratio of medians, `b` to `a`. All values above 0; at least two on each side.
pub(crate) fn ratio_interval(a: &[f64], b: &[f64], rng: &mut Rng) -> Option<Interval> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let draw = |from: &[f64], rng: &mut Rng| -> Vec<f64> {
        from.iter().map(|_| from[rng.usize(..from.len())]).collect()
    };
    let ratios = (0..RESAMPLES)
        .map(|_| Some(median(&draw(b, rng))? / median(&draw(a, rng))?))
        .collect::<Option<Vec<_>>>()?;
    Some(interval(ratios, widened_tail(a.len().min(b.len()))))
}

/// As [`ratio_interval`], of values that follow each other in time.
pub(crate) fn series_ratio_interval(a: &[f64], b: &[f64], rng: &mut Rng) -> Option<Interval> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let ratios = (0..RESAMPLES)
        .map(|_| Some(median(&draw_blocks(b, rng))? / median(&draw_blocks(a, rng))?))
        .collect::<Option<Vec<_>>>()?;
    Some(interval(ratios, widened_tail(a.len().min(b.len()))))
}

/// As many values, in blocks of neighbours; the first follows the last.
fn draw_blocks(from: &[f64], rng: &mut Rng) -> Vec<f64> {
    // Blocks that grow with the cube root of the length keep what depends together, and leave enough of them.
    let block = (from.len() as f64).cbrt().ceil() as usize;
    let mut drawn = Vec::with_capacity(from.len() + block);
    while drawn.len() < from.len() {
        let start = rng.usize(..from.len());
        drawn.extend((0..block).map(|i| from[(start + i) % from.len()]));
    }
    drawn.truncate(from.len());
    drawn
}

/// Between the quantiles `tail` and `1 - tail`.
fn interval(mut ratios: Vec<f64>, tail: f64) -> Interval {
    ratios.sort_by(f64::total_cmp);
    let last = ratios.len() - 1;
    let cut = ((tail * ratios.len() as f64) as usize).min(last / 2);
    Interval { low: ratios[cut], high: ratios[last - cut] }
}

/// The share of resamples outside on each side, so that samples of `n` are covered as well as larger ones.
fn widened_tail(n: usize) -> f64 {
    let n_f = n as f64;
    normal_below(-(n_f / (n_f - 1.0)).sqrt() * student_t(n - 1))
}

/// The 97.5 % quantile of Student's t. Cornish-Fisher's expansion is good to a thousandth from seven degrees of freedom on.
fn student_t(degrees: usize) -> f64 {
    const FEW: [f64; 6] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447];
    const Z: f64 = 1.959_964;
    let d = degrees as f64;
    let more = || {
        Z + (Z.powi(3) + Z) / (4.0 * d)
            + (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / (96.0 * d * d)
            + (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / (384.0 * d.powi(3))
    };
    FEW.get(degrees.saturating_sub(1)).copied().unwrap_or_else(more)
}

/// The standard normal distribution below `z`, for `z <= 0`; off by 1e-7 at most (Abramowitz and Stegun, 26.2.17).
fn normal_below(z: f64) -> f64 {
    let t = 1.0 / (1.0 - 0.231_641_9 * z);
    let sum = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around 100, with a spread of some percent.
    fn sample(n: usize, scale: f64, rng: &mut Rng) -> Vec<f64> {
        let noise = |rng: &mut Rng| (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        (0..n).map(|_| scale * 100.0 * (0.04 * noise(rng)).exp()).collect()
    }

    #[test]
    fn the_tables_are_met() {
        for (z, p) in [(0.0, 0.5), (-1.0, 0.158_655), (-1.96, 0.024_998), (-3.0, 0.001_350)] {
            assert!((normal_below(z) - p).abs() < 1e-6, "{z}");
        }
        for (degrees, t) in [(1, 12.706), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)] {
            assert!((student_t(degrees) - t).abs() < 2e-3, "{degrees}: {}", student_t(degrees));
        }
        assert_eq!(
            [median(&[]), median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])],
            [None, Some(2.0), Some(2.5)]
        );
    }

    #[test]
    fn few_runs_show_nothing() {
        for (a, b, able) in [
            (1, 1, false),
            (1, 38, false),
            (3, 3, false),
            (4, 4, true),
            (3, 5, true),
            (2, 7, false),
            (2, 8, true),
        ] {
            assert_eq!(enough(a, b), able, "{a} and {b}");
        }
        assert_eq!(ratio_interval(&[1.0], &[1.0, 2.0], &mut Rng::with_seed(1)), None);
    }

    #[test]
    fn no_difference_is_seldom_found_where_there_is_none() {
        let mut rng = Rng::with_seed(7);
        for n in [4, 5, 8, 15] {
            let wrong = (0..200).filter(|_| {
                let (a, b) = (sample(n, 1.0, &mut rng), sample(n, 1.0, &mut rng));
                !ratio_interval(&a, &b, &mut rng).unwrap().contains(1.0)
            });
            // 5 % of 200, and four standard deviations.
            assert!(wrong.count() <= 22, "{n} runs");
        }
    }

    #[test]
    fn a_clear_difference_is_found() {
        let mut rng = Rng::with_seed(8);
        for n in [4, 6, 10] {
            let found = (0..100).filter(|_| {
                let (a, b) = (sample(n, 1.0, &mut rng), sample(n, 1.3, &mut rng));
                let interval = ratio_interval(&a, &b, &mut rng).unwrap();
                interval.low > 1.0 && interval.high < 1.6
            });
            assert!(found.count() >= 90, "{n} runs");
        }
    }

    #[test]
    fn neighbours_that_depend_widen_the_interval() {
        let mut rng = Rng::with_seed(9);
        // Eight seconds each at one level: 64 seconds, but only eight values.
        let steps: Vec<f64> = (0..8).flat_map(|_| [100.0 + 20.0 * rng.f64(); 8]).collect();
        let wide = series_ratio_interval(&steps, &steps, &mut Rng::with_seed(1)).unwrap();
        let narrow = ratio_interval(&steps, &steps, &mut Rng::with_seed(1)).unwrap();
        assert!(wide.high - wide.low > 1.2 * (narrow.high - narrow.low), "{wide:?} {narrow:?}");
        let again = series_ratio_interval(&steps, &steps, &mut Rng::with_seed(1)).unwrap();
        assert_eq!(wide, again, "the same seed, the same interval");
    }
}
