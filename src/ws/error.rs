//! What a peer can do wrong in its frames, and the close code that each wrong earns. All of it is the peer's
//! fault. Limits count as wrongs here: that a message is too big is the receiver's measure, but the sender's
//! act.

use super::close;

/// Why a peer's bytes were refused. The connection cannot go on: its next byte has no known meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// A bit of RSV1–RSV3 that nothing negotiated gives a meaning to (RFC 6455 5.2, RFC 7692 6.1).
    #[error("reserved bits {bits:#05b} are set")]
    ReservedBits { bits: u8 },
    /// Opcode 3–7 or 11–15.
    #[error("opcode {opcode} is reserved")]
    ReservedOpcode { opcode: u8 },
    /// A client's frame without a mask (RFC 6455 5.1).
    #[error("a frame from a client must be masked")]
    MaskMissing,
    /// A server's frame with a mask (RFC 6455 5.1).
    #[error("a frame from a server must not be masked")]
    MaskForbidden,
    /// A length in more bytes than it needs (RFC 6455 5.2).
    #[error("the length {bytes} is not in its shortest form")]
    LengthNotShortest { bytes: u64 },
    /// A 64-bit length with its highest bit set (RFC 6455 5.2).
    #[error("the highest bit of a 64-bit length is set")]
    LengthOutOfRange,
    /// A ping, pong or close of more than 125 bytes (RFC 6455 5.5).
    #[error("a control frame may have 125 bytes at most")]
    ControlTooLong,
    /// A ping, pong or close without FIN (RFC 6455 5.5).
    #[error("a control frame must not be fragmented")]
    ControlFragmented,
    /// A continuation while no message is open (RFC 6455 5.4).
    #[error("a continuation frame without a message to continue")]
    NothingToContinue,
    /// A new message before the open one ended (RFC 6455 5.4).
    #[error("a new message inside an unfinished one")]
    MessageUnfinished,
    /// A close frame with half a code (RFC 6455 5.5.1).
    #[error("a close frame of one byte")]
    CloseTruncated,
    /// A close code that must not travel (RFC 6455 7.4).
    #[error("the close code {code} must not be sent")]
    CloseCode { code: u16 },
    /// A text message or close reason that is not UTF-8 (RFC 6455 8.1).
    #[error("text that is not UTF-8")]
    InvalidUtf8,
    /// A compressed message that is not DEFLATE, or ends within a block (RFC 7692 7.2.2).
    #[error("a compressed message that does not inflate")]
    InvalidDeflate,
    /// More than [`message_bytes_max`](super::Limits::message_bytes_max), announced or inflated.
    #[error("a message of more than {bytes_max} bytes")]
    MessageTooBig { bytes_max: usize },
    /// More than [`fragments_max`](super::Limits::fragments_max).
    #[error("a message that does not end after {fragments_max} fragments")]
    TooManyFragments { fragments_max: u32 },
    /// More than [`inflate_ratio_max`](super::Limits::inflate_ratio_max).
    #[error("a compressed message that inflates more than {ratio_max} times")]
    InflateRatio { ratio_max: u32 },
}

impl DecodeError {
    /// The code to close with (RFC 6455 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::ReservedBits { .. }
            | Self::ReservedOpcode { .. }
            | Self::MaskMissing
            | Self::MaskForbidden
            | Self::LengthNotShortest { .. }
            | Self::LengthOutOfRange
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::NothingToContinue
            | Self::MessageUnfinished
            | Self::CloseTruncated
            | Self::CloseCode { .. } => close::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::InvalidDeflate => close::INVALID_PAYLOAD,
            Self::MessageTooBig { .. } | Self::TooManyFragments { .. } | Self::InflateRatio { .. } => {
                close::MESSAGE_TOO_BIG
            }
        }
    }
}
