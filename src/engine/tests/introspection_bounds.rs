//! Opaque tokens, many of them: what one address leaves to others, what those leave who have gone, and what a reload
//! makes of answers that are under way.

use std::sync::Arc;

use super::{
    client::{Client, upgrade_request},
    harness::{Node, config_with},
    introspection::{BAD, GOOD, Way, introspection, knock, node, said},
};
use crate::{
    auth::{
        Introspection,
        introspection::{FieldPath, Fields},
    },
    base::ConnId,
    engine::{Input, Policy},
    metrics::Table,
};

/// A connection from an address that shows a token in a header.
fn knock_from(node: &mut Node, peer: &str, token: &str) -> ConnId {
    let id = node.accept_from(0, peer.parse().unwrap());
    node.receive(id, &upgrade_request("/ws", &format!("Authorization: Bearer {token}\r\n")));
    id
}

#[test]
fn one_address_leaves_others_room_to_be_looked_up() {
    let mut node = node();
    let refused = |node: &mut Node, id| said(node, id).first().map(|answer| answer.status);
    // How many are looked up until one is refused; of one subscriber, whatever address he takes.
    let fill = |node: &mut Node, net: &str| {
        let mut taken = 0;
        loop {
            let token = format!("{taken}|{}", net.replace(':', "-"));
            let id = knock_from(node, &format!("{net}::{taken:x}"), &token);
            if refused(node, id).is_some() {
                node.hang_up(id, true);
                return taken;
            }
            taken += 1;
        }
    };
    let count = |node: &mut Node| {
        let metrics = node.engines[0].metrics_mut();
        (metrics.share_full.get(Table::Introspection), metrics.table_full.get(Table::Introspection))
    };
    let loud = fill(&mut node, "2001:db8:0:1");
    assert_eq!((loud, count(&mut node)), (257, (1, 0)));
    let id = knock_from(&mut node, "192.0.2.1", "7|abc");
    assert_eq!(refused(&mut node, id), None);
    assert_eq!(fill(&mut node, "2001:db8:0:2"), 192);
    // However many come with all that they have, it is bounded.
    let all: usize = (3..33).map(|n| fill(&mut node, &format!("2001:db8:0:{n}"))).sum();
    assert_eq!(all + loud + 1 + 192, 1_026);
    let id = knock_from(&mut node, "192.0.2.2", "8|abc");
    assert_eq!(refused(&mut node, id), Some(503));
    assert!(count(&mut node).1 > 0);
    // What is answered makes room.
    node.answer_call(BAD);
    let id = knock_from(&mut node, "192.0.2.2", "8|abc");
    assert_eq!(refused(&mut node, id), None);
}

/// Who goes at once and comes again keeps nobody from being looked up.
#[test]
fn those_who_have_gone_take_no_room() {
    let mut node = node();
    for n in 0..10_000 {
        let id = knock(&mut node, Way::Header, &format!("{n}|t"));
        node.hang_up(id, true);
    }
    assert!(node.engines[0].introspections.queue_len() <= 2_048);
    // Nor does one who comes again with the same.
    for _ in 0..3_000 {
        let id = knock(&mut node, Way::Header, "again|t");
        node.hang_up(id, true);
    }
    assert!(node.engines[0].introspections.queue_len() <= 2_048);
    let id = knock(&mut node, Way::Header, "7|abc");
    assert_eq!(node.take_text(id), "");
    while node.answer_call(GOOD) != "7|abc" {}
    assert_eq!(Client::of(&mut node, id).types(&mut node), ["connection:established"]);
}

/// Two servers may say the same in different words.
#[test]
fn an_answer_counts_only_by_the_settings_it_was_asked_by() {
    let mut node = node();
    let path = |text| FieldPath::parse(text).unwrap();
    let waits = knock(&mut node, Way::Header, "7|abc");
    let other = Introspection {
        url: "http://other/".into(),
        fields: Fields { user: path("tenant_id"), tenant: path("id"), ..introspection().fields },
        ..introspection()
    };
    let config = config_with(1, |policy| policy.introspection = Some(Arc::new(other)));
    let now = node.now;
    node.engines[0].handle(Input::Reload(config.policy), now);
    // Who comes now with the same token waits for the same.
    let behind = knock(&mut node, Way::Header, "7|abc");
    assert_eq!((node.calls.len(), &*node.calls[0].2.url), (1, "http://backend/api/user"));
    node.answer_call(GOOD);
    assert_eq!(node.take_text(waits), "");
    assert_eq!((node.calls.len(), &*node.calls[0].2.url), (1, "http://other/"));
    assert_eq!(node.answer_call(Ok((200, r#"{"id":"globex","tenant_id":"bob"}"#))), "7|abc");
    for id in [waits, behind] {
        let heard = Client::of(&mut node, id).json(&mut node);
        assert_eq!((&heard[0]["userId"], &heard[0]["tenantId"]), (&"bob".into(), &"globex".into()));
    }
    // Whoever has gone is not asked about anew.
    let gone = knock(&mut node, Way::Header, "8|abc");
    node.hang_up(gone, true);
    let policy = node.engines[0].config.policy.clone();
    let again = Arc::new(Policy { introspection: Some(Arc::new(introspection())), ..(*policy).clone() });
    node.engines[0].handle(Input::Reload(again), now);
    node.answer_call(GOOD);
    assert!(node.calls.is_empty());
    for id in [waits, behind] {
        node.hang_up(id, true);
    }
    node.assert_empty();
}
