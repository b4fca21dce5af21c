//! Scenario files as people write them, and what they are told of their mistakes.

use super::*;
use crate::scenario::{Leave, ThinkTime};

const WHOLE: &str = r#"
name = "whole"
about = "Every key there is"
protocol = "relay"
seed = 7
connections = 2_000
drain_timeout = "5s"
comes_back = "exponential 500ms"
closed = true

[rooms]
count = 40
pick = "zipf 1.1"

[[role]]
name = "talker"
share = "10 %"
rooms = 3
publish = { rate = "500/s", arrivals = "poisson", size = { 64 = 7, 256 = 2.5, "4 KiB" = 0.5 } }
presence = "exponential 1m"

[[role]]
name = "mobile"
share = 0.4
publish = { think = "constant 20s", size = "64..4096" }
reconnect = { stay = "exponential 2m", away = "constant 5s", how = "cut" }

[[role]]
name = "slow"
share = "50 %"
rooms = 1
reading = "64 KiB/s"

[[phase]]
kind = "ramp"
upto = "50 %"
rate = "1000/s"
patience = "30s"

[[phase]]
name = "rest"
kind = "ramp"
measured = true

[[phase]]
name = "warm-up"
kind = "steady"
duration = "3s"
measured = false

[[phase]]
kind = "storm"
cut = "80 %"
rate = "at once"
duration = "30s"

[[phase]]
kind = "spike"
times = 5
duration = "10s"
disconnects = "expected"

[[phase]]
kind = "drain"
keep = "20 %"
duration = "1m"
"#;

const SMALL: &str = r#"
[[role]]
name = "all"
share = 1
publish = { rate = 10, size = 128 }
[[phase]]
kind = "ramp"
[[phase]]
kind = "steady"
duration = "20s"
"#;

/// What is said of a text, a line each.
fn problems(text: &str) -> Vec<String> {
    let problems = read("some/chat.toml", text, 1).unwrap_err();
    problems
        .to_string()
        .lines()
        .map(|line| line.strip_prefix("some/chat.toml:").unwrap().to_owned())
        .collect()
}

#[test]
fn every_key_is_read() {
    let seconds = Duration::from_secs;
    let role = |name: &str, share, rooms| Role {
        name: name.to_owned(),
        share,
        rooms,
        publish: None,
        presence: None,
        reconnect: None,
        reading: Reading::Quick,
    };
    let phase = |name: &str, kind, duration, measured| Phase {
        name: name.to_owned(),
        kind,
        duration,
        measured,
        disconnects: Disconnects::Failures,
    };
    let expected = Scenario {
        name: "whole".to_owned(),
        about: "Every key there is".to_owned(),
        protocol: Protocol::Relay,
        seed: 7,
        connections: 2_000,
        rooms: Rooms { count: 40, pick: Pick::Zipf(1.1) },
        roles: vec![
            Role {
                publish: Some(Publish {
                    pace: Pace::Together { per_s: 500.0, arrivals: Arrivals::Poisson },
                    size: Size::Weighted(vec![(64, 7.0), (256, 2.5), (4_096, 0.5)]),
                }),
                presence: Some(ThinkTime::Exponential(seconds(60))),
                ..role("talker", 0.1, 3)
            },
            Role {
                publish: Some(Publish {
                    pace: Pace::Each(ThinkTime::Constant(seconds(20))),
                    size: Size::Uniform(64, 4_096),
                }),
                reconnect: Some(Reconnect {
                    every: ThinkTime::Exponential(seconds(120)),
                    away: ThinkTime::Constant(seconds(5)),
                    how: Leave::Cut,
                }),
                ..role("mobile", 0.4, 1)
            },
            Role { reading: Reading::Slow { bytes_per_s: 65_536 }, ..role("slow", 0.5, 1) },
        ],
        phases: vec![
            phase("ramp", PhaseKind::Ramp { share: 0.5, per_s: 1_000.0 }, seconds(30), false),
            phase("rest", PhaseKind::Ramp { share: 1.0, per_s: 2_000.0 }, RAMP_PATIENCE, true),
            phase("warm-up", PhaseKind::Steady, seconds(3), false),
            phase("storm", PhaseKind::Storm { share: 0.8, per_s: 0.0 }, seconds(30), true),
            Phase {
                disconnects: Disconnects::Expected,
                ..phase("spike", PhaseKind::Spike { rate: 5.0 }, seconds(10), true)
            },
            phase("drain", PhaseKind::Drain { share: 0.2 }, seconds(60), true),
        ],
        drain_timeout: seconds(5),
        comes_back: Some(ThinkTime::Exponential(Duration::from_millis(500))),
        closed: true,
    };
    assert_eq!(read("whole.toml", WHOLE, 1), Ok(expected));
}

#[test]
fn a_short_file_is_enough() {
    let scenario = read("some/place/my load.toml", SMALL, 99).unwrap();
    assert_eq!(
        (scenario.name.as_str(), scenario.seed),
        ("my_load", 99),
        "the file's name; the seed that is given"
    );
    assert_eq!((scenario.connections, scenario.rooms.count), (10_000, 100));
    assert_eq!((scenario.protocol, scenario.closed, scenario.comes_back), (Protocol::Json, false, None));
}

#[test]
fn a_wrong_key_is_told_with_its_line_and_what_was_meant() {
    // what is written in place of a line, what is said
    let rows = [
        (
            r#"share = "10 %""#,
            r#"shar = "10 %""#,
            "17: role \"talker\": there is no key \"shar\"; did you mean \"share\"?",
        ),
        ("seed = 7", "sed = 7", "5: there is no key \"sed\"; did you mean \"seed\"?"),
        (
            "seed = 7",
            "x = 7",
            "5: there is no key \"x\"; there are: name, about, protocol, seed, connections, drain_timeout, comes_back, closed, rooms, role, phase",
        ),
        (
            r#"pick = "zipf 1.1""#,
            r#"pik = "even""#,
            "13: there is no key \"rooms.pik\"; did you mean \"pick\"?",
        ),
        (
            r#"rate = "500/s","#,
            r#"rate = "500/s", siz = 3,"#,
            "19: role \"talker\": there is no key \"publish.siz\"; did you mean \"size\"?",
        ),
        (
            "times = 5",
            "times = 5\ncut = 1",
            "60: phase 5: there is no key \"cut\"; there are: name, kind, measured, duration, disconnects, times",
        ),
        (
            r#"kind = "spike""#,
            r#"kind = "spik""#,
            "58: phase 5: kind is \"spik\"; it must be \"ramp\", \"steady\", \"storm\", \"spike\" or \"drain\"",
        ),
        (
            r#"disconnects = "expected""#,
            r#"disconnects = "fine""#,
            "61: phase 5: disconnects is \"fine\"; it must be \"failures\" or \"expected\"",
        ),
        (
            r#"rate = "500/s","#,
            r#"rate = "fast","#,
            "19: role \"talker\": publish.rate is \"fast\"; it must be a rate such as \"500/s\", \"30/min\" or 500 (per second)",
        ),
        (
            r#"rate = "500/s","#,
            "",
            "19: role \"talker\": publish.rate is missing, and so is \"think\": say \"rate\" (all together) or \"think\" (each for itself)",
        ),
        (
            r#"rate = "500/s","#,
            r#"rate = 5, think = "constant 1s","#,
            "19: role \"talker\": publish.think cannot stand beside \"rate\": it is the one or the other",
        ),
        (
            "64 = 7",
            "ten = 7",
            "19: role \"talker\": publish.size has the key \"ten\"; it must be a number of bytes such as 128 or \"4 KiB\"",
        ),
        ("connections = 2_000", "connections = 1.5", "6: connections is \"1.5\"; it must be a whole number"),
        ("connections = 2_000", "connections = [1]", "6: connections must be a whole number"),
        ("connections = 2_000", "connections = 0", "6: connections is 0; it must be 1 to 4000000"),
        ("share = 0.4", "share = 0.3", "15: role shares add up to 90 %; they must add up to 100 %"),
        (
            "share = 0.4",
            "",
            "22: role \"mobile\": share is missing; it must be a share such as \"10 %\" or 0.1",
        ),
        (
            "count = 40",
            "count = 2",
            "18: role \"talker\": rooms is 3; it may be 2 at most, as there are no more",
        ),
        (
            r#"reading = "64 KiB/s""#,
            "reading = 0",
            "32: role \"slow\": reading is \"0\"; it must be \"quick\", or bytes per second such as \"64 KiB/s\"",
        ),
        (
            r#"duration = "1m""#,
            "",
            "63: phase 6: duration is missing; it must be a time such as 500ms, 20s, 2m or 1h",
        ),
        (r#"how = "cut""#, r#"how = "cut"#, "26: invalid basic string"),
    ];
    let mut wrong = Vec::new();
    for (line, other, said) in rows {
        assert!(WHOLE.contains(line), "{line}");
        let found = problems(&WHOLE.replacen(line, other, 1));
        if found.len() != 1 || !found[0].starts_with(said) {
            wrong.push((other, said, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = WHOLE
        .replace("connections = 2_000", "connections = 0")
        .replace("share = 0.4", "share = \"a lot\"")
        .replace("times = 5", "times = 0")
        .replace("keep = ", "leave = ");
    let lines: Vec<String> =
        problems(&text).iter().map(|it| it.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["6", "24", "59", "63", "65"]);
}

#[test]
fn tables_are_tables() {
    let found = problems("role = 3\nphase = [1]\nrooms = \"many\"");
    let said = [
        "1: role must be written as [[role]], once for each",
        "2: phase must be written as [[phase]], once for each",
        "3: rooms must be a table",
    ];
    assert_eq!(found, said);
}

/// The example in the manual is one that can be run, and shows every key that there is.
#[test]
fn the_manual_shows_every_key() {
    let manual = include_str!("../../README.md");
    let (_, example) = manual.split_once("```toml\n").expect("it has an example");
    let (example, _) = example.split_once("```").expect("that ends");
    let read = read("README.md", example, 1).unwrap();
    assert_eq!((read.name.as_str(), read.roles.len(), read.phases.len()), ("example", 4, 7));

    let top: ::toml::Table = example.parse().unwrap();
    let shows = |tables: &[&::toml::Table], keys: &[&str], of: &str| {
        for key in keys {
            assert!(tables.iter().any(|table| table.contains_key(*key)), "{of} {key}");
        }
    };
    let tables = |key: &str| -> Vec<&::toml::Table> {
        top[key].as_array().unwrap().iter().filter_map(|it| it.as_table()).collect()
    };
    let roles = tables("role");
    let inside = |key: &str| -> Vec<&::toml::Table> {
        roles.iter().filter_map(|role| role.get(key)?.as_table()).collect()
    };
    shows(&[&top], &TOP_KEYS, "");
    shows(&[top["rooms"].as_table().unwrap()], &ROOMS_KEYS, "rooms");
    shows(&roles, &ROLE_KEYS, "role");
    shows(&inside("publish"), &PUBLISH_KEYS, "publish");
    shows(&inside("reconnect"), &RECONNECT_KEYS, "reconnect");
    let phases = tables("phase");
    for kind in Kind::ALL {
        let own: Vec<_> =
            phases.iter().copied().filter(|it| it["kind"].as_str() == Some(kind.name())).collect();
        for key in kind.keys() {
            // What several kinds have is shown once.
            let is_only_its = Kind::ALL.iter().filter(|it| it.keys().contains(key)).count() == 1;
            shows(if is_only_its { &own } else { &phases }, &[key], kind.name());
        }
    }
}
