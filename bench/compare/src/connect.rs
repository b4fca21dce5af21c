//! From nothing to members: dials with a bound on how many are under way, upgrades, joins.
//!
//! A connection counts as under way from its dial until it is what it should be. Any that fails ends the run: a
//! crowd that is not whole would be measured wrong.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mio::Events;
use ringway::ws::Opcode;

use crate::{
    failure::Failure,
    frames::{Frame, Frames, Kind},
    histogram::Histogram,
    net::{BUFFER_BYTES, Net, Ready},
    protocol::{Handshake, Protocol, Role, Step, Upgrade},
};

/// The longest that a crowd may stand still on its way in.
const PATIENCE: Duration = Duration::from_secs(15);
const EVENTS: usize = 1024;

/// Whom to connect to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// One for each connection, where the protocol wants them.
    pub(crate) tokens: &'a [String],
}

/// What one connection is to become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) room: u32,
    pub(crate) role: Role,
}

/// Of one length, so that messages are.
pub(crate) fn room_name(room: u32) -> String {
    format!("room-{room:05}")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Upgrading,
    Joining,
    Ready,
}

/// Connects all of `specs`, at most `in_flight_max` at a time. Durations are from the dial to readiness.
pub(crate) fn connect(
    net: &mut Net,
    target: Target<'_>,
    specs: &[Spec],
    in_flight_max: u32,
    interrupted: &AtomicBool,
) -> Result<Histogram, Failure> {
    let mut dialer = Dialer {
        net,
        target,
        specs,
        handshake: Handshake::new(),
        progress: Vec::with_capacity(specs.len()),
        ready: 0,
        durations: Histogram::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    let mut events = Events::with_capacity(EVENTS);
    let (mut seen_ready, mut stuck_ns) = (0, u64::MAX);
    while dialer.ready < specs.len() {
        dialer.dial_more(in_flight_max as usize)?;
        let now_ns = dialer.net.clock.now_ns();
        if dialer.ready > seen_ready || stuck_ns == u64::MAX {
            (seen_ready, stuck_ns) = (dialer.ready, now_ns + PATIENCE.as_nanos() as u64);
        }
        if now_ns >= stuck_ns {
            return Err(dialer.failed(format!("none came in for {} s", PATIENCE.as_secs())));
        }
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        dialer.net.wait(&mut events, stuck_ns)?;
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
    handshake: Handshake,
    /// By connection: how far, and when it was dialed.
    progress: Vec<(Stage, u64)>,
    ready: usize,
    durations: Histogram,
    buffer: Vec<u8>,
}

impl Dialer<'_> {
    fn dial_more(&mut self, in_flight_max: usize) -> Result<(), Failure> {
        while self.progress.len() < self.specs.len() && self.progress.len() - self.ready < in_flight_max {
            self.progress.push((Stage::Connecting, self.net.clock.now_ns()));
            self.net.dial(self.target.port).map_err(|error| self.failed(error.to_string()))?;
        }
        Ok(())
    }

    fn failed(&self, why: String) -> Failure {
        Failure::Connect { ready: self.ready, of: self.specs.len(), why }
    }

    fn on_ready(&mut self, ready: Ready) -> Result<(), String> {
        let index = ready.connection;
        let Some(connection) = &mut self.net.connections[index] else { return Ok(()) };
        if self.progress[index].0 == Stage::Connecting {
            if !connection.is_connected().map_err(text)? {
                return Ok(());
            }
            let Spec { room, role } = self.specs[index];
            let path = self.target.protocol.path(&room_name(room), role);
            let wants_token = self.target.protocol.wants_token(role);
            let token = self.target.tokens.get(index).filter(|_| wants_token).map(String::as_str);
            let request = self.handshake.request(&path, self.target.port, token);
            connection.send(request.as_bytes()).map_err(text)?;
            self.progress[index].0 = Stage::Upgrading;
        } else if ready.writable {
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
                let (stage, dialed_ns) = &mut self.progress[index];
                *stage = Stage::Ready;
                self.durations.record(self.net.clock.now_ns() - *dialed_ns);
                self.ready += 1;
                Ok(())
            }
        }
    }
}

fn text(error: impl Into<Box<dyn std::error::Error>>) -> String {
    error.into().to_string()
}
