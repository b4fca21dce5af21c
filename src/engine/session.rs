//! Identity: tokens at the upgrade, by message, and their refresh.

use std::num::NonZeroU32;

use super::{
    Engine, Notice, Output,
    introspection::{Asked, Known},
};
use crate::{
    auth::{AuthError, Identity},
    base::{ConnId, Now, Slab, TenantName, UserName},
    conn::{Conn, Session, SocketKind, Stage},
    metrics::Disconnect,
    model::{Authenticate, Authenticated, CorrelationId, Established, Event, Fault, FaultCode, Reply},
    ws::close,
};

impl Engine {
    /// `authenticate`: the first identity of a pending connection, or a new token for an open one.
    pub(super) fn authenticate(
        &mut self,
        id: ConnId,
        call: Option<CorrelationId>,
        authenticate: &Authenticate,
        now: Now,
    ) {
        let token = authenticate.token.expose();
        let kept = self.keeps_tokens().then(|| authenticate.token.clone());
        let asked = Asked { call, tenant: authenticate.tenant.clone(), token: kept };
        match self.know(token, now) {
            Known::Verdict(verified) => self.authenticated(id, asked, verified, now),
            Known::Nothing(digest) => self.ask_and_hold(id, digest, token, asked, now),
            Known::Unchecked => self.check_and_hold(id, &authenticate.token, asked, now),
        }
    }

    /// Whose the token of an `authenticate` is, is known.
    pub(super) fn authenticated(
        &mut self,
        id: ConnId,
        asked: Asked,
        verified: Result<Identity, AuthError>,
        now: Now,
    ) {
        let Asked { call, tenant, token: kept } = asked;
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        let Stage::Socket(socket) = &conn.stage else { return };
        let first = match &socket.kind {
            SocketKind::Pending { .. } => true,
            SocketKind::Json(_) => false,
            SocketKind::Echo => return,
        };
        let result = verified.map_err(Refusal::Token).and_then(|identity| {
            if tenant.is_some_and(|tenant| tenant != identity.tenant) {
                return Err(Refusal::Tenant);
            }
            match &socket.kind {
                SocketKind::Json(old) if old.user != identity.user || old.tenant != identity.tenant => {
                    Err(Refusal::Stranger)
                }
                SocketKind::Json(_) | SocketKind::Pending { .. } | SocketKind::Echo => Ok(identity),
            }
        });
        match result {
            Ok(identity) => {
                let expires_at = identity.expires_at_s.map(|seconds| seconds.saturating_mul(1_000));
                let rights = identity.rights.clone();
                let session = session_of(identity, now);
                let reply = Authenticated {
                    connection_id: id.public(self.config.node),
                    user: session.user.clone(),
                    tenant: session.tenant.clone(),
                    expires_at,
                };
                let session = match &socket.kind {
                    SocketKind::Json(last) => session.after(last),
                    SocketKind::Pending { .. } | SocketKind::Echo => session,
                };
                self.identify(id, session);
                if let Some(call) = call {
                    let result = Ok(Reply::Authenticated(Box::new(reply)));
                    self.tell(id, &Event::Ack { id: call, result }, now);
                }
                let other_rights = self.holders.hold(id.slot, rights);
                let other_token = self.keep_token(id, kept);
                if first {
                    self.established(id, now);
                } else {
                    self.meet_deadlines(id, now);
                }
                if other_rights || other_token {
                    self.review(id, now);
                }
            }
            Err(refusal) => {
                self.auth_failed(id, refusal.reason());
                let fault = refusal.fault();
                let text = fault.message.clone();
                self.refuse(id, call, fault, now);
                if first {
                    self.close(id, refusal.close_code(), &text, refusal.disconnect(), now);
                }
            }
        }
    }

    /// Whose token this is, if it holds now. `None`: its signature is to be checked, and has to wait for its turn.
    pub(super) fn verify(&mut self, token: &str, now: Now) -> Option<Result<Identity, AuthError>> {
        let Self { tokens, signatures, config, .. } = self;
        let (found, verdict) = tokens
            .verify(&config.policy.verifier, token, now.unix_s(), |count| signatures.may_check(count))?;
        if let Some(found) = found {
            self.metrics.auth_cache.inc(found);
        }
        if verdict == Err(AuthError::UnknownKey) {
            self.want_keys(now);
        }
        Some(self.unless_revoked(verdict))
    }

    /// A token that is good otherwise may have been revoked.
    pub(super) fn unless_revoked(&self, verdict: Result<Identity, AuthError>) -> Result<Identity, AuthError> {
        verdict.and_then(|identity| match self.revocations.covers(&identity) {
            true => Err(AuthError::Revoked),
            false => Ok(identity),
        })
    }

    /// Has the issuer asked whether it has new keys, if there is one, and not too often.
    fn want_keys(&mut self, now: Now) {
        let Some(source) = &self.config.policy.jwks else { return };
        if now.mono_ms() >= self.keys_wanted_ms {
            self.keys_wanted_ms = now.mono_ms() + source.refetch_ms;
            self.outputs.push_back(Output::KeysWanted);
        }
    }

    /// The connections here that are a user's, the newest first.
    pub(super) fn connections_of(
        &self,
        tenant: &TenantName,
        user: &UserName,
    ) -> impl Iterator<Item = ConnId> {
        let (conns, shard) = (&self.conns, self.shard);
        let slots = self.directory.connections_of(tenant, user, |slot| is_theirs(conns, slot, tenant, user));
        slots.filter_map(move |slot| {
            conns.get_by_slot(slot).map(|(generation, _)| ConnId { shard, slot, generation })
        })
    }

    /// The connection is nobody's any more: out of its rooms, its requests, its purses and the directory, without a
    /// word to the client.
    pub(super) fn end_session(&mut self, id: ConnId) {
        if self.conns.get(id.slot, id.generation).is_some() {
            self.leave_all(id);
            self.directory.close(id.slot);
            self.holders.release(id.slot);
            self.end_requests(id);
            self.introspections.give_up(id);
            self.words.give_up(id);
            self.end_spending(id);
        }
    }

    /// The connection has its identity: says so, and looks at its deadlines anew.
    pub(super) fn established(&mut self, id: ConnId, now: Now) {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        let Stage::Socket(socket) = &conn.stage else { return };
        let SocketKind::Json(session) = &socket.kind else { return };
        let (tenant, user) = (&session.tenant, &session.user);
        self.directory.open(id.slot, tenant, user, |slot| is_theirs(&self.conns, slot, tenant, user));
        let established = Established {
            connection_id: id.public(self.config.node),
            user: session.user.clone(),
            tenant: session.tenant.clone(),
            heartbeat_interval_ms: self.config.heartbeat_interval_ms,
            heartbeat_timeout_ms: self.config.heartbeat_timeout_ms,
            message_bytes_max: self.config.ws.message_bytes_max,
            rooms_max: match self.config.policy.limits.rooms_per_connection_max {
                usize::MAX => 0,
                rooms_max => rooms_max,
            },
            rates: self.config.policy.limits.rates(),
            node: self.config.node.to_string(),
        };
        let notice = Notice::Authenticated {
            conn: id,
            peer: conn.peer,
            tenant: session.tenant.clone(),
            user: session.user.clone(),
        };
        self.outputs.push_back(Output::Notice(notice));
        self.tell(id, &Event::Established(Box::new(established)), now);
        self.meet_deadlines(id, now);
    }

    /// Lets the log know of a refused token.
    pub(super) fn auth_failed(&mut self, id: ConnId, reason: &'static str) {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        let notice = Notice::AuthFailed { conn: id, peer: conn.peer, reason };
        self.outputs.push_back(Output::Notice(notice));
    }
}

/// Whether a slot's connection is this user's.
fn is_theirs(conns: &Slab<Conn>, slot: u32, tenant: &TenantName, user: &UserName) -> bool {
    let session = conns.get_by_slot(slot).and_then(|(_, conn)| conn.session());
    session.is_some_and(|session| session.user == *user && session.tenant == *tenant)
}

/// A verified identity as the connection keeps it, from now on.
pub(super) fn session_of(identity: Identity, now: Now) -> Session {
    let expires_at_s = identity.expires_at_s.map(|seconds| {
        NonZeroU32::new(u32::try_from(seconds).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
    });
    let mut session = Session::new(identity.user, identity.tenant, now);
    (session.expires_at_s, session.token) = (expires_at_s, identity.token.mark());
    session
}

/// The close code for a connection whose token was not taken: nobody is at fault for one that could not be looked up.
pub(super) fn close_code(error: &AuthError) -> u16 {
    if is_unavailable(error) { close::TRY_AGAIN_LATER } else { close::UNAUTHENTICATED }
}

/// The same, as the metrics have it.
pub(super) fn disconnect(error: &AuthError) -> Disconnect {
    if is_unavailable(error) { Disconnect::AuthUnavailable } else { Disconnect::AuthFailed }
}

/// Whether the token may be good all the same.
pub(super) fn is_unavailable(error: &AuthError) -> bool {
    matches!(error, AuthError::Unavailable(_))
}

/// Why an `authenticate` was refused.
enum Refusal {
    Token(AuthError),
    /// `tenantId` is not the token's.
    Tenant,
    /// A refresh for somebody else.
    Stranger,
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::Tenant => "tenant",
            Self::Stranger => "other_user",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Token(error @ AuthError::Unavailable(_)) => {
                Fault::new(FaultCode::Unavailable, error.to_string())
            }
            Self::Token(error) => Fault::new(FaultCode::Unauthenticated, error.to_string()),
            Self::Tenant => Fault::new(FaultCode::Forbidden, "`tenantId` is not the tenant of the token"),
            Self::Stranger => {
                Fault::new(FaultCode::Forbidden, "a refresh must be for the same user and tenant")
            }
        }
    }

    fn close_code(&self) -> u16 {
        match self {
            Self::Token(error) => close_code(error),
            Self::Tenant | Self::Stranger => close::FORBIDDEN,
        }
    }

    fn disconnect(&self) -> Disconnect {
        match self {
            Self::Token(error) => disconnect(error),
            Self::Tenant | Self::Stranger => Disconnect::AuthFailed,
        }
    }
}
