//! One Engine.IO session over HTTP long-polling, as a state machine: requests out, responses in, packets between. Has no socket
//! and no clock.
//!
//! A session has two lanes, each a keep-alive connection: on the main one a GET always waits for what the target has to say, on
//! the side one what this side says is posted. Drive it so: after anything that happened call [`Polling::next`] until `None`.
//! Invariant: a lane has at most one request that is not answered (HTTP pipelining is nobody's friend).

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;

use crate::{
    client::answer::{Answer, Whole},
    protocol::{Kind, Message, Out},
};

/// Stands between two packets of a body.
const SEPARATOR: u8 = 0x1e;
/// Begins a packet that is binary, in base64.
const BINARY: u8 = b'b';
const CLOSE: &str = "1";
/// Targets close a connection that rests, Node.js after 5 s: one that rested for this long is not used again, since a request
/// that meets the close may or may not have been carried out.
const REST_NS: u64 = 2_000_000_000;
/// What a body may hold where the target does not say.
const POST_BYTES_MAX: usize = 100_000;

/// One of the two connections of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// Where the GETs wait; all there is of a WebSocket.
    Main,
    Side,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Connect the lane (anew: a connection that it has is to be dropped), then say [`Polling::connected`].
    Dial(Lane),
    /// Send the request that was appended.
    Send(Lane),
}

/// What came.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Incoming<'a> {
    /// The session is open. (Of a WebSocket the upgrade's answer says so.)
    Accepted,
    Message(Message<'a>),
}

/// One session.
#[derive(Debug)]
pub(crate) struct Polling {
    /// Path and query of the first GET.
    path: Box<str>,
    /// Empty until the session is open.
    sid: Box<str>,
    post_bytes_max: usize,
    main: Link,
    side: Link,
    /// Packets that are to be posted, with separators between them.
    packets: Vec<u8>,
    /// The close packet is in `packets`, or posted.
    closing: bool,
}

/// The state of a lane.
#[derive(Debug, Default)]
struct Link {
    stage: Stage,
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    Down,
    Dialing,
    /// Since when it rests.
    Idle(u64),
    /// A request is not answered yet.
    Waiting,
}

/// What the open packet says that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    sid: String,
    max_payload: Option<usize>,
}

impl Polling {
    /// `path` is path and query of the first GET, with `transport=polling`. The main lane is being dialed.
    pub(crate) fn new(path: &str) -> Self {
        Self {
            path: path.into(),
            sid: Box::default(),
            post_bytes_max: POST_BYTES_MAX,
            main: Link { stage: Stage::Dialing, answer: Answer::default() },
            side: Link::default(),
            packets: Vec::new(),
            closing: false,
        }
    }

    /// The lane's connection stands.
    pub(crate) fn connected(&mut self, lane: Lane, now_ns: u64) {
        *self.link(lane) = Link { stage: Stage::Idle(now_ns), answer: Answer::default() };
    }

    /// The lane's connection was closed. The error says why the session is over with it.
    pub(crate) fn closed(&mut self, lane: Lane) -> Result<(), String> {
        let link = self.link(lane);
        match link.stage {
            Stage::Down | Stage::Idle(_) => link.stage = Stage::Down,
            Stage::Dialing | Stage::Waiting if lane == Lane::Side => {
                return Err("the connection of a POST was closed before its answer".to_owned());
            }
            Stage::Dialing | Stage::Waiting => {
                return Err("the connection of a GET was closed before its answer".to_owned());
            }
        }
        Ok(())
    }

    /// Puts messages into the next bodies.
    pub(crate) fn send(&mut self, messages: &Out) {
        for (kind, message) in messages.iter() {
            self.separate();
            match kind {
                Kind::Text => self.packets.extend_from_slice(message),
                Kind::Binary => {
                    self.packets.push(BINARY);
                    self.packets.extend_from_slice(BASE64_STANDARD.encode(message).as_bytes());
                }
            }
        }
    }

    /// Says that this side goes; the session is over when that is answered.
    pub(crate) fn close(&mut self) {
        self.separate();
        self.packets.extend_from_slice(CLOSE.as_bytes());
        self.closing = true;
    }

    /// Takes in what came on a lane. The error says why the session is over.
    pub(crate) fn receive(
        &mut self,
        lane: Lane,
        bytes: &[u8],
        now_ns: u64,
        heard: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let link = self.link(lane);
            if link.stage != Stage::Waiting {
                return Err("the server answered what it was not asked".to_owned());
            }
            let taken = link.answer.feed(rest).map_err(|bad| bad.to_string())?;
            rest = &rest[taken..];
            let Some(Whole { status, reason, persistent, body }) = link.answer.take() else { continue };
            link.stage = if persistent { Stage::Idle(now_ns) } else { Stage::Down };
            if status != 200 {
                let body = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
                return Err(format!("HTTP {status} {reason} {body}").trim_end().to_owned());
            }
            match lane {
                Lane::Main => self.digest(&body, heard)?,
                Lane::Side if self.closing && self.packets.is_empty() => {
                    return Err("the session was closed".to_owned());
                }
                Lane::Side => {}
            }
        }
        Ok(())
    }

    /// What is to be done now; a request is appended to `out`.
    pub(crate) fn next(&mut self, host: &str, now_ns: u64, out: &mut Vec<u8>) -> Option<Step> {
        match self.main.stage {
            Stage::Down => {
                self.main.stage = Stage::Dialing;
                return Some(Step::Dial(Lane::Main));
            }
            Stage::Idle(_) => {
                self.main.stage = Stage::Waiting;
                self.write_get(host, out);
                return Some(Step::Send(Lane::Main));
            }
            Stage::Dialing | Stage::Waiting => {}
        }
        if self.packets.is_empty() || self.sid.is_empty() {
            return None;
        }
        match self.side.stage {
            Stage::Idle(since_ns) if now_ns.saturating_sub(since_ns) < REST_NS => {
                self.side.stage = Stage::Waiting;
                self.write_post(host, out);
                Some(Step::Send(Lane::Side))
            }
            Stage::Down | Stage::Idle(_) => {
                self.side.stage = Stage::Dialing;
                Some(Step::Dial(Lane::Side))
            }
            Stage::Dialing | Stage::Waiting => None,
        }
    }

    /// Whether the close packet was posted, and that answered.
    pub(crate) fn ended_in_order(&self) -> bool {
        self.closing && self.packets.is_empty() && matches!(self.side.stage, Stage::Idle(_))
    }

    /// How much waits to be posted.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.packets.len()
    }

    /// Packets of the answer to a GET.
    fn digest(&mut self, body: &[u8], heard: &mut dyn FnMut(Incoming<'_>)) -> Result<(), String> {
        const BROKEN: &str = "the server broke the protocol";
        for packet in body.split(|byte| *byte == SEPARATOR) {
            if let [BINARY, base64 @ ..] = packet {
                let bytes = BASE64_STANDARD
                    .decode(base64)
                    .map_err(|_| format!("{BROKEN}: a binary packet that is no base64"))?;
                heard(Incoming::Message(Message::Binary(&bytes)));
                continue;
            }
            let text =
                std::str::from_utf8(packet).map_err(|_| format!("{BROKEN}: a packet that is no UTF-8"))?;
            if text == CLOSE {
                return Err("the server closed the session".to_owned());
            }
            if self.sid.is_empty() {
                let opened: Option<Opened> =
                    text.strip_prefix('0').and_then(|json| sonic_rs::from_str(json).ok());
                let Some(Opened { sid, max_payload }) = opened.filter(|opened| is_sid(&opened.sid)) else {
                    return Err(format!("{BROKEN}: no open packet comes first"));
                };
                self.sid = sid.into();
                self.post_bytes_max = max_payload.unwrap_or(POST_BYTES_MAX);
                heard(Incoming::Accepted);
            }
            heard(Incoming::Message(Message::Text(text)));
        }
        Ok(())
    }

    fn write_get(&self, host: &str, out: &mut Vec<u8>) {
        self.write_head("GET", host, out);
        out.extend_from_slice(b"\r\n");
    }

    /// As many packets as a body may hold, and one at least.
    fn write_post(&mut self, host: &str, out: &mut Vec<u8>) {
        let end = if self.packets.len() <= self.post_bytes_max {
            self.packets.len()
        } else {
            let fits = memchr::memrchr(SEPARATOR, &self.packets[..=self.post_bytes_max]);
            fits.or_else(|| memchr::memchr(SEPARATOR, &self.packets)).unwrap_or(self.packets.len())
        };
        self.write_head("POST", host, out);
        let length = format!("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {end}\r\n\r\n");
        out.extend_from_slice(length.as_bytes());
        out.extend_from_slice(&self.packets[..end]);
        // What follows begins after its separator.
        self.packets.drain(..(end + 1).min(self.packets.len()));
        if self.packets.is_empty() {
            self.packets = Vec::new();
        }
    }

    fn write_head(&self, method: &str, host: &str, out: &mut Vec<u8>) {
        let sid = if self.sid.is_empty() { ["", ""] } else { ["&sid=", &self.sid] };
        let parts = [method, " ", &self.path, sid[0], sid[1], " HTTP/1.1\r\nHost: ", host, "\r\n"];
        parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        out.extend_from_slice(
            concat!("User-Agent: ringway-loadgen/", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes(),
        );
    }

    fn separate(&mut self) {
        if !self.packets.is_empty() {
            self.packets.push(SEPARATOR);
        }
    }

    fn link(&mut self, lane: Lane) -> &mut Link {
        match lane {
            Lane::Main => &mut self.main,
            Lane::Side => &mut self.side,
        }
    }
}

/// It goes into a request line.
fn is_sid(sid: &str) -> bool {
    !sid.is_empty() && sid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

#[cfg(test)]
#[path = "polling_tests.rs"]
mod tests;
