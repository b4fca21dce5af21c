//! The HTTP part of the test server: the upgrade, and `GET /dev/token`.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{hmac, signature};
use ringway::ws::handshake::accept_key;

use super::{Fault, SignIn};

/// Reads the request and answers it; gives the path if it was upgraded.
pub(super) fn accept(socket: &mut TcpStream, sign_in: &SignIn, fault: Fault) -> Option<String> {
    let head = read_head(socket)?;
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    assert!(request.parse(&head).unwrap().is_complete());
    let header = |name: &str| {
        let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let target = request.path.unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "/dev/token" {
        answer(socket, dev_tokens(sign_in, query));
        return None;
    }
    assert_eq!(header("Upgrade"), Some("websocket"));
    assert_eq!(header("Sec-WebSocket-Version"), Some("13"));
    let token = header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
    if path == "/ws" && !token.is_some_and(|token| is_valid(sign_in, token)) {
        answer(socket, Err("401 Unauthorized"));
        return None;
    }
    if fault == Fault::Silence {
        // Until the client goes.
        let _ = socket.read(&mut [0]);
        return None;
    }
    let key = if fault == Fault::WrongAccept { "else" } else { header("Sec-WebSocket-Key").unwrap() };
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept_key(key)
    );
    // In two pieces, so that clients have to put heads together.
    let (first, second) = response.split_at(40);
    socket.write_all(first.as_bytes()).ok()?;
    socket.write_all(second.as_bytes()).ok()?;
    Some(path.to_owned())
}

/// Byte by byte to the empty line: what follows is the WebSocket's.
fn read_head(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        // Loadgen's first connection only looks whether anybody listens.
        socket.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(head)
}

fn answer(socket: &mut TcpStream, body: Result<String, &str>) {
    let (status, body) = match body {
        Ok(body) => ("200 OK", body),
        Err(status) => (status, String::new()),
    };
    let length = body.len();
    let _ =
        write!(socket, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
}

fn dev_tokens(sign_in: &SignIn, query: &str) -> Result<String, &'static str> {
    if !matches!(sign_in, SignIn::DevToken) {
        return Err("404 Not Found");
    }
    let value = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        pair.map(|(_, value)| value)
    };
    let (count, prefix) = (value("count").unwrap().parse::<u32>().unwrap(), value("prefix").unwrap());
    assert!(count <= 10_000);
    let tokens: Vec<String> = (0..count).map(|number| format!("\"dev.{prefix}-{number}\"")).collect();
    Ok(format!(r#"{{"tokens":[{}]}}"#, tokens.join(",")))
}

fn is_valid(sign_in: &SignIn, token: &str) -> bool {
    match sign_in {
        SignIn::DevToken => token.starts_with("dev."),
        SignIn::Token(expected) => token == expected,
        SignIn::Secret(secret) => {
            let (signed, signature) = parts(token);
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
        }
        SignIn::PublicKey(key) => {
            let (signed, signature) = parts(token);
            let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key);
            key.verify(signed.as_bytes(), &signature).is_ok()
        }
    }
}

/// What is signed, and its signature.
fn parts(token: &str) -> (&str, Vec<u8>) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    (signed, BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap())
}
