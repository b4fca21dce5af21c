//! What has arrived, kept per cell. A cell is one stream of numbers 0, 1, 2, … that should come
//! once each and in order: what one member hears of one publisher, or the acks of one publisher.
//!
//! A cell in good order costs four bytes; only cells with gaps have an entry on the side.

use std::collections::HashMap;

use crate::truth::seq_set::SeqSet;

/// How a number arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// Above everything before it (what it skipped is missing until it comes).
    InOrder,
    /// For the first time, but after a higher one.
    Late,
    /// Again; or, in a cell opened midway, from before the first.
    Repeated,
}

/// `next` of a cell opened midway that has heard nothing.
const UNHEARD: u32 = u32::MAX;

/// All cells of one thread.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// One above the highest number that arrived, or [`UNHEARD`].
    next: Vec<u32>,
    /// Invariant: never an empty set; all its numbers are below the cell's `next`.
    gaps: HashMap<usize, SeqSet>,
}

impl Ledger {
    /// `cells` cells that expect 0 first.
    pub(crate) fn new(cells: usize) -> Self {
        Self { next: vec![0; cells], gaps: HashMap::new() }
    }

    /// Takes note of `seq`.
    pub(crate) fn record(&mut self, cell: usize, seq: u32) -> Arrival {
        let next = &mut self.next[cell];
        if *next == UNHEARD || seq == *next {
            *next = seq + 1;
            return Arrival::InOrder;
        }
        if seq > *next {
            self.gaps.entry(cell).or_default().append(*next..seq);
            *next = seq + 1;
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

    /// Opens the cell anew, midway: the first number heard is where it begins. Gives what was missing
    /// between the first and the last number of before.
    pub(crate) fn reopen_midway(&mut self, cell: usize) -> SeqSet {
        self.next[cell] = UNHEARD;
        self.gaps.remove(&cell).unwrap_or_default()
    }

    /// Which of `0..sent` never arrived in a cell that was open from the beginning.
    pub(crate) fn missing(&self, cell: usize, sent: u32) -> SeqSet {
        let mut missing = self.gaps.get(&cell).cloned().unwrap_or_default();
        missing.append(self.next[cell]..sent);
        missing
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
            let got: Vec<Arrival> = arriving.iter().map(|seq| ledger.record(1, *seq)).collect();
            assert_eq!(got, how, "{name}");
            let mut expected = SeqSet::default();
            missing.iter().for_each(|seq| expected.insert(*seq));
            assert_eq!(ledger.missing(1, sent), expected, "{name}");
            assert!(ledger.gaps.values().all(|gaps| !gaps.is_empty()), "{name}");
            assert_eq!((ledger.next[0], ledger.next[2]), (0, 0), "{name}: other cells untouched");
        }
    }

    #[test]
    fn a_cell_opened_midway_begins_with_what_it_hears_first() {
        let mut ledger = Ledger::new(1);
        assert_eq!(ledger.record(0, 4), InOrder);
        assert_eq!(ledger.reopen_midway(0).len(), 4, "what the earlier opening missed");
        assert_eq!(
            [7, 8, 10, 9, 6].map(|seq| ledger.record(0, seq)),
            [InOrder, InOrder, InOrder, Late, Repeated]
        );
        assert!(ledger.reopen_midway(0).is_empty(), "everything between first and last came");
    }
}
