//! The highest load that keeps the SLOs, as a state machine that is told how runs went: up by doubling, then between the highest
//! load that held and the lowest that did not, then once more at what was found, so that chance in the search does not count.
//!
//! Drive it: [`Search::next`] says at which load to run, [`Search::observe`] takes how it went; both until `next` gives the end.
//! Has no clock and no chance. Invariants: `held < broken` where both are known; no more than [`RUNS_MAX`] runs.
//!
//! Chance is met by repetition: a load held when most of its runs did. A load that failed while the generator was limited says
//! nothing about the target: it bounds the search, and the result says so.

use serde::{Deserialize, Serialize};

use crate::{report::format, slo::interval};

const RUNS_MAX: u32 = 200;
/// Halvings on the way down when not even the first load holds.
const DOWN_MAX: u32 = 10;
/// Of the statement at the end, whichever confirmation it rests on.
const CONFIDENCE: f64 = 0.95;

/// What is searched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Knob {
    /// Messages per second, all publishers together
    Rate,
    /// Connections
    Conns,
}

impl Knob {
    /// The load, for people.
    pub(crate) fn show(self, load: f64) -> String {
        match self {
            Self::Rate => format!("{} messages/s", format::rate(load)),
            Self::Conns => format!("{} connections", format::count(load as u64)),
        }
    }
}

/// How to search.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Rules {
    pub(crate) knob: Knob,
    /// Where to begin; above 0.
    pub(crate) start: f64,
    /// Nothing above is tried.
    pub(crate) max: f64,
    /// Until the highest load that held and the lowest that did not are this near (0.05: 5 %).
    pub(crate) precision: f64,
    /// Of so many runs most decide about a load. Odd.
    pub(crate) votes: u32,
    /// Runs at the load that was found. One of them may fail.
    pub(crate) confirmations: u32,
}

impl Rules {
    pub(crate) fn new(knob: Knob, start: f64, max: f64) -> Self {
        Self { knob, start, max, precision: 0.05, votes: 3, confirmations: 5 }
    }
}

/// How a run went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trial {
    /// All SLOs held, and nothing was wrong.
    pub(crate) held: bool,
    /// The generator was limited.
    pub(crate) limited: bool,
}

/// What to do.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Next {
    /// Run at this load.
    Run(f64),
    Done(Found),
}

/// Runs at one load.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Tried {
    pub(crate) load: f64,
    pub(crate) held: u32,
    pub(crate) runs: u32,
    /// In so many of the runs that failed the generator was limited.
    pub(crate) limited: u32,
    /// Whether this was to confirm.
    pub(crate) confirming: bool,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) knob: Knob,
    /// The highest load that held and was confirmed.
    pub(crate) load: Option<f64>,
    /// The lowest that did not hold.
    pub(crate) broken: Option<f64>,
    pub(crate) end: End,
    /// With 95 % confidence the SLOs hold at `load` in at least this share of such runs: see [`confidence_of`].
    pub(crate) holds_at_least: f64,
    /// In their order.
    pub(crate) tried: Vec<Tried>,
}

/// What ended the search upwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    /// The target broke the SLOs.
    Target,
    /// The generator could do no more: the target may hold more.
    Generator,
    /// Nothing higher was to be tried.
    Max,
    /// Nothing held.
    Nothing,
    /// Runs that contradict each other used up what there is.
    Unsteady,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Up,
    /// Not even the first load held: so many halvings until now.
    Down(u32),
    Between,
    Confirm,
    Done,
}

/// See the file's head.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    rules: Rules,
    stage: Stage,
    /// The load that is being decided, as far as it is.
    now: Tried,
    held: Option<f64>,
    broken: Option<f64>,
    /// Whether it was the generator that set `broken`.
    by_generator: bool,
    end: End,
    runs: u32,
    tried: Vec<Tried>,
}

impl Search {
    pub(crate) fn new(rules: Rules) -> Self {
        let mut search = Self {
            rules,
            stage: Stage::Up,
            now: Tried { load: 0.0, held: 0, runs: 0, limited: 0, confirming: false },
            held: None,
            broken: None,
            by_generator: false,
            end: End::Nothing,
            runs: 0,
            tried: Vec::new(),
        };
        search.begin(rules.start.min(rules.max));
        search
    }

    pub(crate) fn next(&self) -> Next {
        match self.stage {
            Stage::Up | Stage::Down(_) | Stage::Between | Stage::Confirm => Next::Run(self.now.load),
            Stage::Done => Next::Done(self.found()),
        }
    }

    /// Takes how the run went that `next` asked for.
    pub(crate) fn observe(&mut self, trial: Trial) {
        self.runs += 1;
        self.now.runs += 1;
        self.now.held += u32::from(trial.held);
        // A run that held, held: the generator was good enough for it.
        self.now.limited += u32::from(trial.limited && !trial.held);
        let failed = self.now.runs - self.now.held;
        if self.stage == Stage::Confirm {
            if failed > 1 || self.now.runs == self.rules.confirmations {
                self.confirmed(failed <= 1);
            }
        } else {
            let majority = self.rules.votes / 2 + 1;
            if self.now.held == majority || failed == majority {
                self.decided(failed < majority);
            }
        }
        if self.runs >= RUNS_MAX && self.stage != Stage::Done {
            self.tried.push(self.now);
            self.held = None;
            self.end(End::Unsteady);
        }
    }

    /// How a step of the search went, in a line for people.
    pub(crate) fn tell(&self, tried: &Tried) -> String {
        let limited = if tried.limited > 0 { ", generator limited" } else { "" };
        format!(
            "{}: held in {} of {} runs{limited}",
            self.rules.knob.show(tried.load),
            tried.held,
            tried.runs
        )
    }

    pub(crate) fn tried(&self) -> &[Tried] {
        &self.tried
    }

    fn begin(&mut self, load: f64) {
        let confirming = self.stage == Stage::Confirm;
        self.now = Tried { load: self.round(load), held: 0, runs: 0, limited: 0, confirming };
    }

    /// A load of the search held, or not.
    fn decided(&mut self, held: bool) {
        let now = self.now;
        self.tried.push(now);
        if held {
            self.held = Some(now.load);
        } else {
            self.broken = Some(now.load);
            self.by_generator = now.limited > 0;
        }
        match (self.stage, held) {
            (Stage::Up, true) if now.load >= self.round(self.rules.max) => self.confirm(End::Max),
            (Stage::Up, true) => self.begin((now.load * 2.0).min(self.rules.max)),
            (Stage::Up, false) if self.held.is_none() => self.down(0),
            (Stage::Down(halvings), false) => self.down(halvings + 1),
            (Stage::Up, false) | (Stage::Down(_), true) | (Stage::Between, _) => self.between(),
            (Stage::Confirm | Stage::Done, _) => {} // Neither is decided here.
        }
    }

    fn down(&mut self, halvings: u32) {
        let load = self.round(self.now.load / 2.0);
        if halvings >= DOWN_MAX || load >= self.now.load || load <= 0.0 {
            let end = if self.by_generator { End::Generator } else { End::Nothing };
            return self.end(end);
        }
        self.stage = Stage::Down(halvings);
        self.begin(load);
    }

    fn between(&mut self) {
        self.stage = Stage::Between;
        let end = if self.by_generator { End::Generator } else { End::Target };
        let (Some(held), Some(broken)) = (self.held, self.broken) else { return self.end(end) };
        // Halfway in proportion, as the precision is one.
        let middle = self.round((held * broken).sqrt());
        if broken / held <= 1.0 + self.rules.precision || middle <= held || middle >= broken {
            self.confirm(end);
        } else {
            self.begin(middle);
        }
    }

    fn confirm(&mut self, end: End) {
        let Some(held) = self.held else { return self.end(end) };
        self.end = end;
        self.stage = Stage::Confirm;
        self.begin(held);
    }

    fn confirmed(&mut self, held: bool) {
        self.tried.push(self.now);
        if held {
            return self.end(self.end);
        }
        // What held by chance is broken after all: a step of the precision down.
        let load = self.now.load;
        self.broken = Some(load);
        self.by_generator = self.now.limited > 0;
        let lower = self.round(load / (1.0 + self.rules.precision));
        self.end = if self.by_generator { End::Generator } else { End::Target };
        if lower >= load || lower <= 0.0 {
            self.held = None;
            return self.end(End::Nothing);
        }
        self.held = Some(lower);
        self.begin(lower);
    }

    fn end(&mut self, end: End) {
        self.end = end;
        self.stage = Stage::Done;
    }

    fn round(&self, load: f64) -> f64 {
        match self.rules.knob {
            Knob::Rate => load,
            Knob::Conns => load.round(),
        }
    }

    fn found(&self) -> Found {
        let confirmation = self.tried.last().filter(|last| last.confirming && self.held.is_some());
        let confidence = confidence_of(self.tried.iter().filter(|tried| tried.confirming).count());
        Found {
            knob: self.rules.knob,
            load: confirmation.map(|last| last.load),
            broken: self.broken,
            end: self.end,
            holds_at_least: confirmation
                .map_or(0.0, |last| interval::at_least(last.held, last.runs, confidence)),
            tried: self.tried.clone(),
        }
    }
}

/// With what confidence to look at the runs of the `nth` load (from 1) that was to be confirmed. The search ends with the first that
/// is, so that any of them may be the one by chance: the k-th may be wrong with probability 0.05 / 2^k, which is 0.05 for all of them
/// together, however many there are.
fn confidence_of(nth: usize) -> f64 {
    1.0 - (1.0 - CONFIDENCE) * 0.5_f64.powi(i32::try_from(nth).unwrap_or(i32::MAX))
}

impl Found {
    /// The result in plain words, a line each.
    pub(crate) fn tell(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let (Some(load), Some(confirmation)) = (self.load, self.tried.last()) else {
            lines.push(match self.end {
                End::Unsteady => format!("Nothing found: runs contradict each other ({} runs).", self.runs()),
                End::Generator => "Nothing found: the generator was limited at every load.".to_owned(),
                End::Target | End::Max | End::Nothing => {
                    let tried = self.tried.last().map_or(0.0, |tried| tried.load);
                    format!("Nothing found: the SLOs do not even hold at {}.", self.knob.show(tried))
                }
            });
            return lines;
        };
        let at_least = if self.end == End::Target { "" } else { "at least " };
        lines.push(format!("Highest load that keeps the SLOs: {at_least}{}.", self.knob.show(load)));
        lines.push(format!(
            "Held in {} of {} runs there: with {:.0} % confidence it holds in at least {:.0} % of such runs.",
            confirmation.held,
            confirmation.runs,
            CONFIDENCE * 100.0,
            self.holds_at_least * 100.0
        ));
        lines.push(match (self.end, self.broken) {
            (End::Generator, _) => {
                "The generator was the limit above that: the target may hold more. Use more threads or \
                 agents."
                    .to_owned()
            }
            (End::Max, _) => "Nothing higher was to be tried.".to_owned(),
            (End::Target | End::Nothing | End::Unsteady, Some(broken)) => {
                format!(
                    "It did not hold at {}, {:.0} % higher.",
                    self.knob.show(broken),
                    (broken / load - 1.0) * 100.0
                )
            }
            (End::Target | End::Nothing | End::Unsteady, None) => String::new(),
        });
        lines
    }

    fn runs(&self) -> u32 {
        self.tried.iter().map(|tried| tried.runs).sum()
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
