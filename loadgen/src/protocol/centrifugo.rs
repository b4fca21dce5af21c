//! Centrifugo's bidirectional protocol (client protocol v2) in JSON: commands with numbers, replies that carry them, pushes,
//! and several of them in one message, a line each. A publisher that is subscribed hears itself.
//!
//! An empty reply is a ping, answered by an empty command where the connect result asked for it. Publications are walked;
//! whatever the walk does not know goes to the parser.

use std::borrow::Cow;

use serde::Deserialize;
use sonic_rs::LazyValue;

use super::{
    Call, Dialogue, Heard, Kind, Malformed, Message, Out, Publishing, RoomNames, RoomRef, RoomsBy, Speak,
    Traits, Upgrade, Who,
    walk::{Walk, bytes, once, raw_within},
};

/// A ping, and its answer.
const EMPTY: &str = "{}";

/// All of the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Centrifugo;

impl Speak for Centrifugo {
    fn traits(&self) -> Traits {
        // Data is carried as it came; but plugins and proxies between may write it anew, and nothing promises the bytes.
        Traits { acks: true, echoes: true, rooms: RoomsBy::Message, presence: false, verbatim: false }
    }

    fn upgrade(&self, path: &str, _who: Who<'_>) -> Upgrade {
        let path = if path == "/" { "/connection/websocket" } else { path };
        Upgrade { path: path.to_owned(), subprotocol: None, bearer: false }
    }

    fn open(&self, _dialogue: &mut Dialogue, who: Who<'_>, out: &mut Out) -> Option<Heard<'static>> {
        command(out, Call::Open, who.rooms, "connect");
        // A token that is no JSON string cannot be one that the target accepts: it is asked without.
        match (who.token)().and_then(|token| sonic_rs::to_string(&token).ok()) {
            Some(token) => out.put(&[r#"{"token":"#, &token, r#","name":"ringway-loadgen"}}"#]),
            None => out.put(&[r#"{"name":"ringway-loadgen"}}"#]),
        }
        out.end(Kind::Text);
        None
    }

    fn join(&self, _dialogue: &mut Dialogue, who: Who<'_>, ordinal: u32, out: &mut Out) {
        command(out, Call::Join(ordinal), who.rooms, "subscribe");
        out.put(&[r#"{"channel":""#, who.rooms.name(ordinal), r#""}}"#]);
        out.end(Kind::Text);
    }

    /// Numbers have 32 bits here: see [`Call::number`].
    fn publish(&self, _dialogue: &mut Dialogue, who: Who<'_>, call: Publishing<'_>, out: &mut Out) {
        let Publishing { ordinal, seq, payload } = call;
        command(out, Call::Publish { ordinal, seq }, who.rooms, "publish");
        out.put(&[r#"{"channel":""#, who.rooms.name(ordinal), r#"","data":"#]);
        out.bytes.extend_from_slice(payload);
        out.put(&["}}"]);
        out.end(Kind::Text);
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
        if text.is_empty() {
            return Err(Malformed);
        }
        for line in lines(text) {
            heard(match walk(line) {
                Some(delivery) => delivery,
                None => parse(dialogue, who.rooms, line, out)?,
            });
        }
        Ok(())
    }
}

/// Appends a command's head, up to where its request stands.
fn command(out: &mut Out, call: Call, rooms: RoomNames<'_>, name: &str) {
    out.put(&[r#"{"id":"#]);
    out.put_number(call.number(rooms.count()));
    out.put(&[",\"", name, "\":"]);
}

/// Lines, the last of which may have an end or none. A line break cannot be within a reply.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (line, left) = match memchr::memchr(b'\n', text.as_bytes()) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = left;
        Some(line)
    })
}

/// The quick way: publications.
fn walk(line: &str) -> Option<Heard<'_>> {
    let (mut channel, mut publication, mut data) = (None, None, None);
    let mut walk = Walk::new(line);
    walk.literal(r#"{"push":"#)?;
    walk.object(|walk, key| match key {
        "channel" => once(&mut channel, walk.plain_string()?),
        "pub" => {
            once(&mut publication, ())?;
            walk.object(|walk, key| match key {
                "data" => once(&mut data, walk.value()?),
                _ => walk.value().map(|_| ()),
            })
        }
        // Something else than a publication, or something that is new.
        _ => None,
    })?;
    walk.literal("}")?;
    walk.end()?;
    let room = RoomRef::Name(Cow::Borrowed(channel?));
    Some(Heard::Delivery { room, payload: Cow::Borrowed(data?.as_bytes()) })
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    id: u64,
    #[serde(borrow)]
    error: Option<Error<'a>>,
    connect: Option<Connected>,
    subscribe: Option<Object>,
    publish: Option<Object>,
    #[serde(borrow)]
    push: Option<Push<'a>>,
}

#[derive(Deserialize)]
struct Error<'a> {
    code: u32,
    #[serde(default)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Connected {
    /// Whether pings are to be answered.
    #[serde(default)]
    pong: bool,
}

#[derive(Deserialize)]
struct Push<'a> {
    /// Left out where a push has none.
    #[serde(default, borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, rename = "pub")]
    publication: Option<Publication<'a>>,
    unsubscribe: Option<Parting>,
    disconnect: Option<Parting>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    #[serde(borrow)]
    data: LazyValue<'a>,
}

#[derive(Deserialize)]
struct Parting {
    #[serde(default)]
    code: u32,
}

/// Any object.
#[derive(Deserialize)]
struct Object {}

/// The careful way, for one line.
fn parse<'a>(
    dialogue: &mut Dialogue,
    rooms: RoomNames<'_>,
    line: &'a str,
    out: &mut Out,
) -> Result<Heard<'a>, Malformed> {
    let Reply { id, error, connect, subscribe, publish, push } =
        sonic_rs::from_str(line).map_err(|_| Malformed)?;
    if id == 0 {
        return match push {
            Some(push) => pushed(line, push),
            None => {
                ping(dialogue, out);
                Ok(Heard::Other)
            }
        };
    }
    let call = Call::numbered(id, rooms.count()).ok_or(Malformed)?;
    if let Some(Error { code, message }) = error {
        return Ok(Heard::Refused(call, format!("{code} {message}").trim_end().to_owned()));
    }
    match (call, connect, subscribe, publish) {
        (Call::Open, Some(Connected { pong }), ..) => {
            *dialogue = if pong { Dialogue::Answering } else { Dialogue::Established };
            Ok(Heard::Established)
        }
        (Call::Join(_), _, Some(Object {}), _) | (Call::Publish { .. }, _, _, Some(Object {})) => {
            Ok(Heard::Acked(call))
        }
        (Call::Open | Call::Join(_) | Call::Publish { .. } | Call::Presence, ..) => Err(Malformed),
    }
}

fn ping(dialogue: &Dialogue, out: &mut Out) {
    match dialogue {
        Dialogue::Answering => {
            out.put(&[EMPTY]);
            out.end(Kind::Text);
        }
        Dialogue::Fresh | Dialogue::Established | Dialogue::RoomIds(_) | Dialogue::SocketId(_) => {}
    }
}

fn pushed<'a>(line: &'a str, push: Push<'a>) -> Result<Heard<'a>, Malformed> {
    if let Some(Publication { data }) = push.publication {
        let payload = bytes(raw_within(line, &data));
        return Ok(Heard::Delivery { room: RoomRef::Name(push.channel), payload });
    }
    Ok(match (push.unsubscribe, push.disconnect) {
        (Some(Parting { code }), _) => Heard::Fault(format!("unsubscribed: {code}")),
        (None, Some(Parting { code })) => Heard::Fault(format!("disconnected: {code}")),
        (None, None) => Heard::Other,
    })
}

#[cfg(test)]
#[path = "centrifugo_tests.rs"]
mod tests;
