//! The result of a run, format 2: what `--json` writes, and what table, report and comparison read. Plain data with units in the
//! names; histograms are in it whole (HDR V2 deflated, base64), so that nothing else is needed.
//!
//! Invariant: what follows from other figures (percentiles, rates, problems) was filled in by `sum_up`; a figure that was not
//! measured is absent or `null`, never 0.

use serde::{Deserialize, Serialize};

use crate::figures::{
    hdr::Hdr,
    reasons::Reasons,
    record::{Counts, ThreadPhase, Trouble},
};

/// Changes when a field changes its meaning or goes away.
pub(crate) const FORMAT: u32 = 2;
/// Streams that are listed.
pub(crate) const WORST_MAX: usize = 10;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) format: u32,
    /// `loadgen 0.1.0`.
    pub(crate) program: String,
    /// Unix time in seconds.
    pub(crate) started_unix_s: u64,
    pub(crate) machine: Machine,
    pub(crate) target: Target,
    pub(crate) load: Load,
    /// In the order in which they came; those that were not reached are absent.
    pub(crate) phases: Vec<Phase>,
    pub(crate) connections: Connections,
    pub(crate) publications: Publications,
    pub(crate) deliveries: Deliveries,
    pub(crate) latency: Latency,
    pub(crate) throughput: Throughput,
    /// By second of the run, from the first dial on.
    pub(crate) seconds: Vec<Second>,
    /// The streams with the most troubles, at most [`WORST_MAX`].
    pub(crate) worst_streams: Vec<Stream>,
    pub(crate) generator: Generator,
    /// When it was measured.
    pub(crate) server: Option<Server>,
    pub(crate) slos: Vec<SloVerdict>,
    /// No problems, and every SLO held.
    pub(crate) passed: bool,
    /// What is wrong with the target.
    pub(crate) problems: Vec<String>,
    /// What to doubt in the figures.
    pub(crate) warnings: Vec<String>,
    pub(crate) interrupted: bool,
}

/// Where the generator ran (the coordinator, with agents).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) host: String,
    pub(crate) cores: u32,
    /// Kernel and its version.
    pub(crate) system: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Target {
    /// Without queries, which may hold secrets.
    pub(crate) urls: Vec<String>,
    /// As `--protocol` names it.
    pub(crate) protocol: String,
    /// Where the tokens came from.
    pub(crate) tokens: String,
}

/// What was asked for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) scenario: String,
    pub(crate) about: String,
    pub(crate) connections: u32,
    pub(crate) rooms: u32,
    pub(crate) roles: Vec<Role>,
    /// Connections that the target ends come back.
    pub(crate) comes_back: bool,
    /// Each publisher waited for the answer, and latency counts from sending.
    pub(crate) closed: bool,
    pub(crate) seed: u64,
    /// All agents together.
    pub(crate) threads: u32,
    pub(crate) agents: u32,
}

/// A kind of client, as far as a report names it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    /// Of all connections.
    pub(crate) share: f64,
    /// What its clients do, for people: `publishes 500/s together, 128 B`.
    pub(crate) does: String,
}

/// What is to be 0 for everything to be well, as SLOs name it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Count {
    Lost,
    Duplicated,
    Reordered,
    Corrupt,
    Misrouted,
    Unexpected,
    Refused,
    Unacked,
    Withheld,
    Failed,
    Dropped,
    Missing,
    Silent,
}

impl Count {
    /// In the order in which problems are told.
    pub(crate) const ALL: [Self; 13] = [
        Self::Lost,
        Self::Duplicated,
        Self::Reordered,
        Self::Corrupt,
        Self::Misrouted,
        Self::Unexpected,
        Self::Refused,
        Self::Unacked,
        Self::Withheld,
        Self::Failed,
        Self::Dropped,
        Self::Missing,
        Self::Silent,
    ];
}

/// A file is no result that can be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("it is of format {0}, this program reads format {FORMAT}")]
    Format(u32),
    #[error("it is no result of loadgen: {0}")]
    Malformed(String),
}

impl Summary {
    /// Connections that failed or were dropped in phases that are about just that.
    pub(crate) fn expected_disconnects(&self, count: Count) -> u64 {
        let of = |phase: &Phase| match count {
            Count::Failed => phase.counts.failed,
            Count::Dropped => phase.counts.dropped,
            Count::Lost
            | Count::Duplicated
            | Count::Reordered
            | Count::Corrupt
            | Count::Misrouted
            | Count::Unexpected
            | Count::Refused
            | Count::Unacked
            | Count::Withheld
            | Count::Missing
            | Count::Silent => 0,
        };
        self.phases.iter().filter(|phase| phase.disconnects_expected).map(of).sum()
    }

    /// From what `--json` wrote.
    ///
    /// # Errors
    /// When it is something else, or of another format.
    pub(crate) fn read(text: &str) -> Result<Self, ReadError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let malformed = |error: sonic_rs::Error| {
            // Its further lines show the place in a text that nobody wrote by hand.
            ReadError::Malformed(error.to_string().lines().next().unwrap_or_default().to_owned())
        };
        let head: Head = sonic_rs::from_str(text).map_err(malformed)?;
        if head.format != FORMAT {
            return Err(ReadError::Format(head.format));
        }
        sonic_rs::from_str(text).map_err(malformed)
    }

    /// Of the whole run.
    pub(crate) fn count(&self, count: Count) -> u64 {
        let Self { connections, publications, deliveries, .. } = self;
        match count {
            Count::Lost => deliveries.lost,
            Count::Duplicated => deliveries.duplicated,
            Count::Reordered => deliveries.reordered,
            Count::Corrupt => deliveries.corrupt,
            Count::Misrouted => deliveries.misrouted,
            Count::Unexpected => deliveries.unexpected,
            Count::Refused => publications.refused,
            Count::Unacked => publications.unacked,
            Count::Withheld => publications.withheld,
            Count::Failed => connections.failed,
            Count::Dropped => connections.dropped,
            Count::Missing => connections.missing,
            Count::Silent => deliveries.silent,
        }
    }
}

/// One phase. Publications and deliveries count for the phase in which they were due; connects and joins for the one in which
/// they were dialed; what the target does of itself for the one in which it was seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) kind: PhaseName,
    /// Whether it is in the totals.
    pub(crate) measured: bool,
    /// Whether connections that failed or were dropped in it are no problem.
    #[serde(default)]
    pub(crate) disconnects_expected: bool,
    /// On the run's clock, as is the end.
    pub(crate) start_s: f64,
    pub(crate) end_s: f64,
    pub(crate) counts: Counts,
    pub(crate) latency: Latency,
    pub(crate) throughput: Throughput,
    /// Of the server, when it was measured: CPU time in this phase, and that per delivery.
    pub(crate) server_cpu_s: Option<f64>,
    pub(crate) server_cpu_per_delivery_us: Option<f64>,
    /// The most memory that the server was seen with in this phase.
    pub(crate) server_memory_bytes: Option<u64>,
    /// Signs that the generator limited or delayed it; none if it did not.
    pub(crate) limited: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PhaseName {
    Ramp,
    Steady,
    Storm,
    Spike,
    Drain,
}

/// Of the whole run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Connections {
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    /// Ended by the target or the network.
    pub(crate) dropped: u64,
    /// Ended by this program as planned, and opened again.
    pub(crate) left: u64,
    pub(crate) returned: u64,
    /// Ended by the target, or failed to come back, and not there at the end of the run.
    #[serde(default)]
    pub(crate) missing: u64,
    /// The most at the end of any second.
    pub(crate) open_max: u64,
    pub(crate) failures: Reasons,
    pub(crate) drops: Reasons,
}

/// Of the whole run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Publications {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    /// 0 where the protocol does not answer.
    pub(crate) unacked: u64,
    /// Due, but not sent: the target took no more bytes of that connection.
    pub(crate) withheld: u64,
    /// Due, but not sent: the publisher was away, or waited for an answer, to the end.
    #[serde(default)]
    pub(crate) unsent: u64,
    pub(crate) presence_changed: u64,
    pub(crate) refusals: Reasons,
    /// Errors that answer nothing, by code.
    pub(crate) faults: Reasons,
}

/// Of the whole run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Deliveries {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Includes those that arrived corrupt or misrouted only.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) misrouted: u64,
    /// Echoed to the sender, acked twice, or delivered although refused.
    pub(crate) unexpected: u64,
    /// Of another run in the same rooms.
    pub(crate) foreign: u64,
    /// Missing, but not expected: their publisher's connection was lost, so that they may never have been accepted.
    #[serde(default)]
    pub(crate) excused: u64,
    /// Memberships that began while publishing went on, and heard nothing of what was published well after they had joined.
    #[serde(default)]
    pub(crate) silent: u64,
}

impl Phase {
    /// What went wrong in it, as far as that is known by phase; without what it is about.
    pub(crate) fn errors(&self) -> u64 {
        let it = &self.counts;
        let disconnects = if self.disconnects_expected { 0 } else { it.failed + it.dropped };
        let deliveries = it.duplicated + it.reordered + it.corrupt + it.misrouted + it.unexpected;
        disconnects + deliveries + it.refused + it.withheld + it.faults
    }
}

/// Times by kind. In the totals: delivery, ack and lag of the measured phases, the others of all phases.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// From when a publication was due to its receipt (closed: from when it was sent).
    pub(crate) delivery: Times,
    /// From when a dial was due to the accepted upgrade.
    pub(crate) connect: Times,
    /// From asking to be let into a room to the answer.
    pub(crate) join: Times,
    /// From when a publication was due to its answer.
    pub(crate) ack: Times,
    /// From when a publication was due to when it was handed to the socket: the generator's own delay.
    pub(crate) lag: Times,
    /// From when the target ended a connection, or let one that comes back fail, until it was in its rooms again; for the phase
    /// in which that began.
    #[serde(default)]
    pub(crate) outage: Times,
}

/// A histogram, and what is usually asked of it, in µs; `null` without samples.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) samples: u64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p90_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p99_9_us: Option<f64>,
    pub(crate) p99_99_us: Option<f64>,
    pub(crate) max_us: Option<f64>,
    pub(crate) mean_us: Option<f64>,
    /// Of nanoseconds.
    pub(crate) hdr: Hdr,
}

impl Times {
    pub(crate) fn of(hdr: Hdr) -> Self {
        let us = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e3);
        Self {
            samples: hdr.samples(),
            p50_us: us(hdr.at(0.5)),
            p90_us: us(hdr.at(0.9)),
            p99_us: us(hdr.at(0.99)),
            p99_9_us: us(hdr.at(0.999)),
            p99_99_us: us(hdr.at(0.9999)),
            max_us: us(hdr.max()),
            mean_us: hdr.mean().map(|ns| ns / 1e3),
            hdr,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::of(Hdr::fine())
    }
}

/// Of the measured phases, or of one phase.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Throughput {
    pub(crate) measured_s: f64,
    pub(crate) sent_per_s: f64,
    pub(crate) delivered_per_s: f64,
}

/// One second of the run's clock.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Second {
    pub(crate) second: u32,
    pub(crate) sent: u64,
    /// By when they arrived.
    pub(crate) delivered: u64,
    pub(crate) errors: u64,
    /// Connections open at its end.
    pub(crate) open: u64,
    /// Of the deliveries that arrived, as are the following; to two digits.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) max_us: Option<f64>,
    pub(crate) hdr: Hdr,
}

/// What one publisher sent to one room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Stream {
    pub(crate) stream: u32,
    /// Number of the connection.
    pub(crate) publisher: u32,
    pub(crate) role: String,
    pub(crate) room: String,
    pub(crate) sent: u64,
    /// All memberships together.
    pub(crate) trouble: Trouble,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Generator {
    pub(crate) threads: Vec<Thread>,
    pub(crate) agents: Vec<Agent>,
    /// Signs that the generator limited or delayed a measured phase; none if it did not.
    pub(crate) limited: Vec<String>,
}

/// One thread, in measured phases.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Thread {
    pub(crate) agent: u32,
    pub(crate) thread: u32,
    /// Share of one core.
    pub(crate) cpu_ratio: Option<f64>,
    /// Of the worst measured phase, as is the rest.
    pub(crate) lag_p99_us: f64,
    pub(crate) unsent_bytes_max: u64,
    pub(crate) unread_bytes_max: u64,
    /// For 1 % of the time, what arrived was seen later than this.
    #[serde(default)]
    pub(crate) read_lag_p99_us: f64,
    /// The longest time without a look at the sockets.
    #[serde(default)]
    pub(crate) read_lag_max_us: f64,
    /// By phase of the scenario.
    pub(crate) phases: Vec<ThreadPhase>,
}

/// One process of the generator.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Agent {
    /// Its address; `here` for the only one.
    pub(crate) name: String,
    /// Resident, when publishing ended.
    pub(crate) memory_bytes: u64,
    pub(crate) cores: u32,
}

/// The process (or several, summed up) that was measured.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Server {
    /// `pid 4711`, or the URL that was scraped.
    pub(crate) source: String,
    /// In order of time.
    pub(crate) samples: Vec<ServerSample>,
    /// From the first sample to the last.
    pub(crate) cpu_s: f64,
    /// In measured phases.
    pub(crate) cpu_per_delivery_us: Option<f64>,
    pub(crate) memory_start_bytes: u64,
    pub(crate) memory_peak_bytes: u64,
    pub(crate) memory_end_bytes: u64,
    /// From the start to the peak, by connection of the second with the most.
    pub(crate) memory_per_conn_bytes: Option<f64>,
    /// What happened to the measuring: a process ended, a scrape failed.
    pub(crate) notes: Vec<String>,
}

/// One look at the server.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ServerSample {
    /// On the run's clock; may be below 0.
    pub(crate) at_s: f64,
    /// Since the process began.
    pub(crate) cpu_s: f64,
    pub(crate) memory_bytes: u64,
}

/// What became of one SLO.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SloVerdict {
    /// As it was given: `p99<5ms`.
    pub(crate) slo: String,
    pub(crate) held: bool,
    /// As people read it; `not measured` for none.
    pub(crate) shown: String,
    /// In the metric's base unit (ns, bytes, count, share, per second).
    pub(crate) value: Option<f64>,
    /// The limit in the same unit.
    pub(crate) limit: f64,
    /// Whether the generator was limited in what it is about.
    pub(crate) limited: bool,
}
