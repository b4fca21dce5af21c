//! The frame header (RFC 6455 5.2): two to fourteen bytes, read and checked.
//!
//! Each byte is judged as soon as it is there, so that a bad header is refused without waiting for its end.
//! What needs a limit (message size, number of fragments) is the decoder's.

use super::DecodeError;

/// The longest header: two bytes, a 64-bit length, a mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a ping, pong or close.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is (RFC 6455 5.2). The value is the one on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    #[inline]
    fn from_wire(value: u8) -> Result<Self, DecodeError> {
        Ok(match value {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            opcode => return Err(DecodeError::ReservedOpcode { opcode }),
        })
    }

    /// Ping, pong and close: never fragmented, short, allowed between the fragments of a message.
    #[inline]
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What the state of the connection asks of the next header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Frames must be masked (they come from a client); otherwise they must not be.
    pub(super) masked: bool,
    /// permessage-deflate was negotiated, so that RSV1 has a meaning.
    pub(super) deflate: bool,
    /// A fragmented message is open: data must be its continuation.
    pub(super) continuation: bool,
}

/// A header that obeys every rule which needs no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) fin: bool,
    /// RSV1 on the first frame of a message (RFC 7692 6).
    pub(super) compressed: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) payload_bytes: u64,
}

/// Reads the header at the start of `bytes`: the header and its size, or `None` while it is cut short.
#[inline]
pub(super) fn parse(bytes: &[u8], expected: Expected) -> Result<Option<(Header, usize)>, DecodeError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let opcode = check_first(first, expected)?;
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    check_second(second, opcode, expected)?;
    let (payload_bytes, mask_at) = match second & 0x7f {
        126 => {
            let Some(length) = array_at(bytes, 2) else { return Ok(None) };
            (shortest(u16::from_be_bytes(length).into(), 126)?, 4)
        }
        127 => {
            let Some(length) = array_at(bytes, 2) else { return Ok(None) };
            (shortest(u64::from_be_bytes(length), 0x1_0000)?, 10)
        }
        length => (u64::from(length), 2),
    };
    let (mask, size) = if expected.masked {
        let Some(mask) = array_at(bytes, mask_at) else { return Ok(None) };
        (Some(mask), mask_at + 4)
    } else {
        (None, mask_at)
    };
    let header =
        Header { fin: first & 0x80 != 0, compressed: first & 0x40 != 0, opcode, mask, payload_bytes };
    Ok(Some((header, size)))
}

#[inline]
fn check_first(first: u8, expected: Expected) -> Result<Opcode, DecodeError> {
    let opcode = Opcode::from_wire(first & 0x0f)?;
    let bits = (first >> 4) & 0b111;
    let starts_message = matches!(opcode, Opcode::Text | Opcode::Binary);
    if bits != 0 && !(bits == 0b100 && expected.deflate && starts_message) {
        return Err(DecodeError::ReservedBits { bits });
    }
    if opcode.is_control() {
        if first & 0x80 == 0 {
            return Err(DecodeError::ControlFragmented);
        }
    } else if starts_message == expected.continuation {
        return Err(match starts_message {
            true => DecodeError::MessageUnfinished,
            false => DecodeError::NothingToContinue,
        });
    }
    Ok(opcode)
}

#[inline]
fn check_second(second: u8, opcode: Opcode, expected: Expected) -> Result<(), DecodeError> {
    if (second & 0x80 != 0) != expected.masked {
        return Err(if expected.masked { DecodeError::MaskMissing } else { DecodeError::MaskForbidden });
    }
    if opcode.is_control() && usize::from(second & 0x7f) > CONTROL_BYTES_MAX {
        return Err(DecodeError::ControlTooLong);
    }
    Ok(())
}

/// An extended length must not fit in the next shorter form, which ends below `first_in_form`.
fn shortest(bytes: u64, first_in_form: u64) -> Result<u64, DecodeError> {
    if bytes >> 63 != 0 {
        Err(DecodeError::LengthOutOfRange)
    } else if bytes < first_in_form {
        Err(DecodeError::LengthNotShortest { bytes })
    } else {
        Ok(bytes)
    }
}

#[inline]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
