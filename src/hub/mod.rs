//! Rooms: [`Home`] orders those whose home this shard is, [`Roster`] knows the members on this shard. Users:
//! [`Directory`] knows their connections here. Knows no frames and no sockets.

mod directory;
mod home;
mod memberships;
mod roster;
#[cfg(test)]
mod roster_tests;

pub use directory::Directory;
pub use home::{Home, Interest, Joining, Publication};
pub use memberships::LocalRoomId;
pub use roster::{Roster, Vacated};
