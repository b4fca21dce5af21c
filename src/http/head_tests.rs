//! Heads: what is accepted, what is refused and why, whole and split at every byte; pipelines; arbitrary bytes.

use proptest::prelude::*;

use super::{
    fault::HttpFault,
    head::{Body, Head, HeadScanner, Limits, Method, Parsed, Version, parse},
    response::Framing,
};

/// What of a result can be compared; the head's headers are compared where they matter.
fn outcome(parsed: &Parsed<'_>) -> Result<Option<(String, usize)>, HttpFault> {
    match parsed {
        Parsed::Partial => Ok(None),
        Parsed::Complete { head, len } => Ok(Some((format!("{head:?}"), *len))),
        Parsed::Bad(fault) => Err(*fault),
    }
}

/// Feeds `bytes` one at a time and gives the first result that is not partial.
fn dripped(bytes: &[u8], limits: &Limits) -> Result<Option<(String, usize)>, HttpFault> {
    let mut scanner = HeadScanner::default();
    (0..=bytes.len())
        .map(|end| outcome(&scanner.parse(&bytes[..end], limits)))
        .find(|outcome| *outcome != Ok(None))
        .unwrap_or(Ok(None))
}

/// Parses whole, split in two at every byte, and dripped; all must agree.
fn parse_every_way(bytes: &[u8]) -> Result<Option<(String, usize)>, HttpFault> {
    let limits = Limits::default();
    let whole = outcome(&parse(bytes, &limits));
    for split in 0..bytes.len() {
        let mut scanner = HeadScanner::default();
        let first = outcome(&scanner.parse(&bytes[..split], &limits));
        let found = if first == Ok(None) { outcome(&scanner.parse(bytes, &limits)) } else { first };
        assert_eq!(found, whole, "split at {split}: {:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(dripped(bytes, &limits), whole, "{:?}", String::from_utf8_lossy(bytes));
    whole
}

fn complete(bytes: &[u8]) -> (Head<'_>, usize) {
    match parse(bytes, &Limits::default()) {
        Parsed::Complete { head, len } => (head, len),
        other @ (Parsed::Partial | Parsed::Bad(_)) => {
            panic!("{other:?}: {:?}", String::from_utf8_lossy(bytes))
        }
    }
}

#[test]
fn accepted_heads() {
    type Facts = (Method, Version, &'static str, Option<&'static str>, Option<&'static str>, bool, Body);
    use Method::{Get, Options, Other, Post};
    use Version::{Http10, Http11};
    let rows: &[(&str, Facts)] = &[
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", (Get, Http11, "/", None, Some("h"), true, Body::None)),
        ("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", (Get, Http11, "/", None, Some("h"), true, Body::None)),
        (
            "GET /ws?token=a HTTP/1.1\r\nhOST:\t h:80 \t\r\nCookie: ü=1\r\n\r\n",
            (Get, Http11, "/ws", Some("token=a"), Some("h:80"), true, Body::None),
        ),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", (Get, Http11, "/", None, Some(""), true, Body::None)),
        ("GET / HTTP/1.0\r\n\r\n", (Get, Http10, "/", None, None, false, Body::None)),
        (
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            (Get, Http10, "/", None, None, true, Body::None),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n\r\n",
            (Get, Http11, "/", None, Some("h"), false, Body::None),
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            (Get, Http11, "/", None, Some("h"), false, Body::None),
        ),
        (
            "GET http://other:1/ws HTTP/1.1\r\nHost: h\r\n\r\n",
            (Get, Http11, "/ws", None, Some("other:1"), true, Body::None),
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", (Options, Http11, "*", None, Some("h"), true, Body::None)),
        ("get / HTTP/1.1\r\nHost: h\r\n\r\n", (Other, Http11, "/", None, Some("h"), true, Body::None)),
        (
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
            (Post, Http11, "/a", None, Some("h"), true, Body::Length(5)),
        ),
        (
            "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            (Post, Http11, "/a", None, Some("h"), true, Body::Chunked),
        ),
    ];
    for (text, expected) in rows {
        assert!(matches!(parse_every_way(text.as_bytes()), Ok(Some(_))), "{text:?}");
        let (head, _) = complete(text.as_bytes());
        let found = (head.method, head.version, head.path, head.query, head.host, head.keep_alive, head.body);
        assert_eq!(found, *expected, "{text:?}");
    }
}

#[test]
fn refused_heads() {
    let rows: &[(&str, HttpFault)] = &[
        // Lines.
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::BARE_LF),
        ("GET / HTTP/1.1\nHost: h\n\n", HttpFault::BARE_LF),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", HttpFault::BARE_LF),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n", HttpFault::BARE_CR),
        ("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", HttpFault::BARE_CR),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", HttpFault::CONTROL_BYTE),
        ("GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::CONTROL_BYTE),
        ("\x16\x03\x01\x02\x00\x01", HttpFault::CONTROL_BYTE),
        // The request line.
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("GET /  HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("GET /\r\n\r\n", HttpFault::REQUEST_LINE),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("GET / HTTP/11\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("G@T / HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("ÖET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::REQUEST_LINE),
        ("GET /ü HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::TARGET),
        ("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::TARGET),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", HttpFault::TARGET),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", HttpFault::TARGET),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpFault::VERSION),
        ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", HttpFault::VERSION),
        ("GET / HTTP/0.9\r\n\r\n", HttpFault::VERSION),
        // Headers.
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", HttpFault::HEADER),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n", HttpFault::HEADER),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", HttpFault::HEADER),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", HttpFault::HEADER),
        ("GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", HttpFault::HEADER),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", HttpFault::HEADER),
        ("GET / HTTP/1.1\r\nHost: h\r\nÄ: b\r\n\r\n", HttpFault::HEADER),
        ("GET / HTTP/1.1\r\nHost: h\r\nA[]: b\r\n\r\n", HttpFault::HEADER),
        // Whom it is for.
        ("GET / HTTP/1.1\r\n\r\n", HttpFault::HOST_MISSING),
        ("GET http://h/ HTTP/1.1\r\n\r\n", HttpFault::HOST_MISSING),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", HttpFault::HOST_REPEATED),
        ("GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n", HttpFault::HOST_REPEATED),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HttpFault::HOST_INVALID),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", HttpFault::HOST_INVALID),
        ("GET / HTTP/1.1\r\nHost: a/ws\r\n\r\n", HttpFault::HOST_INVALID),
        ("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", HttpFault::HOST_INVALID),
        // Where it ends: what a smuggler would try.
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
            HttpFault::LENGTH_AND_CODING,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n",
            HttpFault::LENGTH_AND_CODING,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\n",
            HttpFault::LENGTH_REPEATED,
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6, 6\r\n\r\n", HttpFault::LENGTH_INVALID),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +6\r\n\r\n", HttpFault::LENGTH_INVALID),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x6\r\n\r\n", HttpFault::LENGTH_INVALID),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", HttpFault::LENGTH_INVALID),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 6\r\n\r\n", HttpFault::HEADER),
        ("POST / HTTP/1.1\r\nHost: h\r\nX: y\r\n Content-Length: 6\r\n\r\n", HttpFault::HEADER),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n", HttpFault::HEADER),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n", HttpFault::CONTROL_BYTE),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", HttpFault::CODING_INVALID),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
            HttpFault::CODING_INVALID,
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HttpFault::CODING_UNKNOWN),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HttpFault::CODING_IN_HTTP_10),
    ];
    for (text, expected) in rows {
        assert_eq!(parse_every_way(text.as_bytes()), Err(*expected), "{text:?}");
    }
    let latin_1 = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: \xfc\r\n\r\n";
    assert_eq!(parse_every_way(latin_1), Err(HttpFault::HEADER_TEXT));
}

#[test]
fn headers_are_found_whatever_their_case() {
    let (head, _) = complete(b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1, 2\r\nB: x\r\nx-a:3\r\nEmpty:\r\n\r\n");
    assert_eq!(head.all("X-a").collect::<Vec<_>>(), ["1, 2", "3"]);
    assert_eq!(head.elements("x-a").collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(head.all("empty").collect::<Vec<_>>(), [""]);
    assert_eq!(head.all("c").next(), None);
}

#[test]
fn limits_hold_at_the_byte() {
    let limits = Limits { head_bytes_max: 64, headers_max: 3 };
    let head = |padding: usize| format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(padding));
    let fits = head(64 - head(0).len());
    assert_eq!(fits.len(), 64);
    assert!(matches!(dripped(fits.as_bytes(), &limits), Ok(Some((_, 64)))));
    let more = format!("{fits}GET / HTTP/1.1\r\n");
    assert!(matches!(parse(more.as_bytes(), &limits), Parsed::Complete { len: 64, .. }));
    let large = head(65 - head(0).len());
    let long = format!("\r\nGET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(64));
    let many = "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n".to_owned();
    let rows = [
        (large, HttpFault::HEAD_TOO_LARGE),
        (long, HttpFault::TARGET_TOO_LONG),
        (many, HttpFault::TOO_MANY_HEADERS),
    ];
    for (text, expected) in rows {
        assert_eq!(outcome(&parse(text.as_bytes(), &limits)), Err(expected), "{text:?}");
        assert_eq!(dripped(text.as_bytes(), &limits), Err(expected), "{text:?}");
    }
    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
    assert!(matches!(parse(many(64).as_bytes(), &Limits::default()), Parsed::Complete { .. }));
    assert_eq!(parse_every_way(many(65).as_bytes()), Err(HttpFault::TOO_MANY_HEADERS));
}

#[test]
fn pipelined_requests_come_out_one_by_one() {
    let bytes =
        b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nHEAD /b HTTP/1.1\r\nHost: h\r\n\r\nGET /c HTTP/1.1\r\nHo";
    let limits = Limits::default();
    for step in 1..bytes.len() {
        let (mut scanner, mut start, mut paths) = (HeadScanner::default(), 0, Vec::new());
        let ends = (step..bytes.len()).step_by(step).chain([bytes.len()]);
        for end in ends {
            loop {
                match scanner.parse(&bytes[start..end], &limits) {
                    Parsed::Partial => break,
                    Parsed::Complete { head, len } => {
                        paths.push(head.path);
                        start += len;
                    }
                    Parsed::Bad(fault) => panic!("{fault:?} in steps of {step}"),
                }
            }
        }
        assert_eq!(paths, ["/a", "/b"], "in steps of {step}");
        assert_eq!(&bytes[start..], b"GET /c HTTP/1.1\r\nHo");
    }
}

#[test]
fn a_body_that_nobody_reads_ends_the_connection() {
    let (head, _) = complete(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(Framing::of(&head), Framing { keep_alive: false, head_only: false });
    let (head, _) = complete(b"HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(Framing::of(&head), Framing { keep_alive: true, head_only: true });
}

/// Bytes that look enough like a head to get past the first checks.
fn almost_a_head() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "GET ",
        "/ws",
        "?token=%4",
        " HTTP/1.1",
        " HTTP/2.0",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "Host: h\r\n",
        "Host: ",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Upgrade: websocket\r\n",
        ":",
        " ",
        "ü",
        "\0",
        "http://",
        "[::1]",
        "Connection: close\r\n",
        "x",
    ]);
    let bytes = prop_oneof![
        pieces.prop_map(|piece| piece.as_bytes().to_vec()),
        any::<u8>().prop_map(|byte| vec![byte])
    ];
    prop::collection::vec(bytes, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_split_matters(bytes in almost_a_head(), valid_start: bool) {
        let start: &[u8] = if valid_start { b"GET / HTTP/1.1\r\nHost: h\r\n" } else { b"" };
        let bytes = [start, &bytes].concat();
        let _ = parse_every_way(&bytes);
        if let Parsed::Complete { head, len } = parse(&bytes, &Limits::default()) {
            prop_assert!(len <= bytes.len());
            let _ = (head.query_param("token"), super::credentials::bearer(&head), super::upgrade::check(&head));
            let _ = super::accept::metrics_format(&head);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse_every_way(&bytes);
    }
}
