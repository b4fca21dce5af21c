//! What the tests of this folder share: a decoder's answer in owned form, and a way to ask it that cuts the
//! input in every place.

mod frames;
mod hostile;
mod messages;
mod negotiation;
mod rfc6455;
mod rfc7692;
mod round_trip;

use super::{deflate::Agreed, deflate::Inflater, *};

/// Roomy enough for every example.
const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 64, inflate_ratio_max: 100 };

/// An [`Item`] that borrows nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Item<'_>> for Said {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.to_owned()),
            Item::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Item::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Item::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Item::Close(reason) => Self::Close(reason.map(|reason| (reason.code, reason.text.to_owned()))),
        }
    }
}

/// One connection's reading half with what it said so far.
struct Reader {
    decoder: Decoder,
    inflater: Inflater,
    limits: Limits,
    said: Vec<Said>,
}

impl Reader {
    fn new(role: Role, deflate: Option<Agreed>, limits: Limits) -> Self {
        Self { decoder: Decoder::new(role, deflate), inflater: Inflater::new(), limits, said: Vec::new() }
    }

    /// One read's bytes.
    fn feed(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut bytes = bytes.to_vec();
        let mut input = Input::new(&mut bytes);
        while let Some(item) = self.decoder.next(&mut input, &mut self.inflater, &self.limits)? {
            self.said.push(item.into());
        }
        assert!(input.is_empty(), "None means that the input is used up");
        Ok(())
    }
}

/// What came out, and the error, if any, that ended it.
type Outcome = (Vec<Said>, Option<DecodeError>);

fn read_in_pieces<'a>(mut reader: Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    for piece in pieces {
        if let Err(error) = reader.feed(piece) {
            return (reader.said, Some(error));
        }
    }
    (reader.said, None)
}

/// Reads `wire` whole, in two pieces cut at each byte, and byte by byte: the outcome must always be
/// `expected`.
fn assert_read(name: &str, reader: impl Fn() -> Reader, wire: &[u8], expected: &Outcome) {
    assert_eq!(&read_in_pieces(reader(), [wire]), expected, "{name}: whole");
    // Of a long payload, some hundred places stand for all.
    let stride = wire.len() / 512 + 1;
    for cut in (0..wire.len()).filter(|cut| *cut < 32 || cut % stride == 0) {
        let (left, right) = wire.split_at(cut);
        assert_eq!(&read_in_pieces(reader(), [left, right]), expected, "{name}: cut at {cut}");
    }
    assert_eq!(&read_in_pieces(reader(), wire.chunks(1)), expected, "{name}: byte by byte");
}

/// How many bytes of `wire` it takes to be refused.
fn refused_after(mut reader: Reader, wire: &[u8]) -> Option<usize> {
    wire.chunks(1).position(|byte| reader.feed(byte).is_err()).map(|index| index + 1)
}

/// Bytes from hexadecimal digits with blanks between.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

/// permessage-deflate as agreed on by default.
fn deflate_agreed() -> Agreed {
    deflate::negotiate(["permessage-deflate"].into_iter()).unwrap()
}
