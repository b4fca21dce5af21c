//! What all threads of a run share: the plan, the protocol, where to connect, how to sign in.

use std::net::IpAddr;

use crate::{
    client::{conn::Route, target::Target},
    host::clock::Clock,
    plan::{ConnId, Plan, RoleId, size::Sizes},
    protocol::{RoomNames, RoomsBy, Speak, Traits, Who},
    scenario::{Reading, Role, Scenario},
    tokens::Tokens,
    truth::payload::Style,
};

/// What slow readers' kernels keep for them, at least and at most: with the usual megabytes the target would notice nothing.
const SLOW_RECEIVE_BYTES: (usize, usize) = (4 << 10, 64 << 10);

/// A run, ready to begin.
pub(crate) struct Setup {
    pub(crate) scenario: Scenario,
    /// For the threads of all agents.
    pub(crate) plan: Plan,
    pub(crate) speak: Box<dyn Speak>,
    /// At least one; connections take turns.
    pub(crate) targets: Vec<Target>,
    /// Addresses to connect from, in turn; empty to leave it to the kernel, and on loopback to [`Target::source_of`].
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) tokens: Tokens,
    pub(crate) clock: Clock,
    /// Marks this run's payloads.
    pub(crate) run: u32,
    /// By room; empty where rooms have no names.
    pub(crate) room_names: Vec<String>,
    /// This process has so many of the plan's threads, from that number on.
    pub(crate) first_thread: u32,
    pub(crate) threads: u32,
}

impl Setup {
    pub(crate) fn role(&self, role: RoleId) -> &Role {
        &self.scenario.roles[role.index()]
    }

    pub(crate) fn target_of(&self, conn: ConnId) -> &Target {
        &self.targets[conn.0 as usize % self.targets.len()]
    }

    pub(crate) fn route_of(&self, conn: ConnId) -> Route<'_> {
        let target = self.target_of(conn);
        let receive_bytes = match self.role(self.plan.role_of(conn)).reading {
            Reading::Quick => None,
            Reading::Slow { bytes_per_s } => {
                Some((bytes_per_s as usize).clamp(SLOW_RECEIVE_BYTES.0, SLOW_RECEIVE_BYTES.1))
            }
        };
        // Agents may run on one machine, and each has addresses of its own.
        let number = if self.sources.is_empty() { conn.0 } else { self.number_here(conn) };
        let source = target.source_of(number / self.targets.len() as u32, &self.sources);
        Route { target: target.addr, tls: target.tls.as_ref(), source, receive_bytes }
    }

    /// The connection's number among those of this process.
    fn number_here(&self, conn: ConnId) -> u32 {
        let threads = self.plan.threads();
        conn.0 / threads * self.threads + (conn.0 % threads).saturating_sub(self.first_thread)
    }

    pub(crate) fn who<'a>(&'a self, conn: ConnId, token: &'a dyn Fn() -> Option<String>) -> Who<'a> {
        let rooms = RoomNames { all: &self.room_names, own: self.plan.rooms_of(conn) };
        Who { token, rooms }
    }

    pub(crate) fn token(&self, conn: ConnId) -> Option<String> {
        self.tokens.of(conn).map(std::borrow::Cow::into_owned)
    }

    pub(crate) fn style(&self) -> Style {
        if self.speak.traits().verbatim { Style::Verbatim } else { Style::Plain }
    }

    /// The longest payload of any role.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        let published = self.scenario.roles.iter().filter_map(|role| role.publish.as_ref());
        published.map(|publish| Sizes::new(&publish.size).max()).max().unwrap_or(0)
    }

    /// Names of rooms, where the protocol has any.
    pub(crate) fn name_rooms(plan: &Plan, traits: Traits) -> Vec<String> {
        match traits.rooms {
            RoomsBy::Echo => Vec::new(),
            RoomsBy::Url | RoomsBy::Message => {
                (0..plan.room_count()).map(|room| Plan::room_name(crate::plan::RoomId(room))).collect()
            }
        }
    }
}
