//! A shard's client sockets: accept, receive, write, close, over io_uring or epoll behind one interface.
//! Owns the listener and every client socket after accept; knows connections by id and nothing of what they say.
//!
//! One turn of the shard loop: [`Reactor::wait`], then [`Reactor::harvest`] into the engine, then the engine's writes
//! and closes. Nothing blocks but `wait`, and no data is lost by dropping it.
//!
//! Invariants: after [`Sink::closed`] or [`Reactor::close`] an id finds nothing, and nothing more is reported for it;
//! the end of a connection is reported after all of its bytes; after [`Sink::ended`] only [`Sink::writable`] comes; while a
//! connection is paused, so does what had been received by then, and what is still in its socket stays there.

mod acceptor;
mod alarm;
mod buffers;
mod doors;
mod doze;
mod epoll;
mod pace;
mod ring;
mod slots;
pub(super) mod sys;
#[cfg(test)]
mod tests;
mod token;
mod trial;
mod uring;

use std::{
    io::{self, IoSlice},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use socket2::SockRef;

use self::{
    acceptor::Accepted,
    alarm::Alarm,
    doors::Doors,
    doze::Doze,
    epoll::EpollBackend,
    pace::{Pace, Sleep},
    slots::{Slot, Slots},
    uring::Uring,
};
use super::{
    driver::Driver,
    listener::BACKLOG_DEFAULT,
    waker::{Hears, Waker},
};
use crate::{
    base::{ConnId, ShardId},
    conn::SLICES_MAX,
    http::route::Door,
};

pub(super) use self::trial::try_ring;
pub use self::{
    ring::{RECEIVED_BYTES_MAX, RingConfig},
    token::SLOTS_MAX,
};

/// The longest sleep; a longer timeout ends early, which a wait may.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How late a short wait may end beside what the kernel takes. The default of threads is 50 µs.
const TIMER_SLACK: Duration = Duration::from_micros(1);

/// Who is taken in when a door closes: a whole queue, and as many who come meanwhile.
const WAITING_MAX: u32 = 2 * BACKLOG_DEFAULT;

/// What a reactor needs to know.
#[derive(Clone, Copy, Debug)]
pub struct ReactorConfig {
    /// The shard that it works for; ids of other shards find nothing.
    pub shard: ShardId,
    /// Sizes of the ring and its buffers (uring only).
    pub ring: RingConfig,
}

/// What may end a [`Reactor::wait`] beside its timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// Sockets and the waker.
    Anything,
    /// The waker alone: the shard cannot take more input now. What clients send stays in the kernel.
    WakeOnly,
}

/// How much one [`Reactor::harvest`] may do. It ends after the report that uses up any of the last two.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Connections accepted, or refused.
    pub accepts: u32,
    /// Receives.
    pub receives: u32,
    /// Bytes received.
    pub bytes: usize,
}

impl Budget {
    fn spend(&mut self, bytes: usize) {
        self.receives = self.receives.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn is_spent(&self) -> bool {
        self.receives == 0 || self.bytes == 0
    }
}

/// Whether a harvest has taken everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Harvest {
    /// Nothing more was there.
    Complete,
    /// The budget ended first. The next [`Reactor::wait`] will not sleep.
    MoreWaiting,
}

/// Whether more is to be received from a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Reading {
    On,
    /// Not until [`Reactor::resume`]: the kernel keeps what the peer sends, and makes him wait when it has enough. What
    /// has been received already still comes, [`RECEIVED_BYTES_MAX`] at most. That the peer has ended or broken the
    /// connection is reported afterwards, or by a write.
    Paused,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum WriteOutcome {
    /// So many bytes are the kernel's now. If they are not all, [`Sink::writable`] will say when to go on.
    Written(usize),
    /// The connection cannot be written to; it is still to be closed by the caller.
    Broken(io::ErrorKind),
}

/// Who is told what the sockets did. Called only from within [`Reactor::harvest`].
pub trait Sink {
    /// Somebody has connected. An id opens the connection under it: of this shard, slot below [`SLOTS_MAX`] and not in
    /// use. `None` refuses it: the reactor resets the connection.
    fn accepted(&mut self, door: Door, peer: SocketAddr) -> Option<ConnId>;
    /// Bytes have arrived. They may be changed in place, and are gone after the call.
    fn received(&mut self, conn: ConnId, bytes: &mut [u8]) -> Reading;
    /// A write that had been cut short may go on.
    fn writable(&mut self, conn: ConnId);
    /// The peer has ended its side in order, and may still be reading. The connection can be written to until the
    /// caller closes it; that it has failed in the meantime is then for [`Reactor::write`] to say.
    fn ended(&mut self, conn: ConnId);
    /// The connection has failed: a reset, a timeout of the transport, or an error of this machine. The reactor has
    /// closed the socket, and the id's slot is free.
    fn closed(&mut self, conn: ConnId, error: io::ErrorKind);
    /// Somebody could not be let in (out of descriptors or memory, or gone already). For the counters.
    fn accept_failed(&mut self, error: &io::Error);
}

/// The sockets of one shard. Made and used inside the shard's runtime, on its thread.
pub struct Reactor {
    slots: Slots,
    doors: Doors,
    backend: Backend,
    waker: Waker,
    doze: Doze,
    pace: Pace,
    alarm: Alarm,
    more_waiting: bool,
}

#[expect(clippy::large_enum_variant, reason = "there is one per shard")]
enum Backend {
    Uring(Uring),
    Epoll(EpollBackend),
}

impl AsFd for Backend {
    /// Readable when there is something to harvest.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Uring(uring) => uring.as_fd(),
            Self::Epoll(epoll) => epoll.as_fd(),
        }
    }
}

impl Reactor {
    /// Takes over `listener`. Must be called inside the runtime that [`super::driver::with_runtime`] made for the same
    /// driver. Fails when the system refuses a descriptor, memory or the ring.
    pub fn new(
        driver: Driver,
        listener: TcpListener,
        waker: &Waker,
        config: &ReactorConfig,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let alarm = Alarm::new(now)?;
        let backend = match driver {
            Driver::Uring => {
                Backend::Uring(Uring::new(&config.ring, waker, alarm.as_fd(), listener.as_fd())?)
            }
            Driver::Epoll => Backend::Epoll(EpollBackend::new(waker, alarm.as_fd(), listener.as_fd())?),
        };
        // Where that is refused, short waits end later.
        let _ = sys::set_timer_slack(TIMER_SLACK);
        let doze = Doze::new(driver, backend.as_fd())?;
        Ok(Self {
            slots: Slots::new(config.shard),
            doors: Doors::new(listener)?,
            backend,
            waker: waker.clone(),
            doze,
            pace: Pace::new(now),
            alarm,
            more_waiting: false,
        })
    }

    /// Takes over another listener: whoever comes there comes by [`Door::Admin`]. Fails when the system refuses a
    /// descriptor or memory.
    pub fn open_admin_door(&mut self, listener: TcpListener) -> io::Result<()> {
        match &mut self.backend {
            Backend::Uring(uring) => uring.watch_listener(listener.as_fd(), Door::Admin)?,
            Backend::Epoll(epoll) => epoll.watch_listener(listener.as_fd(), Door::Admin)?,
        }
        self.doors.open_admin(listener)
    }

    /// Sleeps until there is something to do. A timeout below 10 ms is kept to a few microseconds. The runtime's other
    /// tasks run at least every ten milliseconds of waits and turns, not in each wait.
    /// Returns at once if `has_work` (asked when a [`Waker::wake`] would already be heard), if the last harvest left
    /// something, or if something is there by now. May return early without a reason. An error is fatal to the shard.
    pub async fn wait(
        &mut self,
        what: WaitFor,
        timeout: Duration,
        has_work: impl Fn() -> bool,
    ) -> io::Result<()> {
        let timeout = timeout.min(WAIT_MAX);
        match what {
            WaitFor::Anything => self.wait_for_anything(timeout, has_work).await,
            WaitFor::WakeOnly => self.wait_for_waker(timeout, has_work).await,
        }
    }

    /// Tells `sink` what the sockets did, without blocking. An error is fatal to the shard.
    pub fn harvest(&mut self, mut budget: Budget, sink: &mut impl Sink) -> io::Result<Harvest> {
        let Self { slots, doors, backend, .. } = self;
        let receives_left = match backend {
            Backend::Uring(uring) => uring.harvest(slots, &mut budget, sink, doors)?,
            Backend::Epoll(epoll) => epoll.harvest(slots, &mut budget, sink, doors)?,
        };
        for door in [Door::Admin, Door::Public] {
            self.accept(door, budget.accepts, sink);
        }
        self.more_waiting = receives_left || self.doors.is_due();
        Ok(if self.more_waiting { Harvest::MoreWaiting } else { Harvest::Complete })
    }

    /// Writes `slices`, [`SLICES_MAX`] at most, in order and without blocking. After a write that was cut short,
    /// [`Sink::writable`] follows.
    pub fn write(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> WriteOutcome {
        let Some(slot) = self.slots.get(conn) else {
            return WriteOutcome::Broken(io::ErrorKind::NotConnected);
        };
        debug_assert!(slices.len() <= SLICES_MAX, "more slices than an outbox offers: {}", slices.len());
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = match send(slot, slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return WriteOutcome::Broken(error.kind()),
        };
        if written < wanted && !slot.write_armed {
            slot.write_armed = true;
            match &mut self.backend {
                Backend::Uring(uring) => uring.arm_write(conn, slot),
                Backend::Epoll(epoll) => epoll.arm_write(conn, slot),
            }
        }
        WriteOutcome::Written(written)
    }

    /// Goes on with a connection that [`Sink::received`] has paused: what is in its socket by now is reported as if it had
    /// just come. Does nothing for any other.
    pub fn resume(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get(conn).filter(|slot| slot.paused) else { return };
        slot.paused = false;
        match &mut self.backend {
            Backend::Uring(uring) => uring.resume(conn, slot),
            Backend::Epoll(epoll) => epoll.resume(conn, slot),
        }
    }

    /// Ends our side of the connection after what was written. What the peer still sends is reported as ever, until it ends its
    /// side ([`Sink::ended`]) or the connection is closed.
    pub fn shutdown_write(&mut self, conn: ConnId) {
        if let Some(slot) = self.slots.get(conn) {
            // The one error, a connection that is gone already, is reported by the next receive.
            let _ = SockRef::from(&*slot).shutdown(Shutdown::Write);
        }
    }

    /// Closes the connection; nothing more is reported for it. Does nothing for a stale id.
    pub fn close(&mut self, conn: ConnId) {
        if let Some(slot) = self.slots.remove(conn) {
            match &mut self.backend {
                Backend::Uring(uring) => uring.close(slot),
                Backend::Epoll(..) => drop(slot),
            }
        }
    }

    /// Takes in whoever has connected by now, and then nobody any more: where a listener is closed, the kernel resets those
    /// who wait there, who may have sent requests already.
    pub fn close_door(&mut self, door: Door, sink: &mut impl Sink) -> io::Result<()> {
        let Some(listener) = self.doors.listener(door) else { return Ok(()) };
        match &mut self.backend {
            Backend::Uring(uring) => uring.forget_listener(door)?,
            Backend::Epoll(epoll) => epoll.forget_listener(listener.as_fd())?,
        }
        if let Some(acceptor) = self.doors.at(door) {
            acceptor.try_now();
        }
        self.accept(door, WAITING_MAX, sink);
        if let Some(acceptor) = self.doors.at(door) {
            acceptor.close();
        }
        Ok(())
    }

    async fn wait_for_anything(&mut self, timeout: Duration, has_work: impl Fn() -> bool) -> io::Result<()> {
        let timeout = self.doors.rest_left().map_or(timeout, |rest| rest.min(timeout));
        let mut now = Instant::now();
        let deadline = now + timeout;
        if let Backend::Uring(uring) = &mut self.backend {
            uring.demote(&mut self.slots, now);
        }
        loop {
            if self.has_reports() || self.doors.is_due() || now >= deadline {
                return self.pass_if_owed(now).await;
            }
            let (plan, began) = (self.pace.plan(deadline - now), now);
            self.waker.fall_asleep(self.hears(plan));
            if has_work() {
                self.waker.rise();
                return self.pass_if_owed(now).await;
            }
            match plan {
                Sleep::Hosted(left) => {
                    let has_passed = self.sleep_hosted(left).await?;
                    self.waker.rise();
                    now = Instant::now();
                    if has_passed {
                        self.pace.passed(now);
                    }
                    self.pace.slept(now - began, true);
                    return Ok(());
                }
                Sleep::Alone(slice) => {
                    self.pass_if_owed(now).await?;
                    self.sleep_alone(now, slice)?;
                    self.waker.rise();
                    now = Instant::now();
                    if slice >= pace::TIMED_BELOW && self.alarm.has_rung(now) {
                        self.ignore_alarm();
                    }
                    let woken = self.has_reports();
                    self.pace.slept(now - began, woken);
                }
            }
        }
    }

    async fn wait_for_waker(&mut self, timeout: Duration, has_work: impl Fn() -> bool) -> io::Result<()> {
        if let Backend::Uring(uring) = &mut self.backend {
            uring.settle()?;
        }
        let mut now = Instant::now();
        let deadline = now + timeout;
        loop {
            self.pass_if_owed(now).await?;
            self.waker.bell().silence();
            self.waker.fall_asleep(Hears::Bell);
            if !has_work() {
                let left = deadline.saturating_duration_since(now);
                sys::wait_readable(self.waker.bell().as_fd(), left.min(pace::ALONE_MAX))?;
            }
            let woken = self.waker.rise() || has_work();
            now = Instant::now();
            if woken || now >= deadline {
                return Ok(());
            }
        }
    }

    async fn pass_if_owed(&mut self, now: Instant) -> io::Result<()> {
        if self.pace.owes_pass(now) {
            self.doze.pass().await?;
            self.pace.passed(now);
        }
        Ok(())
    }

    /// There is known to be something to harvest.
    fn has_reports(&mut self) -> bool {
        self.more_waiting
            || match &mut self.backend {
                Backend::Uring(uring) => uring.has_reports(),
                Backend::Epoll(epoll) => epoll.has_reports(),
            }
    }

    fn ignore_alarm(&mut self) {
        match &mut self.backend {
            Backend::Uring(uring) => uring.ignore_alarm(),
            Backend::Epoll(epoll) => epoll.ignore_alarm(),
        }
    }

    fn sleep_alone(&mut self, now: Instant, timeout: Duration) -> io::Result<()> {
        let is_timed = timeout < pace::TIMED_BELOW;
        if !is_timed {
            self.alarm.set(now, timeout)?;
        }
        let timeout = is_timed.then_some(timeout);
        match &mut self.backend {
            Backend::Uring(uring) => uring.sleep(timeout),
            Backend::Epoll(epoll) => epoll.sleep(timeout),
        }
    }

    /// True if the runtime's driver has had a pass.
    async fn sleep_hosted(&mut self, timeout: Duration) -> io::Result<bool> {
        match &mut self.backend {
            Backend::Uring(uring) => {
                uring.arm_chime()?;
                // A ring before the arming may have been silenced.
                let is_quiet = !uring.has_reports() && !self.waker.is_awake();
                let outcome = if is_quiet { self.doze.sleep(timeout).await } else { Ok(false) };
                uring.mute_chime();
                outcome
            }
            Backend::Epoll(_) => self.doze.sleep(timeout).await,
        }
    }

    /// What wakes the shard out of the sleep that it has planned.
    fn hears(&self, plan: Sleep) -> Hears {
        match (&self.backend, plan) {
            (Backend::Uring(_), Sleep::Hosted(_)) => Hears::Chime,
            (Backend::Uring(_), Sleep::Alone(_)) | (Backend::Epoll(_), _) => Hears::Bell,
        }
    }

    fn accept(&mut self, door: Door, at_most: u32, sink: &mut impl Sink) {
        for _ in 0..at_most {
            let Some(acceptor) = self.doors.at(door) else { return };
            match acceptor.accept() {
                Accepted::Connection(stream, peer) => match sink.accepted(door, peer) {
                    Some(conn) => self.open(conn, stream.into(), sink),
                    None => refuse(&stream),
                },
                Accepted::Failed(error) => sink.accept_failed(&error),
                Accepted::Nobody => return,
            }
        }
    }

    fn open(&mut self, conn: ConnId, socket: OwnedFd, sink: &mut impl Sink) {
        let outcome = match self.slots.insert(conn, socket) {
            Ok(slot) => match &mut self.backend {
                Backend::Uring(uring) => {
                    uring.open(conn, slot);
                    Ok(())
                }
                Backend::Epoll(epoll) => epoll.open(conn, slot.as_fd()),
            },
            Err(_socket) => {
                debug_assert!(false, "the sink gave an id that is in use or not of this shard: {conn:?}");
                Err(io::ErrorKind::InvalidInput.into())
            }
        };
        if let Err(error) = outcome {
            drop(self.slots.remove(conn));
            sink.closed(conn, error.kind());
        }
    }
}

/// Has the socket end by reset: whoever is turned away by the thousand leaves nothing in the kernel, while closing in order would leave
/// a minute of `TIME_WAIT` for each.
fn refuse(stream: &TcpStream) {
    // What fails here fails for a socket that is about to be closed.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn send(slot: &Slot, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let socket = SockRef::from(slot);
    loop {
        let outcome = match slices {
            [slice] => socket.send_with_flags(slice, flags),
            _ => socket.send_vectored_with_flags(slices, flags),
        };
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
