//! The rooms that this shard orders.
//!
//! A home knows which shards have members, not which members: every publication goes once to each shard that is
//! interested, in the room's one order. A shard becomes interested with its first join and says when its last
//! member has left; it names how many of its joins it has seen answered, so that a join that is still under way
//! keeps the interest alive.
//!
//! Invariant: a room is kept exactly as long as at least one shard is interested.

use crate::base::{
    RoomKey, ShardId,
    hash::{HashSeed, Map, map_with_seed},
    prng::Prng,
};

/// The rooms of one home shard.
#[derive(Debug)]
pub struct Home {
    rooms: Map<RoomKey, Room>,
    prng: Prng,
}

#[derive(Debug)]
struct Room {
    epoch: u64,
    /// Publications accepted in this epoch.
    accepted: u64,
    interests: Vec<Interest>,
}

/// A shard that has members of a room, and how many of its joins were answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    pub shard: ShardId,
    pub joins: u32,
}

/// A join's place in the room's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joining {
    pub epoch: u64,
    pub offset: u64,
    /// To be named by [`Home::vacate`].
    pub joins: u32,
}

/// An accepted publication: what identifies it, and which shards get it.
#[derive(Debug)]
pub struct Publication<'a> {
    pub epoch: u64,
    /// From 1, without holes, in the order in which the room accepted.
    pub number: u64,
    pub interests: &'a [Interest],
}

impl Home {
    /// No rooms; `seed` feeds the epochs.
    pub fn new(hash: HashSeed, seed: u64) -> Self {
        Self { rooms: map_with_seed(hash), prng: Prng::new(seed) }
    }

    /// A member of `shard` joins.
    pub fn join(&mut self, key: &RoomKey, shard: ShardId) -> Joining {
        if !self.rooms.contains_key(key) {
            let room = Room { epoch: self.prng.next_u64(), accepted: 0, interests: Vec::new() };
            self.rooms.insert(key.clone(), room);
        }
        let room = self.rooms.get_mut(key).expect("inserted above when absent");
        let index = match room.interests.iter().position(|interest| interest.shard == shard) {
            Some(index) => index,
            None => {
                room.interests.push(Interest { shard, joins: 0 });
                room.interests.len() - 1
            }
        };
        let interest = &mut room.interests[index];
        interest.joins = interest.joins.wrapping_add(1);
        // No history yet, so nothing has an offset.
        Joining { epoch: room.epoch, offset: 0, joins: interest.joins }
    }

    /// Gives a publication its place. `None` when nobody is in the room.
    pub fn publish(&mut self, key: &RoomKey) -> Option<Publication<'_>> {
        let room = self.rooms.get_mut(key)?;
        room.accepted += 1;
        Some(Publication { epoch: room.epoch, number: room.accepted, interests: &room.interests })
    }

    /// The shards that have members of a room; none for a room that is not there.
    pub fn interests(&self, key: &RoomKey) -> &[Interest] {
        self.rooms.get(key).map(|room| room.interests.as_slice()).unwrap_or_default()
    }

    /// The last member on `shard` has left, and the shard has seen `joins` answers. Ignored when a later
    /// join of the shard has been answered meanwhile.
    pub fn vacate(&mut self, key: &RoomKey, shard: ShardId, joins: u32) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.interests.retain(|interest| interest.shard != shard || interest.joins != joins);
        if room.interests.is_empty() {
            self.rooms.remove(key);
        }
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RoomName, TenantName};

    fn key(room: &str) -> RoomKey {
        RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
    }

    #[test]
    fn publications_are_numbered_and_go_to_interested_shards() {
        let mut home = Home::new(HashSeed::new(1), 7);
        let (one, two) = (ShardId(0), ShardId(1));
        assert!(home.publish(&key("a")).is_none(), "nobody is there");
        let first = home.join(&key("a"), one);
        let second = home.join(&key("a"), two);
        assert_eq!((first.joins, second.joins), (1, 1));
        assert_eq!(first.epoch, second.epoch);
        for number in 1..=3 {
            let publication = home.publish(&key("a")).unwrap();
            assert_eq!(publication.number, number);
            let shards: Vec<_> = publication.interests.iter().map(|interest| interest.shard).collect();
            assert_eq!(shards, [one, two]);
        }
    }

    #[test]
    fn vacating_with_a_join_under_way_keeps_the_interest() {
        let mut home = Home::new(HashSeed::new(1), 7);
        let shard = ShardId(3);
        let seen = home.join(&key("a"), shard).joins;
        let under_way = home.join(&key("a"), shard).joins;
        home.vacate(&key("a"), shard, seen);
        assert_eq!(home.publish(&key("a")).unwrap().interests.len(), 1);
        home.vacate(&key("a"), shard, under_way);
        assert!(home.is_empty());
        home.vacate(&key("a"), shard, under_way);
    }

    #[test]
    fn a_room_that_vanished_comes_back_in_a_new_epoch() {
        let mut home = Home::new(HashSeed::new(1), 7);
        let before = home.join(&key("a"), ShardId(0));
        home.vacate(&key("a"), ShardId(0), before.joins);
        assert_ne!(home.join(&key("a"), ShardId(0)).epoch, before.epoch);
    }
}
