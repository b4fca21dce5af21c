//! Waiting inside a monoio task: for a descriptor to become readable or for a time, or just for one pass of the driver.
//!
//! monoio runs its driver (timers, wake-ups from other threads, every other task's I/O) only while no task is
//! runnable, and a task that wakes itself goes to the front of its queue. So whoever loops must now and then be
//! woken *by the driver*. No data lives in these futures: dropping them is safe.

use std::{
    future::poll_fn,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    pin::pin,
    time::Duration,
};

use crate::shell::{driver::Driver, waker::Bell};

/// A descriptor known to the runtime. Any pollable descriptor will do: only its readiness is ever asked for.
struct Watch(monoio::net::UnixStream);

impl Watch {
    /// Watches a duplicate of `fd`, which may be closed before or after.
    fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let duplicate = UnixStream::from(fd.try_clone_to_owned()?);
        Ok(Self(monoio::net::UnixStream::from_std(duplicate)?))
    }
}

/// How a shard's task lets go of its thread.
pub(super) struct Doze {
    driver: Driver,
    backend: Watch,
    /// Ours alone, to be woken by the driver at will.
    door: Bell,
    doorway: Watch,
}

impl Doze {
    /// `backend` becomes readable when the backend has something.
    pub(super) fn new(driver: Driver, backend: BorrowedFd<'_>) -> io::Result<Self> {
        let door = Bell::new()?;
        door.ring();
        let doorway = Watch::new(door.as_fd())?;
        Ok(Self { driver, backend: Watch::new(backend)?, door, doorway })
    }

    /// Sleeps until the backend has something, or `timeout` has passed, to a few milliseconds. What the epoll driver
    /// remembers of earlier edges is checked against the kernel each time (`relaxed = false`).
    /// True if the driver has had its pass.
    pub(super) async fn sleep(&self, timeout: Duration) -> io::Result<bool> {
        let mut waiting = pin!(monoio::time::timeout(timeout, self.backend.0.readable(false)));
        let mut slept = false;
        let outcome = poll_fn(|cx| {
            let outcome = waiting.as_mut().poll(cx);
            slept |= outcome.is_pending();
            outcome
        });
        match outcome.await {
            Ok(readiness) => readiness.map(|()| slept),
            Err(_elapsed) => Ok(slept),
        }
    }

    /// Lets the driver run once. The io_uring driver takes every wait to the kernel, which answers at once, since the
    /// door is always open; the epoll driver answers from memory unless the door was shut when the wait began.
    pub(super) async fn pass(&self) -> io::Result<()> {
        let mut shut = match self.driver {
            Driver::Uring => false,
            Driver::Epoll => {
                self.door.silence();
                true
            }
        };
        let mut waiting = pin!(self.doorway.0.readable(false));
        poll_fn(|cx| {
            let outcome = waiting.as_mut().poll(cx);
            if outcome.is_pending() && std::mem::take(&mut shut) {
                self.door.ring();
            }
            outcome
        })
        .await
    }
}
