//! What connections do beside listening and publishing: they leave and come back, change their presence, go for good; and what
//! each phase begins with.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use super::{Due, Life, Worker, flow};
use crate::{
    client::{conn::Stage, setup::Setup},
    figures::record::Event,
    plan::{Slot, schedule::Pacer, seeded, think},
    protocol::Keepalive,
    scenario::{Leave, PhaseKind},
};

/// In a storm, connections that fail dial again after this.
const STORM_RETRY_NS: u64 = 1_000_000_000;
/// Connections say that they are alive in so many parts, one after the other.
const KEEPALIVE_PARTS: u32 = 64;

/// Who is on the move.
#[derive(Debug)]
pub(super) struct Moves {
    /// Publishing has begun, and is not over: connections leave and return.
    on: bool,
    /// Cut by a storm, and not back yet.
    in_storm: HashSet<Slot>,
    /// Gone for good.
    retired: HashSet<Slot>,
    /// Those that go for good next.
    retiring: Vec<Slot>,
    /// Ended by the target, or come back in vain, and to come back yet: since when, and in which phase that was.
    missing: HashMap<Slot, (u64, u16)>,
    /// In a closed loop: publications that are due, but wait for an answer to the one before.
    waiting: HashMap<Slot, u32>,
    chance: fastrand::Rng,
}

impl Moves {
    pub(super) fn new(setup: &Setup, thread: u32) -> Self {
        Self {
            on: false,
            in_storm: HashSet::new(),
            retired: HashSet::new(),
            retiring: Vec::new(),
            missing: HashMap::new(),
            waiting: HashMap::new(),
            chance: seeded(setup.scenario.seed, [0x60, thread.into()]),
        }
    }

    pub(super) fn is_retired(&self, slot: Slot) -> bool {
        self.retired.contains(&slot)
    }

    pub(super) fn stop(&mut self) {
        self.on = false;
    }

    /// Connections that should be there, and are not.
    pub(super) fn missing_count(&self) -> u32 {
        self.missing.len() as u32
    }

    /// It is there again: since when it was not, and in which phase that began.
    pub(super) fn found(&mut self, slot: Slot) -> Option<(u64, u16)> {
        self.missing.remove(&slot)
    }

    /// One more publication waits.
    pub(super) fn wait(&mut self, slot: Slot) {
        *self.waiting.entry(slot).or_default() += 1;
    }

    /// Takes out one that waits, if there is any.
    pub(super) fn wait_no_more(&mut self, slot: Slot) -> bool {
        let Some(count) = self.waiting.get_mut(&slot) else { return false };
        *count -= 1;
        if *count == 0 {
            self.waiting.remove(&slot);
        }
        true
    }

    /// Gives how many waited.
    pub(super) fn forget_waiting(&mut self, slot: Slot) -> u32 {
        self.waiting.remove(&slot).unwrap_or(0)
    }

    /// Gives how many waited, of all publishers.
    pub(super) fn forget_all_waiting(&mut self) -> u64 {
        self.waiting.drain().map(|(_, count)| u64::from(count)).sum()
    }

    pub(super) fn anybody_waits(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Worker {
    /// The timetable's phase of that place begins.
    pub(super) fn begin_phase(&mut self, place: usize) {
        let Some(span) = self.timetable.spans().get(place).cloned() else { return };
        match span.kind {
            PhaseKind::Ramp { share, per_s } => self.begin_ramp(span.phase, span.start_ns, share, per_s),
            PhaseKind::Steady | PhaseKind::Spike { .. } => {}
            PhaseKind::Storm { share, per_s } => self.begin_storm(span.phase, share, per_s),
            PhaseKind::Drain { share } => {
                self.begin_drain(span.phase, share, span.start_ns..span.end_ns);
            }
        }
    }

    /// Publishing is about to begin: so is coming and going.
    pub(super) fn begin_moves(&mut self) {
        if std::mem::replace(&mut self.moves.on, true) {
            return;
        }
        self.traffic.begin();
        for slot in (0..self.conns.len() as u32).map(Slot) {
            if let Some(conn) = self.conns[slot.index()].as_ref().filter(|conn| conn.stage == Stage::Ready) {
                let dial = conn.dial;
                self.plan_first_moves(slot, dial);
            }
        }
    }

    /// What a connection that was there when publishing began will do.
    fn plan_first_moves(&mut self, slot: Slot, dial: u32) {
        let role = self.setup.role(self.setup.plan.role_of(self.conn_id(slot)));
        let stay = role.reconnect.map(|it| think::first_ns(&it.every, &mut self.moves.chance));
        let status = role.presence.map(|it| think::first_ns(&it, &mut self.moves.chance));
        self.plan_both(slot, dial, stay, status);
    }

    /// What a connection that has come up will do.
    pub(super) fn plan_moves(&mut self, slot: Slot, dial: u32) {
        self.moves.in_storm.remove(&slot);
        if !self.moves.on {
            return;
        }
        let role = self.setup.role(self.setup.plan.role_of(self.conn_id(slot)));
        let stay = role.reconnect.map(|it| think::next_ns(&it.every, &mut self.moves.chance));
        let status = role.presence.map(|it| think::next_ns(&it, &mut self.moves.chance));
        self.plan_both(slot, dial, stay, status);
    }

    fn plan_both(&mut self, slot: Slot, dial: u32, stay: Option<u64>, status: Option<u64>) {
        if let Some(wait_ns) = stay {
            self.plan_ahead(wait_ns, Due::Leave(slot, dial));
        }
        if let Some(wait_ns) = status.filter(|_| self.setup.speak.traits().presence) {
            self.plan_ahead(wait_ns, Due::Presence(slot, dial));
        }
    }

    /// It goes, to come back later.
    pub(super) fn leave(&mut self, slot: Slot, dial: u32) {
        if !self.is_ready_since(slot, dial) {
            return;
        }
        let role = self.setup.plan.role_of(self.conn_id(slot));
        let Some(reconnect) = self.setup.role(role).reconnect else { return };
        self.traffic.count(Event::Left);
        match reconnect.how {
            Leave::Close => {
                self.traffic.stop_hearing(slot);
                self.close(slot);
            }
            Leave::Cut => {
                self.cut(slot);
                self.plan_return(slot);
            }
        }
    }

    /// The socket is closed without a word.
    fn cut(&mut self, slot: Slot) {
        if let Some(conn) = self.conns[slot.index()].take() {
            self.ready -= 1;
            self.sated_until_ns.remove(&slot);
            self.watch.unsent(conn.unsent_bytes(), 0);
            drop(conn);
            self.set_open(self.open - 1);
            self.gone(slot, false);
        }
    }

    /// It has left as planned; it comes back, unless it is gone for good.
    pub(super) fn plan_return(&mut self, slot: Slot) {
        if self.moves.is_retired(slot) {
            return;
        }
        let role = self.setup.plan.role_of(self.conn_id(slot));
        if let Some(reconnect) = self.setup.role(role).reconnect {
            let away_ns = think::next_ns(&reconnect.away, &mut self.moves.chance);
            self.plan_ahead(away_ns, Due::Redial(slot));
        }
    }

    /// The target, or the network, ended it at `since_ns`, or in that phase it came back in vain.
    pub(super) fn plan_return_after_drop(&mut self, slot: Slot, since_ns: u64, phase: u16) {
        let returns = self.moves.in_storm.contains(&slot) || self.setup.scenario.comes_back.is_some();
        if returns && !self.moves.is_retired(slot) {
            self.moves.missing.entry(slot).or_insert((since_ns, phase));
        }
        if self.moves.in_storm.contains(&slot) {
            self.plan_ahead(STORM_RETRY_NS, Due::Redial(slot));
        } else if let Some(time) = &self.setup.scenario.comes_back {
            let away_ns = think::next_ns(time, &mut self.moves.chance);
            self.plan_ahead(away_ns, Due::Redial(slot));
        }
    }

    /// It came back in vain.
    pub(super) fn plan_return_after_failure(&mut self, slot: Slot, since_ns: u64, phase: u16) {
        let role = self.setup.plan.role_of(self.conn_id(slot));
        if self.moves.in_storm.contains(&slot) || self.setup.scenario.comes_back.is_some() {
            self.plan_return_after_drop(slot, since_ns, phase);
        } else if self.setup.role(role).reconnect.is_some() && !self.moves.is_retired(slot) {
            self.moves.missing.entry(slot).or_insert((since_ns, phase));
            self.plan_return(slot);
        }
    }

    pub(super) fn change_presence(&mut self, slot: Slot, dial: u32) {
        if !self.is_ready_since(slot, dial) {
            return;
        }
        let role = self.setup.plan.role_of(self.conn_id(slot));
        let Some(time) = self.setup.role(role).presence else { return };
        let turn = self.moves.chance.u32(..);
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        self.setup.speak.presence(&mut conn.dialogue, turn, &mut self.out);
        self.traffic.count(Event::PresenceChanged);
        match self.say(slot) {
            Ok(()) => {
                let wait_ns = think::next_ns(&time, &mut self.moves.chance);
                self.plan_ahead(wait_ns, Due::Presence(slot, dial));
            }
            Err(error) => self.end(slot, &flow::cannot_send(&error)),
        }
    }

    fn is_ready_since(&self, slot: Slot, dial: u32) -> bool {
        let conn = self.conns[slot.index()].as_ref();
        conn.is_some_and(|conn| conn.dial == dial && conn.stage == Stage::Ready)
    }

    /// This share of all is cut, and comes back at this pace.
    fn begin_storm(&mut self, phase: usize, share: f64, per_s: f64) {
        let chosen = self.choose(phase, share);
        let mut pace = Pacer::new(self.now_ns, self.thread, self.setup.plan.threads(), per_s);
        for slot in chosen {
            let is_ready = self.conns[slot.index()].as_ref().is_some_and(|it| it.stage == Stage::Ready);
            if is_ready {
                self.traffic.count(Event::Left);
                self.cut(slot);
                self.moves.in_storm.insert(slot);
                self.agenda.push(Reverse((pace.next_due_ns(), Due::Redial(slot))));
            }
        }
    }

    /// Connections go for good at equal distances, until this share of all is left.
    fn begin_drain(&mut self, phase: usize, share: f64, time: std::ops::Range<u64>) {
        let total = self.conns.len();
        let stay = (total as f64 * share).round() as usize;
        let gone = self.moves.retired.len();
        let mut leaving = self.choose(phase, 1.0);
        leaving.retain(|slot| !self.moves.is_retired(*slot));
        leaving.truncate(total.saturating_sub(gone).saturating_sub(stay));
        let step_ns = (time.end - time.start) as f64 / leaving.len().max(1) as f64;
        for index in 0..leaving.len() {
            let at_ns = time.start + ((index as f64 + 0.5) * step_ns) as u64;
            self.agenda.push(Reverse((at_ns, Due::Retire)));
        }
        self.moves.retiring = leaving;
    }

    pub(super) fn retire_one(&mut self) {
        let Some(slot) = self.moves.retiring.pop() else { return };
        self.moves.retired.insert(slot);
        self.moves.missing.remove(&slot);
        if self.conns[slot.index()].as_ref().is_some_and(|conn| conn.stage == Stage::Ready) {
            self.traffic.count(Event::Left);
            self.traffic.stop_hearing(slot);
            self.close(slot);
        }
    }

    /// This share of the thread's slots, drawn for that phase.
    fn choose(&self, phase: usize, share: f64) -> Vec<Slot> {
        let mut slots: Vec<Slot> = (0..self.conns.len() as u32).map(Slot).collect();
        let purpose = [0x57 + ((phase as u64) << 8), self.thread.into()];
        seeded(self.setup.scenario.seed, purpose).shuffle(&mut slots);
        slots.truncate((slots.len() as f64 * share).round() as usize);
        slots
    }

    pub(super) fn plan_keepalive(&mut self) {
        if let Some(Keepalive { every, .. }) = self.setup.speak.keepalive() {
            for part in 0..KEEPALIVE_PARTS {
                let wait_ns = every.as_nanos() as u64 * u64::from(part + 1) / u64::from(KEEPALIVE_PARTS);
                self.plan_ahead(wait_ns, Due::Keepalive(part));
            }
        }
    }

    /// That part of the connections says that it is alive.
    pub(super) fn keep_alive(&mut self, part: u32, due_ns: u64) {
        let Some(Keepalive { every, text }) = self.setup.speak.keepalive() else { return };
        if self.life != Life::Running {
            return;
        }
        self.agenda.push(Reverse((due_ns + every.as_nanos() as u64, Due::Keepalive(part))));
        for slot in (part..self.conns.len() as u32).step_by(KEEPALIVE_PARTS as usize).map(Slot) {
            if self.conns[slot.index()].as_ref().is_some_and(|conn| conn.stage == Stage::Ready) {
                self.out.put(&[text]);
                self.out.end(crate::protocol::Kind::Text);
                if let Err(error) = self.say(slot) {
                    self.end(slot, &flow::cannot_send(&error));
                }
            }
        }
    }
}
