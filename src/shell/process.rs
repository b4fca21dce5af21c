//! What the system says of this process: memory, processor time, file descriptors. Read from `/proc` and the
//! control group; what cannot be read is 0. Also what the process asks of the system at its start.

use std::{fs, io};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
    },
    unistd,
};

use super::reactor::sys;

/// Clock ticks per second in `/proc`: a constant of the Linux ABI.
const TICKS_PER_S: f64 = 100.0;

/// `/proc/self/statm` counts in pages of this size on every machine that the gateway is built for.
const PAGE_BYTES: u64 = 4096;

/// Entries of the table of descriptors that are made beforehand: 2 MiB of the kernel's memory.
const TABLE_MAX: u64 = 1 << 18;

/// Keeps memory in small pages: what connections hold is small and scattered, and in huge pages it took 2.3 kB of
/// resident memory per idle connection instead of 0.7, for no gain in CPU that could be measured.
pub fn avoid_huge_pages() {
    // Kernels without huge pages have nothing to switch off.
    let _ = prctl::set_thp_disable(true);
}

/// Keeps the process's memory to itself: no core dump of a crash has it, and no debugger of the same user.
pub fn refuse_core_dumps() -> io::Result<()> {
    prctl::set_dumpable(false).map_err(io::Error::from)
}

/// Raises the open-file limit as far as the system lets this process; the limit then.
pub fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// Has the kernel make the process's table of descriptors as long as it may get, up to [`TABLE_MAX`]. It grows by doubling, and in
/// a process with several threads whoever opens the descriptor that no longer fits waits for all processors to take note (an RCU
/// grace period): 10 to 25 ms in which a shard would serve nobody. To be called before there are shards.
pub fn reserve_open_files(fds_max: u64) {
    let last = fds_max.min(TABLE_MAX).saturating_sub(1) as i32;
    let Ok(some) = sys::eventfd() else { return };
    // Closed at once; the table stays. Where it fails, shards wait now and then.
    if let Ok(last) = fcntl(&some, FcntlArg::F_DUPFD_CLOEXEC(last)) {
        let _ = unistd::close(last);
    }
}

/// One reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFacts {
    /// Processor time of all threads, user and system, in seconds.
    pub cpu_s: f64,
    pub resident_bytes: u64,
    pub fds_open: u64,
    pub fds_max: u64,
    /// The control group's limit, else the machine's memory.
    pub memory_bytes_max: u64,
}

impl ProcessFacts {
    /// Reads everything; a few small files.
    pub fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu_s: cpu_s(&read("/proc/self/stat")).unwrap_or_default(),
            resident_bytes: resident_bytes(&read("/proc/self/statm")).unwrap_or_default(),
            fds_open: fds_open(),
            fds_max: fds_max(&read("/proc/self/limits")).unwrap_or_default(),
            memory_bytes_max: memory_bytes_max(&read("/sys/fs/cgroup/memory.max"), &read("/proc/meminfo"))
                .unwrap_or_default(),
        }
    }
}

/// Fields 14 and 15, counted behind the command, which may hold spaces.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_S)
}

fn resident_bytes(statm: &str) -> Option<u64> {
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

fn fds_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn memory_bytes_max(cgroup: &str, meminfo: &str) -> Option<u64> {
    if let Ok(limit) = cgroup.trim().parse() {
        return Some(limit);
    }
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The folder's size is their number since Linux 6.2; before, they are counted.
fn fds_open() -> u64 {
    let size = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if size > 0 { size } else { fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read_as_the_kernel_writes_them() {
        let stat = "7 (ring (way) x) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 9 1 1 1\n";
        assert_eq!(cpu_s(stat), Some(3.0));
        assert_eq!(resident_bytes("4000 1000 300 2 0 900 0\n"), Some(4_096_000));
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files            20000    20000   files\n";
        assert_eq!(fds_max(limits), Some(20_000));
        assert_eq!(memory_bytes_max("max\n", "MemTotal:  16 kB\n"), Some(16_384));
        assert_eq!(memory_bytes_max("1024\n", "MemTotal:  16 kB\n"), Some(1024));
        for broken in ["", "7 (x", "a b c"] {
            assert_eq!(cpu_s(broken), None);
            assert_eq!(resident_bytes(broken), None);
        }
    }

    /// It changes the test's process, which loses nothing by it but its core dumps.
    #[test]
    fn memory_can_be_kept_to_oneself() {
        refuse_core_dumps().unwrap();
        assert!(!prctl::get_dumpable().unwrap());
        let facts = ProcessFacts::read();
        assert!(facts.resident_bytes > 0 && facts.fds_open > 0, "it can still read of itself: {facts:?}");
    }

    /// `FDSize` of `/proc/self/status`: entries of the table.
    fn table_len() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        line.trim().parse().unwrap()
    }

    #[test]
    fn the_table_of_descriptors_is_as_long_as_it_may_get() {
        let open_before = fds_open();
        reserve_open_files(3_000);
        assert!(table_len() >= 3_000, "{}", table_len());
        assert_eq!(fds_open(), open_before);
        // Not more than the process may have.
        reserve_open_files(0);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let facts = ProcessFacts::read();
        assert!(facts.resident_bytes > 0 && facts.fds_open > 0 && facts.memory_bytes_max > 0);
        assert!(facts.fds_max >= facts.fds_open);
    }
}
