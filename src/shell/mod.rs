//! Everything that touches the machine: threads, drivers, listeners, sockets, clocks, signals, the log.
//! Knows no frame and no room: what comes from sockets goes into the engine, what the engine says is done.

pub mod beats;
pub mod clock;
pub mod driver;
mod keys;
pub mod listener;
pub mod log;
pub mod mailbox;
pub mod node;
pub mod outside;
#[cfg(test)]
mod outside_tests;
pub mod process;
pub mod reactor;
pub mod shard;
pub mod waker;
