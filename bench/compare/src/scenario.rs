//! The scenarios: what the peers are compared in.

use crate::{connect::Arrivals, ledger::Crowd, traffic::Pace};

/// What one measures.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Members that do nothing.
    Idle(Crowd),
    /// Members that get what publishers say, at that many messages a second in all.
    FanOut(Crowd, u32),
    /// The same, faster and faster, until it does not hold.
    Ladder(Crowd),
    /// Connections that get back what they say.
    Echo(u32, Pace),
    /// Members that come, and nothing else.
    Storm { crowd: Crowd, arrivals: Arrivals, who: Comers },
}

/// Who comes in a storm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comers {
    /// Nobody that the server has seen; a few others came and went before, so that its code is warm.
    New,
    /// Those that were there before, all of them.
    Again,
}

#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub shape: Shape,
}

const FLOOD: Crowd = crowd(1, 200, 10);
const HUNDREDS: Crowd = crowd(100, 100, 0);

pub const SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "idle",
        about: "10,000 connections in rooms of 100 that do nothing",
        shape: Shape::Idle(HUNDREDS),
    },
    Scenario {
        name: "room",
        about: "one room of 1,000, 100 messages/s",
        shape: Shape::FanOut(crowd(1, 1_000, 1), 100),
    },
    Scenario {
        name: "burst",
        about: "one room of 200, 1,500 messages/s from 10 publishers",
        shape: Shape::FanOut(FLOOD, 1_500),
    },
    Scenario {
        name: "flood",
        about: "one room of 200, 6,000 messages/s from 10 publishers",
        shape: Shape::FanOut(FLOOD, 6_000),
    },
    Scenario {
        name: "rooms",
        about: "500 rooms of 10, 8 messages/s in each",
        shape: Shape::FanOut(crowd(500, 10, 1), 4_000),
    },
    Scenario {
        name: "echo",
        about: "64 connections, one message under way on each",
        shape: Shape::Echo(64, Pace::Closed),
    },
    Scenario {
        name: "echo-rate",
        about: "64 connections, 8,000 messages/s in all, each sent back",
        shape: Shape::Echo(64, Pace::Rate(8_000)),
    },
    Scenario {
        name: "storm",
        about: "10,000 connections in rooms of 100 as fast as they come, 256 under way",
        shape: Shape::Storm { crowd: HUNDREDS, arrivals: arrivals(None), who: Comers::New },
    },
    Scenario {
        name: "storm-paced",
        about: "10,000 connections in rooms of 100, 10,000 a second",
        shape: Shape::Storm { crowd: HUNDREDS, arrivals: arrivals(Some(10_000)), who: Comers::New },
    },
    Scenario {
        name: "storm-again",
        about: "the same 10,000 users come again with the same tokens, after all were cut off",
        shape: Shape::Storm { crowd: HUNDREDS, arrivals: arrivals(None), who: Comers::Again },
    },
    Scenario {
        name: "flood-ladder",
        about: "one room of 200, 10 publishers: the most messages/s with p99 below 10 ms and nothing lost",
        shape: Shape::Ladder(FLOOD),
    },
];

impl Scenario {
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|it| it.name == name)
    }

    /// How many sockets it takes on either side.
    pub fn connections(&self) -> u32 {
        match self.shape {
            Shape::Idle(crowd)
            | Shape::FanOut(crowd, _)
            | Shape::Ladder(crowd)
            | Shape::Storm { crowd, .. } => crowd.members() + crowd.publishers(),
            Shape::Echo(connections, _) => connections,
        }
    }

    /// What CPU is counted by.
    pub fn unit(&self) -> &'static str {
        match self.shape {
            Shape::Idle(_) | Shape::Storm { .. } => "connection",
            Shape::FanOut(..) | Shape::Ladder(_) => "delivery",
            Shape::Echo(..) => "round trip",
        }
    }
}

const fn arrivals(per_s: Option<u32>) -> Arrivals {
    Arrivals { in_flight_max: 256, per_s }
}

const fn crowd(rooms: u32, members_per_room: u32, publishers_per_room: u32) -> Crowd {
    Crowd { rooms, members_per_room, publishers_per_room }
}
