//! What a coordinator and its agents say to each other.

use serde::{Deserialize, Serialize};

use crate::{
    client::worker::{Command, Snapshot},
    figures::record::{Record, SecondRecord},
    scenario::Scenario,
    truth::audit::Published,
};

/// An agent's part of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) scenario: Scenario,
    /// As they were typed.
    pub(crate) urls: Vec<String>,
    /// Marks the payloads of this run.
    pub(crate) run: u32,
    /// Of the run's threads, these are the agent's.
    pub(crate) first_thread: u32,
    pub(crate) threads: u32,
    pub(crate) threads_total: u32,
}

/// What a coordinator says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Comes first: how many threads there may be.
    Hello,
    Prepare(Box<Task>),
    /// What time it is. The number comes back with the answer.
    Time {
        asked_ns: u64,
    },
    /// What to add to the agent's own time.
    Offset {
        offset_ns: i64,
    },
    Obey(Command),
}

/// What an agent says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Hello {
        /// Of its machine.
        host: String,
        cores: u32,
        /// That it takes part with.
        threads: u32,
    },
    /// It has its part, and waits for the timetable.
    Ready {
        /// Limits of its machine that are too low for that, a line each.
        limits: Vec<String>,
    },
    /// It cannot, and why.
    Refused(String),
    Time {
        asked_ns: u64,
        /// The agent's own.
        agent_ns: u64,
    },
    Snapshot {
        thread: u32,
        snapshot: Snapshot,
        second: Option<SecondRecord>,
    },
    Settled {
        phase: usize,
    },
    Published(Box<Published>),
    /// Resident memory of the agent when publishing ended.
    Memory {
        bytes: u64,
    },
    Finished(Box<Record>),
    /// A thread cannot go on.
    Broken(String),
}
