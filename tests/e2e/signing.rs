//! Calls of the API that must be signed, made by a backend of its own: by whom, when, once on the whole node.

use ring::hmac;
use ringway::shell::driver::Driver;

use crate::support::{Gateway, Http, Response, Start, token};

on_both_drivers!(only_what_is_signed_is_done);

const SECRET: &str = "a secret that calls are signed with, of its own";
const PATH: &str = "/api/v1/publish";

/// Connections enough to have met every shard.
const TRIES: usize = 12;

/// The two headers: the formula of the operator's documentation, and not the gateway's own code.
fn signed(timestamp: &str, path: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp}.POST.{path}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X-Ringway-Timestamp: {timestamp}\r\nX-Ringway-Signature: {hex}\r\n")
}

fn post(gateway: &Gateway, path: &str, headers: &str, body: &str) -> Response {
    let (mut http, length) = (Http::connect(gateway.address), body.len());
    let bearer = token::admin();
    http.write(format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    ));
    http.response()
}

fn message(number: usize) -> String {
    format!(r#"{{"tenant":"acme","room":"lobby","payload":{number}}}"#)
}

fn only_what_is_signed_is_done(driver: Driver) {
    let gateway = Start::on(driver)
        .shards(3)
        .set("api.signing", true)
        .env("RINGWAY_API__SIGNING_SECRET", SECRET)
        .start();
    let mut member = gateway.socket("ada", "acme");
    member.join("lobby");
    let now_s = token::unix_s();
    let at = |after_s: i64| (now_s + after_s).to_string();
    let body = message(0);

    // Whatever is not signed now, as it is, is refused, with a bearer that may do everything.
    for (what, headers) in [
        ("unsigned", String::new()),
        ("too old", signed(&at(-310), PATH, &body)),
        ("too new", signed(&at(310), PATH, &body)),
        ("another body", signed(&at(0), PATH, &message(1))),
        ("another path", signed(&at(0), "/api/v1/request", &body)),
        ("another time", signed(&at(0), PATH, &body).replacen(&at(0), &at(1), 1)),
        ("another secret", signed(&at(0), PATH, &body).replacen("Signature: ", "Signature: 0", 1)),
    ] {
        let refused = post(&gateway, PATH, &headers, &body);
        assert_eq!(refused.status, 401, "{what}: {}", refused.text());
    }

    // A clock may be off by 300 s; what was signed counts once, on whichever shard it comes again.
    let calls = [at(-290), at(290), at(0), format!("{}.25", at(0))];
    for (number, timestamp) in calls.iter().enumerate() {
        let body = message(number);
        let headers = signed(timestamp, PATH, &body);
        let done = post(&gateway, PATH, &headers, &body);
        assert_eq!(done.status, 200, "{timestamp}: {}", done.text());
        assert_eq!(member.expect("room:message")["payload"], number);
        for _ in 0..TRIES {
            let again = post(&gateway, PATH, &headers, &body);
            again.is_error(401, "unauthenticated");
            assert!(again.text().contains("seen before"), "{}", again.text());
        }
    }
    assert_eq!(member.ping(), "pong", "nothing was said twice");

    // Lines are answered before all of them are there.
    let mut http = Http::connect(gateway.address);
    http.write(format!(
        "POST {PATH} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: 2\r\n{}\r\n{{}}",
        token::admin(),
        signed(&at(0), PATH, "{}")
    ));
    assert_eq!(http.response().status, 415);
    // Who only looks signs nothing.
    assert_eq!(gateway.get_as(&token::admin(), "/api/v1/rooms?tenant=acme").status, 200);

    for (result, expected) in
        [("good", calls.len()), ("repeated", calls.len() * TRIES), ("untimely", 2), ("forged", 3)]
    {
        let counted = gateway.metric(&format!(r#"websocket_api_signatures_total{{result="{result}"}}"#));
        assert_eq!(counted, expected as f64, "{result}");
    }
}
