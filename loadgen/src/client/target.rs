//! Where the connections go and which source address each of them uses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long the first connection, the one that only looks whether anybody listens, may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that share a source address: few enough that neither ports nor a sane limit per
/// address run out.
pub(crate) const CONNS_PER_SOURCE: u32 = 32;

/// A server that answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    /// Value of the `Host` header.
    pub(crate) host: String,
    /// Path and query of the upgrade request.
    pub(crate) path: String,
}

/// Why there is no target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("{0:?} is no URL of the form ws://host:port/path")]
    NotAUrl(String),
    #[error("{0:?}: only ws:// is supported")]
    Scheme(String),
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
    /// the URL has none.
    pub(crate) fn find(url: &str, path: &str) -> Result<Self, TargetError> {
        let (host, path) = split(url, path)?;
        let unresolved = |source| TargetError::Unresolved { host: host.clone(), source };
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in host.to_socket_addrs().map_err(unresolved)? {
            match TcpStream::connect_timeout(&addr, PROBE_TIMEOUT) {
                Ok(_) => return Ok(Self { addr, host, path }),
                Err(error) => failure = error,
            }
        }
        Err(TargetError::NobodyThere { host, source: failure })
    }

    /// The URL without its query, which may hold secrets.
    pub(crate) fn shown(&self) -> String {
        format!("ws://{}{}", self.host, self.path.split('?').next().unwrap_or_default())
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

/// `host:port` and path of a `ws://` URL.
fn split(url: &str, default_path: &str) -> Result<(String, String), TargetError> {
    let not_a_url = || TargetError::NotAUrl(url.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(not_a_url)?;
    if !scheme.eq_ignore_ascii_case("ws") {
        return Err(TargetError::Scheme(url.to_owned()));
    }
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
    Ok((if has_port { host.to_owned() } else { format!("{host}:80") }, path))
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
            ("wss://h", None),
            ("http://h", None),
            ("127.0.0.1:8080", None),
            ("ws://", None),
            ("ws://u:p@h:1/", None),
            ("ws://h:1/a b", None),
            ("ws://h:1/\r\nX: y", None),
        ];
        for (url, expected) in rows {
            let expected = expected.map(|(host, path)| (host.to_owned(), path.to_owned()));
            assert_eq!(split(url, "/default").ok(), expected, "{url}");
        }
    }

    #[test]
    fn sources_are_spread_over_the_loopback_network_only() {
        let target =
            |addr: &str| Target { addr: addr.parse().unwrap(), host: String::new(), path: String::new() };
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
        let target =
            Target { addr: "10.0.0.1:80".parse().unwrap(), host: String::new(), path: String::new() };
        let sources: Vec<IpAddr> = ["10.0.0.2", "10.0.0.3"].map(|it| it.parse().unwrap()).into();
        let got = [0, 1, 2].map(|number| target.source_of(number, &sources).unwrap().to_string());
        assert_eq!(got, ["10.0.0.2:0", "10.0.0.3:0", "10.0.0.2:0"]);
    }
}
