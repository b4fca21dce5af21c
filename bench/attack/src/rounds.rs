//! Rounds of cases, in an order in which a slow quarter of an hour hits all of them alike.
//!
//! In each round every driver runs every case once, the quiet one among them, and a new one first each time. A case that fails
//! is noted, and the others go on. Results are saved after every round.

use std::{fs, sync::atomic::AtomicBool};

use clap::ValueEnum;
use compare::{cores, failure::Failure, limits, machine::Machine, note::note};

use crate::{
    args::RunArgs,
    case::{Bench, Outcome},
    gateway::{gateway, limits as limits_on},
    kind::Kind,
    report::{Entry, Report},
};

/// Measures; the table.
pub(crate) fn run(args: &RunArgs, interrupted: &AtomicBool) -> Result<String, Failure> {
    let common = &args.common;
    limits::ensure(args.rooms * args.members_per_room)?;
    fs::create_dir_all(&common.out)?;
    cores::bind(&vec![common.generator_core])?;
    let kinds = if args.kinds.is_empty() { Kind::value_variants() } else { &args.kinds };
    let cases: Vec<Option<Kind>> = std::iter::once(None).chain(kinds.iter().copied().map(Some)).collect();
    let options = limits_on(&args.set);
    let peers: Vec<_> =
        common.driver.iter().map(|it| gateway(common, it, &options)).collect::<Result<_, _>>()?;
    let entry = |driver: &String, kind: &Option<Kind>| Entry::new(driver, *kind);
    let mut report = Report {
        machine: Machine::look(),
        rounds: args.common.rounds,
        seconds: args.seconds,
        good: args.rooms * args.members_per_room,
        members_per_room: args.members_per_room,
        rate: args.rate,
        foes: args.foes,
        foes_per_s: args.foes_per_s,
        entries: common
            .driver
            .iter()
            .flat_map(|driver| cases.iter().map(move |it| entry(driver, it)))
            .collect(),
    };
    let bench = Bench::new(args, interrupted);
    let log = common.out.join("server.log");
    for round in 0..args.common.rounds as usize {
        for turn in 0..report.entries.len() {
            // Drivers and cases take turns, too.
            let (driver, case) = (turn % peers.len(), turn / peers.len());
            let case = (case + round) % cases.len();
            let entry = &mut report.entries[driver * cases.len() + case];
            let outcome = bench.run(&peers[driver], entry.kind, &log);
            if let Err(Failure::Interrupted) = outcome {
                return Err(Failure::Interrupted);
            }
            let outcome = outcome.map_err(|it| it.to_string());
            note(&progress(round + 1, entry, &outcome));
            entry.add(outcome);
        }
        report.save(&common.out)?;
    }
    Ok(report.table())
}

fn progress(round: usize, entry: &Entry, outcome: &Result<Outcome, String>) -> String {
    let head = format!("{round} {:<6} {:<10}", entry.driver, entry.case());
    match outcome {
        Err(why) => format!("{head} FAILED: {why}"),
        Ok(it) => format!(
            "{head} p50 {:>6.0} p99 {:>7.0} max {:>7.0} µs, own lag p99 {:>5.0} µs, server {:>3.0} %, good {:>2.0} %, \
             foes {:>3.0} % {:>6.0} dials/s, newcomers p99 {:>7.0} µs, {} failed; {}{}",
            it.latency.p50_us,
            it.latency.p99_us,
            it.latency.max_us,
            it.lateness.p99_us,
            it.server_share * 100.0,
            it.generator_share * 100.0,
            it.foes.cpu_share() * 100.0,
            it.foes.per_s(it.foes.dials),
            it.comers.latency.p99_us,
            it.comers.failed,
            if it.faults.any() { it.faults.to_string() } else { "nothing lost".to_owned() },
            if it.first_drop.is_empty() { String::new() } else { format!(" ({})", it.first_drop) },
        ),
    }
}
