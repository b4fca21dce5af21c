//! `loadgen`: opens many WebSocket connections to a Ringway gateway, publishes on a fixed schedule,
//! checks every delivery, and reports latency from the scheduled time.
//!
//! `cli` (flags) → `client` (`lead` through the phases, a `worker` per thread, `traffic`: what messages mean) → `truth` (the
//! balance) → `figures` (the result) → `report`. It shares only the WebSocket codec with the gateway.

#![allow(dead_code)] // Until the seams of this branch are wired.

mod cli;
mod client;
mod figures;
mod host;
mod plan;
mod protocol;
mod report;
mod scenario;
mod slo;
mod tokens;
mod truth;

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    cli::{
        Command,
        args::{Config, Mode},
        flags::RunFlags,
        scenarios,
    },
    client::{lead, target::Target, worker::Setup},
    figures::summary_one::Summary,
    host::{clock::Clock, limits, open_files},
    plan::{Plan, RoomId},
    report::{progress::note, table_one as table},
    tokens::Tokens,
};

/// A check failed.
const EXIT_FAILED: u8 = 1;
/// There was no run.
const EXIT_NO_RUN: u8 = 3;

const GATEWAY: &str = "ws://127.0.0.1:8080";

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let command = match cli::parse(env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            // A closed terminal is no reason to fail otherwise.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_NO_RUN) } else { ExitCode::SUCCESS };
        }
    };
    match obey(&command) {
        Ok(code) => code,
        Err(error) => {
            note(&format!("loadgen: {error}"));
            ExitCode::from(EXIT_NO_RUN)
        }
    }
}

fn obey(command: &Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Run(flags) => {
            let passed = run(flags)?.passed;
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) });
        }
        Command::Scenarios(args) => print(&scenarios::answer(args.command.as_ref())?)?,
        Command::Limits(args) => {
            let wanted = args.wanted();
            let lines = limits::check(&wanted);
            print(&limits::render(&lines, &wanted))?;
            if limits::worst(&lines) == limits::Verdict::TooLow {
                return Ok(ExitCode::from(EXIT_FAILED));
            }
        }
        Command::Report(_) | Command::Compare(_) | Command::Agent(_) => {
            return Err("this command is not there yet".into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

fn run(flags: &RunFlags) -> Result<Summary, Box<dyn Error>> {
    let config = Config::resolve(flags)?;
    open_files::ensure(config.conns, config.threads)?;
    let path = match config.mode {
        Mode::Echo => "/echo",
        Mode::Fanout | Mode::Churn | Mode::Idle => "/ws",
    };
    let target = Target::find(flags.target.url.first().map(String::as_str).unwrap_or(GATEWAY), path)?;
    let (tokens, token_origin) = Tokens::find(&flags.tokens, &config, &target)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The first signal ends the run with a report, the second one ends the process.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            EXIT_NO_RUN.into(),
            Arc::clone(&interrupted),
        )?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }

    let plan = Plan::new(&config);
    let shown_target = format!("ws://{}{}", target.host, target.path.split('?').next().unwrap_or_default());
    let setup = Setup {
        plan,
        target,
        tokens,
        clock: Clock::start(),
        run: fastrand::u32(..),
        room_names: (0..plan.rooms()).map(|room| Plan::room_name(RoomId(room))).collect(),
        config: config.clone(),
    };
    let finished = lead::run(setup, &interrupted)?;
    let summary = Summary::of(&config, shown_target, token_origin, &finished);
    show(&summary, flags.output.json.as_deref())?;
    Ok(summary)
}

/// The table to standard output; the JSON where it is wanted, and if that is standard output, the
/// table to standard error.
fn show(summary: &Summary, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let table = table::render(summary);
    let Some(path) = json else {
        io::stdout().lock().write_all(table.as_bytes())?;
        return Ok(());
    };
    let mut text = sonic_rs::to_string_pretty(summary)?;
    text.push('\n');
    if path == Path::new("-") {
        io::stderr().lock().write_all(table.as_bytes())?;
        io::stdout().lock().write_all(text.as_bytes())?;
    } else {
        io::stdout().lock().write_all(table.as_bytes())?;
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
