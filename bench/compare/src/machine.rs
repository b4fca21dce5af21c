//! Where and when: what a figure means nothing without.

use std::fs;

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The machine and the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_bytes: u64,
    /// Numbers only.
    pub kernel: String,
    /// RFC 3339, UTC, when the run began.
    pub date: String,
    /// Of one minute, when the run began: others at work make figures worth little.
    pub load_average: f64,
}

impl Machine {
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let now = OffsetDateTime::now_utc();
        Self {
            cpu: cpu_model(&read("/proc/cpuinfo")),
            cores: read("/proc/cpuinfo").lines().filter(|it| it.starts_with("processor")).count(),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            kernel: kernel_version(&read("/proc/sys/kernel/osrelease")).to_owned(),
            date: now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default(),
            load_average: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|it| it.parse().ok())
                .unwrap_or_default(),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|it| it.starts_with("model name"));
    line.and_then(|it| it.split_once(':')).map_or("unknown CPU", |(_, model)| model.trim()).to_owned()
}

/// The numbers: what a builder of kernels puts behind them says nothing of a figure.
fn kernel_version(osrelease: &str) -> &str {
    let end = osrelease.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(osrelease.len());
    osrelease[..end].trim_end_matches('.')
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|it| it.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|it| it.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or_default() << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel\t: 1\n"), "A CPU @ 2 GHz");
        assert_eq!(memory_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"), 2 << 20);
        for (osrelease, expected) in
            [("6.1.155-custom-v1+\n", "6.1.155"), ("6.8.0\n", "6.8.0"), ("6.12.rc1", "6.12"), ("", "")]
        {
            assert_eq!(kernel_version(osrelease), expected);
        }
        assert!(Machine::look().date.ends_with('Z'));
    }
}
