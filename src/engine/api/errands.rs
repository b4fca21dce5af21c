//! What shards are asked to do or to find for the API, and what is answered when all have.

use std::{net::IpAddr, sync::Arc};

use super::{Engine, Exchange, Outcome, Progress, Ticket, pages};
use crate::{
    auth::{Revocation, Revoked},
    base::{ConnId, Now, RoomKey, RoomName, ShardId, TenantName, TokenId, UserName},
    engine::{Ask, Parcel, Tell, report::first},
};

/// Something for shards to do.
#[derive(Debug)]
pub enum Errand {
    /// Count rooms: for the page of nodes.
    CountRooms,
    /// Find the first rooms of a tenant behind a name.
    Rooms { tenant: TenantName, after: Option<RoomName>, limit: usize },
    /// Find the first connections of a tenant behind one.
    Connections { tenant: TenantName, user: Option<UserName>, after: Option<ConnId>, limit: usize },
    /// Close a tenant's connections, or some of them.
    Disconnect { tenant: TenantName, target: Target, revocation: Option<Revocation> },
    /// Put a user's connections into rooms and take them out of others.
    Move { tenant: TenantName, user: UserName, join: Vec<RoomName>, leave: Vec<RoomName> },
}

/// Which connections of a tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    Connection(ConnId),
    User(UserName),
    Token(TokenId),
    Everyone,
}

impl Target {
    /// Which tokens go when those of the target are revoked; a connection does not say which is its.
    pub(super) fn revoked(&self) -> Option<Revoked> {
        match self {
            Self::Connection(_) => None,
            Self::User(user) => Some(Revoked::User(user.clone())),
            Self::Token(token) => Some(Revoked::Token(*token)),
            Self::Everyone => Some(Revoked::Everyone),
        }
    }
}

/// What a shard has done or found.
#[derive(Debug)]
pub enum Found {
    Count(u64),
    /// The first ones by name, each with its members on the shard, and those that it is home to, without.
    Rooms(Vec<(RoomName, usize)>),
    /// By id.
    Connections(Vec<FoundConnection>),
    /// The user's connections on the shard, and the joins that were refused there.
    Moved {
        connections: u64,
        refused: u64,
    },
}

/// An open connection with an identity.
#[derive(Clone, Debug)]
pub struct FoundConnection {
    pub(super) conn: ConnId,
    pub(super) user: UserName,
    pub(super) peer: IpAddr,
    pub(super) established_s: u32,
    pub(super) rooms: usize,
}

/// What shards have found so far.
#[derive(Debug)]
pub(super) struct Gathered {
    errand: Arc<Errand>,
    /// How many have not answered.
    left: u16,
    found: Vec<Found>,
}

impl Engine {
    /// Sends every shard on an errand.
    pub(super) fn send_everywhere(&mut self, ticket: Ticket, errand: &Arc<Errand>) -> Outcome {
        for shard in 0..self.config.shards {
            self.send_errand(ticket, ShardId(shard), errand);
        }
        let found = Vec::with_capacity(usize::from(self.config.shards));
        let gathered = Gathered { errand: Arc::clone(errand), left: self.config.shards, found };
        Outcome::Waits(Progress::Shards(gathered))
    }

    /// Sends one shard on an errand.
    pub(super) fn send_to(&mut self, ticket: Ticket, shard: ShardId, errand: Errand) -> Outcome {
        let errand = Arc::new(errand);
        self.send_errand(ticket, shard, &errand);
        Outcome::Waits(Progress::Shards(Gathered { errand, left: 1, found: Vec::new() }))
    }

    fn send_errand(&mut self, ticket: Ticket, shard: ShardId, errand: &Arc<Errand>) {
        self.send(shard, Parcel::Ask(Ask::Errand { ticket, errand: Arc::clone(errand) }));
    }

    /// Does what a shard asks, and answers it.
    pub(in crate::engine) fn do_errand(&mut self, ticket: Ticket, errand: &Errand, now: Now) {
        let found = match errand {
            Errand::CountRooms => Found::Count(self.home.occupied() as u64),
            Errand::Rooms { tenant, after, limit } => {
                Found::Rooms(self.list_rooms(tenant, after.as_ref(), *limit))
            }
            Errand::Connections { tenant, user, after, limit } => {
                Found::Connections(self.list_connections(tenant, user.as_ref(), *after, *limit))
            }
            Errand::Disconnect { tenant, target, revocation } => {
                // First of all: whoever comes from here on is refused, and who is there is found.
                if let (Some(revocation), Some(revoked)) = (revocation, target.revoked()) {
                    self.revocations.revoke(tenant, &revoked, *revocation);
                }
                Found::Count(self.evict(tenant, target, now))
            }
            Errand::Move { tenant, user, join, leave } => self.move_here(tenant, user, join, leave),
        };
        self.send(ticket.conn().shard, Parcel::Tell(Tell::ErrandDone { ticket, found: Box::new(found) }));
    }

    /// A shard has answered.
    pub(in crate::engine) fn errand_done(&mut self, ticket: Ticket, found: Found, now: Now) {
        let Some(Exchange { progress: Progress::Shards(gathered), .. }) = self.exchanges.get_mut(ticket)
        else {
            return;
        };
        gathered.found.push(found);
        gathered.left -= 1;
        if gathered.left > 0 {
            return;
        }
        let (errand, found) = (Arc::clone(&gathered.errand), std::mem::take(&mut gathered.found));
        let body = match &*errand {
            Errand::CountRooms => pages::nodes(&self.node_stand(), pages::count(&found), now),
            Errand::Rooms { limit, .. } => pages::rooms(&found, *limit),
            Errand::Connections { tenant, limit, .. } => {
                pages::connections(&found, tenant, *limit, self.config.node)
            }
            Errand::Disconnect { revocation, .. } => pages::disconnected(pages::count(&found), *revocation),
            Errand::Move { .. } => pages::moved(&found),
        };
        self.conclude_exchange(ticket, Ok(Outcome::ok(body)), now);
    }

    /// Of either kind one more than the limit, so that it shows whether there are more.
    fn list_rooms(
        &self,
        tenant: &TenantName,
        after: Option<&RoomName>,
        limit: usize,
    ) -> Vec<(RoomName, usize)> {
        let is_wanted = |key: &RoomKey| key.tenant == *tenant && after.is_none_or(|after| key.room > *after);
        let by_name = |one: &(&RoomKey, usize), two: &(&RoomKey, usize)| one.0.room.cmp(&two.0.room);
        let occupied = self.roster.sizes().filter(|(key, size)| *size > 0 && is_wanted(key));
        let known = self.home.keys().filter(|key| is_wanted(key)).map(|key| (key, 0));
        let mut found = first(occupied, limit + 1, by_name);
        found.extend(first(known, limit + 1, by_name));
        found.into_iter().map(|(key, size)| (key.room.clone(), size)).collect()
    }

    fn list_connections(
        &self,
        tenant: &TenantName,
        user: Option<&UserName>,
        after: Option<ConnId>,
        limit: usize,
    ) -> Vec<FoundConnection> {
        let is_behind = |conn: ConnId| after.is_none_or(|after| conn > after);
        let found = match user {
            Some(user) => first(
                self.connections_of(tenant, user).filter(|conn| is_behind(*conn)),
                limit + 1,
                ConnId::cmp,
            ),
            None => {
                let ids =
                    self.sessions().filter(|(conn, session)| session.tenant == *tenant && is_behind(*conn));
                first(ids.map(|(conn, _)| conn), limit + 1, ConnId::cmp)
            }
        };
        found.into_iter().filter_map(|conn| self.described(conn)).collect()
    }

    fn described(&self, id: ConnId) -> Option<FoundConnection> {
        let conn = self.conns.get(id.slot, id.generation)?;
        let session = conn.session()?;
        Some(FoundConnection {
            conn: id,
            user: session.user.clone(),
            peer: conn.peer,
            established_s: session.established_s,
            rooms: self.roster.rooms_of(id).count(),
        })
    }

    /// The open connections here that have an identity.
    pub(super) fn sessions(&self) -> impl Iterator<Item = (ConnId, &crate::conn::Session)> {
        let shard = self.shard;
        self.conns.iter().filter_map(move |(slot, generation, conn)| {
            Some((ConnId { shard, slot, generation }, conn.session()?))
        })
    }

    fn node_stand(&self) -> pages::NodeStand<'_> {
        pages::NodeStand {
            config: &self.config,
            connections: self.node_connections(),
            uptime_s: self.facts.uptime_s,
            readiness: self.readiness(),
        }
    }
}
