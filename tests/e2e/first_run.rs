//! Somebody starts the binary for the first time: what it prints works when it is tried.

use ringway::shell::driver::Driver;

use crate::support::{Gateway, Http, Response, Socket, Start, ringway, token, until};

on_both_drivers!(what_it_prints_works, dev_tokens);

/// Started with no configuration but a driver and a free port.
fn first_run(driver: Driver) -> Start {
    Start::bare().set("log.format", "text").arg("--driver").arg(driver.as_str())
}

/// The words after the first `label` on one line of the banner.
#[track_caller]
fn printed<'t>(text: &'t str, label: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in\n{text}")).trim()
}

fn what_it_prints_works(driver: Driver) {
    let gateway = first_run(driver).start();
    let text = until("the end of the banner", || {
        let text = gateway.output();
        text.contains("Ctrl-C").then_some(text)
    });
    let address = gateway.address;
    let name = match driver {
        Driver::Uring => "io_uring",
        Driver::Epoll => "epoll",
    };
    assert!(text.contains(&format!("INFO: listening on {address} ")), "{text}");
    assert!(text.contains(&format!(" driver={} shards=", driver.as_str())), "{text}");
    assert!(text.contains(&format!(" on http://{address}: {name}, ")) && text.contains(" shard"), "{text}");
    assert!(address.ip().is_loopback(), "outside production nobody else is let in");

    let token = printed(&text, "Token");
    assert_eq!(printed(&text, "WebSocket").split(' ').next(), Some(&*format!("ws://{address}/ws?token=…")));
    let mut socket = Socket::open(address, &format!("/ws?token={token}"), "");
    assert_eq!(socket.expect("connection:established")["userId"], "dev");

    let stats = printed(&text, "Stats");
    let (_, rest) = stats.split_once("Bearer ").expect("the line for curl has the header");
    let (admin, rest) = rest.split_once('\'').expect("and closes its quote");
    assert_eq!(rest.trim(), format!("http://{address}/stats"));
    assert_eq!(gateway.get_as(admin, "/stats").json()["connections"]["byTenant"]["default"], 1);
    assert_eq!(gateway.get_as(token, "/stats").status, 403, "the token to share is no administrator's");

    assert_eq!(printed(&text, "Echo"), format!("ws://{address}/echo"));
    let mut echo = Socket::open(address, "/echo", "");
    echo.send("hello");
    assert_eq!(echo.text(), "hello", "without a token and without a greeting");

    assert_eq!(printed(&text, "Health"), format!("http://{address}/health"));
    assert_eq!(gateway.get("/health").json()["status"], "healthy");
    assert_eq!(printed(&text, "Metrics"), format!("http://{address}/metrics"));
    assert_eq!(gateway.get("/metrics").status, 200);

    let more = printed(&text, "More");
    let (_, path) = more.trim_end_matches('\'').split_once(&address.to_string()).expect("a URL for curl");
    assert_eq!(established_with(&gateway, &gateway.get(path)), ("ada".to_owned(), "acme".to_owned()));
}

/// Who one is with the token in a response.
#[track_caller]
fn established_with(gateway: &Gateway, response: &Response) -> (String, String) {
    let json = response.json();
    let token = json["token"].as_str().expect("the response has a token");
    let established = Socket::with_token(gateway.address, token).expect("connection:established");
    let text = |name: &str| established[name].as_str().expect("a connection has an identity").to_owned();
    (text("userId"), text("tenantId"))
}

fn dev_tokens(driver: Driver) {
    let gateway = first_run(driver).start();
    let default = ("dev".to_owned(), "default".to_owned());
    assert_eq!(established_with(&gateway, &gateway.get("/dev/token")), default);
    let admin = gateway.get("/dev/token?admin=1").json();
    assert_eq!(gateway.get_as(admin["token"].as_str().unwrap(), "/stats").status, 200);

    let many = gateway.get("/dev/token?count=3&prefix=bot&tenant=acme").json();
    let tokens = many["tokens"].as_array().expect("several come as an array");
    let users = tokens.iter().map(|token| {
        let mut socket = Socket::with_token(gateway.address, token.as_str().expect("a token is text"));
        socket.expect("connection:established")["userId"].as_str().unwrap().to_owned()
    });
    assert_eq!(users.collect::<Vec<_>>(), ["bot-0", "bot-1", "bot-2"]);

    for path in ["count=10001", "count=x", "user=", "user=%00", "tenant=%0a", "user=a&user=b", "user=%ff"] {
        gateway.get(&format!("/dev/token?{path}")).is_error(400, "bad_request");
    }
    // A page of a foreign name that resolves to this machine gets nothing out of a visitor's browser.
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "[2001:db8::1]"] {
        let mut http = Http::connect(gateway.address);
        http.write(format!("GET /dev/token HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        http.response().is_error(403, "forbidden");
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:80", "127.1.2.3"] {
        let mut http = Http::connect(gateway.address);
        http.write(format!("GET /dev/token HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(http.response().status, 200, "{host}");
    }
}

#[test]
fn whoever_has_a_secret_gets_no_tokens_for_nothing() {
    let gateway = Start::bare().set("log.format", "text").env("JWT_SECRET", token::SECRET).start();
    gateway.get("/dev/token").is_error(404, "not_found");
    let text = until("the end of the banner", || {
        let text = gateway.output();
        text.contains("Ctrl-C").then_some(text)
    });
    assert!(!text.contains("eyJ"), "no token is printed: {text}");
    assert!(printed(&text, "Token").starts_with("ringway token mint"), "but how to make one: {text}");
}

/// What is not limited is said, to the last kind, so that nobody takes a first run for production.
#[test]
fn it_says_which_limits_are_off() {
    let rates =
        ["messages", "bytes", "connections per address", "connects per address", "new rooms per address"];
    let shared = ["messages per user", "messages per tenant"];
    let keys = [
        "messages_per_10s",
        "bytes_per_10s",
        "connections_per_ip",
        "connects_per_ip_per_min",
        "room_creates_per_ip_per_min",
    ];
    let shared_keys = ["user_messages_per_s", "tenant_messages_per_s"];
    let rows: [(&[&str], &[&str], String); 4] = [
        (&[], &[], format!("no limits of {}", [&rates[..], &shared].concat().join(", "))),
        (&keys, &[], format!("no limits of {}", shared.join(", "))),
        (&[], &["rooms_per_connection"], "rooms per connection, messages per user".to_owned()),
        (&[&keys[..], &shared_keys].concat(), &[], "all limits are on".to_owned()),
    ];
    for (on, off, expected) in rows {
        let start = Start::bare().set("log.format", "text");
        let limited = on.iter().map(|key| (key, 100_000)).chain(off.iter().map(|key| (key, 0)));
        let start = limited.fold(start, |start, (key, limit)| start.set(&format!("limits.{key}"), limit));
        let gateway = start.start();
        let text = until("the end of the banner", || {
            let text = gateway.output();
            text.contains("Ctrl-C").then_some(text)
        });
        let line = printed(&text, "Not production:");
        assert!(line.contains(&expected), "{expected} in {line}");
    }
}

/// Two nodes with a Redis would look like a cluster, and are none.
#[test]
fn a_node_that_stands_alone_says_so() {
    let warning =
        "REDIS_URL, CLUSTERING_ENABLED are set, but this version has no clustering: this node stands alone";
    let environment = [("REDIS_URL", "redis://:hush@192.0.2.1"), ("CLUSTERING_ENABLED", "true")];
    let start = environment.iter().fold(Start::bare(), |start, (name, value)| start.env(name, value));
    let gateway = start.start();
    let text = until("the warning", || {
        let text = gateway.output();
        text.contains(warning).then_some(text)
    });
    let line = text.lines().find(|line| line.contains(warning)).expect("it was just found");
    assert!(line.contains(r#""level":"warn""#), "{line}");

    let output = ringway().args(["config", "check"]).envs(environment).output().expect("the binary runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), said.as_str()), (Some(0), &*format!("ringway: warning: {warning}\n")));
    for text in [text, said] {
        assert!(!text.contains("hush"), "{text}");
    }
    let silent = ringway().args(["config", "check"]).output().expect("the binary runs");
    assert_eq!(String::from_utf8(silent.stderr).expect("text"), "");
}

#[test]
fn production_is_closed_until_it_is_opened() {
    let production = || {
        Start::bare()
            .arg("--production")
            .arg("--host")
            .arg("127.0.0.1")
            .env("JWT_SECRET", token::SECRET)
            .set("server.tls_terminated_by_proxy", true)
    };
    let gateway = production().start();
    gateway.get("/metrics").is_error(401, "unauthenticated");
    assert_eq!(gateway.get_as(&token::admin(), "/metrics").status, 200);
    gateway.get("/dev/token").is_error(404, "not_found");
    gateway.get("/echo").is_error(404, "not_found");
    assert_eq!(gateway.socket("ada", "acme").ping(), "pong");
    drop(gateway);

    let gateway = production().arg("--echo").start();
    let mut echo = Socket::open(gateway.address, "/echo", "");
    echo.send("hello");
    assert_eq!(echo.text(), "hello");
}

#[test]
fn the_documented_defaults() {
    let output = ringway().args(["config", "check"]).output().expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let documented = [
        "host = \"127.0.0.1\"",
        "port = 8080",
        "head_timeout_ms = 10000",
        "keep_alive_ms = 60000",
        "interval_ms = 30000",
        "timeout_ms = 60000",
        "message_bytes = 65536",
        "timeout_s = 30",
    ];
    for value in documented {
        assert!(text.lines().any(|line| line.starts_with(&format!("{value} "))), "{value} in\n{text}");
    }
}
