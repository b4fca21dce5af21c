//! The bodies of exchanges, as they come.

use super::{Answer, Engine, Progress};
use crate::{
    base::{ConnId, Now},
    conn::Finish,
    http::{Framing, HttpFault, response},
    metrics::{Disconnect, ErrorType},
};

impl Engine {
    /// Takes what has come of a body; answers what follows from it, and how much of `bytes` is done with.
    pub(in crate::engine) fn read_body(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        out: &mut Vec<u8>,
        now: Now,
    ) -> (Answer, usize) {
        let Some(mut exchange) = self.exchanges.take_of(conn) else {
            return (Answer::Awaited, 0);
        };
        let reading = Answer::Reading { expects_continue: false };
        match exchange.progress {
            Progress::Body { mut reader, bytes: mut body } => {
                let mut used = 0;
                while used < bytes.len() && !reader.is_over() {
                    match reader.take(&bytes[used..]) {
                        Ok(taken) => {
                            body.extend_from_slice(taken.data);
                            used += taken.used;
                        }
                        Err(fault) => return (self.spoilt(&fault, out), bytes.len()),
                    }
                }
                if reader.is_over() {
                    return (self.perform(exchange.asking, &body, out, now), used);
                }
                exchange.progress = Progress::Body { reader, bytes: body };
                self.exchanges.put(exchange);
                (reading, used)
            }
            Progress::Lines(mut lines) => {
                let result = self.take_lines(&exchange.asking, &mut lines, bytes, now);
                let used = match result {
                    Ok(used) => used,
                    Err(_) if lines.is_answering() => {
                        self.metrics.errors.inc(ErrorType::Http);
                        self.break_off(conn, now);
                        return (Answer::Gone, bytes.len());
                    }
                    Err(fault) => return (self.spoilt(&fault, out), bytes.len()),
                };
                let (ticket, waits) = (exchange.asking.ticket, lines.waits());
                exchange.progress = Progress::Lines(lines);
                self.exchanges.put(exchange);
                self.exchange_goes_on(conn, self.config.body_timeout_ms, now);
                self.set_awaiting(conn, waits);
                self.lines_told(ticket);
                (if waits { Answer::Awaited } else { reading }, used)
            }
            Progress::Sealed { .. }
            | Progress::Message
            | Progress::Page { .. }
            | Progress::Request { .. }
            | Progress::Batch(_)
            | Progress::Shards(_) => {
                self.exchanges.put(exchange);
                (Answer::Awaited, 0)
            }
        }
    }

    /// Where the next request begins is unknown: the connection ends with the refusal.
    fn spoilt(&mut self, fault: &HttpFault, out: &mut Vec<u8>) -> Answer {
        self.metrics.errors.inc(ErrorType::Http);
        response::write_fault(out, fault, Framing::CLOSE);
        Answer::Written(Framing::CLOSE)
    }

    /// Ends a connection whose response has begun and cannot be finished: that it is cut off says so.
    pub(super) fn break_off(&mut self, conn: ConnId, now: Now) {
        self.enter_closing(conn, Disconnect::ProtocolError, Finish::Linger, now);
    }
}
