//! The decoy: a bare accept loop on the gateway's core, which resets whoever comes.
//!
//! Attacked in place of the gateway, it shows what the handshakes of an attack cost everybody on this machine, whoever
//! is their target: the least that any server can make of them.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{self, Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use compare::{cores, failure::Failure};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::args::Common;

/// As many as the gateway lets wait.
const BACKLOG: i32 = 4096;

/// Resets connections until standard input ends; the port is the first line of standard output.
pub(crate) fn run() -> Result<(), Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let mut out = io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?.port())?;
    out.flush()?;
    thread::spawn(|| {
        while matches!(io::stdin().read(&mut [0]), Ok(1..)) {}
        process::exit(0);
    });
    loop {
        // Who has gone before he was taken is an error of his.
        if let Ok((stream, _)) = listener.accept() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
    }
}

/// Its process. Dropped, it ends.
pub(crate) struct Decoy {
    pub(crate) port: u16,
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Decoy {
    pub(crate) fn start(common: &Common) -> Result<Self, Failure> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("decoy").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = cores::with(&vec![common.server_core], || command.spawn())??;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut decoy = Self { port: 0, child, _stdin: stdin };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        decoy.port = line
            .trim()
            .parse()
            .map_err(|_| Failure::Setup(format!("the decoy said {line:?}, not its port")))?;
        Ok(decoy)
    }
}

impl Drop for Decoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
