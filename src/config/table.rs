//! The table of settings: key, kind, field, words. File, environment, flags, checks and reports follow from it.
//!
//! Invariants: keys are `section.name`, sections stand together, and every field of `Settings` has one row.

use super::{
    kind::{Address, Choice, Kind, MaybeSecret, MaybeText, Number, OnOff, Text, Texts},
    kind_api_keys::ApiKeys,
    kind_history::{MESSAGES, RoomHistories, TTL_S},
    kind_keys::Keys,
    settings::SECRET_ALGORITHMS,
};
use crate::{
    base::SHARDS_MAX,
    shell::{driver::DriverChoice, log::LogFormat},
};

/// One setting.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) kind: &'static dyn Kind,
    /// What it does, for the default file.
    pub(super) doc: &'static str,
    /// Plain environment names that set it too, the stronger later; `RINGWAY_…` is stronger than all.
    pub(super) plain_names: &'static [&'static str],
    /// For settings without one fixed default: what to show, commented out, in the default file.
    pub(super) example: Option<&'static str>,
    /// Whether its value must never be shown.
    pub(super) is_secret: bool,
}

/// The sections in the order of the default file, with their words.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("server", "Where and how the gateway runs."),
    ("log", "What it says on stdout."),
    ("http", "Patience with HTTP clients."),
    ("api", "Keys of backends. `ringway key make` makes one, and the line for this file."),
    (
        "auth",
        "Who may connect. Without a secret and keys a secret is made for each run; production refuses to.",
    ),
    ("heartbeat", "Pings to clients. Any frame from a client counts as a sign of life."),
    (
        "quality",
        "What a connection is called in reports, by its mean round trip and by how many of its last 128 pings were not \
         answered before the next one. What is not even fair is poor.",
    ),
    ("limits", "Bounds. What passes one is refused or closed with the documented code, and counted."),
    ("requests", "Requests with an answer, from one client, or the backend, to another."),
    ("ws", "WebSocket options."),
    ("relay", "The binary protocol for opaque bytes (`ringway.relay.v1`)."),
    ("channels", "Short names for rooms."),
    ("presence", "Who is in a room, and how. What a room tells its members is paced by their number."),
    (
        "history",
        "What rooms keep of messages that are sent with `persistent`, in memory, for clients that come back.",
    ),
    ("token", "Tokens of open connections. A connection ends with 4401 when its token does."),
    ("drain", "How it leaves on SIGTERM: not ready first, then closing with 1012 at a pace."),
];

const fn setting(key: &'static str, kind: &'static dyn Kind, doc: &'static str) -> Setting {
    Setting { key, kind, doc, plain_names: &[], example: None, is_secret: false }
}

impl Setting {
    const fn plain(self, plain_names: &'static [&'static str]) -> Self {
        Self { plain_names, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Section and name.
    pub(super) fn section_and_name(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').expect("keys of the table have a dot")
    }

    /// The environment variable that every setting has: `RINGWAY_SERVER__PORT`.
    pub(super) fn environment_name(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.key.replace('.', "__").to_ascii_uppercase())
    }
}

/// What our environment variables begin with.
pub(super) const ENVIRONMENT_PREFIX: &str = "RINGWAY_";

/// The setting of that key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The key or section that someone may have meant.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let sections = SECTIONS.iter().map(|(name, _)| *name).filter(|_| !key.contains('.'));
    let keys = SETTINGS.iter().map(|setting| setting.key);
    // Someone who forgot the section, or has it wrong, wrote the name right.
    let name = key.rsplit('.').next().unwrap_or(key);
    let score = |known: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, known);
        let same_name = known.split_once('.').is_some_and(|(_, known_name)| known_name == name);
        if same_name { whole.max(0.9) } else { whole }
    };
    let scored = sections.chain(keys).map(|known| (score(known), known));
    scored.filter(|(score, _)| *score >= 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// All settings.
pub(super) static SETTINGS: &[Setting] = &[
    setting(
        "server.host",
        &Address(|s| &mut s.server.host),
        "The address to listen on. Unless set: 127.0.0.1, in production 0.0.0.0.",
    )
    .plain(&["HOST", "WEBSOCKET_HOST"])
    .example("\"0.0.0.0\""),
    setting(
        "server.port",
        &Number { unit: "", range: 0..=65_535, at: |s| &mut s.server.port },
        "The port to listen on. 0 takes a free one.",
    )
    .plain(&["PORT", "WEBSOCKET_PORT"]),
    setting(
        "server.shards",
        &Number { unit: "", range: 0..=SHARDS_MAX as u64, at: |s| &mut s.server.shards },
        "Threads, each with its own connections and rooms. 0 is one per core that this process may use.",
    )
    .plain(&["WEBSOCKET_WORKERS"]),
    setting(
        "server.driver",
        &Choice { of: &DriverChoice::ALL, at: |s| &mut s.server.driver },
        "How bytes are moved. `auto` is io_uring where the kernel allows it, else epoll.",
    ),
    setting(
        "server.latency_budget_us",
        &Number { unit: "us", range: 0..=100_000, at: |s| &mut s.server.latency_budget_us },
        "How long a room's message may wait for others, so that they share a write. Only where others can be expected \
         in that time, and the shard has much to write. More saves CPU under load; 0 never waits.",
    ),
    setting(
        "server.echo",
        &OnOff(|s| &mut s.server.echo),
        "Whether /echo answers: a WebSocket without token that says back what it hears, for tests. Unless set: \
         yes, in production no.",
    )
    .example("false"),
    setting(
        "server.production",
        &OnOff(|s| &mut s.server.production),
        "Whether the production rules hold: unsafe settings then stop the start, each with its reason. NODE_ENV or \
         APP_ENV say yes when they are `production`.",
    )
    .plain(PRODUCTION_NAMES),
    setting(
        "log.level",
        &Text { check: is_log_level, allowed: LOG_LEVELS, at: |s| &mut s.log.level },
        "What to log, also by module: `info,ringway::hub=debug`.",
    ),
    setting(
        "log.format",
        &Choice { of: &LogFormat::ALL, at: |s| &mut s.log.format },
        "Lines for people, or JSON lines for a log collector.",
    ),
    setting(
        "http.head_timeout_ms",
        &Number { unit: "milliseconds", range: 10..=600_000, at: |s| &mut s.http.head_timeout_ms },
        "A request head that is not complete by then is answered with 408, and the connection closed.",
    ),
    setting(
        "http.keep_alive_ms",
        &Number { unit: "milliseconds", range: 10..=3_600_000, at: |s| &mut s.http.keep_alive_ms },
        "How long a connection may wait for its next request.",
    ),
    setting(
        "http.body_bytes_max",
        &Number { unit: "bytes", range: 1024..=64 << 20, at: |s| &mut s.http.body_bytes_max },
        "The largest request body. A stream of lines may be longer as a whole, but none of its lines.",
    ),
    setting(
        "http.body_timeout_ms",
        &Number { unit: "milliseconds", range: 10..=3_600_000, at: |s| &mut s.http.body_timeout_ms },
        "A request body that is not complete by then is answered with 408. A stream of lines may be silent for as long.",
    ),
    setting(
        "api.keys",
        &ApiKeys(|s| &mut s.api.keys),
        "What backends show instead of a token, each by the hash of its key, with what it may do (publish, request, rooms, \
         presence, history, connections, admin) and for which tenants (`[\"*\"]` is all).",
    )
    .example("[{ name = \"billing\", hash = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", scopes = [\"publish\"], tenants = [\"acme\"] }]"),
    setting(
        "auth.jwt_secret",
        &MaybeSecret(|s| &mut s.auth.jwt_secret),
        "The secret that tokens are signed with. Better in the environment than in a file.",
    )
    .plain(&["JWT_SECRET"])
    .example("\"<openssl rand -hex 32>\"")
    .secret(),
    setting(
        "auth.jwt_algorithm",
        &Choice { of: SECRET_ALGORITHMS, at: |s| &mut s.auth.jwt_algorithm },
        "The algorithm of that secret. A token cannot choose it.",
    ),
    setting(
        "auth.issuer",
        &MaybeText(|s| &mut s.auth.issuer),
        "What a token's `iss` must be. Unless set, it may be anything.",
    )
    .example("\"https://id.example.com\""),
    setting(
        "auth.audience",
        &MaybeText(|s| &mut s.auth.audience),
        "What must be among a token's `aud`. Unless set, it may be anything.",
    )
    .example("\"ringway\""),
    setting(
        "auth.leeway_s",
        &Number { unit: "seconds", range: 0..=600, at: |s| &mut s.auth.leeway_s },
        "How far the issuer's clock may be off.",
    ),
    setting(
        "auth.require_exp",
        &OnOff(|s| &mut s.auth.require_exp),
        "Whether a token that never expires is refused.",
    ),
    setting(
        "auth.cache_entries",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.auth.cache_entries },
        "How many verified tokens each shard remembers, so that clients that come back cost no second signature; about \
         200 bytes each. Only those signed with `auth.keys`: a secret's are verified as fast. 0 is none.",
    ),
    setting(
        "auth.timeout_ms",
        &Number { unit: "milliseconds", range: 10..=600_000, at: |s| &mut s.auth.timeout_ms },
        "How long a connection may stay without a token. It is then closed with 4408.",
    ),
    setting(
        "auth.keys",
        &Keys(|s| &mut s.auth.keys),
        "Public keys that tokens may be signed for, each with its algorithm and a PEM file (relative to this \
         file). With several, `kid` tells them apart.",
    )
    .example("[{ kid = \"2026\", algorithm = \"RS256\", file = \"keys/2026.pem\" }]"),
    setting(
        "heartbeat.interval_ms",
        &Number { unit: "milliseconds", range: 10..=3_600_000, at: |s| &mut s.heartbeat.interval_ms },
        "How often every client is pinged.",
    )
    .plain(&["HEARTBEAT_INTERVAL", "WS_PING_INTERVAL_MS"]),
    setting(
        "heartbeat.timeout_ms",
        &Number { unit: "milliseconds", range: 10..=3_600_000, at: |s| &mut s.heartbeat.timeout_ms },
        "How long a client may be silent before it is closed with 4408. Longer than the interval.",
    )
    .plain(&["HEARTBEAT_TIMEOUT", "WS_PING_TIMEOUT_MS"]),
    setting(
        "quality.excellent_ms",
        &Number { unit: "milliseconds", range: 1..=600_000, at: |s| &mut s.quality.excellent_ms },
        "An excellent connection's round trip is shorter. It has lost no ping.",
    ),
    setting(
        "quality.good_ms",
        &Number { unit: "milliseconds", range: 1..=600_000, at: |s| &mut s.quality.good_ms },
        "A good connection's round trip is shorter.",
    ),
    setting(
        "quality.good_loss_percent",
        &Number { unit: "percent", range: 1..=100, at: |s| &mut s.quality.good_loss_percent },
        "A good connection has lost less.",
    ),
    setting(
        "quality.fair_ms",
        &Number { unit: "milliseconds", range: 1..=600_000, at: |s| &mut s.quality.fair_ms },
        "A fair connection's round trip is shorter.",
    ),
    setting(
        "quality.fair_loss_percent",
        &Number { unit: "percent", range: 1..=100, at: |s| &mut s.quality.fair_loss_percent },
        "A fair connection has lost less.",
    ),
    setting(
        "limits.message_bytes",
        &Number { unit: "bytes", range: 128..=64 << 20, at: |s| &mut s.limits.message_bytes },
        "The largest message from a client.",
    ),
    setting(
        "limits.fragments",
        &Number { unit: "", range: 1..=1 << 20, at: |s| &mut s.limits.fragments },
        "How many frames one message may come in.",
    ),
    setting(
        "limits.outbox_bytes",
        &Number { unit: "bytes", range: 4096..=1 << 30, at: |s| &mut s.limits.outbox_bytes },
        "What may wait for one slow client before it is closed with 4430. At least the largest message.",
    ),
    setting(
        "limits.rooms_per_connection",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.limits.rooms_per_connection },
        "How many rooms one connection may be in. 0 is no limit.",
    ),
    setting(
        "limits.room_creates_per_ip_per_min",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.limits.room_creates_per_ip_per_min },
        "How many rooms may be created from one address (IPv6: one /64) in a minute; a join that would create more is \
         refused. Each shard counts the rooms that it orders, so that an address gets this number at least, and this \
         times the shards at most. 0 is no limit. Unless set: 0, in production 10.",
    )
    .plain(&["MAX_ROOM_CREATES_PER_IP_PER_MIN"])
    .example("10"),
    setting(
        "limits.connections_total",
        &Number { unit: "", range: 0..=100_000_000, at: |s| &mut s.limits.connections_total },
        "With more connections than this, of any kind, WebSocket upgrades are refused with 503. 0 is 90 % of what the \
         open-file limit allows.",
    )
    .plain(&["MAX_TOTAL_CONNECTIONS"]),
    setting(
        "limits.mailbox_parcels",
        &Number { unit: "", range: 64..=1 << 20, at: |s| &mut s.limits.mailbox_parcels },
        "How many parcels from other shards may wait for a shard before the senders wait too.",
    ),
    setting(
        "requests.timeout_ms",
        &Number { unit: "milliseconds", range: 1..=86_400_000, at: |s| &mut s.requests.timeout_ms },
        "How long a request waits for its answer that does not say `timeoutMs`.",
    ),
    setting(
        "requests.timeout_max_ms",
        &Number { unit: "milliseconds", range: 1..=86_400_000, at: |s| &mut s.requests.timeout_max_ms },
        "The longest `timeoutMs`. One that says more is refused.",
    ),
    setting(
        "requests.per_connection",
        &Number { unit: "", range: 0..=1_000_000, at: |s| &mut s.requests.per_connection },
        "How many requests of one connection may wait for their answer; more are refused with `unavailable`. 0 is no \
         limit but that of all.",
    ),
    setting(
        "requests.total",
        &Number { unit: "", range: 1..=10_000_000, at: |s| &mut s.requests.total },
        "How many requests may wait for their answer on the node, shared out evenly to the shards where they are asked.",
    ),
    setting(
        "ws.deflate",
        &OnOff(|s| &mut s.ws.deflate),
        "Whether clients may have permessage-deflate. A message is compressed once for all of a room.",
    ),
    setting(
        "ws.deflate_min_bytes",
        &Number { unit: "bytes", range: 0..=1 << 20, at: |s| &mut s.ws.deflate_min_bytes },
        "Smaller messages are not worth compressing.",
    ),
    setting(
        "relay.room_ttl_s",
        &Number { unit: "seconds", range: 0..=31_536_000, at: |s| &mut s.relay.room_ttl_s },
        "A room that has been joined over relay only is over, and its members are told that they have left it, when \
         nothing was sent to it and nobody joined it for so long. 0 is never.",
    ),
    setting(
        "channels.templates",
        &Texts { name_of: template_name, allowed: TEMPLATES, at: |s| &mut s.channels.templates },
        "What `subscribe` makes of a short name: `dashboard` becomes `dashboard.{user_id}` of whoever asks.",
    ),
    setting(
        "presence.enabled",
        &OnOff(|s| &mut s.presence.enabled),
        "Whether clients are told who else is in their rooms.",
    ),
    setting(
        "presence.page_max",
        &Number { unit: "", range: 1..=10_000, at: |s| &mut s.presence.page_max },
        "How many users one answer to `query:presence` may name; without a limit of its own it gets 100. An answer of \
         over about 64 KiB ends early. Each says where the next begins.",
    ),
    setting(
        "presence.metadata_bytes_max",
        &Number { unit: "bytes", range: 0..=64 << 10, at: |s| &mut s.presence.metadata_bytes_max },
        "The largest `metadata` of `room:join` and `presence:status`. It is kept for as long as the user is there.",
    ),
    setting(
        "history.enabled",
        &OnOff(|s| &mut s.history.enabled),
        "Whether anything is kept. Without history, `persistent` is refused.",
    )
    .plain(&["PERSISTENCE_ENABLED"]),
    setting(
        "history.messages",
        &Number { unit: "", range: MESSAGES, at: |s| &mut s.history.messages },
        "How many messages a room keeps. 0 is none.",
    ),
    setting(
        "history.ttl_s",
        &Number { unit: "seconds", range: TTL_S, at: |s| &mut s.history.ttl_s },
        "For how long it keeps them. A room that nobody is in lasts as long as its last message.",
    )
    .plain(&["PERSISTENCE_TTL"]),
    setting(
        "history.rooms",
        &RoomHistories(|s| &mut s.history.rooms),
        "Rooms that keep more, or less; the first pattern that matches counts. `*` is any text without `.`, `:` and `/`, \
         `**` any text.",
    )
    .example("[{ pattern = \"orders.**\", messages = 1000, ttl_s = 86400 }]"),
    setting(
        "history.memory_bytes",
        &Number { unit: "bytes", range: 1 << 20..=1 << 40, at: |s| &mut s.history.memory_bytes },
        "What all rooms together may keep, shared out to the shards. Beyond it the room goes first that was used longest \
         ago and has no members, then the oldest messages of others.",
    ),
    setting(
        "history.page_messages",
        &Number { unit: "", range: 1..=10_000, at: |s| &mut s.history.page_messages },
        "How many messages `room:history` answers at most. Half of limits.outbox_bytes bounds it, too.",
    ),
    setting(
        "history.repeat_messages",
        &Number { unit: "", range: 0..=100_000, at: |s| &mut s.history.repeat_messages },
        "How many messages a room knows again by their `messageId`: one that is sent again is acked again and not \
         delivered again. 0 is none.",
    ),
    setting(
        "history.repeat_s",
        &Number { unit: "seconds", range: 1..=86_400, at: |s| &mut s.history.repeat_s },
        "For how long it knows them.",
    ),
    setting(
        "token.expiring_notice_s",
        &Number { unit: "seconds", range: 0..=86_400, at: |s| &mut s.token.expiring_notice_s },
        "How long before its token ends a client is told to refresh it. 0 is never.",
    ),
    setting(
        "drain.announce_s",
        &Number { unit: "seconds", range: 0..=3600, at: |s| &mut s.drain.announce_s },
        "How long /ready says no before the first connection is closed, for load balancers to notice. Unless set: \
         0, in production 5.",
    )
    .example("5"),
    setting(
        "drain.timeout_s",
        &Number { unit: "seconds", range: 1..=86_400, at: |s| &mut s.drain.timeout_s },
        "When all is over, announcement included. Your supervisor should wait a little longer before it kills.",
    ),
    setting(
        "drain.rate",
        &Number { unit: "connections per second", range: 0..=1_000_000, at: |s| &mut s.drain.rate },
        "How fast connections are closed. 0 spreads them over the time there is.",
    ),
];

/// These set production by the word `production`, and nothing by any other.
pub(super) const PRODUCTION_NAMES: &[&str] = &["NODE_ENV", "APP_ENV"];

const LOG_LEVELS: &str =
    "`off`, `error`, `warn`, `info`, `debug` or `trace`, or a list like `info,ringway::hub=debug`";

fn is_log_level(text: &str) -> bool {
    let is_level = |text: &str| matches!(text, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let is_module = |text: &str| {
        let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
        !text.is_empty() && text.bytes().all(is_byte)
    };
    text.split(',').all(|directive| match directive.split_once('=') {
        Some((module, level)) => is_module(module) && is_level(level),
        None => is_level(directive),
    })
}

const TEMPLATES: &str = "a list of templates, each name once, like `dashboard.{user_id}`: a name, a dot, text with `{placeholders}`";

/// The short name of a template; `None` for what is none.
fn template_name(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once('.')?;
    let has_braces = |text: &str| text.contains(['{', '}']);
    let is_placeholder =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let mut pieces = rest.split('{');
    let start_is_plain = pieces.next().is_some_and(|start| !start.contains('}'));
    let closed = pieces.all(|piece| {
        piece
            .split_once('}')
            .is_some_and(|(placeholder, after)| is_placeholder(placeholder) && !has_braces(after))
    });
    let is_clean = text.len() <= 256 && !text.chars().any(char::is_control);
    (is_clean && !name.is_empty() && !has_braces(name) && !rest.is_empty() && start_is_plain && closed)
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        let mut sections: Vec<_> = SETTINGS.iter().map(|setting| setting.section_and_name().0).collect();
        sections.dedup();
        assert_eq!(sections, SECTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), SETTINGS.len());
        let mut names: Vec<_> = SETTINGS.iter().flat_map(|setting| setting.plain_names).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn near_misses() {
        let rows = [
            ("server.prot", Some("server.port")),
            ("serv.port", Some("server.port")),
            ("port", Some("server.port")),
            ("jwt_secret", Some("auth.jwt_secret")),
            ("sever", Some("server")),
            ("limit", Some("limits")),
            ("heartbeat.interval", Some("heartbeat.interval_ms")),
            ("ws.jwt_secret", Some("auth.jwt_secret")),
            ("zebra", None),
            ("zebra.stripes", None),
        ];
        for (key, expected) in rows {
            assert_eq!(nearest(key), expected, "{key}");
        }
    }

    #[test]
    fn syntaxes() {
        for text in ["info", "off", "info,ringway::hub=debug", "a=trace"] {
            assert!(is_log_level(text), "{text}");
        }
        for text in ["", "INFO", "verbose", "info,", "=info", "a=b", "a b=info", "info;debug"] {
            assert!(!is_log_level(text), "{text}");
        }
        let rows = [
            ("a.{user_id}", Some("a")),
            ("a.b.{user_id}.c-{tenant_id}", Some("a")),
            ("a.b", Some("a")),
            ("a", None),
            ("a.", None),
            (".{user_id}", None),
            ("{user_id}.a", None),
            ("a.{user_id", None),
            ("a.user_id}", None),
            ("a.{}", None),
            ("a.{User}", None),
            ("a.{user_id}}", None),
            ("a.{{user_id}", None),
            ("a.\n", None),
        ];
        for (text, expected) in rows {
            assert_eq!(template_name(text), expected, "{text:?}");
        }
    }
}
