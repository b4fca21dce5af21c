//! Responses as bytes, appended to the caller's buffer.
//!
//! Every response has a length, so that the connection can go on after it; what `HEAD` asks for has the
//! length and no body. `Date` is left to proxies: the pure layers have no clock, and nothing here is cached.

use std::io::Write;

use serde::Serialize;

use super::{
    fault::HttpFault,
    head::{Body, Head, Method},
};
use crate::model::Fault;

pub const JSON: &str = "application/json";

/// A response before it is framed for its request.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    pub status: u16,
    pub content_type: &'a str,
    /// Beside the ones that every response has. Invariant: no line ends in names or values.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// What the request asks of any response to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framing {
    /// Whether another request may follow; if not, the caller closes when the response is written.
    pub keep_alive: bool,
    /// The answer to `HEAD`: everything but the body.
    pub head_only: bool,
}

impl Framing {
    /// For requests that could not be read.
    pub const CLOSE: Self = Self { keep_alive: false, head_only: false };

    /// As the request wants it. A body that nobody reads would be taken for the next request: then it closes.
    pub fn of(head: &Head<'_>) -> Self {
        Self {
            keep_alive: head.keep_alive && head.body == Body::None,
            head_only: head.method == Method::Head,
        }
    }
}

impl<'a> Response<'a> {
    /// A JSON response; `body` is the JSON text.
    pub fn json(status: u16, body: &'a [u8]) -> Self {
        Self { status, content_type: JSON, headers: &[], body }
    }

    /// Appends the response. JSON says of itself that it is not to be stored: it is about this moment.
    pub fn write(&self, out: &mut Vec<u8>, framing: Framing) {
        debug_assert!(
            self.headers.iter().all(|(name, value)| !name.contains(['\r', '\n']) && is_value(value))
        );
        out.reserve(256 + self.body.len());
        put(out, format_args!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)));
        put(out, format_args!("Content-Type: {}\r\n", self.content_type));
        put(out, format_args!("Content-Length: {}\r\n", self.body.len()));
        if self.content_type == JSON {
            out.extend_from_slice(b"Cache-Control: no-store\r\n");
        }
        for (name, value) in self.headers {
            put(out, format_args!("{name}: {value}\r\n"));
        }
        end_head(out, framing);
        if !framing.head_only {
            out.extend_from_slice(self.body);
        }
    }
}

/// Appends a fault with its JSON body, `{"error":{"code","message"}}`.
pub fn write_fault(out: &mut Vec<u8>, fault: &HttpFault, framing: Framing) {
    let body = refusal(fault.code, fault.message, None);
    Response { headers: fault.headers, ..Response::json(fault.status, &body) }.write(out, framing);
}

/// Appends the refusal of something that was asked, in the same form.
pub fn write_refusal(out: &mut Vec<u8>, fault: &Fault, framing: Framing) {
    let body = refusal(fault.code.as_str(), &fault.message, fault.retry_after_ms);
    let after_s = fault.retry_after_ms.map(|ms| ms.div_ceil(1_000).to_string());
    let retry = after_s.as_deref().map(|seconds| ("Retry-After", seconds));
    Response { headers: retry.as_slice(), ..Response::json(fault.code.status(), &body) }.write(out, framing);
}

/// Appends a response that says all that it has to say in its headers.
pub fn write_no_content(out: &mut Vec<u8>, headers: &[(&str, &str)], framing: Framing) {
    put(out, format_args!("HTTP/1.1 204 {}\r\n", reason(204)));
    for (name, value) in headers {
        put(out, format_args!("{name}: {value}\r\n"));
    }
    end_head(out, framing);
}

/// Appends the head of a response that comes in chunks.
pub fn begin_chunked(out: &mut Vec<u8>, content_type: &str, framing: Framing) {
    put(out, format_args!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n"));
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\nCache-Control: no-store\r\n");
    end_head(out, framing);
}

/// Appends a chunk; nothing is none, since an empty one would be the end.
pub fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        put(out, format_args!("{:x}\r\n", data.len()));
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the end of a response that came in chunks.
pub fn end_chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// What tells a client that waits for it to send its body (RFC 9110 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends the 101 that ends HTTP on a connection (RFC 6455 4.2.2).
///
/// `accept_key` is the hashed key; `protocol` and `extensions` are what was chosen from the offers. Plain
/// copies: a reconnect storm passes here.
pub fn switching_protocols(
    out: &mut Vec<u8>,
    accept_key: &str,
    protocol: Option<&str>,
    extensions: Option<&str>,
) {
    debug_assert!([Some(accept_key), protocol, extensions].into_iter().flatten().all(is_value));
    out.reserve(256);
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(accept_key.as_bytes());
    if let Some(protocol) = protocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
    }
    if let Some(extensions) = extensions {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        out.extend_from_slice(extensions.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

fn refusal(code: &str, message: &str, retry_after_ms: Option<u64>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: Error<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Error<'a> {
        code: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    let body = Body { error: Error { code, message, retry_after_ms } };
    sonic_rs::to_vec(&body).expect("strings and numbers can always be written as JSON")
}

fn end_head(out: &mut Vec<u8>, framing: Framing) {
    let connection: &[u8] =
        if framing.keep_alive { b"Connection: keep-alive\r\n\r\n" } else { b"Connection: close\r\n\r\n" };
    out.extend_from_slice(connection);
}

fn is_value(text: &str) -> bool {
    !text.contains(['\r', '\n'])
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes what is written to it");
}

/// The reason phrase; empty, as RFC 9112 4 allows, for a status that the gateway has no use for.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn golden_responses() {
        let keep = Framing { keep_alive: true, head_only: false };
        let json = Response::json(200, b"{}");
        assert_eq!(
            written(|out| json.write(out, keep)),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
             Cache-Control: no-store\r\nConnection: keep-alive\r\n\r\n{}"
        );
        assert_eq!(
            written(|out| json.write(out, Framing { head_only: true, ..keep })),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
             Cache-Control: no-store\r\nConnection: keep-alive\r\n\r\n"
        );
        let text = Response { status: 503, content_type: "text/plain", headers: &[("A", "b")], body: b"x\n" };
        assert_eq!(
            written(|out| text.write(out, Framing::CLOSE)),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nA: b\r\n\
             Connection: close\r\n\r\nx\n"
        );
        assert_eq!(
            written(|out| write_fault(out, &HttpFault::NOT_FOUND, keep)),
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 72\r\n\
             Cache-Control: no-store\r\nConnection: keep-alive\r\n\r\n\
             {\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing at this path\"}}"
        );
        let bytes = written(|out| write_fault(out, &HttpFault::UPGRADE_REQUIRED, Framing::CLOSE));
        assert!(bytes.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{bytes}");
        assert!(
            bytes
                .contains("\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n")
        );
    }

    /// The example of RFC 6455 1.3.
    #[test]
    fn golden_101() {
        let key = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(
            written(|out| switching_protocols(out, key, Some("chat"), None)),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        );
        assert_eq!(
            written(|out| switching_protocols(out, key, None, Some("permessage-deflate"))),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
    }
}
