//! How good one connection is, from its pings: mean round trip, its 95th percentile, jitter, and loss; and the class
//! that these make.
//!
//! Mean and jitter are those of RFC 6298 (section 2): smoothed with 1/8 and 1/4, so that the last dozen counts. The
//! percentile is exact by nearest rank over the last 20 to 39 round trips (all of them, while there are fewer): of each
//! block of 20 its two longest are enough. Loss is the part of the last [`PINGS_MAX`] pings that were not answered before
//! the next one left: a TCP stream loses nothing, it stands still.
//!
//! Invariant: 32 bytes, since there is one per connection.

use crate::metrics::QualityClass;

/// The window of the loss: more than 100, so that 1 % can be told from none.
const PINGS_MAX: u8 = 128;

/// Longer round trips, half an hour, are told as this.
const RTT_US_MAX: u32 = 1 << 31;

/// Round trips of a block: the longest but one of 20 to 39 is their 95th percentile.
const BLOCK: u8 = 20;

/// What is known of one connection's round trips.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// In microseconds; 0 until there is one.
    mean_us: u32,
    jitter: Coarse,
    /// The two longest of the block that is being filled, and of the one before; 0 where there is none.
    longest: [[Coarse; 2]; 2],
    /// Round trips in the block that is being filled: fewer than [`BLOCK`].
    in_block: u8,
    /// Pings that `lost` tells of.
    pings: u8,
    /// A bit for each ping of the window, the latest lowest: set if it was not answered. As bytes, because `u128` wants
    /// an alignment that a connection would have to pay for.
    lost: [u8; 16],
}

const _: () =
    assert!(size_of::<Quality>() <= 32 && align_of::<Quality>() <= 4, "there is one per connection");
const _: () = assert!(PINGS_MAX as u32 <= u128::BITS);

impl Quality {
    /// Nothing known.
    pub const fn new() -> Self {
        const NONE: Coarse = Coarse::NONE;
        Self { mean_us: 0, jitter: NONE, longest: [[NONE; 2]; 2], in_block: 0, pings: 0, lost: [0; 16] }
    }

    /// A ping was answered after this time.
    pub fn answered(&mut self, rtt_us: u64) {
        self.count_ping(false);
        // 0 stands for none; nothing is answered in no time.
        let rtt_us = rtt_us.clamp(1, RTT_US_MAX.into()) as u32;
        if self.mean_us == 0 {
            self.mean_us = rtt_us;
        } else {
            let off = i64::from(rtt_us) - i64::from(self.mean_us);
            self.jitter = Coarse::of(smoothed(self.jitter.us(), off.abs(), 4));
            self.mean_us = smoothed(self.mean_us, i64::from(rtt_us), 8).max(1);
        }
        self.rank(Coarse::of(rtt_us));
    }

    /// A ping was not answered before the next one is due.
    pub fn unanswered(&mut self) {
        self.count_ping(true);
    }

    /// Mean round trip in microseconds; `None` before the first.
    pub fn mean_us(&self) -> Option<u32> {
        (self.mean_us > 0).then_some(self.mean_us)
    }

    /// The 95th percentile of the latest round trips in microseconds, rounded up by less than a thousandth;
    /// `None` before the first.
    pub fn p95_us(&self) -> Option<u32> {
        self.mean_us()?;
        let [[first, second], [before_first, before_second]] = self.longest;
        let percentile = if before_first == Coarse::NONE {
            first
        } else {
            first.min(before_first).max(second).max(before_second)
        };
        Some(percentile.us())
    }

    /// How far round trips are from their mean, in microseconds; `None` before the first, 0 after it.
    pub fn jitter_us(&self) -> Option<u32> {
        self.mean_us().map(|_| self.jitter.us())
    }

    /// The part of the latest pings that were not answered, from 0 to 1.
    pub fn loss(&self) -> f64 {
        if self.pings == 0 { 0.0 } else { f64::from(self.lost_pings()) / f64::from(self.pings) }
    }

    fn lost_pings(&self) -> u32 {
        u128::from_ne_bytes(self.lost).count_ones()
    }

    fn count_ping(&mut self, is_lost: bool) {
        self.lost = (u128::from_ne_bytes(self.lost) << 1 | u128::from(is_lost)).to_ne_bytes();
        self.pings = PINGS_MAX.min(self.pings + 1);
    }

    fn rank(&mut self, rtt: Coarse) {
        let [first, second] = &mut self.longest[0];
        if rtt > *first {
            (*first, *second) = (rtt, *first);
        } else {
            *second = rtt.max(*second);
        }
        self.in_block += 1;
        if self.in_block == BLOCK {
            self.longest = [[Coarse::NONE; 2], self.longest[0]];
            self.in_block = 0;
        }
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self::new()
    }
}

/// An average moved towards a value by one part in `parts` of what is between them.
fn smoothed(mean: u32, value: i64, parts: i64) -> u32 {
    let mean = i64::from(mean);
    u32::try_from(mean + (value - mean) / parts).unwrap_or(u32::MAX)
}

/// A time in microseconds, rounded up to eleven binary digits: by less than a thousandth. Ordered as the times are.
/// Invariant: [`RTT_US_MAX`] at most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Coarse(u16);

impl Coarse {
    const NONE: Self = Self(0);
    const DIGITS: u32 = 11;

    /// Above the digits stands how far they were shifted: 21 places at most, for which the other five bits are enough.
    fn of(us: u32) -> Self {
        let shift = (u32::BITS - us.leading_zeros()).saturating_sub(Self::DIGITS);
        let digits = us.div_ceil(1 << shift);
        // Rounding up can make one digit more, the others being 0 then.
        let (shift, digits) =
            if digits < 1 << Self::DIGITS { (shift, digits) } else { (shift + 1, digits / 2) };
        Self((shift << Self::DIGITS | digits) as u16)
    }

    fn us(self) -> u32 {
        (u32::from(self.0) & ((1 << Self::DIGITS) - 1)) << (self.0 >> Self::DIGITS)
    }
}

/// Where the classes end. All are exclusive: a connection is in the first class of which it is below every limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QualityLimits {
    /// Mean round trip of an excellent connection, which has lost nothing.
    pub excellent_us: u32,
    pub good_us: u32,
    pub good_loss_percent: u32,
    pub fair_us: u32,
    pub fair_loss_percent: u32,
}

impl QualityLimits {
    /// The class of a connection; unknown until a first ping was answered or given up.
    pub fn class(&self, quality: &Quality) -> QualityClass {
        let Some(mean_us) = quality.mean_us() else {
            return if quality.pings == 0 { QualityClass::Unknown } else { QualityClass::Poor };
        };
        let (lost, pings) = (quality.lost_pings(), u32::from(quality.pings));
        let loses_less = |percent: u32| lost * 100 < percent * pings;
        if mean_us < self.excellent_us && lost == 0 {
            QualityClass::Excellent
        } else if mean_us < self.good_us && loses_less(self.good_loss_percent) {
            QualityClass::Good
        } else if mean_us < self.fair_us && loses_less(self.fair_loss_percent) {
            QualityClass::Fair
        } else {
            QualityClass::Poor
        }
    }
}

#[cfg(test)]
impl QualityLimits {
    /// The configuration's defaults: 50 ms and no loss, 150 ms and 1 %, 500 ms and 5 %.
    pub(crate) fn for_tests() -> Self {
        Self {
            excellent_us: 50_000,
            good_us: 150_000,
            good_loss_percent: 1,
            fair_us: 500_000,
            fair_loss_percent: 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rtts_us: &[u64]) -> Quality {
        let mut quality = Quality::new();
        rtts_us.iter().for_each(|&rtt_us| quality.answered(rtt_us));
        quality
    }

    #[test]
    fn nothing_is_known_before_the_first_ping_has_come_to_something() {
        let mut quality = Quality::new();
        assert_eq!((quality.mean_us(), quality.p95_us(), quality.jitter_us()), (None, None, None));
        assert_eq!(quality.loss(), 0.0);
        quality.unanswered();
        assert_eq!((quality.mean_us(), quality.loss()), (None, 1.0));
        quality.answered(0);
        assert_eq!((quality.mean_us(), quality.p95_us(), quality.jitter_us()), (Some(1), Some(1), Some(0)));
        assert_eq!(quality.loss(), 0.5);
    }

    /// RFC 6298 section 2.3, by hand.
    #[test]
    fn mean_and_jitter_are_smoothed() {
        let rows: [(&[u64], u32, u32); 5] = [
            (&[8_000], 8_000, 0),
            (&[8_000, 16_000], 9_000, 2_000),
            (&[8_000, 16_000, 1_000], 8_000, 3_500),
            (&[8_000, 8_000, 8_000], 8_000, 0),
            (&[u64::MAX, 1], 1_879_048_193, 1 << 29),
        ];
        for (rtts_us, mean_us, jitter_us) in rows {
            let quality = of(rtts_us);
            assert_eq!(
                (quality.mean_us(), quality.jitter_us()),
                (Some(mean_us), Some(jitter_us)),
                "{rtts_us:?}"
            );
        }
    }

    #[test]
    fn loss_is_of_the_last_128_pings() {
        let mut quality = Quality::new();
        (0..3).for_each(|_| quality.unanswered());
        (0..5).for_each(|_| quality.answered(1_000));
        assert_eq!(quality.loss(), 3.0 / 8.0);
        (0..120).for_each(|_| quality.answered(1_000));
        assert_eq!(quality.loss(), 3.0 / 128.0);
        for left in [2.0, 1.0, 0.0, 0.0] {
            quality.answered(1_000);
            assert_eq!(quality.loss(), left / 128.0);
        }
        (0..500).for_each(|_| quality.unanswered());
        assert_eq!(quality.loss(), 1.0);
    }

    #[test]
    fn classes_end_where_their_limits_say() {
        let limits = QualityLimits::for_tests();
        let class = |rtt_us: u64, lost: u32, pings: u32| {
            let mut quality = Quality::new();
            (0..lost).for_each(|_| quality.unanswered());
            (lost..pings).for_each(|_| quality.answered(rtt_us));
            limits.class(&quality)
        };
        let rows = [
            (0, 0, 0, QualityClass::Unknown),
            (0, 1, 1, QualityClass::Poor),
            (49_999, 0, 1, QualityClass::Excellent),
            (50_000, 0, 1, QualityClass::Good),
            (149_999, 0, 128, QualityClass::Good),
            (150_000, 0, 128, QualityClass::Fair),
            (499_999, 0, 1, QualityClass::Fair),
            (500_000, 0, 1, QualityClass::Poor),
            (1_000, 1, 128, QualityClass::Good),
            (1_000, 1, 101, QualityClass::Good),
            (1_000, 1, 100, QualityClass::Fair),
            (1_000, 6, 128, QualityClass::Fair),
            (1_000, 7, 128, QualityClass::Poor),
            (1_000, 1, 20, QualityClass::Poor),
            (1_000, 1, 21, QualityClass::Fair),
        ];
        for (rtt_us, lost, pings, expected) in rows {
            assert_eq!(class(rtt_us, lost, pings), expected, "{rtt_us} us, {lost} of {pings} lost");
        }
    }

    #[test]
    fn coarse_times_keep_their_order_and_are_less_than_a_thousandth_too_long() {
        let mut last = Coarse::NONE;
        for us in (0..5_000).chain((5_000..RTT_US_MAX).step_by(262_139)).chain([RTT_US_MAX - 1, RTT_US_MAX]) {
            let coarse = Coarse::of(us);
            assert!(coarse >= last, "{us}");
            assert!(coarse.us() >= us && coarse.us() - us <= us / 1_000, "{us}: {}", coarse.us());
            assert_eq!(Coarse::of(coarse.us()), coarse);
            last = coarse;
        }
    }

    proptest! {
        /// As a full sort has it, over the last 20 to 39.
        #[test]
        fn the_95th_percentile_is_exact(rtts_us in prop::collection::vec(1_u64..2_048, 1..130)) {
            let mut quality = Quality::new();
            for end in 1..=rtts_us.len() {
                quality.answered(rtts_us[end - 1]);
                let span = if end < 20 { end } else { 20 + end % 20 };
                let mut sorted = rtts_us[end - span..end].to_vec();
                sorted.sort_unstable();
                let rank = (span * 95).div_ceil(100);
                prop_assert_eq!(quality.p95_us().map(u64::from), Some(sorted[rank - 1]), "of {}", span);
            }
        }
    }
}
