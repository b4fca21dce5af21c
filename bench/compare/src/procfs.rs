//! What the kernel says of a process: CPU time to the nanosecond, how long it waited for a core, resident memory.

use std::fs;

const TICK_NS: u64 = 10_000_000;

/// Times of a process, in ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// Of all threads.
    pub cpu_ns: u64,
    /// Of the busiest thread: runnable, while something else had the core. In a fair comparison next to nothing.
    pub waited_ns: u64,
}

/// `None` when there is no such process. `schedstat` is exact and forgets threads that have ended; `stat` remembers
/// them, in ticks of 10 ms. The larger one is right.
pub fn times(pid: u32) -> Option<Times> {
    let by_stat_ns = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|it| stat_ns(&it))?;
    let (mut times, mut busiest_ns) = (Times::default(), 0);
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let Times { cpu_ns, waited_ns } = schedstat(&text).unwrap_or_default();
        times.cpu_ns += cpu_ns;
        if cpu_ns > busiest_ns {
            (busiest_ns, times.waited_ns) = (cpu_ns, waited_ns);
        }
    }
    // A difference of a few ticks is only that `stat` is coarse.
    if by_stat_ns > times.cpu_ns + 5 * TICK_NS {
        times.cpu_ns = by_stat_ns;
    }
    Some(times)
}

/// The kernel's own thread for what interrupts leave behind on a core, packets of the loopback among it; `None` where that
/// cannot be seen. Others' work on the core keeps it waiting, and every packet with it.
pub fn softirq_thread(core: usize) -> Option<u32> {
    let name = format!("ksoftirqd/{core}\n");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it == name))
}

/// Resident memory in bytes.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

fn schedstat(text: &str) -> Option<Times> {
    let mut fields = text.split_ascii_whitespace();
    let cpu_ns = fields.next()?.parse().ok()?;
    let waited_ns = fields.next()?.parse().ok()?;
    Some(Times { cpu_ns, waited_ns })
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
        assert_eq!(schedstat("123 45 6\n"), Some(Times { cpu_ns: 123, waited_ns: 45 }));
        assert_eq!(schedstat(""), None);
    }

    #[test]
    fn this_process_has_both() {
        let pid = std::process::id();
        assert!(times(pid).is_some());
        assert!(rss_bytes(pid).unwrap() > 100_000);
        assert_eq!(times(u32::MAX), None);
    }
}
