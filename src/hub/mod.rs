//! Rooms: [`Home`] orders those whose home this shard is, [`Roster`] knows the members on this shard.
//! Knows no frames and no sockets.

mod creates;
mod ephemeral;
mod home;
mod memberships;
mod roster;
#[cfg(test)]
mod roster_tests;

pub use home::{Home, HomeLimits, Interest, Joiner, Joining, Publication, TooMany};
pub use memberships::LocalRoomId;
pub use roster::{Roster, Vacated};
