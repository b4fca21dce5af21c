//! One client: its socket, what it sent and is not whole yet, and what its socket did not take yet.
//! Both buffers own no memory while they are empty.

use std::{
    io::{self, ErrorKind, Read, Write},
    mem,
};

use mio::net::TcpStream;

/// A room's place in the server's list.
pub(crate) type RoomId = usize;

pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) is_upgraded: bool,
    pub(crate) room: Option<RoomId>,
    /// The start of a request or frame whose end has not come.
    pub(crate) partial: Vec<u8>,
    /// Invariant: empty, or the last write found the socket full.
    unsent: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, is_upgraded: false, room: None, partial: Vec::new(), unsent: Vec::new() }
    }

    /// `None` when there is nothing to read now; 0 bytes when the client ended.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes `bytes` now, or keeps what the socket does not take. A broken socket is noticed when it is read.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.unsent.is_empty() {
            let taken = self.stream.write(bytes).unwrap_or(0);
            self.unsent.extend_from_slice(&bytes[taken..]);
        } else {
            self.unsent.extend_from_slice(bytes);
        }
    }

    /// The socket has room again.
    pub(crate) fn resume(&mut self) {
        if !self.unsent.is_empty() {
            let unsent = mem::take(&mut self.unsent);
            self.send(&unsent);
        }
    }
}
