//! What the help says beyond the flags, in 100 columns.

use crate::slo::grammar::GRAMMAR;

/// Flags that the help of the program itself shows.
pub(super) const MOST_USED: [&str; 17] = [
    "scenario",
    "mode",
    "conns",
    "rooms",
    "rate",
    "payload",
    "duration",
    "url",
    "protocol",
    "secret_file",
    "slo",
    "find_max",
    "pid",
    "json",
    "html",
    "help",
    "version",
];

pub(super) const PROGRAM: &str = "\
Examples:
  loadgen                                      10,000 connections, about 50,000 deliveries/s
  loadgen --conns 2000 --rate 2000 --duration 1m
  loadgen --scenario chat --html chat.html
  loadgen --slo 'p99<5ms' --slo 'loss==0'      exit status 2 when one is broken
  loadgen --slo 'p99<5ms' --find-max rate      the highest rate that keeps it
  loadgen --protocol nchan --url ws://other.example:8081/pubsub
  loadgen compare before.json after.json

Every delivery is accounted for: lost, duplicate, reordered, corrupt and misrouted ones show, by
publisher. Latency counts from the time at which a message was due, so that a delay that holds up
the sender shows in full.

All flags, tokens and exit codes: loadgen run --help";

/// Of `run`: what its flags can say at length.
pub(super) fn run() -> String {
    let slos: String = GRAMMAR.lines().map(|line| format!("  {line}\n")).collect();
    format!("{RUN}SLOs:\n{slos}\n{RUN_END}")
}

const RUN: &str = "\
Modes:
  fanout  join a room each; some publish; every delivery is checked
  churn   as fanout, while half of the listeners come and go; those that stay must lose nothing
  echo    send to a path that answers every message with itself (/echo); no token, no rooms
  idle    join a room each, answer heartbeats, and hold still

Protocols:
  json              Ringway's JSON v1             nchan       a URL per room: /pubsub/{room}
  relay             Ringway's relay v1 (binary)   pusher      protocol 7 (Soketi, Sockudo)
  socketio          Socket.IO 5, by WebSocket     centrifugo  Centrifugo's JSON protocol
  socketio-polling  the same by long-polling      echo        any path that sends everything back

";

const RUN_END: &str = "\
Examples:
  loadgen run --scenario chat --conns 2000 --duration 5m --html chat.html
  loadgen run --mode idle --conns 50000 --threads 2 --source 10.0.0.2-10.0.0.4
  loadgen run --mode churn --churn-rate 500 --pid $(pidof ringway)
  loadgen run --mode echo --conns 64 --rate 20000 --payload 64
  loadgen run --scenario deploy --url ws://10.0.0.5/ws --url ws://10.0.0.6/ws --secret-file jwt.key
  loadgen run --slo 'p99<5ms' --slo 'loss==0' --find-max conns
  ringway token mint --user me | loadgen run --token-file - --conns 100

A scenario is scaled by --conns, --rooms, --rate, --payload and --duration: rooms keep their size
when only the connections change, roles and phases keep their parts of the rate and the duration.

Tokens come from the first of: --token, --token-file, --secret, --secret-file, --key-file, the
environment (RINGWAY_AUTH__JWT_SECRET, JWT_SECRET), and GET /dev/token of a gateway that runs
without a secret outside production.

Exit status:
  0  every check passed, every SLO holds
  1  a delivery was lost, duplicated, reordered, corrupt, misrouted or unexpected, a publication
     refused, not acked or withheld, a connection failed, was dropped or did not come back, a member
     heard nothing, or nothing was measured; unless an SLO with <, <= or == allows that count
  2  an SLO is broken (and no check failed)
  3  there was no run, or it was interrupted (and nothing else is wrong); of several runs the worst
     decides: 1, then 2, then 3";

pub(super) const COMPARE: &str = "\
Examples:
  loadgen compare before.json after.json
  loadgen compare before-*.json vs after-*.json    repeated runs: what differs by chance shows

One run on each side shows nothing of how runs differ by chance. Make several: --runs 5 --json FILE";

pub(super) const AGENT: &str = "\
Examples:
  loadgen agent --listen 10.0.0.7:7070             on each machine that is to make load
  loadgen agent --source 10.0.0.7-10.0.0.9         with addresses of its own, for more connections
  loadgen run --agents 10.0.0.7:7070,10.0.0.8:7070 on the one that leads";
