//! RFC 6455 frames and messages for both roles, and permessage-deflate (RFC 7692).
//!
//! Owns the bytes between a socket and a message: headers, masks, fragments, UTF-8, compression, close codes,
//! and the accept key. Does not own sockets, the HTTP part of the upgrade, or what a message means.
//! Invariants: bytes may arrive split anywhere; nothing grows by what a peer announces, only by what it sent;
//! after a [`DecodeError`] the connection is over.

pub mod close;
pub mod deflate;
pub mod encode;
pub mod handshake;
pub mod mask;
pub mod utf8;

mod decoder;
mod error;
mod header;
mod input;
mod message;

#[cfg(test)]
mod tests;

pub use close::CloseReason;
pub use decoder::{Decoder, Item};
pub use error::DecodeError;
pub use header::Opcode;
pub use input::Input;

/// Which end of the connection this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Incoming frames must be masked, outgoing ones are not.
    Server,
    /// Incoming frames must not be masked, outgoing ones are.
    Client,
}

/// What one incoming message may cost. Plain maxima: the type's `MAX` stands for no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest message, in bytes after inflation. Checked against the header, before anything is kept.
    pub message_bytes_max: usize,
    /// The most frames of one message that may come before its last.
    pub fragments_max: u32,
    /// The most bytes that one compressed byte may become, beyond the first
    /// [`INFLATE_RATIO_FREE_BYTES`](deflate::INFLATE_RATIO_FREE_BYTES) of a message.
    pub inflate_ratio_max: u32,
}
