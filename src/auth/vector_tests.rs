//! Golden tokens: RFC 7515 appendix A, RFC 7520 §4, RFC 8037 appendix A, and every algorithm with keys that OpenSSL
//! made and signatures that another implementation (jwcrypto) made. And the keys themselves, good and bad.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use spki::der::{Encode, asn1::UintRef, pem};

use super::{
    abilities::Rights,
    algorithm::Algorithm,
    claims::ClaimNames,
    error::{AuthError, KeyError},
    jws::{Compact, Scratch},
    key::Key,
    key_set::{KEYS_PER_ALGORITHM_MAX, KeySet},
    mint::{MintClaims, SigningKey, mint},
    roca,
    verifier::{Config, Verifier},
};
use crate::base::{TenantName, UserName};

macro_rules! testdata {
    ($name:literal) => {
        include_str!(concat!("testdata/", $name))
    };
}
pub(super) use testdata;

/// The secret of the HS tokens in `tokens.txt`.
pub(super) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const RSA: &str = testdata!("rsa2048.pub.pem");
const RSA_PKCS1: &str = testdata!("rsa2048.pkcs1.pem");
const P256: &str = testdata!("p256.pub.pem");
const P384: &str = testdata!("p384.pub.pem");
const ED25519: &str = testdata!("ed25519.pub.pem");

/// The token of that name in `tokens.txt`.
pub(super) fn token(name: &str) -> &'static str {
    let lines = testdata!("tokens.txt").lines();
    let mut found = lines.filter_map(|line| line.split_once(' ')).filter(|(first, _)| *first == name);
    found.next().unwrap_or_else(|| panic!("no token {name}")).1
}

/// The key that verifies the second group of `tokens.txt`.
pub(super) fn key(algorithm: Algorithm) -> Key {
    use Algorithm::*;
    match algorithm {
        Hs256 | Hs384 | Hs512 => Key::from_secret(algorithm, SECRET),
        Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => Key::from_public_pem(algorithm, RSA),
        Es256 => Key::from_public_pem(algorithm, P256),
        Es384 => Key::from_public_pem(algorithm, P384),
        EdDsa => Key::from_public_pem(algorithm, ED25519),
    }
    .unwrap()
}

pub(super) fn verifier(keys: Vec<Key>) -> Verifier {
    Verifier::new(Config::new(KeySet::new(keys).unwrap()))
}

fn payload(token: &str, keys: Vec<Key>) -> Result<Vec<u8>, AuthError> {
    let keys = KeySet::new(keys).unwrap();
    Compact::split(token)?.verify(&keys, &mut Scratch::new()).map(|signed| signed.payload.to_vec())
}

#[test]
fn the_rfcs_examples_verify() {
    const A: &str = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    const FRODO: &str = "It\u{2019}s a dangerous business, Frodo, going out your door. You step onto the road, and if you \
        don't keep your feet, there\u{2019}s no knowing where you might be swept off to.";
    let secret = |text| Key::from_secret(Algorithm::Hs256, &URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let public = |algorithm, text| Key::from_public_pem(algorithm, text).unwrap();
    let a1 = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let mac = "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg";
    let bilbo = testdata!("rfc7520_3_3.pub.pem");
    let rows = [
        ("rfc7515_a1", secret(a1), A),
        ("rfc7515_a2", public(Algorithm::Rs256, testdata!("rfc7515_a2.pub.pem")), A),
        ("rfc7515_a3", public(Algorithm::Es256, testdata!("rfc7515_a3.pub.pem")), A),
        ("rfc7520_4_1", public(Algorithm::Rs256, bilbo).with_id("bilbo.baggins@hobbiton.example"), FRODO),
        ("rfc7520_4_2", public(Algorithm::Ps384, bilbo).with_id("bilbo.baggins@hobbiton.example"), FRODO),
        ("rfc7520_4_4", secret(mac).with_id("018c0ae5-4d9b-471b-bfd6-eef314bc7037"), FRODO),
        ("rfc8037_a", public(Algorithm::EdDsa, testdata!("rfc8037_a.pub.pem")), "Example of Ed25519 signing"),
    ];
    for (name, key, expected) in rows {
        assert_eq!(payload(token(name), vec![key.clone()]).unwrap(), expected.as_bytes(), "{name}");
        let changed = token(name).replacen('.', ".A", 1);
        assert!(payload(&changed, vec![key]).is_err(), "{name}");
    }
    // RFC 7520 §4.3 is ES512, which `ring` has not.
    assert_eq!(payload(token("rfc7520_4_3"), Vec::new()), Err(AuthError::UnknownAlgorithm));
}

#[test]
fn rfc_7515_a1_is_an_identity_while_it_lasts() {
    let secret = URL_SAFE_NO_PAD
        .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .unwrap();
    let keys = KeySet::new(vec![Key::from_secret(Algorithm::Hs256, &secret).unwrap()]).unwrap();
    let claims = ClaimNames { user: Box::from("iss"), tenant: Vec::new(), ..ClaimNames::default() };
    let verifier = Verifier::new(Config { claims, ..Config::new(keys) });
    let identity = verifier.verify(token("rfc7515_a1"), 1_300_819_379).unwrap();
    assert_eq!(identity.user.as_str(), "joe");
    assert_eq!(identity.tenant, TenantName::default_tenant());
    assert_eq!(identity.expires_at_s, Some(1_300_819_380));
    let expired = verifier.verify(token("rfc7515_a1"), 1_300_819_385);
    assert_eq!(expired, Err(AuthError::Expired { ago_s: 5 }));
}

#[test]
fn every_algorithm_verifies_its_own_tokens_and_no_other() {
    for algorithm in Algorithm::ALL {
        let verifier = verifier(vec![key(algorithm)]);
        for other in Algorithm::ALL {
            let verdict = verifier.verify(token(other.as_str()), 1_999_999_999);
            if algorithm == other {
                let identity = verdict.unwrap();
                assert_eq!(
                    (identity.user.as_str(), identity.tenant.as_str()),
                    ("ada", "acme"),
                    "{algorithm}"
                );
                assert_eq!(identity.expires_at_s, Some(2_000_000_000));
            } else {
                assert_eq!(verdict, Err(AuthError::WrongAlgorithm(other)), "{algorithm}");
            }
        }
    }
}

#[test]
fn signatures_of_another_form_are_refused() {
    let rows = [
        ("es256_by_embedded_jwk", Algorithm::Es256),
        ("es256_der", Algorithm::Es256),
        ("ps256_salt_20", Algorithm::Ps256),
        ("rs256_said_ps256", Algorithm::Ps256),
        ("ps256_said_rs256", Algorithm::Rs256),
        ("rs384_said_rs256", Algorithm::Rs256),
    ];
    for (name, algorithm) in rows {
        let verdict = verifier(vec![key(algorithm)]).verify(token(name), 1_999_999_999);
        assert_eq!(verdict, Err(AuthError::BadSignature), "{name}");
    }
}

#[test]
fn an_rsa_key_may_come_as_pkcs1() {
    let key = Key::from_public_pem(Algorithm::Rs256, RSA_PKCS1).unwrap();
    assert!(verifier(vec![key]).verify(token("RS256"), 0).is_ok());
}

#[test]
fn kid_chooses_the_key() {
    let signer = |id: &str| SigningKey::from_secret(Algorithm::Hs256, SECRET).unwrap().with_id(id);
    let other_secret = [b'x'; 32];
    let good = || key(Algorithm::Hs256);
    let other = || Key::from_secret(Algorithm::Hs256, &other_secret).unwrap();
    let named = mint(&signer("a"), &MintClaims { names: ClaimNames::default(), ..claims() });
    let unnamed = token("HS256").to_owned();
    let rows = [
        ("its own", vec![other().with_id("b"), good().with_id("a")], &named, Ok(())),
        ("no ids at all", vec![other(), good()], &named, Ok(())),
        ("two of that id", vec![other().with_id("a"), good().with_id("a")], &named, Ok(())),
        ("another id", vec![good().with_id("b")], &named, Err(AuthError::UnknownKey)),
        ("another id or none", vec![good(), other().with_id("b")], &named, Err(AuthError::UnknownKey)),
        ("another secret", vec![other().with_id("a")], &named, Err(AuthError::BadSignature)),
        (
            "another algorithm",
            vec![key(Algorithm::Rs256).with_id("a"), good().with_id("b")],
            &named,
            Err(AuthError::WrongAlgorithm(Algorithm::Hs256)),
        ),
        ("no kid", vec![other().with_id("a"), good().with_id("b")], &unnamed, Ok(())),
        ("no kid, no match", vec![other(), other().with_id("b")], &unnamed, Err(AuthError::BadSignature)),
        ("no keys", vec![], &unnamed, Err(AuthError::UnknownKey)),
    ];
    for (name, keys, token, expected) in rows {
        assert_eq!(verifier(keys).verify(token, 1_000).map(drop), expected, "{name}");
    }
}

#[test]
fn keys_are_checked_when_they_are_taken() {
    use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs512, Ps256, Rs256};
    let secret = |algorithm, secret: &[u8]| Key::from_secret(algorithm, secret).map(drop);
    let public = |algorithm, text: &str| Key::from_public_pem(algorithm, text).map(drop);
    let truncated = RSA.replace("MIIB", "MIIC");
    let modulus = roca::tests::made_up(&[u32::MAX; 60], 7);
    let numbers = vec![UintRef::new(&modulus).unwrap(), UintRef::new(&[1, 0, 1]).unwrap()];
    let broken =
        pem::encode_string("RSA PUBLIC KEY", pem::LineEnding::LF, &numbers.to_der().unwrap()).unwrap();
    let rows = [
        ("31 bytes", secret(Hs256, &[7; 31]), Err(KeyError::SecretTooShort { bytes: 31 })),
        ("32 bytes", secret(Hs512, &[7; 32]), Ok(())),
        ("public key as secret", secret(Hs256, RSA.as_bytes()), Err(KeyError::SecretIsPem)),
        ("secret for RSA", secret(Rs256, SECRET), Err(KeyError::WrongMaterial(Rs256))),
        ("public key for HMAC", public(Hs256, RSA), Err(KeyError::WrongMaterial(Hs256))),
        ("no PEM", public(Rs256, "ssh-rsa AAAA"), Err(KeyError::Pem)),
        ("empty", public(Rs256, ""), Err(KeyError::Pem)),
        ("two documents", public(Rs256, &format!("{RSA}{RSA}")), Err(KeyError::Pem)),
        ("surrounding space", public(Rs256, &format!("\n  {RSA}\n\n")), Ok(())),
        ("CRLF", public(Rs256, &RSA.replace('\n', "\r\n")), Ok(())),
        ("broken DER", public(Rs256, &truncated), Err(KeyError::Der)),
        ("1024 bits", public(Rs256, testdata!("rsa1024.pub.pem")), Err(KeyError::RsaBits { bits: 1024 })),
        ("made by a broken generator", public(Rs256, &broken), Err(KeyError::Roca)),
        ("PSS only", public(Ps256, testdata!("rsapss.pub.pem")), Err(KeyError::WrongFamily(Ps256))),
        ("RSA for EC", public(Es256, RSA), Err(KeyError::WrongFamily(Es256))),
        ("PKCS#1 for EC", public(Es256, RSA_PKCS1), Err(KeyError::WrongFamily(Es256))),
        ("EC for RSA", public(Rs256, P256), Err(KeyError::WrongFamily(Rs256))),
        ("P-256 for ES384", public(Es384, P256), Err(KeyError::WrongFamily(Es384))),
        ("P-521", public(Es256, testdata!("p521.pub.pem")), Err(KeyError::WrongFamily(Es256))),
        ("Ed25519 for ES256", public(Es256, ED25519), Err(KeyError::WrongFamily(Es256))),
        ("private key", public(EdDsa, testdata!("ed25519.key.pem")), Err(KeyError::PemLabel("PUBLIC KEY"))),
    ];
    for (name, found, expected) in rows {
        assert_eq!(found, expected, "{name}");
    }
    let many = |count| KeySet::new(vec![key(Hs256); count]).map(drop);
    assert_eq!(many(KEYS_PER_ALGORITHM_MAX), Ok(()));
    assert_eq!(many(KEYS_PER_ALGORITHM_MAX + 1), Err(KeyError::TooMany(Hs256)));
}

#[test]
fn nothing_secret_prints() {
    let key = key(Algorithm::Hs256).with_id("k");
    assert_eq!(format!("{key:?}"), "Key { id: Some(\"k\"), algorithm: Hs256, .. }");
    let signing = SigningKey::from_secret(Algorithm::Hs256, SECRET).unwrap();
    assert_eq!(format!("{signing:?}"), "SigningKey { id: None, algorithm: Hs256, .. }");
}

fn claims() -> MintClaims {
    MintClaims {
        user: UserName::parse("zo\"ë\\").unwrap(),
        tenant: Some(TenantName::parse("acme").unwrap()),
        issued_at_s: 1_000,
        expires_at_s: Some(2_000),
        issuer: Some(Box::from("https://id.example/")),
        audience: Some(Box::from("ringway")),
        roles: vec!["b".into(), "a \"".into()],
        abilities: vec!["join:x.*".into(), "ringway:admin".into()],
        id: None,
        names: ClaimNames {
            user: "uid".into(),
            tenant: vec!["org".into(), "tid".into()],
            roles: "groups".into(),
            abilities: "can".into(),
            name: "nick".into(),
        },
    }
}

#[test]
fn minted_tokens_verify() {
    let pairs = [
        (SigningKey::from_secret(Algorithm::Hs256, SECRET).unwrap(), key(Algorithm::Hs256)),
        (SigningKey::from_secret(Algorithm::Hs384, SECRET).unwrap(), key(Algorithm::Hs384)),
        (SigningKey::from_secret(Algorithm::Hs512, SECRET).unwrap(), key(Algorithm::Hs512)),
        (SigningKey::from_private_pem(testdata!("ed25519.key.pem")).unwrap(), key(Algorithm::EdDsa)),
    ];
    for (signing, verifying) in pairs {
        let token = mint(&signing.with_id("k\u{1}"), &claims());
        let config = Config {
            issuer: claims().issuer,
            audience: claims().audience,
            claims: claims().names,
            require_exp: true,
            ..Config::new(KeySet::new(vec![verifying.with_id("k\u{1}")]).unwrap())
        };
        let verifier = Verifier::new(config);
        let identity = verifier.verify(&token, 1_500).unwrap();
        assert_eq!((identity.user, Some(identity.tenant)), (claims().user, claims().tenant));
        assert_eq!(identity.expires_at_s, Some(2_000));
        assert!(identity.admin && !identity.publishes);
        assert_eq!(identity.rights, Rights::new(&["a \"", "b"], &["join:x.*"]));
        let explanation = verifier.explain(&token, 2_100);
        assert_eq!(explanation.verdict, Err(AuthError::Expired { ago_s: 100 }));
        assert_eq!(explanation.expires_in_s, Some(-100));
        assert!(explanation.header.unwrap().contains("\"typ\": \"JWT\""));
        assert!(explanation.claims.unwrap().contains("\n  \"org\": \"acme\""));
    }
    assert!(SigningKey::from_private_pem(ED25519).is_err());
    assert!(SigningKey::from_private_pem(&testdata!("ed25519.key.pem").replace("MC4", "MC5")).is_err());
}
