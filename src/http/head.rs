//! A request's head: found incrementally, read once, valid by type from then on.
//!
//! [`HeadScanner`] looks at every byte once however slowly it drips in, and refuses early what can never
//! become a request; only a whole head goes to httparse. Framing facts (`body`, `keep_alive`, `host`) are
//! settled here. Owns no buffer: a [`Head`] borrows from the caller's.
//! Invariant: how the input was split over calls never changes the result.

use std::{borrow::Cow, fmt, mem::MaybeUninit};

use super::{
    fault::HttpFault,
    fields,
    host::is_host,
    query,
    target::{self, Target},
};

/// No request may have more headers than this, whatever [`Limits`] say.
const HEADERS_MAX: usize = 64;

/// How large a head may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Request line, headers and the empty line that ends them, in bytes.
    pub head_bytes_max: usize,
    /// Header lines; at most 64.
    pub headers_max: usize,
}

impl Default for Limits {
    /// 16 KiB and 64 headers.
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, headers_max: HEADERS_MAX }
    }
}

/// What the bytes so far amount to.
#[derive(Clone, Debug)]
pub enum Parsed<'b> {
    /// No whole head yet, and nothing wrong with it so far: call again with the same bytes and more.
    Partial,
    /// A head in the first `len` bytes. What follows is the body, the next request, or the first frames.
    Complete { head: Head<'b>, len: usize },
    /// Never a request. Answer it and close: where the next request begins is unknown.
    Bad(HttpFault),
}

/// The methods that the gateway tells apart. They are case-sensitive: `get` is [`Method::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Other,
}

/// The request's protocol version; others are refused with 505.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// For probes: closes after the answer unless asked not to.
    Http10,
    Http11,
}

/// What follows the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    None,
    /// So many bytes, at least one.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
}

#[derive(Clone, Copy)]
struct Header<'b> {
    name: &'b str,
    value: &'b str,
}

/// A request head that passed every check.
#[derive(Clone)]
pub struct Head<'b> {
    pub method: Method,
    pub version: Version,
    /// Begins with `/` (or is `*`); escapes stand as they came.
    pub path: &'b str,
    /// What follows the first `?`, undecoded. May hold a token: never log it.
    pub query: Option<&'b str>,
    /// Whom the request is for: the authority of an absolute target, else `Host`. HTTP/1.0 may have none.
    pub host: Option<&'b str>,
    /// Whether the client wants to go on with this connection after the answer.
    pub keep_alive: bool,
    pub body: Body,
    headers: Vec<Header<'b>>,
}

/// Finds and reads the head at the start of a growing buffer, in time linear in its length.
#[derive(Clone, Copy, Default, Debug)]
pub struct HeadScanner {
    /// Bytes at the front of the buffer that hold no end of a head and nothing wrong.
    searched: usize,
}

/// Reads a head in one go.
#[cfg(test)]
pub(super) fn parse<'b>(buf: &'b [u8], limits: &Limits) -> Parsed<'b> {
    HeadScanner::default().parse(buf, limits)
}

impl HeadScanner {
    /// Goes on where the last call stopped. `buf` must begin with the same bytes as then, until this returns
    /// [`Parsed::Complete`]: the scanner is then as new, for the request that begins `len` bytes later.
    pub fn parse<'b>(&mut self, buf: &'b [u8], limits: &Limits) -> Parsed<'b> {
        let len = match self.find_end(buf, limits.head_bytes_max) {
            Ok(Some(len)) => len,
            Ok(None) => return Parsed::Partial,
            Err(fault) => return Parsed::Bad(fault),
        };
        self.searched = 0;
        match Head::read(&buf[..len], limits) {
            Ok(head) => Parsed::Complete { head, len },
            Err(fault) => Parsed::Bad(fault),
        }
    }

    /// The length of the head, when all of it is there. Refuses control bytes and half line ends at once:
    /// someone who speaks TLS, or another protocol, to this port hears it without waiting for a timeout.
    fn find_end(&mut self, buf: &[u8], bytes_max: usize) -> Result<Option<usize>, HttpFault> {
        debug_assert!(self.searched <= buf.len(), "the buffer shrank under an unfinished head");
        let bytes = &buf[..buf.len().min(bytes_max)];
        let mut at = self.searched;
        while at < bytes.len() {
            let line = &bytes[at..];
            let line = &line[..memchr::memchr(b'\r', line).unwrap_or(line.len())];
            if let Some(fault) = wrong_byte(line) {
                return Err(fault);
            }
            at += line.len();
            match bytes.get(at + 1) {
                Some(b'\n') => {
                    at += 2;
                    if bytes[..at].ends_with(b"\r\n\r\n") {
                        return Ok(Some(at));
                    }
                }
                Some(_) => return Err(HttpFault::BARE_CR),
                // The next byte decides, of this line or behind its CR.
                None => break,
            }
        }
        self.searched = at;
        if buf.len() < bytes_max {
            return Ok(None);
        }
        let has_line = memchr::memchr(b'\n', without_leading_line(bytes)).is_some();
        Err(if has_line { HttpFault::HEAD_TOO_LARGE } else { HttpFault::TARGET_TOO_LONG })
    }
}

/// What is wrong with the first byte that may not stand in a line; a tab may. Looks at all bytes before it looks for
/// the one, which is quick: a head is mostly good bytes.
fn wrong_byte(line: &[u8]) -> Option<HttpFault> {
    let is_wrong = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    if !line.iter().fold(false, |wrong, &byte| wrong | is_wrong(byte)) {
        return None;
    }
    let first = line.iter().copied().find(|&byte| is_wrong(byte))?;
    Some(if first == b'\n' { HttpFault::BARE_LF } else { HttpFault::CONTROL_BYTE })
}

/// RFC 9112 2.2: one empty line before the request line is skipped; some clients send it after a body.
fn without_leading_line(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\r\n").unwrap_or(bytes)
}

impl<'b> Head<'b> {
    /// Reads a whole head. `bytes` ends in the empty line and has no control byte or half line end in it.
    fn read(bytes: &'b [u8], limits: &Limits) -> Result<Self, HttpFault> {
        let bytes = without_leading_line(bytes);
        let mut storage = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let headers_max = limits.headers_max.min(HEADERS_MAX);
        match request.parse_with_uninit_headers(bytes, &mut storage[..headers_max]) {
            Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
            Ok(_) => return Err(HttpFault::REQUEST_LINE),
            Err(error) => return Err(fault_of(error, bytes)),
        }
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
        else {
            return Err(HttpFault::REQUEST_LINE);
        };
        let method = Method::of(method);
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let Target { path, query, authority } = target::parse(target, method == Method::Options)?;
        let text = |header: &httparse::Header<'b>| {
            let value = std::str::from_utf8(header.value).map_err(|_| HttpFault::HEADER_TEXT)?;
            Ok(Header { name: header.name, value })
        };
        let mut headers = Vec::with_capacity(request.headers.len());
        for header in request.headers.iter() {
            headers.push(text(header)?);
        }
        let mut head =
            Self { method, version, path, query, host: None, keep_alive: false, body: Body::None, headers };
        let host = head.host_header()?;
        head.host = authority.or(host);
        head.body = fields::body(version, head.all("content-length"), head.all("transfer-encoding"))?;
        head.keep_alive = !head.has_element("connection", "close")
            && (version == Version::Http11 || head.has_element("connection", "keep-alive"));
        Ok(head)
    }

    /// RFC 9112 3.2: exactly one `Host`, at most one in HTTP/1.0, and a valid one.
    fn host_header(&self) -> Result<Option<&'b str>, HttpFault> {
        let mut hosts = self.all("host");
        match (hosts.next(), hosts.next(), self.version) {
            (_, Some(_), _) => Err(HttpFault::HOST_REPEATED),
            (None, None, Version::Http11) => Err(HttpFault::HOST_MISSING),
            (None, None, Version::Http10) => Ok(None),
            (Some(host), None, _) if is_host(host) => Ok(Some(host)),
            (Some(_), None, _) => Err(HttpFault::HOST_INVALID),
        }
    }

    /// All values of a header, whatever the case of its name, in the order of the request.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b str> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    /// The elements of a comma-separated header, over all its lines, trimmed, without empty ones.
    pub fn elements(&self, name: &str) -> impl Iterator<Item = &'b str> {
        self.all(name).flat_map(fields::elements)
    }

    /// Whether a comma-separated header has this element, whatever the case.
    pub(super) fn has_element(&self, name: &str, element: &str) -> bool {
        self.elements(name).any(|found| found.eq_ignore_ascii_case(element))
    }

    /// A query parameter, decoded; `None` when it is not there.
    ///
    /// # Errors
    /// 400 when the parameter comes twice, has a broken escape, or is not UTF-8.
    pub fn query_param(&self, name: &str) -> Result<Option<Cow<'b, str>>, HttpFault> {
        self.query.map_or(Ok(None), |query| query::param(query, name))
    }
}

/// Without the query and the headers, where tokens stand.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, version, path, keep_alive, body, headers, .. } = self;
        f.debug_struct("Head")
            .field("method", method)
            .field("version", version)
            .field("path", path)
            .field("keep_alive", keep_alive)
            .field("body", body)
            .field("headers", &headers.len())
            .finish_non_exhaustive()
    }
}

impl Method {
    fn of(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// What httparse found, as a fault. A version is 505 only if it is one; anything else in its place is 400.
fn fault_of(error: httparse::Error, bytes: &[u8]) -> HttpFault {
    match error {
        httparse::Error::TooManyHeaders => HttpFault::TOO_MANY_HEADERS,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => HttpFault::HEADER,
        httparse::Error::Version if names_a_version(bytes) => HttpFault::VERSION,
        httparse::Error::Version
        | httparse::Error::Token
        | httparse::Error::NewLine
        | httparse::Error::Status => HttpFault::REQUEST_LINE,
    }
}

/// Whether the first line is three words and the last is `HTTP/` digit `.` digit (RFC 9112 2.3).
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or(bytes);
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}
