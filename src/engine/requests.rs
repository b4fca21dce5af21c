//! Requests: one client, or the backend, asks another connection and gets its one answer.
//!
//! The shard where it is asked keeps the request (`hub/pending.rs`), finds whom to ask, and judges what comes back;
//! the shard of the one who is asked notes what is owed (`hub/owed.rs`), so that nobody waits for a connection that
//! ended. All of it travels as asks: each makes at most one more per shard.
//!
//! Invariant: who asks hears once, unless gone. Nothing crosses from one tenant to another.

use super::{Ask, Caller, Engine, Letter, Notice, Output, Parcel, Sought, parcel::home_of};
use crate::{
    base::{ConnId, NoPlace, Now, RequestId, RoomKey, ShardId, TenantName, UserName},
    hub::{Aim, Closed, Full, Located, Owed, Pending, PendingLimits, Unmatched},
    metrics::{Dropped, Table},
    model::{Answer, CorrelationId, Event, Fault, FaultCode, Reply, Request, Requested, Response, Target},
};

/// How often requests are held against the connections that there are, in milliseconds.
const SWEEP_MS: u64 = 30_000;

/// What a shard knows of requests.
#[derive(Debug)]
pub(super) struct Requests {
    /// Asked here.
    pub(super) pending: Pending<Caller, Box<Letter>>,
    /// To be answered here.
    pub(super) owed: Owed,
    /// The next sweep, if there is something to look at.
    sweep_ms: u64,
}

impl Requests {
    pub(super) fn new(shard: ShardId, limits: PendingLimits) -> Self {
        Self { pending: Pending::new(shard, limits), owed: Owed::default(), sweep_ms: 0 }
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        let sweep_ms = (!self.is_empty()).then_some(self.sweep_ms);
        [self.pending.due_ms(), sweep_ms].into_iter().flatten().min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.owed.is_empty()
    }
}

/// Who asks, as far as it concerns the one who is asked.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) tenant: TenantName,
    /// Nobody where the backend asks.
    pub(super) user: Option<UserName>,
}

impl Engine {
    /// Puts a request to its target. The caller is answered once, later: with what the target says, or with why it does
    /// not; not at all when its connection ends before. The request's id, if there is somebody to look for.
    pub(super) fn put_request(
        &mut self,
        caller: Caller,
        asker: Asker,
        request: Request,
        now: Now,
    ) -> Option<RequestId> {
        let asking = caller.conn();
        let Request { to, method, payload, timeout_ms } = request;
        let timeout_ms = match self.admit_request(asking, &asker.tenant, timeout_ms) {
            Ok(timeout_ms) => timeout_ms,
            Err(fault) => {
                self.send_answer(caller, Err(fault));
                return None;
            }
        };
        let deadline_ms = now.mono_ms() + timeout_ms;
        let body = Requested { from: asker.user, method, payload, deadline: now.unix_ms + timeout_ms };
        let tenant = asker.tenant.clone();
        let letter = Box::new(Letter { tenant: asker.tenant, deadline_ms, request: body });
        match self.find_target(asking, &letter.tenant, to) {
            Whom::Known(target) => {
                let aim = Aim::At(target);
                let request =
                    self.requests.pending.open(asking, tenant, caller, now.mono_us, deadline_ms, aim);
                self.post_letter(request, target, letter);
                Some(request)
            }
            Whom::OnShards(shards, sought) => {
                let aim = Aim::Sought { shards: shards.len() as u16, letter };
                let request =
                    self.requests.pending.open(asking, tenant, caller, now.mono_us, deadline_ms, aim);
                for shard in shards {
                    self.send(shard, Parcel::Ask(Ask::Locate { request, sought: sought.clone() }));
                }
                Some(request)
            }
            Whom::Nobody => {
                self.send_answer(caller, Err(no_target()));
                None
            }
        }
    }

    /// `request` of a client.
    pub(super) fn client_request(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        request: Request,
        now: Now,
    ) -> Result<(), Fault> {
        let session = self.session(id)?;
        let asker = Asker { tenant: session.tenant.clone(), user: Some(session.user.clone()) };
        self.may_request(id, &request.to)?;
        let _ = self.put_request(Caller::Client { conn: id, call }, asker, request, now);
        Ok(())
    }

    /// `response` of a client. One that does not count is dropped; only who gave it an id hears of that.
    pub(super) fn client_response(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        response: Response,
    ) -> Result<(), Fault> {
        self.session(id)?;
        let Response { request, answer } = response;
        let ours = request
            .filter(|(node, request)| *node == self.config.node && request.shard.0 < self.config.shards);
        let Some((_, request)) = ours else {
            self.metrics.dropped.inc(Dropped::UnknownResponse);
            return if call.is_some() { Err(not_awaited()) } else { Ok(()) };
        };
        self.requests.owed.settle(id, request);
        let caller = Some(Caller::Client { conn: id, call });
        self.send_response(request, id, Some(answer), caller);
        Ok(())
    }

    /// How long the request may take, if one more may wait.
    fn admit_request(
        &mut self,
        asking: ConnId,
        tenant: &TenantName,
        timeout_ms: Option<u64>,
    ) -> Result<u64, Fault> {
        let config = &self.config.requests;
        let timeout_ms = timeout_ms.unwrap_or(config.timeout_ms);
        if timeout_ms == 0 || timeout_ms > config.timeout_ms_max {
            let text = format!("timeoutMs: expected 1 to {}", config.timeout_ms_max);
            return Err(Fault::new(FaultCode::BadRequest, text));
        }
        let text = match self.requests.pending.check(asking, tenant) {
            Ok(()) => return Ok(timeout_ms),
            Err(Full::Connection) => "too many requests of this connection wait for their answer",
            Err(Full::Shared(why)) => {
                self.metrics.no_place(Table::Requests, why);
                match why {
                    NoPlace::Share => "too many requests of this tenant wait for their answer",
                    NoPlace::Total => "too many requests wait for their answer",
                }
            }
        };
        Err(Fault::new(FaultCode::Unavailable, text))
    }

    fn find_target(&self, asking: ConnId, tenant: &TenantName, to: Target) -> Whom {
        match to {
            Target::Connection { node, conn } => {
                let exists = node == self.config.node && conn.shard.0 < self.config.shards;
                if exists { Whom::Known(conn) } else { Whom::Nobody }
            }
            Target::User(user) => {
                if let Some(conn) = self.connections_of(tenant, &user).find(|conn| *conn != asking) {
                    return Whom::Known(conn);
                }
                let others = (0..self.config.shards).map(ShardId).filter(|shard| *shard != self.shard);
                let others: Vec<ShardId> = others.collect();
                if others.is_empty() {
                    return Whom::Nobody;
                }
                Whom::OnShards(others, Sought::User { tenant: tenant.clone(), user })
            }
            Target::Member(room) => {
                let key = RoomKey { tenant: tenant.clone(), room };
                Whom::OnShards(vec![home_of(&key, self.config.shards)], Sought::Room(key))
            }
        }
    }

    /// [`Ask::Locate`]: says whom there is here; a home passes it on to a shard that has members.
    pub(super) fn locate(&mut self, request: RequestId, sought: Sought) {
        let found = match sought {
            Sought::User { tenant, user } => self.connections_of(&tenant, &user).next(),
            Sought::Room(key) => {
                let interests = self.home.interests(&key);
                if !interests.is_empty() {
                    let shard = interests[self.prng.below(interests.len() as u64) as usize].shard;
                    let sought = Sought::Member(key);
                    self.send(shard, Parcel::Ask(Ask::Locate { request, sought }));
                    return;
                }
                None
            }
            Sought::Member(key) => self.some_member(&key),
        };
        self.send(request.shard, Parcel::Ask(Ask::Located { request, found }));
    }

    /// A member here, each as likely as the others.
    fn some_member(&mut self, key: &RoomKey) -> Option<ConnId> {
        let room = self.roster.local(key)?;
        let count = self.roster.members(room).count() as u64;
        if count == 0 {
            return None;
        }
        self.roster.members(room).nth(self.prng.below(count) as usize)
    }

    /// [`Ask::Located`].
    pub(super) fn located(&mut self, request: RequestId, found: Option<ConnId>, now: Now) {
        match self.requests.pending.located(request, found) {
            Located::Found(target, letter) => self.post_letter(request, target, letter),
            Located::Nobody(closed) => self.answer(closed.caller, Err(no_target()), now),
            Located::Open => {}
        }
    }

    fn post_letter(&mut self, request: RequestId, to: ConnId, letter: Box<Letter>) {
        self.send(to.shard, Parcel::Ask(Ask::Request { request, to, letter }));
    }

    /// [`Ask::Request`]: hands it to the client, if that is there and of the tenant.
    pub(super) fn requested(&mut self, request: RequestId, to: ConnId, letter: Letter, now: Now) {
        let Letter { tenant, deadline_ms, request: body } = letter;
        if !self.session(to).is_ok_and(|session| session.tenant == tenant) {
            self.send_response(request, to, None, None);
            return;
        }
        self.requests.owed.add(to, request, deadline_ms);
        let correlation_id = request.public(self.config.node);
        self.tell(to, &Event::Request { correlation_id, request: Box::new(body) }, now);
    }

    fn send_response(
        &mut self,
        request: RequestId,
        from: ConnId,
        answer: Option<Answer>,
        caller: Option<Caller>,
    ) {
        self.send(request.shard, Parcel::Ask(Ask::Respond { request, from, answer, caller }));
    }

    /// [`Ask::Respond`]: the first answer of the one who was asked is the answer.
    pub(super) fn responded(
        &mut self,
        request: RequestId,
        from: ConnId,
        answer: Option<Answer>,
        caller: Option<Caller>,
        now: Now,
    ) {
        let verdict = match (self.requests.pending.answered(request, from), answer) {
            (Ok(closed), Some(answer)) => {
                self.metrics.request_duration.observe_us(now.mono_us.saturating_sub(closed.started_us));
                self.answer(closed.caller, Ok(Reply::Answered(answer)), now);
                Ok(Reply::Responded)
            }
            (Ok(closed), None) => {
                self.answer(closed.caller, Err(no_target()), now);
                return;
            }
            // It ended, and so did the request, each without knowing of the other.
            (Err(_), None) => return,
            (Err(unmatched), Some(_)) => {
                self.metrics.dropped.inc(dropped(unmatched));
                Err(not_awaited())
            }
        };
        if let Some(caller) = caller.filter(Caller::wants_success) {
            self.send_answer(caller, verdict);
        }
    }

    /// [`Ask::Withdraw`].
    pub(super) fn withdrawn(&mut self, request: RequestId, conn: ConnId) {
        self.requests.owed.settle(conn, request);
    }

    /// The connection is gone: nobody waits for its answers any more, and it waits for none.
    pub(super) fn end_requests(&mut self, id: ConnId) {
        if self.requests.is_empty() {
            return;
        }
        let mut dropped = Vec::new();
        self.requests.pending.gone(id, |closed| dropped.push(closed));
        dropped.iter().for_each(|closed| self.withdraw(closed));
        let mut unanswered = Vec::new();
        self.requests.owed.gone(id, |request| unanswered.push(request));
        for request in unanswered {
            self.send_response(request, id, None, None);
        }
    }

    /// Gives up the requests whose time is over; every while, holds all of them against the connections.
    pub(super) fn expire_requests(&mut self, now: Now) {
        while let Some(closed) = self.requests.pending.expire(now.mono_ms()) {
            self.metrics.request_timeouts += 1;
            self.time_out(closed, now);
        }
        if !self.requests.is_empty() && self.requests.sweep_ms <= now.mono_ms() {
            self.requests.sweep_ms = now.mono_ms() + SWEEP_MS;
            self.sweep_requests(now);
        }
    }

    /// Looks for requests that something has forgotten. In a healthy shard there are none.
    fn sweep_requests(&mut self, now: Now) {
        let overdue_ms = now.mono_ms().saturating_sub(SWEEP_MS);
        let conns = &self.conns;
        let exists = |id: ConnId| conns.get(id.slot, id.generation).is_some();
        let has_session =
            |id: ConnId| conns.get(id.slot, id.generation).is_some_and(|conn| conn.session().is_some());
        let strays = self.requests.pending.strays(overdue_ms, exists);
        let count = strays.len() + self.requests.owed.drop_strays(overdue_ms, has_session);
        if count > 0 {
            self.metrics.stray_requests += count as u64;
            self.outputs.push_back(Output::Notice(Notice::StrayRequests { count }));
        }
        for closed in strays {
            self.time_out(closed, now);
        }
    }

    fn time_out(&mut self, closed: Closed<Caller>, now: Now) {
        self.withdraw(&closed);
        let fault = Fault::new(FaultCode::Timeout, "no answer came in time");
        self.answer(closed.caller, Err(fault), now);
    }

    fn withdraw(&mut self, closed: &Closed<Caller>) {
        if let Some(conn) = closed.target {
            self.send(conn.shard, Parcel::Ask(Ask::Withdraw { request: closed.request, conn }));
        }
    }
}

/// Whom a request can be put to, as far as its own shard knows.
enum Whom {
    Known(ConnId),
    /// These shards are to be asked.
    OnShards(Vec<ShardId>, Sought),
    Nobody,
}

fn no_target() -> Fault {
    Fault::new(FaultCode::NoTarget, "nobody is there to answer")
}

fn not_awaited() -> Fault {
    Fault::new(FaultCode::NotFound, "nobody waits for this answer of this connection")
}

fn dropped(unmatched: Unmatched) -> Dropped {
    match unmatched {
        Unmatched::Late => Dropped::LateResponse,
        Unmatched::Unknown => Dropped::UnknownResponse,
        Unmatched::Foreign => Dropped::ForeignResponse,
    }
}
