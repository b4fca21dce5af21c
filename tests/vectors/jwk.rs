//! Project Wycheproof's vectors of sets of keys (`testvectors_v1/json_web_key_test.json`, Apache-2.0): each token against
//! its group's set, read as an issuer's is. No registry carries the file: whoever has it names it in the environment.

use std::fs;

use ringway::auth::{Algorithm, Config, Jwks, KeySet, Verifier};
use serde_json::Value;

use super::{
    jws::{Verdict, verdict},
    place,
};

/// The tokens that the file holds, at least.
const TOKENS_MIN: usize = 26;

/// Where we differ from the file, each with the reason.
const DIFFERENT: [(u64, Verdict, &str); 4] = [
    (2, Verdict::Refused, "its key is a shared secret, which no published set may hold"),
    (13, Verdict::Refused, "the same"),
    (14, Verdict::Refused, "the same"),
    (15, Verdict::Refused, "the same"),
];

#[test]
fn of_a_set_the_keys_count_that_are_for_tokens() {
    let Some(file) = place("RINGWAY_JWK_VECTORS", "Wycheproof JWK") else { return };
    let vectors: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        let set = group.get("public").unwrap_or(&group["private"]).to_string();
        let set = Jwks::read(set.as_bytes(), Algorithm::Rs256).unwrap();
        let verifier = Verifier::new(Config::new(KeySet::new(set.keys).unwrap()));
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let id = test["tcId"].as_u64().unwrap();
            let named = if test["result"] == "valid" { Verdict::Signed } else { Verdict::Refused };
            let different = DIFFERENT.iter().find(|(other, ..)| *other == id);
            let expected = different.map_or(named, |(_, verdict, _)| *verdict);
            let found = verdict(&verifier, &test["jws"]);
            if found != expected {
                wrong.push(format!("{id} {}: {found:?}, expected {expected:?}", test["comment"]));
            }
        }
    }
    assert!(count >= TOKENS_MIN, "{count} tokens are not the file");
    assert!(wrong.is_empty(), "{} of {count} tokens:\n{}", wrong.len(), wrong.join("\n"));
}
