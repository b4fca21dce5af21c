//! A table of what was of use lately, bounded in number, without lists and sweeps.
//!
//! Two generations: what is used moves into the young one; when that is old enough, or full, it becomes the old one, and
//! the old one is forgotten whole. So what is used at least once in a period is never forgotten, unless so many others were
//! used meanwhile that there was no room: that is counted.
//!
//! Invariants: a key is in one generation at most; each holds [`Recent::KEYS_MAX`] keys at most.

use std::hash::Hash;

use super::hash::{HashSeed, Map, map_with_seed};

/// Values that may be forgotten once nobody has asked for them for a while.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: Map<K, V>,
    old: Map<K, V>,
    /// When the young generation began.
    began_ms: u64,
    crowded_out: u64,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Keys of one generation.
    pub const KEYS_MAX: usize = 32 * 1024;

    /// Knows nothing; allocates nothing.
    pub fn new(hash: HashSeed) -> Self {
        Self { young: map_with_seed(hash), old: map_with_seed(hash), began_ms: 0, crowded_out: 0 }
    }

    /// The value of a key, kept for `period_ms` from now at least; one that is not there is made.
    pub fn entry(&mut self, key: K, now_ms: u64, period_ms: u64, make: impl FnOnce() -> V) -> &mut V {
        self.age(now_ms, period_ms);
        let kept = self.old.remove(&key);
        if self.young.len() >= Self::KEYS_MAX && !self.young.contains_key(&key) {
            self.crowded_out += self.old.len() as u64;
            self.turn(now_ms);
        }
        self.young.entry(key).or_insert_with(|| kept.unwrap_or_else(make))
    }

    /// The value of a key, if it is there.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(value) => Some(value),
            None => self.old.get_mut(key),
        }
    }

    /// How many values were forgotten before their time, since others needed their room.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    fn age(&mut self, now_ms: u64, period_ms: u64) {
        let age_ms = now_ms.saturating_sub(self.began_ms);
        if age_ms >= period_ms {
            self.turn(now_ms);
        }
        if age_ms >= period_ms.saturating_mul(2) {
            // Nobody has come for so long that what was young is old, too.
            self.old.clear();
        }
    }

    fn turn(&mut self, now_ms: u64) {
        self.began_ms = now_ms;
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD_MS: u64 = 1_000;

    fn recent() -> Recent<u32, u32> {
        Recent::new(HashSeed::new(1))
    }

    #[test]
    fn what_is_used_in_each_period_stays_and_what_is_not_goes() {
        let mut recent = recent();
        let entry = |recent: &mut Recent<u32, u32>, key, now_ms| {
            *recent.entry(key, now_ms, PERIOD_MS, || now_ms as u32)
        };
        assert_eq!(entry(&mut recent, 1, 5_000), 5_000);
        assert_eq!(entry(&mut recent, 2, 5_000), 5_000);
        for now_ms in [5_999, 6_900, 7_800, 8_700] {
            assert_eq!(entry(&mut recent, 1, now_ms), 5_000, "at {now_ms}");
        }
        assert_eq!([1, 2].map(|key| recent.get_mut(&key).copied()), [Some(5_000), None]);
        assert_eq!(entry(&mut recent, 2, 8_700), 8_700);
        assert_eq!(entry(&mut recent, 3, 20_000), 20_000);
        assert_eq!(recent.get_mut(&1), None, "nobody came for two periods");
        assert_eq!(recent.crowded_out(), 0);
    }

    #[test]
    fn nothing_goes_within_its_period() {
        for began_ms in 0..2 * PERIOD_MS {
            let mut recent = recent();
            recent.entry(1, began_ms, PERIOD_MS, || 7);
            for now_ms in began_ms..began_ms + PERIOD_MS {
                recent.entry(2, now_ms, PERIOD_MS, || 0);
            }
            assert_eq!(recent.get_mut(&1), Some(&mut 7), "{began_ms}");
        }
    }

    #[test]
    fn a_crowd_is_bounded_and_counted() {
        const MAX: u32 = Recent::<u32, u32>::KEYS_MAX as u32;
        let mut recent = recent();
        for key in 0..3 * MAX + 1 {
            recent.entry(key, 7, PERIOD_MS, || key);
            assert!(recent.young.len() <= MAX as usize && recent.old.len() <= MAX as usize);
        }
        assert_eq!(recent.crowded_out(), u64::from(2 * MAX));
        assert_eq!([0, 2 * MAX].map(|key| recent.get_mut(&key).copied()), [None, Some(2 * MAX)]);
    }
}
