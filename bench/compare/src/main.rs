//! The program `compare`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    compare::main()
}
