//! An agent: waits for a coordinator, obeys him for one run, and waits for the next.
//!
//! Serves one coordinator at a time; who comes meanwhile waits. A coordinator that is silent for [`SILENCE_MAX`] is gone. Whatever he
//! does, the agent's connections are closed when he has gone.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
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
/// How long a stranger may take to greet.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Whether to stop is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const READ_BYTES: usize = 64 << 10;

/// What this agent is.
pub(crate) struct Agent<'a> {
    pub(crate) secret: Vec<u8>,
    pub(crate) host: String,
    pub(crate) cores: u32,
    pub(crate) threads: u32,
    /// Makes everything ready for a part of a run, or says why it cannot.
    pub(crate) prepare: &'a dyn Fn(&Task) -> Result<Setup, String>,
    /// Told what happens, for people.
    pub(crate) note: &'a dyn Fn(&str),
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
        if let Some(Engaged { members, .. }) = engaged {
            // They may have finished long ago; if not, nobody will tell them any more.
            for member in members {
                let _ = member.obey(Command::Finish);
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
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let (sealer, mut opener) = greet(&mut stream, &self.secret)?;
        let writer = stream.try_clone()?;
        thread::spawn(move || write_answers(writer, sealer, &unsent));

        stream.set_read_timeout(Some(LOOK_EVERY))?;
        let mut buffer = vec![0; READ_BYTES];
        let mut silent = Duration::ZERO;
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
                let ask = sonic_rs::from_slice(body).map_err(Parted::Message)?;
                self.take_in(ask, engaged, &answers)?;
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
                Ok(begun) => {
                    let Task { threads, scenario, .. } = &*task;
                    (self.note)(&format!("scenario {}, {threads} threads", scenario.name));
                    *engaged = Some(begun);
                    let _ = answers.send(Answer::Ready);
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

    /// Starts the threads, which wait for a timetable.
    fn engage(&self, task: &Task, answers: &Sender<Answer>) -> Result<Engaged, String> {
        let setup = Arc::new((self.prepare)(task)?);
        let Crew { members, reports, .. } = Crew::of_threads(&setup).map_err(|error| error.to_string())?;
        let answers = answers.clone();
        thread::spawn(move || {
            // Until the last thread has ended, or nobody wants to hear.
            for report in reports {
                if answers.send(answer_of(report)).is_err() {
                    return;
                }
            }
        });
        Ok(Engaged { setup, members })
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
fn greet(stream: &mut TcpStream, secret: &[u8]) -> Result<(Sealer, Opener), Parted> {
    stream.set_read_timeout(Some(GREETING_TIMEOUT))?;
    let ours = Greeting::new().ok_or(Parted::NoRandom)?;
    stream.write_all(ours.bytes())?;
    let mut bytes = [0; GREETING_BYTES];
    stream.read_exact(&mut bytes)?;
    let theirs = Greeting::read(bytes)?;
    Ok(seal::keys(secret, &theirs, &ours, Side::Agent))
}

/// Until there is nobody left who could have an answer, or nobody who wants one.
fn write_answers(mut stream: TcpStream, mut sealer: Sealer, unsent: &Receiver<Answer>) {
    for answer in unsent {
        let Ok(body) = sonic_rs::to_vec(&answer) else { return };
        let Ok(frame) = sealer.seal(&body) else { return };
        if stream.write_all(&frame).is_err() {
            return;
        }
    }
}
