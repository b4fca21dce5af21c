//! CPU of the server and of the generator over a stretch of time.

use std::{
    ops::Sub,
    process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    clock::{Clock, own_cpu_ns},
    failure::Failure,
    procfs,
};

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const LOOKS_MAX: u32 = 50;
/// Less of a core is rest.
const REST_SHARE: f64 = 0.02;

/// Reads the CPU time of a server.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    pub pid: u32,
}

/// CPU so far, in ns.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at_ns: u64,
    server: procfs::Times,
    generator_ns: u64,
    generator_waited_ns: u64,
}

/// CPU between two readings, in ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    pub elapsed_ns: u64,
    pub server_ns: u64,
    pub generator_ns: u64,
    /// How long either of them, whichever was worse off, was kept from its core.
    pub waited_ns: u64,
}

impl Meter {
    pub fn read(self, clock: Clock) -> Result<Reading, Failure> {
        let Some(server) = procfs::times(self.pid) else {
            return Err(Failure::Server { what: "is gone".to_owned(), said: String::new() });
        };
        let generator_waited_ns = procfs::times(process::id()).unwrap_or_default().waited_ns;
        Ok(Reading { at_ns: clock.now_ns(), server, generator_ns: own_cpu_ns(), generator_waited_ns })
    }

    /// Waits until the server has nothing to do, or gives up waiting.
    pub fn wait_for_rest(self, interrupted: &AtomicBool) -> Result<(), Failure> {
        let clock = Clock::start();
        let mut last = self.read(clock)?;
        for _ in 0..LOOKS_MAX {
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            thread::sleep(BETWEEN_LOOKS);
            let now = self.read(clock)?;
            if (now - last).server_share() < REST_SHARE {
                break;
            }
            last = now;
        }
        Ok(())
    }
}

impl Sub for Reading {
    type Output = Usage;

    fn sub(self, earlier: Self) -> Usage {
        let server_waited_ns = self.server.waited_ns.saturating_sub(earlier.server.waited_ns);
        let generator_waited_ns = self.generator_waited_ns.saturating_sub(earlier.generator_waited_ns);
        Usage {
            elapsed_ns: self.at_ns - earlier.at_ns,
            server_ns: self.server.cpu_ns.saturating_sub(earlier.server.cpu_ns),
            generator_ns: self.generator_ns.saturating_sub(earlier.generator_ns),
            waited_ns: server_waited_ns.max(generator_waited_ns),
        }
    }
}

impl Usage {
    /// Of a core.
    pub fn server_share(&self) -> f64 {
        self.share(self.server_ns)
    }

    /// Of a core.
    pub fn generator_share(&self) -> f64 {
        self.share(self.generator_ns)
    }

    /// Of the time. A wait is booked when it ends, so that one that began earlier may show as more than all of it.
    pub fn waited_share(&self) -> f64 {
        self.share(self.waited_ns).min(1.0)
    }

    fn share(&self, ns: u64) -> f64 {
        ns as f64 / self.elapsed_ns.max(1) as f64
    }
}
