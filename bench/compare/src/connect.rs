//! From nothing to members: dials, as fast as they come in or at a rate, upgrades, joins.
//!
//! A connection counts as under way from its dial until it is what it should be; how many are is bounded. Any that
//! fails ends the run: a crowd that is not whole would be measured wrong.

use std::sync::atomic::{AtomicBool, Ordering};

use mio::Events;
use ringway::ws::Opcode;

use crate::{
    failure::Failure,
    frames::{Frame, Frames, Kind},
    histogram::Histogram,
    net::{BUFFER_BYTES, Net, Ready},
    protocol::{Handshake, Protocol, Role, Step, Upgrade},
};

const NS_PER_S: u64 = 1_000_000_000;
/// The longest that a crowd may stand still on its way in.
const PATIENCE_NS: u64 = 15 * NS_PER_S;
const EVENTS: usize = 1024;

/// Whom to connect to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub protocol: Protocol,
    pub port: u16,
    /// One for each connection, where the protocol wants them.
    pub tokens: &'a [String],
}

/// When connections come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrivals {
    /// At most so many under way.
    pub in_flight_max: u32,
    /// So many a second, evenly, whether or not those before have come in; `None`: as soon as there is place.
    pub per_s: Option<u32>,
}

/// What one connection is to become.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub room: u32,
    pub role: Role,
}

/// Of one length, so that messages are.
pub fn room_name(room: u32) -> String {
    format!("room-{room:05}")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Upgrading,
    Joining,
    Ready,
}

/// Connects all of `specs`. Durations are to readiness, from when a connection was due: with a rate, the wait for a
/// place among those under way is part of it.
pub fn connect(
    net: &mut Net,
    target: Target<'_>,
    specs: &[Spec],
    arrivals: Arrivals,
    interrupted: &AtomicBool,
) -> Result<Histogram, Failure> {
    let start_ns = net.clock.now_ns();
    let mut dialer = Dialer {
        net,
        target,
        specs,
        arrivals,
        start_ns,
        handshake: Handshake::new(),
        request: String::new(),
        progress: Vec::with_capacity(specs.len()),
        ready: 0,
        durations: Histogram::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    let mut events = Events::with_capacity(EVENTS);
    let (mut seen_ready, mut seen_ns) = (0, start_ns);
    while dialer.ready < specs.len() {
        dialer.dial_more()?;
        let now_ns = dialer.net.clock.now_ns();
        if dialer.ready > seen_ready {
            (seen_ready, seen_ns) = (dialer.ready, now_ns);
        }
        if now_ns >= seen_ns + PATIENCE_NS {
            return Err(dialer.failed(format!("none came in for {} s", PATIENCE_NS / NS_PER_S)));
        }
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        // A look each second is enough, and an alarm that stays where it is costs nothing.
        let look_ns = (now_ns / NS_PER_S + 1) * NS_PER_S;
        let until_ns = dialer.next_due_ns().map_or(look_ns, |due_ns| due_ns.min(look_ns));
        dialer.net.wait(&mut events, until_ns)?;
        for event in &events {
            if let Some(ready) = dialer.net.ready(event) {
                dialer.on_ready(ready).map_err(|why| dialer.failed(why))?;
            }
        }
    }
    Ok(dialer.durations)
}

struct Dialer<'a> {
    net: &'a mut Net,
    target: Target<'a>,
    specs: &'a [Spec],
    arrivals: Arrivals,
    start_ns: u64,
    handshake: Handshake,
    request: String,
    /// By connection: how far, and when it was due.
    progress: Vec<(Stage, u64)>,
    ready: usize,
    durations: Histogram,
    buffer: Vec<u8>,
}

impl Dialer<'_> {
    /// When the next connection is due; `None` while there is no place for it, or no next one.
    fn next_due_ns(&self) -> Option<u64> {
        let number = self.progress.len();
        if number == self.specs.len() || number - self.ready >= self.arrivals.in_flight_max as usize {
            return None;
        }
        Some(match self.arrivals.per_s {
            Some(per_s) => self.start_ns + number as u64 * NS_PER_S / u64::from(per_s),
            None => self.start_ns,
        })
    }

    fn dial_more(&mut self) -> Result<(), Failure> {
        while let Some(due_ns) = self.next_due_ns() {
            let now_ns = self.net.clock.now_ns();
            if due_ns > now_ns {
                break;
            }
            let index = self.progress.len();
            let due_ns = if self.arrivals.per_s.is_some() { due_ns } else { now_ns };
            self.progress.push((Stage::Upgrading, due_ns));
            let Spec { room, role } = self.specs[index];
            let Target { protocol, port, tokens } = self.target;
            let token = tokens.get(index).filter(|_| protocol.wants_token(role));
            let path = protocol.path(&room_name(room), role);
            let (token, subprotocol) = (token.map(String::as_str), protocol.subprotocol(role));
            self.handshake.request(&path, port, token, subprotocol, &mut self.request);
            let dialed = self.net.dial(port, self.request.as_bytes());
            dialed.map_err(|error| self.failed(error.to_string()))?;
        }
        Ok(())
    }

    fn failed(&self, why: String) -> Failure {
        Failure::Connect { ready: self.ready, of: self.specs.len(), why }
    }

    fn on_ready(&mut self, ready: Ready) -> Result<(), String> {
        let index = ready.connection;
        let Some(connection) = &mut self.net.connections[index] else { return Ok(()) };
        if ready.writable {
            connection.flush().map_err(text)?;
        }
        if ready.readable || ready.ended {
            self.receive(index, ready.ended)?;
        }
        Ok(())
    }

    /// Heads and greetings are short: one read takes all that is there.
    fn receive(&mut self, index: usize, ended: bool) -> Result<(), String> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.receive_into(index, ended, &mut buffer);
        self.buffer = buffer;
        result
    }

    fn receive_into(&mut self, index: usize, ended: bool, buffer: &mut [u8]) -> Result<(), String> {
        loop {
            let Some(connection) = &mut self.net.connections[index] else { return Ok(()) };
            let Some(filled) = connection.read(buffer).map_err(text)? else { return Ok(()) };
            let mut bytes = &buffer[..filled];
            if self.progress[index].0 == Stage::Upgrading {
                match self.handshake.read(bytes) {
                    Upgrade::Partial => {}
                    Upgrade::Refused(why) => return Err(why),
                    Upgrade::Accepted(head_bytes) => {
                        bytes = &bytes[head_bytes..];
                        self.progress[index].0 = Stage::Joining;
                        let Spec { room, role } = self.specs[index];
                        let step = self.target.protocol.upgraded(&room_name(room), role);
                        self.take(index, step)?;
                    }
                }
            }
            if self.progress[index].0 != Stage::Upgrading {
                let mut frames = Frames::new(bytes);
                while let Some(frame) = frames.next().map_err(text)? {
                    self.on_frame(index, frame)?;
                }
                bytes = frames.rest();
            }
            if let Some(connection) = &mut self.net.connections[index] {
                connection.keep(bytes);
            }
            if !ended {
                return Ok(());
            }
        }
    }

    fn on_frame(&mut self, index: usize, frame: Frame<'_>) -> Result<(), String> {
        match frame.kind {
            Kind::Data if self.progress[index].0 == Stage::Ready => {
                match self.target.protocol.answer(frame.payload) {
                    Some(answer) => self.net.say(index, Opcode::Text, answer.as_bytes()).map_err(text),
                    None => Ok(()),
                }
            }
            Kind::Data => {
                let Spec { room, role } = self.specs[index];
                let heard = String::from_utf8_lossy(frame.payload);
                let step = self.target.protocol.heard(&heard, &room_name(room), role);
                self.take(index, step)
            }
            Kind::Ping => self.net.say(index, Opcode::Pong, frame.payload).map_err(text),
            Kind::Pong => Ok(()),
            Kind::Close => Err(frame.close_reason()),
        }
    }

    fn take(&mut self, index: usize, step: Step) -> Result<(), String> {
        match step {
            Step::Wait => Ok(()),
            Step::Say(it) => self.net.say(index, Opcode::Text, it.as_bytes()).map_err(text),
            Step::Refused(why) => Err(why),
            Step::Ready => {
                let (stage, due_ns) = &mut self.progress[index];
                *stage = Stage::Ready;
                self.durations.record(self.net.clock.now_ns().saturating_sub(*due_ns));
                self.ready += 1;
                Ok(())
            }
        }
    }
}

fn text(error: impl Into<Box<dyn std::error::Error>>) -> String {
    error.into().to_string()
}
