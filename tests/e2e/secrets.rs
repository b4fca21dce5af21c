//! Nothing secret is said: marked tokens, keys and payloads go in wherever they may, with everything logged that can be,
//! and are looked for in all that comes out.

use std::{fs, path::PathBuf};

use ringway::shell::driver::Driver;

use crate::support::{Http, Socket, Start, ringway, token, until};

on_both_drivers!(no_secret_comes_out);

/// In everything that must not be seen again.
const MARK: &str = "hush";

/// A user whom the log may name: what is found of him shows that it would be found of secrets.
const SEEN: &str = "planted-user";

/// The first line with this text.
fn leak<'a>(text: &'a str, secret: &str) -> Option<&'a str> {
    text.lines().find(|line| line.contains(secret))
}

fn no_secret_comes_out(driver: Driver) {
    let scopes =
        ["admin", "publish", "rooms", "connections"].into_iter().flat_map(|scope| ["--scope", scope]);
    let output = ringway().args(["key", "make", "--tenant", "*"]).args(scopes).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    let key = text.lines().find(|line| line.starts_with("rk_")).expect("a key").to_owned();
    let (_, file) = text.split_once("[[api.keys]]").expect("what belongs into the file");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secrets-{}.toml", driver.as_str()));
    fs::write(&path, format!("[[api.keys]]{file}")).expect("the folder for temporary files can be written");
    let signing_secret = format!("{MARK}-signing-{}", token::SECRET);
    let gateway = Start::on(driver)
        .arg("--log-level")
        .arg("trace")
        .arg("--config")
        .arg(&path)
        .env("RINGWAY_API__SIGNING_SECRET", &signing_secret)
        .start();

    let good = token::token("ada", "default");
    let bad = format!("{MARK}.{MARK}.{MARK}");
    let opaque = format!("12|{MARK}");
    let mut heard = String::new();
    for shown in [&bad, &opaque] {
        for path in ["/stats", "/ws", "/api/v1/rooms", &format!("/ready?token={shown}"), &format!("/{shown}")]
        {
            let headers = format!("Authorization: Bearer {shown}\r\nCookie: {MARK}\r\n");
            let answer = Http::connect(gateway.address).get_with(path, &headers);
            heard += &format!("{}{}", answer.head, answer.text());
        }
        // In the subprotocol, beside one that is spoken here and alone.
        for offered in [format!("ringway.json.v1, ringway.bearer.{shown}"), format!("ringway.bearer.{shown}")]
        {
            let headers = format!("Sec-WebSocket-Protocol: {offered}\r\n");
            let mut socket = Socket::open(gateway.address, "/ws", &headers);
            let (code, reason) = socket.closed();
            assert_eq!(code, 4401, "{reason}");
            heard += &reason;
        }
        let mut http = Http::connect(gateway.address);
        http.write(format!(
            "GET /ready HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {shown}\r\nbroken {MARK}\r\n\r\n"
        ));
        let answer = http.response();
        heard += &format!("{}{}", answer.head, answer.text());
        let mut http = Http::connect(gateway.address);
        http.write(format!(
            "POST /api/v1/publish HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\nX-Ringway-Signature: {MARK}\r\n\
             Content-Length: {}\r\n\r\n{{\"{MARK}\":1}}",
            MARK.len() + 6
        ));
        let answer = http.response();
        // A body's unknown field may be named to the one who sent it; the log has none of it.
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    // Tokens that are good, in each of their places, and messages that are broken.
    for target in ["/ws", &format!("/ws?token={good}")] {
        let mut socket = Socket::open(gateway.address, target, "");
        if target == "/ws" {
            socket.send(&format!(r#"{{"type":"authenticate","token":"{good}"}}"#));
        }
        socket.expect("connection:established");
        socket.send(&format!(r#"{{"type":"authenticate","id":1,"token":"{bad}"}}"#));
        heard += &socket.text();
        socket.join("lobby");
        socket.send(&format!(r#"{{"type":"room:send","id":2,"room":"lobby","payload":"{MARK}"}}"#));
        heard += &socket.text();
        socket.send(&format!(r#"{{"type":"room:send","room":"lobby","payload":"{MARK}}}"#));
        heard += &socket.text();
    }
    let mut socket = Socket::with_token(gateway.address, &good);
    socket.expect("connection:established");

    for path in [
        "/health",
        "/metrics",
        "/stats",
        "/api/v1/connections",
        "/api/v1/rooms",
        "/api/v1/nodes",
        "/openapi.json",
    ] {
        heard += &gateway.get_as(&key, path).text();
    }
    let shown = ringway()
        .args(["config", "check", "--config"])
        .arg(&path)
        .env("JWT_SECRET", token::SECRET)
        .env("RINGWAY_API__SIGNING_SECRET", &signing_secret)
        .output()
        .expect("it runs");
    heard += &String::from_utf8_lossy(&shown.stdout);
    heard += &String::from_utf8_lossy(&shown.stderr);
    // Had any of it been said, it would have been heard: what may be said is, in both places.
    let _seen = gateway.socket(SEEN, "default");
    heard += &gateway.get_as(&key, "/api/v1/connections?user=planted-user").text();
    until("the log's line about a user", || leak(&gateway.output(), SEEN).map(drop));
    assert!(leak(&heard, SEEN).is_some(), "{heard}");
    let signature = good.rsplit('.').next().expect("a token has a signature");
    for (place, text) in [("an answer", heard), ("the log", gateway.output())] {
        for secret in [MARK, key.as_str(), signature, token::SECRET] {
            assert_eq!(leak(&text, secret), None, "{secret} in {place}");
        }
    }
}
