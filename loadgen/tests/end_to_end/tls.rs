//! `wss://`: whom the program believes, and what becomes of those that it does not.

use std::path::Path;

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use crate::{
    program::{Outcome, assert_clean, loadgen},
    server::{Fault, Server, SignIn, tls},
};

/// Eight connections by TLS; the server's certificate is that of `localhost`.
fn run(host: &str, flags: &[&str]) -> (Server, Outcome) {
    let server = Server::start(SignIn::Token("a.b.c".to_owned()), Fault::None);
    let url = format!("wss://{host}:{}/ws", tls::front(server.addr));
    let load = ["--conns", "8", "--rooms", "1", "--publishers", "2", "--rate", "100", "--warmup", "0"];
    let more = ["--duration", "200ms", "--token", "a.b.c", "--url", &url];
    let outcome = loadgen(&[&load[..], &more, flags].concat(), "");
    (server, outcome)
}

fn authority() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/client/testdata/ca.pem");
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_server_that_is_believed_passes() {
    let authority = authority();
    for (host, flags) in [("localhost", &["--ca-file", &authority][..]), ("127.0.0.1", &["--insecure"])] {
        let (server, outcome) = run(host, flags);
        assert_clean(&outcome);
        assert_eq!(outcome.number("deliveries", "delivered"), 20 * 7);
        assert!(outcome.json["target"]["urls"][0].as_str().unwrap().starts_with("wss://"));
        assert_eq!(server.pongs(), 8);
    }
}

#[test]
fn tokens_are_handed_out_by_tls_to_who_believes_the_server() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    let port = tls::front(server.addr);
    let authority = authority();
    // host, flags, how it ends, what is said
    let rows = [
        ("localhost", &["--ca-file", &authority][..], 0, "PASSED"),
        ("127.0.0.1", &["--insecure"], 0, "PASSED"),
        ("127.0.0.1", &["--ca-file", &authority], 3, "certificate"),
    ];
    for (host, flags, code, said) in rows {
        let url = format!("wss://{host}:{port}/ws");
        let load = ["--conns", "8", "--rate", "100", "--warmup", "0", "--duration", "200ms", "--url", &url];
        let outcome = loadgen(&[&load[..], flags].concat(), "");
        assert_eq!(outcome.code, code, "{}", outcome.text);
        assert!(outcome.text.contains(said), "{}", outcome.text);
    }
}

#[test]
fn a_certificate_of_somebody_else_fails_every_connection_with_the_reason() {
    let (server, outcome) = run("127.0.0.1", &["--ca-file", &authority()]);
    assert_eq!(outcome.code, 1, "{}", outcome.text);
    let failures = outcome.json["connections"]["failures"].as_object().unwrap();
    let failures: Vec<_> = failures.iter().map(|(reason, count)| (reason, count.as_u64())).collect();
    let [(reason, Some(8))] = failures[..] else { panic!("{failures:?}") };
    assert!(reason.contains("certificate not valid for name"), "{reason}");
    assert_eq!((outcome.problems(), server.pongs()), (vec!["connections failed: 8".to_owned()], 0));
}
