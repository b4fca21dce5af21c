//! Limits of messages: of a connection, of its user, and of its tenant over all shards; and what becomes of what is over.
//!
//! A message over a limit is answered `rate_limited` and not done. Who is refused too often is closed with 4429; what stands in
//! a tenant's way counts for none of its connections, which need not be to blame.
//!
//! Invariant: who is not limited has neither an allowance nor a purse.

use super::{Ask, Engine, Notice, Output, Parcel, Tell, parcel::home_of_payer};
use crate::{
    base::{ConnId, HashSeed, Now, Payer, ShardId, chunked::ChunkedVec},
    conn::{Allowance, Excess, MessageLimit, MessageLimits},
    hub::{AddressLimits, Empty, Ledger, PayerLimit, Purses, Spent},
    metrics::Disconnect,
    model::{CorrelationId, Fault, FaultCode},
    ws::close,
};

/// How many clients there may be, and what they may do how often. Of what is 0 there is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections of the whole node.
    pub connections_max: usize,
    /// Rooms of one connection; here 0 is none.
    pub rooms_per_connection_max: usize,
    /// Rooms that one home lets one address create in a minute.
    pub room_creates_per_ip_per_min: u32,
    /// Of one connection.
    pub messages: MessageLimits,
    /// Of the messages of one user's connections.
    pub user: PayerLimit,
    /// Of the messages of one tenant's connections.
    pub tenant: PayerLimit,
    pub address: AddressLimits,
}

impl Default for Limits {
    /// No limits.
    fn default() -> Self {
        Self {
            connections_max: 0,
            rooms_per_connection_max: usize::MAX,
            room_creates_per_ip_per_min: 0,
            messages: MessageLimits::default(),
            user: PayerLimit::default(),
            tenant: PayerLimit::default(),
            address: AddressLimits::default(),
        }
    }
}

impl Limits {
    /// Whether any message can be over any limit.
    #[inline]
    fn is_of_messages(&self) -> bool {
        let Self { messages, user, tenant, .. } = self;
        !(messages.messages.is_none()
            && messages.bytes.is_none()
            && user.rate.is_none()
            && tenant.rate.is_none())
    }

    fn of(&self, payer: &Payer) -> PayerLimit {
        match payer {
            Payer::User(..) => self.user,
            Payer::Tenant(_) => self.tenant,
        }
    }
}

/// What has been used up of the limits of messages.
#[derive(Debug)]
pub(super) struct Spending {
    /// By the slot of the connection.
    allowances: ChunkedVec<Allowance>,
    purses: Purses,
    ledger: Ledger,
}

impl Spending {
    pub(super) fn new(hash: HashSeed, shards: u16) -> Self {
        Self { allowances: ChunkedVec::new(), purses: Purses::new(hash), ledger: Ledger::new(hash, shards) }
    }

    /// Payers that were forgotten early.
    pub(super) fn crowded_out(&self) -> u64 {
        self.ledger.crowded_out()
    }

    fn allowance(&mut self, id: ConnId) -> &mut Allowance {
        while self.allowances.len() <= id.slot as usize {
            self.allowances.push(Allowance::new());
        }
        &mut self.allowances[id.slot as usize]
    }
}

impl Engine {
    /// Counts a message of so many bytes, unless it is over a limit.
    #[inline]
    pub(super) fn charge(&mut self, id: ConnId, bytes: usize, now: Now) -> Result<(), Excess> {
        if self.config.policy.limits.is_of_messages() { self.charge_limited(id, bytes, now) } else { Ok(()) }
    }

    fn charge_limited(&mut self, id: ConnId, bytes: usize, now: Now) -> Result<(), Excess> {
        let (limits, now_ms) = (self.config.policy.limits, now.mono_ms());
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let allowance = self.spending.allowance(id);
        allowance.check(&limits.messages, bytes, now_ms)?;
        let has_purses = |allowance: &Allowance| {
            (allowance.user.is_some() || limits.user.rate.is_none())
                && (allowance.tenant.is_some() || limits.tenant.rate.is_none())
        };
        if !has_purses(allowance) {
            self.open_purses(id, &limits);
        }
        let allowance = self.spending.allowance(id);
        let payers = [
            (allowance.user, limits.user, MessageLimit::User),
            (allowance.tenant, limits.tenant, MessageLimit::Tenant),
        ];
        let purses = &mut self.spending.purses;
        for (purse, payer, limit) in payers {
            let Some(purse) = purse.filter(|_| !payer.rate.is_none()) else { continue };
            purses.check(purse, payer, now_ms).map_err(|retry_after_ms| Excess { limit, retry_after_ms })?;
        }
        self.spending.allowance(id).take(&limits.messages, bytes);
        for (purse, payer, _) in payers {
            let Some(purse) = purse.filter(|_| !payer.rate.is_none()) else { continue };
            if let Some(spent) = self.spending.purses.take(purse, payer) {
                self.report_spent(spent);
            }
        }
        Ok(())
    }

    /// The first message of a connection whose user or tenant is limited.
    fn open_purses(&mut self, id: ConnId, limits: &Limits) {
        // Who has no identity yet is limited as a connection.
        let Some(session) = self.conns.get(id.slot, id.generation).and_then(|conn| conn.session()) else {
            return;
        };
        let (tenant, user) = (session.tenant.clone(), session.user.clone());
        if !limits.user.rate.is_none() && self.spending.allowance(id).user.is_none() {
            let (purse, spent) = self.spending.purses.open(Payer::User(tenant.clone(), user));
            self.spending.allowance(id).user = Some(purse);
            spent.into_iter().for_each(|spent| self.report_spent(spent));
        }
        if !limits.tenant.rate.is_none() && self.spending.allowance(id).tenant.is_none() {
            let (purse, spent) = self.spending.purses.open(Payer::Tenant(tenant));
            self.spending.allowance(id).tenant = Some(purse);
            spent.into_iter().for_each(|spent| self.report_spent(spent));
        }
    }

    /// The connection sends nothing more.
    pub(super) fn end_spending(&mut self, id: ConnId) {
        let Some(allowance) = self.spending.allowances.get_mut(id.slot as usize) else { return };
        let Allowance { user, tenant, .. } = std::mem::take(allowance);
        for purse in [user, tenant].into_iter().flatten() {
            if let Some(spent) = self.spending.purses.close(purse) {
                self.report_spent(spent);
            }
        }
    }

    fn report_spent(&mut self, spent: Spent) {
        let home = home_of_payer(&spent.payer, self.config.shards);
        self.send(home, Parcel::Ask(Ask::Spent(spent)));
    }

    /// As a payer's home: a shard has let messages pass.
    pub(super) fn spent(&mut self, from: ShardId, spent: Spent, now: Now) {
        let payer = spent.payer.clone();
        let limit = self.config.policy.limits.of(&payer);
        let empty = self.spending.ledger.spent(spent, from, limit, now.mono_ms());
        let Some(Empty { until_ms, shards }) = empty else { return };
        for shard in shards {
            self.send(shard, Parcel::Tell(Tell::Shut { payer: payer.clone(), until_ms }));
        }
    }

    /// A payer's home says that nothing of his may pass until then.
    pub(super) fn shut(&mut self, payer: &Payer, until_ms: u64) {
        self.spending.purses.shut(payer, until_ms);
    }

    /// Refuses a message that is over a limit, or ends a connection that goes on and on.
    pub(super) fn refuse_excess(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        excess: Excess,
        now: Now,
    ) {
        if self.exceeded(id, excess, now) {
            let retry_after_ms = Some(excess.retry_after_ms);
            let fault = Fault { retry_after_ms, ..Fault::new(FaultCode::RateLimited, text(excess.limit)) };
            self.refuse(id, call, fault, now);
        }
    }

    /// Counts a message that was over a limit. Whether the connection is still open.
    pub(super) fn exceeded(&mut self, id: ConnId, excess: Excess, now: Now) -> bool {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return false };
        let limit = excess.limit.label();
        self.metrics.rate_limited.inc(limit);
        let notice = Notice::RateLimited { peer: conn.peer, limit };
        self.outputs.push_back(Output::Notice(notice));
        let is_to_blame = excess.limit != MessageLimit::Tenant;
        let limits = self.config.policy.limits.messages;
        if is_to_blame && self.spending.allowance(id).refuse(&limits, now.mono_ms()) {
            let why = "the rate limit was exceeded again and again";
            self.close(id, close::RATE_LIMITED, why, Disconnect::RateLimited, now);
            return false;
        }
        true
    }
}

#[cfg(test)]
impl Spending {
    /// Whether nobody holds a purse.
    pub(super) fn is_empty(&self) -> bool {
        self.purses.is_empty()
    }
}

/// What a client is told of a limit.
fn text(limit: MessageLimit) -> &'static str {
    match limit {
        MessageLimit::Messages => "this connection sends more messages than it may: slow down",
        MessageLimit::Bytes => "this connection sends more bytes than it may: slow down",
        MessageLimit::User => "this user's connections send more messages than they may: slow down",
        MessageLimit::Tenant => "this tenant's connections send more messages than they may: slow down",
    }
}
