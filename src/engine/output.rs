//! What the engine asks of the shell, and what it lets the log know.

use std::net::IpAddr;

use super::parcel::Parcel;
use crate::{
    base::{ConnId, ShardId, TenantName, UserName},
    metrics::{Disconnect, RateLimit},
};

/// Something for the shell to do.
#[derive(Debug)]
pub enum Output {
    /// Hand a parcel to another shard, in order.
    Parcel { to: ShardId, parcel: Parcel },
    /// Close the socket and forget it.
    Close { conn: ConnId },
    /// Receive again from a connection for which [`super::Engine::is_paused`] has said yes.
    ResumeReading { conn: ConnId },
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
    SlowConsumer {
        conn: ConnId,
        peer: IpAddr,
    },
    /// Something was refused for a limit of rates or addresses.
    RateLimited {
        peer: IpAddr,
        limit: RateLimit,
    },
    /// Requests waited that were over: an error of the gateway, repaired.
    StrayRequests {
        count: usize,
    },
}
