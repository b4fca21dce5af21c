//! The HTTP surface as probes, scrapers and administrators use it.

use ringway::shell::driver::Driver;
use serde_json::Value;

use crate::support::{Http, Socket, Start, text_frame, token, until};

on_both_drivers!(
    probes,
    metrics_in_three_formats,
    stats,
    traffic_and_quality,
    paths_and_methods,
    keep_alive,
    pipelining,
    half_closed,
    http_1_0
);

const HEALTH: [&str; 4] = ["/health", "/healthz", "/api/health", "/api/v1/ws/health"];
const READY: [&str; 3] = ["/health/ready", "/ready", "/readyz"];
const LIVE: [&str; 3] = ["/health/live", "/live", "/livez"];

fn probes(driver: Driver) {
    let gateway = Start::on(driver).shards(3).start();
    let _socket = gateway.socket("ada", "acme");
    for path in HEALTH {
        let response = gateway.get(path);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        let health = response.json();
        assert_eq!(health["status"], "healthy", "{health}");
        assert_eq!(health["driver"], driver.as_str());
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(health["websocket"]["active"], 1);
        assert!(health["connections"].as_u64() >= Some(2), "the one that asks is one: {health}");
        let time = health["timestamp"].as_str().expect("a time");
        assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "RFC 3339: {time}");
        assert!(health["uptime"].is_number() && health["node"].is_string(), "{health}");
        let memory = health["memory_usage"].as_str().expect("memory as people write it");
        assert!(memory.strip_suffix("MB").is_some_and(|mb| mb.parse::<u64>().is_ok()), "{memory}");
        let checks = &health["checks"];
        assert_eq!(checks["redis"]["status"], "disabled");
        assert!(checks["memory"]["bytes"].as_u64() > Some(1 << 20), "{checks}");
        assert!(checks["capacity"]["limit"].as_u64() > Some(0), "{checks}");
        let shards = checks["shards"].as_array().expect("one for each shard");
        assert_eq!(shards.len(), 3);
        assert!(shards.iter().all(|shard| shard["alive"] == true && shard["loopLagUs"].is_u64()), "{checks}");
    }
    for (paths, status) in [(READY, "ready"), (LIVE, "alive")] {
        for path in paths {
            let response = gateway.get(path);
            assert_eq!((response.status, response.json()["status"].as_str()), (200, Some(status)), "{path}");
        }
    }
}

/// Every family of the operator's documentation that has a source by now.
const FAMILIES: [&str; 29] = [
    "websocket_active_connections",
    "websocket_connections_total",
    "websocket_disconnections_total",
    "websocket_connection_rejected_total",
    "websocket_messages_received_total",
    "websocket_messages_sent_total",
    "websocket_received_bytes_total",
    "websocket_sent_bytes_total",
    "websocket_message_latency_ms",
    "websocket_active_rooms",
    "websocket_room_subscriptions",
    "websocket_errors_total",
    "websocket_dropped_total",
    "websocket_outbound_queue_bytes",
    "websocket_slow_consumers_total",
    "websocket_reads_paused_total",
    "websocket_event_loop_lag_ms",
    "websocket_mailbox_depth",
    "websocket_mailbox_full_total",
    "websocket_connection_rtt_ms",
    "websocket_connection_quality",
    "websocket_memory_usage_bytes",
    "websocket_uptime_seconds",
    "websocket_build_info",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
];

fn metrics_in_three_formats(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut socket = gateway.socket("ada", "acme");
    let mut other = gateway.socket("bob", "acme");
    socket.join("lobby");
    other.join("lobby");
    let sent = socket.call(r#""type":"room:send","room":"lobby","payload":1"#);
    assert_eq!(sent["success"], true);
    assert_eq!(other.expect("room:message")["payload"], 1);

    let text = gateway.get("/metrics");
    assert_eq!(text.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = text.text();
    for family in FAMILIES {
        assert!(text.contains(&format!("# TYPE {family} ")), "{family} is missing in\n{text}");
    }
    let series = [
        r#"websocket_active_connections{protocol="json",status="authenticated",tenant="acme"} 2"#,
        r#"websocket_messages_received_total{protocol="json",type="room:send"} 1"#,
        r#"websocket_messages_sent_total{protocol="json",type="ack"} 3"#,
        "websocket_active_rooms 1",
        "websocket_room_subscriptions 2",
        "websocket_message_latency_ms_count 1",
        "websocket_outbound_queue_bytes 0",
        r#"websocket_mailbox_depth{shard="1"} 0"#,
    ];
    for series in series {
        let (name, value) = series.rsplit_once(' ').expect("a series has a value");
        let found = labels_in_any_order(&text, name);
        assert_eq!(found, Some(value), "{name} in\n{text}");
    }
    let info = text.lines().find(|line| line.starts_with("websocket_build_info{")).expect("what runs");
    assert!(info.contains(&format!("driver=\"{}\"", driver.as_str())), "{info}");

    let mut http = Http::connect(gateway.address);
    let open = http.get_with("/metrics", "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("Content-Type"), Some(kind));
    let open = open.text();
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    let json = http.get_with("/metrics", "Accept: application/json\r\n");
    assert_eq!(json.header("Content-Type"), Some("application/json"));
    let json = json.json();
    let named = |name: &str| json.as_array().is_some_and(|all| all.iter().any(|it| it["name"] == name));
    for family in FAMILIES {
        assert!(open.contains(&format!("# TYPE {} ", family.trim_end_matches("_total"))), "{family}");
        assert!(named(family), "{family} in {json}");
    }
}

/// The value of the series with this name and these labels, whatever their order.
fn labels_in_any_order<'t>(text: &'t str, series: &str) -> Option<&'t str> {
    let sorted = |series: &str| {
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        let mut labels: Vec<_> = labels.split(',').map(str::to_owned).collect();
        labels.sort_unstable();
        (name.to_owned(), labels)
    };
    let wanted = sorted(series);
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines.filter(|(found, _)| sorted(found) == wanted).map(|(_, value)| value).next()
}

fn stats(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut socket = gateway.socket("ada", "acme");
    socket.join("lobby");
    let mut other = gateway.socket("bob", "globex");
    other.join("lobby");

    let refused = gateway.get("/stats");
    refused.is_error(401, "unauthenticated");
    assert_eq!(refused.header("WWW-Authenticate"), Some("Bearer"));
    gateway.get_as("a.b.c", "/stats").is_error(401, "unauthenticated");
    gateway.get_as(&token::token("ada", "acme"), "/stats").is_error(403, "forbidden");

    let response = gateway.get_as(&token::admin(), "/stats");
    assert_eq!(response.status, 200);
    let stats = response.json();
    let connections = &stats["connections"];
    assert_eq!(connections["byTenant"]["acme"], 1, "{stats}");
    assert_eq!(connections["byTenant"]["globex"], 1, "{stats}");
    assert_eq!(connections["byProtocol"]["json"], 2, "{stats}");
    let by_shard = connections["byShard"].as_array().expect("one for each shard");
    // Those that asked before may not have been missed yet.
    let total = connections["total"].as_u64();
    assert!(total >= Some(3), "{stats}");
    assert_eq!(Some(by_shard.iter().filter_map(Value::as_u64).sum()), total, "{stats}");
    assert_eq!(stats["rooms"]["total"], 2, "rooms of two tenants are two: {stats}");
    assert_eq!(stats["rooms"]["subscriptions"], 2, "{stats}");
    assert_eq!(stats["rooms"]["largest"][0]["room"], "lobby", "{stats}");
    assert_eq!(stats["topTalkers"].as_array().map(Vec::len), Some(2), "{stats}");
}

fn traffic_and_quality(driver: Driver) {
    let gateway = Start::on(driver).set("heartbeat.interval_ms", 100).shards(2).start();
    let mut ada = gateway.socket("ada", "acme");
    let _bob = gateway.socket("bob", "globex");
    ada.join("lobby");
    ada.send(r#"{"type":"nothing"}"#);
    ada.expect("system:error");

    for path in ["/api/metrics/websocket", "/api/v1/connections/health", "/printing/desktop-health"] {
        gateway.get(path).is_error(401, "unauthenticated");
        gateway.get_as(&token::token("ada", "acme"), path).is_error(403, "forbidden");
    }
    let traffic = gateway.get_as(&token::admin(), "/api/metrics/websocket").json();
    let expected = serde_json::json!({"total": 2, "per_tenant": {"acme": 1, "globex": 1}});
    assert_eq!(traffic["connections"], expected, "{traffic}");
    assert_eq!(traffic["messages"]["received"]["total_today"], 2, "{traffic}");
    assert_eq!(traffic["errors"]["total_today"], 1 + 3, "the three without a token, too: {traffic}");
    assert!(traffic["dropped"]["per_second"].is_number(), "{traffic}");

    // The first pings leave within 100 ms; who reads answers them, and the answers are on this machine's loopback.
    let page = until("a round trip", || {
        ada.call(r#""type":"query:rooms""#);
        let page = gateway.get_as(&token::admin(), "/api/v1/connections/health?user=ada").json();
        page["clients"][0]["averageLatencyMs"].is_number().then_some(page)
    });
    assert_eq!(page["totalClients"], 1, "{page}");
    let ada = &page["clients"][0];
    assert_eq!((&ada["tenantId"], &ada["userId"]), (&"acme".into(), &"ada".into()), "{page}");
    assert!(
        ada["p95"].as_f64() > Some(0.0) && ada["connectedAt"].as_u64() > Some(1_700_000_000_000),
        "{page}"
    );
    let none = gateway.get_as(&token::admin(), "/printing/desktop-health?tenant=initech").json();
    assert_eq!((&none["totalClients"], &none["clients"]), (&0.into(), &serde_json::json!([])), "{none}");
}

fn paths_and_methods(driver: Driver) {
    let gateway = Start::on(driver).start();
    for path in ["/", "/nothing", "/WS", "/ws/", "//ws", "/health/", "/%77s", "/metrics/x", "/index.html"] {
        gateway.get(path).is_error(404, "not_found");
    }
    let rows = [("/health", "GET, HEAD"), ("/metrics", "GET, HEAD"), ("/stats", "GET, HEAD"), ("/ws", "GET")];
    for (path, allowed) in rows {
        for method in ["POST", "DELETE", "OPTIONS", "get", "CONNECT"] {
            let mut http = Http::connect(gateway.address);
            http.write(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            let response = http.response();
            response.is_error(405, "method_not_allowed");
            assert_eq!(response.header("Allow"), Some(allowed), "{method} {path}");
        }
    }
    let mut http = Http::connect(gateway.address);
    for path in ["/health", "/ready", "/metrics", "/nothing"] {
        http.write(format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let response = http.response_without_body();
        let length: Option<u64> = response.header("Content-Length").and_then(|length| length.parse().ok());
        assert!(length > Some(0), "the length of what GET would get: {}", response.head);
    }
    gateway.get("/ws").is_error(426, "upgrade_required");
}

fn keep_alive(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut http = Http::connect(gateway.address);
    for path in ["/ready", "/health", "/nothing", "/metrics", "/live"] {
        let response = http.get(path);
        assert_eq!(response.header("Connection"), Some("keep-alive"), "{path}");
    }
    let last = http.get_with("/health", "Connection: close\r\n");
    assert_eq!((last.status, last.header("Connection")), (200, Some("close")));
    assert!(http.is_closed());

    // A head that drips in byte by byte is a head.
    let mut http = Http::connect(gateway.address);
    for byte in b"\r\nGET /ready HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n" {
        http.write([*byte]);
    }
    assert_eq!(http.response().status, 200);
    // The same connection may become a WebSocket, with frames right behind the request.
    let early = text_frame(r#"{"type":"ping"}"#);
    let headers = format!("Authorization: Bearer {}\r\n", token::token("ada", "acme"));
    let mut socket = Socket::over(http, "/ws", &headers, &early).expect("an upgrade");
    socket.expect("connection:established");
    socket.expect("pong");
}

fn pipelining(driver: Driver) {
    let gateway = Start::on(driver).start();
    let mut http = Http::connect(gateway.address);
    // Some are answered at once, some wait for all shards: answers come in the order of the requests.
    let paths = ["/metrics", "/ready", "/health", "/nothing", "/live", "/metrics", "/health", "/ready"];
    let requests = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).concat();
    http.write(&requests);
    for path in paths {
        let response = http.response();
        match path {
            "/metrics" => assert!(response.text().contains("websocket_"), "{response:?}"),
            "/ready" => assert_eq!(response.json()["status"], "ready"),
            "/live" => assert_eq!(response.json()["status"], "alive"),
            "/health" => assert_eq!(response.json()["status"], "healthy"),
            _ => response.is_error(404, "not_found"),
        }
    }
    assert_eq!(http.get("/ready").status, 200, "and the connection goes on");

    // What follows a last request is not answered.
    http.write(
        "GET /ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /live HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(http.response().status, 200);
    assert!(http.is_closed());
}

/// As `printf 'GET /live HTTP/1.1\r\nHost: x\r\n\r\n' | nc -N host port`.
fn half_closed(driver: Driver) {
    let gateway = Start::on(driver).shards(3).start();
    let paths = ["/live", "/health", "/metrics"];
    let all = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let last = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    let pipelined = all.concat();
    let rows = all.iter().chain(&last).map(|request| (request, 1)).chain([(&pipelined, 3)]);
    for (requests, responses) in rows.cycle().take(10 * 7) {
        let mut http = Http::connect(gateway.address);
        http.write(requests);
        http.end();
        for _ in 0..responses {
            assert_eq!(http.response().status, 200, "{requests}");
        }
        assert!(http.is_closed(), "{requests}");
    }
    for unfinished in ["", "GET /live HTTP/1.1\r\nHost: x\r\n"] {
        let mut http = Http::connect(gateway.address);
        http.write(unfinished);
        http.end();
        assert!(http.is_closed(), "{unfinished:?}");
    }
    let mut http = Http::connect(gateway.address);
    until("nobody but the one that asks", || (http.get("/health").json()["connections"] == 1).then_some(()));
}

fn http_1_0(driver: Driver) {
    let gateway = Start::on(driver).start();
    for path in ["/ready", "/health", "/metrics"] {
        let mut http = Http::connect(gateway.address);
        http.write(format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(http.response().status, 200, "{path}");
        assert!(http.is_closed(), "HTTP/1.0 closes");
    }
    let mut http = Http::connect(gateway.address);
    for _ in 0..2 {
        http.write("GET /ready HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!(http.response().header("Connection"), Some("keep-alive"));
    }
}
