//! Presence: what clients say of themselves and ask of rooms, and how a room's changes reach those who listen.
//!
//! A connection has one status, which it takes into every room that it joins; metadata is said per room, or to all the
//! rooms of the moment. The homes keep both, and decide what is told when.

use std::sync::Arc;

use super::{Ask, Caller, Engine, Parcel, Tell, resources::Stop, writes::sent_type};
use crate::{
    base::{ConnId, Now, RoomKey, RoomRef, UserName},
    conn::{SocketKind, Stage},
    fanout::{Delivered, Recipients},
    hub::{Announcement, Showing},
    metrics::Protocol,
    model::{Action, Availability, CorrelationId, Event, Fault, FaultCode, Json, PresenceChange, Reply},
};

/// Users of an answer that was asked for without a limit.
const PAGE: usize = 100;

/// How many rooms' gathered changes are told at a time: what is left comes in the next turn.
const ROOMS_AT_ONCE: usize = 256;

impl Engine {
    /// `presence:status`: in every room of the connection.
    pub(super) fn presence_status(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        status: Availability,
        metadata: Option<Json>,
        now: Now,
    ) -> Result<(), Fault> {
        self.session(id)?;
        self.presence_is_on()?;
        self.check_metadata(metadata.as_ref())?;
        self.show(id, Showing { status: Some(status), metadata }, now)?;
        self.answer(Caller::Client { conn: id, call }, Ok(Reply::Noted), now);
        Ok(())
    }

    /// `presence:heartbeat`: one that comes too soon changes no room, and is as welcome.
    pub(super) fn presence_heartbeat(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        status: Option<Availability>,
        now: Now,
    ) -> Result<(), Fault> {
        let is_new = status.is_some_and(|status| self.session(id).is_ok_and(|it| it.status != status));
        self.session(id)?;
        if self.config.presence.enabled {
            let shown = self.show(id, Showing { status, metadata: None }, now);
            if is_new {
                shown?;
            }
        }
        self.answer(Caller::Client { conn: id, call }, Ok(Reply::Noted), now);
        Ok(())
    }

    /// `query:presence`, of a room that the connection is in.
    pub(super) fn query_presence(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        room: &RoomRef<'_>,
        (after, limit): (Option<UserName>, Option<u32>),
        now: Now,
    ) -> Result<(), Stop> {
        self.session(id)?;
        self.presence_is_on()?;
        let outside = "join the room before asking who is in it";
        let key = self.may(id, Action::Presence, room, outside, now)?;
        let caller = Caller::Client { conn: id, call };
        if caller.wants_success() {
            let limit = limit.map_or(PAGE, |limit| limit as usize).min(self.config.presence.page_max);
            self.ask_home(&key.clone(), Ask::Presence { key, caller, after, limit });
        }
        Ok(())
    }

    /// Whether a home may keep this for a user.
    pub(super) fn check_metadata(&self, metadata: Option<&Json>) -> Result<(), Fault> {
        let bytes_max = self.config.presence.metadata_bytes_max;
        if metadata.is_some_and(|metadata| metadata.as_bytes().len() > bytes_max) {
            let text = format!("metadata: {bytes_max} bytes at most");
            return Err(Fault::new(FaultCode::TooLarge, text));
        }
        Ok(())
    }

    /// As a home: sends a change to the shards whose members listen.
    pub(super) fn announce(&mut self, key: RoomKey, announcement: Option<Announcement>) {
        let Some(Announcement { change, except, shards }) = announcement else { return };
        let change = Arc::new(change);
        for shard in shards {
            let tell = Tell::Presence { key: key.clone(), change: Arc::clone(&change), except };
            self.send(shard, Parcel::Tell(tell));
        }
    }

    /// As a home: tells what has gathered in rooms that are due.
    pub(super) fn tell_presence(&mut self, now: Now) {
        for _ in 0..ROOMS_AT_ONCE {
            let Some((key, announcement)) = self.home.tell_due(now) else { return };
            self.announce(key, announcement);
        }
    }

    /// As a shard with members who listen.
    pub(super) fn presence_changed(
        &mut self,
        key: RoomKey,
        change: Arc<PresenceChange>,
        except: Option<ConnId>,
        now: Now,
    ) {
        let Some(room) = self.roster.local(&key) else { return };
        // What was ordered before the change is heard before it.
        self.release_room(room, now);
        let event = Event::Presence { room: key.room, change };
        let mut frames = self.encoder.frames([&event]);
        let mut recipients = Recipients {
            conns: &mut self.conns,
            store: &mut self.store,
            dirty: &mut self.dirty,
            outbox_bytes_max: self.config.outbox_bytes_max,
        };
        let listeners = self.roster.listeners(room);
        let Delivered { json, relay } = recipients.deliver(listeners, &mut frames, &[except], &mut self.full);
        self.metrics.sent.add(sent_type(&event), Protocol::Json, json);
        self.metrics.sent.add(sent_type(&event), Protocol::Relay, relay);
        self.close_slow(now);
    }

    fn show(&mut self, id: ConnId, showing: Showing, now: Now) -> Result<(), Fault> {
        let rooms: Vec<RoomKey> = self.roster.rooms_asked(id).cloned().collect();
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return Ok(()) };
        let Stage::Socket(socket) = &mut conn.stage else { return Ok(()) };
        let SocketKind::Json(session) = &mut socket.kind else { return Ok(()) };
        session.take_showing(now.mono_ms(), rooms.len()).map_err(|retry_after_ms| Fault {
            retry_after_ms: Some(retry_after_ms),
            ..Fault::new(FaultCode::RateLimited, "presence is said too often")
        })?;
        session.status = showing.status.unwrap_or(session.status);
        let user = session.user.clone();
        for key in rooms {
            let (user, showing) = (user.clone(), showing.clone());
            self.ask_home(&key.clone(), Ask::Show { key, conn: id, user, showing });
        }
        Ok(())
    }

    pub(super) fn presence_is_on(&self) -> Result<(), Fault> {
        if self.config.presence.enabled {
            Ok(())
        } else {
            Err(Fault::new(FaultCode::Unavailable, "this gateway has presence switched off"))
        }
    }
}
