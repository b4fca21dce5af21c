//! From the shards' plain values to metric families: what adds up is summed, what belongs to one shard keeps its
//! label. Names, kinds and labels are those of the operator's documentation; the order is its order.

use std::collections::{BTreeMap, BTreeSet};

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as ProtoHistogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::{
    active::{OTHER, TENANTS_MAX},
    counters::{CounterGrid, CounterVec},
    histogram::Histogram,
    labels::{KeysResult, Label, Protocol, Received, ReloadResult, Sent, Status},
    shard::ShardMetrics,
};

/// What is known of the whole process rather than of a shard.
#[derive(Clone, Debug)]
pub struct NodeStats<'a> {
    pub version: &'a str,
    /// What the shards run on: `uring` or `epoll`.
    pub driver: &'a str,
    pub uptime_s: f64,
    /// Processor time of all threads, user and system.
    pub cpu_s: f64,
    pub resident_bytes: u64,
    pub fds_open: u64,
    pub fds_max: u64,
    /// Unix time of the start, in seconds.
    pub started_unix_s: f64,
    pub keys: KeysStats,
    pub reloads: ReloadStats,
}

/// What has become of reloads of the configuration.
#[derive(Clone, Copy, Default, Debug)]
pub struct ReloadStats {
    pub results: CounterVec<ReloadResult>,
    /// When the configuration that holds was loaded: Unix time, in seconds.
    pub loaded_unix_s: f64,
}

/// What has become of the issuer's set of keys; all zero where none is configured.
#[derive(Clone, Copy, Default, Debug)]
pub struct KeysStats {
    /// Looks at the set.
    pub fetches: CounterVec<KeysResult>,
    /// Keys of it that are in use.
    pub keys: u64,
}

/// The families that a scrape shows, none of them empty. `shards` are snapshots, one of each shard, in any order.
pub fn merge(shards: &[ShardMetrics], node: &NodeStats<'_>) -> Vec<MetricFamily> {
    let mut shards: Vec<&ShardMetrics> = shards.iter().collect();
    shards.sort_by_key(|it| it.shard);
    let mut merge = Merge { shards, families: Vec::new() };
    merge.connections();
    merge.introspection();
    merge.resources();
    merge.messages();
    merge.rooms_and_queues();
    merge.history();
    merge.requests();
    merge.shards();
    merge.node(node);
    merge.families
}

struct Merge<'a> {
    /// By shard.
    shards: Vec<&'a ShardMetrics>,
    families: Vec<MetricFamily>,
}

/// Which field.
type Pick<T> = fn(&ShardMetrics) -> &T;

impl Merge<'_> {
    fn connections(&mut self) {
        self.active_connections();
        self.counter("websocket_connections_total", "Connections taken.", |it| &it.connections);
        self.counter_vec("websocket_disconnections_total", "Connections ended.", "reason", |it| {
            &it.disconnections
        });
        self.counter_vec("websocket_connection_rejected_total", "Connections not taken.", "reason", |it| {
            &it.rejected
        });
        let help = "Calls of the API that had to be signed.";
        self.counter_vec("websocket_api_signatures_total", help, "result", |it| &it.signed);
        let help = "Tokens looked up among those verified before.";
        self.counter_vec("websocket_auth_cache_total", help, "result", |it| &it.auth_cache);
    }

    fn introspection(&mut self) {
        let help = "Calls to the introspection server.";
        self.counter_vec("websocket_introspection_calls_total", help, "result", |it| &it.introspection_calls);
        let help = "From a call to the introspection server to its end, in ms.";
        self.histogram("websocket_introspection_duration_ms", help, |it| &it.introspection_duration);
        let help = "Opaque tokens looked up among those asked about before.";
        self.counter_vec("websocket_introspection_cache_total", help, "result", |it| &it.introspection_cache);
        let help = "Shards that ask the introspection server nothing, since it has failed again and again.";
        self.gauge("websocket_introspection_breaker_open", help, |it| &it.introspection_breaker);
    }

    fn resources(&mut self) {
        let help = "Calls to servers of resources; 404 is `denied`, too.";
        self.counter_vec("websocket_resource_calls_total", help, "result", |it| &it.resource_calls);
        let help = "From a call to a resource's server to its end, in ms.";
        self.histogram("websocket_resource_duration_ms", help, |it| &it.resource_duration);
        let help = "Resources looked up among those asked about before.";
        self.counter_vec("websocket_resource_cache_total", help, "result", |it| &it.resource_cache);
        let help = "Commands refused because no server of resources could be asked.";
        self.counter_vec("websocket_resource_unasked_total", help, "reason", |it| &it.resource_unasked);
        let help = "Servers of resources that shards ask nothing, since they have failed again and again.";
        self.gauge("websocket_resource_breakers_open", help, |it| &it.resource_breakers);
        let help = "Bytes of messages that wait for what is said of their rooms.";
        self.gauge("websocket_resource_held_bytes", help, |it| &it.resource_held_bytes);
    }

    fn messages(&mut self) {
        let name = "websocket_messages_received_total";
        self.by_type(name, "Messages from clients.", |it| &it.received, Received::protocol);
        let name = "websocket_messages_sent_total";
        self.by_type(name, "Messages to clients.", |it| &it.sent, Sent::protocol);
        self.counter("websocket_received_bytes_total", "Bytes read from sockets.", |it| &it.received_bytes);
        self.counter("websocket_sent_bytes_total", "Bytes written to sockets.", |it| &it.sent_bytes);
        let help = "From a frame received to written to the last local subscriber's socket, in ms.";
        self.histogram("websocket_message_latency_ms", help, |it| &it.message_latency);
    }

    fn rooms_and_queues(&mut self) {
        self.gauge("websocket_active_rooms", "Rooms with members.", |it| &it.rooms);
        self.gauge("websocket_room_subscriptions", "Memberships in rooms.", |it| &it.room_subscriptions);
        self.counter_vec("websocket_errors_total", "Faults and protocol errors.", "type", |it| &it.errors);
        self.counter_vec("websocket_dropped_total", "Frames and answers given up.", "reason", |it| {
            &it.dropped
        });
        let help = "Refused for a limit; that of outboxes is counted by websocket_slow_consumers_total.";
        self.counter_vec("websocket_rate_limited_total", help, "limit", |it| &it.rate_limited);
        let help = "Refused because who asked had his share of a table, beside others.";
        self.counter_vec("websocket_share_full_total", help, "table", |it| &it.share_full);
        let help = "Refused because a table was full.";
        self.counter_vec("websocket_table_full_total", help, "table", |it| &it.table_full);
        let help =
            "Addresses, users and tenants that were forgotten although a limit still counted for them.";
        self.counter("websocket_limits_forgotten_total", help, |it| &it.limits_forgotten);
        let help = "Bytes that wait in the outboxes.";
        self.gauge("websocket_outbound_queue_bytes", help, |it| &it.outbound_queue_bytes);
        let help = "Connections closed because their outbox was full.";
        self.counter("websocket_slow_consumers_total", help, |it| &it.slow_consumers);
        let help = "How often an HTTP connection was not read for a while, since what it had sent waited, or any more, behind its last answer.";
        self.counter("websocket_reads_paused_total", help, |it| &it.reads_paused);
        let help = "Tokens whose signature was checked in a later turn, since enough were checked in theirs.";
        self.counter("websocket_signatures_deferred_total", help, |it| &it.signatures_deferred);
    }

    fn history(&mut self) {
        let help = "Joins that brought all that the client had missed.";
        self.counter("websocket_history_recovered_total", help, |it| &it.history_recovered);
        let help = "Joins that could not bring all that the client had missed, and so brought nothing of it.";
        self.counter("websocket_history_unrecoverable_total", help, |it| &it.history_unrecoverable);
        self.gauge("websocket_history_messages", "Messages kept.", |it| &it.history_messages);
        self.gauge("websocket_history_bytes", "Bytes of what is kept.", |it| &it.history_bytes);
        let help = "Messages given up before their time, for want of memory.";
        self.counter("websocket_history_evicted_total", help, |it| &it.history_evicted);
        let help = "Sends that came again with a messageId and were not delivered again.";
        self.counter("websocket_history_repeated_total", help, |it| &it.history_repeated);
    }

    fn requests(&mut self) {
        let help = "Requests that wait for their answer.";
        self.gauge("websocket_pending_requests", help, |it| &it.pending_requests);
        let help = "Requests that had no answer in time.";
        self.counter("websocket_request_timeouts_total", help, |it| &it.request_timeouts);
        let help = "From a request to its answer, in ms.";
        self.histogram("websocket_request_duration_ms", help, |it| &it.request_duration);
        let help = "Requests found waiting although they were over: more than 0 is an error of the gateway.";
        self.counter("websocket_stray_requests_total", help, |it| &it.stray_requests);
    }

    fn shards(&mut self) {
        let help = "How long a shard's turns took, in ms: what came meanwhile waited so long.";
        self.per_shard(MetricType::HISTOGRAM, "websocket_event_loop_lag_ms", help, |it| {
            histogram(&it.loop_lag)
        });
        let help = "Parcels that wait for a shard.";
        self.per_shard(MetricType::GAUGE, "websocket_mailbox_depth", help, |it| {
            gauge(it.mailbox_depth as f64)
        });
        let help = "Parcels that a shard could not post, another's mailbox being full.";
        self.per_shard(MetricType::COUNTER, "websocket_mailbox_full_total", help, |it| {
            counter(it.mailbox_full as f64)
        });
        let help = "Round trips of WebSocket ping and pong, in ms.";
        self.histogram("websocket_connection_rtt_ms", help, |it| &it.rtt);
        let help = "Connections by round trips and lost pings.";
        self.gauge_vec("websocket_connection_quality", help, "quality", |it| &it.quality);
    }

    fn node(&mut self, node: &NodeStats<'_>) {
        // Every shard knows all.
        let revocations = self.shards.iter().map(|it| it.revocations).max().unwrap_or_default();
        let mut one = |name, help, value| self.family(MetricType::GAUGE, name, help, vec![gauge(value)]);
        one("websocket_revocations", "Revocations of tokens that are remembered.", revocations as f64);
        one("websocket_memory_usage_bytes", "Resident memory.", node.resident_bytes as f64);
        one("process_resident_memory_bytes", "Resident memory.", node.resident_bytes as f64);
        one("process_open_fds", "Open file descriptors.", node.fds_open as f64);
        one("process_max_fds", "The most file descriptors that may be open.", node.fds_max as f64);
        one("process_start_time_seconds", "Unix time of the start.", node.started_unix_s);
        one("websocket_uptime_seconds", "Time since the start.", node.uptime_s);
        let help = "Keys of the issuer's set that are in use.";
        self.family(MetricType::GAUGE, "websocket_jwks_keys", help, vec![gauge(node.keys.keys as f64)]);
        let fetches = KeysResult::ALL.iter().map(|&result| {
            labelled(counter(node.keys.fetches.get(result) as f64), &[("result", result.as_str())])
        });
        let (help, fetches) = ("Looks at the issuer's set of keys.", fetches.collect());
        self.family(MetricType::COUNTER, "websocket_jwks_fetches_total", help, fetches);
        let reloads = ReloadResult::ALL.iter().map(|&result| {
            labelled(counter(node.reloads.results.get(result) as f64), &[("result", result.as_str())])
        });
        let (help, reloads) = ("Configurations loaded again.", reloads.collect());
        self.family(MetricType::COUNTER, "websocket_config_reloads_total", help, reloads);
        let help = "Unix time when the configuration that holds was loaded.";
        let loaded = vec![gauge(node.reloads.loaded_unix_s)];
        let name = "websocket_config_last_reload_success_timestamp_seconds";
        self.family(MetricType::GAUGE, name, help, loaded);
        let help = "Processor time, user and system.";
        self.family(MetricType::COUNTER, "process_cpu_seconds_total", help, vec![counter(node.cpu_s)]);
        let info = labelled(gauge(1.0), &[("version", node.version), ("driver", node.driver)]);
        self.family(MetricType::GAUGE, "websocket_build_info", "1; the labels say what runs.", vec![info]);
    }

    /// Each shard bounds its own tenants. Over all of them the ones that were among the first on any shard come first,
    /// and what is beyond the bound counts as `other`.
    fn active_connections(&mut self) {
        let mut seen: Vec<(usize, &str)> =
            self.shards.iter().flat_map(|it| it.active.tenants().enumerate()).collect();
        seen.sort_by_key(|(rank, _)| *rank);
        let mut own = BTreeSet::new();
        for (_, tenant) in seen {
            if own.len() < TENANTS_MAX {
                own.insert(tenant);
            }
        }

        let mut open: BTreeMap<(&str, Status, Protocol), u64> = BTreeMap::new();
        for (tenant, status, protocol, count) in self.shards.iter().flat_map(|it| it.active.iter()) {
            let tenant = if tenant.is_empty() || own.contains(tenant) { tenant } else { OTHER };
            *open.entry((tenant, status, protocol)).or_default() += count;
        }
        let series = open.into_iter().map(|((tenant, status, protocol), count)| {
            let labels = [("tenant", tenant), ("status", status.as_str()), ("protocol", protocol.as_str())];
            labelled(gauge(count as f64), &labels)
        });
        let series = series.collect();
        self.family(MetricType::GAUGE, "websocket_active_connections", "Open connections.", series);
    }

    fn counter(&mut self, name: &str, help: &str, pick: Pick<u64>) {
        let total: u64 = self.shards.iter().map(|it| pick(it)).sum();
        self.family(MetricType::COUNTER, name, help, vec![counter(total as f64)]);
    }

    fn gauge(&mut self, name: &str, help: &str, pick: Pick<u64>) {
        let total: u64 = self.shards.iter().map(|it| pick(it)).sum();
        self.family(MetricType::GAUGE, name, help, vec![gauge(total as f64)]);
    }

    fn histogram(&mut self, name: &str, help: &str, pick: Pick<Histogram>) {
        let mut all = Histogram::default();
        self.shards.iter().for_each(|it| all.absorb(pick(it)));
        self.family(MetricType::HISTOGRAM, name, help, vec![histogram(&all)]);
    }

    fn counter_vec<L: Label>(&mut self, name: &str, help: &str, label: &str, pick: Pick<CounterVec<L>>) {
        let series = self.by_label(label, pick, counter);
        self.family(MetricType::COUNTER, name, help, series);
    }

    fn gauge_vec<L: Label>(&mut self, name: &str, help: &str, label: &str, pick: Pick<CounterVec<L>>) {
        let series = self.by_label(label, pick, gauge);
        self.family(MetricType::GAUGE, name, help, series);
    }

    fn by_label<L: Label>(
        &self,
        label: &str,
        pick: Pick<CounterVec<L>>,
        metric: fn(f64) -> Metric,
    ) -> Vec<Metric> {
        let series = L::ALL.iter().map(|&value| {
            let total: u64 = self.shards.iter().map(|it| pick(it).get(value)).sum();
            labelled(metric(total as f64), &[(label, value.as_str())])
        });
        series.collect()
    }

    /// A type has a series from the start with the protocol that it belongs to, and with others once it was counted.
    fn by_type<L: Label>(
        &mut self,
        name: &str,
        help: &str,
        pick: Pick<CounterGrid<L, Protocol>>,
        protocol_of: fn(L) -> Protocol,
    ) {
        let mut series = Vec::new();
        for &kind in L::ALL {
            for &protocol in Protocol::ALL {
                let total: u64 = self.shards.iter().map(|it| pick(it).get(kind, protocol)).sum();
                if total > 0 || protocol == protocol_of(kind) {
                    let labels = [("type", kind.as_str()), ("protocol", protocol.as_str())];
                    series.push(labelled(counter(total as f64), &labels));
                }
            }
        }
        self.family(MetricType::COUNTER, name, help, series);
    }

    fn per_shard(&mut self, kind: MetricType, name: &str, help: &str, metric: fn(&ShardMetrics) -> Metric) {
        let series = self.shards.iter().map(|it| labelled(metric(it), &[("shard", &it.shard.0.to_string())]));
        let series = series.collect();
        self.family(kind, name, help, series);
    }

    fn family(&mut self, kind: MetricType, name: &str, help: &str, series: Vec<Metric>) {
        if !series.is_empty() {
            self.families.push(family(kind, name, help, series));
        }
    }
}

pub(super) fn family(kind: MetricType, name: &str, help: &str, series: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(series);
    family
}

pub(super) fn counter(value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

pub(super) fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    Metric::from_gauge(gauge)
}

fn histogram(values: &Histogram) -> Metric {
    let bucket = |(bound_ms, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound_ms);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = ProtoHistogram::default();
    histogram.set_bucket(values.cumulative_ms().map(bucket).collect());
    histogram.set_sample_sum(values.sum_ms());
    histogram.set_sample_count(values.count());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

fn labelled(mut metric: Metric, labels: &[(&str, &str)]) -> Metric {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    metric.set_label(labels.iter().map(pair).collect());
    metric
}
