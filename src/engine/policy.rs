//! What may change while a node runs: who is known, what short names stand for, and how much is too much. The rest of the configuration
//! holds from start to end.
//!
//! Invariants: a policy never changes; a shard takes another one between two inputs, so that each is judged by one; what
//! is remembered of a policy's verdicts must look whether the policy is still the same.

use std::sync::Arc;

use super::{ChannelTemplates, Engine, Limits};
use crate::{
    auth::{
        Abilities, ApiKeys, CallKey, Introspection, KeyDigest, KeySource, Resources, SigningKey, Verifier,
        is_key,
    },
    base::Now,
    http::{Origins, Proxies},
};

/// The part of the configuration that a reload replaces, the same on every shard.
#[derive(Clone, Debug)]
pub struct Policy {
    pub verifier: Arc<Verifier>,
    /// Keys of backends.
    pub api_keys: ApiKeys,
    pub channels: ChannelTemplates,
    /// Whose pages may use the gateway.
    pub origins: Origins,
    /// Who is believed when he says where a client is.
    pub proxies: Proxies,
    /// What calls of the API that change something must be signed with, if they must.
    pub signing: Option<CallKey>,
    /// How opaque tokens are looked up, if they are.
    pub introspection: Option<Arc<Introspection>>,
    /// Where an issuer's keys are, if there is one. The verifier holds those that are in use.
    pub jwks: Option<Arc<KeySource>>,
    pub limits: Limits,
    /// Who may do what in which rooms.
    pub abilities: Abilities,
    /// What servers decide in which rooms, if anything.
    pub resources: Option<Arc<Resources>>,
    /// Set outside production when no secret was configured: `/dev/token` hands out tokens on loopback.
    pub dev_tokens: Option<Arc<SigningKey>>,
    pub metrics: MetricsPolicy,
}

/// Who may read `/metrics`, and what stands there.
#[derive(Clone, Debug, Default)]
pub struct MetricsPolicy {
    /// Otherwise whoever shows the bearer, or is an administrator.
    pub is_open: bool,
    /// The SHA-256 of what a scraper shows.
    pub bearer: Option<KeyDigest>,
    /// Whether values stand there under the names of earlier servers, too.
    pub legacy_names: bool,
}

impl MetricsPolicy {
    /// Whether this is the scraper's bearer.
    pub(super) fn knows(&self, shown: &str) -> bool {
        self.bearer.is_some_and(|bearer| is_key(shown, &bearer))
    }
}

impl Engine {
    /// From now on another policy holds. Whoever was let in by the last one stays, but not in rooms that he may not join
    /// any more.
    pub(super) fn reload(&mut self, policy: Arc<Policy>, now: Now) {
        self.home.limit_creates(policy.limits.room_creates_per_ip_per_min);
        let last = std::mem::replace(&mut self.config.policy, policy);
        let others_decide = self.config.policy.resources != last.resources;
        if others_decide {
            self.words.renew(self.config.policy.resources.as_deref());
        }
        if others_decide || self.config.policy.abilities.rules() != last.abilities.rules() {
            self.rules_changed(now);
        }
        if others_decide {
            self.drop_unasked(now);
        }
    }
}

#[cfg(test)]
impl Policy {
    /// The defaults, outside production.
    pub(crate) fn for_tests(verifier: Verifier) -> Self {
        Self {
            verifier: Arc::new(verifier),
            api_keys: ApiKeys::default(),
            channels: ChannelTemplates::default(),
            origins: Origins::new([crate::http::AllowedOrigin::Localhost]),
            proxies: Proxies::default(),
            signing: None,
            introspection: None,
            resources: None,
            jwks: None,
            limits: Limits { rooms_per_connection_max: 1000, ..Limits::default() },
            dev_tokens: None,
            metrics: MetricsPolicy { is_open: true, ..MetricsPolicy::default() },
            abilities: Abilities::new(vec![crate::auth::Rule::everything()]),
        }
    }
}
