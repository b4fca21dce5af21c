//! What one shard sends another.
//!
//! Two kinds, in two lanes. An [`Ask`] goes to a room's home shard and makes it send; a [`Tell`] comes from there. A
//! shard takes tells at all times and stops taking asks while it cannot hand on tells. What tells make a shard send is
//! bounded and gets used up: a `Vacate` for each membership that ends, and what the requests ask that were read behind
//! a page, when a report completes it. So no ring of full mailboxes can stand still.

use std::sync::Arc;

use super::{report::Report, survey::Want};
use crate::{
    base::{ConnId, RoomKey, ShardId, UserName},
    model::{CorrelationId, Fault, Json, Message, MessageId, Payload, Position, Reply},
};

/// Who asked, and where the answer goes.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A client's connection. Without an id it is told of failure only.
    Client { conn: ConnId, call: Option<CorrelationId> },
}

impl Caller {
    /// The connection that waits for the answer.
    pub fn conn(&self) -> ConnId {
        match self {
            Self::Client { conn, .. } => *conn,
        }
    }

    /// Whether it is told of success.
    pub fn wants_success(&self) -> bool {
        match self {
            Self::Client { call, .. } => call.is_some(),
        }
    }
}

/// One parcel.
#[derive(Debug)]
pub enum Parcel {
    Ask(Ask),
    Tell(Tell),
}

/// To the shard that orders a room, or that has something to report.
#[derive(Debug)]
pub enum Ask {
    Join {
        key: RoomKey,
        conn: ConnId,
        call: Option<CorrelationId>,
        metadata: Option<Json>,
        /// What the client has of the room.
        since: Option<Position>,
    },
    Leave {
        key: RoomKey,
        conn: ConnId,
        call: Option<CorrelationId>,
    },
    /// No member is left on the sending shard, which has seen `joins` answers.
    Vacate {
        key: RoomKey,
        joins: u32,
    },
    Publish(Box<Publish>),
    /// Messages that the room keeps: the first behind `since`, or the last ones.
    History {
        key: RoomKey,
        caller: Caller,
        since: Option<Position>,
        limit: Option<u32>,
    },
    /// What the shard knows of itself, for a page that covers the node.
    Survey {
        survey: u64,
        want: Want,
    },
}

/// A publication on its way to its order.
#[derive(Debug)]
pub struct Publish {
    pub key: RoomKey,
    pub caller: Caller,
    pub from: UserName,
    pub payload: Payload,
    pub message_id: Option<MessageId>,
    /// To be kept in the room's history.
    pub persistent: bool,
    pub echo: bool,
    /// When its frame was received: monotonic microseconds.
    pub received_us: u64,
}

/// What a join brings of what the client has missed.
#[derive(Debug)]
pub enum Recovery {
    /// It did not ask.
    NotAsked,
    /// All of it, in order.
    Missed(Vec<Arc<Message>>),
    /// That it would be all cannot be shown.
    Impossible,
}

/// From a room's home shard, in the room's order.
#[derive(Debug)]
pub enum Tell {
    Joined {
        key: RoomKey,
        conn: ConnId,
        call: Option<CorrelationId>,
        metadata: Option<Json>,
        position: Position,
        recovery: Recovery,
        joins: u32,
    },
    Left {
        key: RoomKey,
        conn: ConnId,
        call: Option<CorrelationId>,
    },
    Published {
        message: Arc<Message>,
        /// The sender's connection, which asked for no echo.
        except: Option<ConnId>,
        received_us: u64,
    },
    /// What became of what somebody asked.
    Answer {
        caller: Caller,
        result: Result<Reply, Fault>,
    },
    Report {
        survey: u64,
        report: Box<Report>,
    },
}

/// The shard that orders a room on a node of `shards` shards.
pub(super) fn home_of(key: &RoomKey, shards: u16) -> ShardId {
    ShardId((key.id().0 % u64::from(shards.max(1))) as u16)
}
