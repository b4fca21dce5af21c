//! What a JSON client may ask, and the answer or the fault.

use super::{
    Ask, Caller, Engine, Publish,
    history::too_much_waits,
    resources::{Question, Stop},
};
use crate::{
    base::{ConnId, Now, RoomKey, RoomName, RoomRef},
    conn::{Encoding, Session, SocketKind, Stage},
    hub::Standing,
    metrics::{ErrorType, RateLimit, Received},
    model::{Action, Call, Command, CorrelationId, Event, Fault, FaultCode, Join, Payload, Reply, Send},
};

impl Engine {
    /// Counts a call of a client.
    pub(super) fn count_call(&mut self, id: ConnId, call: &Call<'_>) {
        if let Some(protocol) = self.encoding(id).map(Encoding::protocol) {
            self.metrics.received.inc(received_type(&call.command), protocol);
        }
    }

    /// One call of a client. Where a server of the operator's has to be asked before, nothing is done, and the call is to be made
    /// again when its word is there.
    pub(super) fn call(&mut self, id: ConnId, call: Call<'_>, now: Now) -> Result<(), Box<Question>> {
        let done: Result<(), Stop> = match call.command {
            Command::Ping => {
                self.tell(id, &Event::Pong { timestamp: now.unix_ms }, now);
                Ok(())
            }
            Command::Authenticate(authenticate) => {
                self.authenticate(id, call.id.clone(), &authenticate, now);
                Ok(())
            }
            Command::Join(join) => self.client_join(id, call.id.clone(), join, now),
            Command::Leave { room } => self.leave(id, call.id.clone(), &room).map_err(Stop::from),
            Command::Subscribe { channel } => {
                self.channel(id, &channel).map_err(Stop::from).and_then(|room| {
                    let join = Join { room: RoomRef::of(&room), metadata: None, presence: true, since: None };
                    self.client_join(id, call.id.clone(), join, now)
                })
            }
            Command::Unsubscribe { channel } => self
                .channel(id, &channel)
                .and_then(|room| self.leave(id, call.id.clone(), &RoomRef::of(&room)))
                .map_err(Stop::from),
            Command::Send(send) => self.publication(id, call.id.clone(), send, now),
            Command::Relay(relay) => self.relay(id, relay, now),
            Command::Rooms => self.rooms(id, call.id.clone(), now).map_err(Stop::from),
            Command::PresenceStatus { status, metadata } => {
                self.presence_status(id, call.id.clone(), status, metadata, now).map_err(Stop::from)
            }
            Command::PresenceHeartbeat { status } => {
                self.presence_heartbeat(id, call.id.clone(), status, now).map_err(Stop::from)
            }
            Command::QueryPresence { room, after, limit } => {
                self.query_presence(id, call.id.clone(), &room, (after, limit), now)
            }
            Command::History(history) => self.ask_history(id, call.id.clone(), &history, now),
            Command::Request(request) => {
                self.client_request(id, call.id.clone(), *request, now).map_err(Stop::from)
            }
            Command::Response(response) => {
                self.client_response(id, call.id.clone(), response).map_err(Stop::from)
            }
        };
        match done {
            Ok(()) => Ok(()),
            Err(Stop::Fault(fault)) => {
                self.refuse(id, call.id, fault, now);
                Ok(())
            }
            Err(Stop::Asks(mut question)) => {
                question.call = call.id;
                Err(question)
            }
        }
    }

    /// Tells a client what was wrong: as the ack of its call if that has an id, else as `system:error`.
    pub(super) fn refuse(&mut self, id: ConnId, call: Option<CorrelationId>, fault: Fault, now: Now) {
        self.metrics.errors.inc(error_type(fault.code));
        let event = match call {
            Some(call) => Event::Ack { id: call, result: Err(fault) },
            None => Event::Error(fault),
        };
        self.tell(id, &event, now);
    }

    /// `room:join` and `subscribe`: what the client wants to have with it, and may not, it goes without.
    fn client_join(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        mut join: Join<'_>,
        now: Now,
    ) -> Result<(), Stop> {
        self.session(id)?;
        let standing = self.may_join(id, &join, now)?;
        join.since = join.since.filter(|_| standing.may(Action::History));
        self.join(id, call, join, standing).map_err(Stop::from)
    }

    /// A join of a client that stands so in the room, whoever has decided that.
    pub(super) fn join(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        join: Join<'_>,
        standing: Standing,
    ) -> Result<(), Fault> {
        let session = self.session(id)?;
        let key = RoomKey { tenant: session.tenant.clone(), room: join.room.to_name() };
        let listens = join.presence && self.config.presence.enabled && standing.may(Action::Presence);
        self.check_metadata(join.metadata.as_ref())?;
        let joiner = self.joiner(id, &key, join.metadata, listens)?;
        let rooms_max = self.config.policy.limits.rooms_per_connection_max;
        if !self.roster.ask(id, &key, listens, standing, rooms_max) {
            self.limit_met_by(id, RateLimit::RoomsPerConnection);
            let text = format!("a connection may be in {rooms_max} rooms at most");
            return Err(Fault::new(FaultCode::Forbidden, text));
        }
        let (joiner, since) = (Box::new(joiner), join.since);
        self.ask_home(&key.clone(), Ask::Join { key, joiner, call, since });
        Ok(())
    }

    pub(super) fn leave(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        room: &RoomRef<'_>,
    ) -> Result<(), Fault> {
        let user = self.session(id)?.user.clone();
        let key = self
            .roster
            .ask_leave(id, room.as_str())
            .cloned()
            .ok_or_else(|| Fault::new(FaultCode::NotFound, "this connection is not in that room"))?;
        self.ask_home(&key.clone(), Ask::Leave { key, conn: id, user, call });
        Ok(())
    }

    fn publication(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        send: Send<'_>,
        now: Now,
    ) -> Result<(), Stop> {
        let from = self.session(id)?.user.clone();
        let key = self.may(id, Action::Send, &send.room, "join the room before sending to it", now)?;
        let publish = Publish {
            key,
            caller: Caller::Client { conn: id, call },
            from,
            payload: Payload::Json(send.payload),
            message_id: send.message_id,
            persistent: send.persistent,
            echo: send.echo,
            received_us: now.mono_us,
        };
        self.ask_publish(publish, now);
        Ok(())
    }

    fn rooms(&mut self, id: ConnId, call: Option<CorrelationId>, now: Now) -> Result<(), Fault> {
        self.session(id)?;
        if let Some(call) = call {
            // The answer may be thousands of times as long as the question.
            if !self.has_room(id, &[]) {
                return Err(too_much_waits());
            }
            let mut rooms: Vec<RoomName> = self.roster.rooms_of(id).map(|key| key.room.clone()).collect();
            rooms.sort();
            self.tell(id, &Event::Ack { id: call, result: Ok(Reply::Rooms { rooms }) }, now);
        }
        Ok(())
    }

    /// The room that a channel's name stands for.
    pub(super) fn channel(&self, id: ConnId, channel: &RoomRef<'_>) -> Result<RoomName, Fault> {
        let session = self.session(id)?;
        let (user, tenant) = (session.user.as_str(), session.tenant.as_str());
        match self.config.policy.channels.expand(channel.as_str(), user, tenant) {
            Some(full) => RoomName::parse(&full)
                .map_err(|error| Fault::new(FaultCode::BadRequest, format!("channel: {error}"))),
            None => Ok(channel.to_name()),
        }
    }

    pub(super) fn session(&self, id: ConnId) -> Result<&Session, Fault> {
        match self.conns.get(id.slot, id.generation).map(|conn| &conn.stage) {
            Some(Stage::Socket(socket)) => match &socket.kind {
                SocketKind::Json(session) => Ok(session),
                SocketKind::Echo | SocketKind::Pending { .. } => {
                    Err(Fault::new(FaultCode::Unauthenticated, "send `authenticate` with a token first"))
                }
            },
            Some(Stage::Http(_) | Stage::Closing { .. }) | None => {
                Err(Fault::new(FaultCode::Unavailable, "the connection is closing"))
            }
        }
    }

    /// Whether a connection exists and is an open JSON socket.
    pub(super) fn is_open(&self, id: ConnId) -> bool {
        self.session(id).is_ok()
    }
}

fn received_type(command: &Command<'_>) -> Received {
    match command {
        Command::Authenticate(_) => Received::Authenticate,
        Command::Ping => Received::Ping,
        Command::Join(_) => Received::RoomJoin,
        Command::Leave { .. } => Received::RoomLeave,
        Command::Subscribe { .. } => Received::Subscribe,
        Command::Unsubscribe { .. } => Received::Unsubscribe,
        Command::Send(_) | Command::Relay(_) => Received::RoomSend,
        Command::Rooms => Received::QueryRooms,
        Command::PresenceStatus { .. } => Received::PresenceStatus,
        Command::PresenceHeartbeat { .. } => Received::PresenceHeartbeat,
        Command::QueryPresence { .. } => Received::QueryPresence,
        Command::History(_) => Received::RoomHistory,
        Command::Request(_) => Received::Request,
        Command::Response(_) => Received::Response,
    }
}

/// The label of a fault in `websocket_errors_total`.
pub(super) fn error_type(code: FaultCode) -> ErrorType {
    match code {
        FaultCode::Unauthenticated => ErrorType::Unauthenticated,
        FaultCode::Forbidden => ErrorType::Forbidden,
        FaultCode::NotFound => ErrorType::NotFound,
        FaultCode::NoTarget => ErrorType::NoTarget,
        FaultCode::Conflict => ErrorType::Conflict,
        FaultCode::TooLarge => ErrorType::TooLarge,
        FaultCode::RateLimited => ErrorType::RateLimited,
        FaultCode::BadRequest => ErrorType::BadRequest,
        FaultCode::UnknownType => ErrorType::UnknownType,
        FaultCode::Unavailable => ErrorType::Unavailable,
        FaultCode::Timeout => ErrorType::Timeout,
        FaultCode::Internal => ErrorType::Internal,
    }
}
