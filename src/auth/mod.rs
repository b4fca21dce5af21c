//! Who a client is: JSON Web Tokens (RFC 7519) as compact JWS (RFC 7515), verified with `ring`; and who a backend is, by
//! its API key.
//!
//! A token goes through [`Verifier::verify`]: taken apart (`jws`), its signature checked with a key of the
//! configuration ([`KeySet`]), and only then its claims read (`claims`) and judged (`verifier`). A shard asks its
//! [`TokenCache`], which remembers what was dear. An opaque token is looked up at the operator's server, whose answer
//! becomes an identity (`introspection`) that is kept for seconds (`verdicts`). Which rooms stand for what of his REST API is
//! `resources`' to say. Issuers publish keys as [`Jwks`].
//! Invariants: the algorithm is the key's, never the token's; no key ever comes from a token; nothing of a
//! token's payload is parsed before its signature holds; no token, secret or claim appears in an error.
//! The clock is an argument. What an identity may do in which rooms is `abilities`' to say.

pub mod abilities;
mod algorithm;
mod api_key;
mod cache;
mod claims;
mod error;
mod explain;
pub mod introspection;
pub mod issuer;
mod json;
pub mod jwks;
mod jws;
mod key;
mod key_set;
mod mint;
mod pem;
mod refusal;
mod replays;
pub mod resources;
mod revocations;
mod roca;
mod signing;
mod token_digest;
mod verdicts;
mod verifier;

#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod jwks_tests;
#[cfg(test)]
mod vector_tests;

pub use abilities::{Abilities, AbilityPattern, Rights, Role, Rule};
pub use algorithm::Algorithm;
pub use api_key::{ApiKeys, Backend, KeyDigest, Tenants, is_key, key_digest, spell_key};
pub use cache::TokenCache;
pub use claims::ClaimNames;
pub use error::{AuthError, Claim, JsonError, KeyError, Part, Unjudged};
pub use explain::Explanation;
pub use introspection::{Introspection, Judgement};
pub use issuer::{Issuer, KeySource};
pub use jwks::Jwks;
pub use jws::TOKEN_BYTES_MAX;
pub use key::{Key, SECRET_BYTES_MIN};
pub use key_set::{KEYS_PER_ALGORITHM_MAX, KeySet};
pub use mint::{MintClaims, SigningKey, mint};
pub use refusal::is_refusal;
pub use replays::{Replays, Seen};
pub use resources::{Resource, ResourceLimits, ResourceRule, Resources, UrlTemplate};
pub use revocations::{Revocation, Revocations, Revoked};
pub use signing::{CallKey, CallSignature, SIGNED_WITHIN_S, SignatureMark};
pub use token_digest::{TokenDigest, TokenHasher};
pub use verdicts::{VerdictLimits, Verdicts};
pub use verifier::{ABILITY_ADMIN, ABILITY_PUBLISH, Config, Identity, LEEWAY_S_DEFAULT, Verifier};
