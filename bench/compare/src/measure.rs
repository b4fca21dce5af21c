//! One run of one scenario against one server that is there already: connect, load, read the figures.

use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::{
    connect::{Arrivals, Spec, Target, connect},
    failure::Failure,
    histogram::Percentiles,
    ledger::{Crowd, Faults},
    meter::{Meter, Usage},
    net::Net,
    procfs,
    protocol::{Protocol, Role},
    scenario::{Comers, Shape},
    text::grouped,
    traffic::{self, Load, Pace, Timing},
};

/// Where it is not the storm that is measured.
const FILLING: Arrivals = Arrivals { in_flight_max: 128, per_s: None };
/// Fewer of the connections that were to come in each second is another storm than the one asked for.
const PACE_KEPT: f64 = 0.95;
/// Connections before a storm of others; they have tokens of their own.
pub const FIRST_COMERS: u32 = 1_000;
/// From the last join to the reading of the memory.
const SETTLE_NS: u64 = 1_000_000_000;
/// Of ten that a step may take.
const LADDER_TICK_NS: u64 = 1_000_000;
/// How long to wait for what is under way at the end.
const DRAIN_NS: u64 = 2_000_000_000;

/// The figures of one run. `units` are deliveries, round trips or connections; where the scenario has no such thing
/// (CPU of idle connections, latency of a storm's deliveries), 0.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    pub units: f64,
    pub units_per_s: f64,
    pub cpu_us_per_unit: f64,
    /// Of a core.
    pub server_share: f64,
    /// Of a core.
    pub generator_share: f64,
    /// From due to delivered; in a storm from dial to joined.
    pub latency: Percentiles,
    pub faults: Faults,
    pub connections: u32,
    /// Resident memory before the connections came, and with them.
    pub rss_before_bytes: u64,
    pub rss_held_bytes: u64,
    pub publish_late_max_us: f64,
    /// What was asked for, in messages a second; for a ladder the highest step that held.
    pub messages_per_s: u32,
    /// Kept from its core by others, the server or the generator, whichever was worse off; of the time.
    pub waited_share: f64,
    /// What ended a climb, or why the first connection was dropped.
    pub remark: String,
}

impl Sample {
    /// What one connection adds to the resident memory.
    pub fn bytes_per_connection(&self) -> f64 {
        let grown = self.rss_held_bytes as f64 - self.rss_before_bytes as f64;
        grown / f64::from(self.connections.max(1))
    }

    fn with_usage(self, usage: Usage, units: u64) -> Self {
        let units_or_one = units.max(1) as f64;
        Self {
            units: units as f64,
            units_per_s: units as f64 * 1e9 / usage.elapsed_ns.max(1) as f64,
            cpu_us_per_unit: if units == 0 { 0.0 } else { usage.server_ns as f64 / 1e3 / units_or_one },
            server_share: usage.server_share(),
            generator_share: usage.generator_share(),
            waited_share: usage.waited_share(),
            ..self
        }
    }
}

/// Measures one shape; of a ladder, `step` is the rate to try.
pub fn measure(
    shape: Shape,
    step: Option<u32>,
    target: Target<'_>,
    pid: u32,
    (warm_up_ns, window_ns): (u64, u64),
    interrupted: &AtomicBool,
) -> Result<Sample, Failure> {
    let tick_ns = matches!(shape, Shape::Ladder(_)).then_some(LADDER_TICK_NS);
    let timing = Timing { warm_up_ns, window_ns, drain_ns: DRAIN_NS, tick_ns };
    let settled = Timing { warm_up_ns: SETTLE_NS, window_ns, drain_ns: 0, tick_ns: None };
    let meter = Meter { pid };
    let mut net = Net::new()?;
    let run = |net: &mut Net, crowd, role, pace, timing| {
        let load = Load { protocol: target.protocol, role, crowd, pace, timing };
        traffic::run(net, load, meter, interrupted)
    };
    let (crowd, role, pace) = match shape {
        Shape::Idle(crowd) => (crowd, Role::Member, Pace::Silent),
        Shape::FanOut(crowd, rate) => (crowd, Role::Member, Pace::Rate(rate)),
        Shape::Ladder(crowd) => (crowd, Role::Member, Pace::Rate(step.unwrap_or(1))),
        Shape::Echo(connections, pace) => {
            (Crowd { rooms: connections, members_per_room: 1, publishers_per_room: 1 }, Role::Echo, pace)
        }
        Shape::Storm { crowd, arrivals, who } => {
            return storm(crowd, arrivals, who, target, meter, interrupted);
        }
    };

    let specs = specs(target.protocol, crowd, role);
    let rss_before_bytes = procfs::rss_bytes(pid).unwrap_or_default();
    connect(&mut net, target, &specs, FILLING, interrupted)?;
    let outcome = run(&mut net, crowd, role, pace, if pace == Pace::Silent { settled } else { timing })?;
    let sample = Sample {
        latency: outcome.latency,
        faults: outcome.faults,
        remark: outcome.first_drop.unwrap_or_default(),
        connections: specs.len() as u32,
        rss_before_bytes,
        rss_held_bytes: procfs::rss_bytes(pid).unwrap_or_default(),
        publish_late_max_us: outcome.publish_late.max_us,
        messages_per_s: match pace {
            Pace::Rate(rate) => rate,
            Pace::Silent | Pace::Closed => 0,
        },
        ..Sample::default()
    };
    Ok(sample.with_usage(outcome.usage, outcome.arrived))
}

/// New connections, after some that came and went.
fn storm(
    crowd: Crowd,
    arrivals: Arrivals,
    who: Comers,
    target: Target<'_>,
    meter: Meter,
    interrupted: &AtomicBool,
) -> Result<Sample, Failure> {
    let specs = specs(target.protocol, crowd, Role::Member);
    let (first_comers, first_tokens) = match who {
        Comers::Again => (&specs[..], target.tokens),
        Comers::New => (
            &specs[..specs.len().min(FIRST_COMERS as usize)],
            target.tokens.get(specs.len()..).unwrap_or_default(),
        ),
    };
    let first_target = Target { tokens: first_tokens, ..target };
    connect(&mut Net::new()?, first_target, first_comers, FILLING, interrupted)?;
    meter.wait_for_rest(interrupted)?;

    let mut net = Net::new()?;
    let rss_before_bytes = procfs::rss_bytes(meter.pid).unwrap_or_default();
    let begin = meter.read(net.clock)?;
    let durations = connect(&mut net, target, &specs, arrivals, interrupted)?;
    let usage = meter.read(net.clock)? - begin;
    let sample = Sample {
        latency: durations.percentiles(),
        connections: specs.len() as u32,
        rss_before_bytes,
        rss_held_bytes: procfs::rss_bytes(meter.pid).unwrap_or_default(),
        ..Sample::default()
    };
    let sample = sample.with_usage(usage, specs.len() as u64);
    let remark = match arrivals.per_s {
        Some(per_s) if sample.units_per_s < PACE_KEPT * f64::from(per_s) => {
            format!("kept no pace: {} a second came in", grouped(sample.units_per_s))
        }
        Some(_) | None => String::new(),
    };
    Ok(Sample { remark, ..sample })
}

/// Members room by room, then publishers, where those are no members.
fn specs(protocol: Protocol, crowd: Crowd, role: Role) -> Vec<Spec> {
    let members = (0..crowd.members()).map(|it| Spec { room: it / crowd.members_per_room, role });
    let beside =
        if role == Role::Member && !protocol.publishers_are_members() { crowd.publishers() } else { 0 };
    let publishers =
        (0..beside).map(|it| Spec { room: it / crowd.publishers_per_room, role: Role::Publisher });
    members.chain(publishers).collect()
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
