//! The result of a run: figures, what is wrong with the target, and what to doubt in the figures.
//! This is what `--json` writes and the table shows.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    cli::args::Config,
    client::lead::Finished,
    client::traffic::Counts,
    client::worker::{Outcome, Tally},
    figures::latency::{self, Percentiles},
    figures::reasons::Reasons,
    plan::{ConnId, Plan, Slot},
    report::format,
    truth::audit::{Balance, Published},
};

/// A thread that used more of a core had no time to spare.
const CPU_RATIO_MAX: f64 = 0.85;
/// Publications later than this are the generator's delay, not the target's.
const LAG_P99_US_MAX: f64 = 1_000.0;

/// Changes when a field changes its meaning or goes away.
const FORMAT: u32 = 1;

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) format: u32,
    pub(crate) target: String,
    /// Where the tokens came from.
    pub(crate) tokens: String,
    pub(crate) load: Load,
    pub(crate) connections: Connections,
    pub(crate) publications: Publications,
    pub(crate) deliveries: Deliveries,
    pub(crate) latency: Latency,
    pub(crate) throughput: Throughput,
    pub(crate) generator: Generator,
    /// Nothing is wrong with the target.
    pub(crate) passed: bool,
    pub(crate) problems: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// What was asked for.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) mode: &'static str,
    pub(crate) conns: u32,
    pub(crate) rooms: u32,
    pub(crate) publishers: u32,
    pub(crate) rate_per_s: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) arrivals: &'static str,
    pub(crate) warmup_s: f64,
    pub(crate) duration_s: f64,
    pub(crate) connect_rate_per_s: f64,
    pub(crate) churn_rate_per_s: f64,
    pub(crate) threads: u32,
    pub(crate) seed: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Connections {
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    /// Ended by the target or the network.
    pub(crate) dropped: u64,
    /// Ended by this program in churn mode, and opened again.
    pub(crate) left: u64,
    pub(crate) returned: u64,
    pub(crate) failures: Reasons,
    pub(crate) drops: Reasons,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Publications {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    pub(crate) unacked: u64,
    /// Due, but not sent: the target took no more bytes of that connection.
    pub(crate) withheld: u64,
    pub(crate) refusals: Reasons,
    /// `system:error` by code.
    pub(crate) faults: Reasons,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Deliveries {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Includes those that arrived corrupt or misrouted only.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) misrouted: u64,
    /// Echoed to the sender, acked twice, or delivered although refused.
    pub(crate) unexpected: u64,
    /// Of another run in the same rooms.
    pub(crate) foreign: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Latency {
    /// From the scheduled time of publication to receipt, for publications due in the measured phase.
    pub(crate) delivery: Percentiles,
    /// From dialing to the accepted upgrade.
    pub(crate) connect: Percentiles,
    pub(crate) join: Percentiles,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Throughput {
    pub(crate) measured_s: f64,
    pub(crate) published_per_s: f64,
    pub(crate) delivered_per_s: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Generator {
    /// Share of one core, by thread.
    pub(crate) cpu_ratios: Vec<f64>,
    /// From the scheduled time of publication to sending.
    pub(crate) scheduling_lag: Percentiles,
    pub(crate) memory_bytes: u64,
    pub(crate) limited: bool,
}

impl Summary {
    pub(crate) fn of(config: &Config, target: String, tokens: String, finished: &Finished) -> Self {
        let plan = Plan::new(config);
        let sums = Sums::of(&plan, &finished.outcomes);
        let Sums { counts, balance, tally, latency, unacked, refusals, faults } = sums;
        let measured_s = finished.measured.as_secs_f64();
        let per_s = |count: u64| if measured_s > 0.0 { count as f64 / measured_s } else { 0.0 };
        let mut summary = Self {
            format: FORMAT,
            target,
            tokens,
            load: Load::of(config),
            connections: Connections {
                opened: tally.opened,
                failed: tally.failed,
                dropped: tally.dropped,
                left: tally.left,
                returned: tally.returned,
                failures: tally.failures,
                drops: tally.drops,
            },
            publications: Publications {
                sent: counts.sent,
                acked: counts.acked,
                refused: counts.refused,
                unacked,
                withheld: counts.withheld,
                refusals,
                faults,
            },
            deliveries: Deliveries {
                expected: balance.expected,
                delivered: balance.delivered,
                lost: balance.lost,
                duplicated: counts.duplicated,
                reordered: counts.reordered,
                corrupt: counts.corrupt,
                misrouted: counts.misrouted,
                unexpected: counts.unexpected + balance.unexpected,
                foreign: counts.foreign,
            },
            latency: Latency {
                delivery: Percentiles::of(&latency),
                connect: Percentiles::of(&tally.connect),
                join: Percentiles::of(&tally.join),
            },
            throughput: Throughput {
                measured_s,
                published_per_s: per_s(counts.sent_measured),
                delivered_per_s: per_s(counts.delivered_measured),
            },
            generator: Generator {
                cpu_ratios: finished.outcomes.iter().map(|outcome| outcome.cpu_ratio).collect(),
                scheduling_lag: Percentiles::of(&tally.lag),
                memory_bytes: finished.memory_bytes,
                limited: false,
            },
            passed: false,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        summary.judge(finished.interrupted);
        summary
    }

    /// Fills in what follows from the figures.
    pub(crate) fn judge(&mut self, interrupted: bool) {
        self.problems = self.find_problems();
        self.passed = self.problems.is_empty();
        let limits = self.find_limits();
        self.generator.limited = !limits.is_empty();
        self.warnings = limits;
        if interrupted {
            self.warnings.push("interrupted: the run is shorter than planned".to_owned());
        }
        if self.deliveries.foreign > 0 {
            let count = format::count(self.deliveries.foreign);
            self.warnings.push(format!("deliveries of another run in the same rooms, not counted: {count}"));
        }
        for (code, count) in self.publications.faults.ranked() {
            self.warnings.push(format!("system:error {code}: {}", format::count(count)));
        }
    }

    fn find_problems(&self) -> Vec<String> {
        let Self { connections, publications, deliveries, .. } = self;
        let wrong = [
            (deliveries.lost, "deliveries lost"),
            (deliveries.duplicated, "deliveries duplicated"),
            (deliveries.reordered, "deliveries out of order"),
            (deliveries.corrupt, "messages corrupt"),
            (deliveries.misrouted, "messages misrouted"),
            (deliveries.unexpected, "messages echoed, acked twice, or delivered although refused"),
            (publications.refused, "publications refused"),
            (publications.unacked, "publications not acked"),
            (
                publications.withheld,
                "publications withheld (the target took no more bytes of the connection)",
            ),
            (connections.failed, "connections failed"),
            (connections.dropped, "connections dropped"),
        ];
        let mut problems: Vec<String> = Vec::new();
        for (count, what) in wrong.iter().filter(|(count, _)| *count > 0) {
            problems.push(format!("{what}: {}", format::count(*count)));
        }
        if problems.is_empty() && self.throughput.measured_s == 0.0 {
            problems.push("nothing was measured".to_owned());
        }
        problems
    }

    /// Signs that the generator was what limited or delayed.
    fn find_limits(&self) -> Vec<String> {
        let Generator { cpu_ratios, scheduling_lag, .. } = &self.generator;
        let mut limits = Vec::new();
        for (thread, ratio) in cpu_ratios.iter().enumerate().filter(|(_, ratio)| **ratio >= CPU_RATIO_MAX) {
            limits.push(format!(
                "the generator was the limit: thread {thread} used {:.0} % of a core (try more --threads, or a lower --rate)",
                ratio * 100.0
            ));
        }
        if scheduling_lag.p99_us > LAG_P99_US_MAX {
            limits.push(format!(
                "the generator was late: 1 % of publications left {} or more after their time, which the latencies include",
                format::micros(scheduling_lag.p99_us)
            ));
        }
        limits
    }
}

impl Load {
    fn of(config: &Config) -> Self {
        Self {
            mode: config.mode.name(),
            conns: config.conns,
            rooms: config.rooms,
            publishers: config.publishers,
            rate_per_s: config.rate,
            payload_bytes: config.payload_bytes,
            arrivals: config.arrivals.name(),
            warmup_s: config.warmup.as_secs_f64(),
            duration_s: config.duration.as_secs_f64(),
            connect_rate_per_s: config.connect_rate,
            churn_rate_per_s: config.churn_rate,
            threads: config.threads,
            seed: config.seed,
        }
    }
}

/// All threads together.
struct Sums {
    counts: Counts,
    balance: Balance,
    tally: Tally,
    latency: Histogram<u64>,
    unacked: u64,
    refusals: Reasons,
    faults: Reasons,
}

impl Sums {
    fn of(plan: &Plan, outcomes: &[Outcome]) -> Self {
        let mut published = vec![Published::default(); plan.publishers() as usize];
        for outcome in outcomes {
            for (slot, publisher) in (0..).map(Slot).zip(&outcome.books.published) {
                let ConnId(index) = plan.conn_at(outcome.thread, slot);
                published[index as usize] = publisher.clone();
            }
        }
        let mut sums = Self {
            counts: Counts::default(),
            balance: Balance::default(),
            tally: Tally::default(),
            latency: latency::histogram(),
            unacked: published.iter().map(|publisher| publisher.unacked.len()).sum(),
            refusals: Reasons::default(),
            faults: Reasons::default(),
        };
        for Outcome { thread, books, members, tally, .. } in outcomes {
            sums.counts += books.counts;
            sums.tally.merge(tally);
            sums.latency += &books.latency;
            sums.refusals.merge(&books.refusals);
            sums.faults.merge(&books.faults);
            sums.balance.add_members(plan, *thread, &books.ledger, &published, |slot| members[slot.index()]);
            sums.balance.add_delivered(books.counts.delivered_midway);
            for (ConnId(publisher), missing) in &books.midway {
                sums.balance.add_gaps(&published[*publisher as usize], missing);
            }
        }
        sums
    }
}

/// The length that JSON and table give.
impl Throughput {
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.measured_s)
    }
}
