//! `loadgen`: puts a realistic load on WebSocket servers, accounts for every message, and reports latency from the time at
//! which each was due.
//!
//! `cli` (what was typed) → `scenario` (what is to be done) → `plan` (who does what, when) → `client` (`lead` through the
//! phases, a `worker` per thread, `protocol`: what is said) → `truth` (the account) → `figures` (the result) → `slo` and
//! `report`. It shares only the WebSocket codec with the gateway. What `bench/compare` has in common with it is public.

mod agents;
mod cli;
mod client;
mod figures;
mod host;
mod plan;
mod protocol;
mod report;
mod run;
mod scenario;
mod slo;
mod tokens;
mod truth;

use std::{env, process::ExitCode};

pub use crate::{client::conn::write_some, host::clock::Alarm};

use crate::report::note::note;

/// There was no run.
const EXIT_NO_RUN: u8 = 3;

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
    match command.carry_out() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            note(&format!("loadgen: {error}"));
            ExitCode::from(EXIT_NO_RUN)
        }
    }
}
