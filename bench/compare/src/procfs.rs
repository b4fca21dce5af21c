//! What the kernel says of a process: CPU time to the nanosecond, resident memory.

use std::fs;

const TICK_NS: u64 = 10_000_000;

/// CPU time of all threads, in ns; `None` when there is no such process. `schedstat` is exact and forgets threads
/// that have ended; `stat` remembers them, in ticks of 10 ms. The larger one is right.
pub(crate) fn cpu_ns(pid: u32) -> Option<u64> {
    let by_stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|it| stat_ns(&it))?;
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let by_task = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    let by_task = by_task.sum();
    // A difference of less than a few ticks is only that `stat` is coarse.
    Some(if by_stat > by_task + 5 * TICK_NS { by_stat } else { by_task })
}

/// Resident memory in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// User and system time: the 12th and 13th field behind the name, which may hold anything, also parentheses.
fn stat_ns(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 1 0 100 1 2 3";
        assert_eq!(stat_ns(stat), Some(460_000_000));
        assert_eq!(stat_ns("7 (a"), None);
    }

    #[test]
    fn this_process_has_both() {
        let pid = std::process::id();
        assert!(cpu_ns(pid).is_some());
        assert!(rss_bytes(pid).unwrap() > 100_000);
        assert_eq!(cpu_ns(u32::MAX), None);
    }
}
