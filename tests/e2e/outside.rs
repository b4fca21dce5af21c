//! Servers of the operator's: one that says whose opaque tokens are, and an issuer that publishes its keys.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use ringway::shell::driver::Driver;

use crate::support::{Asked, Backend, Http, Socket, Start, token, until};

on_both_drivers!(
    opaque_tokens,
    an_introspection_server_that_fails,
    issuer_keys,
    new_tokens_at_once,
    keys_from_a_file,
);

/// Knows three tokens by their users, and the rest not.
fn who(asked: &Asked) -> (u16, String) {
    let user =
        |user: &str| (200, format!(r#"{{"data":{{"id":"{user}","team":"acme"}},"can":["ringway:admin"]}}"#));
    match asked.bearer.as_deref() {
        Some("1|ada-opaque") => user("ada"),
        Some("2|bob-opaque") => (200, r#"{"data":{"id":7,"team":null}}"#.to_owned()),
        Some("3|cut-opaque") => (403, String::new()),
        _ => (401, r#"{"message":"Unauthenticated."}"#.to_owned()),
    }
}

fn introspecting(driver: Driver, backend: &Backend) -> Start {
    Start::on(driver)
        .set("introspection.url", backend.url("/api/user"))
        .set("introspection.user", "data.id")
        .set("introspection.tenant", "data.team")
        .set("introspection.abilities", "can")
        .set("log.level", "trace")
}

fn opaque_tokens(driver: Driver) {
    let backend = Backend::start(who);
    let mut gateway = introspecting(driver, &backend).start();
    let address = gateway.address;
    let ada = "1|ada-opaque";
    let by_message = |token: &str| {
        let mut socket = Socket::open(address, "/ws", "");
        let ack = socket.call(&format!(r#""type":"authenticate","token":"{token}""#));
        (socket, ack)
    };
    for _ in 0..2 {
        let ways = [
            Socket::with_token(address, ada),
            Socket::open(address, &format!("/ws?token={}", ada.replace('|', "%7C")), ""),
            Socket::open(
                address,
                "/ws",
                &format!("Sec-WebSocket-Protocol: ringway.json.v1, ringway.bearer.{ada}\r\n"),
            ),
        ];
        for mut socket in ways {
            let established = socket.expect("connection:established");
            assert_eq!((&established["userId"], &established["tenantId"]), (&"ada".into(), &"acme".into()));
            assert_eq!(socket.ping(), "pong");
        }
        let (mut socket, ack) = by_message(ada);
        assert_eq!((&ack["success"], &ack["userId"]), (&true.into(), &"ada".into()), "{ack}");
        socket.expect("connection:established");
        socket.join("lobby");
        assert_eq!(gateway.get_as(ada, "/stats").status, 200);
    }
    // Two shards, which each ask once.
    let about_ada = backend.asked().iter().filter(|asked| asked.bearer.as_deref() == Some(ada)).count();
    assert!((1..=2).contains(&about_ada), "{about_ada}");
    assert!(backend.asked().iter().all(|asked| asked.path == "/api/user"));
    let mut bob = Socket::with_token(address, "2|bob-opaque");
    let established = bob.expect("connection:established");
    assert_eq!((&established["userId"], &established["tenantId"]), (&"7".into(), &"default".into()));
    gateway.get_as("2|bob-opaque", "/stats").is_error(403, "forbidden");
    for bad in ["3|cut-opaque", "4|nobody-opaque"] {
        let refused = Socket::try_open(address, "/ws", &format!("Authorization: Bearer {bad}\r\n")).err();
        refused.expect("a bad token").is_error(401, "unauthenticated");
        let mut socket =
            Socket::open(address, "/ws", &format!("Sec-WebSocket-Protocol: ringway.bearer.{bad}\r\n"));
        assert_eq!(socket.closed().0, 4401);
        let (mut socket, ack) = by_message(bad);
        assert_eq!(ack["error"]["code"], "unauthenticated");
        assert_eq!(socket.closed().0, 4401);
    }
    // Tokens of ours are nobody else's business.
    let before = backend.asked().len();
    let own = token::token("eve", "acme");
    Socket::with_token(address, &own).expect("connection:established");
    let refused = Socket::try_open(
        address,
        "/ws",
        &format!("Authorization: Bearer {}\r\n", token::lasting("eve", "acme", -60)),
    );
    assert_eq!(refused.err().map(|response| response.status), Some(401));
    assert_eq!(backend.asked().len(), before);
    assert!(gateway.metric(r#"websocket_introspection_calls_total{result="ok"}"#) >= 2.0);
    assert!(gateway.metric(r#"websocket_introspection_calls_total{result="denied"}"#) >= 2.0);
    assert!(gateway.metric(r#"websocket_introspection_cache_total{result="hit"}"#) >= 1.0);
    assert_eq!(gateway.metric("websocket_introspection_breaker_open"), 0.0);
    gateway.serves_the_next("opaque tokens");
    drop(bob);
    gateway.signal(libc::SIGTERM);
    gateway.wait();
    let output = gateway.output();
    assert!(!output.contains("-opaque") && !output.contains(&own), "a token in the log: {output}");
}

fn an_introspection_server_that_fails(driver: Driver) {
    let status = Arc::new(AtomicU16::new(503));
    let said = Arc::clone(&status);
    let backend = Backend::start(move |asked| match said.load(Ordering::Relaxed) {
        200 => who(asked),
        status => (status, "oops".to_owned()),
    });
    let gateway = introspecting(driver, &backend)
        .shards(1)
        .set("introspection.breaker_failures", 3)
        .set("introspection.breaker_open_ms", 10)
        .start();
    let try_ada = || Socket::try_open(gateway.address, "/ws", "Authorization: Bearer 1|ada-opaque\r\n");
    for answer in [503, 500, 302, 404, 200] {
        status.store(answer, Ordering::Relaxed);
        if answer != 200 {
            let refused = try_ada().err().expect("nobody knows");
            refused.is_error(503, "unavailable");
            assert_eq!(refused.header("Retry-After"), Some("5"));
        }
    }
    // It is tried again, and then it is as if nothing had been.
    let mut socket = until("the next try", || try_ada().ok());
    socket.expect("connection:established");
    let mut browser = Socket::open(gateway.address, "/ws?token=2%7Cbob-opaque", "");
    browser.expect("connection:established");
    status.store(500, Ordering::Relaxed);
    let mut browser = Socket::open(gateway.address, "/ws?token=9%7Cnobody-opaque", "");
    assert_eq!(browser.closed().0, 1013);
    let mut known = Socket::with_token(gateway.address, "1|ada-opaque");
    known.expect("connection:established");
}

/// A pair of keys and what is published of it.
struct Signer {
    pair: Ed25519KeyPair,
    kid: &'static str,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { pair: Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(), kid }
    }

    fn public(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        format!(r#"{{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"{}","x":"{x}"}}"#, self.kid)
    }

    fn token(&self, user: &str) -> String {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, self.kid);
        let claims = format!(r#"{{"sub":"{user}","exp":4102444800}}"#);
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes())))
    }
}

fn set_of(signers: &[&Signer]) -> String {
    let keys: Vec<_> = signers.iter().map(|signer| signer.public()).collect();
    format!(r#"{{"keys":[{{"kty":"oct","k":"c2VjcmV0"}},{}]}}"#, keys.join(","))
}

/// A turn checks so many signatures; the next ones come at once, without anything else that happens.
fn new_tokens_at_once(driver: Driver) {
    let signer = Signer::new("one");
    let published = set_of(&[&signer]);
    let backend = Backend::start(move |_| (200, published.clone()));
    let gateway = Start::on(driver).shards(1).set("auth.jwks_url", backend.url("/keys")).start();
    let mut http = Http::connect(gateway.address);
    let get = |token: &str| {
        format!("GET /stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
    };
    let strangers: String = (0..64).map(|number| get(&signer.token(&format!("stranger-{number}")))).collect();
    http.write(strangers);
    (0..64).for_each(|_| http.response().is_error(403, "forbidden"));
    assert!(gateway.metric("websocket_signatures_deferred_total") > 0.0);
}

fn issuer_keys(driver: Driver) {
    let [old, new] = ["old", "new"].map(Signer::new);
    let published = Arc::new(Mutex::new((200, set_of(&[&old]))));
    let said = Arc::clone(&published);
    let backend = Backend::start(move |_| said.lock().unwrap().clone());
    let gateway =
        Start::on(driver).set("auth.jwks_url", backend.url("/keys")).set("auth.jwks_refetch_s", 1).start();
    let address = gateway.address;
    let connect =
        |token: &str| Socket::try_open(address, "/ws", &format!("Authorization: Bearer {token}\r\n"));
    // They are there before the first client is.
    let mut first = connect(&old.token("ada")).expect("the issuer's key is known");
    first.expect("connection:established");
    connect(&token::token("eve", "acme")).expect("the secret's tokens are taken as before");
    assert_eq!(connect(&new.token("bob")).err().map(|response| response.status), Some(401));
    // The issuer gets a new key: a token that names it makes the gateway look.
    *published.lock().unwrap() = (200, set_of(&[&old, &new]));
    let mut second = until("the new key", || connect(&new.token("bob")).ok());
    second.expect("connection:established");
    assert_eq!(first.ping(), "pong", "whoever was there stays");
    // The old one goes; whatever else the issuer says changes nothing.
    *published.lock().unwrap() = (200, set_of(&[&new]));
    let stranger = Signer::new("stranger");
    until("the old key's end", || {
        let _ = connect(&stranger.token("eve"));
        connect(&old.token("ada")).err()
    });
    for bad in [(500, String::new()), (200, "{}".to_owned()), (200, r#"{"keys":[]}"#.to_owned())] {
        *published.lock().unwrap() = bad;
        let before = backend.asked().len();
        until("another look", || {
            let _ = connect(&stranger.token("eve"));
            (backend.asked().len() > before).then_some(())
        });
        connect(&new.token("bob")).expect("the last good set stays");
    }
    assert!(backend.asked().iter().all(|asked| asked.path == "/keys" && asked.bearer.is_none()));
    until("the count", || {
        (gateway.metric(r#"websocket_jwks_fetches_total{result="failed"}"#) >= 3.0).then_some(())
    });
    assert_eq!(gateway.metric("websocket_jwks_keys"), 1.0);
    assert_eq!(first.ping(), "pong");
}

fn keys_from_a_file(driver: Driver) {
    let [one, other] = ["one", "other"].map(Signer::new);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{}", driver.as_str()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("jwks.json");
    let start = || {
        Start::bare()
            .arg("--driver")
            .arg(driver.as_str())
            .env("RINGWAY_AUTH__JWKS_FILE", file.to_str().unwrap())
    };
    fs::write(&file, set_of(&[&one])).unwrap();
    let gateway = start().start();
    let connect =
        |token: &str| Socket::try_open(gateway.address, "/ws", &format!("Authorization: Bearer {token}\r\n"));
    connect(&one.token("ada")).expect("the key is in the file").expect("connection:established");
    assert_eq!(connect(&other.token("ada")).err().map(|response| response.status), Some(401));
    for (text, reason) in [
        ("{}", "no array `keys`"),
        (r#"{"keys":[{"kty":"oct","k":"AA"}]}"#, "shared secret"),
        ("x", "no strict JSON"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, output) = start().fail();
        assert!(code == Some(1) && output.contains(reason), "{code:?} {output}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
