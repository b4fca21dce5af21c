//! How the next sleep is to be slept: in the backend's own wait, or through monoio.
//!
//! The backend's own wait is one system call and precise to microseconds, but nothing that monoio hosts beside the
//! shard (timers, tasks with sockets of their own) runs in it. A busy shard's sleeps are short: it sleeps alone, and
//! gives the runtime a pass now and then. A quiet shard, or one whose last sleep turned out long, sleeps through
//! monoio. Pure: told the time.

use std::time::{Duration, Instant};

/// How soon after a pass of the runtime's driver the next one is owed: the runtime hosts nothing that is in a hurry.
const PASS_EVERY: Duration = Duration::from_millis(5);

/// The longest sleep alone. With `PASS_EVERY`, what tasks beside the shard's may have to wait, turns not counted.
pub(super) const ALONE_MAX: Duration = Duration::from_millis(5);

/// Sleeps alone that are shorter end precisely, by a timeout of their own; longer ones by the alarm.
pub(super) const TIMED_BELOW: Duration = Duration::from_millis(1);

/// Timeouts below this are kept precisely; monoio rounds to milliseconds and adds one.
const PRECISE_BELOW: Duration = Duration::from_millis(10);

/// How to sleep, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sleep {
    /// In the backend's own wait.
    Alone(Duration),
    /// Through the runtime.
    Hosted(Duration),
}

/// What is known of the shard's rhythm.
#[derive(Debug)]
pub(super) struct Pace {
    passed: Instant,
    /// The last sleep was shorter than [`ALONE_MAX`] because something came.
    brisk: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { passed: now, brisk: false }
    }

    /// The runtime's driver has had a pass.
    pub(super) fn passed(&mut self, now: Instant) {
        self.passed = now;
    }

    /// A sleep took so long; something came if it was `woken`.
    pub(super) fn slept(&mut self, took: Duration, woken: bool) {
        self.brisk = took < ALONE_MAX && (woken || self.brisk);
    }

    pub(super) fn owes_pass(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.passed) >= PASS_EVERY
    }

    /// How to sleep for `left`, or a part of it.
    pub(super) fn plan(&self, left: Duration) -> Sleep {
        if self.brisk || left < PRECISE_BELOW {
            Sleep::Alone(left.min(ALONE_MAX))
        } else {
            Sleep::Hosted(left)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_waits_and_busy_shards_sleep_alone() {
        let ms = Duration::from_millis;
        let (alone, hosted) = (Sleep::Alone, Sleep::Hosted);
        let mut pace = Pace::new(Instant::now());
        let (long, short) = (ms(500), Duration::from_micros(300));
        // What the last sleep was, and the plans for a long and a short one.
        let rows = [
            ("nothing yet", None, hosted(long)),
            ("woken soon", Some((ms(1), true)), alone(ALONE_MAX)),
            ("a hold that nothing ended", Some((short, false)), alone(ALONE_MAX)),
            ("woken late", Some((ms(6), true)), hosted(long)),
            ("a hold in quiet times", Some((short, false)), hosted(long)),
            ("woken soon", Some((ms(0), true)), alone(ALONE_MAX)),
            ("nothing came", Some((ALONE_MAX, false)), hosted(long)),
        ];
        for (name, last, plan) in rows {
            if let Some((took, woken)) = last {
                pace.slept(took, woken);
            }
            assert_eq!(pace.plan(long), plan, "{name}");
            assert_eq!(pace.plan(short), alone(short), "{name}");
            assert_eq!(pace.plan(ms(9)), alone(ALONE_MAX), "{name}");
        }
    }

    #[test]
    fn a_pass_is_owed_some_time_after_the_last() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(!pace.owes_pass(start + PASS_EVERY / 2) && pace.owes_pass(start + PASS_EVERY));
        pace.passed(start + PASS_EVERY);
        assert!(!pace.owes_pass(start + PASS_EVERY) && pace.owes_pass(start + 2 * PASS_EVERY));
    }
}
