//! The result as a person reads it: aligned text of 100 columns at most, the verdict last.

use std::fmt::Write;

use crate::{figures::latency::Percentiles, figures::summary_one::Summary, report::format};

const LABEL_WIDTH: usize = 13;
const CELL_WIDTH: usize = 11;
const CONNS_TO_DIVIDE_BY: u32 = 5_000;

/// The whole report, with a line feed at the end.
pub(crate) fn render(summary: &Summary) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut out, summary);
    out
}

fn write_report(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let Summary { load, connections, publications, deliveries, latency, throughput, generator, .. } = summary;
    let (publishes, joins) = (load.mode != "idle", load.mode != "echo");
    writeln!(out)?;
    write_heading(out, summary)?;

    writeln!(out)?;
    let mut columns = vec![
        ("opened", connections.opened),
        ("failed", connections.failed),
        ("dropped", connections.dropped),
    ];
    if load.mode == "churn" {
        columns.extend([("left", connections.left), ("returned", connections.returned)]);
    }
    write_counts(out, "connections", &columns)?;

    if publishes {
        writeln!(out)?;
        let mut columns = vec![("sent", publications.sent)];
        if joins {
            columns.extend([
                ("acked", publications.acked),
                ("refused", publications.refused),
                ("unacked", publications.unacked),
            ]);
        }
        columns.push(("withheld", publications.withheld));
        write_counts(out, "messages", &columns)?;

        writeln!(out)?;
        let columns = [
            ("expected", deliveries.expected),
            ("delivered", deliveries.delivered),
            ("lost", deliveries.lost),
            ("duplicated", deliveries.duplicated),
            ("reordered", deliveries.reordered),
            ("corrupt", deliveries.corrupt),
            ("misrouted", deliveries.misrouted),
        ];
        write_counts(out, "deliveries", &columns)?;
    }

    writeln!(out)?;
    write_row(out, "latency", ["p50", "p90", "p99", "p99.9", "max", "samples"].map(str::to_owned))?;
    if publishes {
        write_percentiles(out, "  delivery", &latency.delivery)?;
    }
    write_percentiles(out, "  connect", &latency.connect)?;
    if joins {
        write_percentiles(out, "  join", &latency.join)?;
    }
    if publishes {
        write_percentiles(out, "  send lag", &generator.scheduling_lag)?;
    }

    writeln!(out)?;
    if publishes {
        writeln!(
            out,
            "{:LABEL_WIDTH$}{} deliveries/s from {} messages/s, over {}",
            "throughput",
            format::rate(throughput.delivered_per_s.round()),
            format::rate(throughput.published_per_s),
            format::duration(throughput.measured())
        )?;
    }
    write_generator(out, summary)?;
    write_verdict(out, summary)
}

fn write_heading(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let load = &summary.load;
    writeln!(out, "{} on {}, tokens {}", load.mode, summary.target, summary.tokens)?;
    write!(out, "{} connections", format::count(load.conns.into()))?;
    if load.mode != "echo" {
        write!(out, " in {} {}", format::count(load.rooms.into()), plural(load.rooms, "room", "rooms"))?;
    }
    if load.mode != "idle" {
        write!(
            out,
            ", {} {}, {} messages/s of {} B, {} arrivals, seed {}",
            format::count(load.publishers.into()),
            plural(load.publishers, "publisher", "publishers"),
            format::rate(load.rate_per_s),
            format::count(load.payload_bytes as u64),
            load.arrivals,
            load.seed
        )?;
    }
    writeln!(out)
}

fn write_generator(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let generator = &summary.generator;
    let cpu: Vec<String> =
        generator.cpu_ratios.iter().map(|ratio| format!("{:.0} %", ratio * 100.0)).collect();
    write!(
        out,
        "{:LABEL_WIDTH$}CPU {} of a core, {} resident",
        "generator",
        cpu.join(" + "),
        format::bytes(generator.memory_bytes)
    )?;
    // With fewer, what every run needs would drown what a connection needs.
    if summary.load.conns >= CONNS_TO_DIVIDE_BY {
        let per_conn = generator.memory_bytes / u64::from(summary.load.conns);
        write!(out, " ({} a connection)", format::bytes(per_conn))?;
    }
    writeln!(out)
}

fn write_verdict(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let reasons = [
        ("failed", &summary.connections.failures),
        ("dropped", &summary.connections.drops),
        ("refused", &summary.publications.refusals),
    ];
    for (label, reasons) in reasons {
        for (reason, count) in reasons.ranked() {
            writeln!(out, "{label:LABEL_WIDTH$}{} × {reason}", format::count(count))?;
        }
    }
    writeln!(out)?;
    for warning in &summary.warnings {
        writeln!(out, "Warning: {warning}")?;
    }
    for problem in &summary.problems {
        writeln!(out, "FAILED: {problem}")?;
    }
    if !summary.passed {
        return Ok(());
    }
    match summary.load.mode {
        "idle" => writeln!(out, "PASSED: every connection held."),
        "echo" => writeln!(out, "PASSED: every message came back once, in order and unharmed."),
        _ => writeln!(out, "PASSED: every delivery arrived once, in order and unharmed."),
    }
}

fn write_counts(out: &mut String, label: &str, columns: &[(&str, u64)]) -> std::fmt::Result {
    write_row(out, label, columns.iter().map(|(name, _)| (*name).to_owned()))?;
    write_row(out, "", columns.iter().map(|(_, count)| format::count(*count)))
}

fn write_percentiles(out: &mut String, label: &str, of: &Percentiles) -> std::fmt::Result {
    let times = [of.p50_us, of.p90_us, of.p99_us, of.p99_9_us, of.max_us];
    let shown = |us: &f64| if of.samples == 0 { "–".to_owned() } else { format::micros(*us) };
    write_row(out, label, times.iter().map(shown).chain([format::count(of.samples)]))
}

fn write_row(out: &mut String, label: &str, cells: impl IntoIterator<Item = String>) -> std::fmt::Result {
    write!(out, "{label:LABEL_WIDTH$}")?;
    for cell in cells {
        write!(out, " {cell:>CELL_WIDTH$}")?;
    }
    writeln!(out)
}

fn plural<'t>(count: u32, one: &'t str, many: &'t str) -> &'t str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
#[path = "table_one_tests.rs"]
mod tests;
