//! What servers are asked: equal questions once, so many at a time, none that has failed again and again.
//!
//! A question is of one token and one URL. Invariants: it is answered or given up, once, and all who wait for it go on then; one
//! whose call is not made within the time of a call is given up.

use std::collections::{BTreeMap, BTreeSet};

use super::{Question, Refusal, Said, Words};
use crate::{
    auth::{Resource, TokenDigest, is_refusal, resources::judge},
    base::{Breaker, ConnId, Now, RoomName, Secret, TenantName},
    engine::{
        Engine, Notice, Output,
        asking::{Asking, QUEUE_MAX},
        outside::Purpose,
    },
    metrics::{Table, Unasked},
    model::{OutsideError, OutsideRequest},
};

/// How many of those that wait may be of nobody who waits: those about members who stay meanwhile.
const PATIENT_MAX: usize = QUEUE_MAX / 4;

/// How much of what is left by others one tenant may have open at a time.
const TENANT_PERCENT: u8 = 50;

const _: () = assert!(
    PATIENT_MAX * 2 <= QUEUE_MAX * TENANT_PERCENT as usize / 100,
    "members leave those of their tenant who wait as much"
);

/// What is read of an answer, in bytes: only its status says something.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How often the rules have changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Edition(u64);

impl Edition {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Of which connection's commands, or membership, in which room.
type Waiter = (ConnId, RoomName);

/// One shard's open questions.
#[derive(Debug)]
pub(super) struct Questions {
    asking: Asking<TenantName, Waiter, Asked>,
    /// Which of these a connection waits for.
    by_conn: BTreeMap<ConnId, BTreeSet<TokenDigest>>,
}

#[derive(Debug)]
struct Asked {
    /// Until the call is made.
    unasked: Option<(Resource, Secret)>,
    /// In the rules of that edition.
    server: usize,
    edition: Edition,
    /// What the user hashes to whose token it is.
    asker: u64,
}

impl Questions {
    pub(super) fn new() -> Self {
        Self { asking: Asking::new(TENANT_PERCENT), by_conn: BTreeMap::new() }
    }

    /// Whether there is room for questions that are in no hurry.
    pub(super) fn is_quiet(&self) -> bool {
        self.asking.unasked() < PATIENT_MAX
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        self.asking.queue_due_ms()
    }

    /// Nobody waits on this connection any more.
    pub(super) fn give_up(&mut self, conn: ConnId) {
        for digest in self.by_conn.remove(&conn).unwrap_or_default() {
            self.asking.give_up(digest, |(waiter, _)| *waiter != conn);
        }
    }

    fn wait(&mut self, digest: TokenDigest, conn: ConnId, room: RoomName) {
        if self.asking.wait(digest, (conn, room)) {
            self.by_conn.entry(conn).or_default().insert(digest);
        }
    }

    /// A question is over; who has waited for it.
    fn close(&mut self, digest: TokenDigest) -> BTreeSet<Waiter> {
        let waiters = self.asking.close(digest).map(|open| open.waiters).unwrap_or_default();
        self.let_go(digest, &waiters);
        waiters
    }

    fn let_go(&mut self, digest: TokenDigest, waiters: &BTreeSet<Waiter>) {
        for (conn, _) in waiters {
            if let Some(digests) = self.by_conn.get_mut(conn) {
                digests.remove(&digest);
                if digests.is_empty() {
                    self.by_conn.remove(conn);
                }
            }
        }
    }
}

#[cfg(test)]
impl Questions {
    pub(super) fn is_empty(&self) -> bool {
        self.asking.is_empty() && self.by_conn.is_empty()
    }
}

impl Words {
    /// The breaker of a server of these rules.
    fn server(&mut self, edition: Edition, server: usize) -> Option<&mut (Box<str>, Breaker)> {
        let state = self.state.as_mut().filter(|_| edition == self.edition)?;
        state.servers.get_mut(server)
    }
}

impl Engine {
    /// Asks for a client, or has it wait with those who ask the same.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub(super) fn ask_server(&mut self, id: ConnId, question: Question, now: Now) -> Result<(), Refusal> {
        let Some(limits) = self.config.policy.resources.as_ref().map(|resources| resources.limits) else {
            return Err(Refusal::Unclear);
        };
        let Question { digest, resource, room, .. } = question;
        let server = resource.server;
        let Ok(session) = self.session(id) else { return Err(Refusal::Unclear) };
        let tenant = session.tenant.clone();
        let asker = self.words.seed.hash_one((session.tenant.as_str(), session.user.as_str()));
        let own = &mut self.words;
        if own.questions.asking.get(digest).is_none() {
            let Some(token) = own.bearer(id).map(|bearer| bearer.token.clone()) else {
                return Err(Refusal::Unasked(Unasked::NoToken));
            };
            own.questions.asking.check(&tenant, limits.in_flight_max).map_err(|why| {
                self.metrics.no_place(Table::Questions, why);
                Refusal::Unasked(Unasked::QueueFull)
            })?;
            let (edition, has_room) = (own.edition, own.questions.asking.may_call(limits.in_flight_max));
            let Some((_, breaker)) = own.server(edition, server) else { return Err(Refusal::Unclear) };
            // Who comes to wait behind calls that are under way is no try whether the server works again.
            let may_ask =
                if has_room { breaker.admits(now.mono_ms(), Some(asker)) } else { !breaker.is_open() };
            if !may_ask {
                return Err(Refusal::Unasked(Unasked::BreakerOpen));
            }
            let asked = Asked { unasked: Some((resource, token)), server, edition, asker };
            own.questions.asking.begin(digest, tenant, asked, now.mono_ms() + limits.timeout_ms);
            if has_room {
                self.call_server(digest, now);
            } else {
                own.questions.asking.enqueue(digest);
            }
        }
        self.words.questions.wait(digest, id, room);
        Ok(())
    }

    fn call_server(&mut self, digest: TokenDigest, now: Now) {
        let Some(resources) = self.config.policy.resources.as_ref() else { return };
        let timeout_ms = resources.limits.timeout_ms;
        let unasked = self.words.questions.asking.called(digest).and_then(|asked| asked.unasked.take());
        let Some((Resource { url, .. }, token)) = unasked else { return };
        let request = OutsideRequest {
            url,
            bearer: Some(token),
            timeout_ms,
            body_bytes_max: BODY_BYTES_MAX,
            wants_body: false,
        };
        self.call_outside(Purpose::Resource(digest), request, now);
    }

    /// What became of a call: the status of the answer, or why there is none.
    pub(in crate::engine) fn resource_answered(
        &mut self,
        digest: TokenDigest,
        answer: Result<u16, OutsideError>,
        now: Now,
    ) {
        self.words.questions.asking.answered();
        let said = self.take_word(digest, answer, now);
        self.tell_word(digest, said, now);
        self.ask_next(now);
        // Members about whom nobody was asked for want of room.
        self.look_after_members(now);
    }

    /// Makes a word of an answer, and remembers it as long as the rules are those that it was asked by.
    fn take_word(&mut self, digest: TokenDigest, answer: Result<u16, OutsideError>, now: Now) -> Said {
        let own = &mut self.words;
        let Some(open) = own.questions.asking.get(digest) else { return Err(Refusal::Unclear) };
        let Asked { edition, server, asker, .. } = open.question;
        let judged = answer.ok().and_then(judge);
        // What is asked for is the client's choice.
        let works = judged.is_some() || answer.is_ok_and(is_refusal);
        let is_unsaid = matches!(answer, Err(OutsideError::Busy | OutsideError::Unsendable));
        if let Some((name, breaker)) = own.server(edition, server) {
            match answer {
                _ if works => breaker.succeeded(now.mono_ms()),
                // It has not heard of this.
                _ if is_unsaid => breaker.undecided(now.mono_ms()),
                // Whatever it is asked.
                Err(OutsideError::Connect) => breaker.failed(now.mono_ms()),
                _ => breaker.failed_for(now.mono_ms(), Some(asker)),
            }
            if judged.is_none() {
                let reason = match answer {
                    Ok(status) => format!("{name} says {status}"),
                    Err(error) => format!("{name}: {error}"),
                };
                self.outputs.push_back(Output::Notice(Notice::ResourceFailed { reason }));
            }
        }
        let own = &mut self.words;
        let state = own.state.as_mut().filter(|_| edition == own.edition);
        let Some(verdict) = judged else {
            if let Some(state) = state.filter(|_| !is_unsaid) {
                state.unclear.remember(digest, Err(()), None, now.mono_ms());
            }
            return Err(Refusal::Unclear);
        };
        let mut until_ms = now.mono_ms();
        if let Some(state) = state {
            state.verdicts.remember(digest, verdict.as_ref().map_err(|denial| *denial), None, now.mono_ms());
            until_ms = state.verdicts.find_with_end(digest, now.mono_ms()).map_or(until_ms, |(_, end)| end);
        }
        verdict.map(|()| until_ms).map_err(Refusal::Denied)
    }

    /// Lets all go on who wait for this.
    fn tell_word(&mut self, digest: TokenDigest, said: Said, now: Now) {
        for (conn, room) in self.words.questions.close(digest) {
            if !self.is_open(conn) {
                continue;
            }
            self.words.heard.put(conn, &room, digest, said);
            let asks = self.settle(conn, &room, now);
            self.go_on(conn, &room, digest, now);
            if !asks && !self.words.lines.has_line(conn, &room) {
                self.words.heard.forget(conn, &room);
            }
        }
    }

    /// Makes calls for questions that wait, as many as may be under way.
    fn ask_next(&mut self, now: Now) {
        let Some(resources) = self.config.policy.resources.clone() else { return };
        while let Some(digest) = self.words.questions.asking.next(resources.limits.in_flight_max) {
            let Some(open) = self.words.questions.asking.get(digest) else { continue };
            let Asked { edition, server, asker, .. } = open.question;
            if !open.waiters.iter().any(|(conn, _)| self.is_open(*conn)) {
                self.words.questions.close(digest);
                continue;
            }
            let breaker = self.words.server(edition, server);
            if breaker.is_some_and(|(_, breaker)| breaker.admits(now.mono_ms(), Some(asker))) {
                self.call_server(digest, now);
            } else {
                self.tell_word(digest, Err(Refusal::Unasked(Unasked::BreakerOpen)), now);
            }
        }
    }

    /// Gives up what has waited for its call for too long.
    pub(super) fn expire_questions(&mut self, now: Now) {
        while let Some(digest) = self.words.questions.asking.next_overdue(now.mono_ms()) {
            self.tell_word(digest, Err(Refusal::Unasked(Unasked::TooLate)), now);
        }
    }

    /// The rules have changed: what was not asked yet is looked at anew.
    pub(in crate::engine) fn drop_unasked(&mut self, now: Now) {
        let dropped = self.words.questions.asking.close_unasked();
        for (digest, open) in &dropped {
            self.words.questions.let_go(*digest, &open.waiters);
        }
        for (digest, open) in dropped {
            for (conn, room) in open.waiters {
                if self.is_open(conn) {
                    self.go_on(conn, &room, digest, now);
                }
            }
        }
    }
}
