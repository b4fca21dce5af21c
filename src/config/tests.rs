//! The whole way from layers to settings: precedence, sources, every kind of error with its line, masks, and the
//! default file read back. Files and environment are tables; nothing of this machine is read.

use std::{collections::HashMap, io, path::Path};

use super::{
    error::{ConfigErrors, Problem},
    load::{Flag, Inputs, Loaded, load},
    outside_tests::{CERTIFICATE, JWKS},
    report::{default_file, effective},
    settings::Settings,
    source::Source,
    table,
};
use crate::shell::driver::DriverChoice;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A world with these files, variables and `--set`s.
#[derive(Default)]
pub(super) struct World<'a> {
    pub(super) named: Option<&'a str>,
    pub(super) files: &'a [(&'a str, &'a str)],
    pub(super) environment: &'a [(&'a str, &'a str)],
    pub(super) set: &'a [(&'a str, &'a str)],
}

impl World<'_> {
    pub(super) fn load(&self) -> Result<Loaded, ConfigErrors> {
        let files: HashMap<_, _> = self.files.iter().map(|(path, text)| (Path::new(path), *text)).collect();
        let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        let flag = |(key, value): &(&str, &str)| Flag {
            name: "--set",
            key: key.to_string(),
            value: value.to_string(),
        };
        load(&Inputs {
            file: self.named.map(Path::new),
            environment: &self.environment.iter().map(owned).collect::<Vec<_>>(),
            flags: &self.set.iter().map(flag).collect::<Vec<_>>(),
            read: &|path| {
                let text = files.get(path).map(|text| text.to_string());
                text.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            },
        })
    }

    /// The errors, a line each.
    pub(super) fn errors(&self) -> Vec<String> {
        match self.load() {
            Ok(loaded) => panic!("no errors:\n{}", effective(&loaded)),
            Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        }
    }
}

pub(super) fn file_errors(text: &str) -> Vec<String> {
    World { files: &[("ringway.toml", text)], ..World::default() }.errors()
}

#[test]
fn nothing_configured_is_the_defaults_with_a_secret_for_this_run() {
    let one = World::default().load().unwrap();
    let two = World::default().load().unwrap();
    let mut expected = Settings::defaults(false);
    expected.auth.jwt_secret.clone_from(&one.settings.auth.jwt_secret);
    assert_eq!(one.settings, expected);
    assert_eq!(one.file, None);
    let secret = |loaded: &Loaded| loaded.settings.auth.jwt_secret.clone().unwrap().expose().to_owned();
    assert_eq!(secret(&one).len(), 64);
    assert_ne!(secret(&one), secret(&two));
    assert_eq!(*one.source("auth.jwt_secret"), Source::Generated);
    assert_eq!(*one.source("server.port"), Source::Default);
}

#[test]
fn later_layers_are_stronger_and_every_value_knows_its_source() {
    let files = &[("ringway.toml", "[server]\nport = 1\n")][..];
    let plain = [("PORT", "2")];
    let plains = [("WEBSOCKET_PORT", "3"), ("PORT", "2")];
    let both = [("RINGWAY_SERVER__PORT", "4"), ("WEBSOCKET_PORT", "3"), ("PORT", "2")];
    let empty = [("RINGWAY_SERVER__PORT", ""), ("PORT", "")];
    let environment = |name: &str| Source::Environment(name.into());
    let in_file = Source::File { path: "ringway.toml".into(), line: 2 };
    let rows: [(World<'_>, u16, Source); 8] = [
        (World::default(), 8080, Source::Default),
        (World { files, ..World::default() }, 1, in_file.clone()),
        (World { files, environment: &empty, ..World::default() }, 1, in_file),
        (World { files, environment: &plain, ..World::default() }, 2, environment("PORT")),
        (World { files, environment: &plains, ..World::default() }, 3, environment("WEBSOCKET_PORT")),
        (World { files, environment: &both, ..World::default() }, 4, environment("RINGWAY_SERVER__PORT")),
        (
            World { files, environment: &both, set: &[("server.port", "5")], ..World::default() },
            5,
            Source::Flag("--set"),
        ),
        (
            World { set: &[("server.port", "5"), ("server.port", "6")], ..World::default() },
            6,
            Source::Flag("--set"),
        ),
    ];
    for (world, port, source) in rows {
        let loaded = world.load().unwrap();
        assert_eq!((loaded.settings.server.port, loaded.source("server.port")), (port, &source));
    }
}

#[test]
fn a_named_file_must_be_there_and_the_default_one_need_not() {
    let files = &[("ringway.toml", "[server]\nport = 1\n"), ("etc/r.toml", "[server]\nport = 2\n")][..];
    let loaded = World { named: Some("etc/r.toml"), files, ..World::default() }.load().unwrap();
    assert_eq!((loaded.settings.server.port, loaded.file), (2, Some("etc/r.toml".into())));
    let errors = World { named: Some("none.toml"), files, ..World::default() }.errors();
    assert_eq!(errors, ["none.toml: cannot be read: entity not found"]);
}

#[test]
fn every_plain_name_sets_its_setting() {
    let rows: &[(&str, &str, &str, &str)] = &[
        ("HOST", "::1", "server.host", "\"::1\""),
        ("PORT", "81", "server.port", "81"),
        ("WEBSOCKET_PORT", "82", "server.port", "82"),
        ("WEBSOCKET_HOST", "localhost", "server.host", "\"127.0.0.1\""),
        ("WEBSOCKET_WORKERS", " 4 ", "server.shards", "4"),
        ("NODE_ENV", "production", "server.production", "true"),
        ("APP_ENV", "production", "server.production", "true"),
        ("NODE_ENV", "staging", "server.production", "false"),
        ("JWT_SECRET", SECRET, "auth.jwt_secret", "\"***\""),
        ("HEARTBEAT_INTERVAL", "1000", "heartbeat.interval_ms", "1000"),
        ("HEARTBEAT_TIMEOUT", "90000", "heartbeat.timeout_ms", "90000"),
        ("WS_PING_INTERVAL_MS", "1000", "heartbeat.interval_ms", "1000"),
        ("WS_PING_TIMEOUT_MS", "90000", "heartbeat.timeout_ms", "90000"),
        ("PERSISTENCE_ENABLED", "off", "history.enabled", "false"),
        ("PERSISTENCE_TTL", "60", "history.ttl_s", "60"),
        ("CORS_ORIGIN", "https://A.example", "cors.origins", "[\"https://a.example\"]"),
        ("CORS_ORIGINS", "https://a.example, *", "cors.origins", "[\"https://a.example\", \"*\"]"),
        (
            "RINGWAY_SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8,::1",
            "server.trusted_proxies",
            "[\"10.0.0.0/8\", \"::1\"]",
        ),
        ("MAX_TOTAL_CONNECTIONS", "5", "limits.connections_total", "5"),
        ("MAX_CONNS_PER_IP", "6", "limits.connections_per_ip", "6"),
        ("MAX_MSGS_PER_10S", "8", "limits.messages_per_10s", "8"),
        ("MAX_BYTES_PER_10S", "9", "limits.bytes_per_10s", "9"),
        ("MAX_ROOM_CREATES_PER_IP_PER_MIN", "7", "limits.room_creates_per_ip_per_min", "7"),
        ("RINGWAY_SERVER__ECHO", "off", "server.echo", "false"),
        (
            "RINGWAY_CHANNELS__TEMPLATES",
            "a.{user_id}, b.c",
            "channels.templates",
            "[\"a.{user_id}\", \"b.c\"]",
        ),
        ("RINGWAY_LOG__FORMAT", "json", "log.format", "\"json\""),
        // Kubernetes' variables for a service of that name.
        ("RINGWAY_PORT", "tcp://10.0.0.1:80", "server.port", "8080"),
    ];
    for setting in table::settings() {
        for name in setting.plain_names {
            let has_row = rows.iter().any(|(known, _, key, _)| known == name && *key == setting.key);
            assert!(has_row, "{name} for {}", setting.key);
        }
    }
    for (name, value, key, expected) in rows {
        let environment = [
            (*name, *value),
            ("RINGWAY_AUTH__JWT_SECRET", SECRET),
            ("RINGWAY_SERVER__TLS_TERMINATED_BY_PROXY", "yes"),
        ];
        let loaded = World { environment: &environment, ..World::default() }.load().unwrap();
        let rows = loaded.rows();
        let (_, shown, _) = rows.iter().find(|(setting, ..)| setting.key == *key).unwrap();
        assert_eq!(shown.as_deref(), Some(*expected), "{name}={value}");
    }
}

#[test]
fn production_changes_defaults_and_what_is_set_stays() {
    let environment = [
        ("NODE_ENV", "production"),
        ("JWT_SECRET", SECRET),
        ("RINGWAY_SERVER__TLS_TERMINATED_BY_PROXY", "true"),
    ];
    let loaded = World { environment: &environment, ..World::default() }.load().unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.server.host.to_string(), "0.0.0.0");
    assert!(settings.server.production && !settings.server.echo);
    assert_eq!(settings.drain.announce_s, 5);
    let limits = &settings.limits;
    assert_eq!(
        (limits.connections_per_ip, limits.messages_per_10s, limits.bytes_per_10s),
        (50, 200, 1 << 20)
    );
    let files = [("ringway.toml", "[server]\nhost = \"127.0.0.1\"\necho = true\nproduction = true\n")];
    let loaded = World { files: &files, environment: &environment, ..World::default() }.load().unwrap();
    assert_eq!(loaded.settings.server.host.to_string(), "127.0.0.1");
    assert!(loaded.settings.server.echo);
    let set = [("server.production", "false")];
    let loaded = World { environment: &environment, set: &set, ..World::default() }.load().unwrap();
    assert_eq!(loaded.settings, {
        let mut expected = Settings::defaults(false);
        expected.auth.jwt_secret = Some(SECRET.to_owned().into());
        expected.server.tls_terminated_by_proxy = true;
        expected
    });
}

#[test]
fn wrong_values_are_reported_all_at_once_with_file_line_key_value_and_what_is_allowed() {
    let text = "\
[server]
port = 70000
host = \"gateway.local\"
driver = \"iouring\"
shards = -1
echo = 1
prot = 1

[log]
level = \"loud\"

[limits]
message_bytes = 1.5
fragments = \"many\"

[websocket]
deflate = true

[channels]
templates = [\"a.{x}\", \"a.{y}\"]
";
    let environment = [
        ("WS_PING_INTERVAL_MS", "soon"),
        ("RINGWAY_HEARTBEAT__INTERVALL_MS", "1"),
        ("RINGWAY_server__port", "1"),
    ];
    let set = [("drain.rate", "fast"), ("drain.rat", "1"), ("server.port", "9000")];
    let files = [("ringway.toml", text)];
    let errors = World { files: &files, environment: &environment, set: &set, ..World::default() }.errors();
    let expected = [
        "ringway.toml:2: server.port = 70000: must be a whole number from 0 to 65535",
        "ringway.toml:3: server.host = \"gateway.local\": must be an IPv4 or IPv6 address: 127.0.0.1 for this machine \
         only, 0.0.0.0 or :: for all its interfaces",
        "ringway.toml:4: server.driver = \"iouring\": must be `auto`, `uring` or `epoll`",
        "ringway.toml:5: server.shards = -1: must be a whole number from 0 to 256",
        "ringway.toml:6: server.echo = 1: must be true or false",
        "ringway.toml:7: server.prot: is no setting; did you mean `server.port`?",
        "ringway.toml:10: log.level = \"loud\": must be `off`, `error`, `warn`, `info`, `debug` or `trace`, or a list \
         like `info,ringway::hub=debug`",
        "ringway.toml:13: limits.message_bytes = 1.5: must be a whole number of bytes from 128 to 67108864",
        "ringway.toml:14: limits.fragments = \"many\": must be a whole number from 1 to 1048576",
        "ringway.toml:16: websocket: is no setting",
        "ringway.toml:20: channels.templates = [\"a.{x}\", \"a.{y}\"]: must be a list of templates, each name once, like \
         `dashboard.{user_id}`: a name, a dot, text with `{placeholders}`",
        "environment RINGWAY_HEARTBEAT__INTERVALL_MS: heartbeat.intervall_ms: is no setting; did you mean \
         `RINGWAY_HEARTBEAT__INTERVAL_MS`?",
        "environment RINGWAY_server__port: server.port: is no setting; did you mean `RINGWAY_SERVER__PORT`?",
        "environment WS_PING_INTERVAL_MS: heartbeat.interval_ms = \"soon\": must be a whole number of milliseconds \
         from 10 to 3600000",
        "flag --set: drain.rat: is no setting; did you mean `drain.rate`?",
        "flag --set: drain.rate = \"fast\": must be a whole number of connections per second from 0 to 1000000",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn files_that_are_no_configuration() {
    let rows: &[(&str, &[&str])] = &[
        ("server = 1\n", &["ringway.toml:1: server = 1: must be a section"]),
        ("port = 1\n", &["ringway.toml:1: port: is no setting; did you mean `server.port`?"]),
        (
            "\n[server.port]\nx = 1\n",
            &["ringway.toml:2: server.port = {…}: must be a whole number from 0 to 65535"],
        ),
        (
            "server.port = 'x'\n",
            &["ringway.toml:1: server.port = \"x\": must be a whole number from 0 to 65535"],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(file_errors(text), *expected, "{text:?}");
    }
    for (text, line) in [("[server\nport = 1\n", 1), ("[server]\n\nport 1\n", 3), ("[a]\nb = 1\nb = 2\n", 3)]
    {
        let errors = World { files: &[("ringway.toml", text)], ..World::default() }.load().unwrap_err();
        let syntax = errors.0.iter().filter(|error| matches!(error.problem, Problem::Syntax(_)));
        let lines: Vec<_> = syntax.map(|error| error.source.clone()).collect();
        assert!(lines.contains(&Source::File { path: "ringway.toml".into(), line }), "{text:?}: {errors}");
        assert_eq!(lines.len(), errors.0.len(), "{errors}");
    }
}

#[test]
fn rules_say_why() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("auth.jwt_secret", "short")],
            "flag --set: auth.jwt_secret = \"***\": a secret must have 32 bytes or more, this one has 5",
        ),
        (
            &[
                ("auth.jwt_secret", &SECRET[1..]),
                ("server.production", "true"),
                ("server.tls_terminated_by_proxy", "true"),
            ],
            "flag --set: auth.jwt_secret = \"***\": a secret must have 64 bytes or more in production, this one has 63",
        ),
        (
            &[("server.production", "yes"), ("server.tls_terminated_by_proxy", "yes")],
            "auth.jwt_secret: production needs a secret (JWT_SECRET, 64 bytes or more)",
        ),
        (
            &[("auth.jwt_secret", SECRET), ("server.production", "true")],
            "server.tls_terminated_by_proxy: in production this must be true",
        ),
        (
            &[
                ("auth.jwt_secret", SECRET),
                ("server.production", "true"),
                ("server.tls_terminated_by_proxy", "true"),
                ("metrics.open", "true"),
            ],
            "flag --set: metrics.open = true: in production /metrics is not for every client",
        ),
        (
            &[("metrics.open", "true"), ("metrics.bearer", SECRET)],
            "flag --set: metrics.open = true: says that anybody may read /metrics, while metrics.bearer",
        ),
        (
            &[("heartbeat.timeout_ms", "30000")],
            "flag --set: heartbeat.timeout_ms = 30000: must be longer than heartbeat.interval_ms (30000 ms)",
        ),
        (
            &[("heartbeat.interval_ms", "60000")],
            "heartbeat.timeout_ms: must be longer than heartbeat.interval_ms (60000 ms)",
        ),
        (
            &[("quality.good_ms", "49")],
            "flag --set: quality.good_ms = 49: must be at least quality.excellent_ms (50)",
        ),
        (
            &[("quality.good_loss_percent", "6")],
            "quality.fair_loss_percent: must be at least quality.good_loss_percent (6)",
        ),
        (
            &[("limits.outbox_bytes", "8192")],
            "flag --set: limits.outbox_bytes = 8192: must be at least limits.message_bytes (65536)",
        ),
        (
            &[("requests.timeout_max_ms", "1000")],
            "flag --set: requests.timeout_max_ms = 1000: must be at least requests.timeout_ms (15000 ms)",
        ),
        (
            &[
                ("history.memory_bytes", "1048576"),
                ("limits.message_bytes", "1048576"),
                ("limits.outbox_bytes", "1048576"),
            ],
            "flag --set: history.memory_bytes = 1048576: must be at least 1052672: limits.message_bytes (1048576)",
        ),
        (
            &[
                ("server.production", "yes"),
                ("server.tls_terminated_by_proxy", "yes"),
                ("auth.jwt_secret", SECRET),
                ("cors.origins", "https://a.example,*"),
            ],
            "flag --set: cors.origins = \"*\": production takes no origin that is everybody's",
        ),
        (
            &[
                ("server.production", "yes"),
                ("server.tls_terminated_by_proxy", "yes"),
                ("auth.jwt_secret", SECRET),
                ("cors.origins", "http://localhost:3000"),
            ],
            "flag --set: cors.origins = \"http://localhost:3000\": production takes no origin",
        ),
        (
            &[("cors.origins", "https://a.example/x")],
            "flag --set: cors.origins = \"https://a.example/x\": must be a list of origins",
        ),
        (
            &[("server.trusted_proxies", "10.0.0.1/8")],
            "flag --set: server.trusted_proxies = \"10.0.0.1/8\": must be a list of addresses",
        ),
        (&[("api.signing", "on")], "flag --set: api.signing = true: signed calls need api.signing_secret"),
        (
            &[("api.signing_secret", "short")],
            "flag --set: api.signing_secret = \"***\": a secret must have 32 bytes or more, this one has 5",
        ),
        (
            &[("server.proxy_protocol", "required")],
            "flag --set: server.proxy_protocol = \"required\": `required` needs server.trusted_proxies",
        ),
        (
            &[("drain.announce_s", "30")],
            "flag --set: drain.announce_s = 30: must be less than drain.timeout_s (30 s)",
        ),
    ];
    for (set, expected) in rows {
        let errors = World { set, ..World::default() }.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].starts_with(expected), "{}\n{expected}", errors[0]);
    }
    let both =
        World { set: &[("auth.jwt_secret", "a"), ("drain.timeout_s", "0")], ..World::default() }.errors();
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn rooms_with_a_history_of_their_own() {
    let files = [(
        "ringway.toml",
        "[history]\nmessages = 5\n\n[[history.rooms]]\npattern = \"orders.**\"\nmessages = 1000\n\n\
         [[history.rooms]]\npattern = \"*\"\nttl_s = 7\nmessages = 0\n",
    )];
    let environment = [("PERSISTENCE_TTL", "60"), ("PERSISTENCE_ENABLED", "true")];
    let loaded = World { files: &files, environment: &environment, ..World::default() }.load().unwrap();
    let history = &loaded.settings.history;
    let rooms: Vec<_> =
        history.rooms.iter().map(|room| (room.pattern.as_str(), room.messages, room.ttl_s)).collect();
    assert_eq!(rooms, [("orders.**", Some(1000), None), ("*", Some(0), Some(7))]);
    assert_eq!((history.enabled, history.messages, history.ttl_s), (true, 5, 60));
    let shown = "rooms = [{ pattern = \"orders.**\", messages = 1000 }, { pattern = \"*\", messages = 0, ttl_s = 7 }]";
    assert!(effective(&loaded).contains(shown), "{}", effective(&loaded));

    let errors = file_errors(
        "[history]
rooms = [
    { messages = 1 },
    { pattern = \"a***\", messages = 10001, ttl_s = 0 },
    { pattern = \"a\", size = 1 },
    \"a\",
]
",
    );
    let expected = [
        "ringway.toml:3: history.rooms[0].pattern: is missing",
        "ringway.toml:4: history.rooms[1].messages = 10001: must be a whole number from 0 to 10000",
        "ringway.toml:4: history.rooms[1].pattern = \"a***\": must be a pattern of room names, like `orders.*` or \
         `orders.**`",
        "ringway.toml:4: history.rooms[1].ttl_s = 0: must be a whole number from 1 to 2592000",
        "ringway.toml:5: history.rooms[2].size: is no setting",
        "ringway.toml:6: history.rooms[3] = \"a\": must be a table `{ pattern, messages, ttl_s }`",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn secrets_are_never_shown() {
    let secret = "correct horse battery staple, and more of it";
    let environment = [("JWT_SECRET", secret)];
    let loaded = World { environment: &environment, ..World::default() }.load().unwrap();
    let report = effective(&loaded);
    assert!(report.contains("jwt_secret = \"***\""), "{report}");
    let files =
        [("ringway.toml", format!("[auth]\njwt_secret = [\"{secret}\"]\njwt_secert = \"{secret}\"\n"))];
    let files = [(files[0].0, files[0].1.as_str())];
    let broken = format!("[auth]\njwt_secret = \"{secret}\n");
    let broken = [("ringway.toml", broken.as_str())];
    let short = [("auth.jwt_secret", &secret[..20])];
    let texts = [
        report,
        format!("{loaded:?}"),
        World { files: &files, ..World::default() }.errors().join("\n"),
        World { files: &broken, ..World::default() }.errors().join("\n"),
        World { set: &short, ..World::default() }.errors().join("\n"),
    ];
    for text in texts {
        assert!(!text.contains("horse"), "{text}");
    }
}

#[test]
fn the_default_file_is_the_defaults() {
    let text = default_file();
    let files = [("ringway.toml", text.as_str())];
    let environment = [("JWT_SECRET", SECRET)];
    let loaded = World { files: &files, environment: &environment, ..World::default() }.load().unwrap();
    let mut expected = Settings::defaults(false);
    expected.auth.jwt_secret = Some(SECRET.to_owned().into());
    assert_eq!(loaded.settings, expected);
    for setting in table::settings() {
        let (_, name) = setting.section_and_name();
        let start = if setting.example.is_some() { "# " } else { "" };
        assert!(text.contains(&format!("\n{start}{name} = ")), "{}", setting.key);
        let is_set = *loaded.source(setting.key) != Source::Default;
        assert_eq!(is_set, setting.example.is_none() || setting.key == "auth.jwt_secret", "{}", setting.key);
    }
    assert!(text.lines().all(|line| line.chars().count() <= 180), "{text}");
    // In production the same file leaves to production what depends on it.
    let production = [environment[0], ("APP_ENV", "production")];
    let set = [("server.production", "true"), ("server.tls_terminated_by_proxy", "true")];
    let loaded =
        World { files: &files, environment: &production, set: &set, ..World::default() }.load().unwrap();
    expected = Settings::defaults(true);
    expected.auth.jwt_secret = Some(SECRET.to_owned().into());
    expected.server.tls_terminated_by_proxy = true;
    assert_eq!(loaded.settings, expected);
}

#[test]
fn every_example_is_taken_but_that_of_the_secret() {
    for setting in table::settings() {
        let Some(example) = setting.example else { continue };
        let (section, name) = setting.section_and_name();
        let text = format!("[{section}]\n{name} = {example}\n");
        let files = [
            ("ringway.toml", text.as_str()),
            ("keys/2026.pem", "PUBLIC"),
            ("keys/jwks.json", JWKS),
            ("certificates/own-ca.pem", CERTIFICATE),
        ];
        let result = World { files: &files, ..World::default() }.load();
        assert_eq!(result.is_err(), setting.is_secret, "{text}");
    }
}

#[test]
fn what_is_in_effect_can_be_loaded_again() {
    let environment = [("JWT_SECRET", SECRET)];
    let set = [("server.driver", "epoll"), ("auth.issuer", "a \"b\"\n"), ("channels.templates", "")];
    let one = World { environment: &environment, set: &set, ..World::default() }.load().unwrap();
    assert_eq!(one.settings.server.driver, DriverChoice::Epoll);
    let report = effective(&one);
    assert!(report.contains("driver = \"epoll\""), "{report}");
    assert!(report.contains("# audience is not set"), "{report}");
    let files = [("ringway.toml", report.as_str())];
    let two = World { files: &files, environment: &environment, ..World::default() }.load().unwrap();
    assert_eq!(one.settings, two.settings);
    assert_eq!(two.source("server.driver"), &Source::File { path: "ringway.toml".into(), line: 5 });
}

#[test]
fn environment_names_follow_from_keys() {
    let setting = table::find("heartbeat.interval_ms").unwrap();
    assert_eq!(setting.environment_name(), "RINGWAY_HEARTBEAT__INTERVAL_MS");
}
