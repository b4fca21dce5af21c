//! Where a request comes from: which page's it is, and where the client is when a proxy stands before it.
//!
//! Invariants: an upgrade is judged by its client's address and origin; the address of an HTTP connection is that of
//! whoever holds the connection, since a proxy sends requests of many clients on one.

use super::{Engine, Notice, Output, http::Answer};
use crate::{
    base::{ConnId, Now},
    conn::{Finish, HttpStage, Stage},
    http::{
        Framing, Head, HttpFault, ProxyProtocol, cors,
        proxy_protocol::{self, Preface},
        route,
    },
    metrics::{Disconnect, Reject},
};

/// The most of an origin that the log gets.
const ORIGIN_CHARS_MAX: usize = 128;

impl Engine {
    /// Takes what a proxy says before its client speaks; answers what follows, and how much of `bytes` that was.
    /// `None`: it is not all there.
    pub(super) fn read_preface(&mut self, id: ConnId, bytes: &[u8], now: Now) -> Option<(Answer, usize)> {
        let proxies = &self.config.policy.proxies;
        let conn = self.conns.get_mut(id.slot, id.generation)?;
        let is_trusted = proxies.trusts(conn.peer);
        let is_required = proxies.protocol == ProxyProtocol::Required;
        let refused = match proxy_protocol::read(bytes) {
            // A stranger need not finish it.
            Preface::Partial if is_required && !is_trusted => "not a trusted proxy",
            Preface::Partial => return None,
            Preface::Absent if is_required => "no header",
            Preface::Header { .. } | Preface::Bad if !is_trusted => "not a trusted proxy",
            Preface::Bad => "malformed header",
            Preface::Absent => return Some(self.prefaced(id, 0)),
            Preface::Header { client, len } => {
                conn.peer = client.unwrap_or(conn.peer).to_canonical();
                return Some(self.prefaced(id, len));
            }
        };
        let notice = Notice::ProxyRefused { conn: id, peer: conn.peer, reason: refused };
        self.outputs.push_back(Output::Notice(notice));
        self.enter_closing(id, Disconnect::ProxyProtocol, Finish::AtOnce, now);
        Some((Answer::Gone, bytes.len()))
    }

    fn prefaced(&mut self, id: ConnId, len: usize) -> (Answer, usize) {
        if let Some(http) = self.speaking_http(id) {
            http.prefaced = false;
        }
        (Answer::Prefaced, len)
    }

    /// Judges an upgrade as its client's. One that is refused leaves the connection to its holder; so does one that waits, which
    /// is judged from the start once more.
    pub(super) fn for_client(
        &mut self,
        id: ConnId,
        head: &Head<'_>,
        judge: impl FnOnce(&mut Self) -> Result<Answer, HttpFault>,
    ) -> Result<Answer, HttpFault> {
        let conn = self.conns.get_mut(id.slot, id.generation).ok_or(HttpFault::NOT_FOUND)?;
        let client = self.config.policy.proxies.client(conn.peer, head);
        let holder = std::mem::replace(&mut conn.peer, client);
        let result = judge(self);
        if matches!(result, Ok(Answer::Upgraded)) {
            return result;
        }
        if let Some(conn) = self.conns.get_mut(id.slot, id.generation) {
            conn.peer = holder;
        }
        if result.is_err() && client != holder {
            // The next upgrade may be another client's.
            self.leave_address(id);
        }
        result
    }

    /// Refuses an upgrade from a page that may not.
    pub(super) fn check_origin(&mut self, id: ConnId, head: &Head<'_>) -> Result<(), HttpFault> {
        if self.config.policy.origins.admit(head) {
            return Ok(());
        }
        self.metrics.rejected.inc(Reject::Origin);
        if let Some(conn) = self.conns.get(id.slot, id.generation) {
            let origin = head.all("origin").next().unwrap_or_default();
            let origin: String = origin.chars().take(ORIGIN_CHARS_MAX).collect();
            let notice = Notice::OriginRefused { conn: id, peer: conn.peer, origin: origin.into() };
            self.outputs.push_back(Output::Notice(notice));
        }
        Err(HttpFault::ORIGIN)
    }

    /// Answers whether a page may make a request.
    pub(super) fn preflight(
        &self,
        head: &Head<'_>,
        framing: Framing,
        out: &mut Vec<u8>,
    ) -> Result<Answer, HttpFault> {
        let path = route::find(head.path)?;
        if !self.config.policy.origins.admit(head) {
            return Err(HttpFault::ORIGIN);
        }
        cors::write_preflight(out, path.operation, framing);
        Ok(Answer::Written(framing))
    }

    /// Remembers which page may read the answer that is now due.
    pub(super) fn note_reader(&mut self, id: ConnId, head: &Head<'_>) {
        let reader = self.config.policy.origins.reader(head).map(Box::from);
        if let Some(http) = self.speaking_http(id) {
            http.reader = reader;
        }
    }

    /// Which page may read the response that begins now.
    pub(super) fn take_reader(&mut self, id: ConnId) -> Option<Box<str>> {
        self.speaking_http(id)?.reader.take()
    }

    fn speaking_http(&mut self, id: ConnId) -> Option<&mut HttpStage> {
        match &mut self.conns.get_mut(id.slot, id.generation)?.stage {
            Stage::Http(http) => Some(http),
            Stage::Socket(_) | Stage::Closing { .. } => None,
        }
    }
}
