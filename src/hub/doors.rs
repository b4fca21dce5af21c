//! Who is turned away at the door: addresses that are so far over their limits that not even a request of theirs is read, as one
//! shard sees it. An address is an IPv4 address or an IPv6 /64.
//!
//! A shard counts connections of any kind: open ones, new ones, upgrades that were refused for the address's limits, and
//! WebSockets that were closed for their rate. Twice of what the address may have on the whole node is far over, and so are
//! [`REFUSALS_PER_MIN`] of the two last. Its
//! next connections are closed as they come, which costs next to nothing, until it is not far over any more.
//!
//! Invariants: an address is in `open` exactly as long as it has open connections here; what else is known of addresses is
//! of [`Recent::KEYS_MAX`] of them twice at most, and what was forgotten early is counted.

use super::addresses::{AddressLimit, AddressLimits};
use crate::base::{HashSeed, Map, PeerBlock, Rate, Recent, map_with_seed, recall_ms};

/// How many times as much as it may have makes an address far over.
const FAR: u32 = 2;

/// Refused upgrades in a minute after which an address's connections are closed unheard. One in four seconds is still told
/// why.
const REFUSALS_PER_MIN: Rate<60_000> = Rate::new(16);

/// WebSockets closed for their rate count as refused upgrades, and up to so many of them are remembered: all that an address may have
/// open can be closed at once, and would come back at once. So an address is far over for three minutes at most for them.
const TURNED_OUT_MAX: u32 = 4 * REFUSALS_PER_MIN.per_window();

const PERIOD_MS: u64 = 60_000;

/// What one shard knows of addresses.
#[derive(Debug)]
pub struct Doors {
    open: Map<PeerBlock, u32>,
    recent: Recent<PeerBlock, Visits>,
}

#[derive(Debug, Default)]
struct Visits {
    /// When the levels were right: the low half of monotonic milliseconds.
    at_ms: u32,
    opened: u32,
    refused: u32,
}

impl Visits {
    fn is_unwelcome(&self) -> bool {
        self.refused >= REFUSALS_PER_MIN.per_window()
    }
}

impl Doors {
    /// Nobody is known; allocates nothing.
    pub fn new(hash: HashSeed) -> Self {
        Self { open: map_with_seed(hash), recent: Recent::new(hash) }
    }

    /// Somebody has come.
    ///
    /// # Errors
    /// The limit that the address is far over: its connection is to be closed.
    pub fn knock(
        &mut self,
        peer: PeerBlock,
        limits: &AddressLimits,
        now_ms: u64,
    ) -> Result<(), AddressLimit> {
        let open = self.open.get(&peer).copied().unwrap_or(0);
        if limits.open > 0 && open >= limits.open.saturating_mul(FAR) {
            return Err(AddressLimit::Open);
        }
        let visits = self.visits(peer, limits, now_ms);
        let opened_max = limits.opened.per_window().saturating_mul(FAR);
        if visits.is_unwelcome() || (opened_max > 0 && visits.opened >= opened_max) {
            return Err(AddressLimit::Opened);
        }
        visits.opened += 1;
        Ok(())
    }

    /// Whether the address was refused or turned out too often: for clients of a proxy, whose connections are not theirs
    /// to close.
    pub fn is_unwelcome(&mut self, peer: PeerBlock, limits: &AddressLimits, now_ms: u64) -> bool {
        self.visits(peer, limits, now_ms).is_unwelcome()
    }

    /// A connection of the address is open here.
    pub fn enter(&mut self, peer: PeerBlock) {
        *self.open.entry(peer).or_default() += 1;
    }

    /// One that was open has gone.
    pub fn leave(&mut self, peer: PeerBlock) {
        let Some(open) = self.open.get_mut(&peer) else { return };
        *open -= 1;
        if *open == 0 {
            self.open.remove(&peer);
        }
    }

    /// An upgrade was refused for the address's limits.
    pub fn refused(&mut self, peer: PeerBlock, limits: &AddressLimits, now_ms: u64) {
        let visits = self.visits(peer, limits, now_ms);
        if visits.refused < REFUSALS_PER_MIN.per_window() {
            visits.refused += 1;
        }
    }

    /// A WebSocket of the address was closed because it sent too much.
    pub fn turned_out(&mut self, peer: PeerBlock, limits: &AddressLimits, now_ms: u64) {
        let visits = self.visits(peer, limits, now_ms);
        visits.refused = (visits.refused + 1).min(TURNED_OUT_MAX);
    }

    /// Addresses that were forgotten early.
    pub fn crowded_out(&self) -> u64 {
        self.recent.crowded_out()
    }

    /// Whether nobody is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn visits(&mut self, peer: PeerBlock, limits: &AddressLimits, now_ms: u64) -> &mut Visits {
        let visits = self.recent.entry(peer, now_ms, FAR_MS, Visits::default);
        let from_ms = recall_ms(visits.at_ms, now_ms);
        visits.at_ms = now_ms as u32;
        let drain = |level: &mut u32, drained: u64| {
            *level = level.saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX));
        };
        drain(&mut visits.opened, limits.opened.drained(from_ms, now_ms));
        drain(&mut visits.refused, REFUSALS_PER_MIN.drained(from_ms, now_ms));
        visits
    }
}

/// After so long nothing is left of any level.
const FAR_MS: u64 = 4 * PERIOD_MS;
const _: () = assert!(FAR <= 4 && TURNED_OUT_MAX <= 4 * REFUSALS_PER_MIN.per_window());

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn peer(number: u32) -> PeerBlock {
        PeerBlock::from(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    fn doors() -> Doors {
        Doors::new(HashSeed::new(1))
    }

    /// How many of a hundred are let in.
    fn let_in(doors: &mut Doors, limits: &AddressLimits, now_ms: u64) -> usize {
        (0..100).filter(|_| doors.knock(peer(1), limits, now_ms).is_ok()).count()
    }

    #[test]
    fn twice_of_what_an_address_may_open_is_far_over() {
        let limits = AddressLimits { open: 0, opened: Rate::new(30) };
        let mut doors = doors();
        assert_eq!(let_in(&mut doors, &limits, 4_000), 60);
        assert_eq!(doors.knock(peer(1), &limits, 5_999), Err(AddressLimit::Opened));
        assert_eq!(doors.knock(peer(2), &limits, 5_999), Ok(()));
        assert_eq!(let_in(&mut doors, &limits, 6_000), 1);
        assert_eq!(let_in(&mut doors, &limits, 127_000), 60);
    }

    #[test]
    fn twice_of_what_an_address_may_have_open_is_far_over() {
        let limits = AddressLimits { open: 3, opened: Rate::new(0) };
        let mut doors = doors();
        for _ in 0..6 {
            assert_eq!(doors.knock(peer(1), &limits, 0), Ok(()));
            doors.enter(peer(1));
        }
        assert_eq!(doors.knock(peer(1), &limits, 0), Err(AddressLimit::Open));
        doors.leave(peer(1));
        assert_eq!(doors.knock(peer(1), &limits, 0), Ok(()));
        (0..6).for_each(|_| doors.leave(peer(1)));
        assert!(doors.is_empty());
    }

    #[test]
    fn who_is_turned_out_again_and_again_does_not_come_back_at_once() {
        let limits = AddressLimits { open: 50, opened: Rate::new(0) };
        let mut doors = doors();
        (0..15).for_each(|_| doors.turned_out(peer(1), &limits, 0));
        assert_eq!(doors.knock(peer(1), &limits, 0), Ok(()), "as one of many behind an address may be");
        (0..100).for_each(|_| doors.turned_out(peer(1), &limits, 0));
        doors.refused(peer(1), &limits, 0);
        assert_eq!(doors.knock(peer(1), &limits, 183_749), Err(AddressLimit::Opened));
        assert_eq!(doors.knock(peer(2), &limits, 183_749), Ok(()));
        assert_eq!(doors.knock(peer(1), &limits, 183_750), Ok(()));
    }

    #[test]
    fn who_is_refused_again_and_again_is_heard_now_and_then() {
        let limits = AddressLimits { open: 3, opened: Rate::new(0) };
        let mut doors = doors();
        let attempts = |doors: &mut Doors, now_ms| {
            let attempt = |_: &u32| {
                let heard = doors.knock(peer(1), &limits, now_ms).is_ok();
                if heard {
                    doors.refused(peer(1), &limits, now_ms);
                }
                heard
            };
            (0..100).filter(attempt).count()
        };
        for (now_ms, heard) in [(7_500, 16), (11_249, 0), (11_250, 1), (18_750, 2), (201_000, 16)] {
            assert_eq!(attempts(&mut doors, now_ms), heard, "at {now_ms}");
        }
    }
}
