//! What one thread's publishers did, by stream: how far each has come, what was answered, and what nobody knows the fate of. Streams
//! have the thread's numbers here; their names are those of the run.
//!
//! Invariant: a stream's messages have the numbers `0..next`; where answers come, each is answered, pending, or uncertain.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use crate::truth::{
    audit::Published,
    ledger::{Arrival, Begin, Ledger},
    seq_set::SeqSet,
};

/// Without answers nobody knows which publications a lost connection took with it: those of so much time before, at least, and
/// of twice as much at most.
const UNCERTAIN_NS: u64 = 2_000_000_000;
const MS_NS: u64 = 1_000_000;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Own {
    names: Vec<u32>,
    /// Whether the protocol answers.
    acks: bool,
    sent: Vec<u32>,
    /// What `sent` was at the last two turns, [`UNCERTAIN_NS`] apart, the later one first; kept where nothing is answered.
    earlier: [Vec<u32>; 2],
    turned_ns: u64,
    /// When the last one was due that was taken for certain; 0 where that is not known.
    taken_ms: Vec<u32>,
    /// A cell per stream.
    answers: Ledger,
    refused: BTreeMap<u32, SeqSet>,
    uncertain: BTreeMap<u32, SeqSet>,
    /// Where streams went on after that.
    resumed: BTreeMap<u32, Vec<u32>>,
    /// When each unanswered publication was due.
    pending: HashMap<(u32, u32), u64>,
}

impl Own {
    /// Streams of these names, in a protocol that `acks`, or does not.
    pub(super) fn new(names: Vec<u32>, acks: bool) -> Self {
        Self {
            acks,
            sent: vec![0; names.len()],
            earlier: [const { Vec::new() }; 2],
            turned_ns: 0,
            taken_ms: vec![0; names.len()],
            answers: Ledger::new(names.len()),
            names,
            refused: BTreeMap::new(),
            uncertain: BTreeMap::new(),
            resumed: BTreeMap::new(),
            pending: HashMap::new(),
        }
    }

    /// Remembers how far streams have come; to be called some times a second.
    pub(super) fn turn(&mut self, now_ns: u64) {
        if !self.acks && now_ns >= self.turned_ns + UNCERTAIN_NS {
            self.turned_ns = now_ns;
            self.earlier.swap(0, 1);
            self.earlier[0].clone_from(&self.sent);
        }
    }

    /// The stream's next number was sent.
    pub(super) fn sent(&mut self, stream: u32, due_ns: u64) {
        let seq = self.next(stream);
        self.sent[stream as usize] += 1;
        if self.acks {
            self.pending.insert((stream, seq), due_ns);
        } else {
            self.taken_ms[stream as usize] = ms(due_ns);
        }
    }

    /// It was answered, and maybe taken; gives when it was due. `None` when no answer was to come.
    pub(super) fn answered(&mut self, stream: u32, seq: u32, taken: bool, now_ns: u64) -> Option<u64> {
        if seq >= self.next(stream)
            || self.answers.record(stream as usize, seq, Begin::First) == Arrival::Repeated
        {
            return None;
        }
        let due_ns = self.pending.remove(&(stream, seq)).unwrap_or(now_ns);
        if taken {
            let taken_ms = &mut self.taken_ms[stream as usize];
            *taken_ms = ms(due_ns).max(*taken_ms);
        } else {
            self.refused.entry(stream).or_default().insert(seq);
        }
        Some(due_ns)
    }

    /// The publisher of these is gone: what was not answered may or may not have been taken. Where nothing is answered, those
    /// are the last ones, and none `in_order`.
    pub(super) fn disconnected(&mut self, streams: Range<u32>, in_order: bool) {
        for stream in streams {
            let sent = self.next(stream);
            let missing = if self.acks {
                self.answers.forgive(stream as usize, sent)
            } else {
                let from = self.earlier[1].get(stream as usize).copied().unwrap_or(0);
                let mut last = SeqSet::default();
                last.append(if in_order { sent } else { from }..sent);
                if !last.is_empty() {
                    // When the last one before these was due nobody remembers.
                    self.taken_ms[stream as usize] = 0;
                }
                last
            };
            if !missing.is_empty() {
                for seq in missing.iter() {
                    self.pending.remove(&(stream, seq));
                }
                self.uncertain.entry(stream).or_default().extend(&missing);
                let resumed = self.resumed.entry(stream).or_default();
                if resumed.last() != Some(&sent) {
                    resumed.push(sent);
                }
            }
        }
    }

    /// Whether nobody knows what became of it.
    pub(super) fn is_uncertain(&self, stream: u32, seq: u32) -> bool {
        self.uncertain.get(&stream).is_some_and(|set| set.contains(seq))
    }

    /// The number that the stream's next message has.
    pub(super) fn next(&self, stream: u32) -> u32 {
        self.sent[stream as usize]
    }

    /// The stream's number in the run.
    pub(super) fn name(&self, stream: u32) -> u32 {
        self.names[stream as usize]
    }

    /// Publications that are still to be answered.
    pub(super) fn unanswered(&self) -> u64 {
        self.pending.len() as u64
    }

    /// All of it by the streams' names; there are so many in the run.
    pub(super) fn published(&self, streams: u32) -> Published {
        let Self { names, sent, taken_ms, refused, uncertain, resumed, pending, .. } = self;
        let mut published = Published::new(streams);
        for ((name, sent), taken_ms) in names.iter().zip(sent).zip(taken_ms) {
            published.sent[*name as usize] = *sent;
            published.taken_ms[*name as usize] = *taken_ms;
        }
        let named = |sets: &BTreeMap<u32, SeqSet>| {
            sets.iter().map(|(stream, set)| (names[*stream as usize], set.clone())).collect()
        };
        published.refused = named(refused);
        published.uncertain = named(uncertain);
        published.resumed =
            resumed.iter().map(|(stream, firsts)| (names[*stream as usize], firsts.clone())).collect();
        published.unacked = pending.len() as u64;
        published
    }
}

/// Of the run's clock: no run is as long as these can count.
pub(super) fn ms(ns: u64) -> u32 {
    u32::try_from(ns / MS_NS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_was_taken_last_is_what_was_answered_well_or_was_not_lost_with_its_connection() {
        // Two streams; the first has three messages, due at 1, 2 and 3 s.
        let sent = |acks: bool| {
            let mut own = Own::new(vec![5, 3], acks);
            (1..4).for_each(|second| own.sent(0, second * SECOND));
            own
        };
        let taken = |own: &Own| {
            let published = own.published(6);
            assert_eq!((published.sent[5], published.sent[3]), (3, 0));
            published.taken_ms[5]
        };
        let mut answered = sent(true);
        assert_eq!(taken(&answered), 0, "nothing is answered");
        assert_eq!(answered.answered(0, 1, true, 9 * SECOND), Some(2 * SECOND));
        assert_eq!(answered.answered(0, 0, true, 9 * SECOND), Some(SECOND));
        assert_eq!(answered.answered(0, 2, false, 9 * SECOND), Some(3 * SECOND));
        assert_eq!(taken(&answered), 2_000, "the third was refused");
        assert_eq!(answered.answered(0, 2, true, 9 * SECOND), None, "twice");
        assert_eq!(answered.answered(0, 3, true, 9 * SECOND), None, "never sent");

        let mut silent = sent(false);
        assert_eq!(taken(&silent), 3_000);
        silent.disconnected(0..2, true);
        assert_eq!(taken(&silent), 3_000, "the target said good-bye after them");
        silent.disconnected(0..2, false);
        assert_eq!(taken(&silent), 0, "nobody knows");
    }
}
