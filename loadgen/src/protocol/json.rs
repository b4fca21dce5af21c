//! JSON v1 as far as a load needs it: writes `room:join` and `room:send`, reads deliveries and acks.
//!
//! Deliveries come by the ten thousand a second, so [`read`] first walks the object's top-level
//! fields itself, in any order; whatever it does not know at sight (whitespace, escapes, arrays,
//! errors) goes to a real parser. The walk never accepts what the parser would refuse in the parts
//! that are used.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue};

/// The id of the `room:join` that every connection sends once.
const JOIN_ID: &str = "join";

/// Which of our messages is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AckId {
    Join,
    /// A publication, by its sequence number.
    Send(u32),
}

/// What the target said.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Inbound<'a> {
    /// `room:message`, the payload as it was on the wire.
    Delivery { room: Cow<'a, str>, payload: &'a [u8] },
    /// `ack` with `success: true`.
    Acked(AckId),
    /// `ack` with `success: false`, and its error code.
    Refused(AckId, String),
    /// `system:error`, and its code.
    Fault(String),
    /// Every other type: of no interest.
    Other,
}

/// The text is no message of JSON v1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// Appends `room:join` without presence events. `room` must need no escapes in JSON.
pub(crate) fn write_join(out: &mut Vec<u8>, room: &str) {
    for part in [r#"{"type":"room:join","id":""#, JOIN_ID, r#"","room":""#, room, r#"","presence":false}"#] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends the head of `room:send`, up to where the payload stands. `room` must need no escapes in JSON.
pub(crate) fn write_send_head(out: &mut Vec<u8>, room: &str, seq: u32) {
    out.extend_from_slice(br#"{"type":"room:send","id":"#);
    out.extend_from_slice(seq.to_string().as_bytes());
    out.extend_from_slice(br#","room":""#);
    out.extend_from_slice(room.as_bytes());
    out.extend_from_slice(br#"","payload":"#);
}

/// Appends what follows the payload.
pub(crate) fn write_send_tail(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// Reads one text message. `payload_bytes` is the length that deliveries are known to have.
pub(crate) fn read(text: &str, payload_bytes: usize) -> Result<Inbound<'_>, Malformed> {
    match walk(text, payload_bytes) {
        Some(inbound) => Ok(inbound),
        None => parse(text),
    }
}

/// The quick way: `None` when the text is not of the plain shape.
fn walk(text: &str, payload_bytes: usize) -> Option<Inbound<'_>> {
    let bytes = text.as_bytes();
    let (mut kind, mut id, mut room, mut payload, mut success) = ("", "", None, None, None);
    let mut at = 1;
    if bytes.first() != Some(&b'{') {
        return None;
    }
    loop {
        let key = quoted(text, at)?;
        at += key.len() + 2;
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at += 1;
        let value_end = match bytes.get(at)? {
            b'"' => at + quoted(text, at)?.len() + 2,
            b'{' if key == "payload" => at + payload_bytes,
            b'0'..=b'9' | b't' | b'f' => at + memchr2(b',', b'}', &bytes[at..])?,
            _ => return None,
        };
        let value = bytes.get(at..value_end)?;
        match key {
            "type" => kind = quoted(text, at)?,
            "room" => room = Some(quoted(text, at)?),
            "id" => id = text.get(at..value_end)?,
            "payload" if value.ends_with(b"}") => payload = Some(value),
            "payload" => return None,
            "success" => success = Some(value == b"true"),
            _ => {}
        }
        at = value_end + 1;
        match bytes.get(value_end)? {
            b',' => {}
            b'}' if at == bytes.len() => break,
            _ => return None,
        }
    }
    match kind {
        "room:message" => Some(Inbound::Delivery { room: Cow::Borrowed(room?), payload: payload? }),
        "ack" if success == Some(true) => Some(Inbound::Acked(ack_id(id)?)),
        _ => None,
    }
}

/// The plain string that opens at `at`, without its quotes.
fn quoted(text: &str, at: usize) -> Option<&str> {
    let inner = text.as_bytes().get(at..)?.strip_prefix(b"\"")?;
    let len = memchr(b'"', inner)?;
    if memchr(b'\\', &inner[..len]).is_some() {
        return None;
    }
    text.get(at + 1..at + 1 + len)
}

/// `id` as it stands in the JSON.
fn ack_id(id: &str) -> Option<AckId> {
    if id.strip_prefix('"').and_then(|id| id.strip_suffix('"')) == Some(JOIN_ID) {
        return Some(AckId::Join);
    }
    id.parse().ok().map(AckId::Send)
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
fn parse(text: &str) -> Result<Inbound<'_>, Malformed> {
    let envelope: Envelope<'_> = sonic_rs::from_str(text).map_err(|_| Malformed)?;
    match &*envelope.kind {
        "room:message" => {
            let room = envelope.room.ok_or(Malformed)?;
            let payload = envelope.payload.ok_or(Malformed)?;
            Ok(Inbound::Delivery { room, payload: raw_within(text, &payload).ok_or(Malformed)? })
        }
        "ack" => {
            let id = envelope.id.ok_or(Malformed)?;
            let id = match id.as_str() {
                Some(JOIN_ID) => AckId::Join,
                Some(_) => return Err(Malformed),
                None => {
                    id.as_u64().and_then(|seq| u32::try_from(seq).ok()).map(AckId::Send).ok_or(Malformed)?
                }
            };
            if envelope.success.ok_or(Malformed)? {
                return Ok(Inbound::Acked(id));
            }
            let code = envelope.error.and_then(|error| error.get("code")?.as_str().map(str::to_owned));
            Ok(Inbound::Refused(id, code.unwrap_or_else(|| "no code".to_owned())))
        }
        "system:error" => Ok(Inbound::Fault(envelope.code.unwrap_or(Cow::Borrowed("no code")).into_owned())),
        _ => Ok(Inbound::Other),
    }
}

/// The value's own bytes in `text`: a `LazyValue` only lends them for as long as it lives itself.
fn raw_within<'a>(text: &'a str, value: &LazyValue<'_>) -> Option<&'a [u8]> {
    let raw = value.as_raw_str();
    let start = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    text.as_bytes().get(start..start + raw.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery<'a>(room: &'a str, payload: &'a str) -> Inbound<'a> {
        Inbound::Delivery { room: Cow::Borrowed(room), payload: payload.as_bytes() }
    }

    const PAYLOAD: &str = r#"{"lg": "\/\"},x"}"#;

    #[test]
    fn what_is_sent_is_golden() {
        let mut out = Vec::new();
        write_join(&mut out, "r7");
        assert_eq!(out, br#"{"type":"room:join","id":"join","room":"r7","presence":false}"#);
        out.clear();
        write_send_head(&mut out, "r7", 42);
        out.extend_from_slice(b"{}");
        write_send_tail(&mut out);
        assert_eq!(out, br#"{"type":"room:send","id":42,"room":"r7","payload":{}}"#);
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
                false,
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
                false,
            ),
        ];
        for (text, quick) in rows {
            assert_eq!(walk(&text, PAYLOAD.len()).is_some(), quick, "{text}");
            assert_eq!(read(&text, PAYLOAD.len()), Ok(delivery("r1", PAYLOAD)), "{text}");
            assert_eq!(parse(&text), Ok(delivery("r1", PAYLOAD)), "{text}");
        }
    }

    #[test]
    fn a_payload_of_another_length_is_found_whole() {
        for payload in ["{}", r#"{"lg": "}}}}}}}}},,,,,,,,,,"}"#, "[1,2]", "7", "\"text\""] {
            let text = format!(r#"{{"type":"room:message","room":"r1","payload":{payload},"timestamp":1}}"#);
            assert_eq!(read(&text, PAYLOAD.len()), Ok(delivery("r1", payload)), "{text}");
        }
    }

    #[test]
    fn answers_are_read() {
        let refused = |id, code: &str| Inbound::Refused(id, code.to_owned());
        let rows = [
            (r#"{"type":"ack","id":7,"success":true,"messageId":"x"}"#, Inbound::Acked(AckId::Send(7))),
            (
                r#"{"success":true,"id":"join","type":"ack","room":"r1","roomId":"1"}"#,
                Inbound::Acked(AckId::Join),
            ),
            (r#"{"type": "ack", "id": 7, "success": true}"#, Inbound::Acked(AckId::Send(7))),
            (
                r#"{"type":"ack","id":7,"success":false,"error":{"code":"rate_limited","message":"m","status":429}}"#,
                refused(AckId::Send(7), "rate_limited"),
            ),
            (r#"{"type":"ack","id":"join","success":false}"#, refused(AckId::Join, "no code")),
            (
                r#"{"type":"system:error","code":"bad_request","message":"m"}"#,
                Inbound::Fault("bad_request".to_owned()),
            ),
            (r#"{"type":"connection:established","limits":{"a":1}}"#, Inbound::Other),
            (r#"{"type":"room:joined","room":"r1"}"#, Inbound::Other),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text, 128), Ok(expected), "{text}");
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
            r#"{"type":"ack","id":-1,"success":true}"#,
            r#"{"type":"ack","id":7}"#,
            r#"{"type":"room:message","room":"r1","payload":{}"#,
            r#"{"type":"room:message","room":"r1","payload":{},}"#,
        ];
        for text in rows {
            assert_eq!(read(text, 2), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn every_cut_of_a_message_is_malformed() {
        let text = format!(
            r#"{{"type":"room:message","id":"m","room":"r1","from":"u","payload":{PAYLOAD},"timestamp":1}}"#
        );
        for end in 0..text.len() {
            assert_eq!(read(&text[..end], PAYLOAD.len()), Err(Malformed), "{}", &text[..end]);
        }
    }
}
