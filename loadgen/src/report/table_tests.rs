//! The whole report for a good and a bad run, as it appears.

use super::*;
use crate::{
    figures::{
        hdr::Hdr,
        record::Trouble,
        sum_up::tests::{facts, record, scenario},
        summary::{Agent, Deliveries, Stream, Target, Thread, Throughput},
    },
    slo::{grammar::Slo, judge::judge},
};

fn times(samples: u64, p50_us: f64) -> Times {
    Times {
        samples,
        p50_us: Some(p50_us),
        p90_us: Some(p50_us * 2.0),
        p99_us: Some(p50_us * 5.0),
        p99_9_us: Some(p50_us * 20.0),
        p99_99_us: Some(p50_us * 50.0),
        max_us: Some(p50_us * 100.0),
        mean_us: Some(p50_us),
        hdr: Hdr::fine(),
    }
}

/// The demonstration, gone well.
fn good() -> Summary {
    let scenario = scenario();
    let mut summary = Summary::of(facts(&scenario), &record());
    summary.target = Target {
        urls: vec!["ws://127.0.0.1:8080/ws".to_owned()],
        protocol: "json".to_owned(),
        tokens: "from the gateway's /dev/token".to_owned(),
    };
    summary.load.connections = 10_000;
    summary.load.rooms = 100;
    let role = &mut summary.load.roles[0];
    role.name = "talkers".to_owned();
    role.does = "publishes 500/s together, 128 B".to_owned();
    let mut listeners = role.clone();
    (role.share, listeners.share) = (0.125, 0.875);
    listeners.name = "listeners".to_owned();
    listeners.does = "joins 3 rooms; publishes each every 20.0 s on average, 64 B to 4.00 KiB by weight; changes presence \
                      every 30.0 s"
        .to_owned();
    summary.load.roles.push(listeners);
    summary.connections.opened = 10_000;
    summary.connections.open_max = 10_000;
    summary.publications.sent = 11_500;
    summary.publications.acked = 11_500;
    summary.deliveries = Deliveries { expected: 1_138_500, delivered: 1_138_500, ..Deliveries::default() };
    summary.latency.delivery = times(990_000, 412.0);
    summary.latency.connect = times(10_000, 130.0);
    summary.latency.join = times(10_000, 95.0);
    summary.latency.ack = times(11_500, 95.0);
    summary.latency.lag = times(11_500, 20.0);
    summary.throughput = Throughput { measured_s: 20.0, sent_per_s: 500.0, delivered_per_s: 49_500.0 };
    summary.generator.threads = vec![Thread {
        cpu_ratio: Some(0.34),
        read_lag_p99_us: 12.0,
        read_lag_max_us: 3_100.0,
        ..Thread::default()
    }];
    summary.generator.agents = vec![Agent { name: "here".to_owned(), memory_bytes: 18 << 20, cores: 2 }];
    summary
}

const GOOD: &str = r"
test on ws://127.0.0.1:8080/ws (json), tokens from the gateway's /dev/token
10,000 connections in 100 rooms, seed 42
  talkers    12.5 %  publishes 500/s together, 128 B
  listeners  87.5 %  joins 3 rooms; publishes each every 20.0 s on average, 64 B to 4.00 KiB by
                     weight; changes presence every 30.0 s

connections        opened      failed     dropped   most open
                   10,000           0           0      10,000

messages             sent       acked     refused     unacked    withheld
                   11,500      11,500           0           0           0

deliveries       expected   delivered        lost  duplicated   reordered     corrupt   misrouted
                1,138,500   1,138,500           0           0           0           0           0

latency               p50         p90         p99       p99.9         max     samples
  delivery         412 µs      824 µs     2.06 ms     8.24 ms     41.2 ms     990,000
  connect          130 µs      260 µs      650 µs     2.60 ms     13.0 ms      10,000
  join            95.0 µs      190 µs      475 µs     1.90 ms     9.50 ms      10,000
  ack             95.0 µs      190 µs      475 µs     1.90 ms     9.50 ms      11,500
  send lag        20.0 µs     40.0 µs      100 µs      400 µs     2.00 ms      11,500

phases             length        sent   delivered         p50         p99         max      errors
  (ramp)           1.00 s         0/s         0/s     2.00 ms     2.00 ms     2.00 ms           0
  steady           2.00 s        10/s        90/s     1.00 ms     1.00 ms     1.00 ms           0
  storm            2.00 s         5/s        45/s     2.00 ms     2.00 ms     2.00 ms           0
              (…) not in the totals; without deliveries: times of connects

throughput   49,500 deliveries/s from 500 messages/s, over 20.0 s
server       CPU 600 ms (1.48 ms a delivery), memory 977 KiB to 1.01 MiB at most, 1.01 MiB at the
             end (5.86 KiB a connection); pid 1
generator    CPU 34 % of a core, 18.0 MiB resident (1.84 KiB a connection)
             read lag p99 12.0 µs, max 3.10 ms

SLO held     connect_p99<100ms        2.00 ms
SLO held     loss==0                        0

PASSED: every delivery arrived once, in order and unharmed, and both SLOs held.
";

const BAD: &str = r"
test on ws://127.0.0.1:8080/ws (json), tokens from the gateway's /dev/token
10,000 connections in 100 rooms, seed 42
  talkers    12.5 %  publishes 500/s together, 128 B
  listeners  87.5 %  joins 3 rooms; publishes each every 20.0 s on average, 64 B to 4.00 KiB by
                     weight; changes presence every 30.0 s

connections        opened      failed     dropped   most open        left    returned
                   10,000           3           1      10,000          10           9

messages             sent       acked     refused     unacked    withheld
                   11,500      11,500           1           0           0

deliveries       expected   delivered        lost  duplicated   reordered     corrupt   misrouted
                1,138,500   1,137,493       1,007           2           0           0           0

latency               p50         p90         p99       p99.9         max     samples
  delivery         412 µs      824 µs     2.06 ms     8.24 ms     41.2 ms     990,000
  connect          130 µs      260 µs      650 µs     2.60 ms     13.0 ms      10,000
  join            95.0 µs      190 µs      475 µs     1.90 ms     9.50 ms      10,000
  ack             95.0 µs      190 µs      475 µs     1.90 ms     9.50 ms      11,500
  send lag        20.0 µs     40.0 µs      100 µs      400 µs     2.00 ms      11,500

phases             length        sent   delivered         p50         p99         max      errors
  (ramp)           1.00 s         0/s         0/s     2.00 ms     2.00 ms     2.00 ms           0
  steady           2.00 s        10/s        90/s     1.00 ms     1.00 ms     1.00 ms           0
  storm*           2.00 s         5/s        45/s     2.00 ms     2.00 ms     2.00 ms           0
              (…) not in the totals; without deliveries: times of connects; * generator limited

throughput   49,500 deliveries/s from 500 messages/s, over 20.0 s
generator    CPU 97 % + – of a core, 18.0 MiB resident (1.84 KiB a connection)

worst streams   publisher        sent        lost  duplicated   reordered     corrupt   misrouted
  load-3            #4711         115       1,007           2           0           0           0

failed       2 × HTTP 401 Unauthorized
             (the target does not take these tokens: from the gateway's /dev/token)
failed       1 × HTTP 503 Service Unavailable
dropped      1 × closed with 4430: slow consumer
refused      1 × rate_limited rate_limited rate_limited rate_limited rate_limited rate_limited
             rate_limited rate_limited rate_limited

SLO held     p99<5ms                     2.00 ms   (generator limited)
SLO BROKEN   storm.p99<500us             2.00 ms   (generator limited)
SLO held     loss<=0.1%                  0.088 %   (generator limited)
SLO BROKEN   server_memory<100MiB   not measured   (generator limited)

Generator limited: storm: 1 % of publications left 2.50 ms or more after their time, which the
                   latencies include
Warning: interrupted: the run is shorter than planned
FAILED: deliveries duplicated: 2
FAILED: publications refused: 1
FAILED: connections failed: 3
FAILED: connections dropped: 1
FAILED: 2 of 4 SLOs broken
";

#[test]
fn a_good_run_is_golden() {
    let mut summary = good();
    let slos: Vec<Slo> = ["connect_p99<100ms", "loss==0"].iter().map(|slo| slo.parse().unwrap()).collect();
    summary.latency.connect.hdr = summary.phases[0].latency.connect.hdr.clone();
    judge(&mut summary, &slos);
    let text = render(&summary, WIDTH_MAX);
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH_MAX), "{text}");
    assert_eq!(text, GOOD, "{text}");
}

#[test]
fn a_bad_run_says_what_was_wrong_and_what_to_doubt() {
    let mut summary = good();
    summary.connections.failed = 3;
    summary.connections.dropped = 1;
    summary.connections.left = 10;
    summary.connections.returned = 9;
    summary.connections.failures.add("HTTP 401 Unauthorized");
    summary.connections.failures.add("HTTP 503 Service Unavailable");
    summary.connections.failures.add("HTTP 401 Unauthorized");
    summary.connections.drops.add("closed with 4430: slow consumer");
    summary.publications.refused = 1;
    summary.publications.refusals.add(&"rate_limited ".repeat(9));
    summary.deliveries.delivered -= 1_007;
    summary.deliveries.lost = 1_007;
    summary.deliveries.duplicated = 2;
    summary.worst_streams = vec![Stream {
        stream: 3,
        publisher: 4_711,
        role: "talkers".to_owned(),
        room: "load-3".to_owned(),
        sent: 115,
        trouble: Trouble { lost: 1_007, duplicated: 2, ..Trouble::default() },
    }];
    let limited =
        "storm: 1 % of publications left 2.50 ms or more after their time, which the latencies include";
    summary.phases[2].limited.push(limited.to_owned());
    summary.generator.limited.push(limited.to_owned());
    summary.generator.threads =
        vec![Thread { cpu_ratio: Some(0.97), ..Thread::default() }, Thread::default()];
    summary.warnings.push("interrupted: the run is shorter than planned".to_owned());
    summary.server = None;
    let slos = ["p99<5ms", "storm.p99<500us", "loss<=0.1%", "server_memory<100MiB"];
    let slos: Vec<Slo> = slos.iter().map(|slo| slo.parse().unwrap()).collect();
    summary.latency.delivery.hdr = summary.phases[2].latency.delivery.hdr.clone();
    judge(&mut summary, &slos);
    let text = render(&summary, WIDTH_MAX);
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH_MAX), "{text}");
    assert_eq!(text, BAD, "{text}");
}

#[test]
fn a_run_without_messages_shows_none() {
    let mut summary = good();
    summary.publications = Default::default();
    summary.deliveries = Default::default();
    summary.latency.join = Times::default();
    summary.latency.ack = Times::default();
    summary.phases.truncate(2);
    let text = render(&summary, WIDTH_MAX);
    for absent in ["messages", "deliveries", "join", "lag", "phases", "throughput"] {
        let shown = text.lines().skip(5).any(|line| line.trim_start().starts_with(absent));
        assert!(!shown, "{absent}: {text}");
    }
    assert!(text.ends_with("PASSED: every connection held.\n"), "{text}");
}

/// For a terminal of 80 columns, or of fewer: the same rows, closer together.
#[test]
fn a_narrow_terminal_gets_a_narrow_table() {
    let mut summary = good();
    summary.phases[0].name = "stampedes".to_owned();
    let text = render(&summary, 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&text), words(&render(&summary, WIDTH_MAX)));
    assert_eq!(text, render(&summary, 99));
    let rows = "\
deliveries  expected delivered      lost duplicated reordered  corrupt misrouted
           1,138,500 1,138,500         0         0         0         0         0
";
    assert!(text.contains(rows), "{text}");
}

#[test]
fn who_was_not_let_in_is_told_where_to_look() {
    let rows = [
        ("HTTP 401 Unauthorized", Some("tokens: T")),
        ("HTTP 403 Forbidden", Some("tokens: T")),
        ("HTTP 404 Not Found", Some("--url")),
        ("HTTP 503 Service Unavailable", None),
        ("closed with 4401", None),
    ];
    for (reason, said) in rows {
        let hint = hint(reason, "T");
        assert_eq!(hint.is_some(), said.is_some(), "{reason}");
        assert!(hint.is_none_or(|it| said.is_some_and(|said| it.contains(said))), "{reason}");
    }
}
