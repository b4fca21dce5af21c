//! Which driver is chosen, where it may be, and what is said about it.

use ringway::shell::driver::Driver;

use crate::support::{Start, has_uring, token};

const FORCED: (&str, &str) = ("MONOIO_FORCE_LEGACY_DRIVER", "1");

fn start(driver: &str) -> Start {
    Start::bare().env("JWT_SECRET", token::SECRET).arg("--driver").arg(driver)
}

/// It says so in the log, and all works.
fn falls_back(start: Start, reason: &str) {
    let mut gateway = start.start();
    assert_eq!(gateway.get("/health").json()["driver"], "epoll");
    let output = gateway.output();
    let line = output.lines().find(|line| line.contains("no io_uring: using epoll"));
    let line = line.unwrap_or_else(|| panic!("no word about it in {output}"));
    assert!(line.contains(r#""level":"warn""#) && line.contains(reason), "{line}");
    assert!(output.contains(r#""driver":"epoll""#), "{output}");
    let mut socket = gateway.socket("ada", "acme");
    socket.join("lobby");
    gateway.serves_the_next("the fall-back");
}

/// Asked for io_uring it does not start, and says why.
fn refuses(start: Start, reason: &str) {
    let (code, output) = start.fail();
    assert_eq!(code, Some(1), "{output}");
    let line = output.lines().find(|line| line.starts_with("ringway: "));
    assert!(line.is_some_and(|line| line.contains(reason)), "{output}");
}

#[test]
fn the_environment_can_refuse_io_uring() {
    falls_back(start("auto").env(FORCED.0, FORCED.1), FORCED.0);
    refuses(start("uring").env(FORCED.0, FORCED.1), FORCED.0);
    // Who asked for epoll hears nothing of io_uring.
    let gateway = start("epoll").env(FORCED.0, FORCED.1).start();
    assert!(!gateway.output().contains("io_uring"), "{}", gateway.output());
}

#[test]
fn a_container_can_refuse_io_uring() {
    falls_back(start("auto").without_io_uring(), "not permitted");
    refuses(start("uring").without_io_uring(), "seccomp");
    let gateway = start("epoll").without_io_uring().start();
    assert_eq!(gateway.get("/health").json()["driver"], "epoll");
}

#[test]
fn what_was_asked_for_is_what_runs() {
    let mut drivers = vec![("epoll", Driver::Epoll)];
    if has_uring("drivers::what_was_asked_for_is_what_runs") {
        drivers.extend([("uring", Driver::Uring), ("auto", Driver::Uring)]);
    }
    for (asked, runs) in drivers {
        let gateway = start(asked).start();
        assert_eq!(gateway.get("/health").json()["driver"], runs.as_str(), "{asked}");
        assert!(gateway.output().contains(&format!(r#""driver":"{}""#, runs.as_str())), "{asked}");
        assert!(gateway.get("/metrics").text().contains(&format!("driver=\"{}\"", runs.as_str())), "{asked}");
    }
    let (code, output) = start("kqueue").fail();
    assert_eq!(code, Some(1));
    assert!(output.contains("--driver") && output.contains("auto") && output.contains("kqueue"), "{output}");
}
