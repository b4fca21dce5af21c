//! The table of settings: key, kind, field, words. File, environment, flags, checks and reports follow from it.
//!
//! The rows stand in files by section.
//! Invariants: keys are `section.name`, where a section may stand inside another (`auth.claims`); sections stand together, and every field of `Settings` has one row.

mod identity;
mod limits;
mod outside;
mod resources;
mod rooms;
mod server;

use super::kind::Kind;

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
    /// Whether a reload changes it in a running process.
    pub(super) is_live: bool,
}

/// The sections in the order of the default file, with their words.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("server", "Where and how the gateway runs."),
    ("log", "What it says on stdout."),
    ("http", "Patience with HTTP clients."),
    (
        "cors",
        "Which web pages may use the gateway. What is no browser sends no `Origin`, and is not concerned.",
    ),
    ("metrics", "What /metrics shows, and to whom."),
    ("admin", "Where administrators and backends connect to."),
    ("api", "Keys of backends. `ringway key make` makes one, and the line for this file."),
    (
        "auth",
        "Who may connect. Without a secret, keys and introspection a secret is made for each run; production refuses to.",
    ),
    (
        "auth.claims",
        "What the claims of a token are called that no RFC names. A name is taken whole, dots and all.",
    ),
    (
        "abilities",
        "Who may do what in which rooms, by the roles of his token; its own abilities (`join:project.7`, `*:team.**`) come to \
         that. What nothing allows is denied. The backend, by its API, may do everything.",
    ),
    ("token", "Tokens of open connections. A connection ends with 4401 when its token does."),
    (
        "resources",
        "Rooms about which a server of yours decides, as it decides about its resources: what a client may do by REST, it may do here.",
    ),
    (
        "introspection",
        "Opaque tokens, such as Laravel Sanctum's: a server of yours says whose they are. Off without a URL.",
    ),
    ("outside", "Servers that the gateway asks something: introspection, keys of an issuer, resources."),
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
    ("drain", "How it leaves on SIGTERM: not ready first, then closing with 1012 at a pace."),
];

const fn setting(key: &'static str, kind: &'static dyn Kind, doc: &'static str) -> Setting {
    Setting { key, kind, doc, plain_names: &[], example: None, is_secret: false, is_live: false }
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

    const fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    /// Section and name.
    pub(super) fn section_and_name(&self) -> (&'static str, &'static str) {
        self.key.rsplit_once('.').expect("keys of the table have a dot")
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
    settings().find(|setting| setting.key == key)
}

/// The key or section that someone may have meant.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let sections = SECTIONS.iter().map(|(name, _)| *name).filter(|_| !key.contains('.'));
    let keys = settings().map(|setting| setting.key);
    // Someone who forgot the section, or has it wrong, wrote the name right.
    let name = key.rsplit('.').next().unwrap_or(key);
    let score = |known: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, known);
        let same_name = known.rsplit_once('.').is_some_and(|(_, known_name)| known_name == name);
        if same_name { whole.max(0.9) } else { whole }
    };
    let scored = sections.chain(keys).map(|known| (score(known), known));
    scored.filter(|(score, _)| *score >= 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// All settings, section by section.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    [server::ROWS, identity::ROWS, resources::ROWS, outside::ROWS, limits::ROWS, rooms::ROWS]
        .into_iter()
        .flatten()
}

/// These set production by the word `production`, and nothing by any other.
pub(super) const PRODUCTION_NAMES: &[&str] = &["NODE_ENV", "APP_ENV"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let mut keys: Vec<_> = settings().map(|setting| setting.key).collect();
        let mut sections: Vec<_> = settings().map(|setting| setting.section_and_name().0).collect();
        sections.dedup();
        assert_eq!(sections, SECTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), settings().count());
        let mut names: Vec<_> = settings().flat_map(|setting| setting.plain_names).collect();
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
}
