//! What may change while a node runs: who is known, and what short names stand for. The rest of the configuration
//! holds from start to end.
//!
//! Invariants: a policy never changes; a shard takes another one between two inputs, so that each is judged by one; what
//! is remembered of a policy's verdicts must look whether the policy is still the same.

use std::sync::Arc;

use super::{ChannelTemplates, Engine};
use crate::{
    auth::{ApiKeys, CallKey, Verifier},
    http::{Origins, Proxies},
};

/// The part of the configuration that a reload replaces, the same on every shard.
#[derive(Debug)]
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
}

impl Engine {
    /// From now on another policy holds. Whoever was let in by the last one stays.
    pub(super) fn reload(&mut self, policy: Arc<Policy>) {
        self.config.policy = policy;
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
        }
    }
}
