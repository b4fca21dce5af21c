//! What is configured of servers outside: sets of keys, introspection, certificates, and what production wants of them.

use super::{report::effective, source::Source, tests::World};

/// RFC 8037 A.2, and a key that is for nobody here.
pub(super) const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty":"new"}]}"#;
pub(super) const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n";

/// Production, and what it wants anyway.
const PRODUCTION: [(&str, &str); 2] =
    [("NODE_ENV", "production"), ("RINGWAY_SERVER__TLS_TERMINATED_BY_PROXY", "true")];

#[test]
fn files_are_read_with_the_configuration() {
    let text = "[auth]\njwks_file = \"jwks.json\"\n\n[outside]\nca_file = \"/ca.pem\"\n";
    let files = [("etc/r.toml", text), ("etc/jwks.json", JWKS), ("/ca.pem", CERTIFICATE)];
    let loaded = World { named: Some("etc/r.toml"), files: &files, ..World::default() }.load().unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.auth.jwks_file.as_ref().map(|it| it.text.as_str()), Some(JWKS));
    assert_eq!(settings.outside.ca_file.as_ref().map(|it| it.text.as_str()), Some(CERTIFICATE));
    assert_eq!(settings.auth.jwt_secret, None, "with keys there is no need for a secret");
    let report = effective(&loaded);
    assert!(report.contains("jwks_file = \"etc/jwks.json\""), "{report}");
    let rows = [
        ("jwks.json", "{}", "auth.jwks_file = \"jwks.json\": is no set of keys: it has no array `keys`"),
        ("jwks.json", "x", "auth.jwks_file = \"jwks.json\": is no set of keys: it is no strict JSON"),
        (
            "jwks.json",
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"},{"kty":"new"}]}"#,
            "auth.jwks_file = \"jwks.json\": has no key that can be used (a: it is a shared secret, which a published set \
             must not hold; 1: its kind or curve is not known here)",
        ),
        ("none", "", "auth.jwks_file = \"jwks.json\": cannot be read: entity not found"),
    ];
    for (file, text, expected) in rows {
        let set = [("auth.jwks_file", "jwks.json")];
        let errors = World { files: &[(file, text)], set: &set, ..World::default() }.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(&format!("flag --set: {expected}")), "{}", errors[0]);
    }
    let set = [("outside.ca_file", "ca.pem")];
    let errors = World { files: &[("ca.pem", "x")], set: &set, ..World::default() }.errors();
    assert_eq!(errors, ["flag --set: outside.ca_file = \"ca.pem\": holds no certificate in PEM"]);
}

#[test]
fn whoever_can_ask_somebody_needs_no_secret() {
    for set in [("introspection.url", "https://backend/user"), ("auth.jwks_url", "https://id/keys")] {
        let world = World { set: &[set], environment: &PRODUCTION, ..World::default() };
        let loaded = world.load().unwrap();
        assert_eq!(loaded.settings.auth.jwt_secret, None);
        let loaded = World { set: &[set], ..World::default() }.load().unwrap();
        assert_eq!(*loaded.source("auth.jwt_secret"), Source::Default, "{set:?}");
    }
}

#[test]
fn production_wants_a_way_that_nobody_reads_along() {
    let plain = [("introspection.url", "http://backend/user"), ("auth.jwks_url", "http://id/keys")];
    for (set, harm) in plain.into_iter().zip(["read every token", "have any token taken"]) {
        let errors = World { set: &[set], environment: &PRODUCTION, ..World::default() }.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("production wants https") && errors[0].contains(harm), "{}", errors[0]);
        assert!(World { set: &[set], ..World::default() }.load().is_ok(), "outside production it is taken");
        let stated = [set, ("outside.plaintext", "true")];
        assert!(World { set: &stated, environment: &PRODUCTION, ..World::default() }.load().is_ok());
    }
    let here = [("introspection.url", "http://127.0.0.1:8000/user")];
    assert!(World { set: &here, environment: &PRODUCTION, ..World::default() }.load().is_ok());
}

#[test]
fn what_stands_in_a_url_is_not_shown() {
    let set = [("introspection.url", "https://backend/user?key=horse-battery")];
    let loaded = World { set: &set, ..World::default() }.load().unwrap();
    let report = effective(&loaded);
    assert!(report.contains("url = \"https://backend/user?***\"") && !report.contains("horse"), "{report}");
    let set = [("auth.jwks_url", "https://user:horse-battery@id/keys")];
    let errors = World { set: &set, ..World::default() }.errors();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("without user, password") && !errors[0].contains("horse"), "{}", errors[0]);
}

#[test]
fn an_answer_comes_before_the_connection_is_closed() {
    let set = [("introspection.url", "https://backend/"), ("introspection.timeout_ms", "10001")];
    let errors = World { set: &set, ..World::default() }.errors();
    assert!(errors[0].contains("must be at most auth.timeout_ms (10000 ms)"), "{errors:?}");
    assert!(
        World { set: &set[1..], ..World::default() }.load().is_ok(),
        "without introspection it says nothing"
    );
}
