//! Which cores run what: threads inherit them, so the server gets its own by being started from them.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::failure::Failure;

/// A set of cores.
pub type Cores = Vec<usize>;

const THIS_THREAD: Pid = Pid::from_raw(0);

/// Binds this thread to `cores`.
pub fn bind(cores: &Cores) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    let failed = |why: nix::Error| Failure::Setup(format!("cannot run on core {cores:?}: {why}"));
    cores.iter().try_for_each(|&core| set.set(core)).map_err(failed)?;
    sched_setaffinity(THIS_THREAD, &set).map_err(failed)
}

/// Does something on other cores; what it starts stays there.
pub fn with<T>(cores: &Cores, task: impl FnOnce() -> T) -> Result<T, Failure> {
    let failed = |why: nix::Error| Failure::Setup(format!("cannot learn this thread's cores: {why}"));
    let own = sched_getaffinity(THIS_THREAD).map_err(failed)?;
    bind(cores)?;
    let result = task();
    sched_setaffinity(THIS_THREAD, &own).map_err(failed)?;
    Ok(result)
}
