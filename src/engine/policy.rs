//! What may change while a node runs: who is known, and what short names stand for. The rest of the configuration
//! holds from start to end.
//!
//! Invariants: a policy never changes; a shard takes another one between two inputs, so that each is judged by one; what
//! is remembered of a policy's verdicts must look whether the policy is still the same.

use std::sync::Arc;

use super::{ChannelTemplates, Engine};
use crate::{
    auth::{Abilities, ApiKeys, Verifier},
    base::Now,
};

/// The part of the configuration that a reload replaces, the same on every shard.
#[derive(Clone, Debug)]
pub struct Policy {
    pub verifier: Arc<Verifier>,
    /// Keys of backends.
    pub api_keys: ApiKeys,
    pub channels: ChannelTemplates,
    /// Who may do what in which rooms.
    pub abilities: Abilities,
}

impl Engine {
    /// From now on another policy holds. Whoever was let in by the last one stays, but not in rooms that he may not join
    /// any more.
    pub(super) fn reload(&mut self, policy: Arc<Policy>, now: Now) {
        let last = std::mem::replace(&mut self.config.policy, policy);
        if self.config.policy.abilities.rules() != last.abilities.rules() {
            self.rules_changed(now);
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
            abilities: Abilities::new(vec![crate::auth::Rule::everything()]),
        }
    }
}
