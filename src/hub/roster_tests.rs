//! The roster by table, and against a plain model under random joins, leaves, ends and reused slots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::{Home, LocalRoomId, Roster, Vacated};
use crate::base::{ConnId, RoomKey, RoomName, ShardId, TenantName, hash::HashSeed, prng::Prng};

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

/// The only room of a roster, `a`, after so many joins.
fn vacated_with(joins: u32) -> Vacated {
    Vacated { key: key("a"), joins, room: Some(LocalRoomId(0)) }
}

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
    assert!(roster.ask(ada, &key("a"), 8));
    assert_eq!((members(&roster, "a").len(), rooms(&roster, ada).len(), roster.subscriptions()), (0, 0, 0));
    assert_eq!(roster.find(ada, "a"), Some(&key("a")), "what it says from now on comes after its join");
    roster.joined(ada, &key("a"), 1);
    assert_eq!(members(&roster, "a"), [ada].into());
    assert_eq!((rooms(&roster, ada), roster.subscriptions()), (vec!["a"], 1));
    assert_eq!(roster.ask_leave(ada, "a"), Some(&key("a")));
    assert_eq!(members(&roster, "a"), [ada].into(), "until the answer comes in the room's stream");
    assert_eq!((roster.find(ada, "a"), rooms(&roster, ada).len()), (None, 0));
    assert_eq!(roster.ask_leave(ada, "a"), None);
    assert_eq!(roster.left(ada, &key("a")), Some(vacated_with(1)));
    assert_eq!((members(&roster, "a").len(), roster.subscriptions(), roster.sizes().count()), (0, 0, 0));
}

#[test]
fn a_join_behind_a_leave_keeps_the_room() {
    let mut roster = roster();
    let ada = conn(0, 0);
    roster.ask(ada, &key("a"), 8);
    roster.ask_leave(ada, "a");
    roster.ask(ada, &key("a"), 8);
    roster.joined(ada, &key("a"), 1);
    assert_eq!(roster.left(ada, &key("a")), None, "another join is under way");
    assert_eq!(members(&roster, "a").len(), 0, "and is not answered");
    roster.joined(ada, &key("a"), 2);
    assert_eq!((members(&roster, "a").len(), rooms(&roster, ada)), (1, vec!["a"]));
}

#[test]
fn an_answer_to_nobody_vacates_what_nobody_is_in() {
    let mut roster = roster();
    let (ada, bob) = (conn(0, 0), conn(1, 0));
    roster.ask(ada, &key("a"), 8);
    let mut vacated = Vec::new();
    roster.gone(ada, |room| vacated.push(room));
    assert_eq!(vacated, [vacated_with(0)], "the home knows of a later join and keeps it");
    assert_eq!(roster.joined_nobody(&key("a"), 1), Some(Vacated { room: None, ..vacated_with(1) }));
    // With another's join under way the room stays, and its count is the home's.
    roster.ask(bob, &key("a"), 8);
    assert_eq!(roster.joined_nobody(&key("a"), 2), None);
    roster.joined(bob, &key("a"), 3);
    roster.ask_leave(bob, "a");
    assert_eq!(roster.left(bob, &key("a")), Some(vacated_with(3)));
}

#[test]
fn the_limit_counts_what_is_wanted() {
    let mut roster = roster();
    let ada = conn(4, 0);
    assert!(roster.ask(ada, &key("a"), 2) && roster.ask(ada, &key("b"), 2));
    assert!(!roster.ask(ada, &key("c"), 2));
    assert!(roster.ask(ada, &key("a"), 2), "it is in that one");
    roster.ask_leave(ada, "a");
    assert!(roster.ask(ada, &key("c"), 2));
    assert!(!roster.ask(ada, &key("a"), 2), "back into one that it is leaving");
    assert!(!roster.ask(conn(5, 0), &key("a"), 0));
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
    Join(ConnId, usize, u32),
    Leave(ConnId, usize),
    Vacate(Vacated),
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
                assert!(self.roster.ask(conn, &key(ROOMS[room]), usize::MAX));
                self.wanted.insert((conn, room));
                self.asks.push_back(Question::Join(conn, room, 0));
            }
            3 | 4 => {
                let is_in = self.wanted.remove(&(conn, room));
                assert_eq!(self.roster.ask_leave(conn, ROOMS[room]).is_some(), is_in);
                if is_in {
                    self.asks.push_back(Question::Leave(conn, room));
                }
            }
            5 => {
                let asks = &mut self.asks;
                self.roster.gone(conn, |room| asks.push_back(Question::Vacate(room)));
                self.wanted.retain(|(other, _)| *other != conn);
                self.joined.retain(|(other, _)| *other != conn);
                self.alive.insert(slot, generation + 1);
            }
            6 | 7 => self.ask_home(),
            _ => self.take_answer(),
        }
    }

    fn ask_home(&mut self) {
        match self.asks.pop_front() {
            Some(Question::Join(conn, room, _)) => {
                let joins = self.home.join(&key(ROOMS[room]), SHARD).joins;
                self.tells.push_back(Question::Join(conn, room, joins));
            }
            Some(Question::Vacate(room)) => self.home.vacate(&room.key, SHARD, room.joins),
            Some(leave @ Question::Leave(..)) => self.tells.push_back(leave),
            None => {}
        }
    }

    fn take_answer(&mut self) {
        let Some(answer) = self.tells.pop_front() else { return };
        let is_alive = |conn: ConnId| self.alive[&conn.slot] == conn.generation;
        let vacated = match answer {
            Question::Join(conn, room, joins) if is_alive(conn) => {
                self.roster.joined(conn, &key(ROOMS[room]), joins);
                self.joined.insert((conn, room));
                None
            }
            Question::Join(_, room, joins) => self.roster.joined_nobody(&key(ROOMS[room]), joins),
            Question::Leave(conn, room) if is_alive(conn) => {
                self.joined.remove(&(conn, room));
                self.roster.left(conn, &key(ROOMS[room]))
            }
            Question::Leave(..) | Question::Vacate(_) => None,
        };
        self.asks.extend(vacated.map(Question::Vacate));
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
            let asks = &mut model.asks;
            model.roster.gone(conn(slot, generation), |room| asks.push_back(Question::Vacate(room)));
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
