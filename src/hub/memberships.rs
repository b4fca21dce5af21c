//! Which rooms each connection of a shard is in: lists over one arena, 4 bytes for a connection and 20 for a
//! membership, so that joining allocates nothing of its own.
//!
//! A membership keeps its *place* for as long as it lasts. Lists are short, the newest membership comes first.
//! Invariant: every membership of the arena is in one connection's list or in the list of free ones.

use super::standing::Standing;
use crate::base::chunked::ChunkedVec;

/// Ends a list.
const NONE: u32 = u32::MAX;

/// Not among the room's members.
pub(super) const NOT_JOINED: u32 = u32::MAX;

/// A room with members on this shard, by slot; valid until nobody here is in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LocalRoomId(pub(crate) u32);

impl LocalRoomId {
    /// The room's place in a table of this shard's rooms.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One connection in one room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    pub(super) room: LocalRoomId,
    /// Index in the room's members; [`NOT_JOINED`] until a join was answered.
    pub(super) index: u32,
    /// Joins that were asked and not answered.
    pub(super) pending: u32,
    /// The last that the connection asked was to join, not to leave.
    pub(super) wanted: bool,
    /// The connection gets the room's presence events.
    pub(super) listens: bool,
    /// What the connection may do there.
    pub(super) standing: Standing,
    /// The connection's next membership, or the next free one.
    next: u32,
}

const _: () = assert!(size_of::<Membership>() <= 20, "there is at least one per connection");

/// All memberships of one shard.
#[derive(Debug)]
pub(super) struct Memberships {
    arena: ChunkedVec<Membership>,
    free: u32,
    /// The first membership of each connection, by slot.
    first: ChunkedVec<u32>,
}

impl Memberships {
    pub(super) fn new() -> Self {
        Self { arena: ChunkedVec::new(), free: NONE, first: ChunkedVec::new() }
    }

    /// A connection has asked to join a room that it is not in. The membership's place.
    pub(super) fn add(&mut self, slot: u32, room: LocalRoomId, listens: bool, standing: Standing) -> u32 {
        while self.first.len() <= slot as usize {
            self.first.push(NONE);
        }
        let first = &mut self.first[slot as usize];
        let (index, next) = (NOT_JOINED, *first);
        let membership = Membership { room, index, pending: 1, wanted: true, listens, standing, next };
        *first = if self.free == NONE {
            let place = self.arena.len() as u32;
            assert!(place < NONE, "a shard has at most 2^32 - 1 memberships");
            self.arena.push(membership);
            place
        } else {
            let place = self.free;
            let free = std::mem::replace(&mut self.arena[place as usize], membership);
            self.free = free.next;
            place
        };
        *first
    }

    /// What members may do has to be judged anew, for all of them.
    pub(super) fn doubt(&mut self) {
        self.arena.iter_mut().for_each(|membership| membership.standing = membership.standing.stale());
    }

    /// Takes the membership at `place` out of its connection's list.
    pub(super) fn remove(&mut self, slot: u32, place: u32) -> Membership {
        let removed = self.arena[place as usize];
        let first = self.first[slot as usize];
        if first == place {
            self.first[slot as usize] = removed.next;
        } else {
            let mut before = first;
            while self.arena[before as usize].next != place {
                before = self.arena[before as usize].next;
            }
            self.arena[before as usize].next = removed.next;
        }
        self.arena[place as usize].next = std::mem::replace(&mut self.free, place);
        removed
    }

    /// The membership at a place, to change it.
    pub(super) fn at_mut(&mut self, place: u32) -> &mut Membership {
        &mut self.arena[place as usize]
    }

    /// The membership at a place.
    pub(super) fn at(&self, place: u32) -> &Membership {
        &self.arena[place as usize]
    }

    /// A connection's memberships with their places, the newest first.
    pub(super) fn of(&self, slot: u32) -> impl Iterator<Item = (u32, &Membership)> {
        let listed = |place: u32| (place != NONE).then(|| (place, &self.arena[place as usize]));
        let first = self.first.get(slot as usize).copied().unwrap_or(NONE);
        std::iter::successors(listed(first), move |(_, membership)| listed(membership.next))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{base::Prng, model::Actions};

    const EVERY: Standing = Standing::of(Actions::EVERY);

    fn rooms(memberships: &Memberships, slot: u32) -> Vec<u32> {
        memberships.of(slot).map(|(_, membership)| membership.room.0).collect()
    }

    #[test]
    fn a_list_for_each_connection_and_places_that_stay() {
        let mut memberships = Memberships::new();
        assert_eq!(rooms(&memberships, 3), [0; 0]);
        let mut model: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        let mut prng = Prng::new(7);
        for room in 0..2_000 {
            let slot = prng.below(20) as u32;
            let list = model.entry(slot).or_default();
            if prng.below(3) == 0 && !list.is_empty() {
                let (place, room) = list.remove(prng.below(list.len() as u64) as usize);
                assert_eq!(memberships.remove(slot, place).room, LocalRoomId(room));
            } else {
                list.insert(0, (memberships.add(slot, LocalRoomId(room), true, EVERY), room));
            }
            for (&slot, list) in &model {
                assert!(list.iter().all(|&(place, room)| memberships.at(place).room.0 == room));
                assert!(rooms(&memberships, slot).into_iter().eq(list.iter().map(|&(_, room)| room)));
            }
        }
        assert!(memberships.arena.len() < 1_000, "places are given out again");
    }
}
