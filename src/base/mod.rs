//! What every layer shares: ids, names, time as a value, bounds, and a few containers.
//! Owns no policy and knows no message.

pub mod ids;
pub mod names;
pub mod now;
pub mod token;
pub mod wire_bytes;

pub use ids::{ConnId, NodeId, RoomId, ShardId};
pub use names::{NameError, RoomKey, RoomName, RoomRef, TenantName, UserName};
pub use now::Now;
pub use token::Token;
pub use wire_bytes::WireBytes;
