//! Listening sockets: one per shard on one address, so that the kernel spreads connections over the shards.
//!
//! Invariant: the first bind is exclusive, and only then is the port shared. A second gateway on the same port is
//! therefore told so, instead of silently taking half of the connections.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps for a listener until they are accepted; `net.core.somaxconn` may lower it.
pub const BACKLOG_DEFAULT: u32 = 4096;

/// Why no listener could be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `EADDRINUSE`.
    #[error("{address} is in use by another process")]
    InUse { address: SocketAddr },
    /// `EACCES`, `EPERM`: a port below 1024 without the capability for it.
    #[error("no permission to listen on {address}")]
    NotPermitted { address: SocketAddr },
    /// `EADDRNOTAVAIL`: no interface of this machine has the address.
    #[error("{address} is not an address of this machine")]
    NotLocal { address: SocketAddr },
    /// Anything else.
    #[error("cannot listen on {address}: {error}")]
    Failed { address: SocketAddr, error: io::Error },
}

impl ListenError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse { address },
            Some(libc::EACCES | libc::EPERM) => Self::NotPermitted { address },
            Some(libc::EADDRNOTAVAIL) => Self::NotLocal { address },
            _ => Self::Failed { address, error },
        }
    }
}

/// Binds `shards` listeners (at least one) to `address`; with port 0 all get the port that the first was given.
/// They are non-blocking, and their connections inherit `TCP_NODELAY`. `[::]` also takes IPv4.
pub fn bind(address: SocketAddr, shards: usize, backlog: u32) -> Result<Vec<TcpListener>, ListenError> {
    let failed = |error| ListenError::new(address, error);
    let first = open(address, backlog, Sharing::AfterBind).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    for _ in 1..shards {
        listeners.push(open(bound, backlog, Sharing::BeforeBind).map_err(failed)?);
    }
    Ok(listeners)
}

/// When `SO_REUSEPORT` is set: before the bind it joins sockets that have it, after the bind it lets others join.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    BeforeBind,
    AfterBind,
}

fn open(address: SocketAddr, backlog: u32, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::BeforeBind)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn shards_share_one_port_on_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listeners = bind(address.parse().unwrap(), 3, BACKLOG_DEFAULT).unwrap();
            let bound = listeners[0].local_addr().unwrap();
            assert_eq!(listeners.len(), 3);
            assert_ne!(bound.port(), 0);
            assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == bound));
            TcpStream::connect(bound).unwrap();
        }
    }

    #[test]
    fn connections_inherit_no_delay() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), 1, BACKLOG_DEFAULT).unwrap().remove(0);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn the_unspecified_ipv6_address_takes_ipv4_too() {
        let listeners = bind("[::]:0".parse().unwrap(), 1, BACKLOG_DEFAULT).unwrap();
        TcpStream::connect(("127.0.0.1", listeners[0].local_addr().unwrap().port())).unwrap();
    }

    #[test]
    fn a_taken_port_is_said_to_be_taken() {
        let taken = bind("127.0.0.1:0".parse().unwrap(), 2, BACKLOG_DEFAULT).unwrap();
        let address = taken[0].local_addr().unwrap();
        let error = bind(address, 2, BACKLOG_DEFAULT).unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{address} is in use by another process"));
    }

    #[test]
    fn a_foreign_address_is_said_to_be_foreign() {
        let error = bind("192.0.2.1:0".parse().unwrap(), 1, BACKLOG_DEFAULT).unwrap_err();
        assert!(matches!(error, ListenError::NotLocal { .. }), "{error}");
    }
}
