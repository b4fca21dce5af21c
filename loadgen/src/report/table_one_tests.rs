//! The whole report for a good, a bad and a small run, as it appears.

use super::*;
use crate::{
    figures::reasons::Reasons,
    figures::summary_one::{Connections, Deliveries, Generator, Latency, Load, Publications, Throughput},
};

fn percentiles(samples: u64, p50_us: f64) -> Percentiles {
    Percentiles {
        samples,
        p50_us,
        p90_us: p50_us * 2.0,
        p99_us: p50_us * 5.0,
        p99_9_us: p50_us * 20.0,
        max_us: p50_us * 100.0,
        mean_us: p50_us,
    }
}

/// The demonstration, gone well.
fn good() -> Summary {
    let mut summary = Summary {
        format: 1,
        target: "ws://127.0.0.1:8080/ws".to_owned(),
        tokens: "from the gateway's /dev/token".to_owned(),
        load: Load {
            mode: "fanout",
            conns: 10_000,
            rooms: 100,
            publishers: 1_000,
            rate_per_s: 500.0,
            payload_bytes: 128,
            arrivals: "even",
            warmup_s: 3.0,
            duration_s: 20.0,
            connect_rate_per_s: 2_000.0,
            churn_rate_per_s: 0.0,
            threads: 1,
            seed: 42,
        },
        connections: Connections {
            opened: 10_000,
            failed: 0,
            dropped: 0,
            left: 0,
            returned: 0,
            failures: Reasons::default(),
            drops: Reasons::default(),
        },
        publications: Publications {
            sent: 11_500,
            acked: 11_500,
            refused: 0,
            unacked: 0,
            withheld: 0,
            refusals: Reasons::default(),
            faults: Reasons::default(),
        },
        deliveries: Deliveries {
            expected: 1_138_500,
            delivered: 1_138_500,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            corrupt: 0,
            misrouted: 0,
            unexpected: 0,
            foreign: 0,
        },
        latency: Latency {
            delivery: percentiles(990_000, 412.0),
            connect: percentiles(10_000, 130.0),
            join: percentiles(10_000, 95.0),
        },
        throughput: Throughput { measured_s: 20.0, published_per_s: 500.0, delivered_per_s: 49_500.0 },
        generator: Generator {
            cpu_ratios: vec![0.34],
            scheduling_lag: percentiles(11_500, 20.0),
            memory_bytes: 18 << 20,
            limited: false,
        },
        passed: false,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    summary.judge(false);
    summary
}

const GOOD: &str = r"
fanout on ws://127.0.0.1:8080/ws, tokens from the gateway's /dev/token
10,000 connections in 100 rooms, 1,000 publishers, 500 messages/s of 128 B, even arrivals, seed 42

connections        opened      failed     dropped
                   10,000           0           0

messages             sent       acked     refused     unacked    withheld
                   11,500      11,500           0           0           0

deliveries       expected   delivered        lost  duplicated   reordered     corrupt   misrouted
                1,138,500   1,138,500           0           0           0           0           0

latency               p50         p90         p99       p99.9         max     samples
  delivery         412 µs      824 µs     2.06 ms     8.24 ms     41.2 ms     990,000
  connect          130 µs      260 µs      650 µs     2.60 ms     13.0 ms      10,000
  join            95.0 µs      190 µs      475 µs     1.90 ms     9.50 ms      10,000
  send lag        20.0 µs     40.0 µs      100 µs      400 µs     2.00 ms      11,500

throughput   49,500 deliveries/s from 500 messages/s, over 20.0 s
generator    CPU 34 % of a core, 18.0 MiB resident (1.84 KiB a connection)

PASSED: every delivery arrived once, in order and unharmed.
";

const BAD: &str = r"
churn on ws://127.0.0.1:8080/ws, tokens from the gateway's /dev/token
10,000 connections in 100 rooms, 1,000 publishers, 500 messages/s of 128 B, even arrivals, seed 42

connections        opened      failed     dropped        left    returned
                   10,000           3           1           0           0

messages             sent       acked     refused     unacked    withheld
                   11,500      11,500           1           0           0

deliveries       expected   delivered        lost  duplicated   reordered     corrupt   misrouted
                1,138,500   1,137,493       1,007           2           0           0           0

latency               p50         p90         p99       p99.9         max     samples
  delivery         412 µs      824 µs     2.06 ms     8.24 ms     41.2 ms     990,000
  connect          130 µs      260 µs      650 µs     2.60 ms     13.0 ms      10,000
  join            95.0 µs      190 µs      475 µs     1.90 ms     9.50 ms      10,000
  send lag        20.0 µs     40.0 µs     2.50 ms      400 µs     2.00 ms      11,500

throughput   49,500 deliveries/s from 500 messages/s, over 20.0 s
generator    CPU 97 % + 12 % of a core, 18.0 MiB resident (1.84 KiB a connection)
failed       2 × HTTP 401 Unauthorized
failed       1 × HTTP 503 Service Unavailable
dropped      1 × closed with 4430: slow consumer
refused      1 × rate_limited

Warning: the generator was the limit: thread 0 used 97 % of a core (try more --threads, or a lower --rate)
Warning: the generator was late: 1 % of publications left 2.50 ms or more after their time, which the latencies include
Warning: interrupted: the run is shorter than planned
Warning: deliveries of another run in the same rooms, not counted: 5
Warning: system:error bad_request: 1
FAILED: deliveries lost: 1,007
FAILED: deliveries duplicated: 2
FAILED: publications refused: 1
FAILED: connections failed: 3
FAILED: connections dropped: 1
";

const IDLE: &str = r"
idle on ws://127.0.0.1:8080/ws, tokens from the gateway's /dev/token
10,000 connections in 1 room

connections        opened      failed     dropped
                   10,000           0           0

latency               p50         p90         p99       p99.9         max     samples
  connect          130 µs      260 µs      650 µs     2.60 ms     13.0 ms      10,000
  join                  –           –           –           –           –           0

generator    CPU 34 % of a core, 18.0 MiB resident (1.84 KiB a connection)

PASSED: every connection held.
";

#[test]
fn a_good_run_is_golden() {
    assert_eq!(render(&good()), GOOD);
}

#[test]
fn a_bad_run_says_what_was_wrong_and_what_to_doubt() {
    let mut summary = good();
    summary.load.mode = "churn";
    summary.connections.failed = 3;
    summary.connections.dropped = 1;
    summary.connections.failures.add("HTTP 401 Unauthorized");
    summary.connections.failures.add("HTTP 503 Service Unavailable");
    summary.connections.failures.add("HTTP 401 Unauthorized");
    summary.connections.drops.add("closed with 4430: slow consumer");
    summary.publications.refused = 1;
    summary.publications.refusals.add("rate_limited");
    summary.publications.faults.add("bad_request");
    summary.deliveries.delivered -= 1_007;
    summary.deliveries.lost = 1_007;
    summary.deliveries.duplicated = 2;
    summary.deliveries.foreign = 5;
    summary.generator.cpu_ratios = vec![0.97, 0.12];
    summary.generator.scheduling_lag.p99_us = 2_500.0;
    summary.judge(true);
    assert!(!summary.passed && summary.generator.limited);
    assert_eq!(render(&summary), BAD);
}

#[test]
fn a_run_without_messages_shows_none() {
    let mut summary = good();
    summary.load.mode = "idle";
    summary.load.rooms = 1;
    summary.publications.sent = 0;
    summary.latency.join = Percentiles::default();
    summary.judge(false);
    assert_eq!(render(&summary), IDLE);
}
