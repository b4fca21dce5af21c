//! Keys out of PEM documents (RFC 7468): public ones from SPKI (RFC 5280 §4.1) or, for RSA, PKCS#1 (RFC 8017
//! A.1.1), private ones as PKCS#8. DER is read by the `spki` and `der` crates; here is only what a key must be.

use ring::signature::Ed25519KeyPair;
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode, asn1::UintRef, pem},
};
use zeroize::Zeroizing;

use super::{
    algorithm::{Algorithm, Family},
    error::KeyError,
    roca,
};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The moduli that `ring` verifies with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The public key in `text` as `ring` wants it: PKCS#1, an uncompressed point, or 32 bytes.
pub(super) fn public_key(algorithm: Algorithm, family: Family, text: &str) -> Result<Box<[u8]>, KeyError> {
    let (label, der) = pem::decode_vec(text.trim().as_bytes()).map_err(|_| KeyError::Pem)?;
    match label {
        "PUBLIC KEY" => {
            let spki = SubjectPublicKeyInfoRef::from_der(&der).map_err(|_| KeyError::Der)?;
            if family_of(&spki) != Some(family) {
                return Err(KeyError::WrongFamily(algorithm));
            }
            let key = spki.subject_public_key.as_bytes().ok_or(KeyError::Der)?;
            check_public(family, key)?;
            Ok(Box::from(key))
        }
        "RSA PUBLIC KEY" if family == Family::Rsa => {
            check_rsa(&der)?;
            Ok(der.into_boxed_slice())
        }
        "RSA PUBLIC KEY" => Err(KeyError::WrongFamily(algorithm)),
        _ => Err(KeyError::PemLabel("PUBLIC KEY")),
    }
}

/// The Ed25519 private key in `text` (PKCS#8, with or without the public half).
pub(super) fn ed25519_private_key(text: &str) -> Result<Ed25519KeyPair, KeyError> {
    let (label, der) = pem::decode_vec(text.trim().as_bytes()).map_err(|_| KeyError::Pem)?;
    let der = Zeroizing::new(der);
    if label != "PRIVATE KEY" {
        return Err(KeyError::PemLabel("PRIVATE KEY"));
    }
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError::Der)
}

/// `None` for kinds that no algorithm here uses, RSA keys restricted to PSS among them.
fn family_of(spki: &SubjectPublicKeyInfoRef<'_>) -> Option<Family> {
    match spki.algorithm.oid {
        RSA => Some(Family::Rsa),
        ED25519 => Some(Family::Ed25519),
        EC => match spki.algorithm.parameters_oid().ok()? {
            P256 => Some(Family::P256),
            P384 => Some(Family::P384),
            _ => None,
        },
        _ => None,
    }
}

/// What can be said without a signature; that a point lies on its curve `ring` checks with each one.
pub(super) fn check_public(family: Family, key: &[u8]) -> Result<(), KeyError> {
    let fits = match family {
        Family::Rsa => return check_rsa(key),
        Family::P256 => key.len() == 65 && key[0] == 4,
        Family::P384 => key.len() == 97 && key[0] == 4,
        Family::Ed25519 => key.len() == 32,
    };
    if fits { Ok(()) } else { Err(KeyError::Der) }
}

/// RSAPublicKey is a SEQUENCE of two INTEGERs: an odd modulus and an odd exponent from 3 to 2^33 - 1. Of a modulus whose factors
/// anybody can find, the key is nobody's.
fn check_rsa(pkcs1: &[u8]) -> Result<(), KeyError> {
    let numbers = Vec::<UintRef<'_>>::from_der(pkcs1).map_err(|_| KeyError::Der)?;
    let [modulus, exponent] = numbers.as_slice() else { return Err(KeyError::Der) };
    let bits = bits(modulus.as_bytes());
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError::RsaBits { bits });
    }
    let odd = |number: &UintRef<'_>| number.as_bytes().last().is_some_and(|byte| byte & 1 == 1);
    let exponent_fits = (2..=33).contains(&self::bits(exponent.as_bytes()));
    if !(odd(modulus) && odd(exponent) && exponent_fits) {
        return Err(KeyError::Der);
    }
    if roca::has_fingerprint(modulus.as_bytes()) { Err(KeyError::Roca) } else { Ok(()) }
}

/// The length of a big-endian number without leading zeros.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
