//! The few system calls that neither `std` nor `socket2` offers, each behind a safe function.
//! Owns no state; no call blocks but those that take a timeout.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

/// One readiness report: what happened (`EPOLLIN`, ...), and the token that the descriptor was registered with.
pub(super) type Event = libc::epoll_event;

/// An event to be overwritten by [`Epoll::poll`].
pub(super) const NO_EVENT: Event = Event { events: 0, u64: 0 };

/// A non-blocking event counter with close-on-exec.
pub(in crate::shell) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Receives what is there into `buffer`; 0 means that the peer has ended its side.
pub(super) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of one exclusive slice.
    let n = unsafe {
        libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Waits until `fd` is readable, `timeout` has passed, or a signal came.
pub(super) fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let time = timespec(timeout);
    // SAFETY: one structure is announced and given; it and the time outlive the call.
    match check(unsafe { libc::ppoll(&raw mut poll, 1, &raw const time, ptr::null()) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// How much later than asked this thread's timeouts may end, so that the kernel can wake it for several at once.
pub(super) fn set_timer_slack(slack: Duration) -> io::Result<()> {
    let ns = libc::c_ulong::try_from(slack.as_nanos()).unwrap_or(libc::c_ulong::MAX);
    // SAFETY: takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, ns) }).map(drop)
}

/// An epoll instance.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches `fd` for `interest`. Closing the descriptor ends the watch.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, interest: i32, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Changes the interest in `fd`.
    pub(super) fn modify(&self, fd: BorrowedFd<'_>, interest: i32, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    /// Ends the watch of `fd`.
    pub(super) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Fills `events` from the front with what is ready now; returns how many.
    pub(super) fn poll(&self, events: &mut [Event]) -> io::Result<usize> {
        self.wait_ms(events, 0)
    }

    /// As [`Epoll::poll`], once something is ready or `timeout`, if there is one, has passed. Where the kernel is older than 5.11, or a
    /// filter is older than that, the timeout is rounded up to milliseconds.
    pub(super) fn wait(&self, events: &mut [Event], timeout: Option<Duration>) -> io::Result<usize> {
        let Some(timeout) = timeout else { return self.wait_ms(events, -1) };
        let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
        let time = timespec(timeout);
        let no_signals = ptr::null::<libc::sigset_t>();
        let (fd, into) = (self.0.as_raw_fd(), events.as_mut_ptr());
        // SAFETY: the kernel writes at most `room` events into one exclusive slice of at least that length, and reads
        // the time, which outlives the call. Without a mask its size is not looked at.
        let n =
            unsafe { libc::syscall(libc::SYS_epoll_pwait2, fd, into, room, &raw const time, no_signals, 0) };
        match usize::try_from(n) {
            Ok(n) => Ok(n),
            Err(_) => match io::Error::last_os_error() {
                error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    let ms = timeout.as_nanos().div_ceil(1_000_000);
                    self.wait_ms(events, i32::try_from(ms).unwrap_or(i32::MAX))
                }
                error => Err(error),
            },
        }
    }

    fn wait_ms(&self, events: &mut [Event], timeout_ms: i32) -> io::Result<usize> {
        let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most `room` events into one exclusive slice of at least that length.
        let n =
            check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), room, timeout_ms) })?;
        Ok(usize::try_from(n).unwrap_or(0))
    }

    fn control(&self, operation: i32, fd: BorrowedFd<'_>, interest: i32, token: u64) -> io::Result<()> {
        let mut event = Event { events: interest.cast_unsigned(), u64: token };
        // SAFETY: the event outlives the call, which only reads it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }
}

impl std::os::fd::AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    let tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    libc::timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
