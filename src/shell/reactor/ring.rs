//! The private io_uring of a shard: submission, completion and provided buffers behind safe functions.
//! Knows descriptors and tokens, no connections. No submitted entry points into our memory.
//! Invariants: entries are submitted in the order they were pushed; a full queue delays and never loses one.
#![allow(unsafe_code)]

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::atomic::{Ordering, fence},
    time::Duration,
};

use io_uring::{
    EnterFlags, IoUring, cqueue, opcode, squeue,
    types::{CancelBuilder, Fd, SubmitArgs, Timespec},
};

use super::{
    buffers::{Buffers, GROUP},
    token::Token,
};

/// Bytes of one receive buffer, and buffers at most, unless configured otherwise.
pub(super) const BUFFER_BYTES: u32 = 8 * 1024;
const BUFFERS_MAX: u16 = 512;

/// The most bytes that the ring has received and not reported yet: those of all connections together.
pub const RECEIVED_BYTES_MAX: usize = BUFFER_BYTES as usize * BUFFERS_MAX as usize;

/// Sizes of a shard's ring. The defaults cost 100 KiB, and 128 KiB of buffers that grow under load to 4 MiB.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig {
    /// Submission queue entries, a power of two.
    pub submissions: u32,
    /// Completion queue entries, a power of two above `submissions`. More are kept by the kernel.
    pub completions: u32,
    /// Bytes of one receive buffer.
    pub buffer_bytes: u32,
    /// Receive buffers at the start.
    pub buffers_first: u16,
    /// Receive buffers at most, a power of two; the number doubles whenever the kernel ran out.
    pub buffers_max: u16,
    /// More receives than `busy_above` from a connection in `round` make a multishot receive worth its memory; once to
    /// twice as long without any, and it is taken back.
    pub round: Duration,
    pub busy_above: u8,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            submissions: 512,
            completions: 4096,
            buffer_bytes: BUFFER_BYTES,
            buffers_first: 16,
            buffers_max: BUFFERS_MAX,
            round: Duration::from_secs(4),
            busy_above: 4,
        }
    }
}

/// What the kernel reports about one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) token: Token,
    /// The count, or the error.
    pub(super) result: Result<usize, i32>,
    /// The buffer that holds what was received. It must be given back.
    pub(super) buffer: Option<u16>,
    /// The operation goes on and will report again.
    pub(super) goes_on: bool,
}

/// The ring, its buffers, and the entries that found it full.
pub(super) struct Ring {
    uring: IoUring,
    pub(super) buffers: Buffers,
    backlog: VecDeque<squeue::Entry>,
    /// The oldest report, looked at and not taken.
    seen: Option<Completion>,
}

impl Ring {
    /// Makes the ring on the thread that will use it; the kernel rings `chime` when there is work for it,
    /// once [`Ring::arm_chime`] has asked for that.
    /// Needs Linux 6.1; older kernels answer `EINVAL`.
    pub(super) fn new(config: &RingConfig, chime: BorrowedFd<'_>) -> io::Result<Self> {
        let uring = IoUring::builder()
            .dontfork()
            .setup_clamp()
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(config.completions)
            .build(config.submissions)?;
        let submitter = uring.submitter();
        submitter.register_eventfd(chime.as_raw_fd())?;
        let buffers =
            Buffers::register(&submitter, config.buffer_bytes, config.buffers_first, config.buffers_max)?;
        let mut ring = Self { uring, buffers, backlog: VecDeque::new(), seen: None };
        ring.mute_chime();
        Ok(ring)
    }

    /// Receives from `socket` into provided buffers until it ends, fails, or is cancelled.
    pub(super) fn receive(&mut self, socket: impl AsFd, token: Token) {
        let fd = Fd(socket.as_fd().as_raw_fd());
        self.push(opcode::RecvMulti::new(fd, GROUP).build().user_data(token.pack()));
    }

    /// Reports once when `socket` has something to receive, or an end of any kind.
    pub(super) fn poll_readable(&mut self, socket: impl AsFd, token: Token) {
        self.poll(socket, libc::POLLIN, false, token);
    }

    /// Reports once when `socket` takes bytes again.
    pub(super) fn poll_writable(&mut self, socket: impl AsFd, token: Token) {
        self.poll(socket, libc::POLLOUT, false, token);
    }

    /// Reports each time that something more becomes readable at `source`.
    pub(super) fn watch(&mut self, source: impl AsFd, token: Token) {
        self.poll(source, libc::POLLIN, true, token);
    }

    /// Ends the operation of `token`, which still reports once more.
    pub(super) fn cancel(&mut self, token: Token) {
        let cancel = opcode::AsyncCancel::new(token.pack()).build();
        self.push(cancel.flags(squeue::Flags::SKIP_SUCCESS).user_data(Token::CANCEL.pack()));
    }

    /// Submits all entries, and with `run` also lets the kernel finish a bounded amount of what it has deferred.
    /// When the kernel is short of memory, entries stay for the next call.
    pub(super) fn enter(&mut self, run: bool) -> io::Result<()> {
        let mut flags = if run { EnterFlags::GETEVENTS } else { EnterFlags::empty() };
        loop {
            let queued = self.fill();
            let submitter = self.uring.submitter();
            // SAFETY: no argument is passed, and `queued` is the length of the queue.
            match unsafe { submitter.enter::<libc::sigset_t>(queued, 0, flags.bits(), None) } {
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => return Ok(()),
                    _ => return Err(error),
                },
            }
            flags = EnterFlags::empty();
            if self.backlog.is_empty() || self.uring.submission().is_full() {
                return Ok(());
            }
        }
    }

    /// Submits all entries, and sleeps until there is a report or `timeout` has passed, if there is one.
    pub(super) fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.fill();
        if !self.backlog.is_empty() {
            return self.enter(true);
        }
        let submitter = self.uring.submitter();
        let slept = match timeout.map(Timespec::from) {
            Some(time) => submitter.submit_with_args(1, &SubmitArgs::new().timespec(&time)),
            None => submitter.submit_and_wait(1),
        };
        match slept {
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => Ok(()),
                _ => Err(error),
            },
            Ok(_) => Ok(()),
        }
    }

    /// Takes the report of `token` if it is the only one.
    pub(super) fn take_only(&mut self, token: Token) -> Option<Completion> {
        if self.seen.is_some() || self.uring.completion().len() != 1 {
            return None;
        }
        let report = self.next()?;
        if report.token == token {
            return Some(report);
        }
        self.seen = Some(report);
        None
    }

    /// The oldest report that has not been taken.
    pub(super) fn next(&mut self) -> Option<Completion> {
        if let Some(report) = self.seen.take() {
            return Some(report);
        }
        let entry = self.uring.completion().next()?;
        Some(Completion {
            token: Token::unpack(entry.user_data()),
            result: usize::try_from(entry.result()).map_err(|_| -entry.result()),
            buffer: cqueue::buffer_select(entry.flags()),
            goes_on: cqueue::more(entry.flags()),
        })
    }

    /// Every entry has gone to the kernel.
    pub(super) fn is_submitted(&mut self) -> bool {
        self.backlog.is_empty() && self.uring.submission().is_empty()
    }

    /// Lets the kernel ring the chime.
    pub(super) fn arm_chime(&mut self) {
        self.uring.completion().enable_eventfd();
        fence(Ordering::SeqCst);
    }

    /// The opposite of [`Ring::arm_chime`].
    pub(super) fn mute_chime(&mut self) {
        self.uring.completion().disable_eventfd();
    }

    /// The queue was full when the kernel last looked at it.
    pub(super) fn is_backed_up(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// There are reports to take.
    pub(super) fn has_reports(&mut self) -> bool {
        self.seen.is_some() || !self.uring.completion().is_empty()
    }

    /// The kernel has work that only [`Ring::enter`] with `run` gets done. It rings the chime once for the first
    /// piece of work and never for the rest, so this must be asked before going to sleep.
    pub(super) fn has_deferred(&mut self) -> bool {
        let queue = self.uring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    fn poll(&mut self, source: impl AsFd, events: libc::c_short, goes_on: bool, token: Token) {
        let fd = Fd(source.as_fd().as_raw_fd());
        let poll = opcode::PollAdd::new(fd, events.cast_unsigned().into()).multi(goes_on);
        self.push(poll.build().user_data(token.pack()));
    }

    fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            self.backlog.push_back(entry);
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: entries come from the functions above; none of them refers to memory.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }

    /// Moves what waits into the submission queue; returns how many entries are there.
    fn fill(&mut self) -> u32 {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                self.backlog.push_front(entry);
                break;
            }
        }
        u32::try_from(self.uring.submission().len()).unwrap_or(u32::MAX)
    }
}

impl Drop for Ring {
    /// The kernel tears a ring down later, so what could still write to a buffer is ended here, before the buffers go.
    fn drop(&mut self) {
        let submitter = self.uring.submitter();
        let wait = Timespec::new().sec(1);
        // Nothing in flight is reported as an error, as is a ring that is already broken.
        let _ = submitter.register_sync_cancel(Some(wait), CancelBuilder::any());
        let _ = submitter.unregister_buf_ring(GROUP);
    }
}
