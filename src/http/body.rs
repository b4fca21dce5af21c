//! A request's body as it comes: its data out of the bytes on the wire, for both framings (RFC 9112 6 and 7.1).
//!
//! Owns no buffer and keeps no data: what it hands out are slices of what it was given. Strict: lines end in CR LF,
//! a chunk's size is hexadecimal digits, and what is not data (extensions, trailers, both dropped) is bounded.
//! Invariant: how the input was split over calls never changes the data or the verdict.

use super::{
    fault::HttpFault,
    head::{Body, Head, Version},
};

/// The most bytes of a chunked body that are neither data nor needed to frame it: extensions, trailers, leading zeros.
const SURPLUS_BYTES_MAX: u32 = 4096;

/// The longest size of a chunk, in digits that count.
const SIZE_DIGITS_MAX: u32 = 15;

/// Finds the data of one body.
#[derive(Clone, Copy, Debug)]
pub struct BodyReader {
    place: Place,
    /// Data that may still come.
    bytes_left: u64,
    /// Bytes of a chunked body that were for nothing.
    surplus: u32,
}

/// What was taken from the input by one [`BodyReader::take`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken<'b> {
    /// Data of the body: the next of it, perhaps none.
    pub data: &'b [u8],
    /// How many bytes of the input are done with; at least one while the body is not over.
    pub used: usize,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// So much data, and nothing behind it.
    Length(u64),
    /// So much data of a chunk.
    Data(u64),
    /// What stands around chunks.
    Around(Mark),
    Over,
}

/// A byte of the chunked coding that is no data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    /// The first digit of a chunk's size.
    SizeStart,
    /// Another digit, an extension, or the line's end. The size so far, and its digits that count.
    Size(u64, u32),
    /// Blanks behind a size, which only an extension may follow (RFC 9112 7.1.1); the chunk's size.
    Blank(u64),
    /// The rest of an extension, which is dropped; the chunk's size.
    Extension(u64),
    /// The LF behind a chunk's size.
    SizeEnd(u64),
    /// The CR behind a chunk's data.
    DataEnd,
    /// The LF behind that.
    DataEndLf,
    /// A trailer, or the empty line that ends the body.
    TrailerStart,
    /// The rest of a trailer.
    Trailer,
    /// The LF behind a trailer.
    TrailerEnd,
    /// The LF of the empty line.
    LastLf,
}

impl BodyReader {
    /// For the body that a head announces, with at most `bytes_max` bytes of data.
    ///
    /// # Errors
    /// 413 when the head says at once that it is longer.
    pub fn new(body: Body, bytes_max: u64) -> Result<Self, HttpFault> {
        let place = match body {
            Body::None => Place::Over,
            Body::Length(length) if length > bytes_max => return Err(HttpFault::BODY_TOO_LARGE),
            Body::Length(length) => Place::Length(length),
            Body::Chunked => Place::Around(Mark::SizeStart),
        };
        Ok(Self { place, bytes_left: bytes_max, surplus: 0 })
    }

    /// Whether the body has ended: what follows is the next request.
    pub fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Takes the next piece from `bytes`, which begin where the last call's `used` ended. Call it while there are bytes
    /// and the body is not over.
    ///
    /// # Errors
    /// 400 where the chunked coding is broken, 413 where a chunk is announced that is too much. The connection is of no
    /// use then: where the next request begins is unknown.
    pub fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<Taken<'b>, HttpFault> {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            match self.place {
                Place::Length(left) => {
                    let (data, left) = front(&bytes[used..], left);
                    self.place = if left == 0 { Place::Over } else { Place::Length(left) };
                    return Ok(Taken { data, used: used + data.len() });
                }
                Place::Data(left) => {
                    let (data, left) = front(&bytes[used..], left);
                    self.place = if left == 0 { Place::Around(Mark::DataEnd) } else { Place::Data(left) };
                    return Ok(Taken { data, used: used + data.len() });
                }
                Place::Over => break,
                Place::Around(mark) => self.place = self.after(mark, byte)?,
            }
            used += 1;
        }
        Ok(Taken { data: &[], used })
    }

    /// Where a byte of a chunked body that is no data leads. Whatever does not belong where it stands is refused.
    fn after(&mut self, mark: Mark, byte: u8) -> Result<Place, HttpFault> {
        let mark = match (mark, byte) {
            (Mark::SizeStart, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.size_after(0, 0, byte)?,
            (Mark::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.size_after(size, digits, byte)?
            }
            (Mark::Size(size, _) | Mark::Blank(size) | Mark::Extension(size), b'\r') => Mark::SizeEnd(size),
            (Mark::Size(size, _) | Mark::Blank(size), b' ' | b'\t') => self.drop_byte(Mark::Blank(size))?,
            (Mark::Size(size, _) | Mark::Blank(size), b';')
            | (Mark::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => {
                self.drop_byte(Mark::Extension(size))?
            }
            (Mark::SizeEnd(0), b'\n') => Mark::TrailerStart,
            (Mark::SizeEnd(size), b'\n') => {
                self.bytes_left = self.bytes_left.checked_sub(size).ok_or(HttpFault::BODY_TOO_LARGE)?;
                return Ok(Place::Data(size));
            }
            (Mark::DataEnd, b'\r') => Mark::DataEndLf,
            (Mark::DataEndLf, b'\n') => Mark::SizeStart,
            (Mark::TrailerStart, b'\r') => Mark::LastLf,
            (Mark::LastLf, b'\n') => return Ok(Place::Over),
            // A trailer begins with a name: a line that begins with a blank would continue another.
            (Mark::TrailerStart, b'!'..=b'~') | (Mark::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.drop_byte(Mark::Trailer)?
            }
            (Mark::Trailer, b'\r') => Mark::TrailerEnd,
            (Mark::TrailerEnd, b'\n') => Mark::TrailerStart,
            _ => return Err(HttpFault::CHUNK),
        };
        Ok(Place::Around(mark))
    }

    /// One more digit of a size that has `digits` digits that count.
    fn size_after(&mut self, size: u64, digits: u32, digit: u8) -> Result<Mark, HttpFault> {
        let value = char::from(digit).to_digit(16).map(u64::from).ok_or(HttpFault::CHUNK)?;
        let size = size << 4 | value;
        match digits + u32::from(size > 0) {
            0 => self.drop_byte(Mark::Size(0, 0)),
            digits if digits > SIZE_DIGITS_MAX => Err(HttpFault::BODY_TOO_LARGE),
            digits => Ok(Mark::Size(size, digits)),
        }
    }

    fn drop_byte(&mut self, next: Mark) -> Result<Mark, HttpFault> {
        self.surplus += 1;
        if self.surplus > SURPLUS_BYTES_MAX { Err(HttpFault::BODY_SURPLUS) } else { Ok(next) }
    }
}

/// As much of `bytes` as is wanted, and how much is still wanted then.
fn front(bytes: &[u8], wanted: u64) -> (&[u8], u64) {
    let count = usize::try_from(wanted).unwrap_or(usize::MAX).min(bytes.len());
    (&bytes[..count], wanted - count as u64)
}

/// Whether the client waits for `100 Continue` before it sends its body (RFC 9110 10.1.1).
///
/// # Errors
/// 417 when it expects anything else.
pub fn expects_continue(head: &Head<'_>) -> Result<bool, HttpFault> {
    let mut expectations = head.elements("expect");
    let Some(first) = expectations.next() else { return Ok(false) };
    if head.version == Version::Http10 {
        // It cannot know the answer, and the RFC says to ignore it.
        return Ok(false);
    }
    if !first.eq_ignore_ascii_case("100-continue") || expectations.next().is_some() {
        return Err(HttpFault::EXPECTATION);
    }
    Ok(head.body != Body::None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::head::{Limits, Parsed, parse};

    /// The data of a body that came in pieces, and how much of the last piece lay behind it.
    fn read(body: Body, bytes_max: u64, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), HttpFault> {
        let mut reader = BodyReader::new(body, bytes_max)?;
        let (mut data, mut behind) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !reader.is_over() {
                let taken = reader.take(rest)?;
                assert!(taken.used > 0, "no progress");
                data.extend_from_slice(taken.data);
                rest = &rest[taken.used..];
            }
            behind += rest.len();
        }
        Ok((data, reader.is_over(), behind))
    }

    #[test]
    fn bodies_at_every_split() {
        type Row = (Body, &'static str, Result<(&'static str, bool, usize), HttpFault>);
        const CHUNK: Result<(&str, bool, usize), HttpFault> = Err(HttpFault::CHUNK);
        let rows: &[Row] = &[
            (Body::None, "", Ok(("", true, 0))),
            (Body::None, "GET", Ok(("", true, 3))),
            (Body::Length(5), "hello", Ok(("hello", true, 0))),
            (Body::Length(5), "helloGET /", Ok(("hello", true, 5))),
            (Body::Length(5), "hell", Ok(("hell", false, 0))),
            // The example of RFC 9112 7.1.
            (
                Body::Chunked,
                "4\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\n\r\nX",
                Ok(("Wikipedia in \r\n\r\nchunks.", true, 1)),
            ),
            (Body::Chunked, "0\r\n\r\n", Ok(("", true, 0))),
            (Body::Chunked, "000a\r\n0123456789\r\n00\r\n\r\n", Ok(("0123456789", true, 0))),
            (Body::Chunked, "5;name=\"a;b\"\r\nhello\r\n0;x\r\n\r\n", Ok(("hello", true, 0))),
            (Body::Chunked, "5 \r\nhello\r\n0\r\n\r\n", Ok(("hello", true, 0))),
            (Body::Chunked, "1\r\na\r\n0\r\nExpires: now\r\nX: y\r\n\r\n", Ok(("a", true, 0))),
            (Body::Chunked, "1\r\na\r\n0\r\n", Ok(("a", false, 0))),
            (Body::Chunked, "1\r\na", Ok(("a", false, 0))),
            (Body::Chunked, "\r\n", CHUNK),
            (Body::Chunked, "x\r\n", CHUNK),
            (Body::Chunked, "+1\r\na\r\n", CHUNK),
            (Body::Chunked, "-1\r\na\r\n", CHUNK),
            (Body::Chunked, "0x1\r\na\r\n", CHUNK),
            (Body::Chunked, " 1\r\na\r\n", CHUNK),
            (Body::Chunked, "1 0\r\na\r\n", CHUNK),
            (Body::Chunked, "1 x;y\r\na\r\n", CHUNK),
            (Body::Chunked, "1 \t;x\r\na\r\n0\r\n\r\n", Ok(("a", true, 0))),
            (Body::Chunked, "1\na\n", CHUNK),
            (Body::Chunked, "1\rxa\r\n", CHUNK),
            (Body::Chunked, "1;a\nb\r\na\r\n", CHUNK),
            (Body::Chunked, "1;a\0\r\na\r\n", CHUNK),
            (Body::Chunked, "1\r\nab\r\n", CHUNK),
            (Body::Chunked, "1\r\na\n0\r\n\r\n", CHUNK),
            (Body::Chunked, "0\r\n\n", CHUNK),
            (Body::Chunked, "0\r\n folded: x\r\n\r\n", CHUNK),
            (Body::Chunked, "0\r\nA: b\nC: d\r\n\r\n", CHUNK),
            (Body::Chunked, "0\r\n\rx", CHUNK),
            (Body::Chunked, "1000\r\n", Err(HttpFault::BODY_TOO_LARGE)),
            (Body::Chunked, "ffffffffffffffff\r\n", Err(HttpFault::BODY_TOO_LARGE)),
            (Body::Chunked, "10000000000000001\r\na", Err(HttpFault::BODY_TOO_LARGE)),
        ];
        for (body, text, expected) in rows {
            let bytes = text.as_bytes();
            let expected = expected.map(|(data, over, behind)| (data.as_bytes().to_vec(), over, behind));
            assert_eq!(read(*body, 64, &[bytes]), expected, "{text:?}");
            for split in 0..=bytes.len() {
                let (front, back) = bytes.split_at(split);
                assert_eq!(read(*body, 64, &[front, back]), expected, "{text:?} at {split}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(*body, 64, &single), expected, "{text:?} byte by byte");
        }
    }

    #[test]
    fn data_and_surplus_are_bounded() {
        assert_eq!(BodyReader::new(Body::Length(65), 64).err(), Some(HttpFault::BODY_TOO_LARGE));
        assert!(BodyReader::new(Body::Length(64), 64).is_ok());
        let chunks = "10\r\n0123456789abcdef\r\n".repeat(4);
        assert!(read(Body::Chunked, 64, &[chunks.as_bytes(), b"0\r\n\r\n"]).is_ok());
        assert_eq!(read(Body::Chunked, 64, &[chunks.as_bytes(), b"1\r\na"]), Err(HttpFault::BODY_TOO_LARGE));
        let endless = [
            "0".repeat(5_000),
            format!("1;{}", "x".repeat(5_000)),
            format!("0\r\n{}", "A: b\r\n".repeat(2_000)),
        ];
        for text in endless {
            assert_eq!(
                read(Body::Chunked, 64, &[text.as_bytes()]),
                Err(HttpFault::BODY_SURPLUS),
                "{text:.10}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_chunked_is_read_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            size in 1_usize..30,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\nnext");
            let pieces: Vec<&[u8]> = wire.chunks(size).collect();
            prop_assert_eq!(read(Body::Chunked, 1 << 20, &pieces), Ok((chunks.concat(), true, 4)));
        }

        #[test]
        fn anything_is_read_or_refused_alike_however_it_is_cut(
            text in "(0|1|5|;x|\r|\n|\r\n|a|: ){0,24}", size in 1_usize..6,
        ) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(read(Body::Chunked, 8, &pieces), read(Body::Chunked, 8, &[text.as_bytes()]));
        }
    }

    #[test]
    fn expectations() {
        let rows: &[(&str, &str, Result<bool, HttpFault>)] = &[
            ("1.1", "Content-Length: 5\r\n", Ok(false)),
            ("1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n", Ok(true)),
            ("1.1", "Transfer-Encoding: chunked\r\nexpect: 100-Continue\r\n", Ok(true)),
            ("1.1", "Expect: 100-continue\r\n", Ok(false)),
            ("1.1", "Content-Length: 5\r\nExpect: 200-ok\r\n", Err(HttpFault::EXPECTATION)),
            ("1.1", "Content-Length: 5\r\nExpect: 100-continue, more\r\n", Err(HttpFault::EXPECTATION)),
            ("1.0", "Content-Length: 5\r\nExpect: 100-continue\r\n", Ok(false)),
        ];
        for (version, headers, expected) in rows {
            let bytes = format!("POST / HTTP/{version}\r\nHost: h\r\n{headers}\r\n");
            let Parsed::Complete { head, .. } = parse(bytes.as_bytes(), &Limits::default()) else {
                panic!("no head: {bytes}");
            };
            assert_eq!(expects_continue(&head), *expected, "{headers}");
        }
    }
}
