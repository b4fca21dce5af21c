//! Who is on this shard: from a tenant and a user to the connections that are theirs.
//!
//! A hash table of lists that grows by one bucket at a time (linear hashing): an index of a million connections that
//! doubled would stop the shard for as long as that takes. It costs 12 bytes for a connection's slot and 4 for every
//! two users, and keeps no names: who owns it says whose a slot is.
//!
//! Invariant: a user's connections are one list, and the first of them, and no other, hangs in the user's bucket.

use crate::base::{TenantName, UserName, chunked::ChunkedVec, hash::HashSeed};

/// Ends a list.
const NONE: u32 = u32::MAX;

/// How many users a bucket holds on average before there is one more bucket.
const USERS_PER_BUCKET: usize = 2;

/// The connections of one shard by whose they are.
#[derive(Debug)]
pub struct Directory {
    seed: HashSeed,
    /// The first user of each bucket, by the slot of that user's first connection.
    buckets: ChunkedVec<u32>,
    /// By slot of the connection.
    entries: ChunkedVec<Entry>,
    users: usize,
}

/// A connection's place in the lists.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// What the names hash to, [`OPEN`] and [`FIRST`]; 0 for a slot that is not listed.
    tag: u32,
    /// For a user's first connection the next user of the bucket, for any other the user's connection before it.
    link: u32,
    /// The user's next connection.
    next: u32,
}

const _: () =
    assert!(size_of::<Entry>() + size_of::<u32>() / USERS_PER_BUCKET <= 16, "there is one per connection");

const OPEN: u32 = 1 << 31;
const FIRST: u32 = 1 << 30;
const HASH: u32 = FIRST - 1;

impl Entry {
    const CLOSED: Self = Self { tag: 0, link: NONE, next: NONE };

    fn is_open(self) -> bool {
        self.tag & OPEN != 0
    }

    fn is_first(self) -> bool {
        self.tag & FIRST != 0
    }
}

impl Directory {
    /// Nobody is there.
    pub fn new(seed: HashSeed) -> Self {
        Self { seed, buckets: ChunkedVec::new(), entries: ChunkedVec::new(), users: 0 }
    }

    /// The connection in `slot` is the user's now; `is_theirs` says whether that of another listed slot is, too.
    pub fn open(&mut self, slot: u32, tenant: &TenantName, user: &UserName, is_theirs: impl Fn(u32) -> bool) {
        while self.entries.len() <= slot as usize {
            self.entries.push(Entry::CLOSED);
        }
        debug_assert!(!self.entries[slot as usize].is_open());
        let hash = self.hash(tenant, user);
        let next = self.find(hash, is_theirs);
        if next == NONE {
            self.users += 1;
            self.grow();
        } else {
            self.unhang(next);
            let second = &mut self.entries[next as usize];
            second.tag &= !FIRST;
            second.link = slot;
        }
        self.entries[slot as usize] = Entry { tag: OPEN | hash, link: NONE, next };
        self.hang(slot);
    }

    /// The connection in `slot` is nobody's any more. One that was not listed changes nothing.
    pub fn close(&mut self, slot: u32) {
        let Some(&entry) = self.entries.get(slot as usize) else { return };
        if !entry.is_open() {
            return;
        }
        if !entry.is_first() {
            self.entries[entry.link as usize].next = entry.next;
            if entry.next != NONE {
                self.entries[entry.next as usize].link = entry.link;
            }
        } else {
            self.unhang(slot);
            if entry.next == NONE {
                self.users -= 1;
            } else {
                self.hang(entry.next);
            }
        }
        self.entries[slot as usize] = Entry::CLOSED;
    }

    /// The slots of a user's connections, the newest first; `is_theirs` says whether that of a listed slot is one.
    pub fn connections_of(
        &self,
        tenant: &TenantName,
        user: &UserName,
        is_theirs: impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = u32> {
        let listed = |slot: u32| (slot != NONE).then_some(slot);
        let first = self.find(self.hash(tenant, user), is_theirs);
        std::iter::successors(listed(first), move |&slot| listed(self.entries[slot as usize].next))
    }

    /// The first connection of the user whose names hash so, or [`NONE`].
    fn find(&self, hash: u32, is_theirs: impl Fn(u32) -> bool) -> u32 {
        if self.buckets.is_empty() {
            return NONE;
        }
        let mut slot = self.buckets[self.bucket(hash)];
        while slot != NONE {
            let entry = self.entries[slot as usize];
            if entry.tag & HASH == hash && is_theirs(slot) {
                break;
            }
            slot = entry.link;
        }
        slot
    }

    /// Adds a bucket when there are many users for those there are. What belongs there comes from one other bucket.
    fn grow(&mut self) {
        let count = self.buckets.len();
        if self.users <= count * USERS_PER_BUCKET {
            return;
        }
        self.buckets.push(NONE);
        if count == 0 {
            return;
        }
        let split = count ^ (1 << count.ilog2());
        let mut slot = std::mem::replace(&mut self.buckets[split], NONE);
        while slot != NONE {
            let behind = self.entries[slot as usize].link;
            self.hang(slot);
            slot = behind;
        }
    }

    /// Makes a connection the first of its user.
    fn hang(&mut self, slot: u32) {
        let bucket = self.bucket(self.entries[slot as usize].tag & HASH);
        let behind = std::mem::replace(&mut self.buckets[bucket], slot);
        let entry = &mut self.entries[slot as usize];
        entry.tag |= FIRST;
        entry.link = behind;
    }

    /// Takes a user's first connection out of its bucket.
    fn unhang(&mut self, slot: u32) {
        let Entry { tag, link, .. } = self.entries[slot as usize];
        let bucket = self.bucket(tag & HASH);
        if self.buckets[bucket] == slot {
            self.buckets[bucket] = link;
            return;
        }
        let mut before = self.buckets[bucket];
        while self.entries[before as usize].link != slot {
            before = self.entries[before as usize].link;
        }
        self.entries[before as usize].link = link;
    }

    /// By as many low bits of the hash as all buckets need, or by one fewer where that bucket is not there yet.
    fn bucket(&self, hash: u32) -> usize {
        let count = self.buckets.len();
        let round = count.next_power_of_two();
        let bucket = hash as usize & (round - 1);
        if bucket < count { bucket } else { bucket - round / 2 }
    }

    fn hash(&self, tenant: &TenantName, user: &UserName) -> u32 {
        self.seed.hash_one((tenant.as_str(), user.as_str())) as u32 & HASH
    }
}

#[cfg(test)]
impl Directory {
    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.users == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Prng;

    type Who = (TenantName, UserName);

    fn who(number: u64) -> Who {
        let tenant = TenantName::parse(["acme", "other"][number as usize % 2]).unwrap();
        (tenant, UserName::parse(&format!("user-{}", number / 2)).unwrap())
    }

    struct World {
        directory: Directory,
        sessions: BTreeMap<u32, Who>,
    }

    impl World {
        fn new(seed: u64) -> Self {
            Self { directory: Directory::new(HashSeed::new(seed)), sessions: BTreeMap::new() }
        }

        fn open(&mut self, slot: u32, who: Who) {
            let sessions = &self.sessions;
            self.directory.open(slot, &who.0, &who.1, |slot| sessions[&slot] == who);
            self.sessions.insert(slot, who);
        }

        fn close(&mut self, slot: u32) {
            self.directory.close(slot);
            self.sessions.remove(&slot);
        }

        fn of(&self, who: &Who) -> Vec<u32> {
            let is_theirs = |slot| self.sessions[&slot] == *who;
            self.directory.connections_of(&who.0, &who.1, is_theirs).collect()
        }
    }

    #[test]
    fn the_newest_connection_comes_first_and_users_of_two_tenants_are_two() {
        let mut world = World::new(1);
        assert_eq!(world.of(&who(0)), [0; 0]);
        for (slot, number) in [(3, 0), (1, 1), (7, 0), (0, 0)] {
            world.open(slot, who(number));
        }
        assert_eq!((world.of(&who(0)), world.of(&who(1))), (vec![0, 7, 3], vec![1]));
        for (closed, left) in [(7, vec![0, 3]), (0, vec![3]), (0, vec![3]), (9, vec![3]), (3, vec![])] {
            world.close(closed);
            assert_eq!(world.of(&who(0)), left, "without {closed}");
        }
        assert_eq!(world.of(&who(1)), [1]);
    }

    #[test]
    fn buckets_stay_short() {
        let mut world = World::new(2);
        (0..10_000).for_each(|number| world.open(number, who(u64::from(number))));
        let length = |&first: &u32| {
            let listed = |slot: u32| (slot != NONE).then_some(slot);
            let next = |&slot: &u32| listed(world.directory.entries[slot as usize].link);
            std::iter::successors(listed(first), next).count()
        };
        let lengths: Vec<usize> = world.directory.buckets.iter().map(length).collect();
        assert_eq!((lengths.len(), lengths.iter().sum::<usize>()), (5_000, 10_000));
        assert!(lengths.iter().all(|&length| length < 16), "{lengths:?}");
    }

    proptest! {
        /// Against lists by user, while slots are given out again and users have one connection or many.
        #[test]
        fn behaves_as_lists_by_user(seed: u64, users in 1..200_u64) {
            let mut world = World::new(seed);
            let mut prng = Prng::new(seed);
            let mut model: BTreeMap<Who, Vec<u32>> = BTreeMap::new();
            for _ in 0..600 {
                let slot = prng.below(150) as u32;
                if let Some(who) = world.sessions.get(&slot).cloned() {
                    world.close(slot);
                    model.get_mut(&who).unwrap().retain(|listed| *listed != slot);
                } else {
                    let who = who(prng.below(users));
                    world.open(slot, who.clone());
                    model.entry(who).or_default().insert(0, slot);
                }
                let who = who(prng.below(users));
                prop_assert_eq!(world.of(&who), model.get(&who).cloned().unwrap_or_default());
            }
            for (who, slots) in &model {
                prop_assert_eq!(&world.of(who), slots);
            }
            let listed = model.values().filter(|slots| !slots.is_empty()).count();
            prop_assert_eq!(world.directory.users, listed);
        }
    }
}
