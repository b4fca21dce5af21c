//! The loop: accepts, reads, obeys, and writes to each member in turn.
//! Invariant: a connection's `room` lists it in `rooms`, and no other room does.

use std::{collections::HashMap, io, mem, net::SocketAddr};

use mio::{Events, Interest, Poll, Token, event::Event, net::TcpListener};
use slab::Slab;

use crate::{
    connection::{Connection, RoomId},
    handshake::{self, Head},
    wire::{self, Frame},
};

const LISTENER: Token = Token(usize::MAX);
const EVENTS_MAX: usize = 1024;
const READ_BYTES: usize = 65_536;

pub(crate) struct Server {
    poll: Poll,
    listener: TcpListener,
    connections: Slab<Connection>,
    room_ids: HashMap<Box<[u8]>, RoomId>,
    /// Members by their key in `connections`.
    rooms: Vec<Vec<usize>>,
    unmasked: Vec<u8>,
    encoded: Vec<u8>,
}

/// Whether a connection goes on.
#[derive(PartialEq)]
enum Fate {
    Open,
    Ended,
}

impl Server {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Slab::new(),
            room_ids: HashMap::new(),
            rooms: Vec::new(),
            unmasked: Vec::new(),
            encoded: Vec::new(),
        })
    }

    /// Serves until polling fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(key) => self.turn(key, event, &mut buffer),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            entry.insert(Connection::new(stream));
        }
    }

    fn turn(&mut self, key: usize, event: &Event, buffer: &mut [u8]) {
        // Ended earlier in this batch of events.
        let Some(connection) = self.connections.get_mut(key) else { return };
        if event.is_writable() {
            connection.resume();
        }
        if event.is_readable() && self.read(key, event.is_read_closed(), buffer) == Fate::Ended {
            self.end(key);
        }
    }

    /// Epoll is edge-triggered here: a read that did not fill the buffer emptied the socket, but for the end of the stream.
    fn read(&mut self, key: usize, is_closing: bool, buffer: &mut [u8]) -> Fate {
        loop {
            let len = match self.connections[key].read(buffer) {
                Ok(None) => return Fate::Open,
                Ok(Some(0)) | Err(_) => return Fate::Ended,
                Ok(Some(len)) => len,
            };
            if self.consume(key, &buffer[..len]) == Fate::Ended {
                return Fate::Ended;
            }
            if len < buffer.len() && !is_closing {
                return Fate::Open;
            }
        }
    }

    fn consume(&mut self, key: usize, chunk: &[u8]) -> Fate {
        let mut carried = mem::take(&mut self.connections[key].partial);
        let mut rest = if carried.is_empty() {
            chunk
        } else {
            carried.extend_from_slice(chunk);
            &carried
        };
        if !self.connections[key].is_upgraded {
            match handshake::read(rest) {
                Head::Incomplete => {
                    self.connections[key].partial = rest.to_vec();
                    return Fate::Open;
                }
                Head::Refused => return Fate::Ended,
                Head::Upgrade { answer, len } => {
                    self.connections[key].is_upgraded = true;
                    self.connections[key].send(answer.as_bytes());
                    rest = &rest[len..];
                }
            }
        }
        while let Some(frame) = Frame::decode(rest) {
            rest = &rest[frame.len..];
            if self.obey(key, &frame) == Fate::Ended {
                return Fate::Ended;
            }
        }
        self.connections[key].partial = rest.to_vec();
        Fate::Open
    }

    fn obey(&mut self, key: usize, frame: &Frame<'_>) -> Fate {
        let payload = frame.unmask(&mut self.unmasked);
        match (frame.opcode, payload.split_first()) {
            (wire::TEXT, Some((b'P', payload))) => {
                let bytes = wire::encode(wire::TEXT, payload, &mut self.encoded);
                let Some(room) = self.connections[key].room else { return Fate::Open };
                for &member in self.rooms[room].iter().filter(|&&it| it != key) {
                    self.connections[member].send(bytes);
                }
            }
            (wire::TEXT, Some((b'E', payload))) => {
                self.connections[key].send(wire::encode(wire::TEXT, payload, &mut self.encoded));
            }
            (wire::TEXT, Some((b'J', room))) => {
                let room: Box<[u8]> = room.into();
                self.join(key, room);
                self.connections[key].send(wire::encode(wire::TEXT, b"K", &mut self.encoded));
            }
            (wire::PING, _) => {
                self.connections[key].send(wire::encode(wire::PONG, payload, &mut self.encoded));
            }
            (wire::CLOSE, _) => {
                self.connections[key].send(wire::encode(wire::CLOSE, payload, &mut self.encoded));
                return Fate::Ended;
            }
            _ => {}
        }
        Fate::Open
    }

    fn join(&mut self, key: usize, room: Box<[u8]>) {
        self.leave(key);
        let room = *self.room_ids.entry(room).or_insert_with(|| {
            self.rooms.push(Vec::new());
            self.rooms.len() - 1
        });
        self.rooms[room].push(key);
        self.connections[key].room = Some(room);
    }

    fn leave(&mut self, key: usize) {
        if let Some(room) = self.connections[key].room.take() {
            self.rooms[room].retain(|&it| it != key);
        }
    }

    fn end(&mut self, key: usize) {
        self.leave(key);
        self.connections.remove(key);
    }
}
