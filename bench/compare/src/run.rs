//! `run`: scenarios, rounds and peers in an order in which a slow quarter of an hour hits all peers alike.
//!
//! In each round of a scenario (of a ladder: of each step) every peer runs once, a new one first each time; each run has
//! a server of its own. A run that fails is noted, and the others go on. Results are saved after every scenario.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use crate::{
    args::RunArgs,
    connect::Target,
    cores::{self, Cores},
    failure::Failure,
    ladder::{Climb, LADDER},
    limits,
    machine::Machine,
    measure::{FIRST_COMERS, Sample, measure},
    note::note,
    peers::{self, Peer},
    results::{Entry, Results, ScenarioResults},
    scenario::{SCENARIOS, Scenario, Shape},
    server::Server,
    token,
};

/// Caches fill, compilers compile, buffers grow.
pub(crate) const WARM_UP_NS: u64 = 1_500_000_000;
/// A step of a ladder is shorter than other runs: there are many.
const STEP_SECONDS_MAX: f64 = 3.0;

/// What stays the same through a comparison.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) server_cores: Cores,
    pub(crate) seconds: f64,
    pub(crate) tokens: Arc<[String]>,
    /// Of a ladder, bottom to top.
    pub(crate) steps: Vec<u32>,
    pub(crate) log: PathBuf,
    pub(crate) interrupted: Arc<AtomicBool>,
}

pub(crate) fn run(args: &RunArgs, interrupted: Arc<AtomicBool>) -> Result<Results, Failure> {
    let scenarios = chosen_scenarios(&args.scenarios)?;
    let connections = scenarios.iter().map(|it| it.connections()).max().unwrap_or_default();
    limits::ensure(connections)?;
    let mut peers = chosen_peers(peers::find(&args.common.binaries.ringway)?, &args.peers)?;
    let common = &args.common;
    fs::create_dir_all(&common.out)?;
    let mut infos = BTreeMap::new();
    for peer in &peers {
        match peer.install() {
            Ok(version) => {
                infos.insert(peer.name.clone(), peer.info(version));
            }
            Err(error) => note(&format!("{} is left out: {error}", peer.name)),
        }
    }
    peers.retain(|it| infos.contains_key(&it.name));
    cores::bind(&vec![common.generator_core])?;
    let bench = Bench {
        server_cores: vec![common.server_core],
        seconds: common.seconds,
        tokens: token::tokens(connections + FIRST_COMERS).into(),
        steps: if args.steps.is_empty() { LADDER.into() } else { args.steps.clone() },
        log: common.out.join("server.log"),
        interrupted,
    };
    let mut results = Results {
        machine: Machine::look(),
        rounds: args.rounds,
        seconds: common.seconds,
        peers: infos,
        scenarios: Vec::new(),
    };
    for scenario in scenarios {
        results.scenarios.push(bench.all_rounds(scenario, &peers, args.rounds)?);
        results.save(&common.out)?;
    }
    Ok(results)
}

impl Bench {
    fn all_rounds(
        &self,
        scenario: &Scenario,
        peers: &[Peer],
        rounds: u32,
    ) -> Result<ScenarioResults, Failure> {
        let able: Vec<&Peer> =
            peers.iter().filter(|it| it.echo || !matches!(scenario.shape, Shape::Echo(..))).collect();
        let entries = match scenario.shape {
            Shape::Ladder(_) => self.all_steps(scenario, &able, rounds)?,
            Shape::Idle(_) | Shape::FanOut(..) | Shape::Echo(..) | Shape::Storm { .. } => {
                let mut entries: Vec<Entry> = able.iter().map(|it| Entry::new(&it.name)).collect();
                for (round, at) in turns(rounds, able.len()) {
                    let head = format!("{:<12} {round}/{rounds}", scenario.name);
                    entries[at].add(self.round(&head, scenario.shape, None, able[at], self.seconds)?);
                }
                entries
            }
        };
        Ok(ScenarioResults {
            name: scenario.name.to_owned(),
            about: scenario.about.to_owned(),
            unit: scenario.unit().to_owned(),
            entries,
        })
    }

    /// The ladder: all rounds of a step, then the next step for those who go on.
    fn all_steps(&self, scenario: &Scenario, peers: &[&Peer], rounds: u32) -> Result<Vec<Entry>, Failure> {
        let seconds = self.seconds.min(STEP_SECONDS_MAX);
        let mut climbs: Vec<Climb> = peers.iter().map(|_| Climb::new(rounds)).collect();
        for &step in &self.steps {
            climbs.iter_mut().for_each(|it| {
                it.step(step);
            });
            for (round, at) in turns(rounds, peers.len()) {
                if climbs[at].wants_round(step) {
                    let head = format!("{:<12} {step:>6}/s {round}/{rounds}", scenario.name);
                    climbs[at].add(self.round(&head, scenario.shape, Some(step), peers[at], seconds)?);
                }
            }
        }
        Ok(climbs.into_iter().zip(peers).map(|(climb, peer)| climb.entry(&peer.name)).collect())
    }

    /// One round, told to whoever watches. An error within is why it came to nothing; only an interrupt ends the run.
    fn round(
        &self,
        head: &str,
        shape: Shape,
        step: Option<u32>,
        peer: &Peer,
        seconds: f64,
    ) -> Result<Result<Sample, String>, Failure> {
        let result = self.one(shape, step, peer, 1, seconds);
        if let Err(Failure::Interrupted) = result {
            return Err(Failure::Interrupted);
        }
        let result = result.map_err(|it| it.to_string());
        note(&progress(head, &peer.name, &result));
        Ok(result)
    }

    /// The same with the server on other cores.
    pub(crate) fn on(&self, server_cores: Cores) -> Self {
        Self { server_cores, ..self.clone() }
    }

    /// One run against a new server. `shards` are the gateway's; `step` is a ladder's rate.
    pub(crate) fn one(
        &self,
        shape: Shape,
        step: Option<u32>,
        peer: &Peer,
        shards: u32,
        seconds: f64,
    ) -> Result<Sample, Failure> {
        let mut server = Server::start(peer, &self.server_cores, shards, &self.log)?;
        let target = Target { protocol: peer.protocol, port: server.port, tokens: &self.tokens };
        let timing = (WARM_UP_NS, (seconds * 1e9) as u64);
        let measured = measure(shape, step, target, server.pid(), timing, &self.interrupted);
        // A server that has ended is the reason for whatever else went wrong.
        match (server.check(), measured) {
            (_, Err(Failure::Interrupted)) => Err(Failure::Interrupted),
            (Err(ended), _) => Err(ended),
            (Ok(()), measured) => measured,
        }
    }
}

fn chosen_scenarios(names: &[String]) -> Result<Vec<&'static Scenario>, Failure> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let find = |name: &String| {
        Scenario::named(name)
            .ok_or_else(|| Failure::Setup(format!("there is no scenario {name}: see `list`")))
    };
    names.iter().map(find).collect()
}

fn chosen_peers(all: Vec<Peer>, names: &[String]) -> Result<Vec<Peer>, Failure> {
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let peer = all.iter().find(|it| it.name == *name).cloned();
        peer.ok_or_else(|| Failure::Setup(format!("there is no peer {name}: see `list`")))
    };
    names.iter().map(find).collect()
}

/// Rounds from 1, and in each of them everybody's index once, a new one first each time.
fn turns(rounds: u32, count: usize) -> impl Iterator<Item = (u32, usize)> {
    (0..rounds)
        .flat_map(move |round| (0..count).map(move |turn| (round + 1, (turn + round as usize) % count)))
}

fn progress(head: &str, peer: &str, result: &Result<Sample, String>) -> String {
    let head = format!("{head} {peer:<18}");
    match result {
        Err(why) => format!("{head} FAILED: {why}"),
        Ok(it) => {
            let faults = if it.faults.any() { format!(", {}", it.faults) } else { String::new() };
            format!(
                "{head} {:>8.3} µs, {:>9.0}/s, p50 {:>7.0} µs, p99 {:>8.0} µs, {:>6.0} B/conn, server {:>3.0} %, \
                 generator {:>3.0} %{faults}",
                it.cpu_us_per_unit,
                it.units_per_s,
                it.latency.p50_us,
                it.latency.p99_us,
                it.bytes_per_connection(),
                it.server_share * 100.0,
                it.generator_share * 100.0
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_first_once() {
        let expected = [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 0), (3, 2), (3, 0), (3, 1)];
        assert_eq!(turns(3, 3).collect::<Vec<_>>(), expected);
        assert_eq!(turns(3, 0).count(), 0);
    }
}
