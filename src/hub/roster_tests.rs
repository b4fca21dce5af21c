//! The roster by table, and against a plain model under random joins, leaves, ends and reused slots.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use proptest::prelude::*;

use super::{Gone, HistoryConfig, Home, HomeLimits, Joiner, LocalRoomId, Roster, Standing};
use crate::{
    base::{
        ConnId, Now, PeerBlock, RoomKey, RoomName, ShardId, TenantName, UserName, hash::HashSeed, prng::Prng,
    },
    model::{Action, Actions, Availability},
};

const SHARD: ShardId = ShardId(2);

/// Of members who may do everything.
const EVERY: Standing = Standing::of(Actions::EVERY);

fn conn(slot: u32, generation: u32) -> ConnId {
    ConnId { shard: SHARD, slot, generation }
}

fn key(room: &str) -> RoomKey {
    RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse(room).unwrap() }
}

fn roster() -> Roster {
    Roster::new(HashSeed::new(5))
}

/// The only room of a roster.
const ONLY: LocalRoomId = LocalRoomId(0);

fn members(roster: &Roster, room: &str) -> BTreeSet<ConnId> {
    roster.local(&key(room)).map(|room| roster.members(room).collect()).unwrap_or_default()
}

fn rooms(roster: &Roster, conn: ConnId) -> Vec<&str> {
    roster.rooms_of(conn).map(|key| key.room.as_str()).collect()
}

#[test]
fn what_a_member_may_do_is_noted_where_it_is_in() {
    let (mut roster, ada) = (roster(), conn(1, 0));
    let standing = |roster: &Roster, room| roster.find(ada, room).map(|(_, standing)| standing);
    let (join, listener) = (Standing::of(Action::Join.into()), EVERY.placed());
    assert!(roster.ask(ada, &key("a"), true, join, 8) && roster.ask(ada, &key("b"), true, listener, 8));
    roster.joined(ada, &key("a"));
    assert_eq!((standing(&roster, "a"), standing(&roster, "b")), (Some(join), Some(listener)));
    roster.doubt();
    assert_eq!(
        (standing(&roster, "a"), standing(&roster, "b")),
        (Some(join.stale()), Some(listener.stale()))
    );
    assert_eq!(roster.listeners(ONLY).count(), 1);
    roster.judge(ada, "a", join);
    roster.judge(ada, "c", EVERY);
    assert_eq!((standing(&roster, "a"), standing(&roster, "c")), (Some(join), None));
    assert_eq!(roster.listeners(ONLY).count(), 0, "without presence nobody is told");
    roster.ask(ada, &key("a"), true, EVERY, 8);
    assert_eq!((standing(&roster, "a"), roster.listeners(ONLY).count()), (Some(EVERY), 1));
    roster.ask_leave(ada, "a");
    roster.judge(ada, "a", EVERY);
    assert_eq!(standing(&roster, "a"), None);
}

#[test]
fn a_member_is_who_was_answered() {
    let mut roster = roster();
    let ada = conn(0, 0);
    assert!(roster.ask(ada, &key("a"), true, EVERY, 8));
    assert_eq!((members(&roster, "a").len(), rooms(&roster, ada).len(), roster.subscriptions()), (0, 0, 0));
    assert_eq!(
        roster.find(ada, "a"),
        Some((&key("a"), EVERY)),
        "what it says from now on comes after its join"
    );
    roster.joined(ada, &key("a"));
    assert_eq!(members(&roster, "a"), [ada].into());
    assert_eq!((rooms(&roster, ada), roster.subscriptions()), (vec!["a"], 1));
    assert_eq!(roster.ask_leave(ada, "a"), Some(&key("a")));
    assert_eq!(members(&roster, "a"), [ada].into(), "until the answer comes in the room's stream");
    assert_eq!((roster.find(ada, "a"), rooms(&roster, ada).len()), (None, 0));
    assert_eq!(roster.ask_leave(ada, "a"), None);
    assert_eq!(roster.left(ada, &key("a")), Some(ONLY));
    assert_eq!((members(&roster, "a").len(), roster.subscriptions(), roster.sizes().count()), (0, 0, 0));
}

#[test]
fn a_join_behind_a_leave_keeps_the_room() {
    let mut roster = roster();
    let ada = conn(0, 0);
    roster.ask(ada, &key("a"), true, EVERY, 8);
    roster.ask_leave(ada, "a");
    roster.ask(ada, &key("a"), true, EVERY, 8);
    roster.joined(ada, &key("a"));
    assert_eq!(roster.left(ada, &key("a")), None, "another join is under way");
    assert_eq!(members(&roster, "a").len(), 0, "and is not answered");
    roster.joined(ada, &key("a"));
    assert_eq!((members(&roster, "a").len(), rooms(&roster, ada)), (1, vec!["a"]));
}

#[test]
fn who_is_gone_leaves_what_he_was_in_and_what_he_asked_to_join() {
    let mut roster = roster();
    let (ada, bob) = (conn(0, 0), conn(1, 0));
    for (conn, room) in [(ada, "a"), (bob, "a"), (ada, "b")] {
        roster.ask(conn, &key(room), true, EVERY, 8);
    }
    roster.joined(ada, &key("a"));
    assert_eq!(roster.gone(ada), Some(Gone { key: key("b"), emptied: Some(LocalRoomId(1)) }));
    assert_eq!(roster.gone(ada), Some(Gone { key: key("a"), emptied: None }), "another's join is under way");
    assert_eq!((roster.gone(ada), roster.subscriptions()), (None, 0));
    assert_eq!(roster.gone(bob), Some(Gone { key: key("a"), emptied: Some(ONLY) }));
    assert_eq!(roster.local(&key("a")), None);
}

#[test]
fn listeners_are_the_members_who_want_presence_events() {
    let mut roster = roster();
    let conns = [conn(0, 0), conn(1, 0), conn(2, 0)];
    for (conn, listens) in [(conns[0], true), (conns[1], false), (conns[2], true)] {
        roster.ask(conn, &key("a"), listens, EVERY, 8);
    }
    conns[..2].iter().for_each(|conn| roster.joined(*conn, &key("a")));
    let listeners = |roster: &Roster| roster.listeners(ONLY).collect::<Vec<_>>();
    assert_eq!(listeners(&roster), conns[..1]);
    roster.ask(conns[0], &key("a"), false, EVERY, 8);
    roster.joined(conns[2], &key("a"));
    assert_eq!(listeners(&roster), conns[2..]);
}

#[test]
fn the_limit_counts_what_is_wanted() {
    let mut roster = roster();
    let ada = conn(4, 0);
    assert!(roster.ask(ada, &key("a"), true, EVERY, 2) && roster.ask(ada, &key("b"), true, EVERY, 2));
    assert!(!roster.ask(ada, &key("c"), true, EVERY, 2));
    assert!(roster.ask(ada, &key("a"), true, EVERY, 2), "it is in that one");
    roster.ask_leave(ada, "a");
    assert!(roster.ask(ada, &key("c"), true, EVERY, 2));
    assert!(!roster.ask(ada, &key("a"), true, EVERY, 2), "back into one that it is leaving");
    assert!(!roster.ask(conn(5, 0), &key("a"), true, EVERY, 0));
    assert_eq!(roster.sizes().count(), 3);
}

#[test]
fn a_refused_join_leaves_nothing() {
    let mut roster = roster();
    let (ada, bob) = (conn(4, 0), conn(5, 0));
    roster.ask(ada, &key("a"), true, EVERY, 8);
    assert_eq!(roster.refused(ada, &key("a")), Some(ONLY));
    assert_eq!(roster.refused(ada, &key("a")), None);
    assert_eq!((roster.find(ada, "a"), roster.sizes().count()), (None, 0));
    // A later join of the same connection, and those of others, go on.
    assert!([ada, ada, bob].into_iter().all(|conn| roster.ask(conn, &key("a"), true, EVERY, 8)));
    assert_eq!((roster.refused(ada, &key("a")), roster.refused(bob, &key("a"))), (None, None));
    roster.joined(ada, &key("a"));
    assert_eq!((members(&roster, "a"), roster.find(bob, "a")), ([ada].into(), None));
}

#[test]
fn rooms_are_found_by_id_among_those_of_a_connection() {
    let mut roster = roster();
    let (ada, bob) = (conn(4, 0), conn(5, 0));
    roster.ask(ada, &key("a"), true, EVERY, 8);
    roster.ask(bob, &key("b"), true, EVERY, 8);
    assert_eq!(roster.find_id(ada, key("a").id()), Some((&key("a"), EVERY)));
    assert_eq!(roster.find_id(ada, key("b").id()), None);
    roster.ask_leave(ada, "a");
    assert_eq!(roster.find_id(ada, key("a").id()), None);
}

#[test]
fn a_room_is_found_among_many() {
    let mut roster = roster();
    let ada = conn(4, 0);
    let mut wanted = BTreeSet::new();
    let mut prng = Prng::new(1);
    for step in 0..3_000_u64 {
        let room = format!("room-{}", prng.below(if step < 2_000 { 300 } else { 10 }));
        let (key, is_in) = (key(&room), wanted.contains(&room));
        assert_eq!(roster.find(ada, &room), is_in.then_some((&key, EVERY)));
        assert_eq!(roster.find_id(ada, key.id()), is_in.then_some((&key, EVERY)));
        if step < 2_000 && prng.below(3) > 0 {
            assert!(roster.ask(ada, &key, true, EVERY, usize::MAX));
            roster.joined(ada, &key);
            wanted.insert(room);
        } else if let Some(room) = wanted.pop_first() {
            assert!(roster.ask_leave(ada, &room).is_some());
            roster.left(ada, &self::key(&room));
        }
        assert_eq!(roster.subscriptions(), wanted.len());
    }
    while let Some(gone) = roster.gone(ada) {
        assert!(wanted.remove(gone.key.room.as_str()));
    }
    assert_eq!((wanted.len(), roster.sizes().count()), (0, 0));
}

/// What the roster should know, in plain collections, with the home that answers it.
struct Model {
    roster: Roster,
    home: Home,
    /// The generation that has each slot.
    alive: BTreeMap<u32, u32>,
    wanted: BTreeSet<(ConnId, usize)>,
    joined: BTreeSet<(ConnId, usize)>,
    /// To the home and back, each in order.
    asks: VecDeque<Question>,
    tells: VecDeque<Question>,
    now: Now,
}

#[derive(Clone, Debug)]
enum Question {
    Join(ConnId, usize),
    Leave(ConnId, usize),
    Gone(ConnId, RoomKey),
    /// Of the home alone.
    End(usize),
}

const TTL_MS: u64 = 60_000;

const ROOMS: [&str; 3] = ["a", "b", "c"];

impl Model {
    fn new() -> Self {
        Self {
            roster: roster(),
            home: Home::new(
                HomeLimits { creates_per_peer_per_min: 0, ephemeral_ttl_ms: TTL_MS },
                HashSeed::new(6),
                1,
                Arc::new(HistoryConfig::for_tests()),
            ),
            alive: BTreeMap::new(),
            wanted: BTreeSet::new(),
            joined: BTreeSet::new(),
            asks: VecDeque::new(),
            tells: VecDeque::new(),
            now: Now { mono_us: 1, unix_ms: 1 },
        }
    }

    fn step(&mut self, prng: &mut Prng) {
        let slot = prng.below(4) as u32;
        let generation = *self.alive.entry(slot).or_insert(0);
        let (conn, room) = (conn(slot, generation), prng.below(3) as usize);
        match prng.below(21) / 2 {
            0..=2 => {
                assert!(self.roster.ask(conn, &key(ROOMS[room]), true, EVERY, usize::MAX));
                self.wanted.insert((conn, room));
                self.asks.push_back(Question::Join(conn, room));
            }
            3 | 4 => {
                let is_in = self.wanted.remove(&(conn, room));
                assert_eq!(self.roster.ask_leave(conn, ROOMS[room]).is_some(), is_in);
                if is_in {
                    self.asks.push_back(Question::Leave(conn, room));
                }
            }
            5 => {
                self.end(conn);
                self.wanted.retain(|(other, _)| *other != conn);
                self.joined.retain(|(other, _)| *other != conn);
                self.alive.insert(slot, generation + 1);
            }
            6 | 7 => self.ask_home(),
            10 => self.end_rooms(),
            _ => self.take_answer(),
        }
    }

    fn end(&mut self, conn: ConnId) {
        while let Some(gone) = self.roster.gone(conn) {
            self.asks.push_back(Question::Gone(conn, gone.key));
        }
    }

    fn ask_home(&mut self) {
        let Some(question) = self.asks.pop_front() else { return };
        let user = UserName::parse("ada").unwrap();
        match &question {
            Question::Join(conn, room) => {
                let (conn, status, metadata) = (*conn, Availability::Online, None);
                let peer = PeerBlock::from(std::net::IpAddr::from([127, 0, 0, 1]));
                let joiner = Joiner { conn, user, status, metadata, listens: true, peer, is_relay: true };
                self.home.join(&key(ROOMS[*room]), joiner, self.now).unwrap();
                self.tells.push_back(question);
            }
            Question::Leave(conn, room) => {
                self.home.leave(&key(ROOMS[*room]), *conn, &user, self.now);
                self.tells.push_back(question);
            }
            Question::Gone(conn, key) => {
                self.home.leave(key, *conn, &user, self.now);
            }
            Question::End(_) => {}
        }
    }

    /// Nothing has come into the rooms for long.
    fn end_rooms(&mut self) {
        self.now.mono_us += 2 * TTL_MS * 1_000;
        while let Some((ended, _)) = self.home.expire(self.now) {
            let room = ROOMS.iter().position(|room| *room == ended.room.as_str()).unwrap();
            self.tells.push_back(Question::End(room));
        }
    }

    /// Everybody is out but those who are on their way in.
    fn ended(&mut self, room: usize) {
        let under_way = self.asks.iter().chain(&self.tells);
        let joining: BTreeSet<ConnId> = under_way
            .filter_map(|question| match question {
                Question::Join(conn, other) if *other == room => Some(*conn),
                Question::Join(..) | Question::Leave(..) | Question::Gone(..) | Question::End(_) => None,
            })
            .collect();
        let is_out = |(conn, other): &(ConnId, usize)| *other == room && self.joined.contains(&(*conn, room));
        let expected: BTreeSet<ConnId> =
            self.wanted.iter().filter(|it| is_out(it)).map(|(conn, _)| *conn).collect();
        self.wanted.retain(|it| !is_out(it) || joining.contains(&it.0));
        self.joined.retain(|(_, other)| *other != room);
        let Some(local) = self.roster.local(&key(ROOMS[room])) else { return };
        let mut told = BTreeSet::new();
        // The home has forgotten the room: nobody is to tell it.
        self.roster.end(local, |conn| assert!(told.insert(conn)));
        assert_eq!(told, expected);
    }

    fn take_answer(&mut self) {
        let Some(answer) = self.tells.pop_front() else { return };
        let is_alive = |conn: ConnId| self.alive[&conn.slot] == conn.generation;
        if let Question::End(room) = answer {
            self.ended(room);
            return;
        }
        match answer {
            Question::Join(conn, room) if is_alive(conn) => {
                self.roster.joined(conn, &key(ROOMS[room]));
                self.joined.insert((conn, room));
            }
            Question::Leave(conn, room) if is_alive(conn) => {
                self.joined.remove(&(conn, room));
                self.roster.left(conn, &key(ROOMS[room]));
            }
            Question::Join(..) | Question::Leave(..) | Question::Gone(..) | Question::End(_) => {}
        }
    }

    fn check(&self) {
        for (room, name) in ROOMS.iter().enumerate() {
            let expected: BTreeSet<ConnId> =
                self.joined.iter().filter(|(_, at)| *at == room).map(|(conn, _)| *conn).collect();
            let local = self.roster.local(&key(name));
            let list: Vec<ConnId> = local.into_iter().flat_map(|room| self.roster.members(room)).collect();
            assert_eq!(list.len(), expected.len(), "nobody stands twice");
            assert_eq!(members(&self.roster, name), expected);
            for (slot, generation) in &self.alive {
                let conn = conn(*slot, *generation);
                assert_eq!(self.roster.find(conn, name).is_some(), self.wanted.contains(&(conn, room)));
            }
        }
        assert_eq!(self.roster.subscriptions(), self.joined.len());
    }
}

proptest! {
    #[test]
    fn agrees_with_a_plain_model_and_leaves_nothing(seed: u64) {
        let mut prng = Prng::new(seed);
        let mut model = Model::new();
        for _ in 0..300 {
            model.step(&mut prng);
            model.check();
        }
        for (slot, generation) in model.alive.clone() {
            model.end(conn(slot, generation));
            model.alive.insert(slot, generation + 1);
        }
        while !model.asks.is_empty() || !model.tells.is_empty() {
            model.ask_home();
            model.take_answer();
        }
        prop_assert!(model.home.is_empty(), "{:?}", model.home);
        prop_assert_eq!(model.roster.sizes().count(), 0);
        prop_assert_eq!(model.roster.subscriptions(), 0);
    }
}
