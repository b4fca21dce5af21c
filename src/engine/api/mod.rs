//! The backend's API on a connection: who asks, and where the answer stands. What is asked stands in `call`, bodies come
//! in `body` and `lines`, and what is done is in the other files, a question each.
//!
//! A request of the API is an *exchange*: it lasts from its head to its answer, and a connection has one at a time.
//! Invariants: an HTTP stage says `exchange` exactly while its connection has one here; exchanges are numbered, so that
//! an answer to one that is over finds nobody.

mod body;
mod call;
mod errands;
mod evictions;
mod lines;
mod members;
mod pages;
mod publish;
mod request;
mod room;
mod signed;

pub(super) use errands::{Errand, Found};
pub(super) use evictions::Evictions;

use self::{
    call::{Call, Form},
    errands::Gathered,
    lines::Lines,
    publish::Batch,
    signed::Seal,
};
use super::{Engine, Notice, Output, commands::error_type, http::Answer, session::is_unavailable};
use crate::{
    auth::{ApiKeys, Backend},
    base::{ConnId, HashSeed, Map, Now, RoomName, map_with_seed},
    conn::Stage,
    http::{
        Body, BodyReader, Framing, Head, HttpFault, Response,
        body::expects_continue,
        credentials, response,
        route::{Access, Found as Path, Methods},
    },
    metrics::ErrorType,
    model::{Fault, FaultCode, Reply, Scope},
};

/// How long an answer may take that no client has to give.
const ANSWER_TIMEOUT_MS: u64 = 5_000;

/// The exchanges of one shard. They do not print: bodies are whose they are.
pub(super) struct Exchanges {
    /// By the slot of the connection.
    open: Map<u32, Exchange>,
    last: u32,
    /// Streams of lines with results to send.
    told: Vec<Ticket>,
}

/// Who asks.
pub(super) enum Admitted {
    /// Whoever it is.
    Anyone,
    Backend(Backend),
    /// That is yet to be found out; the request waits.
    Later,
}

/// Which exchange asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    conn: ConnId,
    number: u32,
}

/// One request and how far it has come.
struct Exchange {
    asking: Asking,
    progress: Progress,
}

/// Who asks what.
#[derive(Debug)]
struct Asking {
    ticket: Ticket,
    framing: Framing,
    backend: Backend,
    call: Call,
    /// What is to be verified before the call is made.
    seal: Option<Box<Seal>>,
}

enum Progress {
    /// The body is coming.
    Body {
        reader: BodyReader,
        bytes: Vec<u8>,
    },
    /// A body that is a stream, and answered as it comes.
    Lines(Box<Lines>),
    /// The call is whole, and its signature is being looked for among those that have been seen.
    Sealed {
        body: Box<[u8]>,
    },
    /// A message is on its way.
    Message,
    /// A room's home has been asked for a page.
    Page {
        room: RoomName,
    },
    /// Somebody has been asked, who knows it by this id.
    Request {
        correlation_id: String,
        timeout_ms: u64,
    },
    Batch(Batch),
    /// The shards have been asked.
    Shards(Gathered),
}

/// What doing what was asked comes to.
enum Outcome {
    Done {
        status: u16,
        body: Vec<u8>,
    },
    /// Others have been asked; their answers conclude it.
    Waits(Progress),
}

impl Outcome {
    fn ok(body: Vec<u8>) -> Self {
        Self::Done { status: 200, body }
    }
}

impl Progress {
    /// How long others have for what they are asked.
    fn patience_ms(&self) -> u64 {
        match self {
            Self::Request { timeout_ms, .. } => *timeout_ms,
            Self::Body { .. }
            | Self::Lines(_)
            | Self::Sealed { .. }
            | Self::Message
            | Self::Page { .. }
            | Self::Batch(_)
            | Self::Shards(_) => 0,
        }
    }
}

impl Ticket {
    /// The connection of the request.
    pub fn conn(self) -> ConnId {
        self.conn
    }
}

impl Exchanges {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { open: map_with_seed(seed), last: 0, told: Vec::new() }
    }

    /// The client is gone.
    pub(super) fn give_up(&mut self, conn: ConnId) {
        if !self.open.is_empty() {
            self.open.remove(&conn.slot);
        }
    }

    /// Whether streams of lines may have results to send.
    pub(super) fn has_results(&self) -> bool {
        !self.told.is_empty()
    }

    fn take(&mut self, ticket: Ticket) -> Option<Exchange> {
        self.get_mut(ticket)?;
        self.open.remove(&ticket.conn.slot)
    }

    fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Exchange> {
        self.open.get_mut(&ticket.conn.slot).filter(|exchange| exchange.asking.ticket == ticket)
    }

    /// The exchange of a connection, out of its place.
    fn take_of(&mut self, conn: ConnId) -> Option<Exchange> {
        self.open.remove(&conn.slot)
    }

    fn put(&mut self, exchange: Exchange) {
        self.open.insert(exchange.asking.ticket.conn.slot, exchange);
    }
}

#[cfg(test)]
impl Exchanges {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.told.is_empty()
    }
}

impl Engine {
    /// Whether whoever asks may, and who it is where that is not anybody.
    pub(super) fn admitted(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        access: Access,
        now: Now,
    ) -> Result<Admitted, HttpFault> {
        const NOBODY: HttpFault = HttpFault {
            message: "this path wants `Authorization: Bearer` with an API key, or with a token that has the ability \
                      `ringway:admin` or `ringway:publish`",
            ..HttpFault::UNAUTHENTICATED
        };
        let scope = match access {
            // A client's token is looked at when the connection becomes a socket.
            Access::Anyone | Access::Client => return Ok(Admitted::Anyone),
            Access::Metrics if self.config.policy.metrics.is_open => return Ok(Admitted::Anyone),
            Access::Metrics => Scope::Admin,
            Access::Scope(scope) => scope,
        };
        let Some(shown) = credentials::bearer(head)? else {
            return Err(self.not_admitted(conn, head, NOBODY, "no_credentials"));
        };
        if access == Access::Metrics && self.config.policy.metrics.knows(shown) {
            return Ok(Admitted::Anyone);
        }
        let backend = if ApiKeys::is_key(shown) {
            match self.config.policy.api_keys.find(shown) {
                Some(backend) => backend.clone(),
                None => {
                    return Err(self.not_admitted(conn, head, HttpFault::UNAUTHENTICATED, "unknown_api_key"));
                }
            }
        } else {
            match self.bearer_of_request(conn, shown, now) {
                Some(Ok(identity)) => Backend::of_token(identity),
                Some(Err(error)) => {
                    let fault =
                        if is_unavailable(&error) { HttpFault::UNJUDGED } else { HttpFault::UNAUTHENTICATED };
                    return Err(self.not_admitted(conn, head, fault, error.reason()));
                }
                None => return Ok(Admitted::Later),
            }
        };
        if backend.may(scope) { Ok(Admitted::Backend(backend)) } else { Err(lacks(scope)) }
    }

    /// Nobody is known by what a request shows: counts it and lets the log know, so that guesses are seen.
    fn not_admitted(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        fault: HttpFault,
        reason: &'static str,
    ) -> HttpFault {
        let is_unjudged = fault == HttpFault::UNJUDGED;
        self.metrics.errors.inc(if is_unjudged {
            ErrorType::Unavailable
        } else {
            ErrorType::Unauthenticated
        });
        if let Some(found) = self.conns.get(conn.slot, conn.generation) {
            let peer = self.config.policy.proxies.client(found.peer, head);
            self.outputs.push_back(Output::Notice(Notice::AuthFailed { conn, peer, reason }));
        }
        fault
    }

    /// A request whose head is there. A body that no operation reads ends the connection, as everywhere.
    pub(super) fn begin_exchange(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        path: &Path<'_>,
        backend: Backend,
        out: &mut Vec<u8>,
        now: Now,
    ) -> Result<Answer, HttpFault> {
        let call = Call::of(head, path, &backend)?;
        let form = Form::of(head, path.operation)?;
        let seal = self.seal_of(head, path.operation.methods, form, now)?;
        self.exchanges.last = self.exchanges.last.wrapping_add(1);
        let ticket = Ticket { conn, number: self.exchanges.last };
        let framing = match path.operation.methods {
            Methods::Post => Framing { keep_alive: head.keep_alive, head_only: false },
            Methods::Get | Methods::Read => Framing::of(head),
        };
        let asking = Asking { ticket, framing, backend, call, seal };
        if path.operation.methods != Methods::Post {
            return Ok(self.perform(asking, &[], out, now));
        }
        let progress = match form {
            Form::Whole => {
                let reader = BodyReader::new(head.body, self.config.body_bytes_max as u64)?;
                if reader.is_over() {
                    return Ok(self.perform(asking, &[], out, now));
                }
                Progress::Body { reader, bytes: Vec::new() }
            }
            // As long as it likes: each of its lines is limited.
            Form::Lines => Progress::Lines(Box::new(Lines::new(BodyReader::new(head.body, u64::MAX)?))),
        };
        let expects_continue = expects_continue(head)?;
        self.exchanges.put(Exchange { asking, progress });
        self.exchange_goes_on(conn, self.config.body_timeout_ms, now);
        if head.body == Body::None {
            self.await_answer(conn);
            self.lines_told(ticket);
            return Ok(Answer::Awaited);
        }
        Ok(Answer::Reading { expects_continue })
    }

    /// Does what is asked, all of which is there now.
    fn perform(&mut self, mut asking: Asking, body: &[u8], out: &mut Vec<u8>, now: Now) -> Answer {
        // The head may have come before the drain began.
        asking.framing.keep_alive &= self.draining.is_none();
        if let Some(seal) = asking.seal.take() {
            return self.check_seal(asking, &seal, body, out, now);
        }
        let result = match &asking.call {
            Call::Publish { message_id } => self.publish_posted(&asking, message_id.clone(), body, now),
            Call::Request => self.ask_somebody(&asking, body, now),
            Call::UserRooms { user } => self.move_user(&asking, user, body),
            Call::Disconnect => self.disconnect(&asking, body, now),
            Call::History { key, since, limit } => Ok(self.ask_messages(&asking, key, *since, *limit)),
            Call::Presence { key, after, limit } => self.ask_users(&asking, key, after.clone(), *limit),
            Call::Look(errand) => Ok(self.send_everywhere(asking.ticket, errand)),
            Call::Drain => {
                self.outputs.push_back(Output::DrainNode);
                Ok(Outcome::Done { status: 202, body: br#"{"status":"draining"}"#.to_vec() })
            }
        };
        match result {
            Ok(Outcome::Done { status, body }) => {
                Response::json(status, &body).write(out, asking.framing);
                Answer::Written(asking.framing)
            }
            Ok(Outcome::Waits(progress)) => {
                self.wait_for(asking, progress, now);
                Answer::Awaited
            }
            Err(fault) => {
                self.write_refusal(out, &fault, asking.framing);
                Answer::Written(asking.framing)
            }
        }
    }

    /// Others have been asked, and the exchange waits for their answer.
    fn wait_for(&mut self, asking: Asking, progress: Progress, now: Now) {
        let conn = asking.ticket.conn;
        let time_ms = ANSWER_TIMEOUT_MS + progress.patience_ms();
        self.exchanges.put(Exchange { asking, progress });
        self.exchange_goes_on(conn, time_ms, now);
        self.await_answer(conn);
    }

    /// An answer has come for an exchange.
    pub(super) fn exchange_answered(
        &mut self,
        ticket: Ticket,
        item: u32,
        result: Result<Reply, Fault>,
        now: Now,
    ) {
        let Some(Exchange { progress, .. }) = self.exchanges.get_mut(ticket) else { return };
        if let Err(fault) = &result {
            self.metrics.errors.inc(error_type(fault.code));
        }
        let concluded = match progress {
            Progress::Message => Some(publish::answer_of(result)),
            Progress::Page { room } => Some(room::answer_of(room, result)),
            Progress::Request { correlation_id, .. } => Some(Ok(request::answer_of(correlation_id, &result))),
            Progress::Batch(batch) => batch.answered(item, result).map(Ok),
            Progress::Lines(lines) => {
                lines.answered(item, result);
                self.lines_told(ticket);
                None
            }
            Progress::Body { .. } | Progress::Sealed { .. } | Progress::Shards(_) => None,
        };
        if let Some(result) = concluded {
            self.conclude_exchange(ticket, result, now);
        }
    }

    /// Sends the answer of an exchange that had to wait for it.
    fn conclude_exchange(&mut self, ticket: Ticket, result: Result<Outcome, Fault>, now: Now) {
        let Some(Exchange { asking, .. }) = self.exchanges.take(ticket) else { return };
        let mut framing = asking.framing;
        framing.keep_alive &= self.draining.is_none();
        let mut out = Vec::new();
        match result {
            Ok(Outcome::Done { status, body }) => Response::json(status, &body).write(&mut out, framing),
            Ok(Outcome::Waits(progress)) => {
                self.exchanges.put(Exchange { asking, progress });
                return;
            }
            Err(fault) => response::write_refusal(&mut out, &fault, framing),
        }
        self.respond(ticket.conn, &out, framing, now);
        self.serve(ticket.conn, now);
    }

    /// The time for the body, or for an answer, is over.
    pub(super) fn exchange_timed_out(&mut self, conn: ConnId, now: Now) {
        let Some(Exchange { asking, progress }) = self.exchanges.take_of(conn) else { return };
        let mut out = Vec::new();
        let framing = Framing { keep_alive: false, ..asking.framing };
        let is_body_late = match &progress {
            Progress::Lines(lines) if lines.is_answering() => return self.break_off(conn, now),
            Progress::Lines(lines) => !lines.has_asked(),
            Progress::Body { .. } => true,
            Progress::Sealed { .. }
            | Progress::Message
            | Progress::Page { .. }
            | Progress::Request { .. }
            | Progress::Batch(_)
            | Progress::Shards(_) => false,
        };
        if is_body_late {
            response::write_fault(&mut out, &HttpFault::BODY_TIMEOUT, framing);
        } else {
            let fault = Fault::new(FaultCode::Unavailable, "a shard of the node does not answer");
            self.write_refusal(&mut out, &fault, framing);
        }
        self.respond(asking.ticket.conn, &out, framing, now);
    }

    fn write_refusal(&mut self, out: &mut Vec<u8>, fault: &Fault, framing: Framing) {
        self.metrics.errors.inc(error_type(fault.code));
        response::write_refusal(out, fault, framing);
    }

    /// The connection is inside an exchange, which has so much time for its next step.
    fn exchange_goes_on(&mut self, conn: ConnId, time_ms: u64, now: Now) {
        let deadline_ms = now.mono_ms() + time_ms;
        let Some(found) = self.conns.get_mut(conn.slot, conn.generation) else { return };
        let Stage::Http(http) = &mut found.stage else { return };
        http.exchange = true;
        http.deadline_ms = deadline_ms;
        self.file_timer(conn, deadline_ms);
    }

    /// Nothing more is read of the connection before answers have come.
    fn await_answer(&mut self, conn: ConnId) {
        self.set_awaiting(conn, true);
    }

    fn set_awaiting(&mut self, conn: ConnId, awaiting: bool) {
        if let Some(found) = self.conns.get_mut(conn.slot, conn.generation)
            && let Stage::Http(http) = &mut found.stage
        {
            http.awaiting = awaiting;
        }
    }
}

fn lacks(scope: Scope) -> HttpFault {
    let message = match scope {
        Scope::Publish => "this wants the scope `publish`, or the ability `ringway:publish`",
        Scope::Request => "this wants the scope `request`, or the ability `ringway:publish`",
        Scope::Rooms => "this wants the scope `rooms`, or the ability `ringway:publish`",
        Scope::Presence => "this wants the scope `presence`, or the ability `ringway:publish`",
        Scope::History => "this wants the scope `history`, or the ability `ringway:publish`",
        Scope::Connections => "this wants the scope `connections`, or the ability `ringway:publish`",
        Scope::Admin => "this wants the scope `admin`, or the ability `ringway:admin`",
    };
    HttpFault::new(403, "forbidden", message)
}
