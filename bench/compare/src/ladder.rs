//! The flood ladder: the highest rate that a server holds.
//!
//! A step is held when nothing is lost, the p99 is below a bound, and the generator is not what limits. A climb begins
//! one step below where the worst earlier one ended, so that rounds are short; when even that does not hold, it goes
//! down instead.

use crate::{failure::Failure, measure::Sample, results::GENERATOR_SHARE_MAX};

/// Messages a second, bottom to top.
pub(crate) const LADDER: [u32; 13] =
    [6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000, 60_000];
const P99_MAX_US: f64 = 10_000.0;

/// The sample of the highest step that holds, remarked with what was wrong above it. `earlier` are the results of
/// earlier climbs, `try_step` runs one step.
pub(crate) fn climb(
    earlier: &[Sample],
    mut try_step: impl FnMut(u32) -> Result<Sample, Failure>,
) -> Result<Sample, Failure> {
    let worst = earlier.iter().map(|it| it.messages_per_s).min().unwrap_or_default();
    let mut at = LADDER.iter().filter(|&&it| it <= worst).count().saturating_sub(2);
    let mut held: Option<Sample> = None;
    let mut limit = String::new();
    loop {
        let step = LADDER[at];
        let broken = match try_step(step) {
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => failure.to_string(),
            Ok(sample) => match why_not_held(&sample) {
                Some(why) => why,
                None if at + 1 == LADDER.len() || !limit.is_empty() => {
                    return Ok(Sample { remark: limit, ..sample });
                }
                None => {
                    held = Some(sample);
                    at += 1;
                    continue;
                }
            },
        };
        limit = format!("at {step}/s: {broken}");
        match held {
            Some(held) => return Ok(Sample { remark: limit, ..held }),
            None if at == 0 => return Err(Failure::Setup(format!("no step held, {limit}"))),
            None => at -= 1,
        }
    }
}

fn why_not_held(sample: &Sample) -> Option<String> {
    if sample.faults.any() {
        Some(sample.faults.to_string())
    } else if sample.latency.p99_us >= P99_MAX_US || sample.generator_share >= GENERATOR_SHARE_MAX {
        let (p99_ms, busy) = (sample.latency.p99_us / 1e3, sample.generator_share * 100.0);
        Some(format!("p99 {p99_ms:.1} ms, generator at {busy:.0} %"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{histogram::Percentiles, ledger::Faults};

    fn sample(messages_per_s: u32, p99_us: f64) -> Sample {
        let latency = Percentiles { p99_us, ..Percentiles::default() };
        Sample { messages_per_s, latency, ..Sample::default() }
    }

    /// Climbs a server that holds up to `most`; the steps tried, and what came of it.
    fn steps(most: u32, earlier: &[u32]) -> (Vec<u32>, Result<Sample, Failure>) {
        let earlier: Vec<Sample> = earlier.iter().map(|&it| sample(it, 1.0)).collect();
        let mut tried = Vec::new();
        let result = climb(&earlier, |step| {
            tried.push(step);
            Ok(sample(step, if step <= most { 9_999.0 } else { 10_000.0 }))
        });
        (tried, result)
    }

    #[test]
    fn a_climb_ends_below_the_step_that_breaks() {
        let rows: [(u32, &[u32], &[u32]); 4] = [
            (10_000, &[], &[6_000, 8_000, 10_000, 12_500]),
            (10_000, &[12_500, 10_000], &[8_000, 10_000, 12_500]),
            (6_000, &[12_500], &[10_000, 8_000, 6_000]),
            (60_000, &[50_000], &[40_000, 50_000, 60_000]),
        ];
        for (most, earlier, expected) in rows {
            let (tried, held) = steps(most, earlier);
            assert_eq!(tried, expected);
            assert_eq!(held.unwrap().messages_per_s, most);
        }
        let (tried, held) = steps(5_999, &[8_000]);
        assert_eq!(tried, [6_000]);
        let why = held.unwrap_err().to_string();
        assert_eq!(why, "no step held, at 6000/s: p99 10.0 ms, generator at 0 %");
    }

    #[test]
    fn a_step_breaks_by_loss_and_by_a_busy_generator() {
        let lost = Faults { lost: 1, ..Faults::default() };
        assert_eq!(why_not_held(&Sample { faults: lost, ..sample(1, 1.0) }).unwrap(), "1 lost");
        let busy = Sample { generator_share: 0.9, ..sample(1, 2_000.0) };
        assert_eq!(why_not_held(&busy).unwrap(), "p99 2.0 ms, generator at 90 %");
        assert_eq!(why_not_held(&sample(1, 1.0)), None);
    }

    #[test]
    fn what_ends_the_server_ends_the_climb() {
        let gone =
            |step| if step > 8_000 { Err(Failure::Setup("gone".to_owned())) } else { Ok(sample(step, 1.0)) };
        let held = climb(&[], gone).unwrap();
        assert_eq!((held.messages_per_s, held.remark.as_str()), (8_000, "at 10000/s: gone"));
        assert!(matches!(climb(&[], |_| Err(Failure::Interrupted)), Err(Failure::Interrupted)));
    }
}
