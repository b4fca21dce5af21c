//! Two listeners: what answers by which, and that one listener answers everything.

use super::{
    harness::{Node, admin_token, config},
    http::{ask, bearer},
};
use crate::{
    engine::Config,
    http::{
        route::{Access, Door, Methods},
        routes::OPERATIONS,
    },
};

#[test]
fn every_path_answers_by_its_door_alone() {
    for admin_apart in [false, true] {
        let mut node = Node::with(Config { admin_apart, ..config(1) });
        for operation in OPERATIONS.iter().filter(|operation| operation.is_public) {
            for (path, door) in
                operation.paths.iter().flat_map(|path| [(path, Door::Public), (path, Door::Admin)])
            {
                let method = if operation.methods == Methods::Post { "POST" } else { "GET" };
                let path = path.replace("{room}", "lobby").replace("{user}", "ada");
                let id = node.accept_at(0, door);
                // Who shows nothing is turned away by what answers, and finds nothing where nothing does.
                let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                let status = ask(&mut node, id, request.as_bytes()).status;
                let is_there = match operation.access {
                    Access::Anyone => true,
                    Access::Client => !admin_apart || door == Door::Public,
                    Access::Metrics | Access::Scope(_) => !admin_apart || door == Door::Admin,
                };
                assert_eq!(status != 404, is_there, "{admin_apart} {door:?} {path}: {status}");
            }
        }
    }
}

#[test]
fn a_connection_keeps_its_door() {
    let mut node = Node::with(Config { admin_apart: true, ..config(1) });
    let admin = bearer(&admin_token());
    let (public, private) = (node.accept_at(0, Door::Public), node.accept_at(0, Door::Admin));
    for _ in 0..3 {
        let request =
            |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{admin}\r\n").into_bytes();
        assert_eq!(ask(&mut node, public, &request("/stats")).status, 404, "whoever asks");
        assert_eq!(ask(&mut node, private, &request("/stats")).status, 200);
        assert_eq!(ask(&mut node, private, &request("/ws")).status, 404);
        assert_eq!(ask(&mut node, public, &request("/ready")).status, 200);
        assert_eq!(ask(&mut node, private, &request("/ready")).status, 200);
    }
}
