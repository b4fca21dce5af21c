//! Clients that end their side first: what they are owed is written, then the connection is over.

use super::{
    client::{Client, Heard, close, frame, text, upgrade_request},
    harness::{Flow, Node, Side, token},
    http::{answers, ask, bearer, request},
};
use crate::{
    base::ConnId,
    metrics::{Disconnect, Dropped, Label},
    ws::Opcode,
};

fn status(node: &mut Node, id: ConnId) -> Vec<u16> {
    answers(&node.take_text(id), 0).iter().map(|answer| answer.status).collect()
}

/// Whether everybody has gone, one of them for this reason.
#[track_caller]
fn assert_ended(node: &mut Node, id: ConnId, reason: Disconnect) {
    assert_eq!(node.side(id), Side::Closed);
    let counted = &node.engines[id.shard.index()].metrics.disconnections;
    assert_eq!(counted.get(reason), 1, "{}", reason.as_str());
    node.assert_empty();
}

/// `printf 'GET /live HTTP/1.1\r\nHost: x\r\n\r\n' | nc -N host port`, whether or not the end comes in the turn of
/// the request, and whether or not the other shards have answered by then.
#[test]
fn whole_requests_are_answered() {
    let all = ["/live", "/health", "/nothing", "/metrics"].map(|path| request(path, "")).concat();
    let behind = [request("/health", ""), b"GET / HTT".to_vec()].concat();
    let rows: [(&[u8], &[u16], Disconnect); 9] = [
        (&request("/live", ""), &[200], Disconnect::Eof),
        (&request("/health", ""), &[200], Disconnect::Eof),
        (&request("/metrics", ""), &[200], Disconnect::Eof),
        (&request("/ws", ""), &[426], Disconnect::Eof),
        (&all, &[200, 200, 404, 200], Disconnect::Eof),
        (&behind, &[200], Disconnect::Eof),
        (b"GET /live HTTP/1.0\r\n\r\n", &[200], Disconnect::HttpDone),
        (&request("/health", "Connection: close\r\n"), &[200], Disconnect::HttpDone),
        (b"nonsense\r\n\r\n", &[400], Disconnect::HttpDone),
    ];
    for (bytes, expected, reason) in rows {
        for (shards, turn_between, late) in
            [(1, false, false), (1, true, false), (3, false, false), (3, true, true), (3, false, true)]
        {
            let name = format!("{:?} {shards} {turn_between} {late}", String::from_utf8_lossy(bytes));
            let mut node = Node::new(shards);
            let id = node.accept(0);
            if late {
                node.deaf = vec![2];
            }
            node.receive_only(id, bytes);
            if turn_between {
                node.settle();
            }
            let before = status(&mut node, id);
            node.hang_up(id, false);
            node.deaf = vec![];
            node.settle();
            assert_eq!([before, status(&mut node, id)].concat(), expected, "{name}");
            assert_ended(&mut node, id, reason);
        }
    }
}

#[test]
fn who_is_owed_nothing_is_gone_at_once() {
    let rows: [(&[u8], usize); 4] = [
        (b"", 0),
        (b"GET /live HT", 0),
        (&request("/live", ""), 1),
        (b"GET /live HTTP/1.1\r\nHost: h\r\n", 0),
    ];
    for (bytes, answered) in rows {
        let mut node = Node::new(1);
        let id = node.accept(0);
        node.receive(id, bytes);
        assert_eq!(status(&mut node, id).len(), answered);
        node.hang_up(id, false);
        assert_eq!(node.take_text(id), "");
        assert_ended(&mut node, id, Disconnect::Eof);
    }
}

/// Without a close frame a WebSocket has broken off, whatever waits for it.
#[test]
fn a_websocket_is_gone_at_once() {
    for (flow, dropped) in [(Flow::Open, 1), (Flow::Blocked, 2)] {
        let mut node = Node::new(2);
        let [mut ada, mut bob] = [0, 1].map(|shard| Client::connect(&mut node, shard, "ada", "acme"));
        ada.join(&mut node, "lobby");
        bob.join(&mut node, "lobby");
        node.flow(ada.id, flow);
        bob.say(&mut node, r#"{"type":"room:send","room":"lobby","payload":1}"#);
        node.take(ada.id);
        node.receive_only(ada.id, &text(r#"{"type":"ping"}"#));
        node.hang_up(ada.id, false);
        assert_eq!(node.take(ada.id), b"");
        assert_eq!(node.engines[0].metrics.dropped.get(Dropped::ConnectionClosed), dropped);
        node.hang_up(bob.id, true);
        assert_ended(&mut node, ada.id, Disconnect::Eof);
    }
}

/// What had been decided before is said to the end.
#[test]
fn last_words_that_wait_for_no_answer_are_written() {
    let rows = [
        (close(1000), 1000, Disconnect::ClientClose),
        (frame(Opcode::Binary, b"x"), 1003, Disconnect::UnsupportedData),
    ];
    for (bytes, code, reason) in rows {
        let mut node = Node::new(1);
        let mut client = Client::connect(&mut node, 0, "ada", "acme");
        node.flow(client.id, Flow::Bytes(1));
        node.receive_only(client.id, &bytes);
        node.hang_up(client.id, false);
        assert_eq!(node.side(client.id), Side::Open);
        while node.writable(client.id) {
            node.settle();
        }
        let heard = client.heard(&mut node);
        assert!(matches!(&heard[..], [Heard::Close(Some((found, _)))] if *found == code), "{heard:?}");
        assert_ended(&mut node, client.id, reason);
    }
}

/// More requests than one outbox has room for responses, and a socket that takes little.
#[test]
fn responses_find_their_way_through_a_narrow_socket() {
    let mut node = Node::new(2);
    let id = node.accept(0);
    node.flow(id, Flow::Bytes(3_000));
    let burst: Vec<u8> = (0..300).flat_map(|_| request("/metrics", "")).collect();
    node.receive_only(id, &burst);
    node.hang_up(id, false);
    node.wait_for_pages();
    while node.writable(id) {
        node.settle();
        node.wait_for_pages();
    }
    assert_eq!(status(&mut node, id), [200; 300]);
    assert_ended(&mut node, id, Disconnect::Eof);
}

#[test]
fn a_client_that_does_not_read_ends_in_any_case() {
    // By going away, or by a deadline: that of the connection, that of a last response.
    for (headers, breaks, reason) in [
        ("", true, Disconnect::Reset),
        ("", false, Disconnect::IdleTimeout),
        ("Connection: close\r\n", true, Disconnect::HttpDone),
        ("Connection: close\r\n", false, Disconnect::HttpDone),
    ] {
        let mut node = Node::new(1);
        let id = node.accept(0);
        node.flow(id, Flow::Bytes(7));
        node.receive_only(id, &request("/live", headers));
        node.hang_up(id, false);
        node.advance(4_900);
        assert_eq!((node.side(id), node.take(id).len()), (Side::Open, 7));
        if breaks {
            node.hang_up(id, true);
        } else {
            node.advance(55_200);
        }
        assert_ended(&mut node, id, reason);
    }
}

/// One who asks for a WebSocket behind a page that takes its time, and then says nothing more, does not become a
/// member of anything.
#[test]
fn an_upgrade_behind_the_end_is_over_as_it_begins() {
    let mut node = Node::new(2);
    let id = node.accept(0);
    node.deaf = vec![1];
    node.receive_only(id, &request("/health", ""));
    node.receive_only(id, &upgrade_request("/ws", &bearer(&token("ada", "acme", None))));
    node.receive_only(id, &text(r#"{"type":"room:join","id":1,"room":"lobby"}"#));
    node.hang_up(id, false);
    assert_eq!(node.side(id), Side::Open);
    node.deaf = vec![];
    node.settle();
    assert!(node.take(id).starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_ended(&mut node, id, Disconnect::Eof);
}

/// The shell reads all sockets before it does what the engine said: the reactor still has the one that ended.
#[test]
fn a_slot_is_not_given_out_before_its_socket_is_closed() {
    let mut node = Node::new(1);
    let (idle, socket) = (node.accept(0), Client::connect(&mut node, 0, "ada", "acme").id);
    node.hang_up_only(idle, false);
    node.hang_up_only(socket, false);
    let next = [node.accept(0), node.accept(0)];
    node.settle();
    assert_eq!((node.side(idle), node.side(socket)), (Side::Closed, Side::Closed));
    for id in next {
        assert_eq!(ask(&mut node, id, &request("/live", "")).status, 200);
    }
}
