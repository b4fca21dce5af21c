//! A gateway as a child process: started on a free port, with all that it says kept, killed when dropped.
//!
//! It sees an empty environment but for what a test sets, and works in a folder without `ringway.toml`, so that
//! nothing of the machine shines through.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use ringway::shell::driver::Driver;

use super::{Http, Response, Socket, system, token, until};

/// The binary under test, with an empty environment.
pub(crate) fn ringway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    isolate(&mut command);
    command
}

fn isolate(command: &mut Command) {
    command.env_clear().current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
}

/// A gateway about to be started: JSON log, two shards, [`token::SECRET`], until a test says otherwise.
pub(crate) struct Start {
    command: Command,
    shards: Option<u16>,
}

impl Start {
    /// On a driver.
    pub(crate) fn on(driver: Driver) -> Self {
        Self::bare().arg("--driver").arg(driver.as_str()).env("JWT_SECRET", token::SECRET).shards(2)
    }

    /// With nothing but a free port and the JSON log.
    pub(crate) fn bare() -> Self {
        Self::from_command(ringway())
    }

    /// Through another program, which must become the binary with the arguments that are added here.
    pub(crate) fn from_command(mut command: Command) -> Self {
        isolate(&mut command);
        command.arg("serve");
        Self { command, shards: None }.arg("--port").arg("0").set("log.format", "json")
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// In another folder, without `ringway.toml` either.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// `--set key=value`.
    pub(crate) fn set(self, key: &str, value: impl std::fmt::Display) -> Self {
        self.arg("--set").arg(format!("{key}={value}"))
    }

    pub(crate) fn shards(self, count: u16) -> Self {
        Self { shards: Some(count), ..self }
    }

    pub(crate) fn without_io_uring(mut self) -> Self {
        system::refuse_io_uring(&mut self.command);
        self
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Gateway {
        let mut gateway = self.spawn();
        let address = until("the line that says where it listens", || {
            let line = gateway.output().lines().find_map(listening_on);
            assert!(line.is_some() || gateway.exit_status().is_none(), "it ended: {}", gateway.output());
            line
        });
        gateway.address = address;
        gateway
    }

    /// Starts what is expected to end by itself; answers with its exit code and all that it said.
    #[track_caller]
    pub(crate) fn fail(self) -> (Option<i32>, String) {
        let mut gateway = self.spawn();
        let status = gateway.wait();
        (status.code(), gateway.output())
    }

    /// Starts it with standard output and standard error in one pipe, which nobody reads once it listens. The pipe is
    /// closed when the reader is dropped: `2>&1 | head`.
    #[track_caller]
    pub(crate) fn start_unheard(mut self) -> (Gateway, impl Read) {
        let (reader, writer) = io::pipe().expect("a pipe can be had");
        self.command.stdout(writer.try_clone().expect("a pipe can be had")).stderr(writer);
        let child = self.command.spawn().expect("the binary was built by cargo and can be started");
        // The command holds the other end of the pipe, too.
        drop(self.command);
        let mut reader = BufReader::new(reader);
        let mut lines = reader.by_ref().lines().map_while(Result::ok);
        let address = lines.find_map(|line| listening_on(&line)).expect("it says where it listens");
        (Gateway { child, address, output: Arc::default(), readers: Vec::new() }, reader)
    }

    /// Starts it and waits for nothing; its address is not known.
    pub(crate) fn spawn(mut self) -> Gateway {
        if let Some(shards) = self.shards {
            self.command.arg("--shards").arg(shards.to_string());
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the binary was built by cargo and can be started");
        let output = Arc::new(Mutex::new(String::new()));
        let readers = [
            keep_lines(child.stdout.take().expect("piped above"), &output),
            keep_lines(child.stderr.take().expect("piped above"), &output),
        ];
        Gateway { child, address: ([127, 0, 0, 1], 0).into(), output, readers: readers.into() }
    }
}

fn keep_lines(pipe: impl Read + Send + 'static, output: &Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            output.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find(['"', ' ']).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// What counts things that clients have; 0 without any.
const GAUGES: [&str; 3] =
    ["websocket_active_rooms", "websocket_room_subscriptions", "websocket_outbound_queue_bytes"];

/// How much more memory is none: buffers that are made when they are first of use, and pages that the allocator keeps. What is
/// less and stays is for the gauges, and for rounds of many clients, to show.
const RESIDENT_BYTES_MORE: u64 = 4 << 20;

/// A gateway's memory while nobody is there.
pub(crate) struct Rest {
    resident_bytes: u64,
}

/// A running gateway. Dropped, it is killed; a test that fails shows what it said.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    output: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Gateway {
    /// Everything on standard output and standard error so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// A new connection's one request.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        Http::connect(self.address).get(path)
    }

    /// The same, with a bearer token.
    #[track_caller]
    pub(crate) fn get_as(&self, token: &str, path: &str) -> Response {
        Http::connect(self.address).get_with(path, &format!("Authorization: Bearer {token}\r\n"))
    }

    /// The value of one series in the text format, written as there: `name` or `name{label="value"}`.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no series {series} in\n{text}"));
        value.parse().unwrap_or_else(|_| panic!("{series} is {value}"))
    }

    /// An open JSON connection of `user` in `tenant`, greeted.
    #[track_caller]
    pub(crate) fn socket(&self, user: &str, tenant: &str) -> Socket {
        let mut socket = Socket::with_token(self.address, &token::token(user, tenant));
        socket.expect("connection:established");
        socket
    }

    /// A stranger comes and is served: the gateway has not suffered.
    #[track_caller]
    pub(crate) fn serves_the_next(&mut self, after: &str) {
        let mut socket = self.socket("next", "default");
        assert_eq!(socket.ping(), "pong", "after {after}");
        assert!(self.exit_status().is_none(), "it ended after {after}");
    }

    /// What it takes before anything has happened to it, but that somebody was served.
    #[track_caller]
    pub(crate) fn at_rest(&mut self) -> Rest {
        self.serves_the_next("its start");
        Rest { resident_bytes: self.resident_bytes() }
    }

    /// A stranger comes and is served, and of whoever was there is nothing left but `stay` connections: no room, no byte that
    /// waits, no memory.
    #[track_caller]
    pub(crate) fn has_recovered(&mut self, rest: &Rest, stay: usize, after: &str) {
        self.serves_the_next(after);
        until(&format!("that nothing is left of {after}"), || {
            let text = self.get("/metrics").text();
            let is_0 = |gauge: &&str| text.lines().any(|line| line.strip_prefix(*gauge) == Some(" 0"));
            let is_left = self.get("/health").json()["connections"] != stay + 1;
            let is_back = self.resident_bytes() <= rest.resident_bytes + RESIDENT_BYTES_MORE;
            (GAUGES.iter().all(is_0) && !is_left && is_back).then_some(())
        });
    }

    /// What of its memory is in the machine's.
    #[track_caller]
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says so");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes");
        kib * 1024
    }

    /// Who owns what the kernel shows of it: its user, or root where its memory is kept to itself.
    #[track_caller]
    pub(crate) fn owner(&self) -> u32 {
        fs::metadata(format!("/proc/{}/environ", self.child.id())).expect("it runs").uid()
    }

    pub(crate) fn signal(&self, signal: i32) {
        system::signal(&self.child, signal);
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end and for the last of what it said.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = until("the end of the process", || self.exit_status());
        for reader in self.readers.drain(..) {
            reader.join().expect("reading lines does not panic");
        }
        status
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("---- the gateway said ----\n{}", self.output());
        }
    }
}
