//! Draws think times: how long one client waits between two things that it does.
//!
//! Invariant: a drawn time is at least 1 ns, so that a client that acts again and again gets on in time.

use std::time::Duration;

use fastrand::Rng;

use crate::scenario::ThinkTime;

/// The time until the next action, counted from the one before.
pub(crate) fn next_ns(think: &ThinkTime, rng: &mut Rng) -> u64 {
    match think {
        ThinkTime::Constant(time) => nanoseconds(*time),
        ThinkTime::Exponential(mean) => exponential_ns(*mean, rng),
    }
}

/// The time until the first action, counted from when the client may act: as if it had been at it for long, so that clients
/// do not act in step.
pub(crate) fn first_ns(think: &ThinkTime, rng: &mut Rng) -> u64 {
    match think {
        ThinkTime::Constant(time) => rng.u64(..nanoseconds(*time)) + 1,
        // Has no memory: what is left of it is distributed as the whole.
        ThinkTime::Exponential(mean) => exponential_ns(*mean, rng),
    }
}

fn exponential_ns(mean: Duration, rng: &mut Rng) -> u64 {
    let drawn = -(1.0 - rng.f64()).ln() * mean.as_secs_f64() * 1e9;
    (drawn.round() as u64).max(1)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: Duration = Duration::from_millis(20);

    /// Mean, deviation, least and greatest in ms of 100,000 draws.
    fn drawn(draw: impl Fn(&mut Rng) -> u64) -> (f64, f64, f64, f64) {
        let mut rng = Rng::with_seed(5);
        let all: Vec<f64> = (0..100_000).map(|_| draw(&mut rng) as f64 / 1e6).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / all.len() as f64;
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = all.iter().copied().fold(0.0, f64::max);
        (mean, variance.sqrt(), least, most)
    }

    #[test]
    fn constant_times_are_constant_but_begin_anywhere() {
        let think = ThinkTime::Constant(MEAN);
        assert_eq!(drawn(|rng| next_ns(&think, rng)), (20.0, 0.0, 20.0, 20.0));
        let (mean, deviation, least, most) = drawn(|rng| first_ns(&think, rng));
        // Uniform over 20 ms: 20 / √12.
        assert!((mean - 10.0).abs() < 0.1 && (deviation - 5.77).abs() < 0.05, "{mean} ± {deviation}");
        assert!(least > 0.0 && most <= 20.0, "{least} to {most}");
    }

    #[test]
    fn exponential_times_have_mean_and_deviation_alike_from_the_first_on() {
        let think = ThinkTime::Exponential(MEAN);
        for draw in [next_ns, first_ns] {
            let (mean, deviation, least, most) = drawn(|rng| draw(&think, rng));
            assert!((mean - 20.0).abs() < 0.3 && (deviation - 20.0).abs() < 0.5, "{mean} ± {deviation}");
            assert!(least > 0.0 && most > 150.0, "{least} to {most}");
        }
    }

    #[test]
    fn no_time_is_zero_and_none_overflows() {
        let mut rng = Rng::with_seed(1);
        for think in [ThinkTime::Constant(Duration::ZERO), ThinkTime::Exponential(Duration::ZERO)] {
            assert_eq!((next_ns(&think, &mut rng), first_ns(&think, &mut rng)), (1, 1));
        }
        assert_eq!(next_ns(&ThinkTime::Constant(Duration::MAX), &mut rng), u64::MAX);
        assert!(first_ns(&ThinkTime::Exponential(Duration::MAX), &mut rng) > 0);
    }
}
