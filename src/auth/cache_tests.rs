//! The cache by table: it says what the verifier says, at any time, and remembers no more than it may.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Algorithm, AuthError, Config, Identity, Key, KeySet, MintClaims, SigningKey, TokenCache, Verifier,
    claims::ClaimNames, mint,
};
use crate::{
    base::{TenantName, UserName},
    metrics::AuthCache::{self, Hit, Miss},
};

const NOW_S: u64 = 1_767_225_600;
const EXP_S: u64 = NOW_S + 100;
const LEEWAY_S: u64 = super::LEEWAY_S_DEFAULT;
/// The key pair of RFC 8410 section 10.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
/// The public key of RFC 8032 section 7.1, test 1, which has signed nothing here.
const OTHER_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";
const SECRET: &[u8] = &[0x5a; 64];

fn public(pem: &str) -> Key {
    Key::from_public_pem(Algorithm::EdDsa, pem).unwrap()
}

fn secret() -> Key {
    Key::from_secret(Algorithm::Hs256, SECRET).unwrap()
}

fn verifier(keys: Vec<Key>) -> Arc<Verifier> {
    Arc::new(Verifier::new(Config::new(KeySet::new(keys).unwrap())))
}

fn token(user: &str, tenant: Option<&str>) -> String {
    let tenant = tenant.map(|tenant| TenantName::parse(tenant).unwrap());
    mint(&SigningKey::from_private_pem(PRIVATE).unwrap(), &MintClaims { tenant, ..claims(user) })
}

fn claims(user: &str) -> MintClaims {
    MintClaims {
        user: UserName::parse(user).unwrap(),
        tenant: None,
        issued_at_s: NOW_S,
        expires_at_s: Some(EXP_S),
        issuer: None,
        audience: None,
        roles: Vec::new(),
        abilities: Vec::new(),
        id: None,
        names: ClaimNames::default(),
    }
}

fn user(verdict: (Option<AuthCache>, Result<Identity, AuthError>)) -> (Option<AuthCache>, String) {
    (
        verdict.0,
        verdict.1.map_or_else(|error| error.reason().to_owned(), |identity| identity.user.to_string()),
    )
}

impl TokenCache {
    /// What [`TokenCache::verify`] says where any signature may be checked.
    fn verdict(
        &mut self,
        verifier: &Arc<Verifier>,
        token: &str,
        now_s: u64,
    ) -> (Option<AuthCache>, Result<Identity, AuthError>) {
        self.verify(verifier, token, now_s, |_| true).expect("it may")
    }
}

#[test]
fn the_second_time_is_from_memory_and_dates_are_judged_anew() {
    let verifier = verifier(vec![public(PUBLIC)]);
    let mut cache = TokenCache::new(8);
    let ada = token("ada", None);
    let mut at = |now_s| user(cache.verdict(&verifier, &ada, now_s));
    assert_eq!(at(NOW_S), (Some(Miss), "ada".into()));
    assert_eq!(at(NOW_S), (Some(Hit), "ada".into()));
    assert_eq!(at(NOW_S - LEEWAY_S - 1), (Some(Hit), "not_yet_valid".into()), "the clock went back");
    assert_eq!(at(EXP_S + LEEWAY_S - 1), (Some(Hit), "ada".into()));
    assert_eq!(at(EXP_S + LEEWAY_S), (Some(Hit), "expired".into()));
    assert_eq!(at(EXP_S + LEEWAY_S), (Some(Miss), "expired".into()), "it was forgotten");
    assert_eq!(at(NOW_S), (Some(Miss), "ada".into()), "and what is refused is not remembered");
    assert_eq!(cache.len(), 1);
}

#[test]
fn another_verifier_knows_nobody() {
    let mut cache = TokenCache::new(8);
    let ada = token("ada", None);
    let first = verifier(vec![public(PUBLIC)]);
    assert_eq!(user(cache.verdict(&first, &ada, NOW_S)), (Some(Miss), "ada".into()));
    let changed = verifier(vec![public(OTHER_PUBLIC)]);
    assert_eq!(user(cache.verdict(&changed, &ada, NOW_S)), (Some(Miss), "bad_signature".into()));
    assert_eq!(user(cache.verdict(&first, &ada, NOW_S)), (Some(Miss), "ada".into()), "not even again");
}

#[test]
fn a_forged_token_meets_no_entry() {
    let verifier = verifier(vec![public(PUBLIC), secret()]);
    let mut cache = TokenCache::new(8);
    let ada = token("ada", None);
    assert!(cache.verdict(&verifier, &ada, NOW_S).1.is_ok());
    // One byte of the token changed, at each place, and one more or less at its end.
    for place in 0..ada.len() {
        let mut forged = ada.clone().into_bytes();
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let (found, verdict) = cache.verdict(&verifier, &forged, NOW_S);
        assert!(verdict.is_err() && found == Some(Miss), "{place}");
    }
    for forged in [&ada[..ada.len() - 1], &format!("{ada}A"), &format!("{ada}."), ""] {
        assert!(cache.verdict(&verifier, forged, NOW_S).1.is_err());
    }
    assert_eq!(user(cache.verdict(&verifier, &ada, NOW_S)), (Some(Hit), "ada".into()));
    assert_eq!(cache.len(), 1);
}

#[test]
fn the_number_of_entries_is_bounded_and_the_ones_in_use_stay() {
    let verifier = verifier(vec![public(PUBLIC)]);
    for (entries_max, bound) in [(0, 0), (1, 4), (4, 4), (10, 12)] {
        let mut cache = TokenCache::new(entries_max);
        let ada = token("ada", None);
        let expected = if entries_max == 0 { None } else { Some(Hit) };
        cache.verdict(&verifier, &ada, NOW_S).1.unwrap();
        for number in 0..60 {
            cache.verdict(&verifier, &token(&format!("user-{number}"), None), NOW_S).1.unwrap();
            assert_eq!(user(cache.verdict(&verifier, &ada, NOW_S)), (expected, "ada".into()));
            assert!(cache.len() <= bound);
        }
        assert_eq!(cache.len(), bound, "60 tokens fill every set");
    }
}

#[test]
fn clients_that_all_come_back_are_remembered_nearly_up_to_the_bound() {
    let verifier = verifier(vec![public(PUBLIC)]);
    let mut cache = TokenCache::new(400);
    let tokens: Vec<String> = (0..360).map(|number| token(&format!("user-{number}"), None)).collect();
    let mut hits =
        || tokens.iter().filter(|token| cache.verdict(&verifier, token, NOW_S).0 == Some(Hit)).count();
    assert_eq!(hits(), 0);
    assert!(hits() > 324, "nine of ten");
}

#[test]
fn macs_are_not_remembered() {
    let claims = MintClaims {
        user: UserName::parse("ada").unwrap(),
        tenant: None,
        issued_at_s: NOW_S,
        expires_at_s: None,
        issuer: None,
        audience: None,
        roles: Vec::new(),
        abilities: Vec::new(),
        id: None,
        names: ClaimNames::default(),
    };
    let ada = mint(&SigningKey::from_secret(Algorithm::Hs256, SECRET).unwrap(), &claims);
    for (keys, found) in [(vec![secret()], None), (vec![secret(), public(PUBLIC)], Some(Miss))] {
        let (verifier, mut cache) = (verifier(keys), TokenCache::new(8));
        for _ in 0..2 {
            assert_eq!(user(cache.verdict(&verifier, &ada, NOW_S)), (found, "ada".into()));
        }
        assert_eq!(cache.len(), 0);
    }
}

#[test]
fn connections_of_a_tenant_share_its_name() {
    let verifier = verifier(vec![public(PUBLIC)]);
    let mut cache = TokenCache::new(0);
    let mut tenant = |user: &str, tenant: Option<&str>| {
        cache.verdict(&verifier, &token(user, tenant), NOW_S).1.unwrap().tenant
    };
    for name in [Some("acme"), None] {
        let (one, two) = (tenant("ada", name), tenant("bob", name));
        assert!(std::ptr::eq(one.as_str(), two.as_str()));
        assert_eq!(one.as_str(), name.unwrap_or("default"));
    }
    // More tenants than are shared: names stay right.
    for number in 0..3 * super::cache::TENANTS {
        let name = format!("tenant-{number}");
        assert_eq!(tenant("ada", Some(&name)).as_str(), name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever came before, the answer is the verifier's own.
    #[test]
    fn says_what_the_verifier_says(asked in prop::collection::vec((0_usize..6, 0_u64..250, any::<bool>()), 1..30)) {
        let verifiers = [verifier(vec![public(PUBLIC)]), verifier(vec![public(OTHER_PUBLIC), secret()])];
        let tokens: Vec<String> = (0..6).map(|number| token(&format!("user-{number}"), None)).collect();
        let mut cache = TokenCache::new(4);
        for (number, after_s, changed) in asked {
            let (verifier, now_s) = (&verifiers[usize::from(changed)], NOW_S - 50 + after_s);
            let expected = verifier.verify(&tokens[number], now_s);
            prop_assert_eq!(cache.verdict(verifier, &tokens[number], now_s).1, expected);
        }
    }
}

/// Memory, secrets and what is no token of ours cost no signature.
#[test]
fn signatures_are_checked_only_when_they_may_be() {
    let both = verifier(vec![public(OTHER_PUBLIC), public(PUBLIC), secret()]);
    let symmetric = mint(&SigningKey::from_secret(Algorithm::Hs256, SECRET).unwrap(), &claims("bob"));
    let ada = token("ada", None);
    let (_, unknown) = ada.split_once('.').unwrap();
    let rows = [
        (&*ada, 2, "ada"),
        (&*symmetric, 0, "bob"),
        ("opaque", 0, "malformed"),
        (&*format!("e30.{unknown}"), 0, "malformed"),
    ];
    for entries in [8, 0] {
        let mut cache = TokenCache::new(entries);
        for (token, expected, said) in rows {
            let mut count = None;
            let refused = cache.verify(&both, token, NOW_S, |it| {
                count = Some(it);
                it == 0
            });
            assert_eq!((count, refused.is_none()), (Some(expected), expected > 0), "{said}");
            assert_eq!(user(cache.verdict(&both, token, NOW_S)).1, said);
        }
        let again = cache.verify(&both, &ada, NOW_S, |_| false);
        assert_eq!(again.is_some(), entries > 0, "what is known is known");
    }
}
