//! Rooms: [`Home`] orders those whose home this shard is, [`Roster`] knows the members on this shard.
//! Knows no frames and no sockets.

mod home;
mod memberships;
mod roster;
#[cfg(test)]
mod roster_tests;

pub use home::{Home, Interest, Joining, Publication};
pub use memberships::LocalRoomId;
pub use roster::{Roster, Vacated};
