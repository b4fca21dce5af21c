//! Results as a person reads them: one aligned table for each scenario, ratios against the reference and the best.

use std::fmt::Write;

use crate::{
    measure::Sample,
    peers::{FLOOR, Peer, REFERENCE},
    results::{Entry, Results, ScenarioResults},
    scenario::{SCENARIOS, Scenario, Shape},
};

/// A column: its head, and what stands there for an entry.
struct Column {
    head: String,
    cell: Box<dyn Fn(&Sample) -> String>,
}

/// The whole report.
pub(crate) fn render(results: &Results) -> String {
    let mut out = String::new();
    let machine = &results.machine;
    let _ = writeln!(
        out,
        "{}, {} cores, Linux {}, {}, load {:.2} at the start\nmedians of {} rounds of {} s; server and generator on a core each; \
         payloads of 128 bytes",
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.date,
        machine.load_average,
        results.rounds,
        results.seconds
    );
    for scenario in &results.scenarios {
        let _ = writeln!(out, "\n{}: {}", scenario.name, scenario.about);
        out.push_str(&scenario_table(scenario));
    }
    let _ = writeln!(out, "\n* does not count, for the reason beside it");
    for (name, info) in &results.peers {
        let _ =
            writeln!(out, "{name}: {} {} ({}); {}", info.title, info.version, info.package, info.settings);
    }
    out
}

/// Peers and scenarios, for `list`.
pub(crate) fn list(peers: &[Peer]) -> String {
    let mut rows = vec![vec!["peer".to_owned(), "protocol".to_owned(), "package, settings".to_owned()]];
    rows.extend(peers.iter().map(|it| {
        vec![
            it.name.clone(),
            format!("{:?}", it.protocol).to_lowercase(),
            format!("{}; {}", it.package, it.settings),
        ]
    }));
    let mut out = aligned(&rows, 3);
    out.push('\n');
    let mut rows = vec![vec!["scenario".to_owned(), "about".to_owned()]];
    rows.extend(SCENARIOS.iter().map(|it| vec![it.name.to_owned(), it.about.to_owned()]));
    out.push_str(&aligned(&rows, 2));
    out
}

fn scenario_table(results: &ScenarioResults) -> String {
    let figure = figure_of(&results.name);
    // The best that counts; the floor is no peer.
    let better = |a: f64, b: f64| if figure.more_is_better { a.max(b) } else { a.min(b) };
    let countable = results.entries.iter().filter(|it| it.peer != FLOOR && !it.peer.starts_with("ringway"));
    let best = countable.filter_map(Entry::counting).map(figure.of).reduce(better);
    let reference = results.entries.iter().find(|it| it.peer == REFERENCE);
    let reference = reference.and_then(|it| it.median.as_ref()).map(figure.of);

    let columns = columns(&results.name, &results.unit);
    let mut head = vec!["peer".to_owned(), String::new()];
    head.push(figure.head.to_owned());
    head.extend(["× uWS.js".to_owned(), "× best peer".to_owned()]);
    head.extend(columns.iter().map(|it| it.head.clone()));
    let mut rows = vec![head];
    let mut entries: Vec<&Entry> = results.entries.iter().collect();
    let key = |it: &Entry| it.median.as_ref().map_or(f64::INFINITY, figure.of);
    entries.sort_by(|a, b| {
        let order = key(a).total_cmp(&key(b));
        if figure.more_is_better { order.reverse() } else { order }
    });
    for entry in entries {
        let mark = if entry.objections.is_empty() { "" } else { "*" };
        let mut row = vec![entry.peer.clone(), mark.to_owned()];
        if let Some(median) = &entry.median {
            let value = (figure.of)(median);
            row.push((figure.show)(value));
            row.extend(
                [reference, best].map(|it| it.map_or("–".to_owned(), |it| format!("{:.2}", value / it))),
            );
            row.extend(columns.iter().map(|it| (it.cell)(median)));
        }
        row.push(reasons(entry));
        rows.push(row);
    }
    aligned(&rows, 1)
}

/// What a scenario is about.
struct Figure {
    head: &'static str,
    of: fn(&Sample) -> f64,
    show: fn(f64) -> String,
    more_is_better: bool,
}

fn figure_of(scenario: &str) -> Figure {
    let cpu = |head| Figure {
        head,
        of: |it| it.cpu_us_per_unit,
        show: |it| format!("{it:.3}"),
        more_is_better: false,
    };
    match Scenario::named(scenario).map(|it| it.shape) {
        Some(Shape::Idle(_)) => Figure {
            head: "B/connection",
            of: Sample::bytes_per_connection,
            show: |it| grouped(it as i64),
            more_is_better: false,
        },
        Some(Shape::Ladder(_)) => Figure {
            head: "messages/s",
            of: |it| f64::from(it.messages_per_s),
            show: |it| grouped(it as i64),
            more_is_better: true,
        },
        Some(Shape::Echo(..)) => cpu("CPU µs/round trip"),
        Some(Shape::Storm(..)) => cpu("CPU µs/connection"),
        Some(Shape::FanOut(..)) | None => cpu("CPU µs/delivery"),
    }
}

fn columns(scenario: &str, unit: &str) -> Vec<Column> {
    let column = |head: &str, cell: Box<dyn Fn(&Sample) -> String>| Column { head: head.to_owned(), cell };
    let latency = |head: &str, of: fn(&Sample) -> f64| {
        column(&format!("{head} ms"), Box::new(move |it| format!("{:.2}", of(it) / 1e3)))
    };
    let rss = || column("RSS MB", Box::new(|it| format!("{:.1}", it.rss_held_bytes as f64 / 1e6)));
    let per_connection = || column("B/connection", Box::new(|it| grouped(it.bytes_per_connection() as i64)));
    let server = || column("server %", Box::new(|it| format!("{:.1}", it.server_share * 100.0)));
    let plural = match unit {
        "delivery" => "deliveries/s".to_owned(),
        other => format!("{other}s/s"),
    };
    if matches!(Scenario::named(scenario).map(|it| it.shape), Some(Shape::Idle(_))) {
        return vec![
            rss(),
            column("empty MB", Box::new(|it| format!("{:.1}", it.rss_before_bytes as f64 / 1e6))),
            server(),
        ];
    }
    vec![
        latency("p50", |it| it.latency.p50_us),
        latency("p99", |it| it.latency.p99_us),
        latency("p99.9", |it| it.latency.p99_9_us),
        column(&plural, Box::new(|it| grouped(it.units_per_s.round() as i64))),
        per_connection(),
        server(),
        column("generator %", Box::new(|it| format!("{:.1}", it.generator_share * 100.0))),
    ]
}

/// Why it does not count, why rounds failed, what limited.
fn reasons(entry: &Entry) -> String {
    let errors = entry.errors.first().map(|it| it.lines().next().unwrap_or_default().to_owned());
    let limit = entry.median.as_ref().map(|it| it.limit.clone()).filter(|it| !it.is_empty());
    let all: Vec<String> = entry.objections.iter().cloned().chain(errors).chain(limit).collect();
    all.join("; ")
}

/// Columns as wide as they need; the first `left` and the last lean left.
fn aligned(rows: &[Vec<String>], left: usize) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| rows.iter().filter_map(|it| it.get(at)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or_default()).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            if at < left || at + 1 == count {
                let _ = write!(line, "{cell:<width$}  ");
            } else {
                let _ = write!(line, "{cell:>width$}  ");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// With commas between thousands.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
