//! So much in each window of time: how much of a level drains, and how long that takes.
//!
//! A token bucket is kept as what has been used up of it, a level, which drains at the rate. What drains between two times
//! is the difference of two whole numbers that depend on the clock alone, so that nothing is won or lost by how often a
//! level is looked at.
//!
//! A level's time may be kept as the low half of the clock's milliseconds: one that nobody has looked at for 49 days is
//! drained too little.

/// So much in `WINDOW_MS` milliseconds, at an even pace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rate<const WINDOW_MS: u64>(u32);

impl<const WINDOW_MS: u64> Rate<WINDOW_MS> {
    /// `per_window` in each window; 0 is no limit.
    pub const fn new(per_window: u32) -> Self {
        Self(per_window)
    }

    /// How much in a window; 0 is no limit.
    pub const fn per_window(self) -> u32 {
        self.0
    }

    /// Whether there is no limit.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// What drains between two times in milliseconds. Over times that follow each other it adds up exactly.
    #[inline]
    pub fn drained(self, from_ms: u64, to_ms: u64) -> u64 {
        self.until(to_ms).saturating_sub(self.until(from_ms))
    }

    /// In how many milliseconds `amount` will have drained; never, where nothing drains.
    pub fn wait_ms(self, amount: u64, now_ms: u64) -> u64 {
        let per_window = u64::from(self.0);
        let target = self.until(now_ms).saturating_add(amount);
        let Some(windows) = target.checked_div(per_window) else { return u64::MAX };
        let rest_ms = (target % per_window * WINDOW_MS).div_ceil(per_window);
        windows.saturating_mul(WINDOW_MS).saturating_add(rest_ms).saturating_sub(now_ms)
    }

    /// What has drained by then since the clock began.
    #[inline]
    fn until(self, at_ms: u64) -> u64 {
        let per_window = u64::from(self.0);
        at_ms / WINDOW_MS * per_window + at_ms % WINDOW_MS * per_window / WINDOW_MS
    }
}

/// The time whose low half this is: the last one that is not yet to come.
#[inline]
pub fn recall_ms(low_ms: u32, now_ms: u64) -> u64 {
    now_ms.saturating_sub(u64::from((now_ms as u32).wrapping_sub(low_ms)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_drains_and_how_long_it_takes() {
        let rate = Rate::<10_000>::new(200);
        let rows = [(0, 49, 0), (0, 50, 1), (49, 50, 1), (50, 99, 0), (0, 10_000, 200), (99, 60_099, 1_200)];
        for (from_ms, to_ms, drained) in rows {
            assert_eq!(rate.drained(from_ms, to_ms), drained, "{from_ms}..{to_ms}");
        }
        for (amount, now_ms, wait_ms) in
            [(0, 7, 0), (1, 0, 50), (1, 49, 1), (200, 30, 9_970), (201, 0, 10_050)]
        {
            assert_eq!(rate.wait_ms(amount, now_ms), wait_ms, "{amount} at {now_ms}");
        }
        assert_eq!(
            (Rate::<1_000>::new(0).drained(0, 1 << 40), Rate::<1_000>::new(0).wait_ms(1, 0)),
            (0, u64::MAX)
        );
    }

    #[test]
    fn a_time_comes_back_from_its_low_half() {
        for now_ms in [0, 1_000, u64::from(u32::MAX), 1 << 32, (7 << 32) + 5] {
            for ago_ms in [0, 1, 1_000, u64::from(u32::MAX)] {
                let then_ms = now_ms.saturating_sub(ago_ms);
                assert_eq!(recall_ms(then_ms as u32, now_ms), then_ms, "{now_ms} - {ago_ms}");
            }
        }
    }

    proptest! {
        /// However a time is cut, the parts drain what the whole does, which is the rate within one.
        #[test]
        fn parts_add_up(per_window in 1..u32::MAX, start_ms in 0..1_u64 << 42, steps in prop::collection::vec(0..90_000_u64, 0..40)) {
            let rate = Rate::<10_000>::new(per_window);
            let mut at_ms = start_ms;
            let mut drained = 0;
            for step_ms in steps {
                drained += rate.drained(at_ms, at_ms + step_ms);
                at_ms += step_ms;
            }
            prop_assert_eq!(drained, rate.drained(start_ms, at_ms));
            let exact = u128::from(at_ms - start_ms) * u128::from(per_window) / 10_000;
            prop_assert!(u128::from(drained).abs_diff(exact) <= 1);
        }

        /// After the wait it has drained, and a millisecond before it had not.
        #[test]
        fn a_wait_is_as_long_as_it_must_be(per_window in 1..u32::MAX, now_ms in 0..1_u64 << 41, amount in 1..1_u64 << 33) {
            let rate = Rate::<1_000>::new(per_window);
            let end_ms = now_ms + rate.wait_ms(amount, now_ms);
            prop_assert!(rate.drained(now_ms, end_ms) >= amount);
            prop_assert!(rate.drained(now_ms, end_ms - 1) < amount);
        }
    }
}
