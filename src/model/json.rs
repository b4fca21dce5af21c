//! A JSON value as its author wrote it.

use bytes::Bytes;

/// The bytes of one valid JSON value, carried and never re-serialised.
///
/// Invariant: valid UTF-8 and valid JSON; only a dialect's decoder makes one from what it has checked.
#[derive(Clone, PartialEq, Eq, Debug)]
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
