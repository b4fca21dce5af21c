//! Sets of keys: the examples of RFC 7517, RFC 7515 and RFC 8037, and what issuers and attackers may publish.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    algorithm::Algorithm,
    error::{JsonError, KeyError},
    jwks::{Jwks, LeftOut, NoSet, WhyNot},
    jws::{Compact, Scratch},
    key_set::{KEYS_PER_ALGORITHM_MAX, KeySet},
    roca,
    vector_tests::token,
};

/// RFC 7515 A.2.1 and A.3.1, RFC 8037 A.2, without their private members.
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-y\
    RT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa\
    2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h\
    4FRWyuXpoQ";
const EC: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
const OKP: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
/// RFC 7517 A.1.
const ENCRYPTS: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}"#;

fn rsa(rest: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"{rest}}}"#)
}

fn read(keys: &[String]) -> Jwks {
    Jwks::read(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes(), Algorithm::Rs256).unwrap()
}

/// The algorithm of a set's one key, or why it has none.
fn one(key: &str) -> Result<Algorithm, WhyNot> {
    let set = read(&[key.to_owned()]);
    match (set.keys.as_slice(), set.left_out.as_slice()) {
        ([key], []) => Ok(key.algorithm()),
        ([], [LeftOut { why, .. }]) => Err(*why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_rfcs_keys_verify_the_rfcs_tokens() {
    let rows = [
        ("rfc7515_a2", rsa(r#","alg":"RS256","use":"sig","kid":"2011-04-29","x5t":"x","x5c":["x"]"#)),
        ("rfc7515_a2", rsa(r#","key_ops":["verify"]"#)),
        ("rfc7515_a3", format!("{{{EC}}}")),
        ("rfc7515_a3", format!(r#"{{{EC},"alg":"ES256"}}"#)),
        ("rfc8037_a", format!("{{{OKP}}}")),
        ("rfc8037_a", format!(r#"{{{OKP},"alg":"EdDSA"}}"#)),
    ];
    for (name, key) in rows {
        let keys = KeySet::new(read(&[ENCRYPTS.to_owned(), key.clone()]).keys).unwrap();
        let verified = Compact::split(token(name)).unwrap().verify(&keys, &mut Scratch::new()).map(drop);
        assert_eq!(verified, Ok(()), "{name} with {key}");
    }
}

#[test]
fn a_key_has_one_algorithm_and_is_for_signatures() {
    use Algorithm::{EdDsa, Es256, Ps384, Rs256, Rs512};
    use WhyNot::{Base64, Malformed, OtherAlgorithm, OtherUse, Private, Secret, UnknownKind};
    let broken = URL_SAFE_NO_PAD.encode(roca::tests::made_up(&[u32::MAX; 60], 7));
    let p384 = format!(r#"{{"kty":"EC","crv":"P-384","x":"{0}","y":"{0}"}}"#, "A".repeat(64));
    let rows = [
        (rsa(""), Ok(Rs256)),
        (rsa(r#","alg":"PS384""#), Ok(Ps384)),
        (rsa(r#","alg":"RS512","use":"sig""#), Ok(Rs512)),
        (rsa(r#","alg":"ES256""#), Err(OtherAlgorithm)),
        (rsa(r#","alg":"HS256""#), Err(OtherAlgorithm)),
        (rsa(r#","alg":"none""#), Err(OtherAlgorithm)),
        (rsa(r#","alg":"RSA-OAEP""#), Err(OtherAlgorithm)),
        (rsa(r#","alg":1"#), Err(Malformed)),
        (rsa(r#","alg":null"#), Err(Malformed)),
        (rsa(r#","kid":7"#), Err(Malformed)),
        (rsa(r#","use":"enc""#), Err(OtherUse)),
        (rsa(r#","use":"SIG""#), Err(OtherUse)),
        (rsa(r#","key_ops":["sign"]"#), Err(OtherUse)),
        (rsa(r#","key_ops":[]"#), Err(OtherUse)),
        (rsa(r#","key_ops":"verify""#), Err(Malformed)),
        (rsa(r#","d":"AQAB""#), Err(Private)),
        (rsa(r#","e":"AQAB""#), Err(Malformed)),
        (r#"{"kty":"RSA","e":"AQAB"}"#.to_owned(), Err(Malformed)),
        (
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
            Err(WhyNot::Key(KeyError::RsaBits { bits: 17 })),
        ),
        (format!(r#"{{"kty":"RSA","n":"{broken}","e":"AQAB"}}"#), Err(WhyNot::Key(KeyError::Roca))),
        (r#"{"kty":"RSA","n":"!","e":"AQAB"}"#.to_owned(), Err(Base64)),
        (r#"{"kty":"RSA","n":"AQAB=","e":"AQAB"}"#.to_owned(), Err(Base64)),
        (r#"{"kty":"RSA","n":"","e":""}"#.to_owned(), Err(WhyNot::Key(KeyError::Der))),
        (format!("{{{EC}}}"), Ok(Es256)),
        (format!(r#"{{{EC},"alg":"ES384"}}"#), Err(OtherAlgorithm)),
        (format!(r#"{{{EC},"alg":"RS256"}}"#), Err(OtherAlgorithm)),
        (ENCRYPTS.to_owned(), Err(OtherUse)),
        (p384.clone(), Ok(Algorithm::Es384)),
        (p384.replace("P-384", "P-256"), Err(WhyNot::Key(KeyError::Der))),
        (p384.replace("P-384", "P-521"), Err(UnknownKind)),
        (p384.replace("P-384", "secp256k1"), Err(UnknownKind)),
        (r#"{"kty":"EC","x":"AA","y":"AA"}"#.to_owned(), Err(UnknownKind)),
        (format!("{{{OKP}}}"), Ok(EdDsa)),
        (format!(r#"{{{OKP},"alg":"Ed25519"}}"#), Ok(EdDsa)),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.to_owned(), Err(WhyNot::Key(KeyError::Der))),
        (r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(), Err(UnknownKind)),
        (r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#.to_owned(), Err(Secret)),
        (r#"{"kty":"oct","k":"AyM1","use":"enc"}"#.to_owned(), Err(Secret)),
        (r#"{"kty":"new"}"#.to_owned(), Err(UnknownKind)),
        (r#"{"kid":"a"}"#.to_owned(), Err(Malformed)),
        ("{}".to_owned(), Err(Malformed)),
        ("7".to_owned(), Err(Malformed)),
        ("null".to_owned(), Err(Malformed)),
    ];
    for (key, expected) in rows {
        assert_eq!(one(&key), expected, "{key}");
    }
    let ps256 = format!(r#"{{"keys":[{}]}}"#, rsa(""));
    assert_eq!(Jwks::read(ps256.as_bytes(), Algorithm::Ps256).unwrap().keys[0].algorithm(), Algorithm::Ps256);
}

#[test]
fn leading_zeros_of_a_modulus_are_no_part_of_it() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let modulus = [&[0], &*URL_SAFE_NO_PAD.decode(RSA_N).unwrap()].concat();
    let key = format!(r#"{{"kty":"RSA","n":"{}","e":"AAEAAQ"}}"#, URL_SAFE_NO_PAD.encode(modulus));
    let keys = KeySet::new(read(&[key]).keys).unwrap();
    assert!(Compact::split(token("rfc7515_a2")).unwrap().verify(&keys, &mut Scratch::new()).is_ok());
}

#[test]
fn what_is_left_out_has_a_name_and_keeps_nothing_else_out() {
    let set = read(&[
        r#"{"kty":"oct","kid":"shared"}"#.to_owned(),
        "[]".to_owned(),
        rsa(r#","kid":"a""#),
        format!(r#"{{{EC},"kid":"b"}}"#),
    ]);
    let ids: Vec<_> = set.keys.iter().map(|key| key.id().unwrap()).collect();
    assert_eq!(ids, ["a", "b"]);
    let left_out: Vec<_> = set.left_out.iter().map(|it| (it.key.as_str(), it.why)).collect();
    assert_eq!(left_out, [("shared", WhyNot::Secret), ("1", WhyNot::Malformed)]);
}

#[test]
fn a_set_is_bounded() {
    let keys: Vec<String> = (0..300).map(|number| rsa(&format!(r#","kid":"{number}""#))).collect();
    let set = read(&keys);
    assert_eq!(set.keys.len(), KEYS_PER_ALGORITHM_MAX);
    assert_eq!(set.left_out.len(), 256 - KEYS_PER_ALGORITHM_MAX);
    assert!(set.left_out.iter().all(|it| it.why == WhyNot::TooMany));
    assert!(KeySet::new(set.keys).is_ok());
}

#[test]
fn what_is_no_set_is_refused_whole() {
    let json = NoSet::Json;
    let rows: [(&[u8], NoSet); 8] = [
        (b"", json(JsonError::Syntax { at: 0 })),
        (b"<html>", json(JsonError::Syntax { at: 0 })),
        (b"{\"keys\":[]} x", json(JsonError::Syntax { at: 12 })),
        (b"{\"keys\":[],\"keys\":[]}", json(JsonError::Duplicate)),
        (b"{}", NoSet::Keys),
        (b"{\"keys\":{}}", NoSet::Keys),
        (b"{\"keys\":null}", NoSet::Keys),
        (b"{\"keys\":[\"\xff\"]}", json(JsonError::Utf8)),
    ];
    for (text, expected) in rows {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(Jwks::read(text, Algorithm::Rs256).map(drop), Err(expected), "{shown}");
    }
    assert!(Jwks::read(br#"{"keys":[]}"#, Algorithm::Rs256).unwrap().keys.is_empty());
}

#[test]
fn every_truncation_is_refused() {
    let text = format!(r#"{{"keys":[{},{{{EC}}}]}}"#, rsa(""));
    for end in 0..text.len() {
        assert!(Jwks::read(&text.as_bytes()[..end], Algorithm::Rs256).is_err(), "{end}");
    }
}
