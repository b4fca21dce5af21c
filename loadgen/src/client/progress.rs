//! How a run stands, all threads of this process together: for whoever shows it, or tells it to a coordinator.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    client::worker::Snapshot,
    figures::{hdr::Hdr, record::SecondRecord},
    plan::schedule::Span,
    scenario::{Phase, PhaseKind, Scenario},
};

/// Where in the run it is.
pub(crate) struct Stand<'r> {
    /// As far as it is in the timetable; `None` when all phases are over.
    pub(crate) span: Option<&'r Span>,
    pub(crate) phase: Option<&'r Phase>,
    /// Of the scenario's phases.
    pub(crate) index: usize,
    pub(crate) now_ns: u64,
}

/// How it stands.
#[derive(Clone, Debug)]
pub(crate) struct Progress<'r> {
    /// `None` when all are over, and what is on its way is waited for.
    pub(crate) phase: Option<&'r Phase>,
    /// Of the scenario's phases.
    pub(crate) index: usize,
    /// Of this phase.
    pub(crate) elapsed: Duration,
    /// Of this phase, when it is known.
    pub(crate) length: Option<Duration>,
    /// How much of this phase is done, from 0 to 1.
    pub(crate) done: Option<f64>,
    pub(crate) connections: u32,
    /// On their way to be ready.
    pub(crate) opening: u64,
    pub(crate) ready: u64,
    pub(crate) failed: u64,
    pub(crate) errors: u64,
    /// What went wrong most often on any thread.
    pub(crate) worst_error: Option<String>,
    /// The last second that is over.
    pub(crate) sent_per_s: u64,
    pub(crate) delivered_per_s: u64,
    pub(crate) latency: Option<Hdr>,
    /// Share of a core that the busiest thread used.
    pub(crate) cpu: f64,
    /// How late publications left in this phase, p99 of the worst thread.
    pub(crate) lag_ns: u64,
}

impl<'r> Progress<'r> {
    pub(crate) fn of(
        scenario: &Scenario,
        stand: &Stand<'r>,
        snapshots: &[Snapshot],
        seconds: &[SecondRecord],
    ) -> Self {
        let sum = |of: fn(&Snapshot) -> u64| snapshots.iter().map(of).sum::<u64>();
        let start_ns = stand.span.map_or(stand.now_ns, |span| span.start_ns);
        let elapsed = Duration::from_nanos(stand.now_ns.saturating_sub(start_ns));
        let end_ns = stand.span.map(|span| span.end_ns).filter(|end_ns| *end_ns < u64::MAX);
        let length = end_ns.map(|end_ns| Duration::from_nanos(end_ns.saturating_sub(start_ns)));
        let tried = sum(|it| it.tried.into());
        let done = match stand.phase.map(|phase| phase.kind) {
            Some(PhaseKind::Ramp { share, .. }) => {
                Some(tried as f64 / (f64::from(scenario.connections) * share).max(1.0))
            }
            Some(
                PhaseKind::Steady
                | PhaseKind::Storm { .. }
                | PhaseKind::Spike { .. }
                | PhaseKind::Drain { .. },
            ) => length.map(|length| elapsed.as_secs_f64() / length.as_secs_f64().max(1e-9)),
            None => None,
        };
        let mut latency = Hdr::coarse();
        seconds.iter().for_each(|second| latency.merge(&second.latencies()));
        Self {
            phase: stand.phase,
            index: stand.index,
            elapsed,
            length,
            done: done.map(|done| done.min(1.0)),
            connections: scenario.connections,
            opening: sum(|it| it.opening.into()),
            ready: sum(|it| it.ready.into()),
            failed: sum(|it| it.failed),
            errors: sum(|it| it.errors),
            worst_error: worst_error(snapshots),
            sent_per_s: seconds.iter().map(|second| second.sent).sum(),
            delivered_per_s: seconds.iter().map(|second| second.delivered).sum(),
            latency: (!latency.is_empty()).then_some(latency),
            cpu: snapshots.iter().map(|it| it.cpu).fold(0.0, f64::max),
            lag_ns: snapshots.iter().map(|it| it.lag_ns).max().unwrap_or(0),
        }
    }
}

/// What all threads have had most of, each told by its own worst.
fn worst_error(snapshots: &[Snapshot]) -> Option<String> {
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in snapshots.iter().filter_map(|it| it.worst_error.as_ref()) {
        *by_name.entry(name).or_default() += count;
    }
    let (name, _) = by_name.into_iter().max_by_key(|(_, count)| *count)?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_error_is_that_of_all_threads_together() {
        let with = |worst: Option<(&str, u64)>| Snapshot {
            worst_error: worst.map(|(name, count)| (name.to_owned(), count)),
            ..Snapshot::default()
        };
        let rows = [
            (vec![None, None], None),
            (vec![Some(("HTTP 503", 5)), Some(("corrupt", 3)), Some(("corrupt", 3))], Some("corrupt")),
            (vec![Some(("HTTP 503", 7)), None], Some("HTTP 503")),
        ];
        for (threads, expected) in rows {
            let snapshots: Vec<Snapshot> = threads.into_iter().map(with).collect();
            assert_eq!(worst_error(&snapshots).as_deref(), expected);
        }
    }
}
