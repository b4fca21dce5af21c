//! The request target, taken apart (RFC 9112 3.2): path, query, and the authority of an absolute form.

use super::{fault::HttpFault, host::is_host};

/// Invariant: visible ASCII throughout; `path` begins with `/`, or is `*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target<'b> {
    pub(super) path: &'b str,
    pub(super) query: Option<&'b str>,
    /// Only the absolute form has one; it then stands in for `Host` (RFC 9112 3.2.2).
    pub(super) authority: Option<&'b str>,
}

/// Origin form, absolute form (`http`, `https`, `ws`, `wss`) and, where `asterisk` says that it is allowed, `*`.
/// The authority form (CONNECT), fragments and anything but visible ASCII are refused.
pub(super) fn parse(text: &str, asterisk: bool) -> Result<Target<'_>, HttpFault> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HttpFault::TARGET);
    }
    if text.starts_with('/') {
        let (path, query) = split_query(text);
        return Ok(Target { path, query, authority: None });
    }
    if text == "*" && asterisk {
        return Ok(Target { path: "*", query: None, authority: None });
    }
    let (scheme, rest) = text.split_once("://").ok_or(HttpFault::TARGET)?;
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(HttpFault::TARGET);
    }
    let (authority, origin) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || !is_host(authority) {
        return Err(HttpFault::HOST_INVALID);
    }
    let (path, query) = split_query(origin);
    Ok(Target { path: if path.is_empty() { "/" } else { path }, query, authority: Some(authority) })
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let target = |path, query, authority| Ok(Target { path, query, authority });
        let rows: &[(&str, Result<Target<'_>, HttpFault>)] = &[
            ("/", target("/", None, None)),
            ("/ws?token=a", target("/ws", Some("token=a"), None)),
            ("/ws?", target("/ws", Some(""), None)),
            ("/a?b?c", target("/a", Some("b?c"), None)),
            ("//a/b", target("//a/b", None, None)),
            ("/a%2Fb", target("/a%2Fb", None, None)),
            ("http://h:1/ws?x", target("/ws", Some("x"), Some("h:1"))),
            ("HTTP://h", target("/", None, Some("h"))),
            ("wss://h?x", target("/", Some("x"), Some("h"))),
            ("*", target("*", None, None)),
            ("", Err(HttpFault::TARGET)),
            ("ws", Err(HttpFault::TARGET)),
            ("h:443", Err(HttpFault::TARGET)),
            ("ftp://h/", Err(HttpFault::TARGET)),
            ("http:/h/", Err(HttpFault::TARGET)),
            ("http://", Err(HttpFault::HOST_INVALID)),
            ("http:///ws", Err(HttpFault::HOST_INVALID)),
            ("http://u@h/ws", Err(HttpFault::HOST_INVALID)),
            ("/a#b", Err(HttpFault::TARGET)),
            ("/a\u{7f}", Err(HttpFault::TARGET)),
            ("/ü", Err(HttpFault::TARGET)),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text, true), *expected, "{text:?}");
        }
        assert_eq!(parse("*", false), Err(HttpFault::TARGET));
    }
}
