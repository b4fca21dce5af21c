//! A report as a whole, as golden text.

use std::collections::BTreeMap;

use super::*;
use crate::{
    histogram::Percentiles,
    ledger::Faults,
    machine::Machine,
    peers::{PeerInfo, Standing},
};

fn sample(cpu_us_per_unit: f64, p99_us: f64) -> Sample {
    Sample {
        cpu_us_per_unit,
        units_per_s: 100_000.0,
        latency: Percentiles {
            samples: 1,
            p50_us: p99_us / 2.0,
            p99_us,
            p99_9_us: p99_us * 2.0,
            max_us: 0.0,
        },
        server_share: 0.25,
        generator_share: 0.125,
        connections: 1_000,
        rss_before_bytes: 10_000_000,
        rss_held_bytes: 12_500_000,
        ..Sample::default()
    }
}

fn info(version: &str, standing: Standing) -> PeerInfo {
    PeerInfo {
        title: "T".to_owned(),
        package: "a package".to_owned(),
        settings: "as it comes".to_owned(),
        version: version.to_owned(),
        standing,
    }
}

#[test]
fn a_report_is_golden() {
    let mut entries = ["ringway", "uwebsockets-js", "ws", "floor", "gone"].map(Entry::new);
    entries[0].add(Ok(sample(1.5, 800.0)));
    entries[1].add(Ok(sample(2.0, 1_000.0)));
    entries[2].add(Ok(Sample { faults: Faults { lost: 3, ..Faults::default() }, ..sample(1.0, 10.0) }));
    entries[3].add(Ok(sample(1.25, 700.0)));
    entries[4].add(Err("the server ended\nwith a long story".to_owned()));
    let peers = [
        ("ringway", info("0.1.0", Standing::Ours)),
        ("uwebsockets-js", info("20.52.0", Standing::Peer)),
        ("floor", info("1", Standing::Floor)),
    ];
    let results = Results {
        machine: Machine {
            cpu: "A CPU".to_owned(),
            cores: 2,
            memory_bytes: 24_000_000_000,
            kernel: "6.18".to_owned(),
            date: "2026-11-21T06:00:00Z".to_owned(),
            load_average: 0.5,
        },
        rounds: 1,
        seconds: 5.0,
        peers: peers.into_iter().map(|(name, it)| (name.to_owned(), it)).collect::<BTreeMap<_, _>>(),
        scenarios: vec![ScenarioResults {
            name: "room".to_owned(),
            about: "one room".to_owned(),
            unit: "delivery".to_owned(),
            entries: entries.into(),
        }],
    };
    let expected = "\
A CPU, 2 cores, 24 GB, Linux 6.18, 2026-11-21T06:00:00Z, load average 0.50 at the start
Medians of 1 interleaved rounds of 5 s. Server and generator on a core each; payloads of 128 bytes.

room: one room
peer               CPU µs/delivery  × uWS.js  × best  × floor  p50 ms  p99 ms  × best  p99.9 ms  units/s  B/connection  server %  generator %
ws              *            1.000      0.50    0.50     0.80    0.01    0.01    0.01      0.02  100,000         2,500      25.0         12.5  3 lost
floor                        1.250      0.62    0.62     1.00    0.35    0.70    0.70      1.40  100,000         2,500      25.0         12.5
ringway                      1.500      0.75    0.75     1.20    0.40    0.80    0.80      1.60  100,000         2,500      25.0         12.5
uwebsockets-js               2.000      1.00    1.00     1.60    0.50    1.00    1.00      2.00  100,000         2,500      25.0         12.5
gone            *                –         –       –        –       –       –       –         –        –             –         –            –  1 of 1 rounds failed; the server ended with a long story

* does not count: the reason stands at the end of the line
floor           1        a package; as it comes
ringway         0.1.0    a package; as it comes
uwebsockets-js  20.52.0  a package; as it comes
";
    let report = render(&results);
    assert_eq!(report, expected, "\n{report}");
}

#[test]
fn the_steps_of_a_ladder_are_golden() {
    let rung = |messages_per_s, verdict, p99s_us: &[f64]| Rung {
        messages_per_s,
        verdict,
        samples: p99s_us.iter().map(|&it| sample(1.0, it)).collect(),
        errors: Vec::new(),
    };
    let mut entries = ["ringway", "ws"].map(Entry::new);
    entries[0].rungs = vec![
        rung(6_000, Verdict::Held, &[1_000.0, 3_000.0, 2_000.0]),
        rung(8_000, Verdict::Broken, &[11_000.0]),
        rung(10_000, Verdict::GeneratorLimited, &[3_000.0]),
    ];
    entries[1].rungs = vec![rung(6_000, Verdict::Broken, &[])];
    let scenario = ScenarioResults {
        name: "flood-ladder".to_owned(),
        about: "one room".to_owned(),
        unit: "delivery".to_owned(),
        entries: entries.into(),
    };
    let expected = "
p99 ms (generator %)      6,000/s      8,000/s     10,000/s
ringway               2.00 (12)    11.0 (12) b  3.00 (12) g
ws                            – b
b broken: late, lost or gone; g generator-limited
";
    let table = rungs_table(&scenario);
    assert_eq!(table, expected, "{table}");
}
