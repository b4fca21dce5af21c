//! JSON v1 as far as a load needs it: joins, publications and presence out, deliveries and answers in.
//!
//! Deliveries come by the hundred thousand a second, so [`Json::read`] first walks through the text itself; what the walk does not
//! know at sight (whitespace, escapes in names, errors) goes to a real parser.

use std::borrow::Cow;

use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue};

use crate::protocol::{
    Call, Dialogue, Heard, Kind, Malformed, Message, Out, Publishing, RoomNames, RoomRef, RoomsBy, Speak,
    Traits, Upgrade, Who, status,
    walk::{Walk, bytes, once, raw_within},
};

/// JSON v1.
#[derive(Debug)]
pub(crate) struct Json {
    /// Whether members ask to be told about each other's presence.
    pub(crate) presence: bool,
}

impl Speak for Json {
    fn traits(&self) -> Traits {
        Traits { acks: true, echoes: false, rooms: RoomsBy::Message, presence: true, verbatim: true }
    }

    fn upgrade(&self, path: &str, _who: Who<'_>) -> Upgrade {
        Upgrade { path: path.to_owned(), subprotocol: None, bearer: true }
    }

    /// Nothing needs to be waited for: the server takes joins from the first byte on.
    fn open(&self, dialogue: &mut Dialogue, _who: Who<'_>, _out: &mut Out) -> Option<Heard<'static>> {
        *dialogue = Dialogue::Established;
        Some(Heard::Established)
    }

    fn join(&self, _dialogue: &mut Dialogue, who: Who<'_>, ordinal: u32, out: &mut Out) {
        join_room(who.rooms, ordinal, self.presence, out);
    }

    fn publish(&self, _dialogue: &mut Dialogue, who: Who<'_>, call: Publishing<'_>, out: &mut Out) {
        let Publishing { ordinal, seq, payload } = call;
        out.put(&[r#"{"type":"room:send","id":"#]);
        out.put_number(Call::Publish { ordinal, seq }.number(who.rooms.count()));
        out.put(&[r#","room":""#, who.rooms.name(ordinal), r#"","payload":"#]);
        out.bytes.extend_from_slice(payload);
        out.put(&["}"]);
        out.end(Kind::Text);
    }

    fn presence(&self, _dialogue: &mut Dialogue, turn: u32, out: &mut Out) {
        set_presence(turn, out);
    }

    #[inline]
    fn read<'a>(
        &self,
        _dialogue: &mut Dialogue,
        who: Who<'_>,
        message: Message<'a>,
        _out: &mut Out,
        heard: &mut dyn FnMut(Heard<'a>),
    ) -> Result<(), Malformed> {
        match message {
            Message::Text(text) => heard(inbound(text, who.rooms.count())?),
            Message::Binary(_) => return Err(Malformed),
        }
        Ok(())
    }
}

/// Asks for a room.
pub(super) fn join_room(rooms: RoomNames<'_>, ordinal: u32, presence: bool, out: &mut Out) {
    out.put(&[r#"{"type":"room:join","id":"#]);
    out.put_number(Call::Join(ordinal).number(rooms.count()));
    let presence = if presence { "true}" } else { "false}" };
    out.put(&[r#","room":""#, rooms.name(ordinal), r#"","presence":"#, presence]);
    out.end(Kind::Text);
}

/// Changes the presence status to the `turn`-th.
pub(super) fn set_presence(turn: u32, out: &mut Out) {
    out.put(&[r#"{"type":"presence:status","id":"#]);
    out.put_number(Call::Presence.number(0));
    out.put(&[r#","status":""#, status(turn), r#""}"#]);
    out.end(Kind::Text);
}

/// One message to meaning.
fn inbound(text: &str, rooms: u32) -> Result<Heard<'_>, Malformed> {
    match walk(text, rooms) {
        Some(heard) => Ok(heard),
        None => parse(text, rooms),
    }
}

/// The quick way: `None` when the text is not of the plain shape.
fn walk(text: &str, rooms: u32) -> Option<Heard<'_>> {
    let (mut kind, mut id, mut room, mut payload, mut success) = (None, None, None, None, None);
    let mut walk = Walk::new(text);
    walk.object(|walk, key| match key {
        "type" => once(&mut kind, walk.plain_string()?),
        "room" => once(&mut room, walk.plain_string()?),
        "payload" => once(&mut payload, walk.value()?),
        "id" => once(&mut id, walk.value()?),
        "success" => once(&mut success, walk.value()?),
        _ => walk.value().map(|_| ()),
    })?;
    walk.end()?;
    match kind? {
        "room:message" => {
            let payload = Cow::Borrowed(payload?.as_bytes());
            Some(Heard::Delivery { room: RoomRef::Name(Cow::Borrowed(room?)), payload })
        }
        "ack" if success? == "true" => Some(Heard::Acked(Call::numbered(id?.parse().ok()?, rooms)?)),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<LazyValue<'a>>,
    room: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<LazyValue<'a>>,
    success: Option<bool>,
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<LazyValue<'a>>,
}

/// The careful way.
fn parse(text: &str, rooms: u32) -> Result<Heard<'_>, Malformed> {
    let envelope: Envelope<'_> = sonic_rs::from_str(text).map_err(|_| Malformed)?;
    match &*envelope.kind {
        "room:message" => {
            let room = RoomRef::Name(envelope.room.ok_or(Malformed)?);
            let payload = envelope.payload.ok_or(Malformed)?;
            let payload = bytes(raw_within(text, &payload));
            Ok(Heard::Delivery { room, payload })
        }
        "ack" => {
            let id = envelope.id.and_then(|id| id.as_u64()).ok_or(Malformed)?;
            let call = Call::numbered(id, rooms).ok_or(Malformed)?;
            if envelope.success.ok_or(Malformed)? {
                return Ok(Heard::Acked(call));
            }
            let code = envelope.error.and_then(|error| error.get("code")?.as_str().map(str::to_owned));
            Ok(Heard::Refused(call, code.unwrap_or_else(|| "no code".to_owned())))
        }
        "system:error" => Ok(Heard::Fault(envelope.code.unwrap_or(Cow::Borrowed("no code")).into_owned())),
        _ => Ok(Heard::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::RoomId, protocol::RoomNames};

    const PAYLOAD: &str = r#"{"lg": "\/\"},x"}"#;

    fn delivery<'a>(room: &'a str, payload: &'a str) -> Heard<'a> {
        let room = RoomRef::Name(Cow::Borrowed(room));
        Heard::Delivery { room, payload: Cow::Borrowed(payload.as_bytes()) }
    }

    fn read(text: &str) -> Result<Heard<'_>, Malformed> {
        inbound(text, 2)
    }

    #[test]
    fn what_is_sent_is_golden() {
        let names: Vec<String> = ["r5", "r6", "r7"].map(str::to_owned).into();
        let rooms = RoomNames { all: &names, own: &[RoomId(2), RoomId(0)] };
        let who = Who { token: &|| None, rooms };
        let mut dialogue = Dialogue::default();
        let mut out = Out::default();
        let json = Json { presence: false };
        assert_eq!(json.open(&mut dialogue, who, &mut out), Some(Heard::Established));
        json.join(&mut dialogue, who, 0, &mut out);
        Json { presence: true }.join(&mut dialogue, who, 1, &mut out);
        json.publish(&mut dialogue, who, Publishing { ordinal: 1, seq: 41, payload: b"{}" }, &mut out);
        json.presence(&mut dialogue, 4, &mut out);
        let messages: Vec<_> =
            out.iter().map(|(kind, bytes)| (kind, std::str::from_utf8(bytes).unwrap())).collect();
        let expected = [
            r#"{"type":"room:join","id":3,"room":"r7","presence":false}"#,
            r#"{"type":"room:join","id":4,"room":"r5","presence":true}"#,
            r#"{"type":"room:send","id":88,"room":"r5","payload":{}}"#,
            r#"{"type":"presence:status","id":2,"status":"busy"}"#,
        ];
        assert_eq!(messages, expected.map(|text| (Kind::Text, text)));
        assert_eq!(Call::numbered(88, 2), Some(Call::Publish { ordinal: 1, seq: 41 }));
    }

    #[test]
    fn deliveries_are_read_in_any_order_and_layout() {
        // text, whether the quick way knows it
        let rows = [
            (
                format!(
                    r#"{{"type":"room:message","id":"m1","room":"r1","from":"u","payload":{PAYLOAD},"timestamp":1}}"#
                ),
                true,
            ),
            (format!(r#"{{"payload":{PAYLOAD},"offset":9,"room":"r1","type":"room:message"}}"#), true),
            (format!(r#"{{"type":"room:message","room":"r1","payload":{PAYLOAD}}}"#), true),
            (
                format!(
                    r#"{{"from":"{{\"payload\":1}}","type":"room:message","room":"r1","payload":{PAYLOAD}}}"#
                ),
                true,
            ),
            (format!("{{ \"type\" : \"room:message\",\n\"room\":\"r1\" ,\"payload\": {PAYLOAD} }}"), false),
            (
                format!(
                    r#"{{"type":"room:message","room":"\u0072\u0031","payload":{PAYLOAD},"x":[1,{{"room":"no"}}]}}"#
                ),
                false,
            ),
            (
                format!(
                    r#"{{"type":"room:message","room":"r1","metadata":{{"payload":0}},"payload":{PAYLOAD}}}"#
                ),
                true,
            ),
        ];
        for (text, quick) in rows {
            assert_eq!(walk(&text, 1).is_some(), quick, "{text}");
            assert_eq!(read(&text), Ok(delivery("r1", PAYLOAD)), "{text}");
            assert_eq!(parse(&text, 1), Ok(delivery("r1", PAYLOAD)), "{text}");
        }
    }

    #[test]
    fn another_payload_is_found_whole() {
        let payloads = [
            "{}",
            r#"{"lg": "}}}}}}}},,,,,,,,,,"}"#,
            r#"{"lg": "\\"}"#,
            r#"{"lg": "\\\"}"}"#,
            r#"{"a":{"b":"c"},"d":[{"e":"f"}]}"#,
            "[1,2]",
            "7",
            "\"text\"",
        ];
        for payload in payloads {
            let text = format!(r#"{{"type":"room:message","room":"r1","payload":{payload},"timestamp":1}}"#);
            assert_eq!(read(&text), Ok(delivery("r1", payload)), "{text}");
        }
    }

    #[test]
    fn answers_are_read() {
        let refused = |call, code: &str| Heard::Refused(call, code.to_owned());
        let sent = Call::Publish { ordinal: 0, seq: 1 };
        let rows = [
            (r#"{"type":"ack","id":7,"success":true,"messageId":"x"}"#, Heard::Acked(sent)),
            (r#"{"success":true,"id":4,"type":"ack","room":"r1","roomId":"1"}"#, Heard::Acked(Call::Join(1))),
            (r#"{"type":"ack","id":2,"success":true}"#, Heard::Acked(Call::Presence)),
            (r#"{"type": "ack", "id": 7, "success": true}"#, Heard::Acked(sent)),
            (
                r#"{"type":"ack","id":7,"success":false,"error":{"code":"rate_limited","message":"m","status":429}}"#,
                refused(sent, "rate_limited"),
            ),
            (r#"{"type":"ack","id":3,"success":false}"#, refused(Call::Join(0), "no code")),
            (
                r#"{"type":"system:error","code":"bad_request","message":"m"}"#,
                Heard::Fault("bad_request".to_owned()),
            ),
            (r#"{"type":"connection:established","limits":{"a":1}}"#, Heard::Other),
            (r#"{"type":"room:joined","room":"r1"}"#, Heard::Other),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        let rows = [
            "",
            "{",
            "[]",
            "7",
            r#"{"type":"room:message","room":"r1"}"#,
            r#"{"type":"room:message","payload":{}}"#,
            r#"{"type":"ack","success":true}"#,
            r#"{"type":"ack","id":"other","success":true}"#,
            r#"{"type":"ack","id":0,"success":true}"#,
            r#"{"type":"ack","id":-1,"success":true}"#,
            r#"{"type":"ack","id":7}"#,
            r#"{"type":"room:message","room":"r1","payload":{}"#,
            r#"{"type":"room:message","room":"r1","payload":{},}"#,
        ];
        for text in rows {
            assert_eq!(read(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn every_cut_of_a_message_is_malformed() {
        let text = format!(
            r#"{{"type":"room:message","id":"m","room":"r1","from":"u","payload":{PAYLOAD},"timestamp":1}}"#
        );
        for end in 0..text.len() {
            assert_eq!(read(&text[..end]), Err(Malformed), "{}", &text[..end]);
        }
    }
}
