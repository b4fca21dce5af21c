//! Requests under chance: clients of two tenants on three shards ask each other, answer, answer twice, answer what is
//! not theirs, and vanish, while parcels are late and time passes. Who asks hears once; at the end nothing is left.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    client::{Client, text},
    harness::{Node, Side, text_of},
};
use crate::base::{NodeId, prng::Prng};

const SHARDS: u16 = 3;
const TENANTS: [&str; 2] = ["acme", "other"];
const SEEDS: u64 = 100;
const STEPS: usize = 400;

struct Actor {
    client: Client,
    tenant: &'static str,
    user: String,
    gone: bool,
    /// Calls that were made, and those whose ack was heard.
    calls: u64,
    acked: BTreeSet<u64>,
    /// Correlation ids heard, each with the payload: who asks, and the call.
    asked: Vec<(String, Value)>,
}

struct World {
    node: Node,
    prng: Prng,
    actors: Vec<Actor>,
    /// Everybody who was handed a request, by its payload.
    handed: BTreeMap<String, usize>,
    /// Answers by code, `payload` for success.
    outcomes: BTreeMap<String, u64>,
}

impl World {
    fn below(&mut self, bound: usize) -> usize {
        self.prng.below(bound as u64) as usize
    }

    /// Connecting needs no other shard, so it is done at once.
    fn connect(&mut self) {
        let (shard, tenant) = (self.below(usize::from(SHARDS)) as u16, TENANTS[self.below(2)]);
        let user = format!("user-{}", self.below(4));
        let id = self.node.accept(shard);
        let headers = super::http::bearer(&super::harness::token(&user, tenant, None));
        self.node.receive_only(id, &super::client::upgrade_request("/ws", &headers));
        self.node.turn(shard);
        let mut client = Client::of(&mut self.node, id);
        assert_eq!(client.types(&mut self.node), ["connection:established"]);
        let (acked, asked) = (BTreeSet::new(), Vec::new());
        self.actors.push(Actor { client, tenant, user, gone: false, calls: 0, acked, asked });
    }

    fn act(&mut self) {
        let index = self.below(self.actors.len());
        if self.actors[index].gone {
            return;
        }
        match self.below(12) {
            0 => {
                let reset = self.below(2) == 0;
                self.actors[index].gone = true;
                self.node.hang_up_only(self.actors[index].client.id, reset);
            }
            1..=5 => self.ask(index),
            _ => self.answer(index),
        }
    }

    fn ask(&mut self, index: usize) {
        let other = self.below(self.actors.len());
        let to = match self.below(2) {
            0 => format!(r#"{{"user":"user-{}"}}"#, self.below(5)),
            _ => format!(r#"{{"connection":"{}"}}"#, self.actors[other].client.id.public(NodeId(0x2a))),
        };
        let timeout_ms = 1 + self.below(3_000);
        let actor = &mut self.actors[index];
        actor.calls += 1;
        let call = actor.calls;
        let message = format!(
            r#"{{"type":"request","id":{call},"to":{to},"method":"m","payload":["{}",{index},{call}],"timeoutMs":{timeout_ms}}}"#,
            actor.tenant
        );
        self.node.receive_only(actor.client.id, &text(&message));
    }

    /// A request of its own, most of the time; it may have answered it before.
    fn answer(&mut self, index: usize) {
        let from = if self.below(5) == 0 { self.below(self.actors.len()) } else { index };
        if self.actors[from].asked.is_empty() {
            return;
        }
        let which = self.below(self.actors[from].asked.len());
        let (correlation, payload) = self.actors[from].asked[which].clone();
        let said = match self.below(3) {
            0 => r#""error":{"code":"own","message":""}"#.to_owned(),
            _ => format!(r#""payload":[{index},{payload}]"#),
        };
        let message = format!(r#"{{"type":"response","correlationId":"{correlation}",{said}}}"#);
        self.node.receive_only(self.actors[index].client.id, &text(&message));
    }

    fn listen(&mut self) {
        for index in 0..self.actors.len() {
            if self.actors[index].gone {
                continue;
            }
            for event in self.actors[index].client.json(&mut self.node) {
                match event["type"].as_str().unwrap() {
                    "request" => self.heard_request(index, &event),
                    "ack" => self.heard_ack(index, &event),
                    other => panic!("{other}: {event}"),
                }
            }
        }
    }

    fn heard_request(&mut self, index: usize, event: &Value) {
        let payload = &event["payload"];
        let asker = &self.actors[payload[1].as_u64().unwrap() as usize];
        assert_eq!(payload[0], self.actors[index].tenant, "across tenants");
        assert_eq!(event["from"], *asker.user);
        let first = self.handed.insert(payload.to_string(), index);
        assert_eq!(first, None, "handed to two: {event}");
        let asked = (text_of(&event["correlationId"]), payload.clone());
        self.actors[index].asked.push(asked);
    }

    fn heard_ack(&mut self, index: usize, event: &Value) {
        let call = event["id"].as_u64().unwrap();
        let tenant = self.actors[index].tenant;
        assert!(self.actors[index].acked.insert(call), "answered twice: {event}");
        let outcome =
            if event["success"] == true { "payload".into() } else { text_of(&event["error"]["code"]) };
        if outcome == "payload" {
            let asked = format!(r#"["{tenant}",{index},{call}]"#);
            let by = event["payload"][0].as_u64().unwrap() as usize;
            assert_eq!(self.handed[&asked], by, "answered by another: {event}");
        }
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    fn run(&mut self) {
        (0..8).for_each(|_| self.connect());
        for _ in 0..STEPS {
            match self.below(24) {
                0 if self.actors.len() < 24 => self.connect(),
                1 => {
                    let ms = 1 + self.below(400) as u64;
                    self.node.step(ms);
                    let now = self.node.now;
                    self.node.engines.iter_mut().for_each(|engine| engine.expire(now));
                }
                2..=12 => self.act(),
                13..=20 => self.node.carry(&mut self.prng, 1),
                _ => {
                    let shard = self.below(usize::from(SHARDS)) as u16;
                    self.node.turn(shard);
                }
            }
            self.listen();
        }
        self.node.settle();
        self.node.advance(4_000);
        self.listen();
    }
}

#[test]
fn who_asks_hears_once_under_every_seed() {
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for seed in super::harness::seeds(SEEDS) {
        println!("seed {seed}");
        let mut world = World {
            node: Node::new(SHARDS),
            prng: Prng::new(seed),
            actors: Vec::new(),
            handed: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        };
        world.run();
        for (index, actor) in world.actors.iter().enumerate().filter(|(_, actor)| !actor.gone) {
            assert!(actor.acked.iter().copied().eq(1..=actor.calls), "actor {index} waits for ever");
        }
        for engine in &world.node.engines {
            assert!(engine.requests.is_empty(), "{:?}", engine.requests);
        }
        for actor in 0..world.actors.len() {
            let id = world.actors[actor].client.id;
            if world.node.side(id) == Side::Open {
                world.node.hang_up_only(id, true);
            }
        }
        world.node.settle();
        world.node.assert_empty();
        let strays: u64 = world.node.engines.iter().map(|engine| engine.metrics.stray_requests).sum();
        assert_eq!(strays, 0);
        for (outcome, count) in world.outcomes {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    let seen: Vec<&str> = outcomes.keys().map(String::as_str).collect();
    assert_eq!(seen, ["no_target", "own", "payload", "timeout"], "{outcomes:?}");
}
