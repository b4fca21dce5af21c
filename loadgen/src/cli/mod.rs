//! The command line.

pub(crate) mod args;
