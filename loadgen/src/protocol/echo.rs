//! A path that sends every message back: what is sent is the payload and nothing else. No token, no rooms, no answers.

use std::borrow::Cow;

use crate::protocol::{
    Dialogue, Heard, Kind, Malformed, Message, Out, Publishing, RoomRef, RoomsBy, Speak, Traits, Upgrade, Who,
};

/// Raw echo.
#[derive(Debug)]
pub(crate) struct Echo;

impl Speak for Echo {
    fn traits(&self) -> Traits {
        Traits { acks: false, echoes: true, rooms: RoomsBy::Echo, presence: false, verbatim: true }
    }

    fn upgrade(&self, path: &str, _who: Who<'_>) -> Upgrade {
        Upgrade { path: path.to_owned(), subprotocol: None, bearer: false }
    }

    fn open(&self, dialogue: &mut Dialogue, _who: Who<'_>, _out: &mut Out) -> Option<Heard<'static>> {
        *dialogue = Dialogue::Established;
        Some(Heard::Established)
    }

    /// There is nothing to join.
    fn join(&self, _dialogue: &mut Dialogue, _who: Who<'_>, _ordinal: u32, _out: &mut Out) {}

    fn publish(&self, _dialogue: &mut Dialogue, _who: Who<'_>, call: Publishing<'_>, out: &mut Out) {
        out.bytes.extend_from_slice(call.payload);
        out.end(Kind::Text);
    }

    /// There is nothing to change.
    fn presence(&self, _dialogue: &mut Dialogue, _turn: u32, _out: &mut Out) {}

    fn read<'a>(
        &self,
        _dialogue: &mut Dialogue,
        _who: Who<'_>,
        message: Message<'a>,
        _out: &mut Out,
        heard: &mut dyn FnMut(Heard<'a>),
    ) -> Result<(), Malformed> {
        let payload = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        heard(Heard::Delivery { room: RoomRef::Only, payload: Cow::Borrowed(payload) });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RoomNames;

    #[test]
    fn what_is_sent_and_what_comes_is_the_payload() {
        let (mut dialogue, mut out) = (Dialogue::default(), Out::default());
        let who = Who { token: &|| None, rooms: RoomNames { all: &[], own: &[] } };
        assert_eq!(Echo.open(&mut dialogue, who, &mut out), Some(Heard::Established));
        Echo.publish(&mut dialogue, who, Publishing { ordinal: 0, seq: 1, payload: b"{}" }, &mut out);
        assert_eq!(out.iter().collect::<Vec<_>>(), [(Kind::Text, &b"{}"[..])]);
        for message in [Message::Text("{}"), Message::Binary(b"{}")] {
            let mut heard = Vec::new();
            let read = Echo.read(&mut dialogue, who, message, &mut out, &mut |it| heard.push(it));
            assert_eq!(read, Ok(()));
            assert_eq!(heard, [Heard::Delivery { room: RoomRef::Only, payload: Cow::Borrowed(b"{}") }]);
        }
    }
}
