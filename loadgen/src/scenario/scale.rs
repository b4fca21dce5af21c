//! A scenario made larger, smaller, longer or shorter, by flags or by a search for the highest load.
//!
//! Invariant: what is not asked for stays, but for rooms, which keep their size when only the number of connections changes.
//! The result is to be checked like any other scenario.

use std::time::Duration;

use super::{Arrivals, Disconnects, Pace, Phase, PhaseKind, Scenario, Size, ThinkTime};

/// What is to be different.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Change {
    pub(crate) connections: Option<u32>,
    pub(crate) rooms: Option<u32>,
    /// Messages per second of all roles together; each keeps its part of them.
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) arrivals: Option<Arrivals>,
    pub(crate) size: Option<Size>,
    /// Of all ramps.
    pub(crate) connects_per_s: Option<f64>,
    /// Of publishing before anything is measured; zero for none.
    pub(crate) warmup: Option<Duration>,
    /// Of all measured phases but ramps together; each keeps its part of it.
    pub(crate) duration: Option<Duration>,
    pub(crate) drain_timeout: Option<Duration>,
}

/// The change asks for what the scenario has nothing of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unchangeable {
    #[error("has no role that publishes, and so no rate")]
    Rate,
    #[error("has no role that publishes, and so no payload")]
    Payload,
    #[error("has no phase that is measured")]
    Duration,
}

impl Change {
    /// Changes `scenario`.
    pub(crate) fn apply(&self, scenario: &mut Scenario) -> Result<(), Unchangeable> {
        if let Some(connections) = self.connections {
            scale_connections(scenario, connections);
        }
        if let Some(rooms) = self.rooms {
            scenario.rooms.count = rooms;
        }
        if let Some(per_s) = self.rate_per_s {
            scale_rate(scenario, per_s)?;
        }
        let mut publish: Vec<_> =
            scenario.roles.iter_mut().filter_map(|role| role.publish.as_mut()).collect();
        if let Some(size) = &self.size {
            if publish.is_empty() {
                return Err(Unchangeable::Payload);
            }
            publish.iter_mut().for_each(|publish| publish.size = size.clone());
        }
        if let Some(wanted) = self.arrivals {
            for publish in publish {
                match &mut publish.pace {
                    Pace::Together { arrivals, .. } => *arrivals = wanted,
                    Pace::Each(_) => {}
                }
            }
        }
        if let Some(wanted) = self.connects_per_s {
            for phase in &mut scenario.phases {
                match &mut phase.kind {
                    PhaseKind::Ramp { per_s, .. } => *per_s = wanted,
                    PhaseKind::Steady
                    | PhaseKind::Storm { .. }
                    | PhaseKind::Spike { .. }
                    | PhaseKind::Drain { .. } => {}
                }
            }
        }
        if let Some(warmup) = self.warmup {
            set_warmup(&mut scenario.phases, warmup);
        }
        if let Some(duration) = self.duration {
            scale_duration(&mut scenario.phases, duration)?;
        }
        scenario.drain_timeout = self.drain_timeout.unwrap_or(scenario.drain_timeout);
        Ok(())
    }
}

/// Messages per second of all roles together, when every connection is there and no phase changes the rate.
pub(crate) fn rate_per_s(scenario: &Scenario) -> f64 {
    let of_role = |role: &super::Role| match role.publish.as_ref()?.pace {
        Pace::Together { per_s, .. } => Some(per_s),
        Pace::Each(ThinkTime::Constant(time) | ThinkTime::Exponential(time)) => {
            Some(role.share * f64::from(scenario.connections) / time.as_secs_f64())
        }
    };
    scenario.roles.iter().filter_map(of_role).sum()
}

/// Rooms keep their size as far as each role still finds as many as it joins.
fn scale_connections(scenario: &mut Scenario, connections: u32) {
    let factor = f64::from(connections) / f64::from(scenario.connections.max(1));
    let most_joined = scenario.roles.iter().map(|role| role.rooms).max().unwrap_or(1).max(1);
    // As a ceiling, so that one connection has a room; what is only rounding makes none.
    let rooms = (f64::from(scenario.rooms.count) * factor - 1e-9).ceil();
    scenario.rooms.count = (rooms as u32).max(most_joined);
    scenario.connections = connections;
}

fn scale_rate(scenario: &mut Scenario, wanted_per_s: f64) -> Result<(), Unchangeable> {
    let total_per_s = rate_per_s(scenario);
    if total_per_s == 0.0 {
        return Err(Unchangeable::Rate);
    }
    for publish in scenario.roles.iter_mut().filter_map(|role| role.publish.as_mut()) {
        match &mut publish.pace {
            // The order of these keeps the rate of a single role exact.
            Pace::Together { per_s, .. } => *per_s = wanted_per_s * (*per_s / total_per_s),
            Pace::Each(ThinkTime::Constant(time) | ThinkTime::Exponential(time)) => {
                *time = scaled(*time, total_per_s / wanted_per_s);
            }
        }
    }
    Ok(())
}

/// The warm-up is what comes before anything measured but ramps.
fn set_warmup(phases: &mut Vec<Phase>, duration: Duration) {
    let is_ramp = |phase: &Phase| matches!(phase.kind, PhaseKind::Ramp { .. });
    let Some(at) = phases.iter().position(|phase| !is_ramp(phase)) else { return };
    let there = !phases[at].measured && matches!(phases[at].kind, PhaseKind::Steady);
    match (there, duration.is_zero()) {
        (true, true) => {
            phases.remove(at);
        }
        (true, false) => phases[at].duration = duration,
        (false, true) => {}
        (false, false) => {
            let name = "warm-up".to_owned();
            let disconnects = Disconnects::Failures;
            phases
                .insert(at, Phase { name, kind: PhaseKind::Steady, duration, measured: false, disconnects });
        }
    }
}

fn scale_duration(phases: &mut [Phase], wanted: Duration) -> Result<(), Unchangeable> {
    let mut measured: Vec<_> = phases
        .iter_mut()
        .filter(|phase| phase.measured && !matches!(phase.kind, PhaseKind::Ramp { .. }))
        .collect();
    let total: Duration = measured.iter().map(|phase| phase.duration).sum();
    let (Some(last), false) = (measured.pop(), total.is_zero()) else {
        return Err(Unchangeable::Duration);
    };
    let factor = wanted.as_secs_f64() / total.as_secs_f64();
    let mut left = wanted;
    for phase in measured {
        phase.duration = scaled(phase.duration, factor).min(left);
        left -= phase.duration;
    }
    // The sum is to be exact.
    last.duration = left;
    Ok(())
}

fn scaled(time: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::presets;

    fn changed(preset: &str, change: Change) -> Result<Scenario, Unchangeable> {
        let mut scenario = presets::find(preset).unwrap().read(1).unwrap();
        change.apply(&mut scenario).map(|()| scenario)
    }

    fn seconds(scenario: &Scenario) -> Vec<(&str, f64)> {
        scenario.phases.iter().skip(1).map(|it| (it.name.as_str(), it.duration.as_secs_f64())).collect()
    }

    #[test]
    fn nothing_asked_for_changes_nothing() {
        for preset in presets::ALL {
            let scenario = changed(preset.name, Change::default()).unwrap();
            assert_eq!(scenario, preset.read(1).unwrap());
        }
    }

    #[test]
    fn rooms_keep_their_size_unless_they_are_asked_for() {
        // preset, connections, rooms asked for, rooms
        let rows = [
            ("10k", 20_000, None, 200),
            ("10k", 150, None, 2),
            ("10k", 3, None, 1),
            ("10k", 1_000, Some(500), 500),
            ("chat", 100, None, 10),
            ("chat", 10, None, 3),
        ];
        for (preset, connections, rooms, expected) in rows {
            let change = Change { connections: Some(connections), rooms, ..Change::default() };
            let scenario = changed(preset, change).unwrap();
            assert_eq!((scenario.connections, scenario.rooms.count), (connections, expected), "{preset}");
        }
    }

    #[test]
    fn a_rate_is_shared_as_before() {
        let to = |per_s| Change { rate_per_s: Some(per_s), ..Change::default() };
        let scenario = changed("10k", to(333.3)).unwrap();
        assert_eq!(rate_per_s(&scenario), 333.3, "a single role has it exactly");
        let before = changed("devices", Change::default()).unwrap();
        let after = changed("devices", to(rate_per_s(&before) * 4.0)).unwrap();
        let paces: Vec<_> =
            after.roles.iter().filter_map(|role| role.publish.as_ref()).map(|it| it.pace).collect();
        let expected = [
            Pace::Each(ThinkTime::Exponential(Duration::from_secs(150))),
            Pace::Together { per_s: 80.0, arrivals: Arrivals::Poisson },
        ];
        assert_eq!(paces, expected);
    }

    #[test]
    fn durations_are_shared_as_before_and_add_up() {
        let change = Change { duration: Some(Duration::from_secs(30)), ..Change::default() };
        let scenario = changed("chat", change).unwrap();
        assert_eq!(seconds(&scenario), [("warm-up", 5.0), ("talk", 20.0), ("news", 5.0), ("after", 5.0)]);
        for millis in [10, 333, 7_777, 86_400_000] {
            let wanted = Duration::from_millis(millis);
            let change = Change { duration: Some(wanted), ..Change::default() };
            let scenario = changed("reconnect-storm", change).unwrap();
            let sum: Duration =
                scenario.phases.iter().filter(|phase| phase.measured).map(|phase| phase.duration).sum();
            assert_eq!(sum, wanted);
        }
    }

    #[test]
    fn a_warmup_is_set_added_or_left_out() {
        let warmup = |preset, seconds| {
            let change = Change { warmup: Some(Duration::from_secs(seconds)), ..Change::default() };
            changed(preset, change).unwrap()
        };
        assert_eq!(seconds(&warmup("10k", 7)), [("warm-up", 7.0), ("running", 20.0)]);
        assert_eq!(seconds(&warmup("10k", 0)), [("running", 20.0)]);
        assert_eq!(seconds(&warmup("devices", 7)), [("warm-up", 7.0), ("idle", 120.0)]);
        assert_eq!(seconds(&warmup("devices", 0)), [("idle", 120.0)]);
    }

    #[test]
    fn the_rest_is_simply_set() {
        let change = Change {
            arrivals: Some(Arrivals::Poisson),
            size: Some(Size::Fixed(64)),
            connects_per_s: Some(50.0),
            drain_timeout: Some(Duration::ZERO),
            ..Change::default()
        };
        let scenario = changed("10k", change).unwrap();
        let publish = scenario.roles[0].publish.as_ref().unwrap();
        assert_eq!(publish.size, Size::Fixed(64));
        assert_eq!(publish.pace, Pace::Together { per_s: 500.0, arrivals: Arrivals::Poisson });
        assert_eq!(scenario.phases[0].kind, PhaseKind::Ramp { share: 1.0, per_s: 50.0 });
        assert_eq!(scenario.drain_timeout, Duration::ZERO);
    }

    #[test]
    fn what_is_not_there_cannot_be_changed() {
        let mut silent = presets::find("10k").unwrap().read(1).unwrap();
        silent.roles[0].publish = None;
        let rate = Change { rate_per_s: Some(1.0), ..Change::default() };
        assert_eq!(rate.apply(&mut silent.clone()), Err(Unchangeable::Rate));
        let size = Change { size: Some(Size::Fixed(64)), ..Change::default() };
        assert_eq!(size.apply(&mut silent.clone()), Err(Unchangeable::Payload));
        silent.phases.truncate(2);
        let duration = Change { duration: Some(Duration::from_secs(1)), ..Change::default() };
        assert_eq!(duration.apply(&mut silent), Err(Unchangeable::Duration));
    }
}
