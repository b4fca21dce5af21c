//! Encoded frames, shared by every outbox that they wait in.

use std::{
    fmt,
    ops::{Deref, Range},
    rc::Rc,
};

/// Bytes as they go to a socket: one frame, or several in a row. Cloning costs a counter; never leaves its shard (it
/// is not `Send`).
#[derive(Clone)]
pub struct WireBytes {
    shared: Rc<[u8]>,
    start: u32,
    end: u32,
}

impl WireBytes {
    /// Copies `bytes`, less than 4 GiB, into one shared allocation.
    pub fn copy_from(bytes: &[u8]) -> Self {
        let end =
            u32::try_from(bytes.len()).expect("limits of messages and runs keep frames far below 4 GiB");
        Self { shared: Rc::from(bytes), start: 0, end }
    }

    /// A part, which shares the allocation.
    ///
    /// # Panics
    /// When `range` is not within these bytes.
    pub fn part(&self, range: Range<u32>) -> Self {
        let (start, end) = (self.start + range.start, self.start + range.end);
        assert!(start <= end && end <= self.end, "a part outside of its whole");
        Self { shared: Rc::clone(&self.shared), start, end }
    }
}

/// Its length: what it says is nobody's business.
impl fmt::Debug for WireBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireBytes({} bytes)", self.len())
    }
}

impl Deref for WireBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.shared[self.start as usize..self.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_what_they_are_of() {
        let whole = WireBytes::copy_from(b"one two three");
        let part = whole.part(4..13);
        assert_eq!(
            (&*part, &*part.part(0..3), &*part.part(9..9)),
            (&b"two three"[..], &b"two"[..], &b""[..])
        );
        assert!(std::ptr::eq(&whole[4], &part[0]));
    }

    #[test]
    #[should_panic(expected = "a part outside")]
    fn a_part_is_within_its_whole() {
        WireBytes::copy_from(b"one two").part(0..3).part(0..4);
    }
}
