//! Sets of public keys as issuers publish them (RFC 7517; members of RFC 7518 §6 and RFC 8037 §2): which of them tokens
//! may be signed for.
//!
//! Keys that are for something else, of a kind that is not known here, or broken are left out, each with its reason, as
//! RFC 7517 §5 wants. Invariants: a key has one algorithm: its `alg`, or else the one of its kind; a shared secret is
//! never taken, since whoever can read the set could sign.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use spki::der::{Encode, asn1::UintRef};

use super::{
    algorithm::{Algorithm, Family, Primitive},
    error::{AuthError, JsonError, KeyError, Part},
    json::{self, Value},
    key::Key,
    key_set::KEYS_PER_ALGORITHM_MAX,
};

/// The longest set that is taken, in bytes.
pub const SET_BYTES_MAX: usize = 256 * 1024;

/// The most keys that are looked at.
const KEYS_MAX: usize = 256;

/// A set and what was left out of it.
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    pub keys: Vec<Key>,
    pub left_out: Vec<LeftOut>,
}

/// Why a text is no set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoSet {
    #[error("it is no strict JSON: {0}")]
    Json(JsonError),
    #[error("it has no array `keys`")]
    Keys,
}

/// A key that is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Its `kid`, or its place in the set, from 0.
    pub key: String,
    pub why: WhyNot,
}

/// Why a key is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WhyNot {
    #[error("it is no object, or a member of it has a wrong type")]
    Malformed,
    #[error("it is for encryption, or not for verifying")]
    OtherUse,
    #[error("it is a shared secret, which a published set must not hold")]
    Secret,
    #[error("it holds the private half, which whoever reads the set can sign with")]
    Private,
    #[error("its kind or curve is not known here")]
    UnknownKind,
    #[error("its `alg` is not known here, or is not of its kind")]
    OtherAlgorithm,
    #[error("its numbers are not strict base64url")]
    Base64,
    #[error("{0}")]
    Key(KeyError),
    #[error("{KEYS_PER_ALGORITHM_MAX} keys of its algorithm come before it")]
    TooMany,
}

impl Jwks {
    /// Reads a set. RSA keys without an `alg` are for `rsa` and nothing else.
    ///
    /// # Errors
    /// When it is no set at all.
    pub fn read(text: &[u8], rsa: Algorithm) -> Result<Self, NoSet> {
        let mut array = None;
        json::members(Part::Keys, text, |name, value| {
            if name == "keys" {
                array = Some(value);
            }
            Ok(())
        })
        .map_err(no_set)?;
        let Some(Value::Array(array)) = array else { return Err(NoSet::Keys) };
        let mut set = Self::default();
        let mut place = 0;
        json::elements(Part::Keys, array, |element| {
            if place < KEYS_MAX {
                set.add(place, element, rsa);
            }
            place += 1;
            Ok(())
        })
        .map_err(no_set)?;
        Ok(set)
    }

    fn add(&mut self, place: usize, element: Value<'_>, rsa: Algorithm) {
        let members = Members::read(element);
        let name = members.as_ref().ok().and_then(|members| members.key_id.as_deref().map(str::to_owned));
        match members.and_then(|members| members.key(rsa)).and_then(|key| self.fits(key)) {
            Ok(key) => self.keys.push(key),
            Err(why) => self.left_out.push(LeftOut { key: name.unwrap_or_else(|| place.to_string()), why }),
        }
    }

    fn fits(&self, key: Key) -> Result<Key, WhyNot> {
        let same = self.keys.iter().filter(|other| other.algorithm() == key.algorithm()).count();
        if same < KEYS_PER_ALGORITHM_MAX { Ok(key) } else { Err(WhyNot::TooMany) }
    }
}

/// The members of a key that matter here.
#[derive(Default)]
struct Members<'a> {
    kind: Option<Cow<'a, str>>,
    key_id: Option<Cow<'a, str>>,
    algorithm: Option<Cow<'a, str>>,
    public_use: Option<Cow<'a, str>>,
    /// Whether `key_ops` is there and does not have `verify`.
    cannot_verify: bool,
    is_private: bool,
    curve: Option<Cow<'a, str>>,
    modulus: Option<Cow<'a, str>>,
    exponent: Option<Cow<'a, str>>,
    x: Option<Cow<'a, str>>,
    y: Option<Cow<'a, str>>,
}

impl<'a> Members<'a> {
    fn read(element: Value<'a>) -> Result<Self, WhyNot> {
        let Value::Object(object) = element else { return Err(WhyNot::Malformed) };
        let mut members = Self::default();
        let mut is_malformed = false;
        let read = json::members(Part::Keys, object.as_bytes(), |name, value| {
            let place = match name {
                "kty" => &mut members.kind,
                "kid" => &mut members.key_id,
                "alg" => &mut members.algorithm,
                "use" => &mut members.public_use,
                "crv" => &mut members.curve,
                "n" => &mut members.modulus,
                "e" => &mut members.exponent,
                "x" => &mut members.x,
                "y" => &mut members.y,
                "d" => {
                    members.is_private = true;
                    return Ok(());
                }
                "key_ops" => {
                    members.cannot_verify = !has_verify(value)?;
                    return Ok(());
                }
                _ => return Ok(()),
            };
            match value {
                Value::Text(text) => *place = Some(text.decode()),
                Value::Number(_)
                | Value::Array(_)
                | Value::Object(_)
                | Value::True
                | Value::False
                | Value::Null => is_malformed = true,
            }
            Ok(())
        });
        if read.is_err() || is_malformed { Err(WhyNot::Malformed) } else { Ok(members) }
    }

    fn key(&self, rsa: Algorithm) -> Result<Key, WhyNot> {
        let is_for_signatures = self.public_use.as_deref().is_none_or(|public_use| public_use == "sig");
        let (family, own) = match (self.kind.as_deref(), self.curve.as_deref()) {
            (Some("oct"), _) => return Err(WhyNot::Secret),
            _ if !is_for_signatures || self.cannot_verify => return Err(WhyNot::OtherUse),
            _ if self.is_private => return Err(WhyNot::Private),
            (Some("RSA"), _) => (Family::Rsa, rsa),
            (Some("EC"), Some("P-256")) => (Family::P256, Algorithm::Es256),
            (Some("EC"), Some("P-384")) => (Family::P384, Algorithm::Es384),
            (Some("OKP"), Some("Ed25519")) => (Family::Ed25519, Algorithm::EdDsa),
            (Some(_), _) => return Err(WhyNot::UnknownKind),
            (None, _) => return Err(WhyNot::Malformed),
        };
        let algorithm = match self.algorithm.as_deref() {
            Some(name) => Algorithm::parse(name).ok_or(WhyNot::OtherAlgorithm)?,
            None => own,
        };
        match algorithm.primitive() {
            Primitive::Public(of, _) if of == family => {}
            Primitive::Public(..) | Primitive::Hmac(_) => return Err(WhyNot::OtherAlgorithm),
        }
        let material = match family {
            Family::Rsa => rsa_key(&number(&self.modulus)?, &number(&self.exponent)?)?,
            Family::P256 | Family::P384 => [vec![4], number(&self.x)?, number(&self.y)?].concat(),
            Family::Ed25519 => number(&self.x)?,
        };
        let key = Key::from_public(algorithm, family, material).map_err(WhyNot::Key)?;
        Ok(match self.key_id.as_deref() {
            Some(id) => key.with_id(id),
            None => key,
        })
    }
}

fn no_set(error: AuthError) -> NoSet {
    if let AuthError::Json { error, .. } = error { NoSet::Json(error) } else { NoSet::Keys }
}

fn has_verify(operations: Value<'_>) -> Result<bool, AuthError> {
    const MALFORMED: AuthError = AuthError::HeaderMember("key_ops");
    let Value::Array(array) = operations else { return Err(MALFORMED) };
    let mut found = false;
    json::elements(Part::Keys, array, |operation| {
        let Value::Text(operation) = operation else { return Err(MALFORMED) };
        found |= operation.decode() == "verify";
        Ok(())
    })?;
    Ok(found)
}

/// Bytes as base64url without padding, of which the longest is a modulus of 8192 bits.
fn number(text: &Option<Cow<'_, str>>) -> Result<Vec<u8>, WhyNot> {
    let text = text.as_deref().ok_or(WhyNot::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| WhyNot::Base64)
}

/// RSAPublicKey (RFC 8017 A.1.1) as DER.
fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, WhyNot> {
    let number = |bytes| UintRef::new(bytes).map_err(|_| WhyNot::Key(KeyError::Der));
    let key = vec![number(modulus)?, number(exponent)?];
    key.to_der().map_err(|_| WhyNot::Key(KeyError::Der))
}
