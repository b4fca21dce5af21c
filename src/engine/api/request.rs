//! What a backend asks of a client, and waits for.

use super::{
    Asking, Engine, Outcome, Progress,
    call::{OTHER_TENANT, tenant_for},
};
use crate::{
    base::Now,
    dialect::api,
    engine::{Caller, requests::Asker},
    model::{Fault, FaultCode, Reply},
};

/// The answer, or why there is none; the one who was asked may have answered that it failed there, which is an answer.
pub(super) fn answer_of(correlation_id: &str, result: &Result<Reply, Fault>) -> Outcome {
    let status = result.as_ref().map_or_else(|fault| fault.code.status(), |_| 200);
    let mut body = Vec::new();
    api::answered(&mut body, correlation_id, result);
    Outcome::Done { status, body }
}

impl Engine {
    /// What was posted: whom to ask, and what.
    pub(super) fn ask_somebody(&mut self, asking: &Asking, body: &[u8], now: Now) -> Result<Outcome, Fault> {
        let (tenant, request) = api::request(body)?;
        let tenant = tenant_for(&asking.backend, tenant)
            .ok_or_else(|| Fault::new(FaultCode::Forbidden, OTHER_TENANT))?;
        if request.payload.as_bytes().len() > self.config.ws.message_bytes_max {
            return Err(Fault::new(FaultCode::TooLarge, "the payload is larger than a message may be"));
        }
        // More than the most is refused, and needs no patience.
        let timeout_ms = request.timeout_ms.unwrap_or(self.config.requests.timeout_ms);
        let timeout_ms = timeout_ms.min(self.config.requests.timeout_ms_max);
        let caller = Caller::Api { ticket: asking.ticket, item: 0 };
        let id = self.put_request(caller, Asker { tenant, user: None }, request, now);
        // Without an id the refusal is on its way.
        let correlation_id = id.map(|id| id.public(self.config.node)).unwrap_or_default();
        Ok(Outcome::Waits(Progress::Request { correlation_id, timeout_ms }))
    }
}
