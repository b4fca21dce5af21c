//! Deadlines of connections: each has one live entry in the wheel, which asks for the true deadline when it is due.

use super::{Engine, survey::SURVEY_TIMEOUT_MS};
use crate::{
    base::{ConnId, Now, wheel::Wheel},
    conn::{Beat, SocketKind, Stage, Timer},
    metrics::Disconnect,
    model::Event,
    ws::close,
};

/// The wheel's tick in milliseconds: no deadline of a connection is finer.
const TICK_MS: u64 = 100;
const TICKS: usize = 1024;

/// An entry of the wheel: a connection's slot, and which of its entries this is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    slot: u32,
    filing: u32,
}

pub(super) fn wheel() -> Wheel<Ticket> {
    Wheel::new(TICK_MS, TICKS)
}

impl Engine {
    /// When [`Engine::expire`] is next of use, in monotonic milliseconds.
    pub fn poll_timeout(&self) -> Option<u64> {
        let parts = [
            self.timers.next_due_ms(),
            self.home.due_ms(),
            self.home.sweep_due_ms(),
            self.surveys.due_ms(),
            self.requests.due_ms(),
            self.calls.due_ms(),
            self.introspections.due_ms(),
            self.words_due_ms(),
            self.evictions.due_ms(),
            self.review_due_ms(),
            self.drain_due_ms(),
        ];
        parts.into_iter().flatten().min()
    }

    /// Does what has become due.
    pub fn expire(&mut self, now: Now) {
        let now_tick = (now.mono_ms() / TICK_MS) as u32;
        let (conns, due, shard) = (&mut self.conns, &mut self.due, self.shard);
        self.timers.expire(now.mono_ms(), |ticket| {
            let (generation, _) = conns.get_by_slot(ticket.slot)?;
            let timer = &mut conns.get_mut(ticket.slot, generation)?.timer;
            if timer.filing != ticket.filing {
                return None;
            }
            if timer.due > now_tick {
                timer.filed = timer.due;
                return Some(u64::from(timer.due) * TICK_MS);
            }
            timer.filed = Timer::NOT_FILED;
            due.push(ConnId { shard, slot: ticket.slot, generation });
            None
        });
        let mut due = std::mem::take(&mut self.due);
        for id in due.drain(..) {
            self.meet_deadlines(id, now);
        }
        self.due = due;
        self.end_rooms(now);
        self.tell_presence(now);
        self.meet_surveys(now);
        self.evict_step(now);
        self.review_step(now);
        self.expire_requests(now);
        self.expire_calls(now);
        self.expire_introspections(now);
        self.expire_words(now);
        self.drain_step(now);
        self.home.sweep(now);
        self.take_own_parcels(now);
    }

    /// Gives a connection a deadline. The wheel gets a new entry only if the last would ask too late: that one stays
    /// there until its time, and is not listened to.
    pub(super) fn file_timer(&mut self, id: ConnId, deadline_ms: u64) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        // A deadline that is years away is looked at once before.
        let due = u32::try_from(deadline_ms.div_ceil(TICK_MS)).unwrap_or(u32::MAX).min(Timer::NOT_FILED - 1);
        conn.timer.due = due;
        if conn.timer.filed <= due {
            return;
        }
        self.tickets = self.tickets.wrapping_add(1);
        conn.timer.filing = self.tickets;
        conn.timer.filed = due;
        self.timers.insert(Ticket { slot: id.slot, filing: self.tickets }, deadline_ms);
    }

    /// Does what is due for a connection, and files when to look again.
    pub(super) fn meet_deadlines(&mut self, id: ConnId, now: Now) {
        let now_ms = now.mono_ms();
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        let next_ms = match &mut conn.stage {
            Stage::Http(http) if http.exchange && http.deadline_ms > now_ms => http.deadline_ms,
            Stage::Http(http) if http.exchange => {
                self.exchange_timed_out(id, now);
                return;
            }
            Stage::Http(http) if http.awaiting => now_ms + SURVEY_TIMEOUT_MS,
            Stage::Http(http) if http.deadline_ms > now_ms => http.deadline_ms,
            Stage::Http(http) if http.buffer.is_empty() => {
                let reason = if http.served { Disconnect::IdleTimeout } else { Disconnect::HeadTimeout };
                self.forget(id, reason);
                return;
            }
            Stage::Http(_) => {
                self.head_timed_out(id, now);
                return;
            }
            Stage::Closing { deadline_ms, .. } if *deadline_ms > now_ms => *deadline_ms,
            Stage::Closing { reason, .. } => {
                let reason = *reason;
                self.forget(id, reason);
                return;
            }
            Stage::Socket(_) => match self.socket_deadline(id, now) {
                Some(next_ms) => next_ms,
                None => return,
            },
        };
        self.file_timer(id, next_ms);
    }

    /// Pings, expiry and time limits of an open socket; the next deadline, or `None` when it is closing now.
    fn socket_deadline(&mut self, id: ConnId, now: Now) -> Option<u64> {
        let (interval_ms, timeout_ms) = (self.config.heartbeat_interval_ms, self.config.heartbeat_timeout_ms);
        let notice_ms = self.config.expiring_notice_ms;
        let leeway_ms = self.config.policy.verifier.leeway_s().saturating_mul(1_000);
        let Stage::Socket(socket) = &mut self.conns.get_mut(id.slot, id.generation)?.stage else {
            return None;
        };
        let ping = match socket.keepalive.beat(now.mono_ms(), interval_ms, timeout_ms) {
            Beat::Wait => None,
            Beat::Ping if is_stuck(socket.decoder.grow_older(), interval_ms, timeout_ms) => {
                let text = "a message was not whole within the heartbeat timeout";
                self.close(id, close::TIMEOUT, text, Disconnect::HeartbeatTimeout, now);
                return None;
            }
            Beat::Ping => self.beat(id, |keepalive| keepalive.pinged(now.mono_us)),
            Beat::Dead => {
                self.close(id, close::TIMEOUT, "heartbeat timeout", Disconnect::HeartbeatTimeout, now);
                return None;
            }
        };
        let conn = self.conns.get_mut(id.slot, id.generation)?;
        let Stage::Socket(socket) = &mut conn.stage else { return None };
        let mut next_ms = socket.keepalive.due_ms(now.mono_ms(), interval_ms, timeout_ms);
        let mut expiring = None;
        match &mut socket.kind {
            SocketKind::Echo => {}
            SocketKind::Pending { deadline_ms } => {
                if now.mono_ms() >= *deadline_ms {
                    let text = "no authentication within the time limit";
                    self.close(id, close::TIMEOUT, text, Disconnect::AuthTimeout, now);
                    return None;
                }
                next_ms = next_ms.min(*deadline_ms);
            }
            SocketKind::Json(session) => {
                session.keep_time(now.mono_ms());
                if session.is_over(now.unix_ms, leeway_ms) {
                    let text = "the token has expired";
                    self.close(id, close::UNAUTHENTICATED, text, Disconnect::TokenExpired, now);
                    return None;
                }
                let left_ms = session.announce(now.unix_ms, notice_ms);
                expiring = left_ms.map(|expires_in_ms| Event::TokenExpiring { expires_in_ms });
                if let Some(wait_ms) = session.next_check_ms(now.unix_ms, notice_ms, leeway_ms) {
                    next_ms = next_ms.min(now.mono_ms().saturating_add(wait_ms));
                }
            }
        }
        if let Some(payload) = ping {
            self.send_ping(id, payload, now);
        }
        if let Some(event) = expiring {
            self.tell(id, &event, now);
        }
        // Who had no room for it is closing, and has the deadline of that.
        self.is_socket(id).then_some(next_ms)
    }
}

/// Whether a message that was unfinished at so many pings in a row has been for the time limit: it holds memory, which a byte
/// now and then shall not keep. A limit of 0 is none.
fn is_stuck(pings: u8, interval_ms: u64, timeout_ms: u64) -> bool {
    timeout_ms > 0 && pings > 1 && u64::from(pings - 1).saturating_mul(interval_ms) >= timeout_ms
}
