//! The opening handshake of RFC 6455, section 4: the key in, the answer out; every other header is ignored.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_HEADER: &str = "sec-websocket-key";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What the start of a connection holds.
pub(crate) enum Head {
    Incomplete,
    /// Not an upgrade.
    Refused,
    Upgrade {
        answer: String,
        /// Bytes of the request.
        len: usize,
    },
}

/// Reads the request at the start of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Head {
    let Some(end) = bytes.windows(HEAD_END.len()).position(|it| it == HEAD_END) else {
        return Head::Incomplete;
    };
    let Some(key) = str::from_utf8(&bytes[..end]).ok().and_then(key) else { return Head::Refused };
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Head::Upgrade { answer, len: end + HEAD_END.len() }
}

fn key(head: &str) -> Option<&str> {
    let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
    headers.find(|(name, _)| name.eq_ignore_ascii_case(KEY_HEADER)).map(|(_, value)| value.trim())
}
