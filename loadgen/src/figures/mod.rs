//! Figures: what threads record while a run lasts, and the result that is made of it.

pub(crate) mod bootstrap;
pub(crate) mod compare;
mod counts;
pub(crate) mod files;
pub(crate) mod hdr;
pub(crate) mod load;
pub(crate) mod read_lag;
pub(crate) mod reasons;
pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod server;
pub(crate) mod sum_up;
pub(crate) mod summary;
pub(crate) mod tally;
