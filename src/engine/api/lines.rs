//! A stream of messages, a line each, answered line by line while it is still coming.
//!
//! Invariants: results are told in the order of the lines; at most [`LINES_MAX`] lines are on their way, and while they
//! are nothing more of the body is read; the response begins with the first result, so that a body that is refused before
//! has a status that says so.

use std::collections::VecDeque;

use super::{Asking, Engine, Exchange, Progress, Ticket};
use crate::{
    base::{Now, WireBytes},
    dialect::api,
    engine::commands::error_type,
    http::{BodyReader, HttpFault, cors, response, routes::NDJSON},
    metrics::{Protocol, Received},
    model::{Fault, FaultCode, Reply},
};

/// The most lines that wait for their results.
const LINES_MAX: usize = 1_024;

pub(super) struct Lines {
    reader: BodyReader,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// The line is too long, and dropped until its end.
    drops: bool,
    /// Lines that have come, blank ones too.
    count: u64,
    /// The lines that wait for their results, or for those before them: the number of each.
    results: VecDeque<(u64, Option<Result<Reply, Fault>>)>,
    /// Which item the first of these is.
    first: u32,
    is_answering: bool,
}

impl Lines {
    pub(super) fn new(reader: BodyReader) -> Self {
        Self {
            reader,
            begun: Vec::new(),
            drops: false,
            count: 0,
            results: VecDeque::new(),
            first: 0,
            is_answering: false,
        }
    }

    /// Whether the response has begun.
    pub(super) fn is_answering(&self) -> bool {
        self.is_answering
    }

    /// Whether results are still to come.
    pub(super) fn has_asked(&self) -> bool {
        !self.results.is_empty()
    }

    /// Whether nothing more is to be read before results have come.
    pub(super) fn waits(&self) -> bool {
        self.reader.is_over() || self.results.len() >= LINES_MAX
    }

    pub(super) fn answered(&mut self, item: u32, result: Result<Reply, Fault>) {
        let place = item.wrapping_sub(self.first) as usize;
        if let Some((_, waiting)) = self.results.get_mut(place) {
            *waiting = Some(result);
        }
    }

    /// The item that the next line is.
    fn next_item(&self) -> u32 {
        self.first.wrapping_add(self.results.len() as u32)
    }

    /// The line that has just come, and its result where that is known.
    fn push(&mut self, result: Option<Result<Reply, Fault>>) {
        self.results.push_back((self.count, result));
    }

    /// Takes the next line, whole or as much of it as there is; `bytes_max` is the longest that is kept.
    fn add(&mut self, data: &[u8], bytes_max: usize) {
        if self.begun.len() + data.len() > bytes_max {
            self.drops = true;
            self.begun = Vec::new();
        }
        if !self.drops {
            self.begun.extend_from_slice(data);
        }
    }

    /// The results that come next in the order of lines, as a chunk.
    fn tell(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some((_, Some(_))) = self.results.front() {
            let Some((line, Some(result))) = self.results.pop_front() else { break };
            self.first = self.first.wrapping_add(1);
            api::result(&mut text, "line", line, &result);
            text.push(b'\n');
        }
        text
    }
}

impl Engine {
    /// Takes what has come of the body; answers how much of `bytes` is done with.
    pub(super) fn take_lines(
        &mut self,
        asking: &Asking,
        lines: &mut Lines,
        bytes: &[u8],
        now: Now,
    ) -> Result<usize, HttpFault> {
        let bytes_max = self.config.body_bytes_max;
        let mut used = 0;
        while used < bytes.len() && !lines.waits() {
            // Never past the end of a line, so that reading can stop behind each.
            let rest = &bytes[used..];
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let taken = lines.reader.take(&rest[..end])?;
            used += taken.used;
            lines.add(taken.data, bytes_max);
            if taken.data.ends_with(b"\n") || (lines.reader.is_over() && has_line(lines)) {
                self.take_line(asking, lines, now);
            }
        }
        Ok(used)
    }

    fn take_line(&mut self, asking: &Asking, lines: &mut Lines, now: Now) {
        lines.count += 1;
        let line = std::mem::take(&mut lines.begun);
        if std::mem::take(&mut lines.drops) {
            let fault = Fault::new(FaultCode::TooLarge, "the line is longer than http.body_bytes_max");
            lines.push(Some(Err(fault)));
            return;
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        self.metrics.received.inc(Received::Publish, Protocol::Http);
        let item = lines.next_item();
        let publication = api::publication(line);
        match publication.and_then(|publication| self.publish_of(asking, item, publication, now)) {
            Ok(publish) => {
                lines.push(None);
                self.ask_publish(publish, now);
            }
            Err(fault) => {
                self.metrics.errors.inc(error_type(fault.code));
                lines.push(Some(Err(fault)));
            }
        }
    }

    /// There may be results to send at the end of the turn.
    pub(super) fn lines_told(&mut self, ticket: Ticket) {
        if self.exchanges.told.last() != Some(&ticket) {
            self.exchanges.told.push(ticket);
        }
        self.mark_dirty(ticket.conn);
    }

    /// Queues the results that have come. For the end of a turn: results that came together leave together.
    pub(in crate::engine) fn send_results(&mut self, now: Now) {
        for ticket in std::mem::take(&mut self.exchanges.told) {
            self.send_results_of(ticket, now);
        }
    }

    fn send_results_of(&mut self, ticket: Ticket, now: Now) {
        let draining = self.draining.is_some();
        let Some(Exchange { asking, progress: Progress::Lines(lines) }) = self.exchanges.get_mut(ticket)
        else {
            return;
        };
        let text = lines.tell();
        let is_over = lines.reader.is_over() && lines.results.is_empty();
        if text.is_empty() && !is_over {
            return;
        }
        let mut framing = asking.framing;
        framing.keep_alive &= !draining;
        let begins = !std::mem::replace(&mut lines.is_answering, true);
        if begins {
            // What the head says of the connection is said once.
            asking.framing = framing;
        }
        let (framing, waits) = (asking.framing, lines.waits());
        let mut out = Vec::with_capacity(text.len() + 512);
        if begins {
            response::begin_chunked(&mut out, NDJSON, framing);
            if let Some(reader) = self.take_reader(ticket.conn) {
                out = cors::shown_to(&reader, &out);
            }
        }
        response::put_chunk(&mut out, &text);
        if is_over {
            response::end_chunked(&mut out);
            self.exchanges.take(ticket);
            self.respond(ticket.conn, &out, framing, now);
        } else {
            self.queue(ticket.conn, WireBytes::copy_from(&out), now);
            self.exchange_goes_on(ticket.conn, self.config.body_timeout_ms, now);
            self.set_awaiting(ticket.conn, waits);
        }
        self.serve(ticket.conn, now);
    }
}

/// Whether the body ended inside of a line.
fn has_line(lines: &Lines) -> bool {
    lines.drops || !lines.begun.is_empty()
}
