//! Payloads: a JSON value as its author wrote it, or bytes that nobody looks into.

use std::fmt;

use bytes::Bytes;

/// The bytes of one valid JSON value, carried and never re-serialised.
///
/// Invariant: valid UTF-8 and valid JSON; only a dialect's decoder makes one from what it has checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// Takes bytes that the caller has checked to be one valid JSON value.
    pub fn from_checked(bytes: Bytes) -> Self {
        debug_assert!(std::str::from_utf8(&bytes).is_ok());
        Self(bytes)
    }

    /// The value's text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Its length: what it says is nobody's business.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

/// What a message carries.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    Json(Json),
    /// A relay's ciphertext.
    Opaque(Bytes),
}

impl Payload {
    /// The text of the JSON value, or the bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(json) => json.as_bytes(),
            Self::Opaque(bytes) => bytes,
        }
    }

    /// How long it is, in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it has no bytes, as a ciphertext may.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Its kind and length: what it says is nobody's business.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(json) => json.fmt(f),
            Self::Opaque(bytes) => write!(f, "Opaque({} bytes)", bytes.len()),
        }
    }
}
