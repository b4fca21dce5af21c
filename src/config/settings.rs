//! The typed configuration: what every other module's own `Config` is made from, in one place.
//!
//! Plain values, units in the names. A `Settings` from `load` has passed every check of `table` and `rules`.
//! Defaults live here and nowhere else; a few depend on whether this is production.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use crate::{
    auth::{Algorithm, KeyDigest, Tenants},
    base::{Network, RoomPattern, Secret, UserName},
    http::{AllowedOrigin, ProxyProtocol},
    model::Scopes,
    shell::{driver::DriverChoice, log::LogFormat},
};

/// Everything that can be configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub server: Server,
    pub log: Log,
    pub http: Http,
    pub cors: Cors,
    pub api: Api,
    pub auth: Auth,
    pub heartbeat: Heartbeat,
    pub quality: Quality,
    pub limits: Limits,
    pub requests: Requests,
    pub ws: Ws,
    pub relay: Relay,
    pub channels: Channels,
    pub presence: Presence,
    pub history: History,
    pub token: Token,
    pub drain: Drain,
}

/// Where and how the gateway runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    pub host: IpAddr,
    /// 0: any free port.
    pub port: u16,
    /// 0: one per core that this process may use.
    pub shards: u16,
    pub driver: DriverChoice,
    /// How long a publication may wait for company.
    pub latency_budget_us: u64,
    /// Whether `/echo` answers.
    pub echo: bool,
    pub production: bool,
    /// Whether the memory of a crash may be written to a file, and read by other processes of the same user.
    pub core_dumps: bool,
    pub trusted_proxies: Vec<Network>,
    pub proxy_protocol: ProxyProtocol,
}

/// Whose pages may use the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cors {
    pub origins: Vec<AllowedOrigin>,
}

/// What is logged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// A level, or levels by module: `info,ringway::hub=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// Patience with HTTP clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Http {
    pub head_timeout_ms: u64,
    pub keep_alive_ms: u64,
    /// The largest body, or line of a body that is a stream of lines.
    pub body_bytes_max: usize,
    pub body_timeout_ms: u64,
}

/// Who may use the backend's API beside the bearers of tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Api {
    pub keys: Vec<ApiKey>,
    /// Whether calls that change something must be signed.
    pub signing: bool,
    pub signing_secret: Option<Secret>,
    /// Signatures that one shard remembers.
    pub replay_entries: u32,
}

/// What one backend may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// No two keys have the same.
    pub name: UserName,
    pub hash: Hash,
    pub scopes: Scopes,
    pub tenants: Tenants,
}

/// The hash of a key: not shown, lest somebody think of guessing keys that he made himself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub KeyDigest);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who may connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// Outside production `load` makes one when there is neither this nor a key.
    pub jwt_secret: Option<Secret>,
    /// The algorithm of `jwt_secret`: one of the three HMACs.
    pub jwt_algorithm: Algorithm,
    pub keys: Vec<PublicKey>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub leeway_s: u64,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
    /// Tokens that one shard remembers; 0: none.
    pub cache_entries: u32,
    /// How long a connection may stay without a token.
    pub timeout_ms: u64,
    /// How long tokens stay revoked.
    pub revocation_s: u64,
    pub revocations_max: u32,
}

/// A key that tokens are verified with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    pub kid: Option<String>,
    /// Never one of the HMACs.
    pub algorithm: Algorithm,
    /// Where the key was read from.
    pub file: PathBuf,
    /// What the file held.
    pub pem: String,
}

/// Signs of life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    pub interval_ms: u64,
    /// Longer than the interval.
    pub timeout_ms: u64,
}

/// What makes a connection excellent, good or fair, by its pings; what is none of these is poor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quality {
    /// Mean round trip, below.
    pub excellent_ms: u32,
    /// At least `excellent_ms`.
    pub good_ms: u32,
    /// Unanswered pings, below; an excellent connection has none.
    pub good_loss_percent: u32,
    /// At least `good_ms`.
    pub fair_ms: u32,
    /// At least `good_loss_percent`.
    pub fair_loss_percent: u32,
}

/// Bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    pub message_bytes: usize,
    pub fragments: u32,
    /// At least `message_bytes`.
    pub outbox_bytes: usize,
    /// 0: none.
    pub rooms_per_connection: u32,
    /// Rooms that may be created from one address in a minute; 0: no limit.
    pub room_creates_per_ip_per_min: u32,
    /// 0: 90 % of the open-file limit.
    pub connections_total: u32,
    /// Parcels that may wait in one shard's mailbox.
    pub mailbox_parcels: u32,
}

/// Requests from one client, or the backend, to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requests {
    /// How long one waits that does not say.
    pub timeout_ms: u64,
    /// The longest that one may say. At least `timeout_ms`.
    pub timeout_max_ms: u64,
    /// How many of one connection may wait; 0: as many as of all.
    pub per_connection: u32,
    /// How many may wait on the node.
    pub total: u32,
}

/// WebSocket options.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ws {
    /// Whether permessage-deflate is negotiated.
    pub deflate: bool,
    /// Smaller messages are not compressed.
    pub deflate_min_bytes: usize,
}

/// Relay v1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relay {
    /// How long a room that was joined over relay only lasts without traffic; 0: as long as it has members.
    pub room_ttl_s: u64,
}

/// Short names for rooms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channels {
    /// `name.{placeholder}`; no two have the same name.
    pub templates: Vec<String>,
}

/// Who is told who is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presence {
    pub enabled: bool,
    /// Users of one answer.
    pub page_max: u32,
    /// Of one user in one room.
    pub metadata_bytes_max: usize,
}

/// What rooms keep of their persistent messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    pub enabled: bool,
    /// How many a room keeps; 0: none.
    pub messages: u32,
    pub ttl_s: u32,
    /// Rooms that keep more or less; the first pattern that matches counts.
    pub rooms: Vec<RoomHistory>,
    /// Of the whole node.
    pub memory_bytes: u64,
    /// How many messages `room:history` answers at most.
    pub page_messages: u32,
    /// How many messages a room knows again by their `messageId`; 0: none.
    pub repeat_messages: u32,
    pub repeat_s: u32,
}

/// What the rooms of a pattern keep, where it differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomHistory {
    pub pattern: RoomPattern,
    pub messages: Option<u32>,
    pub ttl_s: Option<u32>,
}

/// Tokens of open connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// How long before its end a client hears of it; 0: never.
    pub expiring_notice_s: u64,
}

/// How the gateway leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drain {
    /// How long it is not ready before it closes the first connection. Shorter than `timeout_s`.
    pub announce_s: u64,
    pub timeout_s: u64,
    /// Connections closed per second; 0: spread over the time there is.
    pub rate: u32,
}

impl Settings {
    /// What holds when nothing is configured but, perhaps, that this is production.
    pub fn defaults(production: bool) -> Self {
        Self {
            server: Server {
                host: IpAddr::V4(if production { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST }),
                port: 8080,
                shards: 0,
                driver: DriverChoice::Auto,
                latency_budget_us: 250,
                echo: !production,
                production,
                core_dumps: !production,
                trusted_proxies: Vec::new(),
                proxy_protocol: ProxyProtocol::Off,
            },
            log: Log { level: "info".into(), format: LogFormat::Text },
            http: Http {
                head_timeout_ms: 10_000,
                keep_alive_ms: 60_000,
                body_bytes_max: 1024 * 1024,
                body_timeout_ms: 30_000,
            },
            cors: Cors { origins: if production { Vec::new() } else { vec![AllowedOrigin::Localhost] } },
            api: Api { keys: Vec::new(), signing: false, signing_secret: None, replay_entries: 200_000 },
            auth: Auth {
                jwt_secret: None,
                jwt_algorithm: Algorithm::Hs256,
                keys: Vec::new(),
                issuer: None,
                audience: None,
                leeway_s: 5,
                require_exp: false,
                cache_entries: 10_000,
                timeout_ms: 10_000,
                revocation_s: 86_400,
                revocations_max: 65_536,
            },
            heartbeat: Heartbeat { interval_ms: 30_000, timeout_ms: 60_000 },
            quality: Quality {
                excellent_ms: 50,
                good_ms: 150,
                good_loss_percent: 1,
                fair_ms: 500,
                fair_loss_percent: 5,
            },
            limits: Limits {
                message_bytes: 64 * 1024,
                fragments: 1024,
                outbox_bytes: 1024 * 1024,
                rooms_per_connection: 1000,
                room_creates_per_ip_per_min: if production { 10 } else { 0 },
                connections_total: 0,
                mailbox_parcels: 8192,
            },
            requests: Requests {
                timeout_ms: 15_000,
                timeout_max_ms: 120_000,
                per_connection: 128,
                total: 100_000,
            },
            ws: Ws { deflate: true, deflate_min_bytes: 1024 },
            relay: Relay { room_ttl_s: 3600 },
            channels: Channels { templates: TEMPLATES.map(str::to_owned).into() },
            presence: Presence { enabled: true, page_max: 500, metadata_bytes_max: 1024 },
            history: History {
                enabled: true,
                messages: 100,
                ttl_s: 3600,
                rooms: Vec::new(),
                memory_bytes: 256 * 1024 * 1024,
                page_messages: 1000,
                repeat_messages: 1000,
                repeat_s: 120,
            },
            token: Token { expiring_notice_s: 60 },
            drain: Drain { announce_s: if production { 5 } else { 0 }, timeout_s: 30, rate: 0 },
        }
    }
}

const TEMPLATES: [&str; 6] = [
    "dashboard.{user_id}",
    "alerts.{user_id}",
    "notifications.{user_id}",
    "metrics.{tenant_id}",
    "system.{tenant_id}",
    "project.{project_id}",
];

/// The algorithms of shared secrets.
pub(super) const SECRET_ALGORITHMS: &[Algorithm] = &[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

/// The algorithms of key pairs.
pub(super) const PUBLIC_ALGORITHMS: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];
