//! The epoll backend: level-triggered readiness, one receive per report into one buffer for the whole shard.
//! Invariant: the interest in a connection is what its slot says: in reading until the peer has ended its side, but while
//! it is paused; in writing while a write is blocked.

use std::{
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use libc::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT};

use super::{
    Budget, Reading, Sink,
    doors::Doors,
    slots::{Slot, Slots},
    sys::{self, Epoll, Event, NO_EVENT},
    token::{Kind, Token},
};
use crate::{base::ConnId, http::route::Door, shell::waker::Waker};

const EVENTS_MAX: usize = 256;
/// One that sends much is not served for long before it is the next one's turn.
const RECEIVE_BYTES_MAX: usize = 8 * 1024;

pub(super) struct EpollBackend {
    epoll: Epoll,
    events: Box<[Event]>,
    /// Which of the events are still to be served: those that the last sleep ended with, or that the last harvest's budget did
    /// not reach.
    ready: Range<usize>,
    buffer: Box<[u8]>,
}

impl EpollBackend {
    pub(super) fn new(waker: &Waker, alarm: BorrowedFd<'_>, listener: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        // Edge-triggered: a bell need not be silenced, and a listener that is not served (paused, backing off) does not
        // keep the shard awake.
        epoll.add(waker.bell().as_fd(), EPOLLIN | EPOLLET, Token::BELL.pack())?;
        epoll.add(alarm, EPOLLIN | EPOLLET, Token::ALARM.pack())?;
        epoll.add(listener, EPOLLIN | EPOLLET, Token::listener(Door::Public).pack())?;
        Ok(Self {
            epoll,
            ready: 0..0,
            events: vec![NO_EVENT; EVENTS_MAX].into_boxed_slice(),
            buffer: vec![0; RECEIVE_BYTES_MAX].into_boxed_slice(),
        })
    }

    /// Fails when the system is out of watches or memory.
    pub(super) fn open(&mut self, conn: ConnId, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.epoll.add(socket, EPOLLIN, Token::of(conn, Kind::Receive).pack())
    }

    pub(super) fn arm_write(&mut self, conn: ConnId, slot: &Slot) {
        self.update_interest(conn, slot);
    }

    pub(super) fn resume(&mut self, conn: ConnId, slot: &Slot) {
        self.update_interest(conn, slot);
    }

    pub(super) fn watch_listener(&mut self, listener: BorrowedFd<'_>, door: Door) -> io::Result<()> {
        self.epoll.add(listener, EPOLLIN | EPOLLET, Token::listener(door).pack())
    }

    pub(super) fn forget_listener(&mut self, listener: BorrowedFd<'_>) -> io::Result<()> {
        self.epoll.remove(listener)
    }

    /// Sleeps until there is something to harvest, or `timeout` has passed, if there is one.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.ready = match self.epoll.wait(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0..0,
            outcome => 0..outcome?,
        };
        Ok(())
    }

    /// Takes the alarm's report, if there is no other: it is nothing to harvest.
    pub(super) fn ignore_alarm(&mut self) {
        if self.ready.len() == 1 && self.events[self.ready.start].u64 == Token::ALARM.pack() {
            self.ready = 0..0;
        }
    }

    /// There is known to be something to harvest.
    pub(super) fn has_reports(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Hands over what is there; true if the budget ended first or a receive filled the buffer.
    pub(super) fn harvest(
        &mut self,
        slots: &mut Slots,
        budget: &mut Budget,
        sink: &mut impl Sink,
        doors: &mut Doors,
    ) -> io::Result<bool> {
        let mut filled = false;
        while !budget.is_spent() {
            if self.ready.is_empty() {
                self.ready = match self.epoll.poll(&mut self.events) {
                    Ok(ready) => 0..ready,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
            }
            let is_all = self.ready.end < self.events.len();
            while !budget.is_spent() {
                let Some(index) = self.ready.next() else { break };
                let Event { events, u64: bits } = self.events[index];
                let (happened, token) = (events.cast_signed(), Token::unpack(bits));
                match token.kind {
                    Kind::Receive => filled |= self.serve(token, happened, slots, budget, sink),
                    Kind::Listener => doors.knocked(token),
                    Kind::Bell | Kind::Alarm | Kind::Readable | Kind::Writable | Kind::Cancel => {}
                }
            }
            if is_all && self.ready.is_empty() {
                return Ok(filled);
            }
        }
        Ok(true)
    }

    /// Serves one report about a connection; true if there is probably more to receive.
    fn serve(
        &mut self,
        token: Token,
        happened: i32,
        slots: &mut Slots,
        budget: &mut Budget,
        sink: &mut impl Sink,
    ) -> bool {
        let Some((conn, slot)) = slots.find(token) else { return false };
        if slot.write_armed && happened & (EPOLLOUT | EPOLLERR | EPOLLHUP) != 0 {
            slot.write_armed = false;
            self.update_interest(conn, slot);
            sink.writable(conn);
        }
        if slot.ended || slot.paused || happened & (EPOLLIN | EPOLLERR | EPOLLHUP) == 0 {
            return false;
        }
        let outcome = sys::receive(slot.as_fd(), &mut self.buffer);
        budget.spend(*outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => {
                slot.ended = true;
                self.update_interest(conn, slot);
                sink.ended(conn);
            }
            Ok(len) => match sink.received(conn, &mut self.buffer[..len]) {
                Reading::On => return len == self.buffer.len(),
                Reading::Paused => {
                    slot.paused = true;
                    self.update_interest(conn, slot);
                }
            },
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => {}
                _ => {
                    drop(slots.remove(conn));
                    sink.closed(conn, error.kind());
                }
            },
        }
        false
    }

    fn update_interest(&self, conn: ConnId, slot: &Slot) {
        // Errors and hang-ups are reported unasked. With nothing to receive they would be reported without end, hence
        // edge-triggered: they are told once. A connection that was paused hears of them again when it goes on.
        let reading = if slot.ended || slot.paused { EPOLLET } else { EPOLLIN };
        let interest = if slot.write_armed { reading | EPOLLOUT } else { reading };
        let done = self.epoll.modify(slot.as_fd(), interest, Token::of(conn, Kind::Receive).pack());
        debug_assert!(done.is_ok(), "a slot's socket is in the set: {done:?}");
    }
}

impl AsFd for EpollBackend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
