//! The queue of encoded frames of one connection.
//!
//! All outboxes of a shard are linked lists over one [`FrameStore`], so that an idle connection owns no queue
//! and a delivery allocates nothing: it is one `Rc` clone and one node from the free list. A node may hold several
//! frames that came together.
//!
//! Invariant: `bytes` is what is queued and not yet written; the front node is written up to `front_written`.

use std::io::IoSlice;

use crate::base::WireBytes;

/// The most slices that one vectored write is given.
pub const SLICES_MAX: usize = 64;

const NONE: u32 = u32::MAX;

/// Nodes that an idle shard keeps for its next fan-out.
const NODES_KEPT: usize = 64 * 1024;

#[derive(Debug)]
struct Node {
    frames: Option<WireBytes>,
    next: u32,
    /// How many frames it is.
    count: u32,
}

/// The nodes of every outbox of one shard.
#[derive(Debug)]
pub struct FrameStore {
    nodes: Vec<Node>,
    free: u32,
    /// Nodes in some outbox.
    used: usize,
    bytes: u64,
}

impl FrameStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { nodes: Vec::new(), free: NONE, used: 0, bytes: 0 }
    }

    /// Bytes queued in all outboxes of the shard.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn take(&mut self, frames: WireBytes, count: u32) -> u32 {
        let node = Node { frames: Some(frames), next: NONE, count };
        self.used += 1;
        if self.free == NONE {
            let index = u32::try_from(self.nodes.len()).expect("outbox limits keep frames far below 2^32");
            self.nodes.push(node);
            return index;
        }
        let index = self.free;
        let slot = &mut self.nodes[index as usize];
        self.free = slot.next;
        *slot = node;
        index
    }

    fn give_back(&mut self, index: u32) -> u32 {
        let node = &mut self.nodes[index as usize];
        node.frames = None;
        let next = std::mem::replace(&mut node.next, self.free);
        self.free = index;
        self.used -= 1;
        next
    }

    /// Gives the memory of a flood back once nothing waits any more. For the end of a turn.
    pub fn trim(&mut self) {
        if self.used == 0 && self.nodes.len() > NODES_KEPT {
            (self.nodes, self.free) = (Vec::new(), NONE);
        }
    }

    fn bytes_at(&self, index: u32) -> &[u8] {
        self.nodes[index as usize].frames.as_deref().unwrap_or_default()
    }
}

impl Default for FrameStore {
    fn default() -> Self {
        Self::new()
    }
}

/// One connection's queue; 16 bytes.
#[derive(Debug)]
pub struct Outbox {
    head: u32,
    tail: u32,
    bytes: u32,
    front_written: u32,
}

impl Outbox {
    /// An empty queue.
    pub fn new() -> Self {
        Self { head: NONE, tail: NONE, bytes: 0, front_written: 0 }
    }

    /// Queues `count` frames in a row. The caller has asked [`Outbox::has_room`] where the limit applies.
    pub fn push(&mut self, store: &mut FrameStore, frames: WireBytes, count: u32) {
        let length = frames.len() as u32;
        let index = store.take(frames, count);
        if self.tail == NONE {
            self.head = index;
        } else {
            store.nodes[self.tail as usize].next = index;
        }
        self.tail = index;
        self.bytes += length;
        store.bytes += u64::from(length);
    }

    /// Takes `written` bytes off the front.
    pub fn advance(&mut self, store: &mut FrameStore, written: usize) {
        debug_assert!(written <= self.bytes as usize, "more written than was queued");
        let mut left = written.min(self.bytes as usize) as u32;
        self.bytes -= left;
        store.bytes -= u64::from(left);
        while self.head != NONE {
            let rest = store.bytes_at(self.head).len() as u32 - self.front_written;
            if left < rest {
                self.front_written += left;
                return;
            }
            left -= rest;
            self.pop_front(store);
        }
    }

    /// Drops everything that no byte was written of: what a closing connection owes its peer is the
    /// rest of the frames that it began. Answers how many frames were dropped.
    pub fn drop_unstarted(&mut self, store: &mut FrameStore) -> u64 {
        let mut dropped = 0;
        let kept = if self.front_written > 0 { self.head } else { NONE };
        let mut next = if kept == NONE { self.head } else { store.nodes[kept as usize].next };
        while next != NONE {
            let length = store.bytes_at(next).len() as u32;
            self.bytes -= length;
            store.bytes -= u64::from(length);
            dropped += u64::from(store.nodes[next as usize].count);
            next = store.give_back(next);
        }
        self.head = kept;
        self.tail = kept;
        if kept != NONE {
            store.nodes[kept as usize].next = NONE;
        }
        dropped
    }

    /// Drops everything, of a connection that is gone. Answers how many frames were dropped, one that was begun
    /// among them.
    pub fn clear(&mut self, store: &mut FrameStore) -> u64 {
        store.bytes -= u64::from(std::mem::take(&mut self.bytes));
        let mut dropped = 0;
        while self.head != NONE {
            dropped += u64::from(store.nodes[self.head as usize].count);
            self.pop_front(store);
        }
        dropped
    }

    fn pop_front(&mut self, store: &mut FrameStore) {
        self.head = store.give_back(self.head);
        self.front_written = 0;
        if self.head == NONE {
            self.tail = NONE;
        }
    }

    /// Whether `length` more bytes stay within `bytes_max`.
    pub fn has_room(&self, length: usize, bytes_max: u32) -> bool {
        self.bytes as usize + length <= bytes_max as usize
    }

    /// The whole queue, if it is in one piece: the common case, and cheaper than a vectored write.
    pub fn piece<'a>(&self, store: &'a FrameStore) -> Option<&'a [u8]> {
        let is_one = self.head != NONE && self.head == self.tail;
        is_one.then(|| &store.bytes_at(self.head)[self.front_written as usize..])
    }

    /// Fills `slices` with the front of the queue; answers how many slices and how many bytes.
    pub fn slices<'a>(
        &self,
        store: &'a FrameStore,
        slices: &mut [IoSlice<'a>; SLICES_MAX],
    ) -> (usize, usize) {
        let (mut count, mut bytes, mut next) = (0, 0, self.head);
        let mut skip = self.front_written as usize;
        while next != NONE && count < SLICES_MAX {
            let part = &store.bytes_at(next)[skip..];
            slices[count] = IoSlice::new(part);
            count += 1;
            bytes += part.len();
            skip = 0;
            next = store.nodes[next as usize].next;
        }
        (count, bytes)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> WireBytes {
        WireBytes::copy_from(text.as_bytes())
    }

    fn queued(outbox: &Outbox, store: &FrameStore) -> String {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (count, bytes) = outbox.slices(store, &mut slices);
        let text: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(text.len(), bytes);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_partial_write_leaves_exactly_the_rest() {
        let frames = ["one", "", "three", "4"];
        let whole: String = frames.concat();
        for first in 0..=whole.len() {
            for second in 0..=whole.len() - first {
                let (mut store, mut outbox) = (FrameStore::new(), Outbox::new());
                for text in frames {
                    outbox.push(&mut store, frame(text), 1);
                }
                outbox.advance(&mut store, first);
                assert_eq!(queued(&outbox, &store), whole[first..]);
                outbox.advance(&mut store, second);
                assert_eq!(queued(&outbox, &store), whole[first + second..]);
                assert_eq!(outbox.bytes() as usize, whole.len() - first - second);
                assert_eq!(store.bytes(), u64::from(outbox.bytes()));
            }
        }
    }

    #[test]
    fn dropping_the_unstarted_keeps_the_rest_of_a_begun_frame() {
        for (written, kept) in [(0, ""), (1, "ne"), (3, ""), (4, "wo")] {
            let (mut store, mut outbox) = (FrameStore::new(), Outbox::new());
            outbox.push(&mut store, frame("one"), 1);
            outbox.push(&mut store, frame("two"), 1);
            outbox.advance(&mut store, written);
            outbox.drop_unstarted(&mut store);
            assert_eq!(queued(&outbox, &store), kept, "after {written} bytes");
            assert_eq!(store.bytes(), kept.len() as u64);
            outbox.push(&mut store, frame("close"), 1);
            assert_eq!(queued(&outbox, &store), format!("{kept}close"));
        }
    }

    #[test]
    fn clearing_counts_frames_and_leaves_nothing() {
        for (written, dropped) in [(0, 3), (1, 3), (3, 2), (11, 0)] {
            let (mut store, mut outbox) = (FrameStore::new(), Outbox::new());
            ["one", "two", "three"].into_iter().for_each(|text| outbox.push(&mut store, frame(text), 1));
            outbox.advance(&mut store, written);
            assert_eq!(outbox.clear(&mut store), dropped, "after {written} bytes");
            assert_eq!((outbox.bytes(), outbox.is_empty(), store.bytes()), (0, true, 0));
            outbox.push(&mut store, frame("next"), 1);
            assert_eq!(queued(&outbox, &store), "next");
        }
    }

    #[test]
    fn nodes_are_reused_and_outboxes_do_not_mix() {
        let mut store = FrameStore::new();
        let (mut one, mut two) = (Outbox::new(), Outbox::new());
        for round in 0..100 {
            one.push(&mut store, frame(&format!("a{round}")), 1);
            two.push(&mut store, frame(&format!("b{round}")), 1);
            assert_eq!(queued(&one, &store), format!("a{round}"));
            assert_eq!(queued(&two, &store), format!("b{round}"));
            assert_eq!([one.clear(&mut store), two.clear(&mut store)], [1, 1]);
            assert!(one.is_empty() && two.is_empty());
        }
        assert_eq!(store.nodes.len(), 2);
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn a_flood_gives_its_memory_back_when_nothing_waits() {
        let (mut store, mut outbox) = (FrameStore::new(), Outbox::new());
        for _ in 0..=NODES_KEPT {
            outbox.push(&mut store, frame("x"), 1);
        }
        outbox.advance(&mut store, NODES_KEPT);
        store.trim();
        assert_eq!(queued(&outbox, &store), "x", "one still waits");
        outbox.advance(&mut store, 1);
        store.trim();
        assert_eq!(store.nodes.capacity(), 0);
        outbox.push(&mut store, frame("again"), 1);
        store.trim();
        assert_eq!(queued(&outbox, &store), "again");
    }

    #[test]
    fn the_limit_counts_what_waits() {
        let (mut store, mut outbox) = (FrameStore::new(), Outbox::new());
        outbox.push(&mut store, frame("12345678"), 1);
        assert!(outbox.has_room(2, 10));
        assert!(!outbox.has_room(3, 10));
        outbox.advance(&mut store, 1);
        assert!(outbox.has_room(3, 10));
    }
}
