//! Whether this machine lets so many connections be opened, and which command would lift what is in the way.
//!
//! [`Machine`] is what the machine says, [`Wanted`] what a run needs; [`judge`] compares the two and touches nothing. Raising
//! the soft limit of open files is for `open_files`, all else for people. What cannot be read (as in a container) is not judged.

use std::{fmt, fs, path::Path, str::FromStr};

use nix::{
    sys::resource::{Resource, getrlimit},
    unistd::{SysconfVar, sysconf},
};

use super::open_files;
use crate::report::format;

/// Of this program, per connection: what it promises to need at most.
const OWN_BYTES_PER_CONN: u64 = 2 << 10;
/// Of the kernel, per end of an idle connection: socket, file, inode, directory entry.
const KERNEL_BYTES_PER_END: u64 = 5 << 10;
/// Queued in the kernel, per end of a connection in motion.
const QUEUED_BYTES_PER_END: u64 = 8 << 10;
/// Connections that may wait to be accepted while many come at once.
const SOMAXCONN: u64 = 4_096;
/// Packets that may wait for a core; less drops some of a burst, which costs each a retransmission (200 ms).
const NETDEV_BACKLOG: u64 = 4_096;
/// Ports that nobody needs to be root for.
const PORTS_MAX: u64 = 65_536 - 1_024;
/// With fewer connections a burst is too small for the two above.
const CONNS_OF_A_BURST: u64 = 1_000;

/// The script that makes several of them at once, and can undo it.
const TUNE: &str = "tuning/tune.sh";

/// What a run needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) conns: u32,
    pub(crate) threads: u32,
    /// Addresses and ports that are connected to.
    pub(crate) targets: u32,
    /// Addresses that are connected from.
    pub(crate) sources: u32,
    /// Whether the servers run here too: then both ends need memory, files and queues of this machine.
    pub(crate) both_ends: bool,
}

/// What the machine says; `None` for what it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Machine {
    /// Soft and hard.
    pub(crate) nofile: Option<(u64, u64)>,
    pub(crate) nr_open: Option<u64>,
    /// Open in the whole system, and how many may be.
    pub(crate) files: Option<(u64, u64)>,
    /// First and last.
    pub(crate) ports: Option<(u64, u64)>,
    /// Bytes from which the kernel saves on socket memory, and those past which it refuses any.
    pub(crate) tcp_memory: Option<(u64, u64)>,
    pub(crate) somaxconn: Option<u64>,
    pub(crate) netdev_backlog: Option<u64>,
    /// Entries, and how many there may be; `None` where connections are not tracked.
    pub(crate) conntrack: Option<(u64, u64)>,
    pub(crate) memory_available: Option<u64>,
}

/// One limit against what is wanted of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) has: String,
    pub(crate) wanted: String,
    pub(crate) verdict: Verdict,
    /// The step of `tuning/tune.sh` that lifts it; `None` where only a smaller run or a larger machine helps.
    pub(crate) step: Option<&'static str>,
    /// The command that does, as root.
    pub(crate) lift: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    Enough,
    /// The run comes about, but its figures may show this limit.
    Low,
    /// So many connections cannot be opened.
    TooLow,
}

/// Reads the limits of this machine and judges them.
pub(crate) fn check(wanted: &Wanted) -> Vec<Line> {
    judge(&Machine::read(Path::new("/proc")), wanted)
}

/// One line per limit that could be read.
pub(crate) fn judge(machine: &Machine, wanted: &Wanted) -> Vec<Line> {
    let conns = u64::from(wanted.conns);
    let ends = if wanted.both_ends { 2 } else { 1 };
    let files = conns + open_files::beside(wanted.threads);
    let pairs = u64::from(wanted.targets.max(1)) * u64::from(wanted.sources.max(1));
    let bursts = conns >= CONNS_OF_A_BURST;
    let number = format::count;

    let nofile = machine.nofile.map(|(soft, hard)| Line {
        what: "open files of a process",
        has: if hard > soft {
            format!("{}, raised from {}", number(hard), number(soft))
        } else {
            number(hard)
        },
        wanted: number(files),
        verdict: too_low(hard < files),
        step: Some("nofile"),
        lift: Some(format!("ulimit -n {files}")),
    });
    // It only bounds what the limit may be raised to.
    let nr_open = machine.nr_open.map(|max| Line {
        what: "highest such limit (nr_open)",
        has: number(max),
        wanted: number(files),
        verdict: too_low(max < files),
        step: Some("nofile"),
        lift: sysctl("fs.nr_open", files),
    });
    let file_max = machine.files.map(|(open, max)| Line {
        what: "open files of the system (file-max)",
        has: format!("{}, {} in use", number(max), number(open)),
        wanted: number(open + files + conns * (ends - 1)),
        verdict: too_low(max < open + files + conns * (ends - 1)),
        step: Some("nofile"),
        lift: sysctl("fs.file-max", open + files + conns * (ends - 1)),
    });
    let ports = machine.ports.map(|(first, last)| {
        let count = (last + 1).saturating_sub(first);
        let per_pair = conns.div_ceil(pairs);
        Line {
            what: "ports per source and target (ip_local_port_range)",
            has: format!("{} ({first} to {last})", number(count)),
            wanted: number(per_pair),
            verdict: too_low(count < per_pair),
            step: Some("port-range"),
            // When they are all in use already only more addresses help.
            lift: sysctl("net.ipv4.ip_local_port_range", "'1024 65535'").filter(|_| count < PORTS_MAX),
        }
    });
    let conntrack = machine.conntrack.map(|(used, max)| Line {
        what: "tracked connections (nf_conntrack_max)",
        has: format!("{}, {} in use", number(max), number(used)),
        wanted: number(used + conns),
        verdict: too_low(max < used + conns),
        step: Some("conntrack"),
        lift: sysctl("net.netfilter.nf_conntrack_max", used + conns),
    });
    let queued = conns * ends * QUEUED_BYTES_PER_END;
    let tcp_memory = machine.tcp_memory.map(|(pressure, most)| Line {
        what: "memory of sockets in motion (tcp_mem)",
        has: format!("{}, saved from {}", bytes(most), bytes(pressure)),
        wanted: bytes(queued),
        verdict: low(pressure < queued),
        step: Some("tcp-memory"),
        lift: sysctl("net.ipv4.tcp_mem", tcp_mem(queued)),
    });
    let somaxconn = machine.somaxconn.filter(|_| wanted.both_ends).map(|has| Line {
        what: "waiting to be accepted (somaxconn)",
        has: number(has),
        wanted: number(if bursts { SOMAXCONN } else { conns }),
        verdict: low(has < SOMAXCONN.min(conns)),
        step: Some("somaxconn"),
        lift: sysctl("net.core.somaxconn", if bursts { SOMAXCONN } else { conns }),
    });
    let backlog = machine.netdev_backlog.map(|has| Line {
        what: "packets waiting for a core (netdev_max_backlog)",
        has: number(has),
        wanted: number(if bursts { NETDEV_BACKLOG } else { has.min(NETDEV_BACKLOG) }),
        verdict: low(bursts && has < NETDEV_BACKLOG),
        step: Some("backlog"),
        lift: sysctl("net.core.netdev_max_backlog", NETDEV_BACKLOG),
    });
    let needed = conns * (OWN_BYTES_PER_CONN + ends * KERNEL_BYTES_PER_END);
    let memory = machine.memory_available.map(|has| Line {
        what: if wanted.both_ends { "memory (without the server's own)" } else { "memory" },
        has: format!("{} available", bytes(has)),
        wanted: bytes(needed),
        verdict: too_low(has < needed).max(low(has < needed + needed / 2)),
        step: None,
        lift: None,
    });
    [nofile, nr_open, file_max, ports, conntrack, tcp_memory, somaxconn, backlog, memory]
        .into_iter()
        .flatten()
        .collect()
}

fn sysctl(name: &str, value: impl fmt::Display) -> Option<String> {
    Some(format!("sysctl -w {name}={value}"))
}

/// In pages: where the kernel does not care, where it begins to save, and the most.
fn tcp_mem(bytes: u64) -> String {
    let pressure = bytes.div_ceil(sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4_096) as u64);
    format!("'{} {pressure} {}'", pressure / 4 * 3, pressure * 2)
}

/// A table, and after it what to do about lines that are not as wanted; 100 columns at most.
pub(crate) fn render(lines: &[Line], wanted: &Wanted) -> String {
    let mut out =
        format!("Limits of this machine for {} connections\n\n", format::count(wanted.conns.into()));
    let rows = lines.iter().map(|it| [it.what, &it.has, &it.wanted, it.verdict.shown()]);
    let rows: Vec<[&str; 4]> = [["", "has", "wanted", ""]].into_iter().chain(rows).collect();
    let widths: [usize; 3] =
        [0, 1, 2].map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    for [what, has, want, verdict] in rows {
        let line = format!("{what:0$}  {has:<1$}  {want:>2$}  {verdict}", widths[0], widths[1], widths[2]);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let lifts: Vec<String> = lines
        .iter()
        .filter(|it| it.verdict > Verdict::Enough)
        .filter_map(|it| Some(format!("  {}\n", it.lift.as_ref()?)))
        .collect();
    out.push('\n');
    if !lifts.is_empty() {
        out.push_str(&format!("To lift what is low, as root:\n{}", lifts.concat()));
        let steps = steps(lines);
        if !steps.is_empty() {
            let all = format!("{TUNE} apply {} --conns {}", steps.join(" "), wanted.conns);
            out.push_str(&format!("or, so that it can be reverted, in Ringway's sources:\n  {all}\n"));
        }
    }
    if let Some(line) = lines.iter().find(|it| it.verdict == Verdict::TooLow && it.step == Some("port-range"))
    {
        let more = format!("or connect from more addresses (--source); wanted now: {}\n", line.wanted);
        out.push_str(&more);
    }
    out.push_str(match worst(lines) {
        Verdict::Enough => "The run fits.\n",
        Verdict::Low => "The run fits; what is low may show in its figures.\n",
        Verdict::TooLow => "The run does not fit.\n",
    });
    out
}

/// The steps of the script that help, in the order of the lines. What a process may open is not the kernel's to say.
fn steps(lines: &[Line]) -> Vec<&'static str> {
    let mut steps = Vec::new();
    for line in lines.iter().filter(|it| it.verdict > Verdict::Enough) {
        let is_sysctl = line.lift.as_ref().is_some_and(|lift| lift.starts_with("sysctl"));
        if let Some(step) = line.step.filter(|step| is_sysctl && !steps.contains(step)) {
            steps.push(step);
        }
    }
    steps
}

/// What is not as wanted, a line each: to be said before a run.
pub(crate) fn warnings(lines: &[Line]) -> Vec<String> {
    let short = lines.iter().filter(|it| it.verdict > Verdict::Enough);
    short
        .map(|it| {
            let lift = match (&it.lift, steps(std::slice::from_ref(it)).first()) {
                (Some(lift), Some(step)) => {
                    format!("; `{lift}` as root lifts it (or step {step} of {TUNE})")
                }
                (Some(lift), None) => format!("; `{lift}` as root lifts it"),
                (None, _) => String::new(),
            };
            format!("{}: {}, wanted {}{lift}", it.what, it.has, it.wanted)
        })
        .collect()
}

/// The verdict on the whole.
pub(crate) fn worst(lines: &[Line]) -> Verdict {
    lines.iter().map(|it| it.verdict).max().unwrap_or(Verdict::Enough)
}

impl Machine {
    fn read(proc: &Path) -> Self {
        let sys = proc.join("sys");
        let numbers = |path: &str| numbers(&sys.join(path));
        let number = |path: &str| numbers(path).first().copied();
        let pair = |numbers: &[u64]| Some((*numbers.first()?, *numbers.get(1)?));
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4_096) as u64;
        let tracked = |it: &str| number(&format!("net/netfilter/nf_conntrack_{it}"));
        let status = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
        Self {
            nofile: getrlimit(Resource::RLIMIT_NOFILE).ok(),
            nr_open: number("fs/nr_open"),
            // Allocated, free, the most.
            files: match numbers("fs/file-nr")[..] {
                [open, _, max] => Some((open, max)),
                _ => None,
            },
            ports: pair(&numbers("net/ipv4/ip_local_port_range")),
            tcp_memory: match numbers("net/ipv4/tcp_mem")[..] {
                [_, pressure, most] => Some((pressure.saturating_mul(page), most.saturating_mul(page))),
                _ => None,
            },
            somaxconn: number("net/core/somaxconn"),
            netdev_backlog: number("net/core/netdev_max_backlog"),
            conntrack: tracked("count").zip(tracked("max")),
            memory_available: memory_available(&status),
        }
    }
}

impl Verdict {
    fn shown(self) -> &'static str {
        match self {
            Self::Enough => "ok",
            Self::Low => "low",
            Self::TooLow => "TOO LOW",
        }
    }
}

fn too_low(is_short: bool) -> Verdict {
    if is_short { Verdict::TooLow } else { Verdict::Enough }
}

fn low(is_short: bool) -> Verdict {
    if is_short { Verdict::Low } else { Verdict::Enough }
}

/// As [`format::bytes`], also past the GiB.
fn bytes(value: u64) -> String {
    if value < 10 << 30 { format::bytes(value) } else { format!("{} GiB", value >> 30) }
}

/// The numbers in a file; none when it cannot be read.
fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().map_while(|it| u64::from_str(it).ok()).collect()
}

fn memory_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|it| it.strip_prefix("MemAvailable:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: Machine = Machine {
        nofile: Some((1_024, 1_048_576)),
        nr_open: Some(1_048_576),
        files: Some((1_000, 9_000_000)),
        ports: Some((1_024, 65_535)),
        tcp_memory: Some((8 << 30, 12 << 30)),
        somaxconn: Some(65_535),
        netdev_backlog: Some(16_384),
        conntrack: Some((10, 2_000_000)),
        memory_available: Some(16 << 30),
    };

    const WANTED: Wanted = Wanted { conns: 50_000, threads: 2, targets: 1, sources: 1, both_ends: true };

    /// A machine that is short of one thing, or a run that wants more of it; the lines that say so.
    #[test]
    fn each_limit_is_judged_by_itself() {
        use Verdict::{Low, TooLow};
        type Row = (&'static str, fn(&mut Machine, &mut Wanted), &'static [(&'static str, Verdict)]);
        let rows: [Row; 16] = [
            ("as it is", |_, _| {}, &[]),
            ("files", |m, _| m.nofile = Some((1_024, 50_039)), &[("nofile", TooLow)]),
            ("just enough files", |m, _| m.nofile = Some((1_024, 50_040)), &[]),
            ("a limit of limits", |m, _| m.nr_open = Some(50_000), &[("nofile", TooLow)]),
            ("files of the system", |m, _| m.files = Some((1_000, 100_000)), &[("nofile", TooLow)]),
            ("of one end", |m, w| (m.files, w.both_ends) = (Some((1_000, 60_000)), false), &[]),
            ("ports", |m, _| m.ports = Some((32_768, 60_999)), &[("port-range", TooLow)]),
            ("two sources", |m, w| (m.ports, w.sources) = (Some((32_768, 60_999)), 2), &[]),
            ("two targets", |m, w| (m.ports, w.targets) = (Some((32_768, 60_999)), 2), &[]),
            ("an odd range", |m, _| m.ports = Some((60_000, 50_000)), &[("port-range", TooLow)]),
            ("conntrack", |m, _| m.conntrack = Some((20_000, 65_536)), &[("conntrack", TooLow)]),
            ("socket memory", |m, _| m.tcp_memory = Some((1 << 20, 2 << 20)), &[("tcp-memory", Low)]),
            (
                "queues",
                |m, _| (m.somaxconn, m.netdev_backlog) = (Some(128), Some(1_000)),
                &[("somaxconn", Low), ("backlog", Low)],
            ),
            ("queues of others", |m, w| (m.somaxconn, w.both_ends) = (Some(128), false), &[]),
            (
                "small runs",
                |m, w| (m.somaxconn, m.netdev_backlog, w.conns) = (Some(128), Some(300), 100),
                &[],
            ),
            ("memory", |m, _| m.memory_available = Some(600 << 20), &[("", Low)]),
        ];
        for (name, change, expected) in rows {
            let (mut machine, mut wanted) = (ROOMY, WANTED);
            change(&mut machine, &mut wanted);
            let lines = judge(&machine, &wanted);
            let short: Vec<(&str, Verdict)> = lines
                .iter()
                .filter(|it| it.verdict > Verdict::Enough)
                .map(|it| (it.step.unwrap_or_default(), it.verdict))
                .collect();
            assert_eq!(short, expected, "{name}");
            assert_eq!(warnings(&lines).len(), expected.len(), "{name}");
        }
    }

    #[test]
    fn what_the_machine_does_not_say_is_not_judged() {
        assert_eq!(judge(&Machine::default(), &WANTED), []);
        assert_eq!(worst(&[]), Verdict::Enough);
    }

    #[test]
    fn the_table_names_the_steps() {
        let machine = Machine {
            nofile: Some((1_024, 20_000)),
            ports: Some((32_768, 60_999)),
            netdev_backlog: Some(1_000),
            memory_available: Some(600 << 20),
            ..Machine::default()
        };
        let lines = judge(&machine, &WANTED);
        let expected = "\
Limits of this machine for 50,000 connections

                                                   has                         wanted
open files of a process                            20,000, raised from 1,024   50,040  TOO LOW
ports per source and target (ip_local_port_range)  28,232 (32768 to 60999)     50,000  TOO LOW
";
        let text = render(&lines, &WANTED);
        assert!(text.starts_with(expected), "{text}");
        let end = "
To lift what is low, as root:
  ulimit -n 50040
  sysctl -w net.ipv4.ip_local_port_range='1024 65535'
  sysctl -w net.core.netdev_max_backlog=4096
or, so that it can be reverted, in Ringway's sources:
  tuning/tune.sh apply port-range backlog --conns 50000
or connect from more addresses (--source); wanted now: 50,000
The run does not fit.
";
        assert!(text.ends_with(end), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn every_step_that_is_named_exists() {
        let nothing = Machine {
            nofile: Some((1, 1)),
            nr_open: Some(1),
            files: Some((1, 1)),
            ports: Some((1, 1)),
            tcp_memory: Some((1, 1)),
            somaxconn: Some(1),
            netdev_backlog: Some(1),
            conntrack: Some((1, 1)),
            memory_available: Some(1),
        };
        let lines = judge(&nothing, &WANTED);
        assert!(lines.iter().all(|it| it.verdict > Verdict::Enough), "{lines:?}");
        let named: Vec<&str> = lines.iter().filter_map(|it| it.step).collect();
        assert_eq!(named.len(), 8);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(TUNE);
        let known = std::process::Command::new(script).arg("steps").output().unwrap().stdout;
        let known = String::from_utf8(known).unwrap();
        for step in named {
            assert!(known.lines().any(|it| it == step), "{step}");
        }
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read(Path::new("/proc"));
        assert!(machine.nofile.is_some() && machine.memory_available.is_some(), "{machine:?}");
        assert_eq!(memory_available("MemTotal: 1 kB\nMemAvailable:   12 kB\n"), Some(12_288));
    }
}
