//! How a run stands at one moment, and how that looks: some lines of a screen, or one line of a log. Pure; drawing is
//! for `live`.
//!
//! Every figure has its place, so that only digits change from one picture to the next. Invariant: no line is wider than asked.

use std::{fmt::Write, time::Duration};

use console::{measure_text_width, truncate_str};

use crate::report::format;

const LABEL_WIDTH: usize = 12;
const FIGURE_WIDTH: usize = 11;
/// A figure, a space, its name, a space.
const CELL_WIDTH: usize = FIGURE_WIDTH + 11;
/// The bar is no longer, on however wide a screen.
const WIDTH_MAX: usize = 100;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How it stands. Rates and latencies are of the last second.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Glimpse {
    pub(crate) phase: String,
    /// From 1.
    pub(crate) phase_number: usize,
    pub(crate) phases: usize,
    /// Of this phase.
    pub(crate) elapsed: Duration,
    /// Of this phase, when it is known.
    pub(crate) length: Option<Duration>,
    /// How much of this phase is done, from 0 to 1: of a ramp the share of connections that were tried.
    pub(crate) done: Option<f64>,
    /// Of the whole run.
    pub(crate) left: Option<Duration>,

    pub(crate) open: u64,
    /// Connections that there are to be by now.
    pub(crate) wanted: u64,
    pub(crate) opening: u64,
    pub(crate) failed: u64,

    pub(crate) sent_per_s: f64,
    pub(crate) delivered_per_s: f64,
    /// In nanoseconds: of deliveries, or of connects while there are none; `None` when nothing arrived.
    pub(crate) latency: Option<Tail>,
    /// Everything that went wrong, from the beginning on.
    pub(crate) errors: u64,
    pub(crate) worst_error: Option<String>,

    /// Share of a core that the busiest thread used.
    pub(crate) cpu: f64,
    /// How late the last publications left, p99.
    pub(crate) lag_ns: u64,
    /// What makes this program the limit, if it is.
    pub(crate) limited: Option<String>,
    pub(crate) server: Option<ServerGlimpse>,
}

/// Percentiles of one second, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tail {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

/// What the servers used in the last second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ServerGlimpse {
    /// In cores.
    pub(crate) cpu: f64,
    pub(crate) memory_bytes: u64,
}

/// Whether colours are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ink {
    Plain,
    Colour,
}

/// Which part of a picture something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tone {
    Title,
    Label,
    Done,
    ToDo,
    Bad,
    Doubtful,
}

/// The lines of the screen, each with its line feed, no wider than `width`. `trail` is the deliveries of the last
/// seconds, the newest last.
pub(crate) fn render(glimpse: &Glimpse, trail: &[f64], width: usize, ink: Ink) -> String {
    let width = width.min(WIDTH_MAX);
    let lines = [
        title(glimpse, width, ink),
        bar(glimpse, width, ink),
        connections(glimpse, width, ink),
        messages(glimpse, width, ink),
        latency(glimpse, width, ink),
        errors(glimpse, ink),
        generator(glimpse, width, ink),
    ];
    let server = glimpse.server.map(|it| server(&it, width, ink));
    let trail = (trail.len() > 1).then(|| trail_line(trail, width, ink));
    let mut out = String::new();
    for line in lines.into_iter().chain(server).chain(trail) {
        out.push_str(&truncate_str(line.trim_end(), width, "…"));
        out.push('\n');
    }
    out
}

/// The same in one line, for where nothing can be drawn.
pub(crate) fn line(glimpse: &Glimpse) -> String {
    let Glimpse { phase, elapsed, open, wanted, failed, errors, .. } = glimpse;
    let mut out = format!("{phase} {}", clock(*elapsed));
    if let Some(length) = glimpse.length {
        let _ = write!(out, " of {}", clock(length));
    }
    let _ = write!(out, ": {} of {} open", format::count(*open), format::count(*wanted));
    if *failed > 0 {
        let _ = write!(out, ", {} failed", format::count(*failed));
    }
    if glimpse.sent_per_s > 0.0 || glimpse.delivered_per_s > 0.0 {
        let (sent, delivered) = (format::rate(glimpse.sent_per_s), format::rate(glimpse.delivered_per_s));
        let _ = write!(out, ", {sent}/s sent, {delivered}/s delivered");
    }
    if let Some(tail) = glimpse.latency {
        let Tail { p50, p99, max } = tail;
        let _ = write!(out, ", p50 {}, p99 {}, max {}", nanos(p50), nanos(p99), nanos(max));
    }
    let _ = write!(out, ", {}", if *errors == 0 { "no errors".to_owned() } else { plural(*errors, "error") });
    if let Some(limited) = &glimpse.limited {
        let _ = write!(out, ", generator-limited: {limited}");
    }
    out
}

fn title(glimpse: &Glimpse, width: usize, ink: Ink) -> String {
    let mut right = String::new();
    if glimpse.phases > 1 {
        let _ = write!(right, "phase {} of {}   ", glimpse.phase_number, glimpse.phases);
    }
    right.push_str(&clock(glimpse.elapsed));
    if let Some(length) = glimpse.length {
        let _ = write!(right, " of {}", clock(length));
    }
    if let Some(left) = glimpse.left {
        let _ = write!(right, "   {} to go", clock(left));
    }
    let room = width.saturating_sub(measure_text_width(&right) + 1);
    let name = truncate_str(&glimpse.phase, room, "…");
    let gap = width.saturating_sub(measure_text_width(&name) + measure_text_width(&right));
    format!("{}{:gap$}{}", ink.paint(Tone::Title, &name), "", ink.paint(Tone::Label, &right))
}

fn bar(glimpse: &Glimpse, width: usize, ink: Ink) -> String {
    let timed = glimpse.length.filter(|it| !it.is_zero());
    let by_time = timed.map(|it| glimpse.elapsed.as_secs_f64() / it.as_secs_f64());
    let Some(done) = glimpse.done.or(by_time).filter(|it| it.is_finite()) else {
        return ink.paint(Tone::ToDo, &"─".repeat(width));
    };
    let done = done.clamp(0.0, 1.0);
    let length = width.saturating_sub(6);
    let full = (done * length as f64).round() as usize;
    let (first, rest) = ("━".repeat(full), "─".repeat(length - full));
    format!(
        "{}{} {:>3.0} %",
        ink.paint(Tone::Done, &first),
        ink.paint(Tone::ToDo, &rest),
        (done * 100.0).floor()
    )
}

fn connections(glimpse: &Glimpse, width: usize, ink: Ink) -> String {
    let mut row = Row::new("connections", width, ink);
    row.cell(&format::count(glimpse.open), "open", None);
    if glimpse.opening > 0 || glimpse.open < glimpse.wanted {
        row.cell(&format::count(glimpse.wanted), "wanted", None);
    } else {
        row.cell("", "", None);
    }
    row.cell(&format::count(glimpse.failed), "failed", (glimpse.failed > 0).then_some(Tone::Bad));
    row.text
}

fn messages(glimpse: &Glimpse, width: usize, ink: Ink) -> String {
    let mut row = Row::new("messages", width, ink);
    row.cell(&format!("{}/s", format::rate(glimpse.sent_per_s.round())), "sent", None);
    row.cell(&format!("{}/s", format::rate(glimpse.delivered_per_s.round())), "delivered", None);
    row.text
}

fn latency(glimpse: &Glimpse, width: usize, ink: Ink) -> String {
    let mut row = Row::new("latency", width, ink);
    let text = |of: fn(&Tail) -> u64| glimpse.latency.as_ref().map_or("–".to_owned(), |it| nanos(of(it)));
    row.cell(&text(|it| it.p50), "p50", None);
    row.cell(&text(|it| it.p99), "p99", None);
    row.cell(&text(|it| it.max), "max", None);
    row.text
}

fn errors(glimpse: &Glimpse, ink: Ink) -> String {
    let mut text = Row::new("errors", 0, ink).text;
    let count = format!("{:>FIGURE_WIDTH$}", format::count(glimpse.errors));
    if glimpse.errors == 0 {
        text.push_str(&count);
        return text;
    }
    text.push_str(&ink.paint(Tone::Bad, &count));
    if let Some(worst) = &glimpse.worst_error {
        let _ = write!(text, " {worst}");
    }
    text
}

fn generator(glimpse: &Glimpse, width: usize, ink: Ink) -> String {
    let mut row = Row::new("generator", width, ink);
    let tone = glimpse.limited.is_some().then_some(Tone::Doubtful);
    row.cell(&format!("{:.0} %", glimpse.cpu * 100.0), "CPU", tone);
    match &glimpse.limited {
        Some(reason) => row.text + &ink.paint(Tone::Doubtful, &format!("LIMITED: {reason}")),
        None => {
            row.cell(&nanos(glimpse.lag_ns), "late", None);
            row.text
        }
    }
}

fn server(server: &ServerGlimpse, width: usize, ink: Ink) -> String {
    let mut row = Row::new("server", width, ink);
    row.cell(&format!("{:.0} %", server.cpu * 100.0), "CPU", None);
    row.cell(&format::bytes(server.memory_bytes), "memory", None);
    row.text
}

/// A column a second; empty ones are blank.
fn trail_line(trail: &[f64], width: usize, ink: Ink) -> String {
    let row = Row::new("deliveries", width, ink);
    let room = width.saturating_sub(LABEL_WIDTH);
    let shown = &trail[trail.len().saturating_sub(room)..];
    let most = shown.iter().copied().filter(|it| it.is_finite()).fold(0.0, f64::max);
    let column = |value: &f64| {
        let share = value / most;
        // Also what is almost nothing is something.
        if share > 0.0 {
            BARS[((share * BARS.len() as f64).ceil() as usize).clamp(1, BARS.len()) - 1]
        } else {
            ' '
        }
    };
    row.text + &ink.paint(Tone::Done, &shown.iter().map(column).collect::<String>())
}

/// A label and figures in columns.
struct Row {
    text: String,
    used: usize,
    width: usize,
    ink: Ink,
}

impl Row {
    fn new(label: &str, width: usize, ink: Ink) -> Self {
        let text = ink.paint(Tone::Label, &format!("{label:LABEL_WIDTH$}"));
        Self { text, used: LABEL_WIDTH, width, ink }
    }

    /// A figure with its name, unless the row is full.
    fn cell(&mut self, figure: &str, name: &str, tone: Option<Tone>) {
        if self.used + FIGURE_WIDTH + 1 + name.chars().count() > self.width {
            self.used = self.width;
            return;
        }
        self.used += CELL_WIDTH;
        let figure = format!("{figure:>FIGURE_WIDTH$}");
        let name = format!("{name:<0$}", CELL_WIDTH - FIGURE_WIDTH - 1);
        match tone {
            Some(tone) => {
                let _ =
                    write!(self.text, "{} {}", self.ink.paint(tone, &figure), self.ink.paint(tone, &name));
            }
            None => {
                let _ = write!(self.text, "{figure} {}", self.ink.paint(Tone::Label, &name));
            }
        }
    }
}

impl Ink {
    /// With the codes of ECMA-48, from the 16 colours that every terminal has and its owner chose.
    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Self::Plain, _) => return text.to_owned(),
            (Self::Colour, Tone::Title) => "1",
            (Self::Colour, Tone::Label | Tone::ToDo) => "2",
            (Self::Colour, Tone::Done) => "36",
            (Self::Colour, Tone::Bad) => "31",
            (Self::Colour, Tone::Doubtful) => "33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn nanos(ns: u64) -> String {
    format::micros(ns as f64 / 1e3)
}

fn plural(count: u64, one: &str) -> String {
    format!("{} {one}{}", format::count(count), if count == 1 { "" } else { "s" })
}

/// `0:05`, `12:34`, `1:02:03`.
fn clock(duration: Duration) -> String {
    let s = duration.as_secs();
    match s / 3_600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
#[path = "glimpse_tests.rs"]
mod tests;
