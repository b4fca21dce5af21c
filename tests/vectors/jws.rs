//! Project Wycheproof's vectors of JSON Web Signatures (`testvectors_v1/json_web_signature_test.json`, Apache-2.0): each
//! token against its group's key. No registry carries the file: whoever has it names it in the environment.

use std::fs;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ringway::auth::{Algorithm, AuthError, Config, Key, KeySet, Part, Verifier};
use serde_json::Value;

use super::place;

/// The tokens that the file holds, at least.
const TOKENS_MIN: usize = 400;

/// Where we differ from the file, each with the reason.
const DIFFERENT: [(u64, Verdict, &str); 8] = [
    (346, Verdict::Refused, "its key is for PS256, its header says PS384: a key has one algorithm"),
    (350, Verdict::Refused, "the same"),
    (347, Verdict::Refused, "ES512: ring has no P-521"),
    (351, Verdict::Refused, "the same"),
    (367, Verdict::Signed, "byte for byte the valid token 357"),
    (370, Verdict::Signed, "the same"),
    (372, Verdict::Refused, "has a `?`, which is no base64url (RFC 7515 §2)"),
    (373, Verdict::Refused, "the same"),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The signature holds; what is signed are no claims, which is found out afterwards.
    Signed,
    Refused,
}

#[test]
fn signatures_hold_where_they_should_and_nowhere_else() {
    let Some(file) = place("RINGWAY_JWS_VECTORS", "Wycheproof JWS") else { return };
    let vectors: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        let jwk = group.get("public").unwrap_or(&group["private"]);
        // Keys for other uses are no verifier's: which of a set are is the set's reader's affair.
        let verifies = jwk["use"] != "enc" && jwk["key_ops"] != serde_json::json!(["encrypt"]);
        let verifier = verifier(jwk).filter(|_| verifies);
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let id = test["tcId"].as_u64().unwrap();
            let named = if test["result"] == "valid" { Verdict::Signed } else { Verdict::Refused };
            let different = DIFFERENT.iter().find(|(other, ..)| *other == id);
            let expected = different.map_or(named, |(_, verdict, _)| *verdict);
            let found =
                verifier.as_ref().map_or(Verdict::Refused, |verifier| verdict(verifier, &test["jws"]));
            if found != expected {
                wrong.push(format!("{id} {}: {found:?}, expected {expected:?}", test["comment"]));
            }
        }
    }
    assert!(count >= TOKENS_MIN, "{count} tokens are not the file");
    assert!(wrong.is_empty(), "{} of {count} tokens:\n{}", wrong.len(), wrong.join("\n"));
}

/// What becomes of a token.
pub(crate) fn verdict(verifier: &Verifier, token: &Value) -> Verdict {
    // A token in the JSON serialisation is an object in the file.
    let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
    match verifier.verify(&token, 1_800_000_000) {
        // Claims are read only behind a signature that holds.
        Ok(_) | Err(AuthError::Json { part: Part::Claims, .. }) => Verdict::Signed,
        Err(_) => Verdict::Refused,
    }
}

/// `None` for a key that we have no algorithm for, or would not take.
fn verifier(jwk: &Value) -> Option<Verifier> {
    let text = |name: &str| jwk[name].as_str();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let algorithm = Algorithm::parse(text("alg")?)?;
    let key = match text("kty")? {
        "oct" => Key::from_secret(algorithm, &bytes("k")?),
        "RSA" => {
            let numbers = [integer(&bytes("n")?), integer(&bytes("e")?)].concat();
            Key::from_public_pem(algorithm, &pem("RSA PUBLIC KEY", &tagged(0x30, &numbers)))
        }
        "EC" => {
            let point = [&[0, 4][..], &bytes("x")?, &bytes("y")?].concat();
            let spki = [curve(text("crv")?)?, &tagged(0x03, &point)].concat();
            Key::from_public_pem(algorithm, &pem("PUBLIC KEY", &tagged(0x30, &spki)))
        }
        _ => return None,
    };
    let key = key.ok()?.with_id(text("kid")?);
    Some(Verifier::new(Config::new(KeySet::new(vec![key]).ok()?)))
}

/// The AlgorithmIdentifier of a curve's public keys (RFC 5480 §2.1.1).
fn curve(name: &str) -> Option<&'static [u8]> {
    match name {
        "P-256" => {
            Some(b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")
        }
        "P-384" => Some(b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"),
        _ => None,
    }
}

/// A positive DER INTEGER.
fn integer(number: &[u8]) -> Vec<u8> {
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[leading..];
    let sign: &[u8] = if number.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    tagged(0x02, &[sign, number].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, content.to_vec()].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
