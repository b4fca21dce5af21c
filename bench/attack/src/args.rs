//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::kind::Kind;

/// What good clients notice of an attack on the gateway, and what a storm of tokens costs it.
#[derive(Parser, Debug)]
#[command(name = "attack", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Measures good clients alone and under each attack; prints a table, and writes attack.json
    Run(RunArgs),
    /// Measures connections with tokens of each algorithm, never seen and seen before; prints a table, and writes storm.json
    Storm(StormArgs),
    /// The attackers of one case: until standard input ends
    #[command(hide = true)]
    Foes(FoesArgs),
    /// Who takes attackers' connections in place of the gateway: until standard input ends
    #[command(hide = true)]
    Decoy,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// Which attacks [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) kinds: Vec<Kind>,
    /// How long to measure in each case; the attack begins with it
    #[arg(long, default_value_t = 12.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Sockets that attackers have open or are opening
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) foes: u32,
    /// How many of them come a second, for the first time or again; 0: each as soon as its last try has ended
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) foes_per_s: u32,
    /// What attackers get of the generators' core
    #[arg(long, default_value_t = Priority::Idle, value_enum)]
    pub(crate) foes_priority: Priority,
    /// Rooms of good clients, each with one publisher
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rooms: u32,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) members_per_room: u32,
    /// Messages a second in all of these rooms
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// More settings of the gateway; they replace the limits of this program
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StormArgs {
    /// Whose signatures: HS256, RS256, ES256, EdDSA [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) algorithms: Vec<String>,
    /// How many come, in rooms of 100
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=18_000))]
    pub(crate) connections: u32,
    /// How many a second; 0 as fast as they come in
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) per_second: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The gateway [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) ringway: Option<PathBuf>,
    #[arg(long, value_delimiter = ',', default_values = ["uring", "epoll"], value_name = "NAMES")]
    pub(crate) driver: Vec<String>,
    /// How often each case runs; figures are medians of these
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Where results go
    #[arg(long, default_value = "target/attack", value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// For good clients and attackers
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FoesArgs {
    #[arg(long)]
    pub(crate) kind: Kind,
    #[arg(long)]
    pub(crate) port: u16,
    #[arg(long)]
    pub(crate) foes: u32,
    #[arg(long)]
    pub(crate) foes_per_s: u32,
    /// Rooms of good clients
    #[arg(long)]
    pub(crate) rooms: u32,
}

/// How attackers compete with good clients for the core that they share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Priority {
    /// SCHED_IDLE: whenever nobody else wants it
    Idle,
    /// `nice -n 19`
    Nice,
    /// As anybody
    Normal,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|it| format!("{it}"))?;
    if (0.1..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 3600".to_owned()) }
}
