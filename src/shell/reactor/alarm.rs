//! The end of long waits: a timer that stays set while waits come and go.
//!
//! A timeout of its own for each wait has the kernel set and clear a hardware timer each time, which costs a virtual
//! machine microseconds. A busy shard waits thousands of times a second and only has to look up now and then. So its
//! waits have no timeout; the alarm is set once, and again only when it has rung or is too late.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Readable from when it rings. To be watched edge by edge: it is never read.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: TimerFd,
    /// When it rings next, or rang last.
    rings: Instant,
}

impl Alarm {
    /// Not set.
    pub(super) fn new(now: Instant) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Self { timer, rings: now })
    }

    /// Sees to it that it rings after `within`, or before.
    pub(super) fn set(&mut self, now: Instant, within: Duration) -> io::Result<()> {
        let by = now + within;
        if self.has_rung(now) || self.rings > by {
            // A time of zero would switch it off.
            let within = within.max(Duration::from_nanos(1));
            self.timer.set(Expiration::OneShot(within.into()), TimerSetTimeFlags::empty())?;
            self.rings = by;
        }
        Ok(())
    }

    /// Whether it is not set any more.
    pub(super) fn has_rung(&self, now: Instant) -> bool {
        self.rings <= now
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
