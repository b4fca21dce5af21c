//! Cross-origin requests, as browsers ask for them (the Fetch standard's CORS protocol): preflights, and the headers by
//! which a page may read an answer. Whether a page's origin is allowed, `origin` says.
//!
//! Credentials of the browser's own (cookies, certificates) are never asked for: callers bring a bearer.

use std::io::Write;

use super::{
    head::{Head, Method},
    response::{Framing, write_no_content},
    route::{Methods, Operation},
};

/// What callers may send beside what every page may.
const HEADERS: &str =
    "Authorization, Content-Type, Idempotency-Key, X-Ringway-Timestamp, X-Ringway-Signature";

/// How long a browser may keep the answer to a preflight, in seconds.
const MAX_AGE_S: &str = "600";

/// Whether a request asks if another one may be made.
pub fn is_preflight(head: &Head<'_>) -> bool {
    head.method == Method::Options
        && head.all("origin").next().is_some()
        && head.all("access-control-request-method").next().is_some()
}

/// Appends what a preflight of an allowed page is answered; who may read it is inserted like everywhere.
pub fn write_preflight(out: &mut Vec<u8>, operation: &Operation, framing: Framing) {
    let methods = match operation.methods {
        Methods::Get => "GET",
        Methods::Read => "GET, HEAD",
        Methods::Post => "POST",
    };
    let headers = [
        ("Access-Control-Allow-Methods", methods),
        ("Access-Control-Allow-Headers", HEADERS),
        ("Access-Control-Max-Age", MAX_AGE_S),
        ("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers"),
    ];
    write_no_content(out, &headers, framing);
}

/// A response with the headers that show it to pages of `reader`, an origin or `*`.
///
/// They are inserted behind the status line, so that no answer and no refusal can be without them.
pub fn shown_to(reader: &str, response: &[u8]) -> Vec<u8> {
    let line_end = memchr::memchr(b'\n', response).map_or(0, |at| at + 1);
    let (status, rest) = response.split_at(line_end);
    let mut shown = Vec::with_capacity(response.len() + 160);
    shown.extend_from_slice(status);
    write!(
        shown,
        "Access-Control-Allow-Origin: {reader}\r\nAccess-Control-Expose-Headers: Retry-After\r\nVary: Origin\r\n"
    )
    .expect("a Vec takes what is written to it");
    shown.extend_from_slice(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{
        head::{Limits, Parsed, parse},
        route::route,
    };

    #[test]
    fn preflights_ask_with_three_words() {
        let rows = [
            ("OPTIONS", "Origin: https://a\r\nAccess-Control-Request-Method: POST\r\n", true),
            ("OPTIONS", "Origin: https://a\r\n", false),
            ("OPTIONS", "Access-Control-Request-Method: POST\r\n", false),
            ("GET", "Origin: https://a\r\nAccess-Control-Request-Method: POST\r\n", false),
        ];
        for (method, headers, expected) in rows {
            let bytes = format!("{method} / HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            let Parsed::Complete { head, .. } = parse(bytes.as_bytes(), &Limits::default()) else {
                panic!("no head: {bytes}");
            };
            assert_eq!(is_preflight(&head), expected, "{method} {headers}");
        }
    }

    #[test]
    fn golden_answers() {
        let mut out = Vec::new();
        let keep = Framing { keep_alive: true, head_only: false };
        write_preflight(&mut out, route("/api/v1/publish", Method::Post).unwrap().operation, keep);
        let shown = String::from_utf8(shown_to("https://a.example", &out)).unwrap();
        assert_eq!(
            shown,
            "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://a.example\r\n\
             Access-Control-Expose-Headers: Retry-After\r\nVary: Origin\r\n\
             Access-Control-Allow-Methods: POST\r\n\
             Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, X-Ringway-Timestamp, \
             X-Ringway-Signature\r\nAccess-Control-Max-Age: 600\r\n\
             Vary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n\
             Connection: keep-alive\r\n\r\n"
        );
    }
}
