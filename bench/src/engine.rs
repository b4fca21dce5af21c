//! One shard's engine from end to end, with the default configuration: bytes of a socket in, writes of sockets out.
//! Sockets take everything and time stands still, but where a workload says otherwise.

use std::{hint::black_box, io::IoSlice, net::Ipv4Addr, sync::Arc};

use ringway::{
    auth::mint,
    base::{ConnId, NodeId, Now, RoomKey, RoomName, ShardId, TenantName, UserName},
    config::{
        Settings,
        assemble::{self, Machine},
        settings::Limits,
    },
    engine::{Ask, Engine, Input, Output, Parcel, Tell, Want, Wrote},
    model::Message,
    shell::driver::Driver,
    ws::Opcode,
};

use crate::{Work, Workload, native, ready, ws::masked};

const NOW: Now = Now { mono_us: 500_000_000, unix_ms: 1_800_000_000_000 };
/// Longer than any benchmark takes, in seconds.
const TOKEN_TTL_S: u64 = 10 * 365 * 86_400;
/// Bytes of a `room:send`.
const SEND_BYTES: usize = 128;
/// A limit that nobody reaches.
const MANY: u32 = 100_000_000;
/// Bytes of a relay's payload, so that its message has as many as a `room:send`.
const RELAY_BYTES: usize = SEND_BYTES - 9;

/// One `room:send` in; the frame for each of `members` others out.
pub fn publish(members: usize) -> Work {
    sends(members, 1)
}

/// The same with every limit on, a millisecond after the last.
pub fn publish_limited(members: usize) -> Work {
    let mut shard = Shard::with(|limits| {
        (limits.connections_per_ip, limits.connects_per_ip_per_min) = (MANY, MANY);
        (limits.messages_per_10s, limits.bytes_per_10s, limits.refusals_per_min) = (MANY, MANY, MANY);
        (limits.user_messages_per_s, limits.user_messages_burst) = (MANY, MANY);
        (limits.tenant_messages_per_s, limits.tenant_messages_burst) = (MANY, MANY);
    });
    let sender = shard.member();
    shard.members(members);
    let wire = masked(Opcode::Text, native::send(SEND_BYTES).as_bytes());
    let mut read = wire.clone();
    ready(move || {
        shard.now.mono_us += 1_000;
        read.copy_from_slice(black_box(&wire));
        shard.receive(sender, &mut read);
        assert_eq!(shard.turn().writes, members);
    })
}

/// Sixteen `room:send` in one read; one write of sixteen frames for each of `members` others out.
pub fn publish_16(members: usize) -> Work {
    sends(members, 16)
}

fn sends(members: usize, messages: usize) -> Work {
    let mut shard = Shard::new();
    let sender = shard.member();
    shard.members(members);
    let wire = masked(Opcode::Text, native::send(SEND_BYTES).as_bytes()).repeat(messages);
    let mut read = wire.clone();
    ready(move || {
        read.copy_from_slice(black_box(&wire));
        shard.receive(sender, &mut read);
        assert_eq!(shard.turn().writes, members);
    })
}

/// One relay publication in; the binary frame for each of `members` others out.
pub fn relay(members: usize) -> Work {
    let mut shard = Shard::new();
    let sender = shard.relay_member();
    for _ in 0..members {
        shard.relay_member();
    }
    let room = key().id().0.to_le_bytes();
    let wire = masked(Opcode::Binary, &[&[1], &room[..], &[0xa5; RELAY_BYTES]].concat());
    let mut read = wire.clone();
    ready(move || {
        read.copy_from_slice(black_box(&wire));
        shard.receive(sender, &mut read);
        assert_eq!(shard.turn().writes, members);
    })
}

/// The room of every member.
fn key() -> RoomKey {
    RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse("lobby").expect("short and plain") }
}

/// A publication that another shard has ordered, into the outboxes of `members` whose sockets are full.
pub fn fan_out(members: usize) -> Work {
    let mut shard = Shard::new();
    let conns = (0..members).map(|_| shard.member()).collect();
    let message = Arc::new(native::message(SEND_BYTES));
    let mut workload = FanOut { shard, conns, message };
    workload.fill();
    ready(workload)
}

struct FanOut {
    shard: Shard,
    conns: Vec<ConnId>,
    message: Arc<Message>,
}

impl FanOut {
    fn publish(&mut self) -> Left {
        let message = self.message.clone();
        let tell = Tell::Published { message, except: None, received_us: NOW.mono_us };
        let input = Input::Parcel { from: ShardId(1), parcel: Parcel::Tell(tell) };
        self.shard.engine.handle(input, self.shard.now);
        self.shard.turn()
    }

    /// Lets every socket take nothing of a first publication.
    fn fill(&mut self) {
        self.shard.sockets_take = false;
        assert_eq!(self.publish().writes, self.conns.len());
    }
}

impl Workload for FanOut {
    fn run(&mut self) {
        assert_eq!(self.publish().writes, 0);
    }

    fn is_repeatable(&self) -> bool {
        false
    }

    fn reset(&mut self) {
        self.shard.sockets_take = true;
        for &conn in &self.conns {
            self.shard.engine.handle(Input::Writable { conn }, self.shard.now);
        }
        assert_eq!(self.shard.turn().writes, self.conns.len());
        self.fill();
    }
}

/// A message of `length` bytes to `/echo`, and back.
pub fn echo(length: usize) -> Work {
    let mut shard = Shard::new();
    let conn = shard.open("/echo", "");
    let wire = masked(Opcode::Text, &vec![b'a'; length]);
    let mut read = wire.clone();
    ready(move || {
        read.copy_from_slice(black_box(&wire));
        shard.receive(conn, &mut read);
        assert_eq!(shard.turn().writes, 1);
    })
}

/// A client that comes back: accepted, upgraded with the HS256 token that it had before, in its room, and gone a
/// millisecond later.
pub fn reconnect() -> Work {
    let mut shard = Shard::new();
    shard.member();
    ready(move || {
        let conn = shard.member();
        shard.engine.handle(Input::Closed { conn }, shard.now);
        shard.pass_1_ms();
        shard.turn();
    })
}

/// A member that joins its room again, and gets the `count` messages that it says it has missed.
pub fn recover(count: usize) -> Work {
    let mut shard = Shard::new();
    let sender = shard.member();
    let send = native::send(SEND_BYTES).replacen('{', r#"{"persistent":true,"#, 1);
    shard.receive(sender, &mut masked(Opcode::Text, send.as_bytes()).repeat(count));
    shard.turn();
    let epoch = shard.epoch(sender);
    let join = format!(r#"{{"type":"room:join","room":"lobby","since":{{"offset":0,"epoch":"{epoch}"}}}}"#);
    let wire = masked(Opcode::Text, join.as_bytes());
    let mut read = wire.clone();
    ready(move || {
        read.copy_from_slice(black_box(&wire));
        shard.receive(sender, &mut read);
        assert!(shard.turn().bytes > count * SEND_BYTES / 2);
    })
}

/// What a shard with so many clients does for a probe or a scrape of the node.
pub fn survey(clients: usize) -> Work {
    let mut shard = Shard::new();
    let token = format!("Authorization: Bearer {}\r\n", shard.token);
    for _ in 0..clients {
        shard.open("/ws", &token);
    }
    ready(move || {
        let parcel = Parcel::Ask(Ask::Survey { survey: 1, want: Want::default() });
        shard.engine.handle(Input::Parcel { from: ShardId(1), parcel }, shard.now);
        let report = shard.engine.poll_output();
        assert!(matches!(black_box(report), Some(Output::Parcel { .. })), "a survey is answered");
    })
}

/// An engine, and a shell without a machine.
struct Shard {
    engine: Engine,
    now: Now,
    token: String,
    /// Everything that is written; nothing otherwise.
    sockets_take: bool,
}

/// What a turn has written.
#[derive(Default)]
struct Left {
    writes: usize,
    bytes: usize,
}

impl Shard {
    /// A node of its own, with nobody on it.
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with limits.
    fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let mut settings = Settings::defaults(false);
        change(&mut settings.limits);
        settings.auth.jwt_secret = Some("a".repeat(64).into());
        let machine = Machine {
            address: ([127, 0, 0, 1], 0).into(),
            admin_address: None,
            node: NodeId(0x2a),
            shards: 1,
            driver: Driver::Epoll,
            fds_max: 1 << 20,
            token_key: [7; 32],
            hand_out_tokens: false,
        };
        let config = assemble::engine(&settings, &machine).expect("the secret is long enough");
        let key = assemble::signing_key(&settings).ok().flatten().expect("a secret was set");
        let user = UserName::parse("ada").expect("short and plain");
        let claims = config.policy.verifier.claims_for(user, None, NOW.unix_s(), TOKEN_TTL_S);
        let token = mint(&key, &claims);
        Self { engine: Engine::new(ShardId(0), config, 7), now: NOW, token, sockets_take: true }
    }

    /// A client with a token that has joined the room of [`native::send`].
    fn member(&mut self) -> ConnId {
        self.member_with("")
    }

    /// The same over relay.
    fn relay_member(&mut self) -> ConnId {
        self.member_with("Sec-WebSocket-Protocol: ringway.relay.v1\r\n")
    }

    fn member_with(&mut self, headers: &str) -> ConnId {
        let token = format!("Authorization: Bearer {}\r\n{headers}", self.token);
        let conn = self.open("/ws", &token);
        let mut join =
            masked(Opcode::Text, br#"{"type":"room:join","id":1,"room":"lobby","presence":false}"#);
        self.receive(conn, &mut join);
        assert!(self.turn().bytes > 0, "joining is answered");
        conn
    }

    fn members(&mut self, count: usize) {
        for _ in 0..count {
            self.member();
        }
    }

    /// A client whose connection has become a WebSocket; `headers` are lines with their ends.
    fn open(&mut self, target: &str, headers: &str) -> ConnId {
        let conn = self.engine.accept(Ipv4Addr::LOCALHOST.into(), self.now);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        self.receive(conn, &mut request.into_bytes());
        assert!(self.turn().bytes > 0, "an upgrade is answered");
        conn
    }

    fn receive(&mut self, conn: ConnId, bytes: &mut [u8]) {
        self.engine.handle(Input::Received { conn, bytes }, self.now);
    }

    /// The end of a turn, in the order of the shell's loop.
    fn turn(&mut self) -> Left {
        let mut left = Left::default();
        self.outputs();
        self.engine.take_writes(self.now, |_, slices: &[IoSlice<'_>]| {
            let offered: usize = slices.iter().map(|slice| black_box(slice).len()).sum();
            let taken = if self.sockets_take { offered } else { 0 };
            left.writes += 1;
            left.bytes += taken;
            Wrote::Bytes(taken)
        });
        self.engine.written(self.now);
        self.outputs();
        left
    }

    fn outputs(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            let is_work = matches!(output, Output::Parcel { .. } | Output::Close { .. });
            assert!(!is_work, "nobody is on another shard, and nobody is closed");
        }
    }

    /// The epoch of the room of [`native::send`], as a member that joins it again is told.
    fn epoch(&mut self, member: ConnId) -> String {
        self.receive(member, &mut masked(Opcode::Text, br#"{"type":"room:join","id":1,"room":"lobby"}"#));
        let mut heard = Vec::new();
        self.engine.take_writes(self.now, |_, slices: &[IoSlice<'_>]| {
            slices.iter().for_each(|slice| heard.extend_from_slice(slice));
            Wrote::Bytes(slices.iter().map(|slice| slice.len()).sum())
        });
        self.engine.written(self.now);
        let heard = String::from_utf8_lossy(&heard);
        let (_, epoch) = heard.split_once(r#""epoch":""#).expect("the ack says it");
        epoch[..16].to_owned()
    }

    fn pass_1_ms(&mut self) {
        self.now.mono_us += 1_000;
        self.now.unix_ms += 1;
        if self.engine.poll_timeout().is_some_and(|due_ms| due_ms <= self.now.mono_ms()) {
            self.engine.expire(self.now);
        }
    }
}
