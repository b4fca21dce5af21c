//! The command line: help, the configuration, tokens, and errors that say what to do.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use ringway::shell::driver::Driver;

use crate::support::{Start, ringway, token};

/// Runs to the end; exit code, standard output, standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (status.code(), text(stdout), text(stderr))
}

fn run_with(arguments: &[&str]) -> (Option<i32>, String, String) {
    run(ringway().args(arguments))
}

/// A file of this test run.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command");
    fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    let path = folder.join(name);
    fs::write(&path, text).expect("the folder for temporary files can be written");
    path
}

#[test]
fn help_and_version() {
    let (code, out, _) = run_with(&["--help"]);
    assert_eq!(code, Some(0));
    for word in
        ["serve", "config", "token", "--config", "--port", "--shards", "--driver", "--set", "--production"]
    {
        assert!(out.contains(word), "{word} in\n{out}");
    }
    for arguments in [["serve", "--help"], ["config", "--help"], ["token", "--help"]] {
        let (code, out, _) = run_with(&arguments);
        assert!(code == Some(0) && out.contains("Usage: ringway"), "{out}");
    }
    let (code, out, _) = run_with(&["--version"]);
    assert_eq!((code, out), (Some(0), format!("ringway {}\n", env!("CARGO_PKG_VERSION"))));
    for arguments in [&["fly"][..], &["--wings", "2"], &["config"], &["token", "check"]] {
        let (code, _, err) = run_with(arguments);
        assert!(code == Some(2) && err.contains("Usage:"), "{arguments:?}: {err}");
    }
}

#[test]
fn the_default_file_is_a_configuration() {
    let (code, default, _) = run_with(&["config", "default"]);
    assert_eq!(code, Some(0));
    let path = file("default.toml", &default);
    let path = path.to_str().expect("the path is text");
    let (code, from_file, err) = run_with(&["config", "check", "--config", path]);
    assert_eq!(code, Some(0), "{err}");
    // The same values as with nothing at all, now with a line of the file as their source.
    let (code, effective, _) = run_with(&["config", "check"]);
    assert_eq!(code, Some(0));
    let values = |text: &str| -> Vec<String> {
        let values = text.lines().map(|line| line.split("  #").next().unwrap_or(line).trim_end().to_owned());
        values.filter(|line| !line.starts_with("jwt_secret")).collect()
    };
    assert_eq!(values(&from_file), values(&effective));
    assert!(from_file.contains("default.toml:") && !effective.contains("default.toml"), "{from_file}");
    // And what is in effect can itself be read.
    // (but for the secret, which is not shown).
    let without_secret: String =
        effective.lines().filter(|line| !line.starts_with("jwt_secret")).collect::<Vec<_>>().join("\n");
    let again = file("effective.toml", &without_secret);
    let (code, _, err) =
        run_with(&["config", "check", "--config", again.to_str().expect("the path is text")]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn layers_in_their_order_with_secrets_masked() {
    let path = file(
        "layers.toml",
        "[server]\nport = 9001\nshards = 3\n[limits]\nfragments = 7\n[log]\nlevel = \"warn\"\n",
    );
    let mut command = ringway();
    command
        .args(["config", "check", "--log-level", "debug", "--set", "http.keep_alive_ms=1234", "--config"])
        .arg(path);
    command.envs([("PORT", "9002"), ("RINGWAY_SERVER__SHARDS", "4"), ("WEBSOCKET_WORKERS", "5")]);
    command.envs([("JWT_SECRET", token::SECRET), ("HEARTBEAT_INTERVAL", "111")]);
    let (code, out, err) = run(&mut command);
    assert_eq!(code, Some(0), "{err}");
    let rows = [
        ("port = 9002", "PORT"),
        ("shards = 4", "RINGWAY_SERVER__SHARDS"),
        ("fragments = 7", "layers.toml:5"),
        ("level = \"debug\"", "--log-level"),
        ("keep_alive_ms = 1234", "--set"),
        ("interval_ms = 111", "HEARTBEAT_INTERVAL"),
        ("jwt_secret = \"***\"", "JWT_SECRET"),
        ("timeout_s = 30", "default"),
    ];
    for (value, source) in rows {
        let line = out.lines().find(|line| line.starts_with(value));
        assert!(line.is_some_and(|line| line.contains(source)), "{value} from {source} in\n{out}");
    }
    assert!(!out.contains(&token::SECRET[..16]), "{out}");
}

#[test]
fn wrong_values_are_told_with_their_place() {
    let text = "[server]\nport = 99999\nsharks = 2\n\n[log]\nformat = \"xml\"\n[limitz]\na = 1\n";
    let path = file("wrong.toml", text);
    let path = path.to_str().expect("the path is text");
    let wanted = [
        "wrong.toml:2: server.port = 99999: must be ",
        "wrong.toml:3: server.sharks: is no setting; did you mean `server.shards`?",
        "wrong.toml:6: log.format = \"xml\": must be ",
        "wrong.toml:7: limitz: is no setting; did you mean `limits`?",
        "flag --set: heartbeat.timeout_ms = \"x\": must be ",
    ];
    for command in [&["config", "check"][..], &["serve"], &[]] {
        let wrong = ["--config", path, "--set", "heartbeat.timeout_ms=x"];
        let (code, out, err) = run_with(&[command, &wrong].concat());
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        for words in wanted {
            assert!(err.contains(words), "{words} in\n{err}");
        }
    }
    let rows: [(&[&str], &str); 8] = [
        (&["--config", "/nonexistent/ringway.toml"], "/nonexistent/ringway.toml"),
        (&["--port", "-"], "--port"),
        (&["--shards", "many"], "--shards"),
        (&["--host", "nowhere.example"], "--host"),
        (&["--set", "nonsense"], "write key=value"),
        (&["--set", "limits.outbox_bytes=4096"], "must be at least limits.message_bytes"),
        (&["--set", "heartbeat.timeout_ms=10000"], "must be longer than heartbeat.interval_ms"),
        (&["--log-level", "loud"], "log.level"),
    ];
    for (arguments, words) in rows {
        let (code, _, err) = run_with(&[&["serve"], arguments].concat());
        assert!(code == Some(1) && err.contains(words), "{arguments:?}: {err}");
    }
    let (code, _, err) = run(ringway().arg("serve").env("PORT", "eighty"));
    assert!(code == Some(1) && err.contains("PORT") && err.contains("eighty"), "{err}");
    let syntax = file("syntax.toml", "[server\nport = 1\n");
    let (code, _, err) = run(ringway().args(["serve", "--config"]).arg(syntax));
    assert!(code == Some(1) && err.contains("syntax.toml:1"), "{err}");
}

#[test]
fn weak_secrets_and_production() {
    let short = "x".repeat(31);
    let (code, _, err) = run(ringway().arg("serve").env("JWT_SECRET", &short));
    assert!(code == Some(1) && err.contains("auth.jwt_secret") && err.contains("32"), "{err}");
    assert!(!err.contains(&short), "{err}");
    for production in
        [("NODE_ENV", "production"), ("APP_ENV", "production"), ("RINGWAY_SERVER__PRODUCTION", "true")]
    {
        let (code, _, err) = run(ringway().arg("serve").envs([production]));
        assert!(code == Some(1) && err.contains("production needs a secret"), "{err}");
        let (code, _, err) = run(ringway().arg("serve").envs([production]).env("JWT_SECRET", "x".repeat(63)));
        assert!(code == Some(1) && err.contains("64"), "{err}");
    }
}

#[test]
fn who_may_do_what_is_explained() {
    let rules = "[[abilities.rules]]\nrole = \"member\"\nactions = [\"join\"]\nrooms = [\"project.*\"]\n";
    let path = file("abilities.toml", rules);
    let path = path.to_str().expect("the path is text");
    let asked = |arguments: &[&str]| {
        run_with(&[&["config", "check", "--config", path, "--explain"], arguments].concat())
    };
    let (code, out, _) = asked(&["user=ada", "tenant=acme", "roles=member", "action=join", "room=project.7"]);
    assert!(
        code == Some(0) && out.starts_with("user ada of tenant acme, roles member, may join project.7\n"),
        "{out}"
    );
    assert!(out.contains("by abilities.rules[0] (") && out.contains("abilities.toml:1): "), "{out}");
    let (code, out, _) = asked(&["user=ada", "action=join", "room=project.7"]);
    assert!(code == Some(1) && out.contains("may not join project.7"), "{out}");
    let (code, _, err) = asked(&["user=ada"]);
    assert!(code == Some(1) && err.contains("--explain: action is missing"), "{err}");
}

#[test]
fn tokens_go_round() {
    let with_secret = || {
        let mut command = ringway();
        command.env("JWT_SECRET", token::SECRET).arg("token");
        command
    };
    let (code, minted, err) = run(with_secret().args([
        "mint",
        "--user",
        "ada",
        "--tenant",
        "acme",
        "--ttl",
        "15m",
        "--ability",
        "x:y",
        "--role",
        "member",
    ]));
    assert_eq!(code, Some(0), "{err}");
    let minted = minted.trim();
    let (code, out, _) = run(with_secret().args(["check", minted]));
    assert!(code == Some(0) && out.contains("valid: user ada, tenant acme, roles member, "), "{out}");
    assert!(out.contains(r#""alg": "HS256""#) && out.contains(r#""x:y""#), "{out}");

    // From standard input it does not stand in the list of processes.
    let mut check = with_secret();
    let mut child = check
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("piped above").write_all(format!("{minted}\n").as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).expect("text"), out);

    for (bad, why) in [(&minted[..minted.len() - 2], "not valid: "), ("x.y.z", "cannot be read")] {
        let (code, out, _) = run(with_secret().args(["check", bad]));
        assert!(code == Some(1) && out.contains(why), "{out}");
    }
    let (code, out, _) = run(with_secret().args(["check", &token::lasting("ada", "acme", -60)]));
    assert!(code == Some(1) && out.contains("not valid: the token expired "), "{out}");
    let (code, _, err) = run_with(&["token", "mint"]);
    assert!(code == Some(1) && err.contains("JWT_SECRET"), "without a secret: {err}");
    let (code, _, err) = run(with_secret().args(["mint", "--user", ""]));
    assert!(code == Some(1) && err.contains("--user"), "{err}");
}

#[test]
fn shells_complete_the_command() {
    for (shell, words) in
        [("bash", "complete -F _ringway"), ("zsh", "#compdef ringway"), ("fish", "complete -c ringway")]
    {
        let (code, script, err) = run_with(&["completions", shell]);
        assert!(code == Some(0) && script.contains(words), "{shell}: {err}");
    }
    let (_, script, _) = run_with(&["completions", "bash"]);
    let script = file("ringway.bash", &script);
    let complete = |words: &[&str]| {
        let line = words.join("' '");
        let last = words.last().copied().unwrap_or_default();
        let before = words.iter().rev().nth(1).copied().unwrap_or_default();
        let text = format!(
            "source '{}'; COMP_WORDS=('{line}'); COMP_CWORD={}; _ringway ringway '{last}' '{before}'; \
             echo \"${{COMPREPLY[*]}}\"",
            script.display(),
            words.len() - 1
        );
        let (code, out, err) = run(Command::new("/bin/bash").args(["--norc", "-c", &text]));
        assert_eq!(code, Some(0), "{err}");
        out.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["ringway", "con"]), ["config"]);
    assert_eq!(complete(&["ringway", "config", "ch"]), ["check"]);
    assert_eq!(complete(&["ringway", "serve", "--dri"]), ["--driver"]);
    assert_eq!(complete(&["ringway", "serve", "--driver", ""]), ["auto", "uring", "epoll"]);
    assert_eq!(complete(&["ringway", "completions", "z"]), ["zsh"]);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let (code, page, err) = run_with(&["man"]);
    assert_eq!(code, Some(0), "{err}");
    for words in [".TH ringway 1", ".SH SIGNALS", ".SH ENVIRONMENT", "JWT_SECRET", "SIGHUP", "\\-\\-config"] {
        assert!(page.contains(words), "{words} in\n{page}");
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command").join("man");
    let (code, out, err) = run(ringway().args(["man", "--folder"]).arg(&folder));
    assert!(code == Some(0) && out.contains("ringway.1"), "{err}");
    let written = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    assert_eq!(written("ringway.1"), page);
    for command in
        ["serve", "config", "config-check", "config-default", "token-mint", "key-make", "completions", "man"]
    {
        let page = written(&format!("ringway-{command}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
    let (code, _, err) = run_with(&["man", "--folder", "/proc/nowhere"]);
    assert!(code == Some(1) && err.contains("/proc/nowhere"), "{err}");
}

#[test]
fn a_port_in_use_is_said_to_be() {
    let first = Start::on(Driver::Epoll).start();
    let port = first.address.port().to_string();
    for shards in ["1", "4"] {
        let (code, _, err) =
            run_with(&["serve", "--port", &port, "--shards", shards, "--set", "log.format=json"]);
        assert_eq!(code, Some(1));
        assert_eq!(err, format!("ringway: 127.0.0.1:{port} is in use by another process\n"));
    }
    assert_eq!(first.get("/ready").status, 200, "the first one notices nothing");
    let (code, _, err) = run_with(&["serve", "--host", "192.0.2.1", "--port", &port]);
    assert!(code == Some(1) && err.contains("is not an address of this machine"), "{err}");
}

#[test]
fn ipv6_is_served() {
    let start = Start::on(Driver::Epoll).arg("--host").arg("::1").start();
    assert!(start.address.is_ipv6());
    assert_eq!(start.get("/ready").status, 200);
    assert_eq!(start.socket("ada", "acme").ping(), "pong");
}
