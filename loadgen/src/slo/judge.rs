//! Whether SLOs held, by the result. What was not measured did not hold.

use crate::{
    EXIT_NO_RUN,
    figures::{
        record::{Counts, Timing},
        summary::{Count, Latency, Phase, SloVerdict, Summary},
    },
    report::format,
    slo::{
        grammar::{Operator, Slo},
        metric::{Dimension, Metric, Stat},
    },
};

/// Fills in the verdicts, and what follows from them: a count that an SLO bounds from above, and that held, is no problem any more.
pub(crate) fn judge(summary: &mut Summary, slos: &[Slo]) {
    summary.slos = slos.iter().map(|slo| verdict(summary, slo)).collect();
    let bounds = |slo: &Slo| match slo.operator {
        Operator::Below | Operator::AtMost | Operator::Equal => slo.phase.is_none(),
        Operator::Above | Operator::AtLeast => false,
    };
    let held = slos.iter().zip(&summary.slos).filter(|(slo, verdict)| verdict.held && bounds(slo));
    let excused: Vec<Count> = held
        .flat_map(|(slo, _)| match slo.metric {
            Metric::Count(count) => vec![count],
            Metric::Errors => Count::ALL.to_vec(),
            Metric::Time(..)
            | Metric::SentRate
            | Metric::DeliveredRate
            | Metric::CpuPerDelivery
            | Metric::ServerMemory
            | Metric::MemoryPerConn => Vec::new(),
        })
        .collect();
    summary.find_problems(&excused);
}

/// How a run ends for whoever started it: see [`exit_rank`].
pub(crate) fn exit_code(summary: &Summary) -> u8 {
    if !summary.problems.is_empty() {
        1
    } else if summary.slos.iter().any(|slo| !slo.held) {
        2
    } else if summary.interrupted {
        EXIT_NO_RUN
    } else {
        0
    }
}

/// Of several runs the one with the highest rank decides: what is wrong is worse than what is slow, and that is worse than what
/// was not run to its end.
pub(crate) fn exit_rank(code: u8) -> u8 {
    match code {
        0 => 0,
        1 => 3,
        2 => 2,
        _ => 1,
    }
}

fn verdict(summary: &Summary, slo: &Slo) -> SloVerdict {
    let value = match &slo.phase {
        None => of_run(summary, slo),
        Some(name) => summary
            .phases
            .iter()
            .find(|phase| phase.name == *name)
            .and_then(|phase| of_phase(summary, phase, slo)),
    };
    SloVerdict {
        slo: slo.text.clone(),
        held: value.is_some_and(|value| slo.operator.holds(value, slo.limit)),
        shown: value.map_or_else(|| "not measured".to_owned(), |value| show(slo, value)),
        value,
        limit: slo.limit,
        limited: is_limited(summary, slo),
    }
}

/// Whether the generator was limited in a phase that the SLO is about.
fn is_limited(summary: &Summary, slo: &Slo) -> bool {
    summary.phases.iter().any(|phase| {
        let concerned = match &slo.phase {
            Some(name) => phase.name == *name,
            None => match slo.metric {
                Metric::Time(Timing::Connect | Timing::Join | Timing::Outage, _)
                | Metric::Count(_)
                | Metric::Errors
                | Metric::ServerMemory
                | Metric::MemoryPerConn => true,
                Metric::Time(Timing::Delivery | Timing::Ack | Timing::Lag, _)
                | Metric::SentRate
                | Metric::DeliveredRate
                | Metric::CpuPerDelivery => phase.measured,
            },
        };
        concerned && !phase.limited.is_empty()
    })
}

fn of_run(summary: &Summary, slo: &Slo) -> Option<f64> {
    let server = summary.server.as_ref();
    let throughput = summary.throughput;
    match slo.metric {
        Metric::Time(timing, stat) => time(&summary.latency, timing, stat),
        Metric::Count(count) => {
            let of = possible(summary, count)?;
            share(summary.count(count), of, slo)
        }
        Metric::Errors => {
            let dials = summary.connections.opened + summary.connections.failed;
            (dials > 0).then(|| Count::ALL.iter().map(|count| summary.count(*count)).sum::<u64>() as f64)
        }
        Metric::SentRate => (throughput.measured_s > 0.0).then_some(throughput.sent_per_s),
        Metric::DeliveredRate => (throughput.measured_s > 0.0).then_some(throughput.delivered_per_s),
        Metric::CpuPerDelivery => server.and_then(|server| server.cpu_per_delivery_us).map(|us| us * 1e3),
        Metric::ServerMemory => {
            server.filter(|server| !server.samples.is_empty()).map(|server| server.memory_peak_bytes as f64)
        }
        Metric::MemoryPerConn => server.and_then(|server| server.memory_per_conn_bytes),
    }
}

fn of_phase(summary: &Summary, phase: &Phase, slo: &Slo) -> Option<f64> {
    let throughput = phase.throughput;
    match slo.metric {
        Metric::Time(timing, stat) => time(&phase.latency, timing, stat),
        Metric::Count(count) => {
            let (count, of) = count_of_phase(&phase.counts, count, summary.connections.open_max)?;
            share(count, of, slo)
        }
        Metric::SentRate => (throughput.measured_s > 0.0).then_some(throughput.sent_per_s),
        Metric::DeliveredRate => (throughput.measured_s > 0.0).then_some(throughput.delivered_per_s),
        Metric::CpuPerDelivery => phase.server_cpu_per_delivery_us.map(|us| us * 1e3),
        Metric::ServerMemory => phase.server_memory_bytes.map(|bytes| bytes as f64),
        Metric::Errors | Metric::MemoryPerConn => None, // Reading refuses them.
    }
}

/// In nanoseconds.
fn time(latency: &Latency, timing: Timing, stat: Stat) -> Option<f64> {
    let times = match timing {
        Timing::Delivery => &latency.delivery,
        Timing::Connect => &latency.connect,
        Timing::Join => &latency.join,
        Timing::Ack => &latency.ack,
        Timing::Lag => &latency.lag,
        Timing::Outage => &latency.outage,
    };
    match stat {
        Stat::Quantile(quantile) => times.hdr.at(quantile).map(|ns| ns as f64),
        Stat::Max => times.hdr.max().map(|ns| ns as f64),
        Stat::Mean => times.hdr.mean(),
    }
}

/// How many there could have been at most; `None` where none were looked for.
fn possible(summary: &Summary, count: Count) -> Option<u64> {
    let Summary { connections, publications, deliveries, .. } = summary;
    let of = match count {
        Count::Lost
        | Count::Duplicated
        | Count::Reordered
        | Count::Corrupt
        | Count::Misrouted
        | Count::Unexpected => deliveries.expected,
        Count::Refused | Count::Withheld => publications.sent + publications.withheld,
        // Of a protocol that does not answer nothing is known.
        Count::Unacked if publications.acked + publications.refused + publications.unacked == 0 => 0,
        Count::Unacked => publications.sent,
        Count::Failed => connections.opened + connections.failed,
        Count::Dropped | Count::Missing | Count::Silent => connections.opened,
    };
    // With no connection at all, all failed: that none was dropped says nothing.
    (of > 0).then_some(of)
}

/// The count, and how many there could have been.
fn count_of_phase(counts: &Counts, count: Count, open_max: u64) -> Option<(u64, u64)> {
    let of_deliveries = |count: u64| Some((count, counts.delivered));
    match count {
        Count::Duplicated => of_deliveries(counts.duplicated),
        Count::Reordered => of_deliveries(counts.reordered),
        Count::Corrupt => of_deliveries(counts.corrupt),
        Count::Misrouted => of_deliveries(counts.misrouted),
        Count::Unexpected => of_deliveries(counts.unexpected),
        Count::Refused => Some((counts.refused, counts.sent)),
        Count::Withheld => Some((counts.withheld, counts.sent + counts.withheld)),
        Count::Failed => Some((counts.failed, counts.opened + counts.failed)),
        // Those of earlier phases may be dropped too.
        Count::Dropped => Some((counts.dropped, open_max)),
        Count::Lost | Count::Unacked | Count::Missing | Count::Silent => None, // Reading refuses them.
    }
}

fn share(count: u64, of: u64, slo: &Slo) -> Option<f64> {
    match (slo.is_share, of) {
        (false, _) => Some(count as f64),
        (true, 0) => None,
        (true, _) => Some(count as f64 / of as f64),
    }
}

/// As people read it.
fn show(slo: &Slo, value: f64) -> String {
    match slo.metric.dimension() {
        Dimension::Time => format::micros(value / 1e3),
        Dimension::Count if slo.is_share => format!("{:.3} %", value * 100.0),
        Dimension::Count | Dimension::Number => format::count(value as u64),
        Dimension::PerSecond => format!("{}/s", format::rate(value)),
        Dimension::Bytes => format::bytes(value as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::sum_up::tests::{facts, record, scenario};

    fn judged(slos: &[&str], change: impl FnOnce(&mut Summary)) -> Summary {
        let scenario = scenario();
        let mut summary = Summary::of(facts(&scenario), &record());
        change(&mut summary);
        let slos: Vec<Slo> = slos.iter().map(|slo| slo.parse().unwrap()).collect();
        judge(&mut summary, &slos);
        summary
    }

    #[test]
    fn every_metric_is_found_where_it_is() {
        let rows = [
            ("p50<1.5ms", true, "1.00 ms"),
            ("p99<1.5ms", false, "2.00 ms"),
            ("steady.p99<1.5ms", true, "1.00 ms"),
            ("storm.max>=2ms", true, "2.00 ms"),
            ("mean<1.4ms", true, "1.33 ms"),
            ("connect_p99<1s", true, "2.00 ms"),
            ("steady.connect_p99<1s", false, "not measured"),
            ("calm.p99<1s", false, "not measured"),
            ("lag_p99.9<1ms", true, "100 µs"),
            ("ack_max<=1ms", false, "1.00 ms"),
            ("loss==0", true, "0"),
            ("loss<0.01%", true, "0.000 %"),
            ("dropped==0", true, "0"),
            ("storm.refused<1%", true, "0.000 %"),
            ("errors==0", true, "0"),
            ("delivered_rate>67/s", true, "67.5/s"),
            ("steady.sent_rate>=10/s", true, "10/s"),
            ("cpu_per_delivery<2ms", true, "1.48 ms"),
            ("steady.cpu_per_delivery<1.2ms", true, "1.11 ms"),
            ("server_memory<1MiB", false, "1.01 MiB"),
            ("steady.server_memory<1MiB", true, "1016 KiB"),
            ("memory_per_conn<1KiB", false, "5.86 KiB"),
        ];
        let texts = rows.map(|(text, ..)| text);
        let summary = judged(&texts, |_| {});
        for (verdict, (text, held, shown)) in summary.slos.iter().zip(rows) {
            assert_eq!((verdict.held, verdict.shown.as_str()), (held, shown), "{text}: {:?}", verdict.value);
            assert_eq!((verdict.slo.as_str(), verdict.limited), (text, false));
        }
        assert!(!summary.passed && summary.problems.is_empty());
        assert_eq!(exit_code(&summary), 2);
    }

    #[test]
    fn what_was_not_measured_is_broken() {
        let slos = [
            "loss==0",
            "duplicates==0",
            "refused<1%",
            "unacked==0",
            "dropped==0",
            "failed==0",
            "server_memory<9GiB",
        ];
        let summary = judged(&slos, |summary| {
            summary.deliveries = Default::default();
            summary.publications = Default::default();
            summary.connections = Default::default();
            summary.server = None;
        });
        for verdict in &summary.slos {
            assert_eq!((verdict.held, verdict.value, verdict.shown.as_str()), (false, None, "not measured"));
        }
    }

    #[test]
    fn a_count_that_was_allowed_is_no_problem() {
        let two_dropped = |summary: &mut Summary| summary.connections.dropped = 2;
        let rows = [
            (&[][..], 1, false),
            (&["dropped<=2"][..], 0, true),
            (&["errors<5"][..], 0, true),
            (&["dropped<=20%", "p99<1ms"][..], 2, false),
            (&["dropped<2"][..], 1, false),
            (&["storm.dropped<9"][..], 1, false),
            (&["dropped>=1"][..], 1, false),
            (&["dropped>0", "dropped==2"][..], 0, true),
        ];
        for (slos, code, passed) in rows {
            let summary = judged(slos, two_dropped);
            assert_eq!((exit_code(&summary), summary.passed), (code, passed), "{slos:?}");
        }
    }

    #[test]
    fn an_interrupted_run_is_no_pass() {
        let rows = [
            (&[][..], 0, 3),
            (&["p50<1.5ms"][..], 0, 3),
            (&["p99<1.5ms"][..], 0, 2),
            (&["p99<1.5ms"][..], 1, 1),
        ];
        for (slos, dropped, code) in rows {
            let summary = judged(slos, |summary| {
                (summary.interrupted, summary.connections.dropped) = (true, dropped);
            });
            assert_eq!((exit_code(&summary), summary.passed), (code, false), "{slos:?}");
        }
        let unmeasured = judged(&[], |summary| {
            (summary.interrupted, summary.throughput.measured_s) = (true, 0.0);
        });
        assert_eq!((exit_code(&unmeasured), unmeasured.problems.len()), (3, 0), "that is why");
        let worst = [3, 2, 0, 1].into_iter().max_by_key(|code| exit_rank(*code));
        assert_eq!(worst, Some(1));
        assert!(exit_rank(2) > exit_rank(3) && exit_rank(3) > exit_rank(0));
    }

    #[test]
    fn verdicts_say_when_the_generator_was_the_limit() {
        let slos = ["p99<9s", "storm.p99<9s", "ramp.connect_p99<9s", "connect_p99<9s", "loss==0"];
        let limited = |index: usize| {
            let summary = judged(&slos, |summary| summary.phases[index].limited.push("busy".to_owned()));
            summary.slos.iter().map(|verdict| verdict.limited).collect::<Vec<_>>()
        };
        assert_eq!(limited(0), [false, false, true, true, true], "the ramp is not measured");
        assert_eq!(limited(2), [true, true, false, true, true]);
    }
}
