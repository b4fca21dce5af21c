//! Which messages a room has seen lately, by sender and by the id that the sender gave them: a sender that heard no ack
//! sends again, and its message must not come twice.
//!
//! Invariant: what stands in `seen` stands once in `order`, oldest first.

use std::{collections::VecDeque, num::NonZeroU64};

use super::room_log::{Keep, SPARE_MAX};
use crate::{
    base::{HashSeed, Map, UserName, map_with_seed},
    model::MessageId,
};

/// Who sent a message, and what they call it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Named {
    pub(super) from: UserName,
    pub(super) id: MessageId,
}

/// One room's window.
#[derive(Debug)]
pub(super) struct Repeats {
    /// The offset that each message got, if it was persistent.
    seen: Map<Named, Option<NonZeroU64>>,
    /// With the monotonic second at which each was seen.
    order: VecDeque<(Named, u32)>,
    keep: Keep,
}

impl Named {
    /// What its place in the window takes: in a table and a queue that may be half empty.
    fn bytes(&self) -> u64 {
        const AROUND: usize = 2 * (size_of::<(Named, Option<NonZeroU64>)>() + 1 + size_of::<(Named, u32)>());
        (AROUND + self.from.as_str().len() + self.id.as_str().len()) as u64
    }
}

impl Repeats {
    pub(super) fn new(hash: HashSeed, keep: Keep) -> Self {
        Self { seen: map_with_seed(hash), order: VecDeque::new(), keep }
    }

    /// Notes a message that was not seen. Answers the bytes taken and the bytes given up for it.
    pub(super) fn note(&mut self, named: Named, offset: Option<NonZeroU64>, now_s: u32) -> (u64, u64) {
        let taken = named.bytes();
        let before = self.seen.insert(named.clone(), offset);
        debug_assert!(before.is_none(), "a repeat is found before it is noted");
        self.order.push_back((named, now_s));
        let mut freed = 0;
        while self.order.len() > self.keep.messages as usize {
            freed += self.shed();
        }
        (taken, freed)
    }

    /// Forgets what is too old; answers its bytes.
    pub(super) fn expire(&mut self, now_s: u32) -> u64 {
        let mut freed = 0;
        while self.oldest_s().is_some_and(|at_s| now_s.saturating_sub(at_s) > self.keep.seconds) {
            freed += self.shed();
        }
        let (len, capacity) = (self.order.len(), self.order.capacity());
        if capacity > SPARE_MAX && capacity > 4 * len {
            self.order.shrink_to(2 * len);
            self.seen.shrink_to(2 * len);
        }
        freed
    }

    /// Forgets the oldest; answers its bytes.
    pub(super) fn shed(&mut self) -> u64 {
        let Some((named, _)) = self.order.pop_front() else { return 0 };
        self.seen.remove(&named);
        named.bytes()
    }

    /// What a message got when it was first seen.
    pub(super) fn find(&self, named: &Named) -> Option<Option<NonZeroU64>> {
        self.seen.get(named).copied()
    }

    pub(super) fn oldest_s(&self) -> Option<u32> {
        self.order.front().map(|(_, at_s)| *at_s)
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    #[cfg(test)]
    pub(super) fn capacities(&self) -> (usize, usize) {
        (self.seen.capacity(), self.order.capacity())
    }

    /// Of all that is there.
    pub(super) fn bytes(&self) -> u64 {
        self.order.iter().map(|(named, _)| named.bytes()).sum()
    }
}
