//! Rooms: [`Home`] orders those whose home this shard is, [`Roster`] knows the members on this shard. Users:
//! [`Directory`] knows their connections here. Requests: [`Pending`] knows those that were asked here, [`Owed`] those
//! that are to be answered here. Knows no frames and no sockets.

mod creates;
mod directory;
mod ephemeral;
mod home;
mod memberships;
mod owed;
mod pending;
#[cfg(test)]
mod pending_tests;
mod roster;
#[cfg(test)]
mod roster_tests;

pub use directory::Directory;
pub use home::{Home, HomeLimits, Interest, Joiner, Joining, Publication, TooMany};
pub use memberships::LocalRoomId;
pub use owed::Owed;
pub use pending::{Aim, Closed, Full, Located, Pending, PendingLimits, Unmatched};
pub use roster::{Roster, Vacated};
