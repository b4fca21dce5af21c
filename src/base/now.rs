//! Time as a value: the shell reads the clock once a turn and passes it in.

/// One reading of both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Monotonic microseconds since the process started.
    pub mono_us: u64,
    /// Unix time in milliseconds.
    pub unix_ms: u64,
}

impl Now {
    /// Monotonic milliseconds since the process started.
    pub fn mono_ms(self) -> u64 {
        self.mono_us / 1_000
    }

    /// Unix time in whole seconds.
    pub fn unix_s(self) -> u64 {
        self.unix_ms / 1_000
    }
}
