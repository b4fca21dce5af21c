//! A node of engines without a shell: steps the clock, carries parcels in order per lane, keeps what sockets took.
//!
//! A socket's slot answers as the reactor's does: until the engine said `Close`, nobody else may have it.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::counted::assert_counted;
use crate::{
    auth::{self, Algorithm, Key, KeySet, MintClaims, SigningKey, Verifier, mint},
    base::{ConnId, NodeId, Now, Prng, ShardId, TenantName, UserName},
    engine::{
        ChannelTemplates, Config, DrainConfig, Engine, Input, Limits, Notice, Output, Parcel, Policy, Wrote,
    },
    http::route::Door,
    model::{CallId, OutsideAnswer, OutsideError, OutsideRequest},
    ws,
};

pub(super) const SECRET: &[u8] = b"a secret of thirty-two bytes or more";

/// The seeds to try: as many as `PROPTEST_CASES` says, as for the other properties, or the one in `RINGWAY_SEED`.
pub(super) fn seeds(otherwise: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    match number("RINGWAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PROPTEST_CASES").unwrap_or(otherwise),
    }
}

/// Unix milliseconds at which every test begins.
pub(super) const START_UNIX_MS: u64 = 1_800_000_000_000;
pub(super) const START_UNIX_S: u64 = START_UNIX_MS / 1_000;

const START_MONO_US: u64 = 500_000_000;

/// What a client that was paused brings at once.
const RECEIVE_BYTES: usize = 8 * 1024;

/// How much a socket takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    Open,
    /// So many bytes of each write, then it is blocked until the shell says that it is writable.
    Bytes(usize),
    Blocked,
    Broken,
}

/// What has become of a connection, as its client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Open,
    /// The gateway has ended its side.
    Shut,
    Closed,
}

pub(super) struct Socket {
    pub(super) flow: Flow,
    pub(super) side: Side,
    /// The client has ended its side: the reactor reports room and nothing else.
    ended: bool,
    /// A write was cut short: the reactor will report room.
    armed: bool,
    /// The engine wants nothing more for now.
    pub(super) paused: bool,
    /// What the client has sent meanwhile.
    pub(super) unread: VecDeque<u8>,
    /// The client has ended its side, or broken the connection (true), behind that.
    end: Option<bool>,
    /// What the client has not looked at yet.
    received: Vec<u8>,
}

impl Socket {
    /// What the client has not looked at yet.
    pub(super) fn peek(&self) -> &[u8] {
        &self.received
    }

    /// Bytes that were taken and are to be looked at again.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.received.splice(..0, bytes.iter().copied());
    }
}

pub(super) struct Node {
    pub(super) engines: Vec<Engine>,
    pub(super) now: Now,
    pub(super) sockets: BTreeMap<ConnId, Socket>,
    /// Parcels under way, by sender, receiver, and whether they are tells.
    pub(super) lanes: BTreeMap<(u16, u16, bool), VecDeque<Parcel>>,
    /// Shards that do not take parcels.
    pub(super) deaf: Vec<u16>,
    pub(super) notices: Vec<Notice>,
    pub(super) stopped_accepting: Vec<u16>,
    pub(super) drained: Vec<u16>,
    /// What is asked of servers outside, by shard.
    pub(super) calls: VecDeque<(u16, CallId, OutsideRequest)>,
    /// How often new keys were looked for.
    pub(super) keys_wanted: u32,
    /// How often the node was to be drained.
    pub(super) drain_asked: u32,
    /// How long the writes of a turn take, by the engine's clock.
    pub(super) writes_last_us: u64,
    /// Turns that wrote.
    pub(super) writes: usize,
}

pub(super) fn config(shards: u16) -> Config {
    config_with(shards, |_| {})
}

/// A configuration with a policy of the test's own.
pub(super) fn config_with(shards: u16, change: impl FnOnce(&mut Policy)) -> Config {
    let key = Key::from_secret(Algorithm::Hs256, SECRET).unwrap();
    let keys = KeySet::new(vec![key]).unwrap();
    let verifier = Verifier::new(auth::Config::new(keys));
    let templates = ["dashboard.{user_id}", "metrics.{tenant_id}", "project.{project_id}"];
    let mut policy = Policy::for_tests(verifier.clone());
    policy.channels = ChannelTemplates::new(templates.map(str::to_owned));
    policy.limits.rooms_per_connection_max = 8;
    change(&mut policy);
    Config {
        node: NodeId(0x2a),
        driver: "test",
        ws: ws::Limits { message_bytes_max: 64 * 1024, fragments_max: 64, inflate_ratio_max: 200 },
        echo_ws: ws::Limits { message_bytes_max: 1 << 20, fragments_max: 1_024, inflate_ratio_max: 2_000 },
        outbox_bytes_max: 256 * 1024,
        echo_outbox_bytes_max: 4 << 20,
        deflate_bytes_min: 64,
        drain: DrainConfig { announce_ms: 0, timeout_ms: 30_000, per_second: 100 },
        policy: Arc::new(policy),
        ..Config::for_tests(shards, verifier)
    }
}

/// The same with limits.
pub(super) fn limited(shards: u16, limits: Limits) -> Config {
    config_with(shards, |policy| policy.limits = limits)
}

/// A signed token; `lasts_s` counts from the start of the test.
pub(super) fn token(user: &str, tenant: &str, lasts_s: Option<u64>) -> String {
    sign(user, tenant, lasts_s, &[], None)
}

pub(super) fn admin_token() -> String {
    token_with("root", "default", &[auth::ABILITY_ADMIN])
}

pub(super) fn token_with(user: &str, tenant: &str, abilities: &[&str]) -> String {
    sign(user, tenant, None, abilities, None)
}

/// A token with roles, and with abilities of its own.
pub(super) fn token_as(user: &str, tenant: &str, roles: &[&str], abilities: &[&str]) -> String {
    let claims = claims(user, tenant, None, abilities, None);
    signed(&MintClaims { roles: roles.iter().map(|role| Box::from(*role)).collect(), ..claims })
}

/// A token with a `jti`.
pub(super) fn token_named(user: &str, tenant: &str, id: &str) -> String {
    sign(user, tenant, None, &[], Some(id))
}

/// A token that was issued so many seconds after the start of the test.
pub(super) fn token_issued(user: &str, tenant: &str, after_s: u64) -> String {
    let claims = claims(user, tenant, None, &[], None);
    signed(&MintClaims { issued_at_s: START_UNIX_S + after_s, ..claims })
}

fn sign(user: &str, tenant: &str, lasts_s: Option<u64>, abilities: &[&str], id: Option<&str>) -> String {
    signed(&claims(user, tenant, lasts_s, abilities, id))
}

fn signed(claims: &MintClaims) -> String {
    mint(&SigningKey::from_secret(Algorithm::Hs256, SECRET).unwrap(), claims)
}

fn claims(
    user: &str,
    tenant: &str,
    lasts_s: Option<u64>,
    abilities: &[&str],
    id: Option<&str>,
) -> MintClaims {
    MintClaims {
        user: UserName::parse(user).unwrap(),
        tenant: Some(TenantName::parse(tenant).unwrap()),
        issued_at_s: START_UNIX_S,
        expires_at_s: lasts_s.map(|lasts_s| START_UNIX_S + lasts_s),
        issuer: None,
        audience: None,
        id: id.map(Box::from),
        roles: Vec::new(),
        abilities: abilities.iter().map(|ability| Box::from(*ability)).collect(),
        names: auth::ClaimNames::default(),
    }
}

/// The text of a JSON string; nothing for another value.
pub(super) fn text_of(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Node {
    pub(super) fn new(shards: u16) -> Self {
        Self::with(config(shards))
    }

    pub(super) fn with(config: Config) -> Self {
        let engine = |shard| Engine::new(ShardId(shard), config.clone(), 7_000 + u64::from(shard));
        Self {
            engines: (0..config.shards).map(engine).collect(),
            now: Now { mono_us: START_MONO_US, unix_ms: START_UNIX_MS },
            sockets: BTreeMap::new(),
            lanes: BTreeMap::new(),
            deaf: Vec::new(),
            notices: Vec::new(),
            stopped_accepting: Vec::new(),
            drained: Vec::new(),
            calls: VecDeque::new(),
            keys_wanted: 0,
            drain_asked: 0,
            writes_last_us: 0,
            writes: 0,
        }
    }

    pub(super) fn accept(&mut self, shard: u16) -> ConnId {
        self.accept_from(shard, Ipv4Addr::LOCALHOST.into())
    }

    pub(super) fn accept_from(&mut self, shard: u16, peer: IpAddr) -> ConnId {
        let id = self.engines[usize::from(shard)].accept(peer, self.now);
        self.accepted(id)
    }

    pub(super) fn accept_at(&mut self, shard: u16, door: Door) -> ConnId {
        let peer = Ipv4Addr::LOCALHOST.into();
        let id = self.engines[usize::from(shard)].accept_at(door, peer, self.now);
        self.accepted(id)
    }

    fn accepted(&mut self, id: ConnId) -> ConnId {
        let in_use = |(other, socket): (&ConnId, &Socket)| {
            (other.shard, other.slot) == (id.shard, id.slot) && socket.side != Side::Closed
        };
        assert!(!self.sockets.iter().any(in_use), "{id:?}: the reactor still has the slot's last socket");
        let socket = Socket {
            flow: Flow::Open,
            side: Side::Open,
            ended: false,
            armed: false,
            paused: false,
            unread: VecDeque::new(),
            end: None,
            received: Vec::new(),
        };
        assert!(self.sockets.insert(id, socket).is_none(), "an id came twice");
        id
    }

    /// Bytes from a client, then everything that follows from them.
    pub(super) fn receive(&mut self, id: ConnId, bytes: &[u8]) {
        self.receive_only(id, bytes);
        self.settle();
    }

    /// Bytes from a client, and no turn yet. A socket that is closed, or that its client has ended, is not read any more.
    pub(super) fn receive_only(&mut self, id: ConnId, bytes: &[u8]) {
        let socket = self.socket(id);
        if socket.side == Side::Closed || socket.ended || socket.end.is_some() {
            return;
        }
        if socket.paused || !socket.unread.is_empty() {
            socket.unread.extend(bytes);
        } else {
            self.bring(id, bytes.to_vec());
        }
    }

    /// As the reactor does: after a pause it brings nothing more.
    fn bring(&mut self, id: ConnId, mut bytes: Vec<u8>) {
        let now = self.now;
        let engine = self.engine(id);
        engine.handle(Input::Received { conn: id, bytes: &mut bytes }, now);
        let is_paused = engine.is_paused(id);
        self.socket(id).paused |= is_paused;
    }

    /// The next of what clients have sent that were paused; false when there is none.
    fn bring_unread(&mut self) -> bool {
        let is_due = |(_, socket): &(&ConnId, &Socket)| {
            !socket.paused
                && socket.side != Side::Closed
                && (!socket.unread.is_empty() || socket.end.is_some())
        };
        let Some(id) = self.sockets.iter().find(is_due).map(|(id, _)| *id) else { return false };
        let socket = self.socket(id);
        let length = socket.unread.len().min(RECEIVE_BYTES);
        if length > 0 {
            let bytes = socket.unread.drain(..length).collect();
            self.bring(id, bytes);
        } else if let Some(reset) = socket.end.take() {
            self.hang_up_only(id, reset);
        }
        true
    }

    /// The client ends its side, or breaks the connection.
    pub(super) fn hang_up(&mut self, id: ConnId, reset: bool) {
        self.hang_up_only(id, reset);
        self.settle();
    }

    pub(super) fn hang_up_only(&mut self, id: ConnId, reset: bool) {
        let now = self.now;
        let socket = self.socket(id);
        if (socket.paused || !socket.unread.is_empty()) && socket.side != Side::Closed {
            // Nobody is told before the rest is read, but for a write that waits.
            socket.end = Some(reset);
            if reset {
                socket.flow = Flow::Broken;
                self.writable(id);
            }
            return;
        }
        match (socket.side, socket.ended, reset) {
            (Side::Closed, ..) | (_, true, false) => {}
            (_, false, false) => {
                socket.ended = true;
                self.engine(id).handle(Input::Ended { conn: id }, now);
            }
            (_, false, true) => {
                socket.side = Side::Closed;
                self.engine(id).handle(Input::Closed { conn: id }, now);
            }
            (_, true, true) => {
                socket.flow = Flow::Broken;
                self.writable(id);
            }
        }
    }

    /// A server outside answers the oldest call, or does not; the token that was asked about.
    pub(super) fn answer_call(&mut self, answer: Result<(u16, &str), OutsideError>) -> String {
        let (shard, call, request) = self.calls.pop_front().expect("a call is under way");
        let answer = answer.map(|(status, body)| OutsideAnswer { status, body: body.as_bytes().to_vec() });
        self.engines[usize::from(shard)].handle(Input::Called { call, answer }, self.now);
        self.settle();
        request.bearer.map(|token| token.expose().to_owned()).unwrap_or_default()
    }

    pub(super) fn drain(&mut self) {
        for engine in &mut self.engines {
            engine.handle(Input::Drain, self.now);
        }
        self.settle();
    }

    /// Moves the clock, stopping at every deadline that an engine names.
    pub(super) fn advance(&mut self, ms: u64) {
        let end_ms = self.now.mono_ms() + ms;
        while let Some(due_ms) = self.due_ms().filter(|due_ms| *due_ms <= end_ms) {
            let before_ms = self.now.mono_ms();
            self.step(due_ms.saturating_sub(before_ms));
            self.engines.iter_mut().for_each(|engine| engine.expire(self.now));
            self.settle();
            let stuck = self.due_ms() == Some(due_ms) && self.now.mono_ms() == before_ms;
            assert!(!stuck, "a deadline stands still at {due_ms}");
        }
        self.step(end_ms - self.now.mono_ms());
    }

    /// Moves the clock until no page of the node waits for its turn.
    pub(super) fn wait_for_pages(&mut self) {
        while self.engines.iter().any(|engine| engine.surveys.due_ms().is_some()) {
            self.advance(1);
        }
    }

    /// Moves the clock and lets nobody notice.
    pub(super) fn step(&mut self, ms: u64) {
        self.now.mono_us += ms * 1_000;
        self.now.unix_ms += ms;
    }

    fn due_ms(&self) -> Option<u64> {
        self.engines.iter().filter_map(Engine::poll_timeout).min()
    }

    /// Turns and parcels until nothing is left to do.
    pub(super) fn settle(&mut self) {
        loop {
            for shard in 0..self.engines.len() as u16 {
                self.turn(shard);
            }
            let lane = self.lanes.keys().copied().find(|lane| !self.deaf.contains(&lane.1));
            match lane {
                Some(lane) => while self.deliver(lane) {},
                None if self.bring_unread() => {}
                None if self.engines.iter().any(Engine::has_unchecked) => self.begin_turns(),
                None => break,
            }
        }
        self.begin_turns();
        self.engines.iter().for_each(assert_counted);
    }

    /// What each shard does before it takes what sockets bring.
    pub(super) fn begin_turns(&mut self) {
        self.engines.iter_mut().for_each(|engine| engine.check_signatures(self.now));
    }

    /// The next parcel of a lane; false when there is none.
    pub(super) fn deliver(&mut self, lane: (u16, u16, bool)) -> bool {
        let Some(parcels) = self.lanes.get_mut(&lane) else { return false };
        let parcel = parcels.pop_front();
        if parcels.is_empty() {
            self.lanes.remove(&lane);
        }
        let Some(parcel) = parcel else { return false };
        let input = Input::Parcel { from: ShardId(lane.0), parcel };
        self.engines[usize::from(lane.1)].handle(input, self.now);
        true
    }

    /// Up to `most` parcels of a lane that chance picks.
    pub(super) fn carry(&mut self, prng: &mut Prng, most: u64) {
        let lanes: Vec<_> = self.lanes.keys().copied().collect();
        if !lanes.is_empty() {
            let lane = lanes[prng.below(lanes.len() as u64) as usize];
            for _ in 0..1 + prng.below(most) {
                self.deliver(lane);
            }
        }
    }

    /// The end of one shard's turn, in the order of the shell's loop.
    pub(super) fn turn(&mut self, shard: u16) {
        self.outputs(shard);
        let (engine, sockets) = (&mut self.engines[usize::from(shard)], &mut self.sockets);
        if engine.has_writes(self.now) {
            engine.take_writes(self.now, |id, slices| {
                let socket = sockets.get_mut(&id).expect("writes go to sockets that were accepted");
                assert_eq!(socket.side, Side::Open, "a write after the end of the stream");
                assert!(!socket.armed, "a write while the socket is known to be full");
                let offered: usize = slices.iter().map(|slice| slice.len()).sum();
                assert!(offered > 0, "a write of nothing");
                let taken = match socket.flow {
                    Flow::Open => offered,
                    Flow::Bytes(bytes) => bytes.min(offered),
                    Flow::Blocked => 0,
                    Flow::Broken => return Wrote::Broken,
                };
                socket.armed = taken < offered;
                let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
                socket.received.extend(bytes.take(taken));
                Wrote::Bytes(taken)
            });
            self.writes += 1;
            engine.written(Now { mono_us: self.now.mono_us + self.writes_last_us, ..self.now });
        }
        self.outputs(shard);
    }

    fn outputs(&mut self, shard: u16) {
        while let Some(output) = self.engines[usize::from(shard)].poll_output() {
            match output {
                Output::Parcel { to, parcel } => {
                    assert_ne!(to.0, shard, "a parcel to oneself never leaves");
                    let is_tell = matches!(parcel, Parcel::Tell(_));
                    self.lanes.entry((shard, to.0, is_tell)).or_default().push_back(parcel);
                }
                Output::Close { conn } => {
                    let socket = self.socket(conn);
                    assert_ne!(socket.side, Side::Closed, "a socket closed twice");
                    socket.side = Side::Closed;
                }
                Output::ResumeReading { conn } => {
                    let is_paused = self.engines[usize::from(shard)].is_paused(conn);
                    self.socket(conn).paused &= is_paused;
                }
                Output::ShutdownWrite { conn } => {
                    let is_paused = self.engines[usize::from(shard)].is_paused(conn);
                    let socket = self.socket(conn);
                    assert_eq!(socket.paused, is_paused, "what still comes is not read");
                    assert_eq!(socket.side, Side::Open, "our side ended twice");
                    assert!(!socket.ended, "nothing is expected of a client that has ended its side");
                    socket.side = Side::Shut;
                }
                Output::Call { call, request } => self.calls.push_back((shard, call, request)),
                Output::KeysWanted => self.keys_wanted += 1,
                Output::DrainNode => self.drain_asked += 1,
                Output::StopAccepting => {
                    self.stopped_accepting.push(shard);
                    let now = self.now;
                    self.engines[usize::from(shard)].handle(Input::DoorsClosed, now);
                }
                Output::Drained => self.drained.push(shard),
                Output::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    /// Sets how much a socket takes; one that was blocked and takes more is reported as writable.
    pub(super) fn flow(&mut self, id: ConnId, flow: Flow) {
        self.socket(id).flow = flow;
        self.writable(id);
        self.settle();
    }

    /// Reports room, if the reactor was asked to. False when nobody waits for it.
    pub(super) fn writable(&mut self, id: ConnId) -> bool {
        let socket = self.socket(id);
        let waits = std::mem::take(&mut socket.armed) && socket.side == Side::Open;
        if waits {
            let now = self.now;
            self.engine(id).handle(Input::Writable { conn: id }, now);
        }
        waits
    }

    /// What the client has received since the last call.
    pub(super) fn take(&mut self, id: ConnId) -> Vec<u8> {
        std::mem::take(&mut self.socket(id).received)
    }

    pub(super) fn take_text(&mut self, id: ConnId) -> String {
        String::from_utf8(self.take(id)).unwrap()
    }

    pub(super) fn side(&self, id: ConnId) -> Side {
        self.sockets[&id].side
    }

    pub(super) fn engine(&mut self, id: ConnId) -> &mut Engine {
        &mut self.engines[id.shard.index()]
    }

    fn socket(&mut self, id: ConnId) -> &mut Socket {
        self.sockets.get_mut(&id).expect("ids come from accept")
    }

    /// Nothing is left of anybody: no connections, rooms, memberships, queued bytes, parcels or, later, timers.
    pub(super) fn assert_empty(&mut self) {
        assert!(self.lanes.is_empty(), "parcels under way");
        for engine in &self.engines {
            let shard = engine.shard;
            assert_eq!(engine.connections(), 0, "{shard:?}");
            assert!(engine.home.is_empty(), "{shard:?}: {:?}", engine.home);
            assert_eq!(engine.roster.sizes().count(), 0, "{shard:?}");
            assert_eq!(engine.roster.subscriptions(), 0, "{shard:?}");
            assert!(engine.requests.is_empty(), "{shard:?}: {:?}", engine.requests);
            assert!(engine.directory.is_empty(), "{shard:?}: {:?}", engine.directory);
            assert!(engine.holders.is_empty(), "{shard:?}: {:?}", engine.holders);
            assert_eq!(engine.store.bytes(), 0, "{shard:?}");
            assert!(
                engine.calls.is_empty() && engine.introspections.is_empty(),
                "{shard:?}: {:?}",
                engine.calls
            );
            assert!(engine.words.is_empty(), "{shard:?}: {:?}", engine.words);
            assert!(!engine.has_unchecked(), "{shard:?}");
            assert!(engine.exchanges.is_empty() && engine.evictions.due_ms().is_none(), "{shard:?}");
            assert!(engine.spending.is_empty(), "{shard:?}: {:?}", engine.spending);
            assert!(engine.admission.is_empty(), "{shard:?}: {:?}", engine.admission);
            assert!(engine.own_parcels.is_empty() && engine.dirty.is_empty(), "{shard:?}");
            assert!(engine.fanned_out.is_empty() && engine.full.is_empty(), "{shard:?}");
        }
        self.advance(120_000);
        for engine in &self.engines {
            assert_eq!(engine.timers.next_due_ms(), None, "{:?}: a timer of nobody", engine.shard);
        }
    }
}
