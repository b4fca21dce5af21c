//! Results as a person reads them: one aligned table for each scenario, ratios against the reference and the best.

use std::fmt::Write;

use crate::{
    figures::{Figure, Yardsticks},
    ladder::{Rung, Verdict},
    measure::Sample,
    peers::Peer,
    results::{Entry, Results, ScenarioResults, median},
    scenario::{SCENARIOS, Scenario, Shape},
    text::{aligned, grouped, millis, percent},
};

const NOTHING: &str = "–";
/// Of what a server said last; all of it stands in the results.
const REMARK_CHARS_MAX: usize = 160;

/// The whole report.
pub(crate) fn render(results: &Results) -> String {
    let mut out = heading(results);
    for scenario in &results.scenarios {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{}: {}", scenario.name, scenario.about);
        out.push_str(&scenario_table(results, scenario));
        out.push_str(&rungs_table(scenario));
    }
    out.push_str("\n* does not count: the reason stands at the end of the line\n");
    let rows = results
        .peers
        .iter()
        .map(|(name, it)| vec![name.clone(), it.version.clone(), format!("{}; {}", it.package, it.settings)]);
    out.push_str(&aligned(&rows.collect::<Vec<_>>(), 3));
    out
}

/// Peers and scenarios, for `list`.
pub(crate) fn list(peers: &[Peer]) -> String {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![row(["peer", "protocol", "what it is"])];
    rows.extend(peers.iter().map(|it| {
        let protocol = format!("{:?}", it.protocol).to_lowercase();
        row([&it.name, &protocol, &format!("{} ({}); {}", it.title, it.package, it.settings)])
    }));
    let mut out = aligned(&rows, 3);
    out.push('\n');
    let mut rows = vec![row(["scenario", "what it is", ""])];
    rows.extend(SCENARIOS.iter().map(|it| row([it.name, it.about, ""])));
    out.push_str(&aligned(&rows, 3));
    out
}

fn heading(results: &Results) -> String {
    let machine = &results.machine;
    format!(
        "{}, {} cores, {:.0} GB, Linux {}, {}, load average {:.2} at the start\n\
         Medians of {} interleaved rounds of {} s. Server and generator on a core each; payloads of 128 bytes.\n",
        machine.cpu,
        machine.cores,
        machine.memory_bytes as f64 / 1e9,
        machine.kernel,
        machine.date,
        machine.load_average,
        results.rounds,
        results.seconds
    )
}

fn scenario_table(results: &Results, scenario: &ScenarioResults) -> String {
    let figure = Figure::of_scenario(&scenario.name);
    let yardsticks = Yardsticks::of(results, scenario, figure);
    let has_latency = !matches!(Scenario::named(&scenario.name).map(|it| it.shape), Some(Shape::Idle(_)));
    let mut head = vec!["peer", "", figure.head, "× uWS.js", "× best", "× floor"];
    if has_latency {
        head.extend(["p50 ms", "p99 ms", "× best", "p99.9 ms", "units/s", "B/connection"]);
    } else {
        head.extend(["RSS MB", "empty MB"]);
    }
    head.extend(["server %", "generator %"]);
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for entry in figure.rank(&scenario.entries) {
        let mark = if entry.objections.is_empty() { "" } else { "*" };
        let mut row = vec![entry.peer.clone(), mark.to_owned()];
        match &entry.median {
            Some(median) => row.extend(cells(median, figure, yardsticks, has_latency)),
            None => row.resize(rows[0].len(), NOTHING.to_owned()),
        }
        row.push(remarks(entry));
        rows.push(row);
    }
    aligned(&rows, 2)
}

/// Of a ladder, what became of each step.
fn rungs_table(scenario: &ScenarioResults) -> String {
    let rungs = |entry: &Entry| entry.rungs.len();
    let Some(highest) = scenario.entries.iter().max_by_key(|it| rungs(it)).filter(|it| rungs(it) > 0) else {
        return String::new();
    };
    let mut head = vec!["p99 ms (generator %)".to_owned()];
    head.extend(highest.rungs.iter().map(|it| format!("{}/s", grouped(f64::from(it.messages_per_s)))));
    let rows = scenario.entries.iter().map(|entry| {
        let name = std::iter::once(entry.peer.clone());
        name.chain(entry.rungs.iter().map(rung_cell)).collect::<Vec<_>>()
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    format!("\n{}b broken: late, lost or gone; g generator-limited\n", aligned(&rows, 1))
}

fn rung_cell(rung: &Rung) -> String {
    let mark = match rung.verdict {
        Verdict::Held => " ",
        Verdict::Broken => "b",
        Verdict::GeneratorLimited => "g",
    };
    match median(&rung.samples) {
        Some(it) => format!("{} ({:.0}) {mark}", millis(it.latency.p99_us), it.generator_share * 100.0),
        None => format!("{NOTHING} {mark}"),
    }
}

fn cells(median: &Sample, figure: Figure, yardsticks: Yardsticks, has_latency: bool) -> Vec<String> {
    let value = (figure.of)(median);
    let ratio =
        |value: f64, to: Option<f64>| to.map_or(NOTHING.to_owned(), |it| format!("{:.2}", value / it));
    let mut cells = vec![(figure.show)(value)];
    cells.extend([yardsticks.reference, yardsticks.best, yardsticks.floor].map(|it| ratio(value, it)));
    if has_latency {
        let latency = &median.latency;
        let time = |us| if latency.samples == 0 { NOTHING.to_owned() } else { millis(us) };
        cells.extend([
            time(latency.p50_us),
            time(latency.p99_us),
            ratio(latency.p99_us, yardsticks.best_p99_us.filter(|_| latency.samples > 0)),
            time(latency.p99_9_us),
            grouped(median.units_per_s),
            grouped(median.bytes_per_connection()),
        ]);
    } else {
        cells.extend(
            [median.rss_held_bytes, median.rss_before_bytes].map(|it| format!("{:.1}", it as f64 / 1e6)),
        );
    }
    cells.extend([median.server_share, median.generator_share].map(percent));
    cells
}

/// Why it does not count, why rounds failed, what limited.
fn remarks(entry: &Entry) -> String {
    let error = entry.errors.first().map(|it| it.replace('\n', " ").chars().take(REMARK_CHARS_MAX).collect());
    let remark = entry.median.as_ref().map(|it| it.remark.clone()).filter(|it| !it.is_empty());
    let all: Vec<String> = entry.objections.iter().cloned().chain(error).chain(remark).collect();
    all.join("; ")
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
