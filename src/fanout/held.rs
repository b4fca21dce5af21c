//! Publications that wait for the end of the turn, or longer for company, by room.
//! Owns their order within each room, and what is remembered of a room's last release; when a room may be released, is
//! the engine's decision. Rooms are those of the shard's roster, by their local ids.
//!
//! Invariants: a room has an entry exactly while it holds publications, its last release is remembered, or it is named
//! in `ready`; one that holds publications stands in `ready`, or in `resting` if it has to wait.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    base::{ConnId, chunked::ChunkedVec},
    hub::LocalRoomId,
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
#[derive(Debug, Default)]
pub struct Held {
    /// Where each room's entry is; [`NONE`] for the many that hold nothing.
    places: ChunkedVec<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Rooms that may be released, first come, first served, and some that were released out of turn.
    ready: VecDeque<LocalRoomId>,
    /// How many of `ready` hold something.
    ready_rooms: usize,
    /// Rooms that hold something and rest, by when they may be released.
    resting: BTreeSet<(u64, LocalRoomId)>,
    /// Rooms that were released, by when that is forgotten.
    remembered: VecDeque<(u64, LocalRoomId)>,
    /// Lists that were given back, for the next rooms.
    spare: Vec<Vec<Publication>>,
    payload_bytes: usize,
}

#[derive(Debug, Default)]
struct Entry {
    publications: Vec<Publication>,
    /// It is named in `ready`.
    is_ready: bool,
    /// Under which time it stands in `resting`.
    rests_until_us: Option<u64>,
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

const NONE: u32 = u32::MAX;

/// Lists that are kept for reuse, and the longest of them.
const SPARE_MAX: usize = 1024;
const SPARE_LENGTH_MAX: usize = 256;

impl Held {
    /// Nothing held.
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds a publication behind the others of its room. `now_us` says whether the room rests.
    pub fn add(&mut self, room: LocalRoomId, publication: Publication, now_us: u64) {
        self.payload_bytes += publication.message.payload.len();
        let place = self.place_or_new(room);
        let entry = &mut self.entries[place];
        if entry.publications.is_empty() {
            entry.publications = self.spare.pop().unwrap_or_default();
            match entry.last.map(|last| last.opens_us).filter(|opens_us| *opens_us > now_us) {
                Some(opens_us) => {
                    entry.rests_until_us = Some(opens_us);
                    self.resting.insert((opens_us, room));
                }
                None => {
                    self.ready_rooms += 1;
                    if !std::mem::replace(&mut entry.is_ready, true) {
                        self.ready.push_back(room);
                    }
                }
            }
        }
        self.entries[place].publications.push(publication);
    }

    /// When the next room may be released; `None` when nothing is held.
    pub fn opens_us(&self) -> Option<u64> {
        if self.ready_rooms > 0 {
            return Some(0);
        }
        self.resting.first().map(|(opens_us, _)| *opens_us)
    }

    /// Takes the publications of the next room that may be released at `now_us`, in their order.
    pub fn take_next(&mut self, now_us: u64) -> Option<(LocalRoomId, Vec<Publication>)> {
        while let Some(room) = self.ready.pop_front() {
            let Some(place) = self.place(room) else { continue };
            let entry = &mut self.entries[place];
            entry.is_ready = false;
            if entry.rests_until_us.is_some() || entry.publications.is_empty() {
                // What stood here was taken out of turn.
                self.drop_if_idle(room, place);
                continue;
            }
            return Some((room, self.take(room)?));
        }
        let (_, room) = self.resting.first().copied().filter(|(opens_us, _)| *opens_us <= now_us)?;
        Some((room, self.take(room)?))
    }

    /// Takes one room's publications, in their order, whenever it may be released.
    pub fn take(&mut self, room: LocalRoomId) -> Option<Vec<Publication>> {
        let place = self.place(room)?;
        let entry = &mut self.entries[place];
        if entry.publications.is_empty() {
            return None;
        }
        let publications = std::mem::take(&mut entry.publications);
        match entry.rests_until_us.take() {
            Some(opens_us) => {
                self.resting.remove(&(opens_us, room));
            }
            None => self.ready_rooms -= 1,
        }
        self.payload_bytes -= payload_bytes(&publications);
        self.drop_if_idle(room, place);
        Some(publications)
    }

    /// Puts back what is left of the room that [`Held::take_next`] gave: it is the next again.
    pub fn put_back(&mut self, room: LocalRoomId, publications: Vec<Publication>) {
        if publications.is_empty() {
            self.give_back(publications);
            return;
        }
        self.payload_bytes += payload_bytes(&publications);
        let place = self.place_or_new(room);
        let entry = &mut self.entries[place];
        debug_assert!(entry.publications.is_empty(), "nothing came in between");
        entry.publications = publications;
        entry.is_ready = true;
        self.ready_rooms += 1;
        self.ready.push_front(room);
    }

    /// Gives the memory of a list back.
    pub fn give_back(&mut self, mut publications: Vec<Publication>) {
        publications.clear();
        if self.spare.len() < SPARE_MAX && publications.capacity() <= SPARE_LENGTH_MAX {
            self.spare.push(publications);
        }
    }

    /// What is remembered of a room's last release.
    pub fn last_release(&self, room: LocalRoomId) -> Option<Release> {
        self.entries[self.place(room)?].last
    }

    /// Remembers a room's release. What the room holds already goes when it may.
    pub fn remember(&mut self, room: LocalRoomId, release: Release) {
        let place = self.place_or_new(room);
        self.entries[place].last = Some(release);
        self.remembered.push_back((release.forget_us, room));
    }

    /// Forgets the releases whose time has come.
    pub fn forget(&mut self, now_us: u64) {
        while let Some((_, room)) = self.remembered.pop_front_if(|(forget_us, _)| *forget_us <= now_us) {
            let Some(place) = self.place(room) else { continue };
            let entry = &mut self.entries[place];
            if entry.last.is_some_and(|last| last.forget_us <= now_us) {
                entry.last = None;
                self.drop_if_idle(room, place);
            }
        }
    }

    /// The room has no member here any more: drops what it holds. Its id may name another room from now on.
    pub fn drop_room(&mut self, room: LocalRoomId) {
        if let Some(publications) = self.take(room) {
            self.give_back(publications);
        }
        if let Some(place) = self.place(room) {
            self.entries[place].last = None;
            self.drop_if_idle(room, place);
        }
    }

    /// Bytes of the payloads that are held.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    fn place(&self, room: LocalRoomId) -> Option<usize> {
        self.places.get(room.index()).filter(|place| **place != NONE).map(|place| *place as usize)
    }

    fn place_or_new(&mut self, room: LocalRoomId) -> usize {
        if let Some(place) = self.place(room) {
            return place;
        }
        while self.places.len() <= room.index() {
            self.places.push(NONE);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            (self.entries.len() - 1) as u32
        });
        self.places[room.index()] = place;
        place as usize
    }

    fn drop_if_idle(&mut self, room: LocalRoomId, place: usize) {
        let entry = &self.entries[place];
        if entry.publications.is_empty() && entry.last.is_none() && !entry.is_ready {
            self.places[room.index()] = NONE;
            self.free.push(place as u32);
        }
    }
}

fn payload_bytes(publications: &[Publication]) -> usize {
    publications.iter().map(|publication| publication.message.payload.len()).sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        base::{RoomKey, RoomName, SenderId, TenantName, UserName},
        model::{Json, MessageName, Payload},
    };

    const A: LocalRoomId = LocalRoomId(0);
    const B: LocalRoomId = LocalRoomId(700);
    const C: LocalRoomId = LocalRoomId(2);

    /// Publication number `number`, of six bytes, at `now_us`.
    fn add(held: &mut Held, room: LocalRoomId, number: u64, now_us: u64) {
        let message = Arc::new(Message {
            id: MessageName::Numbered { epoch: 0, number },
            key: RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse("a").unwrap() },
            from: UserName::parse("ada").unwrap(),
            sender: SenderId::BACKEND,
            payload: Payload::Json(Json::from_checked(Bytes::from_static(b"\"1234\""))),
            timestamp: 0,
            offset: None,
        });
        held.add(room, Publication { message, except: None, received_us: 0 }, now_us);
    }

    fn numbers(publications: &[Publication]) -> Vec<u64> {
        let number = |publication: &Publication| match publication.message.id {
            MessageName::Numbered { number, .. } => number,
            MessageName::Given(_) => unreachable!("these are numbered"),
        };
        publications.iter().map(number).collect()
    }

    fn next(held: &mut Held, now_us: u64) -> Option<(LocalRoomId, Vec<u64>)> {
        let (room, publications) = held.take_next(now_us)?;
        Some((room, numbers(&publications)))
    }

    fn is_empty(held: &Held) -> bool {
        held.free.len() == held.entries.len() && held.ready.is_empty() && held.resting.is_empty()
    }

    #[test]
    fn rooms_come_in_turn_and_keep_their_order() {
        let mut held = Held::new();
        for (room, number) in [(A, 1), (B, 2), (A, 3), (C, 4), (B, 5)] {
            add(&mut held, room, number, 0);
        }
        assert_eq!((held.payload_bytes(), held.opens_us()), (30, Some(0)));
        assert_eq!(numbers(&held.take(B).unwrap()), [2, 5]);
        assert!(held.take(B).is_none());
        let (first, mut rest) = held.take_next(0).unwrap();
        assert_eq!((first, numbers(&rest)), (A, vec![1, 3]));
        // What is put back is next again.
        held.give_back(rest.drain(..1).collect());
        held.put_back(first, rest);
        assert_eq!(next(&mut held, 0), Some((A, vec![3])));
        held.put_back(A, Vec::new());
        add(&mut held, B, 6, 0);
        // B's turn is the one that it had.
        assert_eq!([next(&mut held, 0), next(&mut held, 0)], [Some((B, vec![6])), Some((C, vec![4]))]);
        assert_eq!((next(&mut held, 0), held.payload_bytes(), held.opens_us()), (None, 0, None));
        assert!(is_empty(&held));
    }

    /// A release that is remembered 100 us longer than the room has to wait for the next.
    fn released(held: &mut Held, room: LocalRoomId, opens_us: u64) {
        held.remember(room, Release { began_us: 300, opens_us, forget_us: opens_us + 100 });
    }

    #[test]
    fn a_room_that_rests_holds_and_the_others_go() {
        let mut held = Held::new();
        released(&mut held, A, 500);
        released(&mut held, B, 400);
        add(&mut held, A, 1, 300);
        add(&mut held, B, 2, 300);
        assert_eq!(held.opens_us(), Some(400), "whichever opens first");
        add(&mut held, C, 3, 300);
        add(&mut held, A, 4, 300);
        assert_eq!(held.opens_us(), Some(0));
        assert_eq!([next(&mut held, 399), next(&mut held, 399)], [Some((C, vec![3])), None]);
        assert_eq!(next(&mut held, 400), Some((B, vec![2])));
        // A join takes what a room holds, and its rest goes on.
        assert_eq!(numbers(&held.take(A).unwrap()), [1, 4]);
        add(&mut held, A, 5, 450);
        assert_eq!([next(&mut held, 499), next(&mut held, 500)], [None, Some((A, vec![5]))]);
        // After its rest a room goes at once.
        add(&mut held, A, 6, 500);
        assert_eq!(held.opens_us(), Some(0));
    }

    #[test]
    fn a_room_that_was_taken_out_of_turn_and_rests_now_is_not_released_in_its_old_turn() {
        let mut held = Held::new();
        add(&mut held, A, 1, 0);
        assert_eq!(numbers(&held.take(A).unwrap()), [1]);
        released(&mut held, A, 500);
        add(&mut held, A, 2, 300);
        assert_eq!([next(&mut held, 300), next(&mut held, 500)], [None, Some((A, vec![2]))]);
        // And one that was released while it held something keeps its place.
        add(&mut held, A, 3, 400);
        released(&mut held, A, 900);
        assert_eq!(next(&mut held, 500), Some((A, vec![3])));
        held.forget(1_000);
        assert!(is_empty(&held));
    }

    #[test]
    fn releases_are_forgotten_in_time() {
        let mut held = Held::new();
        released(&mut held, A, 400);
        released(&mut held, B, 500);
        add(&mut held, B, 1, 300);
        held.forget(499);
        assert!(held.last_release(A).is_some());
        assert_eq!(held.last_release(A).map(|last| last.began_us), Some(300));
        held.forget(600);
        assert!(held.last_release(A).is_none() && held.last_release(B).is_none());
        assert_eq!(next(&mut held, 600), Some((B, vec![1])));
        assert!(is_empty(&held) && held.remembered.is_empty());
        // Released again before that was forgotten.
        released(&mut held, A, 700);
        released(&mut held, A, 800);
        held.forget(800);
        assert!(held.last_release(A).is_some());
        held.forget(900);
        assert!(is_empty(&held));
    }

    #[test]
    fn a_room_that_is_dropped_leaves_nothing_to_the_next_of_its_id() {
        let mut held = Held::new();
        released(&mut held, A, 500);
        for room in [A, B] {
            add(&mut held, room, 1, 300);
            held.drop_room(room);
            assert!(held.last_release(room).is_none());
        }
        assert_eq!((held.opens_us(), held.payload_bytes(), next(&mut held, 900)), (None, 0, None));
        add(&mut held, A, 2, 300);
        assert_eq!(next(&mut held, 300), Some((A, vec![2])));
        held.forget(600);
        assert!(is_empty(&held));
    }
}
