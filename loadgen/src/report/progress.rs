//! What is seen on the terminal while a run is under way: one bar per phase, and one line when a
//! phase is over (those also show where there is no terminal). All on standard error.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::format;

const TEMPLATE: &str = "{prefix:10} {bar:24} {wide_msg}";
/// Of a phase that may end at any time.
const OPEN_TEMPLATE: &str = "{prefix:10} {wide_msg}";
/// Rates are of at least this long.
const RATE_WINDOW: Duration = Duration::from_millis(500);

/// The bar of one phase.
pub(crate) struct Phase {
    bar: ProgressBar,
    began: Instant,
    rate: Rate,
}

/// The rate of something counted, over the last window.
struct Rate {
    since: Instant,
    count: u64,
    per_s: f64,
}

impl Phase {
    /// A phase called `name`, of `length` steps if that is known.
    pub(crate) fn begin(name: &'static str, length: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        let template = if length.is_some() { TEMPLATE } else { OPEN_TEMPLATE };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        bar.set_prefix(name);
        let began = Instant::now();
        Self { bar, began, rate: Rate { since: began, count: 0, per_s: 0.0 } }
    }

    /// The same bar goes on under another name.
    pub(crate) fn rename(&mut self, name: &'static str) {
        self.bar.set_prefix(name);
    }

    pub(crate) fn connecting(&mut self, ready: u64, failed: u64, total: u64) {
        let rate = self.rate.of(ready);
        let failed = if failed > 0 { format!(", {} failed", format::count(failed)) } else { String::new() };
        self.bar.set_position(ready);
        self.bar.set_message(format!(
            "{} of {}{failed}, {} per second",
            format::count(ready),
            format::count(total),
            format::rate(rate)
        ));
    }

    pub(crate) fn publishing(&mut self, elapsed: Duration, sent: u64, delivered: u64) {
        let rate = self.rate.of(delivered);
        self.bar.set_position(elapsed.as_millis() as u64);
        self.bar.set_message(format!(
            "{:.0} s, {} sent, {} delivered, {} deliveries/s",
            elapsed.as_secs_f64(),
            format::count(sent),
            format::count(delivered),
            format::rate(rate)
        ));
    }

    pub(crate) fn holding(&mut self, elapsed: Duration, ready: u64) {
        self.bar.set_position(elapsed.as_millis() as u64);
        self.bar.set_message(format!(
            "{:.0} s, {} connections open",
            elapsed.as_secs_f64(),
            format::count(ready)
        ));
    }

    pub(crate) fn draining(&mut self, missing: u64, unanswered: u64) {
        self.bar.set_message(format!(
            "waiting for {} deliveries and {} acks",
            format::count(missing),
            format::count(unanswered)
        ));
    }

    /// Clears the bar and says in a line what came of the phase.
    pub(crate) fn end(self, came_of_it: &str) {
        self.bar.finish_and_clear();
        let name = self.bar.prefix();
        note(&format!("{name:10} {came_of_it} in {}", format::duration(self.began.elapsed())));
    }
}

/// One line on standard error. Where that is closed, nobody wants to know.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

impl Rate {
    /// The rate, now that the count has come this far.
    fn of(&mut self, count: u64) -> f64 {
        let elapsed = self.since.elapsed();
        if elapsed >= RATE_WINDOW {
            self.per_s = count.saturating_sub(self.count) as f64 / elapsed.as_secs_f64();
            self.since = Instant::now();
            self.count = count;
        }
        self.per_s
    }
}
