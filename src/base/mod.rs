//! What every layer shares: ids, names, time as a value, bounds, strict JSON, and a few containers.
//! Owns no policy and knows no message.

pub mod breaker;
pub mod chunked;
pub mod grammar;
pub mod hash;
pub mod ids;
pub mod json;
pub mod names;
pub mod network;
pub mod now;
pub mod pattern;
pub mod payer;
pub mod peer_block;
pub mod prng;
pub mod rate;
pub mod recent;
pub mod secret;
pub mod shares;
pub mod slab;
pub mod sorted;
pub mod wheel;
pub mod wire_bytes;

pub use breaker::{Breaker, BreakerLimits};
pub use hash::{HashSeed, Map, map_with_seed};
pub use ids::{ConnId, NodeId, RequestId, RoomId, SHARDS_MAX, SenderId, ShardId, TokenId, TokenMark};
pub use names::{NameError, RoomKey, RoomName, RoomRef, TenantName, UserName};
pub use network::{Network, NoNetwork};
pub use now::Now;
pub use pattern::RoomPattern;
pub use payer::Payer;
pub use peer_block::PeerBlock;
pub use prng::Prng;
pub use rate::{Rate, recall_ms};
pub use recent::Recent;
pub use secret::Secret;
pub use shares::{NoPlace, ShareLimits, Shares};
pub use slab::Slab;
pub use sorted::Sorted;
pub use wheel::Wheel;
pub use wire_bytes::WireBytes;
