//! Protocols in which a message is the payload and nothing else: raw echo, whose target sends every message back, and nchan's
//! WebSocket pub/sub location (`nchan_pubsub websocket`), where the URL is the room.
//!
//! Whoever publishes hears it too. There are no answers, not even to a publication that nobody takes.

use std::borrow::Cow;

use super::{
    Dialogue, Heard, Kind, Malformed, Message, Out, Publishing, RoomNames, RoomRef, RoomsBy, Speak, Traits,
    Upgrade, Who,
};

/// Where the room's name goes in a path of nchan's.
const ROOM: &str = "{room}";
/// The path when its URL has none.
const PATH: &str = "/pubsub/{room}";

/// Which of them; they differ in their URLs alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bare {
    Echo,
    Nchan,
}

impl Speak for Bare {
    fn traits(&self) -> Traits {
        let rooms = match self {
            Self::Echo => RoomsBy::Echo,
            Self::Nchan => RoomsBy::Url,
        };
        Traits { acks: false, echoes: true, rooms, presence: false, verbatim: true }
    }

    fn upgrade(&self, path: &str, who: Who<'_>) -> Upgrade {
        let path = match self {
            Self::Echo => path.to_owned(),
            Self::Nchan => path_of_room(path, who.rooms),
        };
        Upgrade { path, subprotocol: None, bearer: false }
    }

    fn open(&self, dialogue: &mut Dialogue, _who: Who<'_>, _out: &mut Out) -> Option<Heard<'static>> {
        *dialogue = Dialogue::Established;
        Some(Heard::Established)
    }

    fn join(&self, _dialogue: &mut Dialogue, _who: Who<'_>, ordinal: u32, _out: &mut Out) {
        debug_assert_eq!(ordinal, 0, "a URL is one room");
    }

    fn publish(&self, _dialogue: &mut Dialogue, _who: Who<'_>, call: Publishing<'_>, out: &mut Out) {
        out.bytes.extend_from_slice(call.payload);
        out.end(Kind::Text);
    }

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

/// A path without `{room}` gets the name as one more segment.
fn path_of_room(path: &str, rooms: RoomNames<'_>) -> String {
    let path = if path == "/" { PATH } else { path };
    // A listener without a room, which is of no use here, has the path as it stands.
    match (rooms.count(), path.contains(ROOM), path.split_once('?')) {
        (0, ..) => path.to_owned(),
        (_, true, _) => path.replace(ROOM, rooms.name(0)),
        (_, false, None) => format!("{}/{}", path.trim_end_matches('/'), rooms.name(0)),
        (_, false, Some((path, query))) => {
            format!("{}/{}?{query}", path.trim_end_matches('/'), rooms.name(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Client, *};

    #[test]
    fn the_url_is_the_room() {
        let client = Client::new(&Bare::Nchan, &["r7"]);
        let rows = [
            ("/", "/pubsub/r7"),
            ("/chat", "/chat/r7"),
            ("/chat/", "/chat/r7"),
            ("/chat?key=a", "/chat/r7?key=a"),
            ("/c/{room}/ws", "/c/r7/ws"),
            ("/ws?id={room}&x=1", "/ws?id=r7&x=1"),
        ];
        for (path, expected) in rows {
            assert_eq!(client.upgrade(path).path, expected, "{path}");
            assert_eq!(Client::new(&Bare::Echo, &[]).upgrade(path).path, path);
        }
        assert_eq!(Client::new(&Bare::Nchan, &[]).upgrade("/").path, PATH);
    }

    /// As recorded from nchan 1.3.6: two clients at one location, the first publishes.
    #[test]
    fn messages_are_payloads() {
        for (protocol, rooms) in [(Bare::Echo, &[][..]), (Bare::Nchan, &["r0"])] {
            let mut client = Client::new(&protocol, rooms);
            assert_eq!(client.open(), (Some(Heard::Established), vec![]));
            let payload = r#"{"lg": "1 \/\u00e9\"é"}"#;
            assert_eq!(client.publish(0, 0, payload), [payload]);
            let heard = Heard::Delivery { room: RoomRef::Only, payload: payload.as_bytes().into() };
            assert_eq!(client.read(payload), Ok((vec![heard], vec![])));
            let heard = Heard::Delivery { room: RoomRef::Only, payload: b"\x01\xff"[..].into() };
            assert_eq!(client.read_binary(b"\x01\xff"), Ok((vec![heard], vec![])));
        }
    }
}
