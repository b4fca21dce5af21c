//! One shard's loop: what happened goes into the engine, what it says is done, and the sockets get their bytes.
//!
//! A turn takes its inputs first, each kind within a bound, and writes last: a connection gets one vectored write
//! for all that the turn queued.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};

use super::{
    beats::Beat,
    clock::Clock,
    log::NoticeLog,
    mailbox::{Courier, Mailbox},
    outside::Line,
    reactor::{Budget, RECEIVED_BYTES_MAX, Reactor, Reading, Sink, WaitFor, WriteOutcome},
};
use crate::{
    base::{ConnId, Now, ShardId},
    engine::{self, Engine, Input, NodeFacts, Output, Parcel, Policy, Wrote},
    http::route::Door,
    metrics::Reject,
    model::{CallId, OutsideAnswer, OutsideError},
};

/// What one turn takes from sockets at most. Each part costs well below a millisecond when it is used up by those who flood or
/// knock in vain, so that everybody else is served between; receives are for all that rooms want to have in one go.
const BUDGET: Budget = Budget { accepts: 4, receives: 1024, bytes: 128 * 1024 };

/// What one turn takes from a mailbox lane at most.
const PARCELS: usize = 4096;

/// The longest sleep: a shard shows that it lives.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// An engine takes from a client that was paused what the reactor had received from him by then.
const _: () = assert!(RECEIVED_BYTES_MAX <= engine::SLACK_BYTES);

/// How soon a shard looks again whether a full mailbox has room.
const RETRY: Duration = Duration::from_millis(1);

/// What the node tells a shard.
#[derive(Debug)]
pub enum Control {
    Facts(NodeFacts),
    Reload(Arc<Policy>),
    /// What became of a call of its engine.
    Called {
        call: CallId,
        answer: Result<OutsideAnswer, OutsideError>,
    },
    Drain,
    /// Every shard has drained.
    End,
}

/// What a shard tells its node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// It takes connections.
    Serving,
    /// A token named a key that nobody here knows.
    KeysWanted,
    /// A client that may has asked for the node's drain.
    DrainAsked,
    /// Its last connection has gone. It still orders the rooms whose home it is, for the other shards.
    Drained,
    /// Its thread is at its end; with the reason, if it failed.
    Ended(Result<(), String>),
}

/// A shard and everything that it works with.
pub struct Shard {
    pub id: ShardId,
    pub engine: Engine,
    pub reactor: Reactor,
    pub mailbox: Mailbox,
    pub courier: Courier,
    pub line: Line,
    pub control: Receiver<Control>,
    pub news: Sender<(ShardId, News)>,
    pub clock: Clock,
    pub beats: Arc<[Beat]>,
    pub log: NoticeLog,
}

impl Shard {
    /// Runs until every shard of the node has drained.
    ///
    /// # Errors
    /// When the reactor cannot go on.
    pub async fn run(mut self) -> io::Result<()> {
        self.tell_node(News::Serving);
        let mut ended = self.clock.now();
        loop {
            self.sleep(ended).await?;
            let start = self.clock.now();
            if self.take_control(start) {
                return Ok(());
            }
            self.take_parcels(start);
            if !self.courier.is_backed_up() {
                self.engine.check_signatures(start);
                let mut sink = EngineSink { engine: &mut self.engine, log: &mut self.log, now: start };
                // What is left over keeps the next wait from sleeping.
                let _ = self.reactor.harvest(BUDGET, &mut sink)?;
            }
            if self.engine.poll_timeout().is_some_and(|due_ms| due_ms <= start.mono_ms()) {
                self.engine.expire(start);
            }
            self.do_outputs()?;
            // The others begin with what is for them while this shard writes.
            self.courier.dispatch();
            self.write(start);
            self.do_outputs()?;
            self.courier.dispatch();
            ended = self.turned(start);
        }
    }

    async fn sleep(&mut self, now: Now) -> io::Result<()> {
        let until_due = self.engine.poll_timeout().map(|due_ms| due_ms.saturating_sub(now.mono_ms()));
        let until_due = until_due.map_or(WAIT_MAX, Duration::from_millis);
        let until_release = self.engine.poll_release().map(|opens_us| opens_us.saturating_sub(now.mono_us));
        let until_release = until_release.map_or(WAIT_MAX, Duration::from_micros);
        let timeout = until_due.min(until_release).min(WAIT_MAX);
        let (mailbox, control) = (&self.mailbox, &self.control);
        if self.courier.is_backed_up() {
            // Asks are left where they are while tells cannot be handed on: they are no reason to wake.
            let takes_asks = !self.courier.are_tells_backed_up();
            let has_work = || !mailbox.has_no_tell() || (takes_asks && !mailbox.is_empty());
            return self.reactor.wait(WaitFor::WakeOnly, timeout.min(RETRY), has_work).await;
        }
        let has_unchecked = self.engine.has_unchecked();
        let has_work = || has_unchecked || !mailbox.is_empty() || !control.is_empty();
        self.reactor.wait(WaitFor::Anything, timeout, has_work).await
    }

    /// Whether this is the end.
    fn take_control(&mut self, now: Now) -> bool {
        while let Ok(control) = self.control.try_recv() {
            let input = match control {
                Control::Facts(facts) => Input::Facts(facts),
                Control::Reload(policy) => Input::Reload(policy),
                Control::Called { call, answer } => Input::Called { call, answer },
                Control::Drain => Input::Drain,
                Control::End => return true,
            };
            self.engine.handle(input, now);
        }
        false
    }

    fn tell_node(&self, news: News) {
        // Nobody listens only when the node has ended already.
        let _ = self.news.send((self.id, news));
    }

    fn take_parcels(&mut self, now: Now) {
        for _ in 0..PARCELS {
            let Some((from, tell)) = self.mailbox.tell() else { break };
            self.engine.handle(Input::Parcel { from, parcel: Parcel::Tell(tell) }, now);
        }
        for _ in 0..PARCELS {
            if self.courier.are_tells_backed_up() {
                break;
            }
            let Some((from, ask)) = self.mailbox.ask() else { break };
            self.engine.handle(Input::Parcel { from, parcel: Parcel::Ask(ask) }, now);
        }
    }

    fn do_outputs(&mut self) -> io::Result<()> {
        let mut stops_accepting = false;
        loop {
            let Some(output) = self.engine.poll_output() else {
                if !std::mem::take(&mut stops_accepting) {
                    return Ok(());
                }
                self.stop_accepting()?;
                continue;
            };
            match output {
                Output::Parcel { to, parcel } => self.courier.post(to, parcel),
                Output::Call { call, request } => self.line.call(call, request),
                Output::KeysWanted => self.tell_node(News::KeysWanted),
                Output::Close { conn } => self.reactor.close(conn),
                // It may have been paused anew since.
                Output::ResumeReading { conn } if self.engine.is_paused(conn) => {}
                Output::ResumeReading { conn } => self.reactor.resume(conn),
                Output::ShutdownWrite { conn } => self.reactor.shutdown_write(conn),
                Output::DrainNode => self.tell_node(News::DrainAsked),
                // Behind all closes, so that no slot has two sockets.
                Output::StopAccepting => stops_accepting = true,
                Output::Drained => self.tell_node(News::Drained),
                Output::Notice(notice) => self.log.notice(&notice, self.clock.now()),
            }
        }
    }

    fn stop_accepting(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        let mut sink = EngineSink { engine: &mut self.engine, log: &mut self.log, now };
        for door in [Door::Public, Door::Admin] {
            self.reactor.close_door(door, &mut sink)?;
        }
        self.engine.handle(Input::DoorsClosed, now);
        Ok(())
    }

    fn write(&mut self, start: Now) {
        let now = self.clock.later(start);
        if !self.engine.has_writes(now) {
            return;
        }
        let reactor = &mut self.reactor;
        self.engine.take_writes(now, |conn, slices| match reactor.write(conn, slices) {
            WriteOutcome::Written(bytes) => Wrote::Bytes(bytes),
            WriteOutcome::Broken(_) => Wrote::Broken,
        });
        self.engine.written(self.clock.later(start));
    }

    /// The end of a turn that began at `start`; answers when that was.
    fn turned(&mut self, start: Now) -> Now {
        let now = self.clock.later(start);
        let lag_us = now.mono_us - start.mono_us;
        let metrics = self.engine.metrics_mut();
        metrics.loop_lag.observe_us(lag_us);
        metrics.mailbox_depth = self.mailbox.depth() as u64;
        metrics.mailbox_full += self.courier.take_full();
        self.beats[self.id.index()].turned(now.mono_ms(), self.engine.connections(), lag_us);
        now
    }
}

struct EngineSink<'a> {
    engine: &'a mut Engine,
    log: &'a mut NoticeLog,
    now: Now,
}

impl Sink for EngineSink<'_> {
    fn accepted(&mut self, door: Door, peer: SocketAddr) -> Option<ConnId> {
        let peer = peer.ip();
        self.engine.welcomes(door, peer, self.now).then(|| self.engine.accept_at(door, peer, self.now))
    }

    fn received(&mut self, conn: ConnId, bytes: &mut [u8]) -> Reading {
        self.engine.handle(Input::Received { conn, bytes }, self.now);
        if self.engine.is_paused(conn) { Reading::Paused } else { Reading::On }
    }

    fn writable(&mut self, conn: ConnId) {
        self.engine.handle(Input::Writable { conn }, self.now);
    }

    fn ended(&mut self, conn: ConnId) {
        self.engine.handle(Input::Ended { conn }, self.now);
    }

    fn closed(&mut self, conn: ConnId, _error: io::ErrorKind) {
        self.engine.handle(Input::Closed { conn }, self.now);
    }

    fn accept_failed(&mut self, error: &io::Error) {
        self.engine.metrics_mut().rejected.inc(Reject::FdLimit);
        self.log.accept_failed(error, self.now);
    }
}
