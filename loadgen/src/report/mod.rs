//! What people see: progress while it runs, the table at the end, numbers as text.

pub(crate) mod format;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod table_one;
