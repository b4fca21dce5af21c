//! CPU time and memory of server processes on this machine, read from `/proc`.
//!
//! Given are process ids; whatever these start is followed too (workers, and the process that an upgrade hands over to, if the
//! old one still lives when it is first seen). A process is its id and its start time: an id that is used again is another
//! process. What has ended keeps counting the CPU time that it had used, so that the sum never falls. Memory is resident
//! memory (the kernel's own figure, which may be some pages late); pages that processes share count for each of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use nix::unistd::{SysconfVar, sysconf};

use super::server::ServerSample;

/// Processes followed at most: a server that forks without end is not followed for ever.
const PROCESSES_MAX: usize = 1_024;

/// There is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidError {
    #[error("--pid {0}: there is no such process")]
    Missing(u32),
    #[error("--pid {pid}: {source}")]
    Unreadable { pid: u32, source: io::Error },
}

/// The processes of the servers, and what they have used so far.
#[derive(Debug)]
pub(crate) struct Processes {
    source: String,
    proc: PathBuf,
    ticks_per_s: f64,
    page_bytes: u64,
    /// By process id. Invariant: at most [`PROCESSES_MAX`].
    followed: BTreeMap<u32, Process>,
    /// Of processes whose id belongs to another one now.
    ticks_before: u64,
    notes: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    /// Ticks since boot.
    started: u64,
    ticks: u64,
    lives: bool,
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stat {
    state: u8,
    parent: u32,
    /// User and system time of all its threads, those that have ended too.
    ticks: u64,
    started: u64,
    /// Resident.
    pages: u64,
}

impl Processes {
    /// The processes with these ids, and those that they start.
    pub(crate) fn of(pids: &[u32]) -> Result<Self, PidError> {
        let ticks_per_s = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4_096);
        Self::below(Path::new("/proc"), pids, ticks_per_s as f64, page_bytes as u64)
    }

    fn below(proc: &Path, pids: &[u32], ticks_per_s: f64, page_bytes: u64) -> Result<Self, PidError> {
        let mut this = Self {
            source: format!("pid {}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
            proc: proc.to_owned(),
            ticks_per_s,
            page_bytes,
            followed: BTreeMap::new(),
            ticks_before: 0,
            notes: Vec::new(),
        };
        for &pid in pids {
            match this.read(pid) {
                Ok(Some(stat)) if stat.lives() => this.follow(pid, stat),
                Ok(_) => return Err(PidError::Missing(pid)),
                Err(source) => return Err(PidError::Unreadable { pid, source }),
            }
        }
        Ok(this)
    }

    /// What they have used by now; `None` when none of them is left.
    pub(crate) fn sample(&mut self) -> Option<ServerSample> {
        let mut pages = 0;
        for pid in self.followed.keys().copied().collect::<Vec<_>>() {
            pages += self.look_at(pid);
        }
        for (pid, stat) in self.started_by_them() {
            pages += stat.pages;
            self.notes.push(format!("process {pid}, started by {}, is measured too", stat.parent));
            self.follow(pid, stat);
        }
        let ticks = self.ticks_before + self.followed.values().map(|it| it.ticks).sum::<u64>();
        self.followed.values().any(|it| it.lives).then(|| ServerSample {
            cpu_s: ticks as f64 / self.ticks_per_s,
            memory_bytes: pages * self.page_bytes,
        })
    }

    /// `pid 4711`, or several; without those that they started.
    pub(crate) fn source(&self) -> String {
        self.source.clone()
    }

    /// What happened since the last call, for people.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn follow(&mut self, pid: u32, stat: Stat) {
        let process = Process { started: stat.started, ticks: stat.ticks, lives: true };
        if let Some(before) = self.followed.insert(pid, process) {
            self.ticks_before += before.ticks;
        }
    }

    /// Brings one process up to date; gives its resident pages.
    fn look_at(&mut self, pid: u32) -> u64 {
        let found = self.read(pid).ok().flatten();
        let Some(process) = self.followed.get_mut(&pid).filter(|it| it.lives) else { return 0 };
        let same = found.filter(|it| it.started == process.started);
        if let Some(stat) = same {
            process.ticks = process.ticks.max(stat.ticks);
        }
        match same.filter(Stat::lives) {
            Some(stat) => stat.pages,
            None => {
                process.lives = false;
                self.notes.push(format!("process {pid} has ended"));
                0
            }
        }
    }

    /// Living processes that are not followed yet, but whose parents are, down to any depth.
    fn started_by_them(&self) -> Vec<(u32, Stat)> {
        let room = PROCESSES_MAX.saturating_sub(self.followed.len());
        let mut strangers: Vec<(u32, Stat)> = self.others().collect();
        let mut family: BTreeSet<u32> =
            self.followed.iter().filter(|(_, it)| it.lives).map(|(&pid, _)| pid).collect();
        let mut found = Vec::new();
        loop {
            let (theirs, rest) = strangers.into_iter().partition(|(_, stat)| family.contains(&stat.parent));
            let theirs: Vec<(u32, Stat)> = theirs;
            if theirs.is_empty() || found.len() >= room {
                found.truncate(room);
                return found;
            }
            family.extend(theirs.iter().map(|(pid, _)| *pid));
            found.extend(theirs);
            strangers = rest;
        }
    }

    /// Living processes that are not among the followed, nor this one: whoever measures what started it does not mean it.
    fn others(&self) -> impl Iterator<Item = (u32, Stat)> {
        let entries = fs::read_dir(&self.proc).into_iter().flatten().filter_map(Result::ok);
        let pids = entries.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
        let own = std::process::id();
        let strangers =
            pids.filter(move |pid| *pid != own && !self.followed.get(pid).is_some_and(|it| it.lives));
        strangers.filter_map(|pid| Some((pid, self.read(pid).ok()??))).filter(|(_, stat)| stat.lives())
    }

    /// `None` when there is no such process.
    fn read(&self, pid: u32) -> io::Result<Option<Stat>> {
        match fs::read_to_string(self.proc.join(pid.to_string()).join("stat")) {
            Ok(text) => Ok(Stat::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // It ended between opening and reading.
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Stat {
    /// The name may contain spaces and parentheses: fields are counted from the last of these.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            parent: u32::try_from(number(1)?).ok()?,
            ticks: number(11)?.saturating_add(number(12)?),
            started: number(19)?,
            pages: number(21)?,
        })
    }

    /// Not ended, whether or not its parent has noticed.
    fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A `/proc` of a test's own.
    struct Proc(PathBuf);

    impl Proc {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("loadgen-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn put(&self, pid: u32, state: char, parent: u32, ticks: (u64, u64), started: u64, pages: u64) {
            let (user, system) = ticks;
            let text = format!(
                "{pid} (a (b) c) {state} {parent} 0 0 0 0 0 0 0 0 0 {user} {system} 7 7 20 0 4 0 {started} 9999 {pages} 0\n"
            );
            fs::create_dir_all(self.0.join(pid.to_string())).unwrap();
            fs::write(self.0.join(pid.to_string()).join("stat"), text).unwrap();
        }

        fn remove(&self, pid: u32) {
            fs::remove_dir_all(self.0.join(pid.to_string())).unwrap();
        }

        fn follow(&self, pids: &[u32]) -> Result<Processes, PidError> {
            Processes::below(&self.0, pids, 100.0, 4_096)
        }
    }

    impl Drop for Proc {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn shown(sample: Option<ServerSample>) -> Option<(f64, u64)> {
        sample.map(|it| (it.cpu_s, it.memory_bytes / 4_096))
    }

    #[test]
    fn fields_are_counted_after_the_name() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 8 0 12345 1000000 321 18446744073709551615 1";
        let stat = Stat { state: b'S', parent: 1, ticks: 200, started: 12_345, pages: 321 };
        assert_eq!(Stat::parse(text), Some(stat));
        for end in 0..text.len() - 24 {
            // A text that was cut is nothing, or a shorter number: never a panic.
            let _ = Stat::parse(&text[..end]);
        }
        for text in ["", ")", "1 (a) S", "1 (a) S x 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0 0 0 5 0 1"] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn processes_are_summed_and_what_ended_stays_in_the_sum() {
        let proc = Proc::new("sum");
        proc.put(10, 'S', 1, (100, 50), 7, 1_000);
        proc.put(11, 'R', 1, (30, 0), 8, 500);
        let mut processes = proc.follow(&[10, 11]).unwrap();
        assert_eq!(processes.source(), "pid 10, 11");
        assert_eq!(shown(processes.sample()), Some((1.8, 1_500)));

        proc.put(11, 'Z', 1, (70, 0), 8, 0);
        assert_eq!(shown(processes.sample()), Some((2.2, 1_000)));
        assert_eq!(processes.take_notes(), ["process 11 has ended"]);

        proc.remove(11);
        proc.put(10, 'S', 1, (100, 150), 7, 1_200);
        assert_eq!(shown(processes.sample()), Some((3.2, 1_200)));
        // The id is another process's now.
        proc.put(10, 'S', 1, (5, 5), 99, 10);
        assert_eq!(shown(processes.sample()), None);
        assert_eq!(processes.take_notes(), ["process 10 has ended"]);
        assert_eq!(shown(processes.sample()), None);
        assert_eq!(processes.take_notes(), Vec::<String>::new());
    }

    #[test]
    fn what_they_start_is_followed_also_when_it_outlives_them() {
        let proc = Proc::new("family");
        proc.put(10, 'S', 1, (100, 0), 7, 1_000);
        proc.put(99, 'S', 1, (900, 0), 3, 9_000);
        let mut processes = proc.follow(&[10]).unwrap();
        proc.put(21, 'S', 20, (10, 0), 12, 10);
        proc.put(20, 'S', 10, (20, 0), 11, 20);
        assert_eq!(shown(processes.sample()), Some((1.3, 1_030)));
        assert_eq!(
            processes.take_notes(),
            ["process 20, started by 10, is measured too", "process 21, started by 20, is measured too"]
        );
        // An upgrade: the old process is gone, its child goes on, the child's id has a new parent.
        proc.remove(10);
        proc.put(20, 'S', 1, (70, 0), 11, 40);
        assert_eq!(shown(processes.sample()), Some((1.8, 50)));
        // A new worker under an id that was followed before.
        proc.remove(21);
        processes.sample();
        proc.put(21, 'S', 20, (5, 0), 50, 7);
        assert_eq!(shown(processes.sample()), Some((1.85, 47)));
    }

    #[test]
    fn a_process_that_is_not_there_is_said_before_the_run() {
        let proc = Proc::new("missing");
        proc.put(12, 'Z', 1, (1, 1), 1, 1);
        for pid in [11, 12] {
            assert_eq!(
                proc.follow(&[pid]).unwrap_err().to_string(),
                format!("--pid {pid}: there is no such process")
            );
        }
    }

    #[test]
    fn a_real_process_has_memory_and_ends() {
        let own = Processes::of(&[std::process::id()]).unwrap().sample();
        assert!(own.is_some_and(|it| it.memory_bytes > 0), "{own:?}");
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut processes = Processes::of(&[child.id()]).unwrap();
        assert!(processes.sample().is_some());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(processes.sample(), None);
    }
}
