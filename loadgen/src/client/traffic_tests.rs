//! A few connections, messages by hand: what is sent is delivered well, badly, or not at all.

use std::{borrow::Cow, time::Duration};

use super::*;
use crate::{
    figures::record::Counts,
    plan::ConnId,
    protocol::{Kind, RoomNames, bare::Bare, json::Json},
    scenario::{
        Arrivals, Disconnects, Leave, Pace, Phase, PhaseKind, Pick, Protocol, Publish, Reconnect, Role,
        Rooms, Size, ThinkTime,
    },
    truth::payload::Style,
};

const RUN: u32 = 7;
const SECOND: u64 = 1_000_000_000;

/// One thread, and what it takes to make it talk.
struct Bench {
    traffic: Traffic,
    plan: Plan,
    speak: Box<dyn Speak>,
    names: Vec<String>,
    codec: Codec,
}

fn scenario(connections: u32, publishers: u32, rooms: u32, closed: bool) -> Scenario {
    let role = |name: &str, count: u32, publishes: bool| Role {
        name: name.to_owned(),
        share: f64::from(count) / f64::from(connections),
        rooms: rooms.min(2),
        publish: publishes.then_some(Publish {
            pace: Pace::Together { per_s: 10.0, arrivals: Arrivals::Even },
            size: Size::Fixed(128),
        }),
        presence: None,
        reconnect: Some(Reconnect {
            every: ThinkTime::Constant(Duration::from_secs(1)),
            away: ThinkTime::Constant(Duration::ZERO),
            how: Leave::Close,
        }),
        reading: Reading::Quick,
    };
    let phase = |name: &str, kind| Phase {
        name: name.to_owned(),
        kind,
        duration: Duration::from_secs(1),
        measured: false,
        disconnects: Disconnects::Failures,
    };
    let mut roles = vec![role("talkers", publishers, true)];
    if connections > publishers {
        roles.push(role("listeners", connections - publishers, false));
    }
    Scenario {
        name: "flags".to_owned(),
        about: String::new(),
        protocol: Protocol::Json,
        seed: 1,
        connections,
        rooms: Rooms { count: rooms, pick: Pick::Even },
        roles,
        phases: vec![
            phase("ramp", PhaseKind::Ramp { share: 1.0, per_s: 1.0 }),
            phase("warm-up", PhaseKind::Steady),
            phase("steady", PhaseKind::Steady),
        ],
        drain_timeout: Duration::ZERO,
        comes_back: None,
        closed,
    }
}

impl Bench {
    /// So many connections, of which the first publishes, in one room. Everybody has joined, and publishing has begun.
    fn new(connections: u32) -> Self {
        Self::of(&scenario(connections, 1, 1, false), Box::new(Json { presence: false }))
    }

    fn of(scenario: &Scenario, speak: Box<dyn Speak>) -> Self {
        let traits = speak.traits();
        let plan = Plan::new(scenario, traits, 1).unwrap();
        let names: Vec<String> = (0..plan.room_count()).map(|room| Plan::room_name(RoomId(room))).collect();
        let codec = Codec::new(RUN, Style::Verbatim, 128);
        let mut traffic = Traffic::of_plan(scenario, &plan, traits, codec.clone(), names.clone().into(), 0);
        let mut timetable = Timetable::default();
        timetable.push(0, PhaseKind::Ramp { share: 1.0, per_s: 1.0 }, Some(SECOND));
        timetable.push(1, PhaseKind::Steady, Some(SECOND));
        timetable.push(2, PhaseKind::Steady, Some(SECOND));
        traffic.set_timetable(Arc::new(timetable));
        let mut bench = Self { traffic, plan, speak, names, codec };
        (0..scenario.connections).for_each(|slot| bench.join(Slot(slot)));
        bench.traffic.begin();
        bench
    }

    fn join(&mut self, slot: Slot) {
        self.traffic.enter(slot);
        let rooms = self.plan.rooms_of(self.plan.conn_at(0, slot)).len() as u32;
        for ordinal in 0..rooms {
            assert!(self.traffic.joined(slot, ordinal) && !self.traffic.joined(slot, ordinal), "news once");
        }
    }

    /// The slot that publishes first.
    fn talker(&self) -> Slot {
        Slot(self.plan.publisher_of(crate::plan::StreamId(0)).0)
    }

    fn listener(&self) -> Slot {
        let conn = self.plan.connections().find(|conn| self.plan.role_of(*conn) == RoleId(1)).unwrap();
        Slot(conn.0)
    }

    /// Publishes and gives the payload.
    fn publish(&mut self, slot: Slot, due_ns: u64) -> String {
        let mut out = Out::default();
        let rooms = RoomNames { all: &self.names, own: self.plan.rooms_of(ConnId(slot.0)) };
        let who = Who { token: &|| None, rooms };
        self.traffic.publish(slot, due_ns, &*self.speak, &mut Dialogue::default(), who, &mut out);
        let messages: Vec<(Kind, &[u8])> = out.iter().collect();
        let text = std::str::from_utf8(messages[0].1).unwrap();
        match text.split_once(r#""payload":"#) {
            Some((_, payload)) => payload.strip_suffix('}').unwrap().to_owned(),
            None => text.to_owned(),
        }
    }

    /// Lets `slot` hear `payload` in that room.
    fn deliver_in(&mut self, slot: Slot, room: &str, payload: &str) {
        self.traffic.receive(slot, &RoomRef::Name(Cow::Borrowed(room)), payload.as_bytes());
    }

    fn deliver(&mut self, slot: Slot, payload: &str) {
        self.deliver_in(slot, "r0", payload);
    }

    /// Settles the accounts and closes the books.
    fn close(mut self) -> Record {
        let everybody = Arc::new(self.traffic.published(self.plan.stream_count()));
        self.traffic.learn(everybody);
        self.traffic.close()
    }
}

fn account(record: &Record) -> (u64, u64, u64, u64) {
    let Account { expected, delivered, lost, unexpected, .. } = record.account;
    assert_eq!(expected, delivered + lost);
    (expected, delivered, lost, unexpected)
}

#[test]
fn latency_counts_from_the_due_time_and_for_the_phase_in_which_it_was_due() {
    let mut bench = Bench::new(2);
    let (talker, listener) = (bench.talker(), bench.listener());
    let warm = bench.publish(talker, SECOND);
    let measured = bench.publish(talker, 2 * SECOND);
    bench.traffic.at(2 * SECOND + 1);
    bench.deliver(listener, &warm);
    bench.traffic.at(2 * SECOND + 1_000_000);
    bench.deliver(listener, &measured);
    let record = bench.close();
    let phases: Vec<(u64, u64, Option<u64>)> = record
        .phases
        .iter()
        .map(|phase| (phase.counts.sent, phase.counts.delivered, phase.timings.delivery.max()))
        .collect();
    assert_eq!((phases[0], phases[1].0, phases[1].1), ((0, 0, None), 1, 1));
    assert_eq!((phases[2].0, phases[2].1), (1, 1));
    let near = |ns: Option<u64>, exact: u64| ns.unwrap().abs_diff(exact) <= exact / 999;
    assert!(near(phases[1].2, SECOND + 1) && near(phases[2].2, 1_000_000), "{phases:?}");
    assert_eq!(record.seconds[2].delivered, 2, "by when they arrived");
}

#[test]
fn every_kind_of_bad_delivery_is_counted_as_what_it_is() {
    type Deliver = fn(&mut Bench, Slot, [&str; 3]);
    // name, what is done with the three messages, (event, count), how many are lost
    let rows: [(&str, Deliver, (Event, u64), u64); 7] = [
        ("well", |b, s, all| all.iter().for_each(|it| b.deliver(s, it)), (Event::Corrupt, 0), 0),
        ("lost", |b, s, [a, _, c]| [a, c].iter().for_each(|it| b.deliver(s, it)), (Event::Corrupt, 0), 1),
        (
            "duplicated",
            |b, s, [first, b2, c]| [first, b2, first, c].iter().for_each(|it| b.deliver(s, it)),
            (Event::Duplicated, 1),
            0,
        ),
        (
            "reordered",
            |b, s, [first, b2, c]| [b2, c, first].iter().for_each(|it| b.deliver(s, it)),
            (Event::Reordered, 1),
            0,
        ),
        (
            "corrupt",
            |b, s, [first, b2, c]| {
                [first, &b2.replace(r"\/", "/"), c].iter().for_each(|it| b.deliver(s, it));
            },
            (Event::Corrupt, 1),
            1,
        ),
        (
            "misrouted",
            |b, s, [first, b2, c]| {
                [first, b2].iter().for_each(|it| b.deliver(s, it));
                b.deliver_in(s, "r1", c);
            },
            (Event::Misrouted, 1),
            1,
        ),
        (
            "echoed",
            |b, s, all| {
                all.iter().for_each(|it| b.deliver(s, it));
                b.deliver(b.talker(), all[0]);
            },
            (Event::Unexpected, 1),
            0,
        ),
    ];
    for (name, treat, (event, count), lost) in rows {
        let mut bench = Bench::new(2);
        let (talker, listener) = (bench.talker(), bench.listener());
        let sent = [0, 1, 2].map(|due| bench.publish(talker, due));
        bench.traffic.at(2);
        treat(&mut bench, listener, [&sent[0], &sent[1], &sent[2]]);
        let record = bench.close();
        let delivered = 3 - lost;
        let mut expected =
            crate::figures::record::Counts { sent: 3, delivered, arrived: delivered, ..Default::default() };
        expected.add(event, count);
        assert_eq!(record.counts(), expected, "{name}");
        assert_eq!(account(&record), (3, 3 - lost, lost, 0), "{name}");
        assert_eq!(record.account.unacked, 3, "{name}");
        let listed = record.streams.get(&0).map_or(0, |trouble| trouble.total());
        let of_stream = if event == Event::Corrupt { 0 } else { count };
        assert_eq!(listed, of_stream + lost, "{name}: by stream");
    }
}

#[test]
fn what_arrives_counts_for_the_phase_that_goes_on() {
    let mut bench = Bench::new(2);
    let (talker, listener) = (bench.talker(), bench.listener());
    bench.traffic.at(SECOND / 2);
    let sent = [0, 1, 2, 3].map(|due| bench.publish(talker, due));
    for (payload, at_ns) in sent.iter().zip([SECOND / 2, SECOND, SECOND * 2, SECOND * 3]) {
        bench.traffic.at(at_ns);
        bench.deliver(listener, payload);
    }
    let record = bench.close();
    let phases = [0, 1, 2].map(|phase: usize| record.phases[phase].counts);
    assert_eq!(phases.map(|counts| counts.delivered), [4, 0, 0], "by when it was due");
    assert_eq!(phases.map(|counts| counts.arrived), [1, 1, 1], "the last one came after all phases");
}

#[test]
fn what_arrives_before_it_was_due_is_counted() {
    let mut bench = Bench::new(2);
    let (talker, listener) = (bench.talker(), bench.listener());
    let payload = bench.publish(talker, SECOND / 2);
    bench.traffic.at(SECOND / 4);
    bench.deliver(listener, &payload);
    let record = bench.close();
    let (counts, timings) = (record.phases[0].counts, &record.phases[0].timings);
    assert_eq!((counts.early, counts.delivered), (1, 1));
    assert_eq!(timings.of(Timing::Delivery).max(), Some(0));
}

#[test]
fn another_run_in_the_room_is_neither_right_nor_wrong() {
    let mut bench = Bench::new(2);
    let mut stranger = Vec::new();
    let stamp = Stamp { stream: 0, seq: 0, at_ns: 0 };
    Codec::new(RUN + 1, Style::Verbatim, 300).write(&mut stranger, stamp, 300);
    bench.deliver(bench.listener(), std::str::from_utf8(&stranger).unwrap());
    let record = bench.close();
    assert_eq!(record.counts().foreign, 1);
    assert_eq!(account(&record), (0, 0, 0, 0));
}

#[test]
fn a_stream_of_another_room_is_misrouted_and_one_of_a_room_that_both_are_in_is_not() {
    let mut bench = Bench::of(&scenario(6, 3, 3, false), Box::new(Json { presence: false }));
    for conn in bench.plan.connections().collect::<Vec<_>>() {
        for stream in 0..bench.plan.stream_count() {
            let room = bench.plan.room_of(crate::plan::StreamId(stream));
            let mut payload = Vec::new();
            bench.codec.write(&mut payload, Stamp { stream, seq: 0, at_ns: 0 }, 64);
            let (heard, before) = (bench.traffic.first_deliveries(), bench.traffic.recorder().counts());
            let payload = std::str::from_utf8(&payload).unwrap().to_owned();
            bench.deliver_in(Slot(conn.0), &Plan::room_name(room), &payload);
            let after = bench.traffic.recorder().counts();
            let is_own = bench.plan.publisher_of(crate::plan::StreamId(stream)) == conn;
            let is_member = bench.plan.rooms_of(conn).contains(&room);
            let got = (
                bench.traffic.first_deliveries() - heard,
                after.misrouted - before.misrouted,
                after.unexpected - before.unexpected,
            );
            let expected = match (is_member, is_own) {
                (true, true) => (0, 0, 1),
                (true, false) => (1, 0, 0),
                (false, _) => (0, 1, 0),
            };
            assert_eq!(got, expected, "{conn:?}, stream {stream}");
        }
    }
}

#[test]
fn answers_settle_publications_once() {
    let mut bench = Bench::new(3);
    let (talker, listener) = (bench.talker(), bench.listener());
    let sent = [0, 1, 2].map(|due| bench.publish(talker, due));
    assert_eq!(bench.traffic.unanswered(), 3);
    bench.traffic.settle(talker, 0, 0, None);
    bench.traffic.settle(talker, 0, 0, None);
    bench.traffic.settle(talker, 0, 9, None);
    bench.traffic.settle(talker, 7, 0, None);
    bench.traffic.settle(listener, 0, 0, None);
    bench.traffic.settle(talker, 0, 1, Some("rate_limited"));
    assert_eq!(bench.traffic.unanswered(), 1);
    bench.deliver(listener, &sent[0]);
    let record = bench.close();
    let counts = record.counts();
    assert_eq!((counts.acked, counts.refused, counts.unexpected), (1, 1, 4));
    assert_eq!(record.reasons.refusals.ranked(), [("rate_limited", 1)]);
    assert_eq!(account(&record), (4, 1, 3, 0), "two members, two messages");
    assert_eq!(record.account.unacked, 1);
    assert_eq!(record.phases[0].timings.ack.samples(), 2);
}

#[test]
fn what_a_lost_connection_left_unanswered_may_or_may_not_arrive() {
    let mut bench = Bench::new(3);
    let (talker, listener) = (bench.talker(), bench.listener());
    let sent: Vec<String> = (0..4).map(|due| bench.publish(talker, due)).collect();
    bench.traffic.settle(talker, 0, 0, None);
    bench.traffic.stop_hearing(talker);
    bench.traffic.disconnected(talker, false);
    assert_eq!(bench.traffic.unanswered(), 0);
    bench.join(talker);
    let later = bench.publish(talker, 5);
    bench.traffic.settle(talker, 0, 4, None);
    for payload in [&sent[0], &sent[2], &later] {
        bench.deliver(listener, payload);
    }
    let record = bench.close();
    // The other listener heard nothing: it is owed what was acked.
    assert_eq!(account(&record), (5, 3, 2, 0));
    assert_eq!(record.account.unacked, 0);
}

#[test]
fn without_answers_only_what_was_sent_last_is_excused_and_nothing_after_an_answered_goodbye() {
    // whether the goodbye was answered; expected, lost, excused
    for (in_order, expected) in [(false, (4, 4, 2)), (true, (6, 6, 0))] {
        let mut bench = Bench::of(&scenario(2, 2, 1, false), Box::new(Bare::Echo));
        let slot = Slot(0);
        for second in [0, 2, 4] {
            bench.traffic.at(second * SECOND);
            bench.traffic.turn();
            bench.publish(slot, 0);
            bench.publish(slot, 0);
        }
        bench.traffic.at(6 * SECOND);
        bench.traffic.turn();
        bench.traffic.disconnected(slot, in_order);
        let account = bench.close().account;
        assert_eq!((account.expected, account.lost, account.excused), expected, "{in_order}");
    }
}

#[test]
fn who_is_still_joining_when_publishing_begins_is_not_held_to_the_first_message() {
    let mut bench = Bench::new(2);
    let (talker, listener) = (bench.talker(), bench.listener());
    bench.traffic.stop_hearing(listener);
    bench.traffic.began = false;
    bench.traffic.enter(listener);
    bench.traffic.begin();
    let sent = [0, 1, 2].map(|due| bench.publish(talker, due));
    assert!(bench.traffic.joined(listener, 0));
    bench.deliver(listener, &sent[1]);
    let record = bench.close();
    assert_eq!(account(&record), (2, 1, 1, 0), "what came after the first that it heard");
}

#[test]
fn what_could_not_be_said_was_not_sent() {
    let mut bench = Bench::of(&scenario(2, 1, 1, false), Box::new(crate::protocol::relay::Relay));
    let talker = bench.talker();
    let mut out = Out::default();
    let rooms = RoomNames { all: &bench.names, own: bench.plan.rooms_of(ConnId(talker.0)) };
    let who = Who { token: &|| None, rooms };
    // Nobody has told it the room's id.
    let said = bench.traffic.publish(talker, 0, &*bench.speak, &mut Dialogue::default(), who, &mut out);
    assert!(!said && out.is_empty());
    let record = bench.close();
    assert_eq!((record.counts().sent, account(&record)), (0, (0, 0, 0, 0)));
}

#[test]
fn echoes_are_held_against_their_own_sender() {
    let mut bench = Bench::of(&scenario(2, 2, 1, false), Box::new(Bare::Echo));
    let first = bench.publish(Slot(0), 1);
    let second = bench.publish(Slot(1), 2);
    for (slot, text) in [(0, &first), (1, &first), (1, &second), (1, &second)] {
        bench.traffic.receive(Slot(slot), &RoomRef::Only, text.as_bytes());
    }
    assert_eq!(bench.traffic.unanswered(), 0);
    let record = bench.close();
    let counts = record.counts();
    assert_eq!((counts.delivered, counts.misrouted, counts.duplicated), (2, 1, 1));
    assert_eq!(account(&record), (2, 2, 0, 0));
}

#[test]
fn who_comes_and_goes_is_held_to_what_lies_between() {
    let mut bench = Bench::new(2);
    let (talker, listener) = (bench.talker(), bench.listener());
    let sent: Vec<String> = (0..12).map(|due| bench.publish(talker, due)).collect();
    let hear = |bench: &mut Bench, numbers: &[usize]| {
        numbers.iter().for_each(|number| bench.deliver(listener, &sent[*number]));
    };
    // From the first on: 1 is lost; what comes after the last that it heard is not expected.
    hear(&mut bench, &[0, 2]);
    bench.traffic.stop_hearing(listener);
    bench.join(listener);
    // From 4 to the last sent: 6, 7 and 9 to 11 are lost.
    hear(&mut bench, &[4, 5, 8]);
    let everybody = Arc::new(bench.traffic.published(bench.plan.stream_count()));
    bench.traffic.learn(everybody);
    assert_eq!(bench.traffic.awaited(), Some(5));
    hear(&mut bench, &[9]);
    assert_eq!(bench.traffic.awaited(), Some(4));
    let record = bench.traffic.close();
    assert_eq!(account(&record), (11, 6, 5, 0));
    assert_eq!(record.streams[&0].lost, 5);
}

#[test]
fn in_a_closed_loop_publishers_wait_and_latency_counts_from_sending() {
    let mut bench = Bench::of(&scenario(2, 1, 1, true), Box::new(Json { presence: false }));
    let (talker, listener) = (bench.talker(), bench.listener());
    bench.traffic.at(2 * SECOND + 5_000);
    let payload = bench.publish(talker, SECOND);
    assert!(bench.traffic.is_waiting(talker) && !bench.traffic.is_waiting(listener));
    assert_eq!(bench.traffic.next_answered(), None);
    bench.traffic.at(2 * SECOND + 6_000);
    bench.deliver(listener, &payload);
    bench.traffic.settle(talker, 0, 0, None);
    assert_eq!(bench.traffic.next_answered(), Some(talker));
    assert!(!bench.traffic.is_waiting(talker));
    let record = bench.close();
    assert_eq!(record.phases[2].timings.delivery.max(), Some(1_000));
}

#[test]
fn what_a_target_reads_on_the_old_connection_when_there_is_a_new_one_is_no_trouble() {
    // whether the publisher was cut off before any answer, and what it sent then is read after what it sends when it is back
    for (cut, troubles) in [(true, 0), (false, 1)] {
        let mut bench = Bench::new(3);
        let (talker, listener) = (bench.talker(), bench.listener());
        let late = (0..3).map(Slot).find(|slot| *slot != talker && *slot != listener).unwrap();
        let old = bench.publish(talker, SECOND);
        if cut {
            bench.traffic.stop_hearing(talker);
            bench.traffic.disconnected(talker, false);
            bench.join(talker);
        }
        // This one joins again, so that it begins with what it hears first.
        bench.traffic.stop_hearing(late);
        bench.join(late);
        let new = bench.publish(talker, SECOND + 1);
        for slot in [listener, late] {
            bench.deliver(slot, &new);
            bench.deliver(slot, &old);
        }
        bench.deliver(talker, &old);
        let record = bench.close();
        let Counts { reordered, duplicated, unexpected, .. } = record.counts();
        assert_eq!([reordered, duplicated, unexpected], [troubles; 3], "cut: {cut}");
        assert_eq!(record.streams.len() as u64, troubles, "cut: {cut}");
        let errors: u64 = record.seconds.iter().map(|second| second.errors).sum();
        assert_eq!(errors, troubles * 3, "cut: {cut}");
        assert_eq!(record.account.lost, 0, "cut: {cut}");
    }
}

#[test]
fn what_is_out_of_order_within_one_connection_is_trouble_although_it_was_lost_before_the_answers() {
    let mut bench = Bench::new(2);
    let (talker, listener) = (bench.talker(), bench.listener());
    let sent = [1, 2, 3].map(|second| bench.publish(talker, second * SECOND));
    for payload in [&sent[1], &sent[0], &sent[2]] {
        bench.deliver(listener, payload);
    }
    bench.deliver(talker, &sent[0]);
    bench.traffic.stop_hearing(talker);
    bench.traffic.disconnected(talker, false);
    bench.join(talker);
    let new = bench.publish(talker, 4 * SECOND);
    bench.deliver(listener, &new);
    let Counts { reordered, unexpected, .. } = bench.close().counts();
    assert_eq!([reordered, unexpected], [1; 2]);
}
