//! Whether results differ: A against B, each one run or several. Several runs show how much runs differ of themselves; with one on
//! each side only the seconds within them can be compared, and the text says what that is worth.

use std::fmt::Write;

use fastrand::Rng;

use crate::{
    figures::{
        bootstrap::{self, Interval, enough, median},
        summary::{Count, Second, Summary},
    },
    report::format,
};

/// What better means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Good {
    Low,
    High,
}

/// How a value is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Micros,
    PerSecond,
    Bytes,
    Count,
}

/// Something that is compared.
struct Metric {
    name: &'static str,
    good: Good,
    shown: Shown,
    of_run: fn(&Summary) -> Option<f64>,
}

const METRICS: [Metric; 14] = [
    Metric {
        name: "delivery p50",
        good: Good::Low,
        shown: Shown::Micros,
        of_run: |it| it.latency.delivery.p50_us,
    },
    Metric {
        name: "delivery p99",
        good: Good::Low,
        shown: Shown::Micros,
        of_run: |it| it.latency.delivery.p99_us,
    },
    Metric {
        name: "delivery p99.9",
        good: Good::Low,
        shown: Shown::Micros,
        of_run: |it| it.latency.delivery.p99_9_us,
    },
    Metric {
        name: "delivery max",
        good: Good::Low,
        shown: Shown::Micros,
        of_run: |it| it.latency.delivery.max_us,
    },
    Metric { name: "ack p99", good: Good::Low, shown: Shown::Micros, of_run: |it| it.latency.ack.p99_us },
    Metric {
        name: "connect p99",
        good: Good::Low,
        shown: Shown::Micros,
        of_run: |it| it.latency.connect.p99_us,
    },
    Metric { name: "join p99", good: Good::Low, shown: Shown::Micros, of_run: |it| it.latency.join.p99_us },
    Metric {
        name: "outage p99",
        good: Good::Low,
        shown: Shown::Micros,
        of_run: |it| it.latency.outage.p99_us,
    },
    Metric {
        name: "sent",
        good: Good::High,
        shown: Shown::PerSecond,
        of_run: |it| rate(it, it.throughput.sent_per_s),
    },
    Metric {
        name: "delivered",
        good: Good::High,
        shown: Shown::PerSecond,
        of_run: |it| rate(it, it.throughput.delivered_per_s),
    },
    Metric {
        name: "CPU a delivery",
        good: Good::Low,
        shown: Shown::Micros,
        of_run: |it| it.server.as_ref()?.cpu_per_delivery_us,
    },
    Metric {
        name: "memory, most",
        good: Good::Low,
        shown: Shown::Bytes,
        of_run: |it| Some(it.server.as_ref()?.memory_peak_bytes as f64),
    },
    Metric {
        name: "memory a conn.",
        good: Good::Low,
        shown: Shown::Bytes,
        of_run: |it| it.server.as_ref()?.memory_per_conn_bytes,
    },
    Metric { name: "errors", good: Good::Low, shown: Shown::Count, of_run: |it| Some(errors(it)) },
];

/// What single runs are compared by.
struct SecondMetric {
    name: &'static str,
    good: Good,
    shown: Shown,
    of_second: fn(&Second) -> Option<f64>,
}

const SECOND_METRICS: [SecondMetric; 4] = [
    SecondMetric { name: "delivery p50", good: Good::Low, shown: Shown::Micros, of_second: |it| it.p50_us },
    SecondMetric { name: "delivery p99", good: Good::Low, shown: Shown::Micros, of_second: |it| it.p99_us },
    SecondMetric { name: "delivery max", good: Good::Low, shown: Shown::Micros, of_second: |it| it.max_us },
    SecondMetric {
        name: "delivered",
        good: Good::High,
        shown: Shown::PerSecond,
        of_second: |it| Some(it.delivered as f64),
    },
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Better,
    Worse,
    /// They may be the same, or the runs differ too much of themselves.
    NoneShown,
    /// With so few runs chance cannot be told from a difference.
    TooFew,
}

/// One line.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) metric: &'static str,
    shown: Shown,
    pub(crate) a: f64,
    pub(crate) b: f64,
    /// Of the ratio B to A.
    pub(crate) interval: Option<Interval>,
    pub(crate) verdict: Verdict,
}

/// All of it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Comparison {
    pub(crate) runs: (usize, usize),
    /// One run on each side: values are medians over its seconds.
    pub(crate) by_second: bool,
    pub(crate) rows: Vec<Row>,
    /// What to doubt.
    pub(crate) notes: Vec<String>,
}

/// Compares `b` (new) with `a` (old), none of them empty. The seed decides nothing but the last digits.
pub(crate) fn compare(a: &[Summary], b: &[Summary], seed: u64) -> Comparison {
    let mut rng = Rng::with_seed(seed);
    let by_second = a.len() == 1 && b.len() == 1;
    let rows = if by_second {
        SECOND_METRICS.iter().filter_map(|metric| second_row(metric, &a[0], &b[0], &mut rng)).collect()
    } else {
        METRICS.iter().filter_map(|metric| row(metric, a, b, &mut rng)).collect()
    };
    Comparison { runs: (a.len(), b.len()), by_second, rows, notes: notes(a, b) }
}

fn row(metric: &Metric, a: &[Summary], b: &[Summary], rng: &mut Rng) -> Option<Row> {
    // A side that did not measure it in all its runs is not compared.
    let values = |side: &[Summary]| side.iter().map(metric.of_run).collect::<Option<Vec<f64>>>();
    let (a, b) = (values(a)?, values(b)?);
    let positive = a.iter().chain(&b).all(|value| *value > 0.0);
    let able = enough(a.len(), b.len());
    let interval = if able && positive { bootstrap::ratio_interval(&a, &b, rng) } else { None };
    let verdict = if !able {
        Verdict::TooFew
    } else if let Some(interval) = interval {
        judge(interval, metric.good)
    } else {
        // Ratios to 0 say nothing; that one side lies above the other does.
        judge_apart(&a, &b, metric.good)
    };
    Some(Row { metric: metric.name, shown: metric.shown, a: median(&a)?, b: median(&b)?, interval, verdict })
}

fn second_row(metric: &SecondMetric, a: &Summary, b: &Summary, rng: &mut Rng) -> Option<Row> {
    let (a, b) = (measured_seconds(a, metric.of_second), measured_seconds(b, metric.of_second));
    let positive = a.iter().chain(&b).all(|value| *value > 0.0);
    let interval = if positive { bootstrap::series_ratio_interval(&a, &b, rng) } else { None };
    let verdict = interval.map_or(Verdict::TooFew, |interval| judge(interval, metric.good));
    Some(Row { metric: metric.name, shown: metric.shown, a: median(&a)?, b: median(&b)?, interval, verdict })
}

/// Of whole seconds within measured phases.
fn measured_seconds(of: &Summary, value: fn(&Second) -> Option<f64>) -> Vec<f64> {
    let within = |second: u32| {
        let (start, end) = (f64::from(second), f64::from(second) + 1.0);
        of.phases.iter().any(|phase| phase.measured && phase.start_s <= start && end <= phase.end_s)
    };
    of.seconds.iter().filter(|second| within(second.second)).filter_map(value).collect()
}

fn judge(interval: Interval, good: Good) -> Verdict {
    match (interval.contains(1.0), interval.low > 1.0, good) {
        (true, _, _) => Verdict::NoneShown,
        (false, true, Good::High) | (false, false, Good::Low) => Verdict::Better,
        (false, true, Good::Low) | (false, false, Good::High) => Verdict::Worse,
    }
}

fn judge_apart(a: &[f64], b: &[f64], good: Good) -> Verdict {
    let above = |high: &[f64], low: &[f64]| high.iter().all(|high| low.iter().all(|low| high > low));
    match (above(b, a), above(a, b), good) {
        (true, _, Good::Low) | (_, true, Good::High) => Verdict::Worse,
        (true, _, Good::High) | (_, true, Good::Low) => Verdict::Better,
        (false, false, _) => Verdict::NoneShown,
    }
}

fn rate(of: &Summary, per_s: f64) -> Option<f64> {
    (of.throughput.measured_s > 0.0 && of.publications.sent > 0).then_some(per_s)
}

fn errors(of: &Summary) -> f64 {
    let wrong = |count: &Count| of.count(*count).saturating_sub(of.expected_disconnects(*count));
    Count::ALL.iter().map(wrong).sum::<u64>() as f64
}

fn notes(a: &[Summary], b: &[Summary]) -> Vec<String> {
    let mut notes = Vec::new();
    let all = || a.iter().chain(b);
    let mut differing = |what: &str, of: &dyn Fn(&Summary) -> String| {
        let mut values: Vec<String> = all().map(of).collect();
        values.sort();
        values.dedup();
        if values.len() > 1 {
            notes.push(format!(
                "{what} differs ({}): this compares loads too, not only targets",
                values.join(", ")
            ));
        }
    };
    differing("the scenario", &|it| it.load.scenario.clone());
    differing("the protocol", &|it| it.target.protocol.clone());
    differing("the number of connections", &|it| format::count(it.load.connections.into()));
    differing("the number of rooms", &|it| format::count(it.load.rooms.into()));
    differing("the loop", &|it| if it.load.closed { "closed" } else { "open" }.to_owned());
    differing("the generator's machine", &|it| it.machine.host.clone());
    for (name, side) in [("A", a), ("B", b)] {
        let of = side.len();
        let limited = side.iter().filter(|it| !it.generator.limited.is_empty()).count();
        if limited > 0 {
            notes.push(format!("the generator was limited in {limited} of {of} runs of {name}: its figures are the generator's too"));
        }
        let failed = side.iter().filter(|it| !it.problems.is_empty()).count();
        if failed > 0 {
            notes.push(format!(
                "something went wrong in {failed} of {of} runs of {name}: see their own reports"
            ));
        }
        let interrupted = side.iter().filter(|it| it.interrupted).count();
        if interrupted > 0 {
            notes.push(format!("{interrupted} of {of} runs of {name} were interrupted"));
        }
    }
    notes
}

impl Comparison {
    /// As text of 100 columns at most.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (a, b) = self.runs;
        writeln!(out, "A: {}, B: {}", runs(a), runs(b))?;
        if self.by_second {
            writeln!(
                out,
                "One run on each side shows nothing about how much runs differ of themselves. What follows compares"
            )?;
            writeln!(
                out,
                "the seconds within these two runs (medians over seconds); the next two may say otherwise."
            )?;
        } else if !enough(a, b) {
            writeln!(out, "Too few runs to tell a difference from chance: 4 on each side are the fewest.")?;
        }
        writeln!(out)?;
        write_row(out, ["", "A", "B", "difference", "95 % interval", ""])?;
        for row in &self.rows {
            let interval = row
                .interval
                .map_or_else(|| "–".to_owned(), |it| format!("{} … {}", percent(it.low), percent(it.high)));
            let difference = if row.a > 0.0 { percent(row.b / row.a) } else { "–".to_owned() };
            let cells = [
                row.metric,
                &show(row.shown, row.a),
                &show(row.shown, row.b),
                &difference,
                &interval,
                &self.told(row.verdict),
            ];
            write_row(out, cells)?;
        }
        let judged = self.rows.iter().filter(|row| row.verdict != Verdict::TooFew).count();
        if judged > 1 && !self.by_second {
            let by_chance = judged as f64 * 0.05;
            writeln!(
                out,
                "\nEach line errs once in twenty: of {judged} lines without a difference, {by_chance:.1} would show one."
            )?;
        }
        if !self.notes.is_empty() {
            writeln!(out)?;
        }
        for note in &self.notes {
            writeln!(out, "Warning: {note}")?;
        }
        Ok(())
    }
}

impl Comparison {
    fn told(&self, verdict: Verdict) -> String {
        let of = match verdict {
            Verdict::Better | Verdict::Worse if self.by_second => " in these two",
            Verdict::Better | Verdict::Worse | Verdict::NoneShown | Verdict::TooFew => "",
        };
        format!("{}{of}", verdict.name())
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::NoneShown => "no difference shown",
            Self::TooFew => "too few runs",
        }
    }
}

fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

fn write_row(out: &mut String, [metric, a, b, difference, interval, verdict]: [&str; 6]) -> std::fmt::Result {
    let line = format!("{metric:15} {a:>11} {b:>11} {difference:>11} {interval:>22}   {verdict}");
    writeln!(out, "{}", line.trim_end())
}

/// A ratio as a difference.
fn percent(ratio: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    if percent.abs() >= 100.0 { format!("{percent:+.0} %") } else { format!("{percent:+.1} %") }
}

fn show(shown: Shown, value: f64) -> String {
    match shown {
        Shown::Micros => format::micros(value),
        Shown::PerSecond => format!("{}/s", format::rate(value)),
        Shown::Bytes => format::bytes(value as u64),
        Shown::Count => format::count(value as u64),
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
