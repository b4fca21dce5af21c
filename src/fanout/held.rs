//! Publications that wait for the end of the turn, or longer for company, by room.
//! Owns their order within each room, and what is remembered of a room's last release; when a room may be released, is
//! the engine's decision.
//!
//! Invariants: a room stands in `due` exactly while it holds publications; a room that holds none is kept only while its
//! last release is remembered, and then stands in `remembered`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

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

/// The publications of one shard that are in no outbox yet. Times are monotonic microseconds.
#[derive(Debug)]
pub struct Held {
    rooms: Map<RoomKey, Room>,
    /// Rooms that hold something: by when they may be released, then first come, first served.
    due: BTreeMap<Due, RoomKey>,
    /// Rooms that were released, by when that is forgotten.
    remembered: VecDeque<(u64, RoomKey)>,
    came: u64,
    /// Lists that were given back, for the next rooms.
    spare: Vec<Vec<Publication>>,
    payload_bytes: usize,
}

#[derive(Debug)]
struct Room {
    publications: Vec<Publication>,
    due: Due,
    last: Option<Release>,
}

/// What is remembered of a release.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    pub began_us: u64,
    /// When the room may be released again.
    pub opens_us: u64,
    /// When this may be forgotten.
    pub forget_us: u64,
}

/// When a room may be released, and its number among those that came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Due {
    opens_us: u64,
    came: u64,
}

/// Lists that are kept for reuse, and the longest of them.
const SPARE_MAX: usize = 1024;
const SPARE_LENGTH_MAX: usize = 256;

impl Held {
    /// Nothing held.
    pub fn new(hash: HashSeed) -> Self {
        Self {
            rooms: map_with_seed(hash),
            due: BTreeMap::new(),
            remembered: VecDeque::new(),
            came: 0,
            spare: Vec::new(),
            payload_bytes: 0,
        }
    }

    /// Holds a publication behind the others of its room.
    pub fn add(&mut self, key: RoomKey, publication: Publication) {
        self.payload_bytes += publication.message.payload.as_bytes().len();
        self.came += 1;
        let came = self.came;
        if let Some(room) = self.rooms.get_mut(&key) {
            if room.publications.is_empty() {
                room.publications = self.spare.pop().unwrap_or_default();
                room.due.came = came;
                self.due.insert(room.due, key);
            }
            room.publications.push(publication);
            return;
        }
        let due = Due { opens_us: 0, came };
        let mut publications = self.spare.pop().unwrap_or_default();
        publications.push(publication);
        self.due.insert(due, key.clone());
        self.rooms.insert(key, Room { publications, due, last: None });
    }

    /// When the next room may be released; `None` when nothing is held.
    pub fn opens_us(&self) -> Option<u64> {
        self.due.first_key_value().map(|(due, _)| due.opens_us)
    }

    /// Takes the publications of the next room that may be released at `now_us`, in their order.
    pub fn take_next(&mut self, now_us: u64) -> Option<(RoomKey, Vec<Publication>)> {
        let first = self.due.first_entry().filter(|first| first.key().opens_us <= now_us)?;
        let key = first.get().clone();
        let publications = self.take(&key)?;
        Some((key, publications))
    }

    /// Takes one room's publications, in their order, whenever it may be released.
    pub fn take(&mut self, key: &RoomKey) -> Option<Vec<Publication>> {
        let room = self.rooms.get_mut(key).filter(|room| !room.publications.is_empty())?;
        self.due.remove(&room.due);
        let publications = std::mem::take(&mut room.publications);
        if room.last.is_none() {
            self.rooms.remove(key);
        }
        self.payload_bytes -= payload_bytes(&publications);
        Some(publications)
    }

    /// Puts back what is left of the room that [`Held::take_next`] gave: it is the next again.
    pub fn put_back(&mut self, key: RoomKey, publications: Vec<Publication>) {
        if publications.is_empty() {
            self.give_back(publications);
            return;
        }
        self.payload_bytes += payload_bytes(&publications);
        let due = Due { opens_us: 0, came: 0 };
        self.due.insert(due, key.clone());
        let last = self.rooms.get(&key).and_then(|room| room.last);
        let replaced = self.rooms.insert(key, Room { publications, due, last });
        debug_assert!(replaced.is_none_or(|room| room.publications.is_empty()), "nothing came in between");
    }

    /// Gives the memory of a list back.
    pub fn give_back(&mut self, mut publications: Vec<Publication>) {
        publications.clear();
        if self.spare.len() < SPARE_MAX && publications.capacity() <= SPARE_LENGTH_MAX {
            self.spare.push(publications);
        }
    }

    /// What is remembered of a room's last release.
    pub fn last_release(&self, key: &RoomKey) -> Option<Release> {
        self.rooms.get(key)?.last
    }

    /// Remembers a room's release. What the room holds already goes when it may.
    pub fn remember(&mut self, key: RoomKey, release: Release) {
        let due = Due { opens_us: release.opens_us, came: 0 };
        let room = self.rooms.entry(key.clone());
        let room = room.or_insert_with(|| Room { publications: Vec::new(), due, last: None });
        if room.publications.is_empty() {
            room.due = due;
        }
        room.last = Some(release);
        self.remembered.push_back((release.forget_us, key));
    }

    /// Forgets the releases whose time has come.
    pub fn forget(&mut self, now_us: u64) {
        while let Some((_, key)) = self.remembered.pop_front_if(|(forget_us, _)| *forget_us <= now_us) {
            let Some(room) = self.rooms.get_mut(&key) else { continue };
            if room.last.is_some_and(|last| last.forget_us > now_us) {
                continue;
            }
            room.last = None;
            if room.publications.is_empty() {
                self.rooms.remove(&key);
            }
        }
    }

    /// Bytes of the payloads that are held.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }
}

fn payload_bytes(publications: &[Publication]) -> usize {
    publications.iter().map(|publication| publication.message.payload.as_bytes().len()).sum()
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

    fn ids(publications: &[Publication]) -> Vec<String> {
        publications.iter().map(|publication| publication.message.id.to_string()).collect()
    }

    fn next(held: &mut Held, now_us: u64) -> Option<(String, Vec<String>)> {
        let (key, publications) = held.take_next(now_us)?;
        Some((key.room.as_str().to_owned(), ids(&publications)))
    }

    fn some(room: &str, ids: &[&str]) -> Option<(String, Vec<String>)> {
        Some((room.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect()))
    }

    #[test]
    fn rooms_come_in_turn_and_keep_their_order() {
        let mut held = Held::new(HashSeed::new(1));
        for (room, id) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", "5")] {
            add(&mut held, room, id);
        }
        assert_eq!((held.payload_bytes(), held.opens_us()), (30, Some(0)));
        assert_eq!(ids(&held.take(&key("b")).unwrap()), ["2", "5"]);
        assert!(held.take(&key("b")).is_none());
        let (first, mut rest) = held.take_next(0).unwrap();
        assert_eq!((first.room.as_str(), ids(&rest)), ("a", vec!["1".to_owned(), "3".to_owned()]));
        // What is put back is next again.
        held.give_back(rest.drain(..1).collect());
        held.put_back(first, rest);
        assert_eq!(next(&mut held, 0), some("a", &["3"]));
        held.put_back(key("a"), Vec::new());
        add(&mut held, "b", "6");
        assert_eq!([next(&mut held, 0), next(&mut held, 0)], [some("c", &["4"]), some("b", &["6"])]);
        assert_eq!((next(&mut held, 0), held.payload_bytes(), held.opens_us()), (None, 0, None));
        assert!(held.rooms.is_empty());
    }

    /// A release that is remembered 100 us longer than the room has to wait for the next.
    fn released(held: &mut Held, room: &str, opens_us: u64) {
        held.remember(key(room), Release { began_us: 300, opens_us, forget_us: opens_us + 100 });
    }

    #[test]
    fn a_room_that_rests_holds_and_the_others_go() {
        let mut held = Held::new(HashSeed::new(1));
        released(&mut held, "a", 500);
        released(&mut held, "b", 400);
        add(&mut held, "a", "1");
        add(&mut held, "b", "2");
        assert_eq!(held.opens_us(), Some(400), "whichever opens first");
        add(&mut held, "c", "3");
        add(&mut held, "a", "4");
        assert_eq!(held.opens_us(), Some(0));
        assert_eq!([next(&mut held, 399), next(&mut held, 399)], [some("c", &["3"]), None]);
        assert_eq!(next(&mut held, 400), some("b", &["2"]));
        // A join takes what a room holds, and its rest goes on.
        assert_eq!(ids(&held.take(&key("a")).unwrap()), ["1", "4"]);
        add(&mut held, "a", "5");
        assert_eq!([next(&mut held, 499), next(&mut held, 500)], [None, some("a", &["5"])]);
    }

    #[test]
    fn releases_are_forgotten_in_time() {
        let mut held = Held::new(HashSeed::new(1));
        released(&mut held, "a", 400);
        released(&mut held, "b", 500);
        add(&mut held, "b", "1");
        held.forget(499);
        assert_eq!(held.rooms.len(), 2);
        assert_eq!(held.last_release(&key("a")).map(|last| last.began_us), Some(300));
        held.forget(600);
        assert!(held.last_release(&key("a")).is_none() && held.last_release(&key("b")).is_none());
        assert_eq!(held.rooms.len(), 1, "b holds something");
        assert_eq!(next(&mut held, 600), some("b", &["1"]));
        assert!(held.rooms.is_empty() && held.remembered.is_empty() && held.due.is_empty());
        // Released again before that was forgotten.
        released(&mut held, "a", 700);
        released(&mut held, "a", 800);
        held.forget(800);
        assert_eq!(held.rooms.len(), 1);
        held.forget(900);
        assert!(held.rooms.is_empty());
    }
}
