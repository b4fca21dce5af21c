//! Which kernel interface drives the shards: io_uring, or epoll where it is refused.
//! Chosen once at start, by trying; nothing of io_uring is touched once epoll has been chosen or asked for.

use std::{env, fmt, future::Future, io};

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::reactor::try_ring;

/// What the operator asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DriverChoice {
    /// io_uring if this machine allows it, else epoll.
    #[default]
    Auto,
    /// io_uring or no start.
    Uring,
    /// epoll.
    Epoll,
}

impl DriverChoice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Uring, Self::Epoll];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

/// What the shards run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// A private ring per shard, and monoio on io_uring beside it.
    Uring,
    /// A private epoll instance per shard, awaited by monoio on epoll.
    Epoll,
}

impl Driver {
    /// As in `--driver`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why io_uring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UringRefused {
    /// monoio's own switch for the epoll driver.
    #[error("the environment has MONOIO_FORCE_LEGACY_DRIVER")]
    ForcedByEnvironment,
    /// `EPERM`, `EACCES`.
    #[error(
        "io_uring is not permitted here ({0}): a seccomp filter (container runtimes have one) or the sysctl \
         kernel.io_uring_disabled"
    )]
    NotPermitted(io::Error),
    /// `ENOSYS`.
    #[error("this kernel has no io_uring ({0})")]
    Missing(io::Error),
    /// `EINVAL`.
    #[error("this kernel's io_uring lacks what is needed ({0}); Linux 6.1 and later have it")]
    TooOld(io::Error),
    /// `ENOMEM`.
    #[error("no locked memory for a ring ({0}): raise the limit (ulimit -l, LimitMEMLOCK=)")]
    NoMemory(io::Error),
    /// Anything else.
    #[error("io_uring does not work here ({0})")]
    Broken(io::Error),
}

impl From<io::Error> for UringRefused {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted(error),
            Some(libc::ENOSYS) => Self::Missing(error),
            Some(libc::EINVAL) => Self::TooOld(error),
            Some(libc::ENOMEM) => Self::NoMemory(error),
            _ => Self::Broken(error),
        }
    }
}

/// The driver for `choice`, and under `Auto` the reason if it is not io_uring.
pub fn choose(choice: DriverChoice) -> Result<(Driver, Option<UringRefused>), UringRefused> {
    match choice {
        DriverChoice::Epoll => Ok((Driver::Epoll, None)),
        DriverChoice::Uring => try_uring().map(|()| (Driver::Uring, None)),
        DriverChoice::Auto => Ok(match try_uring() {
            Ok(()) => (Driver::Uring, None),
            Err(refused) => (Driver::Epoll, Some(refused)),
        }),
    }
}

/// Runs `future` to its end on a new runtime with timers, on this thread. Other tasks of the runtime are dropped then.
/// Fails if the system refuses the runtime what it needs.
pub fn with_runtime<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    match driver {
        Driver::Uring => {
            let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(RUNTIME_ENTRIES)
                .enable_timer()
                .build()?;
            Ok(runtime.block_on(future))
        }
        Driver::Epoll => {
            let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
            Ok(runtime.block_on(future))
        }
    }
}

/// The runtime's own ring carries no client traffic; its flags are monoio's defaults, since with deferred task work
/// monoio 0.2 does not reap completions while a task is runnable.
const RUNTIME_ENTRIES: u32 = 256;

fn try_uring() -> Result<(), UringRefused> {
    let forced = env::var("MONOIO_FORCE_LEGACY_DRIVER").unwrap_or_default();
    if ["1", "true", "yes"].iter().any(|yes| forced.eq_ignore_ascii_case(yes)) {
        return Err(UringRefused::ForcedByEnvironment);
    }
    try_ring()?;
    with_runtime(Driver::Uring, async {})?;
    Ok(())
}
