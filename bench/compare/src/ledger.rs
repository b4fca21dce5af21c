//! What arrived against what was sent: exact counts of lost, late, duplicated and reordered deliveries.
//!
//! For each connection and each publisher of its room there is the sequence number that comes next, in one array:
//! a delivery in order costs one comparison. Only what is out of order reaches the map of gaps.

use std::{collections::HashMap, fmt, ops::Range};

use serde::{Deserialize, Serialize};

use crate::payload::Stamp;

/// What went wrong, in deliveries; all zero in a good run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Never came, though a later message of the same publisher did.
    pub lost: u64,
    /// Had not come when the run ended.
    pub late: u64,
    pub duplicated: u64,
    /// Came after a later message of the same publisher.
    pub reordered: u64,
    pub damaged: u64,
    /// Of another room, or from a publisher or a message that there is not.
    pub misrouted: u64,
    /// Connections that ended before the run did.
    pub dropped_connections: u64,
}

impl Faults {
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            late: self.late + other.late,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            damaged: self.damaged + other.damaged,
            misrouted: self.misrouted + other.misrouted,
            dropped_connections: self.dropped_connections + other.dropped_connections,
        }
    }
}

/// What is not zero: `7 lost, 1 late`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.lost, "lost"),
            (self.late, "late"),
            (self.duplicated, "duplicated"),
            (self.reordered, "reordered"),
            (self.damaged, "damaged"),
            (self.misrouted, "misrouted"),
            (self.dropped_connections, "connections dropped"),
        ];
        let mut separator = "";
        for (count, name) in counts.into_iter().filter(|it| it.0 > 0) {
            write!(f, "{separator}{count} {name}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Who is where: members of equal rooms, numbered room by room, each room with the same number of publishers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Crowd {
    pub rooms: u32,
    pub members_per_room: u32,
    pub publishers_per_room: u32,
}

impl Crowd {
    pub const fn members(&self) -> u32 {
        self.rooms * self.members_per_room
    }

    pub const fn publishers(&self) -> u32 {
        self.rooms * self.publishers_per_room
    }

    /// The member that publishes as `publisher`, where publishers are members.
    pub const fn member_of(&self, publisher: u32) -> u32 {
        let room = publisher / self.publishers_per_room;
        room * self.members_per_room + publisher % self.publishers_per_room
    }
}

/// The book of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    crowd: Crowd,
    /// Whether a publisher, being a member, does not hear itself.
    publishers_are_members: bool,
    /// By member and publisher of its room.
    next: Vec<u32>,
    /// What of an entry of `next` is missing below it.
    gaps: HashMap<usize, Vec<Range<u32>>>,
    faults: Faults,
}

impl Ledger {
    pub(crate) fn new(crowd: Crowd, publishers_are_members: bool) -> Self {
        let entries = crowd.members() as usize * crowd.publishers_per_room as usize;
        Self {
            crowd,
            publishers_are_members,
            next: vec![0; entries],
            gaps: HashMap::new(),
            faults: Faults::default(),
        }
    }

    /// Books a delivery to a member of `room`; whether it is one that was due.
    #[inline]
    pub(crate) fn book(&mut self, member: u32, room: u32, stamp: Stamp) -> bool {
        let publishers = self.crowd.publishers_per_room;
        let local = u32::from(stamp.publisher).wrapping_sub(room * publishers);
        if local >= publishers {
            self.faults.misrouted += 1;
            return false;
        }
        let entry = member as usize * publishers as usize + local as usize;
        let next = &mut self.next[entry];
        if stamp.sequence == *next {
            *next += 1;
            return true;
        }
        self.book_out_of_order(entry, stamp.sequence)
    }

    #[cold]
    fn book_out_of_order(&mut self, entry: usize, sequence: u32) -> bool {
        let next = &mut self.next[entry];
        let gaps = self.gaps.entry(entry).or_default();
        if sequence > *next {
            gaps.push(*next..sequence);
            *next = sequence + 1;
            return true;
        }
        let Some(at) = gaps.iter().position(|gap| gap.contains(&sequence)) else {
            self.faults.duplicated += 1;
            return false;
        };
        self.faults.reordered += 1;
        let gap = gaps.swap_remove(at);
        gaps.extend([gap.start..sequence, sequence + 1..gap.end].into_iter().filter(|it| !it.is_empty()));
        true
    }

    pub(crate) fn damaged(&mut self) {
        self.faults.damaged += 1;
    }

    pub(crate) fn connection_dropped(&mut self) {
        self.faults.dropped_connections += 1;
    }

    /// How many deliveries that many publications make.
    pub(crate) fn expected(&self, publications: u64) -> u64 {
        publications * u64::from(self.crowd.members_per_room - u32::from(self.publishers_are_members))
    }

    /// The balance, when each publisher has sent that many messages.
    pub(crate) fn close(mut self, sent: &[u32]) -> Faults {
        for member in 0..self.crowd.members() {
            let room = member / self.crowd.members_per_room;
            for local in 0..self.crowd.publishers_per_room {
                let publisher = room * self.crowd.publishers_per_room + local;
                let is_itself = self.publishers_are_members && self.crowd.member_of(publisher) == member;
                let entry = (member * self.crowd.publishers_per_room + local) as usize;
                let (next, sent) = (self.next[entry], sent[publisher as usize]);
                match (is_itself, next <= sent) {
                    (false, true) => self.faults.late += u64::from(sent - next),
                    (false, false) => self.faults.misrouted += u64::from(next - sent),
                    (true, _) => self.faults.misrouted += u64::from(next),
                }
            }
        }
        self.faults.lost = self.gaps.values().flatten().map(|gap| gap.len() as u64).sum();
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: Crowd = Crowd { rooms: 2, members_per_room: 3, publishers_per_room: 1 };

    /// Books these sequence numbers for member 4 in room 1, whose publisher is member 3; everybody else gets all.
    fn balance(sent: u32, arrived: &[u32]) -> Faults {
        let mut ledger = Ledger::new(CROWD, true);
        for sequence in 0..sent {
            ledger.book(5, 1, Stamp { publisher: 1, sequence });
        }
        for &sequence in arrived {
            ledger.book(4, 1, Stamp { publisher: 1, sequence });
        }
        ledger.close(&[0, sent])
    }

    #[test]
    fn counts_are_exact() {
        let good = Faults::default();
        let rows: [(&[u32], Faults); 8] = [
            (&[0, 1, 2, 3], good),
            (&[0, 1], Faults { late: 2, ..good }),
            (&[], Faults { late: 4, ..good }),
            (&[0, 3], Faults { lost: 2, ..good }),
            (&[0, 3, 2, 1], Faults { reordered: 2, ..good }),
            (&[0, 3, 1, 3, 0], Faults { lost: 1, reordered: 1, duplicated: 2, ..good }),
            (&[0, 1, 1, 2, 3], Faults { duplicated: 1, ..good }),
            (&[0, 1, 2, 3, 4], Faults { misrouted: 1, ..good }),
        ];
        for (arrived, expected) in rows {
            assert_eq!(balance(4, arrived), expected, "{arrived:?}");
        }
    }

    #[test]
    fn what_went_astray_is_counted() {
        let mut ledger = Ledger::new(CROWD, true);
        assert!(!ledger.book(0, 0, Stamp { publisher: 1, sequence: 0 }), "another room");
        assert!(!ledger.book(3, 1, Stamp { publisher: 0, sequence: 0 }), "another room");
        assert!(ledger.book(0, 0, Stamp { publisher: 0, sequence: 0 }), "found when the book is closed");
        ledger.damaged();
        let faults = ledger.close(&[0, 0]);
        assert_eq!(faults, Faults { misrouted: 3, damaged: 1, ..Faults::default() });
        assert!(faults.any());
    }

    #[test]
    fn who_is_no_member_publishes_to_all() {
        assert_eq!(Ledger::new(CROWD, true).expected(10), 20);
        assert_eq!(Ledger::new(CROWD, false).expected(10), 30);
        assert_eq!(Ledger::new(CROWD, false).close(&[1, 0]).late, 3);
        assert_eq!(Ledger::new(CROWD, true).close(&[1, 0]).late, 2);
    }

    #[test]
    fn publishers_are_the_first_members_of_their_rooms() {
        let crowd = Crowd { rooms: 3, members_per_room: 10, publishers_per_room: 2 };
        let members: Vec<u32> = (0..crowd.publishers()).map(|it| crowd.member_of(it)).collect();
        assert_eq!(members, [0, 1, 10, 11, 20, 21]);
    }
}
