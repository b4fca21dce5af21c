//! What the tokio peers of the `plain` protocol share: its three commands, the rooms, and the runtime.
//! Each peer brings its own handshake, frames and connection loop; nothing here knows a WebSocket library.

mod command;
mod rooms;
mod runtime;

pub use command::{Command, JOINED};
pub use rooms::{Member, Outbox, Rooms};
pub use runtime::serve;
