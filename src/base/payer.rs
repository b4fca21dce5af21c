//! Who pays for messages where a limit is not of one connection: a user, or a tenant.

use super::{
    hash::fnv1a,
    names::{TenantName, UserName},
    prng,
};

/// Whose messages are counted together, whatever connections they come from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Payer {
    User(TenantName, UserName),
    Tenant(TenantName),
}

impl Payer {
    /// A number that is the same on every shard and spreads payers evenly.
    pub fn spread(&self) -> u64 {
        prng::mix(match self {
            Self::User(tenant, user) => {
                fnv1a(tenant.as_str().bytes().chain([0]).chain(user.as_str().bytes()))
            }
            Self::Tenant(tenant) => fnv1a(tenant.as_str().bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payers_are_told_apart() {
        let tenant = |name: &str| TenantName::parse(name).unwrap();
        let user = |one: &str, two: &str| Payer::User(tenant(one), UserName::parse(two).unwrap());
        let payers =
            [user("a", "bc"), user("ab", "c"), Payer::Tenant(tenant("a")), Payer::Tenant(tenant("abc"))];
        for (place, payer) in payers.iter().enumerate() {
            assert!(payers[..place].iter().all(|other| other != payer && other.spread() != payer.spread()));
        }
        assert_eq!(user("a", "bc").spread(), payers[0].spread());
    }
}
