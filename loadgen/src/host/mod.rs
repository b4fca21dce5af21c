//! What machines give: time, CPU time, open files and other limits of this one; CPU time and memory of the servers.

pub(crate) mod clock;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod open_files;
pub(crate) mod scrape;
pub(crate) mod server;
pub(crate) mod server_process;
