//! Recovery under chance: publishers send as fast as they can and send again what was not acked, listeners leave and come
//! back on other shards with the last position that they have heard, while parcels are late and sockets slow. Every
//! persistent message reaches every listener once and in order, unless it was told that it cannot have them all.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    client::{Client, text, upgrade_request},
    harness::{Flow, Node, config, token},
};
use crate::{
    base::prng::Prng,
    engine::Config,
    hub::{HistoryConfig, Keep},
};

const SHARDS: u16 = 3;
const ROOMS: [&str; 3] = ["red", "green", "blue"];
const PUBLISHERS: usize = 3;
const LISTENERS: usize = 6;
const SEEDS: u64 = 100;
const STEPS: usize = 500;

/// Someone who outlives connections.
struct Person {
    user: String,
    client: Option<Client>,
}

struct Publisher {
    person: Person,
    /// Sent and not acked: by number, the room and whether it is persistent.
    pending: BTreeMap<u64, (usize, bool)>,
}

struct Listener {
    person: Person,
    rooms: [Stay; ROOMS.len()],
    /// Joins that were told that they brought everything, and those that were told that they could not.
    recovered: u64,
    unrecoverable: u64,
}

/// A listener in a room.
#[derive(Clone, Default)]
struct Stay {
    state: State,
    /// What it has heard of the room: epoch and offset. None before its first join.
    heard: Option<(String, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Out,
    Joining,
    In,
    Leaving,
}

struct World {
    node: Node,
    prng: Prng,
    publishers: Vec<Publisher>,
    listeners: Vec<Listener>,
    numbers: u64,
    /// Which message has which place, by room and offset, as anybody has heard.
    order: BTreeMap<(usize, u64), u64>,
    /// The other way round: no message has two places.
    places: BTreeMap<u64, (usize, u64)>,
}

impl Person {
    fn new(user: String) -> Self {
        Self { user, client: None }
    }

    fn connect(&mut self, node: &mut Node, shard: u16) {
        let id = node.accept(shard);
        let headers = super::http::bearer(&token(&self.user, "acme", None));
        node.receive_only(id, &upgrade_request("/ws", &headers));
        node.turn(shard);
        let mut client = Client::of(node, id);
        assert_eq!(client.types(node), ["connection:established"]);
        self.client = Some(client);
    }

    fn say(&self, node: &mut Node, message: &str) {
        let client = self.client.as_ref().expect("only who is there says something");
        node.receive_only(client.id, &text(message));
    }

    fn vanish(&mut self, node: &mut Node, reset: bool) {
        if let Some(client) = self.client.take() {
            node.hang_up_only(client.id, reset);
        }
    }

    fn hear(&mut self, node: &mut Node) -> Vec<Value> {
        self.client.as_mut().map(|client| client.json(node)).unwrap_or_default()
    }
}

impl World {
    fn new(seed: u64, messages: u32) -> Self {
        let keep = Keep { messages, seconds: 3600 };
        let history = Arc::new(HistoryConfig { keep, ..HistoryConfig::for_tests() });
        let person = |kind: &str, number| Person::new(format!("{kind}-{number}"));
        let publisher = |number| Publisher { person: person("publisher", number), pending: BTreeMap::new() };
        let listener = |number| Listener {
            person: person("listener", number),
            rooms: Default::default(),
            recovered: 0,
            unrecoverable: 0,
        };
        Self {
            node: Node::with(Config { history, ..config(SHARDS) }),
            prng: Prng::new(seed),
            publishers: (0..PUBLISHERS).map(publisher).collect(),
            listeners: (0..LISTENERS).map(listener).collect(),
            numbers: 0,
            order: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.prng.below(bound as u64) as usize
    }

    fn run(&mut self) {
        // Everybody is there from the first message on.
        for listener in 0..LISTENERS {
            self.come(listener);
        }
        self.node.settle();
        self.listen();
        for _ in 0..STEPS {
            match self.below(24) {
                0 | 1 => self.come_or_go(),
                2 => self.leave(),
                3 => self.publisher_vanishes(),
                4 => self.flow(),
                5..=14 => self.publish(),
                15..=20 => self.node.carry(&mut self.prng, 4),
                _ => {
                    let shard = self.below(usize::from(SHARDS)) as u16;
                    self.node.turn(shard);
                }
            }
            self.listen();
        }
        self.finish();
    }

    fn shard(&mut self) -> u16 {
        self.below(usize::from(SHARDS)) as u16
    }

    /// Connects, and joins every room from where it was.
    fn come(&mut self, listener: usize) {
        let shard = self.shard();
        let Self { node, listeners, .. } = self;
        listeners[listener].person.connect(node, shard);
        for room in 0..ROOMS.len() {
            listeners[listener].join(node, room);
        }
    }

    fn come_or_go(&mut self) {
        let (listener, reset) = (self.below(LISTENERS), self.below(2) == 0);
        if self.listeners[listener].person.client.is_none() {
            return self.come(listener);
        }
        let Self { node, listeners, .. } = self;
        listeners[listener].person.vanish(node, reset);
        listeners[listener].rooms.iter_mut().for_each(|stay| stay.state = State::Out);
    }

    /// Leaves a room, or comes back to it.
    fn leave(&mut self) {
        let (listener, room) = (self.below(LISTENERS), self.below(ROOMS.len()));
        let Self { node, listeners, .. } = self;
        let listener = &mut listeners[listener];
        if listener.person.client.is_none() {
            return;
        }
        match listener.rooms[room].state {
            State::Out => listener.join(node, room),
            State::In => {
                listener.person.say(node, &format!(r#"{{"type":"room:leave","room":"{}"}}"#, ROOMS[room]));
                listener.rooms[room].state = State::Leaving;
            }
            State::Joining | State::Leaving => {}
        }
    }

    fn publisher_vanishes(&mut self) {
        let (publisher, reset) = (self.below(PUBLISHERS), self.below(2) == 0);
        self.publishers[publisher].person.vanish(&mut self.node, reset);
    }

    fn flow(&mut self) {
        let (listener, bytes) = (self.below(LISTENERS), 1 + self.below(200));
        let flow = [Flow::Open, Flow::Blocked, Flow::Bytes(bytes)][self.below(3)];
        if let Some(client) = &self.listeners[listener].person.client {
            self.node.sockets.get_mut(&client.id).unwrap().flow = flow;
            self.node.writable(client.id);
        }
    }

    /// One publisher sends up to six messages in one read; who was gone comes back and sends again what was not acked.
    fn publish(&mut self) {
        let (publisher, count, shard) = (self.below(PUBLISHERS), 1 + self.below(6), self.shard());
        for _ in 0..count {
            let (room, persistent) = (self.below(ROOMS.len()), self.below(4) > 0);
            self.numbers += 1;
            self.publishers[publisher].pending.insert(self.numbers, (room, persistent));
        }
        let Self { node, publishers, numbers, .. } = self;
        let Publisher { person, pending } = &mut publishers[publisher];
        let mut again = 0;
        if person.client.is_none() {
            person.connect(node, shard);
            for room in ROOMS {
                person.say(node, &format!(r#"{{"type":"room:join","id":"{room}","room":"{room}"}}"#));
            }
            again = pending.len();
        }
        let first = if again > 0 { 0 } else { *numbers - count as u64 + 1 };
        let mut bytes = Vec::new();
        for (number, (room, persistent)) in pending.range(first..) {
            let room = ROOMS[*room];
            bytes.extend(text(&format!(
                r#"{{"type":"room:send","id":{number},"room":"{room}","payload":{number},"messageId":"m{number}","persistent":{persistent}}}"#
            )));
        }
        node.receive_only(person.client.as_ref().unwrap().id, &bytes);
    }

    fn listen(&mut self) {
        let Self { node, publishers, listeners, order, places, .. } = self;
        for Publisher { person, pending } in publishers {
            for event in person.hear(node).iter().filter(|event| event["type"] == "ack") {
                let Some(number) = event["id"].as_u64() else { continue };
                assert_eq!(event["success"], true, "{event}");
                let (room, persistent) =
                    pending.remove(&number).unwrap_or_else(|| panic!("acked twice: {event}"));
                assert_eq!(event["offset"].is_u64(), persistent, "{event}");
                if let Some(offset) = event["offset"].as_u64() {
                    place(order, places, room, offset, number);
                }
            }
        }
        for listener in listeners {
            for event in listener.person.hear(node) {
                listener.heard(&event, order, places);
            }
        }
    }

    /// Everybody comes back and hears the rest.
    fn finish(&mut self) {
        for listener in 0..LISTENERS {
            match &self.listeners[listener].person.client {
                Some(client) => {
                    self.node.sockets.get_mut(&client.id).unwrap().flow = Flow::Open;
                    self.node.writable(client.id);
                }
                None => self.come(listener),
            }
        }
        for publisher in 0..PUBLISHERS {
            self.publishers[publisher].person.vanish(&mut self.node, true);
        }
        self.node.settle();
        self.listen();
        while self.publishers.iter().any(|publisher| !publisher.pending.is_empty()) {
            self.publish();
            self.node.settle();
            self.listen();
        }
        for listener in 0..LISTENERS {
            for room in 0..ROOMS.len() {
                if self.listeners[listener].rooms[room].state == State::Out {
                    self.listeners[listener].join(&mut self.node, room);
                }
            }
        }
        self.node.settle();
        self.listen();
    }

    fn check(&self) {
        for (room, name) in ROOMS.iter().enumerate() {
            let last = self.order.range((room, 0)..(room + 1, 0)).map(|((_, offset), _)| *offset).next_back();
            let count = self.order.range((room, 0)..(room + 1, 0)).count() as u64;
            assert_eq!(last.unwrap_or(0), count, "{name}: offsets are 1, 2, 3, ...");
            for (index, listener) in self.listeners.iter().enumerate() {
                let heard = listener.rooms[room].heard.as_ref().map(|(_, offset)| *offset);
                assert_eq!(heard, Some(count), "listener {index} in {name}");
            }
        }
    }
}

impl Listener {
    fn join(&mut self, node: &mut Node, room: usize) {
        let stay = &mut self.rooms[room];
        stay.state = State::Joining;
        let since = stay
            .heard
            .as_ref()
            .map(|(epoch, offset)| format!(r#","since":{{"epoch":"{epoch}","offset":{offset}}}"#));
        let (name, since) = (ROOMS[room], since.unwrap_or_default());
        self.person.say(node, &format!(r#"{{"type":"room:join","id":"{name}","room":"{name}"{since}}}"#));
    }

    fn heard(
        &mut self,
        event: &Value,
        order: &mut BTreeMap<(usize, u64), u64>,
        places: &mut BTreeMap<u64, (usize, u64)>,
    ) {
        let name = event["room"].as_str().unwrap();
        let room = ROOMS.iter().position(|room| *room == name).unwrap();
        let stay = &mut self.rooms[room];
        match event["type"].as_str().unwrap() {
            "ack" => {
                assert_eq!(stay.state, State::Joining, "{event}");
                let position =
                    (event["epoch"].as_str().unwrap().to_owned(), event["offset"].as_u64().unwrap());
                if event["recovered"] == true {
                    self.recovered += 1;
                    let (epoch, offset) = stay.heard.as_ref().unwrap();
                    assert!(*epoch == position.0 && *offset <= position.1, "{event} after {offset}");
                } else {
                    self.unrecoverable += u64::from(stay.heard.is_some());
                    stay.heard = Some(position);
                }
            }
            "room:joined" => stay.state = State::In,
            "room:left" => stay.state = State::Out,
            "room:message" => {
                assert!(matches!(stay.state, State::In | State::Leaving), "{event} while {:?}", stay.state);
                let Some(offset) = event["offset"].as_u64() else { return };
                let (_, last) = stay.heard.as_mut().unwrap();
                assert_eq!(offset, *last + 1, "{} hears {event} after {last}", self.person.user);
                *last = offset;
                place(order, places, room, offset, event["payload"].as_u64().unwrap());
            }
            "presence:join" | "presence:leave" | "presence:update" => {}
            other => panic!("{other}: {event}"),
        }
    }
}

fn place(
    order: &mut BTreeMap<(usize, u64), u64>,
    places: &mut BTreeMap<u64, (usize, u64)>,
    room: usize,
    offset: u64,
    number: u64,
) {
    assert_eq!(*order.entry((room, offset)).or_insert(number), number, "two messages in one place");
    assert_eq!(*places.entry(number).or_insert((room, offset)), (room, offset), "a message in two places");
}

#[test]
fn every_persistent_message_comes_once_and_in_order_under_every_seed() {
    let (mut recovered, mut unrecoverable) = (0, 0);
    for seed in super::harness::seeds(SEEDS) {
        // Everything is kept, or so little that some come back too late.
        let messages = if seed % 4 == 3 { 20 } else { 100_000 };
        println!("seed {seed}, {messages} messages kept");
        let mut world = World::new(seed, messages);
        world.run();
        world.check();
        let late: u64 = world.listeners.iter().map(|listener| listener.unrecoverable).sum();
        assert!(late == 0 || messages == 20, "{late} were told that something is missing");
        unrecoverable += late;
        recovered += world.listeners.iter().map(|listener| listener.recovered).sum::<u64>();
        for engine in &world.node.engines {
            engine.home.audit();
        }
    }
    println!("{recovered} joins recovered, {unrecoverable} could not");
    assert!(recovered > 0);
}
