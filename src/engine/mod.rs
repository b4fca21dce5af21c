//! One shard's whole brain. It has no socket, clock or thread: the shell tells it what happened and does what
//! it says.
//!
//! How to drive it: [`Engine::begin_turn`] first, and [`Engine::check_signatures`] before sockets are read; [`Engine::accept`] for
//! each new connection that it [welcomes](Engine::welcomes), and [`Engine::handle`] for everything else that happened, as much as
//! is there; [`Engine::expire`] when [`Engine::poll_timeout`] has passed; then
//! [`Engine::take_writes`], [`Engine::written`], and [`Engine::poll_output`] until it has nothing more.
//! [`Engine::poll_release`] says when writes are due although nothing happens, and [`Engine::has_unchecked`] whether the next turn is.
//!
//! Invariant: a connection is in rooms only while it is an open JSON socket; whatever way it ends, `remove` is
//! the one way out.

mod abilities;
mod admission;
mod ahead;
mod answers;
mod api;
mod asking;
mod census;
mod commands;
mod config;
mod dev;
mod drain;
mod fan_out;
mod history;
mod http;
mod introspection;
mod limits;
mod origin;
mod output;
mod outside;
mod parcel;
mod policy;
mod presence;
mod quality;
mod relay;
mod report;
mod requests;
mod resources;
mod rooms;
mod session;
mod signatures;
mod socket;
mod survey;
mod timers;
mod traffic;
mod upgrade;
mod writes;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

pub use ahead::SLACK_BYTES;
pub use config::{ChannelTemplates, Config, DrainConfig, PresenceConfig, RequestsConfig};
pub use limits::Limits;
pub use output::{Notice, Output};
pub use parcel::{Ask, Caller, Letter, Parcel, Publish, Recovery, Sought, Tell};
pub use policy::{MetricsPolicy, Policy};
pub use quality::ConnectionsQuery;
pub use report::{NodeFacts, Report, ShardFacts};
pub use survey::Want;
pub use writes::Wrote;

use crate::{
    auth::{Replays, Revocations, TokenCache, abilities::Holders},
    base::{ConnId, Now, ShardId, hash::HashSeed, prng::Prng, slab::Slab, wheel::Wheel},
    conn::{Conn, Finish, FrameStore, Stage},
    fanout::{Encoder, Held},
    http::{ProxyProtocol, route::Door},
    hub::{Directory, Home, HomeLimits, LocalRoomId, Roster},
    metrics::{Disconnect, Dropped, ShardMetrics, Traffic},
    model::{CallId, OutsideAnswer, OutsideError},
    ws::deflate::Inflater,
};

/// What happened. It cannot be printed: what clients send may be a secret.
pub enum Input<'a> {
    /// Bytes from a client; they are unmasked in place.
    Received { conn: ConnId, bytes: &'a mut [u8] },
    /// The socket takes more again.
    Writable { conn: ConnId },
    /// The peer has ended its side and may still be reading: no more bytes come, the socket still takes some.
    Ended { conn: ConnId },
    /// The connection broke. The shell has released the socket.
    Closed { conn: ConnId },
    /// From another shard.
    Parcel { from: ShardId, parcel: Parcel },
    /// What became of a call that [`Output::Call`] asked for.
    Called { call: CallId, answer: Result<OutsideAnswer, OutsideError> },
    /// What the shell knows of process and node; once a second.
    Facts(NodeFacts),
    /// Another policy holds from here on.
    Reload(Arc<Policy>),
    /// Leave gently.
    Drain,
    /// No connections come any more, as [`Output::StopAccepting`] wants it.
    DoorsClosed,
}

/// One shard's state.
pub struct Engine {
    shard: ShardId,
    config: Config,
    tokens: TokenCache,
    revocations: Revocations,
    conns: Slab<Conn>,
    store: FrameStore,
    encoder: Encoder,
    inflater: Inflater,
    home: Home,
    roster: Roster,
    directory: Directory,
    /// What those in the directory have been granted.
    holders: Holders,
    /// Under way since the rules have changed.
    reviewing: Option<abilities::Review>,
    timers: Wheel<timers::Ticket>,
    tickets: u32,
    due: Vec<ConnId>,
    prng: Prng,
    /// Connections whose outbox changed in this turn.
    dirty: Vec<ConnId>,
    outputs: VecDeque<Output>,
    /// Parcels to this very shard, handled before the turn goes on.
    own_parcels: VecDeque<Parcel>,
    /// Publications on their way to the members here.
    held: Held,
    /// When the release of this turn began, if there was one.
    release_began_us: Option<u64>,
    /// Rooms that were released in this turn, each with how many publications.
    released: Vec<(LocalRoomId, u64)>,
    /// When the publications that were released in this turn had been received.
    fanned_out: Vec<u64>,
    /// Scratch of the fan-out: for each event who does not get it.
    except: Vec<Option<ConnId>>,
    /// Scratch of the fan-out: members whose outbox was full.
    full: Vec<ConnId>,
    surveys: survey::Surveys,
    exchanges: api::Exchanges,
    replays: Replays,
    evictions: api::Evictions,
    requests: requests::Requests,
    spending: limits::Spending,
    admission: admission::Admission,
    calls: outside::Calls,
    introspections: introspection::Introspections,
    signatures: signatures::Signatures,
    words: resources::Words,
    /// When to look for new keys next, at the earliest.
    keys_wanted_ms: u64,
    draining: Option<drain::Draining>,
    facts: NodeFacts,
    metrics: ShardMetrics,
    traffic: Traffic,
}

impl Engine {
    /// A shard with nobody on it. `seed` must differ between shards and runs; it feeds hashes, epochs and jitter.
    pub fn new(shard: ShardId, config: Config, seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let hash = HashSeed::new(prng.next_u64());
        let limits = HomeLimits {
            creates_per_peer_per_min: config.policy.limits.room_creates_per_ip_per_min,
            ephemeral_ttl_ms: config.relay_room_ttl_ms,
        };
        Self {
            shard,
            tokens: TokenCache::new(config.auth_cache_entries),
            revocations: Revocations::new(config.revocations),
            conns: Slab::new(),
            store: FrameStore::new(),
            encoder: Encoder::new(config.deflate_bytes_min),
            inflater: Inflater::new(),
            home: Home::new(limits, hash, prng.next_u64(), Arc::clone(&config.history)),
            roster: Roster::new(hash),
            directory: Directory::new(hash),
            holders: Holders::new(hash),
            reviewing: None,
            timers: timers::wheel(),
            tickets: 0,
            due: Vec::new(),
            dirty: Vec::new(),
            outputs: VecDeque::new(),
            own_parcels: VecDeque::new(),
            held: Held::new(),
            released: Vec::new(),
            release_began_us: None,
            fanned_out: Vec::new(),
            except: Vec::new(),
            full: Vec::new(),
            surveys: survey::Surveys::default(),
            exchanges: api::Exchanges::new(hash),
            replays: Replays::new(config.replay_entries, hash),
            evictions: api::Evictions::default(),
            requests: requests::Requests::new(shard, config.requests.pending_max),
            spending: limits::Spending::new(hash, config.shards),
            admission: admission::Admission::new(hash),
            calls: outside::Calls::default(),
            introspections: introspection::Introspections::new(config.token_hasher.clone(), hash),
            signatures: signatures::Signatures::new(),
            words: resources::Words::new(
                config.token_hasher.clone(),
                hash,
                config.policy.resources.as_deref(),
            ),
            keys_wanted_ms: 0,
            draining: None,
            facts: NodeFacts::default(),
            metrics: ShardMetrics::new(shard),
            traffic: Traffic::default(),
            prng,
            config,
        }
    }

    /// A client was accepted at the public door.
    pub fn accept(&mut self, peer: IpAddr, now: Now) -> ConnId {
        self.accept_at(Door::Public, peer, now)
    }

    /// Somebody was accepted.
    pub fn accept_at(&mut self, door: Door, peer: IpAddr, now: Now) -> ConnId {
        let deadline_ms = now.mono_ms() + self.config.head_timeout_ms;
        let mut conn = Conn::new(peer, door, deadline_ms);
        if let Stage::Http(http) = &mut conn.stage {
            http.prefaced = match door {
                Door::Public => self.config.policy.proxies.protocol != ProxyProtocol::Off,
                Door::Admin => false,
            };
        }
        let (slot, generation) = self.conns.insert(conn);
        let id = ConnId { shard: self.shard, slot, generation };
        self.metrics.connections += 1;
        self.enters(id);
        match door {
            Door::Public if !self.config.policy.proxies.trusts(peer) => self.enter_address(id, peer.into()),
            Door::Public | Door::Admin => {}
        }
        self.file_timer(id, deadline_ms);
        self.close_last(id);
        id
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        match input {
            Input::Received { conn, bytes } => self.received(conn, bytes, now),
            Input::Writable { conn } => self.writable(conn, now),
            Input::Ended { conn } => self.ended(conn, now),
            Input::Closed { conn } => self.gone(conn, Disconnect::Reset),
            Input::Parcel { from, parcel } => self.parcel(from, parcel, now),
            Input::Called { call, answer } => self.called(call, answer, now),
            Input::Facts(facts) => self.learn(facts, now),
            Input::Reload(policy) => self.reload(policy, now),
            Input::Drain => self.drain(now),
            Input::DoorsClosed => self.doors_closed(),
        }
        self.take_own_parcels(now);
    }

    /// The next thing for the shell to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// This shard's counters, for what the shell itself counts.
    pub fn metrics_mut(&mut self) -> &mut ShardMetrics {
        &mut self.metrics
    }

    /// Open connections of any kind.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    fn received(&mut self, id: ConnId, bytes: &mut [u8], now: Now) {
        self.metrics.received_bytes += bytes.len() as u64;
        self.read(id, bytes, now);
    }

    /// Bytes as the connection's stage understands them.
    fn read(&mut self, id: ConnId, bytes: &mut [u8], now: Now) {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        match &conn.stage {
            Stage::Http(_) => self.http_received(id, bytes, now),
            Stage::Socket(_) => self.socket_received(id, bytes, now),
            Stage::Closing { .. } => self.closing_received(id, bytes),
        }
    }

    fn writable(&mut self, id: ConnId, now: Now) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        conn.blocked = false;
        conn.mark_dirty(id, &mut self.dirty);
        // Requests wait for that: the client takes what it is sent.
        if conn.outbox.bytes() > self.config.outbox_bytes_max {
            self.has_shown_life(id, now);
        }
    }

    /// The peer says nothing more. What it still gets, the end of the turn writes, which also gives the connection up
    /// once that is all: here it cannot be (see `forget`).
    fn ended(&mut self, id: ConnId, now: Now) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        conn.ended = true;
        match &mut conn.stage {
            // Responses that are due are for a reader.
            Stage::Http(_) => self.mark_dirty(id),
            // Without a close frame a WebSocket has broken off.
            Stage::Socket(_) => {
                self.drop_outbox(id);
                self.enter_closing(id, Disconnect::Eof, Finish::AtOnce, now);
            }
            // Last words that wait for no answer are written.
            Stage::Closing { finish, .. } => {
                if std::mem::replace(finish, Finish::AtOnce) == Finish::AfterPeerClose {
                    self.drop_outbox(id);
                }
                self.mark_dirty(id);
            }
        }
    }

    fn take_own_parcels(&mut self, now: Now) {
        while let Some(parcel) = self.own_parcels.pop_front() {
            self.parcel(self.shard, parcel, now);
        }
    }

    /// The connection no longer exists.
    fn gone(&mut self, id: ConnId, reason: Disconnect) {
        let Some(conn) = self.conns.get(id.slot, id.generation) else { return };
        let reason = match conn.stage {
            // The end was decided before.
            Stage::Closing { reason, .. } => reason,
            Stage::Http(_) | Stage::Socket(_) => reason,
        };
        self.remove(id, reason);
    }

    /// Gives the connection up: the shell closes the socket. Only while deadlines and writes are seen to: between
    /// them and the next `accept` the shell does what it was told, so that no slot has two sockets.
    fn forget(&mut self, id: ConnId, reason: Disconnect) {
        if self.conns.get(id.slot, id.generation).is_some() {
            self.outputs.push_back(Output::Close { conn: id });
            self.gone(id, reason);
        }
    }

    fn remove(&mut self, id: ConnId, reason: Disconnect) {
        self.end_session(id);
        self.leave_address(id);
        self.drop_outbox(id);
        let Some(conn) = self.conns.remove(id.slot, id.generation) else { return };
        self.metrics.disconnections.inc(reason);
        self.has_left(&conn);
        self.surveys.give_up(id);
        self.exchanges.give_up(id);
        self.outputs.push_back(Output::Notice(Notice::Closed { conn: id, peer: conn.peer, reason }));
        self.drained_when_empty();
    }

    /// Drops what waits for a client that will not have it.
    fn drop_outbox(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id.slot, id.generation) else { return };
        let dropped = conn.outbox.clear(&mut self.store);
        self.metrics.dropped.add(Dropped::ConnectionClosed, dropped);
    }
}
