//! One user in one room: over which of his connections he is there, and how he shows himself.
//!
//! There is one for every user of every room, so it is kept small.

use super::members::{Member, Members};
use crate::{
    base::UserName,
    model::{Availability, Json, PresenceInfo},
};

/// A user who is there.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) user: UserName,
    pub(super) since_ms: u64,
    pub(super) last_seen_ms: u64,
    pub(super) metadata: Option<Box<Json>>,
    pub(super) members: Members,
}

const _: () = assert!(size_of::<Present>() == 56, "there is one for each user of each room");

impl Present {
    /// Comes with his first connection.
    pub(super) fn new(user: UserName, member: Member, metadata: Option<Json>, now_ms: u64) -> Self {
        let metadata = metadata.map(Box::new);
        Self { user, since_ms: now_ms, last_seen_ms: now_ms, metadata, members: Members::new(member) }
    }

    /// Over all his connections.
    pub(super) fn status(&self) -> Availability {
        self.members.status()
    }

    /// As clients are told.
    pub(super) fn info(&self) -> PresenceInfo {
        PresenceInfo {
            user: self.user.clone(),
            connections: self.members.len() as u32,
            status: self.status(),
            metadata: self.metadata.as_deref().cloned(),
            since_ms: self.since_ms,
            last_seen_ms: self.last_seen_ms,
        }
    }
}
