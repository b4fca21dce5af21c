//! Comparisons of runs that are made up.

use super::*;
use crate::figures::{
    hdr::Hdr,
    sum_up::tests::{facts, record, scenario},
    summary::Times,
};

/// Runs whose deliveries take about so many ms, the way runs differ.
fn runs(count: usize, ms: f64, seed: u64) -> Vec<Summary> {
    let mut rng = Rng::with_seed(seed);
    let scenario = scenario();
    let one = Summary::of(facts(&scenario), &record());
    (0..count)
        .map(|_| {
            let factor = 0.97 + 0.06 * rng.f64();
            let mut hdr = Hdr::fine();
            (1..=100).for_each(|n| hdr.record((ms * factor * 1e6 * (1.0 + f64::from(n) / 50.0)) as u64));
            let mut run = one.clone();
            run.latency.delivery = Times::of(hdr);
            run.throughput.delivered_per_s = 50_000.0 / factor;
            run
        })
        .collect()
}

fn verdict(comparison: &Comparison, metric: &str) -> Verdict {
    comparison
        .rows
        .iter()
        .find(|row| row.metric == metric)
        .unwrap_or_else(|| panic!("{metric}: {comparison:?}"))
        .verdict
}

#[test]
fn runs_that_differ_are_told_apart_and_others_are_not() {
    let (old, same, slow) = (runs(5, 1.0, 1), runs(5, 1.0, 2), runs(5, 1.2, 3));
    let comparison = compare(&old, &same, 1);
    assert!(comparison.rows.iter().all(|row| row.verdict == Verdict::NoneShown), "{}", comparison.render());
    let comparison = compare(&old, &slow, 1);
    assert_eq!(verdict(&comparison, "delivery p99"), Verdict::Worse);
    assert_eq!(verdict(&comparison, "delivered"), Verdict::NoneShown);
    assert_eq!(verdict(&compare(&slow, &old, 1), "delivery p99"), Verdict::Better);
    assert!(comparison.notes.is_empty());
    assert_eq!(comparison, compare(&old, &slow, 1), "the same seed, the same words");
}

#[test]
fn a_higher_rate_is_better() {
    let (old, mut fast) = (runs(4, 1.0, 1), runs(4, 1.0, 2));
    fast.iter_mut().for_each(|run| run.throughput.delivered_per_s *= 1.5);
    assert_eq!(verdict(&compare(&old, &fast, 1), "delivered"), Verdict::Better);
    assert_eq!(verdict(&compare(&fast, &old, 1), "delivered"), Verdict::Worse);
}

#[test]
fn errors_are_compared_although_they_are_none_on_one_side() {
    let (clean, mut bad) = (runs(4, 1.0, 1), runs(4, 1.0, 2));
    bad.iter_mut().for_each(|run| run.deliveries.lost = 3);
    assert_eq!(verdict(&compare(&clean, &bad, 1), "errors"), Verdict::Worse);
    assert_eq!(verdict(&compare(&bad, &clean, 1), "errors"), Verdict::Better);
    bad[0].deliveries.lost = 0;
    assert_eq!(verdict(&compare(&clean, &bad, 1), "errors"), Verdict::NoneShown);
}

#[test]
fn disconnects_that_a_phase_is_about_are_no_errors() {
    let (clean, mut upgraded) = (runs(4, 1.0, 1), runs(4, 1.0, 2));
    for run in &mut upgraded {
        run.connections.dropped = 5;
        let phase = run.phases.last_mut().unwrap();
        (phase.disconnects_expected, phase.counts.dropped) = (true, 5);
    }
    assert_eq!(verdict(&compare(&clean, &upgraded, 1), "errors"), Verdict::NoneShown);
    upgraded.iter_mut().for_each(|run| run.connections.dropped = 6);
    assert_eq!(verdict(&compare(&clean, &upgraded, 1), "errors"), Verdict::Worse);
}

#[test]
fn three_runs_are_too_few() {
    let text = compare(&runs(3, 1.0, 1), &runs(3, 9.0, 2), 1).render();
    let line = text.lines().find(|line| line.starts_with("delivery p99 ")).unwrap_or_default();
    assert!(
        text.contains("Too few runs to tell") && line.contains(" %   ") && line.ends_with("–   too few runs"),
        "{text}"
    );
    assert!(!text.contains("WORSE") && !text.contains("once in twenty"), "{text}");
}

/// One run of 30 s, whose seconds have about these latencies.
fn long(ms: f64, seed: u64) -> Summary {
    let mut rng = Rng::with_seed(seed);
    let mut run = runs(1, ms, seed).remove(0);
    run.phases[1].end_s = 31.0;
    run.phases.truncate(2);
    let second = run.seconds[1].clone();
    run.seconds = (0..31)
        .map(|number| {
            let us = ms * 1e3 * (0.9 + 0.2 * rng.f64());
            Second {
                second: number,
                p50_us: Some(us),
                p99_us: Some(us * 2.0),
                max_us: Some(us * 3.0),
                ..second.clone()
            }
        })
        .collect();
    run
}

const TABLE: &str = "\
A: 5 runs, B: 5 runs

                          A           B  difference          95 % interval
delivery p50        2.00 ms     2.41 ms     +20.3 %      +16.8 % … +27.2 %   WORSE
";

#[test]
fn a_table_is_golden() {
    let text = compare(&runs(5, 1.0, 1), &runs(5, 1.2, 3), 1).render();
    assert!(text.starts_with(TABLE), "{text}");
    let end = "\nEach line errs once in twenty: of 13 lines without a difference, 0.7 would show one.\n";
    assert!(text.ends_with(end), "{text}");
}

const SINGLE: &str = "\
A: 1 run, B: 1 run
One run on each side shows nothing about how much runs differ of themselves. What follows compares
the seconds within these two runs (medians over seconds); the next two may say otherwise.

                          A           B  difference          95 % interval
";

#[test]
fn single_runs_are_compared_by_their_seconds_which_is_said() {
    let comparison = compare(&[long(1.0, 1)], &[long(1.3, 2)], 1);
    let text = comparison.render();
    assert!(comparison.by_second && text.starts_with(SINGLE), "{text}");
    assert_eq!(verdict(&comparison, "delivery p99"), Verdict::Worse);
    assert_eq!(verdict(&comparison, "delivered"), Verdict::NoneShown);
    assert!(text.contains("   WORSE in these two\n") && !text.contains("once in twenty"), "{text}");
    let same = compare(&[long(1.0, 1)], &[long(1.0, 2)], 1);
    assert_eq!(verdict(&same, "delivery p50"), Verdict::NoneShown, "{}", same.render());
}

#[test]
fn what_makes_the_comparison_doubtful_is_said() {
    let (a, mut b) = (runs(4, 1.0, 1), runs(4, 1.0, 2));
    b[0].load.connections = 20;
    b[1].generator.limited.push("steady: thread 0 used 99 % of a core".to_owned());
    b[2].problems.push("deliveries lost: 3".to_owned());
    b[3].interrupted = true;
    let text = compare(&a, &b, 1).render();
    for note in [
        "Warning: the number of connections differs (10, 20): this compares loads too, not only targets",
        "Warning: the generator was limited in 1 of 4 runs of B: its figures are the generator's too",
        "Warning: something went wrong in 1 of 4 runs of B: see their own reports",
        "Warning: 1 of 4 runs of B were interrupted",
    ] {
        assert!(text.contains(note), "{note}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}
