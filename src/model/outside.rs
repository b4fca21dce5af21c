//! A question to a server of the operator's, over HTTP, and what became of it. Plain data: an engine asks, the shell
//! carries it out, and the answer comes back to the engine that asked.
//!
//! Invariants: a call is answered once; neither a token nor a body is ever printed.

use std::fmt;

use crate::base::Secret;

/// Which call of a shard; never given out twice by one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(pub u64);

/// A `GET`.
#[derive(Clone)]
pub struct OutsideRequest {
    /// Absolute, `http` or `https`. Whatever of it comes from a client is percent-encoded by who wrote it.
    pub url: Box<str>,
    /// For `Authorization: Bearer`: printable ASCII without spaces.
    pub bearer: Option<Secret>,
    /// For the whole exchange, a connection that has to be made first included.
    pub timeout_ms: u64,
    /// The longest body that is taken.
    pub body_bytes_max: usize,
    /// Whether a longer one is an error. Otherwise it is the status that counts, and the answer has no body then.
    pub wants_body: bool,
}

/// Of the URL what stands before its query, which may be a key.
impl fmt::Debug for OutsideRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutsideRequest({})", without_query(&self.url))
    }
}

/// What of a URL may be printed: its query may hold a key.
pub fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// What the server said. A redirect is an answer like any other: nobody follows it.
#[derive(Clone, PartialEq, Eq)]
pub struct OutsideAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl fmt::Debug for OutsideAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutsideAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutsideError {
    /// The URL or the token cannot be sent.
    #[error("the request cannot be sent as it is")]
    Unsendable,
    #[error("too many calls are under way")]
    Busy,
    /// No connection, or none that TLS agrees with.
    #[error("no connection to the server")]
    Connect,
    #[error("no answer in time")]
    Timeout,
    #[error("the answer is longer than allowed")]
    TooLong,
    /// The connection ended in the middle, or what came is no HTTP.
    #[error("the answer broke off or is no HTTP")]
    Broken,
}
