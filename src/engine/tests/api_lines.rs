//! Streams of messages: a line each, answered by a line each while they are still coming.

use serde_json::Value;

use super::{
    api::{ask, key, with_key},
    client::Client,
    harness::{Flow, Node, Side},
    http::{bearer, request},
};
use crate::{base::ConnId, model::Scope};

/// A stream's beginning.
pub(super) fn begin(node: &mut Node, id: ConnId) {
    let head = format!(
        "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\n{}Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
        bearer(&key())
    );
    node.receive(id, head.as_bytes());
}

pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

pub(super) fn line(number: usize) -> String {
    format!("{{\"room\":\"a\",\"payload\":{number},\"messageId\":\"{number}\"}}\n")
}

/// The lines in chunks that have come, and whether the last chunk has.
pub(super) fn results(text: &str) -> (Vec<Value>, bool) {
    let (mut lines, mut rest) = (String::new(), text);
    while !rest.is_empty() {
        let (size, behind) = rest.split_once("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("in hexadecimal");
        lines.push_str(&behind[..size]);
        rest = behind[size..].strip_prefix("\r\n").expect("a chunk's end");
        if size == 0 {
            assert_eq!(rest, "", "behind the end");
            return (parse(&lines), true);
        }
    }
    (parse(&lines), false)
}

fn parse(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What has come, less the head.
pub(super) fn first_results(node: &mut Node, id: ConnId) -> (Vec<Value>, bool) {
    let text = node.take_text(id);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.starts_with(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"
        ),
        "{head}"
    );
    results(body)
}

pub(super) fn node(shards: u16) -> (Node, Client, ConnId) {
    let mut node = Node::with(with_key(shards, &[Scope::Publish], &["acme"]));
    let mut member = Client::connect(&mut node, shards - 1, "ada", "acme");
    member.join(&mut node, "a");
    let id = node.accept(0);
    (node, member, id)
}

pub(super) fn leave(mut node: Node, ids: &[ConnId]) {
    ids.iter().for_each(|id| node.hang_up(*id, true));
    // Rooms remember for a while which messages were repeats.
    node.advance(3_700_000);
    node.assert_empty();
}

#[test]
fn each_line_is_answered_while_the_next_is_still_to_come() {
    for shards in [1, 3] {
        let (mut node, mut member, id) = node(shards);
        begin(&mut node, id);
        assert_eq!(node.take_text(id), "", "nothing to say yet");
        node.receive(id, chunk(&line(1)).as_bytes());
        let (told, is_over) = first_results(&mut node, id);
        assert_eq!((told.len(), is_over), (1, false));
        assert_eq!(
            (&told[0]["line"], &told[0]["success"], &told[0]["messageId"]),
            (&1.into(), &true.into(), &"1".into())
        );
        assert_eq!(member.json(&mut node).len(), 1);
        // Half a line waits for its other half; blank lines count and are not answered.
        node.receive(id, chunk(&line(2)[..9]).as_bytes());
        assert_eq!(node.take_text(id), "");
        node.receive(
            id,
            chunk(&format!("{}\n \r\nnonsense\n{}", &line(2)[9..], line(6).trim_end())).as_bytes(),
        );
        let (told, _) = results(&node.take_text(id));
        let seen: Vec<_> = told
            .iter()
            .map(|told| (told["line"].as_u64().unwrap(), told["success"].as_bool().unwrap()))
            .collect();
        assert_eq!(seen, [(2, true), (5, false)]);
        assert_eq!(told[1]["error"]["code"], "bad_request");
        // The last line needs no end. Afterwards the connection goes on.
        node.receive(id, b"0\r\n\r\n");
        let (told, is_over) = results(&node.take_text(id));
        assert_eq!((told.len(), &told[0]["line"], is_over), (1, &6.into(), true));
        assert_eq!(member.json(&mut node).len(), 2);
        assert_eq!(ask(&mut node, id, &request("/live", "")).status, 200);
        leave(node, &[id, member.id]);
    }
}

#[test]
fn results_come_in_the_order_of_lines_however_the_stream_is_cut() {
    let body: String = (1..=60)
        .map(|number| match number % 5 {
            0 => "[]\n".to_owned(),
            1 => line(number).replace("\"a\"", "\"nobody\""),
            _ => line(number),
        })
        .collect();
    let chunked: String =
        body.as_bytes().chunks(37).map(|part| chunk(std::str::from_utf8(part).unwrap())).collect();
    let stream = format!("{chunked}0\r\n\r\n");
    let mut expected = None;
    for size in [1, 5, 64, 1_000, stream.len()] {
        let (mut node, mut member, id) = node(3);
        begin(&mut node, id);
        for part in stream.as_bytes().chunks(size) {
            node.receive(id, part);
        }
        let (told, is_over) = first_results(&mut node, id);
        assert!(is_over);
        let numbers: Vec<_> = told.iter().map(|told| told["line"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=60).collect::<Vec<_>>(), "{size}");
        let heard: Vec<_> =
            member.json(&mut node).iter().map(|event| event["payload"].as_u64().unwrap()).collect();
        assert_eq!(heard, (1..=60).filter(|number| number % 5 > 1).collect::<Vec<_>>(), "{size}");
        let outcome: Vec<_> = told.iter().map(|told| told["success"].clone()).collect();
        assert_eq!(*expected.get_or_insert(outcome.clone()), outcome);
        leave(node, &[id, member.id]);
    }
}

#[test]
fn what_waits_is_bounded_and_goes_on_when_answers_come() {
    let (mut node, member, id) = node(3);
    let home = (0..3).find(|shard| !node.engines[usize::from(*shard)].home.is_empty()).unwrap();
    let id = if home == 0 { node.accept(1) } else { id };
    begin(&mut node, id);
    node.deaf = vec![home];
    let many: String = (1..=1_100).map(line).collect();
    for part in many.as_bytes().chunks(16_000) {
        node.receive(id, chunk(std::str::from_utf8(part).unwrap()).as_bytes());
    }
    let asked = node.lanes.get(&(id.shard.0, home, false)).map_or(0, std::collections::VecDeque::len);
    assert_eq!(asked, 1_024, "lines on their way");
    node.deaf.clear();
    node.settle();
    node.receive(id, b"0\r\n\r\n");
    let (told, is_over) = first_results(&mut node, id);
    assert_eq!((told.len(), is_over), (1_100, true));
    leave(node, &[id, member.id]);
}

#[test]
fn a_sender_that_never_reads_its_results_is_left_alone_and_cut_off() {
    let (mut node, member, id) = node(1);
    begin(&mut node, id);
    node.flow(id, Flow::Blocked);
    let part = chunk(&(1..=200).map(line).collect::<String>());
    let mut sent = 0;
    while node.sockets[&id].unread.len() < 1 << 20 {
        node.receive(id, part.as_bytes());
        sent += part.len();
        assert!(node.engines[0].store.bytes() < 2 << 20);
    }
    assert!(sent < 4 << 20, "{sent} bytes were sent, and most of them taken");
    node.advance(29_000);
    assert_eq!(node.side(id), Side::Open);
    // His time, and that for a close.
    node.advance(7_000);
    assert_eq!(node.side(id), Side::Closed);
    leave(node, &[member.id]);
}

#[test]
fn a_line_that_is_too_long_spoils_no_other() {
    let (mut node, mut member, id) = node(2);
    begin(&mut node, id);
    node.receive(id, chunk(&line(1)).as_bytes());
    for _ in 0..9 {
        node.receive(id, chunk(&"x".repeat(8 * 1024)).as_bytes());
    }
    node.receive(id, chunk(&format!("\n{}", line(3))).as_bytes());
    node.receive(id, b"0\r\n\r\n");
    let (told, is_over) = first_results(&mut node, id);
    assert!(is_over);
    let seen: Vec<_> =
        told.iter().map(|told| (told["line"].as_u64().unwrap(), told["error"]["code"].as_str())).collect();
    assert_eq!(seen, [(1, None), (2, Some("too_large")), (3, None)]);
    assert_eq!(member.json(&mut node).len(), 2);
    leave(node, &[id, member.id]);
}

#[test]
fn a_broken_stream_is_refused_before_its_first_result_and_cut_off_after_it() {
    let (mut node, member, id) = node(1);
    begin(&mut node, id);
    node.receive(id, b"nonsense\r\n");
    assert!(node.take_text(id).starts_with("HTTP/1.1 400 "));
    node.hang_up(id, false);
    let id = node.accept(0);
    begin(&mut node, id);
    node.receive(id, chunk(&line(1)).as_bytes());
    assert_eq!(first_results(&mut node, id).0.len(), 1);
    node.receive(id, b"nonsense\r\n");
    assert_eq!((node.take_text(id).as_str(), node.side(id)), ("", Side::Shut), "no last chunk");
    leave(node, &[id, member.id]);
}

#[test]
fn a_stream_may_be_silent_for_a_while() {
    for begun in [false, true] {
        let (mut node, member, id) = node(1);
        begin(&mut node, id);
        for number in 0..3 {
            node.advance(29_000);
            if begun {
                node.receive(id, chunk(&line(number)).as_bytes());
            } else {
                node.receive(id, chunk("{").as_bytes());
            }
            assert_eq!(node.side(id), Side::Open);
        }
        let before = node.take_text(id);
        node.advance(31_000);
        assert_eq!(node.side(id), Side::Shut);
        let said = node.take_text(id);
        assert_eq!((before.is_empty(), said.starts_with("HTTP/1.1 408 ")), (!begun, !begun), "{said}");
        leave(node, &[id, member.id]);
    }
}

#[test]
fn a_stream_without_lines_is_answered_without_lines() {
    for body in ["Content-Length: 0\r\n\r\n", "Content-Length: 2\r\n\r\n\n\n"] {
        let (mut node, member, id) = node(1);
        let head = format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\n{}Content-Type: application/x-ndjson\r\n{body}",
            bearer(&key())
        );
        node.receive(id, head.as_bytes());
        assert_eq!(first_results(&mut node, id), (Vec::new(), true));
        assert_eq!(ask(&mut node, id, &request("/live", "")).status, 200);
        leave(node, &[id, member.id]);
    }
}

/// More than twice as many lines as wait at once, all of them there before the first result leaves.
#[test]
fn lines_that_came_at_once_are_all_answered() {
    for shards in [1, 3] {
        for (text, blank) in [("x\n".to_owned(), true), (line(1), false)] {
            let (mut node, mut member, id) = node(shards);
            begin(&mut node, id);
            node.receive(id, chunk(&text.repeat(5_000)).as_bytes());
            assert_eq!(first_results(&mut node, id).0.len(), 5_000, "{shards} shards, broken {blank}");
            node.receive(id, b"0\r\n\r\n");
            assert_eq!(node.take_text(id), "0\r\n\r\n");
            member.json(&mut node);
            leave(node, &[id, member.id]);
        }
    }
}

/// What a stream's head said before the drain does not keep the node from ending.
#[test]
fn a_stream_or_refusal_that_ends_in_a_drain_ends_the_connection() {
    for streams in [true, false] {
        let drain = crate::engine::DrainConfig { announce_ms: 0, timeout_ms: 30_000, per_second: 20 };
        let config = crate::engine::Config { drain, ..with_key(1, &[Scope::Publish], &["acme"]) };
        let mut node = Node::with(config);
        let id = node.accept(0);
        if streams {
            begin(&mut node, id);
            node.receive(id, chunk(&line(1)).as_bytes());
        } else {
            let head = format!(
                "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\n{}Content-Length: 2\r\n\r\n{{",
                bearer(&key())
            );
            node.receive(id, head.as_bytes());
        }
        node.drain();
        node.advance(1_000);
        assert_eq!(node.side(id), Side::Open, "what is under way is answered");
        node.receive(id, if streams { b"0\r\n\r\n" } else { b"}" });
        assert_eq!(node.side(id), Side::Shut, "streams: {streams}");
        node.hang_up(id, false);
        assert_eq!(node.drained, [0]);
    }
}
