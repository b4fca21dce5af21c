//! How many signatures a turn checks. One of a public key takes tens of microseconds, so that a turn that checked whatever comes
//! would keep everybody else waiting: beyond so many, tokens wait for the next turns, in the order in which they came.
//!
//! Only tokens wait that no memory knows and that name a public key of ours; nobody waits who has an identity, but for the
//! answer to a new token of his. Owns who waits for a turn; what with, `introspection` knows. Invariants: who comes while others wait
//! is behind them, as is whoever has had his turn and brings another token; a connection waits once; not more than twice as many
//! wait as there are connections; a turn looks at so many, and goes on with so much of what they have sent behind.

use std::collections::VecDeque;

use super::{Engine, introspection::Known};
use crate::{
    base::{ConnId, Now},
    conn::Stage,
};

/// Signatures that a turn checks; of a token that several keys may have signed the last may be more. Half a millisecond, of the
/// algorithms that most use.
pub(super) const PER_TURN: usize = 8;

/// Connections that a turn looks at, though their tokens may cost nothing any more: what lets them in does.
const LOOKS_PER_TURN: usize = 64;

/// What a turn takes of what those had sent meanwhile, in bytes: no further one is looked at then.
const BYTES_PER_TURN: usize = 128 * 1024;

const _: () = assert!(PER_TURN <= LOOKS_PER_TURN, "each signature wants a look");

/// Connections that may be queued beside as many as there are.
const QUEUED_MIN: usize = 64;

/// One shard's signatures.
#[derive(Debug)]
pub(super) struct Signatures {
    /// How many this turn may still check.
    left: usize,
    /// Who waits, first come first. May name some that have gone.
    queue: VecDeque<ConnId>,
    /// Whether the first of these is being looked at and has checked none yet.
    in_turn: bool,
}

impl Signatures {
    pub(super) fn new() -> Self {
        Self { left: PER_TURN, queue: VecDeque::new(), in_turn: false }
    }

    /// Whether so many may be checked now, for a token that is looked at now; if so, they are counted.
    pub(super) fn may_check(&mut self, count: usize) -> bool {
        if count == 0 {
            return true;
        }
        let is_turn = std::mem::take(&mut self.in_turn) || self.queue.is_empty();
        let may = is_turn && self.left > 0;
        if may {
            self.left = self.left.saturating_sub(count);
        }
        may
    }
}

impl Engine {
    /// Whether tokens wait for the next turn, which is to come at once.
    pub fn has_unchecked(&self) -> bool {
        !self.signatures.queue.is_empty()
    }

    /// A turn begins: before anything else is taken.
    pub fn begin_turn(&mut self) {
        self.signatures.left = PER_TURN;
    }

    /// Looks at tokens that have waited for this turn. Before what sockets bring, once in each turn that takes it.
    pub fn check_signatures(&mut self, now: Now) {
        let mut bytes = 0;
        for _ in 0..LOOKS_PER_TURN {
            if self.signatures.left == 0 || bytes >= BYTES_PER_TURN {
                break;
            }
            let Some(conn) = self.signatures.queue.pop_front() else { break };
            self.signatures.in_turn = true;
            bytes += self.look_again(conn, now);
            self.signatures.in_turn = false;
        }
        self.take_own_parcels(now);
    }

    /// The connection's token is looked at in its turn.
    pub(super) fn check_in_turn(&mut self, conn: ConnId) {
        let (queue, conns) = (&mut self.signatures.queue, &self.conns);
        if queue.len() >= 2 * conns.len().max(QUEUED_MIN) {
            queue.retain(|id| conns.get(id.slot, id.generation).is_some());
        }
        queue.push_back(conn);
        self.metrics.signatures_deferred += 1;
    }

    /// What has waited goes on: the message with the token, or the request, which is read again. Answers how many bytes had come
    /// by then.
    fn look_again(&mut self, conn: ConnId, now: Now) -> usize {
        if let Some(cause) = self.introspections.take_unchecked(conn) {
            let bytes = cause.held_bytes();
            let Some(token) = cause.token().cloned() else { return bytes };
            match self.know(token.expose(), now) {
                Known::Verdict(verdict) => self.go_on_with(conn, cause, &verdict, now),
                Known::Nothing(digest) => {
                    let again = cause.asked().cloned();
                    let asked = self.ask_about(conn, digest, token.expose(), cause, now);
                    if let (Err(error), Some(again)) = (asked, again) {
                        self.authenticated(conn, again, Err(error), now);
                    }
                }
                Known::Unchecked => self.wait_unchecked(conn, token.expose(), cause),
            }
            return bytes;
        }
        let Some(found) = self.conns.get_mut(conn.slot, conn.generation) else { return 0 };
        let Stage::Http(http) = &mut found.stage else { return 0 };
        http.awaiting = false;
        let bytes = http.buffer.len();
        self.serve(conn, now);
        bytes
    }
}

#[cfg(test)]
impl Signatures {
    pub(super) fn queue_len(&self) -> usize {
        self.queue.len()
    }
}
