//! History as clients meet it: what a join brings of what was missed, pages of `room:history`, and why a message is not kept.
//!
//! What is replayed to a client waits in its outbox like everything else. So that nobody becomes a slow consumer, or holds
//! much memory, by asking for the past, it gets no more at a time than half of what may wait for it; a join that would
//! bring more is not recovered, and its client can read on by pages.

use std::sync::Arc;

use super::{Ask, Caller, Engine, Recovery, resources::Stop};
use crate::{
    base::{ConnId, Now, RoomKey},
    fanout::{Delivered, Recipients},
    hub::NotKept,
    metrics::{Protocol, Sent},
    model::{Action, CorrelationId, Event, Fault, FaultCode, History, Message, Position, Reply},
};

/// The most events in one run of a replay: the run is one piece in the outbox.
const RUN_EVENTS: usize = 64;

/// When to ask for a page again that had no room, in milliseconds.
const RETRY_MS: u64 = 100;

impl Engine {
    /// `room:history`, for members.
    pub(super) fn ask_history(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        history: &History<'_>,
        now: Now,
    ) -> Result<(), Stop> {
        self.session(id)?;
        let outside = "join the room before reading its history";
        let key = self.may(id, Action::History, &history.room, outside, now)?;
        let (caller, since, limit) = (Caller::Client { conn: id, call }, history.since, history.limit);
        self.ask_home(&key.clone(), Ask::History { key, caller, since, limit });
        Ok(())
    }

    /// As a home shard: a page of a room's history.
    pub(super) fn history(
        &mut self,
        key: &RoomKey,
        caller: Caller,
        since: Option<Position>,
        limit: Option<u32>,
        now: Now,
    ) {
        let page = self.home.page(key, since, limit, now);
        let result = page.map(|page| Reply::History(Box::new(page)));
        let missing = || Fault::new(FaultCode::NotFound, "there is no such room");
        self.send_answer(caller, result.ok_or_else(missing));
    }

    /// As a home shard: what a join that was just ordered brings.
    pub(super) fn recovery(&mut self, key: &RoomKey, since: Option<Position>, now: Now) -> Recovery {
        let Some(since) = since else { return Recovery::NotAsked };
        self.home.missed(key, since, now).map_or(Recovery::Impossible, Recovery::Missed)
    }

    /// What a joining client is to get of what it has missed; `None` when not all of it, and so nothing.
    pub(super) fn recovered(&mut self, conn: ConnId, recovery: Recovery) -> Option<Vec<Arc<Message>>> {
        let missed = match recovery {
            Recovery::NotAsked => return None,
            Recovery::Missed(missed) if missed.is_empty() || self.has_room(conn, &missed) => Some(missed),
            Recovery::Missed(_) | Recovery::Impossible => None,
        };
        match &missed {
            Some(_) => self.metrics.history_recovered += 1,
            None => self.metrics.history_unrecoverable += 1,
        }
        missed
    }

    /// Queues messages of the past for one client.
    pub(super) fn replay(&mut self, conn: ConnId, messages: &[Arc<Message>], now: Now) {
        for run in messages.chunks(RUN_EVENTS) {
            let mut frames = self.encoder.frames(run.iter().cloned().map(Event::Message));
            let mut recipients = Recipients {
                conns: &mut self.conns,
                store: &mut self.store,
                dirty: &mut self.dirty,
                outbox_bytes_max: self.config.outbox_bytes_max,
            };
            let except = [const { None }; RUN_EVENTS];
            let (member, full) = (std::iter::once(conn), &mut self.full);
            let delivered = recipients.deliver(member, &mut frames, &except[..run.len()], full);
            let Delivered { json, relay } = delivered;
            self.metrics.sent.add(Sent::RoomMessage, Protocol::Json, json);
            self.metrics.sent.add(Sent::RoomMessage, Protocol::Relay, relay);
        }
        self.close_slow(now);
    }

    /// An answer as it is, unless it is a page for which too much else waits.
    pub(super) fn within_outbox(
        &self,
        caller: &Caller,
        result: Result<Reply, Fault>,
    ) -> Result<Reply, Fault> {
        match (caller, &result) {
            (Caller::Client { conn, .. }, Ok(Reply::History(page)))
                if !self.has_room(*conn, &page.messages) =>
            {
                Err(too_much_waits())
            }
            (Caller::Client { conn, .. }, Ok(Reply::Presence(_))) if !self.has_room(*conn, &[]) => {
                Err(too_much_waits())
            }
            _ => result,
        }
    }

    /// Whether half of what may wait for a client is room enough for these messages, beside what waits already. One
    /// message alone has room when nothing else waits, and anything has with a client that is gone.
    pub(super) fn has_room(&self, id: ConnId, messages: &[Arc<Message>]) -> bool {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return true };
        let bytes: usize = messages.iter().map(|message| message.text_bytes()).sum();
        let fits = conn.outbox.has_room(bytes, self.config.outbox_bytes_max / 2);
        fits || (messages.len() <= 1 && conn.outbox.is_empty())
    }
}

/// What a client is told that asks for more before it has read what it asked for.
pub(super) fn too_much_waits() -> Fault {
    let text = "too much waits for this client: ask again when it has read that";
    Fault { retry_after_ms: Some(RETRY_MS), ..Fault::new(FaultCode::RateLimited, text) }
}

/// What a sender is told whose message is not kept.
pub(super) fn not_kept_fault(not_kept: NotKept) -> Fault {
    let text = match not_kept {
        NotKept::NoHistory => "this room keeps no history: send without `persistent`",
        NotKept::TooLarge => "the memory for history is too small for this message",
    };
    Fault::new(FaultCode::Unavailable, text)
}
