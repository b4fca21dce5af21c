//! What one shard sends another.
//!
//! Two kinds, in two lanes. An [`Ask`] goes to a home shard, of a room, a payer or an address, or to one that has a part in a
//! request, and makes it send; a [`Tell`] comes from there. A shard takes tells at all times and stops taking asks while it cannot hand on
//! tells. What tells make a shard send is bounded and gets used up: a `Gone` for each membership that ends, a word for each
//! request of a connection that ends, another for each of its limits, and what the requests ask that were read behind
//! a page, when a report completes it, or behind an upgrade, when it is let in. So no ring of full mailboxes can stand still.

use std::sync::Arc;

use super::{
    api::{Errand, Found, Ticket},
    report::Report,
    survey::Want,
};
use crate::{
    auth::{Seen, SignatureMark},
    base::{ConnId, NodeId, Payer, PeerBlock, RequestId, RoomKey, SenderId, ShardId, TenantName, UserName},
    hub::{AddressFull, Joiner, Showing, Spent},
    model::{
        Answer, CorrelationId, Fault, Json, Message, MessageId, Payload, Position, PresenceChange, Reply,
        Requested,
    },
};

/// Who asked, and where the answer goes.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A client's connection. Without an id it is told of failure only.
    Client { conn: ConnId, call: Option<CorrelationId> },
    /// One of the things that a request of the API asks for.
    Api { ticket: Ticket, item: u32 },
}

impl Caller {
    /// The connection that waits for the answer.
    pub fn conn(&self) -> ConnId {
        match self {
            Self::Client { conn, .. } => *conn,
            Self::Api { ticket, .. } => ticket.conn(),
        }
    }

    /// From whom its publications are.
    pub fn sender(&self, node: NodeId) -> SenderId {
        match self {
            Self::Client { conn, .. } => SenderId::of(*conn, node),
            Self::Api { .. } => SenderId::BACKEND,
        }
    }

    /// Whether it is told of success.
    pub fn wants_success(&self) -> bool {
        match self {
            Self::Client { call, .. } => call.is_some(),
            Self::Api { .. } => true,
        }
    }
}

/// One parcel.
#[derive(Debug)]
pub enum Parcel {
    Ask(Ask),
    Tell(Tell),
}

/// To the shard that orders a room, that counts for a limit, that has something to report, or that has a part in a request.
#[derive(Debug)]
pub enum Ask {
    Join {
        key: RoomKey,
        joiner: Box<Joiner>,
        call: Option<CorrelationId>,
        /// What the client has of the room.
        since: Option<Position>,
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
    /// Messages that the room keeps: the first behind `since`, or the last ones.
    History {
        key: RoomKey,
        caller: Caller,
        since: Option<Position>,
        limit: Option<u32>,
    },
    /// What the shard is to do for a request of the API.
    Errand {
        ticket: Ticket,
        errand: Arc<Errand>,
    },
    /// Whether a signature has been seen, and remember it until then (Unix seconds).
    Signature {
        ticket: Ticket,
        mark: SignatureMark,
        until_s: u64,
    },
    /// Whom a request can be put to.
    Locate {
        request: RequestId,
        sought: Sought,
    },
    /// Who was found; nobody is an answer, too.
    Located {
        request: RequestId,
        found: Option<ConnId>,
    },
    /// Put a request to a connection.
    Request {
        request: RequestId,
        to: ConnId,
        letter: Box<Letter>,
    },
    /// What the connection says that was asked; nothing when it is gone, or never was there.
    Respond {
        request: RequestId,
        from: ConnId,
        answer: Option<Answer>,
        /// Who wants to know whether the answer counted.
        caller: Option<Caller>,
    },
    /// Nobody waits for the connection's answer any more.
    Withdraw {
        request: RequestId,
        conn: ConnId,
    },
    /// Messages of a payer have passed. Answered only when no more may.
    Spent(Spent),
    /// A connection of an address wants to become a WebSocket.
    Enter {
        peer: PeerBlock,
        conn: ConnId,
    },
    /// One that was let in has gone. Nobody is answered.
    Exit {
        peer: PeerBlock,
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

/// Somebody to put a request to.
#[derive(Clone, Debug)]
pub enum Sought {
    /// A connection of this user.
    User { tenant: TenantName, user: UserName },
    /// A member of this room; its home says on which shard.
    Room(RoomKey),
    /// A member of this room on the shard that is asked.
    Member(RoomKey),
}

/// A request on its way to the connection that is to answer.
#[derive(Debug)]
pub struct Letter {
    /// Only connections of this tenant get it.
    pub tenant: TenantName,
    /// Monotonic milliseconds.
    pub deadline_ms: u64,
    pub request: Requested,
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
    },
    /// The join came to nothing.
    Refused {
        key: RoomKey,
        conn: ConnId,
        call: Option<CorrelationId>,
        fault: Fault,
    },
    Left {
        key: RoomKey,
        conn: ConnId,
        call: Option<CorrelationId>,
    },
    /// The room is over, and so is every membership that it had.
    Ended {
        key: RoomKey,
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
    /// A payer may send no more until then, in monotonic milliseconds.
    Shut {
        payer: Payer,
        until_ms: u64,
    },
    /// Whether a connection may become a WebSocket.
    Entered {
        conn: ConnId,
        peer: PeerBlock,
        result: Result<(), AddressFull>,
    },
    ErrandDone {
        ticket: Ticket,
        found: Box<Found>,
    },
    Signature {
        ticket: Ticket,
        seen: Seen,
    },
    Report {
        survey: u64,
        report: Box<Report>,
    },
}

/// The shard that orders a room on a node of `shards` shards.
pub(super) fn home_of(key: &RoomKey, shards: u16) -> ShardId {
    home(key.id().0, shards)
}

/// The shard that knows what a payer has sent.
pub(super) fn home_of_payer(payer: &Payer, shards: u16) -> ShardId {
    home(payer.spread(), shards)
}

/// The shard that knows an address's connections.
pub(super) fn home_of_peer(peer: PeerBlock, shards: u16) -> ShardId {
    home(peer.spread(), shards)
}

fn home(spread: u64, shards: u16) -> ShardId {
    ShardId((spread % u64::from(shards.max(1))) as u16)
}
