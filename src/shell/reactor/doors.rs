//! The shard's listeners: one for clients, and where it is configured one for administrators.
//! Owns both. Invariant: a door that nobody opened, or that was closed, is due for nothing.

use std::{io, net::TcpListener, time::Duration};

use super::{acceptor::Acceptor, token::Token};
use crate::http::route::Door;

pub(super) struct Doors {
    public: Acceptor,
    admin: Option<Acceptor>,
}

impl Doors {
    pub(super) fn new(public: TcpListener) -> io::Result<Self> {
        Ok(Self { public: Acceptor::new(public)?, admin: None })
    }

    pub(super) fn open_admin(&mut self, listener: TcpListener) -> io::Result<()> {
        self.admin = Some(Acceptor::new(listener)?);
        Ok(())
    }

    /// Somebody may wait at the door that the token is of.
    pub(super) fn knocked(&mut self, token: Token) {
        if let Some(acceptor) = self.at(token.door()) {
            acceptor.ready = true;
        }
    }

    pub(super) fn at(&mut self, door: Door) -> Option<&mut Acceptor> {
        match door {
            Door::Public => Some(&mut self.public),
            Door::Admin => self.admin.as_mut(),
        }
    }

    pub(super) fn listener(&self, door: Door) -> Option<&TcpListener> {
        match door {
            Door::Public => self.public.listener(),
            Door::Admin => self.admin.as_ref()?.listener(),
        }
    }

    /// Somebody may wait, and may be accepted now.
    pub(super) fn is_due(&self) -> bool {
        self.all().any(Acceptor::is_due)
    }

    /// How long until somebody who waits may be accepted; `None` if nobody waits.
    pub(super) fn rest_left(&self) -> Option<Duration> {
        self.all().filter_map(Acceptor::rest_left).min()
    }

    fn all(&self) -> impl Iterator<Item = &Acceptor> {
        std::iter::once(&self.public).chain(&self.admin)
    }
}
