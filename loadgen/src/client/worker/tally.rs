//! What became of connections, and when: counted by each thread, added up at the end.

use hdrhistogram::Histogram;

use crate::{figures::latency, figures::reasons::Reasons};

/// Counts, reasons and durations of one thread.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    /// Ended by the target or the network.
    pub(crate) dropped: u64,
    /// In churn mode: left on purpose, and came back.
    pub(crate) left: u64,
    pub(crate) returned: u64,
    pub(crate) failures: Reasons,
    pub(crate) drops: Reasons,
    /// From dialing to the accepted upgrade.
    pub(crate) connect: Histogram<u64>,
    /// From sending `room:join` to its ack.
    pub(crate) join: Histogram<u64>,
    /// From when a publication was due to when it was sent.
    pub(crate) lag: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            opened: 0,
            failed: 0,
            dropped: 0,
            left: 0,
            returned: 0,
            failures: Reasons::default(),
            drops: Reasons::default(),
            connect: latency::histogram(),
            join: latency::histogram(),
            lag: latency::histogram(),
        }
    }
}

impl Tally {
    pub(crate) fn merge(&mut self, other: &Self) {
        let Self { opened, failed, dropped, left, returned, failures, drops, connect, join, lag } = other;
        self.opened += opened;
        self.failed += failed;
        self.dropped += dropped;
        self.left += left;
        self.returned += returned;
        self.failures.merge(failures);
        self.drops.merge(drops);
        self.connect += connect;
        self.join += join;
        self.lag += lag;
    }
}
