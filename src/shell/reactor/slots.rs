//! The table of client sockets, by the slot that the engine gave each connection.
//! Owns the descriptors. Invariant: a slot answers only to the generation that it was filled with.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::token::{SLOTS_MAX, Token};
use crate::base::{ConnId, ShardId};

/// One client socket.
#[derive(Debug)]
pub(super) struct Slot {
    socket: OwnedFd,
    generation: u32,
    /// The reactor waits for room in the send buffer.
    pub(super) write_armed: bool,
    /// The write side is shut; what still arrives is thrown away.
    pub(super) discarding: bool,
    /// The peer has ended its side: nothing more is received.
    pub(super) ended: bool,
}

const _: () = assert!(size_of::<Option<Slot>>() <= 16);

impl AsFd for Slot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Slot {
    /// The descriptor, to be closed by dropping it.
    pub(super) fn into_socket(self) -> OwnedFd {
        self.socket
    }
}

/// All client sockets of a shard.
#[derive(Debug)]
pub(super) struct Slots {
    shard: ShardId,
    table: Vec<Option<Slot>>,
}

impl Slots {
    pub(super) fn new(shard: ShardId) -> Self {
        Self { shard, table: Vec::new() }
    }

    /// Fills a slot; gives the socket back if the id is not one of this shard's or its slot is in use.
    pub(super) fn insert(&mut self, conn: ConnId, socket: OwnedFd) -> Result<&mut Slot, OwnedFd> {
        let index = index(conn.slot);
        if conn.shard != self.shard || conn.slot >= SLOTS_MAX {
            return Err(socket);
        }
        if index >= self.table.len() {
            self.table.resize_with(index + 1, || None);
        }
        if self.table[index].is_some() {
            return Err(socket);
        }
        let generation = conn.generation;
        let slot = Slot { socket, generation, write_armed: false, discarding: false, ended: false };
        Ok(self.table[index].insert(slot))
    }

    /// Empties a slot; `None` if the id is stale.
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Slot> {
        self.get(conn)?;
        self.table[index(conn.slot)].take()
    }

    /// The connection's slot; `None` if the id is stale.
    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.table.get_mut(index(conn.slot))?.as_mut()?;
        (slot.generation == conn.generation).then_some(slot)
    }

    /// The connection that a kernel report is about, if it still exists.
    pub(super) fn find(&mut self, token: Token) -> Option<(ConnId, &mut Slot)> {
        let conn = ConnId { shard: self.shard, slot: token.slot, generation: token.generation };
        Some((conn, self.get(conn)?))
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{super::token::Kind, *};
    use crate::shell::reactor::sys;

    #[test]
    fn a_slot_answers_to_its_own_generation_only() {
        let conn = |slot, generation| ConnId { shard: ShardId(1), slot, generation };
        let mut slots = Slots::new(ShardId(1));
        let socket = || sys::eventfd().unwrap();
        slots.insert(conn(3, 7), socket()).unwrap();
        assert!(slots.insert(conn(3, 8), socket()).is_err(), "in use");
        assert!(slots.insert(ConnId { shard: ShardId(0), slot: 4, generation: 0 }, socket()).is_err());
        assert!(slots.insert(conn(SLOTS_MAX, 0), socket()).is_err());
        for stale in [conn(3, 6), conn(3, 8), conn(2, 7), conn(9, 7)] {
            assert!(slots.get(stale).is_none() && slots.remove(stale).is_none());
        }
        assert_eq!(slots.find(Token::of(conn(3, 7), Kind::Receive)).unwrap().0, conn(3, 7));
        assert!(slots.remove(conn(3, 7)).is_some());
        slots.insert(conn(3, 8), socket()).unwrap();
        assert!(slots.find(Token::of(conn(3, 7), Kind::Receive)).is_none());
    }
}
