//! Heartbeat of one WebSocket connection: when to ping, when to give up, and the round trip.
//!
//! A ping carries the monotonic microseconds of its sending; its pong carries them back. Any bytes from the
//! client count as a sign of life.

/// What the keepalive asks for when its deadline has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beat {
    /// Not due yet.
    Wait,
    /// Send a ping.
    Ping,
    /// Nothing was heard for the time limit.
    Dead,
}

/// Times in monotonic milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    heard_ms: u64,
    pinged_ms: u64,
    /// The payload of the ping that waits for its pong; 0 when none does.
    ping_us: u64,
}

impl Keepalive {
    /// A connection that was heard just now. Its first ping is moved by `phase_ms`, so that connections that
    /// were opened together are not pinged together.
    pub fn new(now_ms: u64, phase_ms: u64) -> Self {
        Self { heard_ms: now_ms, pinged_ms: now_ms.saturating_sub(phase_ms), ping_us: 0 }
    }

    /// Bytes came from the client.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
    }

    /// A ping goes out; the answer is its payload.
    pub fn pinged(&mut self, now_us: u64) -> [u8; 8] {
        self.pinged_ms = now_us / 1_000;
        self.ping_us = now_us.max(1);
        self.ping_us.to_be_bytes()
    }

    /// A pong came; the round trip in microseconds if it answers the ping that waits.
    pub fn ponged(&mut self, payload: &[u8], now_us: u64) -> Option<u64> {
        let sent_us = u64::from_be_bytes(payload.try_into().ok()?);
        if sent_us == 0 || sent_us != self.ping_us {
            return None;
        }
        self.ping_us = 0;
        Some(now_us.saturating_sub(sent_us))
    }

    /// What is due at `now_ms`. A limit of 0 is none.
    pub fn beat(&self, now_ms: u64, interval_ms: u64, timeout_ms: u64) -> Beat {
        if timeout_ms > 0 && now_ms >= self.heard_ms + timeout_ms {
            return Beat::Dead;
        }
        if interval_ms > 0 && now_ms >= self.pinged_ms + interval_ms {
            return Beat::Ping;
        }
        Beat::Wait
    }

    /// When [`Keepalive::beat`] may answer something new.
    pub fn due_ms(&self, interval_ms: u64, timeout_ms: u64) -> u64 {
        let after = |start: u64, limit: u64| if limit == 0 { u64::MAX } else { start + limit };
        after(self.heard_ms, timeout_ms).min(after(self.pinged_ms, interval_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_at_the_interval_and_gives_up_at_the_timeout() {
        let mut keepalive = Keepalive::new(1_000, 0);
        let beat = |keepalive: &Keepalive, now| keepalive.beat(now, 30_000, 60_000);
        assert_eq!(beat(&keepalive, 30_999), Beat::Wait);
        assert_eq!(keepalive.due_ms(30_000, 60_000), 31_000);
        assert_eq!(beat(&keepalive, 31_000), Beat::Ping);
        keepalive.pinged(31_000_000);
        assert_eq!(beat(&keepalive, 60_999), Beat::Wait);
        assert_eq!(beat(&keepalive, 61_000), Beat::Dead);
        keepalive.heard(60_999);
        assert_eq!(beat(&keepalive, 61_000), Beat::Ping);
        assert_eq!(keepalive.due_ms(30_000, 60_000), 61_000);
        assert_eq!(keepalive.due_ms(0, 0), u64::MAX);
    }

    #[test]
    fn only_the_pong_of_the_waiting_ping_measures() {
        let mut keepalive = Keepalive::new(0, 0);
        assert_eq!(keepalive.ponged(&0u64.to_be_bytes(), 5), None, "no ping was sent");
        let payload = keepalive.pinged(1_000);
        assert_eq!(keepalive.ponged(b"short", 3_000), None);
        assert_eq!(keepalive.ponged(&7u64.to_be_bytes(), 3_000), None);
        assert_eq!(keepalive.ponged(&payload, 3_500), Some(2_500));
        assert_eq!(keepalive.ponged(&payload, 4_000), None, "a second pong to one ping");
    }

    #[test]
    fn a_phase_moves_the_first_ping_only() {
        let keepalive = Keepalive::new(100_000, 12_000);
        assert_eq!(keepalive.due_ms(30_000, 60_000), 118_000);
    }
}
