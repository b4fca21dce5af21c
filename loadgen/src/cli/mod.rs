//! The command line: subcommands, flags in groups, and what becomes of them: a scenario, or text to print.
//!
//! `run` is what happens when no subcommand is named; the help of the program itself shows only its most used flags.

mod agent;
pub(crate) mod flags;
mod help;
pub(crate) mod limits;
pub(crate) mod modes;
mod repeat;
pub(crate) mod resolve;
mod results;
pub(crate) mod scenarios;
mod start;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use flags::{RunFlags, host_and_port};

use crate::host::limits::{Verdict, check, render, worst};

/// Puts a realistic load on WebSocket servers, accounts for every message, and tells what holds
#[derive(Parser, Debug)]
#[command(
    name = "loadgen",
    version,
    max_term_width = 100,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = help::PROGRAM
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunFlags,
    /// Shows this help, or that of a command
    #[arg(short, long, action = ArgAction::HelpShort, global = true)]
    help: Option<bool>,
    /// Shows the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a load: what `loadgen` alone does
    #[command(after_help = help::run(), args_override_self = true)]
    Run(Box<RunFlags>),
    /// List the ready-made scenarios, show one, check a file
    Scenarios(ScenariosArgs),
    /// Tell whether this machine can open so many connections, and what would let it
    Limits(LimitsArgs),
    /// Show a result again, or make other files of it
    Report(ReportArgs),
    /// Tell whether one side of results is better than another, or no difference is shown
    #[command(after_help = help::COMPARE)]
    Compare(CompareArgs),
    /// Make load for a `loadgen run --agents` on another machine
    #[command(after_help = help::AGENT)]
    Agent(Box<AgentArgs>),
}

/// `loadgen scenarios`.
#[derive(clap::Args, Debug)]
pub(crate) struct ScenariosArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ScenariosCommand>,
}

/// What to do with scenarios.
#[derive(Subcommand, Debug)]
pub(crate) enum ScenariosCommand {
    /// List the ready-made ones (what `loadgen scenarios` alone does)
    List,
    /// Print one as a file, to be used as it is or changed
    Show {
        /// As `loadgen scenarios` lists it
        name: String,
    },
    /// Tell everything that is wrong with files
    Check {
        /// Scenarios in TOML
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// `loadgen limits`.
#[derive(clap::Args, Debug)]
pub(crate) struct LimitsArgs {
    /// Connections that are to be opened
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) conns: u32,
    /// Threads that share them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// Where to; repeat it for more nodes [default: this machine]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Vec<String>,
    /// From these addresses: 10.0.0.2,10.0.0.8-10.0.0.15; may be repeated
    #[arg(long, value_name = "ADDR[,ADDR...]", value_parser = flags::sources)]
    pub(crate) source: Vec<flags::Sources>,
}

/// `loadgen report`.
#[derive(clap::Args, Debug)]
pub(crate) struct ReportArgs {
    /// What `--json` wrote (- is standard input)
    #[arg(value_name = "RESULT.json")]
    pub(crate) result: PathBuf,
    /// A page with plots, in one file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The percentiles of delivery, as HdrHistogram's tools read them
    #[arg(long, value_name = "FILE")]
    pub(crate) hgrm: Option<PathBuf>,
    /// The histograms of each second, as HdrHistogram's tools read them
    #[arg(long, value_name = "FILE")]
    pub(crate) hlog: Option<PathBuf>,
}

/// `loadgen compare`.
#[derive(clap::Args, Debug)]
pub(crate) struct CompareArgs {
    /// Two files, or `vs` between those of each side
    #[arg(value_name = "RESULT.json", required = true, num_args = 2..)]
    pub(crate) results: Vec<PathBuf>,
    /// Of the resampling
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// `loadgen agent`.
#[derive(clap::Args, Debug)]
pub(crate) struct AgentArgs {
    /// Where coordinators reach it
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070", value_parser = host_and_port)]
    pub(crate) listen: String,
    /// Threads that share the connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// Shared secret [default: LOADGEN_AGENT_SECRET, or drawn and shown]
    #[arg(long, value_name = "FILE")]
    pub(crate) agent_secret_file: Option<PathBuf>,
    /// From these addresses in turn: 10.0.0.2,10.0.0.8-10.0.0.15
    #[arg(long, value_name = "ADDR[,ADDR...]", value_parser = flags::sources)]
    pub(crate) source: Vec<flags::Sources>,
    #[command(flatten)]
    pub(crate) terms: flags::TermFlags,
    #[command(flatten)]
    pub(crate) tokens: flags::TokenFlags,
}

/// The two sides of a comparison.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Sides {
    pub(crate) before: Vec<PathBuf>,
    pub(crate) after: Vec<PathBuf>,
}

impl CompareArgs {
    /// `None` when it cannot be told which file is on which side.
    pub(crate) fn sides(&self) -> Option<Sides> {
        let mut parts = self.results.split(|path| path.as_os_str() == "vs");
        let (before, after) = match (parts.next()?, parts.next(), parts.next()) {
            ([before], None, _) => (vec![before.clone()], Vec::new()),
            ([before, after], None, _) => (vec![before.clone()], vec![after.clone()]),
            (before, Some(after), None) => (before.to_vec(), after.to_vec()),
            (_, None, _) | (_, Some(_), Some(_)) => return None,
        };
        (!before.is_empty() && !after.is_empty()).then_some(Sides { before, after })
    }
}

impl Command {
    /// Does it; gives the exit code.
    pub(crate) fn carry_out(&self) -> Result<u8, Box<dyn Error>> {
        let (text, code) = match self {
            Self::Run(flags) => return start::run(flags),
            Self::Scenarios(args) => (scenarios::answer(args.command.as_ref())?, 0),
            Self::Limits(args) => {
                let wanted = args.wanted();
                let lines = check(&wanted);
                (render(&lines, &wanted), u8::from(worst(&lines) == Verdict::TooLow))
            }
            Self::Report(args) => return results::report(args).map(|()| 0),
            Self::Compare(args) => (results::compare(args)?, 0),
            Self::Agent(args) => return agent::serve(args).map(|()| 0),
        };
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(code)
    }
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// When it is wrong, and when it asks for help or the version: clap tells these apart.
pub(crate) fn parse(
    line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Command, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(line)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(cli.command.unwrap_or_else(|| Command::Run(Box::new(cli.run))))
}

/// The program as clap knows it: on its own it takes every flag of `run`, but shows only the most used ones.
fn command() -> clap::Command {
    Cli::command().mut_args(|arg| {
        let hidden = !help::MOST_USED.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    })
}

/// The flags of a run.
#[cfg(test)]
pub(crate) fn parsed(flags: &str) -> RunFlags {
    let Command::Run(flags) = parse(format!("loadgen {flags}").split_whitespace()).unwrap() else {
        panic!("{flags} is no run");
    };
    *flags
}

#[cfg(test)]
mod manual_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
