//! A home shard: the order of a room's publications, and who is in it.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
};

use ringway::{
    base::{ConnId, HashSeed, Now, RoomKey, RoomName, ShardId, TenantName, UserName},
    hub::{Home, HomeLimits, Joiner},
    model::Availability,
};

use crate::{Work, ready};

const ROOMS: usize = 500;
const USERS: u32 = 10_000;
const NOW: Now = Now { mono_us: 500_000_000, unix_ms: 1_800_000_000_000 };

/// One publication in each of 500 rooms, in which two shards have members.
pub fn publish_in_500_rooms() -> Work {
    let mut home = home();
    let keys: Vec<RoomKey> = (0..ROOMS).map(key).collect();
    for key in &keys {
        join(&mut home, key, joiner(0, 0, false));
        join(&mut home, key, joiner(1, 1, false));
    }
    ready(move || {
        for key in &keys {
            let publication = home.publish(black_box(key), NOW).expect("somebody is there");
            black_box((publication.number, publication.interests));
        }
    })
}

/// A room's first member comes and goes, among 500 other rooms.
pub fn join_and_vacate() -> Work {
    let mut home = home();
    (0..ROOMS).for_each(|room| {
        join(&mut home, &key(room), joiner(0, 0, false));
    });
    let key = key(ROOMS);
    let only = joiner(0, 0, true);
    ready(move || {
        join(&mut home, black_box(&key), only.clone());
        black_box(home.leave(&key, only.conn, &only.user, NOW));
    })
}

/// One of the 10,000 users of a room goes and comes back, and the others are to be told.
pub fn come_back_among_10k() -> Work {
    let mut home = home();
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
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
        is_relay: false,
    }
}

fn home() -> Home {
    Home::new(HomeLimits { creates_per_peer_per_min: 0, ephemeral_ttl_ms: 0 }, HashSeed::new(1), 7)
}

fn join(home: &mut Home, key: &RoomKey, joiner: Joiner) {
    black_box(home.join(key, joiner, NOW)).expect("no limit of new rooms");
}
