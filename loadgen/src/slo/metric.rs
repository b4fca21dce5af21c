//! What SLOs can be about: the closed list of metrics, their names, and the units of their limits.

use crate::figures::{record::Timing, summary::Count};

/// Something that a run measures, for SLOs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Metric {
    Time(Timing, Stat),
    Count(Count),
    /// All of [`Count::ALL`] together.
    Errors,
    SentRate,
    DeliveredRate,
    CpuPerDelivery,
    /// The most.
    ServerMemory,
    MemoryPerConn,
}

/// What of a histogram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Stat {
    /// From 0 to 1.
    Quantile(f64),
    Max,
    Mean,
}

/// What a limit measures, and so its units. Base units are those of the first factor 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dimension {
    /// In nanoseconds.
    Time,
    /// A number, or a share of what there could have been.
    Count,
    /// A number only.
    Number,
    PerSecond,
    Bytes,
}

/// A unit and how much of the base unit it is.
pub(crate) type Unit = (&'static str, f64);

impl Dimension {
    /// The longer of two that begin alike comes first.
    pub(crate) fn units(self) -> &'static [Unit] {
        match self {
            Self::Time => &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)],
            Self::Count => &[("%", 0.01)],
            Self::Number => &[],
            Self::PerSecond => &[("/s", 1.0)],
            Self::Bytes => &[("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0), ("B", 1.0)],
        }
    }

    /// Whether a number without a unit says nothing.
    pub(crate) fn needs_unit(self) -> bool {
        match self {
            Self::Time | Self::Bytes => true,
            Self::Count | Self::Number | Self::PerSecond => false,
        }
    }

    /// What to write after the number.
    pub(crate) fn units_told(self) -> &'static str {
        match self {
            Self::Time => "a time needs a unit: ns, us, ms or s",
            Self::Count => "a count has no unit, or is a share in %",
            Self::Number => "this is a number without a unit",
            Self::PerSecond => "a rate is a number, with or without /s",
            Self::Bytes => "an amount of memory needs a unit: B, KiB, MiB or GiB",
        }
    }
}

/// Metrics with a name of their own; those of times are put together from [`TIMINGS`] and [`Stat`]s.
pub(crate) const NAMED: [(&str, Metric); 19] = [
    ("loss", Metric::Count(Count::Lost)),
    ("duplicates", Metric::Count(Count::Duplicated)),
    ("reordered", Metric::Count(Count::Reordered)),
    ("corrupt", Metric::Count(Count::Corrupt)),
    ("misrouted", Metric::Count(Count::Misrouted)),
    ("unexpected", Metric::Count(Count::Unexpected)),
    ("refused", Metric::Count(Count::Refused)),
    ("unacked", Metric::Count(Count::Unacked)),
    ("withheld", Metric::Count(Count::Withheld)),
    ("failed", Metric::Count(Count::Failed)),
    ("dropped", Metric::Count(Count::Dropped)),
    ("missing", Metric::Count(Count::Missing)),
    ("silent", Metric::Count(Count::Silent)),
    ("errors", Metric::Errors),
    ("delivered_rate", Metric::DeliveredRate),
    ("sent_rate", Metric::SentRate),
    ("cpu_per_delivery", Metric::CpuPerDelivery),
    ("server_memory", Metric::ServerMemory),
    ("memory_per_conn", Metric::MemoryPerConn),
];

/// How the metrics of times begin.
pub(crate) const TIMINGS: [(&str, Timing); 6] = [
    ("", Timing::Delivery),
    ("connect_", Timing::Connect),
    ("join_", Timing::Join),
    ("ack_", Timing::Ack),
    ("lag_", Timing::Lag),
    ("outage_", Timing::Outage),
];

impl Metric {
    /// By its name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric);
        named.or_else(|| {
            TIMINGS.iter().find_map(|(prefix, timing)| {
                Some(Self::Time(*timing, Stat::parse(name.strip_prefix(prefix)?)?))
            })
        })
    }

    /// Names to choose from, the usual percentiles among them.
    pub(crate) fn names() -> impl Iterator<Item = String> {
        let stats = ["p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"];
        let times = TIMINGS.iter().flat_map(move |(prefix, _)| stats.map(|stat| format!("{prefix}{stat}")));
        times.chain(NAMED.iter().map(|(name, _)| (*name).to_owned()))
    }

    pub(crate) fn dimension(self) -> Dimension {
        match self {
            Self::Time(..) | Self::CpuPerDelivery => Dimension::Time,
            Self::Count(_) => Dimension::Count,
            Self::Errors => Dimension::Number,
            Self::SentRate | Self::DeliveredRate => Dimension::PerSecond,
            Self::ServerMemory | Self::MemoryPerConn => Dimension::Bytes,
        }
    }

    /// Whether it is known for a single phase. What is missing shows only at the end of the run.
    pub(crate) fn has_phases(self) -> bool {
        match self {
            Self::Time(..)
            | Self::SentRate
            | Self::DeliveredRate
            | Self::CpuPerDelivery
            | Self::ServerMemory => true,
            Self::Count(Count::Lost | Count::Unacked | Count::Missing | Count::Silent)
            | Self::Errors
            | Self::MemoryPerConn => false,
            Self::Count(
                Count::Duplicated
                | Count::Reordered
                | Count::Corrupt
                | Count::Misrouted
                | Count::Unexpected
                | Count::Refused
                | Count::Withheld
                | Count::Failed
                | Count::Dropped,
            ) => true,
        }
    }
}

impl Stat {
    /// `p99.9`, `max`, `mean`.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "max" => Some(Self::Max),
            "mean" => Some(Self::Mean),
            _ => {
                let digits = text.strip_prefix('p')?;
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                // Not divided: that would make another number of 99.9, one sample further up.
                let quantile: f64 = format!("{digits}e-2").parse().ok().filter(|_| plain)?;
                (quantile > 0.0 && quantile <= 1.0).then_some(Self::Quantile(quantile))
            }
        }
    }
}
