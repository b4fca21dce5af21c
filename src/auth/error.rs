//! Why a token was refused or a key not taken. The variants carry facts for logs and for `ringway token check`;
//! none carries the token, a secret or a claim's text, so that an error can always be written down.

use super::algorithm::Algorithm;
use crate::base::NameError;

/// The two JSON objects and the signature of a compact JWS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Header,
    Claims,
    Signature,
}

/// A claim by its role: its name is configurable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    User,
    Tenant,
    Expiry,
    NotBefore,
    IssuedAt,
    Issuer,
    Audience,
    Abilities,
    TokenId,
}

/// Why bytes are not the strict JSON object that RFC 7515 §4 and RFC 7519 §4 want.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JsonError {
    #[error("not valid UTF-8")]
    Utf8,
    /// The offset counts bytes of the decoded part.
    #[error("not one JSON object (at byte {at})")]
    Syntax { at: usize },
    #[error("a member stands twice")]
    Duplicate,
    #[error("nested too deeply")]
    TooDeep,
    #[error("too many members")]
    TooMany,
}

/// Why a token was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthError {
    #[error("the token has {bytes} bytes, more than {}", super::TOKEN_BYTES_MAX)]
    TooLong { bytes: usize },
    #[error("the token does not have exactly three parts")]
    Parts,
    /// Padding, whitespace and non-canonical last characters count too.
    #[error("the token's {} is not strict base64url", .0.as_str())]
    Base64(Part),
    #[error("the token's {} is refused: {error}", part.as_str())]
    Json { part: Part, error: JsonError },
    #[error("the header's `{0}` is missing or has a wrong type")]
    HeaderMember(&'static str),
    /// `crit`, `b64: false`, or a `typ` that is no access token's.
    #[error("the header's `{0}` asks for something that is not supported")]
    Unsupported(&'static str),
    /// Also `none`.
    #[error("the header's `alg` is not a supported algorithm")]
    UnknownAlgorithm,
    /// A key with the token's `kid` may exist, but it is bound to another algorithm.
    #[error("no key for {0} that the token may use")]
    WrongAlgorithm(Algorithm),
    #[error("no key has the token's `kid`")]
    UnknownKey,
    #[error("the signature does not match")]
    BadSignature,
    #[error("the {} claim is missing", .0.as_str())]
    MissingClaim(Claim),
    #[error("the {} claim has a wrong type or value", .0.as_str())]
    BadClaim(Claim),
    #[error("the {} claim is no name: {error}", claim.as_str())]
    BadName { claim: Claim, error: NameError },
    #[error("the token names two different tenants")]
    TenantConflict,
    #[error("the token expired {ago_s} s ago")]
    Expired { ago_s: u64 },
    #[error("the token is valid only in {in_s} s")]
    NotYetValid { in_s: u64 },
    #[error("the token was issued {in_s} s in the future")]
    IssuedInFuture { in_s: u64 },
    #[error("the token is from another issuer")]
    WrongIssuer,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token was revoked")]
    Revoked,
}

impl AuthError {
    /// A short stable label for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Parts | Self::Base64(_) | Self::Json { .. } | Self::HeaderMember(_) => "malformed",
            Self::Unsupported(_) => "unsupported",
            Self::UnknownAlgorithm | Self::WrongAlgorithm(_) => "wrong_algorithm",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::MissingClaim(_) => "missing_claim",
            Self::BadClaim(_) | Self::BadName { .. } => "bad_claim",
            Self::TenantConflict => "tenant_conflict",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } | Self::IssuedInFuture { .. } => "not_yet_valid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a key was not taken. The configuration adds where it came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    #[error("a secret needs {} bytes at least, this one has {bytes}", super::SECRET_BYTES_MIN)]
    SecretTooShort { bytes: usize },
    /// Anyone who has the public key could sign with it.
    #[error("a PEM document is no HMAC secret")]
    SecretIsPem,
    /// A secret for a public-key algorithm or the other way round.
    #[error("{0} does not use this kind of key material")]
    WrongMaterial(Algorithm),
    #[error("{0} cannot sign here, only verify")]
    VerifyOnly(Algorithm),
    #[error("not one PEM document")]
    Pem,
    #[error("the PEM label must be `{0}`")]
    PemLabel(&'static str),
    #[error("the PEM document does not hold a valid key of its kind")]
    Der,
    #[error("the key is for another algorithm than {0}")]
    WrongFamily(Algorithm),
    #[error("an RSA key needs 2048 to 8192 bits, this one has {bits}")]
    RsaBits { bits: usize },
    #[error("more than {max} keys for {0}", max = super::KEYS_PER_ALGORITHM_MAX)]
    TooMany(Algorithm),
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Claims => "claims set",
            Self::Signature => "signature",
        }
    }
}

impl Claim {
    fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tenant => "tenant",
            Self::Expiry => "expiry",
            Self::NotBefore => "not-before",
            Self::IssuedAt => "issued-at",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Abilities => "abilities",
            Self::TokenId => "token id",
        }
    }
}
