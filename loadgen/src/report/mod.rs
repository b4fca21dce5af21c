//! What people see: how it stands while it runs, the table at the end, the page to keep, numbers as text.

pub(crate) mod format;
pub(crate) mod glimpse;
pub(crate) mod html;
pub(crate) mod live;
pub(crate) mod note;
pub(crate) mod table;
