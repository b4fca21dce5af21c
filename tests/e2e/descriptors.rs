//! No descriptors left: whoever is inside is served on, whoever comes is turned away, and afterwards all is well.

use std::process::Command;

use ringway::shell::driver::Driver;

use crate::support::{Http, Socket, Start, token, until};

on_both_drivers!(more_connections_than_descriptors, starts_with_few_descriptors_or_says_why_not);

/// A shell that lowers the limit and becomes the gateway.
fn limited(descriptors: u32, driver: Driver) -> Start {
    let mut shell = Command::new("/bin/sh");
    let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_ringway"));
    Start::from_command(shell).env("JWT_SECRET", token::SECRET).arg("--driver").arg(driver.as_str())
}

fn more_connections_than_descriptors(driver: Driver) {
    const CONNECTIONS: usize = 200;
    let mut gateway = limited(64, driver).shards(1).start();
    let mut inside = gateway.socket("inside", "acme");
    inside.join("lobby");
    let mut scraper = Http::connect(gateway.address);
    assert_eq!(scraper.get("/ready").status, 200);

    let mut crowd: Vec<_> = (0..CONNECTIONS).map(|_| Http::connect(gateway.address)).collect();
    let refused = |scraper: &mut Http| {
        let text = scraper.get("/metrics").text();
        let series = r#"websocket_connection_rejected_total{reason="fd_limit"} "#;
        let value = text.lines().find_map(|line| line.strip_prefix(series)).expect("it is counted");
        value.parse::<f64>().expect("a number") as usize
    };
    until("connections turned away", || (refused(&mut scraper) >= CONNECTIONS - 64).then_some(()));
    // They hear it at once instead of hanging; those inside are served.
    let turned_away = refused(&mut scraper);
    let hung_up = crowd.iter_mut().skip(64).filter_map(|http| http.is_closed().then_some(())).count();
    assert_eq!(hung_up, CONNECTIONS - 64, "{turned_away} were turned away");
    assert_eq!(inside.call(r#""type":"room:send","room":"lobby","payload":1"#)["success"], true);
    assert!(gateway.exit_status().is_none());
    let lines = gateway.output().lines().filter(|line| line.contains("could not be accepted")).count();
    assert!((1..=30).contains(&lines), "{turned_away} refusals made {lines} lines in the log");

    drop(crowd);
    until("room for new ones", || Socket::try_with_token(gateway.address, &token::token("next", "acme")));
    gateway.serves_the_next("a crowd");
    assert_eq!(inside.ping(), "pong");
    gateway.signal(libc::SIGTERM);
    assert_eq!(inside.closed().0, 1012);
    assert!(gateway.wait().success());
}

/// However few descriptors there are: it serves, or it ends with a reason. It never hangs.
fn starts_with_few_descriptors_or_says_why_not(driver: Driver) {
    for descriptors in (4..44).step_by(3) {
        let mut gateway = limited(descriptors, driver).shards(2).spawn();
        let served = until("a word, or the end", || {
            let ended = gateway.exit_status().is_some();
            (ended || gateway.output().contains("listening on")).then_some(!ended)
        });
        if served {
            gateway.signal(libc::SIGTERM);
        }
        let status = gateway.wait();
        let output = gateway.output();
        let code =
            status.code().unwrap_or_else(|| panic!("{status} with {descriptors} descriptors: {output}"));
        assert!(matches!(code, 0 | 1 | 70), "exit code {code} with {descriptors} descriptors: {output}");
        assert!(code == 0 || !output.is_empty(), "it does not say why, with {descriptors} descriptors");
        assert!(!output.contains("panicked"), "with {descriptors} descriptors: {output}");
    }
}
