//! An agent: waits for a coordinator, obeys him for one run, and waits for the next.
//!
//! Serves one coordinator at a time; who comes meanwhile waits. A coordinator that is silent for [`SILENCE_MAX`] is gone. Whatever he
//! does, the agent's connections are closed when he has gone.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    agents::{
        message::{Answer, Ask, Task},
        seal::{self, GREETING_BYTES, Greeting, Opener, Sealer, Side, Unsealed},
    },
    client::{
        crew::{Crew, Obey},
        setup::Setup,
        worker::{Command, Report},
    },
    host::memory,
};

/// A coordinator asks for the time more often than this.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// From being accepted until the first message that shows that he knows the secret.
pub(crate) const STRANGER_MAX: Duration = Duration::from_secs(5);
/// Whether to stop is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const READ_BYTES: usize = 64 << 10;

/// What this agent is.
pub(crate) struct Agent<'a> {
    pub(crate) secret: Vec<u8>,
    pub(crate) host: String,
    pub(crate) cores: u32,
    pub(crate) threads: u32,
    /// Who has not shown by then that he knows the secret has to go: others wait.
    pub(crate) stranger_max: Duration,
    /// Makes everything ready for a part of a run, or says why it cannot.
    pub(crate) prepare: &'a dyn Fn(&Task) -> Result<Prepared, String>,
    /// Told what happens, for people.
    pub(crate) note: &'a dyn Fn(&str),
}

/// Ready for a part of a run.
pub(crate) struct Prepared {
    pub(crate) setup: Setup,
    /// Limits of this machine that are too low for it, a line each.
    pub(crate) limits: Vec<String>,
}

/// Why the agent stopped obeying a coordinator.
#[derive(Debug, thiserror::Error)]
enum Parted {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unsealed(#[from] Unsealed),
    #[error("a message of the coordinator is none: {0}")]
    Message(sonic_rs::Error),
    #[error("the coordinator asked for something out of turn")]
    OutOfTurn,
    #[error("the system has no random numbers")]
    NoRandom,
}

/// A run that goes on.
struct Engaged {
    setup: Arc<Setup>,
    members: Vec<Box<dyn Obey>>,
    joins: Vec<JoinHandle<()>>,
}

impl Agent<'_> {
    /// Serves until `interrupted` is set.
    ///
    /// # Errors
    /// When nobody can be accepted any more.
    pub(crate) fn serve(&self, listener: &TcpListener, interrupted: &AtomicBool) -> io::Result<()> {
        // So that accepting looks up from time to time.
        SockRef::from(listener).set_read_timeout(Some(LOOK_EVERY))?;
        while !interrupted.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, from)) => self.attend(stream, from, interrupted),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                // The peer went before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn attend(&self, stream: TcpStream, from: SocketAddr, interrupted: &AtomicBool) {
        (self.note)(&format!("{from}: a coordinator"));
        let (answers, unsent) = mpsc::channel();
        let mut engaged = None;
        let outcome = self.obey_all(stream, &mut engaged, answers, unsent, interrupted);
        if let Some(Engaged { members, joins, .. }) = engaged {
            // They may have finished long ago; if not, nobody will tell them any more.
            for member in members {
                let _ = member.obey(Command::Finish);
            }
            // The next run finds nobody of this one. Who panicked has said so.
            for thread in joins {
                let _ = thread.join();
            }
        }
        match outcome {
            Ok(()) => (self.note)(&format!("{from}: done")),
            Err(parted) => (self.note)(&format!("{from}: {parted}")),
        }
    }

    fn obey_all(
        &self,
        mut stream: TcpStream,
        engaged: &mut Option<Engaged>,
        answers: Sender<Answer>,
        unsent: Receiver<Answer>,
        interrupted: &AtomicBool,
    ) -> Result<(), Parted> {
        let deadline = Instant::now() + self.stranger_max;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let (sealer, mut opener) = greet(&mut stream, &self.secret, deadline)?;
        let writer = stream.try_clone()?;
        thread::spawn(move || write_answers(writer, sealer, &unsent));

        stream.set_read_timeout(Some(LOOK_EVERY))?;
        let mut buffer = vec![0; READ_BYTES];
        let (mut silent, mut is_stranger) = (Duration::ZERO, true);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    silent = Duration::ZERO;
                    opener.feed(&buffer[..count]);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    silent += LOOK_EVERY;
                    if silent >= SILENCE_MAX {
                        return Err(io::Error::from(ErrorKind::TimedOut).into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if interrupted.load(Ordering::Relaxed) {
                return Ok(());
            }
            while let Some(body) = opener.open()? {
                is_stranger = false;
                let ask = sonic_rs::from_slice(body).map_err(Parted::Message)?;
                self.take_in(ask, engaged, &answers)?;
            }
            if is_stranger {
                left_until(deadline)?;
            }
        }
    }

    fn take_in(
        &self,
        ask: Ask,
        engaged: &mut Option<Engaged>,
        answers: &Sender<Answer>,
    ) -> Result<(), Parted> {
        match (ask, &engaged) {
            (Ask::Hello, _) => {
                let Self { host, cores, threads, .. } = self;
                let _ = answers.send(Answer::Hello { host: host.clone(), cores: *cores, threads: *threads });
            }
            (Ask::Prepare(task), None) => match self.engage(&task, answers) {
                Ok((begun, limits)) => {
                    let Task { threads, scenario, .. } = &*task;
                    (self.note)(&format!("scenario {}, {threads} threads", scenario.name));
                    limits.iter().for_each(|limit| (self.note)(&format!("limits: {limit}")));
                    *engaged = Some(begun);
                    let _ = answers.send(Answer::Ready { limits });
                }
                Err(reason) => {
                    let _ = answers.send(Answer::Refused(reason));
                }
            },
            (Ask::Time { asked_ns }, Some(Engaged { setup, .. })) => {
                let _ = answers.send(Answer::Time { asked_ns, agent_ns: setup.clock.own_ns() });
            }
            (Ask::Offset { offset_ns }, Some(Engaged { setup, .. })) => setup.clock.set_offset(offset_ns),
            (Ask::Obey(command), Some(Engaged { members, .. })) => {
                if matches!(command, Command::StopPublishing) {
                    let _ = answers.send(Answer::Memory { bytes: memory::resident_bytes() });
                }
                members.iter().try_for_each(|member| member.obey(command.clone()))?;
            }
            (Ask::Prepare(_), Some(_)) | (Ask::Time { .. } | Ask::Offset { .. } | Ask::Obey(_), None) => {
                return Err(Parted::OutOfTurn);
            }
        }
        Ok(())
    }

    /// Starts the threads, which wait for a timetable; gives with them the limits that are too low.
    fn engage(&self, task: &Task, answers: &Sender<Answer>) -> Result<(Engaged, Vec<String>), String> {
        let Prepared { setup, limits } = (self.prepare)(task)?;
        let setup = Arc::new(setup);
        let Crew { members, reports, joins, .. } =
            Crew::of_threads(&setup).map_err(|error| error.to_string())?;
        let answers = answers.clone();
        thread::spawn(move || {
            // Until the last thread has ended, or nobody wants to hear.
            for report in reports {
                if answers.send(answer_of(report)).is_err() {
                    return;
                }
            }
        });
        Ok((Engaged { setup, members, joins }, limits))
    }
}

fn answer_of(report: Report) -> Answer {
    match report {
        Report::Snapshot { thread, snapshot, second } => Answer::Snapshot { thread, snapshot, second },
        Report::Settled { phase } => Answer::Settled { phase },
        Report::Published(published) => Answer::Published(published),
        Report::Finished(record) => Answer::Finished(record),
        Report::Broken(broken) => Answer::Broken(broken.to_string()),
    }
}

/// Exchanges greetings; whether the other one knows the secret shows with his first message.
fn greet(stream: &mut TcpStream, secret: &[u8], deadline: Instant) -> Result<(Sealer, Opener), Parted> {
    let ours = Greeting::new().ok_or(Parted::NoRandom)?;
    stream.write_all(ours.bytes())?;
    let mut bytes = [0; GREETING_BYTES];
    let mut filled = 0;
    while filled < GREETING_BYTES {
        // Byte by byte would take for ever if each had its own time.
        stream.set_read_timeout(Some(left_until(deadline)?))?;
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let theirs = Greeting::read(bytes)?;
    Ok(seal::keys(secret, &theirs, &ours, Side::Agent))
}

/// More than nothing.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Until there is nobody left who could have an answer, or nobody who wants one. When it fails, whoever reads hears of it.
fn write_answers(stream: TcpStream, sealer: Sealer, unsent: &Receiver<Answer>) {
    if write_all_answers(&stream, sealer, unsent).is_none() {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// `None` when one could not be written.
fn write_all_answers(mut stream: &TcpStream, mut sealer: Sealer, unsent: &Receiver<Answer>) -> Option<()> {
    for answer in unsent {
        let body = sonic_rs::to_vec(&answer).ok()?;
        stream.write_all(&sealer.seal(&body).ok()?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_holds_the_agent_for_a_moment_only() {
        let greeting = Greeting::new().unwrap();
        let whole = greeting.bytes();
        // What he says: nothing, half a greeting, a greeting and then nothing, a greeting and the beginning of a frame.
        let rows = [Vec::new(), whole[..20].to_vec(), whole.to_vec(), [whole, &[0, 0, 0]].concat()];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let agent = || Agent {
            secret: b"0123456789abcdef".to_vec(),
            host: String::new(),
            cores: 1,
            threads: 1,
            stranger_max: Duration::from_millis(20),
            prepare: &|_| Err("nothing is prepared here".to_owned()),
            note: &|_| {},
        };
        let interrupted = AtomicBool::new(false);
        thread::scope(|scope| {
            let serving = scope.spawn(|| agent().serve(&listener, &interrupted));
            for said in rows {
                let mut stranger = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                stranger.write_all(&said).unwrap();
                let mut answer = Vec::new();
                // Until the agent has had enough, at whatever time that is.
                let _ = stranger.read_to_end(&mut answer);
                assert_eq!(answer.len(), GREETING_BYTES);
            }
            interrupted.store(true, Ordering::Relaxed);
            assert!(serving.join().unwrap().is_ok());
        });
    }
}
