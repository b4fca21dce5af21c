//! The real program against a server that is faithful, and against servers that do wrong in ways
//! that are counted: every figure must be the server's own.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected is to fail")]

mod agents;
mod deploy;
mod measured;
mod program;
mod search;
mod server;
mod silent;
mod stall;
mod tls;
mod verdicts;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use program::{DELIVERIES, Folder, LOAD, SENT, assert_clean, loadgen, run};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use server::{Damage, Fault, Server, SignIn};
use sonic_rs::JsonValueTrait;

#[test]
fn a_faithful_server_passes() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    for flags in [&[][..], &["--threads", "3"], &["--payload", "5000"], &["--payload", "57"]] {
        let outcome = run(&server, flags);
        assert_clean(&outcome);
        assert_eq!(outcome.number("connections", "opened"), 80);
        assert_eq!(
            (outcome.number("publications", "sent"), outcome.number("publications", "acked")),
            (SENT, SENT)
        );
        assert_eq!(outcome.number("deliveries", "expected"), DELIVERIES);
        assert_eq!(outcome.number("deliveries", "delivered"), DELIVERIES);
        let measured = outcome.json["latency"]["delivery"]["samples"].as_u64();
        assert_eq!(measured, Some(DELIVERIES * 4 / 5), "the warm-up does not count");
    }
    assert_eq!((server.pongs(), server.closes()), (4 * 80, 4 * 80), "heartbeats answered, good-byes said");
}

#[test]
fn poisson_arrivals_repeat_with_their_seed() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    let sent = |seed| {
        let outcome = run(&server, &["--arrivals", "poisson", "--seed", seed]);
        assert_clean(&outcome);
        outcome.number("publications", "sent")
    };
    assert_eq!(sent("7"), sent("7"));
}

#[test]
fn every_faulty_delivery_is_found_and_counted() {
    // fault, the figure that shows it, whether those deliveries count as lost too
    let rows = [
        (Fault::Deliveries(Damage::Lose), "lost", true),
        (Fault::Deliveries(Damage::Duplicate), "duplicated", false),
        (Fault::Deliveries(Damage::Reserialise), "corrupt", true),
        (Fault::Deliveries(Damage::Misroute), "misrouted", true),
        (Fault::Reorder, "reordered", false),
        (Fault::Echo, "unexpected", false),
    ];
    for (fault, figure, is_lost) in rows {
        let server = Server::start(SignIn::DevToken, fault);
        let outcome = run(&server, &["--drain-timeout", "2s"]);
        assert_eq!(outcome.code, 1, "{fault:?}: {}", outcome.text);
        assert!(server.faults() > 0);
        let lost = if is_lost { server.faults() } else { 0 };
        for name in ["lost", "duplicated", "corrupt", "misrouted", "reordered", "unexpected"] {
            let expected = match name {
                _ if name == figure => server.faults(),
                "lost" => lost,
                _ => 0,
            };
            assert_eq!(outcome.number("deliveries", name), expected, "{fault:?}, {name}: {}", outcome.text);
        }
        assert_eq!(outcome.number("deliveries", "expected"), DELIVERIES, "{fault:?}");
        assert_eq!(outcome.number("deliveries", "delivered"), DELIVERIES - lost, "{fault:?}");
    }
}

#[test]
fn refused_and_unanswered_publications_are_counted_and_nothing_is_lost() {
    for (fault, figure) in [(Fault::RefuseSends, "refused"), (Fault::LoseAcks, "unacked")] {
        let server = Server::start(SignIn::DevToken, fault);
        let outcome = run(&server, &["--drain-timeout", "2s"]);
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        assert_eq!(server.faults(), SENT / 10);
        assert_eq!(outcome.number("publications", figure), server.faults(), "{}", outcome.text);
        assert_eq!(outcome.number("deliveries", "lost"), 0, "{}", outcome.text);
        let refused = outcome.number("publications", "refused");
        assert_eq!(outcome.number("deliveries", "expected"), DELIVERIES - refused * 19);
    }
}

#[test]
fn dropped_connections_are_counted_with_their_reason() {
    let server = Server::start(SignIn::DevToken, Fault::Drop);
    let outcome = run(&server, &["--drain-timeout", "2s"]);
    assert_eq!(outcome.code, 1);
    assert_eq!((server.faults(), outcome.number("connections", "dropped")), (4, 4), "{}", outcome.text);
    assert_eq!(outcome.json["connections"]["drops"]["closed with 4430: slow consumer"].as_u64(), Some(4));
    assert!(outcome.text.contains("FAILED: connections dropped: 4"), "{}", outcome.text);
}

#[test]
fn an_end_right_behind_the_last_bytes_is_seen() {
    let server = Server::start(SignIn::DevToken, Fault::HangUp);
    let outcome = run(&server, &["--drain-timeout", "2s"]);
    assert_eq!(outcome.code, 1);
    assert_eq!((server.faults(), outcome.number("connections", "dropped")), (4, 4), "{}", outcome.text);
    // All publishers of the run are away from then on: what was due is told, and that it was not sent.
    let (sent, unsent) = (outcome.number("publications", "sent"), outcome.number("publications", "unsent"));
    assert_eq!(sent + unsent, SENT, "{}", outcome.text);
}

/// A ramp that nobody answers, and that does not wait for long.
const IMPATIENT: &str = r#"
name = "impatient"
connections = 8

[rooms]
count = 1

[[role]]
name = "talker"
share = "100 %"
rooms = 1
publish = { rate = "100/s", size = 64 }

[[phase]]
kind = "ramp"
rate = "100000/s"
patience = "100ms"

[[phase]]
name = "steady"
kind = "steady"
duration = "200ms"
"#;

#[test]
fn connections_that_were_never_opened_and_messages_that_were_never_sent_are_told() {
    let file = std::env::temp_dir().join(format!("loadgen-impatient-{}.toml", std::process::id()));
    std::fs::write(&file, IMPATIENT).unwrap();
    let server = Server::start(SignIn::Token("good".to_owned()), Fault::Silence);
    let url = format!("{}/ws", server.url());
    let flags = ["--scenario", file.to_str().unwrap(), "--url", &url, "--token", "good"];
    let outcome = loadgen(&[&flags[..], &["--drain-timeout", "1s"]].concat(), "");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(outcome.code, 1, "{}", outcome.text);
    assert_eq!(outcome.number("connections", "failed"), 8, "{}", outcome.text);
    assert!(outcome.text.contains("8 × never opened"), "{}", outcome.text);
}

#[test]
fn latency_includes_what_the_server_delays() {
    let delay = Duration::from_millis(40);
    let server = Server::start(SignIn::DevToken, Fault::Delay(delay));
    let outcome = run(&server, &["--rate", "40"]);
    assert_clean(&outcome);
    let p50_us = outcome.json["latency"]["delivery"]["p50_us"].as_f64().unwrap();
    assert!(p50_us >= delay.as_secs_f64() * 1e6, "{p50_us}");
}

#[test]
fn members_that_stay_lose_nothing_while_others_come_and_go() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    let outcome = run(&server, &["--mode", "churn", "--churn-rate", "200"]);
    assert_clean(&outcome);
    assert!(outcome.number("connections", "left") > 100, "{}", outcome.text);
    assert_eq!(outcome.number("connections", "left"), outcome.number("connections", "returned"));
}

/// Everything that a scenario can have but presence, which the test server does not know.
const SCENARIO: &str = r#"
name = "all"
about = "roles and phases of all kinds"
connections = 60

[rooms]
count = 5
pick = "zipf 1"

[[role]]
name = "talker"
share = "40 %"
rooms = 2
publish = { rate = "200/s", size = "64..4096" }

[[role]]
name = "phone"
share = "40 %"
rooms = 1
publish = { think = "exponential 1s", size = 64 }
reconnect = { stay = "exponential 500ms", away = "constant 20ms", how = "cut" }

[[role]]
name = "slow"
share = "20 %"
rooms = 1
reading = "20 KiB/s"

[[phase]]
kind = "ramp"
upto = "50 %"
rate = "1000/s"

[[phase]]
name = "half"
kind = "steady"
duration = "400ms"

[[phase]]
name = "more"
kind = "ramp"
rate = "1000/s"

[[phase]]
name = "storm"
kind = "storm"
cut = "50 %"
rate = "at once"
duration = "500ms"

[[phase]]
name = "spike"
kind = "spike"
times = 3
duration = "400ms"

[[phase]]
name = "drain"
kind = "drain"
keep = "30 %"
duration = "400ms"
"#;

#[test]
fn roles_and_phases_of_all_kinds_balance() {
    let folder = Folder::new("scenario");
    let file = folder.put("all.toml", SCENARIO);
    let server = Server::start(SignIn::DevToken, Fault::None);
    let url = format!("{}/ws", server.url());
    for threads in ["1", "3"] {
        let flags = ["--scenario", &file, "--url", &url, "--threads", threads];
        let outcome = loadgen(&flags, "");
        assert_clean(&outcome);
        let delivered = outcome.number("deliveries", "delivered");
        assert_eq!(outcome.number("deliveries", "expected"), delivered, "{}", outcome.text);
        assert!(delivered > 1_000 && outcome.number("connections", "returned") > 20, "{}", outcome.text);
        assert_eq!(outcome.number("connections", "opened"), 60);
    }
}

#[test]
fn echo_mode_needs_no_token() {
    let server = Server::start(SignIn::Token("unknown".to_owned()), Fault::None);
    let outcome = loadgen(&[&LOAD[..], &["--mode", "echo", "--url", &server.url()]].concat(), "");
    assert_clean(&outcome);
    assert_eq!(
        (outcome.number("deliveries", "expected"), outcome.number("deliveries", "delivered")),
        (400, 400)
    );
}

#[test]
fn connections_take_turns_over_all_urls() {
    let nodes = [(); 2].map(|()| Server::start(SignIn::Token("unknown".to_owned()), Fault::None));
    let urls = nodes.each_ref().map(Server::url);
    let outcome =
        loadgen(&[&LOAD[..], &["--mode", "echo", "--url", &urls[0], "--url", &urls[1]]].concat(), "");
    assert_clean(&outcome);
    assert_eq!(outcome.number("deliveries", "delivered"), 400);
    let goodbyes = outcome.number("connections", "opened") / 2;
    assert_eq!(nodes.each_ref().map(Server::closes), [goodbyes; 2]);
}

#[test]
fn idle_mode_holds_and_answers_heartbeats() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    let outcome = run(&server, &["--mode", "idle"]);
    assert_clean(&outcome);
    assert_eq!((outcome.number("publications", "sent"), server.pongs(), server.closes()), (0, 80, 80));
}

#[test]
fn two_thousand_connections() {
    let server = Server::start(SignIn::DevToken, Fault::None);
    let url = format!("{}/ws", server.url());
    let flags = ["--conns", "2000", "--rate", "100", "--warmup", "0", "--duration", "1s", "--url", &url];
    let outcome = loadgen(&flags, "");
    assert_clean(&outcome);
    assert_eq!(outcome.number("deliveries", "delivered"), 100 * 99);
}

#[test]
fn every_way_to_sign_in_works() {
    let token = SignIn::Token("one.for.all".to_owned());
    let secret = SignIn::Secret("a secret of some length".to_owned());
    let rows = [
        (&token, &["--token", "one.for.all"][..], ""),
        (&token, &["--token-file", "-"], "one.for.all\n"),
        (&secret, &["--secret", "a secret of some length"], ""),
        (&secret, &["--secret-file", "-"], "a secret of some length\n"),
        (&SignIn::DevToken, &[], ""),
    ];
    for (sign_in, flags, stdin) in rows {
        let server = Server::start(sign_in.clone(), Fault::None);
        let url = server.url();
        let load = ["--conns", "4", "--rate", "20", "--warmup", "0", "--duration", "100ms", "--url", &url];
        assert_clean(&loadgen(&[&load[..], flags].concat(), stdin));
    }
}

#[test]
fn tokens_signed_with_a_key_are_believed_only_by_who_has_its_other_half() {
    let random = SystemRandom::new();
    let pair = || {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap();
        (BASE64_STANDARD.encode(der), SignIn::PublicKey(pair.public_key().as_ref().to_vec()))
    };
    let ((private, public), (_, another)) = (pair(), pair());
    let folder = Folder::new("keys");
    let file = folder
        .put("es256.pem", &format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n"));
    for (sign_in, code) in [(public, 0), (another, 1)] {
        let server = Server::start(sign_in, Fault::None);
        let url = server.url();
        let load = ["--conns", "4", "--rate", "20", "--warmup", "0", "--duration", "100ms", "--url", &url];
        let outcome = loadgen(&[&load[..], &["--key-file", &file]].concat(), "");
        assert_eq!(outcome.code, code, "{}", outcome.text);
        let refused = outcome.json["connections"]["failures"]["HTTP 401 Unauthorized"].as_u64();
        assert_eq!(refused, (code == 1).then_some(4), "{}", outcome.text);
    }
}

#[test]
fn connections_that_fail_are_counted_by_reason() {
    let good = SignIn::Token("good".to_owned());
    let rows = [
        (Fault::None, "bad", "HTTP 401 Unauthorized"),
        (Fault::RefuseJoins, "good", "join refused: forbidden"),
        (Fault::WrongAccept, "good", "101 with a wrong Sec-WebSocket-Accept"),
    ];
    for (fault, token, reason) in rows {
        let server = Server::start(good.clone(), fault);
        let outcome = run(&server, &["--token", token]);
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        assert_eq!(outcome.json["connections"]["failures"][reason].as_u64(), Some(80), "{}", outcome.text);
        assert_eq!(outcome.problems(), ["connections failed: 80"]);
    }
}

#[test]
fn what_prevents_a_run_is_said_with_a_way_out() {
    let server = Server::start(SignIn::Token("good".to_owned()), Fault::None);
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("ws://{}", listener.local_addr().unwrap())
    };
    let url = server.url();
    let rows = [
        (&["--url", &nobody][..], "Start the gateway first"),
        (&["--url", &url], "--secret-file"),
        (&["--url", "http://localhost:1/ws"], "only ws:// and wss://"),
        (&["--url", "wss://localhost:1/ws"], "nothing answers"),
        (&["--url", &url, "--token-file", "/nonexistent"], "/nonexistent: No such file"),
        (&["--url", &url, "--token-file", "-"], "holds nothing"),
        (&["--conns", "4000000"], "hard limit"),
        (&["--rooms", "0"], "--rooms is 0; it must be at least 1"),
        (&["--token", "a", "--secret", "b"], "cannot be used with"),
        (&["--frobnicate"], "unexpected argument"),
    ];
    for (flags, hint) in rows {
        let outcome = loadgen(flags, "");
        assert!(outcome.text.contains(hint), "{flags:?}: {}", outcome.text);
        assert_eq!(outcome.code, 3, "{flags:?}: {}", outcome.text);
    }
}
