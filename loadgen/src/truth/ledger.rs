//! What has arrived, kept per cell. A cell is one stream of numbers 0, 1, 2, … that should come once each and in order: what
//! one member hears of one stream, or the answers to one stream.
//!
//! A cell in good order costs four bytes, and none of the machine's memory before its first number; only cells with gaps have
//! an entry on the side.

use std::{collections::HashMap, ops::Range};

use crate::truth::seq_set::SeqSet;

/// Where a cell begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begin {
    /// With number 0.
    First,
    /// With whatever it hears first.
    Midway,
}

/// How a number arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// Above everything before it (what it skipped is missing until it comes).
    InOrder,
    /// For the first time, but after a higher one.
    Late,
    /// Again; or, in a cell that began midway, from before the first.
    Repeated,
}

/// All cells of one thread.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// One above the highest number that arrived; 0 when none has.
    next: Vec<u32>,
    /// Invariant: never an empty set; all its numbers are below the cell's `next`.
    gaps: HashMap<usize, SeqSet>,
}

impl Ledger {
    /// `cells` cells that have heard nothing.
    pub(crate) fn new(cells: usize) -> Self {
        Self { next: vec![0; cells], gaps: HashMap::new() }
    }

    /// Takes note of `seq`.
    #[inline]
    pub(crate) fn record(&mut self, cell: usize, seq: u32, begin: Begin) -> Arrival {
        let next = &mut self.next[cell];
        if seq == *next || *next == 0 && begin == Begin::Midway {
            *next = seq.saturating_add(1);
            return Arrival::InOrder;
        }
        self.record_out_of_step(cell, seq)
    }

    #[cold]
    fn record_out_of_step(&mut self, cell: usize, seq: u32) -> Arrival {
        let next = &mut self.next[cell];
        if seq > *next {
            self.gaps.entry(cell).or_default().append(*next..seq);
            *next = seq.saturating_add(1);
            return Arrival::InOrder;
        }
        let Some(gaps) = self.gaps.get_mut(&cell) else { return Arrival::Repeated };
        if !gaps.remove(seq) {
            return Arrival::Repeated;
        }
        if gaps.is_empty() {
            self.gaps.remove(&cell);
        }
        Arrival::Late
    }

    /// One above the highest number so far; 0 when there is none.
    pub(crate) fn next(&self, cell: usize) -> u32 {
        self.next[cell]
    }

    /// Whether nothing is missing below the highest number.
    pub(crate) fn is_whole(&self, cell: usize) -> bool {
        self.gaps.is_empty() || !self.gaps.contains_key(&cell)
    }

    /// Empties the cell. Gives what was missing below the highest number that it had.
    pub(crate) fn reset(&mut self, cell: usize) -> SeqSet {
        if self.next[cell] == 0 {
            // Not written to, so that the machine need not provide it.
            return SeqSet::default();
        }
        self.next[cell] = 0;
        if self.gaps.is_empty() { SeqSet::default() } else { self.gaps.remove(&cell).unwrap_or_default() }
    }

    /// Gives what is missing of `0..sent`, and lets the cell go on as if all of it had arrived.
    pub(crate) fn forgive(&mut self, cell: usize, sent: u32) -> SeqSet {
        let missing = self.missing(cell, sent, Begin::First);
        self.gaps.remove(&cell);
        self.next[cell] = sent;
        missing
    }

    /// Which of `0..sent` never arrived, from where the cell begins. One that began midway and heard nothing misses nothing.
    pub(crate) fn missing(&self, cell: usize, sent: u32, begin: Begin) -> SeqSet {
        let mut missing = self.gaps.get(&cell).cloned().unwrap_or_default();
        if self.next[cell] > 0 || begin == Begin::First {
            missing.append(self.next[cell]..sent);
        }
        missing
    }

    /// As [`missing`](Self::missing), counted. Cells without gaps, which most are, cost one comparison.
    pub(crate) fn missing_count(&self, cells: Range<usize>, sent: &[u32], begin: Begin) -> u64 {
        let tails = self.next[cells.clone()].iter().zip(sent);
        let tails: u64 = tails
            .filter(|(next, _)| **next > 0 || begin == Begin::First)
            .map(|(next, sent)| u64::from(sent.saturating_sub(*next)))
            .sum();
        let gaps = |cell: usize| self.gaps.get(&cell).map_or(0, SeqSet::len);
        tails + if self.gaps.is_empty() { 0 } else { cells.map(gaps).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival::*, *};

    #[test]
    fn every_kind_of_trouble_is_told_apart() {
        type Row = (&'static str, &'static [u32], &'static [Arrival], u32, &'static [u32]);
        // name, arriving, how, sent, missing at the end
        let rows: [Row; 9] = [
            ("all well", &[0, 1, 2], &[InOrder; 3], 3, &[]),
            ("nothing came", &[], &[], 3, &[0, 1, 2]),
            ("the first lost", &[1, 2], &[InOrder; 2], 3, &[0]),
            ("the last lost", &[0, 1], &[InOrder; 2], 3, &[2]),
            ("two holes", &[0, 3, 5], &[InOrder; 3], 6, &[1, 2, 4]),
            ("twice at once", &[0, 0, 1], &[InOrder, Repeated, InOrder], 2, &[]),
            ("twice, later", &[0, 1, 2, 0], &[InOrder, InOrder, InOrder, Repeated], 3, &[]),
            ("swapped", &[0, 2, 1, 3], &[InOrder, InOrder, Late, InOrder], 4, &[]),
            ("late, then twice", &[2, 1, 1, 0, 2], &[InOrder, Late, Repeated, Late, Repeated], 3, &[]),
        ];
        for (name, arriving, how, sent, missing) in rows {
            let mut ledger = Ledger::new(3);
            let got: Vec<Arrival> = arriving.iter().map(|seq| ledger.record(1, *seq, Begin::First)).collect();
            assert_eq!(got, how, "{name}");
            let mut expected = SeqSet::default();
            missing.iter().for_each(|seq| expected.insert(*seq));
            assert_eq!(ledger.missing(1, sent, Begin::First), expected, "{name}");
            assert_eq!(ledger.missing_count(1..2, &[sent], Begin::First), expected.len(), "{name}");
            assert!(ledger.gaps.values().all(|gaps| !gaps.is_empty()), "{name}");
            assert_eq!((ledger.next[0], ledger.next[2]), (0, 0), "{name}: other cells untouched");
        }
    }

    #[test]
    fn a_cell_that_begins_midway_begins_with_what_it_hears_first() {
        let mut ledger = Ledger::new(1);
        assert_eq!(ledger.record(0, 4, Begin::First), InOrder);
        assert_eq!(ledger.reset(0).len(), 4, "what was missing before");
        assert_eq!(ledger.missing_count(0..1, &[20], Begin::Midway), 0, "it has heard nothing");
        assert!(ledger.missing(0, 20, Begin::Midway).is_empty());
        assert_eq!(
            [7, 8, 10, 9, 6].map(|seq| ledger.record(0, seq, Begin::Midway)),
            [InOrder, InOrder, InOrder, Late, Repeated]
        );
        assert_eq!(ledger.missing(0, 13, Begin::Midway).len(), 2, "11 and 12");
        assert!(ledger.reset(0).is_empty(), "everything between first and last came");
    }

    #[test]
    fn what_is_forgiven_is_not_missed_again() {
        let mut ledger = Ledger::new(1);
        for seq in [0, 2] {
            ledger.record(0, seq, Begin::First);
        }
        assert_eq!(ledger.forgive(0, 5).len(), 3, "1, 3 and 4");
        assert!(ledger.missing(0, 5, Begin::First).is_empty());
        assert_eq!(ledger.record(0, 5, Begin::First), InOrder);
        assert_eq!(ledger.record(0, 3, Begin::First), Repeated);
    }
}
