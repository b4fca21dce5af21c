//! Frames made once per encoding, and what becomes of them in outboxes.

use std::{io::IoSlice, net::Ipv4Addr, sync::Arc};

use bytes::Bytes;

use super::{Delivered, Encoder, Queued, Recipients};
use crate::{
    base::{ConnId, Now, Prng, RoomKey, RoomName, SenderId, ShardId, TenantName, UserName, slab::Slab},
    conn::{
        Conn, Encoding, Finish, FrameStore, Keepalive, Overrun, SLICES_MAX, Session, Socket, SocketKind,
        Stage,
    },
    http::route::Door,
    metrics::Disconnect,
    model::{Event, Message, MessageName, Payload},
    ws::{
        Decoder, Input, Item, Limits, Opcode, Role,
        deflate::{self, Agreed, Inflater},
    },
};

const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 1, inflate_ratio_max: 1_000 };

fn agreed(offer: &str) -> Agreed {
    deflate::negotiate([offer].into_iter()).unwrap()
}

fn windows() -> [Agreed; 2] {
    [agreed("permessage-deflate"), agreed("permessage-deflate; server_max_window_bits=10")]
}

fn encoding(deflate: Option<Agreed>) -> Encoding {
    deflate.map_or(Encoding::Plain, Encoding::Deflate)
}

fn joined(room: &str) -> Event {
    Event::RoomJoined { room: RoomName::parse(room).unwrap(), metadata: None }
}

fn decoded(frame: &[u8], deflate: Option<Agreed>) -> String {
    let mut bytes = frame.to_vec();
    let (mut decoder, mut inflater) = (Decoder::new(Role::Client, deflate), Inflater::new());
    let mut input = Input::new(&mut bytes);
    match decoder.next(&mut input, &mut inflater, &LIMITS).unwrap() {
        Some(Item::Text(text)) => text.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_encoding_is_made_once_and_says_the_same() {
    let mut encoder = Encoder::new(32);
    let room = "r".repeat(200);
    let text = format!(r#"{{"type":"room:joined","room":"{room}"}}"#);
    let [wide, narrow] = windows();
    let event = joined(&room);
    let mut frames = encoder.frames([&event]);
    for deflate in [None, Some(wide), Some(narrow)] {
        let first = frames.for_encoding(encoding(deflate)).bytes.clone();
        let second = frames.for_encoding(encoding(deflate)).bytes.clone();
        assert!(std::ptr::eq(&*first, &*second), "one allocation for all");
        assert_eq!(decoded(&first, deflate), text);
        assert_eq!(first.len() < 100, deflate.is_some());
    }
    // The next event starts anew.
    assert_eq!(
        decoded(&encoder.event(&joined("x"), Encoding::Plain), None),
        r#"{"type":"room:joined","room":"x"}"#
    );
}

#[test]
fn short_events_are_not_compressed() {
    let mut encoder = Encoder::new(64);
    let [wide, _] = windows();
    let event = joined("x");
    let mut frames = encoder.frames([&event]);
    let plain = frames.for_encoding(Encoding::Plain).bytes.clone();
    assert!(std::ptr::eq(&*plain, &*frames.for_encoding(Encoding::Deflate(wide)).bytes));
}

#[test]
fn echoes_and_control_frames() {
    let mut encoder = Encoder::new(64);
    assert_eq!(&*encoder.message(Opcode::Binary, b"ab", None), b"\x82\x02ab");
    assert_eq!(&*encoder.control(Opcode::Pong, b"p"), b"\x8a\x01p");
    assert_eq!(&*encoder.close(1000, "bye"), b"\x88\x05\x03\xe8bye");
    let long = "x".repeat(300);
    assert_eq!(encoder.close(1000, &long).len(), 127, "cut to what a control frame holds");
    let [wide, _] = windows();
    assert_eq!(decoded(&encoder.message(Opcode::Text, b"hello", Some(wide)), Some(wide)), "hello");
}

/// Connections of every kind, and what is queued for them.
struct Shard {
    conns: Slab<Conn>,
    store: FrameStore,
    dirty: Vec<ConnId>,
}

impl Shard {
    fn new() -> Self {
        Self { conns: Slab::new(), store: FrameStore::new(), dirty: Vec::new() }
    }

    fn add(&mut self, stage: Option<Stage>) -> ConnId {
        let mut conn = Conn::new(Ipv4Addr::LOCALHOST.into(), Door::Public, 0);
        if let Some(stage) = stage {
            conn.stage = stage;
        }
        let (slot, generation) = self.conns.insert(conn);
        ConnId { shard: ShardId(0), slot, generation }
    }

    fn open(&mut self, encoding: Encoding) -> ConnId {
        let (user, tenant) = (UserName::parse("ada").unwrap(), TenantName::default_tenant());
        let session = Session::new(user, tenant, Now { mono_us: 0, unix_ms: 0 });
        self.add(Some(socket(SocketKind::Json(session), encoding)))
    }

    /// The socket of `id` takes nothing for now.
    fn block(&mut self, id: ConnId) {
        self.conns.get_mut(id.slot, id.generation).unwrap().blocked = true;
    }

    fn recipients(&mut self, outbox_bytes_max: u32) -> Recipients<'_> {
        let Self { conns, store, dirty } = self;
        Recipients { conns, store, dirty, outbox_bytes_max }
    }

    fn queued(&self, id: ConnId) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let conn = self.conns.get(id.slot, id.generation).unwrap();
        let (count, _) = conn.outbox.slices(&self.store, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

fn socket(kind: SocketKind, encoding: Encoding) -> Stage {
    let (decoder, keepalive) = (Decoder::new(Role::Server, encoding.deflate()), Keepalive::new(0, 0));
    Stage::Socket(Socket { decoder, kind, encoding, keepalive })
}

fn closing() -> Stage {
    let (reason, finish) = (Disconnect::ClientClose, Finish::AtOnce);
    Stage::Closing { reason, finish, deadline_ms: 0, grace_bytes: 0, overrun: Overrun::CutOff, decoder: None }
}

#[test]
fn members_get_an_event_each_in_its_encoding() {
    let mut shard = Shard::new();
    let [wide, narrow] = windows();
    let open = [None, Some(wide), Some(narrow), None].map(|deflate| (shard.open(encoding(deflate)), deflate));
    let others = [
        shard.add(None),
        shard.add(Some(closing())),
        shard.add(Some(socket(SocketKind::Echo, Encoding::Plain))),
        shard.add(Some(socket(SocketKind::Pending { deadline_ms: 0 }, Encoding::Relay))),
    ];
    let gone = shard.open(Encoding::Plain);
    shard.conns.remove(gone.slot, gone.generation);
    let full = shard.open(Encoding::Plain);
    let mut encoder = Encoder::new(32);
    let event = joined(&"r".repeat(200));
    let mut too_full = Vec::new();
    let filler = encoder.control(Opcode::Pong, &[0; 100]);
    shard.block(full);
    assert_eq!(shard.recipients(1_000).queue(full, filler), Queued::Yes);
    let everybody = open.iter().map(|(id, _)| *id).chain(others).chain([gone, full]);
    let mut frames = encoder.frames([&event]);
    let delivered = shard.recipients(300).deliver(everybody, &mut frames, &[None], &mut too_full);
    assert_eq!((delivered, &too_full[..]), (Delivered { json: 4, relay: 0 }, &[full][..]));
    for (id, deflate) in open {
        assert!(decoded(&shard.queued(id), deflate).contains("rrr"));
    }
    assert!(others.iter().all(|id| shard.queued(*id).is_empty()));
    let expected: Vec<ConnId> = [full].into_iter().chain(open.map(|(id, _)| id)).collect();
    assert_eq!(shard.dirty, expected, "each once");
}

#[test]
fn queueing_bounds_and_notes_once() {
    let mut shard = Shard::new();
    let open = shard.open(Encoding::Plain);
    let mut encoder = Encoder::new(0);
    let frame = encoder.control(Opcode::Pong, &[0; 8]);
    let queue = |shard: &mut Shard, id| shard.recipients(25).queue(id, frame.clone());
    // The limit is for what a full socket leaves behind.
    assert_eq!([(); 3].map(|()| queue(&mut shard, open)), [Queued::Yes; 3]);
    assert_eq!((shard.queued(open).len(), shard.dirty.len()), (30, 1));
    shard.block(open);
    assert_eq!(queue(&mut shard, open), Queued::Full);
    let blocked = shard.open(Encoding::Plain);
    shard.block(blocked);
    assert_eq!([(); 3].map(|()| queue(&mut shard, blocked)), [Queued::Yes, Queued::Yes, Queued::Full]);
    let closing = shard.add(Some(closing()));
    assert_eq!(queue(&mut shard, closing), Queued::Gone);
    let stale = ConnId { generation: 9, ..open };
    assert_eq!(queue(&mut shard, stale), Queued::Gone);
}

/// Every event of a frame stream, in order.
fn texts(frames: &[u8], deflate: Option<Agreed>) -> Vec<String> {
    let mut bytes = frames.to_vec();
    let (mut decoder, mut inflater) = (Decoder::new(Role::Client, deflate), Inflater::new());
    let mut input = Input::new(&mut bytes);
    let mut texts = Vec::new();
    while let Some(item) = decoder.next(&mut input, &mut inflater, &LIMITS).unwrap() {
        let Item::Text(text) = item else { panic!("{item:?}") };
        texts.push(text.to_owned());
    }
    texts
}

#[test]
fn members_get_a_run_without_the_frames_that_are_not_for_them() {
    for seed in 0..200 {
        let mut prng = Prng::new(seed);
        let mut shard = Shard::new();
        let [wide, narrow] = windows();
        let members: Vec<_> = (0..6)
            .map(|index| [None, Some(wide), Some(narrow)][index % 3])
            .map(|deflate| (shard.open(encoding(deflate)), deflate))
            .collect();
        let count = 1 + prng.below(12) as usize;
        // Some events are worth compressing.
        let events: Vec<_> =
            (0..count).map(|index| joined(&format!("{index}{}", "r".repeat(index * 7)))).collect();
        let except: Vec<_> =
            (0..count).map(|_| members.get(prng.below(9) as usize).map(|(id, _)| *id)).collect();
        let mut encoder = Encoder::new(64);
        let mut frames = encoder.frames(&events);
        let mut full = Vec::new();
        let ids = members.iter().map(|(id, _)| *id);
        let delivered = shard.recipients(u32::MAX).deliver(ids, &mut frames, &except, &mut full);
        let mut expected_count = 0;
        for (id, deflate) in &members {
            let mine = events.iter().zip(&except).filter(|(_, except)| **except != Some(*id));
            let expected: Vec<_> = mine
                .map(|(event, _)| texts(&encoder.event(event, Encoding::Plain), None).remove(0))
                .collect();
            expected_count += expected.len() as u64;
            assert_eq!(texts(&shard.queued(*id), *deflate), expected, "seed {seed}");
            let conn = shard.conns.get(id.slot, id.generation).unwrap();
            assert!(!conn.is_excepted && conn.dirty != expected.is_empty(), "seed {seed}");
        }
        let expected = Delivered { json: expected_count, relay: 0 };
        assert_eq!((delivered, full.len()), (expected, 0), "seed {seed}");
    }
}

fn message(payload: &[u8]) -> Event {
    Event::Message(Arc::new(Message {
        id: MessageName::Numbered { epoch: 0, number: 1 },
        key: RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse("lobby").unwrap() },
        from: UserName::parse("ada").unwrap(),
        sender: SenderId::of(ConnId { shard: ShardId(0), slot: 0, generation: 0 }, crate::base::NodeId(7)),
        payload: Payload::Opaque(Bytes::copy_from_slice(payload)),
        timestamp: 0,
        offset: None,
    }))
}

#[test]
fn relay_members_get_binary_frames_that_nobody_compresses() {
    let mut shard = Shard::new();
    let [wide, _] = windows();
    let members = [Encoding::Relay, Encoding::Relay, Encoding::Deflate(wide)].map(|it| shard.open(it));
    let long = [b'x'; 200];
    let events = [message(b"one"), joined("lobby"), message(&long), message(b"")];
    let except = [None, None, None, Some(members[1])];
    let mut encoder = Encoder::new(64);
    let mut frames = encoder.frames(&events);
    let mut full = Vec::new();
    let delivered = shard.recipients(u32::MAX).deliver(members.into_iter(), &mut frames, &except, &mut full);
    assert_eq!((delivered, full.len()), (Delivered { json: 4, relay: 7 }, 0));
    let head = b"\x02\x86\xb0\xce\xf2\xc2\x45\xef\x18\0\0\0\0\0\0\0\x07";
    let text = br#"{"type":"room:joined","room":"lobby"}"#;
    let whole = [
        &[0x82, 20][..],
        head,
        b"one",
        &[0x81, text.len() as u8],
        text,
        &[0x82, 126, 0, 217],
        head,
        &long,
        &[0x82, 17],
        head,
    ]
    .concat();
    assert_eq!(shard.queued(members[0]), whole);
    assert_eq!(shard.queued(members[1]), whole[..whole.len() - 19]);
    let heard = texts(&shard.queued(members[2]), Some(wide));
    assert!(heard.len() == 4 && heard[2].contains(r#""binary":"eHh4"#), "{heard:?}");
    assert_eq!(encoder.event(&events[0], Encoding::Relay)[..], whole[..22]);
}
