//! The signatures that have been seen, each for as long as it is timely.
//!
//! Invariant: a signature that was seen is known until its time is over, since a full memory refuses new ones instead of
//! forgetting old ones.

use std::collections::BTreeMap;

use super::signing::SignatureMark;
use crate::base::{HashSeed, Map, map_with_seed};

/// What is known of a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It is the first time, and from now on it is known.
    First,
    /// It has been seen before.
    Again,
    /// There is no room to remember it, so it must not be taken.
    Full,
}

/// So many signatures at most.
#[derive(Debug)]
pub struct Replays {
    known: Map<SignatureMark, ()>,
    /// By the last second in which they are timely.
    by_end: BTreeMap<u64, Vec<SignatureMark>>,
    entries_max: usize,
    /// The latest second so far: a wall clock that steps back brings nothing back.
    now_s: u64,
}

impl Replays {
    pub fn new(entries_max: usize, seed: HashSeed) -> Self {
        Self { known: map_with_seed(seed), by_end: BTreeMap::new(), entries_max, now_s: 0 }
    }

    /// Looks for a signature that is timely until then, and remembers it.
    pub fn see(&mut self, mark: SignatureMark, until_s: u64, now_s: u64) -> Seen {
        self.now_s = self.now_s.max(now_s);
        self.forget_before(self.now_s);
        // Its time was over before its body had come: it may have been seen, and forgotten since.
        if until_s < self.now_s {
            return Seen::Again;
        }
        if self.known.contains_key(&mark) {
            return Seen::Again;
        }
        if self.known.len() >= self.entries_max {
            return Seen::Full;
        }
        self.known.insert(mark, ());
        self.by_end.entry(until_s).or_default().push(mark);
        Seen::First
    }

    fn forget_before(&mut self, now_s: u64) {
        while let Some(first) = self.by_end.first_entry()
            && *first.key() < now_s
        {
            for mark in first.remove() {
                self.known.remove(&mark);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_known_until_its_time_is_over() {
        let mut replays = Replays::new(3, HashSeed::new(1));
        assert_eq!(replays.see(1, 1_300, 1_000), Seen::First);
        assert_eq!(replays.see(2, 1_600, 1_000), Seen::First);
        assert_eq!(replays.see(1, 1_300, 1_300), Seen::Again);
        assert_eq!(replays.see(3, 1_600, 1_300), Seen::First);
        assert_eq!(replays.see(4, 1_600, 1_300), Seen::Full);
        assert_eq!(replays.see(2, 1_600, 1_300), Seen::Again, "also when it is full");
        // The first one's time is over: nobody would take it, and its place is free.
        assert_eq!(replays.see(4, 1_600, 1_301), Seen::First);
        assert_eq!(replays.see(5, 1_601, 1_301), Seen::Full);
        assert_eq!(replays.see(5, 1_601, 1_601), Seen::First);
        assert_eq!((replays.known.len(), replays.by_end.len()), (1, 1));
    }

    #[test]
    fn a_body_that_was_held_back_brings_no_signature_back() {
        let mut replays = Replays::new(3, HashSeed::new(1));
        assert_eq!(replays.see(1, 1_300, 1_300), Seen::First);
        for now_s in [1_301, 1_330, 1_000] {
            assert_eq!(replays.see(1, 1_300, now_s), Seen::Again, "{now_s}");
        }
        assert!(replays.known.is_empty());
    }
}
