//! The real program as a child process, and what is left when it has ended.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use sonic_rs::{JsonContainerTrait, JsonValueTrait, Value};

use crate::server::Server;

/// One room has 20 members and one publisher, so that faults can be told in advance.
pub(crate) const LOAD: [&str; 12] = [
    "--conns",
    "80",
    "--rooms",
    "4",
    "--publishers",
    "4",
    "--rate",
    "400",
    "--warmup",
    "200ms",
    "--duration",
    "800ms",
];
pub(crate) const SENT: u64 = 400;
pub(crate) const DELIVERIES: u64 = SENT * 19;

pub(crate) struct Outcome {
    pub(crate) code: i32,
    /// Null when there was no run.
    pub(crate) json: Value,
    /// Table, phases and errors.
    pub(crate) text: String,
}

impl Outcome {
    pub(crate) fn number(&self, group: &str, name: &str) -> u64 {
        self.json[group][name].as_u64().unwrap_or_else(|| panic!("{group}.{name}: {}", self.text))
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        self.json["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    }
}

/// The program, with nothing from the environment that it would sign in with.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command
        .env_remove("JWT_SECRET")
        .env_remove("RINGWAY_AUTH__JWT_SECRET")
        .env_remove("LOADGEN_AGENT_SECRET")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A run with these flags, whose result is wanted.
pub(crate) fn loadgen(flags: &[&str], stdin: &str) -> Outcome {
    finish(command().args(flags).args(["--json", "-"]), stdin)
}

/// Until the program has ended.
pub(crate) fn finish(command: &mut Command, stdin: &str) -> Outcome {
    let mut child = command.spawn().unwrap();
    // A program that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    outcome(child)
}

pub(crate) fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        json: sonic_rs::from_slice(&output.stdout).unwrap_or_default(),
        text: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A scenario of 20 connections in two rooms that publish 200 messages a second together, with these further keys, and these phases
/// after the ramp.
pub(crate) fn scenario(keys: &str, phases: &str) -> String {
    format!(
        r#"
name = "twenty"
connections = 20
drain_timeout = "1s"
{keys}

[rooms]
count = 2

[[role]]
name = "all"
share = "100 %"
publish = {{ rate = "200/s", size = 64 }}

[[phase]]
kind = "ramp"
{phases}"#
    )
}

/// A folder of a test's own, which goes with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("loadgen-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes one; gives its path.
    pub(crate) fn put(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.file(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The usual load, with further flags.
pub(crate) fn run(server: &Server, flags: &[&str]) -> Outcome {
    let url = format!("{}/ws", server.url());
    loadgen(&[&LOAD[..], &["--url", &url], flags].concat(), "")
}

pub(crate) fn assert_clean(outcome: &Outcome) {
    assert_eq!(outcome.problems(), Vec::<String>::new(), "{}", outcome.text);
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    assert!(outcome.text.contains("PASSED"), "{}", outcome.text);
}
