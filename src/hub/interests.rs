//! Which shards have members of one room, and which of them have members who listen for presence events.
//!
//! Invariant: a shard stands here exactly while it has a member, and has no more listeners than members.

use crate::base::ShardId;

/// A shard that has members of a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    pub shard: ShardId,
    members: u32,
    /// Members who get presence events.
    listeners: u32,
}

/// The shards that have members of one room; few.
#[derive(Debug, Default)]
pub(super) struct Interests(Vec<Interest>);

impl Interests {
    /// A member has come to `shard`.
    pub(super) fn add(&mut self, shard: ShardId, listens: bool) {
        let listeners = u32::from(listens);
        match self.0.iter_mut().find(|interest| interest.shard == shard) {
            Some(interest) => {
                interest.members += 1;
                interest.listeners += listeners;
            }
            None => {
                // Most rooms have members on one shard only.
                self.0.reserve_exact(1);
                self.0.push(Interest { shard, members: 1, listeners });
            }
        }
    }

    /// A member of `shard` has gone.
    pub(super) fn remove(&mut self, shard: ShardId, listened: bool) {
        let Some(index) = self.0.iter().position(|interest| interest.shard == shard) else { return };
        let interest = &mut self.0[index];
        interest.members -= 1;
        interest.listeners -= u32::from(listened);
        debug_assert!(interest.listeners <= interest.members);
        if interest.members == 0 {
            self.0.remove(index);
        }
    }

    /// Whether no shard has a member.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The shards with members, when the room has ended.
    pub(super) fn into_vec(self) -> Vec<Interest> {
        self.0
    }

    /// The shards with members.
    pub(super) fn as_slice(&self) -> &[Interest] {
        &self.0
    }

    /// Members who get presence events.
    pub(super) fn listeners(&self) -> u64 {
        self.0.iter().map(|interest| u64::from(interest.listeners)).sum()
    }

    /// The shards that have such members.
    pub(super) fn listening(&self) -> Vec<ShardId> {
        self.0.iter().filter(|interest| interest.listeners > 0).map(|interest| interest.shard).collect()
    }
}
