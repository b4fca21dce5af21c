//! The syntax of a host: what may stand in `Host` and in an absolute target (RFC 9112 3.2, RFC 3986 3.2.2).

use std::net::Ipv6Addr;

/// Whether `text` is `host [":" port]`: a name of letters, digits, `.`, `-`, `_`, `~`, an IPv4 address, or an
/// IPv6 address in brackets. An empty name is allowed, as the grammar does, for probes that send `Host:`.
///
/// Narrower than RFC 3986: percent escapes and punctuation of registered names, user information and address
/// forms of the future are refused. No gateway is reached by them, and parsers disagree about them.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => ("", port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    host.bytes().all(is_name_byte) && is_port(port)
}

/// Nothing, or `:` and at most a `u16` in digits; the digits may be missing (RFC 3986 3.2.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some("") => true,
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let good = [
            "",
            "a",
            "example.com",
            "example.com:8080",
            "example.com:",
            "127.0.0.1:1",
            "my_host-1",
            "[::1]",
            "[::1]:443",
            "[2001:db8::1]:65535",
        ];
        let bad = [
            "a b",
            "a@b",
            "user:pw@host",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "a:b",
            "a:1:2",
            "a:65536",
            "a:+1",
            "a:-1",
            "[::1",
            "::1",
            "[::1]x",
            "[g::1]",
            "[::1]:x",
            "[v1.a]",
            "a%41",
            "é.com",
            "a\\b",
            "<a>",
        ];
        for text in good {
            assert!(is_host(text), "{text:?}");
        }
        for text in bad {
            assert!(!is_host(text), "{text:?}");
        }
    }
}
