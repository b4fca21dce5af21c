//! Whether the memory of a crash may be written to a file, seen from outside: the kernel gives what it shows of a process
//! that may not be dumped to root (proc(5)), so that it is no other process of the same user that can read it.

use std::{
    env, fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, Command},
};

use ringway::shell::driver::Driver;

use crate::support::{Start, ringway, system, token};

on_both_drivers!(secrets_stay_in_memory);

/// Nobody's, as this process may be root's, and root is shown everything.
const OTHER_USER: u32 = 65_534;

fn secrets_stay_in_memory(driver: Driver) {
    let user = if system::user() == 0 { OTHER_USER } else { system::user() };
    let copy = (user == OTHER_USER).then(|| Copy::of_everybody(driver));
    let start = || {
        let start = match &copy {
            Some(copy) => copy.start(),
            None => Start::from_command(ringway()),
        };
        start.arg("--driver").arg(driver.as_str()).env("JWT_SECRET", token::SECRET)
    };
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

/// The binary where another user may start it: the folder that cargo has built it in may be closed to him. Removed when
/// dropped.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn of_everybody(driver: Driver) -> Self {
        let name = format!("ringway-core-dumps-{}-{}", process::id(), driver.as_str());
        let copy = Self { folder: env::temp_dir().join(name) };
        let may_all = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
        fs::create_dir(&copy.folder).expect("the folder for temporary files can be written");
        fs::copy(env!("CARGO_BIN_EXE_ringway"), copy.binary()).expect("there is room for the binary");
        may_all(&copy.folder).and_then(|()| may_all(&copy.binary())).expect("they are ours");
        let output = copy.command().arg("--version").current_dir(&copy.folder).output();
        assert!(
            output.as_ref().is_ok_and(|output| output.status.success()),
            "another user cannot start {}: {output:?}; TMPDIR may name a folder where he can",
            copy.binary().display()
        );
        copy
    }

    fn start(&self) -> Start {
        Start::from_command(self.command()).within(&self.folder)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.binary());
        command.uid(OTHER_USER);
        command
    }

    fn binary(&self) -> PathBuf {
        self.folder.join("ringway")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
