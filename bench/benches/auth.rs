//! A token's verification, which every connect and every refresh pays once: signature, claims, dates.

use std::sync::Arc;

use divan::{Bencher, black_box};
use ringway::{
    auth::{Algorithm, ClaimNames, Config, Key, KeySet, MintClaims, SigningKey, TokenCache, Verifier, mint},
    base::UserName,
};

fn main() {
    divan::main();
}

const NOW_S: u64 = 1_795_000_000;
const SECRET: &[u8; 64] = &[0x5a; 64];
/// The key pair of RFC 8410 section 10.
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

fn claims() -> MintClaims {
    MintClaims {
        user: UserName::parse("ada").expect("short and plain"),
        tenant: None,
        issued_at_s: NOW_S,
        expires_at_s: Some(NOW_S + 3600),
        issuer: None,
        audience: None,
        abilities: Vec::new(),
        names: ClaimNames::default(),
    }
}

fn verify(bencher: Bencher<'_, '_>, signing: &SigningKey, key: Key) {
    let token = mint(signing, &claims());
    let verifier = Verifier::new(Config::new(KeySet::new(vec![key]).expect("one key")));
    assert!(verifier.verify(&token, NOW_S).is_ok(), "the good case is what counts");
    bencher.bench_local(|| verifier.verify(black_box(&token), black_box(NOW_S)));
}

#[divan::bench(args = [Algorithm::Hs256, Algorithm::Hs512])]
fn verify_hmac(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let signing = SigningKey::from_secret(algorithm, SECRET).expect("long enough");
    verify(bencher, &signing, Key::from_secret(algorithm, SECRET).expect("long enough"));
}

#[divan::bench]
fn verify_eddsa(bencher: Bencher<'_, '_>) {
    let signing = SigningKey::from_private_pem(ED25519_PRIVATE).expect("the RFC's key");
    verify(bencher, &signing, Key::from_public_pem(Algorithm::EdDsa, ED25519_PUBLIC).expect("the RFC's key"));
}

/// The same token once more, as when a client comes back.
#[divan::bench]
fn verify_eddsa_again(bencher: Bencher<'_, '_>) {
    let signing = SigningKey::from_private_pem(ED25519_PRIVATE).expect("the RFC's key");
    let token = mint(&signing, &claims());
    let key = Key::from_public_pem(Algorithm::EdDsa, ED25519_PUBLIC).expect("the RFC's key");
    let verifier = Arc::new(Verifier::new(Config::new(KeySet::new(vec![key]).expect("one key"))));
    let mut cache = TokenCache::new(1_000);
    assert!(cache.verify(&verifier, &token, NOW_S).1.is_ok(), "the good case is what counts");
    bencher.bench_local(|| cache.verify(&verifier, black_box(&token), black_box(NOW_S)));
}

/// What a stranger's token costs: refused by its signature, before any claim is read.
#[divan::bench]
fn refuse_forged_hmac(bencher: Bencher<'_, '_>) {
    let signing = SigningKey::from_secret(Algorithm::Hs256, &[0xa5; 64]).expect("long enough");
    let token = mint(&signing, &claims());
    let key = Key::from_secret(Algorithm::Hs256, SECRET).expect("long enough");
    let verifier = Verifier::new(Config::new(KeySet::new(vec![key]).expect("one key")));
    assert!(verifier.verify(&token, NOW_S).is_err(), "the key is another");
    bencher.bench_local(|| verifier.verify(black_box(&token), black_box(NOW_S)));
}
