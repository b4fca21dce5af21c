//! Connections that a backend ends: closed with 4409, many of them in steps, so that a tenant's end does not hold up the
//! others.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Asking, Engine, Outcome,
    call::{OTHER_TENANT, tenant_for},
    errands::{Errand, Target},
    pages,
};
use crate::{
    auth::Revocation,
    base::{ConnId, NoPlace, Now, TenantName, TokenId},
    dialect::api::{self, Disconnect, Disconnection},
    metrics::{self, Table},
    model::{Fault, FaultCode},
    ws::close,
};

/// How many connections are closed at once.
const STEP: usize = 256;

/// The time from one step to the next, in milliseconds.
const STEP_MS: u64 = 10;

/// Connections whose end is decided and has not come. Bounded by the connections that there are, but for those that are
/// decided on twice, which ends with the step that comes to them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Evictions {
    left: VecDeque<ConnId>,
    next_ms: u64,
}

impl Evictions {
    pub(in crate::engine) fn due_ms(&self) -> Option<u64> {
        (!self.left.is_empty()).then_some(self.next_ms)
    }
}

impl Engine {
    /// What was posted: whose connections are to end.
    pub(super) fn disconnect(&mut self, asking: &Asking, body: &[u8], now: Now) -> Result<Outcome, Fault> {
        let Disconnection { tenant, target, revoke, until_ms } = api::disconnect(body)?;
        let tenant = tenant_for(&asking.backend, tenant)
            .ok_or_else(|| Fault::new(FaultCode::Forbidden, OTHER_TENANT))?;
        let target = match target {
            Disconnect::Connection(node, conn) => {
                if node != self.config.node || conn.shard.0 >= self.config.shards {
                    // It ended with its node, or never was.
                    return Ok(Outcome::ok(pages::disconnected(0, None)));
                }
                let errand =
                    Errand::Disconnect { tenant, target: Target::Connection(conn), revocation: None };
                return Ok(self.send_to(asking.ticket, conn.shard, errand));
            }
            Disconnect::User(user) => Target::User(user),
            Disconnect::Token(jti) => Target::Token(TokenId::of(&jti)),
            Disconnect::Everyone => Target::Everyone,
        };
        let revocation = if revoke { Some(self.revocation(&tenant, &target, until_ms, now)?) } else { None };
        let errand = Errand::Disconnect { tenant, target, revocation };
        Ok(self.send_everywhere(asking.ticket, &Arc::new(errand)))
    }

    /// From when and until when the target's tokens are to be revoked, if there is room to remember it. All shards
    /// have the same table, but for what is on its way.
    fn revocation(
        &mut self,
        tenant: &TenantName,
        target: &Target,
        until_ms: Option<u64>,
        now: Now,
    ) -> Result<Revocation, Fault> {
        let room = target.revoked().map_or(Ok(()), |revoked| self.revocations.check(tenant, &revoked));
        room.map_err(|why| {
            self.metrics.no_place(Table::Revocations, why);
            let text = match why {
                NoPlace::Share => {
                    "nothing is revoked, and nobody is disconnected: the tenant has its share of auth.revocations_max \
                     (auth.revocations_tenant_percent)"
                }
                NoPlace::Total => {
                    "nothing is revoked, and nobody is disconnected: auth.revocations_max is reached"
                }
            };
            Fault::new(FaultCode::Unavailable, text)
        })?;
        let at_s = now.unix_s();
        let until_s = match until_ms {
            Some(until_ms) => until_ms.div_ceil(1_000).saturating_add(self.config.policy.verifier.leeway_s()),
            None => at_s.saturating_add(self.config.revocation_s),
        };
        Ok(Revocation { at_s, until_s })
    }

    /// Ends those of a tenant's connections here that are meant; answers how many.
    pub(super) fn evict(&mut self, tenant: &TenantName, target: &Target, now: Now) -> u64 {
        let ids: Vec<ConnId> = match target {
            Target::Connection(conn) => {
                let found = self.conns.get(conn.slot, conn.generation).and_then(|found| found.session());
                found.filter(|session| session.tenant == *tenant).map(|_| *conn).into_iter().collect()
            }
            Target::User(user) => self.connections_of(tenant, user).collect(),
            Target::Token(token) => {
                let of_token = self
                    .sessions()
                    .filter(|(_, session)| session.tenant == *tenant && session.token == token.mark());
                of_token.map(|(conn, _)| conn).collect()
            }
            Target::Everyone => {
                let of_tenant = self.sessions().filter(|(_, session)| session.tenant == *tenant);
                of_tenant.map(|(conn, _)| conn).collect()
            }
        };
        let count = ids.len() as u64;
        // Who asks again and again decides nothing new.
        let ids: Vec<ConnId> = if self.evictions.left.is_empty() {
            ids
        } else {
            let decided: std::collections::HashSet<ConnId> = self.evictions.left.iter().copied().collect();
            ids.into_iter().filter(|id| !decided.contains(id)).collect()
        };
        let (at_once, later) = ids.split_at(ids.len().min(STEP));
        if self.evictions.left.is_empty() {
            self.evictions.next_ms = now.mono_ms() + STEP_MS;
        }
        self.evictions.left.extend(later);
        at_once.iter().for_each(|id| self.end_by_api(*id, now));
        count
    }

    /// Closes the next of those whose end is decided.
    pub(in crate::engine) fn evict_step(&mut self, now: Now) {
        if self.evictions.due_ms().is_none_or(|due_ms| due_ms > now.mono_ms()) {
            return;
        }
        self.evictions.next_ms = now.mono_ms() + STEP_MS;
        let mut ended = 0;
        while ended < STEP
            && let Some(id) = self.evictions.left.pop_front()
        {
            // Those that have ended since hold up nobody.
            ended += usize::from(self.is_open(id));
            self.end_by_api(id, now);
        }
    }

    fn end_by_api(&mut self, id: ConnId, now: Now) {
        // It may have ended by itself, and a closing one is closed once.
        if self.is_open(id) {
            self.close(id, close::DISCONNECTED, "disconnected by the server", metrics::Disconnect::Api, now);
        }
    }
}
