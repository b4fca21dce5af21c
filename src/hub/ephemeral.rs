//! The ephemeral rooms of a home, which have been joined over relay only: when each is over for want of traffic.
//!
//! Owns their deadlines; the rooms themselves are the home's. Traffic only moves a deadline, which costs a store.
//! Invariant: a place belongs to one room from `add` to `remove` or to the day when `take_due` names it.

use std::collections::VecDeque;

use crate::base::{RoomKey, slab::Slab, wheel::Wheel};

const TICK_MS: u64 = 1_000;
const TICKS: usize = 1024;

/// How far ahead a deadline is filed at most: a room that vanishes leaves its entry behind for no longer than that.
const FILED_MS: u64 = 30_000;

/// Where an ephemeral room's deadline is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Quiet {
    key: RoomKey,
    due_ms: u64,
}

/// The deadlines of a home's ephemeral rooms. Times are monotonic milliseconds.
#[derive(Debug)]
pub(super) struct Ephemeral {
    /// How long a room lasts without traffic; `None`: as long as it has members.
    ttl_ms: Option<u64>,
    rooms: Slab<Quiet>,
    wheel: Wheel<Place>,
    /// Places whose deadline had passed at `seen_ms`.
    due: VecDeque<Place>,
    seen_ms: u64,
}

impl Ephemeral {
    /// No rooms; a `ttl_ms` of 0 is none.
    pub(super) fn new(ttl_ms: u64) -> Self {
        let ttl_ms = (ttl_ms > 0).then_some(ttl_ms);
        let (rooms, wheel) = (Slab::new(), Wheel::new(TICK_MS, TICKS));
        Self { ttl_ms, rooms, wheel, due: VecDeque::new(), seen_ms: 0 }
    }

    /// A room that begins to be one.
    pub(super) fn add(&mut self, key: &RoomKey, now_ms: u64) -> Place {
        let due_ms = self.deadline_ms(now_ms);
        let (slot, generation) = self.rooms.insert(Quiet { key: key.clone(), due_ms });
        let place = Place { slot, generation };
        if self.ttl_ms.is_some() {
            self.wheel.insert(place, due_ms.min(now_ms + FILED_MS));
        }
        place
    }

    /// Something has come into the room.
    pub(super) fn touch(&mut self, place: Place, now_ms: u64) {
        let due_ms = self.deadline_ms(now_ms);
        if let Some(room) = self.rooms.get_mut(place.slot, place.generation) {
            room.due_ms = due_ms;
        }
    }

    /// The room has vanished, or is ephemeral no more.
    pub(super) fn remove(&mut self, place: Place) {
        self.rooms.remove(place.slot, place.generation);
    }

    /// A room that is over by `now_ms`; its place is given up.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<RoomKey> {
        self.seen_ms = now_ms;
        let Self { rooms, wheel, due, .. } = self;
        wheel.expire(now_ms, |place| {
            let room = rooms.get(place.slot, place.generation)?;
            if room.due_ms > now_ms {
                return Some(room.due_ms.min(now_ms + FILED_MS));
            }
            due.push_back(place);
            None
        });
        while let Some(place) = due.pop_front() {
            let Some(room) = rooms.get(place.slot, place.generation) else { continue };
            // Something may have come while it waited here.
            if room.due_ms > now_ms {
                wheel.insert(place, room.due_ms);
                continue;
            }
            return rooms.remove(place.slot, place.generation).map(|room| room.key);
        }
        None
    }

    /// When [`Ephemeral::take_due`] may next have something: a millisecond later, if not all was taken.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if self.due.is_empty() { self.wheel.next_due_ms() } else { Some(self.seen_ms + 1) }
    }

    fn deadline_ms(&self, now_ms: u64) -> u64 {
        self.ttl_ms.map_or(u64::MAX, |ttl_ms| now_ms.saturating_add(ttl_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RoomName, TenantName};

    fn key(room: &str) -> RoomKey {
        RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
    }

    fn due(rooms: &mut Ephemeral, now_ms: u64) -> Vec<String> {
        std::iter::from_fn(|| rooms.take_due(now_ms)).map(|key| key.room.to_string()).collect()
    }

    #[test]
    fn a_room_is_over_a_while_after_the_last_that_came() {
        let mut rooms = Ephemeral::new(60_000);
        let one = rooms.add(&key("one"), 0);
        rooms.add(&key("two"), 30_000);
        let gone = rooms.add(&key("gone"), 0);
        rooms.remove(gone);
        assert_eq!(due(&mut rooms, 59_999), [""; 0]);
        rooms.touch(one, 59_999);
        assert_eq!(due(&mut rooms, 90_000), ["two"]);
        assert!(rooms.due_ms().is_some_and(|due_ms| due_ms <= 120_000));
        assert_eq!(due(&mut rooms, 119_000), [""; 0]);
        assert_eq!(due(&mut rooms, 120_000), ["one"]);
        assert_eq!((rooms.rooms.len(), rooms.due_ms()), (0, None));
        // Places that are over are nobody's, also when others have the slot.
        let next = rooms.add(&key("next"), 120_000);
        rooms.remove(one);
        rooms.touch(gone, 500_000);
        assert_ne!(next, one);
        assert_eq!(due(&mut rooms, 180_000), ["next"]);
    }

    #[test]
    fn many_that_are_due_are_taken_one_by_one_and_may_still_be_saved() {
        let mut rooms = Ephemeral::new(10_000);
        let places: Vec<_> = (0..5).map(|number| rooms.add(&key(&number.to_string()), 0)).collect();
        assert!(rooms.take_due(10_000).is_some());
        assert_eq!(rooms.due_ms(), Some(10_001));
        places.iter().for_each(|place| rooms.touch(*place, 10_000));
        assert_eq!(due(&mut rooms, 10_000), [""; 0]);
        assert_eq!(due(&mut rooms, 20_000).len(), 4);
    }

    #[test]
    fn without_a_time_they_last() {
        let mut rooms = Ephemeral::new(0);
        let place = rooms.add(&key("a"), 0);
        rooms.touch(place, 5);
        assert_eq!((rooms.due_ms(), due(&mut rooms, u64::MAX / 2)), (None, Vec::new()));
        rooms.remove(place);
        assert!(rooms.rooms.is_empty());
    }

    #[test]
    fn rooms_that_vanish_leave_nothing_behind_for_long() {
        let mut rooms = Ephemeral::new(3_600_000);
        for now_ms in 0..1_000_000 {
            let place = rooms.add(&key("a"), now_ms);
            rooms.remove(place);
            if now_ms % 1_000 == 0 {
                assert!(rooms.take_due(now_ms).is_none());
            }
        }
        assert!(rooms.wheel.entries() < 32_000, "{}", rooms.wheel.entries());
    }
}
