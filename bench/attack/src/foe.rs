//! One socket of an attacker: what it says, and how far it is.
//!
//! All that foes say is made before the attack; a foe knows which of these texts it sends and how much of it has gone.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use compare::{connect::room_name, protocol::Handshake, token};
use mio::net::TcpStream;
use nix::{errno::Errno, sys::socket::setsockopt, sys::socket::sockopt::IpBindAddressNoPort};
use ringway::ws::{Opcode, encode};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{kind::Kind, tally::Tally};

/// The one address that all foes have.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 6);
/// As many as an address may have open, and some that may not.
const TOKENS: u32 = 100;
/// What is not read must not have much place.
const NEVER_READ_BYTES: usize = 4096;
/// A foe that is read from reads so much at a time.
const READ_BYTES: usize = 16 << 10;
/// What a flood repeats, and how much of it one foe sends before it is another's turn.
const FLOOD_BYTES: usize = 16 << 10;
const MASK: [u8; 4] = *b"evil";

/// What foes say.
pub(crate) struct Script {
    port: u16,
    /// Upgrades with good and with bad tokens.
    heads: Vec<Vec<u8>>,
    bad_heads: Vec<Vec<u8>>,
    /// A head without an end.
    slow: Vec<u8>,
    /// Joins of the rooms of good clients.
    joins: Vec<Vec<u8>>,
    /// Messages and pings.
    flood: Vec<u8>,
}

impl Script {
    pub(crate) fn new(port: u16, rooms: u32) -> Self {
        let tokens = token::tokens_of("foe", TOKENS);
        let head = |token: &String| {
            let mut text = String::new();
            Handshake::new().request("/ws", port, Some(token), None, &mut text);
            text.into_bytes()
        };
        let join =
            |room| frame(Opcode::Text, &format!(r#"{{"type":"room:join","room":"{}"}}"#, room_name(room)));
        Self {
            port,
            bad_heads: tokens.iter().map(|it| head(&spoilt(it))).collect(),
            heads: tokens.iter().map(head).collect(),
            slow: format!("GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Slow: ").into_bytes(),
            joins: (0..rooms).map(join).collect(),
            flood: flood(),
        }
    }
}

/// With another signature.
fn spoilt(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    // Base64 of 32 bytes ends in a digit whose last bits are zero: the first digits are free.
    let other: String = signature.chars().rev().skip(1).collect();
    format!("{signed}.{other}{}", signature.chars().next_back().unwrap_or_default())
}

fn frame(opcode: Opcode, payload: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode::frame(&mut out, opcode, payload.as_bytes(), false, Some(MASK));
    out
}

/// Whole frames of nearly [`FLOOD_BYTES`].
fn flood() -> Vec<u8> {
    let join = frame(Opcode::Text, r#"{"type":"room:join","room":"foes"}"#);
    let send =
        frame(Opcode::Text, r#"{"type":"room:send","room":"foes","payload":"a message that nobody wants"}"#);
    let round = [send, frame(Opcode::Text, r#"{"type":"ping"}"#), frame(Opcode::Ping, "x")].concat();
    let mut all = join;
    while all.len() + round.len() <= FLOOD_BYTES {
        all.extend_from_slice(&round);
    }
    all
}

/// What became of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    GoesOn,
    /// The socket is over: another is to come in its place.
    Over,
}

/// One socket. Dropped, it ends by reset, so that its port is free at once.
pub(crate) struct Foe {
    pub(crate) stream: TcpStream,
    pub(crate) kind: Kind,
    number: usize,
    /// Of what it says before it is answered, and behind that of what it repeats.
    sent: usize,
    is_answered: bool,
    pub(crate) is_admitted: bool,
}

impl Foe {
    /// Begins to connect. An error is this machine's: no free port, no descriptor.
    pub(crate) fn dial(script: &Script, kind: Kind, number: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if kind == Kind::NeverRead {
            socket.set_recv_buffer_size(NEVER_READ_BYTES)?;
        }
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::from((ADDRESS, 0)).into())?;
        match socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, script.port)).into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
            Err(error) => return Err(error),
        }
        let stream = TcpStream::from_std(socket.into());
        Ok(Self { stream, kind, number, sent: 0, is_answered: false, is_admitted: false })
    }

    /// Says what is to be said unasked.
    pub(crate) fn speak(&mut self, script: &Script, tally: &mut Tally) -> Step {
        let pick = |texts: &[Vec<u8>]| texts[self.number % texts.len()].clone();
        let opening = match self.kind {
            Kind::HalfOpen | Kind::Slowloris | Kind::Mixed => return Step::GoesOn,
            Kind::BadToken => pick(&script.bad_heads),
            Kind::Connect | Kind::Decoy | Kind::Flood => pick(&script.heads),
            // It will not look whether it was let in.
            Kind::NeverRead => [pick(&script.heads), pick(&script.joins)].concat(),
        };
        let written = match opening.get(self.sent..) {
            Some(rest) if !rest.is_empty() => write(&mut self.stream, rest),
            Some(_) | None if self.kind == Kind::Flood && self.is_admitted => {
                return self.flood(script, tally);
            }
            Some(_) | None => Ok(0),
        };
        match written {
            Ok(count) => {
                self.sent += count;
                Step::GoesOn
            }
            Err(_) => self.end(tally),
        }
    }

    /// The next byte of a head that never ends.
    pub(crate) fn trickle(&mut self, script: &Script, tally: &mut Tally) -> Step {
        let byte = script.slow.get(self.sent).copied().unwrap_or(b'a');
        match write(&mut self.stream, &[byte]) {
            Ok(count) => {
                self.sent += count;
                Step::GoesOn
            }
            Err(_) => self.end(tally),
        }
    }

    /// Reads what there is, unless it never does.
    pub(crate) fn listen(&mut self, tally: &mut Tally) -> Step {
        let mut buffer = [0; READ_BYTES];
        loop {
            if self.kind == Kind::NeverRead && self.is_answered {
                return Step::GoesOn;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.end(tally),
                Ok(count) => {
                    if !self.is_answered {
                        self.is_answered = true;
                        self.is_admitted = buffer[..count].starts_with(b"HTTP/1.1 101");
                        tally.answered(&buffer[..count]);
                    }
                    // A refusal is not waited out, nor is anything done with what was reached.
                    let stays = self.is_admitted && matches!(self.kind, Kind::Flood | Kind::NeverRead);
                    if !stays {
                        return Step::Over;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::GoesOn,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.end(tally),
            }
        }
    }

    /// Floods as much as one turn allows.
    fn flood(&mut self, script: &Script, tally: &mut Tally) -> Step {
        // Whole frames follow the head, over and over.
        let head = script.heads[self.number % script.heads.len()].len();
        let at = (self.sent - head) % script.flood.len();
        match write(&mut self.stream, &script.flood[at..]) {
            Ok(count) => {
                self.sent += count;
                tally.flooded_bytes += count as u64;
                Step::GoesOn
            }
            Err(_) => self.end(tally),
        }
    }

    fn end(&mut self, tally: &mut Tally) -> Step {
        if !self.is_answered {
            tally.unheard += 1;
        }
        Step::Over
    }
}

impl Drop for Foe {
    fn drop(&mut self) {
        // It fails only where the connection is over already.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Once; what the socket has no place for, or what comes before it is connected, stays.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
            ) =>
        {
            Ok(0)
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoilt_token_differs_in_its_signature_alone() {
        let token = &token::tokens(1)[0];
        let spoilt = spoilt(token);
        assert_ne!(*token, spoilt);
        assert_eq!(token.rsplit_once('.').unwrap().0, spoilt.rsplit_once('.').unwrap().0);
        assert_eq!(token.len(), spoilt.len());
    }
}
