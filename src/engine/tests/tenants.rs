//! Nothing crosses from tenant to tenant.

use serde_json::Value;

use super::{client::Client, harness::Node};

#[test]
fn the_same_room_in_two_tenants_is_two_rooms() {
    let mut node = Node::new(3);
    let tenants = ["acme", "other", "default"];
    let mut clients: Vec<(Client, &str)> = Vec::new();
    for shard in 0..3 {
        for tenant in tenants {
            clients.push((Client::connect(&mut node, shard, "ada", tenant), tenant));
        }
    }
    let mut ids = std::collections::BTreeMap::new();
    for (client, tenant) in &mut clients {
        let heard = client.ask(&mut node, r#"{"type":"room:join","id":1,"room":"lobby"}"#);
        let id = heard[0]["roomId"].as_str().unwrap().to_owned();
        assert_eq!(ids.entry(*tenant).or_insert_with(|| id.clone()), &id, "the same on every shard");
    }
    ids.values().for_each(|id| assert_eq!(ids.values().filter(|other| *other == id).count(), 1));
    for sender in 0..clients.len() {
        let tenant = clients[sender].1;
        let message = format!(r#"{{"type":"room:send","room":"lobby","payload":"{tenant}","echo":true}}"#);
        clients[sender].0.say(&mut node, &message);
        for (client, own) in &mut clients {
            let heard = client.json(&mut node);
            let expected: &[Value] = if *own == tenant { &[Value::from(tenant)] } else { &[] };
            let payloads: Vec<Value> = heard.iter().map(|event| event["payload"].clone()).collect();
            assert_eq!(payloads, expected);
        }
    }
}

/// No spelling of a room's name reaches another tenant's.
#[test]
fn a_name_with_a_tenant_in_it_is_only_a_name() {
    let mut node = Node::new(2);
    let mut victim = Client::connect(&mut node, 0, "ada", "acme");
    victim.join(&mut node, "lobby");
    let mut other = Client::connect(&mut node, 1, "eve", "other");
    for room in ["acme/lobby", "acme:lobby", "acme.lobby", "/acme/lobby", "../acme/lobby", "lobby"] {
        other.join(&mut node, room);
        other.say(
            &mut node,
            &format!(r#"{{"type":"room:send","room":"{room}","payload":1,"tenant":"acme"}}"#),
        );
    }
    assert_eq!(victim.json(&mut node), Vec::<Value>::new());
}
