//! How publications reach the members here: held for the end of the turn, or a little longer for company, then
//! released room by room as runs of frames.
//!
//! Invariants: the members who get a publication are those at its place in the room's order: a room is released before
//! its members change. What is ordered before a close frame is queued before it.

use super::Engine;
use crate::{
    base::{Now, RoomKey},
    fanout::{Publication, Recipients},
    metrics::{Protocol, Sent},
    model::Event,
};

/// The most payload bytes in one run, but for a longer message: what a socket takes in one write.
const RUN_BYTES: usize = 32 * 1024;

/// The most events in one run.
const RUN_EVENTS: usize = 256;

/// With more payload bytes than this held, company is not waited for.
const HELD_BYTES_MAX: usize = 512 * 1024;

impl Engine {
    /// When publications that are held leave, in monotonic microseconds: the next [`Engine::take_writes`] at or after
    /// it writes them.
    pub fn poll_release(&self) -> Option<u64> {
        if self.held.is_empty() {
            return None;
        }
        let has_company = self.held.payload_bytes() > HELD_BYTES_MAX;
        Some(if has_company { 0 } else { self.pace.opens_us() })
    }

    /// Queues all that is held for its members.
    pub(super) fn release(&mut self, now: Now) {
        while self.release_some(now) {}
    }

    /// Queues what is held for its members, up to a room that has more than one run. `true` when more is held: it is
    /// time to write.
    pub(super) fn release_some(&mut self, now: Now) -> bool {
        while let Some((key, mut publications)) = self.held.take_next() {
            let run = run_length(&publications);
            self.fan_out(&key, &publications[..run], now);
            publications.drain(..run);
            let has_more = !publications.is_empty();
            self.held.put_back(key, publications);
            if has_more {
                return true;
            }
        }
        false
    }

    /// Queues what one room's members are still to get.
    pub(super) fn release_room(&mut self, key: &RoomKey, now: Now) {
        let Some(publications) = self.held.take(key) else { return };
        let mut rest = &publications[..];
        while !rest.is_empty() {
            let (run, behind) = rest.split_at(run_length(rest));
            self.fan_out(key, run, now);
            rest = behind;
        }
        self.held.give_back(publications);
    }

    fn fan_out(&mut self, key: &RoomKey, publications: &[Publication], now: Now) {
        let mut except = std::mem::take(&mut self.except);
        except.extend(publications.iter().map(|publication| publication.except));
        let events = publications.iter().map(|publication| Event::Message(publication.message.clone()));
        let mut frames = self.encoder.frames(events);
        let mut recipients = Recipients {
            conns: &mut self.conns,
            store: &mut self.store,
            dirty: &mut self.dirty,
            outbox_bytes_max: self.config.outbox_bytes_max,
        };
        let delivered = recipients.deliver(self.roster.members(key), &mut frames, &except, &mut self.full);
        self.metrics.sent.add(Sent::RoomMessage, Protocol::Json, delivered);
        // With nobody to write to, there may be no write that ends the turn.
        if delivered > 0 {
            self.fanned_out.extend(publications.iter().map(|publication| publication.received_us));
        }
        except.clear();
        self.except = except;
        self.close_slow(now);
    }

    fn close_slow(&mut self, now: Now) {
        while let Some(id) = self.full.pop() {
            self.slow_consumer(id, now);
        }
    }
}

/// How many of the publications go into one run; one at least.
fn run_length(publications: &[Publication]) -> usize {
    let mut bytes = 0;
    let fits = |publication: &&Publication| {
        bytes += publication.message.payload.as_bytes().len();
        bytes <= RUN_BYTES
    };
    publications.iter().take(RUN_EVENTS).take_while(fits).count().max(1)
}
