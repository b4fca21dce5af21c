//! What is said to a target, and what it says: bytes to meaning and back, a file for each protocol. Pure: no socket, no clock.
//!
//! One value speaks for all connections of a run; what one connection has to remember is its [`Dialogue`]. Invariant: whatever
//! a target sends ends in [`Heard`]s or in [`Malformed`], never in a panic.

pub(crate) mod bare;
pub(crate) mod centrifugo;
pub(crate) mod json;
pub(crate) mod pusher;
pub(crate) mod relay;
pub(crate) mod socketio;
pub(crate) mod walk;

#[cfg(test)]
mod testing;

use std::{borrow::Cow, time::Duration};

use crate::plan::RoomId;

/// What a protocol can do, so that plan and audit expect the right thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Traits {
    /// Whether a publication is answered.
    pub(crate) acks: bool,
    /// Whether the sender gets its own publications too.
    pub(crate) echoes: bool,
    pub(crate) rooms: RoomsBy,
    /// Whether there is a presence status to change.
    pub(crate) presence: bool,
    /// Whether payloads arrive byte for byte; otherwise they are written so that a JSON writer leaves them as they are.
    pub(crate) verbatim: bool,
}

/// What clients say so as not to be taken for dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Keepalive {
    /// That often at least, where nothing else was said.
    pub(crate) every: Duration,
    pub(crate) text: &'static str,
}

/// The statuses of [`Speak::presence`], in their turn.
pub(crate) const STATUSES: [&str; 3] = ["away", "busy", "online"];

/// What carries the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Transport {
    #[default]
    WebSocket,
    /// Engine.IO over HTTP long-polling.
    Polling,
}

/// How a connection comes into a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RoomsBy {
    /// There are none: every message comes back.
    Echo,
    /// By the path of its URL: one.
    Url,
    /// By a message.
    Message,
}

/// Who a connection is.
#[derive(Clone, Copy)]
pub(crate) struct Who<'a> {
    /// Makes the token: asked for at most once in a connection's life, since it may have to be signed.
    pub(crate) token: &'a dyn Fn() -> Option<String>,
    pub(crate) rooms: RoomNames<'a>,
}

/// The rooms of a connection, by ordinal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomNames<'a> {
    /// The names of all rooms of the run. None needs an escape in JSON or in a URL.
    pub(crate) all: &'a [String],
    /// Those that the connection joins.
    pub(crate) own: &'a [RoomId],
}

impl<'a> RoomNames<'a> {
    pub(crate) fn count(self) -> u32 {
        self.own.len() as u32
    }

    /// The name of the connection's room `ordinal`, which must be one.
    pub(crate) fn name(self, ordinal: u32) -> &'a str {
        &self.all[self.own[ordinal as usize].0 as usize]
    }

    /// Which of the connection's rooms has that name. Looks at all of them: for what is rare.
    pub(crate) fn ordinal(self, name: &str) -> Option<u32> {
        (0..self.count()).find(|ordinal| self.name(*ordinal) == name)
    }
}

/// The upgrade request, as far as the protocol decides it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Upgrade {
    /// Path and query.
    pub(crate) path: String,
    pub(crate) subprotocol: Option<&'static str>,
    /// Whether the token goes into `Authorization`.
    pub(crate) bearer: bool,
}

/// What one connection has to remember.
#[derive(Debug, Default)]
pub(crate) enum Dialogue {
    /// Nothing has been said.
    #[default]
    Fresh,
    /// Rooms may be joined.
    Established,
    /// Rooms may be joined, and the target waits for answers to its pings (Centrifugo).
    Answering,
    /// Ids that the target gave the rooms, by ordinal (relay).
    RoomIds(Box<[Option<u64>]>),
    /// What signatures of private channels are made for (Pusher).
    SocketId(Box<str>),
}

const _: () = assert!(size_of::<Dialogue>() <= 24, "there is one per connection");

/// What a call was, which an answer names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// What [`Speak::open`] said: refused, there is no connection.
    Open,
    /// Of the room with this ordinal.
    Join(u32),
    /// The message `seq` to the room with that ordinal.
    Publish {
        ordinal: u32,
        seq: u32,
    },
    Presence,
}

impl Call {
    const OPEN: u64 = 1;
    const PRESENCE: u64 = 2;
    const FIRST_JOIN: u64 = 3;

    /// A number from 1 for protocols whose ids are numbers, the same for no two calls of a connection with `rooms` rooms
    /// (but for presence). Below 2^32 for the first 2^32 / `rooms` messages to a room, less one.
    pub(crate) fn number(self, rooms: u32) -> u64 {
        match self {
            Self::Open => Self::OPEN,
            Self::Presence => Self::PRESENCE,
            Self::Join(ordinal) => Self::FIRST_JOIN + u64::from(ordinal),
            Self::Publish { ordinal, seq } => {
                Self::FIRST_JOIN + (u64::from(seq) + 1) * u64::from(rooms) + u64::from(ordinal)
            }
        }
    }

    /// The call that has this number, if one can have it.
    pub(crate) fn numbered(number: u64, rooms: u32) -> Option<Self> {
        match number {
            0 => None,
            Self::OPEN => Some(Self::Open),
            Self::PRESENCE => Some(Self::Presence),
            Self::FIRST_JOIN.. => {
                let place = number - Self::FIRST_JOIN;
                let round = place.checked_div(u64::from(rooms))?;
                let ordinal = (place % u64::from(rooms)) as u32;
                Some(match round.checked_sub(1) {
                    None => Self::Join(ordinal),
                    Some(seq) => Self::Publish { ordinal, seq: u32::try_from(seq).ok()? },
                })
            }
        }
    }
}

/// Messages on their way out, back to back.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) bytes: Vec<u8>,
    /// Kind and end of each message in `bytes`.
    pub(crate) messages: Vec<(Kind, usize)>,
}

impl Out {
    /// Appends parts of a message.
    pub(crate) fn put(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
    }

    pub(crate) fn put_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes.extend_from_slice(&digits[at..]);
    }

    /// What was appended since the last message is one.
    pub(crate) fn end(&mut self, kind: Kind) {
        self.messages.push((kind, self.bytes.len()));
    }

    /// The messages in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        let mut start = 0;
        self.messages
            .iter()
            .map(move |(kind, end)| (*kind, &self.bytes[std::mem::replace(&mut start, *end)..*end]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.messages.clear();
    }
}

/// Text or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// One whole message that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Message<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// What the target said.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Heard<'a> {
    /// Rooms may be joined from now on.
    Established,
    Acked(Call),
    /// With the error code.
    Refused(Call, String),
    Delivery {
        room: RoomRef<'a>,
        payload: Cow<'a, [u8]>,
    },
    /// An error that is no answer, by its code.
    Fault(String),
    /// Of no interest.
    Other,
}

/// The room of a delivery, as the target names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum RoomRef<'a> {
    Name(Cow<'a, str>),
    Ordinal(u32),
    /// The only one that there is.
    Only,
}

/// The bytes are no message of this protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// One protocol. Per connection: [`upgrade`](Self::upgrade), then [`open`](Self::open) once the upgrade is accepted; as soon
/// as that or a message says [`Heard::Established`], [`join`](Self::join) for each room; [`read`](Self::read) all the while.
/// Where rooms are [`RoomsBy::Url`] or [`RoomsBy::Echo`], nothing is joined.
pub(crate) trait Speak: std::fmt::Debug + Send + Sync {
    fn traits(&self) -> Traits;

    fn transport(&self) -> Transport {
        Transport::WebSocket
    }

    /// `path` is path and query of the URL, `/` when it has none.
    fn upgrade(&self, path: &str, who: Who<'_>) -> Upgrade;

    /// What is said first on an open connection. May end in [`Heard::Established`] at once: then it says so.
    fn open(&self, dialogue: &mut Dialogue, who: Who<'_>, out: &mut Out) -> Option<Heard<'static>>;

    fn join(&self, dialogue: &mut Dialogue, who: Who<'_>, ordinal: u32, out: &mut Out);

    /// `payload` is a JSON object, of which every byte is to arrive.
    fn publish(&self, dialogue: &mut Dialogue, who: Who<'_>, call: Publishing<'_>, out: &mut Out);

    /// Changes the presence status to the `turn`-th of those that there are. Only where the protocol has
    /// [`presence`](Traits::presence).
    fn presence(&self, _dialogue: &mut Dialogue, _turn: u32, _out: &mut Out) {}

    /// What a quiet connection has to say by itself; answers to the target's own pings are [`read`](Self::read)'s.
    fn keepalive(&self) -> Option<Keepalive> {
        None
    }

    /// Takes in one message. What has to be said at once (a pong of the protocol's own) goes to `out`.
    ///
    /// # Errors
    /// When it is none of this protocol.
    fn read<'a>(
        &self,
        dialogue: &mut Dialogue,
        who: Who<'_>,
        message: Message<'a>,
        out: &mut Out,
        heard: &mut dyn FnMut(Heard<'a>),
    ) -> Result<(), Malformed>;
}

/// The status of that turn.
pub(crate) fn status(turn: u32) -> &'static str {
    STATUSES[turn as usize % STATUSES.len()]
}

/// One publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishing<'a> {
    pub(crate) ordinal: u32,
    pub(crate) seq: u32,
    pub(crate) payload: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_numbers_of_their_own() {
        for rooms in [1, 2, 7, 1 << 18] {
            let calls = [Call::Open, Call::Presence, Call::Join(0), Call::Join(rooms - 1)];
            let publishings = [0, 1, 41, u32::MAX]
                .into_iter()
                .flat_map(|seq| [0, rooms - 1].map(|ordinal| Call::Publish { ordinal, seq }));
            for call in calls.into_iter().chain(publishings) {
                let number = call.number(rooms);
                assert!((1..1 << 53).contains(&number), "{call:?}: a number that JavaScript keeps");
                assert_eq!(Call::numbered(number, rooms), Some(call));
            }
        }
        assert_eq!(Call::numbered(0, 1), None);
        assert_eq!(Call::numbered(u64::MAX, 1), None);
        assert_eq!(Call::numbered(3, 0), None, "nothing is joined where there are no rooms");
    }

    #[test]
    fn messages_stand_back_to_back() {
        let mut out = Out::default();
        out.put(&["a", "b"]);
        out.end(Kind::Text);
        out.end(Kind::Text);
        out.put_number(0);
        out.put_number(u64::MAX);
        out.end(Kind::Binary);
        let messages: Vec<_> = out.iter().collect();
        let expected =
            [(Kind::Text, &b"ab"[..]), (Kind::Text, b""), (Kind::Binary, b"018446744073709551615")];
        assert_eq!(messages, expected);
        out.clear();
        assert!(out.is_empty() && out.iter().next().is_none());
    }
}
