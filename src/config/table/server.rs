//! The rows of the process and its HTTP side: `server`, `log`, `http`, `metrics`, `admin`, `api`.
//! Invariant: as in the table, sections stand together.

use super::{PRODUCTION_NAMES, Setting, setting};
use crate::{
    base::SHARDS_MAX,
    config::{
        kind::{Address, Bearer, Choice, List, MaybeListen, MaybeSecret, Number, OnOff, Text},
        kind_api_keys::ApiKeys,
    },
    http::ProxyProtocol,
    shell::{driver::DriverChoice, log::LogFormat},
};

pub(super) static ROWS: &[Setting] = &[
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
        "server.core_dumps",
        &OnOff(|s| &mut s.server.core_dumps),
        "Whether a crash may leave the process's memory, with tokens and keys in it, in a core dump, and debuggers of the \
         same user may read it. Unless set: yes, in production no.",
    )
    .example("false"),
    setting(
        "server.trusted_proxies",
        &List { allowed: NETWORKS, at: |s| &mut s.server.trusted_proxies },
        "Proxies whose word is taken for where a client is: in X-Forwarded-For, where the last hop that is not one of \
         them is the client, and in the PROXY protocol. Of anybody else X-Forwarded-For is ignored.",
    )
    .example("[\"10.0.0.0/8\", \"2001:db8::1\"]")
    .live(),
    setting(
        "server.proxy_protocol",
        &Choice { of: &ProxyProtocol::ALL, at: |s| &mut s.server.proxy_protocol },
        "Whether connections begin with a header of the PROXY protocol (v1 or v2): with `optional` those of trusted \
         proxies may, with `required` all must. What another sends is closed, with `required` whoever is no trusted \
         proxy.",
    )
    .live(),
    setting(
        "server.tls_terminated_by_proxy",
        &OnOff(|s| &mut s.server.tls_terminated_by_proxy),
        "The word that clients reach the gateway through a proxy that ends TLS: it has none of its own. Production wants \
         it.",
    ),
    setting(
        "log.level",
        &Text { check: is_log_level, allowed: LOG_LEVELS, at: |s| &mut s.log.level },
        "What to log, also by module: `info,ringway::hub=debug`.",
    )
    .live(),
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
        "cors.origins",
        &List { allowed: ORIGINS, at: |s| &mut s.cors.origins },
        "Origins whose pages may open WebSockets (others get 403) and read answers of the API. `localhost` is every page \
         of the browser's own machine, `null` pages without an origin. Unless set: `localhost`, in production none.",
    )
    .plain(&["CORS_ORIGIN", "CORS_ORIGINS"])
    .example("[\"https://app.example.com\", \"https://*.example.com\"]")
    .live(),
    setting(
        "metrics.open",
        &OnOff(|s| &mut s.metrics.open),
        "Whether anybody may read /metrics. Else it wants metrics.bearer, or what /stats wants: an API key with the scope \
         `admin`, or a token with `ringway:admin`. Unless set: yes without metrics.bearer, in production no.",
    )
    .example("true")
    .live(),
    setting(
        "metrics.bearer",
        &Bearer(|s| &mut s.metrics.bearer),
        "What a scraper shows as `Authorization: Bearer`. It opens nothing but /metrics.",
    )
    .example("\"<openssl rand -hex 32>\"")
    .secret()
    .live(),
    setting(
        "metrics.legacy_names",
        &OnOff(|s| &mut s.metrics.legacy_names),
        "Whether values stand there a second time, under the names that earlier servers of this kind used \
         (`active_connections`, `ws_messages_sent` and so on), for their dashboards.",
    )
    .live(),
    setting(
        "admin.listen",
        &MaybeListen(|s| &mut s.admin.listen),
        "A second address to listen on. With it /metrics, the pages of administrators and the backend's API answer there and \
         not on the first one, which answers clients; health and probes answer on both.",
    )
    .example("\"127.0.0.1:9090\""),
    setting(
        "api.keys",
        &ApiKeys(|s| &mut s.api.keys),
        "What backends show instead of a token, each by the hash of its key, with what it may do (publish, request, rooms, \
         presence, history, connections, admin) and for which tenants (`[\"*\"]` is all).",
    )
    .example("[{ name = \"billing\", hash = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", scopes = [\"publish\"], tenants = [\"acme\"] }]")
    .live(),
    setting(
        "api.signing",
        &OnOff(|s| &mut s.api.signing),
        "Whether calls that change something (POST) must be signed beside their key or token: X-Ringway-Timestamp in Unix \
         seconds, with or without a fraction, and X-Ringway-Signature, the HMAC-SHA-256 in hexadecimal digits over \
         timestamp, `POST`, path (without the query) and body, with a dot between each. A timestamp that is off by more \
         than 300 s, or a signature that this process has seen before, is refused with 401 (another node does not know of it). Streams of lines cannot be signed.",
    )
    .live(),
    setting(
        "api.signing_secret",
        &MaybeSecret(|s| &mut s.api.signing_secret),
        "The secret that calls are signed with. Better in the environment than in a file.",
    )
    .example("\"<openssl rand -hex 32>\"")
    .secret()
    .live(),
    setting(
        "api.replay_entries",
        &Number { unit: "", range: 1..=100_000_000, at: |s| &mut s.api.replay_entries },
        "How many signatures each shard remembers, until their timestamps are too old; about 50 bytes each. With more \
         calls than that in five minutes, calls are refused with 503.",
    ),
];

const NETWORKS: &str = "a list of addresses and networks, like `10.0.0.0/8` or `2001:db8::/32`";

const ORIGINS: &str = "a list of origins like `https://app.example.com` or `https://*.example.com`, without a path; `*` is \
                       every origin";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_levels() {
        for text in ["info", "off", "info,ringway::hub=debug", "a=trace"] {
            assert!(is_log_level(text), "{text}");
        }
        for text in ["", "INFO", "verbose", "info,", "=info", "a=b", "a b=info", "info;debug"] {
            assert!(!is_log_level(text), "{text}");
        }
    }
}
