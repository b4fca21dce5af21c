//! Pages that cover the node: every shard is asked for a report, the page is written when all have answered
//! or the time is over; what is missing then is left out.
//!
//! A survey is for all who ask while none may begin: after the first few they begin at a pace, so that probes, scrapes and
//! whoever asks again and again cost the shards no more than that. Who pages through connections shares it, too, with so many other
//! pages. A report is never older than the question. Owns no counts.

use std::sync::Arc;

use super::{
    Ask, Engine, Parcel,
    answers::{self, NodeReport},
    quality::{self, ConnectionsQuery},
    report::Report,
    traffic,
};
use crate::{
    base::{ConnId, Now, ShardId},
    http::{Framing, Response, response},
    metrics::Format,
};

/// How long a shard has for its report.
const REPORT_TIMEOUT_MS: u64 = 1_000;

/// The time from one survey to the next, where there have been more than a few.
pub(super) const PACE_MS: u64 = 10;

/// How many may begin without a pause.
pub(super) const AT_ONCE: u64 = 16;

/// The longest that a page waits, as long as not more than [`QUERIES_MAX`] pages of connections wait with it.
pub(super) const SURVEY_TIMEOUT_MS: u64 = PACE_MS + REPORT_TIMEOUT_MS;

/// What is written from the reports.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Page {
    Health,
    Metrics(Format),
    Stats,
    Traffic,
    Connections(Arc<ConnectionsQuery>),
}

/// Different pages of connections that one survey is for: a shard looks at all its connections once for all of them.
pub(super) const QUERIES_MAX: usize = 16;

/// What a report is to hold beside counts. Probes and scrapes come often and want no more.
#[derive(Clone, Default, Debug)]
pub struct Want {
    /// The largest rooms and the top talkers: a shard has to look at all of them to find these.
    pub(super) top: bool,
    /// Pages of connections, [`QUERIES_MAX`] at most.
    pub(super) connections: Vec<Arc<ConnectionsQuery>>,
}

impl Want {
    /// Takes what a page is written from in; false when there is no room for it.
    fn takes(&mut self, page: &Page) -> bool {
        match page {
            Page::Health | Page::Metrics(_) | Page::Traffic => {}
            Page::Stats => self.top = true,
            Page::Connections(query) if self.connections.contains(query) => {}
            Page::Connections(_) if self.connections.len() == QUERIES_MAX => return false,
            Page::Connections(query) => self.connections.push(Arc::clone(query)),
        }
        true
    }
}

/// The pages that wait.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    last: u64,
    /// For a survey to begin.
    waiting: Vec<Asker>,
    /// Up to when, in monotonic milliseconds, those that have begun take all the time that there is at that pace.
    booked_ms: u64,
    /// For reports.
    under_way: Vec<Survey>,
}

#[derive(Debug)]
struct Survey {
    number: u64,
    askers: Vec<Asker>,
    reports: Vec<Report>,
    deadline_ms: u64,
}

/// Who waits for which page.
#[derive(Debug)]
struct Asker {
    conn: ConnId,
    page: Page,
    framing: Framing,
}

/// A page, written.
struct Written {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Surveys {
    pub(super) fn due_ms(&self) -> Option<u64> {
        let begins_ms = (!self.waiting.is_empty()).then_some(self.next_ms());
        self.under_way.iter().map(|survey| survey.deadline_ms).chain(begins_ms).min()
    }

    /// The client that asked is gone.
    pub(super) fn give_up(&mut self, conn: ConnId) {
        self.waiting.retain(|asker| asker.conn != conn);
        for survey in &mut self.under_way {
            survey.askers.retain(|asker| asker.conn != conn);
        }
        self.under_way.retain(|survey| !survey.askers.is_empty());
    }

    /// When a survey may begin.
    fn next_ms(&self) -> u64 {
        self.booked_ms.saturating_sub((AT_ONCE - 1) * PACE_MS)
    }

    /// Whether one may begin now; if so, it is counted.
    fn may_begin(&mut self, now_ms: u64) -> bool {
        if self.next_ms() > now_ms {
            return false;
        }
        self.booked_ms = self.booked_ms.max(now_ms) + PACE_MS;
        true
    }
}

impl Engine {
    pub(super) fn survey(&mut self, conn: ConnId, page: Page, framing: Framing, now: Now) {
        if let Some(conn) = self.conns.get_mut(conn.slot, conn.generation)
            && let crate::conn::Stage::Http(http) = &mut conn.stage
        {
            http.awaiting = true;
        }
        self.surveys.waiting.push(Asker { conn, page, framing });
        self.begin_surveys(now);
    }

    /// Asks the shards for all who wait, if it is time.
    fn begin_surveys(&mut self, now: Now) {
        if self.surveys.waiting.is_empty() || !self.surveys.may_begin(now.mono_ms()) {
            return;
        }
        let mut want = Want::default();
        let (askers, others) =
            std::mem::take(&mut self.surveys.waiting).into_iter().partition(|asker| want.takes(&asker.page));
        self.surveys.waiting = others;
        self.begin_survey(&want, askers, now);
    }

    fn begin_survey(&mut self, want: &Want, askers: Vec<Asker>, now: Now) {
        self.surveys.last += 1;
        let number = self.surveys.last;
        let deadline_ms = now.mono_ms() + REPORT_TIMEOUT_MS;
        self.surveys.under_way.push(Survey { number, askers, reports: Vec::new(), deadline_ms });
        for shard in 0..self.config.shards {
            let ask = Ask::Survey { survey: number, want: want.clone() };
            self.send(ShardId(shard), Parcel::Ask(ask));
        }
    }

    pub(super) fn reported(&mut self, number: u64, report: Report, now: Now) {
        let Some(index) = self.surveys.under_way.iter().position(|survey| survey.number == number) else {
            return;
        };
        let reports = &mut self.surveys.under_way[index].reports;
        reports.push(report);
        if reports.len() == usize::from(self.config.shards) {
            self.conclude(index, now);
        }
    }

    /// Writes the pages whose time is over, and begins what may begin.
    pub(super) fn meet_surveys(&mut self, now: Now) {
        let is_due = |survey: &Survey| survey.deadline_ms <= now.mono_ms();
        while let Some(index) = self.surveys.under_way.iter().position(is_due) {
            self.conclude(index, now);
        }
        self.begin_surveys(now);
    }

    fn conclude(&mut self, index: usize, now: Now) {
        let mut survey = self.surveys.under_way.swap_remove(index);
        survey.reports.sort_by_key(|report| report.shard);
        let node = NodeReport {
            config: &self.config,
            facts: &self.facts,
            readiness: self.readiness(),
            reports: &survey.reports,
            now,
        };
        // Each page once, whoever wants it.
        let mut pages: Vec<(Page, Written)> = Vec::new();
        for Asker { page, .. } in &survey.askers {
            if pages.iter().all(|(other, _)| other != page) {
                pages.push((page.clone(), page.write(&node)));
            }
        }
        for Asker { conn, page, mut framing } in survey.askers {
            let Some((_, Written { status, content_type, body })) =
                pages.iter().find(|(other, _)| *other == page)
            else {
                continue;
            };
            framing.keep_alive &= self.draining.is_none();
            let mut out = Vec::new();
            Response { status: *status, content_type, headers: &[], body }.write(&mut out, framing);
            self.respond(conn, &out, framing, now);
            self.serve(conn, now);
        }
    }
}

impl Page {
    fn write(&self, node: &NodeReport<'_>) -> Written {
        let json = |(status, body)| Written { status, content_type: response::JSON, body };
        match self {
            Self::Health => json(answers::health(node)),
            Self::Metrics(format) => Written {
                status: 200,
                content_type: format.content_type(),
                body: answers::metrics(node, *format),
            },
            Self::Stats => json((200, answers::stats(node))),
            Self::Traffic => json((200, traffic::page(node))),
            Self::Connections(query) => json((200, quality::connections_health(node, query))),
        }
    }
}
