//! The command line, and the checked configuration that comes out of it.
//!
//! `Args` is what was typed; `Config` is what a run needs, with every default resolved and every
//! relation between values checked. Nothing after this module looks at `Args`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Parser, ValueEnum};

use crate::{scenario::Arrivals, truth::payload};

const MORE_HELP: &str = "\
Modes:
  fanout  join a room each; some publish; every delivery is checked
  churn   as fanout, while half of the listeners come and go; those that stay must lose nothing
  echo    send to a path that answers every message with itself (/echo); no token, no rooms
  idle    join a room each, answer heartbeats, and hold still

Examples:
  loadgen                                     10,000 connections, 100 rooms, 50,000 deliveries/s
  loadgen --conns 2000 --rate 2000 --duration 1m
  loadgen --mode idle --conns 50000 --threads 2
  loadgen --mode churn --churn-rate 500
  loadgen --mode echo --conns 64 --rate 20000 --payload 64
  loadgen --secret-file jwt.key --json result.json
  ringway token mint --user me | loadgen --token-file - --conns 100

Tokens come from the first of: --token, --token-file, --secret, --secret-file, the environment
(RINGWAY_AUTH__JWT_SECRET, JWT_SECRET), and GET /dev/token of a gateway that runs without a
secret outside production. Prefer the files: an argument shows in the process list.

Latency is from the time at which a message was due to its arrival at each member, so that a
delay that holds up the sender shows in full (no coordinated omission).

Exit status: 0 every check passed; 1 a delivery was lost, duplicated, reordered, corrupt or
misrouted, a publication refused or not acked, or a connection failed; 3 the run could not start.";

/// Opens many authenticated WebSocket connections, publishes on a fixed schedule, checks every
/// delivery, and reports latency
#[derive(Parser, Debug)]
#[command(
    name = "loadgen",
    version,
    after_help = MORE_HELP,
    max_term_width = 100,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(crate) struct Args {
    /// What the connections do
    #[arg(long, value_enum, default_value_t = Mode::Fanout)]
    pub(crate) mode: Mode,
    /// Where to connect, ws:// only [default: ws://127.0.0.1:8080/ws, in echo mode /echo]
    #[arg(long)]
    pub(crate) url: Option<String>,

    /// Connections to open
    #[arg(long, default_value_t = 10_000, value_name = "N", help_heading = CONNECTIONS)]
    pub(crate) conns: u32,
    /// Rooms that they share evenly [default: one per 100 connections]
    #[arg(long, value_name = "N", help_heading = CONNECTIONS)]
    pub(crate) rooms: Option<u32>,
    /// Connections opened per second
    #[arg(long, default_value_t = 2_000.0, value_name = "PER_S", help_heading = CONNECTIONS)]
    pub(crate) connect_rate: f64,
    /// Connections that leave and come back per second, in churn mode
    #[arg(long, default_value_t = 100.0, value_name = "PER_S", help_heading = CONNECTIONS)]
    pub(crate) churn_rate: f64,
    /// Threads that share the connections
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = CONNECTIONS)]
    pub(crate) threads: u32,

    /// Connections that publish [default: 10 per room; in echo mode all]
    #[arg(long, value_name = "N", help_heading = MESSAGES)]
    pub(crate) publishers: Option<u32>,
    /// Messages published per second, all publishers together [default: 500; in echo mode 1000]
    #[arg(long, value_name = "PER_S", help_heading = MESSAGES)]
    pub(crate) rate: Option<f64>,
    /// Size of a message's payload
    #[arg(long, default_value_t = 128, value_name = "BYTES", help_heading = MESSAGES)]
    pub(crate) payload: usize,
    /// Messages at equal distances, or at random as from independent users
    #[arg(long, value_enum, default_value_t = Arrivals::Even, value_name = "KIND", help_heading = MESSAGES)]
    pub(crate) arrivals: Arrivals,
    /// Seed of random arrivals and masking keys [default: drawn, and shown]
    #[arg(long, help_heading = MESSAGES)]
    pub(crate) seed: Option<u64>,

    /// Publishing before the measured phase: checked, but not in the latencies
    #[arg(long, default_value = "3s", value_parser = parse_duration, value_name = "TIME", help_heading = PHASES)]
    pub(crate) warmup: Duration,
    /// Length of the measured phase, such as 500ms, 20s or 2m
    #[arg(long, default_value = "20s", value_parser = parse_duration, value_name = "TIME", help_heading = PHASES)]
    pub(crate) duration: Duration,
    /// How long to wait at the end for what is still on its way
    #[arg(long, default_value = "10s", value_parser = parse_duration, value_name = "TIME", help_heading = PHASES)]
    pub(crate) drain_timeout: Duration,

    /// One token for all connections
    #[arg(long, group = "credential", help_heading = TOKENS)]
    pub(crate) token: Option<String>,
    /// Reads that token from a file (- is standard input)
    #[arg(long, group = "credential", value_name = "FILE", help_heading = TOKENS)]
    pub(crate) token_file: Option<PathBuf>,
    /// HS256 secret; a token is minted for every connection
    #[arg(long, group = "credential", help_heading = TOKENS)]
    pub(crate) secret: Option<String>,
    /// Reads that secret from a file (- is standard input)
    #[arg(long, group = "credential", value_name = "FILE", help_heading = TOKENS)]
    pub(crate) secret_file: Option<PathBuf>,
    /// Tenant in the tokens that are minted
    #[arg(long, help_heading = TOKENS)]
    pub(crate) tenant: Option<String>,

    /// Writes the result as JSON (- is standard output; the table then goes to standard error)
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) json: Option<PathBuf>,
    /// Shows this help
    #[arg(short, long, action = ArgAction::HelpShort, help_heading = OUTPUT)]
    help: Option<bool>,
    /// Shows the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = OUTPUT)]
    version: Option<bool>,
}

const CONNECTIONS: &str = "Connections";
const MESSAGES: &str = "Messages";
const PHASES: &str = "Phases";
const TOKENS: &str = "Tokens";
const OUTPUT: &str = "Output";

/// What the connections do; [`MORE_HELP`] describes each.
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
}

/// A run, with every default resolved.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) conns: u32,
    pub(crate) rooms: u32,
    /// 0 in idle mode.
    pub(crate) publishers: u32,
    /// Messages per second of all publishers together.
    pub(crate) rate: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) arrivals: Arrivals,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) drain_timeout: Duration,
    /// Connections opened per second.
    pub(crate) connect_rate: f64,
    /// Connections that leave and return per second; 0 but in churn mode.
    pub(crate) churn_rate: f64,
    pub(crate) threads: u32,
    pub(crate) seed: u64,
}

/// Why the flags make no run.
#[derive(PartialEq, Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("--{flag} is {value}; it must be at least {min}")]
    TooSmall { flag: &'static str, value: String, min: String },
    #[error("--{flag} is {value}; it may be {max} at most")]
    TooLarge { flag: &'static str, value: String, max: String },
    #[error("--{flag} is {value}; it must be above 0")]
    NotPositive { flag: &'static str, value: f64 },
    #[error("churn mode needs listeners that can come and go: {publishers} of {conns} connections publish")]
    NobodyToChurn { publishers: u32, conns: u32 },
}

/// More connections than any one process can have sockets for.
const CONNS_MAX: u32 = 4_000_000;

impl Config {
    /// Resolves defaults and checks how the values relate.
    pub(crate) fn resolve(args: &Args) -> Result<Self, ConfigError> {
        let mode = args.mode;
        let conns = within("conns", args.conns, 1, CONNS_MAX)?;
        let threads = within("threads", args.threads, 1, conns.min(256))?;
        let rooms = match mode {
            Mode::Echo => 1,
            Mode::Fanout | Mode::Churn | Mode::Idle => {
                within("rooms", args.rooms.unwrap_or_else(|| conns.div_ceil(100)), 1, conns)?
            }
        };
        let publishers = match mode {
            Mode::Idle => 0,
            Mode::Echo => within("publishers", args.publishers.unwrap_or(conns), 1, conns)?,
            Mode::Fanout | Mode::Churn => {
                let usual = rooms.saturating_mul(10).min(conns);
                within("publishers", args.publishers.unwrap_or(usual), 1, conns)?
            }
        };
        let churn_rate = match mode {
            Mode::Churn if conns - publishers < 2 => {
                return Err(ConfigError::NobodyToChurn { publishers, conns });
            }
            Mode::Churn => positive("churn-rate", args.churn_rate)?,
            Mode::Fanout | Mode::Echo | Mode::Idle => 0.0,
        };
        let rate = args.rate.unwrap_or(match mode {
            Mode::Echo => 1_000.0,
            Mode::Fanout | Mode::Churn | Mode::Idle => 500.0,
        });
        Ok(Self {
            mode,
            conns,
            rooms,
            publishers,
            rate: positive("rate", rate)?,
            payload_bytes: within("payload", args.payload, payload::BYTES_MIN, payload::BYTES_MAX)?,
            arrivals: args.arrivals,
            duration: within_time("duration", args.duration, Duration::from_millis(10), DURATION_MAX)?,
            warmup: within_time("warmup", args.warmup, Duration::ZERO, DURATION_MAX)?,
            drain_timeout: within_time("drain-timeout", args.drain_timeout, Duration::ZERO, DURATION_MAX)?,
            connect_rate: positive("connect-rate", args.connect_rate)?,
            churn_rate,
            threads,
            seed: args.seed.unwrap_or_else(|| fastrand::u64(..) >> 32),
        })
    }

    /// Warm-up and measured phase together.
    pub(crate) fn publishing(&self) -> Duration {
        self.warmup + self.duration
    }
}

/// Two phases of this length still fit the payload's time field.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

fn within<T: PartialOrd + ToString>(flag: &'static str, value: T, min: T, max: T) -> Result<T, ConfigError> {
    if value < min {
        return Err(ConfigError::TooSmall { flag, value: value.to_string(), min: min.to_string() });
    }
    if value > max {
        return Err(ConfigError::TooLarge { flag, value: value.to_string(), max: max.to_string() });
    }
    Ok(value)
}

fn within_time(
    flag: &'static str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<Duration, ConfigError> {
    let text = |d: Duration| format!("{d:?}");
    if value < min {
        return Err(ConfigError::TooSmall { flag, value: text(value), min: text(min) });
    }
    if value > max {
        return Err(ConfigError::TooLarge { flag, value: text(value), max: text(max) });
    }
    Ok(value)
}

fn positive(flag: &'static str, value: f64) -> Result<f64, ConfigError> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(ConfigError::NotPositive { flag, value }) }
}

/// `500ms`, `20s`, `2m`, `1h`, or a bare number of seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit {unit:?}; use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| "a number with a unit, such as 20s".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn resolve(flags: &str) -> Result<Config, ConfigError> {
        Config::resolve(&Args::try_parse_from(format!("loadgen {flags}").split_whitespace()).unwrap())
    }

    #[test]
    fn the_command_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_demonstration() {
        let config = resolve("").unwrap();
        assert_eq!((config.conns, config.rooms, config.publishers), (10_000, 100, 1_000));
        assert_eq!((config.rate, config.payload_bytes, config.threads), (500.0, 128, 1));
        assert_eq!(config.publishing(), Duration::from_secs(23));
    }

    #[test]
    fn defaults_follow_the_connections_and_the_mode() {
        // flags, rooms, publishers
        let rows = [
            ("--conns 150", 2, 20),
            ("--conns 3", 1, 3),
            ("--mode echo --conns 64", 1, 64),
            ("--mode idle", 100, 0),
        ];
        for (flags, rooms, publishers) in rows {
            let config = resolve(flags).unwrap();
            assert_eq!((config.rooms, config.publishers), (rooms, publishers), "{flags}");
        }
    }

    #[test]
    fn wrong_relations_are_refused_with_both_values() {
        let rows = [
            ("--conns 10 --rooms 11", "--rooms is 11; it may be 10 at most"),
            ("--payload 10", "--payload is 10; it must be at least 57"),
            ("--rate 0", "--rate is 0; it must be above 0"),
            ("--rate NaN", "--rate is NaN; it must be above 0"),
            ("--duration 1ms", "--duration is 1ms; it must be at least 10ms"),
            (
                "--mode churn --conns 10 --publishers 9",
                "churn mode needs listeners that can come and go: 9 of 10 connections publish",
            ),
        ];
        for (flags, expected) in rows {
            assert_eq!(resolve(flags).unwrap_err().to_string(), expected, "{flags}");
        }
    }

    #[test]
    fn durations_have_units() {
        let rows =
            [("20s", 20_000), ("500ms", 500), ("2m", 120_000), ("1.5", 1_500), ("0", 0), ("1h", 3_600_000)];
        for (text, ms) in rows {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5d", "-1s", "1s1", "1e30h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
