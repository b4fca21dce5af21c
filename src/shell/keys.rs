//! The issuer's set of keys, looked at for the whole node, and the policy that they are part of.
//!
//! When to look and what to take is decided in `auth/issuer.rs`. Invariant: the policy in effect is the configuration's
//! with the keys of the issuer that it names.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tracing::{info, warn};

use super::outside::Outside;
use crate::{
    auth::{
        Issuer,
        issuer::{LOOK_TIMEOUT_MS, Look},
    },
    base::Now,
    engine::Policy,
    metrics::KeysStats,
    model::{OutsideAnswer, OutsideError},
};

type Answer = Result<OutsideAnswer, OutsideError>;

pub(super) struct IssuerKeys {
    outside: Outside,
    /// As it was configured.
    configured: Arc<Policy>,
    issuer: Issuer,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
}

impl IssuerKeys {
    pub(super) fn new(outside: Outside, configured: Arc<Policy>) -> Self {
        let (sender, answers) = unbounded();
        let mut issuer = Issuer::default();
        issuer.adopt(configured.jwks.as_ref());
        Self { outside, configured, issuer, sender, answers }
    }

    /// Looks, where there is something to look at, and waits for the answer: who comes in the first moment shall not be
    /// turned away. A failure is logged, and repeated later.
    pub(super) fn look_and_wait(&mut self, now: Now) {
        const PATIENCE: Duration = Duration::from_millis(LOOK_TIMEOUT_MS + 1_000);
        if self.look(now)
            && let Ok(answer) = self.answers.recv_timeout(PATIENCE)
        {
            self.came(answer, now);
        }
    }

    /// Looks if it is time to; whether it does.
    pub(super) fn look(&mut self, now: Now) -> bool {
        let Some(request) = self.issuer.look(now.mono_ms()) else { return false };
        let sender = self.sender.clone();
        // Nobody listens only when the node has ended.
        self.outside.call(request, move |answer| drop(sender.send(answer)));
        true
    }

    /// A token has named a key that is not there.
    pub(super) fn want(&mut self, now: Now) {
        self.issuer.want();
        self.look(now);
    }

    /// Takes what the issuer has said; whether there is another policy now.
    pub(super) fn came(&mut self, answer: Answer, now: Now) -> bool {
        match self.issuer.came(answer, now.mono_ms()) {
            Look::Changed(left_out) => {
                info!(keys = self.issuer.keys().len() as u64, "the issuer's keys are in use");
                for key in left_out {
                    warn!(kid = key.key, reason = %key.why, "a key of the issuer is not used");
                }
                true
            }
            Look::Unchanged => false,
            Look::Failed(reason) => {
                warn!(err = reason, "the issuer's keys cannot be had: those of before stay");
                false
            }
        }
    }

    /// Takes another configuration. Keys of another issuer are forgotten, and its own are looked at.
    pub(super) fn configure(&mut self, policy: Arc<Policy>, now: Now) {
        self.issuer.adopt(policy.jwks.as_ref());
        self.configured = policy;
        self.look(now);
    }

    /// The policy in effect.
    pub(super) fn policy(&self) -> Arc<Policy> {
        match self.issuer.keys() {
            [] => Arc::clone(&self.configured),
            keys => Arc::new(Policy {
                verifier: Arc::new(self.configured.verifier.with_keys(keys)),
                ..(*self.configured).clone()
            }),
        }
    }

    /// What the issuer says.
    pub(super) fn answers(&self) -> Receiver<Answer> {
        self.answers.clone()
    }

    pub(super) fn stats(&self) -> KeysStats {
        self.issuer.stats()
    }
}
