//! Where the connections go and which source address each of them uses.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::client::tls::{TlsError, TlsTarget, Trust};

/// How long the first connection, the one that only looks whether anybody listens, may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that share a source address: few enough that neither ports nor a sane limit per
/// address run out.
pub(crate) const CONNS_PER_SOURCE: u32 = 32;

/// A server that answered.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    /// For `wss://`.
    pub(crate) tls: Option<TlsTarget>,
    /// Value of the `Host` header.
    pub(crate) host: String,
    /// Path and query of the upgrade request.
    pub(crate) path: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.shown(), self.addr)
    }
}

/// A URL, or what was meant to be one, without its query and without who signs in: either may be a secret.
pub(crate) fn without_secrets(url: &str) -> String {
    let (scheme, rest) =
        url.split_once("://").map_or(("", url), |(_, rest)| url.split_at(url.len() - rest.len()));
    // A password may hold any other character.
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    format!("{scheme}{user}{}", rest.split('?').next().unwrap_or_default())
}

/// Why there is no target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{0:?} is no URL of the form ws://host:port/path or wss://host:port/path")]
    NotAUrl(String),
    #[error("{0:?}: only ws:// and wss:// are supported")]
    Scheme(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{host}: {source}")]
    Unresolved { host: String, source: io::Error },
    #[error(
        "nothing answers at {host}: {source}\n\
         Start the gateway first (cargo run --release), or name another one with --url ws://host:port/path"
    )]
    NobodyThere { host: String, source: io::Error },
}

impl Target {
    /// Resolves `url` and connects once, to whichever address of a name answers. `path` is used when
    /// the URL has none. `trust` is for `wss://`.
    pub(crate) fn find(url: &str, path: &str, trust: &Trust) -> Result<Self, TargetError> {
        let Parts { secure, host, path } = split(url, path)?;
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let tls = secure.then(|| TlsTarget::new(name, trust)).transpose()?;
        let unresolved = |source| TargetError::Unresolved { host: host.clone(), source };
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in host.to_socket_addrs().map_err(unresolved)? {
            match TcpStream::connect_timeout(&addr, PROBE_TIMEOUT) {
                Ok(_) => return Ok(Self { addr, tls, host, path }),
                Err(error) => failure = error,
            }
        }
        Err(TargetError::NobodyThere { host, source: failure })
    }

    /// The URL without its query, which may hold secrets.
    pub(crate) fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.host, self.path.split('?').next().unwrap_or_default())
    }

    /// The address to bind before connecting, for the `number`-th connection to this target: one of `sources` in turn; where
    /// there are none, only towards 127.0.0.0/8: that whole network is ours.
    pub(crate) fn source_of(&self, number: u32, sources: &[IpAddr]) -> Option<SocketAddr> {
        if !sources.is_empty() {
            return Some(SocketAddr::from((sources[number as usize % sources.len()], 0)));
        }
        match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => {
                // 127.1.0.0 and up: room for two million connections before the octet could overflow.
                let [_, b, c, d] = (number / CONNS_PER_SOURCE % 0x00fe_0000 + 0x0001_0000).to_be_bytes();
                Some(SocketAddr::from((Ipv4Addr::new(127, b, c, d), 0)))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }
}

/// A URL, taken apart.
#[derive(PartialEq, Eq, Debug)]
struct Parts {
    secure: bool,
    /// With the port.
    host: String,
    /// With the query.
    path: String,
}

fn split(url: &str, default_path: &str) -> Result<Parts, TargetError> {
    let not_a_url = || TargetError::NotAUrl(without_secrets(url));
    let (scheme, rest) = url.split_once("://").ok_or_else(not_a_url)?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "ws" => false,
        "wss" => true,
        _ => return Err(TargetError::Scheme(without_secrets(url))),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, path) = match rest.find(['/', '?']) {
        Some(at) if rest.as_bytes()[at] == b'?' => (&rest[..at], format!("/{}", &rest[at..])),
        Some(at) => (&rest[..at], rest[at..].to_owned()),
        None => (rest, default_path.to_owned()),
    };
    let usable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || host.contains('@') || !usable(host) || !usable(&path) {
        return Err(not_a_url());
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if secure { 443 } else { 80 };
    Ok(Parts { secure, host: if has_port { host.to_owned() } else { format!("{host}:{port}") }, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            ("ws://127.0.0.1:8080/ws", Some(("127.0.0.1:8080", "/ws"))),
            ("WS://localhost:1", Some(("localhost:1", "/default"))),
            ("ws://host", Some(("host:80", "/default"))),
            ("ws://[::1]:9/x?y=1#z", Some(("[::1]:9", "/x?y=1"))),
            ("ws://[::1]/", Some(("[::1]:80", "/"))),
            ("ws://h:1?token=a", Some(("h:1", "/?token=a"))),
            ("http://h", None),
            ("http://h", None),
            ("127.0.0.1:8080", None),
            ("ws://", None),
            ("ws://u:p@h:1/", None),
            ("ws://h:1/a b", None),
            ("ws://h:1/\r\nX: y", None),
        ];
        for (url, expected) in rows {
            let got = split(url, "/default").ok();
            let got = got.as_ref().map(|parts| (parts.host.as_str(), parts.path.as_str()));
            assert_eq!(got, expected, "{url}");
        }
        let secure = Parts { secure: true, host: "h:443".to_owned(), path: "/".to_owned() };
        assert_eq!(split("WSS://h/", "/default").ok(), Some(secure));
    }

    #[test]
    fn no_error_tells_a_secret() {
        let rows = [
            ("http://h:1/a?token=s3cret", "http://h:1/a"),
            ("ws://user:s3cret@h:1/a", "ws://***@h:1/a"),
            ("user:s3cret@h", "***@h"),
            ("h?token=s3cret", "h"),
            ("ws:// /a", "ws:// /a"),
        ];
        for (url, shown) in rows {
            assert_eq!(without_secrets(url), shown, "{url}");
            let error = split(url, "/").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        assert_eq!(without_secrets("ws://user:s3/cret?x@h/a?token=s3cret"), "ws://***@h/a");
        let target = Target {
            addr: "127.0.0.1:1".parse().unwrap(),
            tls: None,
            host: "h:1".to_owned(),
            path: "/a?token=s3cret".to_owned(),
        };
        assert_eq!(format!("{target:?}"), "ws://h:1/a at 127.0.0.1:1");
    }

    #[test]
    fn sources_are_spread_over_the_loopback_network_only() {
        let target = |addr: &str| Target {
            addr: addr.parse().unwrap(),
            tls: None,
            host: String::new(),
            path: String::new(),
        };
        let loopback = target("127.0.0.1:8080");
        let rows = [(0, "127.1.0.0:0"), (31, "127.1.0.0:0"), (32, "127.1.0.1:0"), (10_000, "127.1.1.56:0")];
        for (number, source) in rows {
            assert_eq!(loopback.source_of(number, &[]), Some(source.parse().unwrap()), "{number}");
        }
        assert_eq!(target("10.0.0.1:80").source_of(0, &[]), None);
        assert_eq!(target("[::1]:80").source_of(0, &[]), None);
    }

    #[test]
    fn given_sources_take_turns() {
        let target = Target {
            addr: "10.0.0.1:80".parse().unwrap(),
            tls: None,
            host: String::new(),
            path: String::new(),
        };
        let sources: Vec<IpAddr> = ["10.0.0.2", "10.0.0.3"].map(|it| it.parse().unwrap()).into();
        let got = [0, 1, 2].map(|number| target.source_of(number, &sources).unwrap().to_string());
        assert_eq!(got, ["10.0.0.2:0", "10.0.0.3:0", "10.0.0.2:0"]);
    }
}
