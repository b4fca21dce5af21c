//! HTTP on a connection: heads in, responses out, one request at a time.

use std::sync::Arc;

use super::{
    Engine,
    answers::{self, Readiness},
    api::Admitted,
    quality::ConnectionsQuery,
    survey::Page,
};
use crate::{
    base::{ConnId, Now, WireBytes},
    conn::{Finish, Stage},
    http::{
        Framing, Head, HttpFault, Parsed, Response, Route,
        accept::metrics_format,
        cors, response,
        route::{Operation, route},
    },
    metrics::{Disconnect, ErrorType},
};

/// What a request comes to.
pub(super) enum Answer {
    /// The response is written into the scratch buffer.
    Written(Framing),
    /// The response waits for others.
    Awaited,
    /// The request waits for others, and is to be read again then.
    Deferred,
    /// The request is not whole: its body is still coming.
    Reading { expects_continue: bool },
    /// That was no request, but what a proxy says before the first one.
    Prefaced,
    /// The connection is closing.
    Gone,
    /// The connection is a WebSocket now (or has failed as one).
    Upgraded,
}

impl Engine {
    pub(super) fn http_received(&mut self, id: ConnId, bytes: &mut [u8], now: Now) {
        let outbox_bytes_max = self.config.outbox_bytes_max;
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        let Stage::Http(http) = &mut conn.stage else { return };
        if http.is_idle() {
            // The first bytes of the next request: the time for its head begins.
            http.deadline_ms = now.mono_ms() + self.config.head_timeout_ms;
        }
        let deadline_ms = http.deadline_ms;
        let waits = http.awaiting || conn.outbox.bytes() > outbox_bytes_max;
        // A request that comes whole, as nearly all do, is read where it lies.
        let in_place = http.buffer.is_empty() && !waits;
        if !in_place {
            http.buffer.extend_from_slice(bytes);
        }
        self.file_timer(id, deadline_ms);
        if !waits {
            self.serve_with(id, if in_place { bytes } else { &mut [] }, now);
        }
        self.pause_if_ahead(id, now);
    }

    /// Answers the requests that are there, in their order, as long as the client takes the answers.
    pub(super) fn serve(&mut self, id: ConnId, now: Now) {
        self.serve_with(id, &mut [], now);
    }

    /// As [`Engine::serve`], with bytes that have just come to a connection that had none.
    fn serve_with(&mut self, id: ConnId, fresh: &mut [u8], now: Now) {
        self.serve_in_turn(id, fresh, now);
        self.resume_if_used(id, now);
    }

    fn serve_in_turn(&mut self, id: ConnId, mut fresh: &mut [u8], now: Now) {
        loop {
            let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
            let Stage::Http(http) = &mut conn.stage else { return };
            let is_full = conn.outbox.bytes() > self.config.outbox_bytes_max;
            if http.awaiting || is_full || (http.buffer.is_empty() && fresh.is_empty()) {
                return;
            }
            let (is_body, is_prefaced) = (http.exchange, http.prefaced);
            let mut scanner = http.scanner;
            let mut buffer = std::mem::take(&mut http.buffer);
            let in_place = buffer.is_empty();
            let bytes = if in_place { std::mem::take(&mut fresh) } else { buffer.as_mut_slice() };
            let mut out = Vec::new();
            let (answer, used) = if is_prefaced {
                match self.read_preface(id, bytes, now) {
                    Some(step) => step,
                    None => return self.put_back(id, bytes),
                }
            } else if is_body {
                self.read_body(id, bytes, &mut out, now)
            } else {
                match scanner.parse(bytes, &self.config.http) {
                    Parsed::Partial => {
                        http.scanner = scanner;
                        http.buffer = if in_place { bytes.to_vec() } else { buffer };
                        return;
                    }
                    Parsed::Bad(fault) => {
                        self.metrics.errors.inc(ErrorType::Http);
                        response::write_fault(&mut out, &fault, Framing::CLOSE);
                        (Answer::Written(Framing::CLOSE), bytes.len())
                    }
                    Parsed::Complete { head, len } => (self.request(id, &head, &mut out, now), len),
                }
            };
            match answer {
                Answer::Written(framing) => {
                    self.put_back(id, &bytes[used..]);
                    self.respond(id, &out, framing, now);
                }
                Answer::Awaited => self.put_back(id, &bytes[used..]),
                Answer::Deferred => self.put_back(id, bytes),
                Answer::Reading { expects_continue } => {
                    self.put_back(id, &bytes[used..]);
                    // Who has sent some of the body waits for no word.
                    if expects_continue && used == bytes.len() {
                        self.queue(id, WireBytes::copy_from(response::CONTINUE), now);
                    }
                }
                Answer::Prefaced => self.put_back(id, &bytes[used..]),
                Answer::Gone => return,
                Answer::Upgraded => {
                    self.read(id, &mut bytes[used..], now);
                    return;
                }
            }
        }
    }

    /// Sends a response; afterwards the next request may come, or the connection closes.
    pub(super) fn respond(&mut self, id: ConnId, out: &[u8], framing: Framing, now: Now) {
        let shown = self.take_reader(id).map(|reader| cors::shown_to(&reader, out));
        let frame = WireBytes::copy_from(shown.as_deref().unwrap_or(out));
        // The drain has gone by who was inside an exchange: a stream may have said before it that it keeps alive.
        if !framing.keep_alive || self.draining.is_some() {
            self.begin_closing(id, frame, Disconnect::HttpDone, Finish::Linger, now);
            return;
        }
        self.queue(id, frame, now);
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        let Stage::Http(http) = &mut conn.stage else { return };
        http.served = true;
        http.awaiting = false;
        http.exchange = false;
        let time_ms =
            if http.buffer.is_empty() { self.config.keep_alive_ms } else { self.config.head_timeout_ms };
        http.deadline_ms = now.mono_ms() + time_ms;
        let deadline_ms = http.deadline_ms;
        self.file_timer(id, deadline_ms);
    }

    /// A head was begun and not finished in its time.
    pub(super) fn head_timed_out(&mut self, id: ConnId, now: Now) {
        let mut out = Vec::new();
        response::write_fault(&mut out, &HttpFault::HEAD_TIMEOUT, Framing::CLOSE);
        let frame = WireBytes::copy_from(&out);
        self.begin_closing(id, frame, Disconnect::HeadTimeout, Finish::Linger, now);
    }

    /// Keeps what came behind a request; an idle connection keeps no buffer.
    fn put_back(&mut self, id: ConnId, rest: &[u8]) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        let Stage::Http(http) = &mut conn.stage else { return };
        http.buffer = rest.to_vec();
        http.scanner = Default::default();
    }

    fn request(&mut self, id: ConnId, head: &Head<'_>, out: &mut Vec<u8>, now: Now) -> Answer {
        let mut framing = Framing::of(head);
        // A node that has no room keeps nobody who is not inside.
        framing.keep_alive &= self.readiness() == Readiness::Ready;
        self.note_reader(id, head);
        match self.route(id, head, framing, out, now) {
            Ok(answer) => answer,
            Err(fault) => {
                response::write_fault(out, &fault, framing);
                Answer::Written(framing)
            }
        }
    }

    fn route(
        &mut self,
        id: ConnId,
        head: &Head<'_>,
        framing: Framing,
        out: &mut Vec<u8>,
        now: Now,
    ) -> Result<Answer, HttpFault> {
        if cors::is_preflight(head) {
            return self.preflight(head, framing, out);
        }
        let path = route(head.path, head.method)?;
        if self.config.admin_apart && !self.is_at_its_door(id, path.operation) {
            return Err(HttpFault::NOT_FOUND);
        }
        let backend = match self.admitted(id, head, path.operation.access, now)? {
            Admitted::Anyone => None,
            Admitted::Backend(backend) => Some(backend),
            Admitted::Later => return Ok(Answer::Deferred),
        };
        let page = match path.operation.route {
            Route::Ws => return self.for_client(id, head, |it| it.upgrade(id, head, out, now)),
            Route::Echo if self.config.echo => {
                return self.for_client(id, head, |it| it.upgrade_echo(id, head, out, now));
            }
            Route::DevToken if self.config.policy.dev_tokens.is_some() => {
                let body = self.dev_tokens(id, head, now)?;
                Response::json(200, &body).write(out, framing);
                return Ok(Answer::Written(framing));
            }
            Route::Echo | Route::DevToken => return Err(HttpFault::NOT_FOUND),
            Route::Live => {
                let (status, body) = answers::live(&self.facts);
                Response::json(status, &body).write(out, framing);
                return Ok(Answer::Written(framing));
            }
            Route::Ready => {
                let (status, body) = answers::ready(self.readiness());
                Response::json(status, &body).write(out, framing);
                return Ok(Answer::Written(framing));
            }
            Route::Health => Page::Health,
            Route::Metrics => Page::Metrics(metrics_format(head)),
            Route::Stats => Page::Stats,
            Route::OpenApi => {
                Response::json(200, &self.config.openapi).write(out, framing);
                return Ok(Answer::Written(framing));
            }
            Route::Publish
            | Route::Request
            | Route::Rooms
            | Route::RoomPresence
            | Route::RoomHistory
            | Route::UserRooms
            | Route::Connections
            | Route::Disconnect
            | Route::Nodes
            | Route::Drain => {
                let backend = backend.ok_or(HttpFault::UNAUTHENTICATED)?;
                return self.begin_exchange(id, head, &path, backend, out, now);
            }
            Route::Traffic => Page::Traffic,
            Route::ConnectionsHealth => Page::Connections(Arc::new(ConnectionsQuery::of(head)?)),
        };
        self.survey(id, page, framing, now);
        Ok(Answer::Awaited)
    }

    /// Whether the connection came by a door where the operation answers.
    fn is_at_its_door(&self, id: ConnId, operation: &Operation) -> bool {
        let conn = self.conns.get(id.slot, id.generation);
        conn.is_some_and(|conn| match &conn.stage {
            Stage::Http(http) => operation.is_at(http.door),
            Stage::Socket(_) | Stage::Closing { .. } => false,
        })
    }

    /// Whether new connections are welcome. Whoever asks is counted: the limit is reached by the last who is let in.
    pub(super) fn readiness(&self) -> Readiness {
        let (connections, limit) = (self.node_connections(), self.config.policy.limits.connections_max);
        if self.draining.is_some() {
            Readiness::Draining
        } else if limit > 0 && connections > limit {
            Readiness::OverCapacity
        } else {
            Readiness::Ready
        }
    }

    /// Connections of the node: this shard's exactly, the others' as of a second ago at most.
    pub(super) fn node_connections(&self) -> usize {
        self.conns.len() + self.facts.other_connections
    }
}
