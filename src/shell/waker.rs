//! How one shard wakes another: an eventfd (the bell) that is rung only when the shard sleeps.
//!
//! Invariant: between going to sleep and waking up, a shard's bell is rung at most once by wakers. No wake is lost:
//! the waker publishes its work before it looks at `sleeping`, the shard sets `sleeping` before it looks for work.
//! The uring backend also registers the bell with its ring, so that the kernel rings it for completions.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
};

use super::reactor::sys;

/// Wakes one shard from any thread. A clone is a counter.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bell: File,
    sleeping: AtomicBool,
}

impl Waker {
    /// A waker for a shard whose reactor is yet to be made. Fails when no eventfd can be had (open-file limit).
    pub fn new() -> io::Result<Self> {
        let bell = File::from(sys::eventfd()?);
        Ok(Self(Arc::new(Inner { bell, sleeping: AtomicBool::new(false) })))
    }

    /// Wakes the shard if it sleeps. Call it after the work has been put where the shard's re-check finds it.
    /// Costs a fence and a load when the shard is awake, one `write` when it sleeps.
    pub fn wake(&self) {
        // Pairs with the fence in `fall_asleep`: either the shard's re-check sees the work, or this sees it asleep.
        fence(Ordering::SeqCst);
        if self.0.sleeping.load(Ordering::Relaxed) && self.0.sleeping.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Announces sleep; from here to [`Waker::rise`] a `wake` rings the bell. Look for work once more afterwards.
    pub(super) fn fall_asleep(&self) {
        self.0.sleeping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Ends the sleep; true if somebody called [`Waker::wake`] in it.
    pub(super) fn rise(&self) -> bool {
        !self.0.sleeping.swap(false, Ordering::SeqCst)
    }

    /// Makes the bell readable.
    pub(super) fn ring(&self) {
        // The one error of a non-blocking eventfd, a full counter, means that it is readable already.
        let _ = (&self.0.bell).write(&1_u64.to_ne_bytes());
    }

    /// Makes the bell unreadable until it is rung again.
    pub(super) fn silence(&self) {
        // The one error is that nobody rang.
        let _ = (&self.0.bell).read(&mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}
