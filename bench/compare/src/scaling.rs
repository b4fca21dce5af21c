//! `scaling`: what a connection and a delivery cost the gateway as connections and shards grow.
//!
//! Rooms of 100 and a fixed number of deliveries, so that only the number of connections changes. Memory is read
//! from connections that do nothing, cost from a run with traffic; each has a server of its own.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use serde::{Deserialize, Serialize};

use crate::{
    args::ScalingArgs,
    cores,
    failure::Failure,
    ledger::Crowd,
    limits,
    machine::Machine,
    note::note,
    peers,
    results::Entry,
    run::Bench,
    scenario::Shape,
    text::{aligned, grouped, millis, percent},
    token,
};

const CONNECTIONS: [u32; 4] = [1_000, 5_000, 10_000, 15_000];
const SHARDS: [u32; 2] = [1, 2];
const ROOM_SIZE: u32 = 100;
const DELIVERIES_PER_S: u32 = 25_000;
const FILE: &str = "scaling.json";

/// All of it; `scaling.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Scaling {
    pub(crate) machine: Machine,
    pub(crate) version: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) deliveries_per_s: u32,
    pub(crate) points: Vec<Point>,
}

/// One number of connections on one number of shards.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) connections: u32,
    pub(crate) shards: u32,
    pub(crate) idle: Entry,
    pub(crate) traffic: Entry,
}

pub(crate) fn run(args: &ScalingArgs, interrupted: Arc<AtomicBool>) -> Result<Scaling, Failure> {
    let common = &args.common;
    let most = CONNECTIONS.into_iter().max().unwrap_or_default();
    limits::ensure(most)?;
    fs::create_dir_all(&common.out)?;
    let peers = peers::find(&common.binaries.ringway)?;
    let peer = peers.first().ok_or_else(|| Failure::Setup("there is no gateway".to_owned()))?;
    let version = peer.install()?;
    cores::bind(&vec![common.generator_core])?;
    let bench = Bench {
        server_cores: vec![common.server_core],
        seconds: common.seconds,
        tokens: token::tokens(most).into(),
        steps: Vec::new(),
        log: common.out.join("server.log"),
        interrupted,
    };
    let mut points = Vec::new();
    for shards in SHARDS {
        for connections in CONNECTIONS {
            let (idle, traffic) = (Entry::new(&peer.name), Entry::new(&peer.name));
            points.push(Point { connections, shards, idle, traffic });
        }
    }
    for round in 1..=args.rounds {
        for point in &mut points {
            // A second shard has no core but the generator's.
            let mut cores = vec![common.server_core];
            cores.extend((point.shards > 1).then_some(common.generator_core));
            let bench = bench.on(cores);
            let crowd = |publishers_per_room| Crowd {
                rooms: point.connections / ROOM_SIZE,
                members_per_room: ROOM_SIZE,
                publishers_per_room,
            };
            let rate = DELIVERIES_PER_S / (ROOM_SIZE - 1);
            let idle = bench.one(Shape::Idle(crowd(0)), None, peer, point.shards, 1.0);
            let traffic = bench.one(Shape::FanOut(crowd(1), rate), None, peer, point.shards, common.seconds);
            for (entry, result) in [(&mut point.idle, idle), (&mut point.traffic, traffic)] {
                match result {
                    Err(Failure::Interrupted) => return Err(Failure::Interrupted),
                    result => entry.add(result.map_err(|it| it.to_string())),
                }
            }
            note(&format!(
                "{round}/{}  {} connections, {} shards",
                args.rounds, point.connections, point.shards
            ));
        }
    }
    let scaling = Scaling {
        machine: Machine::look(),
        version,
        rounds: args.rounds,
        seconds: common.seconds,
        deliveries_per_s: DELIVERIES_PER_S,
        points,
    };
    scaling.save(&common.out)?;
    Ok(scaling)
}

impl Scaling {
    fn save(&self, folder: &Path) -> Result<(), Failure> {
        let text = sonic_rs::to_string_pretty(self).map_err(|it| Failure::Setup(it.to_string()))?;
        Ok(fs::write(folder.join(FILE), text + "\n")?)
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let machine = &self.machine;
        let mut out = format!(
            "{}, Linux {}, {}\nRingway {}: rooms of {ROOM_SIZE}, {} deliveries/s, medians of {} rounds of {} s. \
             Two shards share a core with the generator.\n\n",
            machine.cpu,
            machine.kernel,
            machine.date,
            self.version,
            grouped(f64::from(self.deliveries_per_s)),
            self.rounds,
            self.seconds
        );
        let head = [
            "connections",
            "shards",
            "B/connection",
            "CPU µs/delivery",
            "p50 ms",
            "p99 ms",
            "server %",
            "generator %",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for point in &self.points {
            let idle = point.idle.median.clone().unwrap_or_default();
            let traffic = point.traffic.median.clone().unwrap_or_default();
            let mut row = vec![
                grouped(f64::from(point.connections)),
                point.shards.to_string(),
                grouped(idle.bytes_per_connection()),
                format!("{:.3}", traffic.cpu_us_per_unit),
                millis(traffic.latency.p50_us),
                millis(traffic.latency.p99_us),
                percent(traffic.server_share),
                percent(traffic.generator_share),
            ];
            let remarks: Vec<&str> = [&point.idle, &point.traffic]
                .into_iter()
                .flat_map(|it| it.objections.iter().chain(it.errors.first()))
                .map(String::as_str)
                .collect();
            row.push(remarks.join("; "));
            rows.push(row);
        }
        out.push_str(&aligned(&rows, 0));
        out
    }
}
