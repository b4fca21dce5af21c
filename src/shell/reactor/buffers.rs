//! Receive buffers that the kernel picks from as bytes arrive, so that an idle connection holds none.
//! Owns one anonymous mapping: the ring of free buffers, then the buffers. Pages cost memory once touched, so only
//! `first` buffers go round at the start, and more are added when they run short.
//! Invariant: a buffer is either the kernel's (in the ring) or ours (between its completion and `give_back`).
#![allow(unsafe_code)]

use std::{
    io,
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU16, Ordering},
};

use io_uring::{Submitter, types::BufRingEntry};

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;
const PAGE: usize = 4096;

/// A ring of provided buffers.
#[derive(Debug)]
pub(super) struct Buffers {
    base: NonNull<u8>,
    mapped: usize,
    /// Where the buffers begin, past the ring entries.
    offset: usize,
    bytes_each: u32,
    /// Buffers there is room for, a power of two.
    count_max: u16,
    /// Buffers that go round. Invariant: at most `count_max`.
    count: u16,
    tail: u16,
}

impl Buffers {
    /// Maps and registers room for `count_max` buffers (rounded up to a power of two, at most 32,768) of
    /// `bytes_each`, and provides the `first` of them.
    pub(super) fn register(
        ring: &Submitter<'_>,
        bytes_each: u32,
        first: u16,
        count_max: u16,
    ) -> io::Result<Self> {
        let count_max = count_max.clamp(1, 1 << 15).next_power_of_two();
        let each = usize::try_from(bytes_each).map_err(|_| io::ErrorKind::InvalidInput)?;
        let offset = (usize::from(count_max) * size_of::<BufRingEntry>()).next_multiple_of(PAGE);
        let mapped = (offset + usize::from(count_max) * each).next_multiple_of(PAGE);
        let base = map(mapped)?;
        let mut buffers = Self { base, mapped, offset, bytes_each, count_max, count: 0, tail: 0 };
        // SAFETY: the mapping is page-aligned, holds `count_max` entries, and lives until `Drop`; the ring that
        // uses it is torn down before (see `Ring`).
        unsafe { ring.register_buf_ring_with_flags(base.as_ptr().addr() as u64, count_max, GROUP, 0) }?;
        buffers.add(first.max(1));
        Ok(buffers)
    }

    /// Doubles the buffers that go round, up to the limit.
    pub(super) fn grow(&mut self) {
        self.add(self.count);
    }

    /// The bytes of a buffer that a completion handed over.
    pub(super) fn bytes(&mut self, id: u16, len: usize) -> &mut [u8] {
        assert!(id < self.count && len <= self.bytes_each as usize, "the kernel hands out what it was given");
        // SAFETY: inside the mapping by the assertion; the kernel does not touch a buffer that it has handed over,
        // and `&mut self` keeps us from handing it back while the slice lives. Anonymous memory is initialised.
        unsafe { slice::from_raw_parts_mut(self.buffer(id), len) }
    }

    /// Returns a buffer to the kernel.
    pub(super) fn give_back(&mut self, id: u16) {
        let index = usize::from(self.tail & (self.count_max - 1));
        let address = self.buffer(id).addr() as u64;
        let entries = self.base.cast::<BufRingEntry>();
        // SAFETY: `index` is below `count_max`, so the entry is inside the mapping, page-aligned plus a multiple of
        // its size; the kernel reads an entry only after the tail below has passed it. The tail's place is the
        // unused last field of entry 0, which the setters leave alone.
        unsafe {
            let entry = entries.add(index).as_mut();
            entry.set_addr(address);
            entry.set_len(self.bytes_each);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies inside the mapping, is aligned, and is only ever accessed as an atomic by us.
        let tail = unsafe { &*BufRingEntry::tail(entries.as_ptr()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    fn add(&mut self, more: u16) {
        let old = self.count;
        self.count = old.saturating_add(more).min(self.count_max);
        for id in old..self.count {
            self.give_back(id);
        }
    }

    fn buffer(&self, id: u16) -> *mut u8 {
        debug_assert!(id < self.count_max);
        // SAFETY: `id` is below `count_max`, so the buffer is inside the mapping.
        unsafe { self.base.as_ptr().add(self.offset + usize::from(id) * self.bytes_each as usize) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: our own mapping; the ring no longer uses it (see `Ring::drop`), and no slice outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

/// Anonymous zeroed memory in small pages: a huge page would make all of it resident at the first touch.
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the range is the mapping just made. Advice may be refused without harm.
    unsafe { libc::madvise(base, bytes, libc::MADV_NOHUGEPAGE) };
    NonNull::new(base.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
