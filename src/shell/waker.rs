//! How one shard wakes another: an eventfd that is rung only when the shard sleeps.
//!
//! Invariant: between going to sleep and waking up, a shard is rung at most once by wakers. No wake is lost: the waker
//! publishes its work before it looks at `listening`, the shard sets `listening` before it looks for work.
//! There are two eventfds, since a ring that polls one must not be the cause of its ringing: the kernel would put off
//! the second of two eventfds that ring each other by an RCU grace period.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering, fence},
    },
};

use super::reactor::sys;

/// Wakes one shard from any thread. A clone is a counter.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bell: Bell,
    chime: Bell,
    /// [`AWAKE`], or what is to be rung.
    listening: AtomicU8,
}

const AWAKE: u8 = 0;
const FOR_BELL: u8 = 1;
const FOR_CHIME: u8 = 2;

/// What a sleeping shard hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hears {
    /// Rung by wakers alone. The backends watch it for new rings (edge-triggered), so that it need not be silenced.
    Bell,
    /// Rung also by the kernel, for the ring's completions.
    Chime,
}

impl Waker {
    /// A waker for a shard whose reactor is yet to be made. Fails when no eventfd can be had (open-file limit).
    pub fn new() -> io::Result<Self> {
        let (bell, chime) = (Bell::new()?, Bell::new()?);
        Ok(Self(Arc::new(Inner { bell, chime, listening: AtomicU8::new(AWAKE) })))
    }

    /// Wakes the shard if it sleeps. Call it after the work has been put where the shard's re-check finds it.
    /// Costs a fence and a load when the shard is awake, one `write` when it sleeps.
    pub fn wake(&self) {
        // Pairs with the fence in `fall_asleep`: either the shard's re-check sees the work, or this sees it asleep.
        fence(Ordering::SeqCst);
        if self.0.listening.load(Ordering::Relaxed) == AWAKE {
            return;
        }
        match self.0.listening.swap(AWAKE, Ordering::SeqCst) {
            FOR_BELL => self.0.bell.ring(),
            FOR_CHIME => self.0.chime.ring(),
            _ => {}
        }
    }

    /// Announces sleep; from here to [`Waker::rise`] a `wake` rings. Look for work once more afterwards.
    pub(super) fn fall_asleep(&self, hears: Hears) {
        let listening = match hears {
            Hears::Bell => FOR_BELL,
            Hears::Chime => FOR_CHIME,
        };
        self.0.listening.store(listening, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Ends the sleep; true if somebody called [`Waker::wake`] in it.
    pub(super) fn rise(&self) -> bool {
        self.0.listening.swap(AWAKE, Ordering::SeqCst) == AWAKE
    }

    /// Somebody has called [`Waker::wake`] since [`Waker::fall_asleep`].
    pub(super) fn is_awake(&self) -> bool {
        self.0.listening.load(Ordering::SeqCst) == AWAKE
    }

    pub(super) fn bell(&self) -> &Bell {
        &self.0.bell
    }

    pub(super) fn chime(&self) -> &Bell {
        &self.0.chime
    }
}

/// An eventfd: readable from a ring until it is silenced.
#[derive(Debug)]
pub(super) struct Bell(File);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::from(sys::eventfd()?)))
    }

    /// Makes it readable; who watches for edges hears each ring.
    pub(super) fn ring(&self) {
        // The one error of a non-blocking eventfd, a full counter, means that it is readable already.
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    /// Makes it unreadable until it is rung again.
    pub(super) fn silence(&self) {
        // The one error is that nobody rang.
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
