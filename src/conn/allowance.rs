//! What one connection may still send: messages and bytes in ten seconds, and how often it may be refused before it is
//! closed.
//!
//! Each is a token bucket that holds a window's worth, kept as what has been used up of it. Whatever is refused uses up
//! nothing. Kept beside the connection, and only while messages are limited.
//!
//! Invariant: 24 bytes, since there is one per connection.

use crate::{
    base::{Rate, recall_ms},
    hub::PurseId,
    metrics::RateLimit,
};

/// What every connection may send. A rate of none is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageLimits {
    pub messages: Rate<10_000>,
    /// Of messages as they are after inflation.
    pub bytes: Rate<10_000>,
    /// Messages that may be refused before the connection is closed.
    pub refusals: Rate<60_000>,
}

/// Which limit stands in a message's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageLimit {
    Messages,
    Bytes,
    /// That of all connections of the user.
    User,
    /// That of all connections of the tenant.
    Tenant,
}

impl MessageLimit {
    /// How it is counted.
    pub fn label(self) -> RateLimit {
        match self {
            Self::Messages => RateLimit::Messages,
            Self::Bytes => RateLimit::Bytes,
            Self::User => RateLimit::UserMessages,
            Self::Tenant => RateLimit::TenantMessages,
        }
    }
}

/// A message is over a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Excess {
    pub limit: MessageLimit,
    /// When it would pass.
    pub retry_after_ms: u64,
}

/// What one connection has used up, and in whose purses it reaches.
#[derive(Debug)]
pub struct Allowance {
    /// When the levels below were right: the low half of monotonic milliseconds.
    at_ms: u32,
    messages: u32,
    bytes: u32,
    refusals: u32,
    pub user: Option<PurseId>,
    pub tenant: Option<PurseId>,
}

const _: () = assert!(size_of::<Allowance>() <= 24, "there is one per connection");

impl Allowance {
    /// Nothing used up.
    pub const fn new() -> Self {
        Self { at_ms: 0, messages: 0, bytes: 0, refusals: 0, user: None, tenant: None }
    }

    /// Whether a message of so many bytes may pass; it uses up nothing until it is [taken](Self::take). One that is longer
    /// than all that the connection may send passes when nothing is used up, and is paid for afterwards.
    #[inline]
    pub fn check(&mut self, limits: &MessageLimits, bytes: u32, now_ms: u64) -> Result<(), Excess> {
        self.drain(limits, now_ms);
        fits(limits.messages, self.messages, 1, now_ms)
            .map_err(|retry_after_ms| Excess { limit: MessageLimit::Messages, retry_after_ms })?;
        fits(limits.bytes, self.bytes, bytes, now_ms)
            .map_err(|retry_after_ms| Excess { limit: MessageLimit::Bytes, retry_after_ms })
    }

    /// A message that may pass does.
    #[inline]
    pub fn take(&mut self, limits: &MessageLimits, bytes: u32) {
        if !limits.messages.is_none() {
            self.messages = self.messages.saturating_add(1);
        }
        if !limits.bytes.is_none() {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// A message was refused that the connection, or its user, is to blame for; whether that was once too often.
    pub fn refuse(&mut self, limits: &MessageLimits, now_ms: u64) -> bool {
        self.drain(limits, now_ms);
        if limits.refusals.is_none() {
            return false;
        }
        self.refusals = self.refusals.saturating_add(1);
        self.refusals > limits.refusals.per_window()
    }

    #[inline]
    fn drain(&mut self, limits: &MessageLimits, now_ms: u64) {
        if self.at_ms == now_ms as u32 {
            return;
        }
        let from_ms = recall_ms(self.at_ms, now_ms);
        self.at_ms = now_ms as u32;
        drain(&mut self.messages, limits.messages.drained(from_ms, now_ms));
        drain(&mut self.bytes, limits.bytes.drained(from_ms, now_ms));
        if self.refusals > 0 {
            drain(&mut self.refusals, limits.refusals.drained(from_ms, now_ms));
        }
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}

#[inline]
fn drain(level: &mut u32, drained: u64) {
    *level = level.saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX));
}

/// Whether so much more fits, or in how many milliseconds it will.
#[inline]
fn fits(rate: Rate<10_000>, level: u32, more: u32, now_ms: u64) -> Result<(), u64> {
    let over = (u64::from(level) + u64::from(more)).saturating_sub(u64::from(rate.per_window()));
    if over == 0 || level == 0 || rate.is_none() {
        return Ok(());
    }
    Err(rate.wait_ms(over.min(u64::from(level)), now_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Prng;

    fn limits(messages: u32, bytes: u32, refusals: u32) -> MessageLimits {
        MessageLimits {
            messages: Rate::new(messages),
            bytes: Rate::new(bytes),
            refusals: Rate::new(refusals),
        }
    }

    fn send(
        allowance: &mut Allowance,
        limits: &MessageLimits,
        bytes: u32,
        now_ms: u64,
    ) -> Result<(), Excess> {
        allowance.check(limits, bytes, now_ms)?;
        allowance.take(limits, bytes);
        Ok(())
    }

    #[test]
    fn a_windows_worth_at_once_then_at_an_even_pace() {
        let rows = [
            (limits(200, 0, 0), 10, 200, MessageLimit::Messages, 50),
            (limits(0, 1_000, 0), 10, 100, MessageLimit::Bytes, 100),
            (limits(200, 1_000, 0), 10, 100, MessageLimit::Bytes, 100),
            (limits(1, 1_000, 0), 1, 1, MessageLimit::Messages, 10_000),
        ];
        for (limits, bytes, at_once, limit, retry_after_ms) in rows {
            let mut allowance = Allowance::new();
            let now_ms = 7_000_000;
            for number in 0..at_once {
                assert_eq!(send(&mut allowance, &limits, bytes, now_ms), Ok(()), "{limits:?}: {number}");
            }
            let excess = Err(Excess { limit, retry_after_ms });
            assert_eq!(send(&mut allowance, &limits, bytes, now_ms), excess, "{limits:?}");
            assert_eq!(
                send(&mut allowance, &limits, bytes, now_ms),
                excess,
                "what is refused uses up nothing"
            );
            let early_ms = now_ms + retry_after_ms - 1;
            assert!(send(&mut allowance, &limits, bytes, early_ms).is_err(), "{limits:?}");
            assert_eq!(send(&mut allowance, &limits, bytes, early_ms + 1), Ok(()), "{limits:?}");
            let later_ms = now_ms + 3_600_000;
            let passed = (0..2 * at_once).filter(|_| send(&mut allowance, &limits, bytes, later_ms).is_ok());
            assert_eq!(passed.count(), at_once, "{limits:?}: no more than a window is saved up");
        }
    }

    #[test]
    fn no_limit_uses_up_nothing() {
        let (limits, mut allowance) = (limits(0, 0, 0), Allowance::new());
        assert!((0..1_000).all(|_| send(&mut allowance, &limits, u32::MAX, 7).is_ok()));
        assert!((0..1_000).all(|_| !allowance.refuse(&limits, 7)));
        assert_eq!((allowance.messages, allowance.bytes, allowance.refusals), (0, 0, 0));
    }

    #[test]
    fn one_that_is_longer_than_all_is_paid_for_afterwards() {
        let (limits, mut allowance) = (limits(0, 1_000, 0), Allowance::new());
        assert_eq!(send(&mut allowance, &limits, 3_000, 0), Ok(()));
        let excess = |retry_after_ms| Err(Excess { limit: MessageLimit::Bytes, retry_after_ms });
        assert_eq!(send(&mut allowance, &limits, 10, 0), excess(20_100));
        assert_eq!(send(&mut allowance, &limits, 3_000, 0), excess(30_000));
        assert_eq!(send(&mut allowance, &limits, 10, 20_100), Ok(()));
        assert_eq!(send(&mut allowance, &limits, 3_000, 30_200), Ok(()));
    }

    #[test]
    fn refused_once_too_often() {
        let (limits, mut allowance) = (limits(1, 0, 3), Allowance::new());
        assert_eq!([(); 4].map(|()| allowance.refuse(&limits, 5_000)), [false, false, false, true]);
        assert!(!allowance.refuse(&limits, 45_000), "two have been forgotten");
        assert!(allowance.refuse(&limits, 45_000));
    }

    #[test]
    fn a_limit_that_changes_counts_what_was_used_up_before() {
        let (before, after, mut allowance) = (limits(200, 0, 0), limits(50, 0, 0), Allowance::new());
        assert!((0..200).all(|_| send(&mut allowance, &before, 1, 0).is_ok()));
        assert!(send(&mut allowance, &after, 1, 29_000).is_err());
        assert!(send(&mut allowance, &after, 1, 31_000).is_ok());
    }

    proptest! {
        /// Over any time no more passes than a window's worth and what drains meanwhile, and whoever always wants more gets
        /// exactly that.
        #[test]
        fn never_more_than_the_limit_and_never_less(seed: u64, messages in 1..400_u32, bytes in 64..100_000_u32) {
            let limits = limits(messages, bytes, 0);
            let mut prng = Prng::new(seed);
            let start_ms = prng.below(1 << 33);
            let (mut allowance, mut now_ms) = (Allowance::new(), start_ms);
            let (mut passed, mut passed_bytes) = (0_u64, 0_u64);
            for _ in 0..2_000 {
                now_ms += prng.below(40);
                let length = 1 + prng.below(64) as u32;
                match send(&mut allowance, &limits, length, now_ms) {
                    Ok(()) => {
                        passed += 1;
                        passed_bytes += u64::from(length);
                    }
                    Err(excess) => {
                        // It says the truth.
                        prop_assert!(allowance.check(&limits, length, now_ms + excess.retry_after_ms - 1).is_err());
                        let at_ms = now_ms + excess.retry_after_ms;
                        if let Err(next) = allowance.check(&limits, length, at_ms) {
                            prop_assert!(next.limit != excess.limit, "{:?} after {:?}", next, excess);
                        }
                        now_ms = at_ms;
                    }
                }
                prop_assert!(passed <= u64::from(messages) + limits.messages.drained(start_ms, now_ms));
                prop_assert!(passed_bytes <= u64::from(bytes) + limits.bytes.drained(start_ms, now_ms));
            }
            let mut greedy = Allowance::new();
            let only_messages = MessageLimits { bytes: Rate::new(0), ..limits };
            let granted = (start_ms..start_ms + 20_000).flat_map(|now_ms| [now_ms; 3]);
            let granted = granted.filter(|now_ms| send(&mut greedy, &only_messages, 1, *now_ms).is_ok()).count();
            let drained = limits.messages.drained(start_ms, start_ms + 19_999);
            prop_assert_eq!(granted as u64, u64::from(messages) + drained);
        }
    }
}
