//! Identifiers as types. A connection id carries the generation of its slab slot, so that an id
//! that outlived its connection finds nothing instead of a stranger.

use std::fmt;

use super::{hash::fnv1a, prng};

/// The most shards that a node may have: a connection's public id has two hexadecimal digits for its shard.
pub const SHARDS_MAX: u16 = 256;

/// One shard of this node: a pinned thread with its runtime and engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard's place in a table of all shards.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One gateway process; drawn at random when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// One connection of this node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnId {
    /// The shard that owns the connection.
    pub shard: ShardId,
    /// Its slot in that shard's slab.
    pub slot: u32,
    /// How often the slot had been given out before.
    pub generation: u32,
}

impl ConnId {
    /// The id as clients see it: unique over nodes and restarts, 24 hexadecimal digits.
    pub fn public(self, node: NodeId) -> String {
        public(node, self.shard, self.slot, self.generation)
    }

    /// What [`Self::public`] was made from; `None` for any other text.
    pub fn from_public(text: &str) -> Option<(NodeId, Self)> {
        let (node, shard, slot, generation) = from_public(text)?;
        Some((node, Self { shard, slot, generation }))
    }
}

/// One request that waits for its answer, by its place in the table of the shard where it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RequestId {
    /// The shard of the connection that asked.
    pub shard: ShardId,
    pub slot: u32,
    /// How often the slot had been given out before.
    pub generation: u32,
}

impl RequestId {
    /// The least and the greatest in the order of ids.
    pub const ENDS: [Self; 2] = [
        Self { shard: ShardId(0), slot: 0, generation: 0 },
        Self { shard: ShardId(u16::MAX), slot: u32::MAX, generation: u32::MAX },
    ];

    /// The correlation id that clients see: unique over nodes and restarts, 24 hexadecimal digits.
    pub fn public(self, node: NodeId) -> String {
        public(node, self.shard, self.slot, self.generation)
    }

    /// What [`Self::public`] was made from; `None` for any other text.
    pub fn from_public(text: &str) -> Option<(NodeId, Self)> {
        let (node, shard, slot, generation) = from_public(text)?;
        Some((node, Self { shard, slot, generation }))
    }
}

fn public(node: NodeId, shard: ShardId, slot: u32, generation: u32) -> String {
    let mut text = String::with_capacity(24);
    put_hex(&mut text, node.0, 8);
    put_hex(&mut text, u32::from(shard.0), 2);
    put_hex(&mut text, slot, 6);
    put_hex(&mut text, generation, 8);
    text
}

fn from_public(text: &str) -> Option<(NodeId, ShardId, u32, u32)> {
    let number = |digits: Option<&str>| u32::from_str_radix(digits?, 16).ok();
    let slot_end = text.len().checked_sub(8)?;
    let node = NodeId(number(text.get(..8))?);
    let shard = ShardId(number(text.get(8..10))? as u16);
    let (slot, generation) = (number(text.get(10..slot_end))?, number(text.get(slot_end..))?);
    // Anything else than what was given out, such as capitals, is nobody's name.
    (public(node, shard, slot, generation) == text).then_some((node, shard, slot, generation))
}

/// Who sent a publication, as relay v1 names it: the connection, in eight bytes that mean nothing but that they are
/// another connection's or the same's. Whoever is told a connection's public id can tell its sender id: the last eight
/// of its twelve bytes, the last four of them XORed with the first four, which are the node's. Zero stands for
/// the backend, which has no connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SenderId(u64);

impl SenderId {
    /// What the backend sends comes from no connection.
    pub const BACKEND: Self = Self(0);

    /// The id of a connection of `node`. Two connections of one node that are open at once differ, as long as a shard
    /// has fewer than 2^24; those of two nodes almost always, as nodes are drawn at random.
    pub fn of(conn: ConnId, node: NodeId) -> Self {
        let place = u64::from(conn.shard.0 & 0xff) << 24 | u64::from(conn.slot & 0xff_ffff);
        Self(place << 32 | u64::from(conn.generation ^ node.0))
    }

    /// The bytes on the wire.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// Appends a number in so many hexadecimal digits, or more if it has more. Every new connection passes here.
fn put_hex(text: &mut String, number: u32, digits: u32) {
    let digits = digits.max((u32::BITS - number.leading_zeros()).div_ceil(4));
    let digit = |place: u32| char::from_digit(number >> (place * 4) & 0xf, 16);
    text.extend((0..digits).rev().filter_map(digit));
}

/// A token by its `jti`: 64 bits of a hash. Whoever issues tokens chooses the names, and he has no reason to make two the
/// same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenId(u64);

impl TokenId {
    /// Of a token without `jti`.
    pub const NONE: Self = Self(0);

    /// Of a token with this `jti`.
    pub fn of(jti: &str) -> Self {
        // Zero stands for none.
        Self(prng::mix(fnv1a(jti.bytes())).max(1))
    }

    /// What a connection keeps of it.
    pub fn mark(self) -> TokenMark {
        if self == Self::NONE {
            return TokenMark::NONE;
        }
        let upper = (self.0 >> 32) as u32;
        TokenMark(upper.max(1).to_be_bytes())
    }
}

/// What a connection keeps of its token's id: half of it, since there is one per connection. Among 100,000
/// connections, one in 43,000 other tokens has a namesake: enough to end connections by, not to grant anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenMark([u8; 4]);

impl TokenMark {
    /// Of a token without `jti`.
    pub const NONE: Self = Self([0; 4]);
}

/// A room's 64-bit id on the wire: a hash of (tenant, room), the same on every node.
/// It addresses a room only among those that a connection has joined; the hub compares whole keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RoomId(pub u64);

impl fmt::Display for RoomId {
    /// Decimal: JSON carries it as a string, since JavaScript numbers end at 2^53.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_ids_tell_tokens_apart() {
        let ids = ["", "a", "b", "7f3c"].map(TokenId::of);
        for (place, id) in ids.iter().enumerate() {
            assert!(*id != TokenId::NONE && ids[..place].iter().all(|other| other != id));
            assert!(
                id.mark() != TokenMark::NONE && ids[..place].iter().all(|other| other.mark() != id.mark())
            );
        }
        assert_eq!(TokenId::of("7f3c"), ids[3]);
        assert_eq!(TokenId::NONE.mark(), TokenMark::NONE);
    }

    #[test]
    fn public_ids_are_what_formatting_makes_of_them() {
        for (node, shard, slot, generation) in [
            (0, 0, 0, 0),
            (0x0123_abcd, 0x1f, 0x00_00ff, 7),
            (u32::MAX, 255, 0xff_ffff, u32::MAX),
            (1, 2, 0x0fff_ffff, 3),
        ] {
            let id = ConnId { shard: ShardId(shard), slot, generation };
            let expected = format!("{node:08x}{shard:02x}{slot:06x}{generation:08x}");
            assert_eq!(id.public(NodeId(node)), expected);
            assert_eq!(ConnId::from_public(&expected), Some((NodeId(node), id)));
            let id = RequestId { shard: ShardId(shard), slot, generation };
            assert_eq!(id.public(NodeId(node)), expected);
            assert_eq!(RequestId::from_public(&expected), Some((NodeId(node), id)));
        }
    }

    #[test]
    fn what_was_not_given_out_is_no_id() {
        let id = ConnId { shard: ShardId(2), slot: 10, generation: 3 }.public(NodeId(0xabcd));
        assert_eq!(id, "0000abcd0200000a00000003");
        let spoilt = [
            "",
            "7",
            "0000abcd0200000a0000003",
            "0000abcd0200000a000000033",
            "0000abcd02000000a00000003",
            "0000ABCD0200000A00000003",
            "0000abcd02+0000a00000003",
            "0000abcd0200000a0000000g",
            "0000abcd0200000a000000é",
            "0000abcd02fffffffff00000003",
        ];
        for text in spoilt {
            assert_eq!(ConnId::from_public(text), None, "{text}");
        }
    }
    #[test]
    fn a_sender_id_follows_from_the_public_id() {
        let node = NodeId(0x9abc_def0);
        for (shard, slot, generation) in
            [(0, 0, 0), (1, 2, 3), (255, 0xff_ffff, u32::MAX), (7, 0x01_0203, 42)]
        {
            let conn = ConnId { shard: ShardId(shard), slot, generation };
            let public = conn.public(node);
            let bytes: Vec<u8> =
                (0..12).map(|at| u8::from_str_radix(&public[2 * at..2 * at + 2], 16).unwrap()).collect();
            let mut expected = bytes[4..].to_vec();
            (0..4).for_each(|at| expected[4 + at] ^= bytes[at]);
            assert_eq!(SenderId::of(conn, node).to_bytes(), *expected, "{public}");
            assert_ne!(SenderId::of(conn, node), SenderId::BACKEND);
        }
    }
}
