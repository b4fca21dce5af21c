//! A thread looks at itself some times a second: how it stands, for the main thread, and signs that it is what limits: CPU time,
//! bytes that wait to be sent and bytes that wait to be read.

use super::{Due, Report, Snapshot, Worker};
use crate::{
    client::conn::Stage, figures::record::Timing, host::clock::thread_cpu, plan::Slot, scenario::Reading,
};

const EVERY_NS: u64 = 50_000_000;
/// Connections whose unread bytes are looked at each time.
const SAMPLES: usize = 8;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// By this process's own time: the run's may be set back meanwhile.
    looked_ns: u64,
    cpu_ns: u64,
    unsent_bytes: u64,
    /// The connection to look at next.
    cursor: usize,
    /// Seconds that were reported.
    seconds: usize,
}

impl Watch {
    /// The bytes that wait in one connection are so many now.
    pub(super) fn unsent(&mut self, before: usize, after: usize) {
        self.unsent_bytes = (self.unsent_bytes + after as u64).saturating_sub(before as u64);
    }
}

impl Worker {
    pub(super) fn watch(&mut self) {
        self.traffic.turn();
        self.watch_now();
        self.plan_ahead(EVERY_NS, Due::Snapshot);
    }

    pub(super) fn watch_now(&mut self) {
        let cpu_ns = thread_cpu().as_nanos() as u64;
        let own_ns = self.setup.clock.own_ns();
        let used_ns = cpu_ns.saturating_sub(self.watch.cpu_ns);
        let passed_ns = own_ns.saturating_sub(self.watch.looked_ns);
        let unread_bytes = self.sample_unread();
        let phase = self.traffic.when().phase;
        let unsent_bytes = self.watch.unsent_bytes;
        self.traffic.recorder().load(phase, used_ns, passed_ns, unsent_bytes, unread_bytes);
        self.watch.cpu_ns = cpu_ns;
        self.watch.looked_ns = own_ns;
        let recorder = self.traffic.recorder();
        let counts = recorder.counts();
        let errors = recorder.errors();
        let worst_error = recorder.worst_error();
        let lag_ns = recorder.timings(phase).of(Timing::Lag).at(0.99).unwrap_or(0);
        let second = recorder.second_since(&mut self.watch.seconds);
        let snapshot = Snapshot {
            tried: self.ramp.tried_count(),
            opening: self.in_flight,
            ready: self.ready,
            failed: counts.failed,
            sent: counts.sent,
            delivered: self.traffic.first_deliveries(),
            errors,
            worst_error,
            unanswered: self.traffic.unanswered(),
            awaited: self.traffic.awaited(),
            cpu: used_ns as f64 / passed_ns.max(1) as f64,
            lag_ns,
            missing: self.moves.missing_count(),
            published: self.publications.are_over() && !self.moves.anybody_waits(),
        };
        let thread = self.thread - self.setup.first_thread;
        let _ = self.reports.send(Report::Snapshot { thread, snapshot, second });
    }

    /// The most bytes that wait in one of the sockets looked at. Those that read slowly are meant to have some.
    fn sample_unread(&mut self) -> u64 {
        let mut unread_bytes = 0;
        let total = self.conns.len();
        for _ in 0..SAMPLES.min(total) {
            let slot = Slot((self.watch.cursor % total) as u32);
            self.watch.cursor += 1;
            let role = self.setup.plan.role_of(self.conn_id(slot));
            if let Some(conn) = self.conns[slot.index()].as_ref().filter(|conn| conn.stage == Stage::Ready)
                && self.setup.role(role).reading == Reading::Quick
            {
                unread_bytes = unread_bytes.max(conn.unread_bytes());
            }
        }
        unread_bytes
    }
}
