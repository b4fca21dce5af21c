//! Rooms: [`Home`] orders those whose home this shard is and keeps their history, [`Roster`] knows the members on this shard.
//! Knows no frames and no sockets.

mod history;
#[cfg(test)]
mod history_tests;
mod home;
mod memberships;
mod publish;
mod repeats;
mod room_log;
mod roster;
#[cfg(test)]
mod roster_tests;

pub use history::{HistoryConfig, HistoryCounts, NotKept};
pub use home::{Home, Interest, Joining};
pub use memberships::LocalRoomId;
pub use publish::{Draft, Published};
pub use room_log::Keep;
pub use roster::{Roster, Vacated};
