//! Finds out whether this machine lets us have the ring that the uring backend needs, by using one.

use std::{
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use super::{
    ring::{Ring, RingConfig},
    token::{Kind, Token},
};
use crate::shell::waker::Bell;

/// Builds a small ring with the very flags and operations of the real one and receives a byte through it.
pub(in crate::shell) fn try_ring() -> io::Result<()> {
    let config = RingConfig {
        submissions: 4,
        completions: 8,
        buffers_first: 1,
        buffers_max: 1,
        ..RingConfig::default()
    };
    let chime = Bell::new()?;
    let mut ring = Ring::new(&config, chime.as_fd())?;
    let (mut near, far) = UnixStream::pair()?;
    let token = Token { kind: Kind::Receive, slot: 0, generation: 0 };
    ring.receive(&far, token);
    ring.watch(&far, Token::BELL);
    ring.enter(true)?;
    near.write_all(b"!")?;
    let (mut received, mut polled) = (false, false);
    while !(received && polled) {
        ring.enter(true)?;
        let Some(report) = ring.next() else {
            return Err(io::Error::other("a byte was sent and nothing reported"));
        };
        report.result.map_err(io::Error::from_raw_os_error)?;
        if report.token == token {
            received = report.goes_on && report.buffer.is_some_and(|id| ring.buffers.bytes(id, 1) == b"!");
            if !received {
                return Err(io::Error::other("multishot receive into provided buffers does not work"));
            }
        } else {
            polled = true;
        }
    }
    Ok(())
}
