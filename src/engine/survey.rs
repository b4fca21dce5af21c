//! Pages that cover the node: every shard is asked for a report, the page is written when all have answered
//! or the time is over; what is missing then is left out.

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
    http::{Framing, Response},
    metrics::Format,
};

/// How long a shard has for its report.
pub(super) const SURVEY_TIMEOUT_MS: u64 = 1_000;

/// What is written from the reports.
#[derive(Clone, Debug)]
pub(super) enum Page {
    Health,
    Metrics(Format),
    Stats,
    Traffic,
    Connections(Arc<ConnectionsQuery>),
}

/// What a report is to hold beside counts. Probes and scrapes come often and want no more.
#[derive(Clone, Debug)]
pub enum Want {
    Counts,
    /// The largest rooms and the top talkers: a shard has to look at all of them to find these.
    Top,
    Connections(Arc<ConnectionsQuery>),
}

impl Page {
    fn wants(&self) -> Want {
        match self {
            Self::Health | Self::Metrics(_) | Self::Traffic => Want::Counts,
            Self::Stats => Want::Top,
            Self::Connections(query) => Want::Connections(Arc::clone(query)),
        }
    }
}

/// The pages that wait for reports.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    last: u64,
    waiting: Vec<Survey>,
}

#[derive(Debug)]
struct Survey {
    number: u64,
    conn: ConnId,
    page: Page,
    framing: Framing,
    reports: Vec<Report>,
    deadline_ms: u64,
}

impl Surveys {
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|survey| survey.deadline_ms).min()
    }

    /// The client that asked is gone.
    pub(super) fn give_up(&mut self, conn: ConnId) {
        if !self.waiting.is_empty() {
            self.waiting.retain(|survey| survey.conn != conn);
        }
    }
}

impl Engine {
    pub(super) fn survey(&mut self, conn: ConnId, page: Page, framing: Framing, now: Now) {
        if let Some(conn) = self.conns.get_mut(conn.slot, conn.generation)
            && let crate::conn::Stage::Http(http) = &mut conn.stage
        {
            http.awaiting = true;
        }
        self.surveys.last += 1;
        let survey = self.surveys.last;
        let deadline_ms = now.mono_ms() + SURVEY_TIMEOUT_MS;
        let want = page.wants();
        let waiting = Survey { number: survey, conn, page, framing, reports: Vec::new(), deadline_ms };
        self.surveys.waiting.push(waiting);
        for shard in 0..self.config.shards {
            self.send(ShardId(shard), Parcel::Ask(Ask::Survey { survey, want: want.clone() }));
        }
    }

    pub(super) fn reported(&mut self, number: u64, report: Report, now: Now) {
        let Some(index) = self.surveys.waiting.iter().position(|survey| survey.number == number) else {
            return;
        };
        let reports = &mut self.surveys.waiting[index].reports;
        reports.push(report);
        if reports.len() == usize::from(self.config.shards) {
            self.conclude(index, now);
        }
    }

    pub(super) fn expire_surveys(&mut self, now: Now) {
        let is_due = |survey: &Survey| survey.deadline_ms <= now.mono_ms();
        while let Some(index) = self.surveys.waiting.iter().position(is_due) {
            self.conclude(index, now);
        }
    }

    fn conclude(&mut self, index: usize, now: Now) {
        let mut survey = self.surveys.waiting.swap_remove(index);
        survey.reports.sort_by_key(|report| report.shard);
        survey.framing.keep_alive &= self.draining.is_none();
        let node = NodeReport {
            config: &self.config,
            facts: &self.facts,
            readiness: self.readiness(),
            reports: &survey.reports,
            now,
        };
        let mut out = Vec::new();
        match survey.page {
            Page::Health => {
                let (status, body) = answers::health(&node);
                Response::json(status, &body).write(&mut out, survey.framing);
            }
            Page::Metrics(format) => {
                let body = answers::metrics(&node, format);
                let content_type = format.content_type();
                Response { status: 200, content_type, headers: &[], body: &body }
                    .write(&mut out, survey.framing);
            }
            Page::Stats => Response::json(200, &answers::stats(&node)).write(&mut out, survey.framing),
            Page::Traffic => Response::json(200, &traffic::page(&node)).write(&mut out, survey.framing),
            Page::Connections(query) => {
                let body = quality::connections_health(&node, &query);
                Response::json(200, &body).write(&mut out, survey.framing);
            }
        }
        self.respond(survey.conn, &out, survey.framing, now);
        self.serve(survey.conn, now);
    }
}
