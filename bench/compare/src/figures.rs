//! What each scenario is judged by, and against whom: shared by table and charts.

use crate::{
    measure::Sample,
    peers::{REFERENCE, Standing},
    results::{Entry, Results, ScenarioResults},
    scenario::{Scenario, Shape},
    text::{grouped, micros},
};

/// The figure that a scenario is about.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) head: &'static str,
    pub(crate) of: fn(&Sample) -> f64,
    pub(crate) show: fn(f64) -> String,
    pub(crate) more_is_better: bool,
}

impl Figure {
    /// By the scenario's name; results may be older than the list of scenarios.
    pub(crate) fn of_scenario(name: &str) -> Self {
        let cpu = |head| Self { head, of: |it| it.cpu_us_per_unit, show: micros, more_is_better: false };
        let count = |head, of, more_is_better| Self { head, of, show: grouped, more_is_better };
        match Scenario::named(name).map(|it| it.shape) {
            Some(Shape::Idle(_)) => count("B/connection", Sample::bytes_per_connection, false),
            Some(Shape::Ladder(_)) => count("messages/s", |it| f64::from(it.messages_per_s), true),
            Some(Shape::Echo(..)) => cpu("CPU µs/round trip"),
            Some(Shape::Storm { .. }) => cpu("CPU µs/connection"),
            Some(Shape::FanOut(..)) | None => cpu("CPU µs/delivery"),
        }
    }

    /// The best first; those without a figure last.
    pub(crate) fn rank<'a>(&self, entries: &'a [Entry]) -> Vec<&'a Entry> {
        let worst = if self.more_is_better { f64::NEG_INFINITY } else { f64::INFINITY };
        let key = |it: &Entry| it.median.as_ref().map_or(worst, self.of);
        let mut ranked: Vec<&Entry> = entries.iter().collect();
        ranked.sort_by(|a, b| {
            let order = key(a).total_cmp(&key(b));
            if self.more_is_better { order.reverse() } else { order }
        });
        ranked
    }
}

/// What figures are set in relation to. `None` where there is nobody, or where no run was sound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Yardsticks {
    pub(crate) reference: Option<f64>,
    /// The best peer; neither ours nor the floor.
    pub(crate) best: Option<f64>,
    pub(crate) floor: Option<f64>,
    pub(crate) best_p99_us: Option<f64>,
}

impl Yardsticks {
    pub(crate) fn of(results: &Results, scenario: &ScenarioResults, figure: Figure) -> Self {
        let by_standing = |wanted: Standing| {
            let entries = scenario.entries.iter();
            let entries = entries.filter(move |it| standing(results, &it.peer) == wanted);
            entries.filter_map(Entry::sound).collect::<Vec<_>>()
        };
        let (peers, floors) = (by_standing(Standing::Peer), by_standing(Standing::Floor));
        let better = |a: f64, b: f64| if figure.more_is_better { a.max(b) } else { a.min(b) };
        let reference = scenario.entries.iter().find(|it| it.peer == REFERENCE);
        Self {
            reference: reference.and_then(Entry::sound).map(figure.of),
            best: peers.iter().map(|it| (figure.of)(it)).reduce(better),
            floor: floors.first().map(|it| (figure.of)(it)),
            best_p99_us: peers.iter().map(|it| it.latency.p99_us).reduce(f64::min),
        }
    }
}

pub(crate) fn standing(results: &Results, peer: &str) -> Standing {
    results.peers.get(peer).map_or(Standing::Peer, |it| it.standing)
}
