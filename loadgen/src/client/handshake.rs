//! The client's side of the upgrade (RFC 6455, 4.1): the request, and whether the answer accepts it.

use base64::{Engine, prelude::BASE64_STANDARD};
use ringway::ws::handshake::accept_key;

use crate::protocol::Upgrade;

/// A longer response head is refused.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// Where the response stands.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Response {
    /// The head goes on.
    Partial,
    /// Accepted; frames follow after `head_bytes`.
    Accepted { head_bytes: usize },
    /// Not accepted, and why.
    Refused(String),
}

/// The value of `Sec-WebSocket-Key`; drawn from a number, so that nobody has to keep it.
pub(crate) fn key(number: u64) -> String {
    let mut nonce = [0; 16];
    fastrand::Rng::with_seed(number).fill(&mut nonce);
    BASE64_STANDARD.encode(nonce)
}

/// Appends the upgrade request. The token goes into a header, where proxies do not log it.
pub(crate) fn write_request(
    out: &mut Vec<u8>,
    host: &str,
    upgrade: &Upgrade,
    key: &str,
    token: Option<&str>,
) {
    let mut line = |parts: &[&str]| {
        parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        out.extend_from_slice(b"\r\n");
    };
    line(&["GET ", &upgrade.path, " HTTP/1.1"]);
    line(&["Host: ", host]);
    line(&["Upgrade: websocket"]);
    line(&["Connection: Upgrade"]);
    line(&["Sec-WebSocket-Version: 13"]);
    line(&["Sec-WebSocket-Key: ", key]);
    line(&["User-Agent: ringway-loadgen/", env!("CARGO_PKG_VERSION")]);
    if let Some(subprotocol) = upgrade.subprotocol {
        line(&["Sec-WebSocket-Protocol: ", subprotocol]);
    }
    if let Some(token) = token {
        line(&["Authorization: Bearer ", token]);
    }
    line(&[]);
}

/// Reads the response to the request that carried `key` and offered `subprotocol`.
pub(crate) fn read_response(bytes: &[u8], key: &str, subprotocol: Option<&str>) -> Response {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => {
            return Response::Refused("the response head is too long".to_owned());
        }
        Ok(httparse::Status::Partial) => return Response::Partial,
        Err(error) => return Response::Refused(format!("the answer is no HTTP response: {error}")),
    };
    let code = response.code.unwrap_or_default();
    if code != 101 {
        return Response::Refused(
            format!("HTTP {code} {}", response.reason.unwrap_or_default()).trim_end().to_owned(),
        );
    }
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let has_token = |name: &str, token: &str| {
        value(name).is_some_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
    };
    if !has_token("Upgrade", "websocket") || !has_token("Connection", "upgrade") {
        return Response::Refused("101 without upgrade to websocket".to_owned());
    }
    if value("Sec-WebSocket-Accept") != Some(accept_key(key).as_str()) {
        return Response::Refused("101 with a wrong Sec-WebSocket-Accept".to_owned());
    }
    // A server that takes none of those offered says nothing; whether that will do, its messages show.
    let chosen = value("Sec-WebSocket-Protocol");
    if value("Sec-WebSocket-Extensions").is_some() || chosen.is_some() && chosen != subprotocol {
        return Response::Refused("101 with an extension or subprotocol that was not offered".to_owned());
    }
    Response::Accepted { head_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and accept value of RFC 6455, 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn the_request_is_golden() {
        let upgrade =
            Upgrade { path: "/ws?x=1".to_owned(), subprotocol: Some("ringway.relay.v1"), bearer: true };
        let mut out = Vec::new();
        write_request(&mut out, "h:8080", &upgrade, KEY, Some("a.b.c"));
        let expected = concat!(
            "GET /ws?x=1 HTTP/1.1\r\nHost: h:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "User-Agent: ringway-loadgen/",
            env!("CARGO_PKG_VERSION"),
            "\r\nSec-WebSocket-Protocol: ringway.relay.v1\r\nAuthorization: Bearer a.b.c\r\n\r\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn keys_are_sixteen_bytes_and_differ() {
        assert_ne!(key(1), key(2));
        assert_eq!(key(1), key(1));
        assert_eq!(BASE64_STANDARD.decode(key(1)).unwrap().len(), 16);
    }

    #[test]
    fn the_answer_may_come_in_any_pieces() {
        let with_frame = [ACCEPTED.as_bytes(), &[0x81, 0x00]].concat();
        for cut in 0..ACCEPTED.len() {
            assert_eq!(read_response(&with_frame[..cut], KEY, None), Response::Partial, "{cut}");
        }
        assert_eq!(read_response(&with_frame, KEY, None), Response::Accepted { head_bytes: ACCEPTED.len() });
        assert_eq!(
            read_response(&with_frame, KEY, Some("a")),
            Response::Accepted { head_bytes: ACCEPTED.len() }
        );
    }

    #[test]
    fn refusals_say_why() {
        let rows = [
            ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned(), "HTTP 401 Unauthorized"),
            ("HTTP/1.1 503\r\n\r\n".to_owned(), "HTTP 503"),
            ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), "the answer is no HTTP response: invalid HTTP version"),
            (ACCEPTED.replace("s3pP", "S3pP"), "101 with a wrong Sec-WebSocket-Accept"),
            (ACCEPTED.replace("WebSocket\r", "h2c\r"), "101 without upgrade to websocket"),
            (
                ACCEPTED.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
                "101 with an extension or subprotocol that was not offered",
            ),
            (
                ACCEPTED.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a\r\n\r\n"),
                "101 with an extension or subprotocol that was not offered",
            ),
            (
                format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX)),
                "the response head is too long",
            ),
        ];
        for (response, why) in rows {
            assert_eq!(
                read_response(response.as_bytes(), KEY, Some("b")),
                Response::Refused(why.to_owned()),
                "{response}"
            );
        }
    }
}
