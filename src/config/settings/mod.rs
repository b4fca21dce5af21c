//! The typed configuration: what every other module's own `Config` is made from, in one place.
//!
//! Plain values, units in the names. A `Settings` from `load` has passed every check of `table` and `rules`.
//! Their defaults are in `defaults`.

mod defaults;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::{
    auth::{self, Algorithm, KeyDigest, Rule, Tenants},
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
    pub metrics: Metrics,
    pub admin: Admin,
    pub api: Api,
    pub auth: Auth,
    pub introspection: Introspection,
    pub outside: Outside,
    pub abilities: Abilities,
    pub resources: Resources,
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
    /// What the operator says: clients reach the gateway through a proxy that ends TLS.
    pub tls_terminated_by_proxy: bool,
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

/// Who may read `/metrics`, and what stands there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metrics {
    /// Whether anybody may, as long as there is no `bearer`.
    pub open: bool,
    pub bearer: Option<Secret>,
    pub legacy_names: bool,
}

/// Where administrators and backends connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// `None`: where clients do.
    pub listen: Option<SocketAddr>,
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
    /// A set of keys (RFC 7517).
    pub jwks_file: Option<TextFile>,
    /// Where there is another.
    pub jwks_url: Option<String>,
    pub jwks_refresh_s: u64,
    /// The least time between two looks.
    pub jwks_refetch_s: u64,
    /// What RSA keys of a set are for that do not say it.
    pub jwks_rsa_algorithm: Algorithm,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub leeway_s: u64,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
    /// Tokens that one shard remembers; 0: none.
    pub cache_entries: u32,
    pub claims: Claims,
    /// How long a connection may stay without a token.
    pub timeout_ms: u64,
    /// How long tokens stay revoked.
    pub revocation_s: u64,
    pub revocations_max: u32,
    pub revocations_tenant_percent: u8,
}

/// How opaque tokens are looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introspection {
    /// `None`: they are not.
    pub url: Option<String>,
    /// At most `auth.timeout_ms`.
    pub timeout_ms: u64,
    /// Of the whole node.
    pub in_flight: u32,
    /// 0: not at all.
    pub cache_s: u64,
    pub cache_bad_s: u64,
    /// Of each kind and shard.
    pub cache_entries: usize,
    /// 0: never.
    pub breaker_failures: u32,
    pub breaker_open_ms: u64,
    /// Places in an answer.
    pub user: String,
    pub tenant: String,
    pub roles: String,
    pub abilities: String,
    pub token_id: String,
    pub issued_at: String,
    pub expires_at: String,
}

/// Servers that the gateway asks something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outside {
    /// Certificates that are trusted beside the system's.
    pub ca_file: Option<TextFile>,
    /// The network on the way is trusted, says the operator.
    pub plaintext: bool,
    /// Calls under way.
    pub in_flight: usize,
}

/// A file that was read with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextFile {
    pub file: PathBuf,
    /// What it held.
    pub text: String,
}

/// What the claims of a token are called that no RFC fixes. Invariant: no name is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    pub user: String,
    /// All that may stand there; one at least.
    pub tenant: Vec<String>,
    pub roles: String,
    pub abilities: String,
    pub name: String,
}

/// Who may do what in which rooms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Abilities {
    pub rules: Vec<AbilityRule>,
}

/// One rule. Where it stands makes no difference between two.
#[derive(Clone, Eq, Debug)]
pub struct AbilityRule {
    pub rule: Rule,
    /// In the file.
    pub line: Option<usize>,
}

impl PartialEq for AbilityRule {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

/// What servers decide in rooms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resources {
    /// What the rules' paths are of.
    pub base_url: Option<String>,
    pub rules: Vec<ResourceRule>,
    pub timeout_ms: u64,
    /// Of the whole node.
    pub in_flight: u32,
    /// 0: not at all.
    pub cache_s: u64,
    pub cache_denied_s: u64,
    /// Of each kind and shard.
    pub cache_entries: usize,
    /// 0: never.
    pub breaker_failures: u32,
    pub breaker_open_ms: u64,
}

/// One rule; its URL may be a path. Where it stands makes no difference between two.
#[derive(Clone, Eq, Debug)]
pub struct ResourceRule {
    pub rule: auth::ResourceRule,
    /// In the file.
    pub line: Option<usize>,
}

impl PartialEq for ResourceRule {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl Resources {
    /// The whole URL of a rule, its places in braces; `None` for a path of no server.
    pub fn url_of(&self, rule: &auth::ResourceRule) -> Option<String> {
        let url = rule.url.as_str();
        if !url.starts_with('/') {
            return Some(url.to_owned());
        }
        self.base_url.as_deref().map(|base| format!("{}{url}", base.trim_end_matches('/')))
    }
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
    /// WebSockets of one address; 0: no limit.
    pub connections_per_ip: u32,
    /// WebSockets that one address may open in a minute; 0: no limit.
    pub connects_per_ip_per_min: u32,
    /// Of one connection; 0: no limit.
    pub messages_per_10s: u32,
    /// Of one connection; 0: no limit.
    pub bytes_per_10s: u32,
    /// Messages that are refused before their connection is closed; 0: none is.
    pub refusals_per_min: u32,
    /// Of all connections of a user; 0: no limit.
    pub user_messages_per_s: u32,
    pub user_messages_burst: u32,
    /// Of all connections of a tenant; 0: no limit.
    pub tenant_messages_per_s: u32,
    pub tenant_messages_burst: u32,
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
    pub tenant_percent: u8,
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

impl Auth {
    /// Whether somebody else signs tokens with keys that can be told from the configuration.
    pub fn has_public_keys(&self) -> bool {
        !self.keys.is_empty() || self.jwks_file.is_some() || self.jwks_url.is_some()
    }
}

/// The algorithms of shared secrets.
pub(super) const SECRET_ALGORITHMS: &[Algorithm] = &[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

/// What RSA keys may be for.
pub(super) const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

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
