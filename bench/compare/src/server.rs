//! A server under test: one process on its cores, from start to end.
//!
//! It inherits the cores and the open-file limit from this process, which takes the server's cores for the moment of
//! the start. What it says goes to a file; when it ends by itself, the last lines are part of the failure. Dropping
//! it ends it, whatever happens.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cores::{self, Cores},
    failure::Failure,
    peers::{Launch, Peer, peers_dir},
    token,
};

const START_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// From the first answer to the first reading of the memory.
const SETTLE: Duration = Duration::from_millis(200);
const LINES_SHOWN: usize = 8;

/// A running server.
pub struct Server {
    child: Child,
    log: PathBuf,
    pub port: u16,
}

impl Server {
    /// Starts `peer` on `cores` and waits until its port accepts. `shards` is for the gateway.
    pub fn start(peer: &Peer, cores: &Cores, shards: u32, log: &Path) -> Result<Self, Failure> {
        let port = free_port()?;
        let mut command = command(peer, port, shards);
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = cores::with(cores, || command.spawn())?;
        let child = child.map_err(|it| Failure::Setup(format!("{:?}: {it}", command.get_program())))?;
        let mut server = Self { child, log: log.to_owned(), port };
        server.wait_until_it_accepts()?;
        Ok(server)
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), Failure> {
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            self.check()?;
            if begin.elapsed() > START_MAX {
                return Err(self.failure(format!("does not accept after {} s", START_MAX.as_secs())));
            }
            thread::sleep(LOOK_AGAIN);
        }
        thread::sleep(SETTLE);
        self.check()
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            Some(status) => Err(self.failure(format!("ended with {status}"))),
            None => Ok(()),
        }
    }

    fn failure(&self, what: String) -> Failure {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.trim_end().lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        let said =
            if last.is_empty() { String::new() } else { format!(", it said last:\n{}", last.join("\n")) };
        Failure::Server { what, said }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        let begin = Instant::now();
        // A process that has ended but was not waited for keeps its id, so that no other one is meant.
        let _ = kill(pid, Signal::SIGTERM);
        while begin.elapsed() < STOP_MAX {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(LOOK_AGAIN);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(peer: &Peer, port: u16, shards: u32) -> Command {
    match &peer.launch {
        Launch::Ringway { binary, options } => {
            let mut command = Command::new(binary);
            command.args(["serve", "--host", "127.0.0.1", "--shards", &shards.to_string()]);
            command.args(["--port", &port.to_string()]).args(options);
            command.env("JWT_SECRET", token::SECRET);
            command
        }
        Launch::Folder(folder) => {
            let mut command = Command::new(folder.join("serve"));
            command.arg(port.to_string()).env("PEERS_DIR", peers_dir());
            command
        }
    }
}

/// One that nobody listens on now.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
