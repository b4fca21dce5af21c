//! SIGHUP: what can change while the node runs does, on every shard and with its clients connected; what cannot is named;
//! a configuration that is wrong changes nothing.

use std::{fs, path::PathBuf};

use ringway::{auth::key_digest, shell::driver::Driver};
use serde_json::Value;

use crate::support::{Backend, Gateway, Http, Socket, Start, ringway, token, token::Issuer, until};

on_both_drivers!(keys_rotate_while_clients_stay);

/// Enough connections to have met both shards.
const TRIES: usize = 8;

/// A folder for one test's files.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("reload").join(test);
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("the folder for temporary files can be written");
    }

    /// A gateway of two shards whose configuration is `ringway.toml` here.
    #[track_caller]
    fn start(&self, driver: Driver) -> Gateway {
        Start::bare()
            .arg("--driver")
            .arg(driver.as_str())
            .arg("--config")
            .arg(self.0.join("ringway.toml"))
            .shards(2)
            .start()
    }

    /// Changes the configuration and has it loaded; answers with the lines that the log has for it.
    #[track_caller]
    fn reload(&self, gateway: &Gateway, text: &str) -> String {
        self.write("ringway.toml", text);
        let before = gateway.output().len();
        gateway.signal(libc::SIGHUP);
        until("the end of the reload", || {
            let said = gateway.output()[before..].to_owned();
            let is_over = said.contains("was loaded again") || said.contains("nothing was changed");
            is_over.then_some(said)
        })
    }
}

/// Whether the gateway takes the token, on whichever shard.
fn takes(gateway: &Gateway, token: &str) -> bool {
    (0..TRIES).all(|_| Socket::try_with_token(gateway.address, token).is_some())
}

/// Whether it refuses the token, likewise.
fn refuses(gateway: &Gateway, token: &str) -> bool {
    (0..TRIES).all(|_| Socket::try_with_token(gateway.address, token).is_none())
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    until(what, || holds().then_some(()));
}

fn keys_rotate_while_clients_stay(driver: Driver) {
    let folder = Folder::new(&format!("rotate-{}", driver.as_str()));
    let (old, new, newer) = (Issuer::new("old"), Issuer::new("new"), Issuer::new("new"));
    folder.write("old.pem", &old.public_pem());
    folder.write("new.pem", &new.public_pem());
    let keys = |kids: &[&str]| {
        let key = |kid: &&str| {
            format!("[[auth.keys]]\nkid = \"{kid}\"\nalgorithm = \"EdDSA\"\nfile = \"{kid}.pem\"\n")
        };
        kids.iter().map(key).collect::<String>()
    };
    folder.write("ringway.toml", &keys(&["old"]));
    let gateway = folder.start(driver);
    let mut client = Socket::with_token(gateway.address, &old.token("ada", "acme"));
    client.expect("connection:established");
    client.join("lobby");
    assert!(refuses(&gateway, &new.token("bob", "acme")));

    // Both, for as long as tokens of the old one are out there.
    let said = folder.reload(&gateway, &keys(&["old", "new"]));
    assert!(said.contains("SIGHUP: changed: auth.keys = [{ kid = "), "{said}");
    eventually("the new key", || takes(&gateway, &new.token("bob", "acme")));
    assert!(takes(&gateway, &old.token("bob", "acme")));

    // The old one is gone, also for those who were remembered with it; who came with it stays.
    folder.reload(&gateway, &keys(&["new"]));
    eventually("the end of the old key", || refuses(&gateway, &old.token("bob", "acme")));
    assert_eq!(client.ping(), "pong");
    let refused = client.call(&format!(r#""type":"authenticate","token":"{}""#, old.token("ada", "acme")));
    assert_eq!(refused["error"]["code"], "unauthenticated", "{refused}");

    // The same file holds another key.
    folder.write("new.pem", &newer.public_pem());
    let said = folder.reload(&gateway, &keys(&["new"]));
    assert!(said.contains("(another than before; "), "{said}");
    eventually("the newer key", || takes(&gateway, &newer.token("bob", "acme")));
    assert!(refuses(&gateway, &new.token("bob", "acme")));
}

/// A key of the configuration, what to put there, and what is then so and was not before.
type Row = (&'static str, String, fn(&Gateway) -> bool);

fn admin_is(gateway: &Gateway, status: u16) -> bool {
    (0..TRIES).all(|_| gateway.get_as(&token::admin(), "/stats").status == status)
}

/// Whether it takes the token of the issuer in that test's folder.
fn takes_the_issuers(gateway: &Gateway) -> bool {
    let file = Folder::new("live").0.join("issuer.token");
    takes(gateway, &fs::read_to_string(file).expect("written before it starts"))
}

fn metrics_are(gateway: &Gateway, header: &str, status: u16) -> bool {
    let get = || Http::connect(gateway.address).get_with("/metrics", header).status;
    (0..TRIES).all(|_| get() == status)
}

/// Whether a page of this origin may open a WebSocket.
fn admits_origin(gateway: &Gateway, origin: &str) -> bool {
    let headers = format!("Origin: {origin}\r\n");
    (0..TRIES).all(|_| Socket::try_open(gateway.address, "/ws", &headers).is_ok())
}

/// Whether a client's second join is refused with these words.
fn second_join_is(gateway: &Gateway, words: &str) -> bool {
    (0..TRIES).all(|_| {
        let mut socket = gateway.socket("ada", "acme");
        socket.join("first");
        let ack: Value = socket.call(r#""type":"room:join","room":"second""#);
        ack["error"]["message"].as_str().is_some_and(|text| text.contains(words))
    })
}

const API_KEY: &str = "rk_0123456789abcdef0123456789abcdef";
const OPAQUE: &str = "7|opaque";
const BEARER: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn what_is_live_takes_effect_and_goes_again() {
    let folder = Folder::new("live");
    let issuer = Issuer::new("one");
    folder.write("one.pem", &issuer.public_pem());
    folder.write("issuer.token", &issuer.token("ada", "acme"));
    let hash: String = key_digest(API_KEY).iter().map(|byte| format!("{byte:02x}")).collect();
    let set = issuer.jwks();
    let backend = Backend::start(move |asked| match (asked.path.as_str(), asked.bearer.as_deref()) {
        ("/keys", _) => (200, set.clone()),
        ("/user", Some(OPAQUE)) => (200, r#"{"id":"ada"}"#.to_owned()),
        _ => (401, String::new()),
    });
    let rows: Vec<Row> = vec![
        ("auth.jwt_secret", format!("\"{}\"", "another secret".repeat(5)), |it| admin_is(it, 401)),
        ("auth.jwt_algorithm", "\"HS512\"".into(), |it| admin_is(it, 401)),
        ("auth.issuer", "\"https://id.example.com\"".into(), |it| admin_is(it, 401)),
        ("auth.audience", "\"ringway\"".into(), |it| admin_is(it, 401)),
        ("auth.leeway_s", "600".into(), |it| takes(it, &token::lasting("ada", "acme", -60))),
        ("auth.require_exp", "true".into(), |it| refuses(it, &token::sign(token::HS256, r#"{"sub":"ada"}"#))),
        (
            "auth.keys",
            "[{ kid = \"one\", algorithm = \"EdDSA\", file = \"one.pem\" }]".into(),
            takes_the_issuers,
        ),
        ("auth.jwks_url", format!("\"{}\"", backend.url("/keys")), takes_the_issuers),
        ("introspection.url", format!("\"{}\"", backend.url("/user")), |it| takes(it, OPAQUE)),
        ("cors.origins", "[\"https://app.example.com\"]".into(), |it| {
            admits_origin(it, "https://app.example.com")
        }),
        ("abilities.rules", "[{ role = \"*\", actions = [\"join\"], rooms = [\"first\"] }]".into(), |it| {
            second_join_is(it, "none of your abilities")
        }),
        ("limits.rooms_per_connection", "1".into(), |it| second_join_is(it, "1 rooms at most")),
        ("limits.messages_per_10s", "3".into(), |it| {
            (0..TRIES).all(|_| {
                let mut socket = Socket::with_token(it.address, &token::token("ada", "acme"));
                let is_said = socket.expect("connection:established")["limits"]["messagesPer10s"] == 3;
                let answers = [(); 4].map(|()| socket.ping());
                is_said && answers == ["pong", "pong", "pong", "system:error"]
            })
        }),
        (
            "api.keys",
            format!("[{{ name = \"a\", hash = \"{hash}\", scopes = [\"admin\"], tenants = [\"*\"] }}]"),
            |it| (0..TRIES).all(|_| it.get_as(API_KEY, "/stats").status == 200),
        ),
        ("channels.templates", "[\"desk.{user_id}\"]".into(), |it| {
            (0..TRIES).all(|_| {
                let ack: Value = it.socket("ada", "acme").call(r#""type":"subscribe","channel":"desk""#);
                ack["room"] == "desk.ada"
            })
        }),
        ("metrics.open", "false".into(), |it| metrics_are(it, "", 401)),
        ("metrics.bearer", format!("\"{BEARER}\""), |it| {
            metrics_are(it, "", 401)
                && metrics_are(it, &format!("Authorization: Bearer {BEARER}\r\n"), 200)
                && metrics_are(it, &format!("Authorization: Bearer {}\r\n", token::admin()), 200)
                && metrics_are(it, &format!("Authorization: Bearer {}\r\n", token::token("a", "b")), 403)
        }),
        ("metrics.legacy_names", "true".into(), |it| {
            it.get("/metrics").text().contains("\nactive_connections ")
        }),
    ];
    let base = format!("auth.jwt_secret = \"{}\"\n", token::SECRET);
    folder.write("ringway.toml", &base);
    let gateway = folder.start(Driver::Epoll);
    let defaults = ringway().args(["config", "default"]).output().expect("the binary runs");
    let defaults = String::from_utf8(defaults.stdout).expect("text");
    for (key, value, holds) in rows {
        let (section, name) = key.split_once('.').expect("a key has a section");
        let words =
            defaults.split(&format!("\n[{section}]\n")).nth(1).expect("a section of the default file");
        let (words, _) = words.split_once(&format!("{name} = ")).expect("a setting of the section");
        let words = words.rsplit("\n\n").next().expect("the words before it");
        assert!(words.replace("\n#", "").contains("SIGHUP applies it"), "{key}: {words}");

        assert!(!holds(&gateway), "{key}: already before");
        let others = if key == "auth.jwt_secret" { "" } else { base.as_str() };
        let said = folder.reload(&gateway, &format!("{others}{key} = {value}\n"));
        assert!(said.contains(&format!("SIGHUP: changed: {key} ")), "{key}: {said}");
        eventually(key, || holds(&gateway));
        folder.reload(&gateway, &base);
        eventually(key, || !holds(&gateway));
    }
}

#[test]
fn the_log_can_be_made_to_say_more_and_less() {
    let folder = Folder::new("log");
    let level =
        |level: &str| format!("[auth]\njwt_secret = \"{}\"\n[log]\nlevel = \"{level}\"\n", token::SECRET);
    folder.write("ringway.toml", &level("info"));
    let gateway = folder.start(Driver::Epoll);
    let connects = || gateway.output().matches("\"connected\"").count();
    gateway.socket("ada", "acme");
    let said = folder.reload(&gateway, &level("info,ringway::shell=debug"));
    assert!(said.contains("log.level") && said.contains("was \\\"info\\\""), "{said}");
    assert_eq!(connects(), 0, "{}", gateway.output());
    gateway.socket("ada", "acme");
    eventually("a line about a connect", || connects() == 1);
    folder.reload(&gateway, &level("info"));
    gateway.socket("ada", "acme");
    // What is said later than that connect shows that nothing was said about it.
    folder.reload(&gateway, &level("debug"));
    assert_eq!(connects(), 1, "{}", gateway.output());
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let folder = Folder::new("wrong");
    let good = format!("[auth]\njwt_secret = \"{}\"\n", token::SECRET);
    folder.write("ringway.toml", &good);
    let gateway = folder.start(Driver::Epoll);
    let issuer = "issuer = \"https://id.example.com\"\n";
    let broken: [(String, &[&str]); 7] = [
        (
            format!("{good}{issuer}leeway_s = \"x\"\n[server]\nprot = 1\n"),
            &[
                "ringway.toml:4: auth.leeway_s = ",
                "ringway.toml:6: server.prot: is no setting",
                "\"errors\":2",
            ],
        ),
        (format!("{good}{issuer}[server\n"), &["ringway.toml:4: "]),
        (
            format!("{good}{issuer}[[auth.keys]]\nalgorithm = \"ES256\"\nfile = \"none.pem\"\n"),
            &["ringway.toml:6: auth.keys[0].file = ", "cannot be read"],
        ),
        (
            format!("{good}{issuer}[[auth.keys]]\nalgorithm = \"ES256\"\nfile = \"ringway.toml\"\n"),
            &["auth.keys: "],
        ),
        (format!("[auth]\njwt_secret = \"{}\"\n", &token::SECRET[..31]), &["this one has 31"]),
        (
            format!(
                "[server]\nproduction = true\ntls_terminated_by_proxy = true\n[auth]\njwt_secret = \"{}\"\n",
                "f".repeat(64)
            ),
            &["server.production needs a restart"],
        ),
        // For the node as it runs, that is: it has not the patience that would make this right.
        (
            format!(
                "{good}timeout_ms = 600000\n[introspection]\nurl = \"http://127.0.0.1:1/\"\ntimeout_ms = 60000\n"
            ),
            &["introspection.timeout_ms"],
        ),
    ];
    let broken_count = broken.len();
    for (text, words) in broken {
        let said = folder.reload(&gateway, &text);
        for word in words.iter().chain(&["SIGHUP: nothing was changed"]) {
            assert!(said.contains(word), "{word} in\n{said}");
        }
        assert!(!said.contains("changed: ") && !said.contains(&token::SECRET[..16]), "{said}");
        assert!(admin_is(&gateway, 200), "the old configuration goes on");
    }
    let reloads =
        |result: &str| gateway.metric(&format!(r#"websocket_config_reloads_total{{result="{result}"}}"#));
    let loaded_s = || gateway.metric("websocket_config_last_reload_success_timestamp_seconds");
    let started_s = gateway.metric("process_start_time_seconds");
    eventually("the count of the refused", || reloads("refused") == broken_count as f64);
    assert_eq!((reloads("applied"), loaded_s()), (0.0, started_s), "what it has started with holds");
    fs::remove_file(folder.0.join("ringway.toml")).expect("it is there");
    gateway.signal(libc::SIGHUP);
    eventually("a word about the missing file", || gateway.output().contains("ringway.toml: cannot be read"));
    assert!(admin_is(&gateway, 200));
    let said = folder.reload(&gateway, &format!("{good}{issuer}"));
    assert!(said.contains("SIGHUP: changed: auth.issuer = ") && said.contains("\"changed\":1"), "{said}");
    eventually("the issuer", || admin_is(&gateway, 401));
    eventually("the count of the applied", || reloads("applied") == 1.0);
    assert!(loaded_s() > started_s && reloads("refused") == broken_count as f64 + 1.0);
}

#[test]
fn what_needs_a_restart_is_named_each_time() {
    let folder = Folder::new("restart");
    let good = format!("[auth]\njwt_secret = \"{}\"\n", token::SECRET);
    folder.write("ringway.toml", &good);
    let gateway = folder.start(Driver::Epoll);
    let changed = format!("{good}[limits]\nmessage_bytes = 128\n[http]\nkeep_alive_ms = 10\n");
    for _ in 0..2 {
        let said = folder.reload(&gateway, &changed);
        for word in [
            "SIGHUP: needs a restart: limits.message_bytes = 128 (was 65536; ",
            "ringway.toml:4)",
            "SIGHUP: needs a restart: http.keep_alive_ms = 10 (was 60000; ",
            "\"changed\":0",
            "\"need_restart\":2",
        ] {
            assert!(said.contains(word), "{word} in\n{said}");
        }
    }
    let mut client = gateway.socket("ada", "acme");
    client.join("lobby");
    let payload = "x".repeat(1000);
    let ack = client.call(&format!(r#""type":"room:send","room":"lobby","payload":"{payload}""#));
    assert_eq!(ack["success"], true, "the limit is still what it was: {ack}");
    // Flags go on being stronger than the file.
    let said = folder.reload(&gateway, &format!("{good}[server]\nport = 1\n"));
    assert!(said.contains("\"need_restart\":0"), "{said}");
}
