//! Words to whoever runs the program, beside its results.

use std::io::{self, Write};

/// One line on standard error. Where that is closed, nobody wants to know.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
