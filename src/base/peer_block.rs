//! Whose address it is, as far as limits care: an IPv4 address, or the /64 of an IPv6 address, which is the least that
//! one subscriber has and may choose from. Compact, so that it travels with what is limited.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::prng;

/// An IPv4 address or an IPv6 /64.
///
/// The two do not meet: the only prefixes whose upper half is zero are of `::/32`, of which no client is but
/// loopback's and the mapped ones, and those are taken for the IPv4 addresses that they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PeerBlock(u64);

impl PeerBlock {
    /// A number that is the same on every shard and spreads addresses evenly.
    pub fn spread(self) -> u64 {
        prng::mix(self.0)
    }

    /// The address, or the first of the /64.
    pub fn first_address(self) -> IpAddr {
        match u32::try_from(self.0) {
            // Loopback's.
            Ok(0) => Ipv6Addr::UNSPECIFIED.into(),
            Ok(bits) => Ipv4Addr::from_bits(bits).into(),
            Err(_) => Ipv6Addr::from_bits(u128::from(self.0) << 64).into(),
        }
    }
}

impl From<IpAddr> for PeerBlock {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subscriber_is_one_and_mapped_addresses_are_ipv4() {
        let rows = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
        ];
        for (one, two, same) in rows {
            let block = |text: &str| PeerBlock::from(text.parse::<IpAddr>().unwrap());
            assert_eq!(block(one) == block(two), same, "{one} {two}");
        }
    }

    #[test]
    fn a_block_is_shown_as_its_first_address() {
        let rows = [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("255.255.255.255", "255.255.255.255"),
            ("2001:db8:1:2:ffff::9", "2001:db8:1:2::"),
            ("::1", "::"),
        ];
        for (address, first) in rows {
            let [address, first] = [address, first].map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(PeerBlock::from(address).first_address(), first);
        }
    }
}
