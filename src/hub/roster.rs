//! The members on this shard: which connections are in which rooms, both ways, in constant time per join,
//! leave and lookup.
//!
//! A membership begins as *joining* (the home shard has been asked) and becomes *joined* when the answer comes
//! in the room's stream; only joined members get what the stream carries after it. For what the connection itself
//! may do, its own order counts: from the question to join to the question to leave.
//!
//! Invariant: `rooms[m.room].members[m.index]` names the place of membership `m`, for every joined membership.

use super::memberships::{LocalRoomId, Membership, Memberships, NOT_JOINED};
use crate::base::{
    ConnId, RoomKey,
    hash::{HashSeed, Map, map_with_seed},
};

#[derive(Clone, Copy, Debug)]
struct Member {
    conn: ConnId,
    /// Its membership's.
    place: u32,
}

#[derive(Debug)]
struct Room {
    key: RoomKey,
    members: Vec<Member>,
    /// Memberships that have not joined.
    joining: u32,
    /// Answered joins, as the home counts them.
    joins_seen: u32,
}

/// A room that has no member left here: its home is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vacated {
    pub key: RoomKey,
    pub joins: u32,
    /// What the room was here, if it was anything.
    pub room: Option<LocalRoomId>,
}

/// All members of one shard.
#[derive(Debug)]
pub struct Roster {
    rooms: Vec<Option<Room>>,
    free: Vec<u32>,
    by_key: Map<RoomKey, LocalRoomId>,
    /// Those of a slot belong to the connection that has it now.
    memberships: Memberships,
    joined: usize,
}

impl Roster {
    /// Nobody anywhere.
    pub fn new(hash: HashSeed) -> Self {
        Self {
            rooms: Vec::new(),
            free: Vec::new(),
            by_key: map_with_seed(hash),
            memberships: Memberships::new(),
            joined: 0,
        }
    }

    /// Notes that `conn` asks to join. `false` when it would be in more than `rooms_max` rooms.
    pub fn ask(&mut self, conn: ConnId, key: &RoomKey, rooms_max: usize) -> bool {
        let room = self.by_key.get(key).copied();
        let place = room.and_then(|room| self.place(conn, room));
        let is_new = place.is_none_or(|place| !self.memberships.at(place).wanted);
        if is_new && self.wanted(conn).count() >= rooms_max {
            return false;
        }
        if let Some(place) = place {
            let membership = self.memberships.at_mut(place);
            membership.pending += 1;
            membership.wanted = true;
            return true;
        }
        let room = room.unwrap_or_else(|| self.new_room(key));
        self.room_mut(room).joining += 1;
        self.memberships.add(conn.slot, room);
        true
    }

    /// Notes that `conn` asks to leave. The room's key, or `None` when it is not in a room of this name.
    pub fn ask_leave(&mut self, conn: ConnId, room: &str) -> Option<&RoomKey> {
        let (place, _) = self.named(conn, room)?;
        let membership = self.memberships.at_mut(place);
        membership.wanted = false;
        let room = membership.room;
        Some(&self.room(room).key)
    }

    /// The home answered a join of `conn` with its count `joins`. The caller knows that `conn` is alive; if the
    /// membership is gone (it was given up meanwhile), the room may be vacated by that.
    pub fn joined(&mut self, conn: ConnId, key: &RoomKey, joins: u32) {
        let Some(&id) = self.by_key.get(key) else { return };
        self.room_mut(id).joins_seen = joins;
        let Some(place) = self.place(conn, id) else { return };
        let membership = self.memberships.at_mut(place);
        membership.pending = membership.pending.saturating_sub(1);
        if membership.index != NOT_JOINED {
            return;
        }
        let room = self.rooms[id.0 as usize].as_mut().expect("by_key names live rooms");
        membership.index = room.members.len() as u32;
        room.members.push(Member { conn, place });
        room.joining -= 1;
        self.joined += 1;
    }

    /// The home answered a join of a connection that is gone.
    pub fn joined_nobody(&mut self, key: &RoomKey, joins: u32) -> Option<Vacated> {
        match self.by_key.get(key) {
            Some(&id) => {
                self.room_mut(id).joins_seen = joins;
                self.vacate_if_empty(id)
            }
            None => Some(Vacated { key: key.clone(), joins, room: None }),
        }
    }

    /// `conn` is no longer in the room, unless a later join of it is under way.
    pub fn left(&mut self, conn: ConnId, key: &RoomKey) -> Option<Vacated> {
        let place = self.place(conn, *self.by_key.get(key)?)?;
        let membership = *self.memberships.at(place);
        self.leave_members(conn, place);
        if membership.pending > 0 {
            return None;
        }
        self.forget_membership(conn, place);
        self.vacate_if_empty(membership.room)
    }

    /// `conn` is gone: it leaves every room. `vacated` is told the rooms that have no member left.
    pub fn gone(&mut self, conn: ConnId, mut vacated: impl FnMut(Vacated)) {
        while let Some((place, room)) = self.newest(conn) {
            self.leave_members(conn, place);
            self.forget_membership(conn, place);
            if let Some(room) = self.vacate_if_empty(room) {
                vacated(room);
            }
        }
    }

    /// What a room is on this shard; `None` when nobody here is in it or has asked to join.
    pub fn local(&self, key: &RoomKey) -> Option<LocalRoomId> {
        self.by_key.get(key).copied()
    }

    /// The members of a room, in no promised order.
    pub fn members(&self, room: LocalRoomId) -> impl Iterator<Item = ConnId> + '_ {
        let room = self.rooms.get(room.index()).and_then(Option::as_ref);
        room.map(|room| room.members.as_slice()).unwrap_or_default().iter().map(|member| member.conn)
    }

    /// The key of the room of this name that `conn` is in or has asked to join, and has not asked to leave since.
    pub fn find(&self, conn: ConnId, room: &str) -> Option<&RoomKey> {
        self.named(conn, room).map(|(_, key)| key)
    }

    /// The keys of the rooms that `conn` has joined and has not asked to leave.
    pub fn rooms_of(&self, conn: ConnId) -> impl Iterator<Item = &RoomKey> + '_ {
        let joined = self.wanted(conn).filter(|(_, membership)| membership.index != NOT_JOINED);
        joined.map(|(_, membership)| &self.room(membership.room).key)
    }

    /// Rooms with their numbers of members here.
    pub fn sizes(&self) -> impl Iterator<Item = (&RoomKey, usize)> + '_ {
        self.rooms.iter().flatten().map(|room| (&room.key, room.members.len()))
    }

    /// Joined memberships on this shard.
    pub fn subscriptions(&self) -> usize {
        self.joined
    }

    /// Compares names, so that a message costs no allocation: a connection is in few rooms.
    fn named(&self, conn: ConnId, room: &str) -> Option<(u32, &RoomKey)> {
        let keys = self.wanted(conn).map(|(place, membership)| (place, &self.room(membership.room).key));
        keys.into_iter().find(|(_, key)| key.room.as_str() == room)
    }

    fn newest(&self, conn: ConnId) -> Option<(u32, LocalRoomId)> {
        self.memberships.of(conn.slot).next().map(|(place, membership)| (place, membership.room))
    }

    fn wanted(&self, conn: ConnId) -> impl Iterator<Item = (u32, &Membership)> {
        self.memberships.of(conn.slot).filter(|(_, membership)| membership.wanted)
    }

    fn new_room(&mut self, key: &RoomKey) -> LocalRoomId {
        let room = Room { key: key.clone(), members: Vec::new(), joining: 0, joins_seen: 0 };
        let id = match self.free.pop() {
            Some(slot) => {
                self.rooms[slot as usize] = Some(room);
                LocalRoomId(slot)
            }
            None => {
                self.rooms.push(Some(room));
                LocalRoomId((self.rooms.len() - 1) as u32)
            }
        };
        self.by_key.insert(key.clone(), id);
        id
    }

    /// Takes the membership out of its room's members, if it stands there; it counts as joining then.
    fn leave_members(&mut self, conn: ConnId, place: u32) {
        let membership = self.memberships.at_mut(place);
        if membership.index == NOT_JOINED {
            return;
        }
        let index = std::mem::replace(&mut membership.index, NOT_JOINED);
        let room = self.rooms[membership.room.0 as usize].as_mut().expect("memberships keep rooms alive");
        debug_assert_eq!(room.members[index as usize].conn, conn);
        room.members.swap_remove(index as usize);
        room.joining += 1;
        self.joined -= 1;
        if let Some(&moved) = room.members.get(index as usize) {
            self.memberships.at_mut(moved.place).index = index;
        }
    }

    /// Drops a membership that stands in no member list.
    fn forget_membership(&mut self, conn: ConnId, place: u32) {
        let membership = self.memberships.remove(conn.slot, place);
        debug_assert_eq!(membership.index, NOT_JOINED);
        self.room_mut(membership.room).joining -= 1;
    }

    fn vacate_if_empty(&mut self, id: LocalRoomId) -> Option<Vacated> {
        let slot = self.rooms.get_mut(id.0 as usize)?;
        let room = slot.as_ref()?;
        if room.joining > 0 || !room.members.is_empty() {
            return None;
        }
        let room = slot.take()?;
        self.free.push(id.0);
        self.by_key.remove(&room.key);
        Some(Vacated { key: room.key, joins: room.joins_seen, room: Some(id) })
    }

    fn room_mut(&mut self, id: LocalRoomId) -> &mut Room {
        self.rooms[id.0 as usize].as_mut().expect("ids in memberships and by_key name live rooms")
    }

    fn room(&self, id: LocalRoomId) -> &Room {
        self.rooms[id.0 as usize].as_ref().expect("ids in memberships and by_key name live rooms")
    }

    fn place(&self, conn: ConnId, room: LocalRoomId) -> Option<u32> {
        self.memberships.of(conn.slot).find(|(_, membership)| membership.room == room).map(|(place, _)| place)
    }
}
