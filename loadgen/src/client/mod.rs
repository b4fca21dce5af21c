//! The connections: who leads them through the run, the event loop of each thread, and what its messages mean.

pub(crate) mod answer;
pub(crate) mod conn;
pub(crate) mod crew;
pub(crate) mod handshake;
pub(crate) mod lead;
mod own;
pub(crate) mod polling;
pub(crate) mod progress;
pub(crate) mod sampler;
pub(crate) mod setup;
pub(crate) mod target;
pub(crate) mod tls;
pub(crate) mod traffic;
pub(crate) mod wire;
pub(crate) mod worker;
