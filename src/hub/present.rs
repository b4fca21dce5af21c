//! One user in one room: over which of his connections he is there, and how he shows himself.
//!
//! There is one for every user of every room, so it is kept small: the first connection stands inside, only a user with
//! several has a list. Invariants: there is at least one connection; a list is in the order of the connections' ids.

use std::slice;

use crate::{
    base::{ConnId, ShardId, UserName},
    model::{Availability, Json, PresenceInfo},
};

/// A connection in the room, as its home knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    slot: u32,
    generation: u32,
    shard: ShardId,
    pub(super) status: Availability,
    /// It gets the room's presence events.
    pub(super) listens: bool,
}

#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a vector of its own would make everybody larger")]
enum Members {
    One(Member),
    More(Box<Vec<Member>>),
}

/// A user who is there.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) user: UserName,
    pub(super) since_ms: u64,
    pub(super) last_seen_ms: u64,
    pub(super) metadata: Option<Box<Json>>,
    members: Members,
}

const _: () = {
    assert!(size_of::<Member>() == 12);
    assert!(size_of::<Present>() == 56, "there is one for each user of each room");
};

impl Member {
    pub(super) fn new(conn: ConnId, status: Availability, listens: bool) -> Self {
        let ConnId { shard, slot, generation } = conn;
        Self { slot, generation, shard, status, listens }
    }

    pub(super) fn conn(&self) -> ConnId {
        ConnId { shard: self.shard, slot: self.slot, generation: self.generation }
    }
}

impl Present {
    /// Comes with his first connection.
    pub(super) fn new(user: UserName, member: Member, metadata: Option<Json>, now_ms: u64) -> Self {
        let metadata = metadata.map(Box::new);
        Self { user, since_ms: now_ms, last_seen_ms: now_ms, metadata, members: Members::One(member) }
    }

    /// Puts a connection in; what it was before, if it was there.
    pub(super) fn put(&mut self, member: Member) -> Option<Member> {
        match self.position(member.conn()) {
            Ok(index) => Some(std::mem::replace(&mut self.members_mut()[index], member)),
            Err(index) => {
                match &mut self.members {
                    Members::One(first) => {
                        let mut members = vec![*first];
                        members.insert(index, member);
                        self.members = Members::More(Box::new(members));
                    }
                    Members::More(members) => members.insert(index, member),
                }
                None
            }
        }
    }

    /// Takes a connection out, unless it is the last: then nothing happens.
    pub(super) fn take_out(&mut self, conn: ConnId) {
        let Ok(index) = self.position(conn) else { return };
        if let Members::More(members) = &mut self.members {
            members.remove(index);
            if let [last] = members[..] {
                self.members = Members::One(last);
            }
        }
    }

    /// The member of that connection.
    pub(super) fn member_mut(&mut self, conn: ConnId) -> Option<&mut Member> {
        let index = self.position(conn).ok()?;
        self.members_mut().get_mut(index)
    }

    /// His connections; one at least.
    pub(super) fn members(&self) -> &[Member] {
        match &self.members {
            Members::One(member) => slice::from_ref(member),
            Members::More(members) => members,
        }
    }

    /// Over all his connections.
    pub(super) fn status(&self) -> Availability {
        self.members().iter().map(|member| member.status).max().unwrap_or(Availability::Offline)
    }

    /// As clients are told.
    pub(super) fn info(&self) -> PresenceInfo {
        PresenceInfo {
            user: self.user.clone(),
            connections: self.members().len() as u32,
            status: self.status(),
            metadata: self.metadata.as_deref().cloned(),
            since_ms: self.since_ms,
            last_seen_ms: self.last_seen_ms,
        }
    }

    fn members_mut(&mut self) -> &mut [Member] {
        match &mut self.members {
            Members::One(member) => slice::from_mut(member),
            Members::More(members) => members,
        }
    }

    fn position(&self, conn: ConnId) -> Result<usize, usize> {
        self.members().binary_search_by_key(&conn, Member::conn)
    }
}
