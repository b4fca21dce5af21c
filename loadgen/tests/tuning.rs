//! `tuning/tune.sh` on a kernel's files that are made up: what it finds low, what it writes, and that it can be undone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tuning/tune.sh");
const PORTS: &str = "proc/sys/net/ipv4/ip_local_port_range";
const BACKLOG: &str = "proc/sys/net/core/netdev_max_backlog";
const TCP_MEM: &str = "proc/sys/net/ipv4/tcp_mem";
const HUGE: &str = "sys/kernel/mm/transparent_hugepage/enabled";
const RPS: &str = "sys/class/net/eth0/queues/rx-0/rps_cpus";

/// A machine in a folder, which ends with it.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("tuning-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, format!("{text}\n")).expect("a file");
        }
        Self(folder)
    }

    /// Exit code and everything that is said.
    fn tune(&self, arguments: &str) -> (i32, String) {
        let output = Command::new(SCRIPT)
            .args(arguments.split_whitespace())
            .env("TUNING_SYSTEM", &self.0)
            .env("TUNING_STATE", self.0.join("state"))
            .output()
            .expect("the script runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().expect("it ends by itself"), String::from_utf8(said).expect("text"))
    }

    fn value(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).expect("text").trim_end().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_low_is_raised_on_request_and_put_back() {
    let files =
        [(PORTS, "32768\t60999"), (BACKLOG, "1000"), (TCP_MEM, "10 20 40"), (HUGE, "[always] madvise never")];
    let machine = Machine::new("low", &files);

    let (code, said) = machine.tune("check");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("4 lower than wanted"), "{said}");
    let (code, said) = machine.tune("apply all --dry-run");
    assert_eq!((code, said.lines().filter(|it| it.starts_with("would set")).count()), (0, 4), "{said}");
    assert_eq!(machine.value(BACKLOG), "1000");

    let (code, said) = machine.tune("apply port-range tcp-memory --conns 1000");
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        (machine.value(PORTS), machine.value(TCP_MEM)),
        ("1024 65535".into(), "3000 4000 8000".into())
    );
    assert_eq!(machine.value(BACKLOG), "1000", "nobody asked for it");
    // More than before, and what was there first stays known.
    let (code, said) = machine.tune("apply tcp-memory --conns 2000");
    assert_eq!((code, machine.value(TCP_MEM)), (0, "6000 8000 16000".into()), "{said}");

    let (code, said) = machine.tune("revert port-range");
    assert_eq!((code, machine.value(PORTS)), (0, "32768 60999".into()), "{said}");
    let (code, said) = machine.tune("revert");
    assert_eq!((code, machine.value(TCP_MEM)), (0, "10 20 40".into()), "{said}");
    assert_eq!(machine.tune("revert"), (0, String::new()), "nothing is left to be put back");
}

#[test]
fn what_is_good_stays() {
    let files = [
        (PORTS, "1024 65535"),
        (BACKLOG, "16384"),
        ("proc/sys/fs/file-max", "9223372036854775807"),
        (HUGE, "always madvise [never]"),
        // A card without a device is none.
        (RPS, "00000000"),
    ];
    let machine = Machine::new("good", &files);
    assert_eq!(machine.tune("check").0, 0);
    let (code, said) = machine.tune("apply all");
    assert_eq!((code, said.lines().all(|line| line.starts_with("kept "))), (0, true), "{said}");
    assert!(!machine.0.join("state").exists());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let machine = Machine::new("refused", &[(BACKLOG, "1000")]);
    for (arguments, said) in [
        ("apply", "apply which step?"),
        ("apply everything", "there is no step everything"),
        ("check --conns many", "--conns wants a number"),
        ("check apply", "one at a time"),
    ] {
        let (code, answer) = machine.tune(arguments);
        assert_eq!((code, answer.contains(said)), (2, true), "{arguments}: {answer}");
    }
    assert!(Path::new(SCRIPT).exists() && machine.tune("--help").1.contains("tuning/tune.sh check"));
}
