//! The numbers of a mode as the present engine takes them.

use std::time::Duration;

pub(crate) use super::modes::Mode;
use super::{flags::RunFlags, modes::Shorthand};
use crate::{plan::schedule::Arrivals, scenario};

/// A run, with every default resolved.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) conns: u32,
    pub(crate) rooms: u32,
    /// 0 in idle mode.
    pub(crate) publishers: u32,
    /// Messages per second of all publishers together.
    pub(crate) rate: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) arrivals: Arrivals,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) drain_timeout: Duration,
    /// Connections opened per second.
    pub(crate) connect_rate: f64,
    /// Connections that leave and return per second; 0 but in churn mode.
    pub(crate) churn_rate: f64,
    pub(crate) threads: u32,
    pub(crate) seed: u64,
}

impl Config {
    /// What the present engine can run of the flags.
    pub(crate) fn resolve(flags: &RunFlags) -> Result<Self, Box<dyn std::error::Error>> {
        let it = Shorthand::resolve(flags)?;
        let scenario::Size::Fixed(payload_bytes) = it.size else {
            return Err("--payload: this engine sends payloads of one size".into());
        };
        if flags.load.scenario.is_some() {
            return Err("--scenario: this engine runs modes only".into());
        }
        Ok(Self {
            mode: it.mode,
            conns: it.conns,
            rooms: it.rooms,
            publishers: it.publishers,
            rate: it.rate,
            payload_bytes,
            arrivals: match it.arrivals {
                scenario::Arrivals::Even => Arrivals::Even,
                scenario::Arrivals::Poisson => Arrivals::Poisson,
            },
            duration: it.duration,
            warmup: it.warmup,
            drain_timeout: it.drain_timeout,
            connect_rate: it.connect_rate,
            churn_rate: it.churn_rate,
            threads: it.threads,
            seed: flags.load.seed.unwrap_or_else(|| fastrand::u64(..) >> 32),
        })
    }

    /// Warm-up and measured phase together.
    pub(crate) fn publishing(&self) -> Duration {
        self.warmup + self.duration
    }
}
