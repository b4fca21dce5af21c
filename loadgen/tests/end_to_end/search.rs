//! `--find-max` against servers whose limit is known: so many members, or so many deliveries in a run.

use std::time::Duration;

use sonic_rs::{JsonContainerTrait, JsonValueTrait, Value};

use crate::{
    program::loadgen,
    server::{Fault, Server, SignIn},
};

/// What was found in a load for which each run takes 200 ms, and what people were told.
fn find_max(fault: Fault, flags: &[&str]) -> (Value, String) {
    let server = Server::start(SignIn::DevToken, fault);
    let url = server.url();
    let usual = ["--warmup", "0", "--duration", "200ms", "--url", &url, "--quiet"];
    let outcome = loadgen(&[&usual[..], flags].concat(), "");
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    assert!(server.faults() > 0);
    let last = outcome.json["tried"].as_array().unwrap().last().unwrap();
    assert!(last["confirming"].as_bool() == Some(true) && last["held"].as_u64() >= Some(4), "{last}");
    (outcome.json, outcome.text)
}

fn load(found: &Value) -> (f64, f64) {
    (found["load"].as_f64().unwrap(), found["broken"].as_f64().unwrap())
}

#[test]
fn the_most_connections_are_found_to_the_last_one() {
    let flags = ["--mode", "idle", "--conns", "2", "--slo", "failed==0", "--find-max", "conns"];
    let (found, _) = find_max(Fault::Full { members: 3 }, &flags);
    assert_eq!(load(&found), (3.0, 4.0), "{found}");
    assert_eq!(found["end"].as_str(), Some("target"), "{found}");
}

/// One room in which one connection publishes. What is past the limit waits for twice what is allowed.
const ONE_ROOM: [&str; 6] = ["--rooms", "1", "--publishers", "1", "--slo", "max<500ms"];

#[test]
fn the_highest_rate_of_a_server_that_gets_slow_past_it_is_found() {
    // Four connections: three deliveries a message. 40 messages in 200 ms are 200/s.
    let fault = Fault::SlowPast { deliveries: 40 * 3, hold: Duration::from_secs(1) };
    let flags = ["--conns", "4", "--rate", "170", "--find-max", "rate"];
    let (found, text) = find_max(fault, &[&ONE_ROOM[..], &flags].concat());
    let (held, broken) = load(&found);
    assert!(held <= 200.0 && broken > 200.0 && broken <= held * 1.05, "{found}");
    assert!(text.contains("with 95 % confidence it holds in at least"), "{text}");
}

#[test]
fn the_most_connections_of_a_server_that_gets_slow_past_them_are_found() {
    // 20 messages in 200 ms, each to all but its publisher: 13 connections have 240 deliveries.
    let fault = Fault::SlowPast { deliveries: 20 * 12, hold: Duration::from_secs(1) };
    let flags = ["--conns", "10", "--rate", "100", "--find-max", "conns"];
    let (found, _) = find_max(fault, &[&ONE_ROOM[..], &flags].concat());
    assert_eq!(load(&found), (13.0, 14.0), "{found}");
}
