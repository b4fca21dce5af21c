//! One HTTP/1.1 response (RFC 9112) at a time, from pieces: status, whether the connection stays, body.
//!
//! The body has a `Content-Length` or comes in chunks; one that only the end of the connection ends is refused, as a keep-alive
//! client cannot use it. Invariant: nothing grows by what a header announces, only by what came, up to the maxima here.

/// A longer head, chunk line or trailer is refused.
const LINE_BYTES_MAX: usize = 16 << 10;
/// A longer body is refused.
const BODY_BYTES_MAX: usize = 64 << 20;
const HEADERS_MAX: usize = 64;

/// A response that is coming in.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    stage: Stage,
    /// The head, or a line between chunks, as far as it is there.
    held: Vec<u8>,
    status: u16,
    reason: String,
    persistent: bool,
    body: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    Head,
    /// So many bytes of the body are left.
    Body(usize),
    /// Before the line with a chunk's size.
    ChunkLine,
    Chunk(usize),
    /// Before the line break that ends a chunk.
    ChunkEnd,
    /// Fields after the last chunk, and the empty line.
    Trailer,
    Done,
}

/// A whole response.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// Whether another request may follow on this connection.
    pub(crate) persistent: bool,
    pub(crate) body: Vec<u8>,
}

/// The bytes are no response that this client takes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Bad {
    #[error("the answer is no HTTP response: {0}")]
    NotHttp(String),
    #[error("the answer has a head or a line that is too long")]
    TooLong,
    #[error("the answer has a body that is too large")]
    TooLarge,
    #[error("the answer says in no way, or in two, how long it is")]
    Length,
    #[error("the answer's chunks are broken")]
    Chunk,
}

impl Answer {
    /// Takes in the start of `bytes` and says how many they were: fewer than all where the response ends before.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Bad> {
        let mut rest = bytes;
        while self.stage != Stage::Done && !rest.is_empty() {
            match self.stage {
                Stage::Head => self.head(&mut rest)?,
                Stage::Body(left) => {
                    let left = self.body(&mut rest, left)?;
                    self.stage = if left == 0 { Stage::Done } else { Stage::Body(left) };
                }
                Stage::Chunk(left) => {
                    let left = self.body(&mut rest, left)?;
                    self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) };
                }
                Stage::ChunkLine | Stage::ChunkEnd | Stage::Trailer => {
                    if let Some(line) = self.line(&mut rest)? {
                        self.stage = self.after(&line)?;
                    }
                }
                Stage::Done => {}
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// The response, once it is whole; the next one may be fed then.
    pub(crate) fn take(&mut self) -> Option<Whole> {
        if self.stage != Stage::Done {
            return None;
        }
        let Self { status, reason, persistent, body, .. } = std::mem::take(self);
        Some(Whole { status, reason, persistent, body })
    }

    fn head(&mut self, rest: &mut &[u8]) -> Result<(), Bad> {
        // The head's end is looked for over all that is held: heads are short and nearly always whole.
        let already = self.held.len();
        self.held.extend_from_slice(&rest[..rest.len().min(LINE_BYTES_MAX + 1 - already)]);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head_bytes = match response.parse(&self.held) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) if self.held.len() > LINE_BYTES_MAX => return Err(Bad::TooLong),
            Ok(httparse::Status::Partial) => {
                *rest = &[];
                return Ok(());
            }
            Err(error) => return Err(Bad::NotHttp(error.to_string())),
        };
        self.status = response.code.unwrap_or_default();
        self.reason = response.reason.unwrap_or_default().to_owned();
        self.persistent = response.version == Some(1);
        let (mut length, mut chunked) = (None, false);
        for header in response.headers {
            let value = header.value.trim_ascii();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("Content-Length") {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
                if length.replace(number.ok_or(Bad::Length)?).is_some() {
                    return Err(Bad::Length);
                }
            } else if is("Transfer-Encoding") {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Bad::Length);
                }
                chunked = true;
            } else if is("Connection") {
                self.persistent &= !value.eq_ignore_ascii_case(b"close");
            }
        }
        self.stage = match (self.status, length, chunked) {
            // An interim response: the real one follows.
            (100..=199, ..) => Stage::Head,
            (204 | 304, ..) | (_, Some(0), false) => Stage::Done,
            (_, Some(length), false) if length > BODY_BYTES_MAX => return Err(Bad::TooLarge),
            (_, Some(length), false) => Stage::Body(length),
            (_, None, true) => Stage::ChunkLine,
            (_, None, false) | (_, Some(_), true) => return Err(Bad::Length),
        };
        *rest = &rest[head_bytes - already..];
        self.held.clear();
        Ok(())
    }

    /// Moves up to `left` bytes into the body; how many are left then.
    fn body(&mut self, rest: &mut &[u8], left: usize) -> Result<usize, Bad> {
        let count = left.min(rest.len());
        if self.body.len() + count > BODY_BYTES_MAX {
            return Err(Bad::TooLarge);
        }
        self.body.extend_from_slice(&rest[..count]);
        *rest = &rest[count..];
        Ok(left - count)
    }

    /// The next line without its end, once it is whole.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Vec<u8>>, Bad> {
        let end = memchr::memchr(b'\n', rest);
        let part = end.map_or(*rest, |at| &rest[..at]);
        if self.held.len() + part.len() > LINE_BYTES_MAX {
            return Err(Bad::TooLong);
        }
        self.held.extend_from_slice(part);
        *rest = &rest[end.map_or(rest.len(), |at| at + 1)..];
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.held);
        if line.pop() != Some(b'\r') {
            return Err(Bad::Chunk);
        }
        Ok(Some(line))
    }

    /// Where it goes on after a line around chunks.
    fn after(&self, line: &[u8]) -> Result<Stage, Bad> {
        match (self.stage, line) {
            (Stage::ChunkLine, _) => {
                // What a semicolon begins is an extension.
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
                if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Bad::Chunk);
                }
                let text = std::str::from_utf8(digits).map_err(|_| Bad::Chunk)?;
                let bytes = usize::from_str_radix(text, 16).map_err(|_| Bad::Chunk)?;
                Ok(if bytes == 0 { Stage::Trailer } else { Stage::Chunk(bytes) })
            }
            (Stage::ChunkEnd, []) => Ok(Stage::ChunkLine),
            (Stage::Trailer, []) => Ok(Stage::Done),
            (Stage::Trailer, _) => Ok(Stage::Trailer),
            (Stage::ChunkEnd | Stage::Head | Stage::Body(_) | Stage::Chunk(_) | Stage::Done, _) => {
                Err(Bad::Chunk)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds pieces of `piece` bytes; the response, and how many bytes it took.
    fn fed(bytes: &[u8], piece: usize) -> Result<(Option<Whole>, usize), Bad> {
        let (mut answer, mut taken) = (Answer::default(), 0);
        for piece in bytes.chunks(piece) {
            let count = answer.feed(piece)?;
            taken += count;
            if count < piece.len() {
                break;
            }
        }
        Ok((answer.take(), taken))
    }

    fn whole(status: u16, reason: &str, persistent: bool, body: &str) -> Whole {
        Whole { status, reason: reason.to_owned(), persistent, body: body.as_bytes().to_vec() }
    }

    /// The first two are recorded from Node.js.
    fn rows() -> Vec<(&'static str, Whole)> {
        vec![
            (
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\ncache-control: no-store\r\n\
                 Date: Sat, 21 Nov 2026 15:51:35 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nok",
                whole(200, "OK", true, "ok"),
            ),
            (
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n\
                 Transfer-Encoding: chunked\r\n\r\n29\r\n{\"code\":1,\"message\":\"Session ID unknown\"}\r\n0\r\n\r\n",
                whole(400, "Bad Request", true, r#"{"code":1,"message":"Session ID unknown"}"#),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\nA \r\n0123456789\r\n00\r\nX: y\r\n\r\n",
                whole(200, "OK", true, "abc0123456789"),
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
                whole(200, "OK", false, ""),
            ),
            ("HTTP/1.0 204 \r\n\r\n", whole(204, "", false, "")),
        ]
    }

    #[test]
    fn responses_come_in_any_pieces() {
        for (text, expected) in rows() {
            let with_more = [text, "HTTP/1.1"].concat();
            for piece in (1..=with_more.len()).filter(|piece| *piece < 20 || piece % 7 == 0) {
                let (response, taken) = fed(with_more.as_bytes(), piece).unwrap();
                assert_eq!((response.as_ref(), taken), (Some(&expected), text.len()), "{piece}: {text}");
            }
            for end in 0..text.len() {
                assert_eq!(fed(&text.as_bytes()[..end], 1_000), Ok((None, end)), "{end}: {text}");
            }
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let rows = [
            ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), Bad::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n".to_owned(), Bad::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n".to_owned(), Bad::Length),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), Bad::Length),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n".to_owned(),
                Bad::Length,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), Bad::TooLarge),
            (format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(LINE_BYTES_MAX)), Bad::TooLong),
            ("SSH-2.0\r\n".to_owned(), Bad::NotHttp("invalid HTTP version".to_owned())),
            (chunked("g\r\n"), Bad::Chunk),
            (chunked("\r\n"), Bad::Chunk),
            (chunked("1\r\nab"), Bad::Chunk),
            (chunked("1\r\nab\r\n"), Bad::Chunk),
            (chunked("1\nab\r\n"), Bad::Chunk),
            (chunked("123456789\r\n"), Bad::Chunk),
            (chunked(&"0".repeat(LINE_BYTES_MAX + 1)), Bad::TooLong),
        ];
        for (text, bad) in rows {
            let refused = fed(&[text.as_bytes(), b"\r\n"].concat(), 7).unwrap_err();
            assert_eq!(refused, bad, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(row in 0..5usize, at: prop::sample::Index, byte: u8, piece in 1..50usize) {
            let mut bytes = rows()[row].0.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            prop_assert_eq!(fed(&bytes, piece).ok(), fed(&bytes, usize::MAX).ok());
        }
    }
}
