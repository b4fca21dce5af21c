//! What is said to a target, and what it says: bytes to meaning and back, a file for each protocol. Pure: no socket, no clock.
//!
//! One value speaks for all connections of a run; what one connection has to remember is its [`Dialogue`]. Invariant: whatever
//! a target sends ends in [`Heard`]s or in [`Malformed`], never in a panic.

pub(crate) mod json;

use std::borrow::Cow;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) token: Option<&'a str>,
    /// Names of the rooms that it joins, by ordinal.
    pub(crate) rooms: &'a [String],
}

/// The upgrade request, as far as the protocol decides it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Upgrade {
    /// Path and query; `None`: those of the URL.
    pub(crate) path: Option<String>,
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
    /// Ids that the target gave the rooms, by ordinal (relay).
    RoomIds(Box<[u64]>),
}

/// What a call was, which an answer names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// Of the room with this ordinal.
    Join(u32),
    /// The message `seq` to the room with that ordinal.
    Publish {
        ordinal: u32,
        seq: u32,
    },
    Presence,
}

/// Messages on their way out, back to back.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) bytes: Vec<u8>,
    /// Kind and end of each message in `bytes`.
    pub(crate) messages: Vec<(Kind, usize)>,
}

/// Text or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Text,
    Binary,
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

/// One protocol. `payload_bytes_hint` helps to find the end of a payload without reading it.
pub(crate) trait Speak: std::fmt::Debug + Send + Sync {
    fn traits(&self) -> Traits;

    fn upgrade(&self, who: Who<'_>) -> Upgrade;

    /// What is said first on an open connection. May end in [`Heard::Established`] at once: then it says so.
    fn open(&self, dialogue: &mut Dialogue, who: Who<'_>, out: &mut Out) -> Option<Heard<'static>>;

    fn join(&self, dialogue: &mut Dialogue, who: Who<'_>, ordinal: u32, out: &mut Out);

    /// `payload` is a JSON object, of which every byte is to arrive.
    fn publish(&self, dialogue: &mut Dialogue, who: Who<'_>, call: Publishing<'_>, out: &mut Out);

    /// Changes the presence status to the `turn`-th of those that there are.
    fn presence(&self, dialogue: &mut Dialogue, turn: u32, out: &mut Out);

    /// Takes in one message. What has to be said at once (a pong of the protocol's own) goes to `out`.
    ///
    /// # Errors
    /// When it is none of this protocol.
    fn read<'a>(
        &self,
        dialogue: &mut Dialogue,
        who: Who<'_>,
        message: (Kind, &'a [u8]),
        out: &mut Out,
        heard: &mut dyn FnMut(Heard<'a>),
    ) -> Result<(), Malformed>;
}

/// One publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishing<'a> {
    pub(crate) ordinal: u32,
    pub(crate) seq: u32,
    pub(crate) payload: &'a [u8],
}
