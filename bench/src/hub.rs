//! A home shard: the order of a room's publications, and who is in it.

use std::hint::black_box;

use ringway::{
    base::{ConnId, HashSeed, Now, RoomKey, RoomName, ShardId, TenantName, UserName},
    hub::{Home, Joiner},
    model::Availability,
};

use crate::{Work, ready};

const ROOMS: usize = 500;
const USERS: u32 = 10_000;
const NOW: Now = Now { mono_us: 0, unix_ms: 0 };

/// One publication in each of 500 rooms, in which two shards have members.
pub fn publish_in_500_rooms() -> Work {
    let mut home = Home::new(HashSeed::new(1), 7);
    let keys: Vec<RoomKey> = (0..ROOMS).map(key).collect();
    for key in &keys {
        home.join(key, joiner(0, 0, false), NOW);
        home.join(key, joiner(1, 1, false), NOW);
    }
    ready(move || {
        for key in &keys {
            let publication = home.publish(black_box(key)).expect("somebody is there");
            black_box((publication.number, publication.interests));
        }
    })
}

/// A room's first member comes and goes, among 500 other rooms.
pub fn join_and_vacate() -> Work {
    let mut home = Home::new(HashSeed::new(1), 7);
    (0..ROOMS).for_each(|room| {
        home.join(&key(room), joiner(0, 0, false), NOW);
    });
    let key = key(ROOMS);
    let only = joiner(0, 0, true);
    ready(move || {
        black_box(home.join(black_box(&key), only.clone(), NOW));
        black_box(home.leave(&key, only.conn, &only.user, NOW));
    })
}

/// One of the 10,000 users of a room goes and comes back, and the others are to be told.
pub fn come_back_among_10k() -> Work {
    let mut home = Home::new(HashSeed::new(1), 7);
    let key = key(0);
    let joiners: Vec<Joiner> = (0..USERS).map(|user| joiner(0, user, true)).collect();
    for joiner in &joiners {
        home.join(&key, joiner.clone(), NOW);
    }
    let mut next = joiners.into_iter().cycle();
    ready(move || {
        let joiner = next.next().expect("round and round");
        black_box(home.leave(&key, joiner.conn, &joiner.user, NOW));
        black_box(home.join(black_box(&key), joiner, NOW));
    })
}

fn key(room: usize) -> RoomKey {
    let room = RoomName::parse(&format!("room-{room}")).expect("short and plain");
    RoomKey { tenant: TenantName::default_tenant(), room }
}

fn joiner(shard: u16, user: u32, listens: bool) -> Joiner {
    Joiner {
        conn: ConnId { shard: ShardId(shard), slot: user, generation: 0 },
        user: UserName::parse(&format!("user-{user}")).expect("short and plain"),
        status: Availability::Online,
        metadata: None,
        listens,
    }
}
