//! Rooms: [`Home`] orders those whose home this shard is and keeps their history, [`Roster`] knows the members on this shard.
//! Knows no frames and no sockets.

mod history;
#[cfg(test)]
mod history_tests;
mod home;
mod log;
mod memberships;
mod publish;
mod repeats;
mod roster;
#[cfg(test)]
mod roster_tests;

pub use history::{HistoryConfig, HistoryCounts, NotKept};
pub use home::{Home, Interest, Joining};
pub use log::Keep;
pub use memberships::LocalRoomId;
pub use publish::{Draft, Published};
pub use roster::{Roster, Vacated};
