//! The names that earlier servers of this kind exported, for dashboards that know only those.
//!
//! A name stands for one or more of our families, summed over all their series, and has no labels. One whose families
//! are not there is left out. Owns no value.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::merge::{self, counter, gauge};

/// A legacy name, and the families whose sum it is.
const NAMES: &[(&str, &[&str])] = &[
    ("active_connections", &["websocket_active_connections"]),
    ("total_connections", &["websocket_connections_total"]),
    ("ws_connection_rejected", &["websocket_connection_rejected_total"]),
    ("ws_disconnections", &["websocket_disconnections_total"]),
    ("ws_messages_sent", &["websocket_messages_sent_total"]),
    ("ws_messages_received", &["websocket_messages_received_total"]),
    ("unhandled_errors", &["websocket_errors_total"]),
    ("redis_errors", &["websocket_redis_errors_total"]),
    ("redis_ready", &["websocket_redis_ready"]),
    ("redis_reconnect_attempts", &["websocket_redis_reconnect_attempts_total"]),
    ("redis_connects", &["websocket_redis_connects_total"]),
    ("uptime_seconds", &["websocket_uptime_seconds"]),
    ("websocket_messages_total", &["websocket_messages_received_total", "websocket_messages_sent_total"]),
];

/// Adds the families of the legacy names behind those that they repeat.
pub fn add_legacy_names(families: &mut Vec<MetricFamily>) {
    let legacy: Vec<_> = NAMES.iter().filter_map(|(name, parts)| family(name, parts, families)).collect();
    families.extend(legacy);
}

fn family(name: &str, parts: &[&str], families: &[MetricFamily]) -> Option<MetricFamily> {
    let sums = parts.iter().map(|part| families.iter().find(|family| family.name() == *part).map(sum));
    let value = sums.sum::<Option<f64>>()?;
    // In OpenMetrics a counter's name ends with `_total`; what does not is called a gauge, so that it keeps its name.
    let (kind, metric) = if name.ends_with("_total") {
        (MetricType::COUNTER, counter(value))
    } else {
        (MetricType::GAUGE, gauge(value))
    };
    Some(merge::family(kind, name, &format!("The sum of {}.", parts.join(" and ")), vec![metric]))
}

fn sum(family: &MetricFamily) -> f64 {
    let value = |metric: &Metric| match family.get_field_type() {
        MetricType::COUNTER => metric.get_counter().get_value(),
        MetricType::GAUGE => metric.get_gauge().get_value(),
        MetricType::HISTOGRAM | MetricType::SUMMARY | MetricType::UNTYPED => {
            unreachable!("the table names counters and gauges only")
        }
    };
    family.get_metric().iter().map(value).sum()
}
