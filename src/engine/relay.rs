//! Relay v1: publications of opaque bytes, and the rooms that only relay connections have joined.
//!
//! A payload goes from the frame that it came in to the frames of the members, and is looked at by nobody on its way. What
//! is no publication is answered with `system:error`, which quotes nothing, and the connection stays open.

use super::{
    Caller, Engine, Parcel, Publish, Tell,
    resources::{Spelled, Stop},
};
use crate::{
    base::{ConnId, Now, PeerBlock, RoomKey},
    conn::{Encoding, Stage},
    dialect,
    hub::{Joiner, TooMany},
    metrics::{Disconnect, Protocol, RateLimit, Received},
    model::{Call, Command, Event, Fault, FaultCode, Json, Relay},
    ws::close,
};

/// Rooms that are ended in one go; the rest has to wait for the next millisecond.
const ENDED_PER_STEP: usize = 256;

impl Engine {
    /// A binary message.
    pub(super) fn binary(&mut self, id: ConnId, message: &[u8], now: Now) {
        match self.encoding(id) {
            Some(Encoding::Relay) => {}
            Some(Encoding::Plain | Encoding::Deflate(_)) => {
                let text = "this protocol takes text messages only";
                self.fail(id, close::UNSUPPORTED_DATA, text, Disconnect::UnsupportedData, now);
                return;
            }
            None => return,
        }
        match dialect::relay::decode(message) {
            Ok(relay) => {
                let call = Call { id: None, command: Command::Relay(relay) };
                self.count_call(id, &call);
                self.call_in_turn(id, call, Spelled::Binary(message), now);
            }
            Err(fault) => {
                self.metrics.received.inc(Received::Unknown, Protocol::Relay);
                self.refuse(id, None, fault, now);
            }
        }
    }

    /// Publishes opaque bytes.
    pub(super) fn relay(&mut self, id: ConnId, relay: Relay, now: Now) -> Result<(), Stop> {
        let Relay { room, payload } = relay;
        let from = self.session(id)?.user.clone();
        let outside = "join the room before sending to it: its roomId is the ack's";
        let key = self.may_relay(id, room, outside, now)?;
        let publish = Publish {
            key,
            caller: Caller::Client { conn: id, call: None },
            from,
            payload,
            message_id: None,
            persistent: false,
            echo: false,
            received_us: now.mono_us,
        };
        self.ask_publish(publish, now);
        Ok(())
    }

    /// How a connection that is an open WebSocket gets its messages.
    pub(super) fn encoding(&self, id: ConnId) -> Option<Encoding> {
        match &self.conns.get(id.slot, id.generation)?.stage {
            Stage::Socket(socket) => Some(socket.encoding),
            Stage::Http(_) | Stage::Closing { .. } => None,
        }
    }

    /// What the home of a room is to know of a connection that joins it, with what the client says of himself there.
    ///
    /// # Errors
    /// Over relay, when the connection is in another room of the same id: they could not be told apart.
    pub(super) fn joiner(
        &self,
        id: ConnId,
        key: &RoomKey,
        metadata: Option<Json>,
        listens: bool,
    ) -> Result<Joiner, Fault> {
        let session = self.session(id)?;
        let Some(conn) = self.conns.get(id.slot, id.generation) else {
            return Err(Fault::new(FaultCode::Unavailable, "the connection is closing"));
        };
        let is_relay = self.encoding(id) == Some(Encoding::Relay);
        if is_relay && self.roster.find_id(id, key.id()).is_some_and(|(other, _)| other != key) {
            let text = "another room of this connection has the same roomId: use another connection";
            return Err(Fault::new(FaultCode::Conflict, text));
        }
        let (user, status, peer) = (session.user.clone(), session.status, conn.peer.into());
        Ok(Joiner { conn: id, user, status, metadata, listens, peer, is_relay })
    }

    /// As a home shard: a join from that address would have created a room.
    pub(super) fn too_many(&mut self, peer: PeerBlock, too_many: TooMany) -> Fault {
        self.limit_met(peer.first_address(), RateLimit::RoomCreates);
        let text = "too many rooms were created from this address: join one that exists, or wait";
        let retry_after_ms = Some(too_many.retry_after_ms);
        Fault { retry_after_ms, ..Fault::new(FaultCode::RateLimited, text) }
    }

    /// As a home shard: ends the ephemeral rooms into which nothing has come for long.
    pub(super) fn end_rooms(&mut self, now: Now) {
        for _ in 0..ENDED_PER_STEP {
            let Some((key, interests)) = self.home.expire(now) else { return };
            for interest in interests {
                self.send(interest.shard, Parcel::Tell(Tell::Ended { key: key.clone() }));
            }
        }
    }

    /// As a shard with members: everybody is out.
    pub(super) fn room_ended(&mut self, key: RoomKey, now: Now) {
        let Some(room) = self.roster.local(&key) else { return };
        // What was ordered before the end is for those who were members then.
        self.release_room(room, now);
        let mut members = Vec::new();
        // The home has forgotten the room, and need not be told that they are out.
        if let Some(emptied) = self.roster.end(room, |conn| members.push(conn)) {
            self.held.drop_room(emptied);
        }
        let event = Event::RoomLeft { room: key.room };
        for conn in members {
            self.tell(conn, &event, now);
        }
    }
}
