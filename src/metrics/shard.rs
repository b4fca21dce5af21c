//! Everything that one shard counts.

use super::{
    active::ActiveConnections,
    counters::{CounterGrid, CounterVec},
    histogram::Histogram,
    labels::{
        AuthCache, Disconnect, Dropped, ErrorType, OutsideResult, Protocol, QualityClass, RateLimit,
        Received, Reject, Sent, Signed, Table, Unasked,
    },
};
use crate::base::{NoPlace, ShardId};

/// One shard's counters and gauges. The shard's engine writes them with plain additions; a clone is a snapshot, which
/// travels to the shard that answers a scrape.
#[derive(Clone, Debug)]
pub struct ShardMetrics {
    pub shard: ShardId,

    /// Open connections.
    pub active: ActiveConnections,
    /// Connections taken.
    pub connections: u64,
    /// Connections ended; together with the open ones they are those taken.
    pub disconnections: CounterVec<Disconnect>,
    /// Connections not taken, and upgrades refused.
    pub rejected: CounterVec<Reject>,
    /// Calls of the API that had to be signed.
    pub signed: CounterVec<Signed>,
    /// Tokens looked up before they were verified.
    pub auth_cache: CounterVec<AuthCache>,
    /// Calls about opaque tokens.
    pub introspection_calls: CounterVec<OutsideResult>,
    /// From such a call to its end.
    pub introspection_duration: Histogram,
    /// Opaque tokens looked up before anybody was asked.
    pub introspection_cache: CounterVec<AuthCache>,
    /// Gauge: 1 while the breaker keeps this shard from asking.
    pub introspection_breaker: u64,
    /// Calls about resources.
    pub resource_calls: CounterVec<OutsideResult>,
    /// From such a call to its end.
    pub resource_duration: Histogram,
    /// Looks at what resources' servers have said before.
    pub resource_cache: CounterVec<AuthCache>,
    /// Commands that were refused because nobody could be asked.
    pub resource_unasked: CounterVec<Unasked>,
    /// Gauge: servers of resources that breakers keep this shard from asking.
    pub resource_breakers: u64,
    /// Gauge: bytes of messages that wait for what is said of their rooms.
    pub resource_held_bytes: u64,

    /// Messages from clients.
    pub received: CounterGrid<Received, Protocol>,
    /// Messages to clients, each recipient's counted.
    pub sent: CounterGrid<Sent, Protocol>,
    /// Bytes read from sockets.
    pub received_bytes: u64,
    /// Bytes written to sockets.
    pub sent_bytes: u64,
    /// From a message's frame received to written to the socket of its last recipient on the same shard.
    pub message_latency: Histogram,

    /// Gauge: rooms whose home this shard is.
    pub rooms: u64,
    /// Gauge: memberships of this shard's connections.
    pub room_subscriptions: u64,

    /// Joins that brought all that the client had missed.
    pub history_recovered: u64,
    /// Joins that could not.
    pub history_unrecoverable: u64,
    /// Gauge: messages in the logs of this shard's rooms.
    pub history_messages: u64,
    /// Gauge: bytes of these logs.
    pub history_bytes: u64,
    /// Messages given up for others, before their time.
    pub history_evicted: u64,
    /// Sends that were acked as repeats.
    pub history_repeated: u64,
    /// Gauge: revocations that are remembered; every shard remembers all.
    pub revocations: u64,
    /// Gauge: requests that were asked on this shard and wait for their answer.
    pub pending_requests: u64,
    /// Requests that had no answer in time.
    pub request_timeouts: u64,
    /// From a request to its answer.
    pub request_duration: Histogram,
    /// Requests that the sweep found although they were over; 0 unless the code is wrong.
    pub stray_requests: u64,

    /// Faults told to clients, and breaches of HTTP and WebSocket.
    pub errors: CounterVec<ErrorType>,
    /// Frames given up.
    pub dropped: CounterVec<Dropped>,
    /// What was refused for being asked too often.
    pub rate_limited: CounterVec<RateLimit>,
    /// What was refused because who asked had his share of a table.
    pub share_full: CounterVec<Table>,
    /// What was refused because a table was full.
    pub table_full: CounterVec<Table>,
    /// Addresses, users and tenants whose limits were forgotten early, since so many others came.
    pub limits_forgotten: u64,
    /// Gauge: bytes in all outboxes.
    pub outbound_queue_bytes: u64,
    /// Connections closed because their outbox was full.
    pub slow_consumers: u64,
    /// How often a connection was not read for a while, since what it had sent waited, or any more, behind its last answer.
    pub reads_paused: u64,
    /// Tokens whose signature was checked in a later turn, since enough were in that one.
    pub signatures_deferred: u64,

    /// Lengths of the shard's turns: what comes meanwhile waits so long.
    pub loop_lag: Histogram,
    /// Gauge: parcels that wait for this shard.
    pub mailbox_depth: u64,
    /// Parcels of this shard for which another's mailbox had no room.
    pub mailbox_full: u64,
    /// Round trips of WebSocket ping and pong.
    pub rtt: Histogram,
    /// Gauge: connections with an identity.
    pub quality: CounterVec<QualityClass>,
}

impl ShardMetrics {
    /// All zero.
    pub fn new(shard: ShardId) -> Self {
        Self {
            shard,
            active: ActiveConnections::default(),
            connections: 0,
            disconnections: CounterVec::default(),
            rejected: CounterVec::default(),
            signed: CounterVec::default(),
            auth_cache: CounterVec::default(),
            introspection_calls: CounterVec::default(),
            introspection_duration: Histogram::default(),
            introspection_cache: CounterVec::default(),
            introspection_breaker: 0,
            resource_calls: CounterVec::default(),
            resource_duration: Histogram::default(),
            resource_cache: CounterVec::default(),
            resource_unasked: CounterVec::default(),
            resource_breakers: 0,
            resource_held_bytes: 0,
            received: CounterGrid::default(),
            sent: CounterGrid::default(),
            received_bytes: 0,
            sent_bytes: 0,
            message_latency: Histogram::default(),
            rooms: 0,
            room_subscriptions: 0,
            history_recovered: 0,
            history_unrecoverable: 0,
            history_messages: 0,
            history_bytes: 0,
            history_evicted: 0,
            history_repeated: 0,
            revocations: 0,
            pending_requests: 0,
            request_timeouts: 0,
            request_duration: Histogram::default(),
            stray_requests: 0,
            errors: CounterVec::default(),
            dropped: CounterVec::default(),
            rate_limited: CounterVec::default(),
            share_full: CounterVec::default(),
            table_full: CounterVec::default(),
            limits_forgotten: 0,
            outbound_queue_bytes: 0,
            slow_consumers: 0,
            reads_paused: 0,
            signatures_deferred: 0,
            loop_lag: Histogram::default(),
            mailbox_depth: 0,
            mailbox_full: 0,
            rtt: Histogram::default(),
            quality: CounterVec::default(),
        }
    }
}

impl ShardMetrics {
    /// Counts what was refused for want of a place.
    pub fn no_place(&mut self, table: Table, why: NoPlace) {
        match why {
            NoPlace::Share => self.share_full.inc(table),
            NoPlace::Total => self.table_full.inc(table),
        }
    }
}

const _: () = {
    const fn travels<T: Clone + Send>() {}
    travels::<ShardMetrics>();
};
