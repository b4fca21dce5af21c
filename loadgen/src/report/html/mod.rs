//! The result as one page of HTML: it needs no script, no other file and no network, and can be read, sent and printed years from
//! now. It is made of the summary alone, so that an old `--json` gives its page too.
//!
//! The charts are drawn here rather than by `plotters`, whose SVG has its colours and letter sizes fixed in every element: these
//! take them from the page, follow its light or dark theme, and stay readable on a telephone.

mod chart;
mod curve;
#[cfg(test)]
mod fixture;
mod markup;
mod scale;
mod tables;
mod timeline;

use std::fmt::Write;

use time::{OffsetDateTime, macros::format_description};

use crate::{
    figures::summary::Summary,
    report::{
        format,
        html::{
            chart::Chart,
            markup::{Table, escape},
        },
    },
};

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) fn render(summary: &Summary) -> String {
    let title = format!("{}: {}", summary.load.scenario, verdict(summary));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"{}\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&summary.program),
        escape(&title)
    );
    head(&mut out, summary);
    out.push_str("<main>\n");
    tables_section(&mut out, "Objectives", &[tables::slos(summary)]);
    section(&mut out, "Latency", &both(&[curve::deliveries(summary)], &[tables::latency(summary)]));
    section(&mut out, "Timeline", &charts(&timeline::charts(summary)));
    let ramps = timeline::ramp(summary);
    let connecting = [curve::others(summary), curve::connects(summary)];
    section(&mut out, "Connecting", &(charts(&ramps) + &both(&connecting, &[])));
    tables_section(&mut out, "Phases", &[tables::phases(summary)]);
    let pair = [tables::deliveries(summary), tables::counts(summary)].map(|it| it.html()).concat();
    let lists = [tables::worst(summary), tables::reasons(summary)].map(|it| it.html()).concat();
    section(&mut out, "Account", &format!("<div class=\"pair\">\n{pair}</div>\n{lists}"));
    let notes = summary.server.as_ref().map_or(&[][..], |it| &it.notes);
    let server = charts(&timeline::server(summary)) + &tables::server(summary).html();
    section(&mut out, "Server", &(server + &list("", "While it was measured", notes)));
    tables_section(&mut out, "Generator", &[tables::generator(summary), tables::roles(summary)]);
    out.push_str("</main>\n");
    foot(&mut out, summary);
    out.push_str("</body>\n</html>\n");
    out
}

/// The verdict, what it is about, what is wrong, and the figures that are asked for first.
fn head(out: &mut String, summary: &Summary) {
    let class = if summary.passed { "good" } else { "bad" };
    let _ = write!(
        out,
        "<header>\n<p class=\"badges\"><strong class=\"badge {class}\">{}</strong>",
        escape(verdict(summary))
    );
    if !summary.generator.limited.is_empty() {
        out.push_str(" <strong class=\"badge doubtful\">generator-limited</strong>");
    }
    if summary.interrupted {
        out.push_str(" <strong class=\"badge doubtful\">interrupted</strong>");
    }
    let _ = writeln!(out, "</p>\n<h1>{}</h1>", escape(&summary.load.scenario));
    if !summary.load.about.is_empty() {
        let _ = writeln!(out, "<p class=\"about\">{}</p>", escape(&summary.load.about));
    }
    facts(out, summary);
    let broken = summary.slos.iter().filter(|it| !it.held);
    let broken = broken.map(|it| format!("objective broken: {} (measured: {})", it.slo, it.shown));
    let wrong: Vec<String> = summary.problems.iter().cloned().chain(broken).collect();
    out.push_str(&list("bad", "What is wrong", &wrong));
    let limited = "The generator was the limit: figures may tell more of it than of the target";
    out.push_str(&list("doubtful", limited, &summary.generator.limited));
    out.push_str(&list("doubtful", "What to doubt", &summary.warnings));
    tiles(out, summary);
    out.push_str("</header>\n");
}

fn facts(out: &mut String, summary: &Summary) {
    let (target, load, machine) = (&summary.target, &summary.load, &summary.machine);
    let number = format::number;
    let size = format!(
        "{} in {}{}",
        number(load.connections, "connection", "connections"),
        number(load.rooms, "room", "rooms"),
        if load.closed { ", closed loop: latency counts from sending" } else { "" }
    );
    let agents = if load.agents > 1 { format!(" on {} machines", load.agents) } else { String::new() };
    let date = date(summary.started_unix_s);
    let facts = [
        ("Target", format!("{} ({})", target.urls.join(", "), target.protocol)),
        ("Load", size),
        (
            "Generator",
            format!(
                "{}, {}{agents}, seed {}",
                summary.program,
                number(load.threads, "thread", "threads"),
                load.seed
            ),
        ),
        (
            "Machine",
            format!("{}, {}, {}", machine.host, number(machine.cores, "core", "cores"), machine.system),
        ),
        ("Tokens", target.tokens.clone()),
        ("Date", date),
    ];
    out.push_str("<dl class=\"facts\">");
    for (name, fact) in facts.iter().filter(|it| !it.1.is_empty()) {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(fact));
    }
    out.push_str("</dl>\n");
}

fn tiles(out: &mut String, summary: &Summary) {
    let delivery = &summary.latency.delivery;
    let published = summary.deliveries.expected > 0;
    let rate = summary.throughput.delivered_per_s;
    let tiles: [(&str, Option<String>); 8] = [
        ("deliveries per second", (rate > 0.0).then(|| format::rate(rate))),
        ("p50 delivery", delivery.p50_us.map(format::micros)),
        ("p99 delivery", delivery.p99_us.map(format::micros)),
        ("p99.9 delivery", delivery.p99_9_us.map(format::micros)),
        ("slowest delivery", delivery.max_us.map(format::micros)),
        ("lost deliveries", published.then(|| format::count(summary.deliveries.lost))),
        ("connections at once", Some(format::count(summary.connections.open_max))),
        (
            "server CPU per delivery",
            summary.server.as_ref().and_then(|it| it.cpu_per_delivery_us).map(format::micros),
        ),
    ];
    out.push_str("<ul class=\"tiles\">");
    for (name, value) in tiles {
        let Some(value) = value else { continue };
        let _ = write!(out, "<li><b>{}</b><span>{name}</span></li>", escape(&value));
    }
    out.push_str("</ul>\n");
}

fn foot(out: &mut String, summary: &Summary) {
    let from = if summary.load.closed {
        "Latency counts from when a message was sent (closed loop): what waited to be sent is not in it."
    } else {
        "Latency counts from when a message was due, so that a delay that holds up the sender shows in full."
    };
    let _ = writeln!(
        out,
        "<footer><p>{from} Percentiles are exact to three digits (per second: two).</p></footer>"
    );
}

fn verdict(summary: &Summary) -> &'static str {
    match (summary.passed, summary.problems.is_empty() && summary.slos.iter().all(|slo| slo.held)) {
        (true, _) => "passed",
        // What ended it is told beside it.
        (false, true) => "not finished",
        (false, false) => "failed",
    }
}

/// With a heading, unless there is nothing.
fn section(out: &mut String, title: &str, content: &str) {
    if !content.is_empty() {
        let _ = writeln!(out, "<section>\n<h2>{title}</h2>\n{content}</section>");
    }
}

fn tables_section(out: &mut String, title: &str, tables: &[Table]) {
    section(out, title, &tables.iter().map(Table::html).collect::<String>());
}

fn both(charts: &[Option<Chart>], tables: &[Table]) -> String {
    let charts = charts.iter().flatten().map(Chart::figure);
    charts.chain(tables.iter().map(Table::html)).collect()
}

fn charts(charts: &[Chart]) -> String {
    charts.iter().map(Chart::figure).collect()
}

fn list(class: &str, title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items: String = lines.iter().map(|it| format!("<li>{}</li>", escape(it))).collect();
    format!("<div class=\"notes {class}\"><b>{title}</b><ul>{items}</ul></div>\n")
}

/// In UTC; empty for what is no date.
fn date(unix_s: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let date = i64::try_from(unix_s).ok().and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
    date.and_then(|it| it.format(format).ok()).unwrap_or_default()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
