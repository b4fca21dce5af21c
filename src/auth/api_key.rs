//! API keys: what a backend shows instead of a token, and what it may do with it.
//!
//! A key is `rk_` and 32 random bytes in base64url; the configuration holds its SHA-256, so that whoever reads the
//! configuration cannot use it. Owns no randomness. Invariant: all keys are compared with in full, whichever fits.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::verifier::Identity;
use crate::{
    base::{TenantName, UserName},
    model::{Scope, Scopes},
};

/// What every key begins with, and no JWT.
const PREFIX: &str = "rk_";

/// The SHA-256 of a key's text.
pub type KeyDigest = [u8; SHA256_OUTPUT_LEN];

/// Who uses the API, and what for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// The key's name, or the token's user: whom messages are from that name nobody.
    pub name: UserName,
    pub scopes: Scopes,
    pub tenants: Tenants,
}

/// The tenants that a backend works for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tenants {
    Every,
    These(Arc<[TenantName]>),
}

/// The keys of the configuration.
#[derive(Clone, Default, Debug)]
pub struct ApiKeys(Vec<(KeyDigest, Backend)>);

impl ApiKeys {
    /// Keys by their digests.
    pub fn new(keys: Vec<(KeyDigest, Backend)>) -> Self {
        Self(keys)
    }

    /// Whether a bearer's text is meant as a key, and not as a token.
    pub fn is_key(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Whose key this is.
    pub fn find(&self, key: &str) -> Option<&Backend> {
        let shown = key_digest(key);
        let mut found = None;
        for (digest, backend) in &self.0 {
            if are_same(digest, &shown) {
                found = Some(backend);
            }
        }
        found
    }
}

/// The text of a key made of these random bytes.
pub fn spell_key(random: &[u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// What the configuration holds of a key.
pub fn key_digest(key: &str) -> KeyDigest {
    let digest = digest(&SHA256, key.as_bytes());
    digest.as_ref().try_into().expect("a SHA-256 has as many bytes as its length says")
}

/// Whether a text is the one of which the configuration holds this digest.
pub fn is_key(shown: &str, digest: &KeyDigest) -> bool {
    are_same(digest, &key_digest(shown))
}

/// In the same time wherever they differ.
fn are_same(one: &KeyDigest, other: &KeyDigest) -> bool {
    one.iter().zip(other).fold(0, |bits, (one, other)| bits | (one ^ other)) == 0
}

impl Backend {
    /// What the bearer of a token may do: everything with `ringway:admin`, what a backend does, for its own tenant, with
    /// `ringway:publish`, else nothing.
    pub fn of_token(identity: Identity) -> Self {
        let (scopes, tenants) = if identity.admin {
            (Scopes::EVERY, Tenants::Every)
        } else if identity.publishes {
            (Scopes::BACKEND, Tenants::These(Arc::from([identity.tenant])))
        } else {
            (Scopes::default(), Tenants::These(Arc::from([])))
        };
        Self { name: identity.user, scopes, tenants }
    }

    /// Whether it may do this at all.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.includes(scope)
    }

    /// Whether it works for this tenant.
    pub fn works_for(&self, tenant: &TenantName) -> bool {
        match &self.tenants {
            Tenants::Every => true,
            Tenants::These(tenants) => tenants.contains(tenant),
        }
    }

    /// The tenant of a request that names none: its only one, else the default one.
    pub fn own_tenant(&self) -> TenantName {
        match &self.tenants {
            Tenants::These(tenants) if tenants.len() == 1 => tenants[0].clone(),
            Tenants::These(_) | Tenants::Every => TenantName::default_tenant(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TokenId;

    fn backend(name: &str, tenants: Tenants) -> Backend {
        Backend {
            name: UserName::parse(name).unwrap(),
            scopes: Scopes::default().with(Scope::Publish),
            tenants,
        }
    }

    fn tenant(name: &str) -> TenantName {
        TenantName::parse(name).unwrap()
    }

    #[test]
    fn a_key_is_found_by_its_digest_and_nothing_else_is() {
        let [one, two] = [[1; 32], [2; 32]].map(|random| spell_key(&random));
        assert_eq!(one, "rk_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
        // Of `printf %s KEY | sha256sum`.
        let hex: String = key_digest(&one).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "c2a25e6440a212ea72b334dd6d13af560cb2c48d6ca617625e4aec1e111d031c");
        let keys = ApiKeys::new(vec![
            (key_digest(&one), backend("one", Tenants::Every)),
            (key_digest(&two), backend("two", Tenants::Every)),
        ]);
        assert_eq!(keys.find(&one).unwrap().name.as_str(), "one");
        assert_eq!(keys.find(&two).unwrap().name.as_str(), "two");
        for wrong in ["", "rk_", &one[..45], &format!("{one} "), &one.to_uppercase()] {
            assert_eq!(keys.find(wrong), None, "{wrong}");
        }
        assert!(
            ApiKeys::is_key(&one) && !ApiKeys::is_key("eyJ.a.b") && ApiKeys::default().find(&one).is_none()
        );
    }

    #[test]
    fn tenants() {
        type Row = (Tenants, &'static str, &'static [(&'static str, bool)]);
        let rows: [Row; 4] = [
            (Tenants::Every, "default", &[("default", true), ("acme", true)]),
            (Tenants::These(Arc::from([])), "default", &[("default", false)]),
            (Tenants::These(Arc::from([tenant("acme")])), "acme", &[("default", false), ("acme", true)]),
            (
                Tenants::These(Arc::from([tenant("acme"), tenant("globex")])),
                "default",
                &[("default", false), ("acme", true), ("globex", true), ("acm", false)],
            ),
        ];
        for (tenants, own, works_for) in rows {
            let backend = backend("b", tenants);
            assert_eq!(backend.own_tenant(), tenant(own));
            for (name, expected) in works_for {
                assert_eq!(backend.works_for(&tenant(name)), *expected, "{backend:?} {name}");
            }
        }
    }

    #[test]
    fn what_abilities_of_a_token_give() {
        let of = |admin, publishes| {
            Backend::of_token(Identity {
                user: UserName::parse("ada").unwrap(),
                tenant: tenant("acme"),
                expires_at_s: None,
                issued_at_s: None,
                token: TokenId::NONE,
                admin,
                publishes,
                rights: None,
            })
        };
        assert_eq!((of(true, false).scopes, of(true, false).tenants), (Scopes::EVERY, Tenants::Every));
        let publishes = of(false, true);
        assert_eq!(publishes.scopes, Scopes::BACKEND);
        assert!(publishes.works_for(&tenant("acme")) && !publishes.works_for(&tenant("default")));
        assert!(Scope::ALL.into_iter().all(|scope| !of(false, false).may(scope)));
    }
}
