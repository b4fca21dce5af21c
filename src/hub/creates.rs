//! How many rooms may be created from one address in a minute, as one home shard sees it.
//!
//! A home counts what it creates itself, because only it knows which joins create. So an address gets at least the
//! limit, and at most the limit times the number of shards, when it spreads its rooms' names over all homes.
//!
//! Invariants: at most [`PEERS_MAX`] addresses are kept; one whose bucket is full again need not be.

use crate::base::{
    PeerBlock,
    hash::{HashSeed, Map, map_with_seed},
};

/// Addresses that are remembered. With so many of them creating rooms within a minute, further ones have to wait.
const PEERS_MAX: usize = 64 * 1024;

const MINUTE_US: u64 = 60_000_000;

/// How often the table is searched for addresses that may be forgotten, at most.
const SWEEP_US: u64 = 1_000_000;

/// A token bucket for each address: it holds a minute's worth and fills at an even pace.
#[derive(Debug)]
pub(super) struct Creates {
    /// Time in which one more room may be created; `None`: no limit.
    pace_us: Option<u64>,
    /// When each bucket is full again.
    full_us: Map<PeerBlock, u64>,
    swept_us: u64,
}

impl Creates {
    /// `per_min` rooms in a minute; 0 is no limit.
    pub(super) fn new(per_min: u32, hash: HashSeed) -> Self {
        let mut creates = Self { pace_us: None, full_us: map_with_seed(hash), swept_us: 0 };
        creates.limit(per_min);
        creates
    }

    /// From now on it is `per_min` rooms in a minute; 0 is no limit.
    pub(super) fn limit(&mut self, per_min: u32) {
        self.pace_us = MINUTE_US.checked_div(u64::from(per_min)).map(|pace_us| pace_us.max(1));
    }

    /// Counts a room that is created from `peer`.
    ///
    /// # Errors
    /// In how many milliseconds it may be created, when it may not be now; nothing is counted then.
    pub(super) fn admit(&mut self, peer: PeerBlock, now_us: u64) -> Result<(), u64> {
        let Some(pace_us) = self.pace_us else { return Ok(()) };
        if !self.full_us.contains_key(&peer) && !self.has_place(now_us) {
            return Err(SWEEP_US / 1_000);
        }
        let full_us = self.full_us.entry(peer).or_insert(now_us);
        let next_us = (*full_us).max(now_us) + pace_us;
        let late_us = next_us.saturating_sub(now_us + MINUTE_US);
        if late_us > 0 {
            return Err(late_us.div_ceil(1_000));
        }
        *full_us = next_us;
        Ok(())
    }

    fn has_place(&mut self, now_us: u64) -> bool {
        if self.full_us.len() >= PEERS_MAX && now_us >= self.swept_us + SWEEP_US {
            self.swept_us = now_us;
            self.full_us.retain(|_, full_us| *full_us > now_us);
        }
        self.full_us.len() < PEERS_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const START_US: u64 = 500_000_000;

    fn peer(number: u32) -> PeerBlock {
        PeerBlock::from(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_minutes_worth_at_once_then_at_an_even_pace() {
        let mut creates = Creates::new(10, HashSeed::new(1));
        let mut now_us = START_US;
        for _ in 0..10 {
            assert_eq!(creates.admit(peer(1), now_us), Ok(()));
        }
        assert_eq!(creates.admit(peer(1), now_us), Err(6_000));
        assert_eq!(creates.admit(peer(2), now_us), Ok(()), "another address");
        now_us += 5_999_001;
        assert_eq!(creates.admit(peer(1), now_us), Err(1), "rounded up, so that it then holds");
        now_us += 1_000;
        assert_eq!(creates.admit(peer(1), now_us), Ok(()));
        assert_eq!(creates.admit(peer(1), now_us), Err(6_000));
        now_us += MINUTE_US;
        assert_eq!((0..20).filter(|_| creates.admit(peer(1), now_us).is_ok()).count(), 10);
    }

    #[test]
    fn whatever_the_pace_an_hour_holds_what_it_may() {
        for per_min in [1, 7, 60, 1_000, 1_000_000] {
            let mut creates = Creates::new(per_min, HashSeed::new(1));
            let hour = (0..=60).map(|minute| START_US + minute * MINUTE_US);
            let admitted = hour.flat_map(|now_us| (0..2 * per_min.min(2_000)).map(move |_| now_us));
            let admitted = admitted.filter(|now_us| creates.admit(peer(1), *now_us).is_ok()).count();
            let expected = if per_min > 2_000 { 4_000 } else { per_min as usize };
            assert_eq!(admitted, 61 * expected, "{per_min}");
        }
    }

    #[test]
    fn no_limit_keeps_nothing() {
        let mut creates = Creates::new(0, HashSeed::new(1));
        assert!((0..1_000).all(|_| creates.admit(peer(1), START_US).is_ok()));
        assert!(creates.full_us.is_empty());
    }

    #[test]
    fn addresses_are_bounded_and_forgotten_when_they_may_begin_anew() {
        let mut creates = Creates::new(10, HashSeed::new(1));
        for number in 0..PEERS_MAX as u32 {
            assert_eq!(creates.admit(peer(number), START_US), Ok(()));
        }
        let newcomer = peer(PEERS_MAX as u32);
        assert_eq!(creates.admit(newcomer, START_US), Err(1_000), "no place");
        assert_eq!(creates.admit(peer(7), START_US), Ok(()), "but for those who have one");
        assert_eq!(creates.admit(newcomer, START_US + 6_000_000), Ok(()));
        assert_eq!(creates.full_us.len(), 2, "the one who came twice, and the newcomer");
    }
}
