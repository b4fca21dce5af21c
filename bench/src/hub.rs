//! A home shard: the order of a room's publications, what is kept of them, and who is there. A shard with members: which
//! of its rooms a connection means.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ringway::{
    base::{ConnId, HashSeed, Now, RoomKey, RoomName, SenderId, ShardId, TenantName, UserName},
    hub::{
        Draft, HistoryConfig, Home, HomeLimits, Joiner, Joining, Keep, Published, Roster, Showing, Standing,
    },
    model::{Actions, Availability, MessageId, Payload, Position},
};

use crate::{Work, native, ready};

const ROOMS: usize = 500;
const USERS: u32 = 10_000;
const CONNECTIONS: u32 = 40_000;
const NOW: Now = Now { mono_us: 500_000_000, unix_ms: 1_800_000_000_000 };
/// What a room of these benchmarks keeps: so little that every publication also gives one up.
const KEPT: u32 = 4;

/// One publication in each of 500 rooms, in which two shards have members.
pub fn publish_in_500_rooms() -> Work {
    publications(false, false)
}

/// The same, kept, and each in the place of another.
pub fn publish_persistent_in_500_rooms() -> Work {
    publications(true, false)
}

/// The same, each also a repeat's first.
pub fn publish_named_in_500_rooms() -> Work {
    publications(true, true)
}

fn publications(persistent: bool, is_named: bool) -> Work {
    let mut home = home(KEPT);
    let (from, payload) = sender();
    let keys: Vec<RoomKey> = (0..ROOMS).map(key).collect();
    for key in &keys {
        join(&mut home, key, joiner(0, 0, false));
        join(&mut home, key, joiner(1, 1, false));
    }
    let mut number = 0_u32;
    ready(move || {
        for key in &keys {
            number += 1;
            // As long in every run.
            let message_id = is_named.then(|| MessageId::parse(&format!("{number:016}"))).flatten();
            let (key, from, payload) = (key.clone(), from.clone(), payload.clone());
            let draft = Draft { key, from, sender: SenderId::BACKEND, payload, message_id, persistent };
            let published = home.publish(black_box(draft), NOW);
            let is_accepted =
                matches!(&published, Ok(Published::Accepted { interests, .. }) if interests.len() == 2);
            assert!(is_accepted, "somebody is there, and it is new");
            black_box(&published);
        }
    })
}

/// What a member that comes back has missed: the last `count` messages of its room.
pub fn missed(count: u32) -> Work {
    let mut home = home(count);
    let (from, payload) = sender();
    let key = key(0);
    let epoch = join(&mut home, &key, joiner(0, 0, false)).position.epoch;
    for _ in 0..count {
        let (key, from, payload) = (key.clone(), from.clone(), payload.clone());
        let draft =
            Draft { key, from, sender: SenderId::BACKEND, payload, message_id: None, persistent: true };
        assert!(home.publish(draft, NOW).is_ok(), "the room keeps messages");
    }
    ready(move || {
        let missed = home.missed(black_box(&key), Position { offset: 0, epoch }, NOW);
        assert_eq!(missed.map(|missed| missed.len()), Some(count as usize));
    })
}

/// A room's first member comes and goes, among 500 other rooms.
pub fn join_and_vacate() -> Work {
    let mut home = home(KEPT);
    (0..ROOMS).for_each(|room| {
        join(&mut home, &key(room), joiner(0, 0, false));
    });
    let (key, only) = (key(ROOMS), joiner(0, 0, true));
    ready(move || {
        join(&mut home, black_box(&key), only.clone());
        black_box(home.leave(&key, only.conn, &only.user, NOW));
    })
}

/// One of the 10,000 users of a room goes and comes back, and the others are to be told.
pub fn come_back_among_10k() -> Work {
    let mut home = home(KEPT);
    let key = key(0);
    let joiners: Vec<Joiner> = (0..USERS).map(|user| joiner(0, user, true)).collect();
    for joiner in &joiners {
        join(&mut home, &key, joiner.clone());
    }
    let mut next = joiners.into_iter().cycle();
    ready(move || {
        let joiner = next.next().expect("round and round");
        black_box(home.leave(&key, joiner.conn, &joiner.user, NOW));
        join(&mut home, black_box(&key), joiner);
    })
}

/// Of a user's 40,000 connections in a room one shows itself otherwise.
pub fn show_among_40k() -> Work {
    let mut home = home(KEPT);
    let key = key(0);
    let user = joiner(0, 0, false).user;
    for slot in 0..CONNECTIONS {
        join(&mut home, &key, Joiner { user: user.clone(), ..joiner(0, slot, false) });
    }
    let conn = joiner(0, CONNECTIONS / 2, false).conn;
    let mut statuses = [Availability::Away, Availability::Online].into_iter().cycle();
    ready(move || {
        let showing = Showing { status: statuses.next(), metadata: None };
        black_box(home.show(black_box(&key), conn, &user, showing, NOW));
    })
}

/// The room that a connection has joined first, among all `rooms` of the connection: by its name, as a publication
/// names it.
pub fn find_room(rooms: usize) -> Work {
    let (roster, conn, first) = in_rooms(rooms);
    ready(move || {
        let found = roster.find(conn, black_box(first.room.as_str()));
        assert!(black_box(found).is_some_and(|(key, _)| *key == first));
    })
}

/// The same by its id, as a relay's publication names it.
pub fn find_room_by_id(rooms: usize) -> Work {
    let (roster, conn, first) = in_rooms(rooms);
    let id = first.id();
    ready(move || {
        let found = roster.find_id(conn, black_box(id));
        assert!(black_box(found).is_some(), "it is in the room");
    })
}

/// A connection in so many rooms, and the first that it has joined.
fn in_rooms(rooms: usize) -> (Roster, ConnId, RoomKey) {
    let mut roster = Roster::new(HashSeed::new(1));
    let conn = joiner(0, 0, false).conn;
    // Names of one length.
    let keys: Vec<RoomKey> = (0..rooms).map(|room| key(1_000 + room)).collect();
    for key in &keys {
        assert!(roster.ask(conn, key, false, Standing::of(Actions::EVERY), rooms), "so many are allowed");
        roster.joined(conn, key);
    }
    (roster, conn, keys[0].clone())
}

fn home(messages: u32) -> Home {
    let keep = Keep { messages, seconds: 3600 };
    let history = HistoryConfig {
        keep,
        rooms: Vec::new(),
        repeats: keep,
        bytes_max: 1 << 30,
        page_messages_max: 1000,
        page_bytes_max: 1 << 20,
    };
    // Without limits, as outside production.
    let limits = HomeLimits { creates_per_peer_per_min: 0, ephemeral_ttl_ms: 3_600_000 };
    Home::new(limits, HashSeed::new(1), 7, Arc::new(history))
}

fn join(home: &mut Home, key: &RoomKey, joiner: Joiner) -> Joining {
    let (joining, announcement) = home.join(key, joiner, NOW).expect("creating rooms is not limited");
    black_box(announcement);
    joining
}

fn joiner(shard: u16, user: u32, listens: bool) -> Joiner {
    Joiner {
        conn: ConnId { shard: ShardId(shard), slot: user, generation: 0 },
        user: UserName::parse(&format!("user-{user}")).expect("short and plain"),
        status: Availability::Online,
        metadata: None,
        listens,
        peer: IpAddr::from(Ipv4Addr::LOCALHOST).into(),
        is_relay: false,
    }
}

/// Who publishes, and 128 bytes of what.
fn sender() -> (UserName, Payload) {
    let message = native::message(128);
    (message.from, message.payload)
}

fn key(room: usize) -> RoomKey {
    let room = RoomName::parse(&format!("room-{room}")).expect("short and plain");
    RoomKey { tenant: TenantName::default_tenant(), room }
}
