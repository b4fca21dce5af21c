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
mod run;
mod scenario;
mod slo;
mod tokens;
mod truth;

use std::{
    cell::Cell,
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    cli::args::{Args, Config, Mode},
    client::target::Target,
    figures::summary::Summary,
    host::open_files,
    protocol::{echo::Echo, json::Json},
    report::{progress::note, table},
    run::Order,
    scenario::{
        Leave, Pace, Phase, PhaseKind, Pick, Protocol, Publish, Reading, Reconnect, Role, Rooms, Scenario,
        Size, ThinkTime,
    },
    tokens::Tokens,
};

/// A check failed.
const EXIT_FAILED: u8 = 1;
/// There was no run.
const EXIT_NO_RUN: u8 = 3;

const GATEWAY: &str = "ws://127.0.0.1:8080";

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // A closed terminal is no reason to fail otherwise.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_NO_RUN) } else { ExitCode::SUCCESS };
        }
    };
    match try_main(&args) {
        Ok(summary) if summary.passed => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            note(&format!("loadgen: {error}"));
            ExitCode::from(EXIT_NO_RUN)
        }
    }
}

fn try_main(args: &Args) -> Result<Summary, Box<dyn Error>> {
    let config = Config::resolve(args)?;
    open_files::ensure(config.conns, config.threads)?;
    let path = match config.mode {
        Mode::Echo => "/echo",
        Mode::Fanout | Mode::Churn | Mode::Idle => "/ws",
    };
    let target = Target::find(args.url.as_deref().unwrap_or(GATEWAY), path)?;
    let (tokens, token_origin) = Tokens::find(args, &config, &target)?;
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

    let shown = Cell::new((usize::MAX, Instant::now()));
    let order = Order {
        scenario: scenario_of(&config),
        speak: match config.mode {
            Mode::Echo => Box::new(Echo),
            Mode::Fanout | Mode::Churn | Mode::Idle => Box::new(Json { presence: false }),
        },
        targets: vec![target],
        sources: Vec::new(),
        tokens,
        token_origin,
        threads: config.threads,
    };
    let summary = run::carry_out(order, &interrupted, &mut |progress| {
        let (index, at) = shown.get();
        if index != progress.index || at.elapsed() > Duration::from_secs(5) {
            shown.set((progress.index, Instant::now()));
            let name = progress.phase.map_or("draining", |phase| &phase.name);
            note(&format!(
                "{name:10} {} open, {} sent, {} delivered",
                progress.ready, progress.sent, progress.delivered
            ));
        }
    })?;
    show(&summary, args.json.as_deref())?;
    Ok(summary)
}

/// What the flags of today mean. To be replaced by `cli`'s own.
fn scenario_of(config: &Config) -> Scenario {
    let conns = f64::from(config.conns);
    let publishers = f64::from(config.publishers);
    let role = |name: &str, count: f64| Role {
        name: name.to_owned(),
        share: count / conns,
        rooms: 1,
        publish: None,
        presence: None,
        reconnect: None,
        reading: Reading::Quick,
    };
    let publish = Publish {
        pace: Pace::Together { per_s: config.rate, arrivals: config.arrivals },
        size: Size::Fixed(config.payload_bytes),
    };
    let churners = if config.mode == Mode::Churn { ((conns - publishers) / 2.0).floor() } else { 0.0 };
    let listeners = conns - publishers - churners;
    let mut roles = Vec::new();
    if config.publishers > 0 {
        roles.push(Role { publish: Some(publish), ..role("publishers", publishers) });
    }
    if listeners > 0.0 {
        roles.push(role("listeners", listeners));
    }
    if churners > 0.0 {
        let every = ThinkTime::Constant(Duration::from_secs_f64(churners / config.churn_rate));
        let away = ThinkTime::Constant(Duration::ZERO);
        let reconnect = Some(Reconnect { every, away, how: Leave::Close });
        roles.push(Role { reconnect, ..role("churners", churners) });
    }
    let phase =
        |name: &str, kind, duration, measured| Phase { name: name.to_owned(), kind, duration, measured };
    let mut phases = vec![phase(
        "connect",
        PhaseKind::Ramp { share: 1.0, per_s: config.connect_rate },
        Duration::from_secs(30),
        false,
    )];
    if !config.warmup.is_zero() {
        phases.push(phase("warm-up", PhaseKind::Steady, config.warmup, false));
    }
    phases.push(phase("steady", PhaseKind::Steady, config.duration, true));
    Scenario {
        name: "flags".to_owned(),
        about: config.mode.name().to_owned(),
        protocol: if config.mode == Mode::Echo { Protocol::Echo } else { Protocol::Json },
        seed: config.seed,
        connections: config.conns,
        rooms: Rooms { count: config.rooms, pick: Pick::Even },
        roles,
        phases,
        drain_timeout: config.drain_timeout,
        comes_back: None,
        closed: false,
    }
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
