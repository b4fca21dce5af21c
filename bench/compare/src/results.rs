//! All rounds, their medians, and whether they count. What is written as `results.json` and read again by `report`.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure, histogram::Percentiles, ladder::Rung, ledger::Faults, machine::Machine,
    measure::Sample, peers::PeerInfo,
};

/// A generator that is busier may be what limits.
pub const GENERATOR_SHARE_MAX: f64 = 0.85;
/// A server or generator that was kept from its core for longer was not measured alone.
const WAITED_SHARE_MAX: f64 = 0.1;
const FILE: &str = "results.json";

/// A whole comparison.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    /// By name.
    pub(crate) peers: BTreeMap<String, PeerInfo>,
    /// In the order in which they were asked for.
    pub(crate) scenarios: Vec<ScenarioResults>,
}

/// What the peers made of one scenario.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ScenarioResults {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) unit: String,
    pub(crate) entries: Vec<Entry>,
}

/// What one peer made of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) peer: String,
    pub(crate) samples: Vec<Sample>,
    /// Of each figure by itself; `None` without samples.
    pub(crate) median: Option<Sample>,
    /// Rounds that came to nothing, and why.
    pub(crate) errors: Vec<String>,
    /// Why the figures do not count; empty when they do.
    pub(crate) objections: Vec<String>,
    /// The steps of a ladder; `samples` are of the highest that was held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rungs: Vec<Rung>,
}

impl Entry {
    pub(crate) fn new(peer: &str) -> Self {
        Self {
            peer: peer.to_owned(),
            samples: Vec::new(),
            median: None,
            errors: Vec::new(),
            objections: Vec::new(),
            rungs: Vec::new(),
        }
    }

    /// Books a round.
    pub(crate) fn add(&mut self, round: Result<Sample, String>) {
        match round {
            Ok(sample) => self.samples.push(sample),
            Err(why) => self.errors.push(why),
        }
        self.median = median(&self.samples);
        self.objections = objections(self);
    }

    /// The median, if every round ended well. One that does not count for a busy generator or machine can still be
    /// what others are held against.
    pub(crate) fn sound(&self) -> Option<&Sample> {
        self.median.as_ref().filter(|it| self.errors.is_empty() && !it.faults.any())
    }
}

impl Results {
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Failure> {
        let text = sonic_rs::to_string_pretty(self).map_err(|it| Failure::Setup(it.to_string()))?;
        Ok(fs::write(folder.join(FILE), text + "\n")?)
    }

    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let failed = |why: String| Failure::Setup(format!("{}: {why}", path.display()));
        let text = fs::read_to_string(&path).map_err(|it| failed(it.to_string()))?;
        sonic_rs::from_str(&text).map_err(|it| failed(it.to_string()))
    }
}

/// Of each figure by itself.
pub fn median(samples: &[Sample]) -> Option<Sample> {
    let last = samples.last()?;
    let of = |figure: fn(&Sample) -> f64| middle(samples.iter().map(figure).collect());
    let count = |figure: fn(&Sample) -> u64| of_counts(samples.iter().map(figure).collect());
    Some(Sample {
        units: of(|it| it.units),
        units_per_s: of(|it| it.units_per_s),
        cpu_us_per_unit: of(|it| it.cpu_us_per_unit),
        server_share: of(|it| it.server_share),
        generator_share: of(|it| it.generator_share),
        latency: Percentiles {
            samples: count(|it| it.latency.samples),
            p50_us: of(|it| it.latency.p50_us),
            p99_us: of(|it| it.latency.p99_us),
            p99_9_us: of(|it| it.latency.p99_9_us),
            max_us: of(|it| it.latency.max_us),
        },
        // Not medians: what went wrong once went wrong.
        faults: samples.iter().fold(Faults::default(), |sum, it| sum.plus(it.faults)),
        connections: last.connections,
        rss_before_bytes: count(|it| it.rss_before_bytes),
        rss_held_bytes: count(|it| it.rss_held_bytes),
        publish_late_max_us: of(|it| it.publish_late_max_us),
        messages_per_s: count(|it| u64::from(it.messages_per_s)) as u32,
        waited_share: of(|it| it.waited_share),
        remark: last.remark.clone(),
    })
}

/// Of an even number, the mean of the two in the middle.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        it if it % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// Of an even number, the lower of the two in the middle: a figure that there was.
fn of_counts(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn objections(entry: &Entry) -> Vec<String> {
    let mut objections = Vec::new();
    if let Some(median) = &entry.median {
        if median.generator_share >= GENERATOR_SHARE_MAX {
            objections.push(format!("generator at {:.0} % of its core", median.generator_share * 100.0));
        }
        if median.waited_share >= WAITED_SHARE_MAX {
            let percent = median.waited_share * 100.0;
            objections.push(format!("others had the core for {percent:.0} % of the time"));
        }
        if median.faults.any() {
            objections.push(median.faults.to_string());
        }
    }
    if !entry.errors.is_empty() {
        let rounds = entry.errors.len() + entry.samples.len();
        objections.push(format!("{} of {rounds} rounds failed", entry.errors.len()));
    }
    objections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_us: f64, generator_share: f64) -> Sample {
        Sample { cpu_us_per_unit: cpu_us, generator_share, ..Sample::default() }
    }

    #[test]
    fn medians_are_of_each_figure() {
        let mut entry = Entry::new("x");
        for (cpu, share) in [(3.0, 0.1), (1.0, 0.3), (2.0, 0.2)] {
            entry.add(Ok(sample(cpu, share)));
        }
        let median = entry.sound().unwrap();
        assert_eq!((median.cpu_us_per_unit, median.generator_share), (2.0, 0.2));
        entry.add(Ok(sample(4.0, 0.2)));
        assert_eq!(entry.sound().unwrap().cpu_us_per_unit, 2.5);
        assert_eq!(of_counts(vec![4, 1, 3, 2]), 2);
    }

    #[test]
    fn what_does_not_count_says_why() {
        let mut busy = Entry::new("x");
        busy.add(Ok(sample(1.0, 0.9)));
        assert_eq!(busy.objections, ["generator at 90 % of its core"]);

        let mut lossy = Entry::new("x");
        lossy.add(Ok(sample(1.0, 0.1)));
        lossy
            .add(Ok(Sample { faults: Faults { lost: 7, late: 1, ..Faults::default() }, ..sample(1.0, 0.1) }));
        lossy.add(Err("no".to_owned()));
        assert_eq!(lossy.objections, ["7 lost, 1 late", "1 of 3 rounds failed"]);
        assert_eq!(lossy.sound(), None);
        assert!(lossy.median.is_some());
    }

    #[test]
    fn what_is_written_is_read() {
        let mut entry = Entry::new("x");
        entry.add(Ok(sample(1.5, 0.25)));
        let results = Results {
            machine: Machine::look(),
            rounds: 1,
            seconds: 5.0,
            peers: BTreeMap::new(),
            scenarios: vec![ScenarioResults {
                name: "room".to_owned(),
                about: "a".to_owned(),
                unit: "delivery".to_owned(),
                entries: vec![entry],
            }],
        };
        let text = sonic_rs::to_string_pretty(&results).unwrap();
        assert_eq!(sonic_rs::from_str::<Results>(&text).unwrap(), results);
    }
}
