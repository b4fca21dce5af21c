//! Requests that were asked on this shard and wait for their one answer.
//!
//! Owns whom to answer, who was asked, and until when, and decides of an answer whether it is the one. What goes to
//! the one who is asked is kept only while that one is looked for. Knows nothing of what callers and letters are.
//!
//! Invariant: every entry stands once in `by_asker` and once in `by_deadline`, takes one of its tenant's places, and nothing
//! else does.

use std::collections::BTreeSet;

use crate::base::{ConnId, NoPlace, RequestId, ShardId, ShareLimits, Shares, Slab, TenantName};

/// The requests of one shard. `C` is whom to answer, `L` what is sent to the one who is asked.
#[derive(Debug)]
pub struct Pending<C, L> {
    shard: ShardId,
    per_connection_max: usize,
    /// How many each tenant has.
    shares: Shares<TenantName>,
    entries: Slab<Entry<C, L>>,
    /// Slots by the connection that asked.
    by_asker: BTreeSet<(ConnId, u32)>,
    /// Slots by deadline.
    by_deadline: BTreeSet<(u64, u32)>,
}

/// How many requests may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingLimits {
    /// Of one connection that asked.
    pub per_connection: usize,
    /// Of all, and of one tenant.
    pub shares: ShareLimits,
}

#[derive(Debug)]
struct Entry<C, L> {
    caller: C,
    asker: ConnId,
    tenant: TenantName,
    started_us: u64,
    deadline_ms: u64,
    aim: Aim<L>,
}

/// Who is to answer.
#[derive(Debug)]
pub enum Aim<L> {
    /// The letter is on its way there, or was read.
    At(ConnId),
    /// So many shards have been asked for somebody and have not said yet.
    Sought { shards: u16, letter: L },
}

/// No more requests can wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// Of this connection.
    Connection,
    /// Of this tenant, or of anybody.
    Shared(NoPlace),
}

/// A request that waits no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed<C> {
    pub request: RequestId,
    pub caller: C,
    /// When it was asked: monotonic microseconds.
    pub started_us: u64,
    /// Who has been asked.
    pub target: Option<ConnId>,
}

/// What a shard's word about whom it has leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Located<C, L> {
    /// This connection is asked.
    Found(ConnId, L),
    /// Nobody is there.
    Nobody(Closed<C>),
    /// Others have not said yet, or it has been decided.
    Open,
}

/// Why an answer is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmatched {
    /// The request had its answer before, or was given up.
    Late,
    /// There was no such request.
    Unknown,
    /// Another connection was asked.
    Foreign,
}

impl<C, L> Pending<C, L> {
    /// Nothing waits; ids name `shard`.
    pub fn new(shard: ShardId, limits: PendingLimits) -> Self {
        let (by_asker, by_deadline) = (BTreeSet::new(), BTreeSet::new());
        let PendingLimits { per_connection: per_connection_max, shares } = limits;
        let shares = Shares::new(shares);
        Self { shard, per_connection_max, shares, entries: Slab::new(), by_asker, by_deadline }
    }

    /// Whether `asker`, who is of this tenant, may ask one more.
    pub fn check(&self, asker: ConnId, tenant: &TenantName) -> Result<(), Full> {
        if self.of(asker).count() >= self.per_connection_max {
            return Err(Full::Connection);
        }
        self.shares.check(tenant).map_err(Full::Shared)
    }

    /// Somebody asks; the caller has [checked](Self::check) that he may.
    pub fn open(
        &mut self,
        asker: ConnId,
        tenant: TenantName,
        caller: C,
        started_us: u64,
        deadline_ms: u64,
        aim: Aim<L>,
    ) -> RequestId {
        self.shares.take(tenant.clone());
        let entry = Entry { caller, asker, tenant, started_us, deadline_ms, aim };
        let (slot, generation) = self.entries.insert(entry);
        self.by_asker.insert((asker, slot));
        self.by_deadline.insert((deadline_ms, slot));
        RequestId { shard: self.shard, slot, generation }
    }

    /// A shard that was asked for somebody has found this connection, or nobody.
    pub fn located(&mut self, request: RequestId, found: Option<ConnId>) -> Located<C, L> {
        let Some(entry) = self.entries.get_mut(request.slot, request.generation) else {
            return Located::Open;
        };
        let Aim::Sought { shards, .. } = &mut entry.aim else { return Located::Open };
        if let Some(target) = found {
            return match std::mem::replace(&mut entry.aim, Aim::At(target)) {
                Aim::Sought { letter, .. } => Located::Found(target, letter),
                Aim::At(_) => Located::Open,
            };
        }
        *shards = shards.saturating_sub(1);
        if *shards > 0 {
            return Located::Open;
        }
        self.close(request).map_or(Located::Open, Located::Nobody)
    }

    /// `from` answers, or is gone. The first answer of the one who was asked ends the request.
    pub fn answered(&mut self, request: RequestId, from: ConnId) -> Result<Closed<C>, Unmatched> {
        match self.entries.get(request.slot, request.generation).map(|entry| &entry.aim) {
            Some(Aim::At(target)) if *target == from => {
                Ok(self.close(request).expect("it was found just now"))
            }
            Some(Aim::At(_) | Aim::Sought { .. }) => Err(Unmatched::Foreign),
            None if self.entries.was_removed(request.slot, request.generation) => Err(Unmatched::Late),
            None => Err(Unmatched::Unknown),
        }
    }

    /// `asker` is gone: its requests are dropped, each handed to `dropped`.
    pub fn gone(&mut self, asker: ConnId, mut dropped: impl FnMut(Closed<C>)) {
        let slots: Vec<u32> = self.of(asker).collect();
        slots.into_iter().filter_map(|slot| self.close_slot(slot)).for_each(&mut dropped);
    }

    /// A request whose time is over, taken out; to be called until there is none.
    pub fn expire(&mut self, now_ms: u64) -> Option<Closed<C>> {
        let &(deadline_ms, slot) = self.by_deadline.first()?;
        if deadline_ms > now_ms { None } else { self.close_slot(slot) }
    }

    /// When the next deadline is, in monotonic milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.by_deadline.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Requests that should not be here any more, taken out: their asker is not open, or their time was over before
    /// `overdue_ms`. There never is one, unless this code is wrong.
    pub fn strays(&mut self, overdue_ms: u64, is_open: impl Fn(ConnId) -> bool) -> Vec<Closed<C>> {
        let is_stray = |entry: &Entry<C, L>| entry.deadline_ms < overdue_ms || !is_open(entry.asker);
        let strays = self.entries.iter().filter(|(_, _, entry)| is_stray(entry));
        let slots: Vec<u32> = strays.map(|(slot, _, _)| slot).collect();
        slots.into_iter().filter_map(|slot| self.close_slot(slot)).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn of(&self, asker: ConnId) -> impl Iterator<Item = u32> {
        self.by_asker.range((asker, 0)..=(asker, u32::MAX)).map(|(_, slot)| *slot)
    }

    fn close_slot(&mut self, slot: u32) -> Option<Closed<C>> {
        let generation = self.entries.get_by_slot(slot)?.0;
        self.close(RequestId { shard: self.shard, slot, generation })
    }

    fn close(&mut self, request: RequestId) -> Option<Closed<C>> {
        let entry = self.entries.remove(request.slot, request.generation)?;
        let Entry { caller, asker, tenant, started_us, deadline_ms, aim } = entry;
        self.shares.give_back(&tenant);
        let was_indexed = self.by_asker.remove(&(asker, request.slot))
            & self.by_deadline.remove(&(deadline_ms, request.slot));
        debug_assert!(was_indexed);
        let target = match aim {
            Aim::At(target) => Some(target),
            Aim::Sought { .. } => None,
        };
        Some(Closed { request, caller, started_us, target })
    }
}
