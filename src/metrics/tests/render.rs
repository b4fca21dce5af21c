//! The three forms over one small set of families, byte for byte, and the choice between them.

use prometheus::{HistogramOpts, Opts, core::Collector, proto::MetricFamily};

use super::strict_parser::{Dialect, parse};
use crate::metrics::Format;

/// A counter with a label that needs every escape, a gauge without labels, a histogram.
fn families() -> Vec<MetricFamily> {
    let opts = Opts::new("sent_total", "Messages \"sent\".");
    let counter = prometheus::IntCounterVec::new(opts, &["tenant"]).unwrap();
    counter.with_label_values(&["a\\b\"c\nd"]).inc_by(3);
    let gauge = prometheus::Gauge::new("uptime_seconds", "Time.").unwrap();
    gauge.set(1.5);
    let opts = HistogramOpts::new("lag_ms", "Lag.").buckets(vec![0.05, 1.0, 10_000.0]);
    let histogram = prometheus::Histogram::with_opts(opts).unwrap();
    [0.05, 0.5, 20_000.0].into_iter().for_each(|value| histogram.observe(value));
    [counter.collect(), gauge.collect(), histogram.collect()].concat()
}

#[test]
fn prometheus_text() {
    let expected = r#"# HELP sent_total Messages "sent".
# TYPE sent_total counter
sent_total{tenant="a\\b\"c\nd"} 3
# HELP uptime_seconds Time.
# TYPE uptime_seconds gauge
uptime_seconds 1.5
# HELP lag_ms Lag.
# TYPE lag_ms histogram
lag_ms_bucket{le="0.05"} 1
lag_ms_bucket{le="1"} 2
lag_ms_bucket{le="10000"} 2
lag_ms_bucket{le="+Inf"} 3
lag_ms_sum 20000.55
lag_ms_count 3
"#;
    let text = Format::Prometheus.render(&families());
    assert_eq!(text, expected);
    assert_eq!(parse(&text, Dialect::Prometheus)["sent_total{tenant=a\\b\"c\nd}"], 3.0);
}

#[test]
fn open_metrics_text() {
    let expected = r#"# TYPE sent counter
# HELP sent Messages \"sent\".
sent_total{tenant="a\\b\"c\nd"} 3
# TYPE uptime_seconds gauge
# HELP uptime_seconds Time.
uptime_seconds 1.5
# TYPE lag_ms histogram
# HELP lag_ms Lag.
lag_ms_bucket{le="0.05"} 1
lag_ms_bucket{le="1.0"} 2
lag_ms_bucket{le="10000.0"} 2
lag_ms_bucket{le="+Inf"} 3
lag_ms_count 3
lag_ms_sum 20000.55
# EOF
"#;
    let text = Format::OpenMetrics.render(&families());
    assert_eq!(text, expected);
    assert_eq!(parse(&text, Dialect::OpenMetrics)["sent_total{tenant=a\\b\"c\nd}"], 3.0);
}

#[test]
fn json() {
    let expected = concat!(
        r#"[{"name":"sent_total","help":"Messages \"sent\".","type":"counter","#,
        r#""metrics":[{"labels":{"tenant":"a\\b\"c\nd"},"value":3}]},"#,
        r#"{"name":"uptime_seconds","help":"Time.","type":"gauge","metrics":[{"labels":{},"value":1.5}]},"#,
        r#"{"name":"lag_ms","help":"Lag.","type":"histogram","metrics":[{"labels":{},"buckets":["#,
        r#"{"le":0.05,"count":1},{"le":1,"count":2},{"le":10000,"count":2}],"count":3,"sum":20000.55}]}]"#,
    );
    assert_eq!(Format::Json.render(&families()), expected);
}
