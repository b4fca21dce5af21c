//! Plans of many shapes, held against what the module's header says, counted by hand.

use std::{collections::HashSet, time::Duration};

use super::*;
use crate::scenario::{
    Arrivals, Disconnects, Pace, Phase, PhaseKind, Protocol, Publish, Reading, Rooms, Size,
};

const MESSAGES: Traits =
    Traits { acks: true, echoes: false, rooms: RoomsBy::Message, presence: true, verbatim: true };
const ECHO: Traits =
    Traits { acks: false, echoes: true, rooms: RoomsBy::Echo, presence: false, verbatim: true };
const URL: Traits =
    Traits { acks: false, echoes: true, rooms: RoomsBy::Url, presence: false, verbatim: true };

fn role(name: &str, share: f64, rooms: u32, publishes: bool) -> Role {
    let pace = Pace::Together { per_s: 10.0, arrivals: Arrivals::Even };
    Role {
        name: name.to_owned(),
        share,
        rooms,
        publish: publishes.then_some(Publish { pace, size: Size::Fixed(64) }),
        presence: None,
        reconnect: None,
        reading: Reading::Quick,
    }
}

fn scenario(connections: u32, rooms: u32, pick: Pick, roles: Vec<Role>) -> Scenario {
    let ramp = PhaseKind::Ramp { share: 1.0, per_s: 1.0 };
    Scenario {
        name: "flags".to_owned(),
        about: String::new(),
        protocol: Protocol::Json,
        seed: 7,
        connections,
        rooms: Rooms { count: rooms, pick },
        roles,
        phases: vec![Phase {
            name: "ramp".to_owned(),
            kind: ramp,
            duration: Duration::from_secs(1),
            measured: false,
            disconnects: Disconnects::Failures,
        }],
        drain_timeout: Duration::ZERO,
        comes_back: None,
        closed: false,
    }
}

fn two_roles() -> Vec<Role> {
    vec![role("talkers", 0.1, 1, true), role("listeners", 0.9, 1, false)]
}

fn plans() -> Vec<Plan> {
    let many = vec![role("a", 0.05, 3, true), role("b", 0.25, 0, false), role("c", 0.7, 5, true)];
    let rows = [
        (scenario(10_000, 100, Pick::Even, two_roles()), MESSAGES, 1),
        (scenario(103, 7, Pick::Even, two_roles()), MESSAGES, 3),
        (scenario(500, 20, Pick::Zipf(1.1), many.clone()), MESSAGES, 4),
        (scenario(200, 6, Pick::Uniform, many), MESSAGES, 2),
        (scenario(50, 1, Pick::Even, two_roles()), ECHO, 3),
        (scenario(50, 5, Pick::Even, two_roles()), URL, 2),
        (scenario(1, 1, Pick::Even, vec![role("one", 1.0, 1, true)]), MESSAGES, 1),
    ];
    rows.map(|(scenario, traits, threads)| Plan::new(&scenario, traits, threads).unwrap()).into()
}

#[test]
fn threads_and_slots_are_a_partition() {
    for plan in plans() {
        let all: HashSet<ConnId> = (0..plan.threads())
            .flat_map(|thread| (0..plan.share(thread)).map(move |slot| (thread, Slot(slot))))
            .map(|(thread, slot)| plan.conn_at(thread, slot))
            .collect();
        assert_eq!(all, plan.connections().collect());
    }
}

#[test]
fn threads_have_equal_shares_of_each_role_and_so_has_the_first_part_of_each() {
    let roles = vec![role("a", 0.1, 1, true), role("b", 0.5, 1, false), role("c", 0.4, 1, false)];
    let plan = Plan::new(&scenario(10_000, 100, Pick::Even, roles), MESSAGES, 3).unwrap();
    for thread in 0..3 {
        for part in [1, 2, 10] {
            let slots = plan.share(thread) / part;
            let count = |role| {
                (0..slots)
                    .filter(|slot| plan.role_of(plan.conn_at(thread, Slot(*slot))) == RoleId(role))
                    .count()
            };
            for (role, share) in [(0, 0.1), (1, 0.5), (2, 0.4)] {
                let exact = f64::from(slots) * share;
                assert!(
                    (count(role) as f64 - exact).abs() <= 2.0,
                    "{thread}, {part}, {role}: {}",
                    count(role)
                );
            }
        }
    }
}

#[test]
fn shares_become_whole_numbers() {
    // connections, shares, members
    let rows: [(u32, &[f64], &[u32]); 6] = [
        (10_000, &[1_000.0 / 10_000.0, 9_000.0 / 10_000.0], &[1_000, 9_000]),
        (80, &[4.0 / 80.0, 38.0 / 80.0, 38.0 / 80.0], &[4, 38, 38]),
        (10, &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], &[4, 3, 3]),
        (100, &[0.001, 0.999], &[1, 99]),
        (1, &[0.5, 0.5], &[1, 0]),
        (7, &[1.0], &[7]),
    ];
    for (connections, shares, members) in rows {
        let roles = shares.iter().map(|share| role("r", *share, 1, false)).collect();
        assert_eq!(role_members(&scenario(connections, 1, Pick::Even, roles)), members, "{shares:?}");
    }
}

#[test]
fn streams_are_consecutive_in_their_room_and_each_is_somebody_s() {
    for plan in plans() {
        let mut seen = 0;
        for room in (0..plan.room_count()).map(RoomId) {
            for stream in plan.streams_of(room).map(StreamId) {
                assert_eq!(stream.0, seen);
                seen += 1;
                let publisher = plan.publisher_of(stream);
                assert!(plan.rooms_of(publisher).contains(&room));
                assert_eq!(plan.stream_of(publisher, room), Some(stream));
                assert_eq!(plan.room_of(stream), room);
            }
        }
        assert_eq!(seen, plan.stream_count());
    }
}

#[test]
fn rooms_of_a_connection_are_different_and_as_many_as_its_role_says() {
    let roles = vec![role("a", 0.5, 3, true), role("b", 0.5, 20, false)];
    for pick in [Pick::Even, Pick::Uniform, Pick::Zipf(0.8), Pick::Zipf(3.0)] {
        let plan = Plan::new(&scenario(200, 20, pick, roles.clone()), MESSAGES, 1).unwrap();
        for conn in plan.connections() {
            let rooms: HashSet<RoomId> = plan.rooms_of(conn).iter().copied().collect();
            assert_eq!(rooms.len(), plan.rooms_of(conn).len());
            assert_eq!(rooms.len(), if plan.role_of(conn) == RoleId(0) { 3 } else { 20 });
            assert_eq!(
                plan.stream_of(conn, RoomId(0)).is_some(),
                plan.role_of(conn) == RoleId(0) && rooms.contains(&RoomId(0))
            );
        }
    }
}

#[test]
fn even_rooms_have_equal_numbers_of_each_role() {
    let plan = Plan::new(&scenario(10_000, 100, Pick::Even, two_roles()), MESSAGES, 4).unwrap();
    let mut members = vec![[0, 0]; 100];
    for conn in plan.connections() {
        for room in plan.rooms_of(conn) {
            members[room.0 as usize][plan.role_of(conn).index()] += 1;
        }
    }
    assert_eq!(members, [[10, 90]; 100]);
}

#[test]
fn without_rooms_every_publisher_has_its_own() {
    let plan = Plan::new(&scenario(50, 1, Pick::Even, two_roles()), ECHO, 3).unwrap();
    assert_eq!((plan.room_count(), plan.stream_count()), (5, 5));
    for conn in plan.connections() {
        let talks = plan.role_of(conn) == RoleId(0);
        assert_eq!(plan.rooms_of(conn).len(), usize::from(talks));
    }
}

#[test]
fn the_same_seed_makes_the_same_plan_and_rooms_do_not_depend_on_threads() {
    let roles = vec![role("a", 0.3, 4, true), role("b", 0.7, 2, false)];
    let of = |seed, threads| {
        let scenario = Scenario { seed, ..scenario(300, 50, Pick::Zipf(1.0), roles.clone()) };
        Plan::new(&scenario, MESSAGES, threads).unwrap()
    };
    assert_eq!(of(1, 3), of(1, 3));
    assert_ne!(of(1, 3), of(2, 3));
    let sizes = |plan: Plan| (0..50).map(|room| plan.streams_of(RoomId(room)).len()).collect::<Vec<_>>();
    assert_eq!(sizes(of(1, 1)), sizes(of(1, 4)));
}

#[test]
fn what_cannot_be_carried_out_is_said() {
    let plan = |scenario: Scenario, traits| Plan::new(&scenario, traits, 1).unwrap_err();
    let two = scenario(10, 5, Pick::Even, vec![role("a", 1.0, 2, true)]);
    assert_eq!(plan(two, URL), PlanError::OneRoom { role: "a".to_owned(), rooms: 2 });
    let nowhere = scenario(10, 5, Pick::Even, vec![role("a", 1.0, 0, true)]);
    assert_eq!(plan(nowhere, MESSAGES), PlanError::Nowhere { role: "a".to_owned() });
    let crowd = scenario(40_000, 1, Pick::Even, vec![role("a", 1.0, 1, true)]);
    assert_eq!(plan(crowd, MESSAGES), PlanError::TooManyCells { cells: 1_600_000_000 });
    let spread = scenario(1 << 20, 300, Pick::Even, vec![role("a", 1.0, 300, false)]);
    assert_eq!(plan(spread, MESSAGES), PlanError::TooManyMemberships { memberships: 300 << 20 });
}

#[test]
fn members_of_a_role_take_turns_over_the_threads() {
    let roles = vec![role("a", 0.13, 1, true), role("b", 0.5, 1, true), role("c", 0.37, 1, true)];
    let plan = Plan::new(&scenario(103, 103, Pick::Even, roles), MESSAGES, 4).unwrap();
    // Even picks name the card: connection `i` of all, role after role, has room `i`.
    let mut dealt = 0;
    for role in (0..3).map(RoleId) {
        let members = plan.turns(role, 0).0;
        for thread in 0..4 {
            let slots = (0..plan.share(thread)).map(|slot| plan.conn_at(thread, Slot(slot)));
            let got: Vec<u32> = slots
                .filter(|conn| plan.role_of(*conn) == role)
                .map(|conn| plan.rooms_of(conn)[0].0 - dealt)
                .collect();
            let (_, first) = plan.turns(role, thread);
            let expected: Vec<u32> = (first..members).step_by(4).collect();
            assert_eq!(got, expected, "{role:?}, thread {thread}");
        }
        dealt += members;
    }
    assert_eq!(dealt, 103);
}
