//! The balance at the end: what publishers sent against what members got.
//!
//! Invariant: `expected = delivered + lost`. A publication that was refused is expected by nobody; one whose publisher lost its
//! connection before the answer may or may not have been accepted, so that it is expected only where it arrived.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};

use crate::truth::{
    ledger::{Begin, Ledger},
    seq_set::SeqSet,
};

/// What is due so long after a member has joined must reach it, whatever the clocks of two agents think of each other.
const SILENCE_MS: u32 = 2_000;

/// What all publishers did: of one thread, or merged. Streams that are another thread's have sent nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Published {
    /// By stream: its messages have the numbers `0..sent`.
    pub(crate) sent: Vec<u32>,
    /// By stream: when the last of them was due that was taken for certain, in ms of the run's clock; 0 for none.
    pub(crate) taken_ms: Vec<u32>,
    /// By stream: answered with an error.
    pub(crate) refused: BTreeMap<u32, SeqSet>,
    /// By stream: not answered before the publisher's connection was lost.
    pub(crate) uncertain: BTreeMap<u32, SeqSet>,
    /// By stream: the first number of each connection that followed one with uncertain numbers; ascending.
    pub(crate) resumed: BTreeMap<u32, Vec<u32>>,
    /// Not answered otherwise.
    pub(crate) unacked: u64,
}

/// Deliveries to the members of one thread, by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Balance {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    /// Delivered although the sender was told that it was refused.
    pub(crate) unexpected: u64,
    /// Missing, but maybe never accepted: expected by nobody.
    pub(crate) excused: u64,
}

/// The cells of one membership that is there at the end.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// In the ledger, one for each stream.
    pub(crate) cells: Range<usize>,
    /// The first stream's number.
    pub(crate) streams_start: u32,
    /// The stream that is not to be heard: the member's own.
    pub(crate) own: Option<u32>,
    pub(crate) begin: Begin,
    /// When it was in the room, in ms of the run's clock.
    pub(crate) joined_ms: u32,
}

impl Published {
    /// Of a plan with so many streams.
    pub(crate) fn new(streams: u32) -> Self {
        Self { sent: vec![0; streams as usize], taken_ms: vec![0; streams as usize], ..Self::default() }
    }

    /// Adds what other threads' publishers did.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.sent.len() < other.sent.len() {
            self.sent.resize(other.sent.len(), 0);
        }
        if self.taken_ms.len() < other.taken_ms.len() {
            self.taken_ms.resize(other.taken_ms.len(), 0);
        }
        self.taken_ms.iter_mut().zip(other.taken_ms).for_each(|(last, taken)| *last = taken.max(*last));
        self.sent.iter_mut().zip(other.sent).for_each(|(sum, sent)| *sum += sent);
        self.refused.extend(other.refused);
        self.uncertain.extend(other.uncertain);
        self.resumed.extend(other.resumed);
        self.unacked += other.unacked;
    }

    /// Whether the target may have read number `seq` on a connection that was lost, after it had read one below `heard` on the
    /// next: nobody promises an order between the two. Within one connection there is one.
    pub(crate) fn is_from_before(&self, stream: u32, seq: u32, heard: u32) -> bool {
        let is_next = |first: &u32| seq < *first && *first < heard;
        self.uncertain.get(&stream).is_some_and(|set| set.contains(seq))
            && self.resumed.get(&stream).is_some_and(|firsts| firsts.iter().any(is_next))
    }

    /// How many of `missing` were refused, and how many may have been lost with their publisher's connection.
    fn excused(&self, stream: u32, missing: &SeqSet) -> (u64, u64) {
        let common = |sets: &BTreeMap<u32, SeqSet>| sets.get(&stream).map_or(0, |set| missing.common(set));
        (common(&self.refused), common(&self.uncertain))
    }
}

impl Balance {
    /// Begins with all first deliveries, whatever they were.
    pub(crate) fn of(delivered: u64) -> Self {
        Self { expected: delivered, delivered, ..Self::default() }
    }

    /// Adds the cells of a member that is there at the end; `found` gets each stream that lost some, and how many.
    pub(crate) fn add_held(
        &mut self,
        held: &Held,
        ledger: &Ledger,
        published: &Published,
        mut found: impl FnMut(u32, u64),
    ) {
        for (cell, stream) in held.cells.clone().zip(held.streams_start..) {
            let sent = published.sent[stream as usize];
            let refused = published.refused.get(&stream);
            if held.own == Some(stream)
                || ledger.next(cell) == sent && ledger.is_whole(cell) && refused.is_none()
            {
                continue;
            }
            let missing = ledger.missing(cell, sent, held.begin);
            if let Some(refused) = refused
                && held.begin == Begin::First
            {
                let unexpected = refused.len() - missing.common(refused);
                self.unexpected += unexpected;
                self.delivered = self.delivered.saturating_sub(unexpected);
                self.expected = self.expected.saturating_sub(unexpected);
            }
            self.lose(stream, &missing, published, &mut found);
        }
    }

    /// Adds what a member that left had missed by then.
    pub(crate) fn add_gaps(
        &mut self,
        stream: u32,
        missing: &SeqSet,
        published: &Published,
        mut found: impl FnMut(u32, u64),
    ) {
        self.lose(stream, missing, published, &mut found);
    }

    fn lose(
        &mut self,
        stream: u32,
        missing: &SeqSet,
        published: &Published,
        found: &mut impl FnMut(u32, u64),
    ) {
        let (refused, uncertain) = published.excused(stream, missing);
        self.excused += uncertain;
        let lost = missing.len().saturating_sub(refused + uncertain);
        if lost > 0 {
            self.expected += lost;
            self.lost += lost;
            found(stream, lost);
        }
    }
}

/// Whether a member that came while publishing went on has heard nothing of what was published well after that. Its cells alone miss
/// nothing: they begin with what they hear.
pub(crate) fn is_silent(held: &Held, ledger: &Ledger, published: &Published) -> bool {
    if held.begin == Begin::First || held.cells.clone().any(|cell| ledger.next(cell) > 0) {
        return false;
    }
    let from_ms = held.joined_ms.saturating_add(SILENCE_MS);
    let streams = held.streams_start..held.streams_start + held.cells.len() as u32;
    streams
        .filter(|stream| held.own != Some(*stream))
        .any(|stream| published.taken_ms.get(stream as usize).is_some_and(|taken_ms| *taken_ms > from_ms))
}

/// How many deliveries a member that is there still waits for; one, if it has heard nothing of many.
pub(crate) fn awaited(held: &Held, ledger: &Ledger, published: &Published) -> u64 {
    if is_silent(held, ledger, published) {
        return 1;
    }
    let streams = held.streams_start..held.streams_start + held.cells.len() as u32;
    let sent = &published.sent[streams.start as usize..streams.end as usize];
    let mut count = ledger.missing_count(held.cells.clone(), sent, held.begin);
    let cell_of = |stream: u32| held.cells.start + (stream - streams.start) as usize;
    let missing = |stream: u32| ledger.missing(cell_of(stream), published.sent[stream as usize], held.begin);
    if let Some(own) = held.own {
        count -= missing(own).len();
    }
    for sets in [&published.refused, &published.uncertain] {
        let excused = sets.range(streams.clone()).filter(|(stream, _)| held.own != Some(**stream));
        count -= excused.map(|(stream, set)| missing(*stream).common(set)).sum::<u64>();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u32]) -> SeqSet {
        let mut set = SeqSet::default();
        numbers.iter().for_each(|seq| set.insert(*seq));
        set
    }

    fn sets(numbers: &[u32]) -> BTreeMap<u32, SeqSet> {
        if numbers.is_empty() { BTreeMap::new() } else { BTreeMap::from([(1, set(numbers))]) }
    }

    struct Row {
        name: &'static str,
        begin: Begin,
        refused: &'static [u32],
        uncertain: &'static [u32],
        heard: &'static [u32],
        /// expected, delivered, lost, unexpected
        balance: (u64, u64, u64, u64),
        awaited: u64,
    }

    #[test]
    fn cells_balance() {
        let row = Row {
            name: "all well",
            begin: Begin::First,
            refused: &[],
            uncertain: &[],
            heard: &[0, 1, 2, 3, 4],
            balance: (5, 5, 0, 0),
            awaited: 0,
        };
        let rows = [
            Row { name: "two lost", heard: &[0, 2, 3], balance: (5, 3, 2, 0), awaited: 2, ..row },
            Row { name: "nothing came", heard: &[], balance: (5, 0, 5, 0), awaited: 5, ..row },
            Row {
                name: "refused, so not expected",
                refused: &[3],
                heard: &[0, 1, 2, 4],
                balance: (4, 4, 0, 0),
                ..row
            },
            Row {
                name: "refused and another lost",
                refused: &[3],
                heard: &[0, 1, 2],
                balance: (4, 3, 1, 0),
                awaited: 1,
                ..row
            },
            Row { name: "refused, yet delivered", refused: &[3], balance: (4, 4, 0, 1), ..row },
            Row {
                name: "the publisher broke off: who knows",
                uncertain: &[3, 4],
                heard: &[0, 2, 3],
                balance: (4, 3, 1, 0),
                awaited: 1,
                ..row
            },
            Row {
                name: "came midway: from the first to the last sent",
                begin: Begin::Midway,
                heard: &[2],
                balance: (3, 1, 2, 0),
                awaited: 2,
                ..row
            },
            Row {
                name: "came midway and heard nothing",
                begin: Begin::Midway,
                heard: &[],
                balance: (0, 0, 0, 0),
                ..row
            },
            row,
        ];
        for row in rows {
            let mut ledger = Ledger::new(3);
            for seq in row.heard {
                ledger.record(1, *seq, row.begin);
            }
            let published = Published {
                sent: vec![7, 5, 0],
                refused: sets(row.refused),
                uncertain: sets(row.uncertain),
                ..Published::default()
            };
            // The member's own stream is never heard, and never missed.
            let held = Held { cells: 0..3, streams_start: 0, own: Some(0), begin: row.begin, joined_ms: 0 };
            let mut got = Balance::of(row.heard.len() as u64);
            let mut found = 0;
            got.add_held(&held, &ledger, &published, |stream, lost| {
                assert_eq!(stream, 1);
                found += lost;
            });
            let (expected, delivered, lost, unexpected) = row.balance;
            let excused = if row.uncertain.is_empty() { 0 } else { 1 };
            assert_eq!(got, Balance { expected, delivered, lost, unexpected, excused }, "{}", row.name);
            assert_eq!(got.expected, got.delivered + got.lost, "{}", row.name);
            assert_eq!(found, lost, "{}", row.name);
            assert_eq!(awaited(&held, &ledger, &published), row.awaited, "{}", row.name);
        }
    }

    #[test]
    fn who_came_midway_and_heard_nothing_of_what_was_due_later_is_silent() {
        // name, begin, when the two streams' last ones were due (the first is the member's own), heard, silent
        let rows = [
            ("nothing was due", Begin::Midway, [0, 0], false, false),
            ("due too soon to be sure", Begin::Midway, [0, 7_000], false, false),
            ("due later", Begin::Midway, [0, 7_001], false, true),
            ("only its own", Begin::Midway, [9_000, 0], false, false),
            ("heard some", Begin::Midway, [0, 9_000], true, false),
            ("there from the first: that is loss", Begin::First, [0, 9_000], false, false),
        ];
        for (name, begin, taken_ms, heard, silent) in rows {
            let mut ledger = Ledger::new(2);
            if heard {
                ledger.record(1, 8, begin);
            }
            let published =
                Published { sent: vec![9, 9], taken_ms: taken_ms.to_vec(), ..Published::default() };
            let held = Held { cells: 0..2, streams_start: 0, own: Some(0), begin, joined_ms: 5_000 };
            assert_eq!(is_silent(&held, &ledger, &published), silent, "{name}");
            let rest = u64::from(begin == Begin::First) * 9;
            assert_eq!(awaited(&held, &ledger, &published), rest + u64::from(silent), "{name}");
        }
    }

    #[test]
    fn who_left_is_owed_only_the_holes() {
        let published = Published { sent: vec![0, 10], refused: sets(&[5]), ..Published::default() };
        let mut balance = Balance::of(4);
        balance.add_gaps(1, &set(&[5, 6]), &published, |stream, lost| assert_eq!((stream, lost), (1, 1)));
        assert_eq!(balance, Balance { expected: 5, delivered: 4, lost: 1, ..Balance::default() });
    }

    #[test]
    fn threads_publish_different_streams() {
        let mut all = Published { sent: vec![3, 0], unacked: 1, ..Published::new(2) };
        all.merge(Published { sent: vec![0, 4], refused: sets(&[2]), unacked: 2, ..Published::new(2) });
        assert_eq!((all.sent, all.refused, all.unacked), (vec![3, 4], sets(&[2]), 3));
    }
}
