//! Presence over real sockets: who is in a room, over several shards and connections, and that no end leaves a ghost.

use ringway::shell::driver::Driver;
use serde_json::{Value, json};

use crate::support::{Socket, Start};

on_both_drivers!(members_know_of_each_other, no_end_leaves_a_ghost);

const JOIN: &str = r#""type":"room:join","room":"lobby""#;
const QUERY: &str = r#""type":"query:presence","room":"lobby""#;

fn listen(socket: &mut Socket) {
    assert_eq!(socket.call(JOIN)["success"], true);
    socket.expect("room:joined");
}

/// User, connections and status of each.
fn users(ack: &Value) -> Vec<Value> {
    let infos = ack["presence"].as_array().expect("a page");
    infos.iter().map(|info| json!([info["userId"], info["connections"], info["status"]])).collect()
}

fn members_know_of_each_other(driver: Driver) {
    let gateway = Start::on(driver).shards(3).start();
    let mut ada = gateway.socket("ada", "acme");
    listen(&mut ada);
    let mut bobs: Vec<Socket> = (0..4).map(|_| gateway.socket("bob", "acme")).collect();
    bobs.iter_mut().for_each(|bob| drop(bob.join("lobby")));
    let joined = ada.expect("presence:join");
    assert_eq!((&joined["room"], &joined["user"]["userId"]), (&"lobby".into(), &"bob".into()));
    assert_eq!((&joined["user"]["connections"], &joined["user"]["status"]), (&1.into(), &"online".into()));
    assert!(joined["user"]["since"].as_u64() > Some(1_700_000_000_000), "Unix ms: {joined}");

    let said = bobs[3].call(r#""type":"presence:status","status":"busy","metadata":{ "in" : 1 }"#);
    assert_eq!(said["success"], true, "{said}");
    let update = ada.expect("presence:update");
    let info = &update["presence"][0];
    assert_eq!((&info["status"], &info["metadata"]), (&"busy".into(), &json!({"in": 1})), "{update}");
    let expected = [json!(["ada", 1, "online"]), json!(["bob", 4, "busy"])];
    assert_eq!(users(&ada.call(QUERY)), expected);
    assert_eq!(users(&bobs[0].call(QUERY)), expected);
    let page = ada.call(&format!(r#"{QUERY},"limit":1"#));
    assert_eq!((users(&page), &page["next"]), (expected[..1].to_vec(), &"ada".into()));
    assert_eq!(users(&ada.call(&format!(r#"{QUERY},"after":"ada""#))), expected[1..]);

    bobs.pop();
    assert_eq!(ada.expect("presence:update")["presence"][0]["status"], "online");
    drop(bobs);
    assert_eq!(ada.expect("presence:leave")["userId"], "bob");
}

/// A goodbye, a half-closed stream, a reset, a broken frame: the others hear of each.
fn no_end_leaves_a_ghost(driver: Driver) {
    let gateway = Start::on(driver).shards(3).start();
    let mut ada = gateway.socket("ada", "acme");
    listen(&mut ada);
    for end in ["close", "end", "reset", "nonsense", "leave"] {
        let mut guest = gateway.socket(end, "acme");
        guest.join("lobby");
        assert_eq!(ada.expect("presence:join")["user"]["userId"], end);
        match end {
            "close" => guest.write([0x88, 0x80, 0, 0, 0, 0]),
            "reset" => guest.reset_on_drop(),
            "nonsense" => guest.write([0xff; 16]),
            "leave" => drop(guest.call(r#""type":"room:leave","room":"lobby""#)),
            _ => {}
        }
        if end == "end" || end == "reset" {
            drop(guest);
        }
        assert_eq!(ada.expect("presence:leave")["userId"], end);
    }
    assert_eq!(users(&ada.call(QUERY)), [json!(["ada", 1, "online"])]);
}
