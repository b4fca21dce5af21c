//! The modes: shorthands, by a few flags, for scenarios in which all connections do much the same.
//!
//! `--conns 2000 --mode churn` and a file with those roles and phases are the same run.

use std::time::Duration;

use clap::ValueEnum;

use super::flags::RunFlags;
use crate::{
    scenario::{
        Arrivals, Disconnects, Leave, Pace, Phase, PhaseKind, Pick, Protocol, Publish, Reading, Reconnect,
        Role, Rooms, Scenario, Size, ThinkTime,
        check::{CONNECTIONS_MAX, DURATION_MAX, MEASURED_MIN},
        toml::{CONNECTIONS, CONNECTIONS_PER_ROOM, CONNECTS_PER_S, DRAIN_TIMEOUT, RAMP_PATIENCE},
    },
    truth::payload,
};

const PUBLISHERS_PER_ROOM: u32 = 10;
const MESSAGES_PER_S: f64 = 500.0;
const ECHOES_PER_S: f64 = 1_000.0;
const PAYLOAD_BYTES: usize = 128;
const THREADS_MAX: u32 = 256;
const CHURN_PER_S: f64 = 100.0;
const WARMUP: Duration = Duration::from_secs(3);
const DURATION: Duration = Duration::from_secs(20);

/// What the connections do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Mode {
    Fanout,
    Churn,
    Echo,
    Idle,
}

impl Mode {
    /// The mode as it is typed and shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Churn => "churn",
            Self::Echo => "echo",
            Self::Idle => "idle",
        }
    }

    /// Whether connections carry a token and join rooms.
    pub(crate) fn joins(self) -> bool {
        match self {
            Self::Fanout | Self::Churn | Self::Idle => true,
            Self::Echo => false,
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Fanout => "All join a room each, some publish",
            Self::Churn => "As fanout, while half of the listeners come and go",
            Self::Echo => "Messages to a path that sends each of them back",
            Self::Idle => "All join a room each and hold still",
        }
    }
}

/// A mode with its numbers, every default resolved.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shorthand {
    pub(crate) mode: Mode,
    pub(crate) conns: u32,
    pub(crate) rooms: u32,
    /// 0 in idle mode.
    pub(crate) publishers: u32,
    /// Messages per second of all publishers together.
    pub(crate) rate: f64,
    pub(crate) size: Size,
    pub(crate) arrivals: Arrivals,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) drain_timeout: Duration,
    /// Connections opened per second.
    pub(crate) connect_rate: f64,
    /// Connections that leave and return per second; 0 but in churn mode.
    pub(crate) churn_rate: f64,
    pub(crate) threads: u32,
    pub(crate) closed: bool,
}

/// Why the flags make no run.
#[derive(PartialEq, Debug, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("--{flag} is {value}; it must be at least {min}")]
    TooSmall { flag: &'static str, value: String, min: String },
    #[error("--{flag} is {value}; it may be {max} at most")]
    TooLarge { flag: &'static str, value: String, max: String },
    #[error("--{flag} is {value}; it must be above 0")]
    NotPositive { flag: &'static str, value: f64 },
    #[error("--payload is {least}..{most}, which begins after its end")]
    Backwards { least: usize, most: usize },
    #[error("churn mode needs listeners that can come and go: {publishers} of {conns} connections publish")]
    NobodyToChurn { publishers: u32, conns: u32 },
    #[error(
        "echo is a protocol without rooms, and the only one of echo mode: say --mode echo and no other --protocol"
    )]
    EchoHasNoRooms,
}

impl Shorthand {
    /// Resolves defaults and checks how the values relate.
    pub(crate) fn resolve(flags: &RunFlags) -> Result<Self, FlagError> {
        let RunFlags { load, messages, time, target, machines, .. } = flags;
        let speaks_echo = target.protocol == Some(Protocol::Echo);
        let mode = load.mode.unwrap_or(if speaks_echo { Mode::Echo } else { Mode::Fanout });
        if target.protocol.is_some() && speaks_echo == mode.joins() {
            return Err(FlagError::EchoHasNoRooms);
        }
        let conns = within("conns", load.conns.unwrap_or(CONNECTIONS), 1, CONNECTIONS_MAX)?;
        let threads = threads(machines.threads, conns)?;
        let rooms = match mode {
            Mode::Echo => 1,
            Mode::Fanout | Mode::Churn | Mode::Idle => {
                let usual = conns.div_ceil(CONNECTIONS_PER_ROOM);
                within("rooms", load.rooms.unwrap_or(usual), 1, conns)?
            }
        };
        let publishers = match mode {
            Mode::Idle => 0,
            Mode::Echo => within("publishers", messages.publishers.unwrap_or(conns), 1, conns)?,
            Mode::Fanout | Mode::Churn => {
                let usual = rooms.saturating_mul(PUBLISHERS_PER_ROOM).min(conns);
                within("publishers", messages.publishers.unwrap_or(usual), 1, conns)?
            }
        };
        let churn_rate = match mode {
            Mode::Churn if conns - publishers < 2 => {
                return Err(FlagError::NobodyToChurn { publishers, conns });
            }
            Mode::Churn => positive("churn-rate", load.churn_rate.unwrap_or(CHURN_PER_S))?,
            Mode::Fanout | Mode::Echo | Mode::Idle => 0.0,
        };
        let usual_rate = match mode {
            Mode::Echo => ECHOES_PER_S,
            Mode::Fanout | Mode::Churn | Mode::Idle => MESSAGES_PER_S,
        };
        let drain_timeout = time.drain_timeout.unwrap_or(DRAIN_TIMEOUT);
        Ok(Self {
            mode,
            conns,
            rooms,
            publishers,
            rate: positive("rate", messages.rate.unwrap_or(usual_rate))?,
            size: payload_size(messages.payload.clone().unwrap_or(Size::Fixed(PAYLOAD_BYTES)))?,
            arrivals: messages.arrivals.unwrap_or(Arrivals::Even),
            warmup: within_time("warmup", time.warmup.unwrap_or(WARMUP), Duration::ZERO)?,
            duration: within_time("duration", time.duration.unwrap_or(DURATION), MEASURED_MIN)?,
            drain_timeout: within_time("drain-timeout", drain_timeout, Duration::ZERO)?,
            connect_rate: positive("connect-rate", load.connect_rate.unwrap_or(CONNECTS_PER_S))?,
            churn_rate,
            threads,
            closed: messages.closed,
        })
    }

    /// The same as roles and phases.
    pub(crate) fn scenario(&self, protocol: Option<Protocol>, seed: u64) -> Scenario {
        let usual = if self.mode.joins() { Protocol::Json } else { Protocol::Echo };
        Scenario {
            name: self.mode.name().to_owned(),
            about: self.mode.about().to_owned(),
            protocol: protocol.unwrap_or(usual),
            seed,
            connections: self.conns,
            rooms: Rooms { count: self.rooms, pick: Pick::Even },
            roles: self.roles(),
            phases: self.phases(),
            drain_timeout: self.drain_timeout,
            comes_back: None,
            closed: self.closed,
        }
    }

    fn roles(&self) -> Vec<Role> {
        let publish = Publish {
            pace: Pace::Together { per_s: self.rate, arrivals: self.arrivals },
            size: self.size.clone(),
        };
        let listeners = self.conns - self.publishers;
        let (name, churning) = match self.mode {
            Mode::Fanout | Mode::Echo => ("listener", 0),
            Mode::Churn => ("listener", listeners / 2),
            Mode::Idle => ("idle", 0),
        };
        // Each leaves as often as makes the rate that was asked for, and is back at once.
        let stay = Duration::try_from_secs_f64(f64::from(churning) / self.churn_rate).unwrap_or(DURATION_MAX);
        let reconnect = Reconnect {
            every: ThinkTime::Constant(stay.clamp(Duration::from_nanos(1), DURATION_MAX)),
            away: ThinkTime::Constant(Duration::ZERO),
            how: Leave::Close,
        };
        let roles = [
            ("publisher", self.publishers, Some(publish), None),
            (name, listeners - churning, None, None),
            ("comer-and-goer", churning, None, Some(reconnect)),
        ];
        let there = roles.into_iter().filter(|(_, members, ..)| *members > 0);
        there
            .map(|(name, members, publish, reconnect)| Role {
                name: name.to_owned(),
                share: f64::from(members) / f64::from(self.conns),
                rooms: u32::from(self.mode.joins()),
                publish,
                presence: None,
                reconnect,
                reading: Reading::Quick,
            })
            .collect()
    }

    fn phases(&self) -> Vec<Phase> {
        let ramp = PhaseKind::Ramp { share: 1.0, per_s: self.connect_rate };
        let phases = [
            ("ramp", ramp, RAMP_PATIENCE, false),
            ("warm-up", PhaseKind::Steady, self.warmup, false),
            ("running", PhaseKind::Steady, self.duration, true),
        ];
        let there = phases.into_iter().filter(|(_, _, duration, _)| !duration.is_zero());
        there
            .map(|(name, kind, duration, measured)| Phase {
                name: name.to_owned(),
                kind,
                duration,
                measured,
                disconnects: Disconnects::Failures,
            })
            .collect()
    }
}

/// Threads that may share so many connections.
pub(super) fn threads(threads: u32, conns: u32) -> Result<u32, FlagError> {
    within("threads", threads, 1, conns.min(THREADS_MAX))
}

fn payload_size(size: Size) -> Result<Size, FlagError> {
    let bounded = |bytes| within("payload", bytes, payload::BYTES_MIN, payload::BYTES_MAX);
    match size {
        Size::Fixed(bytes) => bounded(bytes).map(Size::Fixed),
        Size::Uniform(least, most) if least > most => Err(FlagError::Backwards { least, most }),
        Size::Uniform(least, most) => Ok(Size::Uniform(bounded(least)?, bounded(most)?)),
        Size::Weighted(_) => Ok(size),
    }
}

fn within<T: PartialOrd + ToString>(flag: &'static str, value: T, min: T, max: T) -> Result<T, FlagError> {
    if value < min {
        return Err(FlagError::TooSmall { flag, value: value.to_string(), min: min.to_string() });
    }
    if value > max {
        return Err(FlagError::TooLarge { flag, value: value.to_string(), max: max.to_string() });
    }
    Ok(value)
}

fn within_time(flag: &'static str, value: Duration, min: Duration) -> Result<Duration, FlagError> {
    let text = |d: Duration| format!("{d:?}");
    if value < min {
        return Err(FlagError::TooSmall { flag, value: text(value), min: text(min) });
    }
    if value > DURATION_MAX {
        return Err(FlagError::TooLarge { flag, value: text(value), max: text(DURATION_MAX) });
    }
    Ok(value)
}

fn positive(flag: &'static str, value: f64) -> Result<f64, FlagError> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(FlagError::NotPositive { flag, value }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::parsed,
        scenario::{check::check, presets},
    };

    fn resolve(flags: &str) -> Result<Shorthand, FlagError> {
        Shorthand::resolve(&parsed(flags))
    }

    fn scenario(flags: &str) -> Scenario {
        let scenario = resolve(flags).unwrap().scenario(None, 1);
        assert_eq!(check(&scenario), [], "{flags}");
        scenario
    }

    /// Members of each role.
    fn members(flags: &str) -> Vec<(String, u32)> {
        let scenario = scenario(flags);
        let members = |role: &Role| (role.share * f64::from(scenario.connections)).round() as u32;
        scenario.roles.iter().map(|role| (role.name.clone(), members(role))).collect()
    }

    #[test]
    fn the_defaults_are_the_demonstration() {
        let it = resolve("").unwrap();
        assert_eq!((it.conns, it.rooms, it.publishers), (10_000, 100, 1_000));
        assert_eq!((it.rate, it.size, it.threads), (500.0, Size::Fixed(128), 1));
        assert_eq!(it.warmup + it.duration, Duration::from_secs(23));
    }

    #[test]
    fn the_default_is_the_ready_made_10k() {
        let preset = presets::find(presets::DEFAULT).unwrap().read(1).unwrap();
        let Scenario { name, about, .. } = preset.clone();
        assert_eq!(Scenario { name, about, ..scenario("") }, preset);
    }

    #[test]
    fn defaults_follow_the_connections_and_the_mode() {
        // flags, rooms, publishers
        let rows = [
            ("--conns 150", 2, 20),
            ("--conns 3", 1, 3),
            ("--mode echo --conns 64", 1, 64),
            ("--protocol echo --conns 64", 1, 64),
            ("--mode idle", 100, 0),
        ];
        for (flags, rooms, publishers) in rows {
            let it = resolve(flags).unwrap();
            assert_eq!((it.rooms, it.publishers), (rooms, publishers), "{flags}");
        }
    }

    #[test]
    fn modes_are_roles() {
        let rows = [
            ("", &[("publisher", 1_000), ("listener", 9_000)][..]),
            ("--conns 3", &[("publisher", 3)]),
            ("--mode churn", &[("publisher", 1_000), ("listener", 4_500), ("comer-and-goer", 4_500)]),
            (
                "--mode churn --conns 10 --publishers 7",
                &[("publisher", 7), ("listener", 2), ("comer-and-goer", 1)],
            ),
            ("--mode echo --conns 64 --publishers 60", &[("publisher", 60), ("listener", 4)]),
            ("--mode idle", &[("idle", 10_000)]),
        ];
        for (flags, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            assert_eq!(members(flags), expected, "{flags}");
        }
    }

    #[test]
    fn churn_is_as_frequent_as_asked_for() {
        let scenario = scenario("--mode churn --churn-rate 300 --conns 2000");
        let role = &scenario.roles[2];
        let Some(Reconnect { every: ThinkTime::Constant(stay), away, how }) = role.reconnect else {
            panic!("{role:?}");
        };
        let per_s = role.share * f64::from(scenario.connections) / stay.as_secs_f64();
        assert!((per_s - 300.0).abs() < 1e-6, "{per_s}");
        assert_eq!((away, how), (ThinkTime::Constant(Duration::ZERO), Leave::Close));
    }

    #[test]
    fn only_echo_mode_joins_no_rooms_and_speaks_echo() {
        for (flags, rooms, protocol) in [
            ("", 1, Protocol::Json),
            ("--mode idle", 1, Protocol::Json),
            ("--mode echo", 0, Protocol::Echo),
            ("--protocol echo", 0, Protocol::Echo),
        ] {
            let scenario = scenario(flags);
            assert!(scenario.roles.iter().all(|role| role.rooms == rooms), "{flags}");
            assert_eq!(scenario.protocol, protocol, "{flags}");
        }
        for flags in ["--mode fanout --protocol echo", "--mode echo --protocol json"] {
            assert_eq!(resolve(flags), Err(FlagError::EchoHasNoRooms), "{flags}");
        }
    }

    #[test]
    fn a_warmup_of_nothing_is_no_phase() {
        let names = |flags| scenario(flags).phases.iter().map(|phase| phase.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(""), ["ramp", "warm-up", "running"]);
        assert_eq!(names("--warmup 0"), ["ramp", "running"]);
    }

    #[test]
    fn wrong_relations_are_refused_with_both_values() {
        let rows = [
            ("--conns 10 --rooms 11", "--rooms is 11; it may be 10 at most".to_owned()),
            ("--payload 10", format!("--payload is 10; it must be at least {}", payload::BYTES_MIN)),
            ("--payload 100..10", "--payload is 100..10, which begins after its end".to_owned()),
            ("--rate 0", "--rate is 0; it must be above 0".to_owned()),
            ("--rate NaN", "--rate is NaN; it must be above 0".to_owned()),
            ("--duration 1ms", "--duration is 1ms; it must be at least 10ms".to_owned()),
            (
                "--mode churn --conns 10 --publishers 9",
                "churn mode needs listeners that can come and go: 9 of 10 connections publish".to_owned(),
            ),
        ];
        for (flags, expected) in rows {
            assert_eq!(resolve(flags).unwrap_err().to_string(), expected, "{flags}");
        }
    }
}
