//! One order for all: several publishers on several shards send into one room as fast as they can, and every member
//! sees every message once, in the same order.

use std::{collections::BTreeMap, thread};

use ringway::shell::driver::Driver;
use serde_json::Value;

use crate::support::{Gateway, Socket, Start, text_frame, token::token};

on_both_drivers!(every_member_sees_one_order, full_mailboxes_delay_and_lose_nothing);

const SHARDS: usize = 4;
const MEMBERS_PER_SHARD: usize = 3;
const MESSAGES: usize = 500;

fn every_member_sees_one_order(driver: Driver) {
    let gateway = Start::on(driver).shards(SHARDS as u16).start();
    all_see_one_order(&gateway);
}

/// What one read brings is more than a mailbox holds: senders wait, and nothing else changes.
fn full_mailboxes_delay_and_lose_nothing(driver: Driver) {
    let gateway = Start::on(driver).shards(SHARDS as u16).set("limits.mailbox_parcels", 64).start();
    all_see_one_order(&gateway);
    let full = |shard| gateway.metric(&format!(r#"websocket_mailbox_full_total{{shard="{shard}"}}"#));
    let times: f64 = (0..SHARDS).map(full).sum();
    assert!(times > 0.0, "no mailbox was ever full: the test shows nothing");
}

fn all_see_one_order(gateway: &Gateway) {
    let mut members = members_on_all_shards(gateway);
    for member in &mut members {
        member.join("lobby");
    }
    // One of each shard publishes, and is a member like the others: with `echo` it sees its own messages too.
    let readers: Vec<_> = members
        .into_iter()
        .enumerate()
        .map(|(number, member)| thread::spawn(move || take_part(member, number)))
        .collect();
    let seen: Vec<Vec<(usize, usize)>> =
        readers.into_iter().map(|reader| reader.join().expect("a member that fails has said why")).collect();

    let order = &seen[0];
    assert_eq!(order.len(), SHARDS * MESSAGES);
    for (member, other) in seen.iter().enumerate() {
        assert!(other == order, "member {member} saw another order than member 0");
    }
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for (publisher, number) in order {
        let expected = next.entry(*publisher).or_default();
        assert_eq!(number, expected, "of publisher {publisher}: lost, repeated or out of order");
        *expected += 1;
    }
    assert!(next.values().all(|count| *count == MESSAGES), "{next:?}");
    assert_eq!(gateway.metric(r#"websocket_dropped_total{reason="outbox_full"}"#), 0.0);
    let deliveries = (SHARDS * MESSAGES * SHARDS * MEMBERS_PER_SHARD) as f64;
    let sent = gateway.metric(r#"websocket_messages_sent_total{type="room:message",protocol="json"}"#);
    assert_eq!(sent, deliveries);
}

/// The kernel chooses the shard of a connection: connects until every shard has its members, in turns.
fn members_on_all_shards(gateway: &Gateway) -> Vec<Socket> {
    let mut by_shard: Vec<Vec<Socket>> = (0..SHARDS).map(|_| Vec::new()).collect();
    for number in 0.. {
        let mut socket = Socket::with_token(gateway.address, &token(&format!("user-{number}"), "acme"));
        let shard = Socket::shard_of(&socket.expect("connection:established"));
        if by_shard[shard].len() < MEMBERS_PER_SHARD {
            by_shard[shard].push(socket);
        }
        if by_shard.iter().all(|members| members.len() == MEMBERS_PER_SHARD) {
            break;
        }
        assert!(number < 1000, "some shard gets no connections");
    }
    by_shard.into_iter().flatten().collect()
}

/// What a publisher sends differs in more than its number: space and escapes that must survive.
fn payload(publisher: usize, number: usize) -> String {
    let space = " ".repeat(number % 7);
    format!(r#"{{"p" :{space}{publisher},{space}"n":{number} , "text":"\u00e9é\n\\" }}"#)
}

/// Publishes, if it is the first of its shard, and reads everything that is published; (publisher, number) each.
fn take_part(mut member: Socket, number: usize) -> Vec<(usize, usize)> {
    if number % MEMBERS_PER_SHARD == 0 {
        let publisher = number / MEMBERS_PER_SHARD;
        let message = |number| {
            let payload = payload(publisher, number);
            text_frame(&format!(r#"{{"type":"room:send","room":"lobby","echo":true,"payload":{payload}}}"#))
        };
        member.write((0..MESSAGES).flat_map(message).collect::<Vec<u8>>());
    }
    let mut seen = Vec::new();
    while seen.len() < SHARDS * MESSAGES {
        let text = member.text();
        let message: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(message["type"], "room:message", "{text}");
        let field = |name: &str| message["payload"][name].as_u64().expect("a number") as usize;
        let (publisher, number) = (field("p"), field("n"));
        assert!(text.contains(&payload(publisher, number)), "not byte for byte: {text}");
        seen.push((publisher, number));
    }
    seen
}
