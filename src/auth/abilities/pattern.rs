//! Patterns of rooms in abilities. A name has *parts*, with `.`, `:` or `/` between them. `{user_id}` and `{tenant_id}`
//! are who asks; `*`, or any other name in braces, is any text within a part, once in a part; `**`, once, is any
//! parts. Everything else is itself. What a pattern of `history.rooms` can say, too, means the same here.
//!
//! Invariants: a match looks at every byte of a name once, from its two ends inwards, and never goes back; no pattern
//! that names the user gives one room to two users (see [`AbilityPattern::matches`]).

use std::fmt;

use crate::base::names::NAME_BYTES_MAX;

/// A pattern of rooms, for whoever asks.
#[derive(Clone, PartialEq, Eq)]
pub struct AbilityPattern {
    text: Box<str>,
    /// Before `**`; without that, all.
    head: Box<[Piece]>,
    /// Behind `**`, the last first.
    tail: Option<Box<[Piece]>>,
    names_user: bool,
}

/// Who asks, as patterns name him.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Who<'a> {
    pub user: &'a str,
    pub tenant: &'a str,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern of rooms has 1 to {NAME_BYTES_MAX} bytes, without control characters")]
    Text,
    #[error("`**` stands alone between `.`, `:` or `/`, and once in a pattern")]
    Rest,
    #[error("a part has one `*` or one name in braces for any text at most")]
    Stars,
    #[error("braces hold a name of small letters, digits and `_`")]
    Braces,
    /// `{userid}` would be any user.
    #[error(
        "who asks is `{{user_id}}` and `{{tenant_id}}`; another name in braces is any text, and does not begin with `user` or `tenant`"
    )]
    LooksLikeWho,
    /// `{user_id}-*` of `a` would hold rooms of `a-b`.
    #[error(
        "`{{user_id}}` and `{{tenant_id}}` do not stand in one part with a `*`: it could be the end of another id"
    )]
    WhoBesideStar,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Box<str>),
    User,
    Tenant,
    /// A part that begins and ends so, and what the text between is called, if it is.
    Part {
        start: Box<str>,
        end: Box<str>,
        name: Option<Box<str>>,
    },
}

/// What a part is made of.
enum Atom<'a> {
    Text(&'a str),
    /// With its name, if it has one.
    Star(Option<&'a str>),
    Rest,
    User,
    Tenant,
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | ':' | '/')
}

impl AbilityPattern {
    /// Takes a pattern apart.
    ///
    /// # Errors
    /// When the text breaks a rule of the language; see [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(PatternError::Text);
        }
        let (mut pieces, mut head) = (Pieces::default(), None);
        for with_separator in text.split_inclusive(is_separator) {
            let part = with_separator.trim_end_matches(is_separator);
            let atoms = atoms(part)?;
            if atoms.iter().any(|atom| matches!(atom, Atom::Rest)) {
                if atoms.len() > 1 || head.is_some() {
                    return Err(PatternError::Rest);
                }
                head = Some(std::mem::take(&mut pieces).finish());
            } else {
                pieces.part(&atoms)?;
            }
            pieces.text.push_str(&with_separator[part.len()..]);
        }
        let names_user = pieces.names_user || head.as_ref().is_some_and(|(_, names_user)| *names_user);
        let (last, _) = pieces.finish();
        let (head, tail) = match head {
            None => (last, None),
            Some((head, _)) => (head, Some(last.into_iter().rev().collect())),
        };
        Ok(Self { text: text.into(), head: head.into(), tail, names_user })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a room's whole name is like this for who asks.
    ///
    /// A user whose id has several parts has no room by a pattern with `**`: where his id ends there, and another's goes
    /// on, could not be told.
    pub fn matches(&self, room: &str, who: Who<'_>) -> bool {
        let take = |room, piece: &Piece| piece.take_first(room, who);
        let Some(rest) = self.head.iter().try_fold(room, take) else { return false };
        match &self.tail {
            None => rest.is_empty(),
            Some(_) if self.names_user && who.user.contains(is_separator) => false,
            Some(tail) => tail.iter().try_fold(rest, |room, piece| piece.take_last(room, who)).is_some(),
        }
    }

    /// Calls `seen` with each name in braces and the text that stands in its place in a room like this. Of a room that is not,
    /// it sees what agrees.
    pub fn captures<'n>(&self, room: &'n str, who: Who<'_>, mut seen: impl FnMut(&str, &'n str)) {
        let mut rest = room;
        for piece in &self.head {
            let Some(behind) = piece.take_first(rest, who) else { return };
            piece.capture(&rest[..rest.len() - behind.len()], &mut seen);
            rest = behind;
        }
        for piece in self.tail.iter().flatten() {
            let Some(before) = piece.take_last(rest, who) else { return };
            piece.capture(&rest[before.len()..], &mut seen);
            rest = before;
        }
    }

    /// The names in braces, but for those of who asks.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let pieces = self.head.iter().chain(self.tail.iter().flatten());
        pieces.filter_map(|piece| match piece {
            Piece::Part { name, .. } => name.as_deref(),
            Piece::Text(_) | Piece::User | Piece::Tenant => None,
        })
    }

    /// The text that every room of the pattern begins with.
    pub(super) fn lead(&self) -> &str {
        match self.head.first() {
            Some(Piece::Text(text) | Piece::Part { start: text, .. }) => text,
            Some(Piece::User | Piece::Tenant) | None => "",
        }
    }

    /// The text that every room of the pattern ends with.
    pub(super) fn trail(&self) -> &str {
        let last = match &self.tail {
            None => self.head.last(),
            Some(tail) => tail.first(),
        };
        match last {
            Some(Piece::Text(text) | Piece::Part { end: text, .. }) => text,
            Some(Piece::User | Piece::Tenant) | None => "",
        }
    }
}

impl fmt::Debug for AbilityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl Piece {
    /// What is behind this piece in a name that begins with it.
    fn take_first<'n>(&self, name: &'n str, who: Who<'_>) -> Option<&'n str> {
        match self {
            Self::Text(text) => name.strip_prefix(&**text),
            Self::User => name.strip_prefix(who.user),
            Self::Tenant => name.strip_prefix(who.tenant),
            Self::Part { start, end, .. } => {
                let (part, rest) = name.split_at(name.find(is_separator).unwrap_or(name.len()));
                is_like(part, start, end).then_some(rest)
            }
        }
    }

    /// What is before this piece in a name that ends with it.
    fn take_last<'n>(&self, name: &'n str, who: Who<'_>) -> Option<&'n str> {
        match self {
            Self::Text(text) => name.strip_suffix(&**text),
            Self::User => name.strip_suffix(who.user),
            Self::Tenant => name.strip_suffix(who.tenant),
            Self::Part { start, end, .. } => {
                // Separators are one byte.
                let (rest, part) = name.split_at(name.rfind(is_separator).map_or(0, |at| at + 1));
                is_like(part, start, end).then_some(rest)
            }
        }
    }

    /// What its name stands for in a part that is like it.
    fn capture<'n>(&self, part: &'n str, seen: &mut impl FnMut(&str, &'n str)) {
        if let Self::Part { start, end, name: Some(name) } = self {
            seen(name, &part[start.len()..part.len() - end.len()]);
        }
    }
}

fn is_like(part: &str, start: &str, end: &str) -> bool {
    part.strip_prefix(start).is_some_and(|rest| rest.ends_with(end))
}

/// Pieces under construction.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Piece>,
    /// The end of them, as long as it is text.
    text: String,
    names_user: bool,
}

impl Pieces {
    fn push(&mut self, piece: Piece) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.text).into()));
        }
        self.names_user |= piece == Piece::User;
        self.pieces.push(piece);
    }

    /// A part without `**`.
    fn part(&mut self, atoms: &[Atom<'_>]) -> Result<(), PatternError> {
        let text_of = |atom: &Atom<'_>| match atom {
            Atom::Text(text) => Some((*text).to_owned()),
            Atom::Star(_) | Atom::Rest | Atom::User | Atom::Tenant => None,
        };
        let star_of = |atom: &Atom<'_>| match atom {
            Atom::Star(name) => Some(name.map(Box::from)),
            Atom::Text(_) | Atom::Rest | Atom::User | Atom::Tenant => None,
        };
        let found = atoms.iter().enumerate().find_map(|(at, atom)| star_of(atom).map(|name| (at, name)));
        if let Some((star, name)) = found {
            let (start, end) = (&atoms[..star], &atoms[star + 1..]);
            if end.iter().any(|atom| star_of(atom).is_some()) {
                return Err(PatternError::Stars);
            }
            let [start, end] =
                [start, end].map(|atoms| atoms.iter().map(text_of).collect::<Option<String>>());
            let (Some(start), Some(end)) = (start, end) else { return Err(PatternError::WhoBesideStar) };
            self.push(Piece::Part { start: start.into(), end: end.into(), name });
            return Ok(());
        }
        for atom in atoms {
            match atom {
                Atom::Text(text) => self.text.push_str(text),
                Atom::User => self.push(Piece::User),
                Atom::Tenant => self.push(Piece::Tenant),
                Atom::Star(_) | Atom::Rest => return Err(PatternError::Rest),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> (Vec<Piece>, bool) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(self.text.into()));
        }
        (self.pieces, self.names_user)
    }
}

/// What stands between two separators.
fn atoms(part: &str) -> Result<Vec<Atom<'_>>, PatternError> {
    let (mut atoms, mut rest) = (Vec::new(), part);
    while let Some(first) = rest.chars().next() {
        let (atom, length) = match first {
            '*' => match rest.len() - rest.trim_start_matches('*').len() {
                1 => (Atom::Star(None), 1),
                2 => (Atom::Rest, 2),
                _ => return Err(PatternError::Rest),
            },
            '{' => {
                let end = rest.find('}').ok_or(PatternError::Braces)?;
                (placeholder(&rest[1..end])?, end + 1)
            }
            '}' => return Err(PatternError::Braces),
            _ => {
                let length = rest.find(['*', '{', '}']).unwrap_or(rest.len());
                (Atom::Text(&rest[..length]), length)
            }
        };
        atoms.push(atom);
        rest = &rest[length..];
    }
    Ok(atoms)
}

fn placeholder(name: &str) -> Result<Atom<'_>, PatternError> {
    let is_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match name {
        "user_id" => Ok(Atom::User),
        "tenant_id" => Ok(Atom::Tenant),
        _ if name.is_empty() || !name.bytes().all(is_byte) => Err(PatternError::Braces),
        _ if name.starts_with("user") || name.starts_with("tenant") => Err(PatternError::LooksLikeWho),
        _ => Ok(Atom::Star(Some(name))),
    }
}
