//! What the servers under test use, wherever that can be read: from `/proc` when they run on this machine, from their metrics
//! otherwise. Both give the same sample, once a second, to the lead thread.

use super::{
    scrape::{Scrape, ScrapeError},
    server_process::{PidError, Processes},
};

/// Of all servers together, at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ServerSample {
    /// CPU time in seconds, from some beginning on: only differences mean something. Never falls.
    pub(crate) cpu_s: f64,
    /// Resident.
    pub(crate) memory_bytes: u64,
}

/// Where the samples come from.
#[derive(Debug)]
pub(crate) enum ServerProbe {
    Pids(Processes),
    Scrape(Scrape),
}

/// What was named cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error(transparent)]
    Pid(#[from] PidError),
    #[error(transparent)]
    Scrape(#[from] ScrapeError),
}

impl ServerProbe {
    /// From the flags: `None` when there are none; ids come before URLs.
    pub(crate) fn find(pids: &[u32], urls: &[String]) -> Result<Option<Self>, ProbeError> {
        if !pids.is_empty() {
            return Ok(Some(Self::Pids(Processes::of(pids)?)));
        }
        if !urls.is_empty() {
            return Ok(Some(Self::Scrape(Scrape::of(urls)?)));
        }
        Ok(None)
    }

    /// What is measured, for people: `pid 4711`, or URLs.
    pub(crate) fn source(&self) -> String {
        match self {
            Self::Pids(processes) => processes.source(),
            Self::Scrape(scrape) => scrape.source(),
        }
    }

    /// As of now; `None` when it cannot be had (any more). A scrape takes up to [`super::scrape::TIMEOUT`].
    pub(crate) fn sample(&mut self) -> Option<ServerSample> {
        match self {
            Self::Pids(processes) => processes.sample(),
            Self::Scrape(scrape) => scrape.sample(),
        }
    }

    /// What happened since the last call and people should know, such as a process that ended.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        match self {
            Self::Pids(processes) => processes.take_notes(),
            Self::Scrape(scrape) => scrape.take_notes(),
        }
    }
}
