//! The signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1) and how `ring` calls them. `none` is not among
//! them and cannot be expressed. ES512 and ES256K are missing because `ring` has no such curve.

use std::fmt;

use ring::{hmac, signature};

/// A JWS signature algorithm. A key has exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    /// Ed25519 only.
    EdDsa,
}

/// What an algorithm computes with.
#[derive(Clone, Copy)]
pub(super) enum Primitive {
    Hmac(hmac::Algorithm),
    Public(Family, &'static dyn signature::VerificationAlgorithm),
}

/// The kind of public key that an algorithm needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The algorithm of a header's `alg` or of a configuration. `Ed25519` is EdDSA's fully specified name (RFC 9864).
    pub fn parse(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The registered name, as in a header's `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether the key that verifies is the one that signs: an HMAC.
    pub(super) fn is_symmetric(self) -> bool {
        match self.primitive() {
            Primitive::Hmac(_) => true,
            Primitive::Public(..) => false,
        }
    }

    pub(super) fn primitive(self) -> Primitive {
        match self {
            Self::Hs256 => Primitive::Hmac(hmac::HMAC_SHA256),
            Self::Hs384 => Primitive::Hmac(hmac::HMAC_SHA384),
            Self::Hs512 => Primitive::Hmac(hmac::HMAC_SHA512),
            Self::Rs256 => Primitive::Public(Family::Rsa, &signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Primitive::Public(Family::Rsa, &signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Primitive::Public(Family::Rsa, &signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Primitive::Public(Family::Rsa, &signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Primitive::Public(Family::Rsa, &signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Primitive::Public(Family::Rsa, &signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Primitive::Public(Family::P256, &signature::ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Primitive::Public(Family::P384, &signature::ECDSA_P384_SHA384_FIXED),
            Self::EdDsa => Primitive::Public(Family::Ed25519, &signature::ED25519),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_nothing_else_parses() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
        for name in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "ES512", "ES256K", "Ed448", "dir"]
        {
            assert_eq!(Algorithm::parse(name), None, "{name:?}");
        }
    }
}
