//! Time: the run's clock, this process' CPU time, and an alarm that wakes an event loop on the nanosecond (the
//! time-out of epoll itself has milliseconds, which would show in every latency).

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    thread,
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, unix::SourceFd};
use nix::{
    sys::{
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    time::ClockId as CpuClock,
};

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
    let time = CpuClock::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from).unwrap_or_default();
    time.as_nanos() as u64
}

/// Wakes the event loop that it is registered with, once for each time that it is set.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    /// When it goes off; `u64::MAX` while it is not set.
    due_ns: u64,
}

impl Alarm {
    pub fn register(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, due_ns: u64::MAX })
    }

    /// Sets the alarm, unless it is set for that time already.
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
}
