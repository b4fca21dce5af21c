//! What users and tenants have sent over all shards: the true buckets of those whose home this shard is.
//!
//! A bucket is what has been reported, less what has drained. Reports come by the portion, so that it may seem fuller than it is
//! by a portion for each shard: it is empty only beyond that. Then all shards that have reported are told until when nothing
//! may pass: until a portion may again. What is on its way meanwhile is added, and drains like the rest.
//!
//! Invariants: a bucket stays as long as anything is in it, but for payers beyond [`Recent::KEYS_MAX`], who have
//! the limit once on each shard; one that has drained need not stay.

use super::purses::{PayerLimit, Spent};
use crate::base::{HashSeed, Payer, Recent, ShardId};

/// The longest, in seconds, that parcels between shards may take without that more passes than drains.
const LATE_S: u64 = 10;

/// The buckets of one home shard.
#[derive(Debug)]
pub struct Ledger {
    buckets: Recent<Payer, Bucket>,
    /// Of the node.
    shards: u16,
}

#[derive(Debug)]
struct Bucket {
    /// When `level` was right, in monotonic milliseconds.
    at_ms: u64,
    level: u64,
    /// Until when the shards know that nothing may pass.
    shut_until_ms: u64,
    /// Those that have reported.
    shards: Vec<ShardId>,
}

/// A payer's bucket is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Empty {
    /// Monotonic milliseconds.
    pub until_ms: u64,
    /// Who is to be told.
    pub shards: Vec<ShardId>,
}

impl Ledger {
    /// Nobody has sent anything; allocates nothing.
    pub fn new(hash: HashSeed, shards: u16) -> Self {
        Self { buckets: Recent::new(hash), shards: shards.max(1) }
    }

    /// A shard reports. Whom to tell what, if the bucket is empty.
    pub fn spent(&mut self, spent: Spent, from: ShardId, limit: PayerLimit, now_ms: u64) -> Option<Empty> {
        let Spent { payer, messages } = spent;
        if limit.rate.is_none() {
            return None;
        }
        if messages == 0 {
            // Who begins to send has nothing to be counted.
            let until_ms = self.buckets.get_mut(&payer)?.shut_until_ms;
            return (until_ms > now_ms).then(|| Empty { until_ms, shards: vec![from] });
        }
        let (shards, burst) = (u64::from(self.shards), u64::from(limit.burst));
        let full = burst + u64::from(limit.portion) * shards;
        // What all shards may have let pass before they hear of anything, were that to take this long.
        let level_max = full + shards * (burst + LATE_S * u64::from(limit.rate.per_window()));
        let drained_ms = limit.rate.wait_ms(level_max, 0);
        let empty = || Bucket { at_ms: now_ms, level: 0, shut_until_ms: 0, shards: Vec::new() };
        let bucket = self.buckets.entry(payer, now_ms, drained_ms, empty);
        bucket.level = bucket.level.saturating_sub(limit.rate.drained(bucket.at_ms, now_ms));
        bucket.at_ms = bucket.at_ms.max(now_ms);
        bucket.level = (bucket.level + u64::from(messages)).min(level_max);
        if !bucket.shards.contains(&from) {
            bucket.shards.push(from);
        }
        if bucket.level <= full {
            return None;
        }
        let over = bucket.level - full + u64::from(limit.portion);
        let until_ms = now_ms + limit.rate.wait_ms(over, now_ms);
        bucket.shut_until_ms = until_ms;
        Some(Empty { until_ms, shards: bucket.shards.clone() })
    }

    /// Buckets that were forgotten although something was in them.
    pub fn crowded_out(&self) -> u64 {
        self.buckets.crowded_out()
    }
}
