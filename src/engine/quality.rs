//! `/api/v1/connections/health`: the connections that have an identity, how many of each class, and a page of them.
//!
//! They are listed by shard and slot, so that a shard finds its part of a page without sorting, and a page goes on
//! behind a connection that has ended since. A shard looks at its connections once for several pages.

use std::sync::Arc;

use serde::Serialize;

use super::{Engine, answers::NodeReport};
use crate::{
    base::{ConnId, NodeId, ShardId, TenantName, UserName},
    conn::{Conn, Quality, Session, Socket, SocketKind, Stage},
    http::{Head, HttpFault},
    metrics::{CounterVec, Label, QualityClass},
};

/// Connections on a page unless the request says how many, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

/// Which connections a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionsQuery {
    tenant: Option<TenantName>,
    user: Option<UserName>,
    class: Option<QualityClass>,
    /// The last of the page before.
    after: Option<Place>,
    limit: usize,
}

/// Where a connection stands in the list.
type Place = (ShardId, u32);

/// One shard's part of the answer.
#[derive(Clone, Debug)]
pub(super) struct FoundConnections {
    query: Arc<ConnectionsQuery>,
    /// All that match.
    classes: CounterVec<QualityClass>,
    /// The first of them behind the page before: one more than the page holds, if there are.
    page: Vec<FoundConnection>,
}

#[derive(Clone, Debug)]
struct FoundConnection {
    id: ConnId,
    tenant: TenantName,
    user: UserName,
    established_s: u32,
    quality: Quality,
    class: QualityClass,
}

impl ConnectionsQuery {
    /// Reads `tenant`, `user`, `quality`, `limit` and `after` (a connection's id).
    ///
    /// # Errors
    /// 400 when one of them cannot be what it should.
    pub(super) fn of(head: &Head<'_>) -> Result<Self, HttpFault> {
        const NAME: HttpFault =
            bad("`tenant` and `user` must be names: 1 to 256 bytes, no control characters");
        const CLASS: HttpFault = bad("`quality` must be one of excellent, good, fair, poor, unknown");
        const LIMIT: HttpFault = bad("`limit` must be a whole number from 1 to 1000");
        const AFTER: HttpFault = bad("`after` must be the `next` of a page before");
        let parameter = |name| head.query_param(name);
        let tenant = parameter("tenant")?.map(|text| TenantName::parse(&text).map_err(|_| NAME));
        let user = parameter("user")?.map(|text| UserName::parse(&text).map_err(|_| NAME));
        let class = parameter("quality")?.map(|text| class_named(&text).ok_or(CLASS));
        let limit = parameter("limit")?
            .map(|text| text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or(LIMIT));
        let after = parameter("after")?.map(|text| place_of(&text).ok_or(AFTER));
        Ok(Self {
            tenant: tenant.transpose()?,
            user: user.transpose()?,
            class: class.transpose()?,
            after: after.transpose()?,
            limit: limit.transpose()?.unwrap_or(PAGE),
        })
    }

    fn matches(&self, session: &Session, class: QualityClass) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == session.tenant)
            && self.user.as_ref().is_none_or(|user| *user == session.user)
            && self.class.is_none_or(|wanted| wanted == class)
    }
}

const _: () = assert!(PAGE_MAX == 1_000, "the fault says so");

const fn bad(message: &'static str) -> HttpFault {
    HttpFault::new(400, "bad_request", message)
}

fn class_named(text: &str) -> Option<QualityClass> {
    QualityClass::ALL.iter().copied().find(|class| class.as_str() == text)
}

/// Shard and slot out of a connection's public id, of whatever node and generation.
fn place_of(text: &str) -> Option<Place> {
    let rest = text.get(8..)?;
    let (shard, rest) = rest.split_at_checked(2)?;
    let (slot, _) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (shard, slot) = (u16::from_str_radix(shard, 16).ok()?, u32::from_str_radix(slot, 16).ok()?);
    is_hex.then_some((ShardId(shard), slot))
}

impl Engine {
    /// This shard's parts of pages, found in one pass.
    pub(super) fn find_connections(&self, queries: &[Arc<ConnectionsQuery>]) -> Vec<FoundConnections> {
        let mut all: Vec<_> = queries.iter().map(FoundConnections::new).collect();
        if all.is_empty() {
            return all;
        }
        for (slot, generation, conn) in self.conns.iter() {
            let Some((socket, session)) = identified(conn) else { continue };
            let quality = socket.keepalive.quality();
            let class = self.config.quality.class(quality);
            let id = ConnId { shard: self.shard, slot, generation };
            for found in all.iter_mut().filter(|found| found.query.matches(session, class)) {
                found.take(id, session, quality, class);
            }
        }
        all
    }
}

impl FoundConnections {
    /// Nothing found yet.
    fn new(query: &Arc<ConnectionsQuery>) -> Self {
        Self { query: Arc::clone(query), classes: CounterVec::default(), page: Vec::new() }
    }

    /// Counts a connection that matches, and puts it on the page if it stands there. They come in the order of their places.
    fn take(&mut self, id: ConnId, session: &Session, quality: &Quality, class: QualityClass) {
        self.classes.inc(class);
        let is_behind = self.query.after.is_none_or(|after| (id.shard, id.slot) > after);
        if is_behind && self.page.len() <= self.query.limit {
            self.page.push(FoundConnection {
                id,
                tenant: session.tenant.clone(),
                user: session.user.clone(),
                established_s: session.established_s,
                quality: *quality,
                class,
            });
        }
    }
}

/// An open connection that has an identity.
fn identified(conn: &Conn) -> Option<(&Socket, &Session)> {
    match &conn.stage {
        Stage::Socket(socket) => match &socket.kind {
            SocketKind::Json(session) => Some((socket, session)),
            SocketKind::Echo | SocketKind::Pending { .. } => None,
        },
        Stage::Http(_) | Stage::Closing { .. } => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionsHealth<'a> {
    total_clients: u64,
    summary: Summary,
    clients: Vec<ClientHealth<'a>>,
    /// What to ask for as `after`; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// A shard did not answer in time: its connections are missing.
    partial: bool,
}

#[derive(Serialize)]
struct Summary {
    excellent: u64,
    good: u64,
    fair: u64,
    poor: u64,
    unknown: u64,
}

/// Times in milliseconds; `null` before the first round trip.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientHealth<'a> {
    connection_id: String,
    tenant_id: &'a str,
    user_id: &'a str,
    /// Unix time, to the second.
    connected_at: u64,
    quality: &'static str,
    average_latency_ms: Option<f64>,
    p95: Option<f64>,
    jitter_ms: Option<f64>,
    /// From 0 to 1.
    packet_loss_rate: f64,
}

impl<'a> ClientHealth<'a> {
    fn of(found: &'a FoundConnection, node: NodeId) -> Self {
        let ms = |us: u32| f64::from(us) / 1_000.0;
        Self {
            connection_id: found.id.public(node),
            tenant_id: found.tenant.as_str(),
            user_id: found.user.as_str(),
            connected_at: u64::from(found.established_s) * 1_000,
            quality: found.class.as_str(),
            average_latency_ms: found.quality.mean_us().map(ms),
            p95: found.quality.p95_us().map(ms),
            jitter_ms: found.quality.jitter_us().map(ms),
            packet_loss_rate: (found.quality.loss() * 10_000.0).round() / 10_000.0,
        }
    }
}

/// The body of the page.
pub(super) fn connections_health(node: &NodeReport<'_>, query: &ConnectionsQuery) -> Vec<u8> {
    let found =
        || node.reports.iter().flat_map(|report| &report.connections).filter(|found| *found.query == *query);
    let count = |class| found().map(|found| found.classes.get(class)).sum();
    let mut page: Vec<&FoundConnection> =
        found().flat_map(|found| &found.page).take(query.limit + 1).collect();
    let has_more = page.len() > query.limit;
    page.truncate(query.limit);
    let id = node.config.node;
    super::answers::json(&ConnectionsHealth {
        total_clients: found().map(|found| found.classes.total()).sum(),
        summary: Summary {
            excellent: count(QualityClass::Excellent),
            good: count(QualityClass::Good),
            fair: count(QualityClass::Fair),
            poor: count(QualityClass::Poor),
            unknown: count(QualityClass::Unknown),
        },
        next: page.last().filter(|_| has_more).map(|last| last.id.public(id)),
        clients: page.into_iter().map(|found| ClientHealth::of(found, id)).collect(),
        partial: node.reports.len() < usize::from(node.config.shards),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_public_id() {
        for (shard, slot) in [(0, 0), (255, 0xff_ffff), (1, 0x0fff_ffff), (16, u32::MAX)] {
            let id = ConnId { shard: ShardId(shard), slot, generation: 7 };
            assert_eq!(place_of(&id.public(NodeId(0x2a))), Some((ShardId(shard), slot)));
        }
        for text in [
            "",
            "0000002a",
            "0000002a01",
            "0000002a0100000007",
            "0000002a01+0000700000007",
            "ü000002a01000007000000g7",
        ] {
            assert_eq!(place_of(text), None, "{text}");
        }
    }
}
