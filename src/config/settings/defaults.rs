//! What holds when nothing is configured. Defaults live here and nowhere else; a few depend on whether this is
//! production.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Abilities, AbilityRule, Admin, Api, Auth, Channels, Claims, Cors, Drain, Heartbeat, History, Http,
    Introspection, Limits, Log, Metrics, Outside, Presence, Quality, Relay, Requests, Resources, Server,
    Settings, Token, Ws,
};
use crate::{
    auth::{AbilityPattern, Algorithm, ClaimNames, Role, Rule},
    http::{AllowedOrigin, ProxyProtocol},
    model::{Action, Actions},
    shell::{driver::DriverChoice, log::LogFormat},
};

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
                tls_terminated_by_proxy: false,
            },
            log: Log { level: "info".into(), format: LogFormat::Text },
            http: Http {
                head_timeout_ms: 10_000,
                keep_alive_ms: 60_000,
                body_bytes_max: 1024 * 1024,
                body_timeout_ms: 30_000,
            },
            cors: Cors { origins: if production { Vec::new() } else { vec![AllowedOrigin::Localhost] } },
            metrics: Metrics { open: !production, bearer: None, legacy_names: false },
            admin: Admin { listen: None },
            api: Api { keys: Vec::new(), signing: false, signing_secret: None, replay_entries: 200_000 },
            auth: Auth {
                jwt_secret: None,
                jwt_algorithm: Algorithm::Hs256,
                keys: Vec::new(),
                jwks_file: None,
                jwks_url: None,
                jwks_refresh_s: 300,
                jwks_refetch_s: 30,
                jwks_rsa_algorithm: Algorithm::Rs256,
                issuer: None,
                audience: None,
                leeway_s: 5,
                require_exp: false,
                cache_entries: 10_000,
                claims: Claims::defaults(),
                timeout_ms: 10_000,
                revocation_s: 86_400,
                revocations_max: 65_536,
                revocations_tenant_percent: 50,
            },
            introspection: Introspection {
                url: None,
                timeout_ms: 3_000,
                in_flight: 64,
                cache_s: 30,
                cache_bad_s: 5,
                cache_entries: 10_000,
                breaker_failures: 5,
                breaker_open_ms: 5_000,
                user: "id".into(),
                tenant: "tenant_id".into(),
                roles: "roles".into(),
                abilities: "abilities".into(),
                token_id: "jti".into(),
                issued_at: "iat".into(),
                expires_at: "expires_at".into(),
            },
            outside: Outside { ca_file: None, plaintext: false, in_flight: 1024 },
            abilities: Abilities { rules: default_rules(production) },
            resources: Resources {
                base_url: None,
                rules: Vec::new(),
                timeout_ms: 3_000,
                in_flight: 64,
                cache_s: 10,
                cache_denied_s: 2,
                cache_entries: 10_000,
                breaker_failures: 5,
                breaker_open_ms: 5_000,
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
                connections_per_ip: if production { 50 } else { 0 },
                connects_per_ip_per_min: if production { 600 } else { 0 },
                messages_per_10s: if production { 200 } else { 0 },
                bytes_per_10s: if production { 1024 * 1024 } else { 0 },
                refusals_per_min: 100,
                user_messages_per_s: 0,
                user_messages_burst: 200,
                tenant_messages_per_s: 0,
                tenant_messages_burst: 2000,
                mailbox_parcels: 8192,
            },
            requests: Requests {
                timeout_ms: 15_000,
                timeout_max_ms: 120_000,
                per_connection: 128,
                total: 100_000,
                tenant_percent: 50,
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

impl Claims {
    fn defaults() -> Self {
        let ClaimNames { user, tenant, roles, abilities, name } = ClaimNames::default();
        let tenant = tenant.into_iter().map(String::from).collect();
        let [user, roles, abilities, name] = [user, roles, abilities, name].map(String::from);
        Self { user, tenant, roles, abilities, name }
    }
}

/// In production a user has what is his own, and reads what is his tenant's; elsewhere everyone may do everything.
fn default_rules(production: bool) -> Vec<AbilityRule> {
    let rule = |actions: &[Action], rooms: &[&str]| {
        let actions = actions.iter().fold(Actions::NONE, |all, action| all.and((*action).into()));
        let patterns =
            rooms.iter().map(|room| AbilityPattern::parse(room).expect("our patterns are good ones"));
        Rule { role: Role::Everyone, actions, rooms: patterns.collect() }
    };
    let rules = if production {
        vec![
            rule(
                &[Action::Join, Action::Presence, Action::History],
                &["dashboard.{user_id}", "alerts.{user_id}", "notifications.{user_id}"],
            ),
            rule(&[Action::Join, Action::History], &["metrics.{tenant_id}", "system.{tenant_id}"]),
        ]
    } else {
        vec![Rule::everything()]
    };
    rules.into_iter().map(|rule| AbilityRule { rule, line: None }).collect()
}

const TEMPLATES: [&str; 6] = [
    "dashboard.{user_id}",
    "alerts.{user_id}",
    "notifications.{user_id}",
    "metrics.{tenant_id}",
    "system.{tenant_id}",
    "project.{project_id}",
];
