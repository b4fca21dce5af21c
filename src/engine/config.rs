//! What the engine needs to be told; `config/` fills it in.

use std::{net::SocketAddr, sync::Arc};

use super::Policy;
use crate::{
    auth::TokenHasher,
    base::{NodeId, ShareLimits},
    conn::{QualityLimits, SocketKind},
    http,
    hub::{HistoryConfig, PendingLimits},
    ws,
};

/// One shard's configuration: cheap to clone, the same on every shard.
#[derive(Clone)]
pub struct Config {
    pub node: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
    pub shards: u16,
    /// Whether administrators and backends have a listener of their own: the public one then answers clients and probes.
    pub admin_apart: bool,
    /// For the health report and `websocket_build_info`.
    pub version: &'static str,
    /// The reactor backend in use, for the same.
    pub driver: &'static str,
    /// What a reload replaces.
    pub policy: Arc<Policy>,
    /// Tokens that one shard remembers; 0 is none.
    pub auth_cache_entries: usize,
    /// Signatures of calls that one shard remembers.
    pub replay_entries: usize,
    /// How long tokens stay revoked where the backend does not say: as long as the longest of them is good.
    pub revocation_s: u64,
    /// How many revocations can be remembered, and how many of one tenant.
    pub revocations: ShareLimits,
    /// What opaque tokens are remembered by; its key is of this process.
    pub token_hasher: TokenHasher,
    /// `/openapi.json`.
    pub openapi: Arc<[u8]>,
    pub http: http::Limits,
    pub head_timeout_ms: u64,
    pub keep_alive_ms: u64,
    /// The largest request body, or line of one that is a stream of lines.
    pub body_bytes_max: usize,
    pub body_timeout_ms: u64,
    /// How long a connection may stay without an identity.
    pub auth_timeout_ms: u64,
    pub heartbeat_interval_ms: u64,
    pub heartbeat_timeout_ms: u64,
    pub quality: QualityLimits,
    /// How long before its end a token's connection is told; 0 is never.
    pub expiring_notice_ms: u64,
    pub ws: ws::Limits,
    pub echo: bool,
    pub echo_ws: ws::Limits,
    /// How long a publication may wait for company, in microseconds.
    pub latency_budget_us: u64,
    pub outbox_bytes_max: u32,
    pub echo_outbox_bytes_max: u32,
    /// How long a room that was joined over relay only lasts without traffic; 0 is no limit.
    pub relay_room_ttl_ms: u64,
    pub deflate: bool,
    pub deflate_bytes_min: usize,
    pub requests: RequestsConfig,
    pub drain: DrainConfig,
    pub presence: PresenceConfig,
    /// What one shard's rooms keep.
    pub history: Arc<HistoryConfig>,
}

impl Config {
    /// The most bytes that may wait for a client of this kind.
    pub(super) fn outbox_bytes_max_of(&self, kind: &SocketKind) -> u32 {
        match kind {
            SocketKind::Echo => self.echo_outbox_bytes_max,
            SocketKind::Pending { .. } | SocketKind::Json(_) => self.outbox_bytes_max,
        }
    }
}

#[cfg(test)]
impl Config {
    /// The configuration's defaults, outside production.
    pub(crate) fn for_tests(shards: u16, verifier: crate::auth::Verifier) -> Self {
        let limits = ws::Limits { message_bytes_max: 64 * 1024, fragments_max: 1024, inflate_ratio_max: 100 };
        Self {
            node: NodeId(0x0123_abcd),
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            shards,
            admin_apart: false,
            version: "1.2.3",
            driver: "epoll",
            policy: Arc::new(Policy::for_tests(verifier)),
            auth_cache_entries: 16,
            replay_entries: 16,
            revocation_s: 86_400,
            revocations: ShareLimits { total: 64, percent: 50 },
            token_hasher: TokenHasher::new(&[7; 32]),
            openapi: Arc::from(*b"{}"),
            http: http::Limits::default(),
            head_timeout_ms: 10_000,
            keep_alive_ms: 60_000,
            body_bytes_max: 64 * 1024,
            body_timeout_ms: 30_000,
            auth_timeout_ms: 10_000,
            heartbeat_interval_ms: 30_000,
            heartbeat_timeout_ms: 60_000,
            quality: QualityLimits::for_tests(),
            expiring_notice_ms: 60_000,
            ws: limits,
            echo: true,
            echo_ws: limits,
            latency_budget_us: 0,
            outbox_bytes_max: 1024 * 1024,
            echo_outbox_bytes_max: 1024 * 1024,
            relay_room_ttl_ms: 3_600_000,
            deflate: true,
            deflate_bytes_min: 1024,
            requests: RequestsConfig {
                timeout_ms: 15_000,
                timeout_ms_max: 120_000,
                pending_max: PendingLimits {
                    per_connection: 128,
                    shares: ShareLimits { total: 1000, percent: 50 },
                },
            },
            drain: DrainConfig { announce_ms: 0, timeout_ms: 30_000, per_second: 0 },
            presence: PresenceConfig { enabled: true, page_max: 1_000, metadata_bytes_max: 1024 },
            history: Arc::new(HistoryConfig::for_tests()),
        }
    }
}

/// How long requests wait for their answer, and how many of a shard's.
#[derive(Clone, Copy, Debug)]
pub struct RequestsConfig {
    /// Where the request does not say.
    pub timeout_ms: u64,
    /// The longest that a request may say.
    pub timeout_ms_max: u64,
    pub pending_max: PendingLimits,
}

/// How a node leaves.
#[derive(Clone, Copy, Debug)]
pub struct DrainConfig {
    /// Not ready, but still taking connections, so that load balancers notice first.
    pub announce_ms: u64,
    /// From the signal to the end.
    pub timeout_ms: u64,
    /// Connections closed per second and shard, raised when the time would not suffice.
    pub per_second: u64,
}

/// Who is told who is there.
#[derive(Clone, Copy, Debug)]
pub struct PresenceConfig {
    /// Otherwise nobody can ask, and nobody gets events.
    pub enabled: bool,
    /// The most users of one answer.
    pub page_max: usize,
    /// The most bytes of a user's metadata in one room.
    pub metadata_bytes_max: usize,
}

/// Short channel names and what they stand for, such as `dashboard` → `dashboard.{user_id}`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChannelTemplates(Vec<(String, String)>);

impl ChannelTemplates {
    /// Takes templates in the form `name.{placeholder}`; the part before the first dot is the short name.
    pub fn new(templates: impl IntoIterator<Item = String>) -> Self {
        let named = templates.into_iter().filter_map(|template| {
            let short = template.split_once('.')?.0.to_owned();
            Some((short, template))
        });
        Self(named.collect())
    }

    /// The full name of a channel for a user. A template that needs more than the user and the tenant is not
    /// expanded: its channels are named in full.
    pub fn expand(&self, channel: &str, user: &str, tenant: &str) -> Option<String> {
        let (_, template) = self.0.iter().find(|(short, _)| short == channel)?;
        let full = template.replace("{user_id}", user).replace("{tenant_id}", tenant);
        let left_over = template.replace("{user_id}", "").replace("{tenant_id}", "").contains('{');
        (!left_over).then_some(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_expand_to_the_users_own_channel() {
        let templates = ChannelTemplates::new(
            ["dashboard.{user_id}", "metrics.{tenant_id}", "project.{project_id}"].map(str::to_owned),
        );
        let rows = [
            ("dashboard", Some("dashboard.7")),
            ("metrics", Some("metrics.acme")),
            ("project", None),
            ("project.5", None),
            ("dashboard.9", None),
            ("other", None),
        ];
        for (channel, expected) in rows {
            assert_eq!(templates.expand(channel, "7", "acme").as_deref(), expected, "{channel}");
        }
        assert_eq!(templates.expand("dashboard", "{x}", "acme").as_deref(), Some("dashboard.{x}"));
    }
}
