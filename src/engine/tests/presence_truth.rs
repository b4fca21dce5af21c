//! Presence under chance: users with several connections on three shards join, leave, change, and end in every way there
//! is, while parcels are late and sockets slow. In the end the rooms' presence is who is there, and so is what everybody
//! has pieced together who was told of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    client::{Client, Heard, close, frame, text, upgrade_request},
    harness::{Flow, Node, Side, config, seeds, text_of, token},
    http::bearer,
};
use crate::{base::prng::Prng, engine::Config, ws::Opcode};

const SHARDS: u16 = 3;
const ROOMS: [&str; 3] = ["red", "green", "blue"];
const TENANTS: [&str; 2] = ["acme", "other"];
const STATUSES: [&str; 4] = ["offline", "away", "online", "busy"];
const USERS: usize = 5;
const SEEDS: u64 = 100;
const STEPS: usize = 500;

/// What somebody knows of a user in a room: connections (not told of), status and metadata.
type Known = (String, Option<Value>);

struct Actor {
    client: Client,
    tenant: &'static str,
    user: String,
    /// Whether it joins with presence events.
    listens: bool,
    status: &'static str,
    wants: BTreeSet<&'static str>,
    /// The rooms that it has asked about since it joined, and what it knows of them.
    views: BTreeMap<String, BTreeMap<String, Known>>,
}

struct World {
    node: Node,
    prng: Prng,
    actors: Vec<Actor>,
    ended: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        // Little may wait for a client: some are too slow.
        let node = Node::with(Config { outbox_bytes_max: 4_096, ..config(SHARDS) });
        Self { node, prng: Prng::new(seed), actors: Vec::new(), ended: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.prng.below(bound as u64) as usize
    }

    fn run(&mut self) {
        for _ in 0..12 {
            self.connect();
        }
        for _ in 0..STEPS {
            match self.below(24) {
                0 | 1 if self.actors.len() < 60 => self.connect(),
                2 => self.vanish(),
                3 => self.flow(),
                4 if self.below(8) == 0 => self.long_silence(),
                5 => {
                    let ms = self.below(40) as u64;
                    self.node.advance(ms);
                }
                6..=12 => self.talk(),
                13..=20 => self.node.carry(&mut self.prng, 3),
                _ => {
                    let shard = self.below(usize::from(SHARDS)) as u16;
                    self.node.turn(shard);
                }
            }
            self.listen();
        }
        for actor in 0..self.actors.len() {
            let id = self.actors[actor].client.id;
            self.node.sockets.get_mut(&id).unwrap().flow = Flow::Open;
            self.node.writable(id);
        }
        // What is still asked is answered, what has gathered is told.
        for _ in 0..5 {
            self.node.settle();
            self.listen();
            self.node.advance(200);
        }
        self.listen();
    }

    /// Some have a token that ends soon.
    fn connect(&mut self) {
        let shard = self.below(usize::from(SHARDS)) as u16;
        let tenant = TENANTS[self.below(2)];
        let user = format!("user-{}", self.below(USERS));
        let lasts_s =
            (self.below(6) == 0).then(|| self.node.now.unix_s() - super::harness::START_UNIX_S + 20);
        let id = self.node.accept(shard);
        let headers = bearer(&token(&user, tenant, lasts_s));
        self.node.receive_only(id, &upgrade_request("/ws", &headers));
        self.node.turn(shard);
        let mut client = Client::of(&mut self.node, id);
        client.heard(&mut self.node);
        let listens = self.below(3) > 0;
        let (wants, views) = (BTreeSet::new(), BTreeMap::new());
        self.actors.push(Actor { client, tenant, user, listens, status: "online", wants, views });
    }

    fn someone(&mut self) -> Option<usize> {
        let actor = self.below(self.actors.len());
        self.is_there(actor).then_some(actor)
    }

    fn is_there(&self, actor: usize) -> bool {
        let id = self.actors[actor].client.id;
        self.node.engines[id.shard.index()].is_open(id)
    }

    /// Says goodbye, hangs up, breaks off, or breaks the protocol.
    fn vanish(&mut self) {
        let Some(actor) = self.someone() else { return };
        let id = self.actors[actor].client.id;
        self.ended += 1;
        match self.below(5) {
            0 => self.node.receive_only(id, &close(1000)),
            1 => self.node.hang_up_only(id, true),
            2 => self.node.hang_up_only(id, false),
            3 => self.node.receive_only(id, &frame(Opcode::Binary, b"what?")),
            _ => self.node.sockets.get_mut(&id).unwrap().flow = Flow::Broken,
        }
    }

    /// So long that who says nothing meanwhile is given up.
    fn long_silence(&mut self) {
        self.node.advance(40_000);
        for actor in 0..self.actors.len() {
            if self.below(2) == 0 {
                let id = self.actors[actor].client.id;
                self.node.receive_only(id, &text(r#"{"type":"ping"}"#));
            }
        }
        self.node.advance(30_000);
    }

    fn flow(&mut self) {
        let Some(actor) = self.someone() else { return };
        let id = self.actors[actor].client.id;
        let bytes = 1 + self.below(100);
        let flow = [Flow::Open, Flow::Blocked, Flow::Bytes(bytes)][self.below(3)];
        let socket = self.node.sockets.get_mut(&id).unwrap();
        if socket.flow != Flow::Broken {
            socket.flow = flow;
            self.node.writable(id);
        }
    }

    fn talk(&mut self) {
        let Some(actor) = self.someone() else { return };
        let mut bytes = Vec::new();
        for _ in 0..1 + self.below(3) {
            bytes.extend(text(&self.command(actor)));
        }
        let id = self.actors[actor].client.id;
        self.node.receive_only(id, &bytes);
    }

    fn command(&mut self, actor: usize) -> String {
        let (kind, room) = (self.below(8), ROOMS[self.below(ROOMS.len())]);
        let (status, number) = (STATUSES[self.below(4)], self.below(3));
        let metadata = if self.below(2) == 0 { format!(r#","metadata":{number}"#) } else { String::new() };
        let actor = &mut self.actors[actor];
        match kind {
            0..=3 => {
                actor.wants.insert(room);
                let listens = actor.listens;
                format!(r#"{{"type":"room:join","room":"{room}","presence":{listens}{metadata}}}"#)
            }
            4 => {
                actor.wants.remove(room);
                format!(r#"{{"type":"room:leave","room":"{room}"}}"#)
            }
            5 => {
                // Within what a connection may say ahead.
                actor.status = status;
                format!(r#"{{"type":"presence:heartbeat","status":"{status}"}}"#)
            }
            6 => {
                actor.status = status;
                format!(r#"{{"type":"presence:status","status":"{status}"{metadata}}}"#)
            }
            _ => format!(r#"{{"type":"room:send","room":"{room}","payload":0}}"#),
        }
    }

    fn listen(&mut self) {
        for actor in &mut self.actors {
            let heard = actor.client.heard(&mut self.node);
            for heard in heard {
                let Heard::Text(message) = heard else { continue };
                let event: Value = serde_json::from_str(&message).unwrap();
                if let Some(question) = actor.hear(&event) {
                    self.node.receive_only(actor.client.id, &text(&question));
                }
            }
        }
    }

    /// Who is in a room with how many connections, and how.
    fn truth(&self, tenant: &str, room: &str) -> BTreeMap<String, (u64, &'static str)> {
        let mut truth: BTreeMap<String, (u64, &'static str)> = BTreeMap::new();
        for (index, actor) in self.actors.iter().enumerate() {
            if actor.tenant == tenant && actor.wants.contains(room) && self.is_there(index) {
                let user = truth.entry(actor.user.clone()).or_insert((0, "offline"));
                let rank = |status: &str| STATUSES.iter().position(|it| *it == status);
                let status = if rank(actor.status) > rank(user.1) { actor.status } else { user.1 };
                *user = (user.0 + 1, status);
            }
        }
        truth
    }

    fn check(&mut self) {
        for tenant in TENANTS {
            let mut observer = Client::connect(&mut self.node, 0, "observer", tenant);
            for room in ROOMS {
                let mut truth = self.truth(tenant, room);
                observer.join(&mut self.node, room);
                let mut there = pages(&mut self.node, &mut observer, room);
                let counted = |(user, (connections, (status, _))): (&String, &(u64, Known))| {
                    (user.clone(), (*connections, status.clone()))
                };
                truth.insert("observer".to_owned(), (1, "online"));
                let actual: BTreeMap<_, _> = there.iter().map(counted).collect();
                let expected: BTreeMap<_, _> = truth
                    .iter()
                    .map(|(user, (count, status))| (user.clone(), (*count, (*status).to_owned())))
                    .collect();
                assert_eq!(actual, expected, "{tenant} {room}");
                there.remove("observer");
                self.check_views(tenant, room, &there);
            }
            self.node.hang_up(observer.id, true);
        }
    }

    /// Nobody is told what he has done himself, so that of his own user he may know less.
    fn check_views(&self, tenant: &str, room: &str, there: &BTreeMap<String, (u64, Known)>) {
        for (index, actor) in self.actors.iter().enumerate() {
            let is_member = actor.tenant == tenant && actor.wants.contains(room) && self.is_there(index);
            if !is_member || !actor.listens {
                continue;
            }
            let mut view = actor.views.get(room).expect("it has asked when it joined").clone();
            view.remove("observer");
            view.remove(&actor.user);
            let others = there.iter().filter(|(user, _)| **user != actor.user);
            let others: BTreeMap<_, _> =
                others.map(|(user, (_, known))| (user.clone(), known.clone())).collect();
            assert_eq!(view, others, "actor {index}, {}, in {room}", actor.user);
        }
    }

    fn leave_all(&mut self) {
        for actor in 0..self.actors.len() {
            let id = self.actors[actor].client.id;
            if self.node.side(id) != Side::Closed {
                let reset = self.below(2) == 0;
                self.node.hang_up_only(id, reset);
            }
        }
        self.node.settle();
        // Who does not answer a close frame.
        self.node.advance(6_000);
        self.node.assert_empty();
    }
}

/// All of a room, two at a time.
fn pages(node: &mut Node, observer: &mut Client, room: &str) -> BTreeMap<String, (u64, Known)> {
    let (mut all, mut after) = (BTreeMap::new(), String::new());
    loop {
        let query = format!(r#"{{"type":"query:presence","id":1,"room":"{room}","limit":2{after}}}"#);
        let ack = observer.ask(node, &query).into_iter().find(|event| event["type"] == "ack").unwrap();
        for info in ack["presence"].as_array().unwrap() {
            let (user, known) = known(info);
            all.insert(user, (info["connections"].as_u64().unwrap(), known));
        }
        match ack["next"].as_str() {
            Some(next) => after = format!(r#","after":"{next}""#),
            None => return all,
        }
    }
}

/// The room is the call's id, too.
fn who_is_there(room: &str) -> String {
    format!(r#"{{"type":"query:presence","id":"{room}","room":"{room}"}}"#)
}

fn known(info: &Value) -> (String, Known) {
    (text_of(&info["userId"]), (text_of(&info["status"]), info.get("metadata").cloned()))
}

impl Actor {
    /// Takes what it is told, as a client would who keeps a list of who is there; answers what it asks then.
    fn hear(&mut self, event: &Value) -> Option<String> {
        let room = text_of(&event["room"]);
        match event["type"].as_str().unwrap() {
            "room:joined" => return Some(who_is_there(&room)),
            "room:left" => drop(self.views.remove(&room)),
            "ack" if event["success"] == true => {
                let view = event["presence"].as_array().unwrap().iter().map(known).collect();
                self.views.insert(text_of(&event["id"]), view);
            }
            // Too much waited for it: it has read that now, and asks again.
            "ack" if event["error"]["code"] == "rate_limited" && event["id"].is_string() => {
                return Some(who_is_there(&text_of(&event["id"])));
            }
            "presence:join" => {
                assert!(self.listens);
                self.views.entry(room).or_default().extend([known(&event["user"])]);
            }
            "presence:leave" => {
                assert!(self.listens);
                self.views.entry(room).or_default().remove(&text_of(&event["userId"]));
            }
            "presence:update" => {
                assert!(self.listens);
                let view = self.views.entry(room).or_default();
                for info in event["presence"].as_array().unwrap() {
                    if info["connections"] == 0 {
                        view.remove(&text_of(&info["userId"]));
                    } else {
                        view.extend([known(info)]);
                    }
                }
            }
            _ => {}
        }
        None
    }
}

#[test]
fn presence_is_the_truth_under_every_seed() {
    let (mut ended, mut reasons) = (0, BTreeSet::new());
    for seed in seeds(SEEDS) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.run();
        world.check();
        world.leave_all();
        ended += world.ended;
        for notice in &world.node.notices {
            if let crate::engine::Notice::Closed { reason, .. } = notice {
                reasons.insert(*reason);
            }
        }
    }
    assert!(ended > 0 && reasons.len() > 5, "{ended} ends, for {reasons:?}, are too few to mean something");
}
