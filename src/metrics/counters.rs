//! Counters by label: arrays of plain integers, as large as their label's enum.

use super::labels::Label;

/// One counter for each value of a label.
#[derive(Clone, Copy, Debug)]
pub struct CounterVec<L: Label>(L::Array<u64>);

impl<L: Label> CounterVec<L> {
    /// Counts one.
    pub fn inc(&mut self, label: L) {
        self.add(label, 1);
    }

    /// Counts `n`.
    pub fn add(&mut self, label: L, n: u64) {
        self.0.as_mut()[label.index()] += n;
    }

    /// Of a gauge: one that was counted is no more.
    pub fn dec(&mut self, label: L) {
        let counted = &mut self.0.as_mut()[label.index()];
        debug_assert!(*counted > 0, "it was counted");
        *counted = counted.saturating_sub(1);
    }

    /// What was counted.
    pub fn get(&self, label: L) -> u64 {
        self.0.as_ref()[label.index()]
    }

    /// All values together.
    pub fn total(&self) -> u64 {
        self.0.as_ref().iter().sum()
    }
}

impl<L: Label> Default for CounterVec<L> {
    fn default() -> Self {
        Self(L::filled(0))
    }
}

/// One counter for each pair of values of two labels.
#[derive(Clone, Copy, Debug)]
pub struct CounterGrid<A: Label, B: Label>(A::Array<B::Array<u64>>);

impl<A: Label, B: Label> CounterGrid<A, B> {
    /// Counts one.
    pub fn inc(&mut self, a: A, b: B) {
        self.add(a, b, 1);
    }

    /// Counts `n`.
    pub fn add(&mut self, a: A, b: B, n: u64) {
        self.0.as_mut()[a.index()].as_mut()[b.index()] += n;
    }

    /// What was counted.
    pub fn get(&self, a: A, b: B) -> u64 {
        self.0.as_ref()[a.index()].as_ref()[b.index()]
    }

    /// All pairs together.
    pub fn total(&self) -> u64 {
        self.0.as_ref().iter().flat_map(|row| row.as_ref()).sum()
    }
}

impl<A: Label, B: Label> Default for CounterGrid<A, B> {
    fn default() -> Self {
        Self(A::filled(B::filled(0)))
    }
}
