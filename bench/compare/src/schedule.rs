//! When each message is due: message `i` of all at `start + i / rate`, publishers taking turns.
//!
//! The due time follows from publisher and sequence number, so that no payload carries a time. Latency counts from
//! it, whenever the message was really written: a late generator or server hides nothing.

use crate::payload::Stamp;

const FRACTION_BITS: u32 = 16;

/// An even rate over a number of publishers. Times in ns of the run's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start_ns: u64,
    /// Fixed point.
    interval: u64,
    publishers: u32,
    messages: u64,
}

impl Schedule {
    /// `rate_per_s` over all publishers, for as long as `duration_ns`.
    pub(crate) fn new(start_ns: u64, rate_per_s: u32, publishers: u32, duration_ns: u64) -> Self {
        let interval = (1_000_000_000 << FRACTION_BITS) / u64::from(rate_per_s);
        let messages = duration_ns / 1_000 * u64::from(rate_per_s) / 1_000_000;
        Self { start_ns, interval, publishers, messages }
    }

    /// How many messages there are in all.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// When the message with this number is due; `None` behind the last.
    #[inline]
    pub(crate) fn due_ns(&self, number: u64) -> Option<u64> {
        (number < self.messages).then(|| self.time_of(number))
    }

    /// Who publishes it.
    #[inline]
    pub(crate) fn stamp(&self, number: u64) -> Stamp {
        let publishers = u64::from(self.publishers);
        Stamp { publisher: (number % publishers) as u16, sequence: (number / publishers) as u32 }
    }

    /// When a message that has arrived was due.
    #[inline]
    pub(crate) fn due_ns_of(&self, stamp: Stamp) -> u64 {
        self.time_of(u64::from(stamp.sequence) * u64::from(self.publishers) + u64::from(stamp.publisher))
    }

    #[inline]
    fn time_of(&self, number: u64) -> u64 {
        self.start_ns + (number.wrapping_mul(self.interval) >> FRACTION_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_from_its_stamp() {
        for (rate, publishers) in [(100, 1), (1_500, 10), (4_000, 500), (25_000, 10)] {
            let schedule = Schedule::new(7_000, rate, publishers, 2_000_000_000);
            assert_eq!(schedule.messages(), u64::from(rate) * 2);
            for number in 0..schedule.messages() {
                assert_eq!(schedule.due_ns(number), Some(schedule.due_ns_of(schedule.stamp(number))));
            }
            assert_eq!(schedule.due_ns(schedule.messages()), None);
        }
    }

    #[test]
    fn the_rate_is_even_and_does_not_drift() {
        let schedule = Schedule::new(0, 6_000, 10, 600_000_000_000);
        assert_eq!(schedule.due_ns(0), Some(0));
        assert_eq!(schedule.due_ns(1), Some(166_666));
        let last = schedule.due_ns(3_599_999).unwrap();
        assert!(last.abs_diff(599_999_833_333) < 1_000, "{last}");
    }

    #[test]
    fn publishers_take_turns() {
        let schedule = Schedule::new(0, 10, 3, 1_000_000_000);
        let turns: Vec<_> =
            (0..5).map(|it| schedule.stamp(it)).map(|it| (it.publisher, it.sequence)).collect();
        assert_eq!(turns, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
    }
}
