//! What threads collected, closed: mergeable over threads and agents in any order, and plain data in JSON on its way from an
//! agent. Phases, seconds, streams and threads are named by number; what the numbers stand for is the scenario's and the plan's.
//!
//! Invariant: merging records and then reading a figure is the same as adding the samples up (counts add, histograms add, gauges
//! of different connections add); the bounds below hold for every record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::figures::{hdr::Hdr, reasons::Reasons};

/// A week. What comes later counts for the last second.
pub(crate) const SECONDS_MAX: u32 = 7 * 86_400;
/// Streams in trouble that are kept apart; what goes wrong with others still counts in the totals.
pub(crate) const STREAMS_MAX: usize = 1 << 16;

/// Something that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A publication went out.
    Sent,
    Acked,
    Refused,
    /// A publication was due, but the target took no more bytes of its connection.
    Withheld,
    /// A publication was due, but its publisher was away, or waited for an answer, to the end.
    Unsent,
    Opened,
    /// A dial came to nothing.
    Failed,
    /// The target or the network ended a connection.
    Dropped,
    /// This program ended a connection as planned, and opened it again.
    Left,
    Returned,
    PresenceChanged,
    Duplicated,
    Reordered,
    Corrupt,
    Misrouted,
    /// Echoed to the sender, acked twice, or delivered although refused.
    Unexpected,
    /// A delivery of another run in the same rooms.
    Foreign,
    /// The target reported an error that answers nothing.
    Fault,
}

impl Event {
    /// Whether it is an error on the timeline.
    pub(crate) fn is_error(self) -> bool {
        match self {
            Self::Refused
            | Self::Withheld
            | Self::Failed
            | Self::Dropped
            | Self::Duplicated
            | Self::Reordered
            | Self::Corrupt
            | Self::Misrouted
            | Self::Unexpected
            | Self::Fault => true,
            Self::Sent
            | Self::Acked
            // Who is away by plan does no wrong.
            | Self::Unsent
            | Self::Opened
            | Self::Left
            | Self::Returned
            | Self::PresenceChanged
            | Self::Foreign => false,
        }
    }
}

/// How often each [`Event`] happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    pub(crate) withheld: u64,
    #[serde(default)]
    pub(crate) unsent: u64,
    pub(crate) delivered: u64,
    pub(crate) opened: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) left: u64,
    pub(crate) returned: u64,
    pub(crate) presence_changed: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) misrouted: u64,
    pub(crate) unexpected: u64,
    pub(crate) foreign: u64,
    pub(crate) faults: u64,
    /// Deliveries that arrived while the phase went on, whenever they were due.
    #[serde(default)]
    pub(crate) arrived: u64,
    /// Deliveries that were there before they were due, as the clocks of two agents have it; their latency counts as 0.
    #[serde(default)]
    pub(crate) early: u64,
}

impl Counts {
    #[inline]
    pub(crate) fn add(&mut self, event: Event, count: u64) {
        *match event {
            Event::Sent => &mut self.sent,
            Event::Acked => &mut self.acked,
            Event::Refused => &mut self.refused,
            Event::Withheld => &mut self.withheld,
            Event::Unsent => &mut self.unsent,
            Event::Opened => &mut self.opened,
            Event::Failed => &mut self.failed,
            Event::Dropped => &mut self.dropped,
            Event::Left => &mut self.left,
            Event::Returned => &mut self.returned,
            Event::PresenceChanged => &mut self.presence_changed,
            Event::Duplicated => &mut self.duplicated,
            Event::Reordered => &mut self.reordered,
            Event::Corrupt => &mut self.corrupt,
            Event::Misrouted => &mut self.misrouted,
            Event::Unexpected => &mut self.unexpected,
            Event::Foreign => &mut self.foreign,
            Event::Fault => &mut self.faults,
        } += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        // Taken apart, so that a new field cannot be forgotten.
        let Self {
            sent,
            acked,
            refused,
            withheld,
            unsent,
            delivered,
            opened,
            failed,
            dropped,
            left,
            returned,
            presence_changed,
            duplicated,
            reordered,
            corrupt,
            misrouted,
            unexpected,
            foreign,
            faults,
            arrived,
            early,
        } = *other;
        self.sent += sent;
        self.acked += acked;
        self.refused += refused;
        self.withheld += withheld;
        self.unsent += unsent;
        self.delivered += delivered;
        self.opened += opened;
        self.failed += failed;
        self.dropped += dropped;
        self.left += left;
        self.returned += returned;
        self.presence_changed += presence_changed;
        self.duplicated += duplicated;
        self.reordered += reordered;
        self.corrupt += corrupt;
        self.misrouted += misrouted;
        self.unexpected += unexpected;
        self.foreign += foreign;
        self.faults += faults;
        self.arrived += arrived;
        self.early += early;
    }
}

/// A duration that is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timing {
    /// From when a publication was due to its receipt.
    Delivery,
    /// From when a dial was due to the accepted upgrade.
    Connect,
    /// From asking to be let into a room to the answer.
    Join,
    /// From when a publication was due to its answer.
    Ack,
    /// From when a publication was due to when it was handed to the socket.
    Lag,
}

/// A histogram of each [`Timing`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Timings {
    pub(crate) delivery: Hdr,
    pub(crate) connect: Hdr,
    pub(crate) join: Hdr,
    pub(crate) ack: Hdr,
    pub(crate) lag: Hdr,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            delivery: Hdr::fine(),
            connect: Hdr::fine(),
            join: Hdr::fine(),
            ack: Hdr::fine(),
            lag: Hdr::fine(),
        }
    }
}

impl Timings {
    pub(crate) fn of(&self, timing: Timing) -> &Hdr {
        match timing {
            Timing::Delivery => &self.delivery,
            Timing::Connect => &self.connect,
            Timing::Join => &self.join,
            Timing::Ack => &self.ack,
            Timing::Lag => &self.lag,
        }
    }

    #[inline]
    pub(crate) fn of_mut(&mut self, timing: Timing) -> &mut Hdr {
        match timing {
            Timing::Delivery => &mut self.delivery,
            Timing::Connect => &mut self.connect,
            Timing::Join => &mut self.join,
            Timing::Ack => &mut self.ack,
            Timing::Lag => &mut self.lag,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let Self { delivery, connect, join, ack, lag } = other;
        self.delivery.merge(delivery);
        self.connect.merge(connect);
        self.join.merge(join);
        self.ack.merge(ack);
        self.lag.merge(lag);
    }
}

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

/// What went wrong on the way from one publisher to one room, all its memberships together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) misrouted: u64,
    pub(crate) unexpected: u64,
}

impl Trouble {
    /// Counts the event, if it is one that concerns a stream.
    pub(crate) fn add(&mut self, event: Event, count: u64) {
        match event {
            Event::Duplicated => self.duplicated += count,
            Event::Reordered => self.reordered += count,
            Event::Corrupt => self.corrupt += count,
            Event::Misrouted => self.misrouted += count,
            Event::Unexpected => self.unexpected += count,
            Event::Sent
            | Event::Acked
            | Event::Refused
            | Event::Withheld
            | Event::Unsent
            | Event::Opened
            | Event::Failed
            | Event::Dropped
            | Event::Left
            | Event::Returned
            | Event::PresenceChanged
            | Event::Foreign
            | Event::Fault => {}
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let Self { lost, duplicated, reordered, corrupt, misrouted, unexpected } = *other;
        self.lost += lost;
        self.duplicated += duplicated;
        self.reordered += reordered;
        self.corrupt += corrupt;
        self.misrouted += misrouted;
        self.unexpected += unexpected;
    }

    pub(crate) fn total(&self) -> u64 {
        let Self { lost, duplicated, reordered, corrupt, misrouted, unexpected } = *self;
        lost + duplicated + reordered + corrupt + misrouted + unexpected
    }
}

/// The balance of a run, from the audit at its end: `expected = delivered + lost`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    /// Delivered although the sender was told that it was refused. (Those that were seen as they came are in [`Counts`].)
    pub(crate) unexpected: u64,
    /// Publications without an answer, where the protocol answers.
    pub(crate) unacked: u64,
    /// Deliveries that never came, of publications that may never have been accepted: their publisher's connection was lost.
    #[serde(default)]
    pub(crate) excused: u64,
}

impl Account {
    pub(crate) fn merge(&mut self, other: &Self) {
        let Self { expected, delivered, lost, unexpected, unacked, excused } = *other;
        self.excused += excused;
        self.expected += expected;
        self.delivered += delivered;
        self.lost += lost;
        self.unexpected += unexpected;
        self.unacked += unacked;
    }
}

/// Reasons by what they are about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ReasonsBy {
    pub(crate) failures: Reasons,
    pub(crate) drops: Reasons,
    pub(crate) refusals: Reasons,
    pub(crate) faults: Reasons,
}

impl ReasonsBy {
    pub(crate) fn merge(&mut self, other: &Self) {
        let Self { failures, drops, refusals, faults } = other;
        self.failures.merge(failures);
        self.drops.merge(drops);
        self.refusals.merge(refusals);
        self.faults.merge(faults);
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
