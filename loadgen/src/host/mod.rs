//! What the machine gives: time, CPU time, open files.

pub(crate) mod clock;
pub(crate) mod open_files;
