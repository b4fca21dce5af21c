//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The gateway side by side with its peers, on one machine in one run: the server on one core, the generator on
/// another.
#[derive(Parser, Debug)]
#[command(name = "compare", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Measures; prints a table, and writes results.json and compare.svg
    Run(RunArgs),
    /// Shows peers and scenarios
    List {
        #[command(flatten)]
        binaries: Binaries,
    },
    /// Makes table and charts again from the results of an earlier run
    Report {
        /// Where its results.json is
        folder: PathBuf,
    },
    /// The gateway alone: cost per delivery and memory per connection from 1,000 to 15,000 connections
    Scaling(ScalingArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Binaries {
    /// A gateway to measure, also several, each with its variants [default: the one beside this program]
    #[arg(long = "ringway", value_name = "[LABEL=]PATH")]
    pub(crate) ringway: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// Whom to measure, by name [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) peers: Vec<String>,
    /// What to measure, by name [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) scenarios: Vec<String>,
    /// How often each peer runs each scenario; medians are of these
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// The steps of a ladder, in messages a second [default: 6000 to 60000 in 13 steps]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) steps: Vec<u32>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ScalingArgs {
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// How long to measure in each round, after warming up
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Where results go
    #[arg(long, default_value = "target/compare", value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: usize,
    #[command(flatten)]
    pub(crate) binaries: Binaries,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|it| format!("{it}"))?;
    if (0.1..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 3600".to_owned()) }
}
