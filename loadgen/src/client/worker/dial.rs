//! Connections come and go: paced dials, deadlines, churn, and the end of each connection.
//!
//! A first dial ends in `settle`, whatever came of it; when all have, the main thread is told who
//! is there. No dial is repeated: a connection that fails is counted by its reason.

use std::cmp::Reverse;

use mio::{Interest, Token};
use ringway::ws::{close, encode};

use super::{Due, IN_FLIGHT_MAX, Phase, Report, Worker, flow::plain};
use crate::{
    client::conn::{Conn, Stage},
    plan::{ConnId, RoomId, Slot},
};

/// From dialing to being a member.
const CONNECT_TIMEOUT_NS: u64 = 10_000_000_000;
/// From our close frame to the answer.
const CLOSE_TIMEOUT_NS: u64 = 2_000_000_000;

impl Worker {
    pub(super) fn schedule_first_dial(&mut self) {
        self.agenda.push(Reverse((self.dial_pace.next_due_ns(), Due::Dial)));
    }

    /// Dials the next slot, or waits for one of the dials under way to end.
    pub(super) fn dial_next(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        if self.in_flight >= IN_FLIGHT_MAX.div_ceil(self.setup.plan.threads()) {
            self.dial_waits = true;
            return;
        }
        let slot = Slot(self.next_slot);
        self.next_slot += 1;
        if self.next_slot < self.conns.len() as u32 {
            self.agenda.push(Reverse((self.dial_pace.next_due_ns(), Due::Dial)));
        }
        self.dial(slot);
    }

    fn dial(&mut self, slot: Slot) {
        let conn_id = self.conn_id(slot);
        self.dials += 1;
        self.in_flight += 1;
        let dialed = Conn::dial(&self.setup.target, conn_id, self.dials, self.now_ns).and_then(|mut conn| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut conn.stream, Token(slot.index()), interest)?;
            Ok(conn)
        });
        match dialed {
            Ok(conn) => {
                self.conns[slot.index()] = Some(conn);
                self.open += 1;
                self.agenda
                    .push(Reverse((self.now_ns + CONNECT_TIMEOUT_NS, Due::Deadline(slot, self.dials))));
            }
            Err(error) => self.fail(&format!("cannot connect: {}", plain(&error))),
        }
    }

    /// The connection is a member (in echo mode: the upgrade is accepted).
    pub(super) fn become_ready(&mut self, slot: Slot) {
        self.ready += 1;
        if self.started_ns.is_some() {
            self.tally.returned += 1;
        } else {
            self.tally.opened += 1;
            self.members[slot.index()] = !self.setup.plan.churns(self.conn_id(slot));
        }
        self.dial_ended();
    }

    /// A dial came to nothing.
    fn fail(&mut self, reason: &str) {
        self.tally.failed += 1;
        self.tally.failures.add(reason);
        self.dial_ended();
    }

    fn dial_ended(&mut self) {
        self.in_flight -= 1;
        if self.started_ns.is_none() {
            self.settled += 1;
            if self.settled == self.conns.len() as u32 {
                self.send_snapshot();
                let _ = self.reports.send(Report::Settled { members: self.members_by_room() });
            }
        }
        if std::mem::take(&mut self.dial_waits) {
            self.agenda.push(Reverse((self.now_ns, Due::Dial)));
        }
    }

    fn members_by_room(&self) -> Vec<u32> {
        let mut members = vec![0; self.setup.plan.rooms() as usize];
        for (slot, _) in self.members.iter().enumerate().filter(|(_, member)| **member) {
            let RoomId(room) = self.setup.plan.room_of(self.conn_id(Slot(slot as u32)));
            members[room as usize] += 1;
        }
        members
    }

    /// The connection has ended; `reason` is for those that should not have.
    pub(super) fn end(&mut self, slot: Slot, reason: &str) {
        let Some(conn) = self.conns[slot.index()].take() else { return };
        self.open -= 1;
        self.heads.remove(&slot);
        match conn.stage {
            Stage::Connecting | Stage::Upgrading | Stage::Joining => self.fail(reason),
            Stage::Ready => {
                self.ready -= 1;
                self.tally.dropped += 1;
                self.tally.drops.add(reason);
                self.traffic.disconnected(slot);
            }
            Stage::Closing => match self.phase {
                Phase::Running => {
                    drop(conn);
                    self.traffic.enter_midway(slot);
                    self.dial(slot);
                }
                Phase::Finishing => {
                    if self.open == 0 {
                        self.phase = Phase::Finished;
                    }
                }
                Phase::Finished => {}
            },
        }
    }

    pub(super) fn on_deadline(&mut self, slot: Slot, dial: u32) {
        let Some(conn) = self.conns[slot.index()].as_ref().filter(|conn| conn.dial == dial) else { return };
        let waited_for = match conn.stage {
            Stage::Connecting => "no TCP connection within 10 s",
            Stage::Upgrading => "no answer to the upgrade request within 10 s",
            Stage::Joining => "no answer to room:join within 10 s",
            Stage::Ready => return,
            Stage::Closing if self.now_ns < conn.since_ns + CLOSE_TIMEOUT_NS => return,
            Stage::Closing => "no answer to the close frame within 2 s",
        };
        self.end(slot, waited_for);
    }

    /// One member that comes and goes leaves; it dials again when the target has let it go.
    pub(super) fn churn(&mut self) {
        let Some(pace) = &mut self.churn_pace else { return };
        self.agenda.push(Reverse((pace.next_due_ns(), Due::Churn)));
        let share = self.conns.len() as u32;
        for _ in 0..share {
            let slot = Slot(self.churn_cursor);
            self.churn_cursor = (self.churn_cursor + 1) % share;
            if !self.setup.plan.churns(self.conn_id(slot)) {
                continue;
            }
            match &self.conns[slot.index()] {
                Some(conn) if conn.stage == Stage::Ready => {
                    self.tally.left += 1;
                    self.close(slot);
                    return;
                }
                Some(_) => {}
                None => {
                    self.traffic.enter_midway(slot);
                    self.dial(slot);
                    return;
                }
            }
        }
    }

    /// Sends a close frame and waits for its answer.
    fn close(&mut self, slot: Slot) {
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        self.ready -= 1;
        conn.stage = Stage::Closing;
        conn.since_ns = self.now_ns;
        self.agenda.push(Reverse((self.now_ns + CLOSE_TIMEOUT_NS, Due::Deadline(slot, conn.dial))));
        self.outgoing.clear();
        encode::close(&mut self.outgoing, close::NORMAL, "", Some(self.masks.u32(..).to_ne_bytes()));
        if let Err(error) = conn.send(&self.outgoing) {
            self.end(slot, &format!("cannot send: {}", plain(&error)));
        }
    }

    /// The run is over: members are closed in good form, half-open connections dropped.
    pub(super) fn close_all(&mut self) {
        self.phase = Phase::Finishing;
        for slot in (0..self.conns.len() as u32).map(Slot) {
            match &self.conns[slot.index()] {
                None => {}
                Some(conn) => match conn.stage {
                    Stage::Ready => self.close(slot),
                    Stage::Closing => {}
                    Stage::Connecting | Stage::Upgrading | Stage::Joining => {
                        self.conns[slot.index()] = None;
                        self.open -= 1;
                    }
                },
            }
        }
        if self.open == 0 {
            self.phase = Phase::Finished;
        }
    }

    pub(super) fn conn_id(&self, slot: Slot) -> ConnId {
        self.setup.plan.conn_at(self.thread, slot)
    }
}
