//! Relay v1 (subprotocol `ringway.relay.v1`): publications as binary messages of opaque bytes, so that a relay of
//! ciphertext costs neither base64 nor a parser. Everything else on such a connection is JSON v1.
//!
//! [`decode`] reads what a client sends, [`encode`] writes what members get; the WebSocket frame around it is not this
//! module's. Nothing here looks into a payload, and no fault quotes one.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::{
    base::RoomId,
    model::{Fault, FaultCode, Message, Payload, Relay},
};

/// First byte of a publication from a client: `0x01 · roomId (8, little endian) · payload`.
const FROM_CLIENT: u8 = 0x01;
/// First byte of a publication to a member: `0x02 · roomId (8, little endian) · sender (8) · payload`.
const TO_CLIENT: u8 = 0x02;

/// Bytes before the payload that a member gets.
const HEAD_BYTES: usize = 17;

/// Reads one binary message; a payload may be empty.
///
/// # Errors
/// `unknown_type` for another first byte, `bad_request` for a message that ends before its payload begins.
pub fn decode(message: &[u8]) -> Result<Relay, Fault> {
    match message {
        [FROM_CLIENT, rest @ ..] => match rest.split_first_chunk() {
            Some((room, payload)) => Ok(Relay {
                room: RoomId(u64::from_le_bytes(*room)),
                payload: Payload::Opaque(Bytes::copy_from_slice(payload)),
            }),
            None => Err(Fault::new(FaultCode::BadRequest, "a binary message ends within its roomId")),
        },
        [] => Err(Fault::new(FaultCode::BadRequest, "an empty binary message")),
        [_, ..] => Err(Fault::new(FaultCode::UnknownType, "a binary message must begin with 0x01")),
    }
}

/// How long [`encode`]'s message is, in bytes.
pub fn encoded_len(message: &Message) -> usize {
    HEAD_BYTES + message.payload.len()
}

/// Appends a publication as members get it: opaque bytes as they came, a JSON value as its text.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    out.push(TO_CLIENT);
    out.extend_from_slice(&message.key.id().0.to_le_bytes());
    out.extend_from_slice(&message.sender.to_bytes());
    out.extend_from_slice(message.payload.as_bytes());
}
