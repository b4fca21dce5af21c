//! The balance at the end: what the publishers sent against what the members got.
//!
//! Invariant: `expected = delivered + lost`. A publication that was refused is expected by nobody;
//! one whose ack never came because the publisher's connection broke may or may not have been
//! accepted, so it is expected only where it arrived.

use crate::{plan::ConnId, plan::Plan, plan::Slot, truth::ledger::Ledger, truth::seq_set::SeqSet};

/// What one publisher did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Published {
    /// Its messages have the numbers `0..sent`.
    pub(crate) sent: u32,
    /// Answered with an error.
    pub(crate) refused: SeqSet,
    /// Not answered.
    pub(crate) unacked: SeqSet,
    /// Its connection ended before the run did.
    pub(crate) disconnected: bool,
}

/// Deliveries, by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Balance {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    /// Delivered although the sender was told that it was refused.
    pub(crate) unexpected: u64,
}

impl Balance {
    /// Adds the cell of a member that was there from the first message to the last.
    pub(crate) fn add_cell(&mut self, publisher: &Published, missing: &SeqSet) {
        let sent = u64::from(publisher.sent);
        let refused_missing = missing.common(&publisher.refused);
        let excused = refused_missing + uncertain(publisher, missing);
        let unexpected = publisher.refused.len() - refused_missing;
        let delivered = sent - missing.len() - unexpected;
        let lost = missing.len() - excused;
        self.expected += delivered + lost;
        self.delivered += delivered;
        self.lost += lost;
        self.unexpected += unexpected;
    }

    /// Adds what a member that came midway missed between two messages that it got.
    pub(crate) fn add_gaps(&mut self, publisher: &Published, missing: &SeqSet) {
        let excused = missing.common(&publisher.refused) + uncertain(publisher, missing);
        self.expected += missing.len() - excused;
        self.lost += missing.len() - excused;
    }

    /// Adds deliveries to members that came midway.
    pub(crate) fn add_delivered(&mut self, count: u64) {
        self.expected += count;
        self.delivered += count;
    }

    /// Adds the cells of all members of `thread` that stayed.
    pub(crate) fn add_members(
        &mut self,
        plan: &Plan,
        thread: u32,
        ledger: &Ledger,
        published: &[Published],
        stayed: impl Fn(Slot) -> bool,
    ) {
        for slot in (0..plan.share(thread)).map(Slot).filter(|slot| stayed(*slot)) {
            for publisher in plan.heard_by(plan.conn_at(thread, slot)) {
                let ConnId(index) = publisher;
                let published = &published[index as usize];
                self.add_cell(published, &ledger.missing(plan.cell(slot, publisher), published.sent));
            }
        }
    }
}

/// How many of `missing` nobody can tell the fate of.
fn uncertain(publisher: &Published, missing: &SeqSet) -> u64 {
    if publisher.disconnected { missing.common(&publisher.unacked) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u32]) -> SeqSet {
        let mut set = SeqSet::default();
        numbers.iter().for_each(|seq| set.insert(*seq));
        set
    }

    #[test]
    fn cells_balance() {
        struct Row {
            name: &'static str,
            refused: &'static [u32],
            unacked: &'static [u32],
            disconnected: bool,
            missing: &'static [u32],
            /// expected, delivered, lost, unexpected
            balance: (u64, u64, u64, u64),
        }
        let row = Row {
            name: "all well",
            refused: &[],
            unacked: &[],
            disconnected: false,
            missing: &[],
            balance: (10, 10, 0, 0),
        };
        let rows = [
            Row { name: "two lost", missing: &[3, 9], balance: (10, 8, 2, 0), ..row },
            Row {
                name: "refused, so not expected",
                refused: &[3],
                missing: &[3],
                balance: (9, 9, 0, 0),
                ..row
            },
            Row {
                name: "refused and another lost",
                refused: &[3],
                missing: &[3, 4],
                balance: (9, 8, 1, 0),
                ..row
            },
            Row { name: "refused, yet delivered", refused: &[3], balance: (9, 9, 0, 1), ..row },
            Row { name: "not acked, yet delivered", unacked: &[9], balance: (10, 10, 0, 0), ..row },
            Row { name: "not acked and lost", unacked: &[9], missing: &[9], balance: (10, 9, 1, 0), ..row },
            Row {
                name: "the publisher broke off: only what was acked is owed",
                unacked: &[8, 9],
                disconnected: true,
                missing: &[2, 9],
                balance: (9, 8, 1, 0),
                ..row
            },
            row,
        ];
        for row in rows {
            let published = Published {
                sent: 10,
                refused: set(row.refused),
                unacked: set(row.unacked),
                disconnected: row.disconnected,
            };
            let mut got = Balance::default();
            got.add_cell(&published, &set(row.missing));
            let (expected, delivered, lost, unexpected) = row.balance;
            assert_eq!(got, Balance { expected, delivered, lost, unexpected }, "{}", row.name);
            assert_eq!(got.expected, got.delivered + got.lost, "{}", row.name);
        }
    }

    #[test]
    fn who_came_midway_owes_only_the_holes() {
        let published = Published { sent: 10, refused: set(&[5]), ..Published::default() };
        let mut balance = Balance::default();
        balance.add_delivered(4);
        balance.add_gaps(&published, &set(&[5, 6]));
        assert_eq!(balance, Balance { expected: 5, delivered: 4, lost: 1, unexpected: 0 });
    }
}
