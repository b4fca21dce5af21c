//! What was asked for, as the result tells it: the scenario in short, its roles in words.

use crate::{
    figures::summary::{Load, PhaseName, Role},
    report::format,
    scenario::{self, Arrivals, Pace, PhaseKind, Reading, Scenario, Size, ThinkTime},
};

impl Load {
    pub(crate) fn of(scenario: &Scenario, threads: u32, agents: u32) -> Self {
        Self {
            scenario: scenario.name.clone(),
            about: scenario.about.clone(),
            connections: scenario.connections,
            rooms: scenario.rooms.count,
            roles: scenario.roles.iter().map(Role::of).collect(),
            comes_back: scenario.comes_back.is_some(),
            closed: scenario.closed,
            seed: scenario.seed,
            threads,
            agents,
        }
    }
}

impl Role {
    fn of(role: &scenario::Role) -> Self {
        let mut does = match role.rooms {
            0 => vec!["joins no room".to_owned()],
            1 => Vec::new(),
            rooms => vec![format!("joins {rooms} rooms")],
        };
        if let Some(publish) = &role.publish {
            does.push(format!("publishes {}, {}", pace(publish.pace), size(&publish.size)));
        }
        if let Some(every) = role.presence {
            does.push(format!("changes presence {}", think(every)));
        }
        if let Some(reconnect) = role.reconnect {
            does.push(format!("leaves {}, for {}", think(reconnect.every), length(reconnect.away)));
        }
        if let Reading::Slow { bytes_per_s } = role.reading {
            does.push(format!("reads {}/s at most", given(&format::bytes(bytes_per_s.into()))));
        }
        if does.is_empty() {
            does.push("listens".to_owned());
        }
        Self { name: role.name.clone(), share: role.share, does: does.join("; ") }
    }
}

impl PhaseName {
    pub(crate) fn of(kind: PhaseKind) -> Self {
        match kind {
            PhaseKind::Ramp { .. } => Self::Ramp,
            PhaseKind::Steady => Self::Steady,
            PhaseKind::Storm { .. } => Self::Storm,
            PhaseKind::Spike { .. } => Self::Spike,
            PhaseKind::Drain { .. } => Self::Drain,
        }
    }
}

fn pace(pace: Pace) -> String {
    match pace {
        Pace::Together { per_s, arrivals: Arrivals::Even } => format!("{}/s together", format::rate(per_s)),
        Pace::Together { per_s, arrivals: Arrivals::Poisson } => {
            format!("{}/s together (Poisson)", format::rate(per_s))
        }
        Pace::Each(time) => format!("each {}", think(time)),
    }
}

fn think(time: ThinkTime) -> String {
    format!("every {}", length(time))
}

fn length(time: ThinkTime) -> String {
    match time {
        ThinkTime::Constant(time) => given(&format::duration(time)),
        ThinkTime::Exponential(mean) => format!("{} on average", given(&format::duration(mean))),
    }
}

fn size(size: &Size) -> String {
    let bytes = |bytes: usize| given(&format::bytes(bytes as u64));
    match size {
        Size::Fixed(fixed) => bytes(*fixed),
        Size::Uniform(low, high) => format!("{} to {}", bytes(*low), bytes(*high)),
        Size::Weighted(weights) => {
            let sizes = || weights.iter().map(|(size, _)| *size);
            match (sizes().min(), sizes().max()) {
                (Some(low), Some(high)) => format!("{} to {} by weight", bytes(low), bytes(high)),
                _ => String::new(),
            }
        }
    }
}

/// A figure with its unit, without the zeros behind the point: they would say how well it was measured, and it was not.
fn given(figure: &str) -> String {
    match figure.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        Some(_) | None => figure.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::{Leave, Publish, Reconnect};

    #[test]
    fn roles_are_told_in_words() {
        let secs = Duration::from_secs;
        let listener = scenario::Role {
            name: "listeners".to_owned(),
            share: 1.0,
            rooms: 1,
            publish: None,
            presence: None,
            reconnect: None,
            reading: Reading::Quick,
        };
        let together = Pace::Together { per_s: 500.0, arrivals: Arrivals::Even };
        let each = Pace::Each(ThinkTime::Exponential(secs(20)));
        let rows = [
            (listener.clone(), "listens"),
            (scenario::Role { rooms: 0, ..listener.clone() }, "joins no room"),
            (
                scenario::Role {
                    publish: Some(Publish { pace: together, size: Size::Fixed(128) }),
                    ..listener.clone()
                },
                "publishes 500/s together, 128 B",
            ),
            (
                scenario::Role {
                    rooms: 3,
                    publish: Some(Publish { pace: each, size: Size::Weighted(vec![(4096, 0.1), (64, 0.9)]) }),
                    presence: Some(ThinkTime::Constant(secs(30))),
                    ..listener.clone()
                },
                "joins 3 rooms; publishes each every 20 s on average, 64 B to 4 KiB by weight; changes \
                 presence every 30 s",
            ),
            (
                scenario::Role {
                    reconnect: Some(Reconnect {
                        every: ThinkTime::Exponential(secs(60)),
                        away: ThinkTime::Constant(secs(2)),
                        how: Leave::Cut,
                    }),
                    reading: Reading::Slow { bytes_per_s: 1024 },
                    ..listener
                },
                "leaves every 60 s on average, for 2 s; reads 1 KiB/s at most",
            ),
        ];
        for (role, does) in rows {
            assert_eq!(Role::of(&role).does, does);
        }
    }
}
