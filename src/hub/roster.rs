//! The members on this shard: which connections are in which rooms, both ways. To find a room of a connection costs no
//! more than a few steps, in however many it is.
//!
//! A membership begins as *joining* (the home shard has been asked) and becomes *joined* when the answer comes
//! in the room's stream; only joined members get what the stream carries after it. For what the connection itself
//! may do, its own order counts: from the question to join to the question to leave.
//!
//! Invariant: `rooms[m.room].members[m.index]` names the place of membership `m`, for every joined membership.

use super::{
    memberships::{LocalRoomId, Membership, Memberships, NOT_JOINED},
    standing::Standing,
};
use crate::{
    base::{
        ConnId, RoomId, RoomKey,
        hash::{HashSeed, Map, map_with_seed},
    },
    model::Action,
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
    id: RoomId,
    members: Vec<Member>,
    /// Memberships that have not joined.
    joining: u32,
}

/// A membership that has ended with its connection: the room's home is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gone {
    pub key: RoomKey,
    /// What the room was here, if nobody is left in it.
    pub emptied: Option<LocalRoomId>,
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
            memberships: Memberships::new(hash),
            joined: 0,
        }
    }

    /// Notes that `conn` asks to join, what it may do there, and whether it wants presence events. `false` when it would
    /// be in more than `rooms_max` rooms.
    pub fn ask(
        &mut self,
        conn: ConnId,
        key: &RoomKey,
        listens: bool,
        standing: Standing,
        rooms_max: usize,
    ) -> bool {
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
            membership.listens = listens;
            membership.standing = standing;
            return true;
        }
        let room = room.unwrap_or_else(|| self.new_room(key));
        self.room_mut(room).joining += 1;
        let rooms = &self.rooms;
        self.memberships.add(conn.slot, room, listens, standing, |room| live(rooms, room).id);
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

    /// Notes what `conn` may do from now on in a room that it is in or has asked to join. Without presence it is told no
    /// more who comes and goes.
    pub fn judge(&mut self, conn: ConnId, room: &str, standing: Standing) {
        let Some((place, _)) = self.named(conn, room) else { return };
        let membership = self.memberships.at_mut(place);
        membership.standing = standing;
        membership.listens &= standing.may(Action::Presence);
    }

    /// Notes the same, and changes nothing about who is told what: to be asked anew is not to lose what one has.
    pub fn note(&mut self, conn: ConnId, room: &str, standing: Standing) {
        if let Some((place, _)) = self.named(conn, room) {
            self.memberships.at_mut(place).standing = standing;
        }
    }

    /// What members may do has to be judged anew, for all of them.
    pub fn doubt(&mut self) {
        self.memberships.doubt();
    }

    /// The home answered a join of `conn`, which the caller knows to be alive.
    pub fn joined(&mut self, conn: ConnId, key: &RoomKey) {
        let Some(&id) = self.by_key.get(key) else { return };
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

    /// The home refused a join of `conn`. The room, if nobody is left in it.
    pub fn refused(&mut self, conn: ConnId, key: &RoomKey) -> Option<LocalRoomId> {
        let place = self.place(conn, *self.by_key.get(key)?)?;
        let membership = self.memberships.at_mut(place);
        membership.pending = membership.pending.saturating_sub(1);
        if membership.pending > 0 || membership.index != NOT_JOINED {
            return None;
        }
        let room = membership.room;
        self.forget_membership(conn, place);
        self.forget_if_empty(room)
    }

    /// `conn` is no longer in the room, unless a later join of it is under way. The room, if nobody is left in it.
    pub fn left(&mut self, conn: ConnId, key: &RoomKey) -> Option<LocalRoomId> {
        let place = self.place(conn, *self.by_key.get(key)?)?;
        let membership = *self.memberships.at(place);
        self.leave_members(conn, place);
        if membership.pending > 0 {
            return None;
        }
        self.forget_membership(conn, place);
        self.forget_if_empty(membership.room)
    }

    /// The room has ended at its home: nobody is a member any more, but joins that are under way go on. `ended` is told
    /// those who wanted to be in it. The room, if nobody is left in it.
    pub fn end(&mut self, room: LocalRoomId, mut ended: impl FnMut(ConnId)) -> Option<LocalRoomId> {
        while let Some(&Member { conn, place }) =
            self.rooms.get(room.index()).and_then(Option::as_ref)?.members.last()
        {
            self.leave_members(conn, place);
            let membership = *self.memberships.at(place);
            if membership.wanted {
                ended(conn);
            }
            if membership.pending == 0 {
                self.forget_membership(conn, place);
            }
        }
        self.forget_if_empty(room)
    }

    /// `conn` is gone: it leaves every room, those among them whose joins were not answered. A room of its at a time,
    /// until there is none.
    pub fn gone(&mut self, conn: ConnId) -> Option<Gone> {
        let (place, room) = self.newest(conn)?;
        self.leave_members(conn, place);
        self.forget_membership(conn, place);
        let key = self.room(room).key.clone();
        Some(Gone { key, emptied: self.forget_if_empty(room) })
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

    /// Those of them who get presence events.
    pub fn listeners(&self, room: LocalRoomId) -> impl Iterator<Item = ConnId> + '_ {
        let room = self.rooms.get(room.index()).and_then(Option::as_ref);
        let members = room.map(|room| room.members.as_slice()).unwrap_or_default().iter();
        members.filter(|member| self.memberships.at(member.place).listens).map(|member| member.conn)
    }

    /// The key of the room of this name that `conn` is in or has asked to join, and has not asked to leave since.
    /// With what it may do there.
    pub fn find(&self, conn: ConnId, room: &str) -> Option<(&RoomKey, Standing)> {
        let (_, membership) = self.named(conn, room)?;
        Some((&self.room(membership.room).key, membership.standing))
    }

    /// Whether `conn` is to get presence events of a room of this name.
    pub fn listens(&self, conn: ConnId, room: &str) -> bool {
        self.named(conn, room).is_some_and(|(_, membership)| membership.listens)
    }

    /// What [`Self::find`] finds, by the room's id. Of two rooms with one id it is either.
    pub fn find_id(&self, conn: ConnId, id: RoomId) -> Option<(&RoomKey, Standing)> {
        let is_it = |membership: &Membership| membership.wanted && self.room(membership.room).id == id;
        let (_, membership) = self.memberships.find(conn.slot, |_| id, is_it)?;
        Some((&self.room(membership.room).key, membership.standing))
    }

    /// The keys of the rooms that `conn` has joined and has not asked to leave.
    pub fn rooms_of(&self, conn: ConnId) -> impl Iterator<Item = &RoomKey> + '_ {
        let joined = self.wanted(conn).filter(|(_, membership)| membership.index != NOT_JOINED);
        joined.map(|(_, membership)| &self.room(membership.room).key)
    }

    /// The same rooms and those that it has asked to join, with what it may do there.
    pub fn standings(&self, conn: ConnId) -> impl Iterator<Item = (&RoomKey, Standing)> + '_ {
        let wanted = self.wanted(conn);
        wanted.map(|(_, membership)| (&self.room(membership.room).key, membership.standing))
    }

    /// The keys of the rooms that `conn` is in or has asked to join, and has not asked to leave since.
    pub fn rooms_asked(&self, conn: ConnId) -> impl Iterator<Item = &RoomKey> + '_ {
        self.wanted(conn).map(|(_, membership)| &self.room(membership.room).key)
    }

    /// Rooms with their numbers of members here.
    pub fn sizes(&self) -> impl Iterator<Item = (&RoomKey, usize)> + '_ {
        self.rooms.iter().flatten().map(|room| (&room.key, room.members.len()))
    }

    /// Joined memberships on this shard.
    pub fn subscriptions(&self) -> usize {
        self.joined
    }

    /// Compares names, so that a message costs no allocation. A connection has one tenant.
    fn named(&self, conn: ConnId, room: &str) -> Option<(u32, &Membership)> {
        let id = |other: &Membership| RoomId::of(&self.room(other.room).key.tenant, room);
        let is_it = |it: &Membership| it.wanted && self.room(it.room).key.room.as_str() == room;
        self.memberships.find(conn.slot, id, is_it)
    }

    fn newest(&self, conn: ConnId) -> Option<(u32, LocalRoomId)> {
        self.memberships.of(conn.slot).next().map(|(place, membership)| (place, membership.room))
    }

    fn wanted(&self, conn: ConnId) -> impl Iterator<Item = (u32, &Membership)> {
        self.memberships.of(conn.slot).filter(|(_, membership)| membership.wanted)
    }

    fn new_room(&mut self, key: &RoomKey) -> LocalRoomId {
        let room = Room { key: key.clone(), id: key.id(), members: Vec::new(), joining: 0 };
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
        let id = self.room(self.memberships.at(place).room).id;
        let membership = self.memberships.remove(conn.slot, place, id);
        debug_assert_eq!(membership.index, NOT_JOINED);
        self.room_mut(membership.room).joining -= 1;
    }

    fn forget_if_empty(&mut self, id: LocalRoomId) -> Option<LocalRoomId> {
        let slot = self.rooms.get_mut(id.0 as usize)?;
        let room = slot.as_ref()?;
        if room.joining > 0 || !room.members.is_empty() {
            return None;
        }
        self.by_key.remove(&room.key);
        *slot = None;
        self.free.push(id.0);
        Some(id)
    }

    fn room_mut(&mut self, id: LocalRoomId) -> &mut Room {
        self.rooms[id.0 as usize].as_mut().expect("ids in memberships and by_key name live rooms")
    }

    fn room(&self, id: LocalRoomId) -> &Room {
        live(&self.rooms, id)
    }

    fn place(&self, conn: ConnId, room: LocalRoomId) -> Option<u32> {
        let is_it = |membership: &Membership| membership.room == room;
        self.memberships.find(conn.slot, |_| self.room(room).id, is_it).map(|(place, _)| place)
    }
}

fn live(rooms: &[Option<Room>], id: LocalRoomId) -> &Room {
    rooms[id.index()].as_ref().expect("ids in memberships and by_key name live rooms")
}
