//! The answers that connections of this shard owe, so that whoever waits hears of it when one of them ends.
//!
//! Owns no more than that: whether an answer counts is decided where the request was asked.

use std::collections::BTreeMap;

use crate::base::{ConnId, RequestId};

/// Requests that were handed to connections of one shard.
#[derive(Debug, Default)]
pub struct Owed {
    /// With their deadlines in monotonic milliseconds.
    requests: BTreeMap<(ConnId, RequestId), u64>,
}

impl Owed {
    /// The request was handed to `conn`.
    pub fn add(&mut self, conn: ConnId, request: RequestId, deadline_ms: u64) {
        self.requests.insert((conn, request), deadline_ms);
    }

    /// `conn` has answered, or nobody waits for it any more.
    pub fn settle(&mut self, conn: ConnId, request: RequestId) {
        self.requests.remove(&(conn, request));
    }

    /// `conn` is gone: `owed` is told what it did not answer.
    pub fn gone(&mut self, conn: ConnId, mut owed: impl FnMut(RequestId)) {
        let [first, last] = RequestId::ENDS;
        while let Some((&(_, request), _)) = self.requests.range((conn, first)..=(conn, last)).next() {
            self.requests.remove(&(conn, request));
            owed(request);
        }
    }

    /// Drops what should not be here any more: its connection is not open, or its time was over before `overdue_ms`.
    /// Says how many there were; there never is one, unless this code is wrong.
    pub fn drop_strays(&mut self, overdue_ms: u64, is_open: impl Fn(ConnId) -> bool) -> usize {
        let before = self.requests.len();
        self.requests.retain(|(conn, _), deadline_ms| *deadline_ms >= overdue_ms && is_open(*conn));
        before - self.requests.len()
    }

    /// Whether nobody owes anything.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ShardId;

    fn conn(slot: u32) -> ConnId {
        ConnId { shard: ShardId(1), slot, generation: 9 }
    }

    fn request(shard: u16, slot: u32) -> RequestId {
        RequestId { shard: ShardId(shard), slot, generation: 2 }
    }

    #[test]
    fn a_connection_that_ends_owes_what_it_has_not_answered() {
        let mut owed = Owed::default();
        for (slot, request) in [
            (1, request(0, 7)),
            (1, request(2, 7)),
            (2, request(0, 8)),
            (1, request(0, 9)),
            (1, request(1, 1)),
        ] {
            owed.add(conn(slot), request, 100);
        }
        owed.settle(conn(1), request(0, 9));
        owed.settle(conn(1), request(0, 8));
        let mut left = Vec::new();
        owed.gone(conn(1), |request| left.push(request));
        assert_eq!(left, [request(0, 7), request(1, 1), request(2, 7)]);
        owed.gone(conn(1), |request| panic!("{request:?} a second time"));
        owed.gone(conn(2), |request| left.push(request));
        assert_eq!(left[3..], [request(0, 8)]);
        assert!(owed.is_empty());
    }

    #[test]
    fn strays_are_those_of_nobody_and_those_long_over() {
        let mut owed = Owed::default();
        owed.add(conn(1), request(0, 1), 99);
        owed.add(conn(1), request(0, 2), 100);
        owed.add(conn(2), request(0, 3), 200);
        assert_eq!(owed.drop_strays(99, |_| true), 0);
        assert_eq!(owed.drop_strays(100, |id| id == conn(1)), 2);
        owed.gone(conn(1), |left| assert_eq!(left, request(0, 2)));
        assert!(owed.is_empty());
    }
}
