//! Who carries out a run: threads of this process, or agents with theirs. All are told the same, and report alike.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
};

use crate::client::{
    setup::Setup,
    worker::{Command, Report, Worker},
};

/// Takes orders for one thread or for several.
pub(crate) trait Obey: Send {
    /// Hands the command over. Who has ended takes no more, and has said so.
    ///
    /// # Errors
    /// When it cannot be handed over.
    fn obey(&self, command: Command) -> io::Result<()>;
}

/// Everybody who takes part.
pub(crate) struct Crew {
    pub(crate) members: Vec<Box<dyn Obey>>,
    /// Of all members. Their reports number them from 0.
    pub(crate) threads: usize,
    pub(crate) reports: Receiver<Report>,
    /// The longest that a question to a member and its answer took; 0 for threads of this process.
    pub(crate) round_trip_ns: Arc<AtomicU64>,
    /// To be waited for at the end.
    pub(crate) joins: Vec<JoinHandle<()>>,
}

impl Crew {
    /// This process's share of the threads.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn of_threads(setup: &Arc<Setup>) -> io::Result<Self> {
        let (sender, reports) = mpsc::channel();
        let mut members: Vec<Box<dyn Obey>> = Vec::new();
        let mut joins = Vec::new();
        for number in 0..setup.threads {
            let (worker, handle) = Worker::new(Arc::clone(setup), number, sender.clone())?;
            let name = format!("loadgen-{number}");
            let lost = sender.clone();
            joins.push(thread::Builder::new().name(name).spawn(move || {
                // Whoever leads is to hear of it now, not when he waits for what never comes.
                if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                    let _ = lost.send(Report::Broken(io::Error::other("a thread panicked").into()));
                }
            })?);
            members.push(Box::new(handle));
        }
        Ok(Self { threads: members.len(), members, reports, joins, round_trip_ns: Arc::default() })
    }

    /// Tells everybody.
    ///
    /// # Errors
    /// When somebody cannot be told.
    pub(crate) fn tell(&self, command: &Command) -> io::Result<()> {
        self.members.iter().try_for_each(|member| member.obey(command.clone()))
    }
}
