//! Pusher's protocol 7, as soketi and sockudo speak it: a room is a private channel, joined with a signature of the app's
//! secret; publications are client events, which are not answered and which their sender does not hear.
//!
//! The data of an event is JSON, or a string with JSON in it: both are read. A refusal often does not name its channel, and
//! is a fault then. Deliveries are walked; whatever the walk does not know goes to the parser.

use std::{borrow::Cow, time::Duration};

use ring::hmac;
use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue};

use super::{
    Call, Dialogue, Heard, Keepalive, Kind, Malformed, Message, Out, Publishing, RoomNames, RoomRef, RoomsBy,
    Speak, Traits, Upgrade, Who,
    walk::{Walk, bytes, once, raw_within, unescape},
};

/// Key and secret of the app that soketi has unless told otherwise.
pub(crate) const DEFAULT_KEY: &str = "app-key";
pub(crate) const DEFAULT_SECRET: &str = "app-secret";

/// What makes a room's name a private channel's: only these may have client events.
const PRIVATE: &str = "private-";
/// What every client event begins with.
const CLIENT_EVENT: &str = "client-";
const PONG: &str = r#"{"event":"pusher:pong","data":{}}"#;
/// Servers let go of clients that are silent for 30 to 120 s, whatever they are told.
const KEEPALIVE: Keepalive =
    Keepalive { every: Duration::from_secs(25), text: r#"{"event":"pusher:ping","data":{}}"# };

/// The protocol for one app.
#[derive(Debug)]
pub(crate) struct Pusher {
    key: String,
    secret: hmac::Key,
}

impl Pusher {
    /// `key` must need no escapes in JSON or in a URL.
    pub(crate) fn new(key: &str, secret: &str) -> Self {
        Self { key: key.to_owned(), secret: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()) }
    }
}

impl Speak for Pusher {
    fn traits(&self) -> Traits {
        // Servers parse what they carry and write it anew.
        Traits { acks: false, echoes: false, rooms: RoomsBy::Message, presence: false, verbatim: false }
    }

    /// A path that names no app gets it appended.
    fn upgrade(&self, path: &str, _who: Who<'_>) -> Upgrade {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = path.trim_end_matches('/');
        let app = if path.contains("/app/") { String::new() } else { format!("/app/{}", self.key) };
        let joint = if query.is_empty() { "" } else { "&" };
        let version = env!("CARGO_PKG_VERSION");
        let path = format!("{path}{app}?{query}{joint}protocol=7&client=ringway-loadgen&version={version}");
        Upgrade { path, subprotocol: None, bearer: false }
    }

    /// Nothing: the target says first which socket this is.
    fn open(&self, _dialogue: &mut Dialogue, _who: Who<'_>, _out: &mut Out) -> Option<Heard<'static>> {
        None
    }

    /// Before the target has said which socket this is, there is nothing to sign and nothing is said.
    fn join(&self, dialogue: &mut Dialogue, who: Who<'_>, ordinal: u32, out: &mut Out) {
        let Dialogue::SocketId(socket_id) = dialogue else { return };
        let room = who.rooms.name(ordinal);
        let signature = hmac::sign(&self.secret, format!("{socket_id}:{PRIVATE}{room}").as_bytes());
        out.put(&[
            r#"{"event":"pusher:subscribe","data":{"channel":""#,
            PRIVATE,
            room,
            r#"","auth":""#,
            &self.key,
            ":",
        ]);
        for byte in signature.as_ref() {
            out.bytes.extend([byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]));
        }
        out.put(&["\"}}"]);
        out.end(Kind::Text);
    }

    fn publish(&self, _dialogue: &mut Dialogue, who: Who<'_>, call: Publishing<'_>, out: &mut Out) {
        let room = who.rooms.name(call.ordinal);
        out.put(&[r#"{"event":"client-message","channel":""#, PRIVATE, room, r#"","data":"#]);
        out.bytes.extend_from_slice(call.payload);
        out.put(&["}"]);
        out.end(Kind::Text);
    }

    fn keepalive(&self) -> Option<Keepalive> {
        Some(KEEPALIVE)
    }

    fn read<'a>(
        &self,
        dialogue: &mut Dialogue,
        who: Who<'_>,
        message: Message<'a>,
        out: &mut Out,
        heard: &mut dyn FnMut(Heard<'a>),
    ) -> Result<(), Malformed> {
        let Message::Text(text) = message else { return Err(Malformed) };
        heard(match walk(text) {
            Some(delivery) => delivery,
            None => parse(dialogue, who.rooms, text, out)?,
        });
        Ok(())
    }
}

/// The quick way: client events.
fn walk(text: &str) -> Option<Heard<'_>> {
    let (mut event, mut channel, mut data) = (None, None, None);
    let mut walk = Walk::new(text);
    walk.object(|walk, key| match key {
        "event" => once(&mut event, walk.plain_string()?),
        "channel" => once(&mut channel, walk.plain_string()?),
        "data" => once(&mut data, walk.value()?),
        _ => walk.value().map(|_| ()),
    })?;
    walk.end()?;
    if !event?.starts_with(CLIENT_EVENT) {
        return None;
    }
    let data = data?;
    let payload = match data.as_bytes().first()? {
        b'"' => Cow::Owned(unescape(data)?),
        b'n' => return None,
        _ => Cow::Borrowed(data.as_bytes()),
    };
    Some(Heard::Delivery { room: RoomRef::Name(Cow::Borrowed(room_of(channel?))), payload })
}

/// The room whose channel this is; of another channel its own name, which no room has.
fn room_of(channel: &str) -> &str {
    channel.strip_prefix(PRIVATE).unwrap_or(channel)
}

#[derive(Deserialize)]
struct Event<'a> {
    event: Cow<'a, str>,
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<LazyValue<'a>>,
}

#[derive(Deserialize)]
struct Established<'a> {
    socket_id: Cow<'a, str>,
}

/// The careful way.
fn parse<'a>(
    dialogue: &mut Dialogue,
    rooms: RoomNames<'_>,
    text: &'a str,
    out: &mut Out,
) -> Result<Heard<'a>, Malformed> {
    let Event { event, channel, data } = sonic_rs::from_str(text).map_err(|_| Malformed)?;
    let data = match &data {
        Some(data) => Some(data_of(text, data)?),
        None => None,
    };
    let ordinal = channel.as_ref().and_then(|it| rooms.ordinal(it.strip_prefix(PRIVATE)?));
    Ok(match &*event {
        "pusher:connection_established" => {
            let data = data.ok_or(Malformed)?;
            let Established { socket_id } = sonic_rs::from_str(&data).map_err(|_| Malformed)?;
            *dialogue = Dialogue::SocketId(socket_id.into());
            Heard::Established
        }
        "pusher_internal:subscription_succeeded" => {
            ordinal.map_or(Heard::Other, |ordinal| Heard::Acked(Call::Join(ordinal)))
        }
        "pusher:subscription_error" => {
            let code = code_of(data.as_deref(), "type");
            match ordinal {
                Some(ordinal) => Heard::Refused(Call::Join(ordinal), code),
                None => Heard::Fault(code),
            }
        }
        "pusher:error" => {
            let code = code_of(data.as_deref(), "code");
            match dialogue {
                Dialogue::Fresh => Heard::Refused(Call::Open, code),
                Dialogue::Established
                | Dialogue::Answering
                | Dialogue::RoomIds(_)
                | Dialogue::SocketId(_) => Heard::Fault(code),
            }
        }
        "pusher:ping" => {
            out.put(&[PONG]);
            out.end(Kind::Text);
            Heard::Other
        }
        event if event.starts_with(CLIENT_EVENT) => {
            let room = match channel.ok_or(Malformed)? {
                Cow::Borrowed(channel) => Cow::Borrowed(room_of(channel)),
                Cow::Owned(channel) => Cow::Owned(room_of(&channel).to_owned()),
            };
            Heard::Delivery { room: RoomRef::Name(room), payload: bytes(data.ok_or(Malformed)?) }
        }
        _ => Heard::Other,
    })
}

/// The JSON that `data` is, or that it is a string of.
fn data_of<'a>(text: &'a str, data: &LazyValue<'_>) -> Result<Cow<'a, str>, Malformed> {
    let raw = raw_within(text, data);
    if raw.starts_with('"') {
        return sonic_rs::from_str::<String>(&raw).map(Cow::Owned).map_err(|_| Malformed);
    }
    Ok(raw)
}

/// What `data` says under `key`; the messages beside it name sockets, of which there are too many for a table.
fn code_of(data: Option<&str>, key: &str) -> String {
    let code = data.and_then(|data| {
        let code = sonic_rs::get(data, [key]).ok()?;
        code.as_u64().map(|code| code.to_string()).or_else(|| code.as_str().map(str::to_owned))
    });
    code.unwrap_or_else(|| "no code".to_owned())
}

#[cfg(test)]
#[path = "pusher_tests.rs"]
mod tests;
