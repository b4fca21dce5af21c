//! Signed calls of the API: an HMAC-SHA-256 in hexadecimal digits over `timestamp "." method "." path "." body`.
//!
//! Owns the formula and the secret's key; which calls must be signed, and which have been made before, is decided
//! elsewhere (`replays` remembers). The clock is an argument.

use std::fmt;

use ring::hmac;

use super::{algorithm::Algorithm, error::KeyError, key};

/// How far a call's clock may be off, in seconds.
pub const SIGNED_WITHIN_S: u64 = 300;

/// The most digits of a timestamp, its point counted.
const TIMESTAMP_BYTES_MAX: usize = 20;

/// The key that calls are signed with.
#[derive(Clone)]
pub struct CallKey(hmac::Key);

/// What a call shows beside its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallSignature {
    /// As it was written: that is what was signed.
    timestamp: Box<str>,
    unix_s: u64,
    signature: [u8; 32],
}

/// By what a signature is known again: its first half, which is as good as random.
pub type SignatureMark = u128;

impl CallKey {
    /// A secret under the rules of those that sign tokens.
    pub fn new(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(key::hmac_key(Algorithm::Hs256, secret)?))
    }

    /// Whether the signature is this key's of this call. The comparison takes the same time whatever differs.
    pub fn verifies(&self, signature: &CallSignature, method: &str, path: &str, body: &[u8]) -> bool {
        let parts = [signature.timestamp.as_bytes(), method.as_bytes(), path.as_bytes(), body];
        let mut context = hmac::Context::with_key(&self.0);
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                context.update(b".");
            }
            context.update(part);
        }
        let mut differing = 0;
        for (own, shown) in context.sign().as_ref().iter().zip(&signature.signature) {
            differing |= own ^ shown;
        }
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallKey(…)")
    }
}

impl CallSignature {
    /// From the texts of the two headers: Unix seconds, which may have a fraction that tells calls of one second apart,
    /// and 64 hexadecimal digits.
    pub fn parse(timestamp: &str, signature: &str) -> Option<Self> {
        let (whole, fraction) = timestamp.split_once('.').unwrap_or((timestamp, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if timestamp.len() > TIMESTAMP_BYTES_MAX || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let (pairs, rest) = signature.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = (high? << 4 | low?) as u8;
        }
        Some(Self { timestamp: timestamp.into(), unix_s: whole.parse().ok()?, signature: bytes })
    }

    /// Whether its clock agrees with ours.
    pub fn is_timely(&self, now_unix_s: u64) -> bool {
        self.unix_s.abs_diff(now_unix_s) <= SIGNED_WITHIN_S
    }

    /// The last second in which it is timely.
    pub fn timely_until_s(&self) -> u64 {
        self.unix_s.saturating_add(SIGNED_WITHIN_S)
    }

    pub fn mark(&self) -> SignatureMark {
        let half = self.signature.first_chunk().expect("a signature has 32 bytes");
        u128::from_le_bytes(*half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    /// Of `printf '%s' '1800000000.POST./api/v1/publish.{"room":"a"}' | openssl dgst -sha256 -hmac SECRET`.
    const SIGNATURE: &str = "cb2fff96c8785629a390bd019aebcb6ee293064a4afc97e3cbc275cb1c1fb8da";

    #[test]
    fn the_formula_is_the_documented_one() {
        let key = CallKey::new(SECRET).unwrap();
        let signature = CallSignature::parse("1800000000", SIGNATURE).unwrap();
        let (method, path, body) = ("POST", "/api/v1/publish", br#"{"room":"a"}"#);
        assert!(key.verifies(&signature, method, path, body));
        assert!(
            CallSignature::parse("1800000000", &SIGNATURE.to_uppercase()).is_some_and(|it| it == signature)
        );
        let other_time = CallSignature::parse("1800000001", SIGNATURE).unwrap();
        let rows = [
            (&signature, "GET", path, &body[..]),
            (&signature, method, "/api/v1/request", body),
            (&signature, method, path, b""),
            (&other_time, method, path, body),
        ];
        for (signature, method, path, body) in rows {
            assert!(!key.verifies(signature, method, path, body), "{method} {path}");
        }
        let other = CallKey::new(b"another secret of thirty-two bytes").unwrap();
        assert!(!other.verifies(&signature, method, path, body));
        assert_eq!(format!("{other:?}"), "CallKey(…)");
        assert!(CallKey::new(b"short").is_err());
    }

    #[test]
    fn timestamps_and_signatures() {
        let rows = [
            ("1800000000", Some(1_800_000_000)),
            ("1800000000.25", Some(1_800_000_000)),
            ("0", Some(0)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.", None),
            (".1", None),
            ("1.1.1", None),
            ("1e9", None),
            (" 1", None),
            ("18000000000000000000", Some(18_000_000_000_000_000_000)),
            ("99999999999999999999", None),
            ("1800000000.0000000000", None),
        ];
        for (text, expected) in rows {
            let parsed = CallSignature::parse(text, SIGNATURE).map(|signature| signature.unix_s);
            assert_eq!(parsed, expected, "{text:?}");
        }
        for text in
            ["", &SIGNATURE[1..], &SIGNATURE[2..], &format!("{SIGNATURE}00"), &SIGNATURE.replace('a', "g")]
        {
            assert_eq!(CallSignature::parse("1", text), None, "{text}");
        }
        let signature = CallSignature::parse("1000", SIGNATURE).unwrap();
        for (now_s, expected) in [(699, false), (700, true), (1_000, true), (1_300, true), (1_301, false)] {
            assert_eq!(signature.is_timely(now_s), expected, "{now_s}");
        }
        assert_eq!(signature.timely_until_s(), 1_300);
    }
}
