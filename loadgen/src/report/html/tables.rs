//! The figures of a result as tables. A table without rows is not there.

use crate::{
    figures::{
        reasons::Reasons,
        summary::{Count, PhaseName, SloVerdict, Summary, Times},
    },
    report::{
        format,
        html::markup::{Cell, Table},
    },
};

/// What was promised, and what came of it.
pub(crate) fn slos(summary: &Summary) -> Table {
    let mut table = Table::new(
        "What was promised, and what was measured",
        &["objective", "#limit", "#measured", "verdict"],
    );
    for SloVerdict { slo, held, shown, limited, .. } in &summary.slos {
        let split = slo.find(['<', '>', '=']).unwrap_or(slo.len());
        let (metric, limit) = slo.split_at(split);
        let verdict = match (held, limited) {
            (true, false) => Cell::Good("held".to_owned()),
            (true, true) => Cell::Doubtful("held, generator-limited".to_owned()),
            (false, false) => Cell::Bad("broken".to_owned()),
            (false, true) => Cell::Bad("broken, generator-limited".to_owned()),
        };
        table.row(vec![metric.trim().into(), spaced(limit).into(), shown.as_str().into(), verdict]);
    }
    table
}

/// Percentiles by kind, of the whole run.
pub(crate) fn latency(summary: &Summary) -> Table {
    let titles =
        ["what", "#p50", "#p90", "#p99", "#p99.9", "#p99.99", "#max", "#mean", "#samples", "from … to"];
    let mut table = Table::new("Percentiles of the whole run", &titles);
    let latency = &summary.latency;
    let from = if summary.load.closed { "sent" } else { "due" };
    let rows = [
        ("delivery", &latency.delivery, format!("{from} … received")),
        ("connect", &latency.connect, "due … upgraded".to_owned()),
        ("join", &latency.join, "asked … answered".to_owned()),
        ("ack", &latency.ack, format!("{from} … answered")),
        ("outage", &latency.outage, "ended by the target … in its rooms again".to_owned()),
        ("send lag", &latency.lag, "due … handed to the socket".to_owned()),
    ];
    for (name, times, span) in rows.into_iter().filter(|it| it.1.samples > 0) {
        let Times { p50_us, p90_us, p99_us, p99_9_us, p99_99_us, max_us, mean_us, samples, hdr: _ } = times;
        let figures = [p50_us, p90_us, p99_us, p99_9_us, p99_99_us, max_us, mean_us];
        let cells = figures.into_iter().map(|it| micros(*it));
        // In one line, however narrow the page is: rows are to be as high as their figures.
        let span = span.replace(' ', "\u{a0}");
        table.row([name.into()].into_iter().chain(cells).chain([count(*samples), span.into()]).collect());
    }
    table
}

/// What happened in each phase.
pub(crate) fn phases(summary: &Summary) -> Table {
    let titles = [
        "phase",
        "kind",
        "#from",
        "#length",
        "#opened",
        "#sent/s",
        "#delivered/s",
        "#p50",
        "#p99",
        "#max",
        "#errors",
        "#server CPU",
        "generator",
    ];
    let mut table = Table::new("What happened in each phase", &titles);
    for phase in &summary.phases {
        let length_s = (phase.end_s - phase.start_s).max(0.0);
        let mut kind = kind(phase.kind).to_owned();
        for (it_is, what) in
            [(!phase.measured, ", not measured"), (phase.disconnects_expected, ", disconnects expected")]
        {
            kind.push_str(if it_is { what } else { "" });
        }
        let rate = |per_s: f64| if per_s > 0.0 { format::rate(per_s).into() } else { Cell::Nothing };
        let cpu = phase.server_cpu_s.filter(|_| length_s > 0.0);
        let generator = match phase.limited.as_slice() {
            [] => Cell::Text("free".to_owned()),
            signs => Cell::Doubtful(format!("limited: {}", signs.join("; "))),
        };
        table.row(vec![
            phase.name.as_str().into(),
            kind.into(),
            seconds(phase.start_s).into(),
            seconds(length_s).into(),
            some(phase.counts.opened + phase.counts.returned),
            rate(phase.throughput.sent_per_s),
            rate(phase.throughput.delivered_per_s),
            micros(phase.latency.delivery.p50_us),
            micros(phase.latency.delivery.p99_us),
            micros(phase.latency.delivery.max_us),
            wrong(phase.errors()),
            cpu.map_or(Cell::Nothing, |it| format!("{:.0} %", it / length_s * 100.0).into()),
            generator,
        ]);
    }
    table
}

/// Where every delivery went.
pub(crate) fn deliveries(summary: &Summary) -> Table {
    let mut table = Table::new("Deliveries", &["kind", "#count", "#of those expected"]);
    let all = &summary.deliveries;
    let share = |value: u64| match all.expected {
        0 => Cell::Nothing,
        expected => share(value as f64 / expected as f64).into(),
    };
    if all.expected == 0 && all.delivered == 0 {
        return table;
    }
    table.row(vec!["expected".into(), count(all.expected), Cell::Nothing]);
    table.row(vec!["delivered".into(), count(all.delivered), share(all.delivered)]);
    let wrongs = [
        ("lost", all.lost),
        ("duplicated", all.duplicated),
        ("out of order", all.reordered),
        ("corrupt", all.corrupt),
        ("misrouted", all.misrouted),
        ("not to be delivered", all.unexpected),
    ];
    for (name, value) in wrongs {
        table.row(vec![name.into(), wrong(value), share(value)]);
    }
    if all.excused > 0 {
        table.row(vec!["excused".into(), Cell::Doubtful(format::count(all.excused)), share(all.excused)]);
    }
    if all.silent > 0 {
        table.row(vec!["members that heard nothing".into(), wrong(all.silent), Cell::Nothing]);
    }
    if all.foreign > 0 {
        table.row(vec!["of another run".into(), Cell::Doubtful(format::count(all.foreign)), Cell::Nothing]);
    }
    table
}

/// Connections and publications.
pub(crate) fn counts(summary: &Summary) -> Table {
    let mut table = Table::new("Connections and publications", &["kind", "#count"]);
    let (conns, messages) = (&summary.connections, &summary.publications);
    let mut add = |name: &str, value: u64, is_wrong: bool| {
        let cell = if is_wrong { wrong(value) } else { count(value) };
        table.row(vec![name.into(), cell]);
    };
    add("connections opened", conns.opened, false);
    add("at once", conns.open_max, false);
    // Those of a phase that is about just that are no trouble.
    for (name, kind) in [("failed", Count::Failed), ("dropped by the target", Count::Dropped)] {
        let expected = summary.expected_disconnects(kind);
        add(name, summary.count(kind).saturating_sub(expected), true);
        if expected > 0 {
            add(&format!("{name}, as expected"), expected, false);
        }
    }
    if conns.missing > 0 {
        add("not back at the end", conns.missing, true);
    }
    if conns.left + conns.returned > 0 {
        add("left as planned", conns.left, false);
        add("returned", conns.returned, false);
    }
    if messages.sent + messages.withheld + messages.unsent > 0 {
        add("publications sent", messages.sent, false);
        if messages.acked + messages.refused + messages.unacked > 0 {
            add("acked", messages.acked, false);
            add("refused", messages.refused, true);
            add("not answered", messages.unacked, true);
        }
        add("withheld", messages.withheld, true);
        if messages.unsent > 0 {
            add("due, never sent", messages.unsent, false);
        }
    }
    if messages.presence_changed > 0 {
        add("presence changes", messages.presence_changed, false);
    }
    table
}

/// The streams in which most went wrong.
pub(crate) fn worst(summary: &Summary) -> Table {
    let titles = [
        "publisher",
        "role",
        "room",
        "#sent",
        "#lost",
        "#duplicated",
        "#out of order",
        "#corrupt",
        "#misrouted",
        "#unexpected",
    ];
    let mut table = Table::new("Publishers with the most troubles", &titles);
    for stream in &summary.worst_streams {
        let it = &stream.trouble;
        let troubles = [it.lost, it.duplicated, it.reordered, it.corrupt, it.misrouted, it.unexpected];
        let names = [
            Cell::Text(format!("connection {}", format::count(stream.publisher.into()))),
            stream.role.as_str().into(),
            stream.room.as_str().into(),
            count(stream.sent),
        ];
        table.row(names.into_iter().chain(troubles.map(wrong)).collect());
    }
    table
}

/// Why connections and publications failed, in the target's words.
pub(crate) fn reasons(summary: &Summary) -> Table {
    let mut table = Table::new("Reasons", &["what", "why", "#count"]);
    let (conns, messages) = (&summary.connections, &summary.publications);
    let kinds: [(&str, &Reasons); 4] = [
        ("connection failed", &conns.failures),
        ("connection dropped", &conns.drops),
        ("publication refused", &messages.refusals),
        ("error of the target", &messages.faults),
    ];
    for (what, reasons) in kinds {
        for (why, times) in reasons.ranked() {
            table.row(vec![what.into(), why.into(), count(times)]);
        }
    }
    table
}

/// What the server needed.
pub(crate) fn server(summary: &Summary) -> Table {
    let Some(server) = &summary.server else { return Table::new("", &["", "#"]) };
    let mut table = Table::new(format!("Server ({})", server.source), &["what", "#figure"]);
    let mut add = |name: &str, value: Option<String>| {
        table.row(vec![name.into(), value.map_or(Cell::Nothing, Cell::Text)]);
    };
    add("CPU time", Some(format::micros(server.cpu_s * 1e6)));
    add("CPU per delivery, measured phases", server.cpu_per_delivery_us.map(format::micros));
    add("memory at the start", Some(format::bytes(server.memory_start_bytes)));
    add("memory at the peak", Some(format::bytes(server.memory_peak_bytes)));
    add("memory at the end", Some(format::bytes(server.memory_end_bytes)));
    let per_conn = server.memory_per_conn_bytes.filter(|it| *it >= 0.0);
    add("memory per connection (start to peak)", per_conn.map(|it| format::bytes(it as u64)));
    table
}

/// How this program fared.
pub(crate) fn generator(summary: &Summary) -> Table {
    let titles = [
        "thread",
        "#CPU of a core",
        "#send lag p99",
        "#most unsent",
        "#most unread",
        "#read lag p99",
        "#read lag max",
        "#memory of the process",
    ];
    let mut table = Table::new("Threads that made the load", &titles);
    let generator = &summary.generator;
    let mut last_agent = None;
    for thread in &generator.threads {
        let agent = generator.agents.get(thread.agent as usize);
        let name = match agent.filter(|_| generator.agents.len() > 1) {
            Some(agent) => format!("{}, thread {}", agent.name, thread.thread),
            None => format!("thread {}", thread.thread),
        };
        let is_first = last_agent.replace(thread.agent) != Some(thread.agent);
        let memory = agent.filter(|_| is_first).map(|it| format::bytes(it.memory_bytes));
        table.row(vec![
            name.into(),
            thread.cpu_ratio.map_or(Cell::Nothing, |it| format!("{:.0} %", it * 100.0).into()),
            format::micros(thread.lag_p99_us).into(),
            format::bytes(thread.unsent_bytes_max).into(),
            format::bytes(thread.unread_bytes_max).into(),
            format::micros(thread.read_lag_p99_us).into(),
            format::micros(thread.read_lag_max_us).into(),
            memory.map_or(Cell::Nothing, Cell::Text),
        ]);
    }
    table
}

/// Who the connections were.
pub(crate) fn roles(summary: &Summary) -> Table {
    let mut table = Table::new("Roles", &["role", "#share", "does"]);
    for role in &summary.load.roles {
        table.row(vec![role.name.as_str().into(), share(role.share).into(), role.does.as_str().into()]);
    }
    table
}

fn kind(kind: PhaseName) -> &'static str {
    match kind {
        PhaseName::Ramp => "ramp",
        PhaseName::Steady => "steady",
        PhaseName::Storm => "storm",
        PhaseName::Spike => "spike",
        PhaseName::Drain => "drain",
    }
}

fn count(value: u64) -> Cell {
    Cell::Text(format::count(value))
}

fn some(value: u64) -> Cell {
    if value == 0 { Cell::Nothing } else { count(value) }
}

/// 0 is good.
fn wrong(value: u64) -> Cell {
    if value == 0 { count(0) } else { Cell::Bad(format::count(value)) }
}

fn micros(us: Option<f64>) -> Cell {
    us.map_or(Cell::Nothing, |it| Cell::Text(format::micros(it)))
}

fn seconds(s: f64) -> String {
    if s == 0.0 { "0 s".to_owned() } else { format!("{s:.1} s") }
}

/// A percentage that shows of little that it is not nothing, and of almost all that it is not all.
fn share(of_one: f64) -> String {
    let percent = of_one * 100.0;
    if of_one == 0.0 || of_one == 1.0 || of_one > 1.0 {
        format!("{percent:.0} %")
    } else if percent < 0.001 {
        "< 0.001 %".to_owned()
    } else if percent > 99.999 {
        "> 99.999 %".to_owned()
    } else if (0.1..=99.9).contains(&percent) {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.3} %")
    }
}

/// `<5ms` as `< 5ms`.
fn spaced(limit: &str) -> String {
    let end = limit.find(|it: char| !matches!(it, '<' | '>' | '=')).unwrap_or(limit.len());
    format!("{} {}", &limit[..end], limit[end..].trim()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::fixture;

    #[test]
    fn shares_show_what_is_rare() {
        let rows = [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.1, "10.0 %"),
            (0.999_999_9, "> 99.999 %"),
            (0.000_000_1, "< 0.001 %"),
            (0.000_12, "0.012 %"),
            (0.999_88, "99.988 %"),
        ];
        for (value, text) in rows {
            assert_eq!(share(value), text);
        }
    }

    #[test]
    fn limits_are_apart_from_their_metric() {
        for (text, expected) in [("<5ms", "< 5ms"), (">= 10/s", ">= 10/s"), ("==0", "== 0"), ("", "")] {
            assert_eq!(spaced(text), expected);
        }
    }

    #[test]
    fn tables_of_nothing_are_not_there() {
        let nothing = fixture::nothing();
        let empty = [slos, latency, phases, deliveries, worst, reasons, server, generator, roles];
        assert!(empty.iter().all(|table| table(&nothing).is_empty()));
        let storm = fixture::storm();
        assert!(empty.iter().all(|table| !table(&storm).is_empty()));
    }
}
