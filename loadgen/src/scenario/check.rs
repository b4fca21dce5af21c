//! Whether a scenario makes sense: the bounds of each value and how values relate. Everything wrong is found at once.
//!
//! Says nothing about files: a [`Flaw`] names a place in the scenario, and whoever knows its line adds it.

use std::{collections::BTreeSet, time::Duration};

use super::{Disconnects, Pace, Phase, PhaseKind, Pick, Reading, Role, Scenario, Size, ThinkTime};
use crate::truth::payload;

/// More connections than any one machine can have sockets for, several machines together.
pub(crate) const CONNECTIONS_MAX: u32 = 4_000_000;
/// Each is a name that is kept.
pub(crate) const ROOMS_MAX: u32 = 4_000_000;
/// No run and no wait is longer: times in payloads end some weeks later.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// A measured part must be long enough to have a rate.
pub(crate) const MEASURED_MIN: Duration = Duration::from_millis(10);
const RATE_MAX: f64 = 1e9;
const ROLES_MAX: usize = 64;
const PHASES_MAX: usize = 64;
const ROOMS_PER_CONNECTION_MAX: u32 = 1_000;
const WEIGHTS_MAX: usize = 1_000;
const ZIPF_MAX: f64 = 4.0;
const TIMES_MAX: f64 = 1_000.0;
const NAME_CHARS_MAX: usize = 32;
/// What shares may add up to besides 1, for decimals that have no end.
const SHARES_TOLERANCE: f64 = 1e-6;
/// Payloads name the stream, one per publishing connection and room, in 32 bits.
const STREAMS_MAX: u64 = 1 << 32;

/// A part of a scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum At {
    /// The scenario's own keys.
    Top,
    Rooms,
    /// By number, from 0.
    Role(usize),
    Phase(usize),
}

/// Something wrong, with its key as scenario files call it; the text reads on after the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Flaw {
    pub(crate) at: At,
    pub(crate) key: &'static str,
    pub(crate) what: String,
}

impl Flaw {
    /// The flaw of a scenario that is in no file.
    pub(crate) fn shown(&self, scenario: &Scenario) -> String {
        let place = match self.at {
            At::Top | At::Rooms => String::new(),
            At::Role(index) => format!("role {:?}: ", scenario.roles[index].name),
            At::Phase(index) => format!("phase {:?}: ", scenario.phases[index].name),
        };
        format!("{place}{} {}", self.key, self.what)
    }
}

/// All that is wrong with `scenario`.
pub(crate) fn check(scenario: &Scenario) -> Vec<Flaw> {
    let mut flaws = Flaws(Vec::new());
    flaws.top(scenario);
    flaws.roles(scenario);
    for (index, role) in scenario.roles.iter().enumerate() {
        flaws.role(At::Role(index), role, scenario);
    }
    flaws.phases(&scenario.phases);
    for (index, phase) in scenario.phases.iter().enumerate() {
        flaws.phase(At::Phase(index), phase);
        flaws.disconnects(At::Phase(index), phase, scenario);
    }
    flaws.0
}

struct Flaws(Vec<Flaw>);

impl Flaws {
    fn add(&mut self, at: At, key: &'static str, what: impl Into<String>) {
        self.0.push(Flaw { at, key, what: what.into() });
    }

    fn within(&mut self, at: At, key: &'static str, value: u32, max: u32) {
        if !(1..=max).contains(&value) {
            self.add(at, key, format!("is {value}; it must be 1 to {max}"));
        }
    }

    /// Above 0, and at most `max`.
    fn positive(&mut self, at: At, key: &'static str, value: f64, max: f64) {
        if !(value > 0.0 && value <= max) {
            self.add(at, key, format!("is {value}; it must be above 0 and at most {max}"));
        }
    }

    fn time(&mut self, at: At, key: &'static str, value: Duration, min: Duration) {
        if !(min..=DURATION_MAX).contains(&value) {
            self.add(at, key, format!("is {value:?}; it must be {min:?} to {DURATION_MAX:?}"));
        }
    }

    fn think_time(&mut self, at: At, key: &'static str, think: ThinkTime, min: Duration) {
        let (ThinkTime::Constant(time) | ThinkTime::Exponential(time)) = think;
        self.time(at, key, time, min);
    }

    /// Names go into figures, and SLOs begin with those of phases.
    fn name(&mut self, at: At, name: &str) {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(sound) {
            let what = format!("is {name:?}; it must be 1 to {NAME_CHARS_MAX} letters, digits, - and _");
            self.add(at, "name", what);
        }
    }

    fn top(&mut self, scenario: &Scenario) {
        self.name(At::Top, &scenario.name);
        self.within(At::Top, "connections", scenario.connections, CONNECTIONS_MAX);
        self.time(At::Top, "drain_timeout", scenario.drain_timeout, Duration::ZERO);
        if let Some(think) = scenario.comes_back {
            self.think_time(At::Top, "comes_back", think, Duration::ZERO);
        }
        self.within(At::Rooms, "rooms.count", scenario.rooms.count, ROOMS_MAX);
        match scenario.rooms.pick {
            Pick::Zipf(exponent) if !(exponent > 0.0 && exponent <= ZIPF_MAX) => {
                let what = format!("has the exponent {exponent}; it must be above 0 and at most {ZIPF_MAX}");
                self.add(At::Rooms, "rooms.pick", what);
            }
            Pick::Zipf(_) | Pick::Even | Pick::Uniform => {}
        }
    }

    fn roles(&mut self, scenario: &Scenario) {
        let roles = &scenario.roles;
        if !(1..=ROLES_MAX).contains(&roles.len()) {
            self.add(At::Top, "role", format!("is there {} times; 1 to {ROLES_MAX} are needed", roles.len()));
            return;
        }
        let mut names = BTreeSet::new();
        for (index, role) in roles.iter().enumerate() {
            if !names.insert(&role.name) {
                self.add(At::Role(index), "name", "is that of another role");
            }
        }
        let total: f64 = roles.iter().map(|role| role.share).sum();
        // Of shares that are wrong by themselves the sum says nothing.
        if roles.iter().all(|role| is_share(role.share)) && (total - 1.0).abs() > SHARES_TOLERANCE {
            let total = (total * 1e6).round() / 1e4;
            self.add(At::Top, "role", format!("shares add up to {total} %; they must add up to 100 %"));
        }
        let streams = roles.iter().filter(|role| role.publish.is_some()).map(|role| {
            (f64::from(scenario.connections) * role.share).ceil() as u64 * u64::from(role.rooms.max(1))
        });
        if streams.sum::<u64>() >= STREAMS_MAX {
            self.add(At::Top, "connections", "times rooms of each publishing connection must be below 2^32");
        }
    }

    fn role(&mut self, at: At, role: &Role, scenario: &Scenario) {
        self.name(at, &role.name);
        if !is_share(role.share) {
            let what = format!("is {}; it must be above 0 and at most 1 (100 %)", role.share);
            self.add(at, "share", what);
        }
        let rooms_max = scenario.rooms.count.min(ROOMS_PER_CONNECTION_MAX);
        if role.rooms > rooms_max {
            let of = if rooms_max == scenario.rooms.count { "as there are no more" } else { "as a bound" };
            self.add(at, "rooms", format!("is {}; it may be {rooms_max} at most, {of}", role.rooms));
        }
        let nonzero = Duration::from_nanos(1);
        if let Some(publish) = &role.publish {
            match publish.pace {
                Pace::Together { per_s, .. } => self.positive(at, "publish.rate", per_s, RATE_MAX),
                Pace::Each(think) => self.think_time(at, "publish.think", think, nonzero),
            }
            self.size(at, &publish.size);
        }
        if let Some(think) = role.presence {
            self.think_time(at, "presence", think, nonzero);
            if role.rooms == 0 {
                self.add(at, "presence", "has nobody to tell: the role joins no rooms");
            }
        }
        if let Some(reconnect) = role.reconnect {
            self.think_time(at, "reconnect.stay", reconnect.every, nonzero);
            self.think_time(at, "reconnect.away", reconnect.away, Duration::ZERO);
        }
        match role.reading {
            Reading::Slow { bytes_per_s: 0 } => self.add(at, "reading", "is 0; it must be above 0"),
            Reading::Slow { .. } | Reading::Quick => {}
        }
    }

    fn size(&mut self, at: At, size: &Size) {
        let key = "publish.size";
        let mut bounded = |bytes: usize| {
            if !(payload::BYTES_MIN..=payload::BYTES_MAX).contains(&bytes) {
                let (min, max) = (payload::BYTES_MIN, payload::BYTES_MAX);
                self.add(at, key, format!("is {bytes}; it must be {min} to {max} bytes"));
            }
        };
        match size {
            Size::Fixed(bytes) => bounded(*bytes),
            Size::Uniform(least, most) => {
                bounded(*least);
                bounded(*most);
                if least > most {
                    self.add(at, key, format!("is {least}..{most}, which begins after its end"));
                }
            }
            Size::Weighted(rows) => {
                rows.iter().for_each(|(bytes, _)| bounded(*bytes));
                let sound = |weight: f64| (0.0..=1e12).contains(&weight);
                if !rows.iter().all(|(_, weight)| sound(*weight)) {
                    self.add(at, key, "has a weight that is below 0 or above 10^12");
                } else if rows.iter().map(|(_, weight)| weight).sum::<f64>() == 0.0 {
                    self.add(at, key, "has no weight above 0");
                }
                if rows.len() > WEIGHTS_MAX {
                    self.add(at, key, format!("has {} sizes; {WEIGHTS_MAX} at most", rows.len()));
                }
            }
        }
    }

    fn phases(&mut self, phases: &[Phase]) {
        let (first, measured) = (phases.first(), phases.iter().filter(|phase| phase.measured));
        if phases.is_empty() || phases.len() > PHASES_MAX {
            self.add(
                At::Top,
                "phase",
                format!("is there {} times; 1 to {PHASES_MAX} are needed", phases.len()),
            );
            return;
        }
        if !first.is_some_and(|phase| matches!(phase.kind, PhaseKind::Ramp { .. })) {
            self.add(At::Phase(0), "kind", "must be \"ramp\" in the first phase: nobody is connected before");
        }
        let length: Duration = measured.map(|phase| phase.duration.min(DURATION_MAX)).sum();
        if length < MEASURED_MIN {
            self.add(At::Top, "phase", format!("is measured for {length:?}; {MEASURED_MIN:?} are needed"));
        }
        if phases.iter().map(|phase| phase.duration.min(DURATION_MAX)).sum::<Duration>() > DURATION_MAX {
            self.add(At::Top, "phase", format!("durations add up to more than {DURATION_MAX:?}"));
        }
        let (mut names, mut ramped) = (BTreeSet::new(), 0.0);
        for (index, phase) in phases.iter().enumerate() {
            if !names.insert(&phase.name) {
                self.add(At::Phase(index), "name", "is that of another phase");
            }
            if let PhaseKind::Ramp { share, .. } = phase.kind {
                if share <= ramped && is_share(share) {
                    self.add(At::Phase(index), "upto", format!("is {share}, where a ramp before has come"));
                }
                ramped = share;
            }
        }
    }

    fn disconnects(&mut self, at: At, phase: &Phase, scenario: &Scenario) {
        if phase.disconnects == Disconnects::Failures {
            return;
        }
        if matches!(phase.kind, PhaseKind::Ramp { .. }) {
            self.add(at, "disconnects", "may not be \"expected\" in a ramp: first dials are not repeated");
        }
        if scenario.comes_back.is_none() {
            self.add(
                at,
                "disconnects",
                "is \"expected\", and nobody comes back: say after what time (comes_back)",
            );
        }
    }

    fn phase(&mut self, at: At, phase: &Phase) {
        self.name(at, &phase.name);
        let is_ramp = matches!(phase.kind, PhaseKind::Ramp { .. });
        let (key, min) =
            if is_ramp { ("patience", Duration::ZERO) } else { ("duration", Duration::from_millis(1)) };
        self.time(at, key, phase.duration, min);
        match phase.kind {
            PhaseKind::Ramp { share, per_s } => {
                self.positive(at, "upto", share, 1.0);
                self.positive(at, "rate", per_s, RATE_MAX);
            }
            PhaseKind::Steady => {}
            PhaseKind::Storm { share, per_s } => {
                self.positive(at, "cut", share, 1.0);
                if !(0.0..=RATE_MAX).contains(&per_s) {
                    self.add(at, "rate", format!("is {per_s}; it must be 0 to {RATE_MAX}"));
                }
            }
            PhaseKind::Spike { rate } => self.positive(at, "times", rate, TIMES_MAX),
            PhaseKind::Drain { share } => {
                if !(0.0..1.0).contains(&share) {
                    self.add(at, "keep", format!("is {share}; it must be at least 0 and below 1 (100 %)"));
                }
            }
        }
    }
}

fn is_share(share: f64) -> bool {
    share > 0.0 && share <= 1.0
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
