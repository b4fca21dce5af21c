//! Where a client is when proxies stand before it: which proxies are believed, and what they say in `X-Forwarded-For`.
//!
//! Invariant: a word about a client is taken only from a trusted proxy, so that the address that comes out is the first
//! one that no trusted proxy has.

use std::net::IpAddr;

use super::head::Head;
use crate::base::Network;

/// Whether connections begin with a header of the PROXY protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProxyProtocol {
    /// None does; one that comes is a malformed request.
    #[default]
    Off,
    /// Those of trusted proxies may; others that do are closed.
    Optional,
    /// All do, and come from trusted proxies; others are closed.
    Required,
}

impl ProxyProtocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Optional, Self::Required];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// The proxies before the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxies {
    /// Whose word is taken.
    pub trusted: Box<[Network]>,
    pub protocol: ProxyProtocol,
}

impl Proxies {
    /// Whether an address is a trusted proxy's.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Where the client of a request is that came from `peer`: of the hops in `X-Forwarded-For`, the last ones are gone
    /// back as long as the one that names them is trusted.
    pub fn client(&self, peer: IpAddr, head: &Head<'_>) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        // Headers are few, and in their order; hops are read from the end.
        let hops: Vec<&str> = head.all("x-forwarded-for").flat_map(|value| value.split(',')).collect();
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            match address_of(hop.trim_matches([' ', '\t'])) {
                Some(address) if self.trusts(client) => client = address,
                Some(_) | None => break,
            }
        }
        client
    }
}

/// An address, as proxies write them: also with a port, and with brackets around an IPv6 address.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = match (hop.strip_prefix('['), hop.split_once(':')) {
        (Some(rest), _) => rest.split_once(']')?.0,
        (None, Some((address, port))) if !port.contains(':') => address,
        (None, _) => hop,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Limits, Parsed, parse};

    #[test]
    fn the_last_hop_that_is_not_trusted_is_the_client() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let proxies = Proxies { trusted: trusted.into(), protocol: ProxyProtocol::Off };
        let rows = [
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
            ("::ffff:10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
            ("192.0.2.9", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.9"),
            ("10.0.0.1", "X-Forwarded-For: 203.0.113.5, 192.0.2.1, 10.9.9.9\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\n", "10.1.1.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 10.2.2.2\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1, unknown\r\n", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: unknown, 10.2.2.2\r\n", "10.2.2.2"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1,\r\n", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1:4711\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: [2001:db9::1]:4711\r\n", "2001:db9::1"),
            ("10.0.0.1", "X-Forwarded-For: 2001:db9::1, 2001:db8::7\r\n", "2001:db9::1"),
            ("10.0.0.1", "X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: [::1\r\n", "10.0.0.1"),
        ];
        for (peer, headers, expected) in rows {
            let bytes = format!("GET /ws HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            let Parsed::Complete { head, .. } = parse(bytes.as_bytes(), &Limits::default()) else {
                panic!("no head: {bytes}");
            };
            let client = proxies.client(peer.parse().unwrap(), &head);
            assert_eq!(client.to_canonical(), expected.parse::<IpAddr>().unwrap(), "{peer} {headers}");
        }
        let nobody = Proxies::default();
        assert!(!nobody.trusts("10.0.0.1".parse().unwrap()));
    }
}
