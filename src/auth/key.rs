//! A verification key: material bound to one algorithm, and perhaps a name. Parsed once, when it is configured;
//! secrets are expanded then too, so that a verification starts with the token's own bytes.

use std::fmt;

use ring::{hmac, signature::UnparsedPublicKey};

use super::{
    algorithm::{Algorithm, Family, Primitive},
    error::KeyError,
    pem,
};

/// The shortest HMAC secret, in bytes: what RFC 7518 §3.2 wants for HS256.
pub const SECRET_BYTES_MIN: usize = 32;

/// What verifies signatures of one algorithm.
#[derive(Clone)]
pub struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret(hmac::Key),
    Public(UnparsedPublicKey<Box<[u8]>>),
}

impl Key {
    /// A secret for HS256, HS384 or HS512, [`SECRET_BYTES_MIN`] bytes at least.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self { id: None, algorithm, material: Material::Secret(hmac_key(algorithm, secret)?) })
    }

    /// A public key as PEM: SPKI (`PUBLIC KEY`), or PKCS#1 (`RSA PUBLIC KEY`) for RSA of 2048 bits or more.
    pub fn from_public_pem(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let Primitive::Public(family, verification) = algorithm.primitive() else {
            return Err(KeyError::WrongMaterial(algorithm));
        };
        let public = pem::public_key(algorithm, family, text)?;
        let material = Material::Public(UnparsedPublicKey::new(verification, public));
        Ok(Self { id: None, algorithm, material })
    }

    /// A public key of `family` as `ring` has it: PKCS#1 DER for RSA, else the bytes of a point.
    pub(super) fn from_public(
        algorithm: Algorithm,
        family: Family,
        public: Vec<u8>,
    ) -> Result<Self, KeyError> {
        match algorithm.primitive() {
            Primitive::Public(of, verification) if of == family => {
                pem::check_public(family, &public)?;
                let material = Material::Public(UnparsedPublicKey::new(verification, public.into()));
                Ok(Self { id: None, algorithm, material })
            }
            Primitive::Public(..) => Err(KeyError::WrongFamily(algorithm)),
            Primitive::Hmac(_) => Err(KeyError::WrongMaterial(algorithm)),
        }
    }

    /// The same key for tokens whose header names it (`kid`).
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        Self { id: Some(Box::from(id)), ..self }
    }

    /// What a token's `kid` must be to choose this key.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The only algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `message`; HMACs are compared in constant time.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Public(key) => key.verify(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Checks a secret and does the part of HMAC that does not depend on the message.
pub(super) fn hmac_key(algorithm: Algorithm, secret: &[u8]) -> Result<hmac::Key, KeyError> {
    let Primitive::Hmac(digest) = algorithm.primitive() else {
        return Err(KeyError::WrongMaterial(algorithm));
    };
    if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
        return Err(KeyError::SecretIsPem);
    }
    if secret.len() < SECRET_BYTES_MIN {
        return Err(KeyError::SecretTooShort { bytes: secret.len() });
    }
    Ok(hmac::Key::new(digest, secret))
}
