//! Who may come in: connections of the node and of one address.
//!
//! An address (IPv6: a /64) has a home shard, which counts its WebSockets and how often it opens one; a connection waits with
//! its upgrade until the home has answered, and the home hears when it has gone. So the limit is exact, whichever shards
//! connections come to. Connections that only speak HTTP, or nothing, are counted by their own shard, where twice the
//! limit is so far over that an address's connections are closed unread.
//!
//! Invariant: what the home has let in is `Admitted` here, or on its way, and leaves once.

use std::net::IpAddr;

use super::{Ask, Engine, Parcel, Tell, parcel::home_of_peer};
use crate::{
    base::{ConnId, HashSeed, Now, PeerBlock, ShardId, chunked::ChunkedVec},
    conn::Stage,
    http::{HttpFault, route::Door},
    hub::{AddressFull, AddressLimit, Addresses, Doors},
    metrics::{RateLimit, Reject},
};

/// What the shard knows of addresses.
#[derive(Debug)]
pub(super) struct Admission {
    doors: Doors,
    addresses: Addresses,
    /// By the slot of the connection.
    places: ChunkedVec<Place>,
}

/// How a connection stands to its address.
#[derive(Clone, Copy, Debug)]
struct Place {
    peer: PeerBlock,
    step: Step,
}

const _: () = assert!(size_of::<Place>() <= 16, "there is one per connection");

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Not counted.
    Unknown,
    /// Counted on this shard.
    Here,
    /// Its home was asked.
    Asked,
    /// Counted at its home, too.
    Admitted,
    /// Its home said no; the request is to be answered so.
    Refused { limit: AddressLimit, retry: Retry },
}

impl Admission {
    pub(super) fn new(hash: HashSeed) -> Self {
        Self { doors: Doors::new(hash), addresses: Addresses::new(hash), places: ChunkedVec::new() }
    }

    /// Addresses that were forgotten early.
    pub(super) fn crowded_out(&self) -> u64 {
        self.doors.crowded_out() + self.addresses.crowded_out()
    }
}

impl Engine {
    /// Whether somebody who has connected may come in: before [`Engine::accept`]. Who may not is counted; the shell closes the
    /// socket without a word.
    pub fn welcomes(&mut self, door: Door, peer: IpAddr, now: Now) -> bool {
        if door == Door::Admin {
            // Operators must get in above all when it is crowded.
            return true;
        }
        let connections_max = self.config.policy.limits.connections_max;
        // Somebody over the limit is told why, and probes must get through, as long as they are not many.
        let most = connections_max.saturating_add(connections_max / 16).saturating_add(16);
        if connections_max > 0 && self.node_connections() >= most {
            self.metrics.rejected.inc(Reject::Capacity);
            self.limit_met(peer, RateLimit::Connections);
            return false;
        }
        let limits = self.config.policy.limits.address;
        // Of a trusted proxy's connections only those that become WebSockets count, as their clients'.
        if limits.is_none() || self.config.policy.proxies.trusts(peer) {
            return true;
        }
        match self.admission.doors.knock(peer.into(), &limits, now.mono_ms()) {
            Ok(()) => true,
            Err(limit) => {
                self.turned_away(peer, limit);
                false
            }
        }
    }

    /// A connection has come in.
    pub(super) fn enter_address(&mut self, id: ConnId, peer: PeerBlock) {
        if self.config.policy.limits.address.is_none() {
            return;
        }
        while self.admission.places.len() <= id.slot as usize {
            self.admission.places.push(Place { peer, step: Step::Unknown });
        }
        self.admission.doors.enter(peer);
        self.admission.places[id.slot as usize] = Place { peer, step: Step::Here };
    }

    /// It has gone, or is another's.
    pub(super) fn leave_address(&mut self, id: ConnId) {
        let Some(place) = self.admission.places.get_mut(id.slot as usize) else { return };
        let Place { peer, step } = *place;
        place.step = Step::Unknown;
        match step {
            Step::Unknown => return,
            Step::Here | Step::Refused { .. } => {}
            // Should the home let it in, the answer finds nobody.
            Step::Asked => {}
            Step::Admitted => self.exit(peer),
        }
        self.admission.doors.leave(peer);
    }

    /// Whether a connection may become a WebSocket, as far as its address is concerned; `false` as long as that is not
    /// known: its requests wait, and this one is read again.
    ///
    /// # Errors
    /// When the address has what it may have.
    pub(super) fn is_admitted(&mut self, id: ConnId, now: Now) -> Result<bool, HttpFault> {
        if self.config.policy.limits.address.is_none() {
            return Ok(true);
        }
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return Ok(false) };
        if self.config.policy.proxies.trusts(conn.peer) {
            // It names no client, and may be all of them.
            return Ok(true);
        }
        let peer = PeerBlock::from(conn.peer);
        let place = self.admission.places.get(id.slot as usize).filter(|place| place.peer == peer);
        match place.map_or(Step::Unknown, |place| place.step) {
            Step::Admitted => return Ok(true),
            Step::Asked => return Ok(false),
            Step::Refused { limit, retry } => {
                let address = conn.peer;
                self.admission.places[id.slot as usize].step = Step::Here;
                self.admission.doors.refused(peer, &self.config.policy.limits.address, now.mono_ms());
                self.turned_away(address, limit);
                return Err(too_many(limit, retry));
            }
            Step::Here => {}
            // A proxy has said whose it is, or it came before there was a limit.
            Step::Unknown => {
                self.leave_address(id);
                self.enter_address(id, peer);
            }
        }
        // Only what comes through a proxy gets this far.
        if self.admission.doors.is_unwelcome(peer, &self.config.policy.limits.address, now.mono_ms()) {
            let address = self.conns.get(id.slot, id.generation).map(|conn| conn.peer);
            address.into_iter().for_each(|it| self.turned_away(it, AddressLimit::Opened));
            return Err(too_many(AddressLimit::Opened, Retry::Seconds5));
        }
        if let Some(conn) = self.conns.get_mut(id.slot, id.generation)
            && let Stage::Http(http) = &mut conn.stage
        {
            http.awaiting = true;
        }
        self.admission.places[id.slot as usize].step = Step::Asked;
        self.send(home_of_peer(peer, self.config.shards), Parcel::Ask(Ask::Enter { peer, conn: id }));
        Ok(false)
    }

    /// As an address's home: one more wants to come in.
    pub(super) fn asked_to_enter(&mut self, from: ShardId, peer: PeerBlock, conn: ConnId, now: Now) {
        let limits = self.config.policy.limits.address;
        let result = self.admission.addresses.enter(peer, &limits, now.mono_ms());
        self.send(from, Parcel::Tell(Tell::Entered { conn, peer, result }));
    }

    /// As an address's home: one has gone that was let in.
    pub(super) fn exited(&mut self, peer: PeerBlock) {
        self.admission.addresses.leave(peer);
    }

    /// What the home of a connection's address says.
    pub(super) fn entered(&mut self, id: ConnId, peer: PeerBlock, result: Result<(), AddressFull>, now: Now) {
        let place = self.admission.places.get_mut(id.slot as usize);
        let place = place.filter(|place| place.step == Step::Asked);
        let (Some(conn), Some(place)) = (self.conns.get_mut(id.slot, id.generation), place) else {
            // It has gone meanwhile.
            if result.is_ok() {
                self.exit(peer);
            }
            return;
        };
        place.step = match result {
            Ok(()) => Step::Admitted,
            Err(AddressFull { limit, retry_after_ms }) => {
                Step::Refused { limit, retry: Retry::after(retry_after_ms) }
            }
        };
        if let Stage::Http(http) = &mut conn.stage {
            http.awaiting = false;
            self.serve(id, now);
        }
    }

    fn exit(&mut self, peer: PeerBlock) {
        self.send(home_of_peer(peer, self.config.shards), Parcel::Ask(Ask::Exit { peer }));
    }

    /// A WebSocket of the address is closed for its rate.
    pub(super) fn turned_out(&mut self, peer: IpAddr, now: Now) {
        let limits = self.config.policy.limits.address;
        if !limits.is_none() && !self.config.policy.proxies.trusts(peer) {
            self.admission.doors.turned_out(peer.into(), &limits, now.mono_ms());
        }
    }

    fn turned_away(&mut self, peer: IpAddr, limit: AddressLimit) {
        self.metrics.rejected.inc(match limit {
            AddressLimit::Open => Reject::ConnectionsPerIp,
            AddressLimit::Opened => Reject::ConnectsPerIp,
        });
        self.limit_met(peer, limit.label());
    }
}

#[cfg(test)]
impl Admission {
    /// Whether nobody is counted.
    pub(super) fn is_empty(&self) -> bool {
        self.doors.is_empty() && self.addresses.is_empty()
    }
}

/// When to try again, as a header: faults are constants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Retry {
    Second,
    Seconds5,
    Seconds15,
    Minute,
}

impl Retry {
    /// The first that is not too soon; a bucket of addresses takes a minute at most.
    fn after(ms: u64) -> Self {
        match ms {
            0..=1_000 => Self::Second,
            1_001..=5_000 => Self::Seconds5,
            5_001..=15_000 => Self::Seconds15,
            _ => Self::Minute,
        }
    }

    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Second => &[("Retry-After", "1")],
            Self::Seconds5 => &[("Retry-After", "5")],
            Self::Seconds15 => &[("Retry-After", "15")],
            Self::Minute => &[("Retry-After", "60")],
        }
    }
}

fn too_many(limit: AddressLimit, retry: Retry) -> HttpFault {
    let message = match limit {
        AddressLimit::Open => "this address has as many connections as it may",
        AddressLimit::Opened => "this address opens connections more often than it may",
    };
    HttpFault { status: 429, code: "rate_limited", message, headers: retry.headers() }
}
