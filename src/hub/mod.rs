//! Rooms: [`Home`] orders those whose home this shard is, knows their members and keeps their history, [`Roster`] knows
//! the members on this shard. Users: [`Directory`] knows their connections here. Requests: [`Pending`] knows those that
//! were asked here, [`Owed`] those that are to be answered here. Limits that are of more than one connection: [`Purses`] and [`Ledger`] count the
//! messages of users and tenants, [`Doors`] and [`Addresses`] the connections of addresses. Knows no frames and no sockets.

mod addresses;
mod creates;
mod directory;
mod doors;
mod ephemeral;
mod history;
#[cfg(test)]
mod history_tests;
mod home;
mod interests;
mod ledger;
mod members;
mod memberships;
mod owed;
mod pending;
#[cfg(test)]
mod pending_tests;
mod presence;
#[cfg(test)]
mod presence_tests;
mod present;
mod publish;
mod purses;
#[cfg(test)]
mod purses_tests;
mod repeats;
mod room_log;
mod roster;
#[cfg(test)]
mod roster_tests;
mod stakes;
mod standing;

pub use addresses::{AddressFull, AddressLimit, AddressLimits, Addresses};
pub use directory::Directory;
pub use doors::Doors;
pub use history::{HistoryConfig, HistoryCounts, NotKept};
pub use home::{Home, HomeLimits, Joining, TooMany};
pub use interests::Interest;
pub use ledger::{Empty, Ledger};
pub use memberships::LocalRoomId;
pub use owed::Owed;
pub use pending::{Aim, Closed, Full, Located, Pending, PendingLimits, Unmatched};
pub use presence::{Announcement, Joiner, Showing};
pub use publish::{Draft, Published};
pub use purses::{PayerLimit, PurseId, Purses, Spent};
pub use room_log::Keep;
pub use roster::{Gone, Roster};
pub use standing::Standing;
