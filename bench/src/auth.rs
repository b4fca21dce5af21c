//! A token's verification, which every connect and every refresh pays once: signature, claims, dates. And what its bearer
//! may do in a room, which every join pays.

use std::hint::black_box;

use ringway::{
    auth::{
        Abilities, AbilityPattern, Algorithm, ClaimNames, Config, Key, KeySet, MintClaims, Rights, Role,
        Rule, SigningKey, Verifier, abilities::Who, mint,
    },
    base::UserName,
    model::Actions,
};

use crate::{Work, ready};

const NOW_S: u64 = 1_795_000_000;
const SECRET: &[u8; 64] = &[0x5a; 64];
const ANOTHER_SECRET: &[u8; 64] = &[0xa5; 64];
/// The key pair of RFC 8410 section 10.
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

/// A good token of one of the HMACs.
pub fn verify_hmac(algorithm: Algorithm) -> Work {
    let signing = SigningKey::from_secret(algorithm, SECRET).expect("long enough");
    verify(&signing, Key::from_secret(algorithm, SECRET).expect("long enough"), true)
}

/// A good token of EdDSA.
pub fn verify_eddsa() -> Work {
    let signing = SigningKey::from_private_pem(ED25519_PRIVATE).expect("the RFC's key");
    verify(&signing, Key::from_public_pem(Algorithm::EdDsa, ED25519_PUBLIC).expect("the RFC's key"), true)
}

/// What a stranger's token costs: refused by its signature, before any claim is read.
pub fn refuse_forged_hmac() -> Work {
    let signing = SigningKey::from_secret(Algorithm::Hs256, ANOTHER_SECRET).expect("long enough");
    verify(&signing, Key::from_secret(Algorithm::Hs256, SECRET).expect("long enough"), false)
}

/// Everything that somebody may do in a room, by so many rules of one role. All of them begin like the room's name, and none
/// but the last is about it, so that each is looked at.
pub fn decide(rules: usize) -> Work {
    let rule = |number: usize| Rule {
        role: Role::parse("member").expect("a name"),
        actions: Actions::EVERY,
        rooms: vec![
            AbilityPattern::parse(&format!("project.team-{number}.{{user_id}}.*")).expect("a pattern"),
        ],
    };
    let abilities = Abilities::new((0..rules).map(rule).collect());
    let rights = Rights::new(&["member"], &["join:other.*"]).expect("a role");
    let grants = abilities.grants(Some(&rights));
    let room = format!("project.team-{}.ada.notes", rules - 1);
    let who = Who { user: "ada", tenant: "acme" };
    assert_eq!(abilities.actions_in(&grants, &room, who), Actions::EVERY);
    ready(move || {
        black_box(abilities.actions_in(&grants, black_box(&room), who));
    })
}

fn verify(signing: &SigningKey, key: Key, is_good: bool) -> Work {
    let token = mint(signing, &claims());
    let verifier = Verifier::new(Config::new(KeySet::new(vec![key]).expect("one key")));
    assert_eq!(verifier.verify(&token, NOW_S).is_ok(), is_good);
    ready(move || drop(black_box(verifier.verify(black_box(&token), black_box(NOW_S)))))
}

fn claims() -> MintClaims {
    MintClaims {
        user: UserName::parse("ada").expect("short and plain"),
        tenant: None,
        issued_at_s: NOW_S,
        expires_at_s: Some(NOW_S + 3600),
        issuer: None,
        audience: None,
        roles: Vec::new(),
        abilities: Vec::new(),
        id: None,
        names: ClaimNames::default(),
    }
}
