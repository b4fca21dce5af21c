//! What a shard knows of itself, for the pages that cover the node.

use super::Engine;
use crate::{
    base::{RoomKey, ShardId},
    conn::{SocketKind, Stage},
    metrics::{Protocol, ShardMetrics, Status},
};

/// How many rooms and talkers a shard names.
const TOP: usize = 100;

/// One shard's report.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) shard: ShardId,
    pub(super) metrics: ShardMetrics,
    /// The rooms with the most members here.
    pub(super) rooms: Vec<(RoomKey, usize)>,
    /// The connections that sent the most messages.
    pub(super) talkers: Vec<Talker>,
}

/// A connection that sends much.
#[derive(Clone, Debug)]
pub(super) struct Talker {
    pub(super) tenant: String,
    pub(super) user: String,
    pub(super) connection: String,
    pub(super) messages: u32,
}

/// What the shell knows of process and node, as of a second ago at most.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    pub uptime_s: f64,
    /// Processor time of all threads.
    pub cpu_s: f64,
    pub resident_bytes: u64,
    /// What the machine or the control group allows.
    pub memory_bytes_max: u64,
    pub fds_open: u64,
    pub fds_max: u64,
    pub started_unix_s: f64,
    /// Connections of the other shards.
    pub other_connections: usize,
    /// By shard.
    pub shards: Vec<ShardFacts>,
}

/// What the shell knows of one shard's loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardFacts {
    /// How long ago its loop last came round.
    pub turned_ago_ms: u64,
    /// The longest turn of the last second.
    pub lag_us: u64,
}

impl Engine {
    /// Counts what is there now; the counters of what has happened are kept as it happens.
    pub(super) fn report(&mut self) -> Report {
        self.count_connections();
        self.metrics.rooms = self.home.len() as u64;
        self.metrics.room_subscriptions = self.roster.subscriptions() as u64;
        self.metrics.outbound_queue_bytes = self.store.bytes();
        Report {
            shard: self.shard,
            metrics: self.metrics.clone(),
            rooms: self.largest_rooms(),
            talkers: self.top_talkers(),
        }
    }

    fn count_connections(&mut self) {
        let active = &mut self.metrics.active;
        active.begin_recount();
        for (_, _, conn) in self.conns.iter() {
            match &conn.stage {
                Stage::Http(_) => active.opened(None, Status::Pending, Protocol::Http),
                Stage::Socket(socket) => match &socket.kind {
                    SocketKind::Echo => active.opened(None, Status::Pending, Protocol::Echo),
                    SocketKind::Pending { .. } => active.opened(None, Status::Pending, Protocol::Json),
                    SocketKind::Json(session) => {
                        active.opened(Some(&session.tenant), Status::Authenticated, Protocol::Json);
                    }
                },
                Stage::Closing { .. } => {}
            }
        }
    }

    fn largest_rooms(&self) -> Vec<(RoomKey, usize)> {
        let mut rooms: Vec<_> = self.roster.sizes().collect();
        rooms.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(two.0)));
        rooms.into_iter().take(TOP).map(|(key, size)| (key.clone(), size)).collect()
    }

    fn top_talkers(&self) -> Vec<Talker> {
        let mut talkers: Vec<_> = self.conns.iter().filter(|(_, _, conn)| conn.messages > 0).collect();
        talkers.sort_by_key(|(slot, _, conn)| (std::cmp::Reverse(conn.messages), *slot));
        let named = talkers.into_iter().filter_map(|(slot, generation, conn)| {
            let Stage::Socket(socket) = &conn.stage else { return None };
            let SocketKind::Json(session) = &socket.kind else { return None };
            let id = crate::base::ConnId { shard: self.shard, slot, generation };
            Some(Talker {
                tenant: session.tenant.to_string(),
                user: session.user.to_string(),
                connection: id.public(self.config.node),
                messages: conn.messages,
            })
        });
        named.take(TOP).collect()
    }
}
