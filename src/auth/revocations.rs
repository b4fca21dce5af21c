//! Tokens that are good no more although their signatures and dates are: by their id, or all that a user or a whole
//! tenant had until some moment.
//!
//! Invariants: what was taken in stays until its time, so that nothing that was promised is forgotten; the number of
//! entries, and of each tenant's, is bounded by who asks for room first; nothing depends on the order of a hash.

use std::collections::{BTreeMap, BTreeSet};

use super::Identity;
use crate::base::{NoPlace, ShareLimits, Shares, TenantName, TokenId, UserName};

/// Which tokens of a tenant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Revoked {
    /// The ones with this id, whenever they were issued.
    Token(TokenId),
    /// A user's.
    User(UserName),
    /// Everybody's.
    Everyone,
}

/// From when and until when tokens are revoked, in Unix seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revocation {
    /// A user's or a tenant's tokens that were issued later are good.
    pub at_s: u64,
    /// By then they have all expired.
    pub until_s: u64,
}

/// One shard's table; every shard of a node has the same.
#[derive(Debug)]
pub struct Revocations {
    /// How many entries each tenant has.
    shares: Shares<TenantName>,
    entries: BTreeMap<Key, Revocation>,
    /// The same entries by their end.
    ends: BTreeSet<(u64, Key)>,
}

type Key = (TenantName, Revoked);

impl Revocations {
    /// Nothing is revoked; room for so many entries, and so many of a tenant.
    pub fn new(limits: ShareLimits) -> Self {
        Self { shares: Shares::new(limits), entries: BTreeMap::new(), ends: BTreeSet::new() }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is room for an entry of this key.
    pub fn check(&self, tenant: &TenantName, revoked: &Revoked) -> Result<(), NoPlace> {
        match self.entries.contains_key(&(tenant.clone(), revoked.clone())) {
            true => Ok(()),
            false => self.shares.check(tenant),
        }
    }

    /// Takes a revocation in, also without room: whoever decides on it looks before. With one that is there already, the
    /// later moments count.
    pub fn revoke(&mut self, tenant: &TenantName, revoked: &Revoked, revocation: Revocation) {
        let key = (tenant.clone(), revoked.clone());
        let last = self.entries.get(&key).copied();
        match last {
            Some(last) => {
                self.ends.remove(&(last.until_s, key.clone()));
            }
            None => self.shares.take(tenant.clone()),
        }
        let last = last.unwrap_or(revocation);
        let merged = Revocation {
            at_s: last.at_s.max(revocation.at_s),
            until_s: last.until_s.max(revocation.until_s),
        };
        self.ends.insert((merged.until_s, key.clone()));
        self.entries.insert(key, merged);
    }

    /// Whether a token that is good otherwise was revoked. One that does not say when it was issued counts as old.
    pub fn covers(&self, identity: &Identity) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let find = |revoked: Revoked| self.entries.get(&(identity.tenant.clone(), revoked));
        let is_older =
            |revocation: &Revocation| identity.issued_at_s.is_none_or(|at_s| at_s <= revocation.at_s);
        let by_id = identity.token != TokenId::NONE && find(Revoked::Token(identity.token)).is_some();
        by_id
            || find(Revoked::User(identity.user.clone())).is_some_and(is_older)
            || find(Revoked::Everyone).is_some_and(is_older)
    }

    /// Forgets up to `steps` entries whose time is over.
    pub fn sweep(&mut self, now_s: u64, steps: usize) {
        for _ in 0..steps {
            let Some((until_s, key)) = self.ends.pop_first() else { return };
            if until_s > now_s {
                self.ends.insert((until_s, key));
                return;
            }
            self.entries.remove(&key);
            self.shares.give_back(&key.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantName {
        TenantName::parse(name).unwrap()
    }

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    fn identity(tenant_name: &str, user_name: &str, jti: Option<&str>, issued_at_s: Option<u64>) -> Identity {
        Identity {
            user: user(user_name),
            tenant: tenant(tenant_name),
            expires_at_s: None,
            issued_at_s,
            token: jti.map_or(TokenId::NONE, TokenId::of),
            admin: false,
            publishes: false,
            rights: None,
        }
    }

    const HELD: Revocation = Revocation { at_s: 100, until_s: 200 };

    #[test]
    fn whose_tokens_are_meant() {
        let token = Revoked::Token(TokenId::of("t-1"));
        let rows: [(&str, Revoked, &[usize]); 3] = [
            ("id", token, &[0, 1]),
            ("user", Revoked::User(user("ada")), &[0, 2, 3]),
            ("tenant", Revoked::Everyone, &[0, 2, 3, 5]),
        ];
        let bearers = [
            identity("acme", "ada", Some("t-1"), Some(100)),
            identity("acme", "bob", Some("t-1"), Some(101)),
            identity("acme", "ada", Some("t-2"), Some(99)),
            identity("acme", "ada", None, None),
            identity("acme", "ada", None, Some(101)),
            identity("acme", "bob", None, Some(100)),
            identity("globex", "ada", Some("t-1"), Some(1)),
        ];
        for (name, revoked, expected) in rows {
            let mut table = Revocations::new(ShareLimits { total: 4, percent: 100 });
            table.revoke(&tenant("acme"), &revoked, HELD);
            let covered: Vec<usize> = (0..bearers.len()).filter(|&it| table.covers(&bearers[it])).collect();
            assert_eq!(covered, expected, "{name}");
        }
    }

    #[test]
    fn a_full_table_has_room_for_what_it_has() {
        let mut table = Revocations::new(ShareLimits { total: 2, percent: 100 });
        let revoked = |name: &str| Revoked::User(user(name));
        for name in ["a", "b", "a"] {
            assert_eq!(table.check(&tenant("t"), &revoked(name)), Ok(()));
            table.revoke(&tenant("t"), &revoked(name), HELD);
        }
        assert_eq!((table.check(&tenant("t"), &revoked("c")), table.len()), (Err(NoPlace::Total), 2));
        assert!(["a", "b"].into_iter().all(|name| table.covers(&identity("t", name, None, Some(100)))));
        table.sweep(200, 1);
        assert_eq!((table.check(&tenant("t"), &revoked("c")), table.len()), (Ok(()), 1));
    }

    #[test]
    fn a_tenant_that_has_its_share_leaves_room_for_others() {
        let mut table = Revocations::new(ShareLimits { total: 4, percent: 50 });
        let revoked = |name: &str| Revoked::User(user(name));
        for (tenant_name, name, expected) in [
            ("loud", "a", Ok(())),
            ("loud", "b", Ok(())),
            ("loud", "c", Err(NoPlace::Share)),
            ("loud", "a", Ok(())),
            ("quiet", "a", Ok(())),
            ("third", "a", Ok(())),
            ("fourth", "a", Err(NoPlace::Total)),
        ] {
            let verdict = table.check(&tenant(tenant_name), &revoked(name));
            assert_eq!(verdict, expected, "{tenant_name} {name}");
            if verdict.is_ok() {
                table.revoke(&tenant(tenant_name), &revoked(name), HELD);
            }
        }
        table.sweep(200, 10);
        assert_eq!((table.shares.taken(), table.check(&tenant("loud"), &revoked("c"))), (0, Ok(())));
    }

    #[test]
    fn the_later_moments_count_and_the_end_is_kept() {
        let mut table = Revocations::new(ShareLimits { total: 2, percent: 100 });
        let key = (tenant("t"), Revoked::Everyone);
        for (at_s, until_s) in [(100, 200), (90, 300), (110, 150)] {
            table.revoke(&key.0, &key.1, Revocation { at_s, until_s });
        }
        table.sweep(299, 10);
        assert!(table.covers(&identity("t", "a", None, Some(110))));
        assert!(!table.covers(&identity("t", "a", None, Some(111))));
        table.sweep(300, 10);
        assert!(table.is_empty() && table.ends.is_empty());
    }
}
