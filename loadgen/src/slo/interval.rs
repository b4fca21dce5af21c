//! What passes and failures of repeated runs say about the probability of passing: exact binomial bounds (Clopper and Pearson),
//! found by halving, as the counts are small.

/// Halvings: more than an `f64` has digits.
const STEPS: u32 = 60;

/// The probability of passing is at least this, with this confidence (0 to 1), when `passed` of `runs` independent runs passed.
pub(crate) fn at_least(passed: u32, runs: u32, confidence: f64) -> f64 {
    debug_assert!(passed <= runs, "{passed} of {runs}");
    if passed == 0 {
        return 0.0;
    }
    // The probability of so many passes rises with that of one: the bound is where it is as small as doubt allows.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if or_more(passed, runs, middle) > 1.0 - confidence {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

/// The probability that `passed` or more of `runs` pass, when each does with probability `p`.
fn or_more(passed: u32, runs: u32, p: f64) -> f64 {
    (passed..=runs).map(|k| choose(runs, k) * p.powi(k as i32) * (1.0 - p).powi((runs - k) as i32)).sum()
}

fn choose(n: u32, k: u32) -> f64 {
    (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_tables() {
        // One-sided 95 % of all that passed is the n-th root of 0.05.
        let rows = [
            (5, 5, 0.549_28),
            (10, 10, 0.741_13),
            (3, 3, 0.368_40),
            (9, 10, 0.605_84),
            (4, 5, 0.342_59),
            (0, 5, 0.0),
        ];
        for (passed, runs, bound) in rows {
            let got = at_least(passed, runs, 0.95);
            assert!((got - bound).abs() < 1e-4, "{passed} of {runs}: {got}");
        }
    }

    #[test]
    fn bounds_hold_as_often_as_they_say() {
        let mut rng = fastrand::Rng::with_seed(3);
        for p in [0.5, 0.8, 0.95] {
            let held = (0..2_000).filter(|_| {
                let passed = (0..8).filter(|_| rng.f64() < p).count();
                at_least(passed as u32, 8, 0.95) <= p
            });
            assert!(held.count() >= 1_880, "at least 95 % but for chance, at {p}");
        }
    }
}
