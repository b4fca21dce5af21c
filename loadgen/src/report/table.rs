//! The result as a person reads it: aligned text, the verdict last. It has 100 columns at most, or 80 for a narrow terminal.
//!
//! Owns no figure: all are the summary's. Groups that say nothing (rooms without joins, servers that were not measured, phases
//! of a run that has only one measured) are left out.

use std::fmt::Write;

use crate::{
    figures::summary::{Count, Phase, Server, Summary, Thread, Times},
    report::format,
};

/// What a table has where nothing narrower is asked for.
pub(crate) const WIDTH_MAX: usize = 100;
const CONNS_TO_DIVIDE_BY: u32 = 5_000;
/// Where words stand behind a label.
const WORDS_AT: usize = 13;
/// Behind a phase's name stand parentheses and a mark, behind both its length.
const PHASE_WIDTH: usize = 9;
const ROOM_WIDTH: usize = 11;
/// What was not measured.
const NONE: &str = "–";

/// Text on its way to being aligned.
struct Sheet {
    text: String,
    width: usize,
    /// Of what stands first in a row, and of each number after it.
    label_width: usize,
    cell_width: usize,
}

impl Sheet {
    fn new(width: usize) -> Self {
        // The narrow one has 80 columns, too, with a label, seven cells, and a blank before each.
        let (width, label_width, cell_width) =
            if width < WIDTH_MAX { (80, 10, 9) } else { (WIDTH_MAX, 13, 11) };
        Self { text: String::new(), width, label_width, cell_width }
    }
}

impl Write for Sheet {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.text.write_str(text)
    }
}

/// The whole report for so many columns, with a line feed at the end.
pub(crate) fn render(summary: &Summary, width: usize) -> String {
    let mut out = Sheet::new(width);
    // Writing to a String cannot fail.
    let _ = write_report(&mut out, summary);
    out.text
}

fn write_report(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    write_heading(out, summary)?;
    write_totals(out, summary)?;
    write_latency(out, summary)?;
    write_phases(out, summary)?;
    write_resources(out, summary)?;
    write_worst(out, summary)?;
    write_reasons(out, summary)?;
    write_slos(out, summary)?;
    write_verdict(out, summary)
}

/// Whether anybody was to publish.
fn publishes(summary: &Summary) -> bool {
    summary.publications.sent + summary.publications.withheld + summary.publications.unsent > 0
}

fn write_heading(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    let Summary { load, target, .. } = summary;
    writeln!(out)?;
    let urls = match target.urls.as_slice() {
        [] => "no target".to_owned(),
        [url] => url.clone(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    };
    write_wrapped(
        out,
        "",
        &format!("{} on {urls} ({}), tokens {}", load.scenario, target.protocol, target.tokens),
    )?;
    write!(out, "{}", format::number(load.connections, "connection", "connections"))?;
    if load.rooms > 0 {
        write!(out, " in {}", format::number(load.rooms, "room", "rooms"))?;
    }
    if load.agents > 1 {
        write!(out, ", from {} agents", load.agents)?;
    }
    writeln!(out, ", seed {}", load.seed)?;
    let width = load.roles.iter().map(|role| role.name.chars().count()).max().unwrap_or(0).min(30);
    for role in &load.roles {
        let share = format!("{:.4}", role.share * 100.0);
        let share = share.trim_end_matches('0').trim_end_matches('.');
        let label = format!("  {:width$} {share:>5} %  ", role.name);
        write_wrapped(out, &label, &role.does)?;
    }
    Ok(())
}

fn write_totals(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    let Summary { connections, publications, deliveries, .. } = summary;
    writeln!(out)?;
    let mut columns = vec![
        ("opened", connections.opened),
        ("failed", connections.failed),
        ("dropped", connections.dropped),
        ("most open", connections.open_max),
    ];
    if connections.missing > 0 {
        columns.push(("not back", connections.missing));
    }
    if connections.left > 0 {
        columns.extend([("left", connections.left), ("returned", connections.returned)]);
    }
    write_counts(out, "connections", &columns)?;
    write_expected(out, summary)?;
    if !publishes(summary) {
        return Ok(());
    }

    writeln!(out)?;
    let mut columns = vec![("sent", publications.sent)];
    if publications.acked + publications.refused + publications.unacked > 0 {
        columns.extend([
            ("acked", publications.acked),
            ("refused", publications.refused),
            ("unacked", publications.unacked),
        ]);
    }
    columns.push(("withheld", publications.withheld));
    if publications.unsent > 0 {
        columns.push(("unsent", publications.unsent));
    }
    if publications.presence_changed > 0 {
        columns.push(("presence", publications.presence_changed));
    }
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
    let rare = [("excused", deliveries.excused), ("silent", deliveries.silent)];
    let rare: Vec<(&str, u64)> = rare.into_iter().filter(|(_, count)| *count > 0).collect();
    if rare.is_empty() { Ok(()) } else { write_counts(out, "", &rare) }
}

/// What of the connections' troubles is no problem, as its phase is about it.
fn write_expected(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    let [failed, dropped] = [Count::Failed, Count::Dropped].map(|count| summary.expected_disconnects(count));
    if failed + dropped == 0 {
        return Ok(());
    }
    let phases = summary.phases.iter().filter(|phase| phase.disconnects_expected);
    let phases: Vec<&str> = phases.map(|phase| phase.name.as_str()).collect();
    let text = format!(
        "of these expected in {}: {} failed, {} dropped",
        phases.join(", "),
        format::count(failed),
        format::count(dropped)
    );
    write_labelled(out, "", &text)
}

fn write_latency(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    let latency = &summary.latency;
    writeln!(out)?;
    write_row(out, "latency", ["p50", "p90", "p99", "p99.9", "max", "samples"].map(str::to_owned))?;
    let rows = [
        ("  delivery", &latency.delivery, publishes(summary)),
        ("  connect", &latency.connect, true),
        ("  join", &latency.join, latency.join.samples > 0),
        ("  ack", &latency.ack, latency.ack.samples > 0),
        ("  outage", &latency.outage, latency.outage.samples > 0),
        ("  send lag", &latency.lag, publishes(summary)),
    ];
    for (label, times, _) in rows.into_iter().filter(|(.., shown)| *shown) {
        write_times(out, label, times)?;
    }
    Ok(())
}

/// Each phase, when there is more than a ramp and a steady one.
fn write_phases(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    writeln!(out)?;
    if summary.phases.len() > 2 {
        let names = ["length", "sent", "delivered", "p50", "p99", "max", "errors"];
        write_row(out, "phases", names.map(str::to_owned))?;
        for phase in &summary.phases {
            write_phase(out, phase)?;
        }
        let any = |of: fn(&Phase) -> bool| summary.phases.iter().any(of);
        let notes = [
            (any(|phase| !phase.measured), "(…) not in the totals"),
            (any(|phase| phase.counts.delivered == 0), "without deliveries: times of connects"),
            (any(|phase| !phase.limited.is_empty()), "* generator limited"),
        ];
        let notes: Vec<&str> = notes.into_iter().filter(|(told, _)| *told).map(|(_, note)| note).collect();
        if !notes.is_empty() {
            let label = " ".repeat(out.label_width + 1);
            write_wrapped(out, &label, &notes.join("; "))?;
        }
        writeln!(out)?;
    }
    if publishes(summary) {
        let throughput = summary.throughput;
        let text = format!(
            "{} deliveries/s from {} messages/s, over {}",
            format::rate(throughput.delivered_per_s.round()),
            format::rate(throughput.sent_per_s),
            format::micros(throughput.measured_s * 1e6)
        );
        write_labelled(out, "throughput", &text)?;
    }
    Ok(())
}

fn write_phase(out: &mut Sheet, phase: &Phase) -> std::fmt::Result {
    let counts = &phase.counts;
    let name: String = phase.name.chars().take(PHASE_WIDTH).collect();
    let name = if phase.measured { name } else { format!("({name})") };
    let mark = if phase.limited.is_empty() { "" } else { "*" };
    let per_s = |per_s: f64| format!("{}/s", format::rate(per_s));
    // A ramp has its connects.
    let times = if counts.delivered == 0 { &phase.latency.connect } else { &phase.latency.delivery };
    let cells = [
        format::micros(phase.length_s() * 1e6),
        per_s(phase.throughput.sent_per_s),
        per_s(phase.throughput.delivered_per_s.round()),
        micros(times.p50_us),
        micros(times.p99_us),
        micros(times.max_us),
        format::count(phase.errors()),
    ];
    write_row(out, &format!("  {name}{mark}"), cells)
}

fn write_resources(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    if let Some(server) = summary.server.as_ref().filter(|server| !server.samples.is_empty()) {
        write_server(out, server)?;
    }
    let generator = &summary.generator;
    let mut text = String::new();
    if generator.threads.iter().any(|thread| thread.cpu_ratio.is_some()) {
        let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
        let cpu = generator.threads.iter().map(|it| it.cpu_ratio.map_or_else(|| NONE.to_owned(), percent));
        let _ = write!(text, "CPU {} of a core, ", cpu.collect::<Vec<_>>().join(" + "));
    }
    let memory_bytes: u64 = generator.agents.iter().map(|agent| agent.memory_bytes).sum();
    let _ = write!(text, "{} resident", format::bytes(memory_bytes));
    // With fewer, what every run needs would drown what a connection needs.
    if summary.load.connections >= CONNS_TO_DIVIDE_BY {
        let per_conn = memory_bytes / u64::from(summary.load.connections);
        let _ = write!(text, " ({} a connection)", format::bytes(per_conn));
    }
    write_labelled(out, "generator", &text)?;
    let worst_us = |of: fn(&Thread) -> f64| generator.threads.iter().map(of).fold(0.0, f64::max);
    let (p99_us, max_us) = (worst_us(|it| it.read_lag_p99_us), worst_us(|it| it.read_lag_max_us));
    // Results of earlier versions have none.
    if max_us > 0.0 {
        let (p99, max) = (format::micros(p99_us), format::micros(max_us));
        write_labelled(out, "", &format!("read lag p99 {p99}, max {max}"))?;
    }
    Ok(())
}

fn write_server(out: &mut Sheet, server: &Server) -> std::fmt::Result {
    let mut text = format!("CPU {}", format::micros(server.cpu_s * 1e6));
    if let Some(us) = server.cpu_per_delivery_us {
        let _ = write!(text, " ({} a delivery)", format::micros(us));
    }
    let bytes = format::bytes;
    let _ = write!(
        text,
        ", memory {} to {} at most, {} at the end",
        bytes(server.memory_start_bytes),
        bytes(server.memory_peak_bytes),
        bytes(server.memory_end_bytes)
    );
    if let Some(per_conn) = server.memory_per_conn_bytes {
        let _ = write!(text, " ({} a connection)", bytes(per_conn as u64));
    }
    let _ = write!(text, "; {}", server.source);
    write_labelled(out, "server", &text)
}

fn write_worst(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    if summary.worst_streams.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let names = ["publisher", "sent", "lost", "duplicated", "reordered", "corrupt", "misrouted"];
    write_row(out, "worst streams", names.map(str::to_owned))?;
    for stream in &summary.worst_streams {
        let trouble = &stream.trouble;
        let counts = [
            stream.sent,
            trouble.lost,
            trouble.duplicated,
            trouble.reordered,
            trouble.corrupt,
            trouble.misrouted,
        ];
        let room: String = stream.room.chars().take(ROOM_WIDTH).collect();
        let cells = [format!("#{}", stream.publisher)].into_iter().chain(counts.map(format::count));
        write_row(out, &format!("  {room}"), cells)?;
    }
    Ok(())
}

fn write_reasons(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    let reasons = [
        ("failed", &summary.connections.failures),
        ("dropped", &summary.connections.drops),
        ("refused", &summary.publications.refusals),
    ];
    if reasons.iter().any(|(_, reasons)| !reasons.ranked().is_empty()) {
        writeln!(out)?;
    }
    for (label, reasons) in reasons {
        for (reason, count) in reasons.ranked() {
            write_labelled(out, label, &format!("{} × {reason}", format::count(count)))?;
            if let Some(hint) = hint(reason, &summary.target.tokens) {
                write_labelled(out, "", &hint)?;
            }
        }
    }
    Ok(())
}

/// What to look at, where a reason has a usual cause on this side.
fn hint(reason: &str, tokens: &str) -> Option<String> {
    match reason.strip_prefix("HTTP ")?.split(' ').next()? {
        "401" | "403" => Some(format!("(the target does not take these tokens: {tokens})")),
        "404" => Some("(there is nothing at this path: see --url and --protocol)".to_owned()),
        _ => None,
    }
}

fn write_slos(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    if summary.slos.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let width = summary.slos.iter().map(|slo| slo.slo.chars().count()).max().unwrap_or(0).min(50);
    for slo in &summary.slos {
        let verdict = if slo.held { "held" } else { "BROKEN" };
        let limited = if slo.limited { "   (generator limited)" } else { "" };
        writeln!(
            out,
            "{:WORDS_AT$}{:width$}   {:>12}{limited}",
            format!("SLO {verdict}"),
            slo.slo,
            slo.shown
        )?;
    }
    Ok(())
}

fn write_verdict(out: &mut Sheet, summary: &Summary) -> std::fmt::Result {
    writeln!(out)?;
    for limited in &summary.generator.limited {
        write_wrapped(out, "Generator limited: ", limited)?;
    }
    for warning in &summary.warnings {
        write_wrapped(out, "Warning: ", warning)?;
    }
    for problem in &summary.problems {
        write_wrapped(out, "FAILED: ", problem)?;
    }
    let broken = summary.slos.iter().filter(|slo| !slo.held).count();
    if broken > 0 {
        writeln!(out, "FAILED: {broken} of {} SLOs broken", summary.slos.len())?;
    }
    if !summary.passed {
        return Ok(());
    }
    let slos = match summary.slos.len() {
        0 => String::new(),
        1 => ", and the SLO held".to_owned(),
        2 => ", and both SLOs held".to_owned(),
        all => format!(", and all {all} SLOs held"),
    };
    // An SLO that held may have excused what else would be wrong: then the sentence would not be true.
    let clean = Count::ALL.iter().all(|count| summary.count(*count) == 0);
    match (publishes(summary), clean) {
        (true, true) => writeln!(out, "PASSED: every delivery arrived once, in order and unharmed{slos}."),
        (false, true) => writeln!(out, "PASSED: every connection held{slos}."),
        (_, false) => writeln!(out, "PASSED: nothing but what was allowed went wrong{slos}."),
    }
}

fn write_counts(out: &mut Sheet, label: &str, columns: &[(&str, u64)]) -> std::fmt::Result {
    write_row(out, label, columns.iter().map(|(name, _)| (*name).to_owned()))?;
    write_row(out, "", columns.iter().map(|(_, count)| format::count(*count)))
}

fn write_times(out: &mut Sheet, label: &str, of: &Times) -> std::fmt::Result {
    let times = [of.p50_us, of.p90_us, of.p99_us, of.p99_9_us, of.max_us];
    write_row(out, label, times.map(micros).into_iter().chain([format::count(of.samples)]))
}

fn micros(us: Option<f64>) -> String {
    us.map_or_else(|| NONE.to_owned(), format::micros)
}

fn write_row(out: &mut Sheet, label: &str, cells: impl IntoIterator<Item = String>) -> std::fmt::Result {
    let Sheet { label_width, cell_width, .. } = *out;
    // A label that is too long takes room of the first cell.
    let mut end = label_width;
    let mut at = label.chars().count();
    write!(out, "{label}")?;
    for cell in cells {
        end += cell_width + 1;
        let room = end.saturating_sub(at + 1);
        write!(out, " {cell:>room$}")?;
        at += 1 + room.max(cell.chars().count());
    }
    writeln!(out)
}

/// Words behind a label.
fn write_labelled(out: &mut Sheet, label: &str, text: &str) -> std::fmt::Result {
    write_wrapped(out, &format!("{label:WORDS_AT$}"), text)
}

/// Breaks lines between words; further lines begin under the first word.
fn write_wrapped(out: &mut Sheet, label: &str, text: &str) -> std::fmt::Result {
    let indent = label.chars().count();
    let mut line = label.to_owned();
    let mut width = indent;
    for word in text.split_whitespace() {
        let wide = word.chars().count();
        if width > indent && width + wide + 1 > out.width {
            writeln!(out, "{line}")?;
            line = " ".repeat(indent);
            width = indent;
        }
        if width > indent {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += wide;
    }
    writeln!(out, "{line}")
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
