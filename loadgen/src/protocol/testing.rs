//! A client for the tests of the codecs: keeps dialogue and rooms, and shows what is written as text.

use proptest::{prelude::*, sample::Index};

use super::{Dialogue, Heard, Malformed, Message, Out, Publishing, RoomNames, Speak, Upgrade, Who};
use crate::plan::RoomId;

/// What was heard, and what was said at once.
pub(crate) type Read<'a> = Result<(Vec<Heard<'a>>, Vec<String>), Malformed>;

pub(crate) struct Client<'s> {
    speak: &'s dyn Speak,
    pub(crate) dialogue: Dialogue,
    names: Vec<String>,
    own: Vec<RoomId>,
}

impl<'s> Client<'s> {
    /// Whose token is `a.b.c`.
    pub(crate) fn new(speak: &'s dyn Speak, rooms: &[&str]) -> Self {
        // Ordinals differ from ids, so that a mix-up shows.
        let names = ["other"].iter().chain(rooms).map(|name| (*name).to_owned()).collect();
        let own = (1..=rooms.len() as u32).map(RoomId).collect();
        Self { speak, dialogue: Dialogue::Fresh, names, own }
    }

    pub(crate) fn upgrade(&self, path: &str) -> Upgrade {
        self.with(|who| self.speak.upgrade(path, who))
    }

    pub(crate) fn open(&mut self) -> (Option<Heard<'static>>, Vec<String>) {
        let mut out = Out::default();
        let mut dialogue = std::mem::take(&mut self.dialogue);
        let heard = self.with(|who| self.speak.open(&mut dialogue, who, &mut out));
        self.dialogue = dialogue;
        (heard, texts(&out))
    }

    pub(crate) fn join(&mut self, ordinal: u32) -> Vec<String> {
        self.say(|speak, dialogue, who, out| speak.join(dialogue, who, ordinal, out))
    }

    pub(crate) fn publish(&mut self, ordinal: u32, seq: u32, payload: &str) -> Vec<String> {
        let call = Publishing { ordinal, seq, payload: payload.as_bytes() };
        self.say(|speak, dialogue, who, out| speak.publish(dialogue, who, call, out))
    }

    pub(crate) fn presence(&mut self, turn: u32) -> Vec<String> {
        self.say(|speak, dialogue, _, out| speak.presence(dialogue, turn, out))
    }

    pub(crate) fn read<'a>(&mut self, text: &'a str) -> Read<'a> {
        self.take_in(Message::Text(text))
    }

    pub(crate) fn read_binary<'a>(&mut self, bytes: &'a [u8]) -> Read<'a> {
        self.take_in(Message::Binary(bytes))
    }

    fn take_in<'a>(&mut self, message: Message<'a>) -> Read<'a> {
        let (mut out, mut heard) = (Out::default(), Vec::new());
        let mut dialogue = std::mem::take(&mut self.dialogue);
        let read =
            self.with(|who| self.speak.read(&mut dialogue, who, message, &mut out, &mut |it| heard.push(it)));
        self.dialogue = dialogue;
        read.map(|()| (heard, texts(&out)))
    }

    fn say(&mut self, say: impl FnOnce(&dyn Speak, &mut Dialogue, Who<'_>, &mut Out)) -> Vec<String> {
        let mut out = Out::default();
        let mut dialogue = std::mem::take(&mut self.dialogue);
        self.with(|who| say(self.speak, &mut dialogue, who, &mut out));
        self.dialogue = dialogue;
        texts(&out)
    }

    fn with<R>(&self, act: impl FnOnce(Who<'_>) -> R) -> R {
        let token = || Some("a.b.c".to_owned());
        act(Who { token: &token, rooms: RoomNames { all: &self.names, own: &self.own } })
    }
}

/// Binary messages with their bytes escaped.
fn texts(out: &Out) -> Vec<String> {
    out.iter()
        .map(|(_, bytes)| match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => text.to_owned(),
            Ok(_) | Err(_) => bytes.escape_ascii().to_string(),
        })
        .collect()
}

/// Every text that `rows` can be cut to, without the whole ones.
pub(crate) fn cuts<'a>(rows: &[&'a str]) -> impl Iterator<Item = &'a str> {
    rows.iter().flat_map(|row| (0..row.len()).filter(|end| row.is_char_boundary(*end)).map(|end| &row[..end]))
}

/// Texts that are nearly one of `rows`: with parts cut out, doubled, or put from one into another.
pub(crate) fn mutants(rows: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = (prop::sample::select(rows), any::<Index>(), any::<Index>()).prop_map(|(row, from, to)| {
        let chars: Vec<char> = row.chars().collect();
        let (from, to) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
        chars[from.min(to)..from.max(to)].iter().collect::<String>()
    });
    let noise = r#"[\[\]{}:,"\\ 0-9a-z\n\x1e]{0,3}"#;
    let edited =
        (prop::sample::select(rows), any::<Index>(), 0..4usize, noise).prop_map(|(row, at, gone, new)| {
            let chars: Vec<char> = row.chars().collect();
            let at = at.index(chars.len() + 1);
            let rest = chars.get(at + gone..).unwrap_or_default();
            chars[..at].iter().copied().chain(new.chars()).chain(rest.iter().copied()).collect::<String>()
        });
    prop_oneof![
        3 => edited,
        1 => prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}
