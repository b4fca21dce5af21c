//! From HTTP to an open WebSocket.

use std::borrow::Cow;

use super::{
    Engine,
    answers::Readiness,
    http::Answer,
    session::{close_code, disconnect, is_unavailable, session_of},
};
use crate::{
    auth::{AuthError, Identity},
    base::{ConnId, Now, Secret, WireBytes},
    conn::{Encoding, Keepalive, Socket, SocketKind, Stage},
    http::{
        Head, HttpFault, credentials,
        response::switching_protocols,
        upgrade::{self, JSON_V1, RELAY_V1, Upgrade},
    },
    metrics::{RateLimit, Reject},
    ws::{Decoder, Role, deflate, handshake},
};

/// A token and where it came from: a client that set a header can read a status, a browser cannot.
enum Presented<'h> {
    Header(&'h str),
    Browser(Cow<'h, str>),
    Nothing,
}

impl Engine {
    /// `/ws`: with a good token the connection is established at once, without one it has a while to send
    /// `authenticate`. A bad token is 401 where it came in `Authorization`, else 4401 after the upgrade: a
    /// browser sees close codes only. The upgrade waits for a token that has to be looked up elsewhere.
    pub(super) fn upgrade(
        &mut self,
        id: ConnId,
        head: &Head<'_>,
        out: &mut Vec<u8>,
        now: Now,
    ) -> Result<Answer, HttpFault> {
        let upgrade = self.checked(upgrade::check(head))?;
        self.check_origin(id, head)?;
        self.check_welcome(id)?;
        if !self.is_admitted(id, now)? {
            return Ok(Answer::Deferred);
        }
        let presented = self.checked(presented(head, &upgrade))?;
        let token = match &presented {
            Presented::Header(token) => Some(*token),
            Presented::Browser(token) => Some(&**token),
            Presented::Nothing => None,
        };
        let verified = match token.map(|token| self.bearer_of_request(id, token, now)) {
            Some(None) => return Ok(Answer::Deferred),
            Some(Some(verified)) => Some(verified),
            None => None,
        };
        if let (Presented::Header(_), Some(Err(error))) = (&presented, &verified) {
            let unavailable = is_unavailable(error);
            let reject = if unavailable { Reject::AuthUnavailable } else { Reject::Unauthenticated };
            self.metrics.rejected.inc(reject);
            self.auth_failed(id, error.reason());
            return Err(if unavailable { HttpFault::UNJUDGED } else { HttpFault::UNAUTHENTICATED });
        }
        let protocol = chosen_protocol(&upgrade);
        let deadline_ms = now.mono_ms() + self.config.auth_timeout_ms;
        self.switch(id, &upgrade, protocol.as_deref(), SocketKind::Pending { deadline_ms }, out, now);
        let kept = token.filter(|_| self.keeps_tokens()).map(Secret::from);
        self.admit(id, verified, kept, now);
        Ok(Answer::Upgraded)
    }

    /// `/echo`: sends every message back, asks for no token.
    pub(super) fn upgrade_echo(
        &mut self,
        id: ConnId,
        head: &Head<'_>,
        out: &mut Vec<u8>,
        now: Now,
    ) -> Result<Answer, HttpFault> {
        let upgrade = self.checked(upgrade::check(head))?;
        self.check_origin(id, head)?;
        self.check_welcome(id)?;
        if !self.is_admitted(id, now)? {
            return Ok(Answer::Deferred);
        }
        self.switch(id, &upgrade, None, SocketKind::Echo, out, now);
        Ok(Answer::Upgraded)
    }

    fn checked<T>(&mut self, result: Result<T, HttpFault>) -> Result<T, HttpFault> {
        result.inspect_err(|_| self.metrics.rejected.inc(Reject::BadHandshake))
    }

    fn check_welcome(&mut self, id: ConnId) -> Result<(), HttpFault> {
        match self.readiness() {
            Readiness::Ready => Ok(()),
            // Load balancers may not have seen it yet.
            Readiness::Draining if self.is_accepting() => Ok(()),
            Readiness::Draining => {
                self.metrics.rejected.inc(Reject::Draining);
                Err(unavailable("the node is draining: connect again, elsewhere"))
            }
            Readiness::OverCapacity => {
                self.metrics.rejected.inc(Reject::Capacity);
                self.limit_met_by(id, RateLimit::Connections);
                Err(unavailable("the node has as many connections as it may"))
            }
        }
    }

    /// Writes the 101 and makes the connection a socket.
    fn switch(
        &mut self,
        id: ConnId,
        upgrade: &Upgrade<'_>,
        protocol: Option<&str>,
        kind: SocketKind,
        out: &mut Vec<u8>,
        now: Now,
    ) {
        let is_relay = protocol == Some(RELAY_V1);
        let deflates = self.config.deflate && !is_relay;
        let deflate = if deflates { deflate::negotiate(upgrade.extensions()) } else { None };
        let accept_key = handshake::accept_key(upgrade.key);
        let extensions = deflate.as_ref().map(deflate::Agreed::response);
        switching_protocols(out, accept_key.as_str(), protocol, extensions.as_deref());
        self.queue(id, WireBytes::copy_from(out), now);
        self.resume_reading(id);
        // Connections that came together are not pinged together.
        let phase_ms = self.prng.below(self.config.heartbeat_interval_ms / 4 + 1);
        let socket = Socket {
            decoder: Decoder::new(Role::Server, deflate),
            kind,
            encoding: match deflate {
                _ if is_relay => Encoding::Relay,
                Some(agreed) => Encoding::Deflate(agreed),
                None => Encoding::Plain,
            },
            keepalive: Keepalive::new(now.mono_ms(), phase_ms),
        };
        self.enter_stage(id, Stage::Socket(socket));
        self.meet_deadlines(id, now);
    }

    fn admit(
        &mut self,
        id: ConnId,
        verified: Option<Result<Identity, AuthError>>,
        kept: Option<Secret>,
        now: Now,
    ) {
        match verified {
            None => {}
            Some(Ok(identity)) => {
                let rights = identity.rights.clone();
                self.identify(id, session_of(identity, now));
                self.holders.hold(id.slot, rights);
                self.keep_token(id, kept);
                self.established(id, now);
            }
            Some(Err(error)) => {
                self.auth_failed(id, error.reason());
                let text = error.to_string();
                self.close(id, close_code(&error), &text, disconnect(&error), now);
            }
        }
    }
}

const fn unavailable(message: &'static str) -> HttpFault {
    HttpFault { status: 503, code: "unavailable", message, headers: &[("Retry-After", "5")] }
}

fn presented<'h>(head: &Head<'h>, upgrade: &Upgrade<'h>) -> Result<Presented<'h>, HttpFault> {
    if let Some(token) = credentials::bearer(head)? {
        return Ok(Presented::Header(token));
    }
    if let Some(token) = upgrade.bearer {
        return Ok(Presented::Browser(Cow::Borrowed(token)));
    }
    Ok(head.query_param("token")?.map_or(Presented::Nothing, Presented::Browser))
}

/// The first that is ours. A browser that offers nothing but its token gives up unless one of its offers
/// is chosen, so that entry is sent back to the one who sent it.
fn chosen_protocol<'h>(upgrade: &Upgrade<'h>) -> Option<Cow<'h, str>> {
    let ours = upgrade.protocols().find(|protocol| matches!(*protocol, JSON_V1 | RELAY_V1));
    ours.or_else(|| upgrade.bearer_entry()).map(Cow::Borrowed)
}
