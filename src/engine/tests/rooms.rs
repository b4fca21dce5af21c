//! Rooms under chance: clients of two tenants on three shards join, leave, send and vanish while parcels are late
//! and sockets slow. What each client hears is held against what it may rely on; at the end nothing is left.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    client::{Client, close, text},
    harness::{Flow, Node, Side},
};
use crate::base::prng::Prng;

const SHARDS: u16 = 3;
const ROOMS: [&str; 3] = ["red", "green", "blue"];
const TENANTS: [&str; 2] = ["acme", "other"];
const SEEDS: u64 = 200;
const STEPS: usize = 400;

/// A room by tenant and name.
type Key = (&'static str, &'static str);

/// A message's place: the room's epoch and its number there.
type Place = (String, u64);

/// What one client did and heard; one for each connection, none is used twice.
struct Actor {
    client: Client,
    tenant: &'static str,
    gone: bool,
    calls: u64,
    /// What every call was, and at which step it was made.
    asked: BTreeMap<u64, Asked>,
    /// The rooms that it wants to be in, in the order of its own commands.
    wants: BTreeSet<&'static str>,
    heard: Vec<(usize, Value)>,
}

#[derive(Clone, Debug)]
enum Asked {
    Join,
    Leave { room: &'static str, step: usize, was_in: bool },
    Send { room: &'static str, step: usize, number: u64, echo: bool, was_in: bool },
}

/// A send that was acked: who sent it, when it was called and when the ack was heard.
struct Sent {
    key: Key,
    actor: usize,
    called: usize,
    acked: usize,
    echo: bool,
}

struct World {
    node: Node,
    prng: Prng,
    actors: Vec<Actor>,
    step: usize,
    numbers: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let node = Node::new(SHARDS);
        Self { node, prng: Prng::new(seed), actors: Vec::new(), step: 0, numbers: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.prng.below(bound as u64) as usize
    }

    fn run(&mut self) {
        for _ in 0..12 {
            self.connect();
        }
        for step in 0..STEPS {
            self.step = step;
            match self.below(20) {
                0 if self.actors.len() < 40 => self.connect(),
                1 => self.vanish(),
                2 => self.flow(),
                3..=9 => self.talk(),
                10..=16 => self.node.carry(&mut self.prng, 3),
                _ => {
                    let shard = self.below(usize::from(SHARDS)) as u16;
                    self.node.turn(shard);
                }
            }
            self.listen();
        }
        self.step = STEPS;
        for actor in 0..self.actors.len() {
            self.free(actor);
        }
        self.node.settle();
        self.listen();
    }

    /// The socket of an actor takes everything again.
    fn free(&mut self, actor: usize) {
        let id = self.actors[actor].client.id;
        self.node.sockets.get_mut(&id).unwrap().flow = Flow::Open;
        self.node.writable(id);
    }

    /// Connecting needs no other shard, so it is done at once.
    fn connect(&mut self) {
        let shard = self.below(usize::from(SHARDS)) as u16;
        let tenant = TENANTS[self.below(2)];
        let user = format!("user-{}", self.actors.len());
        let id = self.node.accept(shard);
        let headers = super::http::bearer(&super::harness::token(&user, tenant, None));
        self.node.receive_only(id, &super::client::upgrade_request("/ws", &headers));
        self.node.turn(shard);
        let mut client = Client::of(&mut self.node, id);
        assert_eq!(client.types(&mut self.node), ["connection:established"]);
        let (asked, wants) = (BTreeMap::new(), BTreeSet::new());
        self.actors.push(Actor { client, tenant, gone: false, calls: 0, asked, wants, heard: Vec::new() });
    }

    fn someone(&mut self) -> Option<usize> {
        let actor = self.below(self.actors.len());
        (!self.actors[actor].gone).then_some(actor)
    }

    fn vanish(&mut self) {
        let Some(actor) = self.someone() else { return };
        let id = self.actors[actor].client.id;
        self.actors[actor].gone = true;
        match self.below(3) {
            0 => self.node.receive_only(id, &close(1000)),
            1 => self.node.hang_up_only(id, true),
            _ => self.node.hang_up_only(id, false),
        }
    }

    fn flow(&mut self) {
        let Some(actor) = self.someone() else { return };
        let id = self.actors[actor].client.id;
        let bytes = 1 + self.below(100);
        let flow = [Flow::Open, Flow::Blocked, Flow::Bytes(bytes)][self.below(3)];
        self.node.sockets.get_mut(&id).unwrap().flow = flow;
        self.node.writable(id);
    }

    /// One to four commands in one read, or in two.
    fn talk(&mut self) {
        let Some(actor) = self.someone() else { return };
        let mut bytes = Vec::new();
        for _ in 0..1 + self.below(4) {
            let message = self.command(actor);
            bytes.extend(text(&message));
        }
        let cut = self.below(bytes.len());
        let id = self.actors[actor].client.id;
        self.node.receive_only(id, &bytes[..cut]);
        self.node.receive_only(id, &bytes[cut..]);
    }

    fn command(&mut self, actor: usize) -> String {
        let (room, kind, echo) = (ROOMS[self.below(ROOMS.len())], self.below(6), self.below(2) == 0);
        let (step, number) = (self.step, self.numbers);
        let actor = &mut self.actors[actor];
        actor.calls += 1;
        let call = actor.calls;
        let was_in = actor.wants.contains(room);
        let (asked, message) = match kind {
            0 | 1 => {
                actor.wants.insert(room);
                (Asked::Join, format!(r#"{{"type":"room:join","id":{call},"room":"{room}"}}"#))
            }
            2 => {
                actor.wants.remove(room);
                let asked = Asked::Leave { room, step, was_in };
                (asked, format!(r#"{{"type":"room:leave","id":{call},"room":"{room}"}}"#))
            }
            _ => {
                self.numbers += 1;
                let payload = format!(r#"["{}",{number}]"#, actor.tenant);
                let message = format!(
                    r#"{{"type":"room:send","id":{call},"room":"{room}","payload":{payload},"echo":{echo}}}"#
                );
                (Asked::Send { room, step, number, echo, was_in }, message)
            }
        };
        actor.asked.insert(call, asked);
        message
    }

    fn listen(&mut self) {
        for actor in &mut self.actors {
            if actor.gone {
                continue;
            }
            let heard = actor.client.json(&mut self.node);
            actor.heard.extend(heard.into_iter().map(|event| (self.step, event)));
        }
    }

    fn leave_all(&mut self) {
        for actor in 0..self.actors.len() {
            let id = self.actors[actor].client.id;
            if self.node.side(id) == Side::Open {
                let reset = self.below(2) == 0;
                self.node.hang_up_only(id, reset);
            }
        }
        self.node.settle();
        self.node.assert_empty();
    }
}

/// Acks come once, in the order of the calls to one room, and say what the client's own commands imply.
fn check_acks(actor: &Actor) {
    let mut left: BTreeMap<u64, Asked> = actor.asked.clone();
    for (_, event) in actor.heard.iter().filter(|(_, event)| event["type"] == "ack") {
        let call = event["id"].as_u64().unwrap();
        let asked = left.remove(&call).unwrap_or_else(|| panic!("acked twice, or unasked: {event}"));
        let expected = match asked {
            Asked::Join => "ok",
            Asked::Leave { was_in, .. } => {
                if was_in {
                    "ok"
                } else {
                    "not_found"
                }
            }
            Asked::Send { was_in, .. } => {
                if was_in {
                    "ok"
                } else {
                    "forbidden"
                }
            }
        };
        assert_eq!(event["error"]["code"].as_str().unwrap_or("ok"), expected, "{asked:?}");
    }
    assert!(actor.gone || left.is_empty(), "not acked: {left:?}");
}

/// What a client hears of each room: messages only between `room:joined` and `room:left`, in rising order, and without a
/// hole but for its own that it wanted no echo of.
fn check_story(index: usize, actor: &Actor, order: &mut BTreeMap<Place, u64>, own: &BTreeSet<Place>) {
    for room in ROOMS {
        let (mut inside, mut last) = (false, None::<Place>);
        for (_, event) in actor.heard.iter().filter(|(_, event)| event["room"] == room) {
            match event["type"].as_str().unwrap() {
                "room:joined" => (inside, last) = (true, if inside { last } else { None }),
                "room:left" => inside = false,
                "room:message" => {
                    assert!(inside, "actor {index} hears {event} outside of the room");
                    assert_eq!(event["payload"][0], actor.tenant, "actor {index}: {event}");
                    let place = place_of(event["id"].as_str().unwrap());
                    let number = event["payload"][1].as_u64().unwrap();
                    let same = *order.entry(place.clone()).or_insert(number);
                    assert_eq!(same, number, "two messages in one place of the order");
                    if let Some((epoch, at)) = last {
                        assert_eq!(epoch, place.0, "the order began anew around a member");
                        assert!(at < place.1, "actor {index}: {event} after number {at}");
                        let is_own = |it: &u64| own.contains(&(epoch.clone(), *it));
                        let hole = (at + 1..place.1).find(|it| !is_own(it));
                        assert_eq!(hole, None, "actor {index} missed a message before {event}");
                    }
                    last = Some(place);
                }
                _ => {}
            }
        }
    }
}

fn place_of(id: &str) -> Place {
    let (epoch, number) = id.split_once('-').unwrap();
    (epoch.to_owned(), number.parse().unwrap())
}

/// Sends that were acked, by number, and for each actor the places of those that it wanted no echo of.
fn sends(actors: &[Actor]) -> (BTreeMap<u64, Sent>, Vec<BTreeSet<Place>>) {
    let (mut sent, mut own) = (BTreeMap::new(), vec![BTreeSet::new(); actors.len()]);
    for (index, actor) in actors.iter().enumerate() {
        for (acked, event) in &actor.heard {
            let Some(id) = event["messageId"].as_str() else { continue };
            let Asked::Send { room, step, number, echo, .. } = &actor.asked[&event["id"].as_u64().unwrap()]
            else {
                panic!("{event} answers no send");
            };
            let key = (actor.tenant, *room);
            sent.insert(*number, Sent { key, actor: index, called: *step, acked: *acked, echo: *echo });
            if !echo {
                own[index].insert(place_of(id));
            }
        }
    }
    (sent, own)
}

/// Who was in the room from before the send until after its ack has heard it, once.
fn check_delivery(actors: &[Actor], sent: &BTreeMap<u64, Sent>) {
    for (index, actor) in actors.iter().enumerate().filter(|(_, actor)| !actor.gone) {
        for room in ROOMS {
            let mut heard: BTreeMap<u64, usize> = BTreeMap::new();
            // From when it heard that it is in to when it asked to leave: each `room:left` answers one leave.
            let (mut stays, mut joined) = (Vec::new(), None);
            let mut leaves = actor.asked.values().filter_map(|asked| match asked {
                Asked::Leave { room: left, step, was_in: true } if *left == room => Some(*step),
                Asked::Join | Asked::Leave { .. } | Asked::Send { .. } => None,
            });
            for (step, event) in actor.heard.iter().filter(|(_, event)| event["room"] == room) {
                match event["type"].as_str().unwrap() {
                    "room:joined" => joined = joined.or(Some(*step)),
                    "room:left" => {
                        let asked = leaves.next().expect("as many leaves as are answered");
                        stays.extend(joined.take().map(|from| (from, asked)));
                    }
                    "room:message" => *heard.entry(event["payload"][1].as_u64().unwrap()).or_default() += 1,
                    _ => {}
                }
            }
            stays.extend(joined.map(|from| (from, usize::MAX)));
            assert!(heard.values().all(|times| *times == 1), "actor {index} heard something twice");
            for (number, send) in sent.iter().filter(|(_, send)| send.key == (actor.tenant, room)) {
                let is_own = send.actor == index && !send.echo;
                let was_in = stays.iter().any(|(from, to)| *from < send.called && send.acked < *to);
                let is_lost = was_in && !is_own && !heard.contains_key(number);
                assert!(!is_lost, "actor {index} lost {number} in {room}");
                assert!(!(is_own && heard.contains_key(number)), "an echo that was not wanted");
            }
        }
    }
}

#[test]
fn rooms_keep_their_promises_under_every_seed() {
    let seeds = super::harness::seeds(SEEDS);
    let (tried, mut delivered) = (seeds.end - seeds.start, 0);
    for seed in seeds {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.run();
        let (sent, own) = sends(&world.actors);
        let mut order = BTreeMap::new();
        for (index, actor) in world.actors.iter().enumerate() {
            check_acks(actor);
            check_story(index, actor, &mut order, &own[index]);
        }
        check_delivery(&world.actors, &sent);
        delivered += order.len();
        world.leave_all();
    }
    assert!(delivered as u64 > 5 * tried, "{delivered} messages are too few to mean something");
}
