//! Everything that touches the machine: drivers, listeners, sockets, wake-ups.
//! Owns file descriptors and threads; knows no frame and no room.

pub mod driver;
pub mod listener;
pub mod reactor;
pub mod waker;
