//! Who is who: which thread, role and rooms each connection has, and which streams there are. Worked out from the scenario, its
//! seed and the number of threads alone, so that every thread and every agent has the same tables.
//!
//! Connection `c` belongs to thread `c % threads` (there in slot `c / threads`). Roles are dealt to threads like cards, and mixed
//! within each, so that any first part of a thread's connections has all of them. A stream is one (publishing connection, room);
//! the streams of a room have consecutive numbers. A target without rooms is one with a private room for each publisher.

pub(crate) mod schedule;
pub(crate) mod size;
pub(crate) mod think;
pub(crate) mod zipf;

use std::ops::Range;

use crate::{
    plan::zipf::Zipf,
    protocol::{RoomsBy, Traits},
    scenario::{Pick, Role, Scenario},
};

/// One connection of the run, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ConnId(pub(crate) u32);

/// One room of the run, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RoomId(pub(crate) u32);

/// One (publishing connection, room), from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct StreamId(pub(crate) u32);

/// A role, by its place in the scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RoleId(pub(crate) u16);

impl RoleId {
    pub(crate) fn index(self) -> usize {
        self.0.into()
    }
}

/// A connection's place in its thread, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// (membership, stream) pairs of a run: four bytes each, all threads together.
const CELLS_MAX: u64 = 1 << 30;
const MEMBERSHIPS_MAX: u64 = 1 << 28;
/// Draws for one room of a connection before it takes the next one that it is not in.
const DRAWS_MAX: u32 = 64;

/// Why a scenario cannot be carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(
        "role {role:?} joins {rooms} rooms: in this protocol the URL names the room, so that there is one a connection"
    )]
    OneRoom { role: String, rooms: u32 },
    #[error("role {role:?} publishes, but joins no room")]
    Nowhere { role: String },
    #[error(
        "every member keeps an account of every publisher in its rooms: {cells} pairs are more than {CELLS_MAX}; \
         take fewer publishers or smaller rooms"
    )]
    TooManyCells { cells: u64 },
    #[error("connections × rooms: {memberships} memberships are more than {MEMBERSHIPS_MAX}")]
    TooManyMemberships { memberships: u64 },
    #[error("{roles} roles: at most 65,535")]
    TooManyRoles { roles: usize },
}

/// The division of work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    threads: u32,
    /// Connections by role.
    members: Vec<u32>,
    /// By connection.
    roles: Vec<RoleId>,
    /// By connection, and the end: where its rooms are in `rooms`.
    rooms_start: Vec<u32>,
    rooms: Vec<RoomId>,
    /// By room, and the end: its first stream.
    streams_start: Vec<u32>,
    /// By stream.
    publishers: Vec<ConnId>,
}

impl Plan {
    /// Deals the scenario's connections to `threads` (from 1 to as many as there are connections).
    pub(crate) fn new(scenario: &Scenario, traits: Traits, threads: u32) -> Result<Self, PlanError> {
        debug_assert!((1..=scenario.connections).contains(&threads));
        check(scenario, traits)?;
        let members = role_members(scenario);
        let seats = deal(&members, threads);
        let echo = traits.rooms == RoomsBy::Echo;
        let mut chooser = Chooser::new(scenario, &members);
        let (mut roles, mut rooms_start, mut rooms) = (Vec::new(), vec![0], Vec::new());
        let mut private_rooms = 0;
        for seat in &seats {
            let role = &scenario.roles[seat.role.index()];
            roles.push(seat.role);
            if !echo {
                chooser.choose(seat, role.rooms, &mut rooms);
            } else if role.publish.is_some() {
                rooms.push(RoomId(private_rooms));
                private_rooms += 1;
            }
            rooms_start.push(rooms.len() as u32);
        }
        let room_count = if echo { private_rooms } else { scenario.rooms.count };
        let mut plan = Self {
            threads,
            members,
            roles,
            rooms_start,
            rooms,
            streams_start: Vec::new(),
            publishers: Vec::new(),
        };
        plan.number_streams(room_count, |role| scenario.roles[role.index()].publish.is_some());
        let cells = plan.rooms.iter().map(|room| plan.streams_of(*room).len() as u64).sum();
        if cells > CELLS_MAX { Err(PlanError::TooManyCells { cells }) } else { Ok(plan) }
    }

    /// Counts the streams of each room, then gives each publisher the next one of its rooms.
    fn number_streams(&mut self, room_count: u32, publishes: impl Fn(RoleId) -> bool) {
        let mut starts = vec![0; room_count as usize + 1];
        let publishers = |plan: &Self| -> Vec<ConnId> {
            plan.connections().filter(|conn| publishes(plan.role_of(*conn))).collect()
        };
        let publishers = publishers(self);
        for conn in &publishers {
            for RoomId(room) in self.rooms_of(*conn) {
                starts[*room as usize + 1] += 1;
            }
        }
        for room in 0..room_count as usize {
            starts[room + 1] += starts[room];
        }
        let mut next = starts.clone();
        self.publishers = vec![ConnId(0); starts[room_count as usize] as usize];
        for conn in publishers {
            for RoomId(room) in self.rooms_of(conn).to_vec() {
                let stream = &mut next[room as usize];
                self.publishers[*stream as usize] = conn;
                *stream += 1;
            }
        }
        self.streams_start = starts;
    }

    pub(crate) fn threads(&self) -> u32 {
        self.threads
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnId> + use<> {
        (0..self.roles.len() as u32).map(ConnId)
    }

    pub(crate) fn room_count(&self) -> u32 {
        self.streams_start.len() as u32 - 1
    }

    pub(crate) fn stream_count(&self) -> u32 {
        self.publishers.len() as u32
    }

    pub(crate) fn role_of(&self, conn: ConnId) -> RoleId {
        self.roles[conn.0 as usize]
    }

    /// How many connections have that role, and which of them is the first of `thread`: it has that one and every
    /// [`threads`](Self::threads)-th after it, in the order of its slots.
    pub(crate) fn turns(&self, role: RoleId, thread: u32) -> (u32, u32) {
        let dealt_before: u64 = self.members[..role.index()].iter().map(|count| u64::from(*count)).sum();
        let threads = u64::from(self.threads);
        let first = (u64::from(thread) + threads - dealt_before % threads) % threads;
        (self.members[role.index()], first as u32)
    }

    /// The rooms that `conn` joins, by ordinal.
    pub(crate) fn rooms_of(&self, conn: ConnId) -> &[RoomId] {
        let at = conn.0 as usize;
        &self.rooms[self.rooms_start[at] as usize..self.rooms_start[at + 1] as usize]
    }

    pub(crate) fn streams_of(&self, room: RoomId) -> Range<u32> {
        let at = room.0 as usize;
        self.streams_start[at]..self.streams_start[at + 1]
    }

    /// The stream that `conn` has in `room`, if it publishes there.
    pub(crate) fn stream_of(&self, conn: ConnId, room: RoomId) -> Option<StreamId> {
        let streams = self.streams_of(room);
        let publishers = &self.publishers[streams.start as usize..streams.end as usize];
        // Publishers were given their streams in order.
        publishers.binary_search(&conn).ok().map(|at| StreamId(streams.start + at as u32))
    }

    pub(crate) fn publisher_of(&self, stream: StreamId) -> ConnId {
        self.publishers[stream.0 as usize]
    }

    pub(crate) fn room_of(&self, stream: StreamId) -> RoomId {
        RoomId(self.streams_start.partition_point(|start| *start <= stream.0) as u32 - 1)
    }

    /// The name under which connections join `room`.
    pub(crate) fn room_name(room: RoomId) -> String {
        format!("r{}", room.0)
    }

    pub(crate) fn conn_at(&self, thread: u32, slot: Slot) -> ConnId {
        ConnId(slot.0 * self.threads + thread)
    }

    /// Connections of `thread`.
    pub(crate) fn share(&self, thread: u32) -> u32 {
        let total = self.roles.len() as u32;
        total / self.threads + u32::from(thread < total % self.threads)
    }
}

fn check(scenario: &Scenario, traits: Traits) -> Result<(), PlanError> {
    if u16::try_from(scenario.roles.len()).is_err() {
        return Err(PlanError::TooManyRoles { roles: scenario.roles.len() });
    }
    for Role { name, rooms, publish, .. } in &scenario.roles {
        match traits.rooms {
            RoomsBy::Echo => {}
            RoomsBy::Url if *rooms > 1 => {
                return Err(PlanError::OneRoom { role: name.clone(), rooms: *rooms });
            }
            RoomsBy::Url | RoomsBy::Message if *rooms == 0 && publish.is_some() => {
                return Err(PlanError::Nowhere { role: name.clone() });
            }
            RoomsBy::Url | RoomsBy::Message => {}
        }
    }
    let rooms = scenario.roles.iter().map(|role| u64::from(role.rooms)).max().unwrap_or(0);
    let memberships = u64::from(scenario.connections) * rooms;
    if memberships > MEMBERSHIPS_MAX {
        return Err(PlanError::TooManyMemberships { memberships });
    }
    Ok(())
}

/// Connections by role: their shares in whole numbers, at least one of each as long as there are enough.
fn role_members(scenario: &Scenario) -> Vec<u32> {
    let total = scenario.connections;
    let exact: Vec<f64> = scenario.roles.iter().map(|role| role.share * f64::from(total)).collect();
    // A share that came from a division may fall short of the whole number that it was.
    let mut members: Vec<u32> = exact.iter().map(|it| ((it + 1e-6).floor() as u32).min(total)).collect();
    let mut by_remainder: Vec<usize> = (0..members.len()).collect();
    by_remainder.sort_by(|a, b| {
        (exact[*b] - f64::from(members[*b])).total_cmp(&(exact[*a] - f64::from(members[*a])))
    });
    let mut missing = i64::from(total) - members.iter().map(|it| i64::from(*it)).sum::<i64>();
    for role in by_remainder.into_iter().cycle() {
        if missing <= 0 {
            break;
        }
        members[role] += 1;
        missing -= 1;
    }
    for role in 0..members.len() {
        let largest = (0..members.len()).max_by_key(|it| members[*it]).unwrap_or(role);
        if members[role] == 0 && members[largest] > 1 {
            members[role] += 1;
            members[largest] -= 1;
        }
    }
    members
}

/// A connection before it has rooms.
#[derive(Clone, Copy, Debug)]
struct Seat {
    role: RoleId,
    /// Its number among those of its role.
    member: u32,
}

/// By connection: all members of all roles, dealt to the threads one by one, then mixed within each thread in proportion.
fn deal(members: &[u32], threads: u32) -> Vec<Seat> {
    let total: u32 = members.iter().sum();
    let cards = (0..).map(RoleId).zip(members);
    let cards = cards.flat_map(|(role, count)| (0..*count).map(move |member| Seat { role, member }));
    let mut hands: Vec<Vec<Seat>> = vec![Vec::new(); threads as usize];
    for (card, thread) in cards.zip((0..threads as usize).cycle()) {
        hands[thread].push(card);
    }
    for hand in &mut hands {
        mix(hand, members.len());
    }
    (0..total).map(|conn| hands[(conn % threads) as usize][(conn / threads) as usize]).collect()
}

/// Spreads each role evenly over the hand, which has them one after the other.
fn mix(hand: &mut [Seat], roles: usize) {
    let mut counts = vec![0_u32; roles];
    hand.iter().for_each(|seat| counts[seat.role.index()] += 1);
    let mut seen = vec![0_u32; roles];
    let mut keyed: Vec<(f64, Seat)> = hand
        .iter()
        .map(|seat| {
            let role = seat.role.index();
            seen[role] += 1;
            ((f64::from(seen[role]) - 0.5) / f64::from(counts[role]), *seat)
        })
        .collect();
    keyed.sort_by(|(a, x), (b, y)| a.total_cmp(b).then(x.role.cmp(&y.role)));
    hand.iter_mut().zip(keyed).for_each(|(seat, (_, mixed))| *seat = mixed);
}

/// Chooses rooms for connections. What a connection gets depends on nothing but its role and number.
struct Chooser {
    count: u32,
    pick: Pick,
    zipf: Option<Zipf>,
    seed: u64,
    /// By role: even picks go on where those of the role before end.
    offsets: Vec<u64>,
}

impl Chooser {
    fn new(scenario: &Scenario, members: &[u32]) -> Self {
        let mut offset = 0;
        let offsets = scenario.roles.iter().zip(members).map(|(role, members)| {
            let start = offset;
            offset += u64::from(role.rooms) * u64::from(*members);
            start
        });
        let zipf = match scenario.rooms.pick {
            Pick::Zipf(exponent) => Some(Zipf::new(scenario.rooms.count, exponent)),
            Pick::Even | Pick::Uniform => None,
        };
        Self {
            count: scenario.rooms.count,
            pick: scenario.rooms.pick,
            zipf,
            seed: scenario.seed,
            offsets: offsets.collect(),
        }
    }

    /// Appends `rooms` different rooms.
    fn choose(&mut self, seat: &Seat, rooms: u32, out: &mut Vec<RoomId>) {
        let start = out.len();
        let Seat { role, member } = *seat;
        let mut rng = seeded(self.seed, [u64::from(role.0), u64::from(member)]);
        for ordinal in 0..rooms.min(self.count) {
            let mut draw = || match (self.pick, &self.zipf) {
                (Pick::Zipf(_), Some(zipf)) => zipf.sample(&mut rng),
                (Pick::Uniform | Pick::Zipf(_), _) => rng.u32(0..self.count),
                (Pick::Even, _) => {
                    let place = u64::from(member) * u64::from(rooms) + u64::from(ordinal);
                    ((self.offsets[role.index()] + place) % u64::from(self.count)) as u32
                }
            };
            let mut room = draw();
            for _ in 1..DRAWS_MAX {
                if !out[start..].contains(&RoomId(room)) {
                    break;
                }
                room = draw();
            }
            while out[start..].contains(&RoomId(room)) {
                room = (room + 1) % self.count;
            }
            out.push(RoomId(room));
        }
    }
}

/// A generator of chance for one purpose, which no other purpose disturbs.
pub(crate) fn seeded(seed: u64, purpose: [u64; 2]) -> fastrand::Rng {
    let mix = |value: u64, more: u64| {
        let value = (value ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (value ^ (value >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    };
    fastrand::Rng::with_seed(mix(mix(seed, purpose[0] + 1), purpose[1] + 1))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
