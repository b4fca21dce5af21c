//! Origins of web pages (RFC 6454), and which of them may use the gateway: for upgrades, which browsers let every page
//! make, and for answers, which they show to the pages that CORS names.
//!
//! Owns the syntax of `cors.origins` and the comparison. Invariant: what is not an origin is equal to none, and only
//! `*` allows it.

use std::{fmt, net::IpAddr, str::FromStr};

use super::head::Head;

/// One entry of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AllowedOrigin {
    /// `*`: every origin, also what is none.
    Any,
    /// `localhost`: every page of the machine that the browser runs on, whatever its port.
    Localhost,
    /// `null`: pages without an origin, such as files and sandboxed frames.
    Opaque,
    /// `https://app.example.com`
    Exact(Origin),
    /// `https://*.example.com`: every host below that one, and not itself.
    Below(Origin),
}

/// Scheme, host and port, in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    scheme: Box<str>,
    /// As in a URL: an IPv6 address stands in brackets.
    host: Box<str>,
    /// Also where the text leaves it to the scheme; `None` where the scheme has none.
    port: Option<u16>,
}

/// What is no entry of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoOrigin;

/// The origins that are allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins(Box<[AllowedOrigin]>);

impl Origins {
    pub fn new(allowed: impl IntoIterator<Item = AllowedOrigin>) -> Self {
        Self(allowed.into_iter().collect())
    }

    /// Whether a page of this origin may use the gateway.
    pub fn allow(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed.includes(origin))
    }

    /// Whether a request may come from where it says. One that does not say comes from no page.
    pub fn admit(&self, head: &Head<'_>) -> bool {
        let mut origins = head.all("origin");
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => self.allow(origin),
            (Some(_), Some(_)) => false,
        }
    }

    /// What the answer to a request has to name so that the page that asks may read it; nothing where none asks or it
    /// may not.
    pub fn reader<'h>(&self, head: &Head<'h>) -> Option<&'h str> {
        let origin = head.all("origin").next()?;
        match self.admit(head) {
            true if self.0.contains(&AllowedOrigin::Any) => Some("*"),
            true => Some(origin),
            false => None,
        }
    }
}

impl AllowedOrigin {
    fn includes(&self, text: &str) -> bool {
        let parsed = || Origin::parse(text);
        match self {
            Self::Any => true,
            Self::Opaque => text == "null",
            Self::Localhost => parsed().is_some_and(|origin| origin.is_local()),
            Self::Exact(own) => parsed().is_some_and(|origin| origin == *own),
            Self::Below(own) => parsed().is_some_and(|origin| origin.is_below(own)),
        }
    }

    /// Whether production refuses it: anybody's pages, or those of the visitor's own machine.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Any | Self::Localhost => true,
            Self::Opaque => false,
            Self::Exact(origin) | Self::Below(origin) => origin.is_local(),
        }
    }
}

impl Origin {
    /// `scheme://host` or `scheme://host:port`, and nothing behind it.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let scheme = scheme.to_ascii_lowercase();
        let host_len = match authority.find(']') {
            Some(end) => end + 1,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, port) = authority.split_at(host_len);
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let port = match (port.strip_prefix(':'), scheme.as_str()) {
            (Some(digits), _) if is_digits(digits) => Some(digits.parse().ok()?),
            (Some(_), _) => return None,
            (None, _) if !port.is_empty() => return None,
            (None, "http" | "ws") => Some(80),
            (None, "https" | "wss") => Some(443),
            (None, _) => None,
        };
        (is_scheme && is_host(host)).then(|| Self {
            scheme: scheme.into(),
            host: host.to_ascii_lowercase().into(),
            port,
        })
    }

    fn is_below(&self, parent: &Self) -> bool {
        let label = self.host.strip_suffix(&*parent.host).and_then(|rest| rest.strip_suffix('.'));
        (&self.scheme, self.port) == (&parent.scheme, parent.port)
            && label.is_some_and(|label| !label.is_empty() && !label.starts_with('.'))
    }

    /// Names that browsers take for their own machine, and its addresses.
    fn is_local(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.ends_with(".localhost")
            || bare.parse().is_ok_and(|address: IpAddr| {
                let address = address.to_canonical();
                address.is_loopback() || address.is_unspecified()
            })
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_byte)
}

impl FromStr for AllowedOrigin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        match (text, text.split_once("://*.")) {
            ("*", _) => Ok(Self::Any),
            ("localhost", _) => Ok(Self::Localhost),
            ("null", _) => Ok(Self::Opaque),
            (_, Some((scheme, parent))) => {
                let parent = Origin::parse(&format!("{scheme}://{parent}")).ok_or(NoOrigin)?;
                // Below an address is nothing.
                if parent.host.starts_with('[') || parent.host.parse::<IpAddr>().is_ok() {
                    return Err(NoOrigin);
                }
                Ok(Self::Below(parent))
            }
            (text, None) => Origin::parse(text).map(Self::Exact).ok_or(NoOrigin),
        }
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let put = |f: &mut fmt::Formatter<'_>, below: &str, origin: &Origin| {
            let Origin { scheme, host, port } = origin;
            write!(f, "{scheme}://{below}{host}")?;
            match (&**scheme, port) {
                ("http" | "ws", Some(80)) | ("https" | "wss", Some(443)) | (_, None) => Ok(()),
                (_, Some(port)) => write!(f, ":{port}"),
            }
        };
        match self {
            Self::Any => f.write_str("*"),
            Self::Localhost => f.write_str("localhost"),
            Self::Opaque => f.write_str("null"),
            Self::Exact(origin) => put(f, "", origin),
            Self::Below(origin) => put(f, "*.", origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Limits, Parsed, parse};

    fn origins(list: &[&str]) -> Origins {
        Origins::new(list.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn who_is_allowed() {
        let rows: &[(&[&str], &[&str], &[&str])] = &[
            (&[], &[], &["https://a.example", "null", "", "http://localhost"]),
            (&["*"], &["https://a.example", "null", "http://x:1", "not an origin", ""], &[]),
            (
                &["https://App.example.com"],
                &["https://app.example.com", "https://app.example.com:443", "HTTPS://APP.EXAMPLE.COM"],
                &[
                    "http://app.example.com",
                    "https://app.example.com:8443",
                    "https://app.example.com.evil.example",
                    "https://evil.example/app.example.com",
                    "https://app.example.com/",
                    "https://user@app.example.com",
                    "https://app.example.com https://app.example.com",
                    "https://app.example.com.",
                    "https://xapp.example.com",
                    "app.example.com",
                    "null",
                ],
            ),
            (
                &["https://*.example.com", "http://a.test:8080"],
                &["https://a.example.com", "https://a.b.example.com", "http://a.test:8080"],
                &[
                    "https://example.com",
                    "https://.example.com",
                    "https://..example.com",
                    "https://evilexample.com",
                    "https://a.example.com:444",
                    "http://a.example.com",
                    "http://a.test",
                ],
            ),
            (
                &["localhost"],
                &[
                    "http://localhost",
                    "https://localhost:3000",
                    "http://app.localhost:5173",
                    "http://127.0.0.1:8080",
                    "http://127.1.2.3",
                    "http://[::1]:8080",
                    "http://[::ffff:127.0.0.1]",
                    "tauri://localhost",
                ],
                &[
                    "http://localhost.evil.example",
                    "http://evillocalhost",
                    "http://10.0.0.1",
                    "http://[2001:db8::1]",
                    "localhost",
                    "null",
                ],
            ),
            (&["null", "capacitor://app"], &["null", "capacitor://app"], &["capacitor://app:1", "Null"]),
        ];
        for (list, good, bad) in rows {
            let origins = origins(list);
            for origin in *good {
                assert!(origins.allow(origin), "{list:?} {origin}");
            }
            for origin in *bad {
                assert!(!origins.allow(origin), "{list:?} {origin}");
            }
        }
    }

    #[test]
    fn entries_are_shown_as_they_can_be_read_again() {
        let rows = [
            ("*", "*", true),
            ("null", "null", false),
            ("localhost", "localhost", true),
            ("HTTPS://A.example:443", "https://a.example", false),
            ("http://*.A.example:80", "http://*.a.example", false),
            ("http://[::1]:81", "http://[::1]:81", true),
            ("https://127.0.0.1", "https://127.0.0.1", true),
            ("https://*.localhost:1", "https://*.localhost:1", true),
            ("app+x://host:9", "app+x://host:9", false),
        ];
        for (text, shown, is_weak) in rows {
            let allowed: AllowedOrigin = text.parse().unwrap();
            assert_eq!((allowed.to_string().as_str(), allowed.is_weak()), (shown, is_weak));
            assert_eq!(shown.parse(), Ok(allowed), "{shown}");
        }
        for text in [
            "",
            "a",
            "a.example",
            "https://",
            "https:///",
            "https://a/",
            "https://a/b",
            "https://*",
            "https://*.",
            "https://a.*.b",
            "https://a*",
            "*.a",
            "://a",
            "1a://b",
            "https://a:",
            "https://a:65536",
            "https://a:+1",
            "https://[::1",
            "https://[::1]a",
            "https://*.[::1]",
            "https://*.10.0.0.1",
            "https://a b",
            "https://ä",
            "https://a?b",
            "https://u@a",
            "**",
        ] {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(NoOrigin), "{text:?}");
        }
    }

    #[test]
    fn who_may_read_an_answer() {
        let list = origins(&["https://a.example"]);
        let rows = [
            ("", true, None, None),
            ("Origin: https://a.example\r\n", true, Some("https://a.example"), Some("*")),
            ("Origin: https://b.example\r\n", false, None, Some("*")),
            ("Origin: https://a.example\r\nOrigin: https://a.example\r\n", false, None, None),
        ];
        for (headers, admitted, reader, reader_of_all) in rows {
            let bytes = format!("GET /ws HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            let Parsed::Complete { head, .. } = parse(bytes.as_bytes(), &Limits::default()) else {
                panic!("no head: {bytes}");
            };
            assert_eq!((list.admit(&head), list.reader(&head)), (admitted, reader), "{headers}");
            assert_eq!(origins(&["*"]).reader(&head), reader_of_all, "{headers}");
        }
    }
}
