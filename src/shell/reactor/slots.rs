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
    /// The peer has ended its side: nothing more is received.
    pub(super) ended: bool,
    /// Nothing more is to be received for now.
    pub(super) paused: bool,
    /// How the kernel looks out for what the peer sends (uring only).
    pub(super) lookout: Lookout,
    /// Receives since [`Slots::sweep`] came by, or so many that it does not matter (uring only).
    pub(super) words: u8,
}

/// What is in flight for a connection whose peer has not ended its side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lookout {
    /// A poll that reports once. It takes a third of the memory of a receive.
    Poll,
    /// A receive that goes on.
    Receive,
    /// The same, and its cancellation behind it.
    Cancelled,
    /// Nothing: the connection is paused.
    Idle,
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
    /// Where the next sweep begins.
    hand: usize,
}

impl Slots {
    pub(super) fn new(shard: ShardId) -> Self {
        Self { shard, table: Vec::new(), hand: 0 }
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
        let slot = Slot {
            socket,
            generation,
            write_armed: false,
            ended: false,
            paused: false,
            lookout: Lookout::Poll,
            words: 0,
        };
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

    /// Looks at the next `visits` slots for receives that nothing has come from since the last look, and shows up to
    /// `finds_max` of them to `found`. Returns how many slots it has looked at.
    pub(super) fn sweep(
        &mut self,
        visits: usize,
        finds_max: usize,
        mut found: impl FnMut(ConnId, &mut Slot),
    ) -> usize {
        let mut finds = 0;
        for visited in 0..visits.min(self.table.len()) {
            if finds == finds_max {
                return visited;
            }
            self.hand = if self.hand + 1 < self.table.len() { self.hand + 1 } else { 0 };
            let Some(slot) = &mut self.table[self.hand] else { continue };
            let words = std::mem::take(&mut slot.words);
            if words == 0 && slot.lookout == Lookout::Receive && !slot.ended {
                let number = u32::try_from(self.hand).unwrap_or(u32::MAX);
                found(ConnId { shard: self.shard, slot: number, generation: slot.generation }, slot);
                finds += 1;
            }
        }
        visits
    }

    /// How many slots there are, in use or not.
    pub(super) fn len(&self) -> usize {
        self.table.len()
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

    #[test]
    fn a_sweep_finds_receives_that_were_quiet_since_the_last() {
        let mut slots = Slots::new(ShardId(1));
        let swept = |slots: &mut Slots, visits, finds_max| {
            let mut found = Vec::new();
            let visited = slots.sweep(visits, finds_max, |conn, slot| {
                slot.lookout = Lookout::Cancelled;
                found.push(conn.slot);
            });
            (visited, found)
        };
        assert_eq!(swept(&mut slots, 9, 9), (9, vec![]));
        let conn = |slot| ConnId { shard: ShardId(1), slot, generation: 0 };
        for number in 0..6 {
            let slot = slots.insert(conn(number), sys::eventfd().unwrap()).unwrap();
            (slot.lookout, slot.words) = (Lookout::Receive, 1);
        }
        slots.get(conn(1)).unwrap().ended = true;
        assert_eq!(swept(&mut slots, 6, 9), (6, vec![]), "nobody was looked at before");
        slots.get(conn(2)).unwrap().words = 1;
        slots.remove(conn(3));
        assert_eq!(swept(&mut slots, 6, 2), (5, vec![4, 5]), "the hand went on from slot 0");
        assert_eq!(swept(&mut slots, 6, 9), (6, vec![0, 2]));
        slots.get(conn(4)).unwrap().lookout = Lookout::Poll;
        assert_eq!(swept(&mut slots, 6, 9), (6, vec![]));
    }
}
