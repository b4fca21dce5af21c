//! Memberships in doubt about which nobody has been asked yet, connection after connection in turns: one of each, then the next of
//! each, so that whoever is in many rooms does not stand before others with all of them.
//!
//! Owns no standing and asks nobody: what stands here may be in doubt no more, or over. Invariants: a connection has a list while
//! something is in it; not more is kept of one than it has rooms.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use crate::base::{ConnId, RoomName};

/// Whom to ask about, and whose turn it is.
#[derive(Default, Debug)]
pub(super) struct Doubts {
    rooms: BTreeMap<ConnId, Vec<RoomName>>,
    /// Who had the last turn.
    last: Option<ConnId>,
}

impl Doubts {
    /// All rooms in which the connection is in doubt, in place of what was known of it.
    pub(super) fn put(&mut self, conn: ConnId, rooms: Vec<RoomName>) {
        if rooms.is_empty() {
            self.rooms.remove(&conn);
        } else {
            self.rooms.insert(conn, rooms);
        }
    }

    /// Takes the next one out.
    pub(super) fn next(&mut self) -> Option<(ConnId, RoomName)> {
        let behind = self.last.and_then(|last| self.rooms.range((Excluded(last), Unbounded)).next());
        let conn = *behind.or_else(|| self.rooms.iter().next())?.0;
        self.last = Some(conn);
        let rooms = self.rooms.get_mut(&conn)?;
        let room = rooms.pop();
        if rooms.is_empty() {
            self.rooms.remove(&conn);
        }
        room.map(|room| (conn, room))
    }

    /// The connection is in no room any more.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.rooms.remove(&conn);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ShardId;

    #[test]
    fn each_has_one_turn_after_the_other() {
        let conn = |slot| ConnId { shard: ShardId(0), slot, generation: 1 };
        let rooms = |names: &[&str]| names.iter().map(|name| RoomName::parse(name).unwrap()).collect();
        let mut doubts = Doubts::default();
        doubts.put(conn(1), rooms(&["x"]));
        doubts.put(conn(1), rooms(&["c", "b", "a"]));
        doubts.put(conn(2), rooms(&["d"]));
        doubts.put(conn(3), rooms(&["f", "e"]));
        doubts.put(conn(4), rooms(&["y"]));
        doubts.put(conn(4), Vec::new());
        let mut next = || doubts.next().map(|(conn, room)| (conn.slot, room.to_string()));
        let expected = [(1, "a"), (2, "d"), (3, "e"), (1, "b"), (3, "f"), (1, "c")];
        for (slot, room) in expected {
            assert_eq!(next(), Some((slot, room.to_owned())));
        }
        assert_eq!(next(), None);
        doubts.put(conn(1), rooms(&["a"]));
        doubts.forget(conn(1));
        assert!(doubts.is_empty() && doubts.next().is_none());
    }
}
