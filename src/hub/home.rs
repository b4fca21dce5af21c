//! The rooms that this shard orders.
//!
//! A home knows every member of its rooms, since whatever way a membership begins or ends, its shard says so: a publication
//! goes once to each shard that has members, in the room's one order, and the room's presence is what its members are.
//! What is asked comes in the order in which each shard asked it, so that a connection's end is behind its joins.
//! Publications and what is kept of them stand in `publish.rs`.
//!
//! A room that has been joined over relay only is *ephemeral*: it also ends when nothing has come into it for a while.
//!
//! Invariants: a room is kept exactly as long as it has a member or a log; an ephemeral one has no log; it stands in `due`
//! exactly while it has changes to tell.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    creates::Creates,
    ephemeral::{Ephemeral, Place},
    history::{History, HistoryConfig, RoomHistory},
    interests::{Interest, Interests},
    presence::{Announcement, Joiner, Presence, Showing},
};
use crate::{
    base::{
        ConnId, Now, RoomKey, UserName,
        hash::{HashSeed, Map, map_with_seed},
        prng::Prng,
    },
    model::{Position, PresencePage},
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
    /// Rooms with changes that have gathered: by when they may be told.
    due: BTreeMap<Due, RoomKey>,
    pub(super) prng: Prng,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) epoch: u64,
    /// Publications accepted in this epoch.
    pub(super) accepted: u64,
    pub(super) history: RoomHistory,
    pub(super) interests: Interests,
    presence: Presence,
    /// Where its deadline is, if it was joined over relay only.
    pub(super) ephemeral: Option<Place>,
}

const _: () = assert!(size_of::<Room>() <= 112, "there are many, and most are small");

/// When a room is due, in monotonic milliseconds; its epoch tells rooms apart.
type Due = (u64, u64);

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
}

impl Home {
    /// No rooms; `seed` feeds the epochs.
    pub fn new(limits: HomeLimits, hash: HashSeed, seed: u64, history: Arc<HistoryConfig>) -> Self {
        Self {
            rooms: map_with_seed(hash),
            history: History::new(history, hash),
            creates: Creates::new(limits.creates_per_peer_per_min, hash),
            ephemeral: Ephemeral::new(limits.ephemeral_ttl_ms),
            due: BTreeMap::new(),
            prng: Prng::new(seed),
        }
    }

    /// From now on one address may create so many rooms in a minute; 0 is no limit.
    pub fn limit_creates(&mut self, per_min: u32) {
        self.creates.limit(per_min);
    }

    /// A connection joins, or joins again. What others are to be told comes behind its answer.
    ///
    /// # Errors
    /// When the room would have to be created, and too many were from the same address.
    pub fn join(
        &mut self,
        key: &RoomKey,
        joiner: Joiner,
        now: Now,
    ) -> Result<(Joining, Option<Announcement>), TooMany> {
        match self.rooms.get_mut(key) {
            None => self.create(key, &joiner, now)?,
            Some(room) if joiner.is_relay => room.touch(&mut self.ephemeral, now),
            Some(room) => {
                if let Some(place) = room.ephemeral.take() {
                    self.ephemeral.remove(place);
                }
            }
        }
        let joined = self.change(key, |room| {
            let announcement = room.presence.join(joiner, &mut room.interests, now);
            (Joining { position: room.position() }, announcement)
        });
        Ok(joined.expect("created above when absent"))
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

    /// The shards that have members of a room; none for a room that is not there.
    pub fn interests(&self, key: &RoomKey) -> &[Interest] {
        self.rooms.get(key).map(|room| room.interests.as_slice()).unwrap_or_default()
    }

    /// Ends an ephemeral room for which the time is over: it is forgotten, and the shards that have members are to be
    /// told. To be asked until it has none.
    pub fn expire(&mut self, now: Now) -> Option<(RoomKey, Vec<Interest>)> {
        let key = self.ephemeral.take_due(now.mono_ms())?;
        let room = self.rooms.remove(&key).expect("a room that ends gives its place up");
        if let Some(due) = room.due() {
            self.due.remove(&due);
        }
        Some((key, room.interests.into_vec()))
    }

    /// What has gathered in the next room that is due, if there is one: nothing if all of it has come to nothing.
    pub fn tell_due(&mut self, now: Now) -> Option<(RoomKey, Option<Announcement>)> {
        let first = self.due.first_key_value().filter(|((due_ms, _), _)| *due_ms <= now.mono_ms());
        let (_, key) = first?;
        let key = key.clone();
        let told = self.change(&key, |room| room.presence.tell_gathered(&room.interests, now))?;
        Some((key, told))
    }

    /// When [`Home::expire`] or [`Home::tell_due`] may next have something, in monotonic milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        let told_ms = self.due.first_key_value().map(|((due_ms, _), _)| *due_ms);
        [self.ephemeral.due_ms(), told_ms].into_iter().flatten().min()
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

    fn create(&mut self, key: &RoomKey, joiner: &Joiner, now: Now) -> Result<(), TooMany> {
        let admitted = self.creates.admit(joiner.peer, now.mono_us);
        admitted.map_err(|retry_after_ms| TooMany { retry_after_ms })?;
        let ephemeral = joiner.is_relay.then(|| self.ephemeral.add(key, now.mono_ms()));
        self.rooms.insert(key.clone(), Room { ephemeral, ..Room::new(self.prng.next_u64()) });
        Ok(())
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
        let has_members = !room.interests.is_empty();
        debug_assert!(has_members || after.is_none(), "nobody listens");
        match room.history.log {
            Some(log) => self.history.set_idle(log, !has_members),
            None if has_members => {}
            None => {
                if let Some(place) = room.ephemeral.take() {
                    self.ephemeral.remove(place);
                }
                self.rooms.remove(key);
            }
        }
        Some(changed)
    }
}

impl Room {
    pub(super) fn new(epoch: u64) -> Self {
        let (history, interests) = (RoomHistory::default(), Interests::default());
        Self { epoch, accepted: 0, history, interests, presence: Presence::default(), ephemeral: None }
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

    fn due(&self) -> Option<Due> {
        self.presence.due_ms().map(|due_ms| (due_ms, self.epoch))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use bytes::Bytes;

    use super::*;
    use crate::{
        base::{RoomName, SenderId, ShardId, TenantName},
        hub::Draft,
        model::{Availability, Payload},
    };

    const NOW: Now = Now { mono_us: 500_000_000, unix_ms: 1_800_000_000_000 };

    fn home() -> Home {
        let limits = HomeLimits { creates_per_peer_per_min: 0, ephemeral_ttl_ms: 60_000 };
        Home::new(limits, HashSeed::new(1), 7, Arc::new(HistoryConfig::for_tests()))
    }

    fn draft(room: &str) -> Draft {
        let (sender, payload) = (SenderId::BACKEND, Payload::Opaque(Bytes::new()));
        Draft { key: key(room), from: ada(), sender, payload, message_id: None, persistent: false }
    }

    fn key(room: &str) -> RoomKey {
        RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
    }

    fn ada() -> UserName {
        UserName::parse("ada").unwrap()
    }

    fn conn(shard: u16, slot: u32) -> ConnId {
        ConnId { shard: ShardId(shard), slot, generation: 0 }
    }

    fn joiner(conn: ConnId, is_relay: bool) -> Joiner {
        Joiner {
            conn,
            user: ada(),
            status: Availability::Online,
            metadata: None,
            listens: false,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            is_relay,
        }
    }

    fn join(home: &mut Home, room: &str, conn: ConnId) -> Joining {
        home.join(&key(room), joiner(conn, false), NOW).unwrap().0
    }

    fn leave(home: &mut Home, room: &str, conn: ConnId) {
        assert_eq!(home.leave(&key(room), conn, &ada(), NOW), None, "nobody listens");
    }

    fn later(ms: u64) -> Now {
        Now { mono_us: NOW.mono_us + ms * 1_000, ..NOW }
    }

    fn shards(interests: &[Interest]) -> Vec<u16> {
        interests.iter().map(|interest| interest.shard.0).collect()
    }

    #[test]
    fn a_shard_is_interested_while_it_has_a_member() {
        let mut home = home();
        let (one, two, other) = (conn(0, 1), conn(0, 2), conn(1, 1));
        for conn in [one, two, two, other] {
            join(&mut home, "a", conn);
        }
        for (leaves, expected) in [(two, &[0, 1][..]), (two, &[0, 1]), (one, &[1]), (one, &[1]), (other, &[])]
        {
            leave(&mut home, "a", leaves);
            assert_eq!(shards(home.interests(&key("a"))), expected);
        }
        assert!(home.is_empty());
        leave(&mut home, "a", one);
    }

    #[test]
    fn a_room_that_vanished_comes_back_in_a_new_epoch() {
        let mut home = home();
        let before = join(&mut home, "a", conn(0, 1));
        leave(&mut home, "a", conn(0, 1));
        assert_ne!(join(&mut home, "a", conn(0, 1)).position.epoch, before.position.epoch);
    }

    #[test]
    fn a_room_joined_over_relay_only_ends_for_want_of_traffic() {
        let mut home = home();
        for room in ["quiet", "busy", "left", "mixed"] {
            home.join(&key(room), joiner(conn(0, 1), true), NOW).unwrap();
        }
        home.join(&key("quiet"), joiner(conn(1, 1), true), later(10_000)).unwrap();
        home.publish(draft("busy"), later(69_000)).unwrap();
        leave(&mut home, "left", conn(0, 1));
        join(&mut home, "mixed", conn(1, 1));
        assert!(home.expire(later(69_000)).is_none());
        assert!(home.due_ms().is_some_and(|due_ms| due_ms <= later(70_000).mono_ms()));
        let (ended, interests) = home.expire(later(71_000)).unwrap();
        assert_eq!((ended, shards(&interests)), (key("quiet"), vec![0, 1]));
        assert!(home.expire(later(71_000)).is_none());
        // What crosses the end finds nothing, or a new room.
        leave(&mut home, "quiet", conn(1, 1));
        assert!(home.interests(&key("quiet")).is_empty());
        assert_eq!(home.expire(later(130_000)).map(|(ended, _)| ended), Some(key("busy")));
        assert_eq!(
            (home.occupied(), home.due_ms()),
            (1, None),
            "a room that JSON has joined is like any other"
        );
    }

    /// With changes that wait to be told: nobody is there to be told of them.
    #[test]
    fn a_room_that_ends_is_not_due_any_more() {
        let mut home = home();
        for slot in 0..1_000 {
            let joiner = Joiner { listens: true, ..joiner(conn(0, slot), true) };
            let user = UserName::parse(&format!("user-{slot}")).unwrap();
            home.join(&key("a"), Joiner { user, ..joiner }, NOW).unwrap();
        }
        assert!(home.due_ms().is_some_and(|due_ms| due_ms < NOW.mono_ms() + 1_000), "changes wait");
        assert_eq!(home.expire(later(61_000)).map(|(ended, _)| ended), Some(key("a")));
        assert_eq!((home.due_ms(), home.tell_due(later(62_000))), (None, None));
    }

    #[test]
    fn only_joins_that_create_a_room_are_limited() {
        let limits = HomeLimits { creates_per_peer_per_min: 2, ephemeral_ttl_ms: 0 };
        let mut home = Home::new(limits, HashSeed::new(1), 7, Arc::new(HistoryConfig::for_tests()));
        let mut join = |room, now| home.join(&key(room), joiner(conn(0, 1), false), now).map(|_| ());
        assert_eq!([join("a", NOW), join("b", NOW), join("a", NOW)], [Ok(()); 3]);
        assert_eq!(join("c", NOW), Err(TooMany { retry_after_ms: 30_000 }));
        assert_eq!([join("b", NOW), join("c", later(30_000))], [Ok(()); 2]);
        assert_eq!(home.occupied(), 3);
    }
}
