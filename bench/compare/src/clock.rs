//! Time: the run's clock and this process' CPU time.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::time::ClockId;

/// Nanoseconds since the run began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    #[inline]
    pub fn now_ns(self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    pub fn sleep_until(self, due_ns: u64) {
        thread::sleep(Duration::from_nanos(due_ns.saturating_sub(self.now_ns())));
    }
}

/// CPU time of this process in ns: the generator's.
pub fn own_cpu_ns() -> u64 {
    let time = ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from).unwrap_or_default();
    time.as_nanos() as u64
}
