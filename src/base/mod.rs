//! What every layer shares: ids, names, time as a value, bounds, and a few containers.
//! Owns no policy and knows no message.

pub mod chunked;
pub mod grammar;
pub mod hash;
pub mod ids;
pub mod names;
pub mod network;
pub mod now;
pub mod pattern;
pub mod peer_block;
pub mod prng;
pub mod secret;
pub mod slab;
pub mod sorted;
pub mod wheel;
pub mod wire_bytes;

pub use hash::{HashSeed, Map, map_with_seed};
pub use ids::{ConnId, NodeId, RequestId, RoomId, SHARDS_MAX, SenderId, ShardId, TokenId, TokenMark};
pub use names::{NameError, RoomKey, RoomName, RoomRef, TenantName, UserName};
pub use network::{Network, NoNetwork};
pub use now::Now;
pub use pattern::RoomPattern;
pub use peer_block::PeerBlock;
pub use prng::Prng;
pub use secret::Secret;
pub use slab::Slab;
pub use sorted::Sorted;
pub use wheel::Wheel;
pub use wire_bytes::WireBytes;
