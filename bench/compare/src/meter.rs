//! CPU of the server and of the generator over a stretch of time.

use std::ops::Sub;

use crate::{
    clock::{Clock, own_cpu_ns},
    failure::Failure,
    procfs,
};

/// Reads the CPU time of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    pub(crate) pid: u32,
}

/// CPU so far, in ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    at_ns: u64,
    server_ns: u64,
    generator_ns: u64,
}

/// CPU between two readings, in ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Usage {
    pub(crate) elapsed_ns: u64,
    pub(crate) server_ns: u64,
    pub(crate) generator_ns: u64,
}

impl Meter {
    pub(crate) fn read(self, clock: Clock) -> Result<Reading, Failure> {
        let Some(server_ns) = procfs::cpu_ns(self.pid) else {
            return Err(Failure::Server { what: "is gone".to_owned(), said: String::new() });
        };
        Ok(Reading { at_ns: clock.now_ns(), server_ns, generator_ns: own_cpu_ns() })
    }
}

impl Sub for Reading {
    type Output = Usage;

    fn sub(self, earlier: Self) -> Usage {
        Usage {
            elapsed_ns: self.at_ns - earlier.at_ns,
            server_ns: self.server_ns.saturating_sub(earlier.server_ns),
            generator_ns: self.generator_ns.saturating_sub(earlier.generator_ns),
        }
    }
}

impl Usage {
    pub(crate) fn server_share(&self) -> f64 {
        self.server_ns as f64 / self.elapsed_ns.max(1) as f64
    }

    pub(crate) fn generator_share(&self) -> f64 {
        self.generator_ns as f64 / self.elapsed_ns.max(1) as f64
    }
}
