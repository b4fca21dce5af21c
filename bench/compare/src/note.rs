//! One line to whoever watches: progress and errors go to standard error, results to standard output.

use std::io::{self, Write};

/// A closed terminal is no reason to stop measuring.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
