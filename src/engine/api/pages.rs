//! The answers that are put together from what shards have found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::errands::{Found, FoundConnection};
use crate::{
    auth::Revocation,
    base::{NodeId, Now, RoomName, TenantName},
    engine::{
        Config,
        answers::{Readiness, json, rfc3339},
    },
};

#[derive(Serialize)]
struct Rooms<'a> {
    rooms: Vec<Room<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Room<'a> {
    room: &'a str,
    members: usize,
}

/// The first rooms of all that were found, by name. A room that is among them is among the first of every shard that has
/// it, so that none of its members is missing.
pub(super) fn rooms(found: &[Found], limit: usize) -> Vec<u8> {
    let mut sizes: BTreeMap<&RoomName, usize> = BTreeMap::new();
    for found in found {
        if let Found::Rooms(rooms) = found {
            for (room, members) in rooms {
                *sizes.entry(room).or_default() += members;
            }
        }
    }
    let has_more = sizes.len() > limit;
    let named = sizes.into_iter().take(limit);
    let rooms: Vec<_> = named.map(|(room, members)| Room { room: room.as_str(), members }).collect();
    let next = rooms.last().filter(|_| has_more).map(|last| last.room);
    json(&Rooms { rooms, next })
}

#[derive(Serialize)]
struct Connections<'a> {
    connections: Vec<Connection<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection<'a> {
    connection_id: String,
    user_id: &'a str,
    tenant_id: &'a str,
    address: String,
    /// Unix time, to the second.
    connected_at: u64,
    rooms: usize,
}

/// The first connections of all that were found, by id.
pub(super) fn connections(found: &[Found], tenant: &TenantName, limit: usize, node: NodeId) -> Vec<u8> {
    let mut all: Vec<&FoundConnection> = Vec::new();
    for found in found {
        if let Found::Connections(connections) = found {
            all.extend(connections);
        }
    }
    all.sort_unstable_by_key(|found| found.conn);
    let has_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| has_more).map(|last| last.conn.public(node));
    let connection =
        |found: &&'_ FoundConnection| (found.conn.public(node), found.peer.to_canonical().to_string());
    let told: Vec<_> = all.iter().map(connection).collect();
    let connections = all.iter().zip(told).map(|(found, (connection_id, address))| Connection {
        connection_id,
        user_id: found.user.as_str(),
        tenant_id: tenant.as_str(),
        address,
        connected_at: u64::from(found.established_s) * 1_000,
        rooms: found.rooms,
    });
    json(&Connections { connections: connections.collect(), next })
}

/// What this node says of itself.
pub(super) struct NodeStand<'a> {
    pub(super) config: &'a Config,
    pub(super) connections: usize,
    pub(super) uptime_s: f64,
    pub(super) readiness: Readiness,
}

#[derive(Serialize)]
struct Nodes<'a> {
    nodes: [Node<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    id: String,
    version: &'a str,
    address: String,
    connections: usize,
    rooms: u64,
    uptime: f64,
    last_heartbeat: String,
    state: &'a str,
}

/// The nodes: this one, which is alive at this moment.
pub(super) fn nodes(stand: &NodeStand<'_>, rooms: u64, now: Now) -> Vec<u8> {
    let node = Node {
        id: stand.config.node.to_string(),
        version: stand.config.version,
        address: stand.config.address.to_string(),
        connections: stand.connections,
        rooms,
        uptime: (stand.uptime_s * 1_000.0).round() / 1_000.0,
        last_heartbeat: rfc3339(now.unix_ms),
        state: stand.readiness.as_str(),
    };
    json(&Nodes { nodes: [node] })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Disconnected {
    disconnected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_until: Option<u64>,
}

/// How many connections are closed, and until when their tokens are revoked, if they are.
pub(super) fn disconnected(count: u64, revocation: Option<Revocation>) -> Vec<u8> {
    let revoked_until = revocation.map(|revocation| revocation.until_s.saturating_mul(1_000));
    json(&Disconnected { disconnected: count, revoked_until })
}

#[derive(Serialize)]
struct Moved {
    connections: u64,
    /// Joins that a connection's limit of rooms did not allow.
    refused: u64,
}

/// How many connections a user has.
pub(super) fn moved(found: &[Found]) -> Vec<u8> {
    let mut sum = Moved { connections: 0, refused: 0 };
    for found in found {
        if let Found::Moved { connections, refused } = found {
            sum.connections += connections;
            sum.refused += refused;
        }
    }
    json(&sum)
}

/// The sum of what was counted.
pub(super) fn count(found: &[Found]) -> u64 {
    let counted = |found: &Found| if let Found::Count(count) = found { *count } else { 0 };
    found.iter().map(counted).sum()
}
