//! The rooms that this shard orders.
//!
//! A home knows every member of its rooms, since whatever way a membership begins or ends, its shard says so: a publication
//! goes once to each shard that has members, in the room's one order, and the room's presence is what its members are.
//! What is asked comes in the order in which each shard asked it, so that a connection's end is behind its joins.
//!
//! Invariants: a room is kept exactly as long as it has a member; it stands in `due` exactly while it has changes to tell.

use std::collections::BTreeMap;

use super::{
    interests::{Interest, Interests},
    presence::{Announcement, Joiner, Presence, Showing},
};
use crate::{
    base::{
        ConnId, Now, RoomKey, UserName,
        hash::{HashSeed, Map, map_with_seed},
        prng::Prng,
    },
    model::PresencePage,
};

/// The rooms of one home shard.
#[derive(Debug)]
pub struct Home {
    rooms: Map<RoomKey, Room>,
    /// Rooms with changes that have gathered: by when they may be told.
    due: BTreeMap<Due, RoomKey>,
    prng: Prng,
}

#[derive(Debug)]
struct Room {
    epoch: u64,
    /// Publications accepted in this epoch.
    accepted: u64,
    interests: Interests,
    presence: Presence,
}

const _: () = assert!(size_of::<Room>() <= 80, "there are many, and most are small");

/// When a room is due, in monotonic milliseconds; its epoch tells rooms apart.
type Due = (u64, u64);

/// A join's place in the room's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joining {
    pub epoch: u64,
    pub offset: u64,
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
        Self { rooms: map_with_seed(hash), due: BTreeMap::new(), prng: Prng::new(seed) }
    }

    /// Gives a publication its place. `None` when nobody is in the room.
    pub fn publish(&mut self, key: &RoomKey) -> Option<Publication<'_>> {
        let room = self.rooms.get_mut(key)?;
        room.accepted += 1;
        Some(Publication { epoch: room.epoch, number: room.accepted, interests: room.interests.as_slice() })
    }

    /// A connection joins, or joins again. What others are to be told comes behind its answer.
    pub fn join(&mut self, key: &RoomKey, joiner: Joiner, now: Now) -> (Joining, Option<Announcement>) {
        if !self.rooms.contains_key(key) {
            let room = Room {
                epoch: self.prng.next_u64(),
                accepted: 0,
                interests: Interests::default(),
                presence: Presence::default(),
            };
            self.rooms.insert(key.clone(), room);
        }
        let joined = self.change(key, |room| {
            let announcement = room.presence.join(joiner, &mut room.interests, now);
            // No history yet, so nothing has an offset.
            (Joining { epoch: room.epoch, offset: 0 }, announcement)
        });
        joined.expect("inserted above when absent")
    }

    /// A connection leaves, or has ended; nothing happens if it is not in the room.
    pub fn leave(&mut self, key: &RoomKey, conn: ConnId, user: &UserName, now: Now) -> Option<Announcement> {
        self.change(key, |room| room.presence.leave(conn, user, &mut room.interests, now))?
    }

    /// A member says how he is; nothing happens if the connection is not in the room.
    pub fn show(
        &mut self,
        key: &RoomKey,
        conn: ConnId,
        user: &UserName,
        showing: Showing,
        now: Now,
    ) -> Option<Announcement> {
        self.change(key, |room| room.presence.show(conn, user, showing, &room.interests, now))?
    }

    /// The users of a room behind `after`, `limit` at most. Of a room that nobody is in, nobody.
    pub fn presence(&mut self, key: &RoomKey, after: Option<&UserName>, limit: usize) -> PresencePage {
        match self.rooms.get_mut(key) {
            Some(room) => room.presence.page(after, limit),
            None => PresencePage { presence: Vec::new(), next: None },
        }
    }

    /// When [`Home::tell_due`] has something to tell, in monotonic milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.due.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }

    /// What has gathered in the next room that is due, if there is one: nothing if all of it has come to nothing.
    pub fn tell_due(&mut self, now: Now) -> Option<(RoomKey, Option<Announcement>)> {
        let first = self.due.first_key_value().filter(|((due_ms, _), _)| *due_ms <= now.mono_ms());
        let (_, key) = first?;
        let key = key.clone();
        let told = self.change(&key, |room| room.presence.tell_gathered(&room.interests, now))?;
        Some((key, told))
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Changes a room, keeps `due` in step with it, and forgets it if nothing is left of it.
    fn change<T>(&mut self, key: &RoomKey, change: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let room = self.rooms.get_mut(key)?;
        let before = room.due();
        let changed = change(room);
        let after = room.due();
        if after != before {
            if let Some(due) = before {
                self.due.remove(&due);
            }
            if let Some(due) = after {
                self.due.insert(due, key.clone());
            }
        }
        if room.interests.is_empty() {
            debug_assert_eq!(after, None, "nobody listens");
            self.rooms.remove(key);
        }
        Some(changed)
    }
}

impl Room {
    fn due(&self) -> Option<Due> {
        self.presence.due_ms().map(|due_ms| (due_ms, self.epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RoomName, ShardId, TenantName};

    const NOW: Now = Now { mono_us: 0, unix_ms: 0 };

    fn key(room: &str) -> RoomKey {
        RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
    }

    fn ada() -> UserName {
        UserName::parse("ada").unwrap()
    }

    fn conn(shard: u16, slot: u32) -> ConnId {
        ConnId { shard: ShardId(shard), slot, generation: 0 }
    }

    fn join(home: &mut Home, room: &str, conn: ConnId) -> Joining {
        let joiner = Joiner {
            conn,
            user: ada(),
            status: crate::model::Availability::Online,
            metadata: None,
            listens: false,
        };
        home.join(&key(room), joiner, NOW).0
    }

    fn shards(home: &mut Home, room: &str) -> Vec<u16> {
        let publication = home.publish(&key(room));
        publication.map_or(Vec::new(), |it| it.interests.iter().map(|interest| interest.shard.0).collect())
    }

    #[test]
    fn publications_are_numbered_and_go_to_the_shards_with_members() {
        let mut home = Home::new(HashSeed::new(1), 7);
        assert!(home.publish(&key("a")).is_none(), "nobody is there");
        let (first, second) = (join(&mut home, "a", conn(0, 1)), join(&mut home, "a", conn(1, 1)));
        assert_eq!(first, second);
        for number in 1..=3 {
            assert_eq!(home.publish(&key("a")).unwrap().number, number);
        }
        assert_eq!(shards(&mut home, "a"), [0, 1]);
    }

    #[test]
    fn a_shard_is_interested_while_it_has_a_member() {
        let mut home = Home::new(HashSeed::new(1), 7);
        let (one, two, other) = (conn(0, 1), conn(0, 2), conn(1, 1));
        for conn in [one, two, two, other] {
            join(&mut home, "a", conn);
        }
        for (leaves, expected) in [(two, &[0, 1][..]), (two, &[0, 1]), (one, &[1]), (one, &[1]), (other, &[])]
        {
            assert_eq!(home.leave(&key("a"), leaves, &ada(), NOW), None, "nobody listens");
            assert_eq!(shards(&mut home, "a"), expected);
        }
        assert!(home.is_empty());
        assert_eq!(home.leave(&key("a"), one, &ada(), NOW), None);
    }

    #[test]
    fn a_room_that_vanished_comes_back_in_a_new_epoch() {
        let mut home = Home::new(HashSeed::new(1), 7);
        let before = join(&mut home, "a", conn(0, 1));
        home.leave(&key("a"), conn(0, 1), &ada(), NOW);
        assert_ne!(join(&mut home, "a", conn(0, 1)).epoch, before.epoch);
    }
}
