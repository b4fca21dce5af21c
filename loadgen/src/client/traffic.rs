//! What the messages of one thread mean: publishes with stamps, checks deliveries and answers against the plan, and keeps the
//! books. Has no socket and no clock: who calls says what time it is.
//!
//! Invariant: every publication that was written has the next number of its stream, so that the ledger can tell what is missing
//! from numbers alone.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    sync::Arc,
};

use crate::{
    client::{
        own::{Own, ms},
        setup::Setup,
    },
    figures::{
        record::{Account, Event, Record, Timing},
        recorder::{Recorder, When},
    },
    plan::{Plan, RoleId, RoomId, Slot, schedule::Timetable, seeded, size::Sizes},
    protocol::{Dialogue, Out, Publishing, RoomRef, Speak, Traits, Who},
    scenario::{Reading, Scenario},
    truth::{
        audit::{self, Balance, Held, Published},
        ledger::{Arrival, Begin, Ledger},
        payload::{Arrived, Codec, Stamp},
        seq_set::SeqSet,
    },
};

/// Publications of one thread without an answer; what is due beyond that is withheld.
const PENDING_MAX: usize = 1 << 22;
/// Troubles that may turn out to be none; any more count.
const DOUBTS_MAX: usize = 1 << 16;
const SECOND_NS: u64 = 1_000_000_000;
const NONE: u32 = u32::MAX;

/// A trouble that was counted, and is none if the publisher's connection ended before the answer: a target may read what is left on
/// that one when there is another.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    event: Event,
    stream: u32,
    seq: u32,
    /// One above the highest number that was heard before it.
    heard: u32,
    when: When,
}

/// One connection, as far as messages go.
#[derive(Clone, Copy, Debug)]
struct Seat {
    role: RoleId,
    /// Where its memberships are, and how many.
    first: u32,
    count: u32,
    /// The first of its own streams, by the thread's numbers; [`NONE`] when it publishes nothing.
    own: u32,
}

/// One connection in one room.
#[derive(Clone, Copy, Debug)]
struct Membership {
    room: RoomId,
    /// The room's streams.
    streams_start: u32,
    streams: u32,
    /// The cell of the first of them.
    cells: u32,
    /// The stream of the member itself, or [`NONE`].
    own: u32,
    begin: Begin,
    joined: bool,
    /// When it was in the room the last time; of the run's clock.
    joined_ms: u32,
}

/// The messages of one thread.
#[derive(Debug)]
pub(crate) struct Traffic {
    traits: Traits,
    codec: Codec,
    room_names: Arc<[String]>,
    seats: Vec<Seat>,
    memberships: Vec<Membership>,
    /// By role.
    sizes: Vec<Option<Sizes>>,
    slow: Vec<bool>,
    closed: bool,
    heard: Ledger,
    own: Own,
    /// What members that left had missed by then, by stream.
    left: Vec<(u32, SeqSet)>,
    doubts: Vec<Doubt>,
    /// Publishing has begun: who joins now comes midway.
    began: bool,
    first_deliveries: u64,
    /// The phase that goes on, and from when to when; of no length when none does.
    going_on: (Range<u64>, usize),
    /// First deliveries that are counted as arrived in their phase, or after all phases.
    arrived: u64,
    /// Deliveries that are still to come, from when that is known.
    awaited: Option<u64>,
    /// `awaited` was found to be 0 by the ledger, and not only counted down.
    is_complete: bool,
    everybody: Option<Arc<Published>>,
    /// Publishers that got an answer; kept in a closed loop only.
    answered: Vec<Slot>,
    waiting: HashSet<Slot>,

    recorder: Recorder,
    now_ns: u64,
    when: When,
    timetable: Arc<Timetable>,
    /// The phase in which something was due last, and from when to when that is.
    due: (Range<u64>, usize),
    chance: fastrand::Rng,
    payload: Vec<u8>,
}

impl Traffic {
    /// The connections of `thread` (numbered over all agents).
    pub(crate) fn new(setup: &Setup, thread: u32) -> Self {
        let Setup { scenario, plan, run, .. } = setup;
        let style = setup.style();
        let codec = Codec::new(*run, style, setup.payload_bytes_max());
        Self::of_plan(scenario, plan, setup.speak.traits(), codec, setup.room_names.clone().into(), thread)
    }

    fn of_plan(
        scenario: &Scenario,
        plan: &Plan,
        traits: Traits,
        codec: Codec,
        room_names: Arc<[String]>,
        thread: u32,
    ) -> Self {
        let (mut seats, mut memberships, mut streams, mut cells) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for conn in (0..plan.share(thread)).map(|slot| plan.conn_at(thread, Slot(slot))) {
            let role = plan.role_of(conn);
            let publishes = scenario.roles[role.index()].publish.is_some();
            let rooms = plan.rooms_of(conn);
            seats.push(Seat {
                role,
                first: memberships.len() as u32,
                count: rooms.len() as u32,
                own: if publishes { streams.len() as u32 } else { NONE },
            });
            for room in rooms {
                let of_room = plan.streams_of(*room);
                let own = plan.stream_of(conn, *room).filter(|_| publishes).map_or(NONE, |own| own.0);
                if publishes {
                    streams.push(own);
                }
                memberships.push(Membership {
                    room: *room,
                    streams_start: of_room.start,
                    streams: of_room.len() as u32,
                    cells,
                    own,
                    begin: Begin::First,
                    joined: false,
                    joined_ms: 0,
                });
                cells += of_room.len() as u32;
            }
        }
        let roles = || scenario.roles.iter();
        Self {
            traits,
            codec,
            room_names,
            seats,
            memberships,
            sizes: roles().map(|role| role.publish.as_ref().map(|it| Sizes::new(&it.size))).collect(),
            slow: roles().map(|role| role.reading != Reading::Quick).collect(),
            closed: scenario.closed,
            heard: Ledger::new(cells as usize),
            own: Own::new(streams, traits.acks),
            left: Vec::new(),
            doubts: Vec::new(),
            began: false,
            first_deliveries: 0,
            going_on: (0..0, 0),
            arrived: 0,
            awaited: None,
            is_complete: false,
            everybody: None,
            answered: Vec::new(),
            waiting: HashSet::new(),
            recorder: Recorder::new(thread, scenario.phases.len()),
            now_ns: 0,
            when: When { phase: 0, second: 0 },
            timetable: Arc::default(),
            due: (0..0, 0),
            chance: seeded(scenario.seed, [0x7a, thread.into()]),
            payload: Vec::new(),
        }
    }

    /// Time goes on.
    #[inline]
    pub(crate) fn at(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        if !self.going_on.0.contains(&now_ns) {
            self.turn_phase();
        }
        let phase = self.phase_of(now_ns);
        self.when = When { phase, second: (now_ns / SECOND_NS) as u32 };
    }

    /// What was sure before must still hold.
    pub(crate) fn set_timetable(&mut self, timetable: Arc<Timetable>) {
        self.timetable = timetable;
        self.due = (0..0, 0);
        self.turn_phase();
    }

    /// From now on something may be published.
    pub(crate) fn begin(&mut self) {
        self.began = true;
        // Those who are still on their way in cannot be held to the first message.
        for membership in self.memberships.iter_mut().filter(|it| !it.joined) {
            membership.begin = Begin::Midway;
        }
    }

    /// To be called some times a second.
    pub(crate) fn turn(&mut self) {
        self.own.turn(self.now_ns);
    }

    /// Appends the message that the publisher in `slot` has to send, due at `due_ns`. In a closed loop it is due when it is sent.
    /// Whether there was anything that could be said.
    pub(crate) fn publish(
        &mut self,
        slot: Slot,
        due_ns: u64,
        speak: &dyn Speak,
        dialogue: &mut Dialogue,
        who: Who<'_>,
        out: &mut Out,
    ) -> bool {
        let Seat { role, count, own, .. } = self.seats[slot.index()];
        let Some(sizes) = self.sizes[role.index()].as_ref().filter(|_| own != NONE && count > 0) else {
            return false;
        };
        let ordinal = if count == 1 { 0 } else { self.chance.u32(0..count) };
        let stream = own + ordinal;
        let seq = self.own.next(stream);
        let at_ns = if self.closed { self.now_ns } else { due_ns };
        let bytes = sizes.draw(&mut self.chance);
        self.payload.clear();
        let stamp = Stamp { stream: self.own.name(stream), seq, at_ns };
        self.codec.write(&mut self.payload, stamp, bytes);
        let before = out.messages.len();
        speak.publish(dialogue, who, Publishing { ordinal, seq, payload: &self.payload }, out);
        if out.messages.len() == before {
            return false;
        }
        self.own.sent(stream, at_ns);
        if self.closed {
            self.waiting.insert(slot);
        }
        let phase = self.phase_of(at_ns);
        self.recorder.count(When { phase, ..self.when }, Event::Sent);
        true
    }

    /// Whether no more publications can be kept account of.
    pub(crate) fn is_full(&self) -> bool {
        self.own.unanswered() >= PENDING_MAX as u64
    }

    /// In a closed loop: whether the publisher has an answer to wait for.
    pub(crate) fn is_waiting(&self, slot: Slot) -> bool {
        self.closed && self.waiting.contains(&slot)
    }

    /// In a closed loop: a publisher that waits no more.
    pub(crate) fn next_answered(&mut self) -> Option<Slot> {
        self.answered.pop()
    }

    /// Something happened in the phase and second that it is.
    pub(crate) fn count(&mut self, event: Event) {
        self.recorder.count(self.when, event);
    }

    /// Something happened that counts for the phase in which it was due.
    pub(crate) fn count_due(&mut self, event: Event, due_ns: u64) {
        let phase = self.phase_of(due_ns);
        self.recorder.count(When { phase, ..self.when }, event);
    }

    /// Something happened that counts for that phase.
    pub(crate) fn count_in(&mut self, event: Event, phase: u16) {
        self.recorder.count(When { phase: phase.into(), ..self.when }, event);
    }

    pub(crate) fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    pub(crate) fn when(&self) -> When {
        self.when
    }

    pub(crate) fn phase_due(&mut self, due_ns: u64) -> usize {
        self.phase_of(due_ns)
    }

    /// The connection asks to be let into its rooms (or is in them by its URL): what is sent from now on may reach it.
    pub(crate) fn enter(&mut self, slot: Slot) {
        let begin = if self.began { Begin::Midway } else { Begin::First };
        for membership in self.memberships_mut(slot) {
            membership.begin = begin;
        }
    }

    /// It is in that room; whether that is news.
    pub(crate) fn joined(&mut self, slot: Slot, ordinal: u32) -> bool {
        let now_ms = ms(self.now_ns);
        let Some(membership) = self.memberships_mut(slot).get_mut(ordinal as usize) else { return false };
        let is_news = !std::mem::replace(&mut membership.joined, true);
        if is_news {
            membership.joined_ms = now_ms;
        }
        is_news
    }

    /// The connection leaves, or is gone: nothing more is expected to reach it.
    pub(crate) fn stop_hearing(&mut self, slot: Slot) {
        let Self { seats, memberships, heard, left, .. } = self;
        let Seat { first, count, .. } = seats[slot.index()];
        for membership in &mut memberships[first as usize..(first + count) as usize] {
            membership.joined = false;
            membership.begin = Begin::Midway;
            for offset in 0..membership.streams {
                let gaps = heard.reset((membership.cells + offset) as usize);
                let stream = membership.streams_start + offset;
                if !gaps.is_empty() && stream != membership.own {
                    left.push((stream, gaps));
                }
            }
        }
    }

    /// The connection is gone, whoever ended it: its unanswered publications may or may not have been accepted. Where nothing
    /// is answered those are its last ones, and none `in_order`, which is when the target has answered our goodbye.
    pub(crate) fn disconnected(&mut self, slot: Slot, in_order: bool) {
        let Seat { count, own, .. } = self.seats[slot.index()];
        if own == NONE {
            return;
        }
        self.own.disconnected(own..own + count, in_order);
        self.waiting.remove(&slot);
    }

    /// A delivery.
    #[inline]
    pub(crate) fn receive(&mut self, slot: Slot, room: &RoomRef<'_>, payload: &[u8]) {
        let stamp = match self.codec.read(payload) {
            Arrived::Ours(stamp) => stamp,
            Arrived::Foreign => return self.count(Event::Foreign),
            Arrived::Corrupt => return self.count(Event::Corrupt),
        };
        let Seat { role, first, count, own } = self.seats[slot.index()];
        let memberships = &self.memberships[first as usize..(first + count) as usize];
        let place =
            memberships.iter().position(|it| stamp.stream.wrapping_sub(it.streams_start) < it.streams);
        let Some(ordinal) = place.filter(|ordinal| {
            let id = memberships[*ordinal].room;
            match room {
                RoomRef::Name(name) => self.room_names[id.0 as usize] == **name,
                RoomRef::Ordinal(named) => *named as usize == *ordinal,
                RoomRef::Only => true,
            }
        }) else {
            return self.recorder.trouble(self.when, stamp.stream, Event::Misrouted);
        };
        let membership = &memberships[ordinal];
        if membership.own == stamp.stream {
            if !self.traits.echoes {
                // Read late, on the connection before: for this one it is another's.
                if self.own.is_uncertain(own + ordinal as u32, stamp.seq) {
                    return;
                }
                return self.recorder.trouble(self.when, stamp.stream, Event::Unexpected);
            }
            if self.closed && self.waiting.remove(&slot) {
                self.answered.push(slot);
            }
        }
        let cell = (membership.cells + (stamp.stream - membership.streams_start)) as usize;
        match self.heard.record(cell, stamp.seq, membership.begin) {
            Arrival::InOrder => {}
            Arrival::Late => self.doubt(Event::Reordered, stamp, cell),
            // Or from before the first.
            Arrival::Repeated if membership.begin == Begin::Midway => {
                return self.doubt(Event::Duplicated, stamp, cell);
            }
            Arrival::Repeated => {
                return self.recorder.trouble(self.when, stamp.stream, Event::Duplicated);
            }
        }
        self.first_deliveries += 1;
        if let Some(awaited) = &mut self.awaited {
            *awaited = awaited.saturating_sub(1);
        }
        let phase = self.phase_of(stamp.at_ns);
        if self.slow[role.index()] {
            self.recorder.delivery_untimed(phase, self.when.second);
        } else {
            let latency_ns = self.now_ns.checked_sub(stamp.at_ns).unwrap_or_else(|| {
                self.recorder.early(phase);
                0
            });
            self.recorder.delivery(phase, self.when.second, latency_ns);
        }
    }

    /// Counts it, and remembers that it may be none.
    #[cold]
    fn doubt(&mut self, event: Event, Stamp { stream, seq, .. }: Stamp, cell: usize) {
        self.recorder.trouble(self.when, stream, event);
        if self.doubts.len() < DOUBTS_MAX {
            self.doubts.push(Doubt { event, stream, seq, heard: self.heard.next(cell), when: self.when });
        }
    }

    /// A publication was answered, with the error code if it was refused.
    pub(crate) fn settle(&mut self, slot: Slot, ordinal: u32, seq: u32, refusal: Option<&str>) {
        let Seat { own, count, .. } = self.seats[slot.index()];
        let stream = own.wrapping_add(ordinal);
        let is_own = own != NONE && ordinal < count;
        let Some(due_ns) =
            is_own.then(|| self.own.answered(stream, seq, refusal.is_none(), self.now_ns)).flatten()
        else {
            return self.count(Event::Unexpected);
        };
        let phase = self.phase_of(due_ns);
        self.recorder.timing(phase, Timing::Ack, self.now_ns.saturating_sub(due_ns));
        let event = if refusal.is_some() { Event::Refused } else { Event::Acked };
        self.recorder.count(When { phase, ..self.when }, event);
        if let Some(code) = refusal {
            self.recorder.reasons().refusals.add(code);
        }
        if self.closed && self.waiting.remove(&slot) {
            self.answered.push(slot);
        }
    }

    /// Publications that are still to be answered.
    pub(crate) fn unanswered(&self) -> u64 {
        self.own.unanswered()
    }

    /// What the publishers of this thread did.
    pub(crate) fn published(&self, streams: u32) -> Published {
        self.own.published(streams)
    }

    /// What everybody did: from now on it is known what is still to come.
    pub(crate) fn learn(&mut self, everybody: Arc<Published>) {
        self.everybody = Some(everybody);
        self.look_for_awaited();
    }

    /// By the ledger.
    fn look_for_awaited(&mut self) {
        let Some(everybody) = &self.everybody else { return };
        let awaited = self.held().map(|held| audit::awaited(&held, &self.heard, everybody)).sum();
        self.awaited = Some(awaited);
        self.is_complete = awaited == 0;
    }

    /// What came for the first time.
    pub(crate) fn first_deliveries(&self) -> u64 {
        self.first_deliveries
    }

    /// Deliveries that are still to come, once that is known.
    pub(crate) fn awaited(&mut self) -> Option<u64> {
        // What a member hears that had heard nothing was not counted, and tells what else it is to hear.
        if self.awaited == Some(0) && !self.is_complete {
            self.look_for_awaited();
        }
        self.awaited
    }

    /// Closes the books.
    pub(crate) fn close(mut self) -> Record {
        let everybody = self.everybody.take().unwrap_or_default();
        let mut balance = Balance::of(self.first_deliveries);
        let mut lost: BTreeMap<u32, u64> = BTreeMap::new();
        let mut silent = 0;
        if !everybody.sent.is_empty() {
            let mut found = |stream, count| *lost.entry(stream).or_default() += count;
            for held in self.held() {
                balance.add_held(&held, &self.heard, &everybody, &mut found);
                silent += u64::from(audit::is_silent(&held, &self.heard, &everybody));
            }
            for (stream, gaps) in &self.left {
                balance.add_gaps(*stream, gaps, &everybody, &mut found);
            }
        }
        for Doubt { event, stream, seq, heard, when } in &self.doubts {
            if everybody.is_from_before(*stream, *seq, *heard) {
                self.recorder.forgive(*when, *stream, *event);
            }
        }
        let unacked = self.unanswered();
        self.count_arrived();
        let mut record = self.recorder.close(self.when.second);
        let Balance { expected, delivered, lost: sum, unexpected, excused } = balance;
        record.account =
            Account { expected, delivered, lost: sum, unexpected, unacked, excused, silent, missing: 0 };
        lost.into_iter().for_each(|(stream, count)| record.lost(stream, count));
        record
    }

    /// The memberships that there are.
    fn held(&self) -> impl Iterator<Item = Held> {
        let echoes = self.traits.echoes;
        self.memberships.iter().filter(|it| it.joined).map(move |it| Held {
            cells: it.cells as usize..(it.cells + it.streams) as usize,
            streams_start: it.streams_start,
            own: (it.own != NONE && !echoes).then_some(it.own),
            begin: it.begin,
            joined_ms: it.joined_ms,
        })
    }

    fn memberships_mut(&mut self, slot: Slot) -> &mut [Membership] {
        let Seat { first, count, .. } = self.seats[slot.index()];
        &mut self.memberships[first as usize..(first + count) as usize]
    }

    /// Another phase goes on, or none, or the end of this one is known now.
    #[cold]
    fn turn_phase(&mut self) {
        self.count_arrived();
        let span = self.timetable.at(self.now_ns).filter(|span| self.now_ns < span.end_ns);
        self.going_on = span.map_or((0..0, 0), |span| (span.start_ns..span.end_ns, span.phase));
    }

    /// What has arrived since the last time has arrived in the phase that went on.
    fn count_arrived(&mut self) {
        let since = self.first_deliveries - std::mem::replace(&mut self.arrived, self.first_deliveries);
        if !self.going_on.0.is_empty() {
            self.recorder.arrived(self.going_on.1, since);
        }
    }

    #[inline]
    fn phase_of(&mut self, at_ns: u64) -> usize {
        if !self.due.0.contains(&at_ns) {
            self.look_up(at_ns);
        }
        self.due.1
    }

    #[cold]
    fn look_up(&mut self, at_ns: u64) {
        if let Some(span) = self.timetable.at(at_ns) {
            // After the end it is still the last phase.
            let end_ns = if at_ns < span.end_ns { span.end_ns } else { u64::MAX };
            self.due = (span.start_ns..end_ns, span.phase);
        }
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
