//! The hot loop: publishes on the schedule, counts and times every delivery.
//!
//! Open loop (`Pace::Rate`): latency is from when a message was due. Closed loop (`Pace::Closed`): each publisher has
//! one message under way and sends the next when it came back. CPU is read at the two edges of the window; latency
//! is of the messages that were due within it, whenever they came. No allocation and one clock read per receive.

use std::sync::atomic::{AtomicBool, Ordering};

use mio::Events;
use ringway::ws::Opcode;

use crate::{
    connect::room_name,
    failure::Failure,
    frames::{Frame, Frames, Kind},
    histogram::{Histogram, Percentiles},
    ledger::{Crowd, Faults, Ledger},
    meter::{Meter, Reading, Usage},
    net::{BUFFER_BYTES, EVENTS_PER_ROUND, Net, Ready},
    payload::{Finder, Found, PAYLOAD_BYTES, Payload, Stamp},
    protocol::{Protocol, Role},
    schedule::Schedule,
};

/// Before the first message is due.
pub const LEAD_NS: u64 = 20_000_000;
/// How often to look whether the run was interrupted.
const CHECK_NS: u64 = 100_000_000;

/// How fast to publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Not at all.
    Silent,
    /// Messages a second, over all publishers.
    Rate(u32),
    Closed,
}

/// How long.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub warm_up_ns: u64,
    pub window_ns: u64,
    /// How long to wait for what is under way at the end.
    pub drain_ns: u64,
    /// How often to publish what is due and to look what came; `None`: at once. It is part of every latency, and lets the
    /// generator's core last for several times as many deliveries.
    pub tick_ns: Option<u64>,
}

/// The load on connections that stand.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub protocol: Protocol,
    /// `Role::Echo` or `Role::Member`.
    pub role: Role,
    pub crowd: Crowd,
    pub pace: Pace,
    pub timing: Timing,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub usage: Usage,
    /// Deliveries within the window.
    pub arrived: u64,
    pub latency: Percentiles,
    pub faults: Faults,
    /// Why the first connection that was dropped was.
    pub first_drop: Option<String>,
    /// How late the generator itself wrote what was due in the window.
    pub publish_late: Percentiles,
}

struct Publisher {
    connection: usize,
    prefix: Vec<u8>,
    suffix: &'static str,
    /// What this round writes, kept for its memory.
    out: Vec<u8>,
    sent: u32,
    /// When the last one was written.
    sent_ns: u64,
}

struct Traffic<'a> {
    net: &'a mut Net,
    load: Load,
    schedule: Schedule,
    window_start_ns: u64,
    publishers: Vec<Publisher>,
    /// Of the schedule.
    next_number: u64,
    /// Publishers with something in `out`.
    touched: Vec<usize>,
    payload: Payload,
    opcode: Opcode,
    /// The message that is being published.
    message: Vec<u8>,
    finder: Finder,
    ledger: Ledger,
    latency: Histogram,
    arrived: u64,
    sent: u64,
    publish_late: Histogram,
    first_drop: Option<String>,
    /// A closed loop goes on.
    is_open: bool,
}

/// Runs `load` on the connections of `net`: members first, room by room, then publishers that are no members.
pub fn run(net: &mut Net, load: Load, meter: Meter, interrupted: &AtomicBool) -> Result<Outcome, Failure> {
    let start_ns = net.clock.now_ns() + LEAD_NS;
    let window_start_ns = start_ns + load.timing.warm_up_ns;
    let window_end_ns = window_start_ns + load.timing.window_ns;
    let end_ns = window_end_ns + load.timing.drain_ns;
    let mut traffic = Traffic::new(net, load, start_ns);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut events = Events::with_capacity(EVENTS_PER_ROUND);
    let mut begin: Option<(Reading, u64)> = None;
    let mut done: Option<(Usage, u64)> = None;
    traffic.begin_closed();
    loop {
        let now_ns = traffic.net.clock.now_ns();
        let edge_ns = match (&begin, &done) {
            (None, _) if now_ns >= window_start_ns => {
                begin = Some((meter.read(traffic.net.clock)?, traffic.arrived));
                window_end_ns
            }
            (None, _) => window_start_ns,
            (Some((reading, arrived)), None) if now_ns >= window_end_ns => {
                done = Some((meter.read(traffic.net.clock)? - *reading, traffic.arrived - arrived));
                traffic.is_open = false;
                end_ns
            }
            (Some(_), None) => window_end_ns,
            (Some(_), Some(_)) => end_ns,
        };
        traffic.publish_due(now_ns);
        if let Some((usage, arrived)) = done
            && (traffic.has_all() || now_ns >= end_ns)
        {
            return Ok(traffic.outcome(usage, arrived));
        }
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        if let Some(tick_ns) = load.timing.tick_ns {
            // A full round may have left something: it is not put off.
            if events.iter().count() < EVENTS_PER_ROUND {
                traffic.net.clock.sleep_until((now_ns / tick_ns + 1) * tick_ns);
            }
            traffic.net.wait(&mut events, 0)?;
        } else {
            let due_ns = traffic.schedule.due_ns(traffic.next_number).unwrap_or(u64::MAX);
            traffic.net.wait(&mut events, due_ns.min(edge_ns).min(now_ns + CHECK_NS))?;
        }
        for event in &events {
            if let Some(ready) = traffic.net.ready(event) {
                traffic.on_ready(ready, &mut buffer);
            }
        }
    }
}

impl<'a> Traffic<'a> {
    fn new(net: &'a mut Net, load: Load, start_ns: u64) -> Self {
        let Load { protocol, role, crowd, pace, timing } = load;
        let are_members = role == Role::Member && protocol.publishers_are_members();
        let publishers = (0..crowd.publishers()).map(|publisher| {
            let room = room_name(publisher / crowd.publishers_per_room);
            let is_beside = role == Role::Member && !are_members;
            let (prefix, suffix) = protocol.around(&room, if is_beside { Role::Publisher } else { role });
            let connection =
                if is_beside { crowd.members() + publisher } else { crowd.member_of(publisher) } as usize;
            Publisher { connection, prefix, suffix, out: Vec::new(), sent: 0, sent_ns: 0 }
        });
        let (rate, duration_ns) = match pace {
            Pace::Rate(rate) => (rate, timing.warm_up_ns + timing.window_ns),
            Pace::Silent | Pace::Closed => (1, 0),
        };
        Self {
            net,
            load,
            schedule: Schedule::new(start_ns, rate, crowd.publishers().max(1), duration_ns),
            window_start_ns: start_ns + timing.warm_up_ns,
            publishers: publishers.collect(),
            next_number: 0,
            touched: Vec::new(),
            payload: Payload::new(),
            opcode: protocol.opcode(role),
            message: Vec::new(),
            finder: Finder::new(),
            ledger: Ledger::new(crowd, are_members),
            latency: Histogram::new(),
            arrived: 0,
            sent: 0,
            publish_late: Histogram::new(),
            first_drop: None,
            is_open: pace == Pace::Closed,
        }
    }

    fn begin_closed(&mut self) {
        if self.load.pace == Pace::Closed {
            let now_ns = self.net.clock.now_ns();
            (0..self.publishers.len()).for_each(|it| self.publish_next(it, now_ns));
            self.write_touched();
        }
    }

    /// What is due, in one write for each publisher.
    fn publish_due(&mut self, now_ns: u64) {
        while let Some(due_ns) = self.schedule.due_ns(self.next_number).filter(|&it| it <= now_ns) {
            let stamp = self.schedule.stamp(self.next_number);
            self.publish(stamp, now_ns);
            self.next_number += 1;
            if due_ns >= self.window_start_ns {
                self.publish_late.record(now_ns - due_ns);
            }
        }
        self.write_touched();
    }

    fn publish_next(&mut self, publisher: usize, now_ns: u64) {
        let stamp = Stamp { publisher: publisher as u16, sequence: self.publishers[publisher].sent };
        self.publish(stamp, now_ns);
    }

    fn publish(&mut self, stamp: Stamp, now_ns: u64) {
        let index = usize::from(stamp.publisher);
        let publisher = &mut self.publishers[index];
        self.message.clear();
        self.message.extend_from_slice(&publisher.prefix);
        self.message.extend_from_slice(self.payload.stamped(stamp));
        self.message.extend_from_slice(publisher.suffix.as_bytes());
        if publisher.out.is_empty() {
            self.touched.push(index);
        }
        self.net.write(&mut publisher.out, self.opcode, &self.message);
        publisher.sent = stamp.sequence + 1;
        publisher.sent_ns = now_ns;
        self.sent += 1;
    }

    fn write_touched(&mut self) {
        for index in self.touched.drain(..) {
            let publisher = &mut self.publishers[index];
            if let Err(error) = self.net.send(publisher.connection, &publisher.out) {
                self.net.connections[publisher.connection] = None;
                self.ledger.connection_dropped();
                self.first_drop.get_or_insert_with(|| error.to_string());
            }
            publisher.out.clear();
        }
    }

    fn on_ready(&mut self, ready: Ready, buffer: &mut [u8]) {
        let index = ready.connection;
        let mut alive = Ok(());
        if ready.writable
            && let Some(connection) = &mut self.net.connections[index]
        {
            alive = connection.flush().map_err(|it| it.to_string());
        }
        if alive.is_ok() && (ready.readable || ready.ended) {
            alive = self.receive(index, ready.ended, buffer);
        }
        if let Err(why) = alive
            && self.net.connections[index].take().is_some()
        {
            self.ledger.connection_dropped();
            self.first_drop.get_or_insert(why);
        }
        self.write_touched();
    }

    /// Reads what is there. An error is why the connection is over.
    fn receive(&mut self, index: usize, ended: bool, buffer: &mut [u8]) -> Result<(), String> {
        let room = index as u32 / self.load.crowd.members_per_room;
        loop {
            let Some(connection) = &mut self.net.connections[index] else { return Ok(()) };
            let Some(filled) = connection.read(buffer).map_err(|it| it.to_string())? else { return Ok(()) };
            let now_ns = self.net.clock.now_ns();
            let mut frames = Frames::new(&buffer[..filled]);
            while let Some(frame) = frames.next().map_err(|it| it.to_string())? {
                if frame.kind != Kind::Data || frame.payload.len() < PAYLOAD_BYTES {
                    self.answer(index, frame)?;
                    continue;
                }
                match self.finder.find(frame.payload) {
                    Found::Ours(stamp) => self.deliver(index as u32, room, stamp, now_ns),
                    Found::Damaged => self.ledger.damaged(),
                    Found::Nothing => {}
                }
            }
            if let Some(connection) = &mut self.net.connections[index] {
                connection.keep(frames.rest());
            }
            if filled < buffer.len() && !ended {
                return Ok(());
            }
        }
    }

    #[inline]
    fn deliver(&mut self, member: u32, room: u32, stamp: Stamp, now_ns: u64) {
        if !self.ledger.book(member, room, stamp) {
            return;
        }
        self.arrived += 1;
        let publisher = usize::from(stamp.publisher);
        let due_ns = match self.load.pace {
            Pace::Closed => self.publishers[publisher].sent_ns,
            Pace::Rate(_) | Pace::Silent => self.schedule.due_ns_of(stamp),
        };
        if due_ns >= self.window_start_ns {
            self.latency.record(now_ns.saturating_sub(due_ns));
        }
        if self.is_open {
            self.publish_next(publisher, now_ns);
        }
    }

    /// Control frames and the protocol's own pings. An error is why the connection is over.
    #[cold]
    fn answer(&mut self, index: usize, frame: Frame<'_>) -> Result<(), String> {
        let said = match frame.kind {
            Kind::Data => match self.load.protocol.answer(frame.payload) {
                Some(answer) => self.net.say(index, Opcode::Text, answer.as_bytes()),
                None => Ok(()),
            },
            Kind::Ping => self.net.say(index, Opcode::Pong, frame.payload),
            Kind::Pong => Ok(()),
            Kind::Close => return Err(frame.close_reason()),
        };
        said.map_err(|it| it.to_string())
    }

    fn has_all(&self) -> bool {
        self.next_number == self.schedule.messages() && self.arrived >= self.ledger.expected(self.sent)
    }

    fn outcome(self, usage: Usage, arrived: u64) -> Outcome {
        let sent: Vec<u32> = self.publishers.iter().map(|it| it.sent).collect();
        Outcome {
            usage,
            arrived,
            latency: self.latency.percentiles(),
            faults: self.ledger.close(&sent),
            first_drop: self.first_drop,
            publish_late: self.publish_late.percentiles(),
        }
    }
}
