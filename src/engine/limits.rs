//! Limits of messages: of a connection, of its user, and of its tenant over all shards; and what becomes of what is over.
//!
//! A message over a limit is answered `rate_limited` and not done. Who is refused too often is closed with 4429; what stands in
//! a tenant's way counts for none of its connections, which need not be to blame.
//!
//! Invariant: who is not limited has neither an allowance nor a purse.

use std::net::IpAddr;

use super::{Ask, Engine, Notice, Output, Parcel, Tell, parcel::home_of_payer};
use crate::{
    base::{ConnId, HashSeed, Now, Payer, ShardId, chunked::ChunkedVec},
    conn::{Allowance, Conn, Excess, MessageLimit, MessageLimits},
    hub::{AddressLimits, Empty, Ledger, PayerLimit, Purses, Spent},
    metrics::{Disconnect, RateLimit},
    model::{BurstRate, CorrelationId, Fault, FaultCode, Rates},
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

    /// Those of messages, as clients are told.
    pub(super) fn rates(&self) -> Rates {
        let of_payer =
            |PayerLimit { rate, burst, .. }: PayerLimit| BurstRate { per_s: rate.per_window(), burst };
        Rates {
            messages_per_10s: self.messages.messages.per_window(),
            bytes_per_10s: self.messages.bytes.per_window(),
            user: of_payer(self.user),
            tenant: of_payer(self.tenant),
        }
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
        let now_ms = now.mono_ms();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.open_purses(id);
        let limits = &self.config.policy.limits;
        let Spending { allowances, purses, .. } = &mut self.spending;
        let Some(allowance) = allowances.get_mut(id.slot as usize) else { return Ok(()) };
        allowance.check(&limits.messages, bytes, now_ms)?;
        // One that was opened under another policy is of no use under this.
        let user = allowance.user.filter(|_| !limits.user.rate.is_none());
        let tenant = allowance.tenant.filter(|_| !limits.tenant.rate.is_none());
        if let Some(user) = user {
            let limit = MessageLimit::User;
            let checked = purses.check(user, limits.user, now_ms);
            checked.map_err(|retry_after_ms| Excess { limit, retry_after_ms })?;
        }
        if let Some(tenant) = tenant {
            let limit = MessageLimit::Tenant;
            let checked = purses.check(tenant, limits.tenant, now_ms);
            checked.map_err(|retry_after_ms| Excess { limit, retry_after_ms })?;
        }
        allowance.take(&limits.messages, bytes);
        let of_user = user.and_then(|user| purses.take(user, limits.user));
        let of_tenant = tenant.and_then(|tenant| purses.take(tenant, limits.tenant));
        of_user.into_iter().chain(of_tenant).for_each(|spent| self.report_spent(spent));
        Ok(())
    }

    /// Opens the purses that a connection's messages are paid from, with its first message.
    #[inline]
    fn open_purses(&mut self, id: ConnId) {
        let (user, tenant) = (self.config.policy.limits.user, self.config.policy.limits.tenant);
        let allowance = self.spending.allowance(id);
        let wants_user = allowance.user.is_none() && !user.rate.is_none();
        let wants_tenant = allowance.tenant.is_none() && !tenant.rate.is_none();
        if wants_user || wants_tenant {
            self.open_wanted_purses(id, wants_user, wants_tenant);
        }
    }

    fn open_wanted_purses(&mut self, id: ConnId, wants_user: bool, wants_tenant: bool) {
        let session = self.conns.get(id.slot, id.generation).and_then(Conn::session);
        // Who has no identity yet is limited as a connection.
        let Some(session) = session else { return };
        let user = wants_user.then(|| Payer::User(session.tenant.clone(), session.user.clone()));
        let tenant = wants_tenant.then(|| Payer::Tenant(session.tenant.clone()));
        let (user, of_user) = user.map(|payer| self.spending.purses.open(payer)).unzip();
        let (tenant, of_tenant) = tenant.map(|payer| self.spending.purses.open(payer)).unzip();
        let allowance = self.spending.allowance(id);
        allowance.user = user.or(allowance.user);
        allowance.tenant = tenant.or(allowance.tenant);
        let begun = [of_user, of_tenant].into_iter().flatten().flatten();
        begun.for_each(|spent| self.report_spent(spent));
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
        let peer = conn.peer;
        self.limit_met(peer, excess.limit.label());
        let is_to_blame = excess.limit != MessageLimit::Tenant;
        let limits = self.config.policy.limits.messages;
        if is_to_blame && self.spending.allowance(id).refuse(&limits, now.mono_ms()) {
            // A user's limit may have been used up from elsewhere.
            if matches!(excess.limit, MessageLimit::Messages | MessageLimit::Bytes) {
                self.turned_out(peer, now);
            }
            let why = "the rate limit was exceeded again and again";
            self.close(id, close::RATE_LIMITED, why, Disconnect::RateLimited, now);
            return false;
        }
        true
    }

    /// Counts that a limit stood in a client's way, and lets the log know.
    pub(super) fn limit_met(&mut self, peer: IpAddr, limit: RateLimit) {
        self.metrics.rate_limited.inc(limit);
        self.outputs.push_back(Output::Notice(Notice::RateLimited { peer, limit }));
    }

    /// The same, of one of the shard's connections.
    pub(super) fn limit_met_by(&mut self, id: ConnId, limit: RateLimit) {
        if let Some(peer) = self.conns.get(id.slot, id.generation).map(|conn| conn.peer) {
            self.limit_met(peer, limit);
        }
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
