//! Leaving gently.

use super::{
    client::{Client, close, upgrade_request},
    harness::{Flow, Node, Side, config},
    http::{answers, ask, request},
};
use crate::engine::{Config, DrainConfig, Input, NodeFacts};

fn node(shards: u16, drain: DrainConfig) -> Node {
    Node::with(Config { drain, ..config(shards) })
}

fn quick() -> DrainConfig {
    DrainConfig { announce_ms: 0, timeout_ms: 30_000, per_second: 20 }
}

#[test]
fn nobody_there_is_over_at_once() {
    for announce_ms in [0, 5_000] {
        let mut node = node(2, DrainConfig { announce_ms, ..quick() });
        node.drain();
        assert_eq!((&node.stopped_accepting[..], &node.drained[..]), (&[0, 1][..], &[0, 1][..]));
        node.drain();
        node.advance(60_000);
        assert_eq!((node.stopped_accepting.len(), node.drained.len()), (2, 2));
    }
}

/// The kernel would go on sending clients to the doors of all shards.
#[test]
fn a_shard_with_nobody_keeps_its_doors_open_while_there_is_somebody_on_another() {
    let mut node = node(2, DrainConfig { announce_ms: 5_000, ..quick() });
    let ada = Client::connect(&mut node, 0, "ada", "acme");
    let now = node.now;
    for (engine, other_connections) in node.engines.iter_mut().zip([0, 1]) {
        engine.handle(Input::Facts(NodeFacts { other_connections, ..NodeFacts::default() }), now);
    }
    node.drain();
    node.advance(4_900);
    let late = node.accept(1);
    assert_eq!(ask(&mut node, late, &request("/ready", "")).status, 503);
    node.hang_up(late, false);
    assert!(node.stopped_accepting.is_empty());
    node.advance(200);
    assert_eq!((&node.stopped_accepting[..], &node.drained[..]), (&[0, 1][..], &[1][..]));
    node.receive(ada.id, &close(1000));
    assert_eq!(node.drained, [1, 0]);
}

#[test]
fn clients_are_told_then_closed_at_a_pace() {
    let mut node = node(1, quick());
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
    node.drain();
    assert_eq!(node.stopped_accepting, [0]);
    let mut waits = Vec::new();
    for client in &mut clients {
        let told = client.json(&mut node).remove(0);
        assert_eq!((&told["type"], &told["reason"]), (&"system:restart".into(), &"drain".into()));
        waits.push(told["reconnectIn"].as_u64().unwrap());
    }
    let (first, last) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!(
        *first >= 500 && *last <= 3_500 && last - first > 1_000,
        "{first} to {last}: spread over the drain"
    );
    let mut closed_after = Vec::new();
    for step in 1..=100 {
        node.advance(50);
        for client in &mut clients {
            if client.side(&node) == Side::Open && !node.sockets[&client.id].peek().is_empty() {
                assert_eq!(client.close_code(&mut node), Some(1012));
                closed_after.push(step);
                node.receive(client.id, &close(1012));
                assert_eq!(client.side(&node), Side::Closed);
            }
        }
    }
    assert_eq!(closed_after.len(), 40);
    assert!((35..=45).contains(closed_after.last().unwrap()), "20 a second: {closed_after:?}");
    assert_eq!(node.drained, [0]);
    node.assert_empty();
}

/// Also one that is not a whole number a step.
#[test]
fn a_slow_pace_is_kept() {
    for (per_second, clients) in [(3, 12), (30, 60)] {
        let mut node = node(1, DrainConfig { per_second, ..quick() });
        let clients: Vec<Client> =
            (0..clients).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
        node.drain();
        for client in &clients {
            node.take(client.id);
        }
        for seconds in 1..=2 {
            node.advance(1_000);
            let closed = clients.iter().filter(|client| !node.sockets[&client.id].peek().is_empty()).count();
            assert_eq!(closed as u64, seconds * per_second, "after {seconds} s at {per_second} a second");
        }
    }
}

#[test]
fn the_pace_rises_when_time_would_not_suffice() {
    let mut node = node(1, DrainConfig { timeout_ms: 3_000, per_second: 1, ..quick() });
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
    node.drain();
    node.advance(2_100);
    for client in &mut clients {
        let (_, code) = client.closed(&mut node);
        assert_eq!(code, Some(1012));
        node.receive(client.id, &close(1012));
    }
    assert_eq!(node.drained, [0], "before the end");
}

/// Without a pace the clients are spread over the time that there is, not over hours.
#[test]
fn without_a_pace_the_drain_takes_its_time() {
    let mut node = node(1, DrainConfig { per_second: 0, ..quick() });
    // Two for each step that there is.
    let mut clients: Vec<Client> = (0..1_160).map(|_| Client::connect(&mut node, 0, "ada", "acme")).collect();
    node.drain();
    let mut waits: Vec<u64> = Vec::new();
    for client in &mut clients {
        waits.push(client.json(&mut node)[0]["reconnectIn"].as_u64().unwrap());
    }
    let last = *waits.iter().max().unwrap();
    assert!((10_000..=31_000).contains(&last), "{last}");
    node.advance(14_500);
    let open = clients.iter().filter(|client| node.sockets[&client.id].peek().is_empty()).count();
    assert!((570..590).contains(&open), "{open} of 1160 at half-time");
}

#[test]
fn not_ready_at_once_but_welcoming_until_it_is_announced() {
    let mut node = node(1, DrainConfig { announce_ms: 5_000, ..quick() });
    let mut ada = Client::connect(&mut node, 0, "ada", "acme");
    node.drain();
    let probe = node.accept(0);
    let answer = ask(&mut node, probe, &request("/ready", ""));
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"status":"draining"}"#));
    let probe = node.accept(0);
    let answer = ask(&mut node, probe, &request("/health", ""));
    assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("draining")));
    let probe = node.accept(0);
    assert_eq!(ask(&mut node, probe, &request("/live", "")).status, 200);
    let mut bob = Client::connect(&mut node, 0, "bob", "acme");
    node.advance(4_900);
    assert!(ada.json(&mut node).is_empty() && bob.json(&mut node).is_empty());
    assert!(node.stopped_accepting.is_empty());
    node.advance(200);
    assert_eq!(node.stopped_accepting, [0]);
    assert!([&mut ada, &mut bob].into_iter().all(|it| !it.heard(&mut node).is_empty()));
}

#[test]
fn an_upgrade_during_the_drain_is_refused() {
    let mut node = node(1, quick());
    let id = node.accept(0);
    let _stays = Client::connect(&mut node, 0, "ada", "acme");
    // Accepted in the same turn, before the shell let go of the listener.
    let late = node.accept(0);
    node.drain();
    for id in [id, late] {
        if node.side(id) == Side::Open {
            let answer = ask(&mut node, id, &upgrade_request("/ws", ""));
            assert_eq!((answer.status, answer.header("Connection")), (503, Some("close")));
            assert_eq!(answer.json()["error"]["code"], "unavailable");
        }
    }
    assert!(node.engines[0].metrics.rejected.get(crate::metrics::Reject::Draining) >= 1);
}

/// Who had connected when the doors closed may have a request on its way.
#[test]
fn who_comes_between_has_a_second_for_a_request() {
    let mut node = node(1, quick());
    let stays = Client::connect(&mut node, 0, "ada", "acme");
    let now = node.now;
    node.engines[0].handle(Input::Drain, now);
    let [asks, silent] = [(); 2].map(|()| node.accept(0));
    node.settle();
    node.advance(900);
    let answer = ask(&mut node, asks, &request("/ready", ""));
    assert_eq!((answer.status, answer.header("Connection")), (503, Some("close")));
    node.hang_up(asks, false);
    assert_eq!(node.side(silent), Side::Open);
    node.advance(200);
    assert_eq!(node.side(silent), Side::Closed);
    node.receive(stays.id, &close(1000));
    assert_eq!(node.drained, [0]);
}

#[test]
fn a_shard_is_not_over_before_its_doors_are_closed() {
    let mut node = node(1, quick());
    let now = node.now;
    node.engines[0].handle(Input::Drain, now);
    let late = node.accept(0);
    node.settle();
    assert!(node.drained.is_empty());
    assert_eq!(ask(&mut node, late, &request("/ready", "")).status, 503);
    node.hang_up(late, false);
    assert_eq!(node.drained, [0]);
}

#[test]
fn requests_under_way_are_answered_and_nothing_is_kept() {
    let mut node = node(2, quick());
    let waiting = node.accept(0);
    let idle = node.accept(0);
    let slow = node.accept(0);
    assert_eq!(ask(&mut node, idle, &request("/live", "")).status, 200);
    node.flow(slow, Flow::Bytes(10));
    node.receive(slow, &request("/live", ""));
    node.deaf = vec![1];
    node.receive(waiting, &request("/health", ""));
    node.drain();
    node.advance(500);
    assert_eq!(node.side(idle), Side::Closed);
    node.deaf = vec![];
    node.settle();
    let answer = answers(&node.take_text(waiting), 0).remove(0);
    assert_eq!((answer.status, answer.header("Connection")), (503, Some("close")));
    assert_eq!(node.side(waiting), Side::Shut);
    while node.writable(slow) {
        node.settle();
    }
    assert_eq!(answers(&node.take_text(slow), 0)[0].status, 200, "an answer that was begun is finished");
    node.hang_up(waiting, false);
    if node.side(slow) != Side::Closed {
        node.hang_up(slow, false);
    }
    assert_eq!(node.drained.len(), 2);
}

#[test]
fn at_the_end_of_the_time_everything_ends() {
    let mut node = node(2, DrainConfig { timeout_ms: 5_000, ..quick() });
    let mut clients: Vec<Client> =
        (0..20).map(|it| Client::connect(&mut node, it % 2, "ada", "acme")).collect();
    for client in &mut clients {
        client.join(&mut node, "lobby");
        node.flow(client.id, Flow::Blocked);
    }
    node.drain();
    node.advance(4_900);
    assert!(node.drained.is_empty());
    node.advance(200);
    assert!(clients.iter().all(|client| client.side(&node) == Side::Closed));
    assert_eq!(node.drained.len(), 2);
    node.assert_empty();
    assert_eq!(node.drained.len(), 2, "said once");
}

#[test]
fn who_leaves_alone_ends_the_drain_early() {
    let mut node = node(2, quick());
    let clients: Vec<Client> = (0..2).map(|shard| Client::connect(&mut node, shard, "ada", "acme")).collect();
    node.drain();
    assert!(node.drained.is_empty());
    node.hang_up(clients[1].id, false);
    node.receive(clients[0].id, &close(1000));
    assert_eq!(node.drained, [1, 0]);
}

/// The echo endpoint never says what it was not told.
#[test]
fn echo_connections_hear_the_close_only() {
    let mut node = node(1, quick());
    let mut echo = Client::upgrade(&mut node, 0, "/echo", "");
    node.drain();
    node.advance(100);
    assert_eq!(echo.close_code(&mut node), Some(1012));
}
