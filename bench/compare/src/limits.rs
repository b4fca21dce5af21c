//! Whether this machine lets a run open as many sockets as it needs, here and in the server.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::failure::Failure;

/// Beside sockets: epoll, rings, logs, a runtime's own.
const FILES_BESIDE: u64 = 200;

/// Raises the soft limit to the hard one, for this process and the servers that it starts.
pub fn ensure(connections: u32) -> Result<(), Failure> {
    let failed = |why: nix::Error| Failure::Setup(format!("the limit of open files: {why}"));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    let needed = u64::from(connections) + FILES_BESIDE;
    if needed > hard {
        return Err(Failure::Setup(format!(
            "{connections} connections need {needed} open files, but a process may open {hard} (hard limit).\n\
             Raise it first (`ulimit -Hn {needed}` as root), or choose smaller scenarios with --scenarios"
        )));
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)
}
