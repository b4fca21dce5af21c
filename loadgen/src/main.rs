//! The program `loadgen`: everything is in the library, which the comparison of `bench/` uses too.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::main()
}
