//! What the engine asks of the shell, and what it lets the log know.

use std::net::IpAddr;

use super::parcel::Parcel;
use crate::{
    base::{ConnId, ShardId, TenantName, UserName},
    metrics::Disconnect,
};

/// Something for the shell to do.
#[derive(Debug)]
pub enum Output {
    /// Hand a parcel to another shard, in order.
    Parcel { to: ShardId, parcel: Parcel },
    /// Close the socket and forget it.
    Close { conn: ConnId },
    /// End our side of the stream; what still comes is read and dropped.
    ShutdownWrite { conn: ConnId },
    /// Drain the whole node, as a signal would.
    DrainNode,
    /// Take no new connections.
    StopAccepting,
    /// A drain is over: nobody is left on this shard.
    Drained,
    /// For the log.
    Notice(Notice),
}

/// What the log is told; never a token or a payload.
#[derive(Debug)]
pub enum Notice {
    Authenticated {
        conn: ConnId,
        peer: IpAddr,
        tenant: TenantName,
        user: UserName,
    },
    AuthFailed {
        conn: ConnId,
        peer: IpAddr,
        reason: &'static str,
    },
    Closed {
        conn: ConnId,
        peer: IpAddr,
        reason: Disconnect,
    },
    /// An upgrade from a page that is not allowed.
    OriginRefused {
        conn: ConnId,
        peer: IpAddr,
        /// As the browser says it, at most so many bytes.
        origin: Box<str>,
    },
    /// A connection that does not begin as it has to.
    ProxyRefused {
        conn: ConnId,
        peer: IpAddr,
        reason: &'static str,
    },
    SlowConsumer {
        conn: ConnId,
        peer: IpAddr,
    },
    /// Requests waited that were over: an error of the gateway, repaired.
    StrayRequests {
        count: usize,
    },
}
