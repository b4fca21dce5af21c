//! From two threads' records to the result.

use std::time::Duration;

use super::*;
use crate::{
    figures::record::{Account, Event},
    figures::recorder::{Recorder, When},
    figures::summary::{ReadError, ServerSample},
    scenario::{Disconnects, Phase as Planned, PhaseKind, Pick, Protocol, Reading, Role, Rooms, ThinkTime},
};

const MS: u64 = 1_000_000;

pub(crate) fn scenario() -> Scenario {
    let phase = |name: &str, kind, secs, measured| Planned {
        name: name.to_owned(),
        kind,
        duration: Duration::from_secs(secs),
        measured,
        disconnects: Disconnects::Failures,
    };
    Scenario {
        name: "test".to_owned(),
        about: "two phases".to_owned(),
        protocol: Protocol::Json,
        seed: 42,
        connections: 10,
        rooms: Rooms { count: 2, pick: Pick::Even },
        roles: vec![Role {
            name: "all".to_owned(),
            share: 1.0,
            rooms: 1,
            publish: None,
            presence: None,
            reconnect: None,
            reading: Reading::Quick,
        }],
        phases: vec![
            phase("ramp", PhaseKind::Ramp { share: 1.0, per_s: 10.0 }, 1, false),
            phase("steady", PhaseKind::Steady, 2, true),
            phase("storm", PhaseKind::Storm { share: 0.5, per_s: 0.0 }, 2, true),
        ],
        drain_timeout: Duration::from_secs(5),
        comes_back: None,
        closed: false,
    }
}

/// Two threads: 5 connections each, 20 publications and 180 deliveries in the steady phase, 10 and 90 in the storm.
pub(crate) fn record() -> Record {
    let mut record = Record::default();
    for thread in 0..2 {
        let mut recorder = Recorder::new(thread, 3);
        for _ in 0..5 {
            recorder.count(When { phase: 0, second: 0 }, Event::Opened);
            recorder.timing(0, Timing::Connect, 2 * MS);
            recorder.timing(0, Timing::Join, MS);
        }
        recorder.open(0, 5);
        for (phase, second, messages) in [(1, 1, 10), (2, 3, 5)] {
            for _ in 0..messages {
                recorder.count(When { phase, second }, Event::Sent);
                recorder.timing(phase, Timing::Lag, MS / 10);
                recorder.timing(phase, Timing::Ack, MS);
                recorder.count(When { phase, second }, Event::Acked);
                (0..9).for_each(|_| recorder.delivery(phase, second, MS * phase as u64));
            }
            recorder.arrived(phase, 9 * messages);
            recorder.load(phase, 500 * MS, 2_000 * MS, 10, 20);
        }
        record.merge(&recorder.close(4));
    }
    record.account = Account { expected: 270, delivered: 270, ..Account::default() };
    record
}

pub(crate) fn facts(scenario: &Scenario) -> Facts<'_> {
    let samples = (-1..=5).map(|at| ServerSample {
        at_s: f64::from(at),
        cpu_s: 0.1 * f64::from(at + 1),
        memory_bytes: 1_000_000 + 10_000 * (at + 1) as u64,
    });
    Facts {
        scenario,
        spans: vec![(0.0, 1.0), (1.0, 3.0), (3.0, 5.0)],
        started_unix_s: 1_800_000_000,
        machine: Machine::default(),
        target: Target::default(),
        agents: vec![Agent { name: "here".to_owned(), memory_bytes: 1 << 20, cores: 2 }],
        server: Some(Server::sampled("pid 1".to_owned(), samples.collect(), Vec::new())),
        interrupted: false,
        stream: &|stream| StreamFacts {
            publisher: stream,
            role: "all".to_owned(),
            room: "r".to_owned(),
            sent: 9,
        },
    }
}

#[test]
fn a_good_run_adds_up() {
    let scenario = scenario();
    let summary = Summary::of(facts(&scenario), &record());
    assert!(summary.passed, "{:?}", summary.problems);
    assert!(summary.warnings.is_empty() && summary.generator.limited.is_empty());
    assert_eq!((summary.connections.opened, summary.connections.open_max), (10, 10));
    assert_eq!((summary.publications.sent, summary.deliveries.delivered), (30, 270));
    assert_eq!(summary.latency.connect.samples, 10, "of the ramp, which is not measured otherwise");
    assert_eq!(summary.latency.delivery.samples, 270);
    assert_eq!((summary.phases[1].counts.delivered, summary.phases[2].counts.delivered), (180, 90));
    let Throughput { measured_s, sent_per_s, delivered_per_s } = summary.throughput;
    assert_eq!((measured_s, sent_per_s, delivered_per_s), (4.0, 7.5, 67.5));
    assert_eq!(summary.phases[1].throughput.delivered_per_s, 90.0);
    assert_eq!(summary.generator.threads.len(), 2);
    assert_eq!(summary.generator.threads[1].cpu_ratio, Some(0.25));
    assert_eq!(summary.seconds.iter().map(|it| it.delivered).collect::<Vec<_>>(), [0, 180, 0, 90, 0]);
    let server = summary.server.as_ref().unwrap();
    let per_delivery_us = server.cpu_per_delivery_us.unwrap();
    assert!((per_delivery_us - 0.4e6 / 270.0).abs() < 1e-6, "{per_delivery_us}");
    assert_eq!(server.memory_per_conn_bytes, Some(6_000.0));
    assert_eq!(summary.phases[1].server_memory_bytes, Some(1_040_000));
}

#[test]
fn the_result_comes_back_from_json_as_it_was() {
    let scenario = scenario();
    let mut record = record();
    record.lost(3, 2);
    let summary = Summary::of(facts(&scenario), &record);
    let text = sonic_rs::to_string_pretty(&summary).unwrap();
    assert_eq!(Summary::read(&text), Ok(summary));
    assert_eq!(Summary::read(&text.replacen("2", "1", 1)), Err(ReadError::Format(1)));
    for end in (0..text.len() - 1).step_by(97) {
        assert!(matches!(Summary::read(&text[..end]), Err(ReadError::Malformed(_))), "cut at {end}");
    }
}

#[test]
fn what_is_wrong_is_told_unless_it_is_excused() {
    let scenario = scenario();
    let mut record = record();
    record.account.lost = 3;
    record.phases[1].counts.dropped = 2;
    for (stream, count) in (0..20).map(|stream| (stream, u64::from(stream % 7))) {
        record.lost(stream, count);
    }
    let mut summary = Summary::of(facts(&scenario), &record);
    assert_eq!(summary.problems, ["deliveries lost: 3", "connections dropped: 2"]);
    assert!(!summary.passed);
    let worst: Vec<(u32, u64)> =
        summary.worst_streams.iter().map(|it| (it.stream, it.trouble.lost)).collect();
    assert_eq!(worst[..4], [(6, 6), (13, 6), (5, 5), (12, 5)]);
    assert_eq!(worst.len(), WORST_MAX);
    summary.find_problems(&[Count::Lost]);
    assert_eq!(summary.problems, ["connections dropped: 2"]);
}

#[test]
fn what_a_phase_is_about_is_no_problem_and_all_else_is() {
    // expected in the storm; failed and dropped: steady, storm; not back; interrupted; problems
    type Row = (bool, [u64; 2], [u64; 2], u64, bool, &'static [&'static str]);
    let rows: [Row; 7] = [
        (true, [0, 5], [0, 7], 0, false, &[]),
        (false, [0, 5], [0, 7], 0, false, &["connections failed: 5", "connections dropped: 7"]),
        (true, [1, 5], [0, 7], 0, false, &["connections failed: 1"]),
        (true, [0, 5], [2, 7], 0, false, &["connections dropped: 2"]),
        (true, [0, 5], [0, 7], 3, false, &["connections that were ended and not back at the end: 3"]),
        (true, [0, 5], [0, 7], 3, true, &[]),
        (true, [0, 0], [0, 0], 0, false, &[]),
    ];
    for (expected, failed, dropped, missing, interrupted, problems) in rows {
        let mut scenario = scenario();
        scenario.comes_back = Some(ThinkTime::Constant(Duration::ZERO));
        if expected {
            scenario.phases[2].disconnects = Disconnects::Expected;
        }
        let mut record = record();
        for (at, phase) in record.phases[1..].iter_mut().enumerate() {
            (phase.counts.failed, phase.counts.dropped) = (failed[at], dropped[at]);
        }
        record.account.missing = missing;
        let facts = Facts { interrupted, ..facts(&scenario) };
        let summary = Summary::of(facts, &record);
        assert_eq!(summary.problems, problems);
        let counted = [Count::Failed, Count::Dropped].map(|it| summary.count(it));
        assert_eq!(counted, [failed, dropped].map(|it: [u64; 2]| it[0] + it[1]), "all of them are told");
    }
}

#[test]
fn members_that_hear_nothing_are_a_problem_of_their_own() {
    let mut record = record();
    record.account.silent = 2;
    let scenario = scenario();
    let summary = Summary::of(facts(&scenario), &record);
    assert_eq!(summary.problems, ["memberships that came later and heard nothing: 2"]);
    assert_eq!(summary.deliveries.silent, 2);
}

#[test]
fn rates_are_of_what_arrived_in_time() {
    let scenario = scenario();
    let mut record = record();
    // A target that is behind by a second: half of what was due in the phase came after it.
    record.phases[2].counts.arrived = 45;
    record.phases[1].counts.early = 7;
    let summary = Summary::of(facts(&scenario), &record);
    assert_eq!(summary.phases[2].throughput.delivered_per_s, 22.5);
    assert_eq!(summary.throughput.delivered_per_s, (180.0 + 45.0) / 4.0);
    let [steady_us, storm_us] = [1, 2].map(|phase: usize| summary.phases[phase].server_cpu_per_delivery_us);
    assert!(storm_us > steady_us.map(|us| us * 3.9), "a quarter of the deliveries for the same CPU time");
    assert_eq!(summary.deliveries.delivered, 270, "they are all there in the end");
    assert!(summary.warnings[0].contains("clocks of two agents: 7"), "{:?}", summary.warnings);
}

#[test]
fn nothing_measured_is_no_success() {
    let scenario = scenario();
    let summary = Summary::of(Facts { spans: vec![(0.0, 1.0)], ..facts(&scenario) }, &record());
    assert_eq!((summary.problems, summary.phases.len()), (vec!["nothing was measured".to_owned()], 1));
}

#[test]
fn a_generator_that_was_the_limit_is_named_by_phase() {
    let scenario = scenario();
    let mut record = record();
    record.threads[1].phases[2].cpu_ns = 1_900 * MS;
    record.threads[0].phases[0] =
        ThreadPhase { cpu_ns: 990 * MS, wall_ns: 1_000 * MS, ..ThreadPhase::default() };
    record.threads[0].phases[1].unread_bytes_max = 1 << 20;
    // The longest gap alone says nothing of how much fell into it, nor does any of them in a moment.
    record.threads[0].phases[2].read_lag_max_ns = 15 * MS;
    record.threads[1].phases[1].read_lag_p99_ns = 12 * MS;
    record.threads[1].phases[2].read_lag_p99_ns = MS;
    record.threads[1].phases[0] =
        ThreadPhase { read_lag_p99_ns: 9 * MS, wall_ns: 90 * MS, ..ThreadPhase::default() };
    (0..5).for_each(|_| record.phases[2].timings.lag.record(7 * MS));
    let summary = Summary::of(facts(&scenario), &record);
    assert_eq!(summary.phases[0].limited, ["ramp: thread 0 used 99 % of a core"]);
    assert_eq!(
        summary.generator.limited,
        [
            "steady: thread 0 let 1.00 MiB wait in a socket",
            "steady: thread 1 saw what arrived in 1 % of the time 12.0 ms or more later, which the latencies include",
            "storm: thread 1 used 95 % of a core",
            "storm: 1 % of publications left 7.00 ms or more after their time, which the latencies include",
        ],
        "of measured phases"
    );
    let lags = summary.generator.threads.iter().map(|it| (it.read_lag_p99_us, it.read_lag_max_us));
    assert_eq!(lags.collect::<Vec<_>>(), [(0.0, 15e3), (12e3, 0.0)], "of the worst measured phase");
    assert!(summary.passed, "it is to be doubted, not wrong");
}
