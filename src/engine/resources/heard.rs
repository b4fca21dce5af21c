//! What servers have just said to those who wait for another word, too: kept until they wait for none, so that whoever needs two
//! does not ask for the first again because it is over when the second comes.
//!
//! Owns no question and no line. Invariants: of a connection and a room, something is kept only while a question for them is under
//! way or their line goes on; not more words than there are actions to ask about.

use std::collections::BTreeMap;

use super::Said;
use crate::{
    auth::{TokenDigest, resources::MAPPABLE},
    base::{ConnId, RoomName},
};

/// Words to all who wait.
#[derive(Default, Debug)]
pub(super) struct Heard(BTreeMap<ConnId, Vec<InRoom>>);

#[derive(Debug)]
struct InRoom {
    room: RoomName,
    /// The last is the newest.
    words: Vec<(TokenDigest, Said)>,
}

impl Heard {
    /// This was said, whatever was before.
    pub(super) fn put(&mut self, conn: ConnId, room: &RoomName, digest: TokenDigest, said: Said) {
        let rooms = self.0.entry(conn).or_default();
        let at = rooms.iter().position(|it| it.room == *room).unwrap_or_else(|| {
            rooms.push(InRoom { room: room.clone(), words: Vec::with_capacity(1) });
            rooms.len() - 1
        });
        let words = &mut rooms[at].words;
        words.retain(|(other, _)| *other != digest);
        if words.len() == MAPPABLE.len() {
            // Of a token that the connection has no more.
            words.drain(..1);
        }
        words.push((digest, said));
    }

    pub(super) fn find(&self, conn: ConnId, room: &str, digest: TokenDigest) -> Option<Said> {
        let rooms = self.0.get(&conn)?;
        let words = &rooms.iter().find(|it| it.room.as_str() == room)?.words;
        words.iter().find(|(other, _)| *other == digest).map(|(_, said)| *said)
    }

    /// Nobody waits there any more.
    pub(super) fn forget(&mut self, conn: ConnId, room: &RoomName) {
        let Some(rooms) = self.0.get_mut(&conn) else { return };
        rooms.retain(|it| it.room != *room);
        if rooms.is_empty() {
            self.0.remove(&conn);
        }
    }

    pub(super) fn give_up(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }
}

#[cfg(test)]
impl Heard {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
