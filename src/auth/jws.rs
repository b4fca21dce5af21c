//! JWS compact serialisation (RFC 7515 §3.1, §5.2): three parts of strict base64url, a header that asks for
//! nothing unusual, and a signature by a key of ours. The payload comes out only when the signature holds.
//!
//! `jwk`, `jku`, `x5u`, `x5c` and every other member that is not read here are ignored, as RFC 7515 §4 wants of
//! what is not understood: refusing them would turn away honest tokens (many issuers add `x5t` or `x5c`), and
//! they cannot do harm, because keys come from the key set alone. `crit` is the way to forbid ignoring, and
//! is refused whatever it lists.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    algorithm::Algorithm,
    error::{AuthError, Part},
    json::{self, Value},
    key_set::KeySet,
};

/// The longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Room for all decoded parts of a token, each rounded up to whole groups of three bytes.
const DECODED_BYTES_MAX: usize = TOKEN_BYTES_MAX / 4 * 3 + 9;

/// Where a token's parts are decoded to: on the caller's stack, since tokens are small and bounded.
pub(super) struct Scratch([u8; DECODED_BYTES_MAX]);

impl Scratch {
    pub(super) fn new() -> Self {
        Self([0; DECODED_BYTES_MAX])
    }
}

/// A token taken apart. Nothing in it is verified or decoded.
pub(super) struct Compact<'t> {
    /// What the signature is over: header, dot and payload as they came.
    signing_input: &'t str,
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
}

/// A payload whose signature holds.
pub(super) struct Signed<'s> {
    pub(super) payload: &'s [u8],
    pub(super) algorithm: Algorithm,
}

/// The parts of a token, decoded and not verified.
pub(super) struct Decoded<'s> {
    pub(super) header: &'s [u8],
    pub(super) payload: &'s [u8],
    signature: &'s [u8],
}

/// What a header says that matters here.
struct Header<'a> {
    algorithm: Algorithm,
    key_id: Option<Cow<'a, str>>,
}

impl<'t> Compact<'t> {
    /// Exactly three parts, at most [`TOKEN_BYTES_MAX`] bytes.
    pub(super) fn split(token: &'t str) -> Result<Self, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong { bytes: token.len() });
        }
        let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(AuthError::Parts);
        };
        let (signing_input, signature) = (&token[..second], &token[second + 1..]);
        let (header, payload) = (&token[..first], &token[first + 1..second]);
        Ok(Self { signing_input, header, payload, signature })
    }

    /// The parts out of base64url.
    pub(super) fn decode<'s>(&self, scratch: &'s mut Scratch) -> Result<Decoded<'s>, AuthError> {
        let (header, rest) = decode_part(Part::Header, self.header, &mut scratch.0)?;
        let (payload, rest) = decode_part(Part::Claims, self.payload, rest)?;
        let (signature, _) = decode_part(Part::Signature, self.signature, rest)?;
        Ok(Decoded { header, payload, signature })
    }

    /// How many signatures of public keys [`Compact::verify`] would check at most.
    pub(super) fn public_signatures(&self, keys: &KeySet) -> Result<usize, AuthError> {
        let mut scratch = Scratch::new();
        let (header, _) = decode_part(Part::Header, self.header, &mut scratch.0)?;
        let header = Header::read(header)?;
        if header.algorithm.is_symmetric() {
            return Ok(0);
        }
        Ok(keys.candidates(header.key_id.as_deref(), header.algorithm))
    }

    /// The payload, if one of `keys` has signed it with what the header names.
    pub(super) fn verify<'s>(
        &self,
        keys: &KeySet,
        scratch: &'s mut Scratch,
    ) -> Result<Signed<'s>, AuthError> {
        let decoded = self.decode(scratch)?;
        let header = Header::read(decoded.header)?;
        let key_id = header.key_id.as_deref();
        keys.verify(key_id, header.algorithm, self.signing_input.as_bytes(), decoded.signature)?;
        Ok(Signed { payload: decoded.payload, algorithm: header.algorithm })
    }
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, AuthError> {
        let (mut algorithm, mut key_id) = (None, None);
        json::members(Part::Header, bytes, |name, value| {
            match (name, value) {
                ("alg", Value::Text(text)) => {
                    algorithm = Some(Algorithm::parse(&text.decode()).ok_or(AuthError::UnknownAlgorithm)?);
                }
                ("kid", Value::Text(text)) => key_id = Some(text.decode()),
                ("typ", Value::Text(text)) if is_access_token(&text.decode()) => {}
                ("typ", Value::Text(_)) => return Err(AuthError::Unsupported("typ")),
                ("alg", _) => return Err(AuthError::HeaderMember("alg")),
                ("kid", _) => return Err(AuthError::HeaderMember("kid")),
                ("typ", _) => return Err(AuthError::HeaderMember("typ")),
                ("crit", _) => return Err(AuthError::Unsupported("crit")),
                ("b64", Value::True) => {}
                ("b64", _) => return Err(AuthError::Unsupported("b64")),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { algorithm: algorithm.ok_or(AuthError::HeaderMember("alg"))?, key_id })
    }
}

/// `JWT` (RFC 7519 §5.1) or `at+jwt` (RFC 9068 §2.1), in any case, with or without the `application/` that
/// RFC 7515 §4.1.9 lets a producer leave out.
fn is_access_token(kind: &str) -> bool {
    const PREFIX: &str = "application/";
    let kind = match kind.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        Some(_) | None => kind,
    };
    kind.eq_ignore_ascii_case("jwt") || kind.eq_ignore_ascii_case("at+jwt")
}

/// Decodes `text` to the front of `room`; returns the bytes and the room that is left. No padding, no
/// whitespace, no set bits behind the last byte: one value has one spelling.
fn decode_part<'s>(
    part: Part,
    text: &str,
    room: &'s mut [u8],
) -> Result<(&'s [u8], &'s mut [u8]), AuthError> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, room).map_err(|_| AuthError::Base64(part))?;
    let (bytes, rest) = room.split_at_mut(length);
    Ok((bytes, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_access_tokens() {
        for kind in ["JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
            assert!(is_access_token(kind), "{kind}");
        }
        for kind in [
            "",
            "JWE",
            "id_token+jwt",
            "dpop+jwt",
            "application/",
            "text/jwt",
            "application/application/jwt",
            "é+jwt",
        ] {
            assert!(!is_access_token(kind), "{kind}");
        }
    }

    #[test]
    fn the_longest_token_fits_the_scratch() {
        for header_length in [0, 1, 2, 3, 4, 4_000] {
            let payload_length = TOKEN_BYTES_MAX - 2 - header_length - 4;
            let token = format!("{}.{}.AAAA", "A".repeat(header_length), "A".repeat(payload_length));
            assert_eq!(token.len(), TOKEN_BYTES_MAX);
            let decoded =
                Compact::split(&token).unwrap().decode(&mut Scratch::new()).map(|d| d.payload.len());
            let valid = header_length % 4 != 1 && payload_length % 4 != 1;
            assert_eq!(decoded.is_ok(), valid, "{header_length}");
        }
    }
}
