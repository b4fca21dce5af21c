//! Calls that must be signed: what their heads have to show, the signature over the whole call, and the shard that knows
//! which signatures have been seen.
//!
//! A signature belongs to one shard of the node, by its own bytes, so that the same call is known again on whichever
//! shard it comes.

use super::{Answer, Asking, Engine, Exchange, Form, Progress, Ticket};
use crate::{
    auth::{CallSignature, Seen, SignatureMark},
    base::{ConnId, Now, ShardId},
    engine::{Ask, Parcel, Tell},
    http::{Framing, Head, HttpFault, response, route::Methods},
    metrics::Signed,
    model::{Fault, FaultCode},
};

/// The only method that calls are made with that change something.
const METHOD: &str = "POST";

/// What a call's head shows, for when its body is there.
#[derive(Debug)]
pub(super) struct Seal {
    signature: CallSignature,
    path: Box<str>,
}

const UNSIGNED: HttpFault = refusal(
    "this call must be signed: X-Ringway-Timestamp in Unix seconds, and X-Ringway-Signature, the HMAC-SHA-256 in \
     hexadecimal digits of timestamp, `POST`, path and body with dots between",
);
const UNTIMELY: HttpFault = refusal("X-Ringway-Timestamp is off by more than 300 seconds");
const FORGED: HttpFault = refusal("the signature is not that of this call");
const REPEATED: HttpFault =
    refusal("this signature has been seen before: sign the call anew, with another timestamp");
const STREAM: HttpFault = HttpFault::new(
    415,
    "unsupported_media_type",
    "lines that are answered as they come cannot be signed: with `api.signing` send one JSON value",
);

const fn refusal(message: &'static str) -> HttpFault {
    HttpFault { message, ..HttpFault::UNAUTHENTICATED }
}

impl Engine {
    /// What a call has to show before its body is read; nothing where it need not be signed.
    pub(super) fn seal_of(
        &mut self,
        head: &Head<'_>,
        methods: Methods,
        form: Form,
        now: Now,
    ) -> Result<Option<Box<Seal>>, HttpFault> {
        if self.config.policy.signing.is_none() || methods != Methods::Post {
            return Ok(None);
        }
        if form == Form::Lines {
            return Err(STREAM);
        }
        let only = |name| {
            let mut values = head.all(name);
            values.next().filter(|_| values.next().is_none())
        };
        let shown = only("x-ringway-timestamp").zip(only("x-ringway-signature"));
        let signature = shown.and_then(|(timestamp, signature)| CallSignature::parse(timestamp, signature));
        let Some(signature) = signature else {
            self.metrics.signed.inc(Signed::Missing);
            return Err(UNSIGNED);
        };
        if !signature.is_timely(now.unix_s()) {
            self.metrics.signed.inc(Signed::Untimely);
            return Err(UNTIMELY);
        }
        Ok(Some(Box::new(Seal { signature, path: head.path.into() })))
    }

    /// A signed call is whole: it goes on once the shard that knows the signature has said that it is new.
    pub(super) fn check_seal(
        &mut self,
        asking: Asking,
        seal: &Seal,
        body: &[u8],
        out: &mut Vec<u8>,
        now: Now,
    ) -> Answer {
        let Seal { signature, path } = seal;
        // A reload may have ended the signing meanwhile.
        if let Some(key) = &self.config.policy.signing
            && !key.verifies(signature, METHOD, path, body)
        {
            self.metrics.signed.inc(Signed::Forged);
            response::write_fault(out, &FORGED, asking.framing);
            return Answer::Written(asking.framing);
        }
        let (ticket, mark, until_s) = (asking.ticket, signature.mark(), signature.timely_until_s());
        let home = ShardId((mark % u128::from(self.config.shards.max(1))) as u16);
        self.send(home, Parcel::Ask(Ask::Signature { ticket, mark, until_s }));
        self.wait_for(asking, Progress::Sealed { body: body.into() }, now);
        Answer::Awaited
    }

    /// As the shard that knows a signature.
    pub(in crate::engine) fn asked_for_signature(
        &mut self,
        ticket: Ticket,
        mark: SignatureMark,
        until_s: u64,
        now: Now,
    ) {
        let seen = self.replays.see(mark, until_s, now.unix_s());
        self.send(ticket.conn().shard, Parcel::Tell(Tell::Signature { ticket, seen }));
    }

    /// Whether the signature is new is known: does what was asked, or refuses it.
    pub(in crate::engine) fn signature_judged(&mut self, ticket: Ticket, seen: Seen, now: Now) {
        let Some(exchange) = self.exchanges.take(ticket) else { return };
        let Exchange { asking, progress: Progress::Sealed { body } } = exchange else {
            debug_assert!(false, "only a call that waits for it has asked");
            self.exchanges.put(exchange);
            return;
        };
        let mut out = Vec::new();
        let answer = match seen {
            Seen::First => {
                self.metrics.signed.inc(Signed::Good);
                self.perform(asking, &body, &mut out, now)
            }
            Seen::Again => {
                self.metrics.signed.inc(Signed::Repeated);
                response::write_fault(&mut out, &REPEATED, asking.framing);
                Answer::Written(asking.framing)
            }
            Seen::Full => {
                self.metrics.signed.inc(Signed::Full);
                let fault = Fault::new(
                    FaultCode::Unavailable,
                    "more signed calls than can be remembered: see api.replay_entries",
                );
                self.write_refusal(&mut out, &fault, asking.framing);
                Answer::Written(asking.framing)
            }
        };
        self.give(ticket.conn(), answer, &out, now);
    }

    /// Sends what an exchange that had to wait was answered, if that is known now.
    fn give(&mut self, conn: ConnId, answer: Answer, out: &[u8], now: Now) {
        let Answer::Written(framing) = answer else { return };
        let framing = Framing { keep_alive: framing.keep_alive && self.draining.is_none(), ..framing };
        self.respond(conn, out, framing, now);
        self.serve(conn, now);
    }
}
