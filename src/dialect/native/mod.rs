//! JSON v1 (subprotocol `ringway.json.v1`): one JSON object per text message, told apart by `type`.
//!
//! [`decode`] reads a message whole and once: every byte of it is checked against RFC 8259 before anything in it
//! counts, and `payload` and `metadata` leave as the bytes that came. [`encode`] writes one event's text;
//! the WebSocket frame around it is not this module's.

mod decode;
pub(in crate::dialect) mod encode;
mod requests;
pub(in crate::dialect) mod text;

#[cfg(test)]
mod decode_tests;
#[cfg(test)]
mod encode_tests;
#[cfg(test)]
mod requests_tests;

pub use decode::{Refusal, decode};
pub use encode::encode;
