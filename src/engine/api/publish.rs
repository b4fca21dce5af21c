//! Messages of a backend: one, or several that are answered together.

use super::{
    Asking, Engine, Outcome, Progress,
    call::{OTHER_TENANT, tenant_for},
};
use crate::{
    base::{Now, RoomKey},
    dialect::api::{self, Posted, Publication},
    engine::{Caller, Publish, commands::error_type},
    metrics::{Protocol, Received},
    model::{Fault, FaultCode, MessageId, Payload, Reply},
};

/// Messages that are answered together.
#[derive(Debug)]
pub(super) struct Batch {
    /// In the order of the request.
    results: Vec<Option<Result<Reply, Fault>>>,
    /// How many are not known yet.
    left: usize,
}

impl Batch {
    fn of(results: Vec<Option<Result<Reply, Fault>>>) -> Self {
        let left = results.iter().filter(|result| result.is_none()).count();
        Self { results, left }
    }

    /// What has become of one; the answer, if that was the last.
    pub(super) fn answered(&mut self, item: u32, result: Result<Reply, Fault>) -> Option<Outcome> {
        if let Some(waiting @ None) = self.results.get_mut(item as usize) {
            *waiting = Some(result);
            self.left -= 1;
        }
        self.conclusion()
    }

    fn conclusion(&self) -> Option<Outcome> {
        if self.left > 0 {
            return None;
        }
        let mut body = br#"{"results":["#.to_vec();
        for (index, result) in self.results.iter().flatten().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            api::result(&mut body, "index", index as u64, result);
        }
        body.extend_from_slice(b"]}");
        Some(Outcome::ok(body))
    }
}

/// The answer about a single message.
pub(super) fn answer_of(result: Result<Reply, Fault>) -> Result<Outcome, Fault> {
    let mut body = Vec::new();
    if let Reply::Sent { message_id, offset } = result? {
        api::published(&mut body, &message_id, offset);
    }
    Ok(Outcome::ok(body))
}

impl Engine {
    /// What was posted: one message, whose id a header may give, or an array.
    pub(super) fn publish_posted(
        &mut self,
        asking: &Asking,
        message_id: Option<MessageId>,
        body: &[u8],
        now: Now,
    ) -> Result<Outcome, Fault> {
        let posted = match (api::posted(body)?, message_id) {
            (Posted::One(publication), Some(given))
                if publication.message_id.as_ref().is_some_and(|other| *other != given) =>
            {
                return Err(conflict("Idempotency-Key and messageId say different things"));
            }
            (Posted::One(mut publication), given) => {
                publication.message_id = given.or(publication.message_id);
                let publish = self.publish_of(asking, 0, publication, now)?;
                self.metrics.received.inc(Received::Publish, Protocol::Http);
                self.ask_publish(publish, now);
                return Ok(Outcome::Waits(Progress::Message));
            }
            (Posted::Many(_), Some(_)) => {
                return Err(conflict(
                    "Idempotency-Key is for one message: give each of several its messageId",
                ));
            }
            (Posted::Many(publications), None) => publications,
        };
        self.metrics.received.add(Received::Publish, Protocol::Http, posted.len() as u64);
        let mut results = Vec::with_capacity(posted.len());
        for (item, publication) in (0..).zip(posted) {
            match publication.and_then(|publication| self.publish_of(asking, item, publication, now)) {
                Ok(publish) => {
                    self.ask_publish(publish, now);
                    results.push(None);
                }
                Err(fault) => {
                    self.metrics.errors.inc(error_type(fault.code));
                    results.push(Some(Err(fault)));
                }
            }
        }
        let batch = Batch::of(results);
        Ok(batch.conclusion().unwrap_or(Outcome::Waits(Progress::Batch(batch))))
    }

    /// A message on its way to its room, if the backend may send it.
    pub(super) fn publish_of(
        &self,
        asking: &Asking,
        item: u32,
        publication: Publication,
        now: Now,
    ) -> Result<Publish, Fault> {
        let Asking { ticket, backend, .. } = asking;
        let Publication { tenant, room, payload, persistent, message_id, from } = publication;
        let tenant =
            tenant_for(backend, tenant).ok_or_else(|| Fault::new(FaultCode::Forbidden, OTHER_TENANT))?;
        if payload.as_bytes().len() > self.config.ws.message_bytes_max {
            return Err(Fault::new(FaultCode::TooLarge, "the payload is larger than a message may be"));
        }
        Ok(Publish {
            key: RoomKey { tenant, room },
            caller: Caller::Api { ticket: *ticket, item },
            from: from.unwrap_or_else(|| backend.name.clone()),
            payload: Payload::Json(payload),
            message_id,
            persistent,
            // No member sent it: it is for all of them.
            echo: true,
            received_us: now.mono_us,
        })
    }
}

/// Head and body are good, but not for each other.
fn conflict(message: &'static str) -> Fault {
    Fault::new(FaultCode::Conflict, message)
}
