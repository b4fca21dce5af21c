//! Why a token was refused or a key not taken. The variants carry facts for logs and for `ringway token check`;
//! none carries the token, a secret or a claim's text, so that an error can always be written down.

use super::algorithm::Algorithm;
use crate::base::NameError;

/// What is read: the two JSON objects and the signature of a compact JWS; what a server says of an opaque token, and its
/// set of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Header,
    Claims,
    Signature,
    Answer,
    Keys,
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
    Roles,
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
    /// Opaque, and the introspection server knows it not, or no longer.
    #[error("the token is not, or no longer, valid")]
    Refused,
    /// Opaque, and nobody could say whose it is. It may be good: the client should come again.
    #[error("tokens cannot be looked up at the moment: {0}")]
    Unavailable(Unjudged),
}

/// Why nothing is known of an opaque token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unjudged {
    #[error("too many are being looked up")]
    Busy,
    #[error("too many of your address are being looked up")]
    Share,
    /// The breaker is open.
    #[error("the introspection server has failed again and again")]
    Down,
    #[error("the introspection server does not answer")]
    Silent,
    /// Neither a 2xx nor a 401 or 403.
    #[error("the introspection server has failed")]
    Status,
    /// A 2xx that does not say who it is.
    #[error("the introspection server's answer cannot be read")]
    Unreadable,
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
            Self::Refused => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Whether the token is none that a key of ours has signed, so that somebody else may know whose it is.
    pub fn is_of_no_key(&self) -> bool {
        match self {
            Self::Parts
            | Self::Base64(_)
            | Self::Json { part: Part::Header, .. }
            | Self::HeaderMember(_)
            | Self::UnknownAlgorithm
            | Self::WrongAlgorithm(_)
            | Self::UnknownKey
            | Self::BadSignature => true,
            Self::TooLong { .. }
            | Self::Json { part: Part::Claims | Part::Signature | Part::Answer | Part::Keys, .. }
            | Self::Unsupported(_)
            | Self::MissingClaim(_)
            | Self::BadClaim(_)
            | Self::BadName { .. }
            | Self::TenantConflict
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::IssuedInFuture { .. }
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::Revoked
            | Self::Refused
            | Self::Unavailable(_) => false,
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
    /// ROCA, CVE-2017-15361.
    #[error(
        "the RSA key was made by a broken generator (ROCA, CVE-2017-15361): its private half can be found out of this one"
    )]
    Roca,
    #[error("more than {max} keys for {0}", max = super::KEYS_PER_ALGORITHM_MAX)]
    TooMany(Algorithm),
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Claims => "claims set",
            Self::Signature => "signature",
            Self::Answer => "description by the introspection server",
            Self::Keys => "set of keys",
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
            Self::Roles => "roles",
            Self::Abilities => "abilities",
            Self::TokenId => "token id",
        }
    }
}
