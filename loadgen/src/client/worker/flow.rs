//! Bytes in and out: the upgrade, frames to `traffic` and back, publications.
//!
//! Every read goes through one buffer; a connection's item is dealt with before the next read. Due
//! work is looked at after each read, so that a flood of deliveries does not hold up the schedule.

use std::{
    cmp::Reverse,
    io::{self, ErrorKind, Read},
    mem,
};

use mio::event::Event;
use ringway::ws::{CloseReason, Input, Item, Opcode, close, encode};

use super::{Due, Worker};
use crate::{
    client::conn::Stage,
    client::handshake::{self, Response},
    client::traffic::Heard,
    plan::Slot,
};

/// A connection with more than this unsent gets no further publications.
const UNSENT_BYTES_MAX: usize = 1 << 20;

impl Worker {
    pub(super) fn on_event(&mut self, slot: Slot, event: &Event) {
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
        } else if event.is_writable()
            && let Err(error) = conn.flush()
        {
            self.end(slot, &format!("cannot send: {}", plain(&error)));
            return;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(slot);
        }
    }

    /// Sends the publisher's message that was due at `due_ns`, and puts the next one on the agenda.
    pub(super) fn publish(&mut self, slot: Slot, due_ns: u64) {
        let Some(conn) = self.conns[slot.index()].as_mut().filter(|conn| conn.stage == Stage::Ready) else {
            self.publisher_done();
            return;
        };
        if conn.unsent_bytes() > UNSENT_BYTES_MAX {
            self.traffic.withhold();
        } else {
            self.tally.lag.saturating_record(self.setup.clock.now_ns().saturating_sub(due_ns));
            self.json.clear();
            self.outgoing.clear();
            self.traffic.publish(slot, due_ns, &mut self.json);
            let mask = Some(self.masks.u32(..).to_ne_bytes());
            encode::frame(&mut self.outgoing, Opcode::Text, &self.json, false, mask);
            if let Err(error) = conn.send(&self.outgoing) {
                self.end(slot, &format!("cannot send: {}", plain(&error)));
            }
        }
        match self.traffic.next_due_ns(slot) {
            Some(due_ns) => self.agenda.push(Reverse((due_ns, Due::Publish(slot)))),
            None => self.publisher_done(),
        }
    }

    fn request_upgrade(&mut self, slot: Slot) {
        let conn_id = self.conn_id(slot);
        let key = self.handshake_key(slot);
        let Some(conn) = &mut self.conns[slot.index()] else { return };
        conn.stage = Stage::Upgrading;
        self.outgoing.clear();
        let token = self.setup.tokens.of(conn_id);
        handshake::write_request(&mut self.outgoing, &self.setup.target, &key, token.as_deref());
        if let Err(error) = conn.send(&self.outgoing) {
            self.end(slot, &format!("cannot send: {}", plain(&error)));
        }
    }

    /// Reads until the socket has no more.
    fn read(&mut self, slot: Slot) {
        loop {
            let Some(conn) = &mut self.conns[slot.index()] else { return };
            let count = match conn.stream.read(&mut self.buffer) {
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
            if count < self.buffer.len() {
                // Edge-triggered: what comes after a short read is a new event.
                return;
            }
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
        match handshake::read_response(bytes, &self.handshake_key(slot)) {
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
        let Some(conn) = &mut self.conns[slot.index()] else { return Ok(()) };
        self.tally.connect.saturating_record(self.now_ns.saturating_sub(conn.since_ns));
        if !self.setup.config.mode.joins() {
            conn.stage = Stage::Ready;
            self.become_ready(slot);
            return Ok(());
        }
        conn.stage = Stage::Joining;
        conn.since_ns = self.now_ns;
        self.json.clear();
        self.outgoing.clear();
        self.traffic.join(slot, &mut self.json);
        encode::frame(
            &mut self.outgoing,
            Opcode::Text,
            &self.json,
            false,
            Some(self.masks.u32(..).to_ne_bytes()),
        );
        conn.send(&self.outgoing).map_err(|error| format!("cannot send: {}", plain(&error)))
    }

    fn digest_frames(&mut self, slot: Slot, bytes: &mut [u8]) -> Result<(), String> {
        let Self { conns, traffic, inflater, limits, outgoing, masks, tally, now_ns, .. } = self;
        let Some(conn) = &mut conns[slot.index()] else { return Ok(()) };
        let mut joined = false;
        let mut over = None;
        outgoing.clear();
        let mut input = Input::new(bytes);
        while over.is_none() {
            match conn.decoder.next(&mut input, inflater, limits) {
                Ok(None) => break,
                Ok(Some(Item::Text(text))) if conn.stage != Stage::Closing => {
                    match traffic.hear(slot, text, *now_ns) {
                        Heard::Nothing => {}
                        Heard::Joined if conn.stage == Stage::Joining => {
                            tally.join.saturating_record(now_ns.saturating_sub(conn.since_ns));
                            conn.stage = Stage::Ready;
                            joined = true;
                        }
                        Heard::Joined => {}
                        Heard::JoinRefused(code) => over = Some(format!("room:join refused: {code}")),
                    }
                }
                Ok(Some(Item::Text(_) | Item::Binary(_) | Item::Pong(_))) => {}
                Ok(Some(Item::Ping(payload))) => {
                    let mask = Some(masks.u32(..).to_ne_bytes());
                    encode::frame(outgoing, Opcode::Pong, payload, false, mask);
                }
                Ok(Some(Item::Close(reason))) => {
                    if conn.stage != Stage::Closing {
                        let code = reason.map_or(close::NORMAL, |reason| reason.code);
                        encode::close(outgoing, code, "", Some(masks.u32(..).to_ne_bytes()));
                    }
                    over = Some(closed(reason));
                }
                Err(error) => {
                    encode::close(outgoing, error.close_code(), "", Some(masks.u32(..).to_ne_bytes()));
                    over = Some(format!("the server broke the protocol: {error}"));
                }
            }
        }
        if !outgoing.is_empty()
            && let Err(error) = conn.send(outgoing)
        {
            over.get_or_insert_with(|| format!("cannot send: {}", plain(&error)));
        }
        if joined {
            self.become_ready(slot);
        }
        over.map_or(Ok(()), Err)
    }

    /// Drawn from the seed and the connection, so that it need not be kept until the answer.
    fn handshake_key(&self, slot: Slot) -> String {
        handshake::key(self.setup.config.seed << 32 ^ u64::from(self.conn_id(slot).0))
    }
}

fn closed(reason: Option<CloseReason<'_>>) -> String {
    match reason {
        None => "closed without a code".to_owned(),
        Some(CloseReason { code, text: "" }) => format!("closed with {code}"),
        Some(CloseReason { code, text }) => format!("closed with {code}: {text}"),
    }
}

/// The error without the number that the system has for it.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
