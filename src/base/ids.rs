//! Identifiers as types. A connection id carries the generation of its slab slot, so that an id
//! that outlived its connection finds nothing instead of a stranger.

use std::fmt;

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
        format!("{node}{:02x}{:06x}{:08x}", self.shard.0, self.slot, self.generation)
    }
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
