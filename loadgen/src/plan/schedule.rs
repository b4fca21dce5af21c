//! When each publisher sends: an open-loop schedule that never looks at how the target is doing.
//!
//! Even arrivals are computed from the message's number, so that no rounding adds up: message `j`
//! of the whole run is due at `j / rate`, and publisher `i` of `n` sends the messages `i`, `i + n`,
//! `i + 2n`, …. Poisson arrivals draw exponential gaps from a seed of the publisher's own, so that
//! neither the number of threads nor the order of events changes them.

use clap::ValueEnum;

/// How publications are spread over time: at equal distances, or at random.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Arrivals {
    Even,
    Poisson,
}

impl Arrivals {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Poisson => "poisson",
        }
    }
}

/// The due times of one publisher, in ns since publishing began; they never decrease.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    /// `index` is the next message's number in the whole run.
    Even {
        index: u64,
        publishers: u32,
        rate: f64,
    },
    Poisson {
        at_ns: f64,
        gap_mean_ns: f64,
        rng: fastrand::Rng,
    },
}

impl Schedule {
    /// The schedule of `publisher` (from 0) of `publishers`, which together send `rate` messages per second.
    pub(crate) fn new(arrivals: Arrivals, publisher: u32, publishers: u32, rate: f64, seed: u64) -> Self {
        match arrivals {
            Arrivals::Even => Self::Even { index: u64::from(publisher), publishers, rate },
            Arrivals::Poisson => {
                let seed = seed ^ (u64::from(publisher) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let gap_mean_ns = f64::from(publishers) / rate * 1e9;
                Self::Poisson { at_ns: 0.0, gap_mean_ns, rng: fastrand::Rng::with_seed(seed) }
            }
        }
    }

    /// When the next message is due.
    pub(crate) fn next_due_ns(&mut self) -> u64 {
        match self {
            Self::Even { index, publishers, rate } => {
                let due = *index as f64 / *rate * 1e9;
                *index += u64::from(*publishers);
                due.round() as u64
            }
            Self::Poisson { at_ns, gap_mean_ns, rng } => {
                *at_ns += -(1.0 - rng.f64()).ln() * *gap_mean_ns;
                at_ns.round() as u64
            }
        }
    }
}

/// A schedule of even events, anchored on the run's clock. What is late is caught up with.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    origin_ns: u64,
    times: Schedule,
}

impl Pace {
    /// `rate` events per second of all threads together, from `origin_ns` on; this is one thread's part.
    pub(crate) fn new(origin_ns: u64, thread: u32, threads: u32, rate: f64) -> Self {
        Self { origin_ns, times: Schedule::Even { index: u64::from(thread), publishers: threads, rate } }
    }

    /// When the next event is due.
    pub(crate) fn next_due_ns(&mut self) -> u64 {
        self.origin_ns + self.times.next_due_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(arrivals: Arrivals, publishers: u32, rate: f64, seed: u64, until_ns: u64) -> Vec<u64> {
        let mut all: Vec<u64> = (0..publishers)
            .flat_map(|publisher| {
                let mut schedule = Schedule::new(arrivals, publisher, publishers, rate, seed);
                std::iter::from_fn(move || Some(schedule.next_due_ns()))
                    .take_while(move |due| *due < until_ns)
            })
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn even_arrivals_are_exact_in_number_and_never_drift() {
        // publishers, rate, seconds, messages
        let rows = [
            (1, 1.0, 10, 10),
            (1_000, 500.0, 20, 10_000),
            (7, 1_000.0, 3, 3_000),
            (3, 0.5, 20, 10),
            (1_000, 333.0, 1_000, 333_000),
        ];
        for (publishers, rate, seconds, messages) in rows {
            let all = due(Arrivals::Even, publishers, rate, 1, seconds * 1_000_000_000);
            assert_eq!(all.len(), messages, "{publishers} publishers, {rate}/s");
            for (index, at) in all.iter().enumerate() {
                let exact = index as f64 * 1e9 / rate;
                assert!((*at as f64 - exact).abs() <= 1.0, "message {index} at {at}, not {exact}");
            }
        }
    }

    #[test]
    fn a_long_run_stays_on_the_grid() {
        let mut schedule = Schedule::new(Arrivals::Even, 0, 1, 3.0, 1);
        let last = (0..3 * 3600 * 24 * 7 + 1).map(|_| schedule.next_due_ns()).last().unwrap();
        assert_eq!(last, 3600 * 24 * 7 * 1_000_000_000);
    }

    #[test]
    fn poisson_arrivals_repeat_with_the_seed_and_have_the_rate_and_spread_of_poisson() {
        let second = 1_000_000_000;
        let all = due(Arrivals::Poisson, 10, 1_000.0, 42, 100 * second);
        assert_eq!(all, due(Arrivals::Poisson, 10, 1_000.0, 42, 100 * second));
        assert_ne!(all, due(Arrivals::Poisson, 10, 1_000.0, 43, 100 * second));
        // 100,000 expected, standard deviation 316; the seed makes this one number, not a chance.
        assert!((98_500..101_500).contains(&all.len()), "{}", all.len());
        let gaps: Vec<f64> = all.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((0.97..1.03).contains(&(variance.sqrt() / mean)), "exponential gaps: deviation equals mean");
    }
}
