//! A home shard: the order of a room's publications.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
};

use ringway::{
    base::{HashSeed, Now, RoomKey, RoomName, ShardId, TenantName},
    hub::{Home, HomeLimits, Joiner, Joining},
};

use crate::{Work, ready};

const ROOMS: usize = 500;

const NOW: Now = Now { mono_us: 500_000_000, unix_ms: 1_800_000_000_000 };

/// One publication in each of 500 rooms, in which two shards have members.
pub fn publish_in_500_rooms() -> Work {
    let mut home = home();
    let keys: Vec<RoomKey> = (0..ROOMS).map(key).collect();
    for key in &keys {
        join(&mut home, key, ShardId(0));
        join(&mut home, key, ShardId(1));
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
        join(&mut home, &key(room), ShardId(0));
    });
    let key = key(ROOMS);
    ready(move || {
        let joining = join(&mut home, black_box(&key), ShardId(0));
        home.vacate(&key, ShardId(0), joining.joins);
    })
}

/// Without limits, as outside production.
fn home() -> Home {
    let limits = HomeLimits { creates_per_peer_per_min: 0, ephemeral_ttl_ms: 3_600_000 };
    Home::new(limits, HashSeed::new(1), 7)
}

fn join(home: &mut Home, key: &RoomKey, shard: ShardId) -> Joining {
    let joiner = Joiner { peer: IpAddr::from(Ipv4Addr::LOCALHOST).into(), is_relay: false };
    home.join(key, shard, joiner, NOW).expect("creating rooms is not limited")
}

fn key(room: usize) -> RoomKey {
    let room = RoomName::parse(&format!("room-{room}")).expect("short and plain");
    RoomKey { tenant: TenantName::default_tenant(), room }
}
