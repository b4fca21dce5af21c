//! The one place that reads clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::Now;

/// Both clocks, from one start for all shards, so that times can travel between them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at 0 µs.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Both clocks now. A system clock before 1970 reads as 1970.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_us: self.mono_us(), unix_ms: unix.as_millis() as u64 }
    }

    /// Both clocks now, of which only the monotonic one is read: the other has gone on alike since `then`. For the
    /// same turn of a shard.
    pub fn later(&self, then: Now) -> Now {
        let mono_us = self.mono_us();
        let since_ms = (mono_us / 1_000).saturating_sub(then.mono_us / 1_000);
        Now { mono_us, unix_ms: then.unix_ms + since_ms }
    }

    fn mono_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}
