//! A server that goes away in the middle of a run, and comes back or does not: what a phase is about is no failure, all else is.

use std::time::Duration;

use sonic_rs::JsonValueTrait;

use crate::{
    program::{Folder, Outcome, assert_clean, loadgen, scenario},
    server::{Fault, Server, SignIn},
};

/// The server goes away at the 100th message, which is 0.5 s after publishing began.
const PHASES: &str = r#"
[[phase]]
name = "before"
kind = "steady"
duration = "300ms"

[[phase]]
name = "deploy"
kind = "steady"
duration = "1800ms"
DISCONNECTS

[[phase]]
name = "after"
kind = "steady"
duration = "500ms"
"#;

fn run(disconnects: &str, away: Option<Duration>) -> Outcome {
    let server = Server::start(SignIn::Token("good".to_owned()), Fault::Restart { at_message: 100, away });
    let folder = Folder::new("deploy");
    let file = folder.put(
        "small.toml",
        &scenario("comes_back = \"constant 20ms\"", &PHASES.replace("DISCONNECTS", disconnects)),
    );
    let url = format!("{}/ws", server.url());
    let slo = ["--slo", "deploy.outage_max<30s", "--slo", "loss==0"];
    let outcome = loadgen(&[&["--scenario", &file, "--url", &url, "--token", "good"], &slo[..]].concat(), "");
    assert_eq!((server.faults(), outcome.number("connections", "dropped")), (1, 20), "{}", outcome.text);
    assert!(outcome.number("connections", "failed") > 0, "{}", outcome.text);
    assert_eq!(outcome.number("deliveries", "silent"), 0, "{}", outcome.text);
    outcome
}

const AWAY: Duration = Duration::from_millis(400);

#[test]
fn a_restart_that_was_announced_is_no_failure_and_is_told() {
    let outcome = run("disconnects = \"expected\"", Some(AWAY));
    assert_clean(&outcome);
    assert_eq!(outcome.number("connections", "missing"), 0);
    let outage = &outcome.json["latency"]["outage"];
    assert_eq!(outage["samples"].as_u64(), Some(20), "{}", outcome.text);
    // Who is cut a moment before the server has stopped listening is away as long as it.
    assert!(outage["p50_us"].as_f64() >= Some(AWAY.as_secs_f64() * 0.9e6), "{outage}");
    assert!(outcome.text.contains("of these expected in deploy: "), "{}", outcome.text);
}

#[test]
fn one_that_was_not_announced_fails_the_run() {
    let outcome = run("", Some(AWAY));
    assert_eq!(outcome.code, 1, "{}", outcome.text);
    let problems = outcome.problems();
    assert!(problems.len() == 2 && problems[0].starts_with("connections failed: "), "{problems:?}");
    assert_eq!(problems[1], "connections dropped: 20");
}

#[test]
fn a_server_that_does_not_come_back_fails_the_run_even_so() {
    let outcome = run("disconnects = \"expected\"", None);
    assert_eq!(outcome.code, 1, "{}", outcome.text);
    let problems = outcome.problems();
    // Dials that failed when the phase was over are failures.
    let after = outcome.json["phases"][3]["counts"]["failed"].to_string();
    assert_eq!(problems[0].replace(',', ""), format!("connections failed: {after}"));
    assert_eq!(problems[1], "connections that were ended and not back at the end: 20");
}
