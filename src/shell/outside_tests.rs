//! The client against servers that answer well, badly, too much, elsewhere or not at all.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::outside::{Outside, OutsideConfig};
use crate::{
    base::Secret,
    model::{OutsideAnswer, OutsideError, OutsideRequest},
};

type Outcome = Result<OutsideAnswer, OutsideError>;

const CONFIG: OutsideConfig = OutsideConfig { in_flight_max: 200, roots_pem: None };

/// Room for a machine that is busy with other things.
const PATIENCE_MS: u64 = 20_000;

/// What a server does with the requests of its connections, which come one after the other.
#[derive(Clone, Copy)]
enum Manner {
    /// Writes this for each request.
    Says(&'static str),
    /// Writes this for the first, and closes.
    SaysAndCloses(&'static str),
    /// Reads it and says nothing until the client goes.
    IsSilent,
}

/// A server's address, and the heads of the requests that it gets, each with the number of its connection.
fn server(manner: Manner) -> (SocketAddr, mpsc::Receiver<(usize, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, seen) = mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, heads) = (stream.unwrap(), heads.clone());
            thread::spawn(move || converse(stream, manner, number, &heads));
        }
    });
    (address, seen)
}

fn converse(stream: impl Read + Write, manner: Manner, number: usize, heads: &mpsc::Sender<(usize, String)>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let _ = heads.send((number, head));
        match manner {
            Manner::Says(text) => stream.get_mut().write_all(text.as_bytes()).unwrap(),
            Manner::SaysAndCloses(text) => return stream.get_mut().write_all(text.as_bytes()).unwrap(),
            Manner::IsSilent => {}
        }
    }
}

fn request(url: &str) -> OutsideRequest {
    OutsideRequest {
        url: url.into(),
        bearer: None,
        timeout_ms: PATIENCE_MS,
        body_bytes_max: 64,
        wants_body: true,
    }
}

fn ask(outside: &Outside, request: OutsideRequest) -> Outcome {
    let (sender, outcome) = mpsc::channel();
    outside.call(request, move |answer| sender.send(answer).unwrap());
    outcome.recv().unwrap()
}

fn said(status: u16, body: &str) -> Outcome {
    Ok(OutsideAnswer { status, body: body.as_bytes().to_vec() })
}

#[test]
fn what_is_sent() {
    let (address, heads) = server(Manner::Says("HTTP/1.1 204 No Content\r\n\r\n"));
    let outside = Outside::new(CONFIG);
    let bearer = Some(Secret::from("12|abc~"));
    let url = format!("http://{address}/api/user?x=%20");
    assert_eq!(ask(&outside, OutsideRequest { bearer, ..request(&url) }), said(204, ""));
    let (_, head) = heads.recv().unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /api/user?x=%20 HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {address}");
    let agent = format!("user-agent: ringway/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines, ["accept: application/json", "authorization: Bearer 12|abc~", &host, &agent]);
    ask(&outside, request(&url)).unwrap();
    assert!(!heads.recv().unwrap().1.contains("authorization"));
}

#[test]
fn what_may_come_back() {
    use Manner::{IsSilent, Says, SaysAndCloses};
    const LONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123_";
    let rows: [(&str, Manner, Outcome); 12] = [
        ("a body", Says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), said(200, "{}")),
        (
            "chunks",
            Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
            said(200, "{}"),
        ),
        ("until the end", SaysAndCloses("HTTP/1.0 200 OK\r\n\r\n{}"), said(200, "{}")),
        ("an error", Says("HTTP/1.1 503 Down\r\nContent-Length: 1\r\n\r\n!"), said(503, "!")),
        (
            "another place",
            Says("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            said(302, ""),
        ),
        ("too long", Says(LONG), Err(OutsideError::TooLong)),
        (
            "too long in chunks",
            Says(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n01234567890123456789012345678901\r\n21\r\n012345678901234567890123456789012\r\n0\r\n\r\n",
            ),
            Err(OutsideError::TooLong),
        ),
        (
            "cut off",
            SaysAndCloses("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
            Err(OutsideError::Broken),
        ),
        ("cut off in the head", SaysAndCloses("HTTP/1.1 200 OK\r\nContent-"), Err(OutsideError::Broken)),
        ("no HTTP", SaysAndCloses("220 mail.example ESMTP\r\n"), Err(OutsideError::Broken)),
        ("nothing", SaysAndCloses(""), Err(OutsideError::Broken)),
        ("silence", IsSilent, Err(OutsideError::Timeout)),
    ];
    let outside = Outside::new(CONFIG);
    for (name, manner, expected) in rows {
        let (address, _heads) = server(manner);
        let timeout_ms = if matches!(manner, IsSilent) { 50 } else { PATIENCE_MS };
        let request = OutsideRequest { timeout_ms, ..request(&format!("http://{address}/")) };
        assert_eq!(ask(&outside, request.clone()), expected, "{name}");
        // Who wants no body is told the status, however long it is; an answer that breaks off is none all the same.
        let expected = if expected == Err(OutsideError::TooLong) { said(200, "") } else { expected };
        assert_eq!(ask(&outside, OutsideRequest { wants_body: false, ..request }), expected, "{name}");
    }
}

#[test]
fn what_cannot_be_asked() {
    let outside = Outside::new(CONFIG);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/");
    assert_eq!(ask(&outside, request(&url)), Err(OutsideError::Connect));
    for url in ["", "/path", "ftp://127.0.0.1/", "http:// /", "127.0.0.1:80"] {
        assert_eq!(ask(&outside, request(url)), Err(OutsideError::Unsendable), "{url}");
    }
    for token in ["a\r\nX: y", "a\nb", "a\0"] {
        let request = OutsideRequest { bearer: Some(Secret::from(token)), ..request(&url) };
        assert_eq!(ask(&outside, request), Err(OutsideError::Unsendable), "{token:?}");
    }
}

#[test]
fn connections_are_kept_and_made_anew() {
    let (address, heads) = server(Manner::Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let outside = Outside::new(CONFIG);
    let url = format!("http://{address}/");
    for _ in 0..5 {
        assert_eq!(ask(&outside, request(&url)), said(200, ""));
        assert_eq!(heads.recv().unwrap().0, 0, "one connection");
    }
    let (address, heads) = server(Manner::SaysAndCloses("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let url = format!("http://{address}/");
    for number in 0..5 {
        assert_eq!(ask(&outside, request(&url)), said(200, ""));
        assert_eq!(heads.recv().unwrap().0, number, "a new connection");
    }
}

#[test]
fn calls_do_not_wait_for_each_other() {
    let (silent, _heads) = server(Manner::IsSilent);
    let (quick, _heads) = server(Manner::Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let outside = Outside::new(CONFIG);
    let (sender, outcomes) = mpsc::channel();
    let silent = format!("http://{silent}/");
    for _ in 0..CONFIG.in_flight_max - 1 {
        let sender = sender.clone();
        outside.call(request(&silent), move |answer| drop(sender.send(answer)));
    }
    let quick = format!("http://{quick}/");
    assert_eq!(ask(&outside, request(&quick)), said(200, ""));
    assert!(outcomes.try_recv().is_err());
    outside.call(request(&silent), move |answer| drop(sender.send(answer)));
    assert_eq!(ask(&outside, request(&quick)), Err(OutsideError::Busy));
}

#[test]
fn tls_wants_a_certificate_that_is_trusted_for_the_name() {
    const CA: &str = include_str!("testdata/ca.pem");
    const CHAIN: &str = include_str!("testdata/server.pem");
    const KEY: &str = include_str!("testdata/server.key.pem");
    let chain = CertificateDer::pem_slice_iter(CHAIN.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream: StreamOwned<_, TcpStream> = StreamOwned::new(connection, stream.unwrap());
            let manner = Manner::Says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            converse(stream, manner, 0, &mpsc::channel().0);
        }
    });
    let trusting = Outside::new(OutsideConfig { roots_pem: Some(CA.to_owned()), ..CONFIG });
    let url = format!("https://localhost:{port}/");
    // A connection of this client's own each time: the server serves one at a time.
    assert_eq!(
        ask(&trusting, request(&format!("https://127.0.0.1:{port}/"))),
        Err(OutsideError::Connect),
        "the name"
    );
    assert_eq!(ask(&Outside::new(CONFIG), request(&url)), Err(OutsideError::Connect));
    assert_eq!(ask(&trusting, request(&url)), said(200, "{}"));
}
