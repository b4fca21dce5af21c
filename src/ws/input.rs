//! The bytes of one read, and how far they have been used.
//! Knows no frames; an item that lies in the input is remembered as a range until it can be borrowed.

use std::ops::Range;

/// Bytes from the peer. They are unmasked in place, which is why they are borrowed mutably.
#[derive(Debug)]
pub struct Input<'b> {
    bytes: &'b mut [u8],
    /// Invariant: at most `bytes.len()`.
    used: usize,
}

impl<'b> Input<'b> {
    /// All of `bytes` is still to be read.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    /// What no item has used yet.
    #[inline]
    pub fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..]
    }

    /// Uses up to `count` bytes and gives them out.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> &mut [u8] {
        let range = self.take_range(count);
        &mut self.bytes[range]
    }

    /// As [`take`](Self::take), for who wants the bytes later: see [`bytes`](Self::bytes).
    #[inline]
    pub(super) fn take_range(&mut self, count: usize) -> Range<usize> {
        let start = self.used;
        self.used = start.saturating_add(count).min(self.bytes.len());
        start..self.used
    }

    /// The bytes of a range that [`take_range`](Self::take_range) gave.
    #[inline]
    pub(super) fn bytes(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    /// How many bytes are left.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Whether everything has been used.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
