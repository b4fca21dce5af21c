//! The WebSocket opening handshake as the server reads it (RFC 6455 4.2.1), and what its subprotocols say.
//! Computes no accept key and negotiates no extension: those are the WebSocket layer's.

use super::{
    fault::HttpFault,
    head::{Body, Head, Method, Version},
};
use crate::base::grammar::is_token;

/// The subprotocol of JSON v1.
pub const JSON_V1: &str = "ringway.json.v1";

/// The subprotocol of relay v1.
pub const RELAY_V1: &str = "ringway.relay.v1";

/// What stands before a token that a browser hands over as a subprotocol, for want of headers.
const BEARER_PREFIX: &str = "ringway.bearer.";

/// A request that may be answered with 101. It does not print: its token might.
#[derive(Clone, Copy)]
pub struct Upgrade<'h> {
    /// `Sec-WebSocket-Key`, as it came.
    pub key: &'h str,
    /// The token of the `ringway.bearer.<token>` entry. Never log it.
    pub bearer: Option<&'h str>,
    head: &'h Head<'h>,
}

/// Checks that `head` asks for a WebSocket and may have one.
///
/// # Errors
/// 426 with the headers that say what is wanted, when the request is none for a WebSocket or asks for another
/// version; 405 for another method than GET; 400 for a broken handshake.
pub fn check<'h>(head: &'h Head<'h>) -> Result<Upgrade<'h>, HttpFault> {
    if head.method != Method::Get {
        return Err(HttpFault::METHOD_GET);
    }
    if !head.has_element("upgrade", "websocket") {
        return Err(HttpFault::UPGRADE_REQUIRED);
    }
    if head.version != Version::Http11 {
        return Err(HttpFault::UPGRADE_HTTP_10);
    }
    if !head.has_element("connection", "upgrade") {
        return Err(HttpFault::UPGRADE_NOT_CONNECTED);
    }
    if only(head, "sec-websocket-version") != Some("13") {
        return Err(HttpFault::UPGRADE_VERSION);
    }
    // What follows the head are frames; bytes of a body would be taken for them.
    if head.body != Body::None {
        return Err(HttpFault::UPGRADE_BODY);
    }
    let key = only(head, "sec-websocket-key").filter(|key| is_key(key)).ok_or(HttpFault::UPGRADE_KEY)?;
    Ok(Upgrade { key, bearer: check_protocols(head)?, head })
}

impl<'h> Upgrade<'h> {
    /// The whole `ringway.bearer.<token>` entry.
    pub fn bearer_entry(&self) -> Option<&'h str> {
        self.protocols().find(|offered| offered.starts_with(BEARER_PREFIX))
    }

    /// The offered subprotocols, in the client's order of preference.
    pub fn protocols(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        self.head.elements("sec-websocket-protocol")
    }

    /// The values of `Sec-WebSocket-Extensions`, one per header line, each a list of offers.
    pub fn extensions(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        self.head.all("sec-websocket-extensions")
    }
}

/// Every offer is a token; returns the one that carries a bearer token.
fn check_protocols<'h>(head: &Head<'h>) -> Result<Option<&'h str>, HttpFault> {
    let mut bearer = None;
    for protocol in head.elements("sec-websocket-protocol") {
        if !is_token(protocol) {
            return Err(HttpFault::UPGRADE_PROTOCOL);
        }
        if let Some(token) = protocol.strip_prefix(BEARER_PREFIX)
            && bearer.replace(token).is_some()
        {
            return Err(HttpFault::UPGRADE_PROTOCOL);
        }
    }
    Ok(bearer)
}

/// The value of a header that comes exactly once.
fn only<'h>(head: &Head<'h>, name: &str) -> Option<&'h str> {
    let mut values = head.all(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// 16 bytes in base64: 22 digits and two signs of padding. The last digit's spare bits may be anything; RFC
/// 6455 hashes the text, not the bytes.
fn is_key(text: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(text.as_bytes(), [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Limits, Parsed, parse};

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const ASKS: &str =
        "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n";

    fn with<T>(line: &str, headers: &str, look: impl FnOnce(Result<Upgrade<'_>, HttpFault>) -> T) -> T {
        let bytes = format!("{line}\r\nHost: h\r\n{headers}\r\n");
        let Parsed::Complete { head, .. } = parse(bytes.as_bytes(), &Limits::default()) else {
            panic!("no head: {bytes}");
        };
        look(check(&head))
    }

    fn fault(line: &str, headers: &str) -> Option<HttpFault> {
        with(line, headers, |result| result.err())
    }

    #[test]
    fn handshakes() {
        const GET: &str = "GET /ws HTTP/1.1";
        let good = format!("{ASKS}{KEY}");
        let rows: &[(&str, String, Option<HttpFault>)] = &[
            (GET, good.clone(), None),
            (GET, format!("{good}Content-Length: 0\r\n"), None),
            (GET, good.replace("keep-alive, Upgrade", "x\r\nConnection: UPGRADE"), None),
            (GET, good.replace("WebSocket\r\n", "h2c, websocket\r\n"), None),
            (GET, String::new(), Some(HttpFault::UPGRADE_REQUIRED)),
            (GET, "Connection: Upgrade\r\nUpgrade: h2c\r\n".into(), Some(HttpFault::UPGRADE_REQUIRED)),
            ("POST /ws HTTP/1.1", good.clone(), Some(HttpFault::METHOD_GET)),
            ("HEAD /ws HTTP/1.1", good.clone(), Some(HttpFault::METHOD_GET)),
            ("GET /ws HTTP/1.0", good.clone(), Some(HttpFault::UPGRADE_HTTP_10)),
            (GET, good.replace(", Upgrade", ""), Some(HttpFault::UPGRADE_NOT_CONNECTED)),
            (GET, good.replace("13", "8"), Some(HttpFault::UPGRADE_VERSION)),
            (GET, good.replace("13", "13, 8"), Some(HttpFault::UPGRADE_VERSION)),
            (GET, good.replace("Version: 13", "Versions: 13"), Some(HttpFault::UPGRADE_VERSION)),
            (GET, format!("{ASKS}Sec-WebSocket-Version: 13\r\n{KEY}"), Some(HttpFault::UPGRADE_VERSION)),
            (GET, ASKS.into(), Some(HttpFault::UPGRADE_KEY)),
            (GET, format!("{good}{KEY}"), Some(HttpFault::UPGRADE_KEY)),
            (GET, good.replace("ZQ==", "ZQ="), Some(HttpFault::UPGRADE_KEY)),
            (GET, good.replace("ZQ==", "ZQQ="), Some(HttpFault::UPGRADE_KEY)),
            (GET, good.replace("dGhl", "dGh_"), Some(HttpFault::UPGRADE_KEY)),
            (GET, good.replace("dGhl", "dGhlAAAA"), Some(HttpFault::UPGRADE_KEY)),
            (GET, format!("{good}Content-Length: 3\r\n"), Some(HttpFault::UPGRADE_BODY)),
            (GET, format!("{good}Transfer-Encoding: chunked\r\n"), Some(HttpFault::UPGRADE_BODY)),
            (GET, format!("{good}Sec-WebSocket-Protocol: a b\r\n"), Some(HttpFault::UPGRADE_PROTOCOL)),
            (GET, format!("{good}Sec-WebSocket-Protocol: a, \"b\"\r\n"), Some(HttpFault::UPGRADE_PROTOCOL)),
            (
                GET,
                format!("{good}Sec-WebSocket-Protocol: ringway.bearer.a, ringway.bearer.b\r\n"),
                Some(HttpFault::UPGRADE_PROTOCOL),
            ),
        ];
        for (line, headers, expected) in rows {
            assert_eq!(fault(line, headers), *expected, "{line} {headers:?}");
        }
    }

    #[test]
    fn what_the_client_offers() {
        let headers = format!(
            "{ASKS}{KEY}Sec-WebSocket-Protocol: ringway.json.v1, ringway.bearer.ey.J-h_b\r\n\
             Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Extensions: permessage-deflate; a=1, x\r\n\
             Sec-WebSocket-Extensions: y\r\n"
        );
        with("GET /ws HTTP/1.1", &headers, |upgrade| {
            let upgrade = upgrade.unwrap();
            assert_eq!(upgrade.key, "dGhlIHNhbXBsZSBub25jZQ==");
            assert_eq!(upgrade.bearer, Some("ey.J-h_b"));
            assert_eq!(
                upgrade.protocols().collect::<Vec<_>>(),
                [JSON_V1, "ringway.bearer.ey.J-h_b", "other"]
            );
            assert_eq!(upgrade.extensions().collect::<Vec<_>>(), ["permessage-deflate; a=1, x", "y"]);
        });
    }

    #[test]
    fn a_426_says_what_is_wanted() {
        for fault in [HttpFault::UPGRADE_REQUIRED, HttpFault::UPGRADE_VERSION] {
            assert_eq!(fault.status, 426);
            assert_eq!(fault.headers, [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]);
        }
    }
}
