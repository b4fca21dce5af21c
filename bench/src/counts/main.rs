//! Counts the instructions of the workloads and compares them with the record: `cargo run -p bench --bin counts`.
//!
//!     counts            fails when a workload costs over 3 % more than recorded, or is not the same set of workloads
//!     counts --record   writes what it counts as the record, `bench/counts.toml`
//!
//! Needs valgrind; installs gungraun's runner below the target folder when it is not there.

mod compare;
mod count;
mod record;

use std::{io::Write, path::Path, process::ExitCode};

use compare::Comparison;
use record::{Record, TakenWith};

type Failure = Box<dyn std::error::Error>;

/// Something costs more than recorded, or is missing.
const EXIT_WORSE: u8 = 1;
/// Nothing could be compared.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => check(),
        ["--record"] => renew(),
        other => Err(format!("{other:?}: nothing or --record is expected").into()),
    };
    result.unwrap_or_else(|error| {
        say(&mut std::io::stderr(), &format!("counts: {error}"));
        ExitCode::from(EXIT_ERROR)
    })
}

fn check() -> Result<ExitCode, Failure> {
    let record = Record::read(&record_file())?;
    let here = TakenWith::here()?;
    let is_comparable = record.taken_with == here;
    let comparison = Comparison::new(&record.instructions, &count::count()?, is_comparable);
    let mut out = std::io::stdout();
    say(&mut out, &comparison.to_string());
    if !is_comparable {
        say(&mut out, &format!("The record was taken with {}; here is {here}.", record.taken_with));
        say(&mut out, "Such counts cannot be compared: differences are shown and not judged.");
    }
    for line in comparison.verdicts() {
        say(&mut out, &line);
    }
    Ok(if comparison.is_fine() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_WORSE) })
}

fn renew() -> Result<ExitCode, Failure> {
    let taken_with = TakenWith::here()?;
    let record = Record { taken_with, instructions: count::count()? };
    let before = Record::read(&record_file()).map(|before| before.instructions).unwrap_or_default();
    record.write(&record_file())?;
    say(&mut std::io::stdout(), &Comparison::new(&before, &record.instructions, true).to_string());
    Ok(ExitCode::SUCCESS)
}

fn record_file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.toml")
}

/// Whoever has closed the pipe does not want to hear.
fn say(out: &mut impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
}
