//! What the messages of one thread mean: publishes with stamps, checks deliveries and acks against
//! the plan, and keeps the books. Has no socket and no clock.
//!
//! Invariant: every publication that was written has the next number of its publisher, so that the
//! ledger can tell what is missing from numbers alone.

use std::{
    ops::{AddAssign, Range},
    sync::Arc,
};

use hdrhistogram::Histogram;

use crate::{
    cli::args::{Config, Mode},
    figures::latency,
    figures::reasons::Reasons,
    plan::schedule::Schedule,
    plan::{ConnId, Plan, RoomId, Slot},
    protocol::json::{self, AckId, Inbound},
    truth::audit::Published,
    truth::ledger::{Arrival, Ledger},
    truth::payload::{Arrived, Codec, Stamp},
    truth::seq_set::SeqSet,
};

/// What the main thread says when publishing is to begin.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// When the first message is due.
    pub(crate) at_ns: u64,
    /// When publications are due that count for latency.
    pub(crate) measured_ns: Range<u64>,
    /// Connections that stay in each room.
    pub(crate) members: Arc<[u32]>,
}

/// What happened, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    /// Publications due in the measured phase.
    pub(crate) sent_measured: u64,
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    /// Not sent, because the socket had not taken earlier ones.
    pub(crate) withheld: u64,
    /// Deliveries that members which stay are to get, as far as is known by now.
    pub(crate) owed: u64,
    /// First deliveries to members that stay, and to members that come and go.
    pub(crate) delivered: u64,
    pub(crate) delivered_midway: u64,
    /// First deliveries that arrived in the measured phase.
    pub(crate) delivered_measured: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) misrouted: u64,
    /// Delivered to the sender itself, or acked twice.
    pub(crate) unexpected: u64,
    /// Of another run in the same room: neither right nor wrong.
    pub(crate) foreign: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Taken apart, so that a new field cannot be forgotten.
        let Self {
            sent,
            sent_measured,
            acked,
            refused,
            withheld,
            owed,
            delivered,
            delivered_midway,
            delivered_measured,
            duplicated,
            reordered,
            corrupt,
            misrouted,
            unexpected,
            foreign,
        } = other;
        self.sent += sent;
        self.sent_measured += sent_measured;
        self.acked += acked;
        self.refused += refused;
        self.withheld += withheld;
        self.owed += owed;
        self.delivered += delivered;
        self.delivered_midway += delivered_midway;
        self.delivered_measured += delivered_measured;
        self.duplicated += duplicated;
        self.reordered += reordered;
        self.corrupt += corrupt;
        self.misrouted += misrouted;
        self.unexpected += unexpected;
        self.foreign += foreign;
    }
}

/// What an incoming message changes for its connection.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Nothing,
    Joined,
    /// With the error code.
    JoinRefused(String),
}

/// The books of one thread, closed.
#[derive(Debug)]
pub(crate) struct Books {
    /// By slot.
    pub(crate) published: Vec<Published>,
    pub(crate) ledger: Ledger,
    /// What members that came midway missed, and of whom.
    pub(crate) midway: Vec<(ConnId, SeqSet)>,
    pub(crate) counts: Counts,
    pub(crate) latency: Histogram<u64>,
    /// Error codes of refused publications, and of `system:error`.
    pub(crate) refusals: Reasons,
    pub(crate) faults: Reasons,
}

/// One connection that publishes.
#[derive(Debug)]
struct Publisher {
    sent: u32,
    refused: SeqSet,
    disconnected: bool,
    schedule: Schedule,
}

/// The messages of one thread.
#[derive(Debug)]
pub(crate) struct Traffic {
    plan: Plan,
    thread: u32,
    codec: Codec,
    room_names: Arc<[String]>,
    /// By slot: publishers have the first ones.
    publishers: Vec<Publisher>,
    start: Option<Start>,
    /// Deliveries, by the plan's cells.
    heard: Ledger,
    /// Acks, a cell per publisher.
    acks: Ledger,
    midway: Vec<(ConnId, SeqSet)>,
    counts: Counts,
    latency: Histogram<u64>,
    refusals: Reasons,
    faults: Reasons,
}

impl Traffic {
    /// `run` is in every payload.
    pub(crate) fn new(config: &Config, plan: Plan, thread: u32, run: u32, room_names: Arc<[String]>) -> Self {
        let publishers = (0..plan.publishers_share(thread)).map(|slot| {
            let ConnId(publisher) = plan.conn_at(thread, Slot(slot));
            let schedule =
                Schedule::new(config.arrivals, publisher, plan.publishers(), config.rate, config.seed);
            Publisher { sent: 0, refused: SeqSet::default(), disconnected: false, schedule }
        });
        Self {
            thread,
            codec: Codec::new(run, config.payload_bytes),
            room_names,
            publishers: publishers.collect(),
            start: None,
            heard: Ledger::new(plan.share(thread) as usize * plan.cells_per_member()),
            acks: Ledger::new(plan.publishers_share(thread) as usize),
            midway: Vec::new(),
            counts: Counts::default(),
            latency: latency::histogram(),
            refusals: Reasons::default(),
            faults: Reasons::default(),
            plan,
        }
    }

    /// Publishing begins.
    pub(crate) fn start(&mut self, start: Start) {
        self.start = Some(start);
    }

    /// When the publisher's next message is due, on the run's clock. Each call moves on by one.
    pub(crate) fn next_due_ns(&mut self, slot: Slot) -> Option<u64> {
        let start = self.start.as_ref()?;
        let due = start.at_ns + self.publishers.get_mut(slot.index())?.schedule.next_due_ns();
        (due < start.measured_ns.end).then_some(due)
    }

    /// Appends the JSON of the publisher's next message, which was due at `due_ns`.
    pub(crate) fn publish(&mut self, slot: Slot, due_ns: u64, out: &mut Vec<u8>) {
        let conn = self.plan.conn_at(self.thread, slot);
        let room = self.plan.room_of(conn);
        let publisher = &mut self.publishers[slot.index()];
        let seq = publisher.sent;
        publisher.sent += 1;
        let stamp = Stamp { publisher: conn.0, seq, at_ns: due_ns };
        match self.plan.mode() {
            Mode::Echo => self.codec.write(out, stamp),
            Mode::Fanout | Mode::Churn | Mode::Idle => {
                json::write_send_head(out, &self.room_names[room.0 as usize], seq);
                self.codec.write(out, stamp);
                json::write_send_tail(out);
            }
        }
        self.counts.sent += 1;
        self.counts.sent_measured += u64::from(self.is_measured(due_ns));
        self.counts.owed += self.audience(room);
    }

    /// A message was due, but its connection is stuck.
    pub(crate) fn withhold(&mut self) {
        self.counts.withheld += 1;
    }

    /// Appends the message that makes a connection a member.
    pub(crate) fn join(&self, slot: Slot, out: &mut Vec<u8>) {
        json::write_join(out, self.room_name(self.plan.conn_at(self.thread, slot)));
    }

    /// A member that comes and goes is about to join: what it hears first is where it begins.
    pub(crate) fn enter_midway(&mut self, slot: Slot) {
        for publisher in self.plan.heard_by(self.plan.conn_at(self.thread, slot)) {
            let gaps = self.heard.reopen_midway(self.plan.cell(slot, publisher));
            if !gaps.is_empty() {
                self.midway.push((publisher, gaps));
            }
        }
    }

    /// The connection is gone, and not because we left.
    pub(crate) fn disconnected(&mut self, slot: Slot) {
        if let Some(publisher) = self.publishers.get_mut(slot.index()) {
            publisher.disconnected = true;
        }
    }

    /// Takes in a text message that arrived at `now_ns`.
    pub(crate) fn hear(&mut self, slot: Slot, text: &str, now_ns: u64) -> Heard {
        if self.plan.mode() == Mode::Echo {
            self.receive(slot, None, text.as_bytes(), now_ns);
            return Heard::Nothing;
        }
        match json::read(text, self.codec.bytes()) {
            Ok(Inbound::Delivery { room, payload }) => self.receive(slot, Some(&room), payload, now_ns),
            Ok(Inbound::Acked(AckId::Join)) => return Heard::Joined,
            Ok(Inbound::Refused(AckId::Join, code)) => return Heard::JoinRefused(code),
            Ok(Inbound::Acked(AckId::Send(seq))) => self.settle(slot, seq, None),
            Ok(Inbound::Refused(AckId::Send(seq), code)) => self.settle(slot, seq, Some(&code)),
            Ok(Inbound::Fault(code)) => self.faults.add(&code),
            Ok(Inbound::Other) => {}
            Err(json::Malformed) => self.counts.corrupt += 1,
        }
        Heard::Nothing
    }

    /// Publications that are still to be answered. Echoes are their own answer.
    pub(crate) fn unanswered(&self) -> u64 {
        match self.plan.mode() {
            Mode::Echo => 0,
            Mode::Fanout | Mode::Churn | Mode::Idle => {
                self.counts.sent - self.counts.acked - self.counts.refused
            }
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Closes the books.
    pub(crate) fn close(mut self) -> Books {
        for slot in (0..self.plan.share(self.thread)).map(Slot) {
            if self.plan.churns(self.plan.conn_at(self.thread, slot)) {
                self.enter_midway(slot);
            }
        }
        let acked = self.plan.mode() != Mode::Echo;
        let published = self.publishers.into_iter().enumerate().map(|(slot, publisher)| Published {
            unacked: if acked { self.acks.missing(slot, publisher.sent) } else { SeqSet::default() },
            sent: publisher.sent,
            refused: publisher.refused,
            disconnected: publisher.disconnected,
        });
        Books {
            published: published.collect(),
            ledger: self.heard,
            midway: self.midway,
            counts: self.counts,
            latency: self.latency,
            refusals: self.refusals,
            faults: self.faults,
        }
    }

    fn receive(&mut self, slot: Slot, room: Option<&str>, payload: &[u8], now_ns: u64) {
        let member = self.plan.conn_at(self.thread, slot);
        let stamp = match self.codec.read(payload) {
            Arrived::Ours(stamp) => stamp,
            Arrived::Foreign => {
                self.counts.foreign += 1;
                return;
            }
            Arrived::Corrupt => {
                self.counts.corrupt += 1;
                return;
            }
        };
        let publisher = ConnId(stamp.publisher);
        if !self.plan.hears(member, publisher) || room.is_some_and(|room| room != self.room_name(member)) {
            if member == publisher {
                self.counts.unexpected += 1;
            } else {
                self.counts.misrouted += 1;
            }
            return;
        }
        match self.heard.record(self.plan.cell(slot, publisher), stamp.seq) {
            Arrival::Repeated => {
                self.counts.duplicated += 1;
                return;
            }
            Arrival::Late => self.counts.reordered += 1,
            Arrival::InOrder => {}
        }
        if self.plan.churns(member) {
            self.counts.delivered_midway += 1;
        } else {
            self.counts.delivered += 1;
        }
        self.counts.delivered_measured += u64::from(self.is_measured(now_ns));
        if self.is_measured(stamp.at_ns) {
            self.latency.saturating_record(now_ns.saturating_sub(stamp.at_ns));
        }
    }

    /// A publication was answered, with the error code if it was refused.
    fn settle(&mut self, slot: Slot, seq: u32, refusal: Option<&str>) {
        let room = self.plan.room_of(self.plan.conn_at(self.thread, slot));
        let audience = self.audience(room);
        let Some(publisher) = self.publishers.get_mut(slot.index()).filter(|publisher| seq < publisher.sent)
        else {
            self.counts.unexpected += 1;
            return;
        };
        if self.acks.record(slot.index(), seq) == Arrival::Repeated {
            self.counts.unexpected += 1;
            return;
        }
        match refusal {
            None => self.counts.acked += 1,
            Some(code) => {
                self.counts.refused += 1;
                self.counts.owed -= audience;
                self.refusals.add(code);
                publisher.refused.insert(seq);
            }
        }
    }

    /// Members that stay and are to get what is sent to `room`.
    fn audience(&self, room: RoomId) -> u64 {
        match (self.plan.mode(), &self.start) {
            (Mode::Echo, _) => 1,
            (Mode::Fanout | Mode::Churn | Mode::Idle, Some(start)) => {
                u64::from(start.members[room.0 as usize].saturating_sub(1))
            }
            (Mode::Fanout | Mode::Churn | Mode::Idle, None) => 0,
        }
    }

    fn is_measured(&self, at_ns: u64) -> bool {
        self.start.as_ref().is_some_and(|start| start.measured_ns.contains(&at_ns))
    }

    fn room_name(&self, conn: ConnId) -> &str {
        &self.room_names[self.plan.room_of(conn).0 as usize]
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
