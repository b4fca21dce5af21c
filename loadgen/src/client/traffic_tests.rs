//! Two to four connections, messages by hand: what is sent is delivered well, badly, or not at all.

use std::time::Duration;

use ringway::ws::{Decoder, Input, Item, Limits, Opcode, Role, deflate::Inflater, encode};

use super::*;
use crate::{cli::args::Config, plan::schedule::Arrivals, truth::audit::Balance};

const RUN: u32 = 7;
const SECOND: u64 = 1_000_000_000;

fn config(mode: Mode, conns: u32, publishers: u32) -> Config {
    Config {
        mode,
        conns,
        rooms: 1,
        publishers,
        rate: 10.0,
        payload_bytes: 128,
        arrivals: Arrivals::Even,
        duration: Duration::from_secs(1),
        warmup: Duration::from_secs(1),
        drain_timeout: Duration::ZERO,
        connect_rate: 1.0,
        churn_rate: if mode == Mode::Churn { 1.0 } else { 0.0 },
        threads: 1,
        seed: 1,
    }
}

fn traffic(config: &Config) -> Traffic {
    let names = (0..config.rooms).map(|room| Plan::room_name(RoomId(room))).collect();
    let mut traffic = Traffic::new(config, Plan::new(config), 0, RUN, names);
    let start = Start { at_ns: SECOND, measured_ns: 2 * SECOND..3 * SECOND, members: [config.conns].into() };
    traffic.start(start);
    traffic
}

/// Publishes from slot 0 and gives the payload.
fn publish(traffic: &mut Traffic, due_ns: u64) -> String {
    let mut json = Vec::new();
    traffic.publish(Slot(0), due_ns, &mut json);
    let json = String::from_utf8(json).unwrap();
    let (_, payload) = json.split_once(r#""payload":"#).unwrap();
    payload.strip_suffix('}').unwrap().to_owned()
}

fn delivery(room: &str, payload: &str) -> String {
    format!(
        r#"{{"type":"room:message","id":"x","room":"{room}","from":"u","payload":{payload},"timestamp":1}}"#
    )
}

/// Lets slot 1 hear `payload` in its room.
fn deliver(traffic: &mut Traffic, payload: &str, now_ns: u64) {
    assert_eq!(traffic.hear(Slot(1), &delivery("r0", payload), now_ns), Heard::Nothing);
}

fn balance(books: &Books, plan: &Plan, stayed: impl Fn(Slot) -> bool) -> Balance {
    let mut balance = Balance::default();
    balance.add_members(plan, 0, &books.ledger, &books.published, stayed);
    balance
}

#[test]
fn the_schedule_ends_with_the_measured_phase() {
    let mut traffic = traffic(&config(Mode::Fanout, 2, 2));
    let due: Vec<u64> = std::iter::from_fn(|| traffic.next_due_ns(Slot(1))).collect();
    assert_eq!(due.len(), 10, "every second one of ten per second, for two seconds");
    assert_eq!((due[0], due[9]), (SECOND + SECOND / 10, 3 * SECOND - SECOND / 10));
}

#[test]
fn a_delivery_is_found_in_any_split_of_its_frames() {
    let config = config(Mode::Fanout, 2, 1);
    let (mut inflater, limits) =
        (Inflater::new(), Limits { message_bytes_max: 4096, fragments_max: 8, inflate_ratio_max: 1 });
    let mut frames = Vec::new();
    let mut sender = traffic(&config);
    for number in 0..3 {
        let text = delivery("r0", &publish(&mut sender, 2 * SECOND + number));
        encode::frame(&mut frames, Opcode::Text, text.as_bytes(), false, None);
    }
    for cut in 0..=frames.len() {
        let mut traffic = traffic(&config);
        let mut decoder = Decoder::new(Role::Client, None);
        let (mut first, mut second) = (frames[..cut].to_vec(), frames[cut..].to_vec());
        for part in [&mut first, &mut second] {
            let mut input = Input::new(part);
            while let Some(item) = decoder.next(&mut input, &mut inflater, &limits).unwrap() {
                let Item::Text(text) = item else { panic!("{item:?}") };
                assert_eq!(traffic.hear(Slot(1), text, 2 * SECOND + 500), Heard::Nothing);
            }
        }
        let counts = Counts { delivered: 3, delivered_measured: 3, ..Counts::default() };
        assert_eq!(*traffic.counts(), counts, "cut at {cut}");
        assert_eq!(traffic.latency.max(), 500);
    }
}

#[test]
fn latency_counts_from_the_due_time_and_only_what_was_due_in_the_measured_phase() {
    let mut traffic = traffic(&config(Mode::Fanout, 2, 1));
    let warm = publish(&mut traffic, SECOND);
    let measured = publish(&mut traffic, 2 * SECOND);
    deliver(&mut traffic, &warm, 2 * SECOND + 1);
    deliver(&mut traffic, &measured, 2 * SECOND + 1_000_000);
    let books = traffic.close();
    assert_eq!((books.counts.sent, books.counts.sent_measured), (2, 1));
    assert_eq!((books.counts.delivered, books.counts.delivered_measured), (2, 2));
    assert_eq!(books.latency.len(), 1);
    assert!(books.latency.equivalent(books.latency.max(), 1_000_000));
}

#[test]
fn every_kind_of_bad_delivery_is_counted_as_what_it_is() {
    type Deliver = fn(&mut Traffic, [&str; 3]);
    let in_order: Deliver = |traffic, all| all.iter().for_each(|payload| deliver(traffic, payload, 1));
    let none = Counts { sent: 3, owed: 3, ..Counts::default() };
    // name, what is done with the three messages, what is counted, how many are lost
    let rows: [(&str, Deliver, Counts, u64); 8] = [
        ("well", in_order, Counts { delivered: 3, ..none }, 0),
        (
            "lost",
            |t, [a, _, c]| [a, c].iter().for_each(|p| deliver(t, p, 1)),
            Counts { delivered: 2, ..none },
            1,
        ),
        (
            "duplicated",
            |t, [a, b, c]| [a, b, a, c].iter().for_each(|p| deliver(t, p, 1)),
            Counts { delivered: 3, duplicated: 1, ..none },
            0,
        ),
        (
            "reordered",
            |t, [a, b, c]| [b, c, a].iter().for_each(|p| deliver(t, p, 1)),
            Counts { delivered: 3, reordered: 1, ..none },
            0,
        ),
        (
            "corrupt",
            |t, [a, b, c]| [a, &b.replace(r"\/", "/"), c].iter().for_each(|p| deliver(t, p, 1)),
            Counts { delivered: 2, corrupt: 1, ..none },
            1,
        ),
        (
            "malformed",
            |t, [a, b, _]| {
                [a, b].iter().for_each(|p| deliver(t, p, 1));
                assert_eq!(t.hear(Slot(1), r#"{"type":"room:message""#, 1), Heard::Nothing);
            },
            Counts { delivered: 2, corrupt: 1, ..none },
            1,
        ),
        (
            "misrouted",
            |t, [a, b, c]| {
                [a, b].iter().for_each(|p| deliver(t, p, 1));
                assert_eq!(t.hear(Slot(1), &delivery("r1", c), 1), Heard::Nothing);
            },
            Counts { delivered: 2, misrouted: 1, ..none },
            1,
        ),
        (
            "echoed",
            |t, all| {
                all.iter().for_each(|p| deliver(t, p, 1));
                assert_eq!(t.hear(Slot(0), &delivery("r0", all[0]), 1), Heard::Nothing);
            },
            Counts { delivered: 3, unexpected: 1, ..none },
            0,
        ),
    ];
    for (name, treat, counts, lost) in rows {
        let config = config(Mode::Fanout, 2, 1);
        let mut traffic = traffic(&config);
        let sent = [0, 1, 2].map(|due| publish(&mut traffic, due));
        treat(&mut traffic, [&sent[0], &sent[1], &sent[2]]);
        assert_eq!(*traffic.counts(), counts, "{name}");
        let books = traffic.close();
        let balance = balance(&books, &Plan::new(&config), |_| true);
        assert_eq!((balance.expected, balance.lost), (3, lost), "{name}");
    }
}

#[test]
fn another_run_in_the_room_is_neither_right_nor_wrong() {
    let config = config(Mode::Fanout, 2, 1);
    let mut stranger = Vec::new();
    Codec::new(RUN + 1, 300).write(&mut stranger, Stamp { publisher: 0, seq: 0, at_ns: 0 });
    let mut traffic = traffic(&config);
    deliver(&mut traffic, std::str::from_utf8(&stranger).unwrap(), 1);
    assert_eq!(*traffic.counts(), Counts { foreign: 1, ..Counts::default() });
}

#[test]
fn answers_settle_publications_once() {
    let config = config(Mode::Fanout, 3, 1);
    let mut traffic = traffic(&config);
    let sent = [0, 1, 2].map(|due| publish(&mut traffic, due));
    assert_eq!((traffic.unanswered(), traffic.counts().owed), (3, 6));
    for text in [
        r#"{"type":"ack","id":0,"success":true}"#,
        r#"{"type":"ack","id":0,"success":true}"#,
        r#"{"type":"ack","id":9,"success":true}"#,
        r#"{"type":"ack","id":1,"success":false,"error":{"code":"rate_limited"}}"#,
    ] {
        assert_eq!(traffic.hear(Slot(0), text, 1), Heard::Nothing);
    }
    let counts = *traffic.counts();
    assert_eq!((counts.acked, counts.refused, counts.unexpected, counts.owed), (1, 1, 2, 4));
    assert_eq!(traffic.unanswered(), 1);
    deliver(&mut traffic, &sent[0], 1);
    let books = traffic.close();
    assert_eq!(books.refusals.ranked(), [("rate_limited", 1)]);
    assert_eq!((books.published[0].refused.len(), books.published[0].unacked.len()), (1, 1));
    let balance = balance(&books, &Plan::new(&config), |_| true);
    assert_eq!((balance.expected, balance.delivered, balance.lost), (4, 1, 3));
}

#[test]
fn joins_are_answered() {
    let mut traffic = traffic(&config(Mode::Idle, 2, 0));
    let rows = [
        (r#"{"type":"ack","id":"join","success":true,"room":"r0"}"#, Heard::Joined),
        (
            r#"{"type":"ack","id":"join","success":false,"error":{"code":"forbidden"}}"#,
            Heard::JoinRefused("forbidden".to_owned()),
        ),
        (r#"{"type":"system:error","code":"bad_request","message":"m"}"#, Heard::Nothing),
    ];
    for (text, heard) in rows {
        assert_eq!(traffic.hear(Slot(1), text, 1), heard, "{text}");
    }
    assert_eq!(traffic.close().faults.ranked(), [("bad_request", 1)]);
}

#[test]
fn echoes_are_held_against_their_own_sender() {
    let config = config(Mode::Echo, 2, 2);
    let mut traffic = traffic(&config);
    let mut sent = [Vec::new(), Vec::new()];
    traffic.publish(Slot(0), 1, &mut sent[0]);
    traffic.publish(Slot(1), 2, &mut sent[1]);
    let [first, second] = sent.map(|text| String::from_utf8(text).unwrap());
    for (slot, text) in [(0, &first), (1, &first), (1, &second), (1, &second)] {
        assert_eq!(traffic.hear(Slot(slot), text, 3), Heard::Nothing);
    }
    let counts = *traffic.counts();
    assert_eq!((counts.owed, counts.delivered, counts.misrouted, counts.duplicated), (2, 2, 1, 1));
    let balance = balance(&traffic.close(), &Plan::new(&config), |_| true);
    assert_eq!((balance.expected, balance.lost), (2, 0));
}

#[test]
fn who_comes_and_goes_is_held_to_what_lies_between_its_first_and_last_message() {
    // Slot 3 is the second listener of the room: it churns.
    let config = config(Mode::Churn, 4, 1);
    let plan = Plan::new(&config);
    let churner = (1..4).map(Slot).find(|slot| plan.churns(plan.conn_at(0, *slot))).unwrap();
    let mut traffic = traffic(&config);
    let sent: Vec<String> = (0..10).map(|due| publish(&mut traffic, due)).collect();
    let hear = |traffic: &mut Traffic, number: usize| {
        assert_eq!(traffic.hear(churner, &delivery("r0", &sent[number]), 1), Heard::Nothing);
    };
    hear(&mut traffic, 0);
    traffic.enter_midway(churner);
    for number in [4, 5, 8] {
        hear(&mut traffic, number);
    }
    let books = traffic.close();
    assert_eq!((books.counts.delivered, books.counts.delivered_midway), (0, 4));
    let missed: Vec<(ConnId, u64)> =
        books.midway.iter().map(|(publisher, gaps)| (*publisher, gaps.len())).collect();
    assert_eq!(missed, [(ConnId(0), 2)], "6 and 7, but not what came before 4 or after 8");
}
