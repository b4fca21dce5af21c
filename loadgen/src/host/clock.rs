//! Time: the run's clock, the CPU time of a thread, and an alarm that wakes an event loop on the
//! nanosecond (the time-out of epoll itself has milliseconds, which would show in every latency).

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, unix::SourceFd};
use nix::{
    sys::{
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    time::ClockId as TimeClockId,
};

/// Nanoseconds since a moment that all threads of the run share, those of other machines too: an agent's clock is set by what
/// its coordinator finds out about it, again and again, by some µs each time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    offset_ns: Arc<AtomicI64>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now(), offset_ns: Arc::default() }
    }

    /// The run's time.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.at(self.own_ns())
    }

    /// The run's time when it was this by [`own_ns`](Self::own_ns).
    #[inline]
    pub(crate) fn at(&self, own_ns: u64) -> u64 {
        own_ns.saturating_add_signed(self.offset_ns.load(Ordering::Relaxed))
    }

    /// What it would be, had nobody set it.
    #[inline]
    pub(crate) fn own_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sets this clock, and all that were cloned from it.
    pub(crate) fn set_offset(&self, offset_ns: i64) {
        self.offset_ns.store(offset_ns, Ordering::Relaxed);
    }
}

/// CPU time that the calling thread has used.
pub(crate) fn thread_cpu() -> Duration {
    TimeClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

/// Wakes an event loop on the nanosecond: the time-out of epoll itself has milliseconds, which would show in every latency.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    /// When it goes off; `u64::MAX` while it is not set.
    due_ns: u64,
}

impl Alarm {
    /// An alarm that is not set; its events have `token`.
    ///
    /// # Errors
    /// When the system has no timer for it, or the registry refuses it.
    pub fn register(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, due_ns: u64::MAX })
    }

    /// Sets the alarm, unless it is set for that time already. `due_ns` must be in the future.
    ///
    /// # Errors
    /// When the system refuses the time.
    pub fn set(&mut self, now_ns: u64, due_ns: u64) -> io::Result<()> {
        if self.due_ns != due_ns {
            let wait = TimeSpec::from_duration(Duration::from_nanos(due_ns.saturating_sub(now_ns).max(1)));
            self.timer.set(Expiration::OneShot(wait), TimerSetTimeFlags::empty())?;
            self.due_ns = due_ns;
        }
        Ok(())
    }

    /// To be called when it has gone off; registered edge-triggered, it needs no read.
    pub fn went_off(&mut self) {
        self.due_ns = u64::MAX;
    }

    /// How long ago it was due; 0 while it is not.
    pub(crate) fn overdue_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.due_ns)
    }
}
