//! What an operation or a watch was for, in the 64 bits that the kernel hands back: kind, slot, generation.
//! Invariant: the whole generation travels along, so that a report for an earlier owner of a slot finds nobody.

use crate::{base::ConnId, http::route::Door};

const GENERATION_BITS: u32 = 32;
const SLOT_BITS: u32 = 28;
const KIND_BITS: u32 = 4;
const _: () = assert!(GENERATION_BITS + SLOT_BITS + KIND_BITS == u64::BITS);

/// Slots that a shard's reactor can address.
pub const SLOTS_MAX: u32 = 1 << SLOT_BITS;

/// What was waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Bytes or the end of a connection.
    Receive,
    /// Something to receive from a connection that is polled (uring only).
    Readable,
    /// Room in a connection's send buffer.
    Writable,
    /// Connections to accept.
    Listener,
    /// The shard's bell.
    Bell,
    /// The end of a long wait.
    Alarm,
    /// Nothing: the report of a cancellation itself.
    Cancel,
}

/// A kind and, for those of a connection, its slot and generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl Token {
    pub(super) const BELL: Self = Self { kind: Kind::Bell, slot: 0, generation: 0 };
    pub(super) const ALARM: Self = Self { kind: Kind::Alarm, slot: 0, generation: 0 };
    pub(super) const CANCEL: Self = Self { kind: Kind::Cancel, slot: 0, generation: 0 };

    /// For the listener of a door, whose number stands in the place of a slot.
    pub(super) fn listener(door: Door) -> Self {
        let slot = match door {
            Door::Public => 0,
            Door::Admin => 1,
        };
        Self { kind: Kind::Listener, slot, generation: 0 }
    }

    /// The door of a listener's token.
    pub(super) fn door(self) -> Door {
        if self.slot == 0 { Door::Public } else { Door::Admin }
    }

    pub(super) fn of(conn: ConnId, kind: Kind) -> Self {
        Self { kind, slot: conn.slot, generation: conn.generation }
    }

    pub(super) fn pack(self) -> u64 {
        debug_assert!(self.slot < SLOTS_MAX);
        let kind: u64 = match self.kind {
            Kind::Receive => 0,
            Kind::Writable => 1,
            Kind::Listener => 2,
            Kind::Bell => 3,
            Kind::Cancel => 4,
            Kind::Readable => 5,
            Kind::Alarm => 6,
        };
        kind << (SLOT_BITS + GENERATION_BITS)
            | u64::from(self.slot) << GENERATION_BITS
            | u64::from(self.generation)
    }

    /// Undoes [`Token::pack`]. A kind that was never packed reads as [`Kind::Cancel`], which asks for nothing.
    pub(super) fn unpack(bits: u64) -> Self {
        let kind = match bits >> (SLOT_BITS + GENERATION_BITS) {
            0 => Kind::Receive,
            1 => Kind::Writable,
            2 => Kind::Listener,
            3 => Kind::Bell,
            5 => Kind::Readable,
            6 => Kind::Alarm,
            _ => Kind::Cancel,
        };
        #[expect(clippy::cast_possible_truncation, reason = "the masks leave 28 and 32 bits")]
        let (slot, generation) = ((bits >> GENERATION_BITS) as u32 & (SLOTS_MAX - 1), bits as u32);
        Self { kind, slot, generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_everything() {
        let kinds = [
            Kind::Receive,
            Kind::Readable,
            Kind::Writable,
            Kind::Listener,
            Kind::Bell,
            Kind::Alarm,
            Kind::Cancel,
        ];
        for kind in kinds {
            for slot in [0, 1, SLOTS_MAX - 1] {
                for generation in [0, 1, u32::MAX] {
                    let token = Token { kind, slot, generation };
                    assert_eq!(Token::unpack(token.pack()), token);
                }
            }
        }
    }
}
