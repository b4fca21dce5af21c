//! Slots with generations: what a shard keeps its connections, rooms and pending work in.
//!
//! A value is found by (slot, generation). Removing it raises the slot's generation, so that a stale pair
//! finds nothing instead of the slot's next value. Free slots form a stack: the slot freed last is given
//! out first, while its cache lines are warm. Memory once taken is kept for reuse and never handed back, and values
//! never move.
//!
//! Invariant: the live entries are counted by `len`, all others hang on the free list exactly once.

use super::chunked::ChunkedVec;

/// Ends the free list; no slot has this number.
const NO_SLOT: u32 = u32::MAX;

/// Values of one kind in numbered slots.
#[derive(Debug)]
pub struct Slab<T> {
    entries: ChunkedVec<Entry<T>>,
    /// The slot freed last, or [`NO_SLOT`].
    free: u32,
    len: u32,
}

#[derive(Debug)]
struct Entry<T> {
    /// How often the slot's value was removed. Wraps: a pair kept over 2^32 reuses of one slot would be
    /// taken for the value there by then.
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Live(T),
    Free { next: u32 },
}

impl<T> Slab<T> {
    /// An empty slab; allocates nothing.
    pub const fn new() -> Self {
        Self { entries: ChunkedVec::new(), free: NO_SLOT, len: 0 }
    }

    /// Stores `value` and says where: (slot, generation).
    ///
    /// # Panics
    /// With 2^32 - 1 live values; every owner bounds its own number far below.
    pub fn insert(&mut self, value: T) -> (u32, u32) {
        let (slot, generation) = match self.entries.get_mut(self.free as usize) {
            Some(entry) => {
                let State::Free { next } = entry.state else {
                    unreachable!("the free list holds a live slot");
                };
                let slot = std::mem::replace(&mut self.free, next);
                entry.state = State::Live(value);
                (slot, entry.generation)
            }
            None => {
                let slot = self.entries.len() as u32;
                assert!(slot < NO_SLOT, "a slab has at most 2^32 - 1 slots");
                self.entries.push(Entry { generation: 0, state: State::Live(value) });
                (slot, 0)
            }
        };
        self.len += 1;
        (slot, generation)
    }

    /// Takes the value out and frees its slot. `None` when the pair is stale or never was.
    pub fn remove(&mut self, slot: u32, generation: u32) -> Option<T> {
        let entry = self.entries.get_mut(slot as usize)?;
        if entry.generation != generation || matches!(entry.state, State::Free { .. }) {
            return None;
        }
        entry.generation = generation.wrapping_add(1);
        let state = std::mem::replace(&mut entry.state, State::Free { next: self.free });
        self.free = slot;
        self.len -= 1;
        match state {
            State::Live(value) => Some(value),
            State::Free { .. } => None,
        }
    }

    /// The value, to change it. `None` when the pair is stale or never was.
    pub fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        match self.entries.get_mut(slot as usize) {
            Some(Entry { generation: current, state: State::Live(value) }) if *current == generation => {
                Some(value)
            }
            Some(_) | None => None,
        }
    }

    /// The value. `None` when the pair is stale or never was.
    pub fn get(&self, slot: u32, generation: u32) -> Option<&T> {
        match self.entries.get(slot as usize) {
            Some(Entry { generation: current, state: State::Live(value) }) if *current == generation => {
                Some(value)
            }
            Some(_) | None => None,
        }
    }

    /// The live value of a slot, with its generation.
    pub fn get_by_slot(&self, slot: u32) -> Option<(u32, &T)> {
        match self.entries.get(slot as usize) {
            Some(Entry { generation, state: State::Live(value) }) => Some((*generation, value)),
            Some(_) | None => None,
        }
    }

    /// The live value of a slot, to change it; for owners of slots that nobody else frees.
    pub fn get_mut_by_slot(&mut self, slot: u32) -> Option<&mut T> {
        match self.entries.get_mut(slot as usize) {
            Some(Entry { state: State::Live(value), .. }) => Some(value),
            Some(_) | None => None,
        }
    }

    /// Whether the pair was given out and its value removed since.
    pub fn was_removed(&self, slot: u32, generation: u32) -> bool {
        // Generations wrap: what is behind by less than half of them is older.
        self.entries
            .get(slot as usize)
            .is_some_and(|entry| entry.generation.wrapping_sub(generation) as i32 > 0)
    }

    /// How many values are live.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no value is live.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The live values as (slot, generation, value), by slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, &T)> {
        self.entries.iter().zip(0..).filter_map(|(entry, slot)| match &entry.state {
            State::Live(value) => Some((slot, entry.generation, value)),
            State::Free { .. } => None,
        })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_slot_freed_last_is_reused_first_with_a_new_generation() {
        let mut slab = Slab::new();
        assert_eq!([slab.insert('a'), slab.insert('b'), slab.insert('c')], [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(slab.remove(0, 0), Some('a'));
        assert_eq!(slab.remove(2, 0), Some('c'));
        assert_eq!([slab.insert('d'), slab.insert('e'), slab.insert('f')], [(2, 1), (0, 1), (3, 0)]);
        assert_eq!(slab.get(2, 1), Some(&'d'));
    }

    #[test]
    fn a_stale_or_foreign_pair_finds_nothing() {
        let mut slab = Slab::new();
        let (slot, generation) = slab.insert('a');
        assert_eq!(slab.remove(slot, generation), Some('a'));
        for (slot, generation) in [(0, 0), (0, 1), (0, u32::MAX), (1, 0), (u32::MAX, 0)] {
            assert_eq!(slab.get(slot, generation), None);
            assert_eq!(slab.get_mut(slot, generation), None);
            assert_eq!(slab.remove(slot, generation), None);
            assert_eq!(slab.was_removed(slot, generation), slot == 0 && generation != 1);
        }
        assert!(slab.is_empty());
    }

    #[test]
    fn generations_wrap() {
        let mut slab = Slab::new();
        slab.insert('a');
        slab.entries[0].generation = u32::MAX;
        assert_eq!(slab.remove(0, u32::MAX), Some('a'));
        assert_eq!(slab.insert('b'), (0, 0));
        assert!(slab.was_removed(0, u32::MAX) && !slab.was_removed(0, 0) && !slab.was_removed(0, 1));
    }

    proptest! {
        /// Against a map from pair to value: every pair ever given out finds its own value or nothing.
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200)) {
            let mut slab = Slab::new();
            let mut model = BTreeMap::new();
            let mut given: Vec<(u32, u32)> = Vec::new();
            for (step, (insert, index)) in steps.into_iter().enumerate() {
                if insert || given.is_empty() {
                    let pair = slab.insert(step);
                    prop_assert!(!given.contains(&pair), "a pair was given out twice");
                    given.push(pair);
                    model.insert(pair, step);
                } else {
                    let pair = *index.get(&given);
                    prop_assert_eq!(slab.remove(pair.0, pair.1), model.remove(&pair));
                }
                for &pair in &given {
                    prop_assert_eq!(slab.get(pair.0, pair.1), model.get(&pair));
                }
                prop_assert_eq!(slab.len(), model.len());
                let live: Vec<_> = slab.iter().map(|(slot, generation, value)| ((slot, generation), *value)).collect();
                prop_assert_eq!(live, model.iter().map(|(pair, value)| (*pair, *value)).collect::<Vec<_>>());
            }
        }
    }
}
