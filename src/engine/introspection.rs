//! Opaque tokens: who waits until the operator's server has said whose one is.
//!
//! A request waits unread and is read again with the verdict at hand; a connection that authenticates by message waits
//! with what it has sent meanwhile. Equal tokens share a question. Invariants: only a token that no key of ours has signed
//! is asked about; an answer is judged by the settings that it was asked by, and a request that is read again has that and asks
//! for no other; who waits for an answer stands in `waiting` and in his question's `waiters`, or in neither, and who waits with an
//! `authenticate` for his turn (`signatures`) in `waiting` only; each question is answered or given up when the time for
//! authentication is over; a connection waits for one token at a time.

use std::sync::Arc;

use super::{Engine, Notice, Output, asking::Asking, outside::Purpose};
use crate::{
    auth::{
        AuthError, Identity, Introspection, Judgement, TokenDigest, TokenHasher, Unjudged, Verdicts,
        introspection::{ANSWER_BYTES_MAX, judge},
        is_refusal,
    },
    base::{Breaker, ConnId, HashSeed, Map, NoPlace, Now, PeerBlock, Secret, TenantName, map_with_seed},
    conn::Stage,
    metrics::{AuthCache, Disconnect, RateLimit, Table},
    model::{CorrelationId, Fault, FaultCode, OutsideAnswer, OutsideError, OutsideRequest},
    ws::close,
};

/// How much of what is left by others one address (IPv6: a /64) may have looked up at a time.
const ADDRESS_PERCENT: u8 = 25;

/// What a connection may send while its first token is looked up, in bytes. While that waits for its turn only, one message of
/// any length that is taken may come beside: that is soon over, and without a token the decoder would keep as much.
const HELD_BYTES_MAX: usize = 8 * 1024;

type Verdict = Result<Identity, AuthError>;

/// What is known of a token.
pub(super) enum Known {
    Verdict(Verdict),
    /// Nothing yet: the operator's server may know.
    Nothing(TokenDigest),
    /// Nothing yet: enough signatures were checked in this turn.
    Unchecked,
}

/// One shard's questions about opaque tokens.
#[derive(Debug)]
pub(super) struct Introspections {
    hasher: TokenHasher,
    /// By whose settings the rest is: other ones begin anew.
    settings: Option<State>,
    /// By the address of who brought a token first.
    questions: Asking<PeerBlock, ConnId, Secret>,
    /// Who waits, by slot.
    waiting: Map<u32, Waiting>,
    /// For the request that is being read again.
    fresh: Option<(TokenDigest, Verdict)>,
    /// No question is due before.
    due_ms: Option<u64>,
}

#[derive(Debug)]
struct State {
    introspection: Arc<Introspection>,
    verdicts: Verdicts,
    breaker: Breaker,
}

#[derive(Debug)]
struct Waiting {
    conn: ConnId,
    digest: TokenDigest,
    cause: Cause,
    /// How much may be held.
    held_bytes_max: usize,
}

/// What the verdict is waited for with.
#[derive(Debug)]
pub(super) enum Cause {
    /// A request, whose head is the beginning of the connection's buffer.
    Request,
    /// The first `authenticate` of a connection; what came behind it waits with it.
    First { ask: Asked, held: Vec<u8> },
    /// A new token for an open connection, which goes on meanwhile.
    Refresh(Asked),
}

impl Cause {
    /// The `authenticate` that waits.
    pub(super) fn asked(&self) -> Option<&Asked> {
        match self {
            Self::Request => None,
            Self::First { ask, .. } | Self::Refresh(ask) => Some(ask),
        }
    }

    /// How much waits behind it.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::First { held, .. } => held.len(),
            Self::Request | Self::Refresh(_) => 0,
        }
    }

    /// Its token, if it was kept.
    pub(super) fn token(&self) -> Option<&Secret> {
        self.asked().and_then(|ask| ask.token.as_ref())
    }
}

/// An `authenticate`.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) call: Option<CorrelationId>,
    pub(super) tenant: Option<TenantName>,
    /// Kept only where something may be asked with it, or it is to be looked at again.
    pub(super) token: Option<Secret>,
}

impl Introspections {
    pub(super) fn new(hasher: TokenHasher, seed: HashSeed) -> Self {
        Self {
            hasher,
            settings: None,
            questions: Asking::new(ADDRESS_PERCENT),
            waiting: map_with_seed(seed),
            fresh: None,
            due_ms: None,
        }
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// Whether the breaker keeps anybody from asking.
    pub(super) fn is_breaker_open(&self) -> bool {
        self.settings.as_ref().is_some_and(|state| state.breaker.is_open())
    }

    /// Whether what a connection sends has to wait.
    pub(super) fn holds(&self, conn: ConnId) -> bool {
        !self.waiting.is_empty()
            && self.find(conn).is_some_and(|waiting| matches!(waiting.cause, Cause::First { .. }))
    }

    /// Nobody waits on this connection any more.
    pub(super) fn give_up(&mut self, conn: ConnId) {
        if self.find(conn).is_none() {
            return;
        }
        if let Some(Waiting { digest, .. }) = self.waiting.remove(&conn.slot) {
            self.questions.give_up(digest, |waiter| *waiter != conn);
        }
    }

    fn find(&self, conn: ConnId) -> Option<&Waiting> {
        self.waiting.get(&conn.slot).filter(|waiting| waiting.conn == conn)
    }

    /// Who waited on this connection for this token, and waits no more.
    fn take(&mut self, conn: ConnId, digest: TokenDigest) -> Option<Cause> {
        self.find(conn).filter(|waiting| waiting.digest == digest)?;
        self.waiting.remove(&conn.slot).map(|waiting| waiting.cause)
    }

    /// With what the connection waits whose turn to be looked at has come. `None`: with a request, or it has gone.
    pub(super) fn take_unchecked(&mut self, conn: ConnId) -> Option<Cause> {
        self.find(conn)?;
        self.waiting.remove(&conn.slot).map(|waiting| waiting.cause)
    }

    /// What belongs to these settings.
    fn state(&mut self, introspection: &Arc<Introspection>) -> &mut State {
        let is_ours = |state: &State| state.introspection == *introspection;
        if !self.settings.as_ref().is_some_and(is_ours) {
            self.settings = None;
        }
        self.settings.get_or_insert_with(|| State {
            introspection: Arc::clone(introspection),
            verdicts: Verdicts::new(introspection.verdicts),
            breaker: Breaker::new(introspection.breaker),
        })
    }
}

#[cfg(test)]
impl Introspections {
    pub(super) fn queue_len(&self) -> usize {
        self.questions.queue_len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.waiting.is_empty() && self.fresh.is_none()
    }
}

impl Engine {
    /// Whose token a request brings. `None`: it waits for that, and is read again.
    pub(super) fn bearer_of_request(&mut self, conn: ConnId, token: &str, now: Now) -> Option<Verdict> {
        let asked = match self.know(token, now) {
            Known::Verdict(verdict) => return Some(verdict),
            Known::Nothing(digest) => self.ask_about(conn, digest, token, Cause::Request, now),
            Known::Unchecked => {
                self.check_in_turn(conn);
                Ok(())
            }
        };
        if let Err(error) = asked {
            return Some(Err(error));
        }
        if let Some(found) = self.conns.get_mut(conn.slot, conn.generation)
            && let Stage::Http(http) = &mut found.stage
        {
            http.awaiting = true;
        }
        None
    }

    /// What is known of a token.
    pub(super) fn know(&mut self, token: &str, now: Now) -> Known {
        if let Some((fresh, verdict)) = &self.introspections.fresh
            && *fresh == self.introspections.hasher.digest(token)
        {
            return Known::Verdict(self.unless_revoked(verdict.clone()));
        }
        let error = match self.verify(token, now) {
            Some(Ok(identity)) => return Known::Verdict(Ok(identity)),
            Some(Err(error)) => error,
            None => return Known::Unchecked,
        };
        let Some(introspection) = &self.config.policy.introspection else {
            return Known::Verdict(Err(error));
        };
        if !error.is_of_no_key() || !is_sendable(token) {
            return Known::Verdict(Err(error));
        }
        let digest = self.introspections.hasher.digest(token);
        let found = self.introspections.state(introspection).verdicts.find(digest, now.mono_ms());
        self.metrics.introspection_cache.inc(if found.is_some() { AuthCache::Hit } else { AuthCache::Miss });
        match found {
            Some(verdict) => {
                let verdict = verdict.cloned().map_err(|()| AuthError::Refused);
                Known::Verdict(self.unless_revoked(verdict))
            }
            None => Known::Nothing(digest),
        }
    }

    /// Lets an `authenticate` wait for what is said of its token.
    pub(super) fn ask_and_hold(
        &mut self,
        conn: ConnId,
        digest: TokenDigest,
        token: &str,
        ask: Asked,
        now: Now,
    ) {
        let again = ask.clone();
        let Some(cause) = self.cause_of(conn, ask, now) else { return };
        if let Err(error) = self.ask_about(conn, digest, token, cause, now) {
            self.authenticated(conn, again, Err(error), now);
        }
    }

    /// Lets an `authenticate` wait for its turn to be looked at.
    pub(super) fn check_and_hold(&mut self, conn: ConnId, token: &Secret, ask: Asked, now: Now) {
        let ask = Asked { token: Some(token.clone()), ..ask };
        let Some(cause) = self.cause_of(conn, ask, now) else { return };
        self.wait_unchecked(conn, token.expose(), cause);
    }

    pub(super) fn wait_unchecked(&mut self, conn: ConnId, token: &str, cause: Cause) {
        let digest = self.introspections.hasher.digest(token);
        let held_bytes_max = self.config.ws.message_bytes_max.saturating_add(HELD_BYTES_MAX);
        self.introspections.waiting.insert(conn.slot, Waiting { conn, digest, cause, held_bytes_max });
        self.check_in_turn(conn);
    }

    /// With what an `authenticate` waits; none where another does already, which is refused.
    fn cause_of(&mut self, conn: ConnId, ask: Asked, now: Now) -> Option<Cause> {
        if self.introspections.find(conn).is_some() {
            let fault = Fault::new(FaultCode::Conflict, "the token before this one is still being looked up");
            self.refuse(conn, ask.call, fault, now);
            return None;
        }
        Some(match self.session(conn) {
            Ok(_) => Cause::Refresh(ask),
            Err(_) => Cause::First { ask, held: Vec::new() },
        })
    }

    /// Keeps what comes behind an `authenticate` until its token is known.
    pub(super) fn hold(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        let Some(waiting) = self.introspections.waiting.get_mut(&conn.slot) else { return };
        let Cause::First { held, .. } = &mut waiting.cause else { return };
        if held.len() + bytes.len() <= waiting.held_bytes_max {
            held.extend_from_slice(bytes);
            return;
        }
        self.limit_met_by(conn, RateLimit::MessageSize);
        let text = "too much was sent before the token was looked up";
        self.fail(conn, close::MESSAGE_TOO_BIG, text, Disconnect::TooBig, now);
    }

    pub(super) fn ask_about(
        &mut self,
        conn: ConnId,
        digest: TokenDigest,
        token: &str,
        cause: Cause,
        now: Now,
    ) -> Result<(), AuthError> {
        let Some(introspection) = self.config.policy.introspection.clone() else {
            return Err(AuthError::Refused);
        };
        let Some(found) = self.conns.get(conn.slot, conn.generation) else { return Err(AuthError::Refused) };
        let asker = PeerBlock::from(found.peer);
        let own = &mut self.introspections;
        if own.questions.get(digest).is_none() {
            own.questions.check(&asker, introspection.in_flight_max).map_err(|why| {
                self.metrics.no_place(Table::Introspection, why);
                AuthError::Unavailable(match why {
                    NoPlace::Share => Unjudged::Share,
                    NoPlace::Total => Unjudged::Busy,
                })
            })?;
            let has_room = own.questions.may_call(introspection.in_flight_max);
            let breaker = &mut own.state(&introspection).breaker;
            // Who comes to wait behind calls that are under way is no try whether the server works again.
            let may_ask = if has_room { breaker.admits(now.mono_ms(), None) } else { !breaker.is_open() };
            if !may_ask {
                return Err(AuthError::Unavailable(Unjudged::Down));
            }
            let due_ms = now.mono_ms() + self.config.auth_timeout_ms;
            own.questions.begin(digest, asker, Secret::from(token), due_ms);
            own.due_ms = Some(own.due_ms.map_or(due_ms, |other_ms| other_ms.min(due_ms)));
            if has_room {
                self.call_about(digest, &introspection, now);
            } else {
                own.questions.enqueue(digest);
            }
        }
        let own = &mut self.introspections;
        if own.questions.wait(digest, conn) {
            let waiting = Waiting { conn, digest, cause, held_bytes_max: HELD_BYTES_MAX };
            own.waiting.insert(conn.slot, waiting);
        }
        Ok(())
    }

    fn call_about(&mut self, digest: TokenDigest, introspection: &Arc<Introspection>, now: Now) {
        let Some(token) = self.introspections.questions.called(digest).cloned() else { return };
        let request = OutsideRequest {
            url: introspection.url.clone(),
            bearer: Some(token),
            timeout_ms: introspection.timeout_ms,
            body_bytes_max: ANSWER_BYTES_MAX,
            wants_body: true,
        };
        let purpose = Purpose::Introspection { digest, settings: Arc::clone(introspection) };
        self.call_outside(purpose, request, now);
    }

    /// What became of the call about a token, made by these settings. Where others hold by now, it says nothing: they are
    /// asked by.
    pub(super) fn introspected(
        &mut self,
        digest: TokenDigest,
        settings: &Arc<Introspection>,
        answer: Result<OutsideAnswer, OutsideError>,
        now: Now,
    ) {
        self.introspections.questions.answered();
        match self.config.policy.introspection.clone() {
            Some(introspection) if introspection == *settings => {
                let verdict = self.judged(digest, &introspection, answer, now);
                self.tell_verdict(digest, &verdict, now);
            }
            Some(introspection) => self.ask_anew(digest, &introspection),
            // Switched off meanwhile. Should it come back, a breaker that waited for this answer would wait for ever.
            None => {
                self.introspections.settings = None;
                self.tell_verdict(digest, &Err(AuthError::Refused), now);
            }
        }
        self.call_about_next(now);
    }

    /// A question whose answer is not wanted is the next to be asked, if anybody waits for it.
    fn ask_anew(&mut self, digest: TokenDigest, introspection: &Arc<Introspection>) {
        let own = &mut self.introspections;
        // A breaker of the last settings may have waited for this answer.
        own.state(introspection);
        own.questions.ask_anew(digest);
    }

    /// Makes a verdict of an answer, and remembers it.
    fn judged(
        &mut self,
        digest: TokenDigest,
        introspection: &Arc<Introspection>,
        answer: Result<OutsideAnswer, OutsideError>,
        now: Now,
    ) -> Verdict {
        let leeway_s = self.config.policy.verifier.leeway_s();
        let failure = answer.as_ref().err().copied();
        // Which token was asked about is the client's choice.
        let is_refusal = answer.as_ref().is_ok_and(|answer| is_refusal(answer.status));
        let judgement = match answer {
            Ok(OutsideAnswer { status, body }) => {
                judge(&introspection.fields, status, &body, now.unix_s(), leeway_s)
            }
            Err(_) => Judgement::Unclear(Unjudged::Silent, None),
        };
        let state = self.introspections.state(introspection);
        match judgement {
            Judgement::Good(identity) => {
                state.breaker.succeeded(now.mono_ms());
                let lasts_ms = identity
                    .expires_at_s
                    .map(|at_s| (at_s.saturating_mul(1_000)).saturating_sub(now.unix_ms));
                state.verdicts.remember(digest, Ok(&identity), lasts_ms, now.mono_ms());
                Ok(identity)
            }
            Judgement::Bad => {
                state.breaker.succeeded(now.mono_ms());
                state.verdicts.remember(digest, Err(()), None, now.mono_ms());
                Err(AuthError::Refused)
            }
            Judgement::Unclear(why, detail) => {
                match failure {
                    _ if is_refusal => state.breaker.succeeded(now.mono_ms()),
                    // It has not heard of this.
                    Some(OutsideError::Busy | OutsideError::Unsendable) => {
                        state.breaker.undecided(now.mono_ms());
                    }
                    Some(OutsideError::Connect) => state.breaker.failed(now.mono_ms()),
                    // Many clients may have one address, so that nobody is known by his.
                    Some(OutsideError::Timeout | OutsideError::TooLong | OutsideError::Broken) | None => {
                        state.breaker.failed_for(now.mono_ms(), None);
                    }
                }
                let reason = match (failure, detail) {
                    (Some(failure), _) => failure.to_string(),
                    (None, Some(detail)) => detail.to_string(),
                    (None, None) => why.to_string(),
                };
                self.outputs.push_back(Output::Notice(Notice::IntrospectionFailed { reason }));
                Err(AuthError::Unavailable(why))
            }
        }
    }

    /// Makes calls for questions that wait, as many as may be under way.
    fn call_about_next(&mut self, now: Now) {
        let Some(introspection) = self.config.policy.introspection.clone() else { return };
        while let Some(digest) = self.introspections.questions.next(introspection.in_flight_max) {
            let own = &mut self.introspections;
            if own.state(&introspection).breaker.admits(now.mono_ms(), None) {
                self.call_about(digest, &introspection, now);
            } else {
                self.tell_verdict(digest, &Err(AuthError::Unavailable(Unjudged::Down)), now);
            }
        }
    }

    /// Gives up what has waited for as long as anybody may be without an identity.
    pub(super) fn expire_introspections(&mut self, now: Now) {
        let own = &mut self.introspections;
        if own.due_ms.is_none_or(|due_ms| due_ms > now.mono_ms()) {
            return;
        }
        let is_due = own.questions.iter().filter(|(_, open)| open.due_ms <= now.mono_ms());
        let due: Vec<_> = is_due.map(|(digest, _)| digest).collect();
        for digest in due {
            self.tell_verdict(digest, &Err(AuthError::Unavailable(Unjudged::Silent)), now);
        }
        let own = &mut self.introspections;
        own.due_ms = own.questions.iter().map(|(_, open)| open.due_ms).min();
        self.call_about_next(now);
    }

    /// Lets all go on who wait for a token.
    fn tell_verdict(&mut self, digest: TokenDigest, verdict: &Verdict, now: Now) {
        let Some(open) = self.introspections.questions.close(digest) else { return };
        let verdict = &self.unless_revoked(verdict.clone());
        for conn in open.waiters {
            match self.introspections.take(conn, digest) {
                Some(Cause::Request) => self.read_again(conn, digest, verdict, now),
                Some(cause) => self.go_on_with(conn, cause, verdict, now),
                None => {}
            }
        }
    }

    /// The token of an `authenticate` is known.
    pub(super) fn go_on_with(&mut self, conn: ConnId, cause: Cause, verdict: &Verdict, now: Now) {
        match cause {
            Cause::Request => {}
            Cause::First { ask, mut held } => {
                self.authenticated(conn, ask, verdict.clone(), now);
                if self.is_socket(conn) {
                    self.socket_received(conn, &mut held, now);
                }
            }
            Cause::Refresh(ask) => self.authenticated(conn, ask, verdict.clone(), now),
        }
    }

    fn read_again(&mut self, conn: ConnId, digest: TokenDigest, verdict: &Verdict, now: Now) {
        let Some(found) = self.conns.get_mut(conn.slot, conn.generation) else { return };
        let Stage::Http(http) = &mut found.stage else { return };
        http.awaiting = false;
        self.introspections.fresh = Some((digest, verdict.clone()));
        self.serve(conn, now);
        self.introspections.fresh = None;
    }
}

/// Whether a header can carry it.
fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}
