//! The bearer token of the `Authorization` header (RFC 6750 2.1). Whether it is any good, `auth` says.

use super::{fault::HttpFault, head::Head};
use crate::base::grammar::alphanumeric_or;

/// The token; `None` without the header or with another scheme: a browser behind a proxy's Basic
/// authentication may bring its token elsewhere.
///
/// # Errors
/// 400 when the header comes twice, or when `Bearer` is not followed by exactly one token of RFC 6750's syntax.
pub fn bearer<'b>(head: &Head<'b>) -> Result<Option<&'b str>, HttpFault> {
    let mut values = head.all("authorization");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(HttpFault::AUTHORIZATION);
    }
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = rest.trim_start_matches(' ');
    if is_b64token(token) { Ok(Some(token)) } else { Err(HttpFault::AUTHORIZATION) }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, and `|` among them, which Laravel Sanctum's
/// tokens have.
pub fn is_b64token(text: &str) -> bool {
    const DIGITS: [bool; 256] = alphanumeric_or(b"-._~+/|");
    let digits = text.trim_end_matches('=');
    !digits.is_empty() && digits.bytes().all(|byte| DIGITS[usize::from(byte)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Limits, Parsed, parse};

    #[test]
    fn authorization_headers() {
        const BAD: Result<Option<&str>, HttpFault> = Err(HttpFault::AUTHORIZATION);
        let rows: &[(&str, Result<Option<&str>, HttpFault>)] = &[
            ("", Ok(None)),
            ("Authorization: Bearer ey.J-h_b\r\n", Ok(Some("ey.J-h_b"))),
            ("authorization: BEARER  a+/~==\r\n", Ok(Some("a+/~=="))),
            ("Authorization: Bearer 12|abc\r\n", Ok(Some("12|abc"))),
            ("Authorization: Basic dTpw\r\n", Ok(None)),
            ("Authorization: Bearers a\r\n", Ok(None)),
            ("Authorization: Bearer\r\n", BAD),
            ("Authorization: Bearer =\r\n", BAD),
            ("Authorization: Bearer a=b\r\n", BAD),
            ("Authorization: Bearer a b\r\n", BAD),
            ("Authorization: Bearer a,b\r\n", BAD),
            ("Authorization: Bearer \"a\"\r\n", BAD),
            ("Authorization: Bearer ü\r\n", BAD),
            ("Authorization: Bearer a\r\nAuthorization: Bearer a\r\n", BAD),
            ("Authorization: Basic dTpw\r\nAuthorization: Bearer a\r\n", BAD),
        ];
        for (headers, expected) in rows {
            let bytes = format!("GET /ws HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            let Parsed::Complete { head, .. } = parse(bytes.as_bytes(), &Limits::default()) else {
                panic!("no head: {bytes}");
            };
            assert_eq!(bearer(&head), *expected, "{headers:?}");
        }
    }
}
