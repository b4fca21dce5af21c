//! How many WebSockets an address has on the node, and how many it has opened lately: the true numbers, of the addresses whose
//! home this shard is. An address is an IPv4 address or an IPv6 /64.
//!
//! Every shard asks before an upgrade, and says when a connection that was let in has gone, so that the number of open ones
//! is exact. How many were opened lately is forgotten early for addresses beyond [`Recent::KEYS_MAX`], which is counted.
//!
//! Invariant: an address is in `open` exactly as long as it has open connections.

use crate::{
    base::{HashSeed, Map, PeerBlock, Rate, Recent, map_with_seed, recall_ms},
    metrics::RateLimit,
};

/// What one address may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddressLimits {
    /// Open WebSockets; 0 is no limit.
    pub open: u32,
    /// WebSockets opened; a minute's worth at once.
    pub opened: Rate<60_000>,
}

impl AddressLimits {
    /// Whether addresses are limited at all.
    pub fn is_none(&self) -> bool {
        self.open == 0 && self.opened.is_none()
    }
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressLimit {
    Open,
    Opened,
}

impl AddressLimit {
    /// How it is counted.
    pub fn label(self) -> RateLimit {
        match self {
            Self::Open => RateLimit::ConnectionsPerIp,
            Self::Opened => RateLimit::ConnectsPerIp,
        }
    }
}

/// An address has what it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressFull {
    pub limit: AddressLimit,
    /// When to try again, in milliseconds; for open connections nobody can know.
    pub retry_after_ms: u64,
}

/// A guess of how soon one of an address's connections may have gone, in milliseconds.
const RETRY_MS: u64 = 10_000;

/// The addresses of one home shard.
#[derive(Debug)]
pub struct Addresses {
    open: Map<PeerBlock, u32>,
    opened: Recent<PeerBlock, Opened>,
}

/// How many connections were opened lately.
#[derive(Debug)]
struct Opened {
    /// When `level` was right: the low half of monotonic milliseconds.
    at_ms: u32,
    level: u32,
}

impl Addresses {
    /// No addresses; allocates nothing.
    pub fn new(hash: HashSeed) -> Self {
        Self { open: map_with_seed(hash), opened: Recent::new(hash) }
    }

    /// Lets a connection in, which is to [leave](Self::leave).
    ///
    /// # Errors
    /// When the address has what it may have; nothing is counted then.
    pub fn enter(&mut self, peer: PeerBlock, limits: &AddressLimits, now_ms: u64) -> Result<(), AddressFull> {
        let open = self.open.get(&peer).copied().unwrap_or(0);
        if limits.open > 0 && open >= limits.open {
            return Err(AddressFull { limit: AddressLimit::Open, retry_after_ms: RETRY_MS });
        }
        if !limits.opened.is_none() {
            let new = || Opened { at_ms: now_ms as u32, level: 0 };
            let opened = self.opened.entry(peer, now_ms, PERIOD_MS, new);
            let drained = limits.opened.drained(recall_ms(opened.at_ms, now_ms), now_ms);
            opened.at_ms = now_ms as u32;
            opened.level = opened.level.saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX));
            let over = (u64::from(opened.level) + 1).saturating_sub(u64::from(limits.opened.per_window()));
            if over > 0 {
                let retry_after_ms = limits.opened.wait_ms(over, now_ms);
                return Err(AddressFull { limit: AddressLimit::Opened, retry_after_ms });
            }
            opened.level += 1;
        }
        self.open.insert(peer, open + 1);
        Ok(())
    }

    /// A connection that was let in has gone.
    pub fn leave(&mut self, peer: PeerBlock) {
        let Some(open) = self.open.get_mut(&peer) else { return };
        *open -= 1;
        if *open == 0 {
            self.open.remove(&peer);
        }
    }

    /// Addresses whose openings were forgotten early.
    pub fn crowded_out(&self) -> u64 {
        self.opened.crowded_out()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

/// After so long a bucket is full again, whatever was taken out of it.
const PERIOD_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        net::{IpAddr, Ipv4Addr},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::base::Prng;

    fn peer(number: u32) -> PeerBlock {
        PeerBlock::from(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    fn limits(open: u32, opened: u32) -> AddressLimits {
        AddressLimits { open, opened: Rate::new(opened) }
    }

    #[test]
    fn so_many_open_and_so_many_in_a_minute() {
        let mut addresses = Addresses::new(HashSeed::new(1));
        let full = |limit, retry_after_ms| Err(AddressFull { limit, retry_after_ms });
        let limits = limits(2, 3);
        let steps =
            [(1, 0, Ok(())), (1, 0, Ok(())), (1, 0, full(AddressLimit::Open, 10_000)), (2, 0, Ok(()))];
        for (number, now_ms, expected) in steps {
            assert_eq!(addresses.enter(peer(number), &limits, now_ms), expected, "{number} at {now_ms}");
        }
        addresses.leave(peer(1));
        assert_eq!(addresses.enter(peer(1), &limits, 0), Ok(()));
        addresses.leave(peer(1));
        assert_eq!(addresses.enter(peer(1), &limits, 0), full(AddressLimit::Opened, 20_000));
        assert_eq!(addresses.enter(peer(1), &limits, 19_999), full(AddressLimit::Opened, 1));
        assert_eq!(addresses.enter(peer(1), &limits, 20_000), Ok(()));
        [1, 1, 2].into_iter().for_each(|number| addresses.leave(peer(number)));
        assert!(addresses.is_empty());
        addresses.leave(peer(7));
    }

    proptest! {
        /// Against a list of what is open.
        #[test]
        fn open_connections_are_counted_exactly(seed: u64, most in 1..5_u32) {
            let mut prng = Prng::new(seed);
            let mut addresses = Addresses::new(HashSeed::new(seed));
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            for step in 0..500 {
                let number = prng.below(6) as u32;
                let open = model.entry(number).or_default();
                if prng.below(3) == 0 && *open > 0 {
                    addresses.leave(peer(number));
                    *open -= 1;
                } else {
                    let entered = addresses.enter(peer(number), &limits(most, 0), step).is_ok();
                    prop_assert_eq!(entered, *open < most);
                    *open += u32::from(entered);
                }
            }
            prop_assert_eq!(addresses.open.len(), model.values().filter(|open| **open > 0).count());
        }
    }
}
