//! What threads collected, closed: mergeable over threads and agents in any order, and plain data in JSON on its way from an
//! agent. Phases, seconds, streams and threads are named by number; what the numbers stand for is the scenario's and the plan's.
//!
//! Invariant: merging records and then reading a figure is the same as adding the samples up (counts add, histograms add, gauges
//! of different connections add); the bounds below hold for every record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use crate::figures::counts::{Account, Counts, Event, ReasonsBy, Timing, Timings, Trouble};
use crate::figures::hdr::Hdr;

/// A week. What comes later counts for the last second.
pub(crate) const SECONDS_MAX: u32 = 7 * 86_400;
/// Streams in trouble that are kept apart; what goes wrong with others still counts in the totals.
pub(crate) const STREAMS_MAX: usize = 1 << 16;

/// One phase of the scenario.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PhaseRecord {
    pub(crate) counts: Counts,
    pub(crate) timings: Timings,
}

/// One second of the run's clock.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SecondRecord {
    pub(crate) sent: u64,
    /// By when they arrived (a phase counts them by when they were due).
    pub(crate) delivered: u64,
    pub(crate) errors: u64,
    /// Connections open at its end.
    pub(crate) open: u64,
    /// Latencies of the deliveries: [`Hdr::encode`].
    #[serde(with = "as_base64")]
    pub(crate) delivery: Vec<u8>,
}

impl SecondRecord {
    /// Adds what other connections did in the same second.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.errors += other.errors;
        self.open += other.open;
        if self.delivery.is_empty() {
            self.delivery.clone_from(&other.delivery);
        } else if !other.delivery.is_empty() {
            let mut sum = self.latencies();
            sum.merge(&other.latencies());
            self.delivery = sum.encode();
        }
    }

    /// Latencies of its deliveries. What cannot be read (an agent may send anything) is empty.
    pub(crate) fn latencies(&self) -> Hdr {
        Hdr::decode(&self.delivery).unwrap_or_else(|_| Hdr::coarse())
    }
}

/// One thread of the generator.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ThreadRecord {
    /// From 0; whoever merges agents' records numbers them.
    pub(crate) agent: u32,
    pub(crate) thread: u32,
    pub(crate) phases: Vec<ThreadPhase>,
}

/// How a thread fared in one phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ThreadPhase {
    pub(crate) cpu_ns: u64,
    pub(crate) wall_ns: u64,
    /// 99th percentile of [`Timing::Lag`]; 0 where nothing was sent.
    pub(crate) lag_p99_ns: u64,
    /// The most at any look: bytes that sockets had not taken, and bytes that waited in sockets to be read.
    pub(crate) unsent_bytes_max: u64,
    pub(crate) unread_bytes_max: u64,
    /// What the thread saw later than this for 1 % of the time, and the longest that it did not look at its sockets:
    /// [`ReadLag`](crate::figures::read_lag::ReadLag).
    #[serde(default)]
    pub(crate) read_lag_p99_ns: u64,
    #[serde(default)]
    pub(crate) read_lag_max_ns: u64,
    /// How often it looked, and how often it read from a socket that had something.
    #[serde(default)]
    pub(crate) looks: u64,
    #[serde(default)]
    pub(crate) reads: u64,
}

/// Everything that one thread, or many, collected.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// By the scenario's phase.
    pub(crate) phases: Vec<PhaseRecord>,
    /// By second of the run.
    pub(crate) seconds: Vec<SecondRecord>,
    pub(crate) account: Account,
    pub(crate) reasons: ReasonsBy,
    /// By number of the stream; at most [`STREAMS_MAX`].
    pub(crate) streams: BTreeMap<u32, Trouble>,
    pub(crate) threads: Vec<ThreadRecord>,
}

impl Record {
    /// Adds what others collected in the same run.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.phases.len() < other.phases.len() {
            self.phases.resize_with(other.phases.len(), PhaseRecord::default);
        }
        for (phase, more) in self.phases.iter_mut().zip(&other.phases) {
            phase.counts.merge(&more.counts);
            phase.timings.merge(&more.timings);
        }
        self.merge_seconds(&other.seconds);
        self.account.merge(&other.account);
        self.reasons.merge(&other.reasons);
        for (stream, trouble) in &other.streams {
            self.trouble_mut(*stream).merge(trouble);
        }
        self.threads.extend(other.threads.iter().cloned());
    }

    /// What the audit found lost of a stream.
    pub(crate) fn lost(&mut self, stream: u32, count: u64) {
        if count > 0 {
            self.trouble_mut(stream).lost += count;
        }
    }

    /// So many connections of that ramp were not tried to the end before its patience was: they failed, too.
    pub(crate) fn never_opened(&mut self, ramp: usize, count: u64) {
        if let Some(phase) = self.phases.get_mut(ramp).filter(|_| count > 0) {
            phase.counts.add(Event::Failed, count);
            self.reasons.failures.add_count("never opened: the ramp took longer than its patience", count);
        }
    }

    /// The sum over all phases.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.phases.iter().for_each(|phase| sum.merge(&phase.counts));
        sum
    }

    /// Connections stay as they were after the end of the shorter one.
    fn merge_seconds(&mut self, others: &[SecondRecord]) {
        let open_at_end = |seconds: &[SecondRecord]| seconds.last().map_or(0, |second| second.open);
        let (ours, theirs) = (open_at_end(&self.seconds), open_at_end(others));
        let common = others.len().min(self.seconds.len());
        for second in &mut self.seconds[common..] {
            second.open += theirs;
        }
        for (second, more) in self.seconds.iter_mut().zip(others) {
            second.merge(more);
        }
        self.seconds.extend(
            others[common..].iter().map(|more| SecondRecord { open: more.open + ours, ..more.clone() }),
        );
    }

    /// Where the stream's troubles are counted; those of streams past the bound are with the last one.
    fn trouble_mut(&mut self, stream: u32) -> &mut Trouble {
        let known = self.streams.len() < STREAMS_MAX || self.streams.contains_key(&stream);
        self.streams.entry(if known { stream } else { u32::MAX }).or_default()
    }

    pub(crate) fn trouble(&mut self, stream: u32, event: Event) {
        self.trouble_mut(stream).add(event, 1);
    }
}

/// Bytes as base64 text in JSON.
mod as_base64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], sink: S) -> Result<S::Ok, S::Error> {
        sink.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(source)?).map_err(D::Error::custom)
    }
}
