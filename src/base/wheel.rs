//! A hashed timer wheel for one deadline per key, where moving a deadline later costs nothing.
//!
//! The owner keeps the true deadline beside its own state and just overwrites it. The wheel keeps the deadline that
//! was filed; when that one is due it asks the owner, which answers with the true one (filed again) or with `None`
//! (forgotten). A key is therefore filed once, when it is made, and never removed by hand: once it is stale, the
//! owner answers `None`. To move a deadline *earlier*, file it again under a key that differs (a ticket in it), and
//! answer `None` for the old one.
//!
//! Entries live in one arena as linked lists, a list per tick of the wheel: 8 bytes beside the key, and no memory but
//! for the most entries there ever were.

use super::chunked::ChunkedVec;

/// Ends a list; no entry has this number.
const NIL: u32 = u32::MAX;

/// Deadlines farther than this are filed here and the owner is asked once more on the way.
const TICKS_AHEAD_MAX: u64 = 1 << 30;

/// The wheel. Time is milliseconds on any clock that never goes back.
#[derive(Debug)]
pub struct Wheel<K> {
    entries: ChunkedVec<Entry<K>>,
    /// Entries not in use, as a list.
    free: u32,
    /// First entry of each tick's list; tick `t` hangs at `t % buckets.len()`.
    buckets: Box<[u32]>,
    /// One bit per bucket: its list is not empty.
    occupied: Box<[u64]>,
    tick_ms: u64,
    /// Everything up to this tick has been expired.
    tick: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    key: K,
    /// The low half of the tick at which the entry is due. Invariant: within 2^31 of `Wheel::tick`.
    due: u32,
    next: u32,
}

impl<K: Copy> Wheel<K> {
    /// A wheel that looks every `tick_ms` and goes round in `slots` ticks. Deadlines beyond one turn are fine, they
    /// are only passed by once a turn.
    ///
    /// # Panics
    /// When `tick_ms` is 0 or `slots` is not a power of two of at least 64.
    pub fn new(tick_ms: u64, slots: usize) -> Self {
        assert!(tick_ms > 0 && slots.is_power_of_two() && slots >= 64);
        Self {
            entries: ChunkedVec::new(),
            free: NIL,
            buckets: vec![NIL; slots].into(),
            occupied: vec![0; slots / 64].into(),
            tick_ms,
            tick: 0,
        }
    }

    /// Files `key` under `deadline_ms`. One that has passed is asked for at the next tick.
    pub fn insert(&mut self, key: K, deadline_ms: u64) {
        let index = if self.free == NIL {
            let index = self.entries.len() as u32;
            assert!(index < NIL, "a wheel has at most 2^32 - 1 entries");
            self.entries.push(Entry { key, due: 0, next: NIL });
            index
        } else {
            let index = self.free;
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            entry.key = key;
            index
        };
        self.file(index, deadline_ms);
    }

    /// Asks `owner` about every entry that is due by `now_ms`, each once: it answers with the key's true deadline, or
    /// with `None` to forget the key. Never asks before the filed deadline (but for those over 2^30 ticks away);
    /// asks less than one tick after it, when called in time. An answer that is not later than `now_ms` is asked
    /// for again at the next tick.
    ///
    /// Visits each list once at most, however much time has passed.
    pub fn expire(&mut self, now_ms: u64, mut owner: impl FnMut(K) -> Option<u64>) {
        let now = now_ms / self.tick_ms;
        if now <= self.tick {
            return;
        }
        let first = self.tick + 1;
        // What is filed while expiring goes behind `now`, so that no entry is asked about twice.
        self.tick = now;
        let ticks = (now - first + 1).min(self.buckets.len() as u64);
        for tick in first..first + ticks {
            self.expire_bucket(self.bucket(tick), &mut owner);
        }
    }

    /// The most entries there ever were.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    fn expire_bucket(&mut self, bucket: usize, owner: &mut impl FnMut(K) -> Option<u64>) {
        self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        let mut index = std::mem::replace(&mut self.buckets[bucket], NIL);
        while index != NIL {
            let Entry { key, due, next } = self.entries[index as usize];
            if (self.tick as u32).wrapping_sub(due) > u32::MAX / 2 {
                self.link(index, bucket);
            } else if let Some(deadline_ms) = owner(key) {
                self.file(index, deadline_ms);
            } else {
                self.entries[index as usize].next = self.free;
                self.free = index;
            }
            index = next;
        }
    }

    fn file(&mut self, index: u32, deadline_ms: u64) {
        let due = deadline_ms.div_ceil(self.tick_ms).clamp(self.tick + 1, self.tick + TICKS_AHEAD_MAX);
        self.entries[index as usize].due = due as u32;
        self.link(index, self.bucket(due));
    }

    fn link(&mut self, index: u32, bucket: usize) {
        self.entries[index as usize].next = std::mem::replace(&mut self.buckets[bucket], index);
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
    }

    fn bucket(&self, tick: u64) -> usize {
        tick as usize & (self.buckets.len() - 1)
    }

    /// No later than the time at which [`Self::expire`] has something to ask; `None` when nothing is filed. May be
    /// early (a deadline beyond one turn looks due within it), and may have passed.
    pub fn next_due_ms(&self) -> Option<u64> {
        let start = self.bucket(self.tick + 1);
        // The first word is looked at twice: from `start` on, and at last its lower bits.
        let words = self.occupied.len();
        for step in 0..=words {
            let word = (start / 64 + step) % words;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            }
            if bits != 0 {
                let bucket = word * 64 + bits.trailing_zeros() as usize;
                let ahead = bucket.wrapping_sub(start) & (self.buckets.len() - 1);
                return Some((self.tick + 1 + ahead as u64) * self.tick_ms);
            }
        }
        None
    }
}

#[cfg(test)]
impl<K: Copy> Wheel<K> {
    /// How many entries are filed, those that are stale among them.
    pub fn filed(&self) -> usize {
        let mut free = 0;
        let mut index = self.free;
        while index != NIL {
            free += 1;
            index = self.entries[index as usize].next;
        }
        self.entries.len() - free
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry<u32>>(), 12);
        assert_eq!(size_of::<Entry<(u32, u32)>>(), 16);
    }

    /// Who is asked when everybody answers `None`.
    fn due(wheel: &mut Wheel<u32>, now_ms: u64) -> Vec<u32> {
        let mut asked = Vec::new();
        wheel.expire(now_ms, |key| {
            asked.push(key);
            None
        });
        asked.sort_unstable();
        asked
    }

    #[test]
    fn asks_at_the_first_tick_not_before_the_deadline() {
        let mut wheel = Wheel::new(10, 64);
        for (key, deadline_ms) in [(0, 0), (1, 10), (2, 11), (3, 640), (4, 641), (5, 100_000)] {
            wheel.insert(key, deadline_ms);
        }
        let rows: [(u64, &[u32]); 9] = [
            (9, &[]),
            (10, &[0, 1]),
            (19, &[]),
            (20, &[2]),
            (639, &[]),
            (645, &[3]),
            (650, &[4]),
            (99_999, &[]),
            (100_000, &[5]),
        ];
        for (now_ms, expected) in rows {
            assert_eq!(due(&mut wheel, now_ms), expected, "at {now_ms}");
        }
        assert_eq!(wheel.next_due_ms(), None);
    }

    #[test]
    fn a_deadline_moved_later_is_asked_for_once_and_filed_again() {
        let mut wheel = Wheel::new(10, 64);
        wheel.insert(7_u32, 100);
        let mut asked = 0;
        wheel.expire(100, |_| {
            asked += 1;
            Some(900)
        });
        assert_eq!(asked, 1);
        assert_eq!(due(&mut wheel, 899), [0; 0]);
        assert_eq!(due(&mut wheel, 900), [7]);
    }

    #[test]
    fn an_answer_in_the_past_comes_back_at_the_next_tick_only() {
        let mut wheel = Wheel::new(10, 64);
        wheel.insert(7_u32, 10);
        let mut asked = 0;
        wheel.expire(5_000, |_| {
            asked += 1;
            Some(0)
        });
        assert_eq!(asked, 1);
        assert_eq!(wheel.next_due_ms(), Some(5_010));
        assert_eq!(due(&mut wheel, 5_010), [7]);
    }

    #[test]
    fn very_far_deadlines_are_asked_for_on_the_way() {
        let mut wheel = Wheel::new(1, 64);
        wheel.insert(1_u32, u64::MAX);
        assert_eq!(due(&mut wheel, TICKS_AHEAD_MAX - 1), [0; 0]);
        assert_eq!(due(&mut wheel, TICKS_AHEAD_MAX), [1]);
        // Half of the 32-bit circle after the clock passed it, an entry still reads as due.
        wheel.insert(2, TICKS_AHEAD_MAX + 5);
        assert_eq!(due(&mut wheel, 2 * TICKS_AHEAD_MAX), [2]);
    }

    #[test]
    fn entries_are_reused() {
        let mut wheel = Wheel::new(1, 64);
        for now_ms in 1..1_000 {
            wheel.insert(0_u32, now_ms);
            wheel.insert(1, now_ms + 3);
            due(&mut wheel, now_ms);
        }
        assert!(wheel.entries.len() <= 5, "{}", wheel.entries.len());
    }

    proptest! {
        /// Against a map from key to filed tick and true deadline, with a clock that steps and jumps.
        #[test]
        fn behaves_as_a_list_of_deadlines(seed: u64, tick_ms in 1..20_u64, wide: bool) {
            let slots = if wide { 128 } else { 64 };
            let mut prng = Prng::new(seed);
            let mut wheel = Wheel::new(tick_ms, slots);
            let mut filed: BTreeMap<u32, u64> = BTreeMap::new();
            let mut truth: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now_ms = 0;
            let mut seen_tick = 0;
            let span = tick_ms * slots as u64;
            for key in 0..300 {
                let deadline_ms = now_ms + prng.below(3 * span);
                wheel.insert(key, deadline_ms);
                filed.insert(key, deadline_ms.div_ceil(tick_ms).max(seen_tick + 1));
                truth.insert(key, deadline_ms);
                // Some owners move their deadline later; some die.
                let touched = prng.below(u64::from(key) + 1) as u32;
                if prng.below(4) == 0 {
                    truth.remove(&touched);
                } else if let Some(deadline_ms) = truth.get_mut(&touched) {
                    *deadline_ms += prng.below(span);
                }

                let earliest_ms = filed.values().min().map(|tick| tick * tick_ms);
                let bound_ms = wheel.next_due_ms();
                prop_assert_eq!(bound_ms.is_some(), earliest_ms.is_some());
                prop_assert!(bound_ms <= earliest_ms);

                now_ms += if prng.below(10) == 0 { prng.below(3 * span) } else { prng.below(2 * tick_ms) };
                let tick = now_ms / tick_ms;
                let mut expected: Vec<u32> =
                    filed.iter().filter(|(_, due)| **due <= tick).map(|(key, _)| *key).collect();
                let mut asked = Vec::new();
                wheel.expire(now_ms, |key| {
                    asked.push(key);
                    truth.get(&key).copied()
                });
                for key in &expected {
                    match truth.get(key) {
                        Some(deadline_ms) => filed.insert(*key, deadline_ms.div_ceil(tick_ms).max(tick + 1)),
                        None => filed.remove(key),
                    };
                }
                seen_tick = tick;
                asked.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(asked, expected);
            }
        }
    }
}
