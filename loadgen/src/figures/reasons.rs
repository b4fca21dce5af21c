//! How often something went wrong, by reason. Reasons come from servers, so their number is bounded
//! and they are made safe to print.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Reasons past this number count as [`OTHER`].
const REASONS_MAX: usize = 32;
const REASON_CHARS_MAX: usize = 120;
const OTHER: &str = "other reasons";

/// Counts by reason.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    pub(crate) fn add(&mut self, reason: &str) {
        self.add_count(reason, 1);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(reason, count)| self.add_count(reason, *count));
    }

    /// Reasons and counts, the most frequent first.
    pub(crate) fn ranked(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all
    }

    pub(crate) fn add_count(&mut self, reason: &str, count: u64) {
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let reason: String = reason.chars().take(REASON_CHARS_MAX).map(printable).collect();
        let known = self.0.len() < REASONS_MAX || self.0.contains_key(&reason);
        *self.0.entry(if known { reason } else { OTHER.to_owned() }).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_bounded_printable_and_ranked() {
        let mut reasons = Reasons::default();
        for n in 0..100 {
            reasons.add(&format!("reason {n:02}"));
        }
        reasons.add("reason 00");
        assert_eq!(reasons.ranked().len(), REASONS_MAX + 1);
        assert_eq!(reasons.ranked()[..2], [(OTHER, 68), ("reason 00", 2)]);

        let mut reasons = Reasons::default();
        reasons.add("red \u{1b}[31m");
        reasons.add(&"x".repeat(500));
        assert_eq!(reasons.ranked()[0].0, "red \u{fffd}[31m");
        assert_eq!(reasons.ranked()[1].0.len(), REASON_CHARS_MAX);
    }
}
