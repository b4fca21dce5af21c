//! What was counted beside what is recorded, and what follows from it. Pure.

use std::{collections::BTreeMap, fmt};

/// Instructions by workload.
pub(crate) type Counts = BTreeMap<String, u64>;

/// How many percent more than recorded are a regression, and how many less ask for a new record.
const TOLERANCE_PERCENT: f64 = 3.0;

/// Every workload of both sides.
pub(crate) struct Comparison {
    rows: Vec<Row>,
    /// The counts were taken with the same compiler and libraries; otherwise differences say nothing.
    is_comparable: bool,
}

struct Row {
    workload: String,
    recorded: Option<u64>,
    now: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Fine,
    Worse,
    Better,
    /// Recorded, and not counted now.
    Missing,
    /// Counted, and not in the record.
    Extra,
}

impl Comparison {
    /// Both sides, by name.
    pub(crate) fn new(recorded: &Counts, now: &Counts, is_comparable: bool) -> Self {
        let extra = now.keys().filter(|name| !recorded.contains_key(*name));
        let mut names: Vec<&String> = recorded.keys().chain(extra).collect();
        names.sort_unstable();
        let row = |name: &String| Row {
            workload: name.clone(),
            recorded: recorded.get(name).copied(),
            now: now.get(name).copied(),
        };
        Self { rows: names.into_iter().map(row).collect(), is_comparable }
    }

    /// Whether nothing is worse, missing or extra.
    pub(crate) fn is_fine(&self) -> bool {
        self.rows.iter().all(|row| self.verdict(row).is_pass())
    }

    /// What is to be said of workloads that are not as recorded, and the counts of tests: one a workload.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let said = self.rows.iter().filter_map(|row| {
            let said = match self.verdict(row) {
                Verdict::Fine => return None,
                Verdict::Worse => format!("costs over {TOLERANCE_PERCENT} % more than recorded"),
                Verdict::Better => format!(
                    "costs over {TOLERANCE_PERCENT} % less than recorded: take the new record with --record"
                ),
                Verdict::Missing => "is recorded, and was not run".to_owned(),
                Verdict::Extra => "is not in the record: add it with --record".to_owned(),
            };
            Some(format!("{} {said}", row.workload))
        });
        let passed = self.rows.iter().filter(|row| self.verdict(row).is_pass()).count();
        let sum = format!("{passed} passed, {} failed", self.rows.len() - passed);
        said.chain([sum]).collect()
    }

    fn verdict(&self, row: &Row) -> Verdict {
        match (row.recorded, row.now, row.percent()) {
            (Some(_), None, _) => Verdict::Missing,
            (None, _, _) => Verdict::Extra,
            (_, _, Some(percent)) if self.is_comparable && percent > TOLERANCE_PERCENT => Verdict::Worse,
            (_, _, Some(percent)) if self.is_comparable && percent < -TOLERANCE_PERCENT => Verdict::Better,
            (Some(_), Some(_), _) => Verdict::Fine,
        }
    }
}

impl Verdict {
    fn is_pass(self) -> bool {
        matches!(self, Self::Fine | Self::Better)
    }
}

impl Row {
    fn percent(&self) -> Option<f64> {
        let (recorded, now) = (self.recorded? as f64, self.now? as f64);
        Some((now - recorded) / recorded * 100.0)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TITLE: &str = "instructions";
        let width = self.rows.iter().map(|row| row.workload.len()).max().unwrap_or_default().max(TITLE.len());
        writeln!(f, "{TITLE:width$}  {:>13}  {:>13}  {:>9}", "recorded", "now", "change")?;
        let number = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        for row in &self.rows {
            let change = row.percent().map_or("-".to_owned(), |percent| format!("{percent:+.2} %"));
            let (recorded, now) = (number(row.recorded), number(row.now));
            writeln!(f, "{:width$}  {recorded:>13}  {now:>13}  {change:>9}", row.workload)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: Option<u64>) -> Counts {
        let other = ("other".to_owned(), 1_000);
        of.map(|count| ("it".to_owned(), count)).into_iter().chain([other]).collect()
    }

    #[test]
    fn three_percent_more_fail_three_less_are_said_and_neither_counts_with_another_compiler() {
        let rows = [
            ("equal", Some(10_000), Some(10_000), Verdict::Fine, "+0.00 %"),
            ("a little more", Some(10_000), Some(10_290), Verdict::Fine, "+2.90 %"),
            ("just as much more as may be", Some(10_000), Some(10_300), Verdict::Fine, "+3.00 %"),
            ("too much more", Some(10_000), Some(10_310), Verdict::Worse, "+3.10 %"),
            ("twice", Some(10_000), Some(20_000), Verdict::Worse, "+100.00 %"),
            ("a little less", Some(10_000), Some(9_710), Verdict::Fine, "-2.90 %"),
            ("much less", Some(10_000), Some(9_000), Verdict::Better, "-10.00 %"),
            ("nothing at all", Some(10_000), Some(0), Verdict::Better, "-100.00 %"),
            ("something where was nothing", Some(0), Some(1), Verdict::Worse, "+inf %"),
            ("missing", Some(10_000), None, Verdict::Missing, "-"),
            ("extra", None, Some(10_000), Verdict::Extra, "-"),
        ];
        for (name, recorded, now, verdict, change) in rows {
            for is_comparable in [true, false] {
                let comparison = Comparison::new(&counts(recorded), &counts(now), is_comparable);
                let is_about_counts = matches!(verdict, Verdict::Worse | Verdict::Better);
                let verdict = if is_about_counts && !is_comparable { Verdict::Fine } else { verdict };
                let context = format!("{name}, comparable: {is_comparable}");
                assert_eq!(comparison.verdict(&comparison.rows[0]), verdict, "{context}");
                assert_eq!(
                    comparison.verdict(&comparison.rows[1]),
                    Verdict::Fine,
                    "{context}: the other one"
                );
                let is_fine = matches!(verdict, Verdict::Fine | Verdict::Better);
                assert_eq!(comparison.is_fine(), is_fine, "{context}");
                let table = comparison.to_string();
                assert!(
                    table.lines().nth(1).is_some_and(|line| line.ends_with(change)),
                    "{context}: {table}"
                );
                let verdicts = comparison.verdicts();
                assert_eq!(verdicts.len() == 2, verdict != Verdict::Fine, "{context}: {verdicts:?}");
                let sum = if is_fine { "2 passed, 0 failed" } else { "1 passed, 1 failed" };
                assert_eq!(verdicts.last().map(String::as_str), Some(sum), "{context}");
            }
        }
    }

    #[test]
    fn the_table_is_aligned_and_sorted() {
        let recorded: Counts = [("ws.b".to_owned(), 5), ("auth.long".to_owned(), 10)].into();
        let now: Counts = [("ws.a".to_owned(), 7), ("auth.long".to_owned(), 20)].into();
        let expected = "\
instructions       recorded            now     change
auth.long                10             20  +100.00 %
ws.a                      -              7          -
ws.b                      5              -          -
";
        assert_eq!(Comparison::new(&recorded, &now, true).to_string(), expected);
    }
}
