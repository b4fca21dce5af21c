//! What a shard knows of itself, for the pages that cover the node.

use std::cmp::{Ordering, Reverse};

use super::{Engine, quality::FoundConnections, survey::Want};
use crate::{
    base::{ConnId, Now, RoomKey, ShardId},
    conn::{SocketKind, Stage},
    metrics::{Flows, KeysStats, Lately, ReloadStats, ShardMetrics},
};

/// How many rooms and talkers a shard names.
const TOP: usize = 100;

/// One shard's report.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) shard: ShardId,
    pub(super) metrics: ShardMetrics,
    pub(super) lately: Lately,
    /// The rooms with the most members here; none unless they were asked for.
    pub(super) rooms: Vec<(RoomKey, usize)>,
    /// The connections that sent the most messages; none unless they were asked for.
    pub(super) talkers: Vec<Talker>,
    /// The connections that were asked for, for each page.
    pub(super) connections: Vec<FoundConnections>,
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
    /// What has become of the issuer's set of keys.
    pub keys: KeysStats,
    /// What has become of reloads of the configuration.
    pub reloads: ReloadStats,
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
    /// Looks at what is there now; the counters of what has happened are kept as it happens.
    pub(super) fn report(&mut self, want: &Want, now: Now) -> Report {
        self.metrics.rooms = self.home.occupied() as u64;
        let history = self.home.history_counts();
        self.metrics.history_messages = history.messages;
        self.metrics.history_bytes = history.bytes;
        self.metrics.history_evicted = history.evicted;
        self.metrics.history_repeated = history.repeated;
        self.metrics.limits_forgotten = self.spending.crowded_out() + self.admission.crowded_out();
        self.metrics.room_subscriptions = self.roster.subscriptions() as u64;
        self.metrics.introspection_breaker = u64::from(self.introspections.is_breaker_open());
        self.metrics.resource_breakers = self.words.breakers_open();
        self.metrics.resource_held_bytes = self.words.held_bytes();
        self.metrics.pending_requests = self.requests.pending.len() as u64;
        self.metrics.outbound_queue_bytes = self.store.bytes();
        let mut report = Report {
            shard: self.shard,
            metrics: self.metrics.clone(),
            lately: self.traffic.lately(Flows::of(&self.metrics), now),
            rooms: Vec::new(),
            talkers: Vec::new(),
            connections: self.find_connections(&want.connections),
        };
        if want.top {
            report.rooms = self.largest_rooms();
            report.talkers = self.top_talkers();
        }
        report
    }

    fn largest_rooms(&self) -> Vec<(RoomKey, usize)> {
        let largest =
            first(self.roster.sizes(), TOP, |one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(two.0)));
        largest.into_iter().map(|(key, size)| (key.clone(), size)).collect()
    }

    fn top_talkers(&self) -> Vec<Talker> {
        let talkers = self.conns.iter().filter_map(|(slot, generation, conn)| match &conn.stage {
            Stage::Socket(socket) if conn.messages > 0 => match &socket.kind {
                SocketKind::Json(session) => Some((conn.messages, slot, generation, session)),
                SocketKind::Echo | SocketKind::Pending { .. } => None,
            },
            Stage::Socket(_) | Stage::Http(_) | Stage::Closing { .. } => None,
        });
        let top = first(talkers, TOP, |one, two| (Reverse(one.0), one.1).cmp(&(Reverse(two.0), two.1)));
        let named = top.into_iter().map(|(messages, slot, generation, session)| Talker {
            tenant: session.tenant.to_string(),
            user: session.user.to_string(),
            connection: ConnId { shard: self.shard, slot, generation }.public(self.config.node),
            messages,
        });
        named.collect()
    }
}

/// The first `count` of `items` in an order without ties, in that order. Sorts no more than these.
pub(super) fn first<T>(
    items: impl IntoIterator<Item = T>,
    count: usize,
    order: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    if items.len() > count {
        items.select_nth_unstable_by(count, &order);
        items.truncate(count);
    }
    items.sort_unstable_by(order);
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    #[test]
    fn the_first_are_those_of_a_full_sort() {
        let mut prng = Prng::new(1);
        for (length, count) in [(0, 3), (2, 3), (3, 3), (4, 3), (500, 100), (500, 0)] {
            let items: Vec<u64> = (0..length).map(|_| prng.next_u64()).collect();
            let mut sorted = items.clone();
            sorted.sort_unstable();
            sorted.truncate(count);
            assert_eq!(first(items, count, u64::cmp), sorted, "{count} of {length}");
        }
    }
}
