//! How publications reach the members here: held for the end of the turn, or a little longer for company, then
//! released room by room as runs of frames.
//!
//! A frame that leaves alone costs a write of its own, and company is the only thing that makes it cheaper. So a room
//! into which is published so often that company can be expected within the latency budget rests after a release, for a
//! time in proportion to what the shard spent on it, and what comes meanwhile leaves together. Any other room sends at
//! once, and no frame waits longer than the budget.
//!
//! Invariants: the members who get a publication are those at its place in the room's order: a room is released before
//! its members change. What is ordered before a close frame is queued before it.

use super::Engine;
use crate::{
    base::Now,
    fanout::{Delivered, Publication, Recipients, Release},
    hub::LocalRoomId,
    metrics::{Protocol, Sent},
    model::Event,
};

/// The most payload bytes in one run, but for a longer message: what a socket takes in one write.
const RUN_BYTES: usize = 32 * 1024;

/// The most events in one run.
const RUN_EVENTS: usize = 256;

/// With more payload bytes than this held, company is not waited for.
const HELD_BYTES_MAX: usize = 512 * 1024;

/// A release is followed by a rest of this many times its own length, within the budget: fan-out takes a fifth of the
/// time, as far as the budget allows it.
const REST: u64 = 4;

impl Engine {
    /// When the next publications that are held leave, in monotonic microseconds: the next [`Engine::take_writes`] at
    /// or after it writes them.
    pub fn poll_release(&self) -> Option<u64> {
        let opens_us = self.held.opens_us()?;
        Some(if self.holds_enough() { 0 } else { opens_us })
    }

    /// Queues all that is held for its members, without a rest behind it.
    pub(super) fn release_all(&mut self, now: Now) {
        while let Some((room, publications)) = self.held.take_next(u64::MAX) {
            self.release_runs(room, publications, now);
        }
    }

    /// Queues what may leave now for its members, up to a room that has more than one run. `true` when there is more:
    /// it is time to write.
    pub(super) fn release_some(&mut self, now: Now) -> bool {
        let until_us = if self.holds_enough() { u64::MAX } else { now.mono_us };
        while let Some((room, mut publications)) = self.held.take_next(until_us) {
            let run = run_length(&publications);
            self.fan_out(room, &publications[..run], now);
            publications.drain(..run);
            if !publications.is_empty() {
                self.held.put_back(room, publications);
                return true;
            }
            self.held.give_back(publications);
            if self.config.latency_budget_us > 0 {
                self.released.push((room, run as u64));
            }
        }
        false
    }

    /// Lets the rooms rest that were released in this turn, where company can be expected; the writes ended at `now`.
    pub(super) fn rest_released(&mut self, now: Now) {
        let Some(began_us) = self.release_began_us.take() else { return };
        let budget_us = self.config.latency_budget_us;
        let rest_us = rest_us(began_us, now.mono_us, budget_us);
        for (room, count) in self.released.drain(..) {
            let since_last_us =
                self.held.last_release(room).map(|last| began_us.saturating_sub(last.began_us));
            let rests = since_last_us.is_some_and(|since_us| expects_company(since_us, count, budget_us));
            let opens_us = if rests { now.mono_us + rest_us } else { now.mono_us };
            let forget_us = now.mono_us + budget_us;
            self.held.remember(room, Release { began_us, opens_us, forget_us });
        }
        self.held.forget(now.mono_us);
    }

    /// Queues what one room's members are still to get.
    pub(super) fn release_room(&mut self, room: LocalRoomId, now: Now) {
        if let Some(publications) = self.held.take(room) {
            self.release_runs(room, publications, now);
        }
    }

    fn release_runs(&mut self, room: LocalRoomId, publications: Vec<Publication>, now: Now) {
        let mut rest = &publications[..];
        while !rest.is_empty() {
            let (run, behind) = rest.split_at(run_length(rest));
            self.fan_out(room, run, now);
            rest = behind;
        }
        self.held.give_back(publications);
    }

    fn fan_out(&mut self, room: LocalRoomId, publications: &[Publication], now: Now) {
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
        let delivered = recipients.deliver(self.roster.members(room), &mut frames, &except, &mut self.full);
        let Delivered { json, relay } = delivered;
        self.metrics.sent.add(Sent::RoomMessage, Protocol::Json, json);
        self.metrics.sent.add(Sent::RoomMessage, Protocol::Relay, relay);
        // With nobody to write to, there may be no write that ends the turn.
        if json + relay > 0 {
            self.fanned_out.extend(publications.iter().map(|publication| publication.received_us));
        }
        except.clear();
        self.except = except;
        self.close_slow(now);
    }

    fn holds_enough(&self) -> bool {
        self.held.payload_bytes() > HELD_BYTES_MAX
    }

    pub(super) fn close_slow(&mut self, now: Now) {
        while let Some(id) = self.full.pop() {
            self.slow_consumer(id, now);
        }
    }
}

/// How many of the publications go into one run; one at least.
fn run_length(publications: &[Publication]) -> usize {
    let mut bytes = 0;
    let fits = |publication: &&Publication| {
        bytes += publication.message.payload.len();
        bytes <= RUN_BYTES
    };
    publications.iter().take(RUN_EVENTS).take_while(fits).count().max(1)
}

/// Whether publications come so often, `count` of them in `since_us`, that another comes within the budget.
fn expects_company(since_us: u64, count: u64, budget_us: u64) -> bool {
    since_us <= budget_us.saturating_mul(count)
}

/// How long a room rests after a turn whose release and writes lasted from `began_us` to `ended_us`.
fn rest_us(began_us: u64, ended_us: u64, budget_us: u64) -> u64 {
    let lasted_us = ended_us.saturating_sub(began_us);
    lasted_us.saturating_mul(REST).min(budget_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn company_is_expected_when_publications_come_within_the_budget() {
        for (since_us, count, budget_us, expected) in [
            (667, 1, 250, false),
            (667, 1, 2_000, true),
            (667, 4, 250, true),
            (2_000, 1, 2_000, true),
            (2_001, 1, 2_000, false),
            (u64::MAX, 1, 100_000, false),
        ] {
            let actual = expects_company(since_us, count, budget_us);
            assert_eq!(actual, expected, "{since_us} {count} {budget_us}");
        }
    }

    #[test]
    fn rests_follow_the_length_of_a_release_within_the_budget() {
        for (budget_us, began_us, ended_us, expected_us) in [
            (2_000, 1_000, 1_100, 400),
            (2_000, 1_000, 1_500, 2_000),
            (2_000, 1_000, 9_000, 2_000),
            (0, 1_000, 9_000, 0),
            (2_000, 1_000, 1_000, 0),
            (2_000, 1_001, 1_000, 0),
        ] {
            let actual_us = rest_us(began_us, ended_us, budget_us);
            assert_eq!(actual_us, expected_us, "{budget_us} {began_us} {ended_us}");
        }
    }
}
