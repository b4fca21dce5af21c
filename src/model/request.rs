//! Requests: what one client, or the backend, asks of another, and the one answer.

use super::json::Json;
use crate::base::{ConnId, NodeId, RequestId, RoomName, UserName};

/// Ask somebody for an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub to: Target,
    pub method: Method,
    pub payload: Json,
    /// How long to wait for the answer, in milliseconds; the configuration says where this does not.
    pub timeout_ms: Option<u64>,
}

/// Who is to answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// One of a user's connections, whichever the gateway takes, but never the one that asks.
    User(UserName),
    /// This connection and no other.
    Connection { node: NodeId, conn: ConnId },
    /// One member of a room, whichever the gateway takes. No client can ask so.
    Member(RoomName),
}

/// What a request is about: 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method(Box<str>);

impl Method {
    /// The longest one, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// `None` when `text` is empty, too long or holds control characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::BYTES_MAX && !text.chars().any(char::is_control);
        fits.then(|| Self(Box::from(text)))
    }

    /// The method as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request as the one who is to answer gets it.
#[derive(Clone, PartialEq, Debug)]
pub struct Requested {
    /// Who asks; nobody where the backend does.
    pub from: Option<UserName>,
    pub method: Method,
    pub payload: Json,
    /// When nobody waits for the answer any more, in Unix milliseconds.
    pub deadline: u64,
}

/// Answer a request.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// `None` when its correlation id is none that a gateway gives.
    pub request: Option<(NodeId, RequestId)>,
    pub answer: Answer,
}

/// What the one who was asked says.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    Payload(Json),
    /// That it failed there: an object with at least `code` and `message`, both strings, as its author wrote it.
    Error(Json),
}
