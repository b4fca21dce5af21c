//! What shards let each other see without asking: one cache line each, written once a turn, read once a second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One shard's signs of life. Values are independent of each other, so relaxed order is enough.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Beat {
    turned_ms: AtomicU64,
    connections: AtomicU64,
    lag_us: AtomicU64,
}

impl Beat {
    /// The shard's loop came round.
    pub fn turned(&self, mono_ms: u64, connections: usize, lag_us: u64) {
        self.turned_ms.store(mono_ms, Relaxed);
        self.connections.store(connections as u64, Relaxed);
        if lag_us > self.lag_us.load(Relaxed) {
            self.lag_us.store(lag_us, Relaxed);
        }
    }

    /// When the loop last came round, in monotonic milliseconds.
    pub fn turned_ms(&self) -> u64 {
        self.turned_ms.load(Relaxed)
    }

    /// Connections of the shard.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed) as usize
    }

    /// The longest turn since the last call, in microseconds.
    pub fn take_lag_us(&self) -> u64 {
        self.lag_us.swap(0, Relaxed)
    }
}
