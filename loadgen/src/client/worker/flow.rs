//! Bytes in and out: the upgrade, frames to messages to `traffic`, and what is to be said to the socket.
//!
//! Every read goes through one buffer; a connection's messages are dealt with before the next read. Due work is looked at after
//! each read, so that a flood of deliveries does not hold up the schedule.

use std::{
    io::{self, ErrorKind},
    mem,
};

use mio::{Interest, Token, event::Event as Readiness};
use ringway::ws::{CloseReason, Input, Item, Opcode, close, encode};

use super::{Due, Worker};
use crate::{
    client::{
        conn::{Conn, Stage},
        handshake::{self, Response},
        traffic::Traffic,
    },
    figures::record::{Event, Timing},
    plan::Slot,
    protocol::{Call, Heard, Kind, Message, Out, RoomsBy},
    scenario::Reading,
};

/// A connection that reads slowly does so in so many pieces a second, of this many bytes at least.
const SLOW_READS_PER_S: u32 = 20;
const SLOW_READ_BYTES_MIN: usize = 256;

impl Worker {
    pub(super) fn on_event(&mut self, slot: Slot, event: &Readiness) {
        let Some(conn) = self.conns.get_mut(slot.index()).and_then(Option::as_mut) else { return };
        if conn.stage == Stage::Connecting {
            match conn.is_connected() {
                Ok(true) => self.request_upgrade(slot),
                Ok(false) => return,
                Err(error) => {
                    self.end(slot, &format!("cannot connect: {}", plain(&error)));
                    return;
                }
            }
        } else if event.is_writable() && conn.unsent_bytes() > 0 {
            let before = conn.unsent_bytes();
            let flushed = conn.flush();
            self.watch.unsent(before, conn.unsent_bytes());
            if let Err(error) = flushed {
                self.end(slot, &cannot_send(&error));
                return;
            }
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(slot);
        }
    }

    /// Sends the messages in `out`.
    pub(super) fn say(&mut self, slot: Slot) -> io::Result<()> {
        self.outgoing.clear();
        frame(&mut self.out, &mut self.outgoing, &mut self.masks);
        self.send_outgoing(slot)
    }

    /// Sends the frames in `outgoing`.
    pub(super) fn send_outgoing(&mut self, slot: Slot) -> io::Result<()> {
        let Some(conn) = &mut self.conns[slot.index()] else { return Ok(()) };
        let before = conn.unsent_bytes();
        let sent = conn.send(&self.outgoing);
        self.watch.unsent(before, conn.unsent_bytes());
        sent
    }

    fn request_upgrade(&mut self, slot: Slot) {
        let id = self.conn_id(slot);
        let key = self.handshake_key(slot);
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        conn.stage = Stage::Upgrading;
        let token = || self.setup.token(id);
        let target = self.setup.target_of(id);
        let upgrade = self.setup.speak.upgrade(&target.path, self.setup.who(id, &token));
        let bearer = if upgrade.bearer { token() } else { None };
        self.outgoing.clear();
        handshake::write_request(&mut self.outgoing, &target.host, &upgrade, &key, bearer.as_deref());
        if let Err(error) = self.send_outgoing(slot) {
            self.end(slot, &cannot_send(&error));
        }
    }

    /// Reads until the socket has no more.
    fn read(&mut self, slot: Slot) {
        let budget = self.budget(slot);
        if budget.is_some() && self.sated_until_ns.get(&slot).is_some_and(|until_ns| self.now_ns < *until_ns)
        {
            return;
        }
        let read_bytes = budget.map_or(self.buffer.len(), |bytes| bytes.min(self.buffer.len()));
        loop {
            let Some(conn) = &mut self.conns[slot.index()] else { return };
            let count = match conn.read(&mut self.buffer[..read_bytes]) {
                Ok(0) => {
                    self.end(slot, "the connection was closed without a close frame");
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
            let mut buffer = mem::take(&mut self.buffer);
            let digested = self.digest(slot, &mut buffer[..count]);
            self.buffer = buffer;
            if let Err(reason) = digested {
                self.end(slot, &reason);
                return;
            }
            if self.now_ns >= self.next_due_ns() {
                self.do_what_is_due();
            }
            if budget.is_some() {
                self.pause(slot, count);
                return;
            }
            if count < read_bytes {
                // Edge-triggered: what comes after a short read is a new event.
                return;
            }
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

    /// It may read again; what is there already is a new event.
    pub(super) fn resume(&mut self, slot: Slot, dial: u32) {
        let Some(conn) = self.conns[slot.index()].as_mut().filter(|conn| conn.dial == dial) else { return };
        self.sated_until_ns.remove(&slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().reregister(conn.source(), Token(slot.index()), interest) {
            self.end(slot, &format!("cannot be resumed: {}", plain(&error)));
        }
    }

    /// Deals with what was read; the error says why the connection is over.
    fn digest(&mut self, slot: Slot, bytes: &mut [u8]) -> Result<(), String> {
        let upgrading = self.conns[slot.index()].as_ref().is_some_and(|conn| conn.stage == Stage::Upgrading);
        if !upgrading {
            return self.digest_frames(slot, bytes);
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
                self.digest_frames(slot, &mut bytes[head_bytes..])
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
            (0..rooms).for_each(|ordinal| traffic.joined(slot, ordinal));
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

    fn digest_frames(&mut self, slot: Slot, bytes: &mut [u8]) -> Result<(), String> {
        let id = self.conn_id(slot);
        let Self { setup, conns, traffic, inflater, limits, outgoing, out, masks, now_ns, .. } = self;
        let Some(conn) = &mut conns[slot.index()] else { return Ok(()) };
        let token = || setup.token(id);
        let who = setup.who(id, &token);
        let speak = &*setup.speak;
        let Conn { decoder, dialogue, stage, phase, joins_left, since_ns, .. } = conn;
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
        outgoing.clear();
        let mut input = Input::new(bytes);
        while ear.over.is_none() {
            let message = match decoder.next(&mut input, inflater, limits) {
                Ok(None) => break,
                Ok(Some(Item::Text(text))) => Message::Text(text),
                Ok(Some(Item::Binary(bytes))) => Message::Binary(bytes),
                Ok(Some(Item::Pong(_))) => continue,
                Ok(Some(Item::Ping(payload))) => {
                    let mask = Some(masks.u32(..).to_ne_bytes());
                    encode::frame(outgoing, Opcode::Pong, payload, false, mask);
                    continue;
                }
                Ok(Some(Item::Close(reason))) => {
                    if *stage != Stage::Closing {
                        let code = reason.map_or(close::NORMAL, |reason| reason.code);
                        encode::close(outgoing, code, "", Some(masks.u32(..).to_ne_bytes()));
                    }
                    ear.over = Some(closed(reason));
                    break;
                }
                Err(error) => {
                    encode::close(outgoing, error.close_code(), "", Some(masks.u32(..).to_ne_bytes()));
                    ear.over = Some(format!("the server broke the protocol: {error}"));
                    break;
                }
            };
            if speak.read(dialogue, who, message, out, &mut |heard| ear.hear(heard)).is_err() {
                ear.traffic.count(Event::Corrupt);
            }
            if !out.is_empty() {
                frame(out, outgoing, masks);
            }
        }
        let Ear { established, over, joins, .. } = ear;
        let is_ready = joins && *joins_left == 0;
        if !outgoing.is_empty()
            && let Err(error) = self.send_outgoing(slot)
        {
            return Err(over.unwrap_or_else(|| cannot_send(&error)));
        }
        if is_ready {
            self.become_ready(slot);
        }
        if let Some(over) = over {
            return Err(over);
        }
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
                if self.joins && *self.joins_left > 0 {
                    *self.joins_left -= 1;
                    self.traffic.joined(self.slot, ordinal);
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

/// Turns messages into frames, appended to `frames`.
fn frame(out: &mut Out, frames: &mut Vec<u8>, masks: &mut fastrand::Rng) {
    for (kind, bytes) in out.iter() {
        let opcode = match kind {
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
        };
        encode::frame(frames, opcode, bytes, false, Some(masks.u32(..).to_ne_bytes()));
    }
    out.clear();
}

fn closed(reason: Option<CloseReason<'_>>) -> String {
    match reason {
        None => "closed without a code".to_owned(),
        Some(CloseReason { code, text: "" }) => format!("closed with {code}"),
        Some(CloseReason { code, text }) => format!("closed with {code}: {text}"),
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
