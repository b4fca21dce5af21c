//! A sound scenario, and each of the ways in which one is not.

use super::*;
use crate::scenario::{Arrivals, Disconnects, Protocol, Publish, Reconnect, Rooms};

fn sound() -> Scenario {
    let role = |name: &str, share: f64, publish: Option<Publish>| Role {
        name: name.to_owned(),
        share,
        rooms: 1,
        publish,
        presence: None,
        reconnect: None,
        reading: Reading::Quick,
    };
    let phase = |name: &str, kind, measured| Phase {
        name: name.to_owned(),
        kind,
        duration: Duration::from_secs(10),
        measured,
        disconnects: Disconnects::Failures,
    };
    Scenario {
        name: "sound".to_owned(),
        about: String::new(),
        protocol: Protocol::Json,
        seed: 1,
        connections: 100,
        rooms: Rooms { count: 10, pick: Pick::Even },
        roles: vec![
            role(
                "talker",
                0.1,
                Some(Publish {
                    pace: Pace::Together { per_s: 5.0, arrivals: Arrivals::Even },
                    size: Size::Fixed(128),
                }),
            ),
            role("listener", 0.9, None),
        ],
        phases: vec![
            phase("ramp", PhaseKind::Ramp { share: 1.0, per_s: 100.0 }, false),
            phase("steady", PhaseKind::Steady, true),
        ],
        drain_timeout: Duration::from_secs(10),
        comes_back: None,
        closed: false,
    }
}

/// What is said of the sound scenario after a change, as `place key what`.
fn flaws(change: impl Fn(&mut Scenario)) -> Vec<String> {
    let mut scenario = sound();
    change(&mut scenario);
    check(&scenario).into_iter().map(|Flaw { at, key, what }| format!("{at:?} {key} {what}")).collect()
}

#[test]
fn a_sound_scenario_has_no_flaws() {
    assert_eq!(flaws(|_| {}), Vec::<String>::new());
    assert_eq!(flaws(|it| it.roles[0].share += 9e-7), Vec::<String>::new(), "decimals that have no end");
}

#[test]
fn each_flaw_is_told_with_its_value_and_what_is_allowed() {
    type Row = (&'static str, fn(&mut Scenario));
    let rows: &[Row] = &[
        ("Top name is \"a b\"; it must be 1 to 32 letters, digits, - and _", |it| it.name = "a b".to_owned()),
        ("Top connections is 0; it must be 1 to 4000000", |it| it.connections = 0),
        ("Rooms rooms.count is 0; it must be 1 to 4000000", |it| {
            it.rooms.count = 0;
            it.roles.iter_mut().for_each(|role| role.rooms = 0);
        }),
        ("Rooms rooms.pick has the exponent 5; it must be above 0 and at most 4", |it| {
            it.rooms.pick = Pick::Zipf(5.0);
        }),
        ("Top role is there 0 times; 1 to 64 are needed", |it| it.roles.clear()),
        ("Top role shares add up to 95 %; they must add up to 100 %", |it| it.roles[0].share = 0.05),
        ("Role(0) share is 0; it must be above 0 and at most 1 (100 %)", |it| it.roles[0].share = 0.0),
        ("Role(1) share is NaN; it must be above 0 and at most 1 (100 %)", |it| it.roles[1].share = f64::NAN),
        ("Role(1) name is that of another role", |it| it.roles[1].name = "talker".to_owned()),
        ("Role(1) rooms is 11; it may be 10 at most, as there are no more", |it| it.roles[1].rooms = 11),
        ("Role(0) publish.rate is 0; it must be above 0 and at most 1000000000", |it| {
            it.roles[0].publish.as_mut().unwrap().pace =
                Pace::Together { per_s: 0.0, arrivals: Arrivals::Even };
        }),
        ("Role(0) publish.think is 0ns; it must be 1ns to 604800s", |it| {
            it.roles[0].publish.as_mut().unwrap().pace = Pace::Each(ThinkTime::Constant(Duration::ZERO));
        }),
        ("Role(0) publish.size is 4096..128, which begins after its end", |it| {
            it.roles[0].publish.as_mut().unwrap().size = Size::Uniform(4_096, 128);
        }),
        ("Role(0) publish.size has no weight above 0", |it| {
            it.roles[0].publish.as_mut().unwrap().size = Size::Weighted(vec![(128, 0.0)]);
        }),
        ("Role(0) publish.size has a weight that is below 0 or above 10^12", |it| {
            it.roles[0].publish.as_mut().unwrap().size = Size::Weighted(vec![(128, -1.0), (64, 2.0)]);
        }),
        ("Role(1) presence has nobody to tell: the role joins no rooms", |it| {
            it.roles[1].rooms = 0;
            it.roles[1].presence = Some(ThinkTime::Constant(Duration::from_secs(1)));
        }),
        ("Role(1) reconnect.stay is 0ns; it must be 1ns to 604800s", |it| {
            let none = ThinkTime::Exponential(Duration::ZERO);
            it.roles[1].reconnect =
                Some(Reconnect { every: none, away: none, how: crate::scenario::Leave::Cut });
        }),
        ("Role(1) reading is 0; it must be above 0", |it| {
            it.roles[1].reading = Reading::Slow { bytes_per_s: 0 }
        }),
        ("Top phase is there 0 times; 1 to 64 are needed", |it| it.phases.clear()),
        ("Phase(0) kind must be \"ramp\" in the first phase: nobody is connected before", |it| {
            it.phases.remove(0);
        }),
        ("Top phase is measured for 0ns; 10ms are needed", |it| it.phases[1].measured = false),
        ("Phase(1) duration is 0ns; it must be 1ms to 604800s", |it| {
            it.phases[0].measured = true;
            it.phases[1].duration = Duration::ZERO;
        }),
        ("Phase(1) name is that of another phase", |it| it.phases[1].name = "ramp".to_owned()),
        ("Phase(1) upto is 1, where a ramp before has come", |it| {
            it.phases[1].kind = PhaseKind::Ramp { share: 1.0, per_s: 1.0 };
        }),
        ("Phase(1) cut is 1.5; it must be above 0 and at most 1", |it| {
            it.phases[1].kind = PhaseKind::Storm { share: 1.5, per_s: 0.0 };
        }),
        ("Phase(1) times is 0; it must be above 0 and at most 1000", |it| {
            it.phases[1].kind = PhaseKind::Spike { rate: 0.0 };
        }),
        ("Phase(0) disconnects may not be \"expected\" in a ramp: first dials are not repeated", |it| {
            it.comes_back = Some(ThinkTime::Constant(Duration::ZERO));
            it.phases[0].disconnects = Disconnects::Expected;
        }),
        (
            "Phase(1) disconnects is \"expected\", and nobody comes back: say after what time (comes_back)",
            |it| it.phases[1].disconnects = Disconnects::Expected,
        ),
        ("Phase(1) keep is 1; it must be at least 0 and below 1 (100 %)", |it| {
            it.phases[1].kind = PhaseKind::Drain { share: 1.0 };
        }),
    ];
    for (expected, change) in rows {
        assert_eq!(flaws(change), [*expected]);
    }
}

#[test]
fn sizes_are_those_that_payloads_can_have() {
    for bytes in [payload::BYTES_MIN - 1, payload::BYTES_MAX + 1] {
        let found = flaws(|it| it.roles[0].publish.as_mut().unwrap().size = Size::Fixed(bytes));
        assert!(
            found.len() == 1 && found[0].contains(&format!("publish.size is {bytes}; it must be")),
            "{found:?}"
        );
    }
}

#[test]
fn all_flaws_are_told_at_once() {
    let found = flaws(|it| {
        it.connections = 0;
        it.roles[0].share = 2.0;
        it.phases[1].duration = Duration::ZERO;
    });
    assert_eq!(found.len(), 4, "{found:?}");
}
