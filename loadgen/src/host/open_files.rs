//! Whether this process may open as many sockets as the run needs.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Sockets are not all: epoll, timer and wake-up of each thread, standard streams, a result file.
const FILES_PER_THREAD: u64 = 4;
const FILES_BESIDE: u64 = 32;

/// The limit is in the way.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum OpenFilesError {
    #[error(
        "{conns} connections need {needed} open files, but this process may open {hard} (hard limit).\n\
         Run fewer connections (--conns {fitting}), or raise the limit first: `ulimit -Hn {needed}` as root,\n\
         LimitNOFILE={needed} in a systemd unit, --ulimit nofile={needed} for a container"
    )]
    TooFew { conns: u32, needed: u64, hard: u64, fitting: u64 },
    #[error("the limit of open files can neither be read nor raised: {0}")]
    System(#[from] nix::errno::Errno),
}

/// Raises the soft limit as far as the run needs.
pub(crate) fn ensure(conns: u32, threads: u32) -> Result<(), OpenFilesError> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if let Some(raised) = soft_limit_for(conns, threads, soft, hard)? {
        setrlimit(Resource::RLIMIT_NOFILE, raised, hard)?;
    }
    Ok(())
}

/// Open files of so many threads that are not connections.
pub(crate) fn beside(threads: u32) -> u64 {
    FILES_BESIDE + FILES_PER_THREAD * u64::from(threads)
}

/// The soft limit to set, if any.
fn soft_limit_for(conns: u32, threads: u32, soft: u64, hard: u64) -> Result<Option<u64>, OpenFilesError> {
    let beside = beside(threads);
    let needed = u64::from(conns) + beside;
    if needed > hard {
        return Err(OpenFilesError::TooFew { conns, needed, hard, fitting: hard.saturating_sub(beside) });
    }
    Ok((needed > soft).then_some(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_only_as_far_as_needed() {
        assert_eq!(soft_limit_for(900, 1, 1_024, 20_000), Ok(None));
        assert_eq!(soft_limit_for(1_000, 1, 1_024, 20_000), Ok(Some(1_036)));
        assert_eq!(
            soft_limit_for(20_000, 2, 1_024, 20_000),
            Err(OpenFilesError::TooFew { conns: 20_000, needed: 20_040, hard: 20_000, fitting: 19_960 })
        );
    }
}
