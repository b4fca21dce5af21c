//! What people see: progress while it runs, the table at the end.

pub(crate) mod format;
pub(crate) mod progress;
pub(crate) mod table;
