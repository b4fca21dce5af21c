//! What leaves: outboxes into sockets at the end of a turn, and what becomes of those that take too little.

use std::io::IoSlice;

use super::{Engine, Notice, Output};
use crate::{
    base::{ConnId, Now, WireBytes},
    conn::{Conn, Finish, Overrun, SLICES_MAX, Stage},
    fanout::{Queued, Recipients},
    metrics::{Disconnect, Dropped, Sent},
    model::{Event, PresenceChange},
    ws::{Opcode, close},
};

/// What the socket took of one vectored write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrote {
    /// So many bytes; with fewer than offered, [`super::Input::Writable`] says when to go on.
    Bytes(usize),
    /// The connection is broken; [`super::Input::Closed`] does not follow.
    Broken,
}

/// How long a closing connection may take to end by itself, in milliseconds.
const LINGER_MS: u64 = 5_000;

/// How much its peer may send meanwhile: a message of the usual largest size may be on its way. Whoever sends on and on is cut
/// off or not read any more ([`Overrun`]), so that one who is turned out for a flood does not go on with it.
const GRACE_BYTES: u32 = 1 << 20;

/// And the peer that is closed for its rate: what it sends is known to be too much.
const FLOOD_GRACE_BYTES: u32 = 64 << 10;

impl Engine {
    /// Releases the publications whose time has come, offers every connection with something to send to `write`, as one
    /// vectored write each (more for long queues), then lets connections that have nothing left to say go. The shell
    /// calls it at the end of a turn; `now` is that time.
    pub fn take_writes(&mut self, now: Now, mut write: impl FnMut(ConnId, &[IoSlice<'_>]) -> Wrote) {
        let releases = self.may_release(now);
        if releases {
            self.release_began_us = Some(now.mono_us);
        }
        loop {
            let more = releases && self.release_some(now);
            self.flush_dirty(now, &mut write);
            if !more {
                break;
            }
        }
        self.store.trim();
    }

    /// The shell's clock after the writes of a turn: the publications that were released have left.
    pub fn written(&mut self, now: Now) {
        for received_us in self.fanned_out.drain(..) {
            self.metrics.message_latency.observe_us(now.mono_us.saturating_sub(received_us));
        }
        self.rest_released(now);
    }

    /// Whether [`Engine::take_writes`] has something to do.
    pub fn has_writes(&self, now: Now) -> bool {
        !self.dirty.is_empty() || self.may_release(now)
    }

    fn may_release(&self, now: Now) -> bool {
        self.poll_release().is_some_and(|opens_us| opens_us <= now.mono_us)
    }

    fn flush_dirty(&mut self, now: Now, write: &mut impl FnMut(ConnId, &[IoSlice<'_>]) -> Wrote) {
        // Room in an outbox lets requests that waited for it be answered.
        // So do results, each of which may be of lines that were read only after others had left.
        while !self.dirty.is_empty() || self.exchanges.has_results() {
            self.send_results(now);
            let mut dirty = std::mem::take(&mut self.dirty);
            for id in dirty.drain(..) {
                self.flush(id, now, write);
            }
            self.take_own_parcels(now);
            if self.dirty.is_empty() {
                self.dirty = dirty;
            }
        }
    }

    fn flush(&mut self, id: ConnId, now: Now, write: &mut impl FnMut(ConnId, &[IoSlice<'_>]) -> Wrote) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        conn.dirty = false;
        while !conn.blocked && !conn.outbox.is_empty() {
            let (wrote, offered) = match conn.outbox.piece(&self.store) {
                Some(piece) => (write(id, &[IoSlice::new(piece)]), piece.len()),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let (count, offered) = conn.outbox.slices(&self.store, &mut slices);
                    (write(id, &slices[..count]), offered)
                }
            };
            match wrote {
                Wrote::Bytes(written) => {
                    conn.blocked = written < offered;
                    conn.outbox.advance(&mut self.store, written);
                    self.metrics.sent_bytes += written as u64;
                }
                Wrote::Broken => {
                    self.forget(id, Disconnect::Reset);
                    return;
                }
            }
        }
        match &conn.stage {
            Stage::Closing { .. } => self.finish_if_written(id),
            Stage::Http(_) => self.serve(id, now),
            Stage::Socket(socket) => {
                let bytes_max = self.config.outbox_bytes_max_of(&socket.kind);
                if !conn.takes(0, bytes_max) {
                    self.slow_consumer(id, now);
                }
            }
        }
        self.forget_if_over(id);
    }

    fn forget_if_over(&mut self, id: ConnId) {
        if self.conns.get(id.slot, id.generation).is_some_and(Conn::is_over) {
            self.forget(id, Disconnect::Eof);
        }
    }

    pub(super) fn mark_dirty(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id.slot, id.generation) {
            conn.mark_dirty(id, &mut self.dirty);
        }
    }

    /// A closing connection whose outbox is empty takes its last step.
    fn finish_if_written(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        let Stage::Closing { finish, reason, .. } = conn.stage else { return };
        if !conn.outbox.is_empty() {
            return;
        }
        match finish {
            Finish::AtOnce => self.forget(id, reason),
            Finish::Linger => self.outputs.push_back(Output::ShutdownWrite { conn: id }),
            Finish::AfterPeerClose => {}
        }
    }

    /// Encodes an event for one connection and queues it.
    pub(super) fn tell(&mut self, id: ConnId, event: &Event, now: Now) {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        let Stage::Socket(socket) = &conn.stage else { return };
        let frame = self.encoder.event(event, socket.encoding);
        self.metrics.sent.inc(sent_type(event), socket.encoding.protocol());
        self.queue(id, frame, now);
    }

    /// Queues a frame; a connection without room for it is a slow consumer and is closed.
    pub(super) fn queue(&mut self, id: ConnId, frame: WireBytes, now: Now) {
        let bytes_max = match self.conns.get(id.slot, id.generation).map(|conn| &conn.stage) {
            Some(Stage::Socket(socket)) => self.config.outbox_bytes_max_of(&socket.kind),
            Some(Stage::Closing { .. }) => self.config.outbox_bytes_max,
            // A response is as long as it is; requests wait while there is too much of them already.
            Some(Stage::Http(_)) => u32::MAX,
            None => return,
        };
        let queued = self.recipients(bytes_max).queue(id, frame);
        if queued == Queued::Full {
            self.slow_consumer(id, now);
        }
    }

    pub(super) fn recipients(&mut self, outbox_bytes_max: u32) -> Recipients<'_> {
        Recipients {
            conns: &mut self.conns,
            store: &mut self.store,
            dirty: &mut self.dirty,
            outbox_bytes_max,
        }
    }

    /// The outbox is full: what waits is dropped, counted, and the client is told why it is closed.
    pub(super) fn slow_consumer(&mut self, id: ConnId, now: Now) {
        if let Some(conn) = self.conns.get_mut(id.slot, id.generation) {
            let dropped = conn.outbox.drop_unstarted(&mut self.store);
            // The one that found no room, too.
            self.metrics.dropped.add(Dropped::OutboxFull, dropped + 1);
            self.metrics.slow_consumers += 1;
            let notice = Notice::SlowConsumer { conn: id, peer: conn.peer };
            self.outputs.push_back(Output::Notice(notice));
        }
        self.close(id, close::SLOW_CONSUMER, "the outbound queue was full", Disconnect::SlowConsumer, now);
    }

    /// Sends a close frame and waits for the peer's, within the linger time.
    pub(super) fn close(&mut self, id: ConnId, code: u16, text: &str, reason: Disconnect, now: Now) {
        let frame = self.encoder.close(code, text);
        self.begin_closing(id, frame, reason, Finish::AfterPeerClose, now);
    }

    /// The peer broke the protocol: sends a close frame and looks at nothing more.
    pub(super) fn fail(&mut self, id: ConnId, code: u16, text: &str, reason: Disconnect, now: Now) {
        let frame = self.encoder.close(code, text);
        self.begin_closing(id, frame, reason, Finish::Linger, now);
    }

    /// Queues last words and moves to the closing stage. Members leave their rooms at once.
    pub(super) fn begin_closing(
        &mut self,
        id: ConnId,
        last: WireBytes,
        reason: Disconnect,
        finish: Finish,
        now: Now,
    ) {
        // What was ordered before the end is said before it. A slow consumer has no room for it.
        if reason != Disconnect::SlowConsumer {
            self.release_all(now);
        }
        // Refused, as the stage is, when it is closing already.
        if self.recipients(u32::MAX).queue(id, last) == Queued::Yes {
            self.enter_closing(id, reason, finish, now);
        }
    }

    /// Says nothing more, and ends as `finish` says once what is queued is written.
    pub(super) fn enter_closing(&mut self, id: ConnId, reason: Disconnect, finish: Finish, now: Now) {
        self.mark_dirty(id);
        self.end_session(id);
        self.resume_reading(id);
        let deadline_ms = now.mono_ms() + LINGER_MS;
        self.file_timer(id, deadline_ms);
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        // A peer that has ended its side owes nothing.
        let finish = if conn.ended { Finish::AtOnce } else { finish };
        let overrun = if matches!(conn.stage, Stage::Http(_)) { Overrun::Unread } else { Overrun::CutOff };
        let grace_bytes = if reason == Disconnect::RateLimited { FLOOD_GRACE_BYTES } else { GRACE_BYTES };
        let closing = |decoder| Stage::Closing { reason, finish, deadline_ms, grace_bytes, overrun, decoder };
        if let Some(Stage::Socket(socket)) = self.enter_stage(id, closing(None))
            && finish == Finish::AfterPeerClose
        {
            self.enter_stage(id, closing(Some(socket.decoder)));
        }
    }

    /// Queues a ping of the keepalive.
    pub(super) fn send_ping(&mut self, id: ConnId, payload: [u8; 8], now: Now) {
        let frame = self.encoder.control(Opcode::Ping, &payload);
        self.queue(id, frame, now);
    }
}

/// The label of an event in `websocket_messages_sent_total`.
pub(super) fn sent_type(event: &Event) -> Sent {
    match event {
        Event::Ack { .. } => Sent::Ack,
        Event::Established(_) => Sent::ConnectionEstablished,
        Event::RoomJoined { .. } => Sent::RoomJoined,
        Event::RoomLeft { .. } => Sent::RoomLeft,
        Event::Message(_) => Sent::RoomMessage,
        Event::Presence { change, .. } => match **change {
            PresenceChange::Joined(_) => Sent::PresenceJoin,
            PresenceChange::Left(_) => Sent::PresenceLeave,
            PresenceChange::Updated(_) => Sent::PresenceUpdate,
        },
        Event::Request { .. } => Sent::Request,
        Event::TokenExpiring { .. } => Sent::TokenExpiring,
        Event::Restart { .. } => Sent::SystemRestart,
        Event::Error(_) => Sent::SystemError,
        Event::Pong { .. } => Sent::Pong,
    }
}
