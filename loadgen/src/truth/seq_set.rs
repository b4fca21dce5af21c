//! A set of sequence numbers as sorted ranges: small when what is missing is missing in runs.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Sequence numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SeqSet {
    /// Invariant: sorted, not empty, and neither overlapping nor touching.
    ranges: Vec<Range<u32>>,
}

impl SeqSet {
    /// Adds numbers that are all above those in the set.
    pub(crate) fn append(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            last => {
                debug_assert!(last.is_none_or(|last| last.end < range.start));
                self.ranges.push(range);
            }
        }
    }

    /// Adds one number, wherever it belongs.
    pub(crate) fn insert(&mut self, seq: u32) {
        if self.contains(seq) {
            return;
        }
        let at = self.ranges.partition_point(|range| range.end <= seq);
        self.ranges.insert(at, seq..seq + 1);
        if self.ranges.get(at + 1).is_some_and(|next| next.start == seq + 1) {
            self.ranges[at].end = self.ranges.remove(at + 1).end;
        }
        if at > 0 && self.ranges[at - 1].end == seq {
            self.ranges[at - 1].end = self.ranges.remove(at).end;
        }
    }

    pub(crate) fn contains(&self, seq: u32) -> bool {
        let at = self.ranges.partition_point(|range| range.end <= seq);
        self.ranges.get(at).is_some_and(|range| range.contains(&seq))
    }

    /// Takes one number out; whether it was there.
    pub(crate) fn remove(&mut self, seq: u32) -> bool {
        let at = self.ranges.partition_point(|range| range.end <= seq);
        let Some(range) = self.ranges.get_mut(at).filter(|range| range.contains(&seq)) else { return false };
        let Range { start, end } = range.clone();
        match (start == seq, end == seq + 1) {
            (true, true) => drop(self.ranges.remove(at)),
            (true, false) => range.start += 1,
            (false, true) => range.end -= 1,
            (false, false) => {
                range.end = seq;
                self.ranges.insert(at + 1, seq + 1..end);
            }
        }
        true
    }

    /// Adds all of `other`.
    pub(crate) fn extend(&mut self, other: &Self) {
        other.iter().for_each(|seq| self.insert(seq));
    }

    /// In their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.ranges.iter().flat_map(Range::clone)
    }

    /// The numbers in both sets, counted.
    pub(crate) fn common(&self, other: &Self) -> u64 {
        let (mut mine, mut theirs) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut count = 0;
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            count += u64::from(a.end.min(b.end).saturating_sub(a.start.max(b.start)));
            if a.end <= b.end {
                mine.next();
            } else {
                theirs.next();
            }
        }
        count
    }

    pub(crate) fn len(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.end - range.start)).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn set(numbers: impl IntoIterator<Item = u32>) -> SeqSet {
        let mut set = SeqSet::default();
        numbers.into_iter().for_each(|seq| set.insert(seq));
        set
    }

    #[test]
    fn it_is_a_set() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut ours, mut model) = (SeqSet::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let seq = rng.u32(0..60);
            if rng.bool() {
                ours.insert(seq);
                model.insert(seq);
            } else {
                assert_eq!(ours.remove(seq), model.remove(&seq));
            }
            assert_eq!((ours.len(), ours.is_empty()), (model.len() as u64, model.is_empty()));
            assert!(ours.ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{ours:?}");
            assert!(ours.ranges.iter().all(|range| !range.is_empty()));
        }
        let other: BTreeSet<u32> = (0..40).map(|_| rng.u32(0..60)).collect();
        assert_eq!(ours.common(&set(other.iter().copied())), model.intersection(&other).count() as u64);
    }

    #[test]
    fn appended_ranges_grow_together() {
        let mut grown = SeqSet::default();
        for range in [0..3, 3..3, 3..5, 7..8] {
            grown.append(range);
        }
        assert_eq!(grown, set([0, 1, 2, 3, 4, 7]));
        assert_eq!(grown.ranges, [0..5, 7..8]);
    }
}
