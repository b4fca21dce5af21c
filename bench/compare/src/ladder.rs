//! The flood ladder: the highest rate that a server holds.
//!
//! All who climb try a step in several rounds, in turns, before any of them tries the next. A round holds when nothing
//! is lost, the p99 is below a bound and the generator is not what limits; a step is held when most of its rounds hold.
//! Who misses two steps in a row climbs no further: one may be a bad minute of the machine.

use serde::{Deserialize, Serialize};

use crate::{
    measure::Sample,
    results::{Entry, GENERATOR_SHARE_MAX},
    text::{grouped, millis},
};

/// Messages a second, bottom to top.
pub(crate) const LADDER: [u32; 13] =
    [6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000, 60_000];
const P99_MAX_US: f64 = 10_000.0;
const MISSES_MAX: usize = 2;

/// What came of a round, or of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Held,
    /// Lost, late, or the server ended.
    Broken,
    /// The generator's core was full: nothing is known of the server.
    GeneratorLimited,
}

/// A step that was tried.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Rung {
    pub(crate) messages_per_s: u32,
    pub(crate) verdict: Verdict,
    pub(crate) samples: Vec<Sample>,
    /// Rounds that came to nothing, and why.
    pub(crate) errors: Vec<String>,
}

/// One server's way up.
#[derive(Debug)]
pub(crate) struct Climb {
    rounds: u32,
    /// Bottom to top; the last one is being tried.
    rungs: Vec<Rung>,
}

impl Climb {
    /// Tries each step in that many rounds.
    pub(crate) fn new(rounds: u32) -> Self {
        Self { rounds, rungs: Vec::new() }
    }

    /// Goes to the next step; `false` when there is none for this server.
    pub(crate) fn step(&mut self, messages_per_s: u32) -> bool {
        let misses = self.rungs.iter().rev().take_while(|it| it.verdict != Verdict::Held).count();
        let goes_on = misses < MISSES_MAX;
        if goes_on {
            let (samples, errors) = (Vec::new(), Vec::new());
            self.rungs.push(Rung { messages_per_s, verdict: Verdict::Broken, samples, errors });
        }
        goes_on
    }

    /// Whether another round can still change what is known of the step.
    pub(crate) fn wants_round(&self, messages_per_s: u32) -> bool {
        let rung = self.rungs.last().filter(|it| it.messages_per_s == messages_per_s);
        rung.is_some_and(|it| {
            it.done() < self.rounds && self.rounds - it.done() + it.held() >= self.majority()
        })
    }

    /// Books a round of the step.
    pub(crate) fn add(&mut self, round: Result<Sample, String>) {
        let majority = self.majority();
        let Some(rung) = self.rungs.last_mut() else { return };
        match round {
            Ok(sample) => rung.samples.push(sample),
            Err(why) => rung.errors.push(why),
        }
        let limited = rung.rounds_that(Verdict::GeneratorLimited);
        rung.verdict = match rung.done() - rung.held() - limited {
            _ if rung.held() >= majority => Verdict::Held,
            broken if broken > limited => Verdict::Broken,
            _ => Verdict::GeneratorLimited,
        };
    }

    /// The highest step that was held, by its rounds that did, remarked with what was missed.
    pub(crate) fn entry(self, peer: &str) -> Entry {
        let missed = self.rungs.iter().filter(|it| it.verdict != Verdict::Held);
        let mut missed: Vec<String> = missed.map(Rung::why_missed).collect();
        let mut entry = Entry::new(peer);
        match self.rungs.iter().rposition(|it| it.verdict == Verdict::Held) {
            None => {
                missed.insert(0, "no step held".to_owned());
                entry.add(Err(missed.join(", ")));
            }
            Some(at) => {
                let rung = &self.rungs[at];
                if rung.held() < rung.done() {
                    missed.insert(0, format!("held in {} of {} rounds", rung.held(), rung.done()));
                }
                let remark = missed.join(", ");
                for sample in rung.samples.iter().filter(|it| judge(it) == Verdict::Held) {
                    entry.add(Ok(Sample { remark: remark.clone(), ..sample.clone() }));
                }
            }
        }
        entry.rungs = self.rungs;
        entry
    }

    fn majority(&self) -> u32 {
        self.rounds / 2 + 1
    }
}

impl Rung {
    fn done(&self) -> u32 {
        (self.samples.len() + self.errors.len()) as u32
    }

    fn held(&self) -> u32 {
        self.rounds_that(Verdict::Held)
    }

    fn rounds_that(&self, verdict: Verdict) -> u32 {
        self.samples.iter().filter(|it| judge(it) == verdict).count() as u32
    }

    /// By the round that stands for those like it: the last one.
    fn why_missed(&self) -> String {
        let sample = self.samples.iter().rfind(|it| judge(it) == self.verdict);
        let why = match (self.verdict, sample, self.errors.last()) {
            (Verdict::GeneratorLimited, Some(sample), _) => {
                format!("generator-limited ({:.0} %)", sample.generator_share * 100.0)
            }
            (_, Some(sample), _) if sample.faults.any() => sample.faults.to_string(),
            (_, Some(sample), _) => format!("p99 {} ms", millis(sample.latency.p99_us)),
            (_, None, Some(error)) => error.clone(),
            (_, None, None) => "no round".to_owned(),
        };
        format!("at {}/s {why}", grouped(f64::from(self.messages_per_s)))
    }
}

fn judge(sample: &Sample) -> Verdict {
    if sample.generator_share >= GENERATOR_SHARE_MAX {
        Verdict::GeneratorLimited
    } else if sample.faults.any() || sample.latency.p99_us >= P99_MAX_US {
        Verdict::Broken
    } else {
        Verdict::Held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{histogram::Percentiles, ledger::Faults};

    fn sample(p99_us: f64) -> Result<Sample, String> {
        let latency = Percentiles { p99_us, ..Percentiles::default() };
        Ok(Sample { latency, ..Sample::default() })
    }

    fn busy(p99_us: f64) -> Result<Sample, String> {
        sample(p99_us).map(|it| Sample { generator_share: 0.9, ..it })
    }

    fn lossy() -> Result<Sample, String> {
        sample(1.0).map(|it| Sample { faults: Faults { lost: 1, ..Faults::default() }, ..it })
    }

    fn gone() -> Result<Sample, String> {
        Err("gone".to_owned())
    }

    /// Climbs with what the rounds of each step come to; the steps tried, and what came of it.
    fn climb(rounds: u32, round: impl Fn(u32, u32) -> Result<Sample, String>) -> (Vec<(u32, u32)>, Entry) {
        let mut climb = Climb::new(rounds);
        let mut tried = Vec::new();
        for step in LADDER {
            if !climb.step(step) {
                break;
            }
            for number in 0..rounds {
                if climb.wants_round(step) {
                    tried.push((step, number));
                    climb.add(round(step, number));
                }
            }
        }
        (tried, climb.entry("x"))
    }

    #[test]
    fn a_climb_ends_after_two_misses_in_a_row() {
        let (tried, entry) = climb(1, |step, _| sample(if step <= 8_000 { 9_999.0 } else { 10_000.0 }));
        assert_eq!(tried.iter().map(|it| it.0).collect::<Vec<_>>(), LADDER[..4]);
        let median = entry.median.unwrap();
        assert_eq!(median.remark, "at 10,000/s p99 10.0 ms, at 12,500/s p99 10.0 ms");
        assert_eq!(entry.rungs.len(), 4);

        // One bad step is climbed over, and told.
        let (tried, entry) = climb(1, |step, _| sample(if step == 8_000 { 10_000.0 } else { 1.0 }));
        assert_eq!(tried.len(), LADDER.len());
        assert_eq!(entry.median.unwrap().remark, "at 8,000/s p99 10.0 ms");
        assert!(entry.objections.is_empty());
    }

    #[test]
    fn most_rounds_decide() {
        use Verdict::{Broken, GeneratorLimited, Held};
        type Round = fn() -> Result<Sample, String>;
        let good: Round = || sample(1.0);
        let late: Round = || sample(20_000.0);
        let full: Round = || busy(1.0);
        let rows: [([Round; 3], Verdict, u32); 8] = [
            ([good, good, good], Held, 3),
            ([good, late, good], Held, 3),
            ([gone, good, good], Held, 3),
            ([good, late, lossy], Broken, 3),
            ([late, gone, good], Broken, 2),
            ([full, full, good], GeneratorLimited, 2),
            ([late, good, full], GeneratorLimited, 3),
            ([full, || busy(20_000.0), good], GeneratorLimited, 2),
        ];
        for (number, (rounds, verdict, tried)) in rows.into_iter().enumerate() {
            let mut climb = Climb::new(3);
            assert!(climb.step(6_000));
            let mut count = 0;
            for round in rounds {
                if climb.wants_round(6_000) {
                    count += 1;
                    climb.add(round());
                }
            }
            assert_eq!((climb.rungs[0].verdict, count), (verdict, tried), "row {number}");
        }
    }

    #[test]
    fn figures_are_of_the_rounds_that_held() {
        let (_, entry) = climb(3, |step, round| match (step, round) {
            (6_000, 1) => lossy(),
            (6_000, _) => sample(2_000.0),
            (8_000, _) => gone(),
            (_, _) => busy(3_000.0),
        });
        assert_eq!((entry.samples.len(), &entry.objections), (2, &Vec::new()));
        let median = entry.median.unwrap();
        assert_eq!(median.latency.p99_us, 2_000.0);
        let remark = "held in 2 of 3 rounds, at 8,000/s gone, at 10,000/s generator-limited (90 %)";
        assert_eq!(median.remark, remark);
    }

    #[test]
    fn who_holds_nothing_has_no_figure() {
        let (tried, entry) = climb(3, |_, _| lossy());
        assert_eq!(tried.len(), 4, "two of three rounds in each of two steps");
        assert_eq!(entry.errors, ["no step held, at 6,000/s 1 lost, at 8,000/s 1 lost"]);
        assert!(entry.median.is_none());
    }
}
