//! Heartbeat of one WebSocket connection: when to ping, when to give up, and the round trip.
//!
//! A ping carries the monotonic microseconds of its sending; its pong carries them back. Any bytes from the
//! client count as a sign of life. What round trips and lost pings say of the connection, [`Quality`] keeps.
//!
//! Times are kept as the low halves of the clock's values, 12 bytes in all: enough to tell apart 24 days in milliseconds
//! and 35 minutes in microseconds, of which the first is far beyond every limit, and a pong that took longer than the
//! second only measures wrongly.

use super::Quality;

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
    heard_ms: u32,
    pinged_ms: u32,
    /// The low half of the payload of the ping that waits for its pong; 0 when none does.
    ping_us: u32,
    quality: Quality,
}

const _: () = assert!(size_of::<Keepalive>() <= 44, "there is one per connection");

impl Keepalive {
    /// A connection that was heard just now. Its first ping is moved by `phase_ms`, so that connections that
    /// were opened together are not pinged together.
    pub fn new(now_ms: u64, phase_ms: u64) -> Self {
        let pinged_ms = low(now_ms.wrapping_sub(phase_ms));
        Self { heard_ms: low(now_ms), pinged_ms, ping_us: 0, quality: Quality::new() }
    }

    /// Bytes came from the client.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = low(now_ms);
    }

    /// A ping goes out; the answer is its payload. One that still waits for its pong is given up.
    pub fn pinged(&mut self, now_us: u64) -> [u8; 8] {
        if self.ping_us != 0 {
            self.quality.unanswered();
        }
        self.pinged_ms = low(now_us / 1_000);
        // One whose low half is 0 would read as none.
        let payload = if low(now_us) == 0 { now_us + 1 } else { now_us };
        self.ping_us = low(payload);
        payload.to_be_bytes()
    }

    /// A pong came; the round trip in microseconds if it answers the ping that waits.
    pub fn ponged(&mut self, payload: &[u8], now_us: u64) -> Option<u64> {
        let sent_us = low(u64::from_be_bytes(payload.try_into().ok()?));
        if sent_us == 0 || sent_us != self.ping_us {
            return None;
        }
        self.ping_us = 0;
        let rtt_us = since(sent_us, now_us);
        self.quality.answered(rtt_us);
        Some(rtt_us)
    }

    /// How good the connection is. A ping that still waits is not counted.
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// What is due at `now_ms`. A limit of 0 is none.
    pub fn beat(&self, now_ms: u64, interval_ms: u64, timeout_ms: u64) -> Beat {
        if timeout_ms > 0 && since(self.heard_ms, now_ms) >= timeout_ms {
            return Beat::Dead;
        }
        if interval_ms > 0 && since(self.pinged_ms, now_ms) >= interval_ms {
            return Beat::Ping;
        }
        Beat::Wait
    }

    /// When [`Keepalive::beat`] may answer something new.
    pub fn due_ms(&self, now_ms: u64, interval_ms: u64, timeout_ms: u64) -> u64 {
        let after = |start: u32, limit_ms: u64| {
            if limit_ms == 0 { u64::MAX } else { now_ms + limit_ms.saturating_sub(since(start, now_ms)) }
        };
        after(self.heard_ms, timeout_ms).min(after(self.pinged_ms, interval_ms))
    }
}

/// The low half of a time.
fn low(time: u64) -> u32 {
    time as u32
}

/// How long ago `then`, of which this is the low half, was; 0 if it is yet to come.
fn since(then: u32, now: u64) -> u64 {
    let passed = low(now).wrapping_sub(then);
    if passed > u32::MAX / 2 { 0 } else { u64::from(passed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_at_the_interval_and_gives_up_at_the_timeout() {
        let mut keepalive = Keepalive::new(1_000, 0);
        let beat = |keepalive: &Keepalive, now| keepalive.beat(now, 30_000, 60_000);
        assert_eq!(beat(&keepalive, 30_999), Beat::Wait);
        assert_eq!(keepalive.due_ms(1_000, 30_000, 60_000), 31_000);
        assert_eq!(beat(&keepalive, 31_000), Beat::Ping);
        keepalive.pinged(31_000_000);
        assert_eq!(beat(&keepalive, 60_999), Beat::Wait);
        assert_eq!(beat(&keepalive, 61_000), Beat::Dead);
        keepalive.heard(60_999);
        assert_eq!(beat(&keepalive, 61_000), Beat::Ping);
        assert_eq!(keepalive.due_ms(60_999, 30_000, 60_000), 61_000);
        assert_eq!(keepalive.due_ms(70_000, 30_000, 60_000), 70_000, "overdue");
        assert_eq!(keepalive.due_ms(70_000, 0, 0), u64::MAX);
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
        assert_eq!((keepalive.quality().mean_us(), keepalive.quality().loss()), (Some(2_500), 0.0));
    }

    #[test]
    fn a_ping_is_lost_when_the_next_one_leaves_first() {
        let mut keepalive = Keepalive::new(0, 0);
        let late = keepalive.pinged(1_000);
        assert_eq!(keepalive.quality().loss(), 0.0, "it may still be answered");
        let payload = keepalive.pinged(2_000);
        assert_eq!(keepalive.quality().loss(), 1.0);
        assert_eq!(keepalive.ponged(&late, 2_500), None);
        assert_eq!(keepalive.ponged(&payload, 3_000), Some(1_000));
        assert_eq!(keepalive.quality().loss(), 0.5);
        keepalive.pinged(4_000);
        assert_eq!(keepalive.quality().loss(), 0.5);
    }

    #[test]
    fn a_phase_moves_the_first_ping_only() {
        let keepalive = Keepalive::new(100_000, 12_000);
        assert_eq!(keepalive.due_ms(100_000, 30_000, 60_000), 118_000);
    }

    #[test]
    fn the_halves_of_the_clock_come_round() {
        const ROUND: u64 = 1 << 32;
        for start_ms in [ROUND - 1, ROUND, 7 * ROUND - 30_000] {
            let mut keepalive = Keepalive::new(start_ms, 12_000);
            assert_eq!(keepalive.due_ms(start_ms, 30_000, 60_000), start_ms + 18_000);
            assert_eq!(keepalive.beat(start_ms - 1, 30_000, 60_000), Beat::Wait, "a time before");
            assert_eq!(keepalive.beat(start_ms + 18_000, 30_000, 60_000), Beat::Ping);
            assert_eq!(keepalive.beat(start_ms + 60_000, 30_000, 60_000), Beat::Dead);
            keepalive.heard(start_ms + 50_000);
            assert_eq!(keepalive.beat(start_ms + 60_000, 0, 60_000), Beat::Wait);
        }
        for now_us in [ROUND - 1, ROUND, 3 * ROUND] {
            let mut keepalive = Keepalive::new(0, 0);
            let payload = keepalive.pinged(now_us);
            let rtt_us = keepalive.ponged(&payload, now_us + 2_000).unwrap();
            assert!((1_999..=2_000).contains(&rtt_us), "{rtt_us}");
        }
    }
}
