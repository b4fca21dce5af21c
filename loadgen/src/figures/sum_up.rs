//! From what was recorded to the result: totals, rates, signs that the generator was the limit, what is wrong. SLOs are judged
//! on the result, by `slo`.
//!
//! Totals: connects, joins and outages of all phases (they happen in ramps); deliveries' latencies, answers, lag and rates of the
//! measured phases; everything that is to be 0 of all phases.

use crate::{
    figures::{
        record::{
            Counts, PhaseRecord, Record, SecondRecord, ThreadPhase, ThreadRecord, Timing, Timings, Trouble,
        },
        summary::{
            Agent, Connections, Count, Deliveries, FORMAT, Generator, Latency, Load, Machine, Phase,
            PhaseName, Publications, Second, Server, Stream, Summary, Target, Thread, Throughput, Times,
            WORST_MAX,
        },
    },
    report::format,
    scenario::{Disconnects, Scenario},
};

/// A thread that used more of a core had no time to spare.
pub(crate) const CPU_RATIO_MAX: f64 = 0.85;
/// Shorter phases say nothing about shares of the time.
const WALL_NS_MIN: u64 = 100_000_000;
/// Publications later than this are the generator's delay, not the target's.
pub(crate) const LAG_P99_NS_MAX: u64 = 1_000_000;
/// What was seen later than this, for 1 % of the time, is the generator's delay, too.
const READ_LAG_P99_NS_MAX: u64 = 1_000_000;
/// When more of the deliveries were excused, losses may hide among them.
const EXCUSED_RATIO_MAX: f64 = 0.001;
/// When more waits in one socket than a read takes, deliveries were there long before they were counted.
const UNREAD_BYTES_MAX: u64 = 256 << 10;

/// What a result needs to know beside the record.
pub(crate) struct Facts<'a> {
    pub(crate) scenario: &'a Scenario,
    /// Of the scenario's phases, as far as they were reached: from when to when, in seconds of the run's clock.
    pub(crate) spans: Vec<(f64, f64)>,
    pub(crate) started_unix_s: u64,
    pub(crate) machine: Machine,
    pub(crate) target: Target,
    pub(crate) agents: Vec<Agent>,
    /// With source, samples and notes; the rest follows.
    pub(crate) server: Option<Server>,
    pub(crate) interrupted: bool,
    /// Who a stream is.
    pub(crate) stream: &'a dyn Fn(u32) -> StreamFacts,
}

/// Who publishes where.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamFacts {
    pub(crate) publisher: u32,
    pub(crate) role: String,
    pub(crate) room: String,
    pub(crate) sent: u64,
}

impl Summary {
    pub(crate) fn of(facts: Facts<'_>, record: &Record) -> Self {
        let counts = record.counts();
        let server = facts.server.as_ref();
        let phases: Vec<Phase> = facts
            .spans
            .iter()
            .zip(&facts.scenario.phases)
            .zip(&record.phases)
            .enumerate()
            .map(|(index, ((span, phase), recorded))| {
                let limited = find_limits(&phase.name, index, recorded, &record.threads);
                Phase::of(phase, *span, recorded, server, limited)
            })
            .collect();
        let totals = Totals::of(&phases, record);
        let seconds: Vec<Second> = (0..).zip(&record.seconds).map(Second::of).collect();
        let open_max = seconds.iter().map(|second| second.open).max().unwrap_or(0);
        let mut summary = Self {
            format: FORMAT,
            program: concat!("loadgen ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_unix_s: facts.started_unix_s,
            machine: facts.machine,
            target: facts.target,
            load: Load::of(facts.scenario, record.threads.len() as u32, facts.agents.len() as u32),
            connections: Connections {
                opened: counts.opened,
                failed: counts.failed,
                dropped: counts.dropped,
                left: counts.left,
                returned: counts.returned,
                missing: record.account.missing,
                open_max,
                failures: record.reasons.failures.clone(),
                drops: record.reasons.drops.clone(),
            },
            publications: Publications {
                sent: counts.sent,
                acked: counts.acked,
                refused: counts.refused,
                unacked: record.account.unacked,
                withheld: counts.withheld,
                unsent: counts.unsent,
                presence_changed: counts.presence_changed,
                refusals: record.reasons.refusals.clone(),
                faults: record.reasons.faults.clone(),
            },
            deliveries: Deliveries {
                expected: record.account.expected,
                delivered: record.account.delivered,
                lost: record.account.lost,
                duplicated: counts.duplicated,
                reordered: counts.reordered,
                corrupt: counts.corrupt,
                misrouted: counts.misrouted,
                unexpected: counts.unexpected + record.account.unexpected,
                foreign: counts.foreign,
                excused: record.account.excused,
                silent: record.account.silent,
            },
            server: facts.server.map(|server| server.summed_up(&phases, &totals.counts, open_max)),
            generator: Generator::of(&phases, &record.threads, facts.agents),
            phases,
            latency: totals.latency,
            throughput: totals.throughput,
            seconds,
            worst_streams: worst(record, facts.stream),
            slos: Vec::new(),
            passed: false,
            problems: Vec::new(),
            warnings: Vec::new(),
            interrupted: facts.interrupted,
        };
        summary.find_problems(&[]);
        summary.find_warnings();
        summary
    }

    /// Fills in what is wrong; `excused` is what somebody has allowed by an SLO that held.
    pub(crate) fn find_problems(&mut self, excused: &[Count]) {
        let wrong = |count: Count| {
            // Who interrupts a run does not wait until all are back.
            let is_cut_short = count == Count::Missing && self.interrupted;
            let wrong = self.count(count).saturating_sub(self.expected_disconnects(count));
            (wrong > 0 && !is_cut_short && !excused.contains(&count)).then_some((count, wrong))
        };
        let wrong = Count::ALL.into_iter().filter_map(wrong);
        let mut problems: Vec<String> =
            wrong.map(|(count, wrong)| format!("{}: {}", count.problem(), format::count(wrong))).collect();
        let due = self.publications.sent + self.publications.withheld + self.publications.unsent;
        if problems.is_empty() && due > 0 && self.deliveries.expected == 0 {
            problems.push("nothing was delivered or expected".to_owned());
        }
        // Who interrupts a ramp knows why.
        if problems.is_empty() && self.throughput.measured_s == 0.0 && !self.interrupted {
            problems.push("nothing was measured".to_owned());
        }
        self.problems = problems;
        // Of what was not run to its end nobody knows.
        self.passed = self.problems.is_empty() && self.slos.iter().all(|slo| slo.held) && !self.interrupted;
    }

    fn find_warnings(&mut self) {
        let mut warnings = Vec::new();
        if self.interrupted {
            warnings.push("interrupted: the run is shorter than planned".to_owned());
        }
        if self.load.closed {
            warnings.push(
                "closed loop: while the target is slow nothing is sent, so that the slowest are left out"
                    .to_owned(),
            );
        }
        if self.deliveries.foreign > 0 {
            let count = format::count(self.deliveries.foreign);
            warnings.push(format!("deliveries of another run in the same rooms, not counted: {count}"));
        }
        let Deliveries { excused, expected, .. } = self.deliveries;
        if excused as f64 > expected as f64 * EXCUSED_RATIO_MAX {
            let count = format::count(excused);
            warnings.push(format!(
                "deliveries that never came, not counted as lost since their publisher's connection was lost: {count}"
            ));
        }
        let early = self.phases.iter().map(|phase| phase.counts.early).sum::<u64>();
        if early > 0 {
            let count = format::count(early);
            warnings.push(format!(
                "deliveries that arrived before they were due, by the clocks of two agents: {count}; their latency counts as 0"
            ));
        }
        for (code, count) in self.publications.faults.ranked() {
            warnings.push(format!("the target reported {code}: {}", format::count(count)));
        }
        if let Some(server) = &self.server {
            warnings.extend(server.notes.iter().map(|note| format!("server: {note}")));
        }
        self.warnings = warnings;
    }
}

impl Count {
    fn problem(self) -> &'static str {
        match self {
            Self::Lost => "deliveries lost",
            Self::Duplicated => "deliveries duplicated",
            Self::Reordered => "deliveries out of order",
            Self::Corrupt => "messages corrupt",
            Self::Misrouted => "messages misrouted",
            Self::Unexpected => "messages echoed, acked twice, or delivered although refused",
            Self::Refused => "publications refused",
            Self::Unacked => "publications not acked",
            Self::Withheld => "publications withheld (the target took no more bytes of the connection)",
            Self::Failed => "connections failed",
            Self::Dropped => "connections dropped",
            Self::Missing => "connections that were ended and not back at the end",
            Self::Silent => "memberships that came later and heard nothing",
        }
    }
}

impl Phase {
    fn of(
        phase: &crate::scenario::Phase,
        (start_s, end_s): (f64, f64),
        recorded: &PhaseRecord,
        server: Option<&Server>,
        limited: Vec<String>,
    ) -> Self {
        let counts = recorded.counts;
        let server_cpu_s = server.and_then(|server| server.cpu_between(start_s, end_s));
        Self {
            name: phase.name.clone(),
            kind: PhaseName::of(phase.kind),
            measured: phase.measured,
            disconnects_expected: phase.disconnects == Disconnects::Expected,
            start_s,
            end_s,
            counts,
            latency: Latency::of(&recorded.timings),
            throughput: Throughput::of(&counts, end_s - start_s),
            server_cpu_s,
            server_cpu_per_delivery_us: per_delivery_us(server_cpu_s, counts.arrived),
            server_memory_bytes: server.and_then(|server| server.memory_between(start_s, end_s)),
            limited,
        }
    }

    pub(crate) fn length_s(&self) -> f64 {
        self.end_s - self.start_s
    }
}

/// CPU time in µs per delivery that arrived in that time, where both are known.
pub(crate) fn per_delivery_us(cpu_s: Option<f64>, arrived: u64) -> Option<f64> {
    cpu_s.filter(|_| arrived > 0).map(|cpu_s| cpu_s * 1e6 / arrived as f64)
}

impl Latency {
    fn of(timings: &Timings) -> Self {
        let times = |timing| Times::of(timings.of(timing).clone());
        Self {
            delivery: times(Timing::Delivery),
            connect: times(Timing::Connect),
            join: times(Timing::Join),
            ack: times(Timing::Ack),
            lag: times(Timing::Lag),
            outage: times(Timing::Outage),
        }
    }
}

impl Throughput {
    fn of(counts: &Counts, measured_s: f64) -> Self {
        let per_s = |count: u64| if measured_s > 0.0 { count as f64 / measured_s } else { 0.0 };
        // What is due in a phase and comes after it was not delivered in its time.
        Self { measured_s, sent_per_s: per_s(counts.sent), delivered_per_s: per_s(counts.arrived) }
    }
}

impl Second {
    fn of((second, recorded): (u32, &SecondRecord)) -> Self {
        let Times { p50_us, p99_us, max_us, hdr, .. } = Times::of(recorded.latencies());
        Self {
            second,
            sent: recorded.sent,
            delivered: recorded.delivered,
            errors: recorded.errors,
            open: recorded.open,
            p50_us,
            p99_us,
            max_us,
            hdr,
        }
    }
}

/// What phases come to together.
struct Totals {
    /// Of measured phases, as is the throughput.
    counts: Counts,
    latency: Latency,
    throughput: Throughput,
}

impl Totals {
    fn of(phases: &[Phase], record: &Record) -> Self {
        let mut counts = Counts::default();
        let mut timings = Timings::default();
        let mut measured_s = 0.0;
        for (phase, recorded) in phases.iter().zip(&record.phases) {
            timings.connect.merge(&recorded.timings.connect);
            timings.join.merge(&recorded.timings.join);
            timings.outage.merge(&recorded.timings.outage);
            if phase.measured {
                measured_s += phase.length_s();
                counts.merge(&recorded.counts);
                timings.delivery.merge(&recorded.timings.delivery);
                timings.ack.merge(&recorded.timings.ack);
                timings.lag.merge(&recorded.timings.lag);
            }
        }
        Self { counts, latency: Latency::of(&timings), throughput: Throughput::of(&counts, measured_s) }
    }
}

impl Generator {
    fn of(phases: &[Phase], records: &[ThreadRecord], agents: Vec<Agent>) -> Self {
        let mut threads: Vec<Thread> = records.iter().map(|record| Thread::of(phases, record)).collect();
        threads.sort_by_key(|thread| (thread.agent, thread.thread));
        let limited = phases.iter().filter(|phase| phase.measured).flat_map(|phase| phase.limited.clone());
        Self { threads, agents, limited: limited.collect() }
    }
}

impl Thread {
    fn of(phases: &[Phase], record: &ThreadRecord) -> Self {
        let measured =
            || phases.iter().zip(&record.phases).filter(|(phase, _)| phase.measured).map(|(_, own)| own);
        let together = measured().fold(ThreadPhase::default(), |sum, own| ThreadPhase {
            cpu_ns: sum.cpu_ns + own.cpu_ns,
            wall_ns: sum.wall_ns + own.wall_ns,
            lag_p99_ns: sum.lag_p99_ns.max(own.lag_p99_ns),
            unsent_bytes_max: sum.unsent_bytes_max.max(own.unsent_bytes_max),
            unread_bytes_max: sum.unread_bytes_max.max(own.unread_bytes_max),
            read_lag_p99_ns: sum.read_lag_p99_ns.max(own.read_lag_p99_ns),
            read_lag_max_ns: sum.read_lag_max_ns.max(own.read_lag_max_ns),
            looks: sum.looks + own.looks,
            reads: sum.reads + own.reads,
        });
        Self {
            agent: record.agent,
            thread: record.thread,
            cpu_ratio: (together.wall_ns > 0).then(|| together.cpu_ns as f64 / together.wall_ns as f64),
            lag_p99_us: together.lag_p99_ns as f64 / 1e3,
            unsent_bytes_max: together.unsent_bytes_max,
            unread_bytes_max: together.unread_bytes_max,
            read_lag_p99_us: together.read_lag_p99_ns as f64 / 1e3,
            read_lag_max_us: together.read_lag_max_ns as f64 / 1e3,
            phases: record.phases.clone(),
        }
    }
}

/// Signs that the generator was what limited or delayed this phase.
fn find_limits(name: &str, index: usize, recorded: &PhaseRecord, threads: &[ThreadRecord]) -> Vec<String> {
    let mut limits = Vec::new();
    let several_agents = threads.iter().any(|thread| thread.agent > 0);
    for thread in threads {
        let Some(own) = thread.phases.get(index) else { continue };
        let who = if several_agents {
            format!("agent {}, thread {}", thread.agent, thread.thread)
        } else {
            format!("thread {}", thread.thread)
        };
        let ratio = own.cpu_ns as f64 / own.wall_ns.max(1) as f64;
        if own.wall_ns >= WALL_NS_MIN && ratio >= CPU_RATIO_MAX {
            limits.push(format!("{name}: {who} used {:.0} % of a core", ratio * 100.0));
        }
        if own.unread_bytes_max > UNREAD_BYTES_MAX {
            let waiting = format::bytes(own.unread_bytes_max);
            limits.push(format!("{name}: {who} let {waiting} wait in a socket"));
        }
        if own.wall_ns >= WALL_NS_MIN && own.read_lag_p99_ns > READ_LAG_P99_NS_MAX {
            limits.push(format!(
                "{name}: {who} saw what arrived in 1 % of the time {} or more later, which the latencies include",
                format::micros(own.read_lag_p99_ns as f64 / 1e3)
            ));
        }
    }
    if let Some(lag_ns) = recorded.timings.lag.at(0.99).filter(|lag_ns| *lag_ns > LAG_P99_NS_MAX) {
        limits.push(format!(
            "{name}: 1 % of publications left {} or more after their time, which the latencies include",
            format::micros(lag_ns as f64 / 1e3)
        ));
    }
    limits
}

fn worst(record: &Record, name: &dyn Fn(u32) -> StreamFacts) -> Vec<Stream> {
    let mut streams: Vec<(&u32, &Trouble)> = record.streams.iter().collect();
    // Of those in equal trouble the first ones: the sort is stable.
    streams.sort_by_key(|(_, trouble)| std::cmp::Reverse(trouble.total()));
    let listed = streams.into_iter().filter(|(_, trouble)| trouble.total() > 0).take(WORST_MAX);
    listed
        .map(|(&stream, &trouble)| {
            let StreamFacts { publisher, role, room, sent } = name(stream);
            Stream { stream, publisher, role, room, sent, trouble }
        })
        .collect()
}

#[cfg(test)]
#[path = "sum_up_tests.rs"]
pub(crate) mod tests;
