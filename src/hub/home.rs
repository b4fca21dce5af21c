//! The rooms that this shard orders.
//!
//! A home knows which shards have members, not which members: every publication goes once to each shard that is
//! interested, in the room's one order. A shard becomes interested with its first join and says when its last
//! member has left; it names how many of its joins it has seen answered, so that a join that is still under way
//! keeps the interest alive. Publications and what is kept of them stand in `publish.rs`.
//!
//! A room that has been joined over relay only is *ephemeral*: it also ends when nothing has come into it for a while.
//!
//! Invariants: a room is kept exactly as long as at least one shard is interested or it has a log; an ephemeral one has
//! no log.

use std::sync::Arc;

use super::{
    creates::Creates,
    ephemeral::{Ephemeral, Place},
    history::{History, HistoryConfig, RoomHistory},
};
use crate::{
    base::{
        Now, PeerBlock, RoomKey, ShardId,
        hash::{HashSeed, Map, map_with_seed},
        prng::Prng,
    },
    model::Position,
};

/// What a home allows.
#[derive(Clone, Copy, Debug)]
pub struct HomeLimits {
    /// Rooms that may be created from one address in a minute; 0 is no limit.
    pub creates_per_peer_per_min: u32,
    /// How long an ephemeral room lasts without traffic; 0 is no limit.
    pub ephemeral_ttl_ms: u64,
}

/// The rooms of one home shard.
#[derive(Debug)]
pub struct Home {
    pub(super) rooms: Map<RoomKey, Room>,
    pub(super) history: History,
    creates: Creates,
    pub(super) ephemeral: Ephemeral,
    pub(super) prng: Prng,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) epoch: u64,
    /// Publications accepted in this epoch.
    pub(super) accepted: u64,
    pub(super) history: RoomHistory,
    pub(super) interests: Vec<Interest>,
    /// Where its deadline is, if it was joined over relay only.
    pub(super) ephemeral: Option<Place>,
}

/// A shard that has members of a room, and how many of its joins were answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    pub shard: ShardId,
    pub joins: u32,
}

/// Who joins, as far as a home cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joiner {
    /// To whom a new room is counted.
    pub peer: PeerBlock,
    /// Over relay: a room that only such have joined is ephemeral.
    pub is_relay: bool,
}

/// Too many rooms were created from an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMany {
    /// When one more may be.
    pub retry_after_ms: u64,
}

/// A join's place in the room's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joining {
    pub position: Position,
    /// To be named by [`Home::vacate`].
    pub joins: u32,
}

impl Home {
    /// No rooms; `seed` feeds the epochs.
    pub fn new(limits: HomeLimits, hash: HashSeed, seed: u64, history: Arc<HistoryConfig>) -> Self {
        Self {
            rooms: map_with_seed(hash),
            history: History::new(history, hash),
            creates: Creates::new(limits.creates_per_peer_per_min, hash),
            ephemeral: Ephemeral::new(limits.ephemeral_ttl_ms),
            prng: Prng::new(seed),
        }
    }

    /// A member of `shard` joins.
    ///
    /// # Errors
    /// When the room would have to be created, and too many were from the same address.
    pub fn join(
        &mut self,
        key: &RoomKey,
        shard: ShardId,
        joiner: Joiner,
        now: Now,
    ) -> Result<Joining, TooMany> {
        if !self.rooms.contains_key(key) {
            let admitted = self.creates.admit(joiner.peer, now.mono_us);
            admitted.map_err(|retry_after_ms| TooMany { retry_after_ms })?;
            let ephemeral = joiner.is_relay.then(|| self.ephemeral.add(key, now.mono_ms()));
            self.rooms.insert(key.clone(), Room { ephemeral, ..Room::new(self.prng.next_u64()) });
        }
        let room = self.rooms.get_mut(key).expect("inserted above when absent");
        if let Some(log) = room.history.log {
            self.history.set_idle(log, false);
        }
        if joiner.is_relay {
            room.touch(&mut self.ephemeral, now);
        } else if let Some(place) = room.ephemeral.take() {
            self.ephemeral.remove(place);
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
        Ok(Joining { position: room.position(), joins })
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
        match room.history.log {
            _ if !room.interests.is_empty() => {}
            Some(log) => self.history.set_idle(log, true),
            None => {
                room.ephemeral.take().into_iter().for_each(|place| self.ephemeral.remove(place));
                self.rooms.remove(key);
            }
        }
    }

    /// Ends an ephemeral room for which the time is over: it is forgotten, and the shards that have members are to be
    /// told. To be asked until it has none.
    pub fn expire(&mut self, now: Now) -> Option<(RoomKey, Vec<Interest>)> {
        let key = self.ephemeral.take_due(now.mono_ms())?;
        let room = self.rooms.remove(&key).expect("a room that ends gives its place up");
        Some((key, room.interests))
    }

    /// When [`Home::expire`] may next have something, in monotonic milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.ephemeral.due_ms()
    }

    /// All rooms that are known here, those without members too; in no promised order.
    pub fn keys(&self) -> impl Iterator<Item = &RoomKey> {
        self.rooms.keys()
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

impl Room {
    pub(super) fn new(epoch: u64) -> Self {
        let (history, interests) = (RoomHistory::default(), Vec::new());
        Self { epoch, accepted: 0, history, interests, ephemeral: None }
    }

    pub(super) fn position(&self) -> Position {
        Position { offset: self.history.last, epoch: self.epoch }
    }

    /// Something has come into it.
    pub(super) fn touch(&self, ephemeral: &mut Ephemeral, now: Now) {
        if let Some(place) = self.ephemeral {
            ephemeral.touch(place, now.mono_ms());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use bytes::Bytes;

    use super::*;
    use crate::{
        base::{RoomName, SenderId, TenantName, UserName},
        hub::Draft,
        model::Payload,
    };

    const NOW: Now = Now { mono_us: 500_000_000, unix_ms: 1_800_000_000_000 };

    fn home() -> Home {
        let limits = HomeLimits { creates_per_peer_per_min: 0, ephemeral_ttl_ms: 60_000 };
        Home::new(limits, HashSeed::new(1), 7, Arc::new(HistoryConfig::for_tests()))
    }

    fn draft(room: &str) -> Draft {
        let (from, payload) = (UserName::parse("ada").unwrap(), Payload::Opaque(Bytes::new()));
        let sender = SenderId::BACKEND;
        Draft { key: key(room), from, sender, payload, message_id: None, persistent: false }
    }

    fn joiner(is_relay: bool) -> Joiner {
        Joiner { peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(), is_relay }
    }

    fn join(home: &mut Home, room: &str, shard: ShardId) -> Joining {
        home.join(&key(room), shard, joiner(false), NOW).unwrap()
    }

    fn later(ms: u64) -> Now {
        Now { mono_us: NOW.mono_us + ms * 1_000, ..NOW }
    }

    fn key(room: &str) -> RoomKey {
        RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
    }

    #[test]
    fn vacating_with_a_join_under_way_keeps_the_interest() {
        let mut home = home();
        let shard = ShardId(3);
        let seen = join(&mut home, "a", shard).joins;
        let under_way = join(&mut home, "a", shard).joins;
        home.vacate(&key("a"), shard, seen);
        assert_eq!(home.occupied(), 1);
        home.vacate(&key("a"), shard, under_way);
        assert!(home.is_empty());
        home.vacate(&key("a"), shard, under_way);
    }

    #[test]
    fn a_room_that_vanished_comes_back_in_a_new_epoch() {
        let mut home = home();
        let before = join(&mut home, "a", ShardId(0));
        home.vacate(&key("a"), ShardId(0), before.joins);
        assert_ne!(join(&mut home, "a", ShardId(0)).position.epoch, before.position.epoch);
    }

    #[test]
    fn a_room_joined_over_relay_only_ends_for_want_of_traffic() {
        let mut home = home();
        for room in ["quiet", "busy", "left", "mixed"] {
            home.join(&key(room), ShardId(0), joiner(true), NOW).unwrap();
        }
        home.join(&key("quiet"), ShardId(1), joiner(true), later(10_000)).unwrap();
        home.publish(draft("busy"), later(69_000)).unwrap();
        home.vacate(&key("left"), ShardId(0), 1);
        home.join(&key("mixed"), ShardId(1), joiner(false), NOW).unwrap();
        assert!(home.expire(later(69_000)).is_none());
        assert!(home.due_ms().is_some_and(|due_ms| due_ms <= later(70_000).mono_ms()));
        let (ended, interests) = home.expire(later(71_000)).unwrap();
        assert_eq!(ended, key("quiet"));
        assert_eq!(
            interests.iter().map(|interest| interest.shard).collect::<Vec<_>>(),
            [ShardId(0), ShardId(1)]
        );
        assert!(home.expire(later(71_000)).is_none());
        // What crosses the end finds nothing, or a new room.
        home.vacate(&key("quiet"), ShardId(1), 1);
        assert!(home.interests(&key("quiet")).is_empty());
        assert_eq!(home.expire(later(130_000)).map(|(ended, _)| ended), Some(key("busy")));
        assert_eq!(
            (home.occupied(), home.due_ms()),
            (1, None),
            "a room that JSON has joined is like any other"
        );
    }

    #[test]
    fn only_joins_that_create_a_room_are_limited() {
        let limits = HomeLimits { creates_per_peer_per_min: 2, ephemeral_ttl_ms: 0 };
        let mut home = Home::new(limits, HashSeed::new(1), 7, Arc::new(HistoryConfig::for_tests()));
        let mut join = |room, now| home.join(&key(room), ShardId(0), joiner(false), now).map(|_| ());
        assert_eq!([join("a", NOW), join("b", NOW), join("a", NOW)], [Ok(()); 3]);
        assert_eq!(join("c", NOW), Err(TooMany { retry_after_ms: 30_000 }));
        assert_eq!([join("b", NOW), join("c", later(30_000))], [Ok(()); 2]);
        assert_eq!(home.occupied(), 3);
    }
}
