//! Bytes in and out: the upgrade, frames to messages to `traffic`, and what is to be said to the socket.
//!
//! Every read goes through one buffer; a connection's messages are dealt with before the next read. Due work is looked at after
//! each read, so that a flood of deliveries does not hold up the schedule.

use std::{
    io::{self, ErrorKind},
    mem,
};

use mio::{Interest, Token, event::Event as Readiness};

use super::{Due, SIDE, Worker};
use crate::{
    client::{
        conn::{Conn, Stage},
        handshake::{self, Response},
        polling::{Incoming, Lane, Step},
        traffic::Traffic,
        wire::Wire,
    },
    figures::record::{Event, Timing},
    plan::Slot,
    protocol::{Call, Heard, RoomsBy, Transport},
    scenario::Reading,
};

/// A connection that reads slowly does so in so many pieces a second, of this many bytes at least.
const SLOW_READS_PER_S: u32 = 20;
const SLOW_READ_BYTES_MIN: usize = 256;

impl Worker {
    pub(super) fn on_event(&mut self, slot: Slot, lane: Lane, event: &Readiness) {
        let Some(conn) = self.conns.get_mut(slot.index()).and_then(Option::as_mut) else { return };
        match conn.stands(lane) {
            Ok((true, _)) => {}
            Ok((false, true)) => self.on_connected(slot, lane),
            Ok((false, false)) => return,
            Err(error) => {
                self.end(slot, &format!("cannot connect: {}", plain(&error)));
                return;
            }
        }
        if event.is_writable() {
            self.flush_if(slot, lane, Conn::wants_write);
        }
        let is_ending = event.is_read_closed() || event.is_error();
        if event.is_readable() || is_ending {
            self.read(slot, lane, is_ending);
            self.flush_if(slot, lane, Conn::is_held_back);
        }
    }

    fn flush_if(&mut self, slot: Slot, lane: Lane, wanted: fn(&Conn, Lane) -> bool) {
        let Some(conn) = self.conns[slot.index()].as_mut().filter(|conn| wanted(conn, lane)) else { return };
        let before = conn.unsent_bytes();
        let flushed = conn.flush(lane);
        self.watch.unsent(before, conn.unsent_bytes());
        if let Err(error) = flushed {
            self.end(slot, &cannot_send(&error));
        }
    }

    fn on_connected(&mut self, slot: Slot, lane: Lane) {
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        conn.wire.connected(lane, self.now_ns);
        let is_first = conn.stage == Stage::Connecting;
        if is_first {
            conn.stage = Stage::Upgrading;
        }
        let sent = match self.setup.speak.transport() {
            Transport::WebSocket if is_first => self.request_upgrade(slot),
            Transport::WebSocket => Ok(()),
            Transport::Polling => self.take_steps(slot),
        };
        if let Err(error) = sent {
            self.end(slot, &cannot_send(&error));
        }
    }

    /// Sends the messages in `out`.
    pub(super) fn say(&mut self, slot: Slot) -> io::Result<()> {
        self.outgoing.clear();
        if let Some(conn) = &mut self.conns[slot.index()] {
            let before = conn.unsent_bytes();
            conn.wire.send(&self.out, &mut self.gear, &mut self.outgoing);
            self.watch.unsent(before, conn.unsent_bytes());
        }
        self.out.clear();
        self.send_outgoing(slot)
    }

    /// Sends the frames in `outgoing`, or what a polling session has to send by now.
    pub(super) fn send_outgoing(&mut self, slot: Slot) -> io::Result<()> {
        match self.setup.speak.transport() {
            Transport::WebSocket if self.outgoing.is_empty() => Ok(()),
            Transport::WebSocket => self.send_on(slot, Lane::Main),
            Transport::Polling => self.take_steps(slot),
        }
    }

    fn send_on(&mut self, slot: Slot, lane: Lane) -> io::Result<()> {
        let Some(conn) = &mut self.conns[slot.index()] else { return Ok(()) };
        let before = conn.unsent_bytes();
        let sent = conn.send(lane, &self.outgoing);
        self.watch.unsent(before, conn.unsent_bytes());
        sent
    }

    /// Does what a polling session wants done.
    fn take_steps(&mut self, slot: Slot) -> io::Result<()> {
        let id = self.conn_id(slot);
        loop {
            self.outgoing.clear();
            let Some(conn) = &mut self.conns[slot.index()] else { return Ok(()) };
            let before = conn.unsent_bytes();
            let step = conn.wire.next(&self.setup.target_of(id).host, self.now_ns, &mut self.outgoing);
            self.watch.unsent(before, conn.unsent_bytes());
            match step {
                None => return Ok(()),
                Some(Step::Send(lane)) => self.send_on(slot, lane)?,
                Some(Step::Dial(lane)) => {
                    let token = match lane {
                        Lane::Main => Token(slot.index()),
                        Lane::Side => Token(slot.index() | SIDE),
                    };
                    let source = conn.redial(lane, self.setup.route_of(id))?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(source, token, interest)?;
                }
            }
        }
    }

    fn request_upgrade(&mut self, slot: Slot) -> io::Result<()> {
        let id = self.conn_id(slot);
        let key = self.handshake_key(slot);
        let token = || self.setup.token(id);
        let target = self.setup.target_of(id);
        let upgrade = self.setup.speak.upgrade(&target.path, self.setup.who(id, &token));
        let bearer = if upgrade.bearer { token() } else { None };
        self.outgoing.clear();
        handshake::write_request(&mut self.outgoing, &target.host, &upgrade, &key, bearer.as_deref());
        self.send_on(slot, Lane::Main)
    }

    /// Reads until the socket has no more. Where it `is_ending` (or may be), the end is looked for too: nothing tells of it again.
    fn read(&mut self, slot: Slot, lane: Lane, is_ending: bool) {
        let budget = self.budget(slot).filter(|_| lane == Lane::Main);
        if budget.is_some() && self.sated_until_ns.get(&slot).is_some_and(|until_ns| self.now_ns < *until_ns)
        {
            return;
        }
        let read_bytes = budget.map_or(self.buffer.len(), |bytes| bytes.min(self.buffer.len()));
        let Some(dial) = self.conns[slot.index()].as_ref().map(|conn| conn.dial) else { return };
        loop {
            // What was due meanwhile may have put another connection in its place.
            let Some(conn) = self.conns[slot.index()].as_mut().filter(|conn| conn.dial == dial) else {
                return;
            };
            let short_is_all = !is_ending && conn.short_read_is_all(lane);
            let count = match conn.read(lane, &mut self.buffer[..read_bytes]) {
                Ok(0) => {
                    self.on_read_closed(slot, lane);
                    return;
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.end(slot, &format!("cannot receive: {}", plain(&error)));
                    return;
                }
            };
            self.look_at_clock();
            let phase = self.traffic.when().phase;
            self.traffic.recorder().read(phase);
            let mut buffer = mem::take(&mut self.buffer);
            let digested = self.digest(slot, lane, &mut buffer[..count]);
            self.buffer = buffer;
            if let Err(reason) = digested {
                self.end(slot, &reason);
                return;
            }
            if budget.is_some() {
                self.pause(slot, count);
                return;
            }
            if self.now_ns >= self.next_due_ns() {
                self.do_what_is_due();
            }
            if count < read_bytes && short_is_all {
                // Edge-triggered: what comes after a short read is a new event.
                return;
            }
        }
    }

    /// The target has closed a lane without a word.
    fn on_read_closed(&mut self, slot: Slot, lane: Lane) {
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        let over = conn.wire.closed(lane);
        conn.drop_lane(lane);
        if let Err(reason) = over.and_then(|()| self.take_steps(slot).map_err(|error| cannot_send(&error))) {
            self.end(slot, &reason);
        }
    }

    /// How much a connection that reads slowly reads at once; `None` for all others, and as long as it is not ready.
    fn budget(&self, slot: Slot) -> Option<usize> {
        if !self.has_slow_readers {
            return None;
        }
        let is_ready = self.conns[slot.index()].as_ref().is_some_and(|conn| conn.stage == Stage::Ready);
        match self.setup.role(self.setup.plan.role_of(self.conn_id(slot))).reading {
            Reading::Slow { bytes_per_s } if is_ready => {
                Some(((bytes_per_s / SLOW_READS_PER_S) as usize).max(SLOW_READ_BYTES_MIN))
            }
            Reading::Slow { .. } | Reading::Quick => None,
        }
    }

    /// It has read that much, and reads no more before its time.
    fn pause(&mut self, slot: Slot, count: usize) {
        let id = self.conn_id(slot);
        let Reading::Slow { bytes_per_s } = self.setup.role(self.setup.plan.role_of(id)).reading else {
            return;
        };
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        let pause_ns = count as u64 * 1_000_000_000 / u64::from(bytes_per_s.max(1));
        let dial = conn.dial;
        // Not to be woken for what is not to be read yet.
        let paused = self.poll.registry().reregister(conn.source(), Token(slot.index()), Interest::WRITABLE);
        self.sated_until_ns.insert(slot, self.now_ns + pause_ns);
        match paused {
            Ok(()) => self.plan_ahead(pause_ns, Due::Resume(slot, dial)),
            Err(error) => self.end(slot, &format!("cannot be paused: {}", plain(&error))),
        }
    }

    /// It may read again: the socket, which becomes an event if it has anything, and what TLS has taken in already.
    pub(super) fn resume(&mut self, slot: Slot, dial: u32) {
        let Some(conn) = self.conns[slot.index()].as_mut().filter(|conn| conn.dial == dial) else { return };
        self.sated_until_ns.remove(&slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().reregister(conn.source(), Token(slot.index()), interest) {
            self.end(slot, &format!("cannot be resumed: {}", plain(&error)));
            return;
        }
        self.read(slot, Lane::Main, true);
    }

    /// Nobody reads slowly any more: what is on its way is to be seen, so that it is not taken for lost.
    pub(super) fn read_freely(&mut self) {
        self.has_slow_readers = false;
        let paused: Vec<Slot> = self.sated_until_ns.keys().copied().collect();
        for slot in paused {
            if let Some(dial) = self.conns[slot.index()].as_ref().map(|conn| conn.dial) {
                self.resume(slot, dial);
            }
        }
    }

    /// Deals with what was read; the error says why the connection is over.
    fn digest(&mut self, slot: Slot, lane: Lane, bytes: &mut [u8]) -> Result<(), String> {
        let upgrading = self.conns[slot.index()].as_ref().is_some_and(|conn| {
            conn.stage == Stage::Upgrading && matches!(conn.wire, Wire::WebSocket { .. })
        });
        if !upgrading {
            return self.digest_messages(slot, lane, bytes);
        }
        let mut stored = self.heads.remove(&slot);
        let bytes = match &mut stored {
            Some(head) => {
                head.extend_from_slice(bytes);
                head.as_mut_slice()
            }
            None => bytes,
        };
        let id = self.conn_id(slot);
        let path = &self.setup.target_of(id).path;
        let offered = self.setup.speak.upgrade(path, self.setup.who(id, &|| None)).subprotocol;
        match handshake::read_response(bytes, &self.handshake_key(slot), offered) {
            Response::Partial => {
                let head = bytes.to_vec();
                self.heads.insert(slot, stored.unwrap_or(head));
                Ok(())
            }
            Response::Refused(reason) => Err(reason),
            Response::Accepted { head_bytes } => {
                self.upgraded(slot)?;
                self.digest_messages(slot, lane, &mut bytes[head_bytes..])
            }
        }
    }

    fn upgraded(&mut self, slot: Slot) -> Result<(), String> {
        let id = self.conn_id(slot);
        let Self { setup, conns, traffic, out, now_ns, .. } = self;
        let Some(conn) = &mut conns[slot.index()] else { return Ok(()) };
        let took_ns = now_ns.saturating_sub(conn.since_ns);
        traffic.recorder().timing(conn.phase.into(), Timing::Connect, took_ns);
        conn.stage = Stage::Opening;
        let token = || setup.token(id);
        let established = setup.speak.open(&mut conn.dialogue, setup.who(id, &token), out);
        self.say(slot).map_err(|error| cannot_send(&error))?;
        if established == Some(Heard::Established) { self.enter_rooms(slot) } else { Ok(()) }
    }

    /// Rooms may be joined.
    fn enter_rooms(&mut self, slot: Slot) -> Result<(), String> {
        let id = self.conn_id(slot);
        let Self { setup, conns, traffic, out, now_ns, .. } = self;
        let Some(conn) = conns[slot.index()].as_mut().filter(|conn| conn.stage == Stage::Opening) else {
            return Ok(());
        };
        traffic.enter(slot);
        let rooms = setup.plan.rooms_of(id).len() as u32;
        let by_message = setup.speak.traits().rooms == RoomsBy::Message;
        if rooms == 0 || !by_message {
            for ordinal in 0..rooms {
                traffic.joined(slot, ordinal);
            }
            self.become_ready(slot);
            return Ok(());
        }
        conn.stage = Stage::Joining;
        conn.since_ns = *now_ns;
        conn.joins_left = rooms;
        let token = || setup.token(id);
        for ordinal in 0..rooms {
            setup.speak.join(&mut conn.dialogue, setup.who(id, &token), ordinal, out);
        }
        self.say(slot).map_err(|error| cannot_send(&error))
    }

    fn digest_messages(&mut self, slot: Slot, lane: Lane, bytes: &mut [u8]) -> Result<(), String> {
        let id = self.conn_id(slot);
        let Self { setup, conns, traffic, gear, outgoing, out, now_ns, watch, .. } = self;
        let Some(conn) = &mut conns[slot.index()] else { return Ok(()) };
        let token = || setup.token(id);
        let who = setup.who(id, &token);
        let speak = &*setup.speak;
        let Conn { wire, dialogue, stage, phase, joins_left, since_ns, .. } = conn;
        let mut ear = Ear {
            traffic,
            slot,
            listens: *stage != Stage::Closing,
            joins: *stage == Stage::Joining,
            phase: (*phase).into(),
            joining_ns: now_ns.saturating_sub(*since_ns),
            joins_left,
            established: false,
            over: None,
        };
        let mut accepted = false;
        outgoing.clear();
        let received = wire.receive(lane, bytes, *now_ns, gear, outgoing, &mut |incoming| match incoming {
            Incoming::Accepted => accepted = true,
            Incoming::Message(message) => {
                if ear.over.is_none()
                    && speak.read(dialogue, who, message, out, &mut |heard| ear.hear(heard)).is_err()
                {
                    ear.traffic.count(Event::Corrupt);
                }
            }
        });
        let Ear { established, over, joins, .. } = ear;
        let is_ready = joins && *joins_left == 0;
        if !out.is_empty() {
            // Answers go after what the wire itself had to say.
            let before = wire.unsent_bytes();
            wire.send(out, gear, outgoing);
            watch.unsent(before, wire.unsent_bytes());
            out.clear();
        }
        let sent = self.send_outgoing(slot).map_err(|error| cannot_send(&error));
        if is_ready {
            self.become_ready(slot);
        }
        if accepted {
            self.upgraded(slot)?;
        }
        over.map_or(received, Err).and(sent)?;
        if established {
            self.enter_rooms(slot)?;
        }
        self.publish_answered();
        Ok(())
    }

    /// Drawn from the seed and the connection, so that it need not be kept until the answer.
    fn handshake_key(&self, slot: Slot) -> String {
        handshake::key(self.setup.scenario.seed << 32 ^ u64::from(self.conn_id(slot).0))
    }
}

/// Takes in what one connection hears.
struct Ear<'t> {
    traffic: &'t mut Traffic,
    slot: Slot,
    /// Whether deliveries count.
    listens: bool,
    /// Whether it is still joining, in which phase it was dialed, and how long it has been joining.
    joins: bool,
    phase: usize,
    joining_ns: u64,
    joins_left: &'t mut u32,
    established: bool,
    /// Why the connection is over.
    over: Option<String>,
}

impl Ear<'_> {
    #[inline]
    fn hear(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Delivery { room, payload } => {
                if self.listens {
                    self.traffic.receive(self.slot, &room, &payload);
                }
            }
            Heard::Acked(Call::Publish { ordinal, seq }) => {
                self.traffic.settle(self.slot, ordinal, seq, None);
            }
            Heard::Refused(Call::Publish { ordinal, seq }, code) => {
                self.traffic.settle(self.slot, ordinal, seq, Some(&code));
            }
            Heard::Acked(Call::Join(ordinal)) => {
                if !self.joins || !self.traffic.joined(self.slot, ordinal) {
                    self.traffic.count(Event::Unexpected);
                } else {
                    *self.joins_left -= 1;
                    self.traffic.recorder().timing(self.phase, Timing::Join, self.joining_ns);
                }
            }
            Heard::Refused(Call::Join(_), code) => self.over = Some(format!("join refused: {code}")),
            Heard::Refused(Call::Open, code) => self.over = Some(format!("refused: {code}")),
            Heard::Refused(Call::Presence, code) => self.fault(&format!("presence refused: {code}")),
            Heard::Fault(code) => self.fault(&code),
            Heard::Established => self.established = true,
            Heard::Acked(Call::Open | Call::Presence) | Heard::Other => {}
        }
    }

    fn fault(&mut self, code: &str) {
        self.traffic.count(Event::Fault);
        self.traffic.recorder().reasons().faults.add(code);
    }
}

pub(super) fn cannot_send(error: &io::Error) -> String {
    format!("cannot send: {}", plain(error))
}

/// The error without the number that the system has for it.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
