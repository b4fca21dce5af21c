//! Figures: histograms, counts by reason, and the result that is made of them.

pub(crate) mod latency;
pub(crate) mod reasons;
pub(crate) mod summary;
