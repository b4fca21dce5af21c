//! Where clients come from, on real sockets: pages, and proxies before the gateway.

use std::net::TcpStream;

use ringway::shell::driver::Driver;

use crate::support::{Gateway, Http, Start, token};

on_both_drivers!(
    pages_that_may_not_are_refused_before_the_upgrade,
    a_proxy_says_where_its_client_is,
    strangers_are_no_proxies,
);

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn upgrade(http: &mut Http, headers: &str) -> u16 {
    http.write(format!(
        "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         {KEY}{headers}\r\n"
    ));
    http.response_without_body().status
}

fn pages_that_may_not_are_refused_before_the_upgrade(driver: Driver) {
    let gateway =
        Start::on(driver).env("CORS_ORIGINS", "https://app.example.com, https://*.example.org").start();
    for (origin, status) in [
        ("https://app.example.com", 101),
        ("https://a.b.example.org", 101),
        ("https://evil.example", 403),
        ("http://app.example.com", 403),
        ("null", 403),
    ] {
        let mut http = Http::connect(gateway.address);
        assert_eq!(upgrade(&mut http, &format!("Origin: {origin}\r\n")), status, "{origin}");
    }
    assert_eq!(upgrade(&mut Http::connect(gateway.address), ""), 101, "no browser");
    assert_eq!(gateway.metric(r#"websocket_connection_rejected_total{reason="origin"}"#), 3.0);
    let shown = Http::connect(gateway.address).get_with("/health", "Origin: https://app.example.com\r\n");
    assert_eq!(shown.header("Access-Control-Allow-Origin"), Some("https://app.example.com"));
    assert_eq!(shown.header("Vary"), Some("Origin"));
    let mut http = Http::connect(gateway.address);
    http.write(
        "OPTIONS /api/v1/publish HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example.com\r\n\
         Access-Control-Request-Method: POST\r\n\r\n",
    );
    let preflight = http.response_without_body();
    assert_eq!((preflight.status, preflight.header("Access-Control-Allow-Methods")), (204, Some("POST")));
    crate::support::until("the line that says which origin", || {
        gateway.output().contains("https://evil.example").then_some(())
    });
}

/// The addresses that the gateway takes its connections to be from.
fn peers(gateway: &Gateway, preface: &str) -> Vec<String> {
    let mut http = Http::connect(gateway.address);
    http.write(preface);
    let page = http.get_with("/api/v1/connections", &format!("Authorization: Bearer {}\r\n", token::admin()));
    let page = page.json();
    let list = page["connections"].as_array().unwrap_or_else(|| panic!("{page}"));
    list.iter().map(|connection| connection["address"].as_str().unwrap_or_default().to_owned()).collect()
}

fn a_proxy_says_where_its_client_is(driver: Driver) {
    let bearer = format!("Authorization: Bearer {}\r\n", token::token("ada", "default"));
    let v1 = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
    let v2 = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0d";
    for protocol in ["optional", "required"] {
        let start = Start::on(driver).set("server.proxy_protocol", protocol);
        let gateway = start.set("server.trusted_proxies", "127.0.0.0/8").start();
        let mut byte_by_byte = Http::connect(gateway.address);
        v1.bytes().for_each(|byte| byte_by_byte.write([byte]));
        assert_eq!(upgrade(&mut byte_by_byte, &bearer), 101);
        let mut binary = Http::connect(gateway.address);
        let mut header = v2.as_bytes().to_vec();
        header.extend([0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        header.extend([0; 20]);
        binary.write(&header);
        assert_eq!(upgrade(&mut binary, &bearer), 101);
        let mut local = Http::connect(gateway.address);
        local.write("PROXY UNKNOWN\r\n");
        assert_eq!(upgrade(&mut local, &format!("{bearer}X-Forwarded-For: 1.2.3.4, 203.0.113.9\r\n")), 101);
        let mut peers = peers(&gateway, "PROXY UNKNOWN\r\n");
        peers.sort();
        assert_eq!(peers, ["192.0.2.7", "2001:db8::9", "203.0.113.9"]);
    }
}

fn strangers_are_no_proxies(driver: Driver) {
    let start = Start::on(driver).set("server.proxy_protocol", "optional");
    let mut gateway = start.set("server.trusted_proxies", "192.0.2.0/24").start();
    let mut http = Http::over(TcpStream::connect(gateway.address).expect("it listens"));
    http.write("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n");
    assert!(http.is_closed());
    let closed = r#"websocket_disconnections_total{reason="proxy_protocol"}"#;
    assert_eq!(gateway.metric(closed), 1.0);
    gateway.serves_the_next("a stranger's PROXY header");
}
