//! What the engine asks of the shell, and what it lets the log know.

use std::net::IpAddr;

use super::parcel::Parcel;
use crate::{
    base::{ConnId, ShardId, TenantName, UserName},
    metrics::{Disconnect, RateLimit},
    model::{CallId, OutsideRequest},
};

/// Something for the shell to do.
#[derive(Debug)]
pub enum Output {
    /// Hand a parcel to another shard, in order.
    Parcel { to: ShardId, parcel: Parcel },
    /// Ask a server outside; what becomes of it comes back as [`super::Input::Called`].
    Call { call: CallId, request: OutsideRequest },
    /// A token named a key that nobody here knows: look whether the issuer has new ones.
    KeysWanted,
    /// Close the socket and forget it.
    Close { conn: ConnId },
    /// Receive again from a connection for which [`super::Engine::is_paused`] has said yes.
    ResumeReading { conn: ConnId },
    /// End our side of the stream; what still comes is read and dropped.
    ShutdownWrite { conn: ConnId },
    /// Drain the whole node, as a signal would.
    DrainNode,
    /// Take in who has connected, and no new connections; then say [`super::Input::DoorsClosed`].
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
    /// The introspection server does not answer, or not as it should.
    IntrospectionFailed {
        reason: String,
    },
    /// A server of resources does not answer, or not so that somebody may or may not.
    ResourceFailed {
        /// Which server, and what has become of the call.
        reason: String,
    },
    /// Something was refused for a limit.
    RateLimited {
        /// Where only the /64 of an IPv6 address is known, its first address.
        peer: IpAddr,
        limit: RateLimit,
    },
    /// Requests waited that were over: an error of the gateway, repaired.
    StrayRequests {
        count: usize,
    },
}
