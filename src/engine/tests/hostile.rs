//! Bytes, sockets and clocks without sense: nothing panics, nothing grows without bound, nothing is left, and the
//! next client is served.

use super::{
    client::{Client, close, frame, text, upgrade_request},
    harness::{Flow, Node, Side, token},
    http::{bearer, request},
};
use crate::{base::prng::Prng, ws::Opcode};

/// A conversation that makes sense until `below` says otherwise.
fn conversation(prng: &mut Prng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..prng.below(3) {
        bytes.extend(request(["/health", "/live", "/metrics", "/x"][prng.below(4) as usize], ""));
    }
    let target = ["/ws", "/echo", "/ws?token=bad"][prng.below(3) as usize];
    let lasts_s = [None, Some(30), Some(100)][prng.below(3) as usize];
    let extensions = ["", "Sec-WebSocket-Extensions: permessage-deflate\r\n"][prng.below(2) as usize];
    let token = if target == "/ws" { bearer(&token("ada", "acme", lasts_s)) } else { String::new() };
    bytes.extend(upgrade_request(target, &format!("{token}{extensions}")));
    let room = ["a", "b", "c"][prng.below(3) as usize];
    for _ in 0..prng.below(12) {
        bytes.extend(match prng.below(9) {
            0 => text(&format!(r#"{{"type":"room:join","id":1,"room":"{room}"}}"#)),
            1 => text(&format!(r#"{{"type":"room:send","id":2,"room":"{room}","payload":[1],"echo":true}}"#)),
            2 => text(&format!(r#"{{"type":"room:leave","id":3,"room":"{room}"}}"#)),
            3 => frame(Opcode::Ping, b"x"),
            4 => frame(Opcode::Pong, &[0; 8]),
            5 => frame(Opcode::Binary, &[7; 300]),
            6 => text(&"y".repeat(prng.below(70_000) as usize)),
            7 => close(1000),
            _ => text(r#"{"type":"authenticate","token":"x"}"#),
        });
    }
    bytes
}

fn spoil(bytes: &mut Vec<u8>, prng: &mut Prng) {
    for _ in 0..prng.below(4) {
        let at = prng.below(bytes.len() as u64) as usize;
        match prng.below(3) {
            0 => bytes[at] ^= 1 << prng.below(8),
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, prng.next_u64() as u8),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

fn disturb(node: &mut Node, prng: &mut Prng) {
    let ids: Vec<_> = node.sockets.keys().copied().collect();
    let id = ids[prng.below(ids.len() as u64) as usize];
    if node.side(id) == Side::Closed {
        return;
    }
    match prng.below(12) {
        0 => node.hang_up_only(id, prng.below(2) == 0),
        1 => node.flow(id, Flow::Broken),
        2 => node.flow(id, Flow::Blocked),
        3 => node.flow(id, Flow::Bytes(1 + prng.below(50) as usize)),
        4 => node.flow(id, Flow::Open),
        5 => node.advance(prng.below(40_000)),
        6 => node.step(prng.below(120_000)),
        7 => node.deaf = vec![prng.below(2) as u16],
        8 => node.deaf = vec![],
        _ => drop(node.writable(id)),
    }
}

#[test]
fn nonsense_does_no_harm() {
    for seed in super::harness::seeds(300) {
        println!("seed {seed}");
        let mut prng = Prng::new(seed);
        let mut node = Node::new(2);
        for _ in 0..8 {
            let id = node.accept(prng.below(2) as u16);
            let mut bytes = conversation(&mut prng);
            if prng.below(3) > 0 {
                spoil(&mut bytes, &mut prng);
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let cut = 1 + prng.below(rest.len().min(20_000) as u64) as usize;
                node.receive_only(id, &rest[..cut]);
                rest = &rest[cut..];
                match prng.below(4) {
                    0 => node.settle(),
                    1 => disturb(&mut node, &mut prng),
                    _ => {}
                }
            }
            if prng.below(20) == 0 {
                node.drain();
            }
        }
        node.deaf = vec![];
        node.settle();
        if node.stopped_accepting.is_empty() {
            let mut next = Client::connect(&mut node, 1, "next", "acme");
            next.join(&mut node, "a");
        }
        let ids: Vec<_> = node.sockets.keys().copied().collect();
        for id in ids {
            node.hang_up_only(id, true);
        }
        node.settle();
        node.assert_empty();
    }
}
