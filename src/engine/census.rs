//! The gauges of open connections: by tenant, status and protocol, and by quality. They are kept as connections change, so
//! that a probe or a scrape costs the same for however many there are.
//!
//! Invariant: a connection's stage, its session and its keepalive's quality are changed by what stands here alone, so that
//! the gauges are at all times what a count of all connections would make.

use super::Engine;
use crate::{
    base::ConnId,
    conn::{Conn, Keepalive, QualityLimits, Session, Socket, SocketKind, Stage},
    metrics::{Protocol, QualityClass, ShardMetrics, Status},
};

impl Engine {
    /// A connection has come.
    pub(super) fn enters(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get(id.slot, id.generation) {
            count_in(&mut self.metrics, &self.config.quality, conn);
        }
    }

    /// A connection is no more: this is what is left of it.
    pub(super) fn has_left(&mut self, conn: &Conn) {
        count_out(&mut self.metrics, &self.config.quality, conn);
    }

    /// A connection is at another stage. The last one.
    pub(super) fn enter_stage(&mut self, id: ConnId, stage: Stage) -> Option<Stage> {
        let conn = self.conns.get_mut(id.slot, id.generation)?;
        count_out(&mut self.metrics, &self.config.quality, conn);
        let last = std::mem::replace(&mut conn.stage, stage);
        count_in(&mut self.metrics, &self.config.quality, conn);
        Some(last)
    }

    /// An open socket is somebody's.
    pub(super) fn identify(&mut self, id: ConnId, session: Session) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        count_out(&mut self.metrics, &self.config.quality, conn);
        if let Stage::Socket(socket) = &mut conn.stage {
            socket.kind = SocketKind::Json(session);
        }
        count_in(&mut self.metrics, &self.config.quality, conn);
    }

    /// A ping or a pong of an open socket, by which its quality may change.
    pub(super) fn beat<T>(&mut self, id: ConnId, change: impl FnOnce(&mut Keepalive) -> T) -> Option<T> {
        let conn = self.conns.get_mut(id.slot, id.generation)?;
        let Stage::Socket(socket) = &mut conn.stage else { return None };
        let before = class(socket, &self.config.quality);
        let changed = change(&mut socket.keepalive);
        let after = class(socket, &self.config.quality);
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            self.metrics.quality.dec(before);
            self.metrics.quality.inc(after);
        }
        Some(changed)
    }
}

fn count_in(metrics: &mut ShardMetrics, limits: &QualityLimits, conn: &Conn) {
    if let Some((status, protocol)) = kind(conn) {
        metrics.active.opened(conn.session().map(|session| &session.tenant), status, protocol);
    }
    if let Some(class) = class_of(conn, limits) {
        metrics.quality.inc(class);
    }
}

fn count_out(metrics: &mut ShardMetrics, limits: &QualityLimits, conn: &Conn) {
    if let Some((status, protocol)) = kind(conn) {
        metrics.active.closed(conn.session().map(|session| &session.tenant), status, protocol);
    }
    if let Some(class) = class_of(conn, limits) {
        metrics.quality.dec(class);
    }
}

/// What a connection counts as. One that is closing is nobody's any more.
pub(super) fn kind(conn: &Conn) -> Option<(Status, Protocol)> {
    match &conn.stage {
        Stage::Http(_) => Some((Status::Pending, Protocol::Http)),
        Stage::Socket(socket) => Some(match &socket.kind {
            SocketKind::Echo => (Status::Pending, Protocol::Echo),
            SocketKind::Pending { .. } => (Status::Pending, socket.encoding.protocol()),
            SocketKind::Json(_) => (Status::Authenticated, socket.encoding.protocol()),
        }),
        Stage::Closing { .. } => None,
    }
}

pub(super) fn class_of(conn: &Conn, limits: &QualityLimits) -> Option<QualityClass> {
    match &conn.stage {
        Stage::Socket(socket) => class(socket, limits),
        Stage::Http(_) | Stage::Closing { .. } => None,
    }
}

/// Only connections with an identity are in a class.
fn class(socket: &Socket, limits: &QualityLimits) -> Option<QualityClass> {
    match &socket.kind {
        SocketKind::Json(_) => Some(limits.class(socket.keepalive.quality())),
        SocketKind::Echo | SocketKind::Pending { .. } => None,
    }
}
