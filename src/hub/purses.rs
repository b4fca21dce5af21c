//! What users and tenants may still send, as one shard sees it: a purse for each whose connections here have sent anything.
//!
//! A purse is a token bucket with the whole limit, so that one shard alone lets no more pass than the limit. What it has let
//! pass it reports by the [portion](PayerLimit::portion) to the payer's home shard, whose [`Ledger`](super::Ledger) keeps the
//! true bucket and says when that is empty, and until when: the purse is shut for so long.
//!
//! So over all shards a payer never gets less than the limit, and at most half a burst more than it (two messages a shard where a
//! burst is smaller than that), beside what passes while reports and answers are on their way; what was too much has
//! to drain as well, before any more passes. Both hold where a burst is more than what drains on the way.
//!
//! Invariant: a purse is there exactly while a connection holds it.

use std::num::NonZeroU32;

use crate::base::{HashSeed, Map, Payer, Rate, Slab, map_with_seed, recall_ms};

/// How much a user, or a tenant, may send over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PayerLimit {
    /// Of none there is no limit.
    pub rate: Rate<1_000>,
    /// How many messages at once; at least 1.
    pub burst: u32,
    /// What a shard lets pass before it reports: so little that what all shards of the node have not reported is a quarter of
    /// a burst, or a message each.
    pub portion: u32,
}

impl PayerLimit {
    /// `per_s` messages in a second, `burst` at once; 0 a second is no limit.
    pub fn new(per_s: u32, burst: u32, shards: u16) -> Self {
        let portion = (burst / (4 * u32::from(shards.max(1)))).max(1);
        Self { rate: Rate::new(per_s), burst: burst.max(1), portion }
    }
}

/// A purse of this shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PurseId(NonZeroU32);

impl PurseId {
    fn of(slot: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(slot))
    }

    fn slot(self) -> u32 {
        self.0.get() - 1
    }
}

/// What a payer's home is to know: so many messages have passed here. None, where a shard begins to let any pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spent {
    pub payer: Payer,
    pub messages: u32,
}

/// The purses of one shard.
#[derive(Debug)]
pub struct Purses {
    slots: Map<Payer, u32>,
    purses: Slab<Purse>,
}

#[derive(Debug)]
struct Purse {
    payer: Payer,
    /// Connections that hold it.
    holders: u32,
    /// When `level` was right: the low half of monotonic milliseconds.
    at_ms: u32,
    /// What has been used up of the limit here.
    level: u32,
    /// What has passed since the last report.
    unreported: u32,
    shut_until_ms: u64,
}

impl Purses {
    /// No purses; allocates nothing.
    pub fn new(hash: HashSeed) -> Self {
        Self { slots: map_with_seed(hash), purses: Slab::new() }
    }

    /// The payer's purse for one more connection. The first gets something to report, so that the shard hears of a purse
    /// that is empty.
    pub fn open(&mut self, payer: Payer) -> (PurseId, Option<Spent>) {
        if let Some(&slot) = self.slots.get(&payer) {
            if let Some(purse) = self.purses.get_mut_by_slot(slot) {
                purse.holders += 1;
            }
            return (PurseId::of(slot), None);
        }
        let purse =
            Purse { payer: payer.clone(), holders: 1, at_ms: 0, level: 0, unreported: 0, shut_until_ms: 0 };
        let (slot, _) = self.purses.insert(purse);
        self.slots.insert(payer.clone(), slot);
        (PurseId::of(slot), Some(Spent { payer, messages: 0 }))
    }

    /// A connection holds the purse no longer. The last leaves what has not been reported.
    pub fn close(&mut self, id: PurseId) -> Option<Spent> {
        let purse = self.purses.get_mut_by_slot(id.slot())?;
        purse.holders -= 1;
        if purse.holders > 0 {
            return None;
        }
        let (generation, _) = self.purses.get_by_slot(id.slot())?;
        let Purse { payer, unreported, .. } = self.purses.remove(id.slot(), generation)?;
        self.slots.remove(&payer);
        (unreported > 0).then_some(Spent { payer, messages: unreported })
    }

    /// Whether a message may pass, or in how many milliseconds it may. It uses up nothing until it is [taken](Self::take).
    #[inline]
    pub fn check(&mut self, id: PurseId, limit: PayerLimit, now_ms: u64) -> Result<(), u64> {
        let Some(purse) = self.purses.get_mut_by_slot(id.slot()) else { return Ok(()) };
        if purse.at_ms != now_ms as u32 {
            let drained = limit.rate.drained(recall_ms(purse.at_ms, now_ms), now_ms);
            purse.at_ms = now_ms as u32;
            purse.level = purse.level.saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX));
        }
        if purse.shut_until_ms > now_ms {
            return Err(purse.shut_until_ms - now_ms);
        }
        let over = (u64::from(purse.level) + 1).saturating_sub(u64::from(limit.burst));
        if over == 0 { Ok(()) } else { Err(limit.rate.wait_ms(over, now_ms)) }
    }

    /// A message that may pass does; what is to be reported of it and of others, if anything is.
    #[inline]
    pub fn take(&mut self, id: PurseId, limit: PayerLimit) -> Option<Spent> {
        let purse = self.purses.get_mut_by_slot(id.slot())?;
        purse.level = purse.level.saturating_add(1);
        purse.unreported += 1;
        if purse.unreported < limit.portion {
            return None;
        }
        let messages = std::mem::take(&mut purse.unreported);
        Some(Spent { payer: purse.payer.clone(), messages })
    }

    /// The payer's home says that nothing may pass until then.
    pub fn shut(&mut self, payer: &Payer, until_ms: u64) {
        let slot = self.slots.get(payer).copied();
        if let Some(purse) = slot.and_then(|slot| self.purses.get_mut_by_slot(slot)) {
            purse.shut_until_ms = until_ms;
        }
    }

    /// Whether nobody holds one.
    pub fn is_empty(&self) -> bool {
        self.purses.is_empty()
    }
}
