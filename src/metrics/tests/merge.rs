//! The whole exposition of two shards against a golden file, and what sums, labels and bounds must keep.

use prometheus::proto::MetricFamily;
use proptest::prelude::*;
use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use super::strict_parser::{Dialect, Samples, parse};
use crate::{
    base::{ShardId, TenantName},
    metrics::{
        AuthCache, Disconnect, Dropped, ErrorType, Format, KeysResult, KeysStats, Label, NodeStats,
        OutsideResult, Protocol, QualityClass, RateLimit, Received, Reject, ReloadResult, ReloadStats, Sent,
        ShardMetrics, Status, Table, Unasked, active::TENANTS_MAX, add_legacy_names, merge,
    },
};

fn node() -> NodeStats<'static> {
    let mut keys = KeysStats { keys: 3, ..KeysStats::default() };
    keys.fetches.add(KeysResult::Changed, 2);
    let mut reloads = ReloadStats { loaded_unix_s: 1_768_819_900.5, ..ReloadStats::default() };
    reloads.results.add(ReloadResult::Applied, 3);
    NodeStats {
        version: "0.1.0",
        driver: "epoll",
        uptime_s: 12.5,
        cpu_s: 0.75,
        resident_bytes: 134_217_728,
        fds_open: 42,
        fds_max: 1024,
        started_unix_s: 1_768_819_845.25,
        keys,
        reloads,
    }
}

/// A shard that has counted something in every field, different on each shard.
fn shard(number: u16) -> ShardMetrics {
    let n = u64::from(number) + 1;
    let mut it = ShardMetrics::new(ShardId(number));
    let tenant = TenantName::parse("acme").unwrap();
    it.active.opened(Some(&tenant), Status::Authenticated, Protocol::Json);
    it.active.opened(None, Status::Pending, Protocol::Http);
    it.connections = 5 * n;
    it.disconnections.add(Disconnect::ClientClose, 3 * n);
    it.rejected.inc(Reject::Capacity);
    it.introspection_calls.add(OutsideResult::Timeout, n);
    it.introspection_duration.observe_us(9_000 * n);
    it.introspection_cache.add(AuthCache::Hit, 4 * n);
    it.introspection_breaker = 1;
    it.resource_calls.add(OutsideResult::Denied, 2 * n);
    it.resource_duration.observe_us(7_000 * n);
    it.resource_cache.add(AuthCache::Miss, 6 * n);
    it.resource_unasked.add(Unasked::QueueFull, n);
    it.resource_breakers = 2;
    it.resource_held_bytes = 300 * n;
    it.received.add(Received::RoomSend, Protocol::Json, 10 * n);
    it.received.add(Received::Text, Protocol::Echo, 7 * n);
    it.sent.add(Sent::RoomMessage, Protocol::Json, 100 * n);
    it.sent.inc(Sent::Ack, Protocol::Http);
    it.received_bytes = 1_000 * n;
    it.sent_bytes = 10_000 * n;
    it.message_latency.observe_us(400 * n);
    it.rooms = 2 * n;
    it.room_subscriptions = 4 * n;
    it.history_recovered = 3 * n;
    it.history_unrecoverable = n;
    it.history_messages = 20 * n;
    it.history_bytes = 5_000 * n;
    it.history_evicted = 6 * n;
    it.history_repeated = 2 * n;
    it.pending_requests = 6 * n;
    it.request_timeouts = n;
    it.request_duration.observe_us(3_000 * n);
    it.errors.add(ErrorType::UnknownType, n);
    it.dropped.add(Dropped::OutboxFull, n);
    it.rate_limited.add(RateLimit::RoomCreates, n);
    it.share_full.add(Table::Requests, 2 * n);
    it.table_full.add(Table::Revocations, n);
    it.limits_forgotten = 3 * n;
    it.outbound_queue_bytes = 512 * n;
    it.slow_consumers = n;
    it.reads_paused = 3 * n;
    it.signatures_deferred = 4 * n;
    it.loop_lag.observe_us(60 * n);
    it.mailbox_depth = 8 * n;
    it.mailbox_full = n;
    it.rtt.observe_us(20_000_000);
    it.quality.add(QualityClass::Excellent, 2 * n);
    it.quality.inc(QualityClass::Poor);
    it
}

fn scrape(shards: &[ShardMetrics]) -> Samples {
    let families = merge(shards, &node());
    let samples = parse(&Format::Prometheus.render(&families), Dialect::Prometheus);
    let same = parse(&Format::OpenMetrics.render(&families), Dialect::OpenMetrics);
    assert_eq!(same.values().sum::<f64>(), samples.values().sum::<f64>());
    assert_eq!(same.len(), samples.len());
    samples
}

#[test]
fn the_whole_exposition() {
    let text = Format::Prometheus.render(&merge(&[shard(1), shard(0)], &node()));
    let golden = include_str!("golden/two_shards.prom");
    for (line, expected) in text.lines().zip(golden.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(text.len(), golden.len());
}

#[test]
fn shards_are_summed_or_labelled() {
    let samples = scrape(&[shard(0), shard(1), shard(2)]);
    let rows = [
        ("websocket_active_connections{protocol=json,status=authenticated,tenant=acme}", 3.0),
        ("websocket_active_connections{protocol=http,status=pending,tenant=}", 3.0),
        ("websocket_connections_total{}", 30.0),
        ("websocket_disconnections_total{reason=client_close}", 18.0),
        ("websocket_disconnections_total{reason=eof}", 0.0),
        ("websocket_messages_received_total{protocol=json,type=room:send}", 60.0),
        ("websocket_messages_sent_total{protocol=http,type=ack}", 3.0),
        ("websocket_message_latency_ms_sum{}", 2.4),
        ("websocket_message_latency_ms_bucket{,le=0.5}", 1.0),
        ("websocket_mailbox_depth{shard=1}", 16.0),
        ("websocket_event_loop_lag_ms_count{shard=2}", 1.0),
        ("websocket_build_info{driver=epoll,version=0.1.0}", 1.0),
        ("process_cpu_seconds_total{}", 0.75),
    ];
    for (series, expected) in rows {
        assert_eq!(samples.get(series), Some(&expected), "{series}");
    }
    // What no protocol carries has no series until it is counted.
    assert!(!samples.contains_key("websocket_messages_received_total{protocol=http,type=ping}"));
}

#[test]
fn a_fresh_node_shows_every_family() {
    let fresh = merge(&[ShardMetrics::new(ShardId(0))], &node());
    let busy = merge(&[shard(0)], &node());
    let names =
        |families: &[MetricFamily]| families.iter().map(|it| it.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&busy));
    scrape(&[ShardMetrics::new(ShardId(0))]);
}

#[test]
fn legacy_names_repeat_what_is_there_in_every_format() {
    let mut families = merge(&[shard(0), shard(1)], &node());
    let count = families.len();
    add_legacy_names(&mut families);
    let samples = parse(&Format::Prometheus.render(&families), Dialect::Prometheus);
    let same = parse(&Format::OpenMetrics.render(&families), Dialect::OpenMetrics);
    // 2 connections of each shard are open; what counts by label is summed.
    let rows = [
        ("active_connections{}", 4.0),
        ("total_connections{}", 15.0),
        ("ws_connection_rejected{}", 2.0),
        ("ws_disconnections{}", 9.0),
        ("ws_messages_sent{}", 302.0),
        ("ws_messages_received{}", 51.0),
        ("unhandled_errors{}", 3.0),
        ("uptime_seconds{}", 12.5),
        ("websocket_messages_total{}", 353.0),
    ];
    for (series, expected) in rows {
        assert_eq!(samples.get(series), Some(&expected), "{series}");
        assert_eq!(same.get(series), Some(&expected), "{series}");
    }
    // Nothing is said of what this version does not count.
    assert_eq!(families.len(), count + rows.len());
}

#[test]
fn json_is_json_and_has_the_same_families() {
    let families = merge(&[shard(0)], &node());
    let value: sonic_rs::Value = sonic_rs::from_str(&Format::Json.render(&families)).unwrap();
    let rendered: Vec<&str> =
        value.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(rendered, families.iter().map(MetricFamily::name).collect::<Vec<_>>());
}

proptest! {
    /// Whatever tenants come to whichever shard: every connection is counted once, series stay bounded, and the text
    /// stays readable whatever the names hold.
    #[test]
    fn tenants_are_bounded_over_all_shards(
        opened in prop::collection::vec((0..4_usize, 0..250_u32, "[a-z\"\\\\{},=]{0,3}"), 0..600),
    ) {
        let mut shards: Vec<ShardMetrics> = (0..4).map(|it| ShardMetrics::new(ShardId(it))).collect();
        for (shard, number, odd) in &opened {
            let tenant = TenantName::parse(&format!("{odd}{number}")).unwrap();
            shards[*shard].active.opened(Some(&tenant), Status::Authenticated, Protocol::Json);
        }
        let samples = scrape(&shards);
        let active: Vec<(&String, &f64)> =
            samples.iter().filter(|(name, _)| name.starts_with("websocket_active_connections")).collect();
        prop_assert_eq!(active.iter().map(|(_, open)| **open).sum::<f64>(), opened.len() as f64);
        prop_assert!(active.len() <= TENANTS_MAX + 1 + Protocol::ALL.len());
    }
}
