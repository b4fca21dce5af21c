//! What clients ask, in whichever dialect they ask it. A room's name borrows from the message where its
//! spelling allows, so that to name a room already joined allocates nothing.

use std::sync::Arc;

use super::{
    event::Position,
    json::{Json, Payload},
    presence::Availability,
    request::{Request, Response},
};
use crate::base::{RoomId, RoomRef, Secret, TenantName, UserName};

/// A command with the client's own name for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Call<'a> {
    /// With it the client gets exactly one ack; without it success is silent.
    pub id: Option<CorrelationId>,
    pub command: Command<'a>,
}

/// A client's name for one of its calls, kept as the JSON text that the client wrote
/// (a string that says at most 64 bytes, or an integer).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorrelationId(Box<str>);

impl CorrelationId {
    /// Takes JSON text that the caller has checked to be a short string or an integer.
    pub fn from_checked(json: &str) -> Self {
        Self(Box::from(json))
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// Everything a client can ask.
#[derive(Clone, PartialEq, Debug)]
pub enum Command<'a> {
    Authenticate(Authenticate),
    Ping,
    Join(Join<'a>),
    Leave {
        room: RoomRef<'a>,
    },
    /// Join of a channel whose short name may stand for a template's expansion.
    Subscribe {
        channel: RoomRef<'a>,
    },
    Unsubscribe {
        channel: RoomRef<'a>,
    },
    Send(Send<'a>),
    Relay(Relay),
    /// The rooms that this connection has joined.
    Rooms,
    /// How the client shows himself in the rooms of this connection.
    PresenceStatus {
        status: Availability,
        /// In place of what was said before, in each of them.
        metadata: Option<Json>,
    },
    /// The client is there.
    PresenceHeartbeat {
        status: Option<Availability>,
    },
    /// Who is in a room, by user id.
    QueryPresence {
        room: RoomRef<'a>,
        /// The last user of the page before.
        after: Option<UserName>,
        /// The most users of the page.
        limit: Option<u32>,
    },
    History(History<'a>),
    Request(Box<Request>),
    Response(Response),
}

/// Who the client says it is; also replaces the token of an open connection.
#[derive(Clone, PartialEq, Debug)]
pub struct Authenticate {
    pub token: Secret,
    /// Must equal the token's tenant when given.
    pub tenant: Option<TenantName>,
}

/// Become a member of a room.
#[derive(Clone, PartialEq, Debug)]
pub struct Join<'a> {
    pub room: RoomRef<'a>,
    pub metadata: Option<Json>,
    /// Whether presence events are wanted.
    pub presence: bool,
    /// What the client has of the room: what came after it is wanted.
    pub since: Option<Position>,
}

/// A publication's idempotency key, 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// The longest key, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// `None` when `text` is empty, too long or holds control characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::BYTES_MAX && !text.chars().any(char::is_control);
        fits.then(|| Self(Arc::from(text)))
    }

    /// The key as text (not JSON-escaped).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Publish to a room.
#[derive(Clone, PartialEq, Debug)]
pub struct Send<'a> {
    pub room: RoomRef<'a>,
    pub payload: Json,
    /// Keep it in the room's history.
    pub persistent: bool,
    pub message_id: Option<MessageId>,
    /// Deliver it to the sending connection too.
    pub echo: bool,
}

/// Read messages that a room keeps.
#[derive(Clone, PartialEq, Debug)]
pub struct History<'a> {
    pub room: RoomRef<'a>,
    /// The first messages behind this; without it, the last ones.
    pub since: Option<Position>,
    /// How many at most; without it, as many as fit on a page.
    pub limit: Option<u32>,
}

/// Publish opaque bytes to a room.
#[derive(Clone, PartialEq, Debug)]
pub struct Relay {
    /// One of those that the connection has joined.
    pub room: RoomId,
    pub payload: Payload,
}
