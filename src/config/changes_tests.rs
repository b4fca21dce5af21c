//! Every setting of the table is changed once: it is noticed, it alone, shown without secrets, and live or not as the
//! table says; and what is live is what a policy, or the log, is made of.

use std::{collections::BTreeSet, io, path::Path};

use super::*;
use crate::config::{
    Inputs, load,
    outside_tests::{CERTIFICATE, JWKS},
    table::settings,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Values of every kind; for each setting one of them is taken and is not its default.
const CANDIDATES: [&str; 13] = [
    "true",
    "false",
    "2",
    "7",
    "100",
    "150",
    "70000",
    "2000000",
    "\"debug\"",
    "\"127.0.0.2\"",
    "[\"a.{user_id}\"]",
    "\"a text of which nobody knows what it may be good for\"",
    "\"0123456789abcdef0123456789abcdef\"",
];

fn load_file(text: &str, pem: &str) -> Option<Loaded> {
    let read = |path: &Path| match path.to_str() {
        Some("ringway.toml") => Ok(text.to_owned()),
        Some("keys/jwks.json") => Ok(JWKS.to_owned()),
        Some("certificates/own-ca.pem") => Ok(CERTIFICATE.to_owned()),
        Some(_) => Ok(pem.to_owned()),
        None => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let environment = [("JWT_SECRET".to_owned(), SECRET.to_owned())];
    load(&Inputs { file: None, environment: &environment, flags: &[], read: &read }).ok()
}

fn line(setting: &Setting, value: &str) -> String {
    format!("{} = {value}\n", setting.key)
}

/// The values that the words about a setting name, each as a text and as a list of one.
fn named_in(words: &str) -> Vec<String> {
    let named = words.split('`').skip(1).step_by(2);
    named.flat_map(|word| [format!("\"{word}\""), format!("[\"{word}\"]")]).collect()
}

#[test]
fn every_change_is_noticed_and_said_to_be_live_or_not() {
    let before = load_file("", "").unwrap();
    assert_eq!(changes(&before, &before, &before), []);
    let mut unchanged = BTreeSet::new();
    for setting in settings().filter(|setting| setting.key != "auth.jwt_secret") {
        let values = setting.example.into_iter().chain(CANDIDATES).map(str::to_owned);
        let values = values.chain(named_in(&setting.kind.allowed()));
        let found =
            values.filter_map(|value| load_file(&line(setting, &value), "PUBLIC")).find_map(|after| {
                let found = changes(&before, &before, &after);
                (!found.is_empty()).then_some((found, after))
            });
        let Some((found, after)) = found else {
            unchanged.insert(setting.key);
            continue;
        };
        let [change] = found.as_slice() else { panic!("{}: {found:?}", setting.key) };
        assert_eq!((change.key, change.is_live), (setting.key, setting.is_live));
        // What needs a restart is beside what was started with, what is live beside what is running.
        assert_eq!(changes(&before, &after, &after).len(), usize::from(!setting.is_live), "{}", setting.key);
        assert_eq!(changes(&after, &before, &after).len(), usize::from(setting.is_live), "{}", setting.key);
    }
    // These alone are refused.
    let refused = BTreeSet::from(["api.signing", "server.production"]);
    assert_eq!(unchanged, refused, "none of the candidates changes these");
}

#[test]
fn signing_is_switched_on_and_off() {
    let load_with = |signing: bool| {
        load_file(&format!("[api]\nsigning_secret = \"{SECRET}\"\nsigning = {signing}\n"), "").unwrap()
    };
    let (off, on) = (load_with(false), load_with(true));
    for (before, after) in [(&off, &on), (&on, &off)] {
        let found = changes(before, before, after);
        let found: Vec<_> = found.iter().map(|change| (change.key, change.is_live)).collect();
        assert_eq!(found, [("api.signing", true)]);
    }
}

#[test]
fn what_is_not_shown_is_seen_to_change() {
    let key = "[auth]\nkeys = [{ algorithm = \"RS256\", file = \"a.pem\" }]\n";
    let hash = |digit: &str| {
        let hash = digit.repeat(64);
        format!(
            "[api]\nkeys = [{{ name = \"a\", hash = \"{hash}\", scopes = [\"rooms\"], tenants = [\"a\"] }}]\n"
        )
    };
    let secret = |text: &str| format!("[metrics]\nbearer = \"{}\"\n", text.repeat(32));
    let url = |text: &str| format!("[auth]\nissuer = \"https://ada:{text}@host\"\n");
    let rows = [
        ("auth.keys", load_file(key, "old PUBLIC"), load_file(key, "new PUBLIC")),
        ("api.keys", load_file(&hash("0"), ""), load_file(&hash("1"), "")),
        ("metrics.bearer", load_file(&secret("x"), ""), load_file(&secret("y"), "")),
        ("auth.issuer", load_file(&url("hidden1"), ""), load_file(&url("hidden2"), "")),
    ];
    for (key, before, after) in rows {
        let (before, after) = (before.unwrap(), after.unwrap());
        let found = changes(&before, &before, &after);
        assert_eq!(found.iter().map(|change| change.key).collect::<Vec<_>>(), [key]);
        let text = found[0].to_string();
        assert!(text.contains(" (another than before; ringway.toml:2)"), "{text}");
        for hidden in ["PUBLIC", "000", "111", "xxx", "yyy", "hidden"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

#[test]
fn words() {
    let change = |was: Option<&str>, is: Option<&str>| Change {
        key: "a.b",
        is_live: true,
        was: was.map(str::to_owned),
        is: is.map(str::to_owned),
        source: Source::Flag("--set"),
    };
    let rows = [
        (Some("1"), Some("2"), "a.b = 2 (was 1; flag --set)"),
        (None, Some("2"), "a.b = 2 (was not set; flag --set)"),
        (Some("1"), None, "a.b is not set (was 1; flag --set)"),
    ];
    for (was, is, expected) in rows {
        assert_eq!(change(was, is).to_string(), expected);
    }
}

#[test]
fn a_secret_made_for_this_run_lasts_until_there_is_another() {
    let load_with = |environment: &[(String, String)]| {
        let read = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
        load(&Inputs { file: None, environment, flags: &[], read: &read }).unwrap()
    };
    let running = load_with(&[]);
    let mut again = load_with(&[]);
    again.keep_secret_of(&running);
    assert_eq!(changes(&running, &running, &again), []);
    let mut configured = load_with(&[("JWT_SECRET".to_owned(), SECRET.to_owned())]);
    configured.keep_secret_of(&running);
    assert_eq!(changes(&running, &running, &configured).len(), 1);
    assert_eq!(configured.settings.auth.jwt_secret.clone().unwrap().expose(), SECRET);
    // And the other way round: the configured one is gone.
    again = load_with(&[]);
    again.keep_secret_of(&configured);
    assert_ne!(again.settings.auth.jwt_secret.unwrap().expose(), SECRET);
}
