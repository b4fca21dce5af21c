//! What each tenant's logs take at a home, and in which order each tenant's logs were used: so that it shows whose have to go
//! for want of memory. The logs are in `history.rs`.
//!
//! [`Stakes::heaviest`] is a tenant that has as much as all have on average at least, and nearly always the one that has most.
//! So whoever has less than that gives up nothing for others. Invariants: a stake is there exactly while its tenant has a log;
//! its bytes are those of its logs.

use super::room_log::LogId;
use crate::base::{HashSeed, Map, Slab, TenantName, map_with_seed};

/// A tenant's place among the stakes of a home; given out again once it has no logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StakeId(u32);

/// What one tenant has.
#[derive(Debug)]
pub(super) struct Stake {
    tenant: TenantName,
    bytes: u64,
    /// The logs of rooms without members.
    pub(super) idle: Usage,
    /// The others.
    pub(super) active: Usage,
}

/// Logs in the order in which they were used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) oldest: Option<LogId>,
    pub(super) newest: Option<LogId>,
    pub(super) count: usize,
}

impl Stake {
    pub(super) fn usage(&mut self, is_idle: bool) -> &mut Usage {
        if is_idle { &mut self.idle } else { &mut self.active }
    }

    /// How many logs there are.
    pub(super) fn logs(&self) -> usize {
        self.idle.count + self.active.count
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The stakes of one home.
#[derive(Debug)]
pub(super) struct Stakes {
    slots: Map<TenantName, u32>,
    stakes: Slab<Stake>,
    /// Had most when it was last looked at.
    heaviest: Option<StakeId>,
}

impl Stakes {
    pub(super) fn new(hash: HashSeed) -> Self {
        Self { slots: map_with_seed(hash), stakes: Slab::new(), heaviest: None }
    }

    /// The tenant's, for a log more; the caller links one at once.
    pub(super) fn open(&mut self, tenant: &TenantName) -> StakeId {
        if let Some(&slot) = self.slots.get(tenant) {
            return StakeId(slot);
        }
        let (idle, active) = (Usage::default(), Usage::default());
        let (slot, _) = self.stakes.insert(Stake { tenant: tenant.clone(), bytes: 0, idle, active });
        self.slots.insert(tenant.clone(), slot);
        StakeId(slot)
    }

    /// A log has gone; with the last its stake goes.
    pub(super) fn close(&mut self, id: StakeId) {
        let Some((generation, stake)) = self.stakes.get_by_slot(id.0) else { return };
        if stake.logs() > 0 {
            return;
        }
        debug_assert_eq!(stake.bytes, 0, "its logs have gone");
        self.slots.remove(&stake.tenant);
        self.stakes.remove(id.0, generation);
        if self.heaviest == Some(id) {
            self.heaviest = None;
        }
    }

    pub(super) fn get_mut(&mut self, id: StakeId) -> &mut Stake {
        self.stakes.get_mut_by_slot(id.0).expect("logs name stakes that are there")
    }

    pub(super) fn taken(&mut self, id: StakeId, bytes: u64) {
        self.get_mut(id).bytes += bytes;
        if self.heaviest.is_none_or(|heaviest| self.bytes_of(heaviest) < self.bytes_of(id)) {
            self.heaviest = Some(id);
        }
    }

    pub(super) fn freed(&mut self, id: StakeId, bytes: u64) {
        self.get_mut(id).bytes -= bytes;
    }

    /// Who has to give something up, where all have `bytes` together.
    pub(super) fn heaviest(&mut self, bytes: u64) -> Option<StakeId> {
        let mean = bytes / (self.stakes.len() as u64).max(1);
        if self.heaviest.is_none_or(|heaviest| self.bytes_of(heaviest) < mean) {
            self.heaviest = self.heaviest_but(None);
        }
        self.heaviest
    }

    /// Who has most beside this one.
    pub(super) fn heaviest_but(&self, but: Option<StakeId>) -> Option<StakeId> {
        let others = self.stakes.iter().filter(|(slot, ..)| but != Some(StakeId(*slot)));
        others.max_by_key(|(_, _, stake)| stake.bytes).map(|(slot, ..)| StakeId(slot))
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (StakeId, &Stake)> {
        self.stakes.iter().map(|(slot, _, stake)| (StakeId(slot), stake))
    }

    fn bytes_of(&self, id: StakeId) -> u64 {
        self.stakes.get_by_slot(id.0).map_or(0, |(_, stake)| stake.bytes)
    }
}
