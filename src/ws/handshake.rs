//! The one computation of the opening handshake that is not HTTP. Requests, responses and their headers are
//! the `http` module's; offers of compression are [`deflate`](super::deflate)'s.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;

/// What RFC 6455 1.3 appends to every key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Base64 of the 20 bytes of a SHA-1.
const ACCEPT_KEY_BYTES: usize = 28;

/// `Sec-WebSocket-Accept`, in ASCII.
#[derive(Clone, Copy, Debug)]
pub struct AcceptKey([u8; ACCEPT_KEY_BYTES]);

impl AcceptKey {
    /// The header's value.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

impl fmt::Display for AcceptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 4.2.2).
pub fn accept_key(key: &str) -> AcceptKey {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(GUID);
    let mut text = [0; ACCEPT_KEY_BYTES];
    let length = STANDARD.encode_slice(context.finish(), &mut text);
    debug_assert_eq!(length, Ok(ACCEPT_KEY_BYTES));
    AcceptKey(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 1.3.
    #[test]
    fn the_key_of_the_rfc() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ==").as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
