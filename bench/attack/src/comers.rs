//! Good newcomers: somebody connects, upgrades and leaves again, at a steady rate, from addresses of his own.
//!
//! Blocking sockets on a thread of their own, which nobody waits for: one at a time, and those that are due while one takes
//! long count from when they were due.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use compare::{
    clock::Clock,
    histogram::{Histogram, Percentiles},
    protocol::{Handshake, Upgrade},
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// One each so often.
const INTERVAL_NS: u64 = 50_000_000;
/// So many addresses, from here on.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
const ADDRESSES: u32 = 20;
/// Whoever is not in by then counts as failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// How newcomers fared.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Comers {
    /// From when one was due to its 101.
    pub(crate) latency: Percentiles,
    pub(crate) failed: u32,
    /// Why the first that failed did.
    pub(crate) why: String,
}

/// Newcomers with these tokens, one after the other, for so long.
pub(crate) fn come(port: u16, tokens: &[String], duration_ns: u64) -> Comers {
    let clock = Clock::start();
    let mut durations = Histogram::new();
    let mut comers = Comers::default();
    for (number, token) in (0..).zip(tokens) {
        let due_ns = u64::from(number) * INTERVAL_NS;
        if due_ns >= duration_ns {
            break;
        }
        clock.sleep_until(due_ns);
        let from = Ipv4Addr::from_bits(FIRST.to_bits() + number % ADDRESSES);
        match upgrade(from, port, token) {
            Ok(()) => durations.record(clock.now_ns() - due_ns),
            Err(error) => {
                comers.failed += 1;
                if comers.why.is_empty() {
                    comers.why = error.to_string();
                }
            }
        }
    }
    comers.latency = durations.percentiles();
    comers
}

/// So many may come.
pub(crate) fn count(duration_ns: u64) -> u32 {
    duration_ns.div_ceil(INTERVAL_NS) as u32
}

fn upgrade(from: Ipv4Addr, port: u16, token: &str) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = TcpStream::from(socket);
    let mut handshake = Handshake::new();
    let mut request = String::new();
    handshake.request("/ws", port, Some(token), None, &mut request);
    stream.write_all(request.as_bytes())?;
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..count]);
        match handshake.read(&head) {
            Upgrade::Accepted(_) => {
                // Ended by reset, it leaves no port behind that waits a minute.
                return SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
            Upgrade::Refused(why) => return Err(io::Error::other(why)),
            Upgrade::Partial if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Upgrade::Partial => {}
        }
    }
}
