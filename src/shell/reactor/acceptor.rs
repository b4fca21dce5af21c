//! Accepting, and what to do when it cannot be done.
//! Owns the listener and one spare descriptor. When the process is out of descriptors, the spare one is given up to
//! accept and close a connection at once, so that clients are turned away instead of left hanging; without a spare
//! one, accepting rests for a while.
//! Invariant: `ready` stays set until the kernel has said that nobody waits; the listener's watch only sets it.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use super::{refuse, sys};

/// How long accepting rests after an error that trying again at once would only repeat.
const REST: Duration = Duration::from_millis(100);

pub(super) struct Acceptor {
    listener: Option<TcpListener>,
    spare: Option<OwnedFd>,
    pub(super) ready: bool,
    rests_until: Option<Instant>,
}

/// One try.
pub(super) enum Accepted {
    Connection(TcpStream, SocketAddr),
    Failed(io::Error),
    /// Nobody waits, accepting rests, or the listener was closed.
    Nobody,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let spare = Some(sys::eventfd()?);
        Ok(Self { listener: Some(listener), spare, ready: true, rests_until: None })
    }

    /// Nobody is accepted any more; the kernel resets who waits still.
    pub(super) fn close(&mut self) {
        self.listener = None;
    }

    pub(super) fn accept(&mut self) -> Accepted {
        if !self.is_due() {
            return Accepted::Nobody;
        }
        self.rests_until = None;
        let Some(listener) = &self.listener else { return Accepted::Nobody };
        match listener.accept() {
            Ok((stream, peer)) => Accepted::Connection(stream, peer),
            Err(error) => self.failed(error),
        }
    }

    /// Somebody may wait, and there is no other time for him: what made accepting rest may be over.
    pub(super) fn try_now(&mut self) {
        (self.ready, self.rests_until) = (true, None);
    }

    pub(super) fn listener(&self) -> Option<&TcpListener> {
        self.listener.as_ref()
    }

    /// Somebody may wait, and may be accepted now.
    pub(super) fn is_due(&self) -> bool {
        self.wants() && self.rests_until.is_none_or(|until| Instant::now() >= until)
    }

    /// How long until somebody who waits may be accepted; `None` if nobody waits.
    pub(super) fn rest_left(&self) -> Option<Duration> {
        let until = self.rests_until.filter(|_| self.wants())?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn wants(&self) -> bool {
        self.ready && self.listener.is_some()
    }

    fn failed(&mut self, error: io::Error) -> Accepted {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => return self.nobody(),
            // The connection that was next has gone, or brought a pending network error along (accept(2)).
            Some(
                libc::EINTR
                | libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::ENONET
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP,
            ) => {}
            Some(libc::EMFILE | libc::ENFILE) => match self.turn_away().map_err(|error| error.kind()) {
                Ok(()) => {}
                // Linux looks for a descriptor before it looks for a connection.
                Err(io::ErrorKind::WouldBlock) => return self.nobody(),
                Err(_) => self.rest(),
            },
            _ => self.rest(),
        }
        Accepted::Failed(error)
    }

    /// Accepts and closes one connection with the spare descriptor.
    fn turn_away(&mut self) -> io::Result<()> {
        let (Some(listener), Some(spare)) = (&self.listener, self.spare.take()) else {
            self.spare = sys::eventfd().ok();
            return Err(io::ErrorKind::Other.into());
        };
        drop(spare);
        let outcome = listener.accept().map(|(stream, _)| refuse(&stream));
        self.spare = sys::eventfd().ok();
        outcome
    }

    fn nobody(&mut self) -> Accepted {
        self.ready = false;
        Accepted::Nobody
    }

    fn rest(&mut self) {
        self.rests_until = Some(Instant::now() + REST);
    }
}
