//! What one shard sends another.
//!
//! Two kinds, in two lanes. An [`Ask`] goes to a room's home shard and makes it send; a [`Tell`] comes from there. A
//! shard takes tells at all times and stops taking asks while it cannot hand on tells. What tells make a shard send is
//! bounded and gets used up: a `Gone` for each membership that ends, and what the requests ask that were read behind
//! a page, when a report completes it. So no ring of full mailboxes can stand still.

use std::sync::Arc;

use super::report::Report;
use crate::{
    base::{ConnId, RoomKey, ShardId, UserName},
    hub::{Joiner, Showing},
    model::{CorrelationId, Fault, Json, Message, MessageId, Payload, PresenceChange, Reply},
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
        joiner: Joiner,
        call: Option<CorrelationId>,
    },
    Leave {
        key: RoomKey,
        conn: ConnId,
        user: UserName,
        call: Option<CorrelationId>,
    },
    /// A connection that is in the room, or has asked to join, is no more. Nobody is answered.
    Gone {
        key: RoomKey,
        conn: ConnId,
        user: UserName,
    },
    /// How a member shows himself. Nobody is answered.
    Show {
        key: RoomKey,
        conn: ConnId,
        user: UserName,
        showing: Showing,
    },
    /// A page of who is there.
    Presence {
        key: RoomKey,
        caller: Caller,
        after: Option<UserName>,
        limit: usize,
    },
    Publish(Box<Publish>),
    /// What the shard knows of itself, for a page that covers the node.
    Survey {
        survey: u64,
        /// Its largest rooms and top talkers are wanted, too.
        top: bool,
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
    pub echo: bool,
    /// When its frame was received: monotonic microseconds.
    pub received_us: u64,
}

/// From a room's home shard, in the room's order.
#[derive(Debug)]
pub enum Tell {
    Joined {
        key: RoomKey,
        conn: ConnId,
        call: Option<CorrelationId>,
        metadata: Option<Json>,
        epoch: u64,
        offset: u64,
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
    /// Who has come, gone or changed.
    Presence {
        key: RoomKey,
        change: Arc<PresenceChange>,
        /// The connection that has made the change.
        except: Option<ConnId>,
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
