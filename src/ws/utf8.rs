//! Text that arrives in pieces cut anywhere. A byte that can no longer become UTF-8 is refused when it
//! arrives, not at the end of its piece's character (RFC 6455 8.1; the strict reading that conformance suites
//! test).

use simdutf8::{basic, compat};

use super::{DecodeError, message::grown_capacity};

/// A text so far: whole characters, and at most three bytes of one that has begun.
#[derive(Default, Debug)]
pub(super) struct TextBuf {
    text: String,
    tail: [u8; 4],
    /// Invariant: at most 3 between calls, and `tail[..tail_bytes]` can still become a character.
    tail_bytes: usize,
}

impl TextBuf {
    /// Appends a piece; `expected_bytes` is how long the whole text will be as far as is known.
    pub(super) fn push(&mut self, mut piece: &[u8], expected_bytes: usize) -> Result<(), DecodeError> {
        let target = grown_capacity(self.text.capacity(), self.len() + piece.len(), expected_bytes);
        self.text.reserve_exact(target - self.text.len());
        while self.tail_bytes > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            piece = rest;
            self.push_to_tail(byte)?;
        }
        let whole = match compat::from_utf8(piece) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                let (whole, tail) = piece.split_at(error.valid_up_to());
                self.tail[..tail.len()].copy_from_slice(tail);
                self.tail_bytes = tail.len();
                checked(whole)?
            }
            Err(_) => return Err(DecodeError::InvalidUtf8),
        };
        self.text.push_str(whole);
        Ok(())
    }

    /// Checks that no character is left half.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.tail_bytes == 0 { Ok(()) } else { Err(DecodeError::InvalidUtf8) }
    }

    /// The whole characters.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.tail_bytes
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    fn push_to_tail(&mut self, byte: u8) -> Result<(), DecodeError> {
        self.tail[self.tail_bytes] = byte;
        match str::from_utf8(&self.tail[..=self.tail_bytes]) {
            Ok(character) => {
                self.text.push_str(character);
                self.tail_bytes = 0;
                Ok(())
            }
            Err(error) if error.error_len().is_none() => {
                self.tail_bytes += 1;
                Ok(())
            }
            Err(_) => Err(DecodeError::InvalidUtf8),
        }
    }
}

/// A whole text.
///
/// # Errors
/// [`DecodeError::InvalidUtf8`], wherever it is.
#[inline]
pub fn checked(bytes: &[u8]) -> Result<&str, DecodeError> {
    basic::from_utf8(bytes).map_err(|_| DecodeError::InvalidUtf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The shortest prefix that no continuation can make valid, found byte by byte.
    fn first_bad_prefix(bytes: &[u8]) -> Option<usize> {
        (1..=bytes.len())
            .find(|&end| str::from_utf8(&bytes[..end]).is_err_and(|error| error.error_len().is_some()))
    }

    #[test]
    fn fails_at_the_first_impossible_byte() {
        let rows: [(&str, &[u8], Option<usize>); 12] = [
            ("ascii", b"Hello", None),
            ("two, three and four bytes", "κόσμε€𝄞".as_bytes(), None),
            ("lonely continuation", b"a\x80", Some(2)),
            ("overlong slash", b"\xc0\xaf", Some(1)),
            ("overlong in three", b"\xe0\x80\xaf", Some(2)),
            ("overlong in four", b"\xf0\x80\x80\xaf", Some(2)),
            ("surrogate", b"\xed\xa0\x80", Some(2)),
            ("last scalar", b"\xf4\x8f\xbf\xbf", None),
            ("beyond the last scalar", b"\xf4\x90\x80\x80", Some(2)),
            ("five-byte form", b"\xf8\x88\x80\x80\x80", Some(1)),
            ("never in UTF-8", b"abc\xff", Some(4)),
            ("interrupted", b"\xe2\x82a", Some(3)),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(first_bad_prefix(bytes), expected, "{name}");
            let mut buf = TextBuf::default();
            let found = bytes.iter().position(|&byte| buf.push(&[byte], usize::MAX).is_err());
            assert_eq!(found.map(|index| index + 1), expected, "{name}");
        }
    }

    #[test]
    fn a_half_character_is_no_end() {
        let mut buf = TextBuf::default();
        buf.push("aß".as_bytes().split_last().unwrap().1, usize::MAX).unwrap();
        assert_eq!((buf.as_str(), buf.len(), buf.finish()), ("a", 2, Err(DecodeError::InvalidUtf8)));
        buf.push(b"\x9f", usize::MAX).unwrap();
        assert_eq!((buf.as_str(), buf.len(), buf.finish()), ("aß", 3, Ok(())));
    }

    proptest! {
        #[test]
        fn as_std_in_any_pieces(
            parts in proptest::collection::vec(
                prop_oneof![
                    4 => any::<String>().prop_map(String::into_bytes),
                    1 => proptest::collection::vec(any::<u8>(), 0..3),
                ],
                0..6,
            ),
            piece_bytes in 1usize..9,
        ) {
            let bytes = parts.concat();
            let mut buf = TextBuf::default();
            let pushed = bytes.chunks(piece_bytes).try_for_each(|piece| buf.push(piece, bytes.len()));
            match str::from_utf8(&bytes) {
                Ok(text) => {
                    prop_assert_eq!(pushed.and_then(|()| buf.finish()), Ok(()));
                    prop_assert_eq!(buf.as_str(), text);
                }
                Err(error) => {
                    prop_assert_eq!(pushed.is_err(), error.error_len().is_some());
                    prop_assert!(pushed.is_err() || buf.finish().is_err());
                }
            }
        }
    }
}
