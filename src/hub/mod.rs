//! Rooms: [`Home`] orders those whose home this shard is and knows their members, [`Roster`] knows those on this shard.
//! Knows no frames and no sockets.

mod home;
mod interests;
mod memberships;
mod presence;
#[cfg(test)]
mod presence_tests;
mod present;
mod roster;
#[cfg(test)]
mod roster_tests;

pub use home::{Home, Joining, Publication};
pub use interests::Interest;
pub use memberships::LocalRoomId;
pub use presence::{Announcement, Joiner, Showing};
pub use roster::{Gone, Roster};
