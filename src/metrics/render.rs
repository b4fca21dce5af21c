//! The three forms in which metrics are given out.

use std::collections::BTreeMap;

use prometheus::{
    TextEncoder,
    proto::{Metric, MetricFamily, MetricType},
};
use serde::Serialize;

use super::openmetrics;

/// A form of exposition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
    /// An array of families: `{name, help, type, metrics: [{labels, value}]}`; a histogram's entry has, in place of
    /// `value`, `buckets` (cumulative, by upper bound), `count` and `sum`.
    Json,
}

impl Format {
    /// The `Content-Type` of what [`Self::render`] gives.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// The families as text.
    pub fn render(self, families: &[MetricFamily]) -> String {
        match self {
            Self::Prometheus => {
                TextEncoder::new().encode_to_string(families).expect("a family has a name and a series")
            }
            Self::OpenMetrics => openmetrics::render(families),
            Self::Json => {
                let families: Vec<Family<'_>> = families.iter().map(Family::of).collect();
                sonic_rs::to_string(&families).expect("keys are strings and numbers are finite")
            }
        }
    }
}

#[derive(Serialize)]
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    metrics: Vec<Series<'a>>,
}

#[derive(Serialize)]
struct Series<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    value: Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Plain { value: Number },
    Histogram { buckets: Vec<Bucket>, count: u64, sum: Number },
}

#[derive(Serialize)]
struct Bucket {
    /// Upper bound, inclusive.
    le: Number,
    /// How many were not over it.
    count: u64,
}

/// An integral value is written without a fraction.
#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Integer(u64),
    Float(f64),
}

impl<'a> Family<'a> {
    fn of(family: &'a MetricFamily) -> Self {
        let value: fn(&Metric) -> Value;
        let kind;
        match family.get_field_type() {
            MetricType::COUNTER => {
                kind = "counter";
                value = |it| Value::Plain { value: Number::of(it.get_counter().get_value()) };
            }
            MetricType::GAUGE => {
                kind = "gauge";
                value = |it| Value::Plain { value: Number::of(it.get_gauge().get_value()) };
            }
            MetricType::HISTOGRAM => {
                kind = "histogram";
                value = Value::histogram;
            }
            MetricType::SUMMARY | MetricType::UNTYPED => unreachable!("no family of this kind is made"),
        }
        let series = |metric: &'a Metric| Series {
            labels: metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect(),
            value: value(metric),
        };
        let metrics = family.get_metric().iter().map(series).collect();
        Self { name: family.name(), help: family.help(), kind, metrics }
    }
}

impl Value {
    fn histogram(metric: &Metric) -> Self {
        let histogram = metric.get_histogram();
        let bucket = |it: &prometheus::proto::Bucket| Bucket {
            le: Number::of(it.upper_bound()),
            count: it.cumulative_count(),
        };
        Self::Histogram {
            buckets: histogram.get_bucket().iter().map(bucket).collect(),
            count: histogram.get_sample_count(),
            sum: Number::of(histogram.get_sample_sum()),
        }
    }
}

impl Number {
    fn of(value: f64) -> Self {
        if value.fract() == 0.0 && (0.0..9e15).contains(&value) {
            Self::Integer(value as u64)
        } else {
            Self::Float(value)
        }
    }
}
