//! Server frames out of received bytes, in place: nothing is copied, nothing is allocated.
//!
//! Cheaper than `ringway::ws`, whose decoder checks UTF-8 and puts fragments together: the generator has one core
//! for millions of deliveries a second. What it cannot read (fragments, masks, reserved bits) is an error, so that
//! no peer is measured by halves.

/// A frame that is longer than this is refused; no scenario makes one.
const PAYLOAD_BYTES_MAX: usize = 60 << 10;

/// What a frame is to the generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Text or binary.
    Data,
    Ping,
    Pong,
    Close,
}

/// A whole frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// What a close frame says, in words.
    pub(crate) fn close_reason(&self) -> String {
        match self.payload {
            &[high, low, ref reason @ ..] => {
                let code = u16::from_be_bytes([high, low]);
                format!("closed with {code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()
            }
            _ => "closed without a code".to_owned(),
        }
    }
}

/// The server sent what no scenario can mean. Both bytes of the header, to look it up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a frame that begins with {0:02x} {1:02x} is fragmented, masked, compressed, reserved or too long")]
pub(crate) struct FrameError(u8, u8);

/// The frames in a piece of the stream that begins with a frame.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next whole frame; `None` when what is left is none, or not whole yet.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        let &[first, second, ref body @ ..] = self.rest else { return Ok(None) };
        let error = FrameError(first, second);
        let kind = match first {
            0x81 | 0x82 => Kind::Data,
            0x88 => Kind::Close,
            0x89 => Kind::Ping,
            0x8a => Kind::Pong,
            _ => return Err(error),
        };
        let (len, body) = match second {
            0..126 => (usize::from(second), body),
            126 => match body {
                &[high, low, ref body @ ..] => (usize::from(u16::from_be_bytes([high, low])), body),
                _ => return Ok(None),
            },
            _ => return Err(error),
        };
        if len > PAYLOAD_BYTES_MAX {
            return Err(error);
        }
        let Some((payload, rest)) = body.split_at_checked(len) else { return Ok(None) };
        self.rest = rest;
        Ok(Some(Frame { kind, payload }))
    }

    /// What has not been read: less than a frame, once `next` has said `None`.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use ringway::ws::{Opcode, encode};

    use super::*;

    fn stream() -> (Vec<u8>, Vec<(Kind, Vec<u8>)>) {
        let frames = [
            (Opcode::Text, Kind::Data, 0),
            (Opcode::Text, Kind::Data, 1),
            (Opcode::Binary, Kind::Data, 125),
            (Opcode::Ping, Kind::Ping, 8),
            (Opcode::Text, Kind::Data, 126),
            (Opcode::Pong, Kind::Pong, 0),
            (Opcode::Text, Kind::Data, 400),
            (Opcode::Close, Kind::Close, 2),
        ];
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (at, (opcode, kind, len)) in frames.into_iter().enumerate() {
            let payload = vec![b'a' + at as u8; len];
            encode::frame(&mut bytes, opcode, &payload, false, None);
            expected.push((kind, payload));
        }
        (bytes, expected)
    }

    fn read(frames: &mut Frames<'_>) -> Vec<(Kind, Vec<u8>)> {
        std::iter::from_fn(|| frames.next().unwrap()).map(|it| (it.kind, it.payload.to_vec())).collect()
    }

    #[test]
    fn a_stream_split_at_every_byte_is_the_same_stream() {
        let (bytes, expected) = stream();
        for cut in 0..=bytes.len() {
            let mut first = Frames::new(&bytes[..cut]);
            let mut got = read(&mut first);
            let joined = [first.rest(), &bytes[cut..]].concat();
            let mut second = Frames::new(&joined);
            got.extend(read(&mut second));
            assert_eq!(got, expected, "cut at {cut}");
            assert_eq!(second.rest(), b"");
        }
    }

    #[test]
    fn a_close_frame_says_why() {
        let rows: [(&[u8], &str); 3] = [
            (b"", "closed without a code"),
            (&[0x03, 0xe8], "closed with 1000"),
            (b"\x11\x4eslow consumer", "closed with 4430 slow consumer"),
        ];
        for (payload, expected) in rows {
            assert_eq!(Frame { kind: Kind::Close, payload }.close_reason(), expected);
        }
    }

    #[test]
    fn what_no_server_may_send_here_is_an_error() {
        let rows: [(&str, &[u8]); 6] = [
            ("first fragment", &[0x01, 0x00]),
            ("last fragment", &[0x80, 0x00]),
            ("compressed", &[0xc1, 0x01, 0x00]),
            ("masked", &[0x81, 0x81, 0, 0, 0, 0, 0]),
            ("64-bit length", &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            ("too long", &[0x81, 126, 0xff, 0xff]),
        ];
        for (name, bytes) in rows {
            assert_eq!(Frames::new(bytes).next(), Err(FrameError(bytes[0], bytes[1])), "{name}");
        }
    }
}
