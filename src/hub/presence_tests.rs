//! A room's presence by table: what is told, when and to whom; its pace under churn, its pages, and what it weighs.
//! Then under chance, against a listener who pieces together what he is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use proptest::prelude::*;

use super::{Announcement, Joiner, Showing, interests::Interests, presence::Presence};
use crate::{
    base::{ConnId, Now, Prng, ShardId, UserName},
    model::{Availability, Json, PresenceChange, PresenceInfo},
};

/// A room and a clock.
struct Room {
    presence: Presence,
    interests: Interests,
    now: Now,
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn json(text: &str) -> Json {
    Json::from_checked(text.to_owned().into())
}

fn conn(shard: u16, slot: u32) -> ConnId {
    ConnId { shard: ShardId(shard), slot, generation: 0 }
}

fn status(status: Availability) -> Showing {
    Showing { status: Some(status), metadata: None }
}

fn joiner(conn: ConnId, name: &str, status: Availability, metadata: Option<Json>, listens: bool) -> Joiner {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST).into();
    Joiner { conn, user: user(name), status, metadata, listens, peer, is_relay: false }
}

fn names(infos: &[PresenceInfo]) -> Vec<&str> {
    infos.iter().map(|info| info.user.as_str()).collect()
}

/// `+ada` for a join, `-ada` for a leave, `ada=busy` for each user of an update.
fn words(announcement: Option<Announcement>) -> Vec<String> {
    match announcement.map(|it| it.change) {
        None => Vec::new(),
        Some(PresenceChange::Joined(info)) => vec![format!("+{}", info.user)],
        Some(PresenceChange::Left(user)) => vec![format!("-{user}")],
        Some(PresenceChange::Updated(infos)) => {
            infos.iter().map(|info| format!("{}={}", info.user, info.status.as_str())).collect()
        }
    }
}

impl Room {
    fn new() -> Self {
        let now = Now { mono_us: 1_000_000, unix_ms: 5_000 };
        Self { presence: Presence::default(), interests: Interests::default(), now }
    }

    /// With so many who listen and do nothing else, on shard 9, long ago.
    fn with_listeners(count: u32) -> Self {
        let mut room = Self::new();
        for slot in 0..count {
            room.join_as("watchers", conn(9, slot), None, true);
        }
        room.pass(100_000_000);
        room
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_us += ms * 1_000;
        self.now.unix_ms += ms;
    }

    fn join_as(
        &mut self,
        name: &str,
        conn: ConnId,
        metadata: Option<&str>,
        listens: bool,
    ) -> Option<Announcement> {
        let metadata = metadata.map(json);
        let joiner = joiner(conn, name, Availability::Online, metadata, listens);
        self.presence.join(joiner, &mut self.interests, self.now)
    }

    fn join(&mut self, name: &str, conn: ConnId) -> Vec<String> {
        words(self.join_as(name, conn, None, true))
    }

    fn leave(&mut self, name: &str, conn: ConnId) -> Vec<String> {
        words(self.presence.leave(conn, &user(name), &mut self.interests, self.now))
    }

    fn show(&mut self, name: &str, conn: ConnId, showing: Showing) -> Vec<String> {
        words(self.presence.show(conn, &user(name), showing, &self.interests, self.now))
    }

    fn wait(&mut self) -> Vec<String> {
        let due_ms = self.presence.due_ms().expect("something has gathered");
        self.pass(due_ms.saturating_sub(self.now.mono_ms()));
        words(self.presence.tell_gathered(&self.interests, self.now))
    }

    fn info(&mut self, name: &str) -> PresenceInfo {
        let page = self.presence.page(None, usize::MAX);
        page.presence.into_iter().find(|info| info.user.as_str() == name).expect("is there")
    }
}

#[test]
fn a_user_is_there_from_the_first_connection_to_the_last() {
    let mut room = Room::with_listeners(1);
    let rows: [(&str, u16, bool, &[&str], u32); 6] = [
        ("ada", 0, true, &["+ada"], 1),
        ("ada", 1, true, &[], 2),
        ("ada", 1, true, &[], 2),
        ("ada", 0, false, &[], 1),
        ("ada", 0, false, &[], 1),
        ("ada", 1, false, &["-ada"], 0),
    ];
    for (name, shard, joins, told, connections) in rows {
        let conn = conn(shard, 7);
        let words = if joins { room.join(name, conn) } else { room.leave(name, conn) };
        assert_eq!(words, told);
        let page = room.presence.page(None, 10).presence;
        let ada = page.iter().find(|info| info.user.as_str() == "ada");
        assert_eq!(ada.map_or(0, |info| info.connections), connections);
    }
    assert_eq!(room.leave("nobody", conn(0, 0)), [""; 0]);
}

#[test]
fn over_several_connections_the_most_present_status_counts() {
    use Availability::{Away, Busy, Offline, Online};
    let mut room = Room::with_listeners(1);
    let (desk, phone) = (conn(0, 1), conn(1, 1));
    room.join("ada", desk);
    room.join("ada", phone);
    let rows: [(ConnId, Availability, &[&str], Availability); 7] = [
        (desk, Away, &[], Online),
        (phone, Away, &["ada=away"], Away),
        (phone, Away, &[], Away),
        (desk, Busy, &["ada=busy"], Busy),
        (phone, Online, &[], Busy),
        (desk, Offline, &["ada=online"], Online),
        (phone, Offline, &["ada=offline"], Offline),
    ];
    for (conn, shown, told, is) in rows {
        assert_eq!(
            (room.show("ada", conn, status(shown)), room.info("ada").status),
            (told.iter().map(|it| (*it).to_owned()).collect(), is)
        );
    }
    // A status ends with its connection.
    room.show("ada", desk, status(Busy));
    assert_eq!(room.leave("ada", desk), ["ada=offline"]);
    assert_eq!(room.show("ada", desk, status(Online)), [""; 0], "it is not here any more");
}

#[test]
fn metadata_is_the_users_and_the_last_said_counts() {
    let mut room = Room::with_listeners(1);
    room.join_as("ada", conn(0, 1), Some("1"), true);
    assert_eq!(words(room.join_as("ada", conn(0, 2), None, true)), [""; 0]);
    assert_eq!(words(room.join_as("ada", conn(0, 2), Some("1"), true)), [""; 0], "as it was");
    assert_eq!(words(room.join_as("ada", conn(0, 2), Some("2"), true)), ["ada=online"]);
    let showing = Showing { status: None, metadata: Some(json("3")) };
    assert_eq!(room.show("ada", conn(0, 1), showing), ["ada=online"]);
    assert_eq!(room.info("ada").metadata, Some(json("3")));
    room.leave("ada", conn(0, 1));
    assert_eq!(room.info("ada").metadata, Some(json("3")));
}

#[test]
fn times_are_of_the_first_connection_and_of_the_last_sign() {
    let mut room = Room::new();
    let times = |room: &mut Room| {
        let info = room.info("ada");
        (info.since_ms, info.last_seen_ms)
    };
    room.join("ada", conn(0, 1));
    assert_eq!(times(&mut room), (5_000, 5_000));
    room.pass(1);
    room.join("ada", conn(0, 2));
    room.leave("ada", conn(0, 1));
    assert_eq!(times(&mut room), (5_000, 5_001));
    room.pass(1);
    room.show("ada", conn(0, 2), Showing::default());
    assert_eq!(times(&mut room), (5_000, 5_002));
}

/// To the shards that have listeners, but not to the connection itself; and not at all where nobody else listens.
#[test]
fn who_is_told() {
    let mut room = Room::new();
    assert_eq!(room.join_as("ada", conn(0, 1), None, true), None, "nobody else is here");
    assert_eq!(room.join_as("deaf", conn(1, 1), None, false).unwrap().shards, [ShardId(0)]);
    let told = room.join_as("bob", conn(2, 1), None, true).unwrap();
    assert_eq!((told.shards, told.except), (vec![ShardId(0), ShardId(2)], Some(conn(2, 1))));
    let told = room.presence.leave(conn(2, 1), &user("bob"), &mut room.interests, room.now).unwrap();
    assert_eq!((told.shards, told.except), (vec![ShardId(0)], None));
    // Who joins again may have changed his mind.
    room.join_as("ada", conn(0, 1), None, false);
    assert_eq!((room.leave("deaf", conn(1, 1)), room.presence.due_ms()), (vec![], None));
}

#[test]
fn the_first_change_leaves_at_once_and_what_follows_is_told_together() {
    // 20,000 frames to a change: the next one two seconds later, but for what was saved up.
    let mut room = Room::with_listeners(20_000);
    let began_ms = room.now.mono_ms();
    assert_eq!(room.join("ada", conn(0, 1)), ["+ada"]);
    for name in ["carol", "bob", "dave"] {
        assert_eq!(room.join(name, conn(0, 2 + u32::from(name.as_bytes()[0]))), [""; 0]);
    }
    assert_eq!(room.leave("dave", conn(0, 102)), [""; 0], "nobody has heard of him");
    room.show("ada", conn(0, 1), status(Availability::Busy));
    room.show("ada", conn(0, 1), status(Availability::Online));
    assert_eq!(room.show("carol", conn(0, 101), status(Availability::Away)), [""; 0]);
    assert_eq!(room.wait(), ["bob=online", "carol=away"]);
    assert_eq!(room.now.mono_ms() - began_ms, 1_901);
    assert_eq!(room.presence.due_ms(), None);
    // One change is told by its own name, also when it had to wait.
    assert_eq!(room.leave("bob", conn(0, 100)), [""; 0]);
    assert_eq!(room.wait(), ["-bob"]);
    room.pass(10_000);
    assert_eq!(room.leave("carol", conn(0, 101)), ["-carol"]);
}

#[test]
fn a_small_room_tells_as_it_happens() {
    let mut room = Room::with_listeners(10);
    for slot in 0..101 {
        let told = room.join_as(&format!("user-{slot}"), conn(1, slot), None, false);
        assert_eq!(words(told).len(), 1, "{slot}");
    }
    assert_eq!(room.join_as("one too many", conn(2, 1), None, false), None);
    assert_eq!(room.wait(), ["+one too many"]);
}

#[test]
fn who_comes_back_in_between_was_never_away() {
    let mut room = Room::with_listeners(20_000);
    room.join("ada", conn(0, 1));
    let since_ms = room.info("ada").since_ms;
    room.pass(10);
    room.leave("ada", conn(0, 1));
    room.pass(10);
    room.join("ada", conn(0, 2));
    assert_eq!(room.info("ada").since_ms, since_ms);
    room.pass(10_000);
    assert_eq!(
        words(room.presence.tell_gathered(&room.interests, room.now)),
        ["ada=online"],
        "somebody had looked"
    );
    // Seen by nobody.
    room.leave("ada", conn(0, 2));
    assert_eq!(room.presence.due_ms().is_some(), room.join("bob", conn(0, 3)).is_empty());
    room.join("ada", conn(0, 2));
    assert_eq!(room.wait(), ["+bob"]);
}

#[test]
fn who_was_seen_though_never_told_of_is_told_of() {
    let mut room = Room::with_listeners(20_000);
    room.join("ada", conn(0, 1));
    room.join("bob", conn(0, 2));
    assert_eq!(names(&room.presence.page(None, 9).presence), ["ada", "bob", "watchers"]);
    room.leave("bob", conn(0, 2));
    room.join("carol", conn(0, 3));
    room.leave("carol", conn(0, 3));
    assert_eq!(room.wait(), ["-bob"], "but nobody has seen carol");
}

#[test]
fn what_nobody_listens_to_is_forgotten() {
    let mut room = Room::with_listeners(20_000);
    room.join("ada", conn(0, 1));
    room.leave("ada", conn(0, 1));
    assert!(room.presence.due_ms().is_some());
    for slot in 0..20_000 {
        room.join_as("watchers", conn(9, slot), None, false);
    }
    assert_eq!((room.wait(), room.presence.due_ms()), (vec![], None));
    room.join_as("ada", conn(0, 1), None, false);
    assert_eq!(room.presence.due_ms(), None);
}

/// Each tells a bounded part, and everybody's turn comes.
#[test]
fn very_many_changes_are_told_in_parts() {
    let mut room = Room::with_listeners(10_000);
    room.join("first", conn(0, 9_999));
    let began_ms = room.now.mono_ms();
    for slot in 0..1_000 {
        assert_eq!(room.join(&format!("user-{slot:04}"), conn(0, slot)), [""; 0]);
    }
    let mut told = BTreeSet::new();
    while told.len() < 1_000 {
        let part = room.wait();
        assert!(part.len() <= 128, "{}", part.len());
        told.extend(part.into_iter().filter(|word| word.starts_with("user-")));
        assert!(room.now.mono_ms() - began_ms < 12_000, "a part a second: {}", told.len());
        // The first in the alphabet come and go all the time.
        for slot in 0..128 {
            let name = format!("aaa-{slot}");
            room.join(&name, conn(1, slot));
            room.presence.page(None, 1);
            room.leave(&name, conn(1, slot));
        }
    }
    // By bytes, too.
    let mut room = Room::with_listeners(10_000);
    room.join("first", conn(0, 9_999));
    let long = format!("\"{}\"", "x".repeat(10_000));
    for slot in 0..20 {
        room.join_as(&format!("user-{slot:04}"), conn(0, slot), Some(&long), true);
    }
    assert_eq!((room.wait().len(), room.wait().len(), room.wait().len()), (7, 7, 6));
}

#[test]
fn pages_follow_the_order_of_names_whoever_comes_and_goes() {
    let everybody = ["ada", "bob", "carol", "dave", "eve"];
    let mut room = Room::new();
    for (slot, name) in everybody.into_iter().enumerate() {
        room.join(name, conn(0, slot as u32));
    }
    let rows = [
        (None, 9, 0..5, None),
        (None, 5, 0..5, None),
        (None, 2, 0..2, Some("bob")),
        (Some("bob"), 2, 2..4, Some("dave")),
        (Some("dave"), 2, 4..5, None),
        (Some("bobby"), 1, 2..3, Some("carol")),
        (Some("eve"), 2, 5..5, None),
    ];
    for (after, limit, expected, next) in rows {
        let page = room.presence.page(after.map(user).as_ref(), limit);
        assert_eq!(
            (names(&page.presence), page.next),
            (everybody[expected].to_vec(), next.map(user)),
            "{after:?} {limit}"
        );
    }
    let long = format!("\"{}\"", "x".repeat(40_000));
    for name in ["ada", "bob", "carol"] {
        room.join_as(name, conn(1, 0), Some(&long), true);
    }
    let page = room.presence.page(None, 9);
    assert_eq!((names(&page.presence), page.next), (vec!["ada", "bob"], Some(user("bob"))), "by bytes");
}

/// A user with one connection in a room of some size, and the only user of a room of his own.
#[test]
fn a_member_takes_little_memory() {
    let mut prng = Prng::new(1);
    for (users, bytes_max) in [(1, 80.0), (10_000, 64.0), (100_000, 64.0)] {
        let mut room = Room::new();
        for slot in 0..users {
            room.join_as(&format!("user-{:x}", prng.next_u64()), conn(0, slot), None, false);
        }
        let each = room.presence.heap_bytes() as f64 / f64::from(users);
        println!("{users} users: {each:.1} bytes each");
        assert!(each <= bytes_max, "{users} users: {each} bytes each");
    }
}

proptest! {
    /// Users with several connections come, go, change and come back at any pace; some listeners look in between. What
    /// each has pieced together in the end is what there is.
    #[test]
    fn a_listener_knows_the_room(seed: u64, listeners in 1..30_u32, pause_ms in 1..400_u64) {
        let mut prng = Prng::new(seed);
        // So slow that much has to wait: as in a room of a thousand times as many.
        let mut room = Room::with_listeners(listeners * 300);
        let mut views: Vec<BTreeMap<String, (Availability, Option<Json>)>> = vec![BTreeMap::new()];
        for step in 0..600_u32 {
            let name = format!("user-{}", prng.below(6));
            let conn = conn(prng.below(2) as u16, prng.below(3) as u32);
            let shown = Availability::ALL[prng.below(4) as usize];
            let metadata = (prng.below(2) == 0).then(|| json(if prng.below(2) == 0 { "1" } else { "2" }));
            let (presence, interests, now) = (&mut room.presence, &mut room.interests, room.now);
            let told = match prng.below(8) {
                0..=2 => {
                    let joiner = joiner(conn, &name, shown, metadata, false);
                    presence.join(joiner, interests, now)
                }
                3 | 4 => presence.leave(conn, &user(&name), interests, now),
                5 => {
                    let showing = Showing { status: Some(shown), metadata };
                    presence.show(conn, &user(&name), showing, interests, now)
                }
                6 => {
                    room.pass(prng.below(pause_ms));
                    None
                }
                _ => {
                    // Somebody comes who looks around and listens from now on.
                    if step % 40 == 0 {
                        let seen = presence.page(None, usize::MAX).presence;
                        views.push(seen.into_iter().map(known).collect());
                    }
                    None
                }
            };
            views.iter_mut().for_each(|view| hear(view, told.as_ref()));
            if room.presence.due_ms().is_some_and(|due_ms| due_ms <= room.now.mono_ms()) {
                let told = room.presence.tell_gathered(&room.interests, room.now);
                views.iter_mut().for_each(|view| hear(view, told.as_ref()));
            }
        }
        while let Some(due_ms) = room.presence.due_ms() {
            room.pass(due_ms.saturating_sub(room.now.mono_ms()));
            let told = room.presence.tell_gathered(&room.interests, room.now);
            views.iter_mut().for_each(|view| hear(view, told.as_ref()));
        }
        let truth = room.presence.page(None, usize::MAX).presence;
        let mut truth: BTreeMap<_, _> = truth.into_iter().map(known).collect();
        truth.remove("watchers");
        for view in &mut views {
            view.remove("watchers");
            prop_assert_eq!(&*view, &truth);
        }
    }
}

fn known(info: PresenceInfo) -> (String, (Availability, Option<Json>)) {
    (info.user.to_string(), (info.status, info.metadata))
}

/// What somebody knows of the room's users after he was told something.
fn hear(view: &mut BTreeMap<String, (Availability, Option<Json>)>, told: Option<&Announcement>) {
    match told.map(|told| &told.change) {
        None => {}
        Some(PresenceChange::Joined(info)) => view.extend([known(info.clone())]),
        Some(PresenceChange::Left(user)) => drop(view.remove(user.as_str())),
        Some(PresenceChange::Updated(infos)) => {
            for info in infos {
                if info.connections == 0 {
                    view.remove(info.user.as_str());
                } else {
                    view.extend([known(info.clone())]);
                }
            }
        }
    }
}

/// Who asks who is there does not make the home tell of everybody who came and went meanwhile, seen by nobody.
#[test]
fn who_comes_and_goes_unseen_is_not_told_because_somebody_looks() {
    let (mut presence, mut interests) = (Presence::default(), Interests::default());
    let mut now = Now { mono_us: 500_000_000, unix_ms: 1_800_000_000_000 };
    let come = |presence: &mut Presence, interests: &mut Interests, slot, name: &str, now| {
        presence.join(joiner(conn(0, slot), name, Availability::Online, None, true), interests, now);
    };
    for slot in 0..10_000 {
        come(&mut presence, &mut interests, slot, &format!("l{slot}"), now);
    }
    let mut slot = 10_000;
    for _ in 0..300 {
        for _ in 0..200 {
            slot += 1;
            let name = format!("v{slot}");
            come(&mut presence, &mut interests, slot, &name, now);
            presence.page(None, 1);
            presence.leave(conn(0, slot), &user(&name), &mut interests, now);
        }
        now.mono_us += 1_000_000;
        while presence.due_ms().is_some_and(|due_ms| due_ms <= now.mono_ms()) {
            presence.tell_gathered(&interests, now);
        }
    }
    assert!(presence.backlog() <= 200, "{}", presence.backlog());
}
