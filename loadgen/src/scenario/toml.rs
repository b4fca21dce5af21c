//! Scenario files: which keys there are, what they mean, and what holds where one is missing.
//!
//! `loadgen/README.md` describes the format for people. Everything wrong with a file is told at once, each with its line.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Arrivals, Disconnects, Pace, Phase, PhaseKind, Pick, Protocol, Publish, Reading, Reconnect, Role, Rooms,
    Scenario, Size,
    check::{self, At},
    section::{Document, Problems, Section},
    units::{self, Expected},
};

/// Connections per room where a file says nothing of rooms.
pub(crate) const CONNECTIONS_PER_ROOM: u32 = 100;
pub(crate) const CONNECTIONS: u32 = 10_000;
pub(crate) const CONNECTS_PER_S: f64 = 2_000.0;
pub(crate) const RAMP_PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

const TOP_KEYS: [&str; 11] = [
    "name",
    "about",
    "protocol",
    "seed",
    "connections",
    "drain_timeout",
    "comes_back",
    "closed",
    "rooms",
    "role",
    "phase",
];
const ROOMS_KEYS: [&str; 2] = ["count", "pick"];
const ROLE_KEYS: [&str; 7] = ["name", "share", "rooms", "publish", "presence", "reconnect", "reading"];
const PUBLISH_KEYS: [&str; 4] = ["rate", "arrivals", "think", "size"];
const RECONNECT_KEYS: [&str; 3] = ["stay", "away", "how"];
const KINDS: Expected = "\"ramp\", \"steady\", \"storm\", \"spike\" or \"drain\"";

/// Reads the file called `origin`. Its name is the scenario's where it gives none, and `seed` the seed.
pub(crate) fn read(origin: &str, text: &str, seed: u64) -> Result<Scenario, Problems> {
    let read = Document::read(text, |document, top| {
        let mut labels = BTreeMap::new();
        let scenario = scenario(document, top, origin, seed, &mut labels);
        document.add_flaws(check::check(&scenario), &labels);
        scenario
    });
    read.map_err(|all| Problems { origin: origin.to_owned(), all })
}

/// What could be read, with plausible values for the rest.
fn scenario(
    document: &mut Document<'_>,
    top: &Section<'_>,
    origin: &str,
    seed: u64,
    labels: &mut BTreeMap<At, (String, usize)>,
) -> Scenario {
    document.allow(top, &TOP_KEYS);
    let connections = document.optional(top, "connections", whole).unwrap_or(CONNECTIONS);
    let rooms = match document.table(top, "rooms") {
        None => rooms(document, None, connections),
        Some(section) => {
            let section = section.of(At::Rooms).inside("rooms.");
            rooms(document, Some(&section), connections)
        }
    };
    let roles = document.tables(top, "role", At::Role);
    let phases = document.tables(top, "phase", At::Phase);
    labels.extend(roles.iter().chain(&phases).map(|section| (section.at, section.label())));
    Scenario {
        name: document.optional(top, "name", text).unwrap_or_else(|| stem(origin)),
        about: document.optional(top, "about", text).unwrap_or_default(),
        protocol: document.optional(top, "protocol", units::protocol).unwrap_or(Protocol::Json),
        seed: document.optional(top, "seed", whole_u64).unwrap_or(seed),
        connections,
        rooms,
        roles: roles.iter().map(|section| role(document, section)).collect(),
        phases: phases.iter().map(|section| phase(document, section)).collect(),
        drain_timeout: document.optional(top, "drain_timeout", units::duration).unwrap_or(DRAIN_TIMEOUT),
        comes_back: document.optional(top, "comes_back", units::think_time),
        closed: document.optional(top, "closed", flag).unwrap_or(false),
    }
}

fn rooms(document: &mut Document<'_>, section: Option<&Section<'_>>, connections: u32) -> Rooms {
    let mut rooms = Rooms { count: connections.div_ceil(CONNECTIONS_PER_ROOM).max(1), pick: Pick::Even };
    if let Some(section) = section {
        document.allow(section, &ROOMS_KEYS);
        rooms.count = document.optional(section, "count", whole).unwrap_or(rooms.count);
        rooms.pick = document.optional(section, "pick", units::pick).unwrap_or(rooms.pick);
    }
    rooms
}

fn role(document: &mut Document<'_>, section: &Section<'_>) -> Role {
    document.allow(section, &ROLE_KEYS);
    Role {
        name: document.required(section, "name", text).unwrap_or_else(|| "unnamed".to_owned()),
        share: document.required(section, "share", units::share).unwrap_or(1.0),
        rooms: document.optional(section, "rooms", whole).unwrap_or(1),
        publish: document
            .table(section, "publish")
            .and_then(|section| publish(document, &section.inside("publish."))),
        presence: document.optional(section, "presence", units::think_time),
        reconnect: document
            .table(section, "reconnect")
            .and_then(|section| reconnect(document, &section.inside("reconnect."))),
        reading: document.optional(section, "reading", units::reading).unwrap_or(Reading::Quick),
    }
}

fn publish(document: &mut Document<'_>, section: &Section<'_>) -> Option<Publish> {
    document.allow(section, &PUBLISH_KEYS);
    let arrivals = document.optional(section, "arrivals", units::arrivals);
    let pace = match (section.has("rate"), section.has("think")) {
        (true, false) => document
            .required(section, "rate", units::rate_per_s)
            .map(|per_s| Pace::Together { per_s, arrivals: arrivals.unwrap_or(Arrivals::Even) }),
        (false, true) => {
            if arrivals.is_some() {
                document.wrong(section, "arrivals", "is only for publishers with a common \"rate\"");
            }
            document.required(section, "think", units::think_time).map(Pace::Each)
        }
        (true, true) => {
            document.wrong(section, "think", "cannot stand beside \"rate\": it is the one or the other");
            None
        }
        (false, false) => {
            let what =
                "is missing, and so is \"think\": say \"rate\" (all together) or \"think\" (each for itself)";
            document.wrong(section, "rate", what);
            None
        }
    };
    let size = if section.is_table("size") {
        document.table(section, "size").map(|rows| weighted(document, section, &rows))
    } else {
        document.required(section, "size", units::size)
    };
    Some(Publish { pace: pace?, size: size? })
}

/// A table of sizes and their weights.
fn weighted(document: &mut Document<'_>, section: &Section<'_>, rows: &Section<'_>) -> Size {
    let mut weights = Vec::new();
    for (bytes, weight) in rows.scalars() {
        let weight = weight.and_then(|weight| weight.parse::<f64>().ok());
        match (units::bytes(&bytes), weight) {
            (Ok(bytes), Some(weight)) => weights.push((bytes, weight)),
            (Ok(_), None) => {
                document.wrong(section, "size", &format!("has no number as the weight of {bytes}"));
            }
            (Err(expected), _) => {
                document.wrong(section, "size", &format!("has the key {bytes:?}; it must be {expected}"));
            }
        }
    }
    if weights.is_empty() && rows.scalars().next().is_none() {
        document.wrong(
            section,
            "size",
            "is an empty table; it must have sizes and weights, such as { 64 = 3, 1024 = 1 }",
        );
    }
    Size::Weighted(weights)
}

fn reconnect(document: &mut Document<'_>, section: &Section<'_>) -> Option<Reconnect> {
    document.allow(section, &RECONNECT_KEYS);
    let every = document.required(section, "stay", units::think_time);
    let away = document.required(section, "away", units::think_time);
    let how = document.required(section, "how", units::leave);
    Some(Reconnect { every: every?, away: away?, how: how? })
}

fn phase(document: &mut Document<'_>, section: &Section<'_>) -> Phase {
    let kind = document.required(section, "kind", kind);
    // Which keys there are depends on it.
    if let Some(kind) = kind {
        document.allow(section, kind.keys());
    }
    let kind = kind.unwrap_or(Kind::Steady);
    let second = Duration::from_secs(1);
    let duration = match kind {
        Kind::Ramp => document.optional(section, "patience", units::duration).unwrap_or(RAMP_PATIENCE),
        Kind::Steady | Kind::Storm | Kind::Spike | Kind::Drain => {
            document.required(section, "duration", units::duration).unwrap_or(second)
        }
    };
    Phase {
        name: document.optional(section, "name", text).unwrap_or_else(|| kind.name().to_owned()),
        duration,
        measured: document.optional(section, "measured", flag).unwrap_or(kind != Kind::Ramp),
        disconnects: document.optional(section, "disconnects", disconnects).unwrap_or_default(),
        kind: match kind {
            Kind::Ramp => PhaseKind::Ramp {
                share: document.optional(section, "upto", units::share).unwrap_or(1.0),
                per_s: document.optional(section, "rate", units::rate_per_s).unwrap_or(CONNECTS_PER_S),
            },
            Kind::Steady => PhaseKind::Steady,
            Kind::Storm => PhaseKind::Storm {
                share: document.required(section, "cut", units::share).unwrap_or(1.0),
                per_s: document.required(section, "rate", rate_or_at_once).unwrap_or(0.0),
            },
            Kind::Spike => {
                PhaseKind::Spike { rate: document.required(section, "times", units::times).unwrap_or(1.0) }
            }
            Kind::Drain => {
                PhaseKind::Drain { share: document.required(section, "keep", units::share).unwrap_or(0.0) }
            }
        },
    }
}

/// [`PhaseKind`] without its values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ramp,
    Steady,
    Storm,
    Spike,
    Drain,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Ramp, Self::Steady, Self::Storm, Self::Spike, Self::Drain];

    fn name(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::Steady => "steady",
            Self::Storm => "storm",
            Self::Spike => "spike",
            Self::Drain => "drain",
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Ramp => &["name", "kind", "measured", "upto", "rate", "patience"],
            Self::Steady => &["name", "kind", "measured", "duration", "disconnects"],
            Self::Storm => &["name", "kind", "measured", "duration", "disconnects", "cut", "rate"],
            Self::Spike => &["name", "kind", "measured", "duration", "disconnects", "times"],
            Self::Drain => &["name", "kind", "measured", "duration", "disconnects", "keep"],
        }
    }
}

fn kind(text: &str) -> Result<Kind, Expected> {
    Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or(KINDS)
}

fn rate_or_at_once(text: &str) -> Result<f64, Expected> {
    if text == "at once" {
        return Ok(0.0);
    }
    units::rate_per_s(text).map_err(|_| "a rate such as \"500/s\", or \"at once\"")
}

fn disconnects(text: &str) -> Result<Disconnects, Expected> {
    match text {
        "failures" => Ok(Disconnects::Failures),
        "expected" => Ok(Disconnects::Expected),
        _ => Err("\"failures\" or \"expected\""),
    }
}

fn text(text: &str) -> Result<String, Expected> {
    if text.is_empty() { Err("a text that is not empty") } else { Ok(text.to_owned()) }
}

fn whole(text: &str) -> Result<u32, Expected> {
    text.parse().map_err(|_| "a whole number")
}

fn whole_u64(text: &str) -> Result<u64, Expected> {
    text.parse().map_err(|_| "a whole number")
}

fn flag(text: &str) -> Result<bool, Expected> {
    text.parse().map_err(|_| "true or false")
}

/// The name of a file without folders and ending, as far as it makes a name.
fn stem(origin: &str) -> String {
    let file = origin.rsplit('/').next().unwrap_or(origin);
    let stem = file.strip_suffix(".toml").unwrap_or(file);
    let sound = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = stem.chars().map(sound).take(32).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
#[path = "toml_tests.rs"]
mod tests;
