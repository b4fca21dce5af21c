//! What clients are told, in whichever dialect they are told it.

use std::{num::NonZeroU64, sync::Arc};

use super::{
    command::{CorrelationId, MessageId},
    fault::Fault,
    json::{Json, Payload},
    presence::{PresenceChange, PresencePage},
    request::{Answer, Requested},
};
use crate::base::{RoomId, RoomKey, RoomName, SenderId, TenantName, UserName};

/// Everything a client can be told.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The one answer to a call that carried an id.
    Ack {
        id: CorrelationId,
        result: Result<Reply, Fault>,
    },
    Established(Box<Established>),
    RoomJoined {
        room: RoomName,
        metadata: Option<Json>,
    },
    RoomLeft {
        room: RoomName,
    },
    /// Shared by all shards that have members.
    Message(Arc<Message>),
    /// Who has come, gone or changed; shared likewise.
    Presence {
        room: RoomName,
        change: Arc<PresenceChange>,
    },
    /// Somebody wants an answer, under this correlation id.
    Request {
        correlation_id: String,
        request: Box<Requested>,
    },
    /// The token ends soon. Milliseconds.
    TokenExpiring {
        expires_in_ms: u64,
    },
    /// The node restarts. Milliseconds, spread so that clients do not return all at once.
    Restart {
        reason: &'static str,
        reconnect_in_ms: u64,
    },
    /// A failure that belongs to no call with an id.
    Error(Fault),
    /// Answer to `ping`. Unix milliseconds.
    Pong {
        timestamp: u64,
    },
}

/// What an ack carries beside success.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    Authenticated(Box<Authenticated>),
    Joined(Box<Joined>),
    Left,
    Sent {
        message_id: MessageName,
        offset: Option<NonZeroU64>,
    },
    Rooms {
        rooms: Vec<RoomName>,
    },
    /// Taken, and nothing to say about it.
    Noted,
    Presence(Box<PresencePage>),
    History(Box<HistoryPage>),
    /// What the one who was asked says, which need not be success.
    Answered(Answer),
    /// The answer went to who waits for it.
    Responded,
}

/// The connection has an identity, or a new token for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Authenticated {
    pub connection_id: String,
    pub user: UserName,
    pub tenant: TenantName,
    /// Unix milliseconds; `None` for a token without `exp`.
    pub expires_at: Option<u64>,
}

/// First message of an authenticated connection.
#[derive(Clone, PartialEq, Debug)]
pub struct Established {
    pub connection_id: String,
    pub user: UserName,
    pub tenant: TenantName,
    pub heartbeat_interval_ms: u64,
    pub heartbeat_timeout_ms: u64,
    /// The largest message that the gateway takes, in bytes.
    pub message_bytes_max: usize,
    /// The most rooms that one connection may be in; 0: no limit.
    pub rooms_max: usize,
    pub rates: Rates,
    /// The node's id as text.
    pub node: String,
}

/// How many messages a client may send, so that it can keep to it; 0: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// Of its connection, pings among them.
    pub messages_per_10s: u32,
    /// Of their bytes, after decompression.
    pub bytes_per_10s: u32,
    /// Of all its user's connections.
    pub user: BurstRate,
    /// Of all its tenant's.
    pub tenant: BurstRate,
}

/// So many messages a second, so many of them at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BurstRate {
    pub per_s: u32,
    pub burst: u32,
}

/// The connection is a member; live messages follow without a gap.
#[derive(Clone, PartialEq, Debug)]
pub struct Joined {
    pub room: RoomName,
    pub room_id: RoomId,
    /// Where the room stood at the join.
    pub position: Position,
    /// What the client had missed follows, all of it.
    pub recovered: bool,
}

/// A place in a room's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Of the last message that counts; 0 before the first.
    pub offset: u64,
    /// The lifetime of the room in which offsets mean something.
    pub epoch: u64,
}

/// Messages of a room's history, in their order, and where the room stands.
#[derive(Clone, PartialEq, Debug)]
pub struct HistoryPage {
    pub messages: Vec<Arc<Message>>,
    pub position: Position,
}

/// A publication as members get it.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    pub id: MessageName,
    /// Members are told the room's name.
    pub key: RoomKey,
    pub from: UserName,
    /// The connection that it is from.
    pub sender: SenderId,
    pub payload: Payload,
    /// Unix milliseconds when the home shard accepted it.
    pub timestamp: u64,
    /// Its place in the room's history, if it is kept there.
    pub offset: Option<NonZeroU64>,
}

impl Message {
    /// About how many bytes it takes as text, names and what stands around them included.
    pub fn text_bytes(&self) -> usize {
        const AROUND: usize = 192;
        let payload = match &self.payload {
            Payload::Json(json) => json.as_bytes().len(),
            Payload::Opaque(bytes) => bytes.len().div_ceil(3) * 4,
        };
        AROUND + self.key.room.as_str().len() + self.from.as_str().len() + payload
    }
}

/// What a message is called; made without allocating where the sender gave no name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageName {
    /// The sender's idempotency key.
    Given(MessageId),
    /// Which one it is of all that its room accepted: written as the epoch's upper half in eight hexadecimal digits, a
    /// dash, and the number.
    Numbered { epoch: u64, number: u64 },
}
