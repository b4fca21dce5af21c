//! One run by several processes: the same figures as by one, exactly, and clear ends when one of them goes.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStderr, Command},
};

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use crate::{
    program::{DELIVERIES, LOAD, Outcome, SENT, assert_clean, command, finish, outcome},
    server::{Damage, Fault, Server, SignIn},
};

const SECRET: &str = "known to agents and coordinators";
const CONNECTIONS: usize = 80;

/// A process that waits for coordinators; it ends with the test.
struct Agent {
    child: Child,
    /// Kept open: it writes to it.
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Agent {
    fn start() -> Self {
        Self::start_with(&[], "")
    }

    fn start_with(flags: &[&str], stdin: &str) -> Self {
        let listen = ["agent", "--listen", "127.0.0.1:0"];
        let mut child =
            command().args(listen).args(flags).env("LOADGEN_AGENT_SECRET", SECRET).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("waiting on ").unwrap().to_owned();
        Self { child, stderr, address }
    }

    /// The next line that it writes.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The usual load, by these agents.
fn coordinator(agents: &[Agent], server: &Server, secret: &str) -> Command {
    let addresses: Vec<&str> = agents.iter().map(|agent| agent.address.as_str()).collect();
    let mut command = command();
    command
        .arg("run")
        .args(LOAD)
        .args(["--url", &format!("{}/ws", server.url()), "--agents", &addresses.join(","), "--json", "-"])
        .args(["--drain-timeout", "1s"])
        .env("LOADGEN_AGENT_SECRET", secret);
    command
}

fn assert_whole(outcome: &Outcome) {
    assert_clean(outcome);
    assert_eq!(outcome.number("connections", "opened"), CONNECTIONS as u64);
    let publications = ["sent", "acked"].map(|name| outcome.number("publications", name));
    assert_eq!(publications, [SENT, SENT]);
    let deliveries = ["expected", "delivered", "lost"].map(|name| outcome.number("deliveries", name));
    assert_eq!(deliveries, [DELIVERIES, DELIVERIES, 0]);
    let samples = outcome.json["latency"]["delivery"]["samples"].as_u64();
    assert_eq!(samples, Some(DELIVERIES * 4 / 5), "the warm-up does not count");
}

#[test]
fn two_agents_give_what_one_process_gives_run_after_run() {
    let agents = [Agent::start(), Agent::start()];
    let server = Server::start(SignIn::DevToken, Fault::None);
    for _ in 0..2 {
        let outcome = finish(&mut coordinator(&agents, &server, SECRET), "");
        assert_whole(&outcome);
        let load = &outcome.json["load"];
        assert_eq!((load["agents"].as_u64(), load["threads"].as_u64()), (Some(2), Some(2)));
        let generator = &outcome.json["generator"];
        let told = generator["agents"].as_array().unwrap();
        assert_eq!(told.len(), 2);
        for (agent, told) in agents.iter().zip(told) {
            let name = told["name"].as_str().unwrap();
            assert!(name.starts_with(&agent.address), "{name}");
            assert!(told["memory_bytes"].as_u64() > Some(0), "{name}");
        }
        let threads = generator["threads"].as_array().unwrap().iter();
        let threads: Vec<_> =
            threads.map(|it| (it["agent"].as_u64().unwrap(), it["thread"].as_u64().unwrap())).collect();
        assert_eq!(threads, [(0, 0), (1, 1)]);
    }
    assert_eq!((server.members(), server.closes()), (0, 2 * CONNECTIONS as u64));
}

#[test]
fn an_agent_has_its_own_addresses_and_reads_its_secret_once() {
    let secret = "a secret of some length";
    let agent = |source| Agent::start_with(&["--source", source, "--secret-file", "-"], secret);
    let agents = [agent("127.0.7.1"), agent("127.0.7.2,127.0.7.3")];
    let server = Server::start(SignIn::Secret(secret.to_owned()), Fault::None);
    for _ in 0..2 {
        assert_whole(&finish(&mut coordinator(&agents, &server, SECRET), ""));
    }
    // The first connection of each only looks whether anybody listens; it is from wherever the system takes it.
    let sources = server.sources();
    let of = |last: u8| sources.iter().filter(|source| source.octets() == [127, 0, 7, last]).count();
    assert_eq!([of(1), of(2), of(3)], [CONNECTIONS, CONNECTIONS / 2, CONNECTIONS / 2], "two runs");
}

#[test]
fn what_a_server_loses_is_counted_over_all_agents() {
    let agents = [Agent::start(), Agent::start()];
    let server = Server::start(SignIn::DevToken, Fault::Deliveries(Damage::Lose));
    let outcome = finish(&mut coordinator(&agents, &server, SECRET), "");
    assert_eq!(outcome.code, 1, "{}", outcome.text);
    assert!(server.faults() > 0);
    let deliveries = ["expected", "delivered", "lost"].map(|name| outcome.number("deliveries", name));
    assert_eq!(deliveries, [DELIVERIES, DELIVERIES - server.faults(), server.faults()]);
}

#[test]
fn an_agent_obeys_only_who_knows_its_secret() {
    let mut agents = [Agent::start()];
    let server = Server::start(SignIn::DevToken, Fault::None);
    let stranger = finish(&mut coordinator(&agents, &server, "guessed by a stranger"), "");
    assert_eq!(stranger.code, 3, "{}", stranger.text);
    let expected = format!("agent {}: it ended the connection before it said anything", agents[0].address);
    assert!(stranger.text.contains(&expected), "{}", stranger.text);
    assert!(agents[0].line().ends_with("a coordinator\n"));
    assert!(agents[0].line().ends_with("does not know the agent's secret\n"));
    assert_whole(&finish(&mut coordinator(&agents, &server, SECRET), ""));
}

#[test]
fn a_run_without_one_of_its_agents_is_none() {
    let mut agents = [Agent::start(), Agent::start()];
    let server = Server::start(SignIn::DevToken, Fault::None);
    let running = coordinator(&agents, &server, SECRET).args(["--duration", "1m"]).spawn().unwrap();
    server.wait_for_members(CONNECTIONS);
    agents[1].child.kill().unwrap();
    let outcome = outcome(running);
    assert_eq!(outcome.code, 3, "{}", outcome.text);
    let expected = format!("loadgen: agent {}: it has gone", agents[1].address);
    assert!(outcome.text.contains(&expected), "{}", outcome.text);
    // The one that is left can be used again.
    server.wait_for_members(0);
    assert_whole(&finish(&mut coordinator(&agents[..1], &server, SECRET), ""));
}

#[test]
fn agents_close_everything_when_their_coordinator_has_gone() {
    let agents = [Agent::start(), Agent::start()];
    let server = Server::start(SignIn::DevToken, Fault::None);
    let mut running = coordinator(&agents, &server, SECRET).args(["--duration", "1m"]).spawn().unwrap();
    server.wait_for_members(CONNECTIONS);
    running.kill().unwrap();
    running.wait().unwrap();
    server.wait_for_members(0);
    assert_eq!(server.closes(), CONNECTIONS as u64, "they say good-bye");
    assert_whole(&finish(&mut coordinator(&agents, &server, SECRET), ""));
}
