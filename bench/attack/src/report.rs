//! All rounds of a run, their medians, and what they say: the table, and `attack.json`.

use std::{fs, path::Path};

use compare::{
    failure::Failure,
    ledger::Faults,
    machine::Machine,
    text::{aligned, grouped, micros, millis, percent},
};
use serde::{Deserialize, Serialize};

use crate::{case::Outcome, kind::Kind};

/// What an attack may do to the p99.
const RATIO_MAX: f64 = 2.0;
/// A generator that woke so late, of the latency at that rank, was what was measured.
const OWN_LAG_MAX: f64 = 0.5;
/// A server or a good generator that was kept from its core for longer was not measured alone; of the time.
const WAITED_MAX: f64 = 0.1;
/// A p99 is of a hundredth of the time.
const PACKETS_WAITED_MAX: f64 = 0.01;
const FILE: &str = "attack.json";

/// A whole run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) good: u32,
    pub(crate) members_per_room: u32,
    /// Messages a second of good clients.
    pub(crate) rate: u32,
    pub(crate) foes: u32,
    /// How many of them came a second; 0: each as soon as its last try had ended.
    pub(crate) foes_per_s: u32,
    /// Driver by driver, the quiet case first.
    pub(crate) entries: Vec<Entry>,
}

/// A case in all rounds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) driver: String,
    /// `None`: nobody attacks.
    pub(crate) kind: Option<Kind>,
    pub(crate) rounds: Vec<Outcome>,
    /// Rounds that came to nothing, and why.
    pub(crate) errors: Vec<String>,
}

impl Entry {
    pub(crate) fn new(driver: &str, kind: Option<Kind>) -> Self {
        Self { driver: driver.to_owned(), kind, rounds: Vec::new(), errors: Vec::new() }
    }

    pub(crate) fn add(&mut self, outcome: Result<Outcome, String>) {
        match outcome {
            Ok(outcome) => self.rounds.push(outcome),
            Err(why) => self.errors.push(why),
        }
    }

    pub(crate) fn case(&self) -> String {
        self.kind.map_or_else(|| "quiet".to_owned(), |it| it.to_string())
    }

    fn median(&self, figure: impl Fn(&Outcome) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => 0.0,
            odd if !odd.is_multiple_of(2) => values[odd / 2],
            even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
        }
    }

    /// In all rounds: what went wrong once went wrong.
    fn faults(&self) -> Faults {
        self.rounds.iter().fold(Faults::default(), |sum, it| sum.plus(it.faults))
    }

    /// Why the figures are not the gateway's alone.
    fn objections(&self) -> Vec<String> {
        let mut objections = Vec::new();
        let lag = self.median(|it| it.lateness.p99_us);
        if lag > OWN_LAG_MAX * self.median(|it| it.latency.p99_us) {
            objections.push(format!("the generator's own lag is {} ms", millis(lag)));
        }
        let waited = self.median(|it| it.waited_share);
        if waited >= WAITED_MAX {
            objections.push(format!("kept from a core for {} % of the time", percent(waited)));
        }
        let packets = self.median(|it| it.packets_waited_share);
        if packets >= PACKETS_WAITED_MAX {
            objections.push(format!("packets waited for a core for {} % of the time", percent(packets)));
        }
        objections
    }
}

impl Report {
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Failure> {
        let text = sonic_rs::to_string_pretty(self).map_err(|it| Failure::Setup(it.to_string()))?;
        Ok(fs::write(folder.join(FILE), text)?)
    }

    pub(crate) fn table(&self) -> String {
        let head = [
            "driver",
            "attack",
            "p50 ms",
            "p99 ms",
            "max ms",
            "× quiet p99",
            "× decoy",
            "own lag p99 ms",
            "CPU µs/delivery",
            "server %",
            "good %",
            "foes %",
            "open",
            "dials/s",
            "unheard/s",
            "429/s",
            "401/s",
            "101/s",
            "MB/s",
            "new p50 ms",
            "new p99 ms",
            "new failed",
            "",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.entries.iter().map(|it| self.row(it)));
        let mut out = format!(
            "{} good clients in rooms of {}, {} messages/s; {} sockets of attackers, {}; {} rounds of {} s\n",
            grouped(f64::from(self.good)),
            self.members_per_room,
            grouped(f64::from(self.rate)),
            grouped(f64::from(self.foes)),
            match self.foes_per_s {
                0 => "each again at once".to_owned(),
                per_s => format!("{} a second", grouped(f64::from(per_s))),
            },
            self.rounds,
            self.seconds,
        );
        out.push_str(&aligned(&rows, 2));
        out.push_str(&self.verdict());
        out
    }

    fn row(&self, entry: &Entry) -> Vec<String> {
        let us = |figure: fn(&Outcome) -> f64| millis(entry.median(figure));
        let share = |figure: fn(&Outcome) -> f64| percent(entry.median(figure));
        let rate = |count: fn(&Outcome) -> u64| grouped(entry.median(|it| it.foes.per_s(count(it))));
        let ratio = |to| self.ratio(entry, to).map_or_else(String::new, |it| format!("{it:.2}"));
        let per_delivery = |it: &Outcome| it.server_share * self.seconds * 1e6 / it.deliveries.max(1) as f64;
        let failed: u32 = entry.rounds.iter().map(|it| it.comers.failed).sum();
        let mut remarks = entry.objections();
        let faults = entry.faults();
        if faults.any() {
            remarks.insert(0, faults.to_string());
        }
        remarks.extend(entry.errors.iter().cloned());
        vec![
            entry.driver.clone(),
            entry.case(),
            us(|it| it.latency.p50_us),
            us(|it| it.latency.p99_us),
            us(|it| it.latency.max_us),
            ratio(None),
            ratio(Some(Kind::Decoy)),
            us(|it| it.lateness.p99_us),
            micros(entry.median(per_delivery)),
            share(|it| it.server_share),
            share(|it| it.generator_share),
            share(|it| it.foes.cpu_share()),
            grouped(entry.median(|it| it.foes.open)),
            rate(|it| it.foes.dials),
            rate(|it| it.foes.unheard),
            rate(|it| it.foes.too_many),
            rate(|it| it.foes.unauthorized),
            rate(|it| it.foes.switched),
            format!("{:.1}", entry.median(|it| it.foes.per_s(it.foes.flooded_bytes)) / 1e6),
            us(|it| it.comers.latency.p50_us),
            us(|it| it.comers.latency.p99_us),
            failed.to_string(),
            remarks.join("; "),
        ]
    }

    /// The p99 of this case against that of the same driver's case `to`, medians both; `None` for the case itself, and for the
    /// quiet one.
    fn ratio(&self, entry: &Entry, to: Option<Kind>) -> Option<f64> {
        entry.kind.filter(|it| Some(*it) != to)?;
        let base = self.entries.iter().find(|it| it.driver == entry.driver && it.kind == to)?;
        let p99_us = |it: &Entry| it.median(|it| it.latency.p99_us);
        (p99_us(base) > 0.0 && !entry.rounds.is_empty()).then(|| p99_us(entry) / p99_us(base))
    }

    fn verdict(&self) -> String {
        let attacks = self.entries.iter().filter(|it| it.kind.is_some());
        let fails = |it: &&Entry| {
            let is_moved = self.ratio(it, None).is_none_or(|it| it > RATIO_MAX);
            (is_moved && it.kind != Some(Kind::Decoy)) || it.faults().any() || !it.errors.is_empty()
        };
        let failed: Vec<String> =
            attacks.filter(fails).map(|it| format!("{} {}", it.driver, it.case())).collect();
        if failed.is_empty() {
            format!("no attack moves the p99 by more than {RATIO_MAX} ×, and nothing is lost\n")
        } else {
            format!("more than {RATIO_MAX} ×, or something lost: {}\n", failed.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use compare::histogram::Percentiles;

    use super::*;

    fn outcome(p99_us: f64) -> Result<Outcome, String> {
        let latency = Percentiles { p99_us, ..Percentiles::default() };
        Ok(Outcome { latency, ..Outcome::default() })
    }

    fn report(quiet_us: &[f64], attacked_us: &[f64]) -> Report {
        let mut entries = vec![Entry::new("epoll", None), Entry::new("epoll", Some(Kind::Flood))];
        quiet_us.iter().for_each(|&it| entries[0].add(outcome(it)));
        attacked_us.iter().for_each(|&it| entries[1].add(outcome(it)));
        Report {
            machine: Machine::look(),
            rounds: 3,
            seconds: 1.0,
            good: 10,
            members_per_room: 10,
            rate: 1,
            foes: 1,
            foes_per_s: 0,
            entries,
        }
    }

    #[test]
    fn medians_are_set_in_relation() {
        let report = report(&[100.0, 300.0, 200.0], &[900.0, 300.0, 100.0]);
        assert_eq!(report.ratio(&report.entries[0], None), None);
        assert_eq!(report.ratio(&report.entries[1], None), Some(1.5));
        assert!(report.verdict().starts_with("no attack moves"));
        assert!(report.table().contains("1.50"));
    }

    #[test]
    fn more_than_twice_is_said() {
        let broken = report(&[100.0], &[201.0]);
        assert_eq!(broken.verdict(), "more than 2 ×, or something lost: epoll flood\n");
        let mut lossy = report(&[100.0], &[100.0]);
        lossy.entries[1].rounds[0].faults.lost = 1;
        assert!(lossy.verdict().contains("epoll flood"));
        let mut failed = report(&[100.0], &[100.0]);
        failed.entries[1].add(Err("gone".to_owned()));
        assert!(failed.verdict().contains("epoll flood"));
        assert!(report(&[100.0], &[]).verdict().contains("epoll flood"));
        let mut decoy = report(&[100.0], &[900.0]);
        decoy.entries[1].kind = Some(Kind::Decoy);
        assert!(decoy.verdict().starts_with("no attack moves"), "it is no attack on the gateway");
        decoy.entries[1].rounds[0].faults.lost = 1;
        assert!(decoy.verdict().contains("epoll decoy"));
    }

    #[test]
    fn a_late_generator_is_objected_to() {
        let mut entry = Entry::new("uring", None);
        entry.add(outcome(100.0).map(|it| {
            let lateness = Percentiles { p99_us: 51.0, ..Percentiles::default() };
            Outcome { lateness, waited_share: 0.2, ..it }
        }));
        assert_eq!(
            entry.objections(),
            ["the generator's own lag is 0.05 ms", "kept from a core for 20.0 % of the time"]
        );
    }
}
