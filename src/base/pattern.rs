//! Patterns of room names: `*` stands for any run of characters within a part of a name, `**` for any run at all.
//! Parts are separated by `.`, `:` or `/`. Everything else stands for itself; there is no escape.
//!
//! A match takes no longer than the pattern's length times the name's.

use std::fmt;

use super::names::NAME_BYTES_MAX;

/// A pattern of room names.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomPattern {
    text: Box<str>,
    pieces: Box<[Piece]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Piece {
    Byte(u8),
    /// `*`
    WithinPart,
    /// `**`
    Anything,
}

impl RoomPattern {
    /// `None` when it is empty, longer than a name may be, holds control characters, or has more than two stars in a row.
    pub fn parse(text: &str) -> Option<Self> {
        let is_text = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
        if !is_text || text.contains("***") {
            return None;
        }
        let mut pieces = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, pieces.last()) {
                (b'*', Some(Piece::WithinPart)) => {
                    pieces.pop();
                    pieces.push(Piece::Anything);
                }
                (b'*', _) => pieces.push(Piece::WithinPart),
                (byte, _) => pieces.push(Piece::Byte(byte)),
            }
        }
        Some(Self { text: text.into(), pieces: pieces.into() })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a room's whole name is like this.
    pub fn matches(&self, room: &str) -> bool {
        // How many of the first pieces can stand for what was read so far: all possibilities side by side.
        let mut reached = vec![false; self.pieces.len() + 1];
        reached[0] = true;
        self.skip_stars(&mut reached);
        for byte in room.bytes() {
            let mut next = vec![false; reached.len()];
            for (index, piece) in self.pieces.iter().enumerate().filter(|(index, _)| reached[*index]) {
                match piece {
                    Piece::Byte(own) => next[index + 1] |= *own == byte,
                    Piece::WithinPart => next[index] |= !matches!(byte, b'.' | b':' | b'/'),
                    Piece::Anything => next[index] = true,
                }
            }
            self.skip_stars(&mut next);
            reached = next;
        }
        reached[self.pieces.len()]
    }

    /// A star may stand for nothing.
    fn skip_stars(&self, reached: &mut [bool]) {
        for (index, piece) in self.pieces.iter().enumerate() {
            let is_star = matches!(piece, Piece::WithinPart | Piece::Anything);
            reached[index + 1] |= reached[index] && is_star;
        }
    }
}

impl fmt::Debug for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_runs() {
        let rows = [
            ("lobby", &["lobby"][..], &["lobb", "lobbyy", "Lobby", ""][..]),
            ("*", &["a", "räume", ""], &["a.b", "a:b", "a/b"]),
            ("**", &["a", "a.b:c/d", ""], &[]),
            ("task:*", &["task:1", "task:"], &["task:1:2", "task:1.x", "task", "xtask:1"]),
            ("task:**", &["task:1", "task:1:2/3"], &["task"]),
            ("*.orders", &["eu.orders", ".orders"], &["eu.de.orders", "orders", "eu.orders.x"]),
            ("a*b*c", &["abc", "axbybzc"], &["ab", "a.bc"]),
            ("**.x.**", &["a.x.b", ".x.", "a.b.x.c.d", "a.x.x.b"], &["x", "a.x", "a.xx.b"]),
            ("a**b", &["ab", "a.b", "a.b.b"], &["a.b.c"]),
        ];
        for (pattern, like, unlike) in rows {
            let parsed = RoomPattern::parse(pattern).unwrap();
            assert_eq!(parsed.as_str(), pattern);
            for room in like {
                assert!(parsed.matches(room), "{pattern} {room}");
            }
            for room in unlike {
                assert!(!parsed.matches(room), "{pattern} {room}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern() {
        let long = "x".repeat(257);
        for text in ["", "a***", "a\nb", &long] {
            assert_eq!(RoomPattern::parse(text), None, "{text:?}");
        }
    }

    /// The shape that makes backtracking matchers take for ever.
    #[test]
    fn many_stars_take_no_time() {
        let pattern = RoomPattern::parse(&format!("{}b", "a*".repeat(127))).unwrap();
        assert!(!pattern.matches(&"a".repeat(256)));
    }
}
