//! `/api/metrics/websocket`: how many connections there are, and what was counted in the last seconds and today.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Engine, NodeFacts,
    answers::{self, NodeReport},
};
use crate::{
    base::Now,
    metrics::{Flows, Lately},
};

/// Revocations that are forgotten in a second at most, once their time is over.
const REVOCATIONS_SWEPT: usize = 1024;

impl Engine {
    /// The shell's word, once a second: the time to note what has been counted.
    pub(super) fn learn(&mut self, facts: NodeFacts, now: Now) {
        self.facts = facts;
        self.revocations.sweep(now.unix_s(), REVOCATIONS_SWEPT);
        self.metrics.revocations = self.revocations.len() as u64;
        self.traffic.sample(Flows::of(&self.metrics), now);
    }
}

#[derive(Serialize)]
struct Page<'a> {
    connections: Connections<'a>,
    messages: Messages,
    errors: Count,
    dropped: Count,
}

#[derive(Serialize)]
struct Connections<'a> {
    /// WebSockets, those without an identity among them.
    total: u64,
    per_tenant: BTreeMap<&'a str, u64>,
}

#[derive(Serialize)]
struct Messages {
    #[serde(flatten)]
    both: Count,
    received: Count,
    sent: Count,
}

#[derive(Serialize)]
struct Count {
    per_second: f64,
    /// Since midnight (UTC) or the start, whichever was later.
    total_today: u64,
}

impl Count {
    fn of(lately: &Lately, pick_rate: fn(&Flows<f64>) -> f64, pick: fn(&Flows<u64>) -> u64) -> Self {
        let per_second = (pick_rate(&lately.per_second) * 1_000.0).round() / 1_000.0;
        Self { per_second, total_today: pick(&lately.today) }
    }
}

/// The body of the page.
pub(super) fn page(node: &NodeReport<'_>) -> Vec<u8> {
    let mut lately = Lately::default();
    node.reports.iter().for_each(|report| lately.absorb(&report.lately));
    answers::json(&Page {
        connections: Connections { total: node.websockets(), per_tenant: node.by_tenant() },
        messages: Messages {
            both: Count::of(&lately, |it| it.received + it.sent, |it| it.received + it.sent),
            received: Count::of(&lately, |it| it.received, |it| it.received),
            sent: Count::of(&lately, |it| it.sent, |it| it.sent),
        },
        errors: Count::of(&lately, |it| it.errors, |it| it.errors),
        dropped: Count::of(&lately, |it| it.dropped, |it| it.dropped),
    })
}
