//! One connection: its sockets (two where messages travel by long-polling), how far it has come, and what the sockets would not
//! take yet.
//!
//! Kept small, since there are many: reading goes through a buffer that all share, and only a connection with unsent bytes owns
//! memory.

use std::{
    io::{self, ErrorKind, Read, Write},
    mem,
    net::SocketAddr,
};

use mio::{event::Source, net::TcpStream};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    client::{
        polling::Lane,
        tls::{Tls, TlsTarget},
        wire::Wire,
    },
    protocol::Dialogue,
};

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// TCP is being set up.
    Connecting,
    /// The upgrade request is on its way.
    Upgrading,
    /// The target has not said yet that rooms may be joined.
    Opening,
    /// Joins are on their way.
    Joining,
    Ready,
    /// Our close frame is on its way; of what comes before its answer, deliveries are dropped.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    main: Link,
    side: Option<Box<Link>>,
    pub(crate) stage: Stage,
    /// In which phase it was dialed.
    pub(crate) phase: u16,
    /// Number of the dial: tells deadlines of an earlier connection in the same slot apart.
    pub(crate) dial: u32,
    /// Rooms that it has not been let into yet.
    pub(crate) joins_left: u32,
    /// When the step that is being measured began.
    pub(crate) since_ns: u64,
    pub(crate) wire: Wire,
    pub(crate) dialogue: Dialogue,
}

/// One socket.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    /// TCP stands.
    stands: bool,
    unsent: Option<Box<Unsent>>,
}

/// Bytes that wait for the socket.
#[derive(Debug)]
struct Unsent {
    bytes: Vec<u8>,
    /// Invariant: less than `bytes.len()`.
    written: usize,
}

/// What one socket may let wait; who lets more wait will not take it any more.
const UNSENT_BYTES_MAX: usize = 4 << 20;
/// Bytes that the socket has taken are let go when there are so many.
const WRITTEN_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(mem::size_of::<Option<Conn>>() <= 120, "there is one per connection");

/// Where to, where from, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'s> {
    pub(crate) target: SocketAddr,
    /// For `wss://`.
    pub(crate) tls: Option<&'s TlsTarget>,
    /// The address to bind before connecting.
    pub(crate) source: Option<SocketAddr>,
    /// Size of the kernel's buffer for what comes, where it is not left to the kernel.
    pub(crate) receive_bytes: Option<usize>,
}

impl Conn {
    /// Begins to connect, without waiting. It was due at `due_ns`.
    pub(crate) fn dial(route: Route<'_>, wire: Wire, phase: u16, dial: u32, due_ns: u64) -> io::Result<Self> {
        Ok(Self {
            main: Link::dial(route)?,
            side: None,
            stage: Stage::Connecting,
            phase,
            dial,
            joins_left: 0,
            since_ns: due_ns,
            wire,
            dialogue: Dialogue::default(),
        })
    }

    /// Connects that lane anew, and gives what an event loop registers.
    pub(crate) fn redial(&mut self, lane: Lane, route: Route<'_>) -> io::Result<&mut impl Source> {
        let link = Link::dial(route)?;
        Ok(match lane {
            Lane::Main => {
                self.main = link;
                &mut self.main.stream
            }
            Lane::Side => &mut self.side.insert(Box::new(link)).stream,
        })
    }

    /// What an event loop registers.
    pub(crate) fn source(&mut self) -> &mut impl Source {
        &mut self.main.stream
    }

    /// Whether the lane's TCP was known to stand, and whether it does by now.
    pub(crate) fn stands(&mut self, lane: Lane) -> io::Result<(bool, bool)> {
        let Some(link) = self.link(lane) else { return Ok((false, false)) };
        if link.stands {
            return Ok((true, true));
        }
        if let Some(error) = link.stream.take_error()? {
            return Err(error);
        }
        match link.stream.peer_addr() {
            Ok(_) => link.stands = true,
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
        Ok((false, link.stands))
    }

    /// The side lane was closed; the main one stays until it is dialed anew.
    pub(crate) fn drop_lane(&mut self, lane: Lane) {
        match lane {
            Lane::Main => {}
            Lane::Side => self.side = None,
        }
    }

    /// Reads what is there, up to the size of `buffer`.
    pub(crate) fn read(&mut self, lane: Lane, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(link) = self.link(lane) else { return Err(ErrorKind::WouldBlock.into()) };
        match &mut link.tls {
            None => link.stream.read(buffer),
            Some(tls) => tls.read(&mut link.stream, buffer),
        }
    }

    /// How much waits in the main socket to be read; 0 where the system does not say.
    pub(crate) fn unread_bytes(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.main.stream).unwrap_or(0)
    }

    /// Whether a read that fills less than its buffer has read all that there is.
    pub(crate) fn short_read_is_all(&self, lane: Lane) -> bool {
        self.lane(lane).is_none_or(|link| link.tls.is_none())
    }

    /// Whether there is something to write as soon as the lane's socket takes it.
    pub(crate) fn wants_write(&self, lane: Lane) -> bool {
        self.lane(lane).is_some_and(|link| link.unsent.is_some() || link.waits_inside_tls())
    }

    /// Whether bytes were kept back for another reason than the socket: until TLS stood, which it does now.
    pub(crate) fn is_held_back(&self, lane: Lane) -> bool {
        self.lane(lane)
            .is_some_and(|link| link.tls.is_some() && link.unsent.is_some() && !link.waits_inside_tls())
    }

    /// Writes what the socket takes and keeps the rest.
    ///
    /// # Errors
    /// When the socket fails, or lets too much wait.
    pub(crate) fn send(&mut self, lane: Lane, bytes: &[u8]) -> io::Result<()> {
        let Some(link) = self.link(lane) else { return Ok(()) };
        link.send(bytes)
    }

    /// Goes on writing what was kept.
    pub(crate) fn flush(&mut self, lane: Lane) -> io::Result<()> {
        let Some(link) = self.link(lane) else { return Ok(()) };
        link.flush()
    }

    /// How much waits to be sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        let of = |link: &Link| link.unsent.as_ref().map_or(0, |unsent| unsent.bytes.len() - unsent.written);
        of(&self.main) + self.side.as_ref().map_or(0, |side| of(side)) + self.wire.unsent_bytes()
    }

    fn lane(&self, lane: Lane) -> Option<&Link> {
        match lane {
            Lane::Main => Some(&self.main),
            Lane::Side => self.side.as_deref(),
        }
    }

    fn link(&mut self, lane: Lane) -> Option<&mut Link> {
        match lane {
            Lane::Main => Some(&mut self.main),
            Lane::Side => self.side.as_deref_mut(),
        }
    }
}

impl Link {
    fn dial(route: Route<'_>) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(route.target), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(bytes) = route.receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(source) = route.source {
            // The port is chosen at connect, where only the whole four-tuple must be free.
            setsockopt(&socket, IpBindAddressNoPort, &true)?;
            socket.bind(&source.into())?;
        }
        match socket.connect(&route.target.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
            Err(error) => return Err(error),
        }
        let tls = route.tls.map(TlsTarget::connect).transpose().map_err(io::Error::other)?;
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            tls: tls.map(Box::new),
            stands: false,
            unsent: None,
        })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(unsent) = &mut self.unsent {
            if unsent.bytes.len() - unsent.written > UNSENT_BYTES_MAX {
                return Err(io::Error::other("the target takes no more bytes"));
            }
            unsent.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.write_some(bytes)?;
        if written < bytes.len() {
            self.unsent = Some(Box::new(Unsent { bytes: bytes[written..].to_vec(), written: 0 }));
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.flush(&mut self.stream)?;
        }
        let Some(mut unsent) = self.unsent.take() else { return Ok(()) };
        unsent.written += self.write_some(&unsent.bytes[unsent.written..])?;
        if unsent.written < unsent.bytes.len() {
            if unsent.written > WRITTEN_BYTES_MAX {
                unsent.bytes.drain(..unsent.written);
                unsent.written = 0;
            }
            self.unsent = Some(unsent);
        }
        Ok(())
    }

    /// What TLS has made of what it was given, and the socket has not taken.
    fn waits_inside_tls(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes until the socket takes no more; gives how much it took.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { stream, tls, .. } = self;
        write_some(bytes, |rest| match tls {
            None => stream.write(rest),
            Some(tls) => tls.write(stream, rest),
        })
    }
}

/// Hands bytes to a socket that does not wait, by calls of `write`, until it takes no more; gives how many it took.
///
/// # Errors
/// Those of `write`, other than that it would wait or was interrupted; [`ErrorKind::WriteZero`] when it takes none.
#[inline]
pub fn write_some(bytes: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match write(&bytes[written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as Peer};

    use nix::sys::socket::getsockopt;

    use super::*;

    /// A connection, and its other end.
    fn connected() -> (Conn, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let route = Route { target, tls: None, source: None, receive_bytes: None };
        let mut conn = Conn::dial(route, Wire::websocket(), 0, 1, 0).unwrap();
        let (peer, _) = listener.accept().unwrap();
        while !matches!(conn.stands(Lane::Main), Ok((_, true))) {}
        (conn, peer)
    }

    #[test]
    fn a_port_of_a_given_address_is_chosen_when_the_target_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let source = "127.0.0.9:0".parse().ok();
        let link = Link::dial(Route { target, tls: None, source, receive_bytes: None }).unwrap();
        assert!(getsockopt(&link.stream, IpBindAddressNoPort).unwrap());
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.9");
    }

    #[test]
    fn bytes_that_were_taken_are_let_go_and_all_arrive_in_order() {
        let (mut conn, mut peer) = connected();
        let block: Vec<u8> = (0..100_000_u32).map(|place| (place % 251) as u8).collect();
        let (mut sent, mut heard, mut buffer) = (Vec::new(), Vec::new(), vec![0; 1 << 20]);
        // Always some unsent, never much: what is kept must not grow with what was sent in all.
        while sent.len() < 64 << 20 {
            while conn.unsent_bytes() < 1 << 20 {
                conn.send(Lane::Main, &block).unwrap();
                sent.extend_from_slice(&block);
            }
            assert!(conn.wants_write(Lane::Main));
            let count = peer.read(&mut buffer).unwrap();
            heard.extend_from_slice(&buffer[..count]);
            conn.flush(Lane::Main).unwrap();
            let kept = conn.main.unsent.as_ref().map_or(0, |unsent| unsent.bytes.len());
            assert!(kept <= (1 << 20) + block.len() + WRITTEN_BYTES_MAX, "{kept}");
        }
        while heard.len() < sent.len() {
            conn.flush(Lane::Main).unwrap();
            let count = peer.read(&mut buffer).unwrap();
            heard.extend_from_slice(&buffer[..count]);
        }
        assert!(heard == sent && conn.unsent_bytes() == 0 && !conn.wants_write(Lane::Main));
    }

    #[test]
    fn a_target_that_takes_nothing_is_given_up() {
        let (mut conn, _peer) = connected();
        let block = vec![1; 1 << 20];
        let refused = (0..100).find_map(|_| conn.send(Lane::Main, &block).err());
        assert_eq!(refused.unwrap().to_string(), "the target takes no more bytes");
        assert!(conn.unsent_bytes() <= UNSENT_BYTES_MAX + block.len());
    }
}
