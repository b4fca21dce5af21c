//! Publications that wait for the end of the turn, or longer for company, by room.
//! Owns their order within each room; when they leave is the engine's decision.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    base::{ConnId, HashSeed, Map, RoomKey, map_with_seed},
    model::Message,
};

/// What is known of one publication until it is delivered.
#[derive(Debug)]
pub struct Publication {
    pub message: Arc<Message>,
    /// The connection that does not get it.
    pub except: Option<ConnId>,
    /// When its frame was received: monotonic microseconds.
    pub received_us: u64,
}

/// The publications of one shard that are in no outbox yet.
#[derive(Debug)]
pub struct Held {
    rooms: Map<RoomKey, Vec<Publication>>,
    /// Rooms, longest waiting first. One that was taken meanwhile is skipped; if it came back, it keeps its old turn.
    order: VecDeque<RoomKey>,
    /// Lists that were given back, for the next rooms.
    spare: Vec<Vec<Publication>>,
    payload_bytes: usize,
}

/// Lists that are kept for reuse, and the longest of them.
const SPARE_MAX: usize = 1024;
const SPARE_LENGTH_MAX: usize = 256;

impl Held {
    /// Nothing held.
    pub fn new(hash: HashSeed) -> Self {
        Self { rooms: map_with_seed(hash), order: VecDeque::new(), spare: Vec::new(), payload_bytes: 0 }
    }

    /// Holds a publication behind the others of its room.
    pub fn add(&mut self, key: RoomKey, publication: Publication) {
        self.payload_bytes += publication.message.payload.as_bytes().len();
        if let Some(room) = self.rooms.get_mut(&key) {
            room.push(publication);
            return;
        }
        let mut room = self.spare.pop().unwrap_or_default();
        room.push(publication);
        self.order.push_back(key.clone());
        self.rooms.insert(key, room);
    }

    /// Takes one room's publications, in their order.
    pub fn take(&mut self, key: &RoomKey) -> Option<Vec<Publication>> {
        let room = self.rooms.remove(key)?;
        self.payload_bytes -= payload_bytes(&room);
        if self.rooms.is_empty() {
            self.order.clear();
        }
        Some(room)
    }

    /// Takes the publications of the room that has waited longest.
    pub fn take_next(&mut self) -> Option<(RoomKey, Vec<Publication>)> {
        while let Some(key) = self.order.pop_front() {
            if let Some(room) = self.take(&key) {
                return Some((key, room));
            }
        }
        None
    }

    /// Puts back what is left of the room that [`Held::take_next`] gave: it is the next again.
    pub fn put_back(&mut self, key: RoomKey, room: Vec<Publication>) {
        if room.is_empty() {
            self.give_back(room);
            return;
        }
        self.payload_bytes += payload_bytes(&room);
        self.order.push_front(key.clone());
        let replaced = self.rooms.insert(key, room);
        debug_assert!(replaced.is_none(), "nothing is added between taking and putting back");
    }

    /// Gives the memory of a list back.
    pub fn give_back(&mut self, mut room: Vec<Publication>) {
        room.clear();
        if self.spare.len() < SPARE_MAX && room.capacity() <= SPARE_LENGTH_MAX {
            self.spare.push(room);
        }
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Bytes of the payloads that are held.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }
}

fn payload_bytes(room: &[Publication]) -> usize {
    room.iter().map(|publication| publication.message.payload.as_bytes().len()).sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        base::{RoomName, TenantName, UserName},
        model::Json,
    };

    fn key(room: &str) -> RoomKey {
        RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
    }

    fn add(held: &mut Held, room: &str, id: &str) {
        let message = Arc::new(Message {
            id: id.into(),
            room: RoomName::parse(room).unwrap(),
            from: UserName::parse("ada").unwrap(),
            payload: Json::from_checked(Bytes::from_static(b"\"1234\"")),
            timestamp: 0,
        });
        held.add(key(room), Publication { message, except: None, received_us: 0 });
    }

    fn ids(room: &[Publication]) -> Vec<&str> {
        room.iter().map(|publication| &*publication.message.id).collect()
    }

    #[test]
    fn rooms_come_in_turn_and_keep_their_order() {
        let mut held = Held::new(HashSeed::new(1));
        for (room, id) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", "5")] {
            add(&mut held, room, id);
        }
        assert_eq!(held.payload_bytes(), 30);
        assert_eq!(ids(&held.take(&key("b")).unwrap()), ["2", "5"]);
        assert!(held.take(&key("b")).is_none());
        let (first, mut rest) = held.take_next().unwrap();
        assert_eq!((first.room.as_str(), ids(&rest)), ("a", vec!["1", "3"]));
        // What is put back is next again.
        held.give_back(rest.drain(..1).collect());
        held.put_back(first, rest);
        let (next, rest) = held.take_next().unwrap();
        assert_eq!((next.room.as_str(), ids(&rest)), ("a", vec!["3"]));
        held.put_back(next, Vec::new());
        // A room that was taken and comes back has its old turn.
        add(&mut held, "b", "6");
        let order: Vec<_> = std::iter::from_fn(|| held.take_next()).map(|(key, _)| key.room).collect();
        assert_eq!(order.iter().map(RoomName::as_str).collect::<Vec<_>>(), ["b", "c"]);
        assert!(held.is_empty() && held.payload_bytes() == 0);
    }
}
