//! Calls to servers outside: which are under way, what for, and until when they are waited for.
//!
//! Owns no URL and no judgement: whoever asks says what for ([`Purpose`]), and is handed what came. Invariants: a call
//! comes to one end, that of the shell or that of its time; what comes later finds nobody.

use std::{collections::BTreeMap, sync::Arc};

use super::{Engine, Output};
use crate::{
    auth::{Introspection, TokenDigest, resources},
    base::Now,
    metrics::OutsideResult,
    model::{CallId, OutsideAnswer, OutsideError, OutsideRequest},
};

/// How much longer than its own time a call is waited for: the shell gives it up first, unless it has failed.
const GRACE_MS: u64 = 1_000;

/// What a call is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Whose the token of this digest is, asked by these settings.
    Introspection { digest: TokenDigest, settings: Arc<Introspection> },
    /// Whether the bearer of a token may have a resource; both make the digest.
    Resource(TokenDigest),
}

/// The calls of one shard. Their number is bounded by who makes them.
#[derive(Debug, Default)]
pub(super) struct Calls {
    under_way: BTreeMap<CallId, UnderWay>,
    last: u64,
    /// No call is due before.
    due_ms: Option<u64>,
}

#[derive(Debug)]
struct UnderWay {
    purpose: Purpose,
    asked_us: u64,
    due_ms: u64,
}

impl Calls {
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    fn begin(&mut self, purpose: Purpose, timeout_ms: u64, now: Now) -> CallId {
        self.last += 1;
        let call = CallId(self.last);
        let due_ms = now.mono_ms() + timeout_ms + GRACE_MS;
        self.under_way.insert(call, UnderWay { purpose, asked_us: now.mono_us, due_ms });
        self.due_ms = Some(self.due_ms.map_or(due_ms, |other_ms| other_ms.min(due_ms)));
        call
    }

    fn end(&mut self, call: CallId) -> Option<UnderWay> {
        let under_way = self.under_way.remove(&call);
        if self.under_way.is_empty() {
            self.due_ms = None;
        }
        under_way
    }

    /// A call that has been waited for long enough.
    fn overdue(&mut self, now_ms: u64) -> Option<CallId> {
        if self.due_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return None;
        }
        let overdue = self.under_way.iter().find(|(_, under_way)| under_way.due_ms <= now_ms);
        let overdue = overdue.map(|(call, _)| *call);
        if overdue.is_none() {
            self.due_ms = self.under_way.values().map(|under_way| under_way.due_ms).min();
        }
        overdue
    }
}

#[cfg(test)]
impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.due_ms.is_none()
    }
}

impl Engine {
    /// Has the shell ask; what becomes of it is handed to whoever the purpose names.
    pub(super) fn call_outside(&mut self, purpose: Purpose, request: OutsideRequest, now: Now) {
        let call = self.calls.begin(purpose, request.timeout_ms, now);
        self.outputs.push_back(Output::Call { call, request });
    }

    /// What became of a call.
    pub(super) fn called(&mut self, call: CallId, answer: Result<OutsideAnswer, OutsideError>, now: Now) {
        let Some(UnderWay { purpose, asked_us, .. }) = self.calls.end(call) else { return };
        match purpose {
            Purpose::Introspection { digest, settings } => {
                let is_denial = |status| matches!(status, 401 | 403);
                self.metrics.introspection_calls.inc(result_of(&answer, is_denial));
                self.metrics.introspection_duration.observe_us(now.mono_us.saturating_sub(asked_us));
                self.introspected(digest, &settings, answer, now);
            }
            Purpose::Resource(digest) => {
                let is_denial = |status| matches!(resources::judge(status), Some(Err(_)));
                self.metrics.resource_calls.inc(result_of(&answer, is_denial));
                self.metrics.resource_duration.observe_us(now.mono_us.saturating_sub(asked_us));
                self.resource_answered(digest, answer.map(|answer| answer.status), now);
            }
        }
    }

    /// Waits no longer for what the shell has not answered in time.
    pub(super) fn expire_calls(&mut self, now: Now) {
        while let Some(call) = self.calls.overdue(now.mono_ms()) {
            self.called(call, Err(OutsideError::Timeout), now);
        }
    }
}

/// The label of what became of a call.
fn result_of(answer: &Result<OutsideAnswer, OutsideError>, is_denial: impl Fn(u16) -> bool) -> OutsideResult {
    match answer {
        Ok(answer) => match answer.status {
            200..=299 => OutsideResult::Ok,
            status if is_denial(status) => OutsideResult::Denied,
            _ => OutsideResult::Status,
        },
        Err(OutsideError::Unsendable) => OutsideResult::Unsendable,
        Err(OutsideError::Busy) => OutsideResult::Busy,
        Err(OutsideError::Connect) => OutsideResult::Connect,
        Err(OutsideError::Timeout) => OutsideResult::Timeout,
        Err(OutsideError::TooLong) => OutsideResult::TooLong,
        Err(OutsideError::Broken) => OutsideResult::Broken,
    }
}
