//! Whether the memory of a crash may be written to a file, seen from outside: the kernel gives what it shows of a process
//! that may not be dumped to root (proc(5)), so that it is no other process of the same user that can read it.

use std::{io::Write, os::unix::process::CommandExt};

use ringway::shell::driver::Driver;

use crate::support::{Start, ringway, system, token};

on_both_drivers!(secrets_stay_in_memory);

/// Nobody's, as this process may be root's, and root is shown everything.
const OTHER_USER: u32 = 65_534;

fn secrets_stay_in_memory(driver: Driver) {
    let user = if system::user() == 0 { OTHER_USER } else { system::user() };
    let start = || {
        let mut command = ringway();
        if user != system::user() {
            command.uid(user);
        }
        Start::from_command(command).arg("--driver").arg(driver.as_str()).env("JWT_SECRET", token::SECRET)
    };
    if user == OTHER_USER && !can_start(user) {
        let _ = writeln!(std::io::stderr(), "skipped core_dumps: another user cannot start the binary");
        return;
    }
    let production = || {
        start()
            .arg("--production")
            .set("server.tls_terminated_by_proxy", true)
            .env("CORS_ORIGIN", "https://app.example.com")
    };
    let rows = [
        ("the default", start(), user),
        ("switched off", start().set("server.core_dumps", false), 0),
        ("production", production(), 0),
        ("production that wants them", production().set("server.core_dumps", true), user),
    ];
    for (what, start, owner) in rows {
        assert_eq!(start.start().owner(), owner, "{what}");
    }
}

fn can_start(user: u32) -> bool {
    ringway().arg("--version").uid(user).output().is_ok_and(|output| output.status.success())
}
