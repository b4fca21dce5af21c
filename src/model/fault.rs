//! What a client did wrong, or what the gateway could not do for it.

use std::borrow::Cow;

/// The closed list of error codes; each has the HTTP status that a REST API would give.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultCode {
    Unauthenticated,
    Forbidden,
    NotFound,
    NoTarget,
    Conflict,
    TooLarge,
    RateLimited,
    BadRequest,
    UnknownType,
    Unavailable,
    Timeout,
    Internal,
}

impl FaultCode {
    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::NoTarget => "no_target",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::BadRequest => "bad_request",
            Self::UnknownType => "unknown_type",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status of the same failure.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::UnknownType => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::NoTarget => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// A failure as the client is told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub code: FaultCode,
    /// For people: what is wrong and what would be right. Holds no secret and no payload.
    pub message: Cow<'static, str>,
    /// With `rate_limited`: when to try again, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    /// A fault without a retry time.
    pub fn new(code: FaultCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }
}
