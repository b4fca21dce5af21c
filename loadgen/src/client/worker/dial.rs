//! Connections come up: paced first dials in ramps, deadlines, and what becomes of those that fail; and the end of each.
//!
//! A dial ends when the connection is ready, or has failed. First dials that fail are not repeated: they are counted by their
//! reason. When all that a ramp is about were tried, the main thread is told.

use std::cmp::Reverse;

use mio::{Interest, Token};

use super::{Due, Life, Report, Worker, flow};
use crate::{
    client::{
        conn::{Conn, Stage},
        wire::Wire,
    },
    figures::record::{Event, Timing},
    plan::{Slot, schedule::Pacer},
    protocol::Transport,
    scenario::PhaseKind,
};

/// From dialing to being ready.
const CONNECT_TIMEOUT_NS: u64 = 10_000_000_000;
/// From our close frame to the answer.
const CLOSE_TIMEOUT_NS: u64 = 2_000_000_000;
/// Dials under way at once, all threads together.
const IN_FLIGHT_MAX: u32 = 512;
/// As many in a storm, which is to be one.
const IN_FLIGHT_STORM_MAX: u32 = 8_192;

/// First dials.
#[derive(Debug)]
pub(super) struct Ramp {
    phase: usize,
    pace: Option<Pacer>,
    /// The next slot to dial for the first time.
    next: u32,
    /// Slots below are to be dialed in this ramp.
    end: u32,
    /// By slot: whether its first dial has come to an end.
    tried: Vec<bool>,
    tried_count: u32,
    told: bool,
}

impl Ramp {
    pub(super) fn new(share: usize) -> Self {
        Self { phase: 0, pace: None, next: 0, end: 0, tried: vec![false; share], tried_count: 0, told: true }
    }

    pub(super) fn tried_count(&self) -> u32 {
        self.tried_count
    }

    pub(super) fn was_tried(&self, slot: Slot) -> bool {
        self.tried[slot.index()]
    }
}

impl Worker {
    /// A ramp begins at `start_ns`.
    pub(super) fn begin_ramp(&mut self, phase: usize, start_ns: u64, share: f64, per_s: f64) {
        let total = self.conns.len() as u32;
        self.ramp.phase = phase;
        self.ramp.end = ((f64::from(total) * share).round() as u32).clamp(self.ramp.next, total);
        self.ramp.told = false;
        let mut pace = Pacer::new(start_ns.max(self.now_ns), self.thread, self.setup.plan.threads(), per_s);
        if self.ramp.next < self.ramp.end {
            self.agenda.push(Reverse((pace.next_due_ns(), Due::Dial)));
        }
        self.ramp.pace = Some(pace);
        self.tell_when_settled();
    }

    /// Dials the ramp's next slot.
    pub(super) fn dial_next(&mut self, due_ns: u64) {
        if self.life != Life::Running || self.ramp.next >= self.ramp.end {
            return;
        }
        let slot = Slot(self.ramp.next);
        self.ramp.next += 1;
        if self.ramp.next < self.ramp.end
            && let Some(pace) = &mut self.ramp.pace
        {
            self.agenda.push(Reverse((pace.next_due_ns(), Due::Dial)));
        }
        self.dial(slot, due_ns);
    }

    /// Dials again, unless the connection is there or is gone for good.
    pub(super) fn redial(&mut self, slot: Slot, due_ns: u64) {
        if self.is_dial_wanted(slot) {
            self.dial(slot, due_ns);
        }
    }

    /// Dials those that waited, as many as may be under way.
    pub(super) fn dial_waiting(&mut self) {
        while self.may_dial()
            && let Some((slot, due_ns)) = self.dials_waiting.pop_front()
        {
            self.redial(slot, due_ns);
        }
    }

    fn is_dial_wanted(&self, slot: Slot) -> bool {
        let is_gone = self.life != Life::Running || self.moves.is_retired(slot);
        !is_gone && self.conns[slot.index()].is_none()
    }

    /// Whether one more dial may be under way.
    fn may_dial(&self) -> bool {
        let in_storm =
            self.timetable.at(self.now_ns).is_some_and(|it| matches!(it.kind, PhaseKind::Storm { .. }));
        let in_flight_max = if in_storm { IN_FLIGHT_STORM_MAX } else { IN_FLIGHT_MAX };
        self.in_flight < in_flight_max.div_ceil(self.setup.plan.threads())
    }

    /// Dials, or waits for one of the dials under way to end. Either way time counts from `due_ns`, as users would count it.
    fn dial(&mut self, slot: Slot, due_ns: u64) {
        if !self.may_dial() {
            self.dials_waiting.push_back((slot, due_ns));
            return;
        }
        self.dials += 1;
        self.in_flight += 1;
        let phase = self.traffic.when().phase as u16;
        let route = self.setup.route_of(self.conn_id(slot));
        let wire = self.new_wire(slot);
        let dialed = Conn::dial(route, wire, phase, self.dials, due_ns).and_then(|mut conn| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(conn.source(), Token(slot.index()), interest)?;
            Ok(conn)
        });
        match dialed {
            Ok(conn) => {
                self.conns[slot.index()] = Some(conn);
                self.set_open(self.open + 1);
                self.plan_ahead(CONNECT_TIMEOUT_NS, Due::Deadline(slot, self.dials));
            }
            Err(error) => self.fail(slot, phase, due_ns, &format!("cannot connect: {}", flow::plain(&error))),
        }
    }

    fn new_wire(&self, slot: Slot) -> Wire {
        match self.setup.speak.transport() {
            Transport::WebSocket => Wire::websocket(),
            Transport::Polling => {
                let id = self.conn_id(slot);
                let token = || self.setup.token(id);
                let path = &self.setup.target_of(id).path;
                Wire::polling(&self.setup.speak.upgrade(path, self.setup.who(id, &token)).path)
            }
        }
    }

    /// The connection may be used: it is in all its rooms.
    pub(super) fn become_ready(&mut self, slot: Slot) {
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        conn.stage = Stage::Ready;
        let (phase, dial) = (conn.phase, conn.dial);
        self.ready += 1;
        let event = if self.ramp.was_tried(slot) { Event::Returned } else { Event::Opened };
        self.traffic.count_in(event, phase);
        if let Some((since_ns, phase)) = self.moves.found(slot) {
            let away_ns = self.now_ns.saturating_sub(since_ns);
            self.traffic.recorder().timing(phase.into(), Timing::Outage, away_ns);
        }
        self.plan_moves(slot, dial);
        self.dial_ended(slot);
    }

    /// What was dialed, or asked for, at `since_ns` came to nothing.
    fn fail(&mut self, slot: Slot, phase: u16, since_ns: u64, reason: &str) {
        self.traffic.count_in(Event::Failed, phase);
        self.traffic.recorder().reasons().failures.add(reason);
        if self.ramp.was_tried(slot) {
            self.plan_return_after_failure(slot, since_ns, phase);
        }
        self.dial_ended(slot);
    }

    fn dial_ended(&mut self, slot: Slot) {
        self.in_flight -= 1;
        if !std::mem::replace(&mut self.ramp.tried[slot.index()], true) {
            self.ramp.tried_count += 1;
            self.tell_when_settled();
        }
        if !self.dials_waiting.is_empty() {
            self.plan_ahead(0, Due::DialWaiting);
        }
    }

    /// Tells the main thread once when the ramp is over.
    fn tell_when_settled(&mut self) {
        if !self.ramp.told && self.ramp.tried_count >= self.ramp.end {
            self.ramp.told = true;
            self.watch_now();
            let _ = self.reports.send(Report::Settled { phase: self.ramp.phase });
        }
    }

    /// The connection has ended; `reason` is for those that should not have.
    pub(super) fn end(&mut self, slot: Slot, reason: &str) {
        let Some(conn) = self.conns[slot.index()].take() else { return };
        self.heads.remove(&slot);
        self.sated_until_ns.remove(&slot);
        self.watch.unsent(conn.unsent_bytes(), 0);
        self.set_open(self.open - 1);
        match conn.stage {
            Stage::Connecting | Stage::Upgrading | Stage::Opening | Stage::Joining => {
                self.traffic.stop_hearing(slot);
                self.fail(slot, conn.phase, conn.since_ns, reason);
            }
            Stage::Ready => {
                self.ready -= 1;
                self.traffic.count(Event::Dropped);
                self.traffic.recorder().reasons().drops.add(reason);
                self.gone(slot, false);
                let phase = self.traffic.when().phase as u16;
                self.plan_return_after_drop(slot, self.now_ns, phase);
            }
            Stage::Closing => match self.life {
                Life::Running => {
                    let in_order = conn.wire.ended_in_order();
                    drop(conn);
                    self.gone(slot, in_order);
                    self.plan_return(slot);
                }
                Life::Finishing => {
                    if self.open == 0 {
                        self.life = Life::Finished;
                    }
                }
                Life::Finished => {}
            },
        }
    }

    /// The connection is no more: what is known of it ends here. `in_order` as in [`Traffic::disconnected`].
    ///
    /// [`Traffic::disconnected`]: crate::client::traffic::Traffic::disconnected
    pub(super) fn gone(&mut self, slot: Slot, in_order: bool) {
        self.traffic.stop_hearing(slot);
        self.traffic.disconnected(slot, in_order);
        for _ in 0..self.moves.forget_waiting(slot) {
            self.traffic.count(Event::Unsent);
        }
    }

    pub(super) fn on_deadline(&mut self, slot: Slot, dial: u32) {
        let Some(conn) = self.conns[slot.index()].as_ref().filter(|conn| conn.dial == dial) else { return };
        let waited_for = match conn.stage {
            Stage::Connecting => "no TCP connection within 10 s",
            Stage::Upgrading => "no answer to the upgrade request within 10 s",
            Stage::Opening => "no greeting within 10 s",
            Stage::Joining => "no answer to a join within 10 s",
            Stage::Ready => return,
            Stage::Closing if self.now_ns < conn.since_ns + CLOSE_TIMEOUT_NS => return,
            Stage::Closing => "no answer to the goodbye within 2 s",
        };
        self.end(slot, waited_for);
    }

    /// Sends a close frame and waits for its answer.
    pub(super) fn close(&mut self, slot: Slot) {
        let now_ns = self.now_ns;
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        self.ready -= 1;
        conn.stage = Stage::Closing;
        conn.since_ns = now_ns;
        let dial = conn.dial;
        self.outgoing.clear();
        conn.wire.close(&mut self.gear, &mut self.outgoing);
        self.plan_ahead(CLOSE_TIMEOUT_NS, Due::Deadline(slot, dial));
        if let Err(error) = self.send_outgoing(slot) {
            self.end(slot, &flow::cannot_send(&error));
        }
    }

    /// The run is over: connections that are ready are closed in good form, half-open ones dropped.
    pub(super) fn close_all(&mut self) {
        self.life = Life::Finishing;
        for slot in (0..self.conns.len() as u32).map(Slot) {
            match self.conns[slot.index()].as_ref().map(|conn| conn.stage) {
                Some(Stage::Ready) => self.close(slot),
                None | Some(Stage::Closing) => {}
                Some(Stage::Connecting | Stage::Upgrading | Stage::Opening | Stage::Joining) => {
                    self.conns[slot.index()] = None;
                    self.traffic.stop_hearing(slot);
                    self.set_open(self.open - 1);
                }
            }
        }
        if self.open == 0 {
            self.life = Life::Finished;
        }
    }

    pub(super) fn set_open(&mut self, open: u32) {
        self.open = open;
        let second = self.traffic.when().second;
        self.traffic.recorder().open(second, open);
    }
}
