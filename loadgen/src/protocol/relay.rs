//! Ringway relay v1: publications are binary messages of opaque bytes under the room's id, which the answer to the join names;
//! all else is JSON v1 text. Publications are not answered, and the sender does not hear them.

use std::borrow::Cow;

use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue};

use super::{
    Call, Dialogue, Heard, Kind, Malformed, Message, Out, Publishing, RoomNames, RoomRef, RoomsBy, Speak,
    Traits, Upgrade, Who, json,
};

const SUBPROTOCOL: &str = "ringway.relay.v1";
/// First byte of a publication, then the room's id.
const FROM_CLIENT: u8 = 0x01;
/// First byte of a delivery, then ids of room and sender.
const TO_CLIENT: u8 = 0x02;

/// All of the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relay;

impl Speak for Relay {
    fn traits(&self) -> Traits {
        Traits { acks: false, echoes: false, rooms: RoomsBy::Message, presence: true, verbatim: true }
    }

    fn upgrade(&self, path: &str, _who: Who<'_>) -> Upgrade {
        let path = if path == "/" { "/ws" } else { path };
        Upgrade { path: path.to_owned(), subprotocol: Some(SUBPROTOCOL), bearer: true }
    }

    fn open(&self, dialogue: &mut Dialogue, who: Who<'_>, _out: &mut Out) -> Option<Heard<'static>> {
        *dialogue = Dialogue::RoomIds(vec![None; who.rooms.count() as usize].into());
        Some(Heard::Established)
    }

    fn join(&self, _dialogue: &mut Dialogue, who: Who<'_>, ordinal: u32, out: &mut Out) {
        json::join_room(who.rooms, ordinal, false, out);
    }

    /// A room whose join was not answered has no id: then there is nothing that could be said.
    fn publish(&self, dialogue: &mut Dialogue, _who: Who<'_>, call: Publishing<'_>, out: &mut Out) {
        let Some(id) = ids(dialogue).get(call.ordinal as usize).copied().flatten() else { return };
        out.bytes.push(FROM_CLIENT);
        out.bytes.extend_from_slice(&id.to_le_bytes());
        out.bytes.extend_from_slice(call.payload);
        out.end(Kind::Binary);
    }

    fn presence(&self, _dialogue: &mut Dialogue, turn: u32, out: &mut Out) {
        json::set_presence(turn, out);
    }

    fn read<'a>(
        &self,
        dialogue: &mut Dialogue,
        who: Who<'_>,
        message: Message<'a>,
        _out: &mut Out,
        heard: &mut dyn FnMut(Heard<'a>),
    ) -> Result<(), Malformed> {
        heard(match message {
            Message::Binary(bytes) => delivery(ids(dialogue), bytes)?,
            Message::Text(text) => control(dialogue, who.rooms, text)?,
        });
        Ok(())
    }
}

fn ids(dialogue: &Dialogue) -> &[Option<u64>] {
    match dialogue {
        Dialogue::RoomIds(ids) => ids,
        Dialogue::Fresh | Dialogue::Established | Dialogue::Answering | Dialogue::SocketId(_) => &[],
    }
}

fn delivery<'a>(ids: &[Option<u64>], bytes: &'a [u8]) -> Result<Heard<'a>, Malformed> {
    let rest = bytes.strip_prefix(&[TO_CLIENT]).ok_or(Malformed)?;
    let (room, rest) = rest.split_first_chunk().ok_or(Malformed)?;
    let (_sender, payload) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
    let room = u64::from_le_bytes(*room);
    let room = match ids.iter().position(|id| *id == Some(room)) {
        Some(ordinal) => RoomRef::Ordinal(ordinal as u32),
        // None of ours: under a name that none of ours has.
        None => RoomRef::Name(Cow::Owned(format!("#{room}"))),
    };
    Ok(Heard::Delivery { room, payload: Cow::Borrowed(payload) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Control<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    id: Option<u64>,
    success: Option<bool>,
    /// Decimal.
    room_id: Option<Cow<'a, str>>,
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<LazyValue<'a>>,
}

fn control(dialogue: &mut Dialogue, rooms: RoomNames<'_>, text: &str) -> Result<Heard<'static>, Malformed> {
    let control: Control<'_> = sonic_rs::from_str(text).map_err(|_| Malformed)?;
    match &*control.kind {
        "ack" => {
            let call = Call::numbered(control.id.ok_or(Malformed)?, rooms.count()).ok_or(Malformed)?;
            if !control.success.ok_or(Malformed)? {
                let code = control.error.and_then(|error| error.get("code")?.as_str().map(str::to_owned));
                return Ok(Heard::Refused(call, code.unwrap_or_else(|| "no code".to_owned())));
            }
            if let Call::Join(ordinal) = call {
                let id = control.room_id.and_then(|id| id.parse().ok()).ok_or(Malformed)?;
                if let Dialogue::RoomIds(ids) = dialogue
                    && let Some(place) = ids.get_mut(ordinal as usize)
                {
                    *place = Some(id);
                }
            }
            Ok(Heard::Acked(call))
        }
        "system:error" => Ok(Heard::Fault(control.code.map_or("no code".to_owned(), Cow::into_owned))),
        _ => Ok(Heard::Other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::testing::{Client, cuts, mutants},
        *,
    };

    /// Recorded from a gateway; ids as [`Call::number`] gives them for two rooms.
    const RECORDED: &[&str] = &[
        r#"{"type":"connection:established","connectionId":"a3856c380000000000000002","tenantId":"default","userId":"dev","heartbeat":{"intervalMs":30000,"timeoutMs":60000},"limits":{"messageBytes":65536,"rooms":1000},"node":"a3856c38"}"#,
        r#"{"type":"ack","id":3,"success":true,"room":"r0","roomId":"6745173726077985528","offset":0,"epoch":"8dd4feca7d59a858","recovered":false}"#,
        r#"{"type":"room:joined","room":"r0"}"#,
        r#"{"type":"system:error","code":"forbidden","message":"join the room before sending to it: its roomId is the ack's"}"#,
        r#"{"type":"ack","id":4,"success":false,"error":{"code":"bad_request","message":"room: a name must not be empty","status":400}}"#,
        r#"{"type":"ack","id":2,"success":true}"#,
    ];
    const FRAME: &[u8] = b"\x02\xf8\"-3\xc4\xab\x9b]\0\0\0\0\xa3\x85l:{\"lg\": \"1 \\/\"}";

    fn client() -> Client<'static> {
        let mut client = Client::new(&Relay, &["r0", "r1"]);
        assert_eq!(client.open(), (Some(Heard::Established), vec![]));
        client
    }

    #[test]
    fn what_is_said_is_golden() {
        let mut client = client();
        let upgrade = Upgrade { path: "/ws".to_owned(), subprotocol: Some("ringway.relay.v1"), bearer: true };
        assert_eq!(client.upgrade("/"), upgrade);
        assert_eq!(client.upgrade("/ws?tenant=a").path, "/ws?tenant=a");
        assert_eq!(client.join(0), [r#"{"type":"room:join","id":3,"room":"r0","presence":false}"#]);
        assert_eq!(client.join(1), [r#"{"type":"room:join","id":4,"room":"r1","presence":false}"#]);
        assert_eq!(client.presence(0), [r#"{"type":"presence:status","id":2,"status":"away"}"#]);
        assert_eq!(client.publish(0, 0, "{}"), [""; 0], "not joined yet");
        client.read(RECORDED[1]).unwrap();
        assert_eq!(client.publish(0, 0, "{}"), [r#"\x01\xf8\"-3\xc4\xab\x9b]{}"#]);
        assert_eq!(client.publish(1, 0, "{}"), [""; 0]);
    }

    #[test]
    fn what_is_heard() {
        let mut client = client();
        let name = |text: &str| RoomRef::Name(Cow::Owned(text.to_owned()));
        let payload = Cow::Borrowed(br#"{"lg": "1 \/"}"#.as_slice());
        let stranger = Heard::Delivery { room: name("#6745173726077985528"), payload: payload.clone() };
        assert_eq!(client.read_binary(FRAME), Ok((vec![stranger], vec![])));
        let expected = [
            Heard::Other,
            Heard::Acked(Call::Join(0)),
            Heard::Other,
            Heard::Fault("forbidden".to_owned()),
            Heard::Refused(Call::Join(1), "bad_request".to_owned()),
            Heard::Acked(Call::Presence),
        ];
        for (text, heard) in RECORDED.iter().zip(expected) {
            assert_eq!(client.read(text), Ok((vec![heard], vec![])), "{text}");
        }
        let ours = Heard::Delivery { room: RoomRef::Ordinal(0), payload };
        assert_eq!(client.read_binary(FRAME), Ok((vec![ours], vec![])));
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        let mut client = client();
        for end in 0..17 {
            assert_eq!(client.read_binary(&FRAME[..end]), Err(Malformed), "{end}");
        }
        assert_eq!(client.read_binary(b"\x01345678901234567x"), Err(Malformed));
        let rows = [
            r#"{"type":"ack","id":3,"success":true}"#,
            r#"{"type":"ack","id":3,"success":true,"roomId":"x"}"#,
            r#"{"type":"ack","id":0,"success":true}"#,
            r#"{"type":"ack","success":true}"#,
            r#"{"type":"ack","id":2}"#,
            r#"{"id":2}"#,
        ];
        for text in rows.into_iter().chain(cuts(RECORDED)) {
            assert_eq!(client.read(text), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in mutants(RECORDED), bytes: Vec<u8>) {
            let mut client = client();
            let _ = (client.read(&text), client.read_binary(&bytes));
        }
    }
}
