//! Hash maps without hidden randomness: the owner hands in a secret seed.
//!
//! Keys come from clients, so the seed must be secret and random in production. It enters foldhash whole: with
//! only the per-hasher seed secret and the shared one fixed, keys that collide under every seed can be made.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash},
};

use foldhash::{SharedSeed, fast::SeedableRandomState};

/// A hash map whose hasher was seeded by its owner. Its iteration order depends on the seed: it must not show.
pub type Map<K, V> = HashMap<K, V, SeedableRandomState>;

/// A seed made ready for any number of maps.
#[derive(Clone, Copy)]
pub struct HashSeed {
    shared: &'static SharedSeed,
    per_hasher: u64,
}

impl HashSeed {
    /// Expands `secret`. The expansion (48 bytes) is never freed, since hashers refer to it for as long as they
    /// live: make one seed for each shard, not for each map.
    pub fn new(secret: u64) -> Self {
        Self { shared: Box::leak(Box::new(SharedSeed::from_u64(secret))), per_hasher: secret.rotate_left(32) }
    }

    /// What a value hashes to, as in a map of this seed.
    pub fn hash_one(self, value: impl Hash) -> u64 {
        self.state().hash_one(value)
    }

    fn state(self) -> SeedableRandomState {
        SeedableRandomState::with_seed(self.per_hasher, self.shared)
    }
}

impl fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSeed(…)")
    }
}

/// An empty map; allocates nothing.
pub fn map_with_seed<K, V>(seed: HashSeed) -> Map<K, V> {
    HashMap::with_hasher(seed.state())
}

/// FNV-1a of bytes: the same on every node and in every version, and no secret.
pub(super) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.into_iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_alone_decides_the_hash() {
        let hash = |secret| HashSeed::new(secret).hash_one("lobby");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    /// Eight bytes equal to a known shared seed would zero the product under every per-hasher seed.
    #[test]
    fn the_shared_seed_is_not_the_well_known_one() {
        let seed = HashSeed::new(3);
        assert!(!std::ptr::eq(seed.shared, SharedSeed::global_fixed()));
    }

    #[test]
    fn maps_of_one_seed_are_maps() {
        let seed = HashSeed::new(4);
        let mut map = map_with_seed(seed);
        for key in 0..1_000_u32 {
            map.insert(key, key * 2);
        }
        assert!((0..1_000).all(|key| map.get(&key) == Some(&(key * 2))));
        assert_eq!(map.get(&1_000), None);
    }
}
