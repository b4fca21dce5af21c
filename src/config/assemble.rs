//! From [`Settings`] to what each module needs: the one place where names of the configuration meet those of the
//! code.

use std::{net::SocketAddr, sync::Arc};

use super::settings::{self, Settings};
use crate::{
    auth::{
        self, Abilities, ApiKeys, Backend, CallKey, ClaimNames, Introspection, Jwks, Key, KeyError, KeySet,
        KeySource, ResourceLimits, ResourceRule, Resources, SigningKey, TokenHasher, UrlTemplate,
        VerdictLimits, Verifier,
        introspection::{FieldPath, Fields},
        key_digest,
    },
    base::{BreakerLimits, NodeId, Rate, ShareLimits},
    conn::{MessageLimits, QualityLimits},
    engine::{
        self, ChannelTemplates, DrainConfig, Limits, MetricsPolicy, Policy, PresenceConfig, RequestsConfig,
    },
    http::{self, Origins, Proxies},
    hub::{AddressLimits, HistoryConfig, Keep, PayerLimit, PendingLimits},
    shell::{driver::Driver, outside::OutsideConfig},
    ws,
};

/// The most bytes that `/echo` takes in a message, and fragments: what conformance suites send.
const ECHO_LIMITS: ws::Limits =
    ws::Limits { message_bytes_max: 16 * 1024 * 1024, fragments_max: 65_536, inflate_ratio_max: u32::MAX };

/// What may wait for a client of `/echo`.
const ECHO_OUTBOX_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// How many times a message may grow by inflation. Text that people write stays under 20; zlib's limit is 1032.
const INFLATE_RATIO_MAX: u32 = 100;

/// The part of the open-file limit that connections get when no limit is set.
const FDS_PERCENT: u64 = 90;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {error}")]
pub struct BadKey {
    setting: String,
    error: KeyError,
}

/// What the process knows when it starts.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub node: NodeId,
    pub address: SocketAddr,
    /// Where administrators and backends connect to, if not there.
    pub admin_address: Option<SocketAddr>,
    pub shards: u16,
    pub driver: Driver,
    /// The open-file limit.
    pub fds_max: u64,
    /// Random, for what opaque tokens are remembered by.
    pub token_key: [u8; 32],
    /// The secret was made at this start: tokens are handed out on loopback.
    pub hand_out_tokens: bool,
}

/// The verifier of tokens.
///
/// # Errors
/// When a key is too weak or is not what its algorithm needs.
pub fn verifier(settings: &Settings) -> Result<Verifier, BadKey> {
    let auth = &settings.auth;
    let mut keys = Vec::new();
    if let Some(secret) = &auth.jwt_secret {
        let key = Key::from_secret(auth.jwt_algorithm, secret.expose().as_bytes());
        keys.push(key.map_err(|error| BadKey { setting: "auth.jwt_secret".to_owned(), error })?);
    }
    for public in &auth.keys {
        let key = Key::from_public_pem(public.algorithm, &public.pem);
        let key =
            key.map_err(|error| BadKey { setting: format!("auth.keys: {}", public.file.display()), error })?;
        keys.push(match &public.kid {
            Some(kid) => key.with_id(kid),
            None => key,
        });
    }
    if let Some(file) = &auth.jwks_file {
        // The table has checked that it is a set.
        let set = Jwks::read(file.text.as_bytes(), auth.jwks_rsa_algorithm).unwrap_or_default();
        keys.extend(set.keys);
    }
    let keys = KeySet::new(keys).map_err(|error| BadKey { setting: "auth.keys".to_owned(), error })?;
    Ok(Verifier::new(auth::Config {
        issuer: auth.issuer.as_deref().map(Box::from),
        audience: auth.audience.as_deref().map(Box::from),
        leeway_s: auth.leeway_s,
        require_exp: auth.require_exp,
        claims: claim_names(&auth.claims),
        ..auth::Config::new(keys)
    }))
}

fn claim_names(claims: &settings::Claims) -> ClaimNames {
    ClaimNames {
        user: claims.user.as_str().into(),
        tenant: claims.tenant.iter().map(|name| name.as_str().into()).collect(),
        roles: claims.roles.as_str().into(),
        abilities: claims.abilities.as_str().into(),
        name: claims.name.as_str().into(),
    }
}

/// The rules of who may do what, compiled.
pub fn abilities(settings: &Settings) -> Abilities {
    Abilities::new(settings.abilities.rules.iter().map(|rule| rule.rule.clone()).collect())
}

/// What signs tokens with the configured secret; `None` without one.
///
/// # Errors
/// When the secret is too weak.
pub fn signing_key(settings: &Settings) -> Result<Option<SigningKey>, BadKey> {
    let Some(secret) = &settings.auth.jwt_secret else { return Ok(None) };
    let key = SigningKey::from_secret(settings.auth.jwt_algorithm, secret.expose().as_bytes());
    key.map(Some).map_err(|error| BadKey { setting: "auth.jwt_secret".to_owned(), error })
}

/// What a reload replaces, on `machine`.
///
/// # Errors
/// As [`verifier`].
pub fn policy(settings: &Settings, machine: &Machine) -> Result<Policy, BadKey> {
    Ok(Policy {
        dev_tokens: if machine.hand_out_tokens { signing_key(settings)?.map(Arc::new) } else { None },
        metrics: metrics(&settings.metrics),
        verifier: Arc::new(verifier(settings)?),
        api_keys: api_keys(&settings.api),
        channels: ChannelTemplates::new(settings.channels.templates.iter().cloned()),
        origins: Origins::new(settings.cors.origins.iter().cloned()),
        proxies: Proxies {
            trusted: settings.server.trusted_proxies.as_slice().into(),
            protocol: settings.server.proxy_protocol,
        },
        signing: call_key(&settings.api)?,
        limits: limits(&settings.limits, machine),
        abilities: abilities(settings),
        introspection: introspection(settings, machine.shards).map(Arc::new),
        jwks: key_source(&settings.auth).map(Arc::new),
        resources: resources(&settings.resources, machine.shards).map(Arc::new),
    })
}

fn call_key(api: &settings::Api) -> Result<Option<CallKey>, BadKey> {
    let Some(secret) = api.signing_secret.as_ref().filter(|_| api.signing) else { return Ok(None) };
    let key = CallKey::new(secret.expose().as_bytes());
    key.map(Some).map_err(|error| BadKey { setting: "api.signing_secret".to_owned(), error })
}

/// A node's calls, shared out to its shards.
fn introspection(settings: &Settings, shards: u16) -> Option<Introspection> {
    let own = &settings.introspection;
    let path = |text: &str| FieldPath::parse(text).expect("the table has checked it");
    Some(Introspection {
        url: own.url.as_deref()?.into(),
        timeout_ms: own.timeout_ms,
        in_flight_max: own.in_flight.div_ceil(u32::from(shards.max(1))) as usize,
        fields: Fields {
            user: path(&own.user),
            tenant: path(&own.tenant),
            roles: path(&own.roles),
            abilities: path(&own.abilities),
            token_id: path(&own.token_id),
            issued_at: path(&own.issued_at),
            expires_at: path(&own.expires_at),
        },
        verdicts: VerdictLimits {
            good_ms: own.cache_s * 1_000,
            bad_ms: own.cache_bad_s * 1_000,
            entries_max: own.cache_entries,
        },
        breaker: BreakerLimits { failures_max: own.breaker_failures, open_ms: own.breaker_open_ms },
    })
}

/// What servers decide in rooms; `None` where they decide nothing. Calls are shared out to the shards.
///
/// # Panics
/// Never with settings that were loaded: the rules have been checked.
pub fn resources(own: &settings::Resources, shards: u16) -> Option<Resources> {
    let whole = |rule: &settings::ResourceRule| {
        let rule = &rule.rule;
        let url = own.url_of(rule).map(|url| UrlTemplate::parse(&url, &rule.room));
        let url = url.and_then(Result::ok).expect("it was checked when it was loaded");
        ResourceRule { url, ..rule.clone() }
    };
    let limits = ResourceLimits {
        timeout_ms: own.timeout_ms,
        in_flight_max: own.in_flight.div_ceil(u32::from(shards.max(1))) as usize,
        verdicts: VerdictLimits {
            good_ms: own.cache_s * 1_000,
            bad_ms: own.cache_denied_s * 1_000,
            entries_max: own.cache_entries,
        },
        breaker: BreakerLimits { failures_max: own.breaker_failures, open_ms: own.breaker_open_ms },
    };
    let rules: Vec<_> = own.rules.iter().map(whole).collect();
    (!rules.is_empty()).then(|| Resources::new(rules, limits))
}

fn key_source(auth: &settings::Auth) -> Option<KeySource> {
    Some(KeySource {
        url: auth.jwks_url.as_deref()?.into(),
        refresh_ms: auth.jwks_refresh_s * 1_000,
        refetch_ms: auth.jwks_refetch_s * 1_000,
        rsa: auth.jwks_rsa_algorithm,
    })
}

/// Whom the client for servers outside trusts, and how much it does at a time.
pub fn outside(settings: &Settings) -> OutsideConfig {
    OutsideConfig {
        in_flight_max: settings.outside.in_flight,
        roots_pem: settings.outside.ca_file.as_ref().map(|it| it.text.clone()),
    }
}

/// The engine's configuration on `machine`.
///
/// # Errors
/// As [`verifier`].
pub fn engine(settings: &Settings, machine: &Machine) -> Result<engine::Config, BadKey> {
    let limits = &settings.limits;
    Ok(engine::Config {
        node: machine.node,
        address: machine.address,
        shards: machine.shards,
        admin_apart: machine.admin_address.is_some(),
        version: env!("CARGO_PKG_VERSION"),
        driver: machine.driver.as_str(),
        policy: Arc::new(policy(settings, machine)?),
        replay_entries: settings.api.replay_entries as usize,
        auth_cache_entries: settings.auth.cache_entries as usize,
        revocation_s: settings.auth.revocation_s,
        revocations: ShareLimits {
            total: settings.auth.revocations_max as usize,
            percent: settings.auth.revocations_tenant_percent,
        },
        token_hasher: TokenHasher::new(&machine.token_key),
        openapi: http::openapi::document(env!("CARGO_PKG_VERSION")).into(),
        http: http::Limits::default(),
        head_timeout_ms: settings.http.head_timeout_ms,
        keep_alive_ms: settings.http.keep_alive_ms,
        body_bytes_max: settings.http.body_bytes_max,
        body_timeout_ms: settings.http.body_timeout_ms,
        auth_timeout_ms: settings.auth.timeout_ms,
        heartbeat_interval_ms: settings.heartbeat.interval_ms,
        heartbeat_timeout_ms: settings.heartbeat.timeout_ms,
        quality: quality(&settings.quality),
        expiring_notice_ms: settings.token.expiring_notice_s * 1_000,
        ws: ws::Limits {
            message_bytes_max: limits.message_bytes,
            fragments_max: limits.fragments,
            inflate_ratio_max: INFLATE_RATIO_MAX,
        },
        echo: settings.server.echo,
        echo_ws: ECHO_LIMITS,
        latency_budget_us: settings.server.latency_budget_us,
        outbox_bytes_max: u32::try_from(limits.outbox_bytes).unwrap_or(u32::MAX),
        echo_outbox_bytes_max: ECHO_OUTBOX_BYTES_MAX,
        relay_room_ttl_ms: settings.relay.room_ttl_s * 1_000,
        deflate: settings.ws.deflate,
        deflate_bytes_min: settings.ws.deflate_min_bytes,
        requests: requests(&settings.requests, machine.shards),
        drain: drain(&settings.drain, machine.shards),
        presence: PresenceConfig {
            enabled: settings.presence.enabled,
            page_max: settings.presence.page_max as usize,
            metadata_bytes_max: settings.presence.metadata_bytes_max,
        },
        history: Arc::new(history(&settings.history, limits.outbox_bytes, machine.shards)),
    })
}

fn metrics(metrics: &settings::Metrics) -> MetricsPolicy {
    MetricsPolicy {
        is_open: metrics.open && metrics.bearer.is_none(),
        bearer: metrics.bearer.as_ref().map(|bearer| key_digest(bearer.expose())),
        legacy_names: metrics.legacy_names,
    }
}

fn api_keys(api: &settings::Api) -> ApiKeys {
    let backend = |key: &settings::ApiKey| Backend {
        name: key.name.clone(),
        scopes: key.scopes,
        tenants: key.tenants.clone(),
    };
    ApiKeys::new(api.keys.iter().map(|key| (key.hash.0, backend(key))).collect())
}

fn limits(limits: &settings::Limits, machine: &Machine) -> Limits {
    let payer = |per_s, burst| PayerLimit::new(per_s, burst, machine.shards);
    Limits {
        connections_max: connections_max(limits.connections_total, machine.fds_max),
        rooms_per_connection_max: none_if_zero(limits.rooms_per_connection),
        room_creates_per_ip_per_min: limits.room_creates_per_ip_per_min,
        messages: MessageLimits {
            messages: Rate::new(limits.messages_per_10s),
            bytes: Rate::new(limits.bytes_per_10s),
            refusals: Rate::new(limits.refusals_per_min),
        },
        user: payer(limits.user_messages_per_s, limits.user_messages_burst),
        tenant: payer(limits.tenant_messages_per_s, limits.tenant_messages_burst),
        address: AddressLimits {
            open: limits.connections_per_ip,
            opened: Rate::new(limits.connects_per_ip_per_min),
        },
    }
}

fn quality(quality: &settings::Quality) -> QualityLimits {
    QualityLimits {
        excellent_us: quality.excellent_ms * 1_000,
        good_us: quality.good_ms * 1_000,
        good_loss_percent: quality.good_loss_percent,
        fair_us: quality.fair_ms * 1_000,
        fair_loss_percent: quality.fair_loss_percent,
    }
}

fn none_if_zero(limit: u32) -> usize {
    if limit == 0 { usize::MAX } else { limit as usize }
}

fn connections_max(configured: u32, fds_max: u64) -> usize {
    if configured > 0 { configured as usize } else { (fds_max * FDS_PERCENT / 100) as usize }
}

/// A node's memory, shared out to its shards. Whoever asks for the past gets no more at a time than half of what may wait
/// for it.
fn history(history: &settings::History, outbox_bytes: usize, shards: u16) -> HistoryConfig {
    let messages = |own: Option<u32>| if history.enabled { own.unwrap_or(history.messages) } else { 0 };
    let keep = |own: Option<u32>, ttl_s: Option<u32>| Keep {
        messages: messages(own),
        seconds: ttl_s.unwrap_or(history.ttl_s),
    };
    let rooms = history.rooms.iter().map(|room| (room.pattern.clone(), keep(room.messages, room.ttl_s)));
    HistoryConfig {
        keep: keep(None, None),
        rooms: rooms.collect(),
        repeats: Keep { messages: history.repeat_messages, seconds: history.repeat_s },
        bytes_max: history.memory_bytes / u64::from(shards.max(1)),
        page_messages_max: history.page_messages,
        page_bytes_max: outbox_bytes / 2,
    }
}

/// The node's bound, shared out to its shards.
fn requests(requests: &settings::Requests, shards: u16) -> RequestsConfig {
    RequestsConfig {
        timeout_ms: requests.timeout_ms,
        timeout_ms_max: requests.timeout_max_ms,
        pending_max: PendingLimits {
            per_connection: none_if_zero(requests.per_connection),
            shares: ShareLimits {
                total: requests.total.div_ceil(u32::from(shards.max(1))) as usize,
                percent: requests.tenant_percent,
            },
        },
    }
}

/// A node's pace, shared out to its shards. Without one, connections are spread over the time that there is.
fn drain(drain: &settings::Drain, shards: u16) -> DrainConfig {
    DrainConfig {
        announce_ms: drain.announce_s * 1_000,
        timeout_ms: drain.timeout_s * 1_000,
        per_second: u64::from(drain.rate).div_ceil(u64::from(shards.max(1))),
    }
}
