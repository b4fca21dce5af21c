//! Socket.IO 5 on Engine.IO 4, in the default namespace: JSON v1's types are event names, the one argument is the same object,
//! and the acknowledgement carries what JSON v1's `ack` carries.
//!
//! Packets are the same over WebSocket and over long-polling, whose requests are `client::polling`'s. Attachments are not sent,
//! and those that come are dropped. Deliveries are walked; whatever the walk does not know goes to the parser.

use std::borrow::Cow;

use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue};

use super::{
    Call, Dialogue, Heard, Kind, Malformed, Message, Out, Publishing, RoomNames, RoomRef, RoomsBy, Speak,
    Traits, Transport, Upgrade, Who, status,
    walk::{Walk, bytes, once, raw_within},
};

/// What stands before the object of a delivery.
const DELIVERY: &str = r#"42["room:message","#;
/// The answer to the join and to all else.
const ACK: &str = "43";

/// All of the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketIo {
    pub(crate) transport: Transport,
}

impl Speak for SocketIo {
    fn traits(&self) -> Traits {
        // Socket.IO's own server parses what it carries and writes it anew.
        Traits { acks: true, echoes: false, rooms: RoomsBy::Message, presence: true, verbatim: false }
    }

    fn transport(&self) -> Transport {
        self.transport
    }

    /// The query is appended where there is none.
    fn upgrade(&self, path: &str, _who: Who<'_>) -> Upgrade {
        let path = if path == "/" { "/socket.io/" } else { path };
        let transport = match self.transport {
            Transport::WebSocket => "websocket",
            Transport::Polling => "polling",
        };
        let joint = if path.contains('?') { '&' } else { '?' };
        Upgrade {
            path: format!("{path}{joint}EIO=4&transport={transport}"),
            subprotocol: None,
            bearer: false,
        }
    }

    /// Nothing: the target opens the connection first.
    fn open(&self, _dialogue: &mut Dialogue, _who: Who<'_>, _out: &mut Out) -> Option<Heard<'static>> {
        None
    }

    fn join(&self, _dialogue: &mut Dialogue, who: Who<'_>, ordinal: u32, out: &mut Out) {
        event(out, Call::Join(ordinal).number(who.rooms.count()), "room:join");
        out.put(&[r#"{"room":""#, who.rooms.name(ordinal), r#"","presence":false}]"#]);
        out.end(Kind::Text);
    }

    fn publish(&self, _dialogue: &mut Dialogue, who: Who<'_>, call: Publishing<'_>, out: &mut Out) {
        let Publishing { ordinal, seq, payload } = call;
        event(out, Call::Publish { ordinal, seq }.number(who.rooms.count()), "room:send");
        out.put(&[r#"{"room":""#, who.rooms.name(ordinal), r#"","payload":"#]);
        out.bytes.extend_from_slice(payload);
        out.put(&["}]"]);
        out.end(Kind::Text);
    }

    fn presence(&self, _dialogue: &mut Dialogue, turn: u32, out: &mut Out) {
        event(out, Call::Presence.number(0), "presence:status");
        out.put(&[r#"{"status":""#, status(turn), r#""}]"#]);
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
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                heard(Heard::Other);
                return Ok(());
            }
        };
        if let Some(known) = walk(text, who.rooms) {
            heard(known);
            return Ok(());
        }
        heard(match text.as_bytes().first().ok_or(Malformed)? {
            b'0' => {
                parse::<Object>(&text[1..])?;
                match (who.token)() {
                    Some(token) => {
                        let token = sonic_rs::to_string(&token).map_err(|_| Malformed)?;
                        out.put(&[r#"40{"token":"#, &token, "}"]);
                    }
                    None => out.put(&["40"]),
                }
                out.end(Kind::Text);
                Heard::Other
            }
            b'2' => {
                out.put(&["3", &text[1..]]);
                out.end(Kind::Text);
                Heard::Other
            }
            b'1' if text.len() == 1 => Heard::Fault("the session was closed".to_owned()),
            b'3' => Heard::Other,
            b'6' if text.len() == 1 => Heard::Other,
            b'4' => packet(dialogue, who.rooms, &text[1..])?,
            _ => return Err(Malformed),
        });
        Ok(())
    }
}

/// Appends an event's head, up to where its argument stands.
fn event(out: &mut Out, id: u64, name: &str) {
    out.put(&["42"]);
    out.put_number(id);
    out.put(&["[\"", name, "\","]);
}

/// The quick way: deliveries and acks without an error.
fn walk<'a>(text: &'a str, rooms: RoomNames<'_>) -> Option<Heard<'a>> {
    let mut walk = Walk::new(text);
    if walk.literal(DELIVERY).is_some() {
        let (mut room, mut payload) = (None, None);
        walk.object(|walk, key| match key {
            "room" => once(&mut room, walk.plain_string()?),
            "payload" => once(&mut payload, walk.value()?),
            _ => walk.value().map(|_| ()),
        })?;
        walk.literal("]")?;
        walk.end()?;
        let room = RoomRef::Name(Cow::Borrowed(room?));
        return Some(Heard::Delivery { room, payload: Cow::Borrowed(payload?.as_bytes()) });
    }
    walk.literal(ACK)?;
    let call = Call::numbered(walk.number()?, rooms.count())?;
    let mut success = None;
    walk.literal("[")?;
    walk.object(|walk, key| match key {
        "success" => once(&mut success, walk.literal("true")?),
        "error" => None,
        _ => walk.value().map(|_| ()),
    })?;
    walk.literal("]")?;
    walk.end()?;
    success.map(|()| Heard::Acked(call))
}

/// The careful way, for a Socket.IO packet without Engine.IO's `4`.
fn packet<'a>(
    dialogue: &mut Dialogue,
    rooms: RoomNames<'_>,
    packet: &'a str,
) -> Result<Heard<'a>, Malformed> {
    let rest = packet.get(1..).ok_or(Malformed)?;
    match packet.as_bytes()[0] {
        b'0' => {
            parse::<Object>(rest)?;
            *dialogue = Dialogue::Established;
            Ok(Heard::Established)
        }
        b'1' if rest.is_empty() => Ok(Heard::Fault("the namespace was left".to_owned())),
        b'2' => {
            let (_id, arguments) = numbered(rest)?;
            told(arguments)
        }
        b'3' => {
            let (id, arguments) = numbered(rest)?;
            let call = id.and_then(|id| Call::numbered(id, rooms.count())).ok_or(Malformed)?;
            answered(call, arguments)
        }
        b'4' => {
            let refusal: Refusal<'_> = parse(rest)?;
            let code = refusal.data.and_then(|data| data.get("code")?.as_str().map(str::to_owned));
            Ok(Heard::Refused(Call::Open, code.unwrap_or_else(|| refusal.message.into_owned())))
        }
        // Events and acks with attachments: their number and a dash come first.
        b'5' | b'6' => {
            let (_attachments, rest) = rest.split_once('-').ok_or(Malformed)?;
            let (_id, arguments) = numbered(rest)?;
            parse::<Vec<LazyValue<'_>>>(arguments)?;
            Ok(Heard::Other)
        }
        _ => Err(Malformed),
    }
}

/// The id, if there is one, and the arguments.
fn numbered(text: &str) -> Result<(Option<u64>, &str), Malformed> {
    let arguments = text.trim_start_matches(|it: char| it.is_ascii_digit());
    let id = &text[..text.len() - arguments.len()];
    if id.is_empty() {
        return Ok((None, arguments));
    }
    Ok((Some(id.parse().map_err(|_| Malformed)?), arguments))
}

fn told(arguments: &str) -> Result<Heard<'_>, Malformed> {
    let values: Vec<LazyValue<'_>> = parse(arguments)?;
    let [name, values @ ..] = values.as_slice() else { return Err(Malformed) };
    match name.as_str().ok_or(Malformed)? {
        "room:message" => {
            let argument = values.first().map(|it| raw_within(arguments, it));
            // Only strings are not borrowed.
            let Some(Cow::Borrowed(argument)) = argument else { return Err(Malformed) };
            let Delivery { room, payload } = parse(argument)?;
            let payload = bytes(raw_within(argument, &payload));
            Ok(Heard::Delivery { room: RoomRef::Name(room), payload })
        }
        "system:error" => {
            let code = values.first().and_then(|error| error.get("code")?.as_str().map(str::to_owned));
            Ok(Heard::Fault(code.unwrap_or_else(|| "no code".to_owned())))
        }
        _ => Ok(Heard::Other),
    }
}

fn answered(call: Call, arguments: &str) -> Result<Heard<'_>, Malformed> {
    let [Answer { success, error }] = parse(arguments)?;
    if success {
        return Ok(Heard::Acked(call));
    }
    let code = error.and_then(|error| error.get("code")?.as_str().map(str::to_owned));
    Ok(Heard::Refused(call, code.unwrap_or_else(|| "no code".to_owned())))
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Malformed> {
    sonic_rs::from_str(json).map_err(|_| Malformed)
}

/// Any object.
#[derive(Deserialize)]
struct Object {}

#[derive(Deserialize)]
struct Delivery<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    payload: LazyValue<'a>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    success: bool,
    #[serde(borrow)]
    error: Option<LazyValue<'a>>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    message: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<LazyValue<'a>>,
}

#[cfg(test)]
#[path = "socketio_tests.rs"]
mod tests;
