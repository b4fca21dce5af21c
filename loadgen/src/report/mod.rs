//! What people see: progress while it runs, the table at the end, the page to keep.

pub(crate) mod format;
pub(crate) mod glimpse;
pub(crate) mod live;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod table_one;
