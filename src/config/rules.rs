//! What must hold between settings, and what production refuses. Each refusal gives its reason.

use super::{
    error::{ConfigError, Problem},
    kind_outside::is_plaintext,
    kind_resources,
    load::Loaded,
    production,
    source::Source,
};
use crate::{auth::SECRET_BYTES_MIN, http::ProxyProtocol};

/// The shortest secret in production.
const SECRET_BYTES_MIN_PRODUCTION: usize = 64;

/// Every rule that does not hold.
pub(super) fn broken(loaded: &Loaded) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut refuse = |key: &str, value: Option<String>, reason: String| {
        let source = loaded.source(key).clone();
        // A default is no one's mistake: the message is about what is missing, not about a value.
        let value = value.filter(|_| source != Source::Default);
        errors.push(ConfigError { source, key: key.into(), value, problem: Problem::Rule(reason) });
    };
    let settings = &loaded.settings;
    let production = settings.server.production;
    let is_set = |key: &str| *loaded.source(key) != Source::Default;

    let secrets = [
        ("auth.jwt_secret", &settings.auth.jwt_secret),
        ("api.signing_secret", &settings.api.signing_secret),
    ];
    for (key, secret) in secrets {
        let (min, place) =
            if production { (SECRET_BYTES_MIN_PRODUCTION, " in production") } else { (SECRET_BYTES_MIN, "") };
        if let Some(len) = secret.as_ref().map(|secret| secret.expose().len())
            && len < min
        {
            let reason = format!(
                "a secret must have {min} bytes or more{place}, this one has {len}: shorter ones can be guessed \
                 from what they sign (`openssl rand -hex 32` makes one of 64)"
            );
            refuse(key, Some("\"***\"".into()), reason);
        }
    }
    if settings.api.signing && settings.api.signing_secret.is_none() {
        refuse("api.signing", Some("true".into()), "signed calls need api.signing_secret".into());
    }
    if settings.auth.jwt_secret.is_none()
        && production
        && !settings.auth.has_public_keys()
        && settings.introspection.url.is_none()
    {
        let reason = "production needs a secret (JWT_SECRET, 64 bytes or more), auth.keys, a set of keys or introspection: a \
                      secret made at each start would end every token at each restart, and /dev/token would hand tokens out";
        refuse("auth.jwt_secret", None, reason.into());
    }
    if production {
        production::refusals(settings, &mut refuse);
    }
    if settings.metrics.open && settings.metrics.bearer.is_some() && is_set("metrics.open") {
        let reason =
            "says that anybody may read /metrics, while metrics.bearer says what one must show: one of them";
        refuse("metrics.open", Some("true".into()), reason.into());
    }

    let introspection = &settings.introspection;
    if introspection.url.is_some() && introspection.timeout_ms > settings.auth.timeout_ms {
        let reason = format!(
            "must be at most auth.timeout_ms ({} ms): a connection is closed then, whatever the answer",
            settings.auth.timeout_ms
        );
        refuse("introspection.timeout_ms", Some(introspection.timeout_ms.to_string()), reason);
    }
    for (key, url, harm) in [
        ("introspection.url", &introspection.url, "read every token"),
        ("auth.jwks_url", &settings.auth.jwks_url, "have any token taken"),
    ] {
        if production && !settings.outside.plaintext && url.as_deref().is_some_and(is_plaintext) {
            let reason = format!(
                "production wants https: who can read or write along on the way could {harm} (outside.plaintext = true \
                 states that nobody can)"
            );
            refuse(key, None, reason);
        }
    }

    if production && let Some(weak) = settings.cors.origins.iter().find(|origin| origin.is_weak()) {
        let reason = "production takes no origin that is everybody's (`*`) or the visitor's own machine (`localhost`, \
                      127.0.0.1): name the origins of your pages";
        refuse("cors.origins", Some(format!("\"{weak}\"")), reason.into());
    }
    if settings.server.proxy_protocol == ProxyProtocol::Required && settings.server.trusted_proxies.is_empty()
    {
        let reason = "`required` needs server.trusted_proxies: else every connection is closed";
        refuse("server.proxy_protocol", Some("\"required\"".into()), reason.into());
    }

    let heartbeat = &settings.heartbeat;
    if heartbeat.timeout_ms <= heartbeat.interval_ms {
        let reason = format!(
            "must be longer than heartbeat.interval_ms ({} ms): else clients are closed before they are pinged",
            heartbeat.interval_ms
        );
        refuse("heartbeat.timeout_ms", Some(heartbeat.timeout_ms.to_string()), reason);
    }
    let quality = &settings.quality;
    for (key, value, lower_key, lower) in [
        ("quality.good_ms", quality.good_ms, "quality.excellent_ms", quality.excellent_ms),
        ("quality.fair_ms", quality.fair_ms, "quality.good_ms", quality.good_ms),
        (
            "quality.fair_loss_percent",
            quality.fair_loss_percent,
            "quality.good_loss_percent",
            quality.good_loss_percent,
        ),
    ] {
        if value < lower {
            let reason =
                format!("must be at least {lower_key} ({lower}): else no connection is of that class");
            refuse(key, Some(value.to_string()), reason);
        }
    }
    let limits = &settings.limits;
    if limits.outbox_bytes < limits.message_bytes {
        let reason = format!(
            "must be at least limits.message_bytes ({}): else one message makes a slow consumer",
            limits.message_bytes
        );
        refuse("limits.outbox_bytes", Some(limits.outbox_bytes.to_string()), reason);
    }
    let requests = &settings.requests;
    if requests.timeout_max_ms < requests.timeout_ms {
        let reason = format!(
            "must be at least requests.timeout_ms ({} ms), what a request waits that does not say",
            requests.timeout_ms
        );
        refuse("requests.timeout_max_ms", Some(requests.timeout_max_ms.to_string()), reason);
    }
    let needed = u64::from(settings.server.shards.max(1)) * (limits.message_bytes as u64 + 4096);
    if settings.history.memory_bytes < needed {
        let reason = format!(
            "must be at least {needed}: limits.message_bytes ({}) and a little more for each shard, else the largest \
             message cannot be kept",
            limits.message_bytes
        );
        refuse("history.memory_bytes", Some(settings.history.memory_bytes.to_string()), reason);
    }
    let drain = &settings.drain;
    if drain.announce_s >= drain.timeout_s {
        let reason = format!("must be less than drain.timeout_s ({} s), which includes it", drain.timeout_s);
        refuse("drain.announce_s", Some(drain.announce_s.to_string()), reason);
    }
    errors.extend(kind_resources::broken(loaded));
    errors
}
