//! The io_uring backend: multishot receive into provided buffers, polls for room to write and for the listener.
//! Invariants: while a connection has its slot and its peer has not ended its side, exactly one receive is in flight
//! or about to be submitted; a descriptor is closed only once every entry that names it has gone to the kernel.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use super::{
    Budget, Sink,
    ring::{Completion, Ring, RingConfig},
    slots::{Slot, Slots},
    token::{Kind, Token},
};
use crate::{base::ConnId, shell::waker::Waker};

/// Entries into the kernel that one harvest makes at most; each finishes about twenty operations.
const ROUNDS_MAX: usize = 256;

pub(super) struct Uring {
    ring: Ring,
    waker: Waker,
    /// Sockets of closed connections, until the queue that may name them is empty.
    closing: Vec<OwnedFd>,
}

impl Uring {
    pub(super) fn new(config: &RingConfig, waker: &Waker, listener: BorrowedFd<'_>) -> io::Result<Self> {
        let mut ring = Ring::new(config, waker.chime().as_fd())?;
        ring.poll_readable(listener, Token::LISTENER);
        ring.poll_readable(waker.bell(), Token::BELL);
        ring.enter(false)?;
        Ok(Self { ring, waker: waker.clone(), closing: Vec::new() })
    }

    pub(super) fn open(&mut self, conn: ConnId, socket: BorrowedFd<'_>) {
        self.ring.receive(socket, Token::of(conn, Kind::Receive));
    }

    pub(super) fn arm_write(&mut self, conn: ConnId, slot: &Slot) {
        self.ring.poll_writable(slot, Token::of(conn, Kind::Writable));
    }

    /// Lets go of a connection and of what is in flight for it.
    pub(super) fn close(&mut self, conn: ConnId, slot: Slot) {
        if !slot.ended {
            self.ring.cancel(Token::of(conn, Kind::Receive));
        }
        self.release(conn, slot);
    }

    /// Stops watching the listener, so that it may be closed.
    pub(super) fn forget_listener(&mut self) -> io::Result<()> {
        self.ring.cancel(Token::LISTENER);
        self.enter(true)
    }

    /// Hands over what is there; true if the budget ended first.
    pub(super) fn harvest(
        &mut self,
        slots: &mut Slots,
        listener: Option<BorrowedFd<'_>>,
        budget: &mut Budget,
        sink: &mut impl Sink,
        to_accept: &mut bool,
    ) -> io::Result<bool> {
        for _ in 0..ROUNDS_MAX {
            if self.ring.has_deferred() || !self.ring.is_submitted() {
                self.enter(true)?;
            }
            while !budget.is_spent() {
                let Some(report) = self.ring.next() else { break };
                match report.token.kind {
                    Kind::Receive => self.received(report, slots, budget, sink),
                    Kind::Writable => writable(report.token, slots, sink),
                    Kind::Listener => {
                        *to_accept = true;
                        if let Some(listener) = listener.filter(|_| !report.goes_on) {
                            self.ring.poll_readable(listener, Token::LISTENER);
                        }
                    }
                    Kind::Bell => {
                        if !report.goes_on {
                            self.ring.poll_readable(self.waker.bell(), Token::BELL);
                        }
                    }
                    Kind::Cancel => {}
                }
            }
            if budget.is_spent() {
                return Ok(true);
            }
            if !self.ring.has_deferred() && !self.ring.has_reports() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Submits what harvest and the calls after it have queued.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.ring.is_submitted() && self.closing.is_empty() {
            return Ok(());
        }
        // A cancelled receive lets go of its socket only when the kernel runs what it has deferred.
        self.enter(!self.closing.is_empty())
    }

    /// There is known to be something to harvest.
    pub(super) fn has_reports(&mut self) -> bool {
        self.ring.has_deferred() || self.ring.has_reports() || self.ring.is_backed_up()
    }

    /// From here until [`Uring::mute_chime`] the kernel rings the chime for each first report. Look for reports afterwards.
    pub(super) fn arm_chime(&mut self) -> io::Result<()> {
        self.waker.chime().silence();
        self.ring.arm_chime();
        // The kernel has looked whether to ring for what it has deferred before this.
        self.enter(true)
    }

    pub(super) fn mute_chime(&mut self) {
        self.ring.mute_chime();
    }

    /// Sleeps until there is something to harvest, or `timeout` has passed.
    pub(super) fn sleep(&mut self, timeout: Duration) -> io::Result<()> {
        self.ring.sleep(timeout)?;
        self.submitted();
        Ok(())
    }

    fn received(&mut self, report: Completion, slots: &mut Slots, budget: &mut Budget, sink: &mut impl Sink) {
        budget.spend(report.result.unwrap_or(0));
        if let Some((conn, slot)) = slots.find(report.token) {
            match report.result {
                Ok(0) => {
                    debug_assert!(!report.goes_on, "the end of the stream is the end of the receive");
                    slot.ended = true;
                    sink.ended(conn);
                }
                Ok(len) => {
                    if !report.goes_on {
                        self.ring.receive(&*slot, report.token);
                    }
                    if let Some(id) = report.buffer.filter(|_| !slot.discarding) {
                        sink.received(conn, self.ring.buffers.bytes(id, len));
                    }
                }
                // The reports before this one held the buffers that were missing; they are back by now.
                Err(libc::ENOBUFS) => {
                    self.ring.buffers.grow();
                    self.ring.receive(&*slot, report.token);
                }
                Err(libc::EINTR | libc::EAGAIN) => self.ring.receive(&*slot, report.token),
                Err(code) => {
                    let kind = io::Error::from_raw_os_error(code).kind();
                    self.failed(conn, slots, kind, sink);
                }
            }
        }
        if let Some(id) = report.buffer {
            self.ring.buffers.give_back(id);
        }
    }

    fn failed(&mut self, conn: ConnId, slots: &mut Slots, error: io::ErrorKind, sink: &mut impl Sink) {
        if let Some(slot) = slots.remove(conn) {
            self.release(conn, slot);
        }
        sink.closed(conn, error);
    }

    fn release(&mut self, conn: ConnId, slot: Slot) {
        if slot.write_armed {
            self.ring.cancel(Token::of(conn, Kind::Writable));
        }
        self.closing.push(slot.into_socket());
        self.submitted();
    }

    fn enter(&mut self, run: bool) -> io::Result<()> {
        self.ring.enter(run)?;
        self.submitted();
        Ok(())
    }

    fn submitted(&mut self) {
        if self.ring.is_submitted() {
            self.closing.clear();
        }
    }
}

impl AsFd for Uring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.chime().as_fd()
    }
}

fn writable(token: Token, slots: &mut Slots, sink: &mut impl Sink) {
    if let Some((conn, slot)) = slots.find(token) {
        slot.write_armed = false;
        sink.writable(conn);
    }
}
