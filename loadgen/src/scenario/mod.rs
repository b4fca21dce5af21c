//! What a run is to do, with every default resolved: connections by role, rooms, phases. Plain data, the same whether it came
//! from flags, from a TOML file or from one of the ready-made ones.
//!
//! Owns no clock and no chance: where chance decides, it is drawn from [`Scenario::seed`] by whoever carries it out.
//! Invariants: roles' shares add up to 1; there is at least one phase; every number is within the bounds that reading checks.

pub(crate) mod check;
pub(crate) mod presets;
pub(crate) mod scale;
pub(crate) mod section;
pub(crate) mod toml;
pub(crate) mod units;

pub(crate) use section::{Problem, Problems, nearest};

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// As `--scenario` names it, or the mode.
    pub(crate) name: String,
    /// One line for people.
    pub(crate) about: String,
    /// What the target speaks.
    pub(crate) protocol: Protocol,
    pub(crate) seed: u64,
    /// Of all roles together.
    pub(crate) connections: u32,
    pub(crate) rooms: Rooms,
    pub(crate) roles: Vec<Role>,
    /// In their order.
    pub(crate) phases: Vec<Phase>,
    /// How long to wait at the end for what is still on its way.
    pub(crate) drain_timeout: Duration,
    /// After what time a connection comes back that the target ended, or that broke. `None`: it stays away.
    pub(crate) comes_back: Option<ThinkTime>,
    /// Each publisher waits for the answer before the next message, and latency counts from sending: what a load that is
    /// not open-loop would have shown.
    pub(crate) closed: bool,
}

/// What a target speaks, as `--protocol` names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    /// Ringway's JSON v1
    Json,
    /// Ringway's relay v1: binary, what the server cannot read
    Relay,
    /// Socket.IO 5 on Engine.IO 4, by WebSocket
    #[value(name = "socketio")]
    #[serde(rename = "socketio")]
    SocketIo,
    /// the same by HTTP long-polling
    #[value(name = "socketio-polling")]
    #[serde(rename = "socketio-polling")]
    SocketIoPolling,
    /// any path that sends every message back
    Echo,
    /// nchan's publisher-subscriber locations: a URL per room
    Nchan,
    /// Pusher's protocol 7, as Soketi and Sockudo speak it
    Pusher,
    /// Centrifugo's JSON protocol
    Centrifugo,
}

/// The rooms, and how connections come to theirs.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Rooms {
    pub(crate) count: u32,
    pub(crate) pick: Pick,
}

/// Which rooms a connection joins.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Pick {
    /// One after the other, so that rooms of a role are equally large.
    Even,
    /// Each with the same probability.
    Uniform,
    /// Room `n` (from 1) with a probability in proportion to `n` to the power of minus this exponent.
    Zipf(f64),
}

/// A kind of client.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    /// Of all connections, above 0 and at most 1.
    pub(crate) share: f64,
    /// That each connection joins; 0 for none.
    pub(crate) rooms: u32,
    pub(crate) publish: Option<Publish>,
    /// Changes its presence status that often.
    pub(crate) presence: Option<ThinkTime>,
    pub(crate) reconnect: Option<Reconnect>,
    pub(crate) reading: Reading,
}

/// Messages of a role.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Publish {
    pub(crate) pace: Pace,
    pub(crate) size: Size,
}

/// When the members of a role publish.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// All together this many messages per second.
    Together { per_s: f64, arrivals: Arrivals },
    /// Each for itself, with this time between two messages.
    Each(ThinkTime),
}

/// How publications at a common rate are spread over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Even,
    /// At random, as from independent users.
    Poisson,
}

/// The time between two things that one client does.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum ThinkTime {
    /// Always the same; the first one is drawn evenly, so that clients do not act in step.
    Constant(Duration),
    /// Exponentially distributed around this mean.
    Exponential(Duration),
}

/// Payload bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Size {
    Fixed(usize),
    /// From the first to the second, each equally likely.
    Uniform(usize, usize),
    /// Sizes with weights, as measured elsewhere.
    Weighted(Vec<(usize, f64)>),
}

/// A client that goes and comes back, as a phone does.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Reconnect {
    /// How long it stays.
    pub(crate) every: ThinkTime,
    /// How long it is away.
    pub(crate) away: ThinkTime,
    pub(crate) how: Leave,
}

/// How a connection ends that this side ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Leave {
    /// Close frame, and its answer.
    Close,
    /// The socket is closed without a word.
    Cut,
}

/// How quickly a client takes what is there for it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Reading {
    Quick,
    /// At most this many bytes a second, so that the server's queue for it grows.
    Slow {
        bytes_per_s: u32,
    },
}

/// A part of the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) kind: PhaseKind,
    /// Of a ramp: at most this long past its planned end until every connection was tried.
    pub(crate) duration: Duration,
    /// Whether its figures are in the totals that SLOs without a phase are about.
    pub(crate) measured: bool,
    /// What is done to the target in it ends connections and lets dials fail: that is counted, but is no failure.
    pub(crate) disconnects: Disconnects,
}

/// What it means that the target ends a connection, or takes none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Disconnects {
    #[default]
    Failures,
    /// It is what the phase is about: only SLOs judge it, and that all are back at the end of the run.
    Expected,
}

/// What happens in a phase. Everybody who is there publishes in all but ramps, at the rate of the role times `rate`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum PhaseKind {
    /// Connections are opened at this pace, until this share of all was tried.
    Ramp {
        share: f64,
        per_s: f64,
    },
    Steady,
    /// This share of all connections is cut at the beginning and comes back at this pace (0: as quickly as can be).
    Storm {
        share: f64,
        per_s: f64,
    },
    /// Publications come this many times as often.
    Spike {
        rate: f64,
    },
    /// Connections leave at equal distances until this share of all is left; who stays goes on.
    Drain {
        share: f64,
    },
}
