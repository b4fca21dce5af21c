//! Tokens that should not get in. Unless a row says otherwise they carry a valid HS256 signature, so that what is
//! refused is refused for the reason under test.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use ring::hmac;

use super::{
    abilities::Rights,
    algorithm::Algorithm,
    claims::ClaimNames,
    error::{AuthError, Claim, JsonError, Part},
    jws::TOKEN_BYTES_MAX,
    key_set::KeySet,
    vector_tests::{SECRET, key, testdata, token, verifier},
    verifier::{Config, Identity, Verifier},
};
use crate::base::NameError;

const NOW_S: u64 = 1_000_000;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn signed_with(secret: &[u8], header: &[u8], claims: &[u8]) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed_with(SECRET, header.as_ref(), claims.as_ref())
}

fn verify(token: &str) -> Result<Identity, AuthError> {
    verifier(vec![key(Algorithm::Hs256)]).verify(token, NOW_S)
}

fn verify_claims(config: Config, claims: &str) -> Result<Identity, AuthError> {
    Verifier::new(config).verify(&signed(HEADER, claims), NOW_S)
}

fn config() -> Config {
    Config::new(KeySet::new(vec![key(Algorithm::Hs256)]).unwrap())
}

fn json(part: Part, error: JsonError) -> AuthError {
    AuthError::Json { part, error }
}

#[test]
fn headers() {
    let ok = Ok(());
    let deep = format!(r#"{{"alg":"HS256","x":{}}}"#, "[".repeat(3_000));
    let rows: Vec<(&str, Result<(), AuthError>)> = vec![
        (HEADER, ok),
        (r#"{"alg":"HS256"}"#, ok),
        (r#"{"alg":"HS256","typ":"at+JWT"}"#, ok),
        (r#"{"alg":"HS256","typ":"application/at+jwt"}"#, ok),
        (r#"{"\u0061lg":"HS\u003256"}"#, ok),
        (r#"{"alg":"HS256","kid":"unused as no key has an id"}"#, ok),
        (r#"{"alg":"HS256","b64":true}"#, ok),
        // Foreign keys are not looked at, whatever they are.
        (
            r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"},"jku":"http://169.254.169.254/","x5u":7,"x5c":["AA"]}"#,
            ok,
        ),
        (r#"{"alg":"none"}"#, Err(AuthError::UnknownAlgorithm)),
        (r#"{"alg":"nOnE"}"#, Err(AuthError::UnknownAlgorithm)),
        (r#"{"alg":""}"#, Err(AuthError::UnknownAlgorithm)),
        (r#"{"alg":"HS256\u0000"}"#, Err(AuthError::UnknownAlgorithm)),
        (r#"{"alg":"HS512"}"#, Err(AuthError::WrongAlgorithm(Algorithm::Hs512))),
        (r#"{"alg":"RS256"}"#, Err(AuthError::WrongAlgorithm(Algorithm::Rs256))),
        (r#"{"alg":["HS256"]}"#, Err(AuthError::HeaderMember("alg"))),
        (r#"{"alg":null}"#, Err(AuthError::HeaderMember("alg"))),
        (r#"{"typ":"JWT"}"#, Err(AuthError::HeaderMember("alg"))),
        (r#"{"Alg":"HS256"}"#, Err(AuthError::HeaderMember("alg"))),
        (r#"{"alg":"HS256","kid":1}"#, Err(AuthError::HeaderMember("kid"))),
        (r#"{"alg":"HS256","typ":null}"#, Err(AuthError::HeaderMember("typ"))),
        (r#"{"alg":"HS256","typ":"secevent+jwt"}"#, Err(AuthError::Unsupported("typ"))),
        (r#"{"alg":"HS256","crit":["exp"]}"#, Err(AuthError::Unsupported("crit"))),
        (r#"{"alg":"HS256","crit":[]}"#, Err(AuthError::Unsupported("crit"))),
        (r#"{"alg":"HS256","cr\u0069t":null}"#, Err(AuthError::Unsupported("crit"))),
        (r#"{"alg":"HS256","b64":false}"#, Err(AuthError::Unsupported("b64"))),
        (r#"{"alg":"HS256","b64":"true"}"#, Err(AuthError::Unsupported("b64"))),
        (r#"{"alg":"HS256","alg":"HS256"}"#, Err(json(Part::Header, JsonError::Duplicate))),
        (r#"{"alg":"HS256","\u0061lg":"HS256"}"#, Err(json(Part::Header, JsonError::Duplicate))),
        (r#"{"alg":"HS256"} x"#, Err(json(Part::Header, JsonError::Syntax { at: 16 }))),
        (r#"["HS256"]"#, Err(json(Part::Header, JsonError::Syntax { at: 0 }))),
        ("", Err(json(Part::Header, JsonError::Syntax { at: 0 }))),
        (&deep, Err(json(Part::Header, JsonError::TooDeep))),
    ];
    for (header, expected) in rows {
        assert_eq!(verify(&signed(header, r#"{"sub":"ada"}"#)).map(drop), expected, "{header:.80}");
    }
}

#[test]
fn claims() {
    use AuthError::{BadClaim, BadName, MissingClaim, TenantConflict};
    let syntax = |at| Err(json(Part::Claims, JsonError::Syntax { at }));
    let duplicate = || Err(json(Part::Claims, JsonError::Duplicate));
    let long = format!(r#"{{"sub":"{}"}}"#, "x".repeat(257));
    let deep = format!(r#"{{"sub":"ada","x":{}}}"#, "{\"y\":".repeat(1_000));
    type Row<'a> = (&'a str, Result<(&'a str, &'a str), AuthError>);
    let rows: Vec<Row<'_>> = vec![
        (r#"{"sub":"ada"}"#, Ok(("ada", "default"))),
        (r#"{"sub":"\u0061d\ud83d\ude00"}"#, Ok(("ad😀", "default"))),
        (r#"{"sub":42,"tenant":7}"#, Ok(("42", "7"))),
        (r#"{"sub":18446744073709551615,"tenant_id":"t"}"#, Ok(("18446744073709551615", "t"))),
        (r#"{"sub":"a","tenant":"7","tenant_id":7}"#, Ok(("a", "7"))),
        (r#"{"sub":"a","tenant":"\u0074","tenant_id":"t"}"#, Ok(("a", "t"))),
        (r#"{"sub":"a","tenant":"t","tenant_id":"u"}"#, Err(TenantConflict)),
        (r#"{"sub":"a","tenant":"t","tenant_id":""}"#, Err(TenantConflict)),
        (r#"{"sub":"a","tenant":null}"#, Err(BadClaim(Claim::Tenant))),
        (r#"{"sub":"a","tenant":"t","tenant_id":null}"#, Err(BadClaim(Claim::Tenant))),
        (r#"{"sub":"a","tenant":["t"]}"#, Err(BadClaim(Claim::Tenant))),
        (r#"{"sub":"a","tenant":""}"#, Err(BadName { claim: Claim::Tenant, error: NameError::Empty })),
        (r#"{"sub":"a\u0000"}"#, Err(BadName { claim: Claim::User, error: NameError::Control })),
        (r#"{"sub":""}"#, Err(BadName { claim: Claim::User, error: NameError::Empty })),
        (&long, Err(BadName { claim: Claim::User, error: NameError::TooLong })),
        ("{}", Err(MissingClaim(Claim::User))),
        (r#"{"Sub":"a"}"#, Err(MissingClaim(Claim::User))),
        (r#"{"sub":null}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":true}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":{}}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":-1}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":-0}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":1.0}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":1e3}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":18446744073709551616}"#, Err(BadClaim(Claim::User))),
        (r#"{"sub":"a","sub":"a"}"#, duplicate()),
        (r#"{"sub":"ada","\u0073ub":"admin"}"#, duplicate()),
        (r#"{"sub":"ada","x":1,"x":1}"#, duplicate()),
        (r#"{"sub":"ada"}{"sub":"admin"}"#, syntax(13)),
        ("{\"sub\":\"ada\"}\0", syntax(13)),
        ("\u{feff}{\"sub\":\"ada\"}", syntax(0)),
        (r#"{"sub":"ada","x":"\ud800"}"#, syntax(24)),
        (r#""eyJ""#, syntax(0)),
        (&deep, Err(json(Part::Claims, JsonError::TooDeep))),
        (r#"{"sub":"a","iss":7}"#, Err(BadClaim(Claim::Issuer))),
        (r#"{"sub":"a","aud":7}"#, Err(BadClaim(Claim::Audience))),
        (r#"{"sub":"a","aud":["x",7]}"#, Err(BadClaim(Claim::Audience))),
        (
            r#"{"sub":"a","iss":"anyone","aud":["x","y"],"groups":[{"a":[1]}],"n":1e400}"#,
            Ok(("a", "default")),
        ),
    ];
    for (claims, expected) in rows {
        let found = verify(&signed(HEADER, claims));
        let found = found.as_ref().map(|identity| (identity.user.as_str(), identity.tenant.as_str()));
        assert_eq!(found, expected.as_ref().copied(), "{claims:.80}");
    }
    assert_eq!(verify(&signed(HEADER, b"{\"sub\":\"\xff\"}")), Err(json(Part::Claims, JsonError::Utf8)));
}

#[test]
fn dates() {
    let bad = |claim| Err(AuthError::BadClaim(claim));
    let expiry = |at_s| Ok(Some(at_s));
    // Now is 1,000,000; the leeway 5.
    let rows: [(&str, Result<Option<u64>, AuthError>); 31] = [
        (r#""x":0"#, Ok(None)),
        (r#""exp":1000001"#, expiry(1_000_001)),
        (r#""exp":1000000"#, expiry(1_000_000)),
        (r#""exp":999996"#, expiry(999_996)),
        (r#""exp":999995"#, Err(AuthError::Expired { ago_s: 5 })),
        (r#""exp":999995.999"#, Err(AuthError::Expired { ago_s: 5 })),
        (r#""exp":0"#, Err(AuthError::Expired { ago_s: 1_000_000 })),
        (r#""exp":-0"#, Err(AuthError::Expired { ago_s: 1_000_000 })),
        (r#""exp":1000003.9"#, expiry(1_000_003)),
        (r#""exp":1.0e6"#, expiry(1_000_000)),
        (r#""exp":18446744073709551615"#, expiry(u64::MAX)),
        (r#""exp":1e300"#, expiry(u64::MAX)),
        (r#""exp":1e400"#, bad(Claim::Expiry)),
        (r#""exp":-1"#, bad(Claim::Expiry)),
        (r#""exp":-1e400"#, bad(Claim::Expiry)),
        (r#""exp":-0.5"#, bad(Claim::Expiry)),
        (r#""exp":"2000000""#, bad(Claim::Expiry)),
        (r#""exp":null"#, bad(Claim::Expiry)),
        (r#""exp":false"#, bad(Claim::Expiry)),
        (r#""exp":[2000000]"#, bad(Claim::Expiry)),
        (r#""nbf":1000005"#, Ok(None)),
        (r#""nbf":1000005.9"#, Ok(None)),
        (r#""nbf":1000006"#, Err(AuthError::NotYetValid { in_s: 6 })),
        (r#""nbf":1e300"#, Err(AuthError::NotYetValid { in_s: u64::MAX - NOW_S })),
        (r#""nbf":"0""#, bad(Claim::NotBefore)),
        (r#""iat":1000005"#, Ok(None)),
        (r#""iat":1000006"#, Err(AuthError::IssuedInFuture { in_s: 6 })),
        (r#""iat":{}"#, bad(Claim::IssuedAt)),
        (r#""iat":1,"nbf":2,"exp":3000000"#, expiry(3_000_000)),
        (r#""iat":2000000,"nbf":2000000,"exp":3"#, Err(AuthError::Expired { ago_s: 999_997 })),
        (r#""exp":2000000,"\u0065xp":1"#, Err(json(Part::Claims, JsonError::Duplicate))),
    ];
    for (dates, expected) in rows {
        let claims = format!(r#"{{"sub":"ada",{dates}}}"#);
        let found = verify_claims(config(), &claims).map(|identity| identity.expires_at_s);
        assert_eq!(found, expected, "{dates}");
    }
    let strict = || Config { leeway_s: 0, require_exp: true, ..config() };
    let rows = [
        (r#"{"sub":"ada"}"#, Err(AuthError::MissingClaim(Claim::Expiry))),
        (r#"{"sub":"ada","exp":1000000}"#, Err(AuthError::Expired { ago_s: 0 })),
        (r#"{"sub":"ada","exp":1000001,"nbf":1000000,"iat":1000000}"#, Ok(())),
    ];
    for (claims, expected) in rows {
        assert_eq!(verify_claims(strict(), claims).map(drop), expected, "{claims}");
    }
    let endless = Config { leeway_s: u64::MAX, ..config() };
    assert!(verify_claims(endless, r#"{"sub":"ada","exp":1,"nbf":1e300,"iat":9000000}"#).is_ok());
}

#[test]
fn issuer_and_audience() {
    let named = || Config {
        issuer: Some(Box::from("https://id")),
        audience: Some(Box::from("ringway")),
        claims: ClaimNames { user: "uid".into(), tenant: vec!["org".into()], ..ClaimNames::default() },
        ..config()
    };
    let rows = [
        (r#"{"uid":"a","iss":"https://id","aud":"ringway"}"#, Ok(())),
        (r#"{"uid":"a","iss":"https:\/\/id","aud":["x","ring\u0077ay"],"sub":{},"tenant":null}"#, Ok(())),
        (r#"{"uid":"a","iss":"https://id/","aud":"ringway"}"#, Err(AuthError::WrongIssuer)),
        (r#"{"uid":"a","aud":"ringway"}"#, Err(AuthError::WrongIssuer)),
        (r#"{"uid":"a","iss":"https://id"}"#, Err(AuthError::WrongAudience)),
        (r#"{"uid":"a","iss":"https://id","aud":[]}"#, Err(AuthError::WrongAudience)),
        (r#"{"uid":"a","iss":"https://id","aud":["ringway2","Ringway"]}"#, Err(AuthError::WrongAudience)),
        (r#"{"sub":"a","iss":"https://id","aud":"ringway"}"#, Err(AuthError::MissingClaim(Claim::User))),
    ];
    for (claims, expected) in rows {
        assert_eq!(verify_claims(named(), claims).map(drop), expected, "{claims}");
    }
}

#[test]
fn roles_and_abilities() {
    let names = ClaimNames {
        roles: "https://x.org/groups".into(),
        abilities: "perms".into(),
        ..ClaimNames::default()
    };
    let named = || Config { claims: names.clone(), ..config() };
    let one_claim = || {
        let names = ClaimNames { roles: "perms".into(), ..names.clone() };
        Config { claims: names, ..config() }
    };
    type Row<'a> = (&'a str, Result<(&'a [&'a str], &'a [&'a str]), AuthError>);
    let rows: &[Row<'_>] = &[
        (r#"{"sub":"a"}"#, Ok((&[], &[]))),
        (r#"{"sub":"a","roles":[],"abilities":[]}"#, Ok((&[], &[]))),
        (r#"{"sub":"a","roles":"member"}"#, Ok((&["member"], &[]))),
        (r#"{"sub":"a","roles":["b","\u0061","b"],"name":7}"#, Ok((&["a", "b"], &[]))),
        (r#"{"sub":"a","abilities":"join:x"}"#, Ok((&[], &["join:x"]))),
        (r#"{"sub":"a","abilities":["*","posts:read","send:y"]}"#, Ok((&[], &["send:y"]))),
        (r#"{"sub":"a","roles":null}"#, Err(AuthError::BadClaim(Claim::Roles))),
        (r#"{"sub":"a","roles":["a",1]}"#, Err(AuthError::BadClaim(Claim::Roles))),
        (r#"{"sub":"a","roles":{"a":true}}"#, Err(AuthError::BadClaim(Claim::Roles))),
        (r#"{"sub":"a","abilities":7}"#, Err(AuthError::BadClaim(Claim::Abilities))),
    ];
    for (claims, expected) in rows {
        let expected = expected.map(|(roles, abilities)| Rights::new(roles, abilities));
        assert_eq!(verify_claims(config(), claims).map(|identity| identity.rights), expected, "{claims}");
    }
    let renamed = r#"{"sub":"a","roles":7,"https://x.org/groups":["g"],"perms":"send:y"}"#;
    let identity = verify_claims(named(), renamed).unwrap();
    assert_eq!(identity.rights, Rights::new(&["g"], &["send:y"]));
    let identity = verify_claims(one_claim(), r#"{"sub":"a","perms":["g","send:y"]}"#).unwrap();
    assert_eq!(identity.rights, Rights::new(&["g", "send:y"], &["send:y"]));
}

#[test]
fn shapes() {
    let good = signed(HEADER, r#"{"sub":"ada"}"#);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    let base64 = AuthError::Base64;
    let rows = [
        (good.clone(), Ok(())),
        (String::new(), Err(AuthError::Parts)),
        (".".into(), Err(AuthError::Parts)),
        ("..".into(), Err(json(Part::Header, JsonError::Syntax { at: 0 }))),
        (input.into(), Err(AuthError::Parts)),
        (format!("{good}."), Err(AuthError::Parts)),
        (format!(".{good}"), Err(AuthError::Parts)),
        (format!("{good}.{signature}"), Err(AuthError::Parts)),
        (format!("{input}."), Err(AuthError::BadSignature)),
        (format!("{header}..{signature}"), Err(AuthError::BadSignature)),
        (format!(" {good}"), Err(base64(Part::Header))),
        (format!("{good}\n"), Err(base64(Part::Signature))),
        (format!("{good}="), Err(base64(Part::Signature))),
        (format!("{header}=.{claims}.{signature}"), Err(base64(Part::Header))),
        (format!("{header}.{claims}==.{signature}"), Err(base64(Part::Claims))),
        (format!("{header}.{claims}.+{}", &signature[1..]), Err(base64(Part::Signature))),
        (format!("{header}.{claims}\u{e9}.{signature}"), Err(base64(Part::Claims))),
        (format!("{header}.{claims}\0.{signature}"), Err(base64(Part::Claims))),
        (format!("{header}.{claims}.{signature}A"), Err(AuthError::BadSignature)),
        (format!("{header}.{claims}.{signature}AA"), Err(base64(Part::Signature))),
        (format!("Bearer {good}"), Err(base64(Part::Header))),
    ];
    for (token, expected) in rows {
        assert_eq!(verify(&token).map(drop), expected, "{token:?}");
    }
}

#[test]
fn one_value_has_one_spelling() {
    // The signature's 32 bytes leave two unused bits in the last of 43 characters.
    let good = token("HS256");
    let (head, last) = good.split_at(good.len() - 1);
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let found = ALPHABET.find(last).unwrap();
    for unused in 1..4 {
        let same_bytes = &ALPHABET[found + unused..][..1];
        assert_eq!(verify(&format!("{head}{same_bytes}")), Err(AuthError::Base64(Part::Signature)));
    }
}

#[test]
fn sizes() {
    let of_length = |bytes: usize| {
        let claims = |fill| format!(r#"{{"sub":"ada","x":"{}"}}"#, "x".repeat(fill));
        let fixed = signed(HEADER, claims(0)).len();
        signed(HEADER, claims((bytes - fixed) / 4 * 3))
    };
    let longest = of_length(TOKEN_BYTES_MAX);
    assert!(longest.len() > TOKEN_BYTES_MAX - 4 && longest.len() <= TOKEN_BYTES_MAX);
    assert!(verify(&longest).is_ok());
    let longer = of_length(TOKEN_BYTES_MAX + 8);
    assert_eq!(verify(&longer), Err(AuthError::TooLong { bytes: longer.len() }));
    assert_eq!(verify(&".".repeat(1 << 24)), Err(AuthError::TooLong { bytes: 1 << 24 }));
}

#[test]
fn a_public_key_is_no_secret() {
    let pem = testdata!("rsa2048.pub.pem");
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), b""] {
        let forged = signed_with(secret, HEADER.as_bytes(), br#"{"sub":"admin"}"#);
        let verdict = verifier(vec![key(Algorithm::Rs256)]).verify(&forged, NOW_S);
        assert_eq!(verdict, Err(AuthError::WrongAlgorithm(Algorithm::Hs256)));
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let verifier = verifier(vec![key(algorithm)]);
        let good = token(algorithm.as_str());
        assert!(verifier.verify(good, NOW_S).is_ok());
        for end in 0..good.len() {
            assert!(verifier.verify(&good[..end], NOW_S).is_err(), "{algorithm} {end}");
        }
        let (input, signature) = good.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = format!("{input}.{}", URL_SAFE_NO_PAD.encode(flipped));
            assert_eq!(verifier.verify(&flipped, NOW_S), Err(AuthError::BadSignature), "{algorithm} {bit}");
        }
    }
}

#[test]
fn errors_tell_nothing_that_the_token_said() {
    let rows = [
        signed(HEADER, r#"{"sub":"hunter2","exp":1}"#),
        signed(HEADER, r#"{"sub":["hunter2"]}"#),
        signed(HEADER, r#"{"sub":"hunter2\u0000"}"#),
        signed(r#"{"alg":"hunter2"}"#, "{}"),
        signed(HEADER, "hunter2"),
        "hunter2".to_owned(),
    ];
    for token in rows {
        let error = verify(&token).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.reason());
        assert!(!shown.contains("hunter2") && !shown.contains(&token), "{shown}");
    }
}

#[test]
fn explanations_survive_what_verification_refuses() {
    let verifier = verifier(vec![key(Algorithm::Hs256)]);
    for token in ["", "a.b.c", "..", &signed("[]", "x"), &signed(HEADER, "{}")[..40]] {
        let explanation = verifier.explain(token, NOW_S);
        assert!(explanation.verdict.is_err() && explanation.expires_in_s.is_none(), "{token}");
    }
    let unsigned = signed_with(&[0; 32], HEADER.as_bytes(), br#"{"sub":"ada","exp":1000060}"#);
    let explanation = verifier.explain(&unsigned, NOW_S);
    assert_eq!(explanation.verdict, Err(AuthError::BadSignature));
    assert_eq!(explanation.expires_in_s, Some(60));
}

proptest! {
    #[test]
    fn no_text_gets_in_or_panics(token in "[A-Za-z0-9_=. é-]{0,80}") {
        let verifier = verifier(vec![key(Algorithm::Hs256)]);
        prop_assert!(verifier.verify(&token, NOW_S).is_err());
        prop_assert!(verifier.explain(&token, NOW_S).verdict.is_err());
    }

    #[test]
    fn no_signed_bytes_panic(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>()) {
        prop_assert!(verify(&signed(&header, &claims)).is_err());
        prop_assert!(verify(&signed(HEADER, &claims)).is_err());
    }

    #[test]
    fn any_user_that_is_a_name_comes_through(user in "\\PC{1,60}") {
        let claims = format!(r#"{{"sub":{}}}"#, sonic_rs::to_string(&user).unwrap());
        let identity = verify(&signed(HEADER, &claims)).unwrap();
        prop_assert_eq!(identity.user.as_str(), user);
    }
}
