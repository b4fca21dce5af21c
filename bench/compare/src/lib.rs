//! `compare`: Ringway side by side with its peers. The server under test has one core, the generator another.
//!
//! `args` → `run` (rounds of peers) → `server` (a process) and `measure` (one run: `connect`, then `traffic`)
//! → `results` (medians) → `table` and `charts`; `scaling` is a run of its own. Of the gateway it uses frames, masks and token minting.
//! The generator is public for `bench/attack`, which measures with it under other circumstances.

mod args;
mod charts;
pub mod clock;
pub mod connect;
pub mod cores;
pub mod failure;
mod figures;
mod frames;
pub mod histogram;
mod ladder;
pub mod ledger;
pub mod limits;
pub mod machine;
pub mod measure;
pub mod meter;
pub mod net;
pub mod note;
mod payload;
pub mod peers;
pub mod procfs;
pub mod protocol;
pub mod results;
mod run;
mod scaling;
mod scaling_chart;
pub mod scenario;
mod schedule;
pub mod server;
mod table;
pub mod text;
pub mod token;
pub mod traffic;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    args::{Cli, Command},
    failure::Failure,
    note::note,
    results::Results,
};

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("compare: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => {
            let results = run::run(args, interrupted()?)?;
            report(&results, &args.common.out)
        }
        Command::List { binaries } => show(&table::list(&peers::find(&binaries.ringway)?)),
        Command::Report { folder } => report(&Results::load(folder)?, folder),
        Command::Scaling(args) => {
            let scaling = scaling::run(args, interrupted()?)?;
            show(&scaling.table())?;
            scaling_chart::write(&scaling, &args.common.out)
        }
    }
}

fn report(results: &Results, folder: &Path) -> Result<(), Failure> {
    show(&table::render(results))?;
    charts::write(results, folder)
}

/// A flag that is set by the first signal, which ends the run and its server; a second one ends this process.
pub fn interrupted() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

fn show(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
