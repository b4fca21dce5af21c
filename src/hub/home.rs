//! The rooms that this shard orders.
//!
//! A home knows which shards have members, not which members: every publication goes once to each shard that is
//! interested, in the room's one order. A shard becomes interested with its first join and says when its last
//! member has left; it names how many of its joins it has seen answered, so that a join that is still under way
//! keeps the interest alive. Publications and what is kept of them stand in `publish.rs`.
//!
//! Invariant: a room is kept exactly as long as at least one shard is interested or it has a log.

use std::sync::Arc;

use super::history::{History, HistoryConfig, RoomHistory};
use crate::{
    base::{
        RoomKey, ShardId,
        hash::{HashSeed, Map, map_with_seed},
        prng::Prng,
    },
    model::Position,
};

/// The rooms of one home shard.
#[derive(Debug)]
pub struct Home {
    pub(super) rooms: Map<RoomKey, Room>,
    pub(super) history: History,
    pub(super) prng: Prng,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) epoch: u64,
    /// Publications accepted in this epoch.
    pub(super) accepted: u64,
    pub(super) history: RoomHistory,
    pub(super) interests: Vec<Interest>,
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
    pub position: Position,
    /// To be named by [`Home::vacate`].
    pub joins: u32,
}

impl Room {
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, accepted: 0, history: RoomHistory::default(), interests: Vec::new() }
    }

    pub(super) fn position(&self) -> Position {
        Position { offset: self.history.last, epoch: self.epoch }
    }
}

impl Home {
    /// No rooms; `seed` feeds the epochs.
    pub fn new(hash: HashSeed, seed: u64, history: Arc<HistoryConfig>) -> Self {
        Self { rooms: map_with_seed(hash), history: History::new(history, hash), prng: Prng::new(seed) }
    }

    /// A member of `shard` joins.
    pub fn join(&mut self, key: &RoomKey, shard: ShardId) -> Joining {
        if !self.rooms.contains_key(key) {
            self.rooms.insert(key.clone(), Room::new(self.prng.next_u64()));
        }
        let room = self.rooms.get_mut(key).expect("inserted above when absent");
        if let Some(log) = room.history.log {
            self.history.set_idle(log, false);
        }
        let index = match room.interests.iter().position(|interest| interest.shard == shard) {
            Some(index) => index,
            None => {
                room.interests.push(Interest { shard, joins: 0 });
                room.interests.len() - 1
            }
        };
        let interest = &mut room.interests[index];
        interest.joins = interest.joins.wrapping_add(1);
        let joins = interest.joins;
        Joining { position: room.position(), joins }
    }

    /// The last member on `shard` has left, and the shard has seen `joins` answers. Ignored when a later
    /// join of the shard has been answered meanwhile.
    pub fn vacate(&mut self, key: &RoomKey, shard: ShardId, joins: u32) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.interests.retain(|interest| interest.shard != shard || interest.joins != joins);
        match room.history.log {
            _ if !room.interests.is_empty() => {}
            Some(log) => self.history.set_idle(log, true),
            None => {
                self.rooms.remove(key);
            }
        }
    }

    /// How many rooms have members.
    pub fn occupied(&self) -> usize {
        self.rooms.len() - self.history.idle()
    }

    /// Whether there is no room at all, not even one that is only remembered.
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

    fn home() -> Home {
        Home::new(HashSeed::new(1), 7, Arc::new(HistoryConfig::for_tests()))
    }

    #[test]
    fn vacating_with_a_join_under_way_keeps_the_interest() {
        let mut home = home();
        let shard = ShardId(3);
        let seen = home.join(&key("a"), shard).joins;
        let under_way = home.join(&key("a"), shard).joins;
        home.vacate(&key("a"), shard, seen);
        assert_eq!(home.occupied(), 1);
        home.vacate(&key("a"), shard, under_way);
        assert!(home.is_empty());
        home.vacate(&key("a"), shard, under_way);
    }

    #[test]
    fn a_room_that_vanished_comes_back_in_a_new_epoch() {
        let mut home = home();
        let before = home.join(&key("a"), ShardId(0));
        home.vacate(&key("a"), ShardId(0), before.joins);
        assert_ne!(home.join(&key("a"), ShardId(0)).position.epoch, before.position.epoch);
    }
}
