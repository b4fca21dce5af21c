//! Commands that wait until it is known whether their client may: for each room of a connection a line, whose first one
//! waits for a word and all others for their turn.
//!
//! Only what names the room waits, so that a client has its answers in the order of its commands room by room, and other
//! rooms go on. Invariants: a command is kept as the client spelled it, and was charged and counted when it came; what waits is
//! bounded in bytes, by connection, tenant and shard; a line is there as long as its question is.

use std::fmt;

use super::Refusal;
use crate::{
    auth::TokenDigest,
    base::{ConnId, HashSeed, Map, Now, RoomId, RoomName, ShareLimits, Shares, TenantName, map_with_seed},
    dialect::{native, relay},
    engine::{Engine, asking::QUEUE_MAX},
    metrics::{Table, Unasked},
    model::{Call, Command, CorrelationId},
};

/// What may wait of one connection, in bytes. One command of it may whatever its length, where its tenant has room.
const CONN_BYTES_MAX: usize = 64 * 1024;

/// What may wait of all of a shard, in bytes; and how much of what others leave for one tenant.
const SHARD_BYTES: ShareLimits = ShareLimits { total: 16 * 1024 * 1024, percent: 50 };

/// Lines of one connection: nobody fills the queue of questions alone.
pub(super) const LINES_MAX: usize = 128;

const _: () = assert!(LINES_MAX * 8 <= QUEUE_MAX, "one connection has an eighth of the queue at most");

/// What a command takes beside its own bytes, about.
const OVERHEAD_BYTES: usize = 128;

/// When to send again what had no room, in milliseconds.
pub(super) const RETRY_MS: u64 = 100;

/// A command as the client spelled it.
#[derive(Clone, Copy)]
pub(in crate::engine) enum Spelled<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl Spelled<'_> {
    /// What it takes to keep it.
    fn cost(self) -> usize {
        OVERHEAD_BYTES
            + match self {
                Self::Text(text) => text.len(),
                Self::Binary(bytes) => bytes.len(),
            }
    }

    fn keep(self) -> Held {
        match self {
            Self::Text(text) => Held::Text(text.into()),
            Self::Binary(bytes) => Held::Binary(bytes.into()),
        }
    }
}

/// The same, kept.
enum Held {
    Text(Box<str>),
    Binary(Box<[u8]>),
}

impl Held {
    fn spelled(&self) -> Spelled<'_> {
        match self {
            Self::Text(text) => Spelled::Text(text),
            Self::Binary(bytes) => Spelled::Binary(bytes),
        }
    }
}

/// Of what clients send its length.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.spelled().cost())
    }
}

/// All lines of a shard.
#[derive(Debug)]
pub(super) struct Lines {
    by_slot: Map<u32, Waiting>,
    /// Bytes of each tenant.
    shares: Shares<TenantName>,
}

/// What waits of one connection.
#[derive(Debug)]
struct Waiting {
    conn: ConnId,
    tenant: TenantName,
    bytes: usize,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    room: RoomName,
    /// What the first command waits for.
    digest: TokenDigest,
    held: Vec<Held>,
}

impl Lines {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { by_slot: map_with_seed(seed), shares: Shares::new(SHARD_BYTES) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.shares.taken()
    }

    /// Nothing of this connection waits any more.
    pub(super) fn give_up(&mut self, conn: ConnId) {
        if self.of(conn).is_some()
            && let Some(waiting) = self.by_slot.remove(&conn.slot)
        {
            self.shares.give_back_many(&waiting.tenant, waiting.bytes);
        }
    }

    fn of(&self, conn: ConnId) -> Option<&Waiting> {
        self.by_slot.get(&conn.slot).filter(|waiting| waiting.conn == conn)
    }

    /// Whether something of this room waits.
    pub(super) fn has_line(&self, conn: ConnId, room: &RoomName) -> bool {
        self.of(conn).is_some_and(|waiting| waiting.lines.iter().any(|line| line.room == *room))
    }

    /// Whether another command of this connection may wait, in a line of its own or in one that there is.
    fn has_room(&self, conn: ConnId, command: Spelled<'_>, in_own_line: bool) -> bool {
        let (own, lines) = self.of(conn).map_or((0, 0), |waiting| (waiting.bytes, waiting.lines.len()));
        let fits = own == 0 || own + command.cost() <= CONN_BYTES_MAX;
        let has_line = !in_own_line || lines < LINES_MAX;
        fits && has_line
    }

    /// Begins a line of a room that has none, or puts the command at the end of the one that it has.
    fn hold(
        &mut self,
        conn: ConnId,
        tenant: TenantName,
        (room, digest): (RoomName, TokenDigest),
        command: Spelled<'_>,
    ) {
        let cost = command.cost();
        self.shares.take_many(tenant.clone(), cost);
        let waiting = self.by_slot.entry(conn.slot);
        let waiting = waiting.or_insert_with(|| Waiting { conn, tenant, bytes: 0, lines: Vec::new() });
        debug_assert_eq!(waiting.conn, conn, "who has gone has left no line");
        match waiting.lines.iter_mut().find(|line| line.room == room) {
            Some(line) => line.held.push(command.keep()),
            None => waiting.lines.push(Line { room, digest, held: vec![command.keep()] }),
        }
        waiting.bytes += cost;
    }

    /// The line of a room that has waited for this, which is no line any more.
    fn take(&mut self, conn: ConnId, room: &RoomName, digest: TokenDigest) -> Vec<Held> {
        let waiting = self.by_slot.get_mut(&conn.slot).filter(|waiting| waiting.conn == conn);
        let Some(waiting) = waiting else { return Vec::new() };
        let is_it = |line: &Line| line.room == *room && line.digest == digest;
        let Some(at) = waiting.lines.iter().position(is_it) else { return Vec::new() };
        let held = waiting.lines.swap_remove(at).held;
        let bytes: usize = held.iter().map(|held| held.spelled().cost()).sum();
        waiting.bytes -= bytes;
        self.shares.give_back_many(&waiting.tenant, bytes);
        if waiting.lines.is_empty() {
            self.by_slot.remove(&conn.slot);
        }
        held
    }
}

#[cfg(test)]
impl Lines {
    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty() && self.bytes() == 0
    }
}

impl Engine {
    /// Makes a call when it is its turn: at once, or behind those of its room that wait.
    pub(in crate::engine) fn call_in_turn(
        &mut self,
        id: ConnId,
        call: Call<'_>,
        spelled: Spelled<'_>,
        now: Now,
    ) {
        if let Some(line) = self.line_of(id, &call.command) {
            match self.may_hold(id, spelled, false) {
                Ok(tenant) => self.words.lines.hold(id, tenant, line, spelled),
                Err(refusal) => self.not_held(id, call.id, refusal, now),
            }
            return;
        }
        let Err(mut question) = self.call(id, call, now) else { return };
        let (call, line) = (question.call.take(), (question.room.clone(), question.digest));
        let held = self.may_hold(id, spelled, true);
        let asked = held.and_then(|tenant| self.ask_server(id, *question, now).map(|()| tenant));
        match asked {
            Ok(tenant) => self.words.lines.hold(id, tenant, line, spelled),
            Err(refusal) => self.not_held(id, call, refusal, now),
        }
    }

    /// Whose bytes a command of this connection will be when it waits.
    fn may_hold(
        &mut self,
        id: ConnId,
        command: Spelled<'_>,
        in_own_line: bool,
    ) -> Result<TenantName, Refusal> {
        let Ok(session) = self.session(id) else { return Err(Refusal::Unclear) };
        let tenant = session.tenant.clone();
        const FULL: Refusal = Refusal::Unasked(Unasked::HeldFull);
        if !self.words.lines.has_room(id, command, in_own_line) {
            return Err(FULL);
        }
        self.words.lines.shares.check_many(&tenant, command.cost()).map_err(|why| {
            self.metrics.no_place(Table::HeldCommands, why);
            FULL
        })?;
        Ok(tenant)
    }

    fn not_held(&mut self, id: ConnId, call: Option<CorrelationId>, refusal: Refusal, now: Now) {
        if let Refusal::Unasked(why) = refusal {
            self.metrics.resource_unasked.inc(why);
        }
        self.refuse(id, call, refusal.fault(), now);
    }

    /// The line of a room that a command is about, and what it waits for.
    fn line_of(&self, id: ConnId, command: &Command<'_>) -> Option<(RoomName, TokenDigest)> {
        let waiting = self.words.lines.of(id)?;
        let named = |room: &str| waiting.lines.iter().find(|line| line.room.as_str() == room);
        let line = match command {
            Command::Join(join) => named(join.room.as_str()),
            Command::Leave { room } | Command::QueryPresence { room, .. } => named(room.as_str()),
            Command::Send(send) => named(send.room.as_str()),
            Command::History(history) => named(history.room.as_str()),
            Command::Subscribe { channel } | Command::Unsubscribe { channel } => {
                named(self.channel(id, channel).ok()?.as_str())
            }
            Command::Relay(relay) => {
                let tenant = &self.session(id).ok()?.tenant;
                waiting.lines.iter().find(|line| RoomId::of(tenant, line.room.as_str()) == relay.room)
            }
            Command::Authenticate(_)
            | Command::Ping
            | Command::Rooms
            | Command::PresenceStatus { .. }
            | Command::PresenceHeartbeat { .. }
            | Command::Request(_)
            | Command::Response(_) => None,
        };
        line.map(|line| (line.room.clone(), line.digest))
    }

    /// Makes the commands again that have waited in a line for this, one after the other.
    pub(super) fn go_on(&mut self, id: ConnId, room: &RoomName, digest: TokenDigest, now: Now) {
        for held in self.words.lines.take(id, room, digest) {
            if !self.is_open(id) {
                return;
            }
            match &held {
                Held::Text(text) => {
                    if let Ok(call) = native::decode(text) {
                        self.call_in_turn(id, call, held.spelled(), now);
                    }
                }
                Held::Binary(bytes) => {
                    if let Ok(relay) = relay::decode(bytes) {
                        let call = Call { id: None, command: Command::Relay(relay) };
                        self.call_in_turn(id, call, held.spelled(), now);
                    }
                }
            }
        }
    }
}
