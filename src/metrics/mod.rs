//! What the gateway counts: plain values per shard ([`ShardMetrics`]), merged into metric families when somebody asks
//! ([`merge`]) and rendered as Prometheus text, OpenMetrics or JSON ([`Format`]).
//!
//! A shard counts with plain additions in its own memory; a snapshot is a clone, sent to the shard that answers the
//! scrape. Every label is a closed enum but for the tenant, which is bounded. Owns no registry and reads no clock.

pub mod active;
pub mod counters;
pub mod histogram;
pub mod labels;
mod legacy;
pub mod merge;
mod openmetrics;
pub mod render;
pub mod shard;
pub mod traffic;

pub use active::ActiveConnections;
pub use counters::{CounterGrid, CounterVec};
pub use histogram::Histogram;
pub use labels::{
    AuthCache, Disconnect, Dropped, ErrorType, KeysResult, Label, OutsideResult, Protocol, QualityClass,
    RateLimit, Received, Reject, ReloadResult, Sent, Signed, Status, Table, Unasked,
};
pub use legacy::add_legacy_names;
pub use merge::{KeysStats, NodeStats, ReloadStats, merge};
pub use render::Format;
pub use shard::ShardMetrics;
pub use traffic::{Flows, Lately, Traffic};

#[cfg(test)]
mod tests;
