//! Which rooms each connection of a shard is in: lists over one arena, 4 bytes for a connection and 20 for a
//! membership, so that joining allocates nothing of its own.
//!
//! A membership keeps its *place* for as long as it lasts. Lists are short, the newest membership comes first; a connection
//! in many rooms has an index of its memberships beside.
//! Invariants: every membership of the arena is in one connection's list or in the list of free ones; a list of more
//! than [`FEW`] has an index, which holds all that the list holds.

use super::standing::Standing;
use crate::base::{HashSeed, Map, RoomId, Sorted, chunked::ChunkedVec, map_with_seed};

/// The most memberships of a connection that are looked at one by one; of one that had more, half as many.
const FEW: usize = 16;

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
    /// Of connections in many rooms, by slot.
    indexes: Map<u32, Sorted<Indexed>>,
}

/// A membership by the id of its room. Several may have one tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Indexed {
    /// A half of the room's id.
    tag: u32,
    place: u32,
}

impl Indexed {
    fn new(id: RoomId, place: u32) -> Self {
        Self { tag: id.0 as u32, place }
    }
}

impl Memberships {
    pub(super) fn new(hash: HashSeed) -> Self {
        let indexes = map_with_seed(hash);
        Self { arena: ChunkedVec::new(), free: NONE, first: ChunkedVec::new(), indexes }
    }

    /// A connection has asked to join a room that it is not in. `id_of` knows the ids of all its rooms. The membership's
    /// place.
    pub(super) fn add(
        &mut self,
        slot: u32,
        room: LocalRoomId,
        listens: bool,
        standing: Standing,
        id_of: impl Fn(LocalRoomId) -> RoomId,
    ) -> u32 {
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
        let place = *first;
        if let Some(index) = self.indexes.get_mut(&slot) {
            insert(index, Indexed::new(id_of(room), place));
        } else if self.of(slot).nth(FEW).is_some() {
            let mut index = Sorted::new();
            self.of(slot).for_each(|(place, it)| insert(&mut index, Indexed::new(id_of(it.room), place)));
            self.indexes.insert(slot, index);
        }
        place
    }

    /// What members may do has to be judged anew, for all of them.
    pub(super) fn doubt(&mut self) {
        self.arena.iter_mut().for_each(|membership| membership.standing = membership.standing.stale());
    }

    /// Takes the membership at `place`, in the room of this id, out of its connection's list.
    pub(super) fn remove(&mut self, slot: u32, place: u32, id: RoomId) -> Membership {
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
        if let Some(index) = self.indexes.get_mut(&slot) {
            let indexed = Indexed::new(id, place);
            if let Ok(at) = index.find(|it| it.cmp(&indexed)) {
                index.remove(at);
            }
            if self.of(slot).nth(FEW / 2).is_none() {
                self.indexes.remove(&slot);
            }
        }
        removed
    }

    /// The membership of a connection, with its place, that `is_it` knows. It must be in the room of this id, which is
    /// asked for only where there are many memberships, of which one is handed over.
    pub(super) fn find(
        &self,
        slot: u32,
        id: impl FnOnce(&Membership) -> RoomId,
        is_it: impl Fn(&Membership) -> bool,
    ) -> Option<(u32, &Membership)> {
        let mut newest = self.of(slot);
        for _ in 0..FEW {
            let (place, membership) = newest.next()?;
            if is_it(membership) {
                return Some((place, membership));
            }
        }
        let (_, other) = newest.next()?;
        let index = self.indexes.get(&slot)?;
        let first = Indexed::new(id(other), 0);
        let (Ok(at) | Err(at)) = index.find(|it| it.cmp(&first));
        let likely = index.from(at).take_while(|it| it.tag == first.tag);
        likely.map(|it| (it.place, self.at(it.place))).find(|(_, membership)| is_it(membership))
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

fn insert(index: &mut Sorted<Indexed>, indexed: Indexed) {
    if let Err(at) = index.find(|it| it.cmp(&indexed)) {
        index.insert(at, indexed);
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

    /// Few ids, so that many rooms share one.
    fn id_of(room: LocalRoomId) -> RoomId {
        RoomId(u64::from(room.0 % 7))
    }

    #[test]
    fn a_list_for_each_connection_and_places_that_stay() {
        let mut memberships = Memberships::new(HashSeed::new(1));
        assert_eq!(rooms(&memberships, 3), [0; 0]);
        let mut model: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        let mut prng = Prng::new(7);
        for room in 0..4_000 {
            // More come than go, then more go than come.
            let leaves_of_4 = if room / 1_000 % 2 == 0 { 1 } else { 3 };
            let slot = prng.below(8) as u32;
            let list = model.entry(slot).or_default();
            if prng.below(4) < leaves_of_4 && !list.is_empty() {
                let (place, room) = list.remove(prng.below(list.len() as u64) as usize);
                let room = LocalRoomId(room);
                assert_eq!(memberships.remove(slot, place, id_of(room)).room, room);
            } else {
                list.insert(0, (memberships.add(slot, LocalRoomId(room), true, EVERY, id_of), room));
            }
            let found = |slot, room| {
                memberships.find(slot, |_| id_of(room), |it| it.room == room).map(|(place, _)| place)
            };
            for (&slot, list) in &model {
                assert!(rooms(&memberships, slot).into_iter().eq(list.iter().map(|&(_, room)| room)));
                for &(place, room) in list {
                    assert_eq!(memberships.at(place).room.0, room);
                    assert_eq!(found(slot, LocalRoomId(room)), Some(place));
                    assert_eq!(found(slot + 1, LocalRoomId(room)), None);
                }
                let has_index = memberships.indexes.contains_key(&slot);
                assert!(if has_index { list.len() > FEW / 2 } else { list.len() <= FEW });
            }
        }
        assert!(memberships.arena.len() < 2_500, "places are given out again");
    }
}
