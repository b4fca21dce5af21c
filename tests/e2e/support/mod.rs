//! What the tests share: a gateway as a child process, an HTTP client and a WebSocket client that can misbehave,
//! tokens of any kind, and waiting without sleeping.

mod backend;
mod gateway;
mod http;
mod socket;
pub(crate) mod system;
pub(crate) mod token;
mod wait;

use std::{io::Write, sync::LazyLock};

use ringway::shell::driver::{self, DriverChoice};

pub(crate) use backend::{Asked, Backend};
pub(crate) use gateway::{Gateway, Start, ringway};
pub(crate) use http::{Http, Response};
pub(crate) use socket::{Received, Socket, frame, text_frame, upgrade_request};
pub(crate) use wait::{PATIENCE, until};

/// Whether this machine lets us have io_uring; says so where it does not and `test` is therefore left out.
pub(crate) fn has_uring(test: &str) -> bool {
    static CHOSEN: LazyLock<Result<(), String>> = LazyLock::new(|| {
        driver::choose(DriverChoice::Uring).map(drop).map_err(|refused| refused.to_string())
    });
    match &*CHOSEN {
        Ok(()) => true,
        Err(refused) => {
            // Not by a print macro: the test harness hides those of tests that pass.
            let _ = writeln!(std::io::stderr(), "skipped {test}: {refused}");
            false
        }
    }
}
