//! Looks at the servers once a second while a run goes on, on a thread of its own: a look may take half a second.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    figures::summary::{Server, ServerSample},
    host::{clock::Clock, server::ServerProbe},
};

const EVERY: Duration = Duration::from_secs(1);

/// Samples as they come.
pub(crate) struct Sampler {
    source: String,
    stop: Sender<()>,
    thread: JoinHandle<ServerProbe>,
    samples: Arc<Mutex<Vec<ServerSample>>>,
}

impl Sampler {
    /// The first look is at once.
    pub(crate) fn start(probe: ServerProbe, clock: &Clock) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (clock, samples) = (clock.clone(), Arc::<Mutex<Vec<ServerSample>>>::default());
        let (source, kept) = (probe.source(), Arc::clone(&samples));
        let thread = thread::spawn(move || {
            let mut probe = probe;
            loop {
                if let Some(sample) = probe.sample() {
                    let at_s = clock.now_ns() as f64 / 1e9;
                    lock(&kept).push(ServerSample {
                        at_s,
                        cpu_s: sample.cpu_s,
                        memory_bytes: sample.memory_bytes,
                    });
                }
                match stopped.recv_timeout(EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return probe,
                }
            }
        });
        Self { source, stop, thread, samples }
    }

    /// Cores in use and memory, by the last two looks.
    pub(crate) fn latest(&self) -> Option<(f64, u64)> {
        let samples = lock(&self.samples);
        let [.., before, last] = samples.as_slice() else { return None };
        let cpu = (last.cpu_s - before.cpu_s) / (last.at_s - before.at_s).max(1e-3);
        Some((cpu, last.memory_bytes))
    }

    /// A last look, and everything that was seen.
    pub(crate) fn finish(self, clock: &Clock) -> Server {
        let Self { source, stop, thread, samples } = self;
        let _ = stop.send(());
        let mut notes = Vec::new();
        // A thread that panicked leaves what it has seen.
        if let Ok(mut probe) = thread.join() {
            if let Some(sample) = probe.sample() {
                let at_s = clock.now_ns() as f64 / 1e9;
                let (cpu_s, memory_bytes) = (sample.cpu_s, sample.memory_bytes);
                lock(&samples).push(ServerSample { at_s, cpu_s, memory_bytes });
            }
            notes = probe.take_notes();
        }
        let samples = std::mem::take(&mut *lock(&samples));
        Server::sampled(source, samples, notes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
