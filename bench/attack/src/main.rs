//! `attack`: what good clients notice of an attack on the gateway, and what a storm of tokens costs it.
//!
//! `rounds` runs cases in turns, each against a gateway of its own: `case` puts the good crowd (the generator of
//! `bench/compare`) and its newcomers (`comers`) beside a process of `foes`, and `report` sets them in relation to the case
//! without one. `storm` measures connections with tokens of each algorithm, which `keys` makes.

mod args;
mod case;
mod comers;
mod decoy;
mod foe;
mod foes;
mod gateway;
mod keys;
mod kind;
mod report;
mod rounds;
mod storm;
mod tally;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use compare::{failure::Failure, interrupted, note::note};

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    match dispatch(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("attack: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => show(&rounds::run(args, interrupted()?.as_ref())?),
        Command::Storm(args) => show(&storm::run(args, interrupted()?.as_ref())?),
        Command::Foes(args) => foes::run(args),
        Command::Decoy => decoy::run(),
    }
}

fn show(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
