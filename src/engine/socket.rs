//! Bytes of an open WebSocket: frames to messages to commands, and the echo endpoint.

use super::{Engine, resources::Spelled};
use crate::{
    base::{ConnId, Now},
    conn::{Encoding, Finish, Overrun, SocketKind, Stage},
    dialect::native::{self, Refusal},
    metrics::{Disconnect, ErrorType, Protocol, RateLimit, Received, Sent},
    model::Call,
    ws::{DecodeError, Decoder, Input, Item, Opcode, Role, close},
};

impl Engine {
    pub(super) fn socket_received(&mut self, id: ConnId, bytes: &mut [u8], now: Now) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        let Stage::Socket(socket) = &mut conn.stage else { return };
        socket.keepalive.heard(now.mono_ms());
        if self.introspections.holds(id) {
            self.hold(id, bytes, now);
            return;
        }
        // The decoder is taken out while its items borrow from it, since they change the rest of the engine.
        let mut decoder = std::mem::replace(&mut socket.decoder, Decoder::new(Role::Server, None));
        let echo = matches!(socket.kind, SocketKind::Echo);
        let mut inflater = std::mem::take(&mut self.inflater);
        let mut input = Input::new(bytes);
        loop {
            let limits = if echo { &self.config.echo_ws } else { &self.config.ws };
            let item = match decoder.next(&mut input, &mut inflater, limits) {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => {
                    self.metrics.errors.inc(error_type(&error));
                    if error.close_code() == close::MESSAGE_TOO_BIG {
                        self.limit_met_by(id, RateLimit::MessageSize);
                    }
                    self.fail(id, error.close_code(), &error.to_string(), disconnect_of(&error), now);
                    break;
                }
            };
            if echo {
                self.echo(id, item, now)
            } else {
                self.item(id, item, now)
            }
            if !self.is_socket(id) || self.introspections.holds(id) {
                break;
            }
        }
        let rest = input.rest();
        self.inflater = inflater;
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        match &mut conn.stage {
            Stage::Socket(socket) => {
                socket.decoder = decoder;
                if !rest.is_empty() && self.introspections.holds(id) {
                    self.hold(id, rest, now);
                }
            }
            Stage::Closing { decoder: slot @ Some(_), .. } => {
                *slot = Some(decoder);
                self.closing_received(id, rest);
            }
            Stage::Closing { decoder: None, .. } | Stage::Http(_) => {}
        }
    }

    fn item(&mut self, id: ConnId, item: Item<'_>, now: Now) {
        match item {
            Item::Text(text) => {
                self.count_message(id);
                let charged = self.charge(id, text.len(), now);
                match (native::decode(text), charged) {
                    (Ok(call), Ok(())) => {
                        self.count_call(id, &call);
                        self.call_in_turn(id, call, Spelled::Text(text), now);
                    }
                    (Ok(Call { id: call, .. }) | Err(Refusal { id: call, .. }), Err(excess)) => {
                        self.refuse_excess(id, call, excess, now);
                    }
                    (Err(refusal), Ok(())) => {
                        let protocol = self.encoding(id).map_or(Protocol::Json, Encoding::protocol);
                        self.metrics.received.inc(Received::Unknown, protocol);
                        self.refuse(id, refusal.id, refusal.fault, now);
                    }
                }
            }
            Item::Binary(message) => {
                self.count_message(id);
                match self.charge(id, message.len(), now) {
                    Ok(()) => self.binary(id, message, now),
                    Err(excess) => self.refuse_excess(id, None, excess, now),
                }
            }
            Item::Ping(_) | Item::Pong(_) | Item::Close(_) => self.control(id, item, now),
        }
    }

    /// For the report of top talkers.
    fn count_message(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id.slot, id.generation) {
            conn.messages = conn.messages.saturating_add(1);
        }
    }

    fn echo(&mut self, id: ConnId, item: Item<'_>, now: Now) {
        let (opcode, payload, received, sent) = match &item {
            Item::Text(text) => (Opcode::Text, text.as_bytes(), Received::Text, Sent::Text),
            Item::Binary(bytes) => (Opcode::Binary, *bytes, Received::Binary, Sent::Binary),
            Item::Ping(_) | Item::Pong(_) | Item::Close(_) => return self.control(id, item, now),
        };
        if let Err(excess) = self.charge(id, payload.len(), now) {
            self.exceeded(id, excess, now);
            return;
        }
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        let Stage::Socket(socket) = &conn.stage else { return };
        let frame = self.encoder.message(opcode, payload, socket.encoding.deflate());
        self.metrics.received.inc(received, Protocol::Echo);
        self.metrics.sent.inc(sent, Protocol::Echo);
        self.queue(id, frame, now);
    }

    fn control(&mut self, id: ConnId, item: Item<'_>, now: Now) {
        match item {
            Item::Ping(payload) => {
                // A ping wants a frame of ours, as a message does. RFC 6455 5.5.3 wants only the last answered.
                if let Err(excess) = self.charge(id, payload.len(), now) {
                    self.exceeded(id, excess, now);
                    return;
                }
                let frame = self.encoder.control(Opcode::Pong, payload);
                self.queue(id, frame, now);
            }
            Item::Pong(payload) => {
                let rtt_us = self.beat(id, |keepalive| keepalive.ponged(payload, now.mono_us));
                if let Some(rtt_us) = rtt_us.flatten() {
                    self.metrics.rtt.observe_us(rtt_us);
                } else if let Err(excess) = self.charge(id, payload.len(), now) {
                    // It answers no ping of ours.
                    self.exceeded(id, excess, now);
                }
            }
            Item::Close(reason) => {
                // RFC 6455 5.5.1: the answer echoes the status code.
                let frame = match reason {
                    Some(reason) => self.encoder.close(reason.code, ""),
                    None => self.encoder.control(Opcode::Close, &[]),
                };
                self.begin_closing(id, frame, Disconnect::ClientClose, Finish::AtOnce, now);
            }
            Item::Text(_) | Item::Binary(_) => {}
        }
    }

    /// Bytes of a closing connection: only the peer's close frame still means something, and that there are not too many.
    pub(super) fn closing_received(&mut self, id: ConnId, bytes: &mut [u8]) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        let Stage::Closing { finish, grace_bytes, overrun, decoder, .. } = &mut conn.stage else { return };
        let grace_before = *grace_bytes;
        *grace_bytes = grace_before.saturating_sub(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if *grace_bytes == 0 {
            match *overrun {
                Overrun::CutOff => {
                    (*finish, *decoder) = (Finish::AtOnce, None);
                    self.drop_outbox(id);
                    self.mark_dirty(id);
                }
                Overrun::Unread => self.metrics.reads_paused += u64::from(grace_before > 0),
            }
            return;
        }
        let Some(decoder) = decoder else { return };
        let mut input = Input::new(bytes);
        let answered = loop {
            match decoder.next(&mut input, &mut self.inflater, &self.config.ws) {
                Ok(Some(Item::Close(_))) | Err(_) => break true,
                Ok(Some(Item::Text(_) | Item::Binary(_) | Item::Ping(_) | Item::Pong(_))) => {}
                Ok(None) => break false,
            }
        };
        if answered {
            *finish = Finish::AtOnce;
            self.mark_dirty(id);
        }
    }

    pub(super) fn is_socket(&self, id: ConnId) -> bool {
        let stage = self.conns.get(id.slot, id.generation).map(|conn| &conn.stage);
        matches!(stage, Some(Stage::Socket(_)))
    }
}

fn disconnect_of(error: &DecodeError) -> Disconnect {
    match error.close_code() {
        close::MESSAGE_TOO_BIG => Disconnect::TooBig,
        close::INVALID_PAYLOAD => Disconnect::InvalidUtf8,
        _ => Disconnect::ProtocolError,
    }
}

fn error_type(error: &DecodeError) -> ErrorType {
    match error.close_code() {
        close::MESSAGE_TOO_BIG => ErrorType::TooBig,
        close::INVALID_PAYLOAD => ErrorType::InvalidUtf8,
        _ => ErrorType::ProtocolError,
    }
}
