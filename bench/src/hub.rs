//! A home shard: the order of a room's publications.

use std::hint::black_box;

use ringway::{
    base::{HashSeed, RoomKey, RoomName, ShardId, TenantName},
    hub::Home,
};

use crate::{Work, ready};

const ROOMS: usize = 500;

/// One publication in each of 500 rooms, in which two shards have members.
pub fn publish_in_500_rooms() -> Work {
    let mut home = Home::new(HashSeed::new(1), 7);
    let keys: Vec<RoomKey> = (0..ROOMS).map(key).collect();
    for key in &keys {
        home.join(key, ShardId(0));
        home.join(key, ShardId(1));
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
        home.join(&key(room), ShardId(0));
    });
    let key = key(ROOMS);
    ready(move || {
        let joining = home.join(black_box(&key), ShardId(0));
        home.vacate(&key, ShardId(0), joining.joins);
    })
}

fn key(room: usize) -> RoomKey {
    let room = RoomName::parse(&format!("room-{room}")).expect("short and plain");
    RoomKey { tenant: TenantName::default_tenant(), room }
}
