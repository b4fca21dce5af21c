//! Waiting inside a monoio task: for a descriptor to become readable, for a time, or just for one pass of the driver.
//!
//! monoio runs its driver (timers, wake-ups from other threads, every other task's I/O) only while no task is
//! runnable, and a task that wakes itself goes to the front of its queue. So whoever loops must, each turn, be
//! woken *by the driver*; every function here makes sure of that. No data lives in these futures: dropping them is safe.

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

use crate::shell::{driver::Driver, waker::Waker};

/// A descriptor known to the runtime. Any pollable descriptor will do: only its readiness is ever asked for.
pub(super) struct Watch(monoio::net::UnixStream);

impl Watch {
    /// Watches a duplicate of `fd`, which may be closed before or after.
    pub(super) fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let duplicate = UnixStream::from(fd.try_clone_to_owned()?);
        Ok(Self(monoio::net::UnixStream::from_std(duplicate)?))
    }

    /// Waits until the descriptor is readable or `timeout` has passed. What the epoll driver remembers of earlier
    /// edges is checked against the kernel each time (`relaxed = false`). True if the driver has had its pass.
    async fn readable(&self, timeout: Duration) -> io::Result<bool> {
        let mut waiting = pin!(monoio::time::timeout(timeout, self.0.readable(false)));
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
}

/// What a reactor waits on.
pub(super) struct Doze {
    driver: Driver,
    waker: Waker,
    bell: Watch,
}

impl Doze {
    pub(super) fn new(driver: Driver, waker: &Waker) -> io::Result<Self> {
        Ok(Self { driver, waker: waker.clone(), bell: Watch::new(waker.as_fd())? })
    }

    /// Waits for the bell or until `timeout` has passed.
    pub(super) async fn until_bell(&self, timeout: Duration) -> io::Result<()> {
        self.until(&self.bell, timeout).await
    }

    /// Waits for `watch` or until `timeout` has passed.
    pub(super) async fn until(&self, watch: &Watch, timeout: Duration) -> io::Result<()> {
        if !timeout.is_zero() && watch.readable(timeout).await? {
            return Ok(());
        }
        self.pass().await
    }

    /// Lets the driver run once, by waiting for the bell and ringing it. The io_uring driver takes every wait to the
    /// kernel; the epoll driver answers from memory unless the bell was silent when the wait began.
    pub(super) async fn pass(&self) -> io::Result<()> {
        match self.driver {
            Driver::Uring => {}
            Driver::Epoll => self.waker.silence(),
        }
        let mut waiting = pin!(self.bell.0.readable(false));
        let mut rung = false;
        poll_fn(|cx| {
            let outcome = waiting.as_mut().poll(cx);
            if outcome.is_pending() && !rung {
                rung = true;
                self.waker.ring();
            }
            outcome
        })
        .await
    }
}
