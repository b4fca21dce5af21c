//! Publications: whose turn it is and when, and the message on its way to the socket.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Worker, flow};
use crate::{
    client::{conn::Stage, setup::Setup},
    figures::record::{Event, Timing},
    plan::{
        RoleId, Slot,
        schedule::{Schedule, Timetable, first_due_ns},
        seeded, think,
    },
};

/// A connection with more than this unsent gets no further publications.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// When a publisher is not there, so many others are asked to publish in its place, so that the rate stays.
const SUBSTITUTES_MAX: u32 = 16;

/// What is due next, in publishing time.
#[derive(Debug)]
pub(super) struct Publications {
    /// By role.
    schedules: Vec<Option<RoleSchedule>>,
    queue: BinaryHeap<Reverse<(u64, RoleId, Slot)>>,
    /// On the run's clock; `u64::MAX` when that is not known.
    next_due_ns: u64,
    stopped: bool,
    substitutes: fastrand::Rng,
}

#[derive(Debug)]
struct RoleSchedule {
    schedule: Schedule,
    rng: fastrand::Rng,
}

impl Publications {
    pub(super) fn new(setup: &Setup, thread: u32) -> Self {
        let plan = &setup.plan;
        let roles = setup.scenario.roles.len();
        let mut own: Vec<Vec<Slot>> = vec![Vec::new(); roles];
        for slot in (0..plan.share(thread)).map(Slot) {
            own[plan.role_of(plan.conn_at(thread, slot)).index()].push(slot);
        }
        let mut publications = Self {
            schedules: Vec::with_capacity(roles),
            queue: BinaryHeap::new(),
            next_due_ns: u64::MAX,
            stopped: false,
            substitutes: seeded(setup.scenario.seed, [0x5b, thread.into()]),
        };
        for (number, (own, role)) in (0..).zip(own.into_iter().zip(&setup.scenario.roles)) {
            let Some(publish) = &role.publish else {
                publications.schedules.push(None);
                continue;
            };
            let id = RoleId(number);
            let rng = seeded(setup.scenario.seed, [0x9b + (u64::from(number) << 8), thread.into()]);
            let (publishers, first) = plan.turns(id, thread);
            let schedule = Schedule::new(&publish.pace, own.clone(), publishers, first, plan.threads());
            let mut role = RoleSchedule { schedule, rng };
            match &mut role.schedule {
                Schedule::Together(together) => {
                    let first = together.next(&mut role.rng);
                    publications.queue.extend(first.map(|(due, slot)| Reverse((due, id, slot))));
                }
                Schedule::Each(think) => {
                    for slot in own {
                        let due = first_due_ns(think, &mut role.rng);
                        publications.queue.push(Reverse((due, id, slot)));
                    }
                }
            }
            publications.schedules.push(Some(role));
        }
        publications
    }

    pub(super) fn next_due_ns(&self) -> u64 {
        self.next_due_ns
    }

    pub(super) fn on_timetable(&mut self, timetable: &Timetable) {
        let head = self.queue.peek().filter(|_| !self.stopped);
        self.next_due_ns = head.and_then(|Reverse((due, ..))| timetable.real_of(*due)).unwrap_or(u64::MAX);
    }

    /// Takes out what is due by now: when it was due, and whose turn it is.
    pub(super) fn next(&mut self, now_ns: u64, timetable: &Timetable) -> Option<(u64, Slot)> {
        let due_ns = self.next_due_ns;
        if due_ns > now_ns {
            return None;
        }
        let Reverse((due, role, slot)) = self.queue.pop()?;
        if let Some(RoleSchedule { schedule, rng }) = &mut self.schedules[role.index()] {
            let next = match schedule {
                Schedule::Together(together) => together.next(rng),
                Schedule::Each(think) => Some((due.saturating_add(think::next_ns(think, rng)), slot)),
            };
            self.queue.extend(next.map(|(due, slot)| Reverse((due, role, slot))));
        }
        self.on_timetable(timetable);
        Some((due_ns, slot))
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.next_due_ns = u64::MAX;
    }

    /// Whether nothing is due any more, as far as is known.
    pub(super) fn are_over(&self) -> bool {
        self.next_due_ns == u64::MAX
    }

    /// Who may publish in another's place: publishers with a schedule of their own have nobody.
    fn substitute(&mut self, role: RoleId) -> Option<Slot> {
        match &self.schedules[role.index()].as_ref()?.schedule {
            Schedule::Together(together) => together.any(&mut self.substitutes),
            Schedule::Each(_) => None,
        }
    }
}

impl Worker {
    /// Sends what was due at `due_ns`.
    pub(super) fn publish(&mut self, slot: Slot, due_ns: u64) {
        let Some(slot) = self.publisher_for(slot) else {
            self.traffic.count_due(Event::Unsent, due_ns);
            return;
        };
        if self.traffic.is_waiting(slot) {
            self.moves.wait(slot);
            return;
        }
        self.publish_from(slot, due_ns);
    }

    /// Nothing is sent any more: what is due by the timetable, or waits for an answer, never will be.
    pub(super) fn give_up_publishing(&mut self) {
        while let Some((due_ns, _)) = self.publications.next(u64::MAX - 1, &self.timetable) {
            self.traffic.count_due(Event::Unsent, due_ns);
        }
        for _ in 0..self.moves.forget_all_waiting() {
            self.traffic.count(Event::Unsent);
        }
        self.publications.stop();
    }

    /// In a closed loop: publishers that got an answer send what was due meanwhile.
    pub(super) fn publish_answered(&mut self) {
        while let Some(slot) = self.traffic.next_answered() {
            if self.is_ready(slot) && self.moves.wait_no_more(slot) {
                self.publish_from(slot, self.now_ns);
            }
        }
    }

    fn publish_from(&mut self, slot: Slot, due_ns: u64) {
        let Self { setup, conns, traffic, out, .. } = self;
        let Some(conn) = &mut conns[slot.index()] else { return };
        if conn.unsent_bytes() > UNSENT_BYTES_MAX || traffic.is_full() {
            traffic.count_due(Event::Withheld, due_ns);
            return;
        }
        let now_ns = setup.clock.now_ns();
        let id = setup.plan.conn_at(self.thread, slot);
        let token = || setup.token(id);
        if !traffic.publish(slot, due_ns, &*setup.speak, &mut conn.dialogue, setup.who(id, &token), out) {
            traffic.count_due(Event::Unsent, due_ns);
            return;
        }
        let phase = traffic.phase_due(due_ns);
        traffic.recorder().timing(phase, Timing::Lag, now_ns.saturating_sub(due_ns));
        if let Err(error) = self.say(slot) {
            self.end(slot, &flow::cannot_send(&error));
        }
    }

    fn is_ready(&self, slot: Slot) -> bool {
        self.conns[slot.index()].as_ref().is_some_and(|conn| conn.stage == Stage::Ready)
    }

    /// The publisher, or who stands in for it.
    fn publisher_for(&mut self, slot: Slot) -> Option<Slot> {
        let role = self.setup.plan.role_of(self.conn_id(slot));
        let mut candidate = slot;
        for _ in 0..=SUBSTITUTES_MAX {
            if self.is_ready(candidate) {
                return Some(candidate);
            }
            candidate = self.publications.substitute(role)?;
        }
        None
    }
}
