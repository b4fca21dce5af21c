//! permessage-deflate (RFC 7692) without context takeover in either direction: every message stands alone, so
//! that one compressed frame serves all subscribers and an idle connection owns no zlib state.
//!
//! Owns the negotiation for both roles and the codec; one [`Inflater`] and one [`Deflater`] serve a whole
//! shard.

mod codec;
mod header;

pub use codec::{Deflater, INFLATE_RATIO_FREE_BYTES, Inflater};

use header::{Extension, Param};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The window that a peer may use who was told nothing (RFC 7692 7.1.2).
const WINDOW_BITS_DEFAULT: u8 = 15;
/// The smallest window that zlib can compress with in raw DEFLATE.
const WINDOW_BITS_MIN: u8 = 9;

/// What a handshake agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// The server compresses with a window of at most 2^this bytes: 9–15, or the 8 of another server.
    pub server_window_bits: u8,
    /// The client compresses with a window of at most 2^this bytes, 9–15.
    pub client_window_bits: u8,
    /// The offer named `server_max_window_bits`: the answer must, too (RFC 7692 7.1.2.1).
    answer_server_bits: bool,
    /// The offer gave `client_max_window_bits` a value that the answer takes up.
    answer_client_bits: bool,
}

/// Why a server's answer to [`offer`] is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnswerError {
    /// It breaks the grammar of RFC 6455 9.1.
    #[error("a malformed Sec-WebSocket-Extensions")]
    Malformed,
    /// Another extension, or more than one.
    #[error("an extension that was not offered")]
    NotOffered,
    /// A parameter that is unknown, repeated, out of range or missing.
    #[error("parameters that do not answer the offer")]
    Parameters,
}

/// Picks the first acceptable offer out of all values of a request's `Sec-WebSocket-Extensions` (RFC 7692
/// 5.1). A malformed value offers nothing; an offer that only an 8-bit window on the server could meet is
/// declined.
pub fn negotiate<'h>(values: impl Iterator<Item = &'h str>) -> Option<Agreed> {
    values
        .filter_map(|value| header::parse(value).ok())
        .flatten()
        .filter(|extension| extension.name == NAME)
        .find_map(|offer| agree(&offer))
}

/// What a client sends as `Sec-WebSocket-Extensions`.
pub fn offer() -> &'static str {
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
}

/// Reads the answer to [`offer`], all values of the response's header joined by commas. An empty one
/// declines.
pub fn accept(answer: &str) -> Result<Option<Agreed>, AnswerError> {
    let mut extensions = header::parse(answer).map_err(|_| AnswerError::Malformed)?.into_iter();
    match (extensions.next(), extensions.next()) {
        (None, _) => Ok(None),
        (Some(extension), None) if extension.name == NAME => accepted(&extension).map(Some),
        (Some(_), _) => Err(AnswerError::NotOffered),
    }
}

impl Agreed {
    /// The value of the response's `Sec-WebSocket-Extensions`.
    pub fn response(&self) -> String {
        let mut value = format!("{NAME}; {SERVER_NO_CONTEXT_TAKEOVER}; {CLIENT_NO_CONTEXT_TAKEOVER}");
        let answers = [
            (self.answer_server_bits, SERVER_MAX_WINDOW_BITS, self.server_window_bits),
            (self.answer_client_bits, CLIENT_MAX_WINDOW_BITS, self.client_window_bits),
        ];
        for (_, name, bits) in answers.iter().filter(|(answer, ..)| *answer) {
            value.push_str(&format!("; {name}={bits}"));
        }
        value
    }
}

/// The parameters of one extension, each at most once and with the kind of value that it takes.
#[derive(Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Without a value, an offer says only that the server may set one.
    client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    /// `None` for a parameter that is unknown, repeated, or has a wrong value (RFC 7692 7.1).
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut params = Self::default();
        for Param { name, value } in &extension.params {
            let repeated = match (*name, value.as_deref()) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut params.server_no_context_takeover, true)
                }
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => {
                    std::mem::replace(&mut params.client_no_context_takeover, true)
                }
                (SERVER_MAX_WINDOW_BITS, Some(bits)) => {
                    params.server_max_window_bits.replace(window_bits(bits)?).is_some()
                }
                (CLIENT_MAX_WINDOW_BITS, None) => params.client_max_window_bits.replace(None).is_some(),
                (CLIENT_MAX_WINDOW_BITS, Some(bits)) => {
                    params.client_max_window_bits.replace(Some(window_bits(bits)?)).is_some()
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(params)
    }
}

/// A decimal number from 8 to 15 without leading zeros (RFC 7692 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// The server's side of one offer. A client that limits itself to 8 bits needs no answer: any window inflates
/// it.
fn agree(offer: &Extension<'_>) -> Option<Agreed> {
    let params = Params::read(offer)?;
    let server_window_bits = params.server_max_window_bits.unwrap_or(WINDOW_BITS_DEFAULT);
    let client_bits = params.client_max_window_bits.flatten().filter(|&bits| bits >= WINDOW_BITS_MIN);
    (server_window_bits >= WINDOW_BITS_MIN).then_some(Agreed {
        server_window_bits,
        client_window_bits: client_bits.unwrap_or(WINDOW_BITS_DEFAULT),
        answer_server_bits: params.server_max_window_bits.is_some(),
        answer_client_bits: client_bits.is_some(),
    })
}

/// The client's side: the server must take up `server_no_context_takeover`, since every message is inflated
/// alone.
fn accepted(answer: &Extension<'_>) -> Result<Agreed, AnswerError> {
    let params = Params::read(answer).ok_or(AnswerError::Parameters)?;
    let client_window_bits = match params.client_max_window_bits {
        None => WINDOW_BITS_DEFAULT,
        Some(Some(bits)) if bits >= WINDOW_BITS_MIN => bits,
        Some(_) => return Err(AnswerError::Parameters),
    };
    if !params.server_no_context_takeover {
        return Err(AnswerError::Parameters);
    }
    Ok(Agreed {
        server_window_bits: params.server_max_window_bits.unwrap_or(WINDOW_BITS_DEFAULT),
        client_window_bits,
        answer_server_bits: params.server_max_window_bits.is_some(),
        answer_client_bits: params.client_max_window_bits.is_some(),
    })
}
