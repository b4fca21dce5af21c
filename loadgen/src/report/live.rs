//! The terminal while a run is under way. On a terminal a block of lines is drawn over itself some times a second; elsewhere
//! a line is written every few seconds and for each phase; or nothing. All on standard error, and where that is closed, nobody
//! wants to know.
//!
//! Invariant: the block is the last thing on the screen; what else is to be said goes above it.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use console::Term;

use crate::report::glimpse::{self, Glimpse, Ink};

const DRAW_EVERY: Duration = Duration::from_millis(250);
const LINE_EVERY: Duration = Duration::from_secs(5);
const TRAIL_EVERY: Duration = Duration::from_secs(1);
/// As many as a wide screen shows.
const TRAIL_MAX: usize = 100;

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A block that is drawn over itself.
    Screen,
    /// A line now and then.
    Lines,
    /// Nothing but notes.
    Silent,
}

impl Kind {
    /// From the flags `--quiet` and `--plain`, and whether standard error is a terminal that can be drawn on.
    pub(crate) fn find(quiet: bool, plain: bool) -> Self {
        let drawable = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb");
        match (quiet, plain || !drawable) {
            (true, _) => Self::Silent,
            (false, true) => Self::Lines,
            (false, false) => Self::Screen,
        }
    }
}

/// What is on the terminal.
#[derive(Debug)]
pub(crate) struct Live {
    kind: Kind,
    ink: Ink,
    /// Lines of the block that stands there.
    drawn: usize,
    shown_at: Option<Instant>,
    phase: String,
    trail: VecDeque<f64>,
    trail_at: Option<Instant>,
}

impl Live {
    pub(crate) fn new(kind: Kind) -> Self {
        // https://no-color.org
        let colourless = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Self {
            kind,
            ink: if colourless { Ink::Plain } else { Ink::Colour },
            drawn: 0,
            shown_at: None,
            phase: String::new(),
            trail: VecDeque::new(),
            trail_at: None,
        }
    }

    /// Shows how it stands, if it is time to. May be called as often as is convenient.
    pub(crate) fn update(&mut self, glimpse: &Glimpse) {
        let now = Instant::now();
        let every = match self.kind {
            Kind::Screen => DRAW_EVERY,
            Kind::Lines => LINE_EVERY,
            Kind::Silent => return,
        };
        self.follow(glimpse.delivered_per_s, now);
        let turned = self.phase != glimpse.phase;
        if !turned && self.shown_at.is_some_and(|it| now.duration_since(it) < every) {
            return;
        }
        self.shown_at = Some(now);
        self.phase.clone_from(&glimpse.phase);
        match self.kind {
            Kind::Screen => self.draw(glimpse),
            Kind::Lines => put(&format!("{}\n", glimpse::line(glimpse))),
            Kind::Silent => {}
        }
    }

    /// One line, above the block; it stays.
    pub(crate) fn note(&mut self, line: &str) {
        let above = self.erased();
        put(&format!("{above}{line}\n"));
        // The block comes back with the next update.
        self.shown_at = None;
    }

    /// Removes the block: what comes next is written below the notes.
    pub(crate) fn end(mut self) {
        let erased = self.erased();
        put(&erased);
    }

    /// Deliveries of the last seconds, from when there were any.
    fn follow(&mut self, delivered_per_s: f64, now: Instant) {
        let fresh = self.trail_at.is_none_or(|it| now.duration_since(it) >= TRAIL_EVERY);
        if fresh && (delivered_per_s > 0.0 || !self.trail.is_empty()) {
            self.trail_at = Some(now);
            self.trail.push_back(delivered_per_s);
            if self.trail.len() > TRAIL_MAX {
                self.trail.pop_front();
            }
        }
    }

    /// In one write, line over line, so that nothing flickers.
    fn draw(&mut self, glimpse: &Glimpse) {
        let (rows, columns) = Term::stderr().size_checked().unwrap_or((24, 80));
        let block = glimpse::render(glimpse, self.trail.make_contiguous(), columns.into(), self.ink);
        // What does not fit would scroll away, and could not be drawn over.
        let lines: Vec<&str> = block.lines().take(usize::from(rows).saturating_sub(1)).collect();
        let mut text = up(self.drawn);
        for line in &lines {
            // To the end of the line there may be something of the one before.
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        text.push_str("\u{1b}[J");
        self.drawn = lines.len();
        put(&text);
    }

    /// What removes the block.
    fn erased(&mut self) -> String {
        let lines = std::mem::take(&mut self.drawn);
        if lines == 0 { String::new() } else { format!("{}\u{1b}[J", up(lines)) }
    }
}

fn up(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\r\u{1b}[{lines}A") }
}

fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_lines_are_chosen_by_flags() {
        // Standard error of a test may be a terminal or not: only what does not depend on it.
        assert_eq!(Kind::find(true, true), Kind::Silent);
        assert_eq!(Kind::find(true, false), Kind::Silent);
        assert_eq!(Kind::find(false, true), Kind::Lines);
    }

    #[test]
    fn the_trail_begins_with_the_first_delivery_and_is_bounded() {
        let mut live = Live::new(Kind::Silent);
        let start = Instant::now();
        for s in 0..300 {
            let rate = if s < 50 { 0.0 } else { f64::from(s) };
            live.follow(rate, start + TRAIL_EVERY * s);
            // Twice in a second counts once.
            live.follow(rate, start + TRAIL_EVERY * s);
        }
        assert_eq!(
            (live.trail.len(), live.trail.front(), live.trail.back()),
            (TRAIL_MAX, Some(&200.0), Some(&299.0))
        );
    }
}
