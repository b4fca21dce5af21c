//! What a server outside is asked: equal questions once, so many calls at a time, the others in a bounded queue, of which whoever
//! asks has a share.
//!
//! A question is known by a digest of the token that it is asked with, and of what else it is about. Owns no call, no breaker and no
//! answer. Invariants: a question that nobody waits for is there only while its call is under way; in the queue each has one
//! place, and of others' places there are not more than there may be of live ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    auth::TokenDigest,
    base::{NoPlace, ShareLimits, Shares},
};

/// Questions that may wait until a call is over.
pub(super) const QUEUE_MAX: usize = 1024;

/// Open questions: `Q` is what each holds, `H` whose share it takes, `W` who waits for it.
#[derive(Debug)]
pub(super) struct Asking<H, W, Q> {
    open: BTreeMap<TokenDigest, Open<H, W, Q>>,
    /// How many of these are those of each.
    shares: Shares<H>,
    /// How much of what is left by others one may have open.
    percent: u8,
    /// Those that no call has been made for, first come first. May name some that are over.
    queue: VecDeque<Place>,
    last_turn: u64,
    /// Calls under way.
    in_flight: usize,
}

/// A question.
#[derive(Debug)]
pub(super) struct Open<H, W, Q> {
    pub(super) question: Q,
    pub(super) waiters: BTreeSet<W>,
    /// Until when it is waited for.
    pub(super) due_ms: u64,
    holder: H,
    /// Whether its call is under way.
    is_asked: bool,
    /// Of its place in the queue; 0 before it had one.
    turn: u64,
}

/// A place in the queue. It is the question's that has this turn.
#[derive(Clone, Copy, Debug)]
struct Place {
    due_ms: u64,
    turn: u64,
    digest: TokenDigest,
}

impl<H: Ord + Clone, W: Ord, Q> Asking<H, W, Q> {
    /// Nothing is open. One may have `percent` of what others leave.
    pub(super) fn new(percent: u8) -> Self {
        let shares = Shares::new(ShareLimits { total: QUEUE_MAX, percent });
        Self { open: BTreeMap::new(), shares, percent, queue: VecDeque::new(), last_turn: 0, in_flight: 0 }
    }

    /// Whether there is room for one more of this one's, where so many calls may be under way.
    ///
    /// # Errors
    /// For whom there is none.
    pub(super) fn check(&mut self, holder: &H, in_flight_max: usize) -> Result<(), NoPlace> {
        self.shares.limit(ShareLimits { total: in_flight_max + QUEUE_MAX, percent: self.percent });
        self.shares.check(holder)
    }

    /// A question, for which a call is to be made, or which is to be queued.
    pub(super) fn begin(&mut self, digest: TokenDigest, holder: H, question: Q, due_ms: u64) {
        debug_assert!(!self.open.contains_key(&digest), "equal questions are one");
        self.shares.take(holder.clone());
        let waiters = BTreeSet::new();
        self.open.insert(digest, Open { question, waiters, due_ms, holder, is_asked: false, turn: 0 });
    }

    /// Somebody waits for it. Whether it is there.
    pub(super) fn wait(&mut self, digest: TokenDigest, waiter: W) -> bool {
        let open = self.open.get_mut(&digest);
        open.map(|open| open.waiters.insert(waiter)).is_some()
    }

    /// Those do not wait any more that `stays` does not keep. What is not asked for others is not asked; a call that is under way
    /// is waited for, since its answer is remembered.
    pub(super) fn give_up(&mut self, digest: TokenDigest, stays: impl Fn(&W) -> bool) {
        let Some(open) = self.open.get_mut(&digest) else { return };
        open.waiters.retain(stays);
        if open.waiters.is_empty() && !open.is_asked {
            self.close(digest);
        }
    }

    /// A question is over.
    pub(super) fn close(&mut self, digest: TokenDigest) -> Option<Open<H, W, Q>> {
        let open = self.open.remove(&digest)?;
        self.shares.give_back(&open.holder);
        Some(open)
    }

    /// The rules have changed: all that were not asked are over, first come first.
    pub(super) fn close_unasked(&mut self) -> Vec<(TokenDigest, Open<H, W, Q>)> {
        let closed = std::mem::take(&mut self.queue).into_iter().filter_map(|place| {
            let open = if self.waits_in(&place) { self.close(place.digest) } else { None };
            Some((place.digest, open?))
        });
        closed.collect()
    }

    /// A question waits for a call, behind the others.
    pub(super) fn enqueue(&mut self, digest: TokenDigest) {
        if let Some(place) = self.place(digest) {
            self.queue.push_back(place);
        }
    }

    /// Its answer is not wanted: if anybody waits for it, it is the next to be asked.
    pub(super) fn ask_anew(&mut self, digest: TokenDigest) {
        let Some(open) = self.open.get_mut(&digest) else { return };
        open.is_asked = false;
        if open.waiters.is_empty() {
            self.close(digest);
        } else if let Some(place) = self.place(digest) {
            self.queue.push_front(place);
        }
    }

    /// A new place for a question.
    fn place(&mut self, digest: TokenDigest) -> Option<Place> {
        if self.queue.len() >= 2 * QUEUE_MAX {
            let queue = std::mem::take(&mut self.queue);
            self.queue = queue.into_iter().filter(|place| self.waits_in(place)).collect();
        }
        let open = self.open.get_mut(&digest)?;
        self.last_turn += 1;
        open.turn = self.last_turn;
        Some(Place { due_ms: open.due_ms, turn: open.turn, digest })
    }

    /// Whether a question waits in this place.
    fn waits_in(&self, place: &Place) -> bool {
        self.open.get(&place.digest).is_some_and(|open| !open.is_asked && open.turn == place.turn)
    }

    /// The call for a question is made.
    pub(super) fn called(&mut self, digest: TokenDigest) -> Option<&mut Q> {
        let open = self.open.get_mut(&digest)?;
        open.is_asked = true;
        self.in_flight += 1;
        Some(&mut open.question)
    }

    /// One of the calls is over.
    pub(super) fn answered(&mut self) {
        debug_assert!(self.in_flight > 0, "it was made before");
        self.in_flight -= 1;
    }

    /// Whether another call may be made, where so many may be under way.
    pub(super) fn may_call(&self, in_flight_max: usize) -> bool {
        self.in_flight < in_flight_max
    }

    /// Takes the next question out of the queue, if its call may be made.
    pub(super) fn next(&mut self, in_flight_max: usize) -> Option<TokenDigest> {
        while self.may_call(in_flight_max) {
            let place = self.queue.pop_front()?;
            if self.waits_in(&place) {
                return Some(place.digest);
            }
        }
        None
    }

    /// Takes the next question out of the queue that has waited there for too long.
    pub(super) fn next_overdue(&mut self, now_ms: u64) -> Option<TokenDigest> {
        loop {
            let place = self.queue.pop_front_if(|place| place.due_ms <= now_ms)?;
            if self.waits_in(&place) {
                return Some(place.digest);
            }
        }
    }

    /// When the first in the queue has waited for too long.
    pub(super) fn queue_due_ms(&self) -> Option<u64> {
        self.queue.front().map(|place| place.due_ms)
    }

    pub(super) fn get(&self, digest: TokenDigest) -> Option<&Open<H, W, Q>> {
        self.open.get(&digest)
    }

    /// All of them, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TokenDigest, &Open<H, W, Q>)> {
        self.open.iter().map(|(digest, open)| (*digest, open))
    }

    /// How many wait for a call.
    pub(super) fn unasked(&self) -> usize {
        self.open.len().saturating_sub(self.in_flight)
    }
}

#[cfg(test)]
impl<H: Ord + Clone, W: Ord, Q> Asking<H, W, Q> {
    pub(super) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is open, nor a call under way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.shares.taken() == 0 && self.in_flight == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::TokenHasher;

    fn digest(text: &str) -> TokenDigest {
        TokenHasher::new(&[7; 32]).digest(text)
    }

    /// Begins a question of `a` or another for the waiter 1, and queues it.
    fn queue(asking: &mut Asking<char, u32, ()>, holder: char, text: &str, due_ms: u64) -> TokenDigest {
        let digest = digest(text);
        asking.begin(digest, holder, (), due_ms);
        assert!(asking.wait(digest, 1));
        asking.enqueue(digest);
        digest
    }

    #[test]
    fn each_has_a_call_in_its_turn_and_one_place() {
        let mut asking = Asking::new(50);
        let [one, two, three, four] = ["1", "2", "3", "4"].map(|text| queue(&mut asking, 'a', text, 1_000));
        assert_eq!((asking.unasked(), asking.queue_due_ms(), asking.next(0)), (4, Some(1_000), None));
        asking.give_up(two, |_| false);
        assert!(!asking.wait(two, 2), "nobody waited for it");
        assert_eq!(asking.next(1), Some(one));
        asking.called(one);
        assert_eq!((asking.next(1), asking.may_call(1), asking.unasked()), (None, false, 2));
        // A call that is under way is waited for, whoever has gone.
        asking.give_up(one, |_| false);
        assert!(asking.wait(one, 3));
        // Its answer is of no use: it is the next again, if somebody waits.
        asking.answered();
        asking.ask_anew(one);
        assert_eq!(asking.next(1), Some(one));
        asking.called(one);
        asking.answered();
        assert!(asking.close(one).is_some_and(|open| open.waiters == BTreeSet::from([3])));
        assert_eq!(asking.next_overdue(999), None);
        assert_eq!(asking.next_overdue(1_000), Some(three));
        asking.close(three);
        let dropped: Vec<_> = asking.close_unasked().into_iter().map(|(digest, _)| digest).collect();
        assert_eq!(dropped, [four]);
        assert!(asking.is_empty());
    }

    #[test]
    fn one_has_his_share_and_places_of_what_is_over_are_few() {
        let mut asking = Asking::new(50);
        let mut taken = 0;
        while asking.check(&'a', 2).is_ok() {
            queue(&mut asking, 'a', &format!("a{taken}"), 1);
            taken += 1;
        }
        assert_eq!((taken, asking.check(&'a', 2), asking.check(&'b', 2)), (513, Err(NoPlace::Share), Ok(())));
        for number in 0..5 * QUEUE_MAX {
            let digest = queue(&mut asking, 'b', &format!("b{number}"), 1);
            asking.give_up(digest, |_| false);
        }
        assert!(asking.queue_len() <= 2 * QUEUE_MAX && asking.unasked() == 513);
    }
}
