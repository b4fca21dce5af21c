//! Service level objectives: what they may say, whether they held, and the highest load that keeps them.

pub(crate) mod grammar;
pub(crate) mod interval;
pub(crate) mod judge;
pub(crate) mod metric;
pub(crate) mod search;
