//! One answer for each request, whatever comes in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::pending::{Aim, Closed, Full, Located, Pending, PendingLimits, Unmatched};
use crate::base::{ConnId, NoPlace, Prng, RequestId, ShardId, ShareLimits, TenantName};

const LIMITS: PendingLimits =
    PendingLimits { per_connection: 2, shares: ShareLimits { total: 3, percent: 100 } };

fn tenant(number: u64) -> TenantName {
    TenantName::parse(&format!("t{number}")).unwrap()
}

fn conn(slot: u32) -> ConnId {
    ConnId { shard: ShardId(4), slot, generation: 1 }
}

fn pending() -> Pending<&'static str, &'static str> {
    Pending::new(ShardId(7), LIMITS)
}

fn closed(request: RequestId, caller: &'static str, target: Option<ConnId>) -> Closed<&'static str> {
    Closed { request, caller, started_us: 5, target }
}

#[test]
fn the_one_who_was_asked_answers_once() {
    let mut pending = pending();
    let request = pending.open(conn(1), tenant(0), "ada", 5, 100, Aim::At(conn(2)));
    assert_eq!(request.shard, ShardId(7));
    let never = RequestId { slot: 9, ..request };
    let not_yet = RequestId { generation: request.generation + 1, ..request };
    assert_eq!(pending.answered(request, conn(1)), Err(Unmatched::Foreign));
    assert_eq!(pending.answered(request, ConnId { generation: 2, ..conn(2) }), Err(Unmatched::Foreign));
    assert_eq!(pending.answered(never, conn(2)), Err(Unmatched::Unknown));
    assert_eq!(pending.answered(not_yet, conn(2)), Err(Unmatched::Unknown));
    assert_eq!(pending.answered(request, conn(2)), Ok(closed(request, "ada", Some(conn(2)))));
    assert_eq!(pending.answered(request, conn(2)), Err(Unmatched::Late));
    let next = pending.open(conn(1), tenant(0), "bob", 5, 100, Aim::At(conn(2)));
    assert_eq!(next, not_yet, "the slot is given out again");
    assert_eq!(pending.answered(request, conn(2)), Err(Unmatched::Late));
    assert_eq!(pending.answered(next, conn(2)), Ok(closed(next, "bob", Some(conn(2)))));
    assert!(pending.is_empty() && pending.due_ms().is_none());
}

#[test]
fn whoever_is_found_first_is_asked() {
    let mut pending = pending();
    let sought = |shards| Aim::Sought { shards, letter: "letter" };
    let request = pending.open(conn(1), tenant(0), "ada", 5, 100, sought(3));
    assert_eq!(pending.answered(request, conn(2)), Err(Unmatched::Foreign), "nobody was asked yet");
    assert_eq!(pending.located(request, None), Located::Open);
    assert_eq!(pending.located(request, Some(conn(2))), Located::Found(conn(2), "letter"));
    assert_eq!(pending.located(request, Some(conn(3))), Located::Open);
    assert_eq!(pending.located(request, None), Located::Open);
    assert_eq!(pending.answered(request, conn(3)), Err(Unmatched::Foreign));
    assert!(pending.answered(request, conn(2)).is_ok());

    let request = pending.open(conn(1), tenant(0), "ada", 5, 100, sought(2));
    assert_eq!(pending.located(request, None), Located::Open);
    assert_eq!(pending.located(request, None), Located::Nobody(closed(request, "ada", None)));
    assert_eq!(pending.located(request, Some(conn(2))), Located::Open, "too late");
    assert!(pending.is_empty());
}

#[test]
fn full_tables_refuse() {
    let mut pending = pending();
    let mut open = |slot| {
        let verdict = pending.check(conn(slot), &tenant(0));
        verdict.map(|()| pending.open(conn(slot), tenant(0), "", 5, 100, Aim::At(conn(9))))
    };
    let [first, second] = [open(1).unwrap(), open(1).unwrap()];
    assert_eq!(open(1), Err(Full::Connection));
    open(2).unwrap();
    assert_eq!(open(2), Err(Full::Shared(NoPlace::Total)));
    assert_eq!(open(1), Err(Full::Connection));
    pending.answered(first, conn(9)).unwrap();
    assert_eq!(pending.check(conn(1), &tenant(0)), Ok(()));
    pending.gone(conn(2), |_| {});
    pending.answered(second, conn(9)).unwrap();
    assert_eq!((pending.len(), pending.is_empty()), (0, true));
}

#[test]
fn a_tenant_that_has_its_share_leaves_room_for_others() {
    let shares = ShareLimits { total: 4, percent: 50 };
    let mut pending = Pending::<(), ()>::new(ShardId(0), PendingLimits { per_connection: 9, shares });
    let mut opened = Vec::new();
    for (number, expected) in [
        (1, Ok(())),
        (1, Ok(())),
        (1, Err(Full::Shared(NoPlace::Share))),
        (2, Ok(())),
        (2, Err(Full::Shared(NoPlace::Share))),
        (3, Ok(())),
        (4, Err(Full::Shared(NoPlace::Total))),
    ] {
        let asker = conn(number as u32);
        assert_eq!(pending.check(asker, &tenant(number)), expected, "{number}");
        if expected.is_ok() {
            opened.push(pending.open(asker, tenant(number), (), 5, 100, Aim::At(conn(9))));
        }
    }
    // Each way out gives the place back.
    pending.answered(opened[0], conn(9)).unwrap();
    pending.gone(conn(2), |_| {});
    while pending.expire(100).is_some() {}
    assert_eq!(pending.check(conn(1), &tenant(1)), Ok(()));
}

#[test]
fn deadlines_are_met_in_their_order() {
    let mut pending = pending();
    for (caller, deadline_ms) in [("late", 300), ("early", 100), ("middle", 200)] {
        pending.open(conn(deadline_ms as u32), tenant(0), caller, 5, deadline_ms, Aim::At(conn(9)));
    }
    assert_eq!((pending.due_ms(), pending.expire(99)), (Some(100), None));
    assert_eq!(pending.expire(200).unwrap().caller, "early");
    assert_eq!(pending.expire(200).unwrap().caller, "middle");
    assert_eq!((pending.expire(200), pending.due_ms()), (None, Some(300)));
}

#[test]
fn strays_are_those_of_nobody_and_those_long_over() {
    let mut pending = pending();
    for (slot, deadline_ms) in [(1, 99), (2, 100), (3, 200)] {
        pending.open(conn(slot), tenant(0), "", 5, deadline_ms, Aim::At(conn(9)));
    }
    assert_eq!(pending.strays(99, |_| true), []);
    assert_eq!(pending.strays(100, |id| id != conn(3)).len(), 2);
    assert_eq!((pending.len(), pending.due_ms()), (1, Some(100)));
}

proptest! {
    /// Against a map: what was opened is closed once, by the first of all that can close it, and limits hold.
    #[test]
    fn every_request_ends_once(seed: u64) {
        const CONNS: u64 = 4;
        let limits =
            PendingLimits { per_connection: 3, shares: ShareLimits { total: 8, percent: 50 } };
        let mut pending = Pending::<u64, ()>::new(ShardId(0), limits);
        let mut prng = Prng::new(seed);
        // Asker, target once there is one, shards that have not said, deadline.
        let mut model: BTreeMap<RequestId, (ConnId, Option<ConnId>, u16, u64)> = BTreeMap::new();
        let mut given = Vec::new();
        for step in 0..500 {
            let (one, other) = (conn(prng.below(CONNS) as u32), conn(prng.below(CONNS) as u32));
            let any = given.get(prng.below(given.len() as u64 + 1) as usize).copied();
            match (prng.below(6), any) {
                (0 | 1, _) => {
                    let tenant_of = |asker: ConnId| tenant(u64::from(asker.slot % 2));
                    let mine = model.values().filter(|(asker, ..)| *asker == one).count();
                    let is_ours = |asker: ConnId| tenant_of(asker) == tenant_of(one);
                    let ours = model.values().filter(|(asker, ..)| is_ours(*asker)).count();
                    let left = 8 - (model.len() - ours);
                    let expected = match mine {
                        3 => Err(Full::Connection),
                        _ if model.len() == 8 => Err(Full::Shared(NoPlace::Total)),
                        _ if ours >= left.div_ceil(2) => Err(Full::Shared(NoPlace::Share)),
                        _ => Ok(()),
                    };
                    prop_assert_eq!(pending.check(one, &tenant_of(one)), expected);
                    if expected.is_ok() {
                        let (shards, deadline_ms) = (prng.below(3) as u16, step + prng.below(50));
                        let aim =
                            if shards == 0 { Aim::At(other) } else { Aim::Sought { shards, letter: () } };
                        let request = pending.open(one, tenant_of(one), step, 0, deadline_ms, aim);
                        prop_assert!(!given.contains(&request));
                        given.push(request);
                        model.insert(request, (one, (shards == 0).then_some(other), shards, deadline_ms));
                    }
                }
                (2, Some(request)) => {
                    let expected = match model.get(&request) {
                        Some((_, Some(target), ..)) if *target == one => Ok(()),
                        Some(_) => Err(Unmatched::Foreign),
                        None => Err(Unmatched::Late),
                    };
                    prop_assert_eq!(pending.answered(request, one).map(|_| ()), expected);
                    if expected.is_ok() {
                        model.remove(&request);
                    }
                }
                (3, Some(request)) => {
                    let found = (prng.below(2) == 0).then_some(one);
                    let located = pending.located(request, found);
                    match model.get_mut(&request) {
                        Some((_, target @ None, shards, _)) => match found {
                            Some(conn) => {
                                prop_assert_eq!(located, Located::Found(conn, ()));
                                *target = found;
                            }
                            None if *shards > 1 => {
                                prop_assert_eq!(located, Located::Open);
                                *shards -= 1;
                            }
                            None => {
                                prop_assert!(matches!(located, Located::Nobody(_)));
                                model.remove(&request);
                            }
                        },
                        Some((_, Some(_), ..)) | None => prop_assert_eq!(located, Located::Open),
                    }
                }
                (4, _) if prng.below(4) == 0 => {
                    pending.gone(one, |closed| assert_eq!(model.remove(&closed.request).unwrap().0, one));
                    prop_assert!(model.values().all(|(asker, ..)| *asker != one));
                }
                _ => {
                    while let Some(closed) = pending.expire(step) {
                        prop_assert!(model.remove(&closed.request).unwrap().3 <= step);
                    }
                    prop_assert!(model.values().all(|(.., deadline_ms)| *deadline_ms > step));
                }
            }
            prop_assert_eq!(pending.len(), model.len());
            prop_assert_eq!(pending.due_ms(), model.values().map(|(.., deadline_ms)| *deadline_ms).min());
        }
    }
}
