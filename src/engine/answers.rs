//! The bodies of `/health`, `/ready`, `/live`, `/stats` and `/metrics`, from what the shards report.

use std::collections::BTreeMap;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Config,
    report::{NodeFacts, Report, Talker, first},
};
use crate::{
    base::{Now, RoomKey, ShardId},
    metrics::{self, Format, Label, NodeStats, ShardMetrics},
};

/// A shard whose loop has not come round for this long is not alive.
const ALIVE_MS: u64 = 5_000;

/// How many rooms and talkers `/stats` names.
const TOP: usize = 20;

/// Whether the node takes connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readiness {
    Ready,
    Draining,
    OverCapacity,
}

impl Readiness {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::OverCapacity => "over_capacity",
        }
    }
}

/// Everything that a page of the node is written from.
pub(super) struct NodeReport<'a> {
    pub(super) config: &'a Config,
    pub(super) facts: &'a NodeFacts,
    pub(super) readiness: Readiness,
    /// By shard; one that did not answer in time is missing.
    pub(super) reports: &'a [Report],
    pub(super) now: Now,
}

impl NodeReport<'_> {
    fn report_of(&self, shard: u16) -> Option<&Report> {
        self.reports.iter().find(|report| report.shard == ShardId(shard))
    }

    fn connections(&self) -> u64 {
        self.reports.iter().map(|report| open(&report.metrics)).sum()
    }

    /// Connections with an identity, by tenant; the tenants that a shard counts together are `other`.
    pub(super) fn by_tenant(&self) -> BTreeMap<&str, u64> {
        let mut by_tenant = BTreeMap::new();
        for (tenant, _, _, open) in self.reports.iter().flat_map(|report| report.metrics.active.iter()) {
            if !tenant.is_empty() && open > 0 {
                *by_tenant.entry(tenant).or_default() += open;
            }
        }
        by_tenant
    }

    /// WebSockets of any kind.
    pub(super) fn websockets(&self) -> u64 {
        let active = self.reports.iter().flat_map(|report| report.metrics.active.iter());
        active
            .filter(|(_, _, protocol, _)| *protocol != metrics::Protocol::Http)
            .map(|(_, _, _, open)| open)
            .sum()
    }
}

fn open(metrics: &ShardMetrics) -> u64 {
    metrics.active.iter().map(|(_, _, _, open)| open).sum()
}

fn is_alive(turned_ago_ms: u64) -> bool {
    turned_ago_ms < ALIVE_MS
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// `/live`: 503 when a shard's loop stands still.
pub(super) fn live(facts: &NodeFacts) -> (u16, Vec<u8>) {
    let alive = facts.shards.iter().all(|shard| is_alive(shard.turned_ago_ms));
    if alive { (200, json(&Status { status: "alive" })) } else { (503, json(&Status { status: "stalled" })) }
}

/// `/ready`: 503 when new connections are not welcome.
pub(super) fn ready(readiness: Readiness) -> (u16, Vec<u8>) {
    let code = if readiness == Readiness::Ready { 200 } else { 503 };
    (code, json(&Status { status: readiness.as_str() }))
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    timestamp: String,
    uptime: f64,
    connections: u64,
    memory_usage: String,
    version: &'a str,
    node: String,
    driver: &'a str,
    websocket: Websocket,
    checks: Checks,
}

#[derive(Serialize)]
struct Websocket {
    active: u64,
}

#[derive(Serialize)]
struct Checks {
    redis: Status,
    memory: Memory,
    capacity: Capacity,
    shards: Vec<ShardHealth>,
}

#[derive(Serialize)]
struct Memory {
    bytes: u64,
    limit: u64,
    ratio: f64,
}

#[derive(Serialize)]
struct Capacity {
    connections: u64,
    limit: usize,
    ratio: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShardHealth {
    shard: u16,
    alive: bool,
    loop_lag_us: u64,
}

/// `/health`: 200 while healthy, 503 while draining or with a shard that does not answer.
pub(super) fn health(node: &NodeReport<'_>) -> (u16, Vec<u8>) {
    let shards: Vec<_> = (0..node.config.shards)
        .map(|shard| {
            let facts = node.facts.shards.get(usize::from(shard)).copied().unwrap_or_default();
            let alive = is_alive(facts.turned_ago_ms) && node.report_of(shard).is_some();
            ShardHealth { shard, alive, loop_lag_us: facts.lag_us }
        })
        .collect();
    let all_alive = shards.iter().all(|shard| shard.alive);
    let (code, status) = match node.readiness {
        Readiness::Draining => (503, "draining"),
        Readiness::Ready | Readiness::OverCapacity if !all_alive => (503, "degraded"),
        Readiness::OverCapacity => (200, "degraded"),
        Readiness::Ready => (200, "healthy"),
    };
    let connections = node.connections();
    let body = Health {
        status,
        timestamp: rfc3339(node.now.unix_ms),
        uptime: (node.facts.uptime_s * 1_000.0).round() / 1_000.0,
        connections,
        memory_usage: format!("{}MB", node.facts.resident_bytes / (1024 * 1024)),
        version: node.config.version,
        node: node.config.node.to_string(),
        driver: node.config.driver,
        websocket: Websocket { active: node.websockets() },
        checks: Checks {
            redis: Status { status: "disabled" },
            memory: Memory {
                bytes: node.facts.resident_bytes,
                limit: node.facts.memory_bytes_max,
                ratio: ratio(node.facts.resident_bytes, node.facts.memory_bytes_max),
            },
            capacity: Capacity {
                connections,
                limit: node.config.policy.limits.connections_max,
                ratio: ratio(connections, node.config.policy.limits.connections_max as u64),
            },
            shards,
        },
    };
    (code, json(&body))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    connections: ConnectionStats<'a>,
    rooms: RoomStats<'a>,
    top_talkers: Vec<TalkerStats<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionStats<'a> {
    total: u64,
    by_tenant: BTreeMap<&'a str, u64>,
    by_protocol: BTreeMap<&'a str, u64>,
    /// `null` for one that did not answer.
    by_shard: Vec<Option<u64>>,
}

#[derive(Serialize)]
struct RoomStats<'a> {
    total: u64,
    subscriptions: u64,
    largest: Vec<RoomStat<'a>>,
}

#[derive(Serialize)]
struct RoomStat<'a> {
    tenant: &'a str,
    room: &'a str,
    members: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TalkerStats<'a> {
    tenant: &'a str,
    user: &'a str,
    connection_id: &'a str,
    messages: u32,
}

impl<'a> TalkerStats<'a> {
    fn of(talker: &'a Talker) -> Self {
        Self {
            tenant: &talker.tenant,
            user: &talker.user,
            connection_id: &talker.connection,
            messages: talker.messages,
        }
    }
}

/// `/stats`: connections by tenant, protocol and shard; the largest rooms; who sends most.
pub(super) fn stats(node: &NodeReport<'_>) -> Vec<u8> {
    let mut by_protocol = BTreeMap::new();
    for (_, _, protocol, open) in node.reports.iter().flat_map(|report| report.metrics.active.iter()) {
        *by_protocol.entry(protocol.as_str()).or_default() += open;
    }
    let of_shard = |shard| node.report_of(shard).map(|report| open(&report.metrics));
    let connections = ConnectionStats {
        total: node.connections(),
        by_tenant: node.by_tenant(),
        by_protocol,
        by_shard: (0..node.config.shards).map(of_shard).collect(),
    };
    let sum = |pick: fn(&ShardMetrics) -> u64| node.reports.iter().map(|report| pick(&report.metrics)).sum();
    let rooms = RoomStats {
        total: sum(|metrics| metrics.rooms),
        subscriptions: sum(|metrics| metrics.room_subscriptions),
        largest: largest_rooms(node.reports),
    };
    json(&Stats { connections, rooms, top_talkers: top_talkers(node.reports) })
}

fn largest_rooms(reports: &[Report]) -> Vec<RoomStat<'_>> {
    let mut sizes: BTreeMap<&RoomKey, usize> = BTreeMap::new();
    for (key, size) in reports.iter().flat_map(|report| &report.rooms) {
        *sizes.entry(key).or_default() += size;
    }
    let largest = first(sizes, TOP, |one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(two.0)));
    largest
        .into_iter()
        .map(|(key, members)| RoomStat { tenant: key.tenant.as_str(), room: key.room.as_str(), members })
        .collect()
}

fn top_talkers(reports: &[Report]) -> Vec<TalkerStats<'_>> {
    let talkers = reports.iter().flat_map(|report| &report.talkers);
    let top = first(talkers, TOP, |one, two| {
        two.messages.cmp(&one.messages).then_with(|| one.connection.cmp(&two.connection))
    });
    top.into_iter().map(TalkerStats::of).collect()
}

/// `/metrics`.
pub(super) fn metrics(node: &NodeReport<'_>, format: Format) -> Vec<u8> {
    let shards: Vec<ShardMetrics> = node.reports.iter().map(|report| report.metrics.clone()).collect();
    let stats = NodeStats {
        version: node.config.version,
        driver: node.config.driver,
        uptime_s: node.facts.uptime_s,
        cpu_s: node.facts.cpu_s,
        resident_bytes: node.facts.resident_bytes,
        fds_open: node.facts.fds_open,
        fds_max: node.facts.fds_max,
        started_unix_s: node.facts.started_unix_s,
        keys: node.facts.keys,
        reloads: node.facts.reloads,
    };
    let mut families = metrics::merge(&shards, &stats);
    if node.config.policy.metrics.legacy_names {
        metrics::add_legacy_names(&mut families);
    }
    format.render(&families).into_bytes()
}

fn ratio(value: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { (value as f64 / limit as f64 * 10_000.0).round() / 10_000.0 }
}

pub(super) fn rfc3339(unix_ms: u64) -> String {
    let nanos = i128::from(unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A page as JSON.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    sonic_rs::to_vec(value).expect("strings and finite numbers can always be written as JSON")
}
