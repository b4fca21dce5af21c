//! Tokens on all their ways in, their end, their refresh, and that no log ever sees one.

use std::fs;

use ringway::shell::driver::Driver;

use crate::support::{
    Gateway, Http, PATIENCE, Socket, Start, ringway,
    token::{self, lasting, sign, token},
    until, upgrade_request,
};

on_both_drivers!(
    four_ways_in,
    bad_tokens,
    authenticate_by_message,
    authenticate_in_time,
    expiry,
    refresh_keeps_rooms,
    public_keys,
    never_in_the_log,
);

fn four_ways_in(driver: Driver) {
    let gateway = Start::on(driver).start();
    let token = token("ada", "acme");
    let address = gateway.address;
    let protocols = "Sec-WebSocket-Protocol: ringway.json.v1, ringway.bearer.";
    let ways = [
        Socket::with_token(address, &token),
        Socket::open(address, "/ws", &format!("Authorization: bearer   {token}\r\n")),
        Socket::open(address, &format!("/ws?token={token}"), ""),
        Socket::open(address, &format!("/ws?a=b&token={token}&c"), "Origin: http://localhost:3000\r\n"),
        Socket::open(address, "/ws", &format!("{protocols}{token}\r\n")),
    ];
    for mut socket in ways {
        let established = socket.expect("connection:established");
        assert_eq!((&established["userId"], &established["tenantId"]), (&"ada".into(), &"acme".into()));
        assert_eq!(established["heartbeat"]["intervalMs"], 30_000);
        assert_eq!(established["heartbeat"]["timeoutMs"], 60_000);
        assert_eq!(established["connectionId"].as_str().map(str::len), Some(24));
        assert!(established["limits"].is_object() && established["node"].is_string(), "{established}");
        assert_eq!(socket.ping(), "pong");
    }
    // The subprotocol that is chosen is one that was offered, or browsers give up.
    let chosen = |offered: &str| {
        let socket = Socket::open(address, "/ws", &format!("Sec-WebSocket-Protocol: {offered}\r\n"));
        socket.upgrade.header("Sec-WebSocket-Protocol").map(str::to_owned)
    };
    let bearer = format!("ringway.bearer.{token}");
    assert_eq!(chosen("ringway.json.v1").as_deref(), Some("ringway.json.v1"));
    assert_eq!(chosen(&format!("{bearer}, ringway.json.v1")).as_deref(), Some("ringway.json.v1"));
    assert_eq!(chosen(&bearer), Some(bearer));
    assert_eq!(chosen("other"), None);
    // A token without a tenant belongs to the tenant `default`.
    let claims = format!(r#"{{"sub":"ada","exp":{}}}"#, token::unix_s() + 60);
    let mut socket = Socket::with_token(address, &sign(token::HS256, &claims));
    assert_eq!(socket.expect("connection:established")["tenantId"], "default");
}

fn bad_tokens(driver: Driver) {
    let mut gateway = Start::on(driver).start();
    let good = token("ada", "acme");
    let claims = |rest: &str| sign(token::HS256, &format!(r#"{{"sub":"ada",{rest}}}"#));
    let hour = token::unix_s() + 3600;
    let none = sign(r#"{"alg":"none"}"#, r#"{"sub":"ada","exp":4102444800}"#);
    let unsigned = format!("{}.", none.rsplit_once('.').expect("a token has dots").0);
    let mut tampered = good.clone().into_bytes();
    tampered[good.find('.').expect("a token has dots") + 5] ^= 1;
    let rows = [
        ("an expired one", lasting("ada", "acme", -60)),
        ("one for later", claims(&format!(r#""nbf":{hour},"exp":{}"#, hour + 60))),
        ("one from the future", claims(&format!(r#""iat":{hour},"exp":{}"#, hour + 60))),
        ("another secret", token::sign_with("x".repeat(64).as_str(), token::HS256, r#"{"sub":"ada"}"#)),
        ("alg none", none.clone()),
        ("alg none, unsigned", unsigned),
        ("alg None", sign(r#"{"alg":"None"}"#, r#"{"sub":"ada"}"#)),
        ("an algorithm of no key", sign(r#"{"alg":"RS256"}"#, r#"{"sub":"ada"}"#)),
        ("another length of HMAC", sign(r#"{"alg":"HS512"}"#, r#"{"sub":"ada"}"#)),
        ("a critical extension", sign(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"sub":"ada"}"#)),
        ("a duplicate claim", claims(r#""sub":"root""#)),
        ("a tenant with a control character", claims(r#""tenant":"a\nb""#)),
        ("no user", sign(token::HS256, r#"{"tenant":"acme"}"#)),
        ("truncated", good[..good.len() - 1].to_owned()),
        ("without its signature", good.rsplit_once('.').expect("a token has dots").0.to_owned()),
        ("tampered", String::from_utf8(tampered).expect("ASCII stays ASCII")),
        ("9 KiB", claims(&format!(r#""name":"{}""#, "x".repeat(9 << 10)))),
        ("no token at all", "x".to_owned()),
    ];
    let rest = gateway.at_rest();
    for (name, token) in rows {
        // A client that can set headers can read a status.
        let headers = format!("Authorization: Bearer {token}\r\n");
        let refused = Socket::try_open(gateway.address, "/ws", &headers).err();
        refused.unwrap_or_else(|| panic!("{name} was taken")).is_error(401, "unauthenticated");
        // A browser sees close codes only.
        let mut socket = Socket::open(gateway.address, &format!("/ws?token={token}"), "");
        assert_eq!(socket.closed().0, 4401, "{name}");
        let bearer = format!("Sec-WebSocket-Protocol: ringway.bearer.{token}\r\n");
        let mut socket = Socket::open(gateway.address, "/ws", &bearer);
        assert_eq!(socket.closed().0, 4401, "{name}");
        let mut socket = Socket::open(gateway.address, "/ws", "");
        let ack = socket.call(&format!(r#""type":"authenticate","token":"{token}""#));
        assert_eq!(
            (&ack["success"], &ack["error"]["code"]),
            (&false.into(), &"unauthenticated".into()),
            "{name}"
        );
        assert_eq!(ack["error"]["status"], 401);
        assert_eq!(socket.closed().0, 4401, "{name}");
        drop(socket);
        gateway.has_recovered(&rest, 0, name);
    }
    for headers in ["Authorization: Bearer\r\n", "Authorization: Bearer a b\r\n"] {
        let refused = Socket::try_open(gateway.address, "/ws", headers).err();
        refused.expect("a malformed header").is_error(400, "bad_request");
    }
    let twice = format!("/ws?token={good}&token={good}");
    let refused = Socket::try_open(gateway.address, &twice, "").err();
    refused.expect("two tokens").is_error(400, "bad_request");
}

fn authenticate_by_message(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut socket = Socket::open(gateway.address, "/ws", "");
    // Until it has, it may ask for the time only.
    assert_eq!(socket.ping(), "pong");
    for call in [
        r#""type":"room:join","room":"lobby""#,
        r#""type":"query:rooms""#,
        r#""type":"subscribe","channel":"x""#,
    ] {
        let ack = socket.call(call);
        assert_eq!(
            (&ack["error"]["code"], &ack["error"]["status"]),
            (&"unauthenticated".into(), &401.into())
        );
    }
    let ack = socket.call(&format!(r#""type":"authenticate","token":"{}""#, token("ada", "acme")));
    assert_eq!((&ack["success"], &ack["userId"]), (&true.into(), &"ada".into()), "{ack}");
    assert_eq!(ack["tenantId"], "acme");
    assert!(ack["expiresAt"].as_u64() > Some(token::unix_s() as u64 * 1000), "Unix ms: {ack}");
    let established = socket.expect("connection:established");
    assert_eq!(established["connectionId"], ack["connectionId"]);
    socket.join("lobby");

    // Whoever names the tenant must name the token's.
    let mut socket = Socket::open(gateway.address, "/ws", "");
    let token = token("ada", "acme");
    let ack = socket.call(&format!(r#""type":"authenticate","token":"{token}","tenantId":"acme""#));
    assert_eq!(ack["success"], true);
    let mut socket = Socket::open(gateway.address, "/ws", "");
    let ack = socket.call(&format!(r#""type":"authenticate","token":"{token}","tenantId":"globex""#));
    assert_eq!((&ack["error"]["code"], &ack["error"]["status"]), (&"forbidden".into(), &403.into()));
    assert_eq!(socket.closed().0, 4403);
    // Without an id failure is an event.
    let mut socket = Socket::open(gateway.address, "/ws", "");
    socket.send(r#"{"type":"authenticate","token":"x.y.z"}"#);
    assert_eq!(socket.expect("system:error")["code"], "unauthenticated");
    assert_eq!(socket.closed().0, 4401);
}

fn authenticate_in_time(driver: Driver) {
    let gateway = Start::on(driver).set("auth.timeout_ms", 300).start();
    let mut silent = Socket::open(gateway.address, "/ws", "");
    let mut talkative = Socket::open(gateway.address, "/ws", "");
    let mut good = Socket::open(gateway.address, "/ws", "");
    assert_eq!(talkative.ping(), "pong");
    assert_eq!(
        good.call(&format!(r#""type":"authenticate","token":"{}""#, token("ada", "acme")))["success"],
        true
    );
    good.expect("connection:established");
    assert_eq!(silent.closed().0, 4408);
    assert_eq!(talkative.closed().0, 4408, "talking is not authenticating");
    assert_eq!(good.ping(), "pong");
    assert_eq!(gateway.metric(r#"websocket_disconnections_total{reason="auth_timeout"}"#), 2.0);
}

/// A token from the command line.
fn minted(ttl: &str) -> String {
    let mut mint = ringway();
    mint.env("JWT_SECRET", token::SECRET)
        .args(["token", "mint", "--user", "ada", "--tenant", "acme", "--ttl", ttl]);
    let output = mint.output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a token is ASCII").trim().to_owned()
}

fn expiry(driver: Driver) {
    let gateway = Start::on(driver).set("auth.leeway_s", 0).start();
    let mut socket = Socket::with_token(gateway.address, &minted("2s"));
    socket.expect("connection:established");
    let expiring = socket.expect("token:expiring");
    assert!(expiring["expiresIn"].as_u64().is_some_and(|ms| ms <= 2_000), "{expiring}");
    let (code, text) = socket.closed();
    assert_eq!(code, 4401, "{text}");
    assert_eq!(gateway.metric(r#"websocket_disconnections_total{reason="token_expired"}"#), 1.0);
}

fn refresh_keeps_rooms(driver: Driver) {
    let gateway = Start::on(driver).set("auth.leeway_s", 0).set("token.expiring_notice_s", 0).start();
    let mut sender = gateway.socket("bob", "acme");
    sender.join("lobby");
    let short = lasting("ada", "acme", 2);
    let mut refreshed = Socket::with_token(gateway.address, &short);
    refreshed.expect("connection:established");
    refreshed.join("lobby");
    let mut forgetful = Socket::with_token(gateway.address, &short);
    forgetful.expect("connection:established");

    // Somebody else's token is no refresh, nor is a bad one; neither ends anything.
    let renew = |socket: &mut Socket, token: &str| {
        socket.call(&format!(r#""type":"authenticate","token":"{token}""#))
    };
    let rows = [
        (token("bob", "acme"), "forbidden"),
        (token("ada", "globex"), "forbidden"),
        (lasting("ada", "acme", -1), "unauthenticated"),
    ];
    for (token, code) in rows {
        assert_eq!(renew(&mut refreshed, &token)["error"]["code"], code);
    }
    let ack = renew(&mut refreshed, &token("ada", "acme"));
    assert_eq!((&ack["success"], &ack["userId"]), (&true.into(), &"ada".into()), "{ack}");

    // The connection beside it shows when the old token's time is over.
    assert_eq!(forgetful.closed().0, 4401);
    assert_eq!(sender.call(r#""type":"room:send","room":"lobby","payload":"still here""#)["success"], true);
    assert_eq!(refreshed.expect("room:message")["payload"], "still here");
    assert_eq!(refreshed.call(r#""type":"query:rooms""#)["rooms"], serde_json::json!(["lobby"]));
}

fn public_keys(driver: Driver) {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/src/auth/testdata");
    let config = format!("{}/public_keys.{driver}.toml", env!("CARGO_TARGET_TMPDIR"));
    let entry = format!("{{ kid = \"ed\", algorithm = \"EdDSA\", file = \"{keys}/ed25519.pub.pem\" }}");
    fs::write(&config, format!("[auth]\nkeys = [{entry}]\n"))
        .expect("the folder for temporary files can be written");
    let gateway = Start::bare().arg("--driver").arg(driver.as_str()).arg("--config").arg(config).start();
    let mint = |arguments: &[&str]| {
        let key_file = format!("{keys}/ed25519.key.pem");
        let output = ringway().args(["token", "mint", "--key-file", &key_file]).args(arguments).output();
        let output = output.expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a token is ASCII").trim().to_owned()
    };
    let mut socket = Socket::with_token(gateway.address, &mint(&["--kid", "ed", "--user", "ada"]));
    assert_eq!(socket.expect("connection:established")["userId"], "ada");
    for token in [mint(&["--kid", "other"]), token("ada", "acme")] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        let refused = Socket::try_open(gateway.address, "/ws", &headers).err();
        refused.expect("no key for it").is_error(401, "unauthenticated");
    }
    gateway.get("/dev/token").is_error(404, "not_found");
}

fn never_in_the_log(driver: Driver) {
    let mut gateway = Start::on(driver).arg("--log-level").arg("trace").start();
    let good = token("ada", "acme");
    let bad = lasting("ada", "acme", -3600);
    let admin = token::admin();
    const PAYLOAD: &str = "b2f6c8d4-payload";
    for token in [&good, &bad] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        drop(Socket::try_open(gateway.address, "/ws", &headers));
        drop(Socket::open(gateway.address, &format!("/ws?token={token}"), ""));
        let bearer = format!("Sec-WebSocket-Protocol: ringway.bearer.{token}\r\n");
        drop(Socket::open(gateway.address, "/ws", &bearer));
        let mut socket = Socket::open(gateway.address, "/ws", "");
        socket.call(&format!(r#""type":"authenticate","token":"{token}""#));
        // Where it does not belong.
        for path in
            [format!("/{token}"), format!("/health?token={token}"), format!("/ws?token={token}&x=%zz")]
        {
            gateway.get(&path);
        }
        let mut http = Http::connect(gateway.address);
        http.write(format!("{token} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        http.response().is_error(404, "not_found");
        let mut http = Http::connect(gateway.address);
        http.write(upgrade_request(&format!("/ws?token={token}"), "Sec-WebSocket-Key: x\r\n"));
        http.response().is_error(400, "bad_request");
    }
    gateway.get_as(&admin, "/stats");
    let mut socket = gateway.socket("ada", "acme");
    socket.join("lobby");
    socket.send(&format!(r#"{{"type":"room:send","room":"lobby","payload":"{PAYLOAD}"}}"#));
    socket.send(&format!(r#"{{"type":"{good}"}}"#));
    socket.expect("system:error");
    drop(socket);
    until("its disconnection in the log", || gateway.output().contains(r#""reason":"eof""#).then_some(()));
    gateway.signal(libc::SIGTERM);
    assert!(gateway.wait().success());

    let log = gateway.output();
    assert!(
        log.contains(r#""msg":"connected""#) && log.contains(r#""msg":"authentication failed""#),
        "{log}"
    );
    for token in [&good, &bad, &admin] {
        for part in token.split('.').skip(1) {
            assert!(!log.contains(part), "a part of a token is in the log:\n{log}");
        }
    }
    assert!(!log.contains(PAYLOAD) && !log.contains("token="), "{log}");
    assert!(!log.contains(token::SECRET), "{log}");
}

/// Failed attempts, however many, are counted and named without filling the disk.
#[test]
fn a_flood_of_bad_tokens_is_sampled() {
    let gateway = Start::on(Driver::Epoll).shards(1).start();
    const ATTEMPTS: usize = 200;
    let before = std::time::Instant::now();
    for _ in 0..ATTEMPTS {
        refused(&gateway);
    }
    let seconds = before.elapsed().as_secs() + 2;
    assert!(seconds < PATIENCE.as_secs(), "too slow to tell anything: {seconds} s");
    let lines = gateway.output().lines().filter(|line| line.contains("authentication failed")).count();
    assert!((1..=10 * seconds as usize).contains(&lines), "{lines} lines in {seconds} s");
    let series = r#"websocket_connection_rejected_total{reason="unauthenticated"}"#;
    assert_eq!(gateway.metric(series), ATTEMPTS as f64);
}

fn refused(gateway: &Gateway) {
    let refused = Socket::try_open(gateway.address, "/ws", "Authorization: Bearer a.b.c\r\n");
    refused.err().expect("a bad token").is_error(401, "unauthenticated");
}
