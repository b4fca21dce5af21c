//! The io_uring backend: multishot receive into provided buffers, polls for room to write and for the listener.
//! A parked receive costs the kernel 860 bytes and a search to cancel, a poll 256. So a connection is polled, and received
//! from when the poll reports; only one that speaks often gets a multishot receive, until it falls silent. A receive takes in
//! whatever comes, and the ring's reports are in the order of that: who sends in bulk is polled, so that he has one receive and then
//! it is the others' turn.
//! Invariants: while a connection has its slot and its peer has not ended its side, exactly one receive or poll for
//! it is in flight or about to be submitted, and `Slot::lookout` says which; for one that is paused it is a receive that is
//! being cancelled, or nothing; a descriptor is closed only once every entry that names it has gone to the kernel.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use socket2::SockRef;

use super::{
    Budget, Reading, Sink,
    doors::Doors,
    ring::{BUFFER_BYTES, Completion, Ring, RingConfig},
    slots::{Lookout, Slot, Slots},
    sys,
    token::{Kind, Token},
};
use crate::{base::ConnId, http::route::Door, shell::waker::Waker};

/// Entries into the kernel that one harvest makes at most; each finishes about twenty operations.
const ROUNDS_MAX: usize = 256;

/// Receives that one part of it cancels at most: half of the submission queue.
const DEMOTIONS_MAX: usize = 256;

/// What is received at once from a connection that is polled. Who fills it sends in bulk.
const POLLED_BYTES_MAX: usize = 8 * 1024;
const _: () = assert!(BUFFER_BYTES as usize >= POLLED_BYTES_MAX, "who fills a buffer sends in bulk, too");

/// Parts that a round of the hand is made in, if the shard has as many turns.
const SWEEPS: u32 = 32;

pub(super) struct Uring {
    ring: Ring,
    waker: Waker,
    /// The reactor's alarm, to be watched again.
    alarm: OwnedFd,
    /// Sockets of closed connections, until the queue that may name them is empty.
    closing: Vec<OwnedFd>,
    /// Where is received from those that are polled.
    buffer: Box<[u8]>,
    /// How long the hand that looks for silent connections takes once around.
    round: Duration,
    busy_above: u8,
    /// Until when it has done its share.
    swept: Instant,
}

impl Uring {
    pub(super) fn new(
        config: &RingConfig,
        waker: &Waker,
        alarm: BorrowedFd<'_>,
        listener: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let mut ring = Ring::new(config, waker.chime().as_fd())?;
        ring.watch(listener, Token::listener(Door::Public));
        ring.watch(waker.bell(), Token::BELL);
        ring.watch(alarm, Token::ALARM);
        ring.enter(false)?;
        Ok(Self {
            ring,
            waker: waker.clone(),
            alarm: alarm.try_clone_to_owned()?,
            closing: Vec::new(),
            buffer: vec![0; POLLED_BYTES_MAX].into_boxed_slice(),
            round: config.round,
            busy_above: config.busy_above,
            swept: Instant::now(),
        })
    }

    pub(super) fn open(&mut self, conn: ConnId, slot: &mut Slot) {
        self.poll(conn, slot);
    }

    pub(super) fn arm_write(&mut self, conn: ConnId, slot: &Slot) {
        self.ring.poll_writable(slot, Token::of(conn, Kind::Writable));
    }

    /// Looks out again for a connection that was paused. One whose receive is still being cancelled is polled behind that.
    pub(super) fn resume(&mut self, conn: ConnId, slot: &mut Slot) {
        if slot.lookout == Lookout::Idle {
            self.poll(conn, slot);
        }
    }

    /// Ends the connection both ways, which ends what is in flight for it. To cancel that instead would take the kernel
    /// a search through a hundredth of all connections.
    pub(super) fn close(&mut self, slot: Slot) {
        if !slot.ended || slot.write_armed {
            // The one error, a connection that is gone already, means that nothing is left in flight.
            let _ = SockRef::from(&slot).shutdown(Shutdown::Both);
        }
        self.closing.push(slot.into_socket());
        self.submitted();
    }

    /// Begins to replace receives by polls where nothing has arrived in the hand's last round.
    pub(super) fn demote(&mut self, slots: &mut Slots, now: Instant) {
        let since = now.saturating_duration_since(self.swept);
        if since < self.round / SWEEPS {
            return;
        }
        let share = since.as_secs_f64() / self.round.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the table, floored"
        )]
        let visits = if share < 1.0 { (slots.len() as f64 * share) as usize } else { slots.len() };
        if visits == 0 {
            return;
        }
        let visited = slots.sweep(visits, DEMOTIONS_MAX, |conn, slot| self.cancel(conn, slot));
        // The rest stays due.
        self.swept =
            if visited == visits { now } else { self.swept + since.mul_f64(visited as f64 / visits as f64) };
    }

    pub(super) fn watch_listener(&mut self, listener: BorrowedFd<'_>, door: Door) -> io::Result<()> {
        self.ring.watch(listener, Token::listener(door));
        self.enter(false)
    }

    /// Stops watching the listener, so that it may be closed.
    pub(super) fn forget_listener(&mut self, door: Door) -> io::Result<()> {
        self.ring.cancel(Token::listener(door));
        self.enter(true)
    }

    /// Hands over what is there; true if the budget ended first.
    pub(super) fn harvest(
        &mut self,
        slots: &mut Slots,
        budget: &mut Budget,
        sink: &mut impl Sink,
        doors: &mut Doors,
    ) -> io::Result<bool> {
        for _ in 0..ROUNDS_MAX {
            if self.ring.has_deferred() || !self.ring.is_submitted() {
                self.enter(true)?;
            }
            while !budget.is_spent() {
                let Some(report) = self.ring.next() else { break };
                match report.token.kind {
                    Kind::Receive => self.received(report, slots, budget, sink),
                    Kind::Readable => self.readable(report.token, slots, budget, sink),
                    Kind::Writable => writable(report.token, slots, sink),
                    Kind::Listener => {
                        doors.knocked(report.token);
                        let listener = doors.listener(report.token.door());
                        if let Some(listener) = listener.filter(|_| !report.goes_on) {
                            self.ring.watch(listener, report.token);
                        }
                    }
                    Kind::Bell => {
                        if !report.goes_on {
                            self.ring.watch(self.waker.bell(), Token::BELL);
                        }
                    }
                    Kind::Alarm => self.rang(&report),
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

    /// Sleeps until there is something to harvest, or `timeout` has passed, if there is one.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.ring.sleep(timeout)?;
        self.submitted();
        Ok(())
    }

    /// Takes the alarm's report, if there is no other: it is nothing to harvest.
    pub(super) fn ignore_alarm(&mut self) {
        if let Some(report) = self.ring.take_only(Token::ALARM) {
            self.rang(&report);
        }
    }

    fn rang(&mut self, report: &Completion) {
        if !report.goes_on {
            self.ring.watch(&self.alarm, Token::ALARM);
        }
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
                    if let Some(id) = report.buffer {
                        let reading = sink.received(conn, self.ring.buffers.bytes(id, len));
                        slot.paused |= reading == Reading::Paused;
                    }
                    let is_bulk = len >= POLLED_BYTES_MAX;
                    slot.words = if is_bulk { 0 } else { slot.words.saturating_add(1) };
                    if !report.goes_on && is_bulk {
                        self.poll(conn, slot);
                    } else if !report.goes_on {
                        self.receive(conn, slot);
                    } else if (slot.paused || is_bulk) && slot.lookout == Lookout::Receive {
                        self.cancel(conn, slot);
                    }
                }
                // The reports before this one held the buffers that were missing; they are back by now.
                Err(libc::ENOBUFS) => {
                    self.ring.buffers.grow();
                    self.receive(conn, slot);
                }
                Err(libc::ECANCELED) if slot.lookout == Lookout::Cancelled => self.poll(conn, slot),
                Err(libc::EINTR | libc::EAGAIN) => self.receive(conn, slot),
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

    /// Something has arrived from a connection that is polled, or its end.
    fn readable(&mut self, token: Token, slots: &mut Slots, budget: &mut Budget, sink: &mut impl Sink) {
        let Some((conn, slot)) = slots.find(token) else { return };
        if slot.words >= self.busy_above {
            return self.receive(conn, slot);
        }
        let outcome = sys::receive(slot.as_fd(), &mut self.buffer);
        budget.spend(*outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => {
                slot.ended = true;
                sink.ended(conn);
            }
            Ok(len) => {
                slot.words = if len < self.buffer.len() { slot.words.saturating_add(1) } else { 0 };
                slot.paused = sink.received(conn, &mut self.buffer[..len]) == Reading::Paused;
                self.poll(conn, slot);
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => self.poll(conn, slot),
                _ => self.failed(conn, slots, error.kind(), sink),
            },
        }
    }

    /// Polls a connection that nothing is in flight for, unless it is paused.
    fn poll(&mut self, conn: ConnId, slot: &mut Slot) {
        if slot.paused {
            slot.lookout = Lookout::Idle;
            return;
        }
        slot.lookout = Lookout::Poll;
        self.ring.poll_readable(&*slot, Token::of(conn, Kind::Readable));
    }

    /// Receives from a connection that nothing is in flight for, unless it is paused.
    fn receive(&mut self, conn: ConnId, slot: &mut Slot) {
        if slot.paused {
            slot.lookout = Lookout::Idle;
            return;
        }
        slot.lookout = Lookout::Receive;
        self.ring.receive(&*slot, Token::of(conn, Kind::Receive));
    }

    /// Ends a receive, whose last report then decides what comes next.
    fn cancel(&mut self, conn: ConnId, slot: &mut Slot) {
        slot.lookout = Lookout::Cancelled;
        self.ring.cancel(Token::of(conn, Kind::Receive));
    }

    fn failed(&mut self, conn: ConnId, slots: &mut Slots, error: io::ErrorKind, sink: &mut impl Sink) {
        if let Some(mut slot) = slots.remove(conn) {
            slot.ended = true;
            self.close(slot);
        }
        sink.closed(conn, error);
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
