//! Who does what: which thread, room and role each connection has. Pure arithmetic, so that no
//! table has to be kept or sent between threads.
//!
//! Connection `c` belongs to thread `c % threads` (there in slot `c / threads`) and to room
//! `c % rooms`. The first `publishers` connections publish, which spreads them evenly over rooms
//! and threads. In churn mode every second listener comes and goes.

pub(crate) mod schedule;
pub(crate) mod size;
pub(crate) mod think;
pub(crate) mod zipf;

use crate::cli::args::{Config, Mode};

/// One connection of the run, from 0. Publishers are called by the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ConnId(pub(crate) u32);

/// One room of the run, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RoomId(pub(crate) u32);

/// A connection's place in its thread, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The division of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    mode: Mode,
    conns: u32,
    rooms: u32,
    publishers: u32,
    threads: u32,
}

impl Plan {
    pub(crate) fn new(config: &Config) -> Self {
        let Config { mode, conns, rooms, publishers, threads, .. } = *config;
        Self { mode, conns, rooms, publishers, threads }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn publishers(&self) -> u32 {
        self.publishers
    }

    pub(crate) fn threads(&self) -> u32 {
        self.threads
    }

    pub(crate) fn rooms(&self) -> u32 {
        self.rooms
    }

    pub(crate) fn room_of(&self, conn: ConnId) -> RoomId {
        RoomId(conn.0 % self.rooms)
    }

    /// The name under which connections join `room`.
    pub(crate) fn room_name(room: RoomId) -> String {
        format!("r{}", room.0)
    }

    pub(crate) fn publishes(&self, conn: ConnId) -> bool {
        conn.0 < self.publishers
    }

    /// Whether the connection leaves and returns in the course of the run.
    pub(crate) fn churns(&self, conn: ConnId) -> bool {
        match self.mode {
            Mode::Churn => !self.publishes(conn) && (conn.0 / self.rooms) % 2 == 1,
            Mode::Fanout | Mode::Echo | Mode::Idle => false,
        }
    }

    /// Whether `member` is to receive what `publisher` sends.
    pub(crate) fn hears(&self, member: ConnId, publisher: ConnId) -> bool {
        match self.mode {
            Mode::Echo => member == publisher,
            Mode::Fanout | Mode::Churn | Mode::Idle => {
                member != publisher && self.room_of(member) == self.room_of(publisher)
            }
        }
    }

    /// Publishers that `member` is to hear, in the order of their cells.
    pub(crate) fn heard_by(&self, member: ConnId) -> impl Iterator<Item = ConnId> + use<> {
        let (first, step) = match self.mode {
            Mode::Echo => (member.0, usize::MAX),
            Mode::Fanout | Mode::Churn | Mode::Idle => (self.room_of(member).0, self.rooms as usize),
        };
        let plan = *self;
        (first..self.publishers)
            .step_by(step)
            .map(ConnId)
            .filter(move |publisher| plan.hears(member, *publisher))
    }

    /// How many (member, publisher) cells each member has.
    pub(crate) fn cells_per_member(&self) -> usize {
        match self.mode {
            Mode::Echo => 1,
            Mode::Fanout | Mode::Churn | Mode::Idle => self.publishers.div_ceil(self.rooms) as usize,
        }
    }

    /// The cell of a publisher that the member in `slot` hears.
    pub(crate) fn cell(&self, slot: Slot, publisher: ConnId) -> usize {
        let column = match self.mode {
            Mode::Echo => 0,
            Mode::Fanout | Mode::Churn | Mode::Idle => publisher.0 / self.rooms,
        };
        slot.index() * self.cells_per_member() + column as usize
    }

    pub(crate) fn conn_at(&self, thread: u32, slot: Slot) -> ConnId {
        ConnId(slot.0 * self.threads + thread)
    }

    /// Connections of `thread`.
    pub(crate) fn share(&self, thread: u32) -> u32 {
        Self::count_of(self.conns, self.threads, thread)
    }

    /// Publishers of `thread`: they have the slots from 0.
    pub(crate) fn publishers_share(&self, thread: u32) -> u32 {
        Self::count_of(self.publishers, self.threads, thread)
    }

    /// How many of `0..total` are `index` modulo `parts`.
    fn count_of(total: u32, parts: u32, index: u32) -> u32 {
        total / parts + u32::from(index < total % parts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn plan(mode: Mode, conns: u32, rooms: u32, publishers: u32, threads: u32) -> Plan {
        Plan { mode, conns, rooms, publishers, threads }
    }

    fn conns(plan: &Plan) -> impl Iterator<Item = ConnId> + use<> {
        (0..plan.conns).map(ConnId)
    }

    /// Thread and slot, as the module's header has it.
    fn place(plan: &Plan, conn: ConnId) -> (u32, Slot) {
        (conn.0 % plan.threads, Slot(conn.0 / plan.threads))
    }

    fn plans() -> Vec<Plan> {
        vec![
            plan(Mode::Fanout, 10_000, 100, 1_000, 1),
            plan(Mode::Fanout, 103, 7, 103, 3),
            plan(Mode::Fanout, 20, 20, 5, 2),
            plan(Mode::Churn, 200, 3, 10, 4),
            plan(Mode::Echo, 50, 1, 30, 3),
            plan(Mode::Idle, 50, 5, 0, 2),
        ]
    }

    #[test]
    fn threads_and_slots_are_a_partition() {
        for plan in plans() {
            let places: HashSet<_> = conns(&plan).map(|c| place(&plan, c)).collect();
            assert_eq!(places.len(), plan.conns as usize);
            for conn in conns(&plan) {
                let (thread, slot) = place(&plan, conn);
                assert_eq!(plan.conn_at(thread, slot), conn);
                assert!(slot.0 < plan.share(thread));
                assert_eq!(plan.publishes(conn), slot.0 < plan.publishers_share(thread), "{plan:?} {conn:?}");
            }
            assert_eq!((0..plan.threads).map(|t| plan.share(t)).sum::<u32>(), plan.conns);
        }
    }

    #[test]
    fn cells_are_distinct_and_hearing_is_what_the_room_says() {
        for plan in plans() {
            for member in conns(&plan) {
                let heard: Vec<ConnId> = plan.heard_by(member).collect();
                let naive: Vec<ConnId> =
                    conns(&plan).filter(|p| plan.publishes(*p) && plan.hears(member, *p)).collect();
                assert_eq!(heard, naive, "{plan:?} {member:?}");
                let (_, slot) = place(&plan, member);
                let cells: HashSet<usize> = heard.iter().map(|p| plan.cell(slot, *p)).collect();
                assert_eq!(cells.len(), heard.len());
                let first = slot.index() * plan.cells_per_member();
                assert!(cells.iter().all(|cell| (first..first + plan.cells_per_member()).contains(cell)));
            }
        }
    }

    #[test]
    fn about_half_of_the_listeners_churn() {
        let plan = plan(Mode::Churn, 10_000, 100, 1_000, 1);
        let churning = conns(&plan).filter(|c| plan.churns(*c)).count();
        assert_eq!(churning, 4_500);
        assert!(!conns(&plan).any(|c| plan.churns(c) && plan.publishes(c)));
    }
}
