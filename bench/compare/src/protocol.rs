//! What a peer's clients say: one small adapter for each protocol of the peers' contract.
//!
//! Stateless: each server message is answered from itself. Deliveries are not read here (their payload is found by
//! its marker), only what is said until the connection is a member, and pings.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::hmac;
use ringway::{
    base::{RoomKey, RoomName, TenantName},
    ws::{
        Opcode,
        handshake::{AcceptKey, accept_key},
    },
};
use serde::Deserialize;

use crate::token::TENANT;

/// The key and secret of the peers' contract.
const PUSHER_KEY: &str = "bench";
const PUSHER_SECRET: &[u8] = b"bench-secret";

/// The first byte of a publication from a relay's client.
const RELAY_PUBLISH: u8 = 0x01;

/// How a peer is talked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// JSON v1.
    Ringway,
    /// Relay v1: publications are opaque bytes, all else is JSON v1.
    Relay,
    Plain,
    SocketIo,
    Pusher,
    Nchan,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Member,
    /// Publishes only, where members cannot.
    Publisher,
    Echo,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Wait,
    /// Send this text.
    Say(String),
    /// The connection is what it should be.
    Ready,
    Refused(String),
}

impl Protocol {
    /// Path and query of the upgrade.
    pub fn path(self, room: &str, role: Role) -> String {
        match (self, role) {
            (Self::Ringway | Self::Relay, Role::Echo) => "/echo".to_owned(),
            (Self::Ringway | Self::Relay, _) => "/ws".to_owned(),
            (Self::Plain, _) => "/".to_owned(),
            (Self::SocketIo, _) => "/socket.io/?EIO=4&transport=websocket".to_owned(),
            (Self::Pusher, _) => format!("/app/{PUSHER_KEY}?protocol=7&client=compare&version=1"),
            (Self::Nchan, Role::Publisher) => format!("/pub/{room}"),
            (Self::Nchan, _) => format!("/sub/{room}"),
        }
    }

    /// Whether publishers are members of their room; they do not hear themselves then.
    pub fn publishers_are_members(self) -> bool {
        self != Self::Nchan
    }

    /// Whether the upgrade carries a token, for this role.
    pub fn wants_token(self, role: Role) -> bool {
        matches!(self, Self::Ringway | Self::Relay) && role != Role::Echo
    }

    /// What the upgrade asks for in `Sec-WebSocket-Protocol`.
    pub fn subprotocol(self, role: Role) -> Option<&'static str> {
        (self == Self::Relay && role != Role::Echo).then_some("ringway.relay.v1")
    }

    /// What publications are.
    pub fn opcode(self, role: Role) -> Opcode {
        if self == Self::Relay && role != Role::Echo { Opcode::Binary } else { Opcode::Text }
    }

    /// The upgrade is accepted.
    pub fn upgraded(self, room: &str, role: Role) -> Step {
        match (self, role) {
            (Self::Ringway | Self::Relay | Self::Plain | Self::Nchan, Role::Echo) | (Self::Nchan, _) => {
                Step::Ready
            }
            (Self::Ringway | Self::Relay, _) => {
                Step::Say(format!(r#"{{"type":"room:join","id":"join","room":"{room}","presence":false}}"#))
            }
            (Self::Plain, _) => Step::Say(format!("J{room}")),
            (Self::SocketIo | Self::Pusher, _) => Step::Wait,
        }
    }

    /// The server said `text` before the connection was ready.
    pub fn heard(self, text: &str, room: &str, role: Role) -> Step {
        match self {
            Self::Ringway | Self::Relay => ringway(text),
            Self::Plain if text == "K" => Step::Ready,
            Self::Plain | Self::Nchan => Step::Wait,
            Self::SocketIo => socketio(text, room, role),
            Self::Pusher => pusher(text, room),
        }
    }

    /// The answer to `text` on a connection that is ready, if it needs one.
    pub fn answer(self, text: &[u8]) -> Option<&'static str> {
        match self {
            Self::SocketIo if text == b"2" => Some("3"),
            Self::Pusher if text.starts_with(br#"{"event":"pusher:ping""#) => {
                Some(r#"{"event":"pusher:pong","data":{}}"#)
            }
            Self::Ringway | Self::Relay | Self::Plain | Self::SocketIo | Self::Pusher | Self::Nchan => None,
        }
    }

    /// What stands around a payload to publish it, or to have it sent back.
    pub fn around(self, room: &str, role: Role) -> (Vec<u8>, &'static str) {
        match (self, role) {
            (Self::Ringway | Self::Relay, Role::Echo) | (Self::Nchan, _) => (Vec::new(), ""),
            (Self::Ringway, _) => {
                (format!(r#"{{"type":"room:send","room":"{room}","payload":""#).into(), "\"}")
            }
            (Self::Relay, _) => ([&[RELAY_PUBLISH][..], &room_id(room).to_le_bytes()].concat(), ""),
            (Self::Plain, Role::Echo) => (b"E".to_vec(), ""),
            (Self::Plain, _) => (b"P".to_vec(), ""),
            (Self::SocketIo, Role::Echo) => (br#"420["echo",""#.to_vec(), "\"]"),
            (Self::SocketIo, _) => (br#"42["send",""#.to_vec(), "\"]"),
            (Self::Pusher, _) => {
                let text = format!(r#"{{"event":"client-message","channel":"private-{room}","data":""#);
                (text.into(), "\"}")
            }
        }
    }
}

/// What the answer to the join says, too: it follows from the names.
fn room_id(room: &str) -> u64 {
    let tenant = TenantName::parse(TENANT).expect("a plain name");
    let room = RoomName::parse(room).expect("a plain name");
    RoomKey { tenant, room }.id().0
}

fn ringway(text: &str) -> Step {
    if text.starts_with(r#"{"type":"ack""#) {
        if text.contains(r#""success":true"#) { Step::Ready } else { Step::Refused(text.to_owned()) }
    } else if text.starts_with(r#"{"type":"system:error""#) {
        Step::Refused(text.to_owned())
    } else {
        Step::Wait
    }
}

/// Engine.IO 4 and Socket.IO 5: open (`0`), connect (`40`), the join's ack (`430`).
fn socketio(text: &str, room: &str, role: Role) -> Step {
    if text == "2" {
        Step::Say("3".to_owned())
    } else if text.starts_with('0') {
        Step::Say("40".to_owned())
    } else if text.starts_with("430") {
        Step::Ready
    } else if text.starts_with("44") {
        Step::Refused(text.to_owned())
    } else if text.starts_with("40") {
        match role {
            Role::Echo => Step::Ready,
            Role::Member | Role::Publisher => Step::Say(format!(r#"420["join","{room}"]"#)),
        }
    } else {
        Step::Wait
    }
}

#[derive(Deserialize)]
struct PusherEvent {
    event: String,
    /// JSON in a string.
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct PusherEstablished {
    socket_id: String,
}

fn pusher(text: &str, room: &str) -> Step {
    let Ok(PusherEvent { event, data }) = sonic_rs::from_str(text) else {
        // The data of errors is an object.
        return if text.contains("error") { Step::Refused(text.to_owned()) } else { Step::Wait };
    };
    match event.as_str() {
        "pusher:connection_established" => match sonic_rs::from_str(&data) {
            Ok(PusherEstablished { socket_id }) => Step::Say(pusher_subscribe(&socket_id, room)),
            Err(_) => Step::Refused(text.to_owned()),
        },
        "pusher_internal:subscription_succeeded" => Step::Ready,
        it if it.contains("error") => Step::Refused(text.to_owned()),
        _ => Step::Wait,
    }
}

/// A private channel: its name and the socket's id, signed.
fn pusher_subscribe(socket_id: &str, room: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, PUSHER_SECRET);
    let signature = hmac::sign(&key, format!("{socket_id}:private-{room}").as_bytes());
    let hex: String = signature.as_ref().iter().map(|it| format!("{it:02x}")).collect();
    format!(
        r#"{{"event":"pusher:subscribe","data":{{"channel":"private-{room}","auth":"{PUSHER_KEY}:{hex}"}}}}"#
    )
}

/// The same for every connection: nobody but a proxy would care.
const NONCE: [u8; 16] = *b"compare, compare";

/// The upgrade request (RFC 6455 4.1), and what its answer must hold.
#[derive(Clone, Debug)]
pub struct Handshake {
    key: String,
    accept: AcceptKey,
    /// The last answer that was right: the same question nearly always has the same answer, which needs no second look.
    accepted: Vec<u8>,
}

/// Where the answer stands.
#[derive(PartialEq, Eq, Debug)]
pub enum Upgrade {
    Partial,
    /// Frames follow after so many bytes.
    Accepted(usize),
    /// The status line, or what is wrong.
    Refused(String),
}

impl Default for Handshake {
    fn default() -> Self {
        Self::new()
    }
}

impl Handshake {
    pub fn new() -> Self {
        let key = BASE64_STANDARD.encode(NONCE);
        Self { accept: accept_key(&key), key, accepted: Vec::new() }
    }

    /// Writes the request into `out`, over what stood there.
    pub fn request(
        &self,
        path: &str,
        port: u16,
        token: Option<&str>,
        subprotocol: Option<&str>,
        out: &mut String,
    ) {
        out.clear();
        let mut line = |texts: [&str; 2]| {
            texts.iter().for_each(|it| out.push_str(it));
            out.push_str("\r\n");
        };
        line(["GET ", &format!("{path} HTTP/1.1")]);
        line(["Host: 127.0.0.1:", &port.to_string()]);
        line(["Upgrade: websocket\r\nConnection: Upgrade\r\n", "Sec-WebSocket-Version: 13"]);
        line(["Sec-WebSocket-Key: ", &self.key]);
        if let Some(token) = token {
            line(["Authorization: Bearer ", token]);
        }
        if let Some(subprotocol) = subprotocol {
            line(["Sec-WebSocket-Protocol: ", subprotocol]);
        }
        line(["", ""]);
    }

    pub fn read(&mut self, bytes: &[u8]) -> Upgrade {
        if !self.accepted.is_empty() && bytes.starts_with(&self.accepted) {
            return Upgrade::Accepted(self.accepted.len());
        }
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return if bytes.len() > 16 << 10 {
                Upgrade::Refused("the answer to the upgrade has no end".to_owned())
            } else {
                Upgrade::Partial
            };
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let status = head.lines().next().unwrap_or_default();
        if !status.starts_with("HTTP/1.1 101") {
            return Upgrade::Refused(status.to_owned());
        }
        if memchr::memmem::find(head.as_bytes(), self.accept.as_str().as_bytes()).is_none() {
            return Upgrade::Refused("101 without the right Sec-WebSocket-Accept".to_owned());
        }
        if head.to_ascii_lowercase().contains("sec-websocket-extensions") {
            return Upgrade::Refused("101 with an extension that was not offered".to_owned());
        }
        self.accepted = bytes[..end + 4].to_owned();
        Upgrade::Accepted(end + 4)
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
