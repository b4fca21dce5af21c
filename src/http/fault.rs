//! Everything that a request can be refused for, in one table: status, code, what to do about it.
//!
//! A fault is a constant: it carries nothing from the request, so that it can be logged and sent as it is.
//! Faults of a head leave the byte stream without a known next request; the connection closes after them.

/// A refusal as the client is told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpFault {
    /// HTTP status.
    pub status: u16,
    /// For programs: `error.code` of the JSON body; where `spec/wire-protocol.md` has a code for it, that one.
    pub code: &'static str,
    /// For people: what is wrong, and what would be right where that is not plain.
    pub message: &'static str,
    /// Headers that the status asks for (`Allow`, `Upgrade`, `WWW-Authenticate`).
    pub headers: &'static [(&'static str, &'static str)],
}

impl HttpFault {
    /// A fault that needs no header of its own.
    pub const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message, headers: &[] }
    }

    const fn bad(message: &'static str) -> Self {
        Self::new(400, "bad_request", message)
    }

    const fn upgrade(message: &'static str) -> Self {
        const HEADERS: &[(&str, &str)] = &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
        Self { status: 426, code: "upgrade_required", message, headers: HEADERS }
    }

    // The head as bytes: RFC 9112 sections 2.2, 3 and 5.
    pub(super) const BARE_CR: Self = Self::bad("a carriage return must be followed by a line feed");
    pub(super) const BARE_LF: Self = Self::bad("lines end in CR LF, not in LF alone");
    pub(super) const CONTROL_BYTE: Self = Self::bad("a control byte in the request head: is this HTTP?");
    pub(super) const REQUEST_LINE: Self =
        Self::bad("the request line must be `METHOD target HTTP/1.1`, one space between");
    pub(super) const TARGET: Self =
        Self::bad("the request target must be a path (or an http URL) of visible ASCII without a fragment");
    pub(super) const HEADER: Self =
        Self::bad("a header line must be `Name: value` on one line, without space before the colon");
    pub(super) const HEADER_TEXT: Self = Self::bad("a header's value must be ASCII or UTF-8");
    pub(super) const VERSION: Self =
        Self::new(505, "version_not_supported", "this port speaks HTTP/1.1 (and HTTP/1.0 for probes)");
    pub(super) const TARGET_TOO_LONG: Self =
        Self::new(414, "too_large", "the request line is longer than a whole request head may be");
    pub(super) const HEAD_TOO_LARGE: Self =
        Self::new(431, "too_large", "request line and headers are larger than allowed");
    pub(super) const TOO_MANY_HEADERS: Self =
        Self::new(431, "too_large", "the request has more headers than allowed");

    // Whom it is for and where it ends: RFC 9112 sections 3.2 and 6.
    pub(super) const HOST_MISSING: Self = Self::bad("an HTTP/1.1 request must have a Host header");
    pub(super) const HOST_REPEATED: Self = Self::bad("a request must have one Host header only");
    pub(super) const HOST_INVALID: Self =
        Self::bad("the host must be a name or an address, with or without a port");
    pub(super) const LENGTH_REPEATED: Self = Self::bad("a request must have one Content-Length only");
    pub(super) const LENGTH_INVALID: Self = Self::bad("Content-Length must be a decimal number of bytes");
    pub(super) const LENGTH_AND_CODING: Self =
        Self::bad("Transfer-Encoding and Content-Length must not come together");
    pub(super) const CODING_IN_HTTP_10: Self = Self::bad("HTTP/1.0 has no Transfer-Encoding");
    pub(super) const CODING_INVALID: Self =
        Self::bad("the last transfer coding must be `chunked`, and only the last");
    pub(super) const CODING_UNKNOWN: Self =
        Self::new(501, "not_implemented", "`chunked` is the only transfer coding that is understood");

    // The upgrade: RFC 6455 section 4.2.
    pub(super) const UPGRADE_REQUIRED: Self =
        Self::upgrade("this path speaks WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`");
    pub(super) const UPGRADE_NOT_CONNECTED: Self =
        Self::bad("`Upgrade: websocket` came without `Connection: Upgrade`: a proxy may have removed it");
    pub(super) const UPGRADE_VERSION: Self = Self::upgrade("Sec-WebSocket-Version must be 13");
    pub(super) const UPGRADE_HTTP_10: Self = Self::bad("a WebSocket upgrade needs HTTP/1.1");
    pub(super) const UPGRADE_KEY: Self = Self::bad("Sec-WebSocket-Key must be one base64 value of 16 bytes");
    pub(super) const UPGRADE_BODY: Self = Self::bad("a WebSocket upgrade must not have a body");
    pub(super) const UPGRADE_PROTOCOL: Self = Self::bad(
        "Sec-WebSocket-Protocol must be a list of tokens, with one `ringway.bearer.` entry at most",
    );

    // The body: RFC 9112 sections 6 and 7.1, RFC 9110 section 10.1.1.
    /// More than the gateway takes.
    pub const BODY_TOO_LARGE: Self =
        Self::new(413, "too_large", "the body is larger than this path takes: see http.body_bytes_max");
    pub(super) const BODY_SURPLUS: Self =
        Self::bad("too much in the body that is no data: chunk extensions, trailers");
    pub(super) const CHUNK: Self =
        Self::bad("a chunk must be its size in hexadecimal digits, CR LF, so many bytes, CR LF");
    pub(super) const EXPECTATION: Self =
        Self::new(417, "bad_request", "`100-continue` is the only expectation that can be met");
    /// The body was not there in time; the caller owns the clock.
    pub const BODY_TIMEOUT: Self = Self::new(408, "timeout", "the request body took too long");

    // Credentials and parameters.
    pub(super) const AUTHORIZATION: Self =
        Self::bad("Authorization must come once, and `Bearer` must be followed by one token");
    pub(super) const QUERY: Self =
        Self::bad("a query parameter must come once, with whole percent escapes that make UTF-8");

    pub(super) const PATH: Self = Self::bad("a path must have whole percent escapes that make UTF-8");

    /// A token is wanted; whether it is valid, the caller knows.
    pub const UNAUTHENTICATED: Self = Self {
        status: 401,
        code: "unauthenticated",
        message: "the bearer token or key is not valid",
        headers: &[("WWW-Authenticate", "Bearer")],
    };

    /// A page of an origin that is not among `cors.origins`.
    pub const ORIGIN: Self = Self::new(
        403,
        "forbidden",
        "pages of this origin may not use the gateway: see `cors.origins` of its configuration",
    );

    /// Whose the token is cannot be said at the moment.
    pub const UNJUDGED: Self = Self {
        status: 503,
        code: "unavailable",
        message: "tokens cannot be looked up at the moment",
        headers: &[("Retry-After", "5")],
    };

    // Paths and methods.
    /// No such path.
    pub const NOT_FOUND: Self = Self::new(404, "not_found", "there is nothing at this path");
    pub(super) const METHOD_READ: Self = Self {
        status: 405,
        code: "method_not_allowed",
        message: "this path answers GET and HEAD",
        headers: &[("Allow", "GET, HEAD")],
    };
    pub(super) const METHOD_GET: Self = Self {
        status: 405,
        code: "method_not_allowed",
        message: "a WebSocket upgrade is a GET",
        headers: &[("Allow", "GET")],
    };
    pub(super) const METHOD_POST: Self = Self {
        status: 405,
        code: "method_not_allowed",
        message: "this path answers POST",
        headers: &[("Allow", "POST")],
    };
    /// The head was not finished in time; the caller owns the clock.
    pub const HEAD_TIMEOUT: Self = Self::new(408, "timeout", "the request head took too long");
}
