//! Leaving gently: not ready, then no new connections and `system:restart`, then closes at a pace, then an end.

use std::collections::VecDeque;

use super::{Engine, Output, config::DrainConfig};
use crate::{
    base::{ConnId, Now},
    conn::{Finish, SocketKind, Stage},
    metrics::Disconnect,
    model::Event,
    ws::close,
};

/// How often closes go out, in milliseconds.
const STEP_MS: u64 = 50;

/// Part of the time that is kept for the last close frames to be answered, in milliseconds.
const TAIL_MS: u64 = 1_000;

/// How long a client that has connected before the doors closed may take for its first request, in milliseconds: one that is
/// on its way would meet a reset.
const FIRST_REQUEST_MS: u64 = 1_000;

/// How far a drain has come. Times are monotonic milliseconds.
#[derive(Debug)]
pub(super) struct Draining {
    stage: DrainStage,
    end_ms: u64,
    next_ms: u64,
}

#[derive(Debug)]
enum DrainStage {
    /// Not ready; load balancers are given time to see it.
    Announced,
    /// Clients are told, connections are closed, the first of the list last.
    Closing {
        left: VecDeque<ConnId>,
        /// Thousandths of a connection that the pace allows already.
        allowance: u64,
        /// Until when those are waited for that have not asked for anything yet.
        first_requests_ms: u64,
        /// The shell has let in who had connected: nobody comes any more.
        closed_doors: bool,
    },
    Over,
}

impl Engine {
    /// Begins the drain; a second call changes nothing.
    pub(super) fn drain(&mut self, now: Now) {
        if self.draining.is_some() {
            return;
        }
        let DrainConfig { announce_ms, timeout_ms, .. } = self.config.drain;
        // The kernel spreads who comes over the doors of all shards: as long as it is announced, none is closed.
        let announce_ms = if self.node_connections() == 0 { 0 } else { announce_ms.min(timeout_ms / 2) };
        self.draining = Some(Draining {
            stage: DrainStage::Announced,
            end_ms: now.mono_ms() + timeout_ms,
            next_ms: now.mono_ms() + announce_ms,
        });
        self.drain_step(now);
    }

    /// Whether connections are still taken: unless a drain has come past its announcement.
    pub(super) fn is_accepting(&self) -> bool {
        let Some(draining) = &self.draining else { return true };
        match draining.stage {
            DrainStage::Announced => true,
            DrainStage::Closing { .. } | DrainStage::Over => false,
        }
    }

    /// A connection came, maybe while the shell was closing the doors; or one is waited for.
    pub(super) fn close_last(&mut self, id: ConnId) {
        if let Some(Draining { stage: DrainStage::Closing { left, .. }, .. }) = &mut self.draining {
            left.push_front(id);
        }
    }

    /// Nobody comes any more.
    pub(super) fn doors_closed(&mut self) {
        if let Some(Draining { stage: DrainStage::Closing { closed_doors, .. }, .. }) = &mut self.draining {
            *closed_doors = true;
        }
        self.drained_when_empty();
    }

    pub(super) fn drain_due_ms(&self) -> Option<u64> {
        let draining = self.draining.as_ref()?;
        match draining.stage {
            DrainStage::Announced | DrainStage::Closing { .. } => Some(draining.next_ms.min(draining.end_ms)),
            DrainStage::Over => None,
        }
    }

    pub(super) fn drain_step(&mut self, now: Now) {
        let Some(draining) = &mut self.draining else { return };
        let now_ms = now.mono_ms();
        if now_ms < draining.next_ms && now_ms < draining.end_ms {
            return;
        }
        draining.next_ms = now_ms + STEP_MS;
        match &mut draining.stage {
            DrainStage::Announced => {
                self.outputs.push_back(Output::StopAccepting);
                let closing_ms = draining.end_ms.saturating_sub(now_ms + TAIL_MS);
                let left = self.announce_restart(closing_ms, now).into();
                let first_requests_ms = now_ms + FIRST_REQUEST_MS;
                if let Some(draining) = &mut self.draining {
                    draining.stage =
                        DrainStage::Closing { left, allowance: 0, first_requests_ms, closed_doors: false };
                }
            }
            DrainStage::Closing { left, .. } if now_ms >= draining.end_ms => {
                left.clear();
                let all: Vec<_> = self.all_connections();
                for id in all {
                    self.forget(id, Disconnect::ServerRestart);
                }
            }
            DrainStage::Closing { left, allowance, first_requests_ms, .. } => {
                let waits_for_first = now_ms < *first_requests_ms;
                let steps_left = draining.end_ms.saturating_sub(now_ms + TAIL_MS) / STEP_MS + 1;
                *allowance += self.config.drain.per_second * STEP_MS;
                let paced = *allowance / 1_000;
                *allowance %= 1_000;
                // Whatever the pace, all are told before the end.
                let needed = match self.config.drain.per_second {
                    0 => (left.len() as u64).div_ceil(steps_left),
                    _ => left.len() as u64 / steps_left,
                };
                let count = (paced.max(needed) as usize).min(left.len());
                let batch = left.split_off(left.len() - count);
                for id in batch {
                    self.close_for_restart(id, waits_for_first, now);
                }
            }
            DrainStage::Over => {}
        }
    }

    /// Says `Drained` when the last connection of a draining shard has gone.
    pub(super) fn drained_when_empty(&mut self) {
        let empty = self.conns.is_empty();
        let Some(draining) = &mut self.draining else { return };
        if empty && matches!(draining.stage, DrainStage::Closing { closed_doors: true, .. }) {
            draining.stage = DrainStage::Over;
            self.outputs.push_back(Output::Drained);
        }
    }

    /// Tells every client to come back, each at another time, and answers whom to close, in random order.
    /// `closing_ms` is how long that may take at most.
    fn announce_restart(&mut self, closing_ms: u64, now: Now) -> Vec<ConnId> {
        let mut ids = self.all_connections();
        // As many a second may come back as are let go.
        let per_second = match self.config.drain.per_second {
            0 => 1_000 / STEP_MS,
            per_second => per_second,
        };
        let spread_ms = 1_000 + (ids.len() as u64 * 1_000 / per_second).min(closing_ms);
        for index in (1..ids.len()).rev() {
            ids.swap(index, self.prng.below(index as u64 + 1) as usize);
        }
        for &id in &ids {
            let reconnect_in_ms = 500 + self.prng.below(spread_ms);
            if self.is_echo(id) {
                continue;
            }
            self.tell(id, &Event::Restart { reason: "drain", reconnect_in_ms }, now);
        }
        ids
    }

    fn close_for_restart(&mut self, id: ConnId, waits_for_first: bool, now: Now) {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        match &conn.stage {
            Stage::Socket(_) => {
                let text = "the node restarts";
                self.close(id, close::SERVICE_RESTART, text, Disconnect::ServerRestart, now);
            }
            // A request under way is answered, and its response closes the connection.
            Stage::Http(http) if http.awaiting || http.exchange => {}
            Stage::Http(_) if !conn.outbox.is_empty() => {
                self.enter_closing(id, Disconnect::ServerRestart, Finish::Linger, now);
            }
            Stage::Http(http) if waits_for_first && !http.served => self.close_last(id),
            Stage::Http(_) => self.forget(id, Disconnect::ServerRestart),
            Stage::Closing { .. } => {}
        }
    }

    fn is_echo(&self, id: ConnId) -> bool {
        match self.conns.get(id.slot, id.generation).map(|conn| &conn.stage) {
            Some(Stage::Socket(socket)) => matches!(socket.kind, SocketKind::Echo),
            Some(Stage::Http(_) | Stage::Closing { .. }) | None => false,
        }
    }

    fn all_connections(&self) -> Vec<ConnId> {
        let shard = self.shard;
        self.conns.iter().map(|(slot, generation, _)| ConnId { shard, slot, generation }).collect()
    }
}
