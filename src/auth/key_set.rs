//! Which key may verify a token. A header's `kid` and `alg` choose among the configured keys; they can never
//! bring one, and a key is only tried with its own algorithm.

use super::{
    algorithm::Algorithm,
    error::{AuthError, KeyError},
    key::Key,
};

/// The most keys of one algorithm, and so the most signatures that are computed for one token.
pub const KEYS_PER_ALGORITHM_MAX: usize = 16;

/// The keys that a verifier trusts. An empty set refuses every token.
#[derive(Clone, Default, Debug)]
pub struct KeySet {
    /// Invariant: at most [`KEYS_PER_ALGORITHM_MAX`] of each algorithm.
    keys: Vec<Key>,
    /// Whether any key has an id. If none has, a token's `kid` says nothing.
    named: bool,
}

impl KeySet {
    /// Keys with the same id are allowed: each is tried.
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        let count = |algorithm| keys.iter().filter(|key| key.algorithm() == algorithm).count();
        if let Some(algorithm) = Algorithm::ALL.into_iter().find(|&a| count(a) > KEYS_PER_ALGORITHM_MAX) {
            return Err(KeyError::TooMany(algorithm));
        }
        let named = keys.iter().any(|key| key.id().is_some());
        Ok(Self { keys, named })
    }

    /// These keys and `more`, as many of those as each algorithm has room for.
    #[must_use]
    pub(super) fn with(&self, more: &[Key]) -> Self {
        let mut keys = self.keys.clone();
        for key in more {
            let same = keys.iter().filter(|other| other.algorithm() == key.algorithm()).count();
            if same < KEYS_PER_ALGORITHM_MAX {
                keys.push(key.clone());
            }
        }
        let named = keys.iter().any(|key| key.id().is_some());
        Self { keys, named }
    }

    /// Whether any key's algorithm has public keys.
    pub(super) fn has_public_keys(&self) -> bool {
        self.keys.iter().any(|key| !key.algorithm().is_symmetric())
    }

    /// How many keys the header's `kid` and `alg` allow.
    pub(super) fn candidates(&self, key_id: Option<&str>, algorithm: Algorithm) -> usize {
        let key_id = key_id.filter(|_| self.named);
        let is_allowed =
            |key: &&Key| key.algorithm() == algorithm && (key_id.is_none() || key.id() == key_id);
        self.keys.iter().filter(is_allowed).count()
    }

    /// Whether a key that the header's `kid` and `alg` allow made `signature` over `message`.
    ///
    /// With a `kid` only keys of that id are tried, unless no key has an id; without one all of the algorithm.
    pub(super) fn verify(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), AuthError> {
        let key_id = key_id.filter(|_| self.named);
        let mut refused = AuthError::UnknownKey;
        for key in &self.keys {
            if key_id.is_some() && key.id() != key_id {
                continue;
            }
            if key.algorithm() == algorithm {
                if key.verifies(message, signature) {
                    return Ok(());
                }
                refused = AuthError::BadSignature;
            } else if refused == AuthError::UnknownKey {
                refused = AuthError::WrongAlgorithm(algorithm);
            }
        }
        Err(refused)
    }
}
