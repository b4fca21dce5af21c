//! The generator's sockets: one epoll, edge-triggered, one thread.
//!
//! A connection owns memory only for a frame that has come in part and for bytes that its socket would not take.
//! Receiving goes through a buffer that all share: what was left of the last read is put in front, so that frames
//! are always read in place. Invariant: a read that does not fill the buffer has emptied the socket.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use loadgen::{Alarm, write_some};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use ringway::ws::{Opcode, encode};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::clock::Clock;

/// Shared by all connections: more than a socket usually holds.
pub const BUFFER_BYTES: usize = 1 << 20;
/// A round of events short enough that what is due meanwhile is not published late.
pub const EVENTS_PER_ROUND: usize = 64;

const ALARM: Token = Token(usize::MAX);
const READ_AND_WRITE: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Which addresses of the loopback connections come from: the first so many from one, the next from the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sources {
    pub first: Ipv4Addr,
    pub connections_each: usize,
}

/// As few as leave each so many free ports that one is found at once.
impl Default for Sources {
    fn default() -> Self {
        Self { first: Ipv4Addr::LOCALHOST, connections_each: 10_000 }
    }
}

impl Sources {
    fn of(self, index: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() + (index / self.connections_each) as u32)
    }
}

/// All connections of a run by their number; `None` where one has ended.
pub struct Net {
    pub clock: Clock,
    pub connections: Vec<Option<Connection>>,
    sources: Sources,
    poll: Poll,
    alarm: Alarm,
    frame: Vec<u8>,
    masks: u32,
}

/// What a socket can do now.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub connection: usize,
    pub readable: bool,
    pub writable: bool,
    /// The server has ended its side: read until that shows.
    pub ended: bool,
}

impl Net {
    pub fn new() -> io::Result<Self> {
        Self::from(Sources::default())
    }

    /// The same, with connections that come from these addresses.
    pub fn from(sources: Sources) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::register(poll.registry(), ALARM)?;
        let (connections, frame) = (Vec::new(), Vec::new());
        Ok(Self { clock: Clock::start(), connections, sources, poll, alarm, frame, masks: 0x9e37_79b9 })
    }

    /// Begins one more connection to the loopback and says `opening` on it.
    ///
    /// On the loopback TCP mostly stands before `connect` returns, and what does not go out at once waits like
    /// whatever a socket will not take: no call asks how far it is.
    pub fn dial(&mut self, port: u16, opening: &[u8]) -> io::Result<()> {
        let index = self.connections.len();
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        let source = self.sources.of(index);
        // That one the kernel takes unasked.
        if source != Ipv4Addr::LOCALHOST {
            setsockopt(&socket, IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        match socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
            Err(error) => return Err(error),
        }
        let stream = TcpStream::from_std(socket.into());
        let (partial, unsent) = (Vec::new(), Vec::new());
        let mut connection = Connection { stream, partial, unsent, waits_for_room: false };
        connection.send(opening)?;
        connection.waits_for_room = !connection.unsent.is_empty();
        let interest = if connection.waits_for_room { READ_AND_WRITE } else { Interest::READABLE };
        self.poll.registry().register(&mut connection.stream, Token(index), interest)?;
        self.connections.push(Some(connection));
        Ok(())
    }

    /// Waits until something is ready, or until that time.
    pub fn wait(&mut self, events: &mut Events, until_ns: u64) -> io::Result<()> {
        let now_ns = self.clock.now_ns();
        let is_due = until_ns <= now_ns;
        if !is_due {
            self.alarm.set(now_ns, until_ns)?;
        }
        match self.poll.poll(events, is_due.then_some(Duration::ZERO)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// What `wait` has brought.
    #[inline]
    pub fn ready(&mut self, event: &mio::event::Event) -> Option<Ready> {
        if event.token() == ALARM {
            self.alarm.went_off();
            return None;
        }
        Some(Ready {
            connection: event.token().0,
            readable: event.is_readable(),
            writable: event.is_writable(),
            ended: event.is_read_closed() || event.is_error(),
        })
    }

    /// Sends a frame.
    pub fn say(&mut self, connection: usize, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        encode::frame(&mut frame, opcode, payload, false, Some(next_mask(&mut self.masks)));
        let sent = self.send(connection, &frame);
        self.frame = frame;
        sent
    }

    /// Sends frames. What the socket does not take follows when it has room.
    #[inline]
    pub fn send(&mut self, connection: usize, frames: &[u8]) -> io::Result<()> {
        let Some(it) = &mut self.connections[connection] else { return Ok(()) };
        it.send(frames)?;
        if !it.unsent.is_empty() && !it.waits_for_room {
            it.waits_for_room = true;
            self.poll.registry().reregister(&mut it.stream, Token(connection), READ_AND_WRITE)?;
        }
        Ok(())
    }

    /// Appends a frame to `out`.
    #[inline]
    pub fn write(&mut self, out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
        encode::frame(out, opcode, payload, false, Some(next_mask(&mut self.masks)));
    }
}

/// Never zero, and no two alike in a row; unpredictable it need not be.
#[inline]
fn next_mask(masks: &mut u32) -> [u8; 4] {
    *masks = masks.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
    (*masks | 0x0101_0101).to_ne_bytes()
}

/// One socket.
pub struct Connection {
    stream: TcpStream,
    /// The beginning of a frame.
    partial: Vec<u8>,
    unsent: Vec<u8>,
    /// It was full once, or not connected yet: it is watched for room since then, and only then.
    waits_for_room: bool,
}

impl Connection {
    /// Reads once, behind what was left the last time. How much of the buffer is filled now; `None` when nothing
    /// came. The end of the stream is an error.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the server ended the connection")),
            Ok(count) => Ok(Some(kept + count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps what `read` brought and nobody has used.
    #[inline]
    pub fn keep(&mut self, rest: &[u8]) {
        self.partial.clear();
        self.partial.extend_from_slice(rest);
    }

    /// Writes what the socket takes, and keeps the rest.
    #[inline]
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let written = write_some(bytes, |rest| self.stream.write(rest))?;
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Goes on writing what was kept.
    #[inline]
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let written = write_some(&self.unsent, |rest| self.stream.write(rest))?;
            self.unsent.drain(..written);
        }
        Ok(())
    }
}

/// Ended by reset, it leaves no port behind that waits a minute.
impl Drop for Connection {
    fn drop(&mut self) {
        // It fails only where the connection is over already.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}
