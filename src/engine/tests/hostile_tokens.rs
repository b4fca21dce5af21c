//! Hostile tokens, each in all four ways that a token comes: header, subprotocol, query, first message. Those that could be
//! signed are signed with the right secret, so that they are refused for what they are.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use super::{
    client::{text, upgrade_request},
    harness::{SECRET, START_UNIX_S, token},
    hostile_inputs::{Fate, Row, Stage, row},
    http::bearer,
};

/// Later than the node of all rows ever gets.
const LATER_S: u64 = 1_000_000_000;

const HEADER: &str = r#"{"alg":"HS256"}"#;

fn signed_with(secret: &[u8], header: &str, claims: impl AsRef<[u8]>) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, token) in tokens() {
        let named = |way: &str| format!("{name}, {way}");
        let upgrade = |target: &str, headers: &str| upgrade_request(target, headers);
        let header = upgrade("/ws", &format!("Connection: close\r\n{}", bearer(&token)));
        rows.push(row(named("in Authorization"), Stage::Http, header, Fate::Status(401)));
        let protocol = upgrade("/ws", &format!("Sec-WebSocket-Protocol: ringway.bearer.{token}\r\n"));
        rows.push(row(named("as subprotocol"), Stage::Http, protocol, Fate::Close(4401)));
        let query = upgrade(&format!("/ws?token={token}"), "");
        rows.push(row(named("in the query"), Stage::Http, query, Fate::Close(4401)));
        let message = text(&format!(r#"{{"type":"authenticate","token":"{token}"}}"#));
        rows.push(row(named("as first message"), Stage::Pending, message, Fate::Close(4401)));
    }
    let mine = token("ada", "acme", None);
    for tenant in ["globex", "Acme", "acme ", "default"] {
        let message = text(&format!(r#"{{"type":"authenticate","token":"{mine}","tenantId":"{tenant}"}}"#));
        rows.push(row(format!("the tenant {tenant:?}"), Stage::Pending, message, Fate::Close(4403)));
        // A connection that is open loses nothing by it.
        let message = text(&format!(r#"{{"type":"authenticate","token":"{mine}","tenantId":"{tenant}"}}"#));
        rows.push(row(
            format!("the tenant {tenant:?} later"),
            Stage::Open,
            message,
            Fate::Fault("forbidden"),
        ));
    }
    rows
}

fn tokens() -> Vec<(&'static str, String)> {
    let mut tokens: Vec<(&'static str, String)> = Vec::new();
    tokens.extend(headers().map(|(name, header)| (name, signed_with(SECRET, header, r#"{"sub":"ada"}"#))));
    tokens.extend(claims().map(|(name, claims)| (name, signed_with(SECRET, HEADER, claims))));
    let (now_s, long) = (START_UNIX_S, "x".repeat(6_200));
    for (name, claims) in [
        ("expired", format!(r#"{{"sub":"ada","exp":{}}}"#, now_s - 60)),
        ("expired in seconds with a fraction", format!(r#"{{"sub":"ada","exp":{}.9}}"#, now_s - 60)),
        ("not yet", format!(r#"{{"sub":"ada","nbf":{}}}"#, now_s + LATER_S)),
        ("issued in the future", format!(r#"{{"sub":"ada","iat":{}}}"#, now_s + LATER_S)),
        ("deep", format!(r#"{{"sub":"ada","x":{}}}"#, "[".repeat(2_000))),
        ("a user of 257 bytes", format!(r#"{{"sub":"{}"}}"#, &long[..257])),
        ("huge", format!(r#"{{"sub":"ada","x":"{long}"}}"#)),
    ] {
        tokens.push((name, signed_with(SECRET, HEADER, claims)));
    }
    tokens.extend(shapes());
    tokens
}

fn headers() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        ("alg none", r#"{"alg":"none"}"#),
        ("alg NONE", r#"{"alg":"NONE"}"#),
        ("alg empty", r#"{"alg":""}"#),
        ("no alg", r#"{"typ":"JWT"}"#),
        ("alg in capitals", r#"{"ALG":"HS256"}"#),
        ("alg twice", r#"{"alg":"HS256","alg":"none"}"#),
        ("alg twice, once escaped", r#"{"alg":"HS256","\u0061lg":"none"}"#),
        ("alg of another hash", r#"{"alg":"HS512"}"#),
        ("alg of RSA", r#"{"alg":"RS256"}"#),
        ("alg of a list", r#"{"alg":["HS256"]}"#),
        ("alg with a NUL", r#"{"alg":"HS256\u0000"}"#),
        ("crit", r#"{"alg":"HS256","crit":["exp"]}"#),
        ("crit empty", r#"{"alg":"HS256","crit":[]}"#),
        ("b64 false", r#"{"alg":"HS256","b64":false}"#),
        ("another typ", r#"{"alg":"HS256","typ":"secevent+jwt"}"#),
        ("kid of a number", r#"{"alg":"HS256","kid":1}"#),
        ("a header and more", r#"{"alg":"HS256"} x"#),
        ("a header that is a list", r#"["HS256"]"#),
        ("no header", ""),
    ]
    .into_iter()
}

fn claims() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let rows: [(&str, &[u8]); 18] = [
        ("no sub", b"{}"),
        ("sub null", br#"{"sub":null}"#),
        ("sub empty", br#"{"sub":""}"#),
        ("sub of a NUL", br#"{"sub":"a\u0000"}"#),
        ("sub twice", br#"{"sub":"ada","sub":"root"}"#),
        ("sub twice, once escaped", br#"{"sub":"ada","\u0073ub":"root"}"#),
        ("two tenants", br#"{"sub":"ada","tenant":"acme","tenant_id":"globex"}"#),
        ("tenant null", br#"{"sub":"ada","tenant":null}"#),
        ("tenant of a list", br#"{"sub":"ada","tenant":["acme"]}"#),
        ("tenant empty", br#"{"sub":"ada","tenant":""}"#),
        ("exp of text", br#"{"sub":"ada","exp":"4102444800"}"#),
        ("exp null", br#"{"sub":"ada","exp":null}"#),
        ("exp negative", br#"{"sub":"ada","exp":-1}"#),
        ("exp beyond numbers", br#"{"sub":"ada","exp":1e400}"#),
        ("claims and more", br#"{"sub":"ada"}{"sub":"root"}"#),
        ("claims that are text", br#""sub""#),
        ("claims that are no UTF-8", b"{\"sub\":\"\xff\"}"),
        ("half a surrogate pair", br#"{"sub":"ada","x":"\ud800"}"#),
    ];
    rows.into_iter()
}

fn shapes() -> Vec<(&'static str, String)> {
    let good = token("ada", "acme", None);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    // The same bytes with other unused bits behind them.
    let last = signature.as_bytes()[signature.len() - 1];
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = ALPHABET.iter().position(|char| *char == last).unwrap();
    let respelled = format!("{}{}", &good[..good.len() - 1], char::from(ALPHABET[at + 1]));
    let key = r#"{"alg":"HS256","jwk":{"kty":"oct","k":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}}"#;
    vec![
        ("nothing but a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("two parts", input.to_owned()),
        ("four parts", format!("{good}.{signature}")),
        ("no signature", format!("{input}.")),
        ("none and no signature", format!("{none}.{claims}.")),
        ("none with a signature", format!("{none}.{claims}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("truncated", good[..good.len() - 1].to_owned()),
        ("a byte more", format!("{good}A")),
        ("non-canonical base64", respelled),
        ("its own key", signed_with(&[b'x'; 32], key, r#"{"sub":"root"}"#)),
        ("an empty secret", signed_with(b"", HEADER, r#"{"sub":"root"}"#)),
        ("a secret of zeros", signed_with(&[0; 32], HEADER, r#"{"sub":"root"}"#)),
        ("a part of 8 KiB", format!("{header}.{}.{signature}", "A".repeat(8 << 10))),
    ]
}
