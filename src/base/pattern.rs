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
        let mut reached = Reached::NONE;
        self.reach(&mut reached, 0);
        for byte in room.bytes() {
            let mut next = Reached::NONE;
            for index in reached.iter() {
                match self.pieces.get(index) {
                    Some(Piece::Byte(own)) if *own == byte => self.reach(&mut next, index + 1),
                    Some(Piece::WithinPart) if !matches!(byte, b'.' | b':' | b'/') => {
                        self.reach(&mut next, index)
                    }
                    Some(Piece::Anything) => self.reach(&mut next, index),
                    Some(Piece::Byte(_) | Piece::WithinPart) | None => {}
                }
            }
            reached = next;
        }
        reached.iter().any(|index| index == self.pieces.len())
    }

    /// The first `index` pieces can stand for what was read, and with them a star behind them, which may stand for
    /// nothing. No star stands behind another.
    fn reach(&self, reached: &mut Reached, index: usize) {
        reached.insert(index);
        if matches!(self.pieces.get(index), Some(Piece::WithinPart | Piece::Anything)) {
            reached.insert(index + 1);
        }
    }
}

/// How many of a pattern's first pieces can stand for what was read so far: all possibilities side by side, a bit each.
#[derive(Clone, Copy)]
struct Reached([u64; PIECES_MAX / 64 + 1]);

/// A piece is a byte of the pattern, or two.
const PIECES_MAX: usize = NAME_BYTES_MAX;

impl Reached {
    const NONE: Self = Self([0; PIECES_MAX / 64 + 1]);

    fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    /// From the lowest to the highest.
    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(word, mut bits)| {
            std::iter::from_fn(move || {
                let lowest = bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
                (lowest < u64::BITS).then_some(word * 64 + lowest as usize)
            })
        })
    }
}

impl fmt::Debug for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn the_longest_pattern_is_matched_to_its_end() {
        for text in ["x".repeat(256), format!("{}**", "x".repeat(254)), format!("{}x", "x*".repeat(127))] {
            let pattern = RoomPattern::parse(&text).unwrap();
            assert!(pattern.matches(&"x".repeat(256)), "{text}");
            assert!(!pattern.matches(&"x".repeat(127)), "{text}");
        }
    }

    /// The definition, read aloud.
    fn naive(pattern: &str, room: &str) -> bool {
        let ends = |is_within: &dyn Fn(&u8) -> bool| room.bytes().take_while(|byte| is_within(byte)).count();
        let any_end = |rest: &str, last: usize| (0..=last).any(|end| naive(rest, &room[end..]));
        if let Some(rest) = pattern.strip_prefix("**") {
            any_end(rest, room.len())
        } else if let Some(rest) = pattern.strip_prefix('*') {
            any_end(rest, ends(&|byte| !b".:/".contains(byte)))
        } else {
            match (pattern.as_bytes().first(), room.as_bytes().first()) {
                (None, None) => true,
                (Some(own), Some(byte)) if own == byte => naive(&pattern[1..], &room[1..]),
                (Some(_) | None, _) => false,
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_twin(pattern in "[ab.*]{1,10}", room in "[ab.:/]{0,12}") {
            if let Some(parsed) = RoomPattern::parse(&pattern) {
                prop_assert_eq!(parsed.matches(&room), naive(&pattern, &room));
            }
        }
    }
}
