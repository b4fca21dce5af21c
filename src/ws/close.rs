//! Close codes and the payload of a close frame (RFC 6455 5.5.1 and 7.4).
//! Owns which codes may travel; when to send which is the business of the layers above.

use super::DecodeError;

/// The purpose of the connection is fulfilled.
pub const NORMAL: u16 = 1000;
/// The endpoint goes away.
pub const GOING_AWAY: u16 = 1001;
/// Bytes that break RFC 6455.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A kind of message that the endpoint does not take.
pub const UNSUPPORTED_DATA: u16 = 1003;
/// Never sent: stands for a close frame without a code.
pub const NO_STATUS: u16 = 1005;
/// Never sent: stands for a connection that ended without a close frame.
pub const ABNORMAL: u16 = 1006;
/// Text that is not UTF-8, or data that does not inflate.
pub const INVALID_PAYLOAD: u16 = 1007;
/// A message against the endpoint's policy.
pub const POLICY_VIOLATION: u16 = 1008;
/// A message too big to process.
pub const MESSAGE_TOO_BIG: u16 = 1009;
/// A client misses an extension in the server's answer.
pub const EXTENSION_MISSING: u16 = 1010;
/// The server met an unexpected condition.
pub const INTERNAL_ERROR: u16 = 1011;
/// The server restarts.
pub const SERVICE_RESTART: u16 = 1012;
/// Over capacity: try again later.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// Never sent: stands for a failed TLS handshake.
pub const TLS_FAILED: u16 = 1015;
/// Authentication failed or expired.
pub const UNAUTHENTICATED: u16 = 4401;
/// Tenant, origin or account is not allowed.
pub const FORBIDDEN: u16 = 4403;
/// No authentication within the time limit, or no sign of life.
pub const TIMEOUT: u16 = 4408;
/// Disconnected by the server API.
pub const DISCONNECTED: u16 = 4409;
/// The rate limit was exceeded repeatedly.
pub const RATE_LIMITED: u16 = 4429;
/// The outbox was full.
pub const SLOW_CONSUMER: u16 = 4430;

/// What a peer said when it closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseReason<'a> {
    /// A code that [`may travel`](is_sendable).
    pub code: u16,
    /// At most 123 bytes.
    pub text: &'a str,
}

/// Whether a close frame may carry `code`: those that IANA registered for the wire (1000–1003, 1007–1014),
/// those of libraries (3000–3999) and of applications (4000–4999).
pub fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the payload of a close frame; an empty one has no reason.
pub(super) fn parse(payload: &[u8]) -> Result<Option<CloseReason<'_>>, DecodeError> {
    let Some((code, text)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(DecodeError::CloseTruncated) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_sendable(code) {
        return Err(DecodeError::CloseCode { code });
    }
    let text = str::from_utf8(text).map_err(|_| DecodeError::InvalidUtf8)?;
    Ok(Some(CloseReason { code, text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_travel() {
        let ranges = [(1000, 1003), (1007, 1014), (3000, 4999)];
        for code in 0..=u16::MAX {
            let expected = ranges.iter().any(|&(first, last)| (first..=last).contains(&code));
            assert_eq!(is_sendable(code), expected, "{code}");
        }
    }

    #[test]
    fn payloads() {
        type Row = (&'static [u8], Result<Option<(u16, &'static str)>, DecodeError>);
        let rows: [Row; 8] = [
            (b"", Ok(None)),
            (b"\x03", Err(DecodeError::CloseTruncated)),
            (b"\x03\xe8", Ok(Some((1000, "")))),
            (b"\x03\xe8bye", Ok(Some((1000, "bye")))),
            (b"\x11\x31", Ok(Some((4401, "")))),
            (b"\x03\xed", Err(DecodeError::CloseCode { code: 1005 })),
            (b"\x03\xe8\xff", Err(DecodeError::InvalidUtf8)),
            (b"\x03\xe8\xce", Err(DecodeError::InvalidUtf8)),
        ];
        for (payload, expected) in rows {
            let found = parse(payload).map(|reason| reason.map(|reason| (reason.code, reason.text)));
            assert_eq!(found, expected, "{payload:02x?}");
        }
    }
}
