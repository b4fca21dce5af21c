//! What rooms keep, by table and against a plain model: order, age, sizes, repeats, and one bound for all.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Draft, HistoryConfig, HistoryCounts, Home, HomeLimits, Joiner, Joining, Keep, NotKept, Published,
};
use crate::{
    base::{
        ConnId, HashSeed, Now, RoomKey, RoomName, RoomPattern, SenderId, ShardId, TenantName, UserName,
        prng::Prng,
    },
    model::{Availability, Json, Message, MessageId, Payload, Position},
};

const CONN: ConnId = ConnId { shard: ShardId(0), slot: 1, generation: 0 };

fn key(room: &str) -> RoomKey {
    RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
}

fn ada() -> UserName {
    UserName::parse("ada").unwrap()
}

/// `s` seconds after the start.
fn at(s: u64) -> Now {
    Now { mono_us: s * 1_000_000, unix_ms: 1_800_000_000_000 + s * 1_000 }
}

fn draft(room: &str, payload: &str) -> Draft {
    let payload = Payload::Json(Json::from_checked(Bytes::copy_from_slice(payload.as_bytes())));
    Draft {
        key: key(room),
        from: ada(),
        sender: SenderId::BACKEND,
        payload,
        message_id: None,
        persistent: true,
    }
}

fn named(room: &str, user: &str, id: &str, persistent: bool) -> Draft {
    let (from, message_id) = (UserName::parse(user).unwrap(), MessageId::parse(id));
    Draft { from, message_id, persistent, ..draft(room, "1") }
}

fn text(message: &Message) -> String {
    match &message.payload {
        Payload::Json(json) => String::from_utf8(json.as_bytes().to_vec()).unwrap(),
        Payload::Opaque(_) => panic!("only JSON was sent"),
    }
}

fn texts(messages: &[Arc<Message>]) -> Vec<String> {
    messages.iter().map(|message| text(message)).collect()
}

fn home_with(config: HistoryConfig) -> Home {
    let limits = HomeLimits { creates_per_peer_per_min: 0, ephemeral_ttl_ms: 60_000 };
    Home::new(limits, HashSeed::new(1), 7, Arc::new(config))
}

fn join(home: &mut Home, room: &str) -> Joining {
    join_over(home, room, false)
}

fn join_over(home: &mut Home, room: &str, is_relay: bool) -> Joining {
    let (user, status, peer) = (ada(), Availability::Online, IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    let joiner = Joiner { conn: CONN, user, status, metadata: None, listens: false, peer, is_relay };
    home.join(&key(room), joiner, at(0)).unwrap().0
}

fn leave(home: &mut Home, room: &str) {
    home.leave(&key(room), CONN, &ada(), at(0));
}

fn home(messages: u32, seconds: u32) -> Home {
    home_with(HistoryConfig { keep: Keep { messages, seconds }, ..HistoryConfig::for_tests() })
}

/// Publishes what must be accepted; its offset, 0 for none, and whether a shard hears of it.
fn publish(home: &mut Home, draft: Draft, now: Now) -> (u64, bool) {
    match home.publish(draft, now).unwrap() {
        Published::Accepted { message, interests } => {
            (message.offset.map_or(0, |offset| offset.get()), !interests.is_empty())
        }
        Published::Repeat { .. } => panic!("a repeat"),
    }
}

/// The offset of a repeat.
fn repeat(home: &mut Home, draft: Draft, now: Now) -> Option<u64> {
    match home.publish(draft, now).unwrap() {
        Published::Accepted { .. } => None,
        Published::Repeat { offset, .. } => Some(offset.map_or(0, |offset| offset.get())),
    }
}

fn missed(home: &mut Home, room: &str, offset: u64, now: Now) -> Option<Vec<String>> {
    let epoch = home.rooms.get(&key(room))?.epoch;
    home.missed(&key(room), Position { offset, epoch }, now).map(|messages| texts(&messages))
}

fn some(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

#[test]
fn offsets_count_what_is_kept() {
    let mut home = home(3, 60);
    let before = join(&mut home, "a").position;
    assert_eq!(before.offset, 0);
    assert_eq!(missed(&mut home, "a", 0, at(0)), some(&[]));
    for (payload, persistent, offset) in [("1", true, 1), ("2", false, 0), ("3", true, 2), ("4", true, 3)] {
        let draft = Draft { persistent, ..draft("a", payload) };
        assert_eq!(publish(&mut home, draft, at(0)), (offset, true), "{payload}");
    }
    let after = join(&mut home, "a").position;
    assert_eq!((after.offset, after.epoch), (3, before.epoch));
    assert_eq!(missed(&mut home, "a", 0, at(0)), some(&["1", "3", "4"]));
    assert_eq!(missed(&mut home, "a", 2, at(0)), some(&["4"]));
    assert_eq!(missed(&mut home, "a", 3, at(0)), some(&[]));
    assert_eq!(missed(&mut home, "a", 4, at(0)), None, "nobody has seen that");
    assert_eq!(missed(&mut home, "a", u64::MAX, at(0)), None);
    let other = Position { offset: 3, epoch: after.epoch ^ 1 };
    assert_eq!(home.missed(&key("a"), other, at(0)), None, "another epoch");
    assert_eq!(home.missed(&key("b"), after, at(0)), None, "no room");
    publish(&mut home, draft("a", "5"), at(0));
    assert_eq!(missed(&mut home, "a", 0, at(0)), None, "the ring has gone on");
    assert_eq!(missed(&mut home, "a", 1, at(0)), some(&["3", "4", "5"]));
    home.audit();
}

#[test]
fn what_is_too_old_is_not_shown_and_then_not_kept() {
    let mut home = home(100, 10);
    for (s, payload) in [(0, "1"), (5, "2"), (9, "3")] {
        publish(&mut home, draft("a", payload), at(s));
    }
    assert_eq!(missed(&mut home, "a", 0, at(10)), some(&["1", "2", "3"]));
    assert_eq!(missed(&mut home, "a", 0, at(11)), None);
    assert_eq!(missed(&mut home, "a", 1, at(11)), some(&["2", "3"]));
    assert_eq!(home.history_counts().messages, 2, "whoever looks, clears away");
    home.sweep(at(17));
    assert_eq!(home.history_counts().messages, 1);
    assert_eq!(missed(&mut home, "a", 2, at(17)), some(&["3"]));
    let epoch = home.rooms[&key("a")].epoch;
    home.sweep(at(25));
    assert!(home.is_empty(), "with its last message the room goes, which nobody is in");
    assert_eq!((home.history_counts().messages, home.history_counts().bytes), (0, 0));
    assert_eq!(home.sweep_due_ms(), None);
    assert_ne!(join(&mut home, "a").position.epoch, epoch);
}

#[test]
fn with_members_a_room_outlives_its_history_and_the_other_way_round() {
    let mut home = home(100, 10);
    join(&mut home, "a");
    publish(&mut home, draft("a", "1"), at(0));
    home.sweep(at(20));
    assert_eq!((home.history_counts().messages, home.occupied()), (0, 1));
    assert_eq!(missed(&mut home, "a", 1, at(20)), some(&[]), "the room knows what it has given out");
    assert_eq!(missed(&mut home, "a", 0, at(20)), None);
    assert_eq!(publish(&mut home, draft("a", "2"), at(20)).0, 2);
    leave(&mut home, "a");
    assert_eq!((home.occupied(), home.is_empty()), (0, false));
    assert_eq!(publish(&mut home, draft("a", "3"), at(21)), (3, false));
    assert_eq!(join(&mut home, "a").position.offset, 3);
    assert_eq!((missed(&mut home, "a", 1, at(21)), home.occupied()), (some(&["2", "3"]), 1));
    home.audit();
}

#[test]
fn pages() {
    let mut home = home_with(HistoryConfig {
        page_messages_max: 4,
        page_bytes_max: 2_000,
        ..HistoryConfig::for_tests()
    });
    assert!(home.page(&key("a"), None, None, at(0)).is_none());
    for number in 1..=6 {
        publish(&mut home, draft("a", &number.to_string()), at(0));
    }
    let epoch = home.rooms[&key("a")].epoch;
    let since = |offset| Some(Position { offset, epoch });
    let rows: [(Option<Position>, Option<u32>, &[&str]); 9] = [
        (None, None, &["3", "4", "5", "6"]),
        (None, Some(2), &["5", "6"]),
        (None, Some(100), &["3", "4", "5", "6"]),
        (since(0), None, &["1", "2", "3", "4"]),
        (since(0), Some(1), &["1"]),
        (since(4), None, &["5", "6"]),
        (since(6), None, &[]),
        (since(7), None, &[]),
        (Some(Position { offset: 4, epoch: epoch ^ 1 }), Some(2), &["1", "2"]),
    ];
    for (since, limit, expected) in rows {
        let page = home.page(&key("a"), since, limit, at(0)).unwrap();
        assert_eq!(texts(&page.messages), expected, "{since:?} {limit:?}");
        assert_eq!(page.position, Position { offset: 6, epoch });
    }
    // By bytes: one at least.
    let long = format!("\"{}\"", "x".repeat(1_500));
    publish(&mut home, draft("a", &long), at(0));
    publish(&mut home, draft("a", &long), at(0));
    for (offset, count) in [(6, 1), (5, 2), (7, 1)] {
        assert_eq!(
            home.page(&key("a"), since(offset), None, at(0)).unwrap().messages.len(),
            count,
            "{offset}"
        );
    }
}

#[test]
fn patterns_choose_what_is_kept() {
    let pattern = |text| RoomPattern::parse(text).unwrap();
    let rooms = vec![
        (pattern("none.*"), Keep { messages: 0, seconds: 60 }),
        (pattern("*.long"), Keep { messages: 5, seconds: 60 }),
        (pattern("eu.*"), Keep { messages: 1, seconds: 60 }),
    ];
    let keep = Keep { messages: 2, seconds: 60 };
    let mut home = home_with(HistoryConfig { keep, rooms, ..HistoryConfig::for_tests() });
    for (room, kept) in [("lobby", 2), ("eu.long", 5), ("eu.de", 1)] {
        for number in 0..7 {
            assert_eq!(publish(&mut home, draft(room, "1"), at(0)).0, number + 1);
        }
        assert_eq!(home.page(&key(room), None, None, at(0)).unwrap().messages.len(), kept, "{room}");
    }
    assert_eq!(home.publish(draft("none.x", "1"), at(0)).err(), Some(NotKept::NoHistory));
    assert!(home.page(&key("none.x"), None, None, at(0)).is_none(), "no room for what is refused");
    assert_eq!(publish(&mut home, Draft { persistent: false, ..draft("none.x", "1") }, at(0)), (0, false));
}

#[test]
fn a_message_that_comes_again_is_known() {
    let repeats = Keep { messages: 3, seconds: 10 };
    let mut home = home_with(HistoryConfig { repeats, ..HistoryConfig::for_tests() });
    join(&mut home, "a");
    let m1 = || named("a", "ada", "m1", true);
    assert_eq!(publish(&mut home, m1(), at(0)).0, 1);
    assert_eq!(repeat(&mut home, m1(), at(10)), Some(1));
    assert_eq!(repeat(&mut home, named("a", "ada", "m1", false), at(10)), Some(1), "whatever it says");
    assert_eq!(repeat(&mut home, named("a", "bob", "m1", true), at(10)), None, "another's");
    assert_eq!(repeat(&mut home, named("b", "ada", "m1", true), at(10)), None, "another room");
    assert_eq!(repeat(&mut home, named("a", "ada", "m2", false), at(10)), None);
    assert_eq!(repeat(&mut home, named("a", "ada", "m2", false), at(10)), Some(0), "it had no offset");
    // Old ones are forgotten by time, and by number.
    assert_eq!(repeat(&mut home, m1(), at(11)), None);
    assert_eq!(repeat(&mut home, named("a", "ada", "m3", false), at(11)), None);
    assert_eq!(repeat(&mut home, named("a", "bob", "m1", true), at(11)), None, "there were three behind it");
    assert_eq!(repeat(&mut home, m1(), at(11)), Some(3));
    assert_eq!(home.history_counts().repeated, 4);
    home.audit();
    // The room is remembered for them, without members and without messages.
    leave(&mut home, "a");
    assert_eq!(repeat(&mut home, m1(), at(12)), Some(3));
    // In a room that there is not, there is nothing to remember.
    for _ in 0..2 {
        assert_eq!(repeat(&mut home, named("c", "ada", "m1", false), at(12)), None);
    }
}

/// Nothing of what goes through a room that only relays have joined is kept, not even a name; what was kept before stays.
#[test]
fn an_ephemeral_room_keeps_nothing() {
    let mut home = home(100, 60);
    join_over(&mut home, "a", true);
    assert_eq!(home.publish(draft("a", "1"), at(0)).err(), Some(NotKept::NoHistory));
    for _ in 0..2 {
        assert_eq!(repeat(&mut home, named("a", "ada", "m1", false), at(0)), None);
    }
    assert_eq!(home.history_counts(), HistoryCounts::default());
    home.audit();
    leave(&mut home, "a");
    assert!(home.is_empty());
    // Once JSON has joined, the room is like any other, and one that has a history stays so.
    publish(&mut home, draft("b", "1"), at(0));
    join_over(&mut home, "a", true);
    join(&mut home, "a");
    join_over(&mut home, "b", true);
    for (room, offset) in [("a", 1), ("b", 2)] {
        assert_eq!(publish(&mut home, draft(room, "2"), at(0)), (offset, true), "{room}");
    }
    home.audit();
}

/// The rooms that have messages, with how many.
fn kept(home: &mut Home, rooms: &[&str]) -> Vec<usize> {
    let page = |room: &&str| home.page(&key(room), None, None, at(0)).map_or(0, |page| page.messages.len());
    rooms.iter().map(page).collect()
}

#[test]
fn memory_is_bounded_and_the_oldest_idle_room_goes_first() {
    // Room for about ten of these.
    let bytes_max = 17_500;
    let mut home = home_with(HistoryConfig { bytes_max, ..HistoryConfig::for_tests() });
    let payload = format!("\"{}\"", "x".repeat(1_400));
    let send = |home: &mut Home, room: &str, times: usize| {
        for _ in 0..times {
            publish(home, draft(room, &payload), at(0));
            home.audit();
        }
    };
    let rooms = ["idle-1", "idle-2", "live-1", "live-2"];
    join(&mut home, "live-1");
    join(&mut home, "live-2");
    for room in rooms {
        send(&mut home, room, 2);
    }
    assert_eq!(kept(&mut home, &rooms), [2, 2, 2, 2]);
    send(&mut home, "live-1", 3);
    assert_eq!(kept(&mut home, &rooms), [0, 2, 5, 2], "the oldest idle room, whole");
    send(&mut home, "live-1", 2);
    assert_eq!(kept(&mut home, &rooms), [0, 0, 7, 2], "then the next");
    assert!(!home.rooms.contains_key(&key("idle-2")), "and nothing is left of it");
    send(&mut home, "live-1", 2);
    assert_eq!(kept(&mut home, &rooms), [0, 0, 9, 1], "then the oldest message of what was used longest ago");
    send(&mut home, "live-1", 3);
    assert_eq!(kept(&mut home, &rooms), [0, 0, 10, 0], "at last its own");
    assert_eq!(missed(&mut home, "live-2", 2, at(0)), some(&[]), "with members it keeps its position");
    assert_eq!(missed(&mut home, "live-2", 1, at(0)), None);
    // Idle, it is the one to go.
    leave(&mut home, "live-1");
    send(&mut home, "live-2", 1);
    assert_eq!(kept(&mut home, &rooms), [0, 0, 0, 1]);
    // A room that grows is not emptied for itself, though nobody is in it.
    send(&mut home, "idle-1", 12);
    assert_eq!(kept(&mut home, &rooms), [10, 0, 0, 0]);
    assert!(home.history_counts().evicted > 20);
    assert_eq!(home.publish(draft("live-2", &"1".repeat(20_000)), at(0)).err(), Some(NotKept::TooLarge));
    home.audit();
}

/// One that keeps ever more pushes out what is its own, not what others have kept quietly.
#[test]
fn the_tenant_that_keeps_most_gives_up_first() {
    // Room for about ten of these.
    let mut home = home_with(HistoryConfig { bytes_max: 17_500, ..HistoryConfig::for_tests() });
    let payload = format!("\"{}\"", "x".repeat(1_400));
    let at_tenant = |tenant: &str, room: &str| RoomKey {
        tenant: TenantName::parse(tenant).unwrap(),
        room: RoomName::parse(room).unwrap(),
    };
    let send = |home: &mut Home, key: RoomKey| {
        publish(home, Draft { key, ..draft("x", &payload) }, at(0));
        home.audit();
    };
    // Two that are quiet, and no one is in their rooms: by use alone theirs would go first.
    for tenant in ["quiet-1", "quiet-2"] {
        send(&mut home, at_tenant(tenant, "a"));
        send(&mut home, at_tenant(tenant, "a"));
    }
    let kept = |home: &mut Home, tenant: &str| {
        let pages = (0..100).map(|n| at_tenant(tenant, &format!("r{n}"))).chain([at_tenant(tenant, "a")]);
        let pages = pages.filter_map(|key| home.page(&key, None, None, at(0)));
        pages.map(|page| page.messages.len()).sum::<usize>()
    };
    // In one room, and in ever new ones.
    for n in 0..200 {
        send(
            &mut home,
            at_tenant("loud", if n < 100 { "a".to_owned() } else { format!("r{}", n - 100) }.as_str()),
        );
        assert_eq!(["quiet-1", "quiet-2"].map(|tenant| kept(&mut home, tenant)), [2, 2], "{n}");
    }
    assert!(kept(&mut home, "loud") >= 4);
    // Who comes to have most is the next.
    for _ in 0..200 {
        send(&mut home, at_tenant("quiet-1", "a"));
    }
    assert_eq!(kept(&mut home, "quiet-2"), 2);
    let (one, other) = (kept(&mut home, "quiet-1"), kept(&mut home, "loud"));
    assert!(one >= 3 && other >= 2, "{one} {other}");
    // A message that is more than all others together pushes them out, and not itself.
    let key = at_tenant("new", "a");
    let long = "1".repeat(15_000);
    publish(&mut home, Draft { key: key.clone(), ..draft("x", &long) }, at(0));
    home.audit();
    assert_eq!(home.page(&key, None, None, at(0)).unwrap().messages.len(), 1);
}

/// What a home should keep, in plain collections, but for the bound in bytes.
#[derive(Default)]
struct Model {
    /// By room, of every message that was ever kept: payload and second.
    kept: BTreeMap<usize, Vec<(String, u64)>>,
}

const ROOMS: [&str; 4] = ["a", "b", "c", "d"];

proptest! {
    /// Whatever was kept, shown is a part of it without a hole at its end, never more than size and age allow, and all that
    /// these allow where memory suffices.
    #[test]
    fn agrees_with_a_plain_model(seed: u64, is_tight: bool) {
        let mut prng = Prng::new(seed);
        let keep = Keep { messages: 1 + prng.below(8) as u32, seconds: 1 + prng.below(20) as u32 };
        let bytes_max = if is_tight { 8 * 1024 } else { 1 << 20 };
        let mut home = home_with(HistoryConfig { keep, bytes_max, ..HistoryConfig::for_tests() });
        let (mut model, mut s, mut number) = (Model::default(), 0, 0);
        for _ in 0..300 {
            let room = prng.below(4) as usize;
            let name = ROOMS[room];
            match prng.below(12) {
                0 => { join(&mut home, name); }
                1 => leave(&mut home, name),
                2 => s += prng.below(6),
                3 => home.sweep(at(s)),
                4 => { let _ = home.publish(named(name, "bob", &prng.below(50).to_string(), false), at(s)); }
                _ => {
                    number += 1;
                    let before = home.rooms.get(&key(name)).map_or(0, |room| room.history.last);
                    let (offset, _) = publish(&mut home, draft(name, &number.to_string()), at(s));
                    prop_assert_eq!(offset, before + 1);
                    let kept = model.kept.entry(room).or_default();
                    if before == 0 { kept.clear(); }
                    kept.push((number.to_string(), s));
                }
            }
            home.audit();
            if prng.below(16) > 0 {
                continue;
            }
            for (room, kept) in &model.kept {
                let Some(now) = home.rooms.get(&key(ROOMS[*room])).map(|room| room.history.last) else { continue };
                let kept = if now == 0 { &[][..] } else { kept };
                prop_assert_eq!(now as usize, kept.len());
                let is_young = |(_, at_s): &&(String, u64)| s - at_s <= u64::from(keep.seconds);
                let young = kept.iter().rev().take(keep.messages as usize).take_while(is_young).count();
                let mut longest = 0;
                for back in 0..=kept.len() {
                    let Some(shown) = missed(&mut home, ROOMS[*room], (kept.len() - back) as u64, at(s)) else { continue };
                    let expected: Vec<String> = kept[kept.len() - back..].iter().map(|(text, _)| text.clone()).collect();
                    prop_assert_eq!(shown, expected);
                    longest = back;
                }
                prop_assert!(longest <= young);
                prop_assert!(is_tight || longest == young);
            }
        }
    }
}

/// What one stored message takes beside its payload: the figure of PERFORMANCE.md.
#[test]
fn a_stored_message_takes_its_payload_and_little_more() {
    let mut home = home_with(HistoryConfig::for_tests());
    let payload = "1".repeat(100);
    publish(&mut home, draft("a", &payload), at(0));
    let first = home.history_counts().bytes;
    publish(&mut home, draft("a", &payload), at(0));
    let each = home.history_counts().bytes - first;
    assert_eq!(
        (first - each, each - 100),
        (ROOM_BYTES, MESSAGE_BYTES),
        "a room's log, and a message beside its payload"
    );
}

/// With a name of one byte.
const ROOM_BYTES: u64 = 321;
/// With names of four bytes.
const MESSAGE_BYTES: u64 = 188;

/// The window of ids goes first, then the messages: nothing is left of the log, and that must be seen.
#[test]
fn a_log_whose_ids_and_messages_were_both_given_up_is_given_up() {
    let mut home = home_with(HistoryConfig { bytes_max: 6_000, ..HistoryConfig::for_tests() });
    for room in ["a", "b"] {
        join(&mut home, room);
    }
    publish(&mut home, named("a", "ada", "1", true), at(0));
    publish(&mut home, named("a", "ada", "2", false), at(0));
    for number in 0..100 {
        publish(&mut home, draft("b", &number.to_string()), at(1));
    }
    home.audit();
    assert_eq!((kept(&mut home, &["a"]), home.history.logs()), (vec![0], 1));
    assert_eq!(missed(&mut home, "a", 1, at(1)), some(&[]));
    assert_eq!(missed(&mut home, "a", 0, at(1)), None);
}

/// Only ids are left when the last is given up.
#[test]
fn a_log_of_ids_alone_is_given_up() {
    let mut home = home_with(HistoryConfig { bytes_max: 6_000, ..HistoryConfig::for_tests() });
    for room in ["a", "b"] {
        join(&mut home, room);
    }
    publish(&mut home, named("a", "ada", "1", false), at(0));
    for number in 0..100 {
        publish(&mut home, draft("b", &number.to_string()), at(1));
    }
    home.audit();
    assert_eq!(home.history.logs(), 1);
}

/// Room for what was given up is given up, too: it is not counted.
#[test]
fn what_is_given_up_takes_no_memory() {
    let mut home = home(1_000, 60);
    join(&mut home, "a");
    for number in 0..1_000 {
        publish(&mut home, named("a", "ada", &format!("n{number}"), true), at(0));
    }
    publish(&mut home, named("a", "ada", "last", true), at(100));
    assert!(repeat(&mut home, named("a", "ada", "last", true), at(150)).is_some());
    home.sweep(at(150));
    let [(messages, seen, order)] = home.history.capacities()[..] else { panic!("one log") };
    assert!(messages <= 16 && seen <= 16 && order <= 16, "{messages} {seen} {order}");
}
