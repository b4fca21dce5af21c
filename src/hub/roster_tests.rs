//! The roster by table, and against a plain model under random joins, leaves, ends and reused slots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::{Gone, Home, Joiner, LocalRoomId, Roster};
use crate::{
    base::{ConnId, Now, RoomKey, RoomName, ShardId, TenantName, UserName, hash::HashSeed, prng::Prng},
    model::Availability,
};

const SHARD: ShardId = ShardId(2);

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
fn a_member_is_who_was_answered() {
    let mut roster = roster();
    let ada = conn(0, 0);
    assert!(roster.ask(ada, &key("a"), true, 8));
    assert_eq!((members(&roster, "a").len(), rooms(&roster, ada).len(), roster.subscriptions()), (0, 0, 0));
    assert_eq!(roster.find(ada, "a"), Some(&key("a")), "what it says from now on comes after its join");
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
    roster.ask(ada, &key("a"), true, 8);
    roster.ask_leave(ada, "a");
    roster.ask(ada, &key("a"), true, 8);
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
        roster.ask(conn, &key(room), true, 8);
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
        roster.ask(conn, &key("a"), listens, 8);
    }
    conns[..2].iter().for_each(|conn| roster.joined(*conn, &key("a")));
    let listeners = |roster: &Roster| roster.listeners(ONLY).collect::<Vec<_>>();
    assert_eq!(listeners(&roster), conns[..1]);
    roster.ask(conns[0], &key("a"), false, 8);
    roster.joined(conns[2], &key("a"));
    assert_eq!(listeners(&roster), conns[2..]);
}

#[test]
fn the_limit_counts_what_is_wanted() {
    let mut roster = roster();
    let ada = conn(4, 0);
    assert!(roster.ask(ada, &key("a"), true, 2) && roster.ask(ada, &key("b"), true, 2));
    assert!(!roster.ask(ada, &key("c"), true, 2));
    assert!(roster.ask(ada, &key("a"), true, 2), "it is in that one");
    roster.ask_leave(ada, "a");
    assert!(roster.ask(ada, &key("c"), true, 2));
    assert!(!roster.ask(ada, &key("a"), true, 2), "back into one that it is leaving");
    assert!(!roster.ask(conn(5, 0), &key("a"), true, 0));
    assert_eq!(roster.sizes().count(), 3);
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
}

#[derive(Clone, Debug)]
enum Question {
    Join(ConnId, usize),
    Leave(ConnId, usize),
    Gone(ConnId, RoomKey),
}

const ROOMS: [&str; 3] = ["a", "b", "c"];

impl Model {
    fn new() -> Self {
        Self {
            roster: roster(),
            home: Home::new(HashSeed::new(6), 1),
            alive: BTreeMap::new(),
            wanted: BTreeSet::new(),
            joined: BTreeSet::new(),
            asks: VecDeque::new(),
            tells: VecDeque::new(),
        }
    }

    fn step(&mut self, prng: &mut Prng) {
        let slot = prng.below(4) as u32;
        let generation = *self.alive.entry(slot).or_insert(0);
        let (conn, room) = (conn(slot, generation), prng.below(3) as usize);
        match prng.below(10) {
            0..=2 => {
                assert!(self.roster.ask(conn, &key(ROOMS[room]), true, usize::MAX));
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
        let (user, now) = (UserName::parse("ada").unwrap(), Now { mono_us: 0, unix_ms: 0 });
        match &question {
            Question::Join(conn, room) => {
                let (conn, status) = (*conn, Availability::Online);
                let joiner = Joiner { conn, user, status, metadata: None, listens: true };
                self.home.join(&key(ROOMS[*room]), joiner, now);
                self.tells.push_back(question);
            }
            Question::Leave(conn, room) => {
                self.home.leave(&key(ROOMS[*room]), *conn, &user, now);
                self.tells.push_back(question);
            }
            Question::Gone(conn, key) => {
                self.home.leave(key, *conn, &user, now);
            }
        }
    }

    fn take_answer(&mut self) {
        let Some(answer) = self.tells.pop_front() else { return };
        let is_alive = |conn: ConnId| self.alive[&conn.slot] == conn.generation;
        match answer {
            Question::Join(conn, room) if is_alive(conn) => {
                self.roster.joined(conn, &key(ROOMS[room]));
                self.joined.insert((conn, room));
            }
            Question::Leave(conn, room) if is_alive(conn) => {
                self.joined.remove(&(conn, room));
                self.roster.left(conn, &key(ROOMS[room]));
            }
            Question::Join(..) | Question::Leave(..) | Question::Gone(..) => {}
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
