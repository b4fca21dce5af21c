//! The lists of keys: what of them is taken, every error with its line, and nothing shown that is nobody's business.

use super::{
    report::effective,
    tests::{World, file_errors},
};
use crate::{
    auth::{Algorithm, Tenants},
    model::{Scope, Scopes},
};

#[test]
fn public_keys() {
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n";
    let files = [
        (
            "etc/r.toml",
            "[auth]\nissuer = \"x\"\n\n[[auth.keys]]\nkid = \"a\"\nalgorithm = \"RS256\"\nfile = \"a.pem\"\n\n\
             [[auth.keys]]\nalgorithm = \"EdDSA\"\nfile = \"/b.pem\"\n",
        ),
        ("etc/a.pem", PEM),
        ("/b.pem", PEM),
    ];
    let loaded = World { named: Some("etc/r.toml"), files: &files, ..World::default() }.load().unwrap();
    let auth = &loaded.settings.auth;
    let keys: Vec<_> =
        auth.keys.iter().map(|key| (key.kid.as_deref(), key.algorithm, key.pem.as_str())).collect();
    assert_eq!(keys, [(Some("a"), Algorithm::Rs256, PEM), (None, Algorithm::EdDsa, PEM)]);
    assert_eq!(auth.jwt_secret, None, "with keys there is no need for a secret");
    assert!(effective(&loaded).contains(
        "keys = [{ kid = \"a\", algorithm = \"RS256\", file = \"etc/a.pem\" }, { algorithm = \"EdDSA\", \
         file = \"/b.pem\" }]  # etc/r.toml:4\n"
    ));

    let text = "\
[auth]
keys = [
  { algorithm = \"HS256\", file = \"a.pem\" },
  { algorithm = \"RS256\", file = \"none.pem\", use = \"sig\" },
  { algorithm = \"RS256\", file = \"none.pem\" },
  { kid = \"\" },
  7,
  { algorithm = \"ES256\", file = \"private.pem\" },
  { algorithm = \"ES256\", file = \"a.pem\" },
  { algorithm = \"ES256\", file = \"a.pem\" },
]
";
    let private = "-----BEGIN EC PRIVATE KEY-----\n";
    let files = [("ringway.toml", text), ("a.pem", PEM), ("private.pem", private)];
    let public = "must be `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384` or `EdDSA`";
    let expected = [
        format!("ringway.toml:3: auth.keys[0].algorithm = \"HS256\": {public}"),
        "ringway.toml:4: auth.keys[1].use: is no setting".into(),
        "ringway.toml:5: auth.keys[2].file = \"none.pem\": cannot be read: entity not found".into(),
        "ringway.toml:6: auth.keys[3].kid = \"\": must be a text that is not empty, as in a token's header".into(),
        "ringway.toml:6: auth.keys[3].algorithm: is missing".into(),
        "ringway.toml:6: auth.keys[3].file: is missing".into(),
        "ringway.toml:7: auth.keys[4] = 7: must be a table `{ kid, algorithm, file }`".into(),
        "ringway.toml:8: auth.keys[5].file = \"private.pem\": holds a private key: the gateway needs the public one, \
         and only that"
            .into(),
        "ringway.toml:10: auth.keys[7]: the same kid and algorithm as a key before it: tokens could not tell them apart"
            .into(),
    ];
    assert_eq!(World { files: &files, ..World::default() }.errors(), expected);
    let environment = [
        ("RINGWAY_AUTH__KEYS", "a.pem"),
        ("APP_ENV", "production"),
        ("RINGWAY_SERVER__TLS_TERMINATED_BY_PROXY", "true"),
    ];
    let errors = World { environment: &environment, ..World::default() }.errors();
    assert_eq!(
        errors,
        [
            "environment RINGWAY_AUTH__KEYS: auth.keys = \"a.pem\": must be a list of tables `{ kid, algorithm, file }` in \
          the configuration file"
        ]
    );
}

#[test]
fn api_keys() {
    let hash = "0123456789abcdef".repeat(4);
    let text = format!(
        "[api]\nkeys = [\n{{ name = \"one\", hash = \"{hash}\", scopes = [\"publish\", \"rooms\"], tenants = [\"a\", \"b\"] }},\n\
         {{ name = \"two\", hash = \"{}\", scopes = [\"admin\"], tenants = [\"*\"] }},\n]\n",
        hash.replace("01", "FF")
    );
    let loaded = World { files: &[("ringway.toml", &text)], ..World::default() }.load().unwrap();
    let keys = &loaded.settings.api.keys;
    assert_eq!((keys[0].hash.0[1], keys[1].hash.0[0]), (0x23, 0xff));
    assert_eq!(keys[0].scopes, Scopes::default().with(Scope::Publish).with(Scope::Rooms));
    assert_eq!(keys[1].tenants, Tenants::Every);
    let report = effective(&loaded);
    let shown = "keys = [{ name = \"one\", hash = \"***\", scopes = [\"publish\", \"rooms\"], tenants = [\"a\", \"b\"] }, {";
    assert!(report.contains(shown), "{report}");
    assert!(!report.contains(&hash) && !format!("{loaded:?}").contains("35, 69"), "a hash is shown");

    let text = format!(
        "[[api.keys]]\nname = \"\"\nhash = \"rk_secret\"\nscopes = [\"all\"]\ntenants = [\"a\", \"*\"]\nscope = 1\n\
         [[api.keys]]\nname = \"one\"\n\
         [[api.keys]]\nname = \"one\"\nhash = \"{hash}\"\nscopes = [\"admin\"]\ntenants = [\"a\"]\n\
         [[api.keys]]\nname = \"one\"\nhash = \"{hash}\"\nscopes = [\"rooms\"]\ntenants = [\"a\"]\n\
         [[api.keys]]\nname = \"two\"\nhash = \"{hash}\"\nscopes = []\ntenants = [\"a\"]\n\
         [[api.keys]]\nname = \"three\"\nhash = \"{hash}\"\nscopes = [\"rooms\"]\ntenants = [\"a\"]\n"
    );
    let scopes =
        "must be some of `publish`, `request`, `rooms`, `presence`, `history`, `connections` and `admin`";
    let expected = [
        "ringway.toml:2: api.keys[0].name = \"\": must be a name of 1 to 256 bytes without control characters".to_owned(),
        "ringway.toml:3: api.keys[0].hash: must be the key's SHA-256 in 64 hexadecimal digits, as `ringway key make` \
         prints it"
            .into(),
        format!("ringway.toml:4: api.keys[0].scopes = [\"all\"]: {scopes}"),
        "ringway.toml:5: api.keys[0].tenants = [\"a\", \"*\"]: must be names of tenants, or [\"*\"] for all".into(),
        "ringway.toml:6: api.keys[0].scope: is no setting; did you mean `scopes`?".into(),
        "ringway.toml:7: api.keys[1].hash: is missing".into(),
        "ringway.toml:7: api.keys[1].scopes: is missing".into(),
        "ringway.toml:7: api.keys[1].tenants: is missing".into(),
        "ringway.toml:9: api.keys[2]: the scope `admin` shows the whole node: it wants tenants = [\"*\"]".into(),
        format!("ringway.toml:22: api.keys[4].scopes = []: {scopes}"),
        "ringway.toml:24: api.keys[5]: has the name or the hash of a key before it".into(),
    ];
    assert_eq!(file_errors(&text), expected);
}

/// Somebody wrote the key where the table with its hash belongs.
#[test]
fn api_keys_that_are_no_tables_are_not_repeated() {
    for text in ["[api]\nkeys = \"rk_secret\"\n", "[api]\nkeys = [\"rk_secret\"]\n"] {
        let errors = file_errors(text);
        assert!(errors.len() == 1 && !errors[0].contains("rk_secret"), "{errors:?}");
    }
}
