//! Storms of tokens: what a connection costs the gateway with tokens of each algorithm, beside what their verification
//! alone costs, in one run.
//!
//! Each storm has a gateway of its own. `new`: tokens that it has never seen; `again`: all of them were there before. The
//! verification is timed on the server's core before that starts, with the same tokens and the same code.

use std::{fmt::Write as _, fs, hint::black_box, sync::atomic::AtomicBool, time::Instant};

use compare::{
    connect::{Arrivals, Target},
    cores,
    failure::Failure,
    ledger::Crowd,
    limits,
    machine::Machine,
    measure::{FIRST_COMERS, Sample, measure},
    note::note,
    protocol::Protocol,
    results::median,
    scenario::{Comers, Shape},
    server::Server,
    text::{aligned, grouped, micros, millis, percent},
};
use ringway::auth::Algorithm;
use serde::Serialize;

use crate::{
    args::StormArgs,
    gateway::gateway,
    keys::{ALGORITHMS, Keys, now_s},
};

const MEMBERS_PER_ROOM: u32 = 100;
const IN_FLIGHT_MAX: u32 = 256;
/// Tokens whose verification is timed in each round.
const TIMED: usize = 500;
const FILE: &str = "storm.json";

/// One algorithm in all rounds.
struct Kind {
    keys: Keys,
    tokens: Vec<String>,
    /// Of one verification, by round.
    verify_us: Vec<f64>,
}

/// One line of the table.
#[derive(Serialize)]
struct Entry {
    driver: String,
    algorithm: &'static str,
    seen: bool,
    verify_us: f64,
    rounds: Vec<Sample>,
    /// Rounds that came to nothing, and why.
    errors: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    rounds: u32,
    connections: u32,
    per_second: u32,
    entries: Vec<Entry>,
}

/// Measures; the table.
pub(crate) fn run(args: &StormArgs, interrupted: &AtomicBool) -> Result<String, Failure> {
    let common = &args.common;
    limits::ensure(args.connections + FIRST_COMERS)?;
    fs::create_dir_all(&common.out)?;
    let folder = fs::canonicalize(&common.out)?;
    let count = args.connections + FIRST_COMERS;
    note(&format!("signing {} tokens of each algorithm", grouped(f64::from(count))));
    let mut kinds = Vec::new();
    for algorithm in chosen(&args.algorithms)? {
        let keys = Keys::make(algorithm, &folder)?;
        let tokens = keys.tokens(count)?;
        kinds.push(Kind { keys, tokens, verify_us: Vec::new() });
    }
    cores::bind(&vec![common.generator_core])?;
    let mut report = Report {
        machine: Machine::look(),
        rounds: args.common.rounds,
        connections: args.connections,
        per_second: args.per_second,
        entries: Vec::new(),
    };
    for driver in &common.driver {
        for kind in &kinds {
            // A secret's tokens are never remembered.
            let seen = if kind.keys.algorithm == Algorithm::Hs256 { &[false][..] } else { &[false, true] };
            report.entries.extend(seen.iter().map(|&seen| Entry {
                driver: driver.clone(),
                algorithm: kind.keys.algorithm.as_str(),
                seen,
                verify_us: 0.0,
                rounds: Vec::new(),
                errors: Vec::new(),
            }));
        }
    }
    for round in 0..args.common.rounds as usize {
        for kind in &mut kinds {
            kind.verify_us
                .push(cores::with(&vec![common.server_core], || verify_us(&kind.keys, &kind.tokens))??);
        }
        for turn in 0..report.entries.len() {
            let at = (turn + round) % report.entries.len();
            let entry = &mut report.entries[at];
            let kind = kinds.iter().find(|it| it.keys.algorithm.as_str() == entry.algorithm);
            let Some(kind) = kind else { continue };
            let outcome = storm(args, entry, kind, interrupted);
            if let Err(Failure::Interrupted) = outcome {
                return Err(Failure::Interrupted);
            }
            entry.add(round + 1, outcome.map_err(|it| it.to_string()));
        }
        for entry in &mut report.entries {
            let kind = kinds.iter().find(|it| it.keys.algorithm.as_str() == entry.algorithm);
            entry.verify_us = kind.map_or(0.0, |it| middle(it.verify_us.clone()));
        }
        let text = sonic_rs::to_string_pretty(&report).map_err(|it| Failure::Setup(it.to_string()))?;
        fs::write(common.out.join(FILE), text)?;
    }
    Ok(report.table())
}

fn chosen(names: &[String]) -> Result<Vec<Algorithm>, Failure> {
    let find = |name: &String| {
        let known = ALGORITHMS.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(name));
        known.ok_or_else(|| Failure::Setup(format!("there is no storm of {name}")))
    };
    let named: Vec<Algorithm> = names.iter().map(find).collect::<Result<_, _>>()?;
    // The secret's is what the others are set in relation to.
    let is_wanted = |it: &Algorithm| named.is_empty() || *it == Algorithm::Hs256 || named.contains(it);
    Ok(ALGORITHMS.into_iter().filter(is_wanted).collect())
}

/// One verification, on average, claims and dates included.
fn verify_us(keys: &Keys, tokens: &[String]) -> Result<f64, Failure> {
    let verifier = keys.verifier()?;
    let (now_s, some) = (now_s(), &tokens[..tokens.len().min(TIMED)]);
    let begin = Instant::now();
    let good = some.iter().filter(|it| black_box(verifier.verify(black_box(it), now_s)).is_ok()).count();
    let us = begin.elapsed().as_secs_f64() * 1e6 / some.len().max(1) as f64;
    if good == some.len() { Ok(us) } else { Err(Failure::Setup("tokens of our own are refused".to_owned())) }
}

fn storm(args: &StormArgs, entry: &Entry, kind: &Kind, interrupted: &AtomicBool) -> Result<Sample, Failure> {
    let common = &args.common;
    let mut options = kind.keys.options(2 * (args.connections + FIRST_COMERS));
    options.extend(["--set", "ws.deflate=false"].map(str::to_owned));
    let peer = gateway(common, &entry.driver, &options)?;
    let mut server = Server::start(&peer, &vec![common.server_core], 1, &common.out.join("server.log"))?;
    let crowd = Crowd {
        rooms: args.connections / MEMBERS_PER_ROOM,
        members_per_room: MEMBERS_PER_ROOM,
        publishers_per_room: 0,
    };
    let per_s = (args.per_second > 0).then_some(args.per_second);
    let arrivals = Arrivals { in_flight_max: IN_FLIGHT_MAX, per_s };
    let who = if entry.seen { Comers::Again } else { Comers::New };
    let target = Target { protocol: Protocol::Ringway, port: server.port, tokens: &kind.tokens };
    let shape = Shape::Storm { crowd, arrivals, who };
    let measured = measure(shape, None, target, server.pid(), (0, 0), interrupted);
    match (server.check(), measured) {
        (_, Err(Failure::Interrupted)) => Err(Failure::Interrupted),
        (Err(ended), _) => Err(ended),
        (Ok(()), measured) => measured,
    }
}

impl Entry {
    fn add(&mut self, round: usize, outcome: Result<Sample, String>) {
        let seen = if self.seen { "again" } else { "new" };
        let head = format!("{round} {:<6} {:<6} {seen:<6}", self.driver, self.algorithm);
        match outcome {
            Ok(it) => {
                note(&format!(
                    "{head} {:>6.1} µs/connection, p99 {:>8.0} µs, server {:>3.0} %, generator {:>3.0} % {}",
                    it.cpu_us_per_unit,
                    it.latency.p99_us,
                    it.server_share * 100.0,
                    it.generator_share * 100.0,
                    it.remark
                ));
                self.rounds.push(it);
            }
            Err(why) => {
                note(&format!("{head} FAILED: {why}"));
                self.errors.push(why);
            }
        }
    }
}

impl Report {
    fn table(&self) -> String {
        let head = [
            "driver",
            "algorithm",
            "tokens",
            "CPU µs/connection",
            "beyond HS256",
            "verification alone µs",
            "beyond HS256",
            "connect p50 ms",
            "p99 ms",
            "server %",
            "generator %",
            "",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.entries.iter().map(|it| self.row(it)));
        let pace = match self.per_second {
            0 => "as fast as they come in".to_owned(),
            per_s => format!("{} a second", grouped(f64::from(per_s))),
        };
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{} connections, {pace}; {} rounds",
            grouped(f64::from(self.connections)),
            self.rounds
        );
        out.push_str(&aligned(&rows, 3));
        out
    }

    fn row(&self, entry: &Entry) -> Vec<String> {
        let seen = if entry.seen { "again" } else { "new" };
        let head = [&entry.driver, entry.algorithm, seen].map(str::to_owned).into_iter();
        let Some(median) = median(&entry.rounds) else {
            return head.chain([String::from("no round"), entry.errors.join("; ")]).collect();
        };
        let base = self.entries.iter().find(|it| it.driver == entry.driver && it.algorithm == "HS256");
        let base_us = base.and_then(|it| compare::results::median(&it.rounds)).map(|it| it.cpu_us_per_unit);
        let base_verify_us = base.map_or(0.0, |it| it.verify_us);
        let verify_us = if entry.seen { 0.0 } else { entry.verify_us };
        let beyond_us = base_us.map_or(0.0, |it| median.cpu_us_per_unit - it);
        let beyond_verify_us = if entry.seen { 0.0 } else { verify_us - base_verify_us };
        let figures = [
            micros(median.cpu_us_per_unit),
            format!("{beyond_us:.1}"),
            format!("{verify_us:.1}"),
            format!("{beyond_verify_us:.1}"),
            millis(median.latency.p50_us),
            millis(median.latency.p99_us),
            percent(median.server_share),
            percent(median.generator_share),
            [median.remark, entry.errors.join("; ")].join(" ").trim().to_owned(),
        ];
        head.chain(figures).collect()
    }
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
