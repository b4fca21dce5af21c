//! `admin.listen`: a second address, on every shard, for those who are no clients.

use std::net::SocketAddr;

use ringway::shell::driver::Driver;

use crate::support::{Gateway, Http, Start, token, until};

on_both_drivers!(administrators_have_an_address_of_their_own);

fn get(address: SocketAddr, path: &str) -> u16 {
    let header = format!("Authorization: Bearer {}\r\n", token::admin());
    Http::connect(address).get_with(path, &header).status
}

#[track_caller]
fn admin_address(gateway: &Gateway) -> SocketAddr {
    until("the line about the second address", || {
        let output = gateway.output();
        let (_, rest) = output.split_once("are answered on ")?;
        rest.split(' ').next()?.parse().ok()
    })
}

fn administrators_have_an_address_of_their_own(driver: Driver) {
    let mut gateway = Start::on(driver).set("admin.listen", "127.0.0.1:0").start();
    let (public, admin) = (gateway.address, admin_address(&gateway));
    // As often as makes sure that both shards were asked.
    for _ in 0..8 {
        for path in ["/metrics", "/stats", "/api/v1/rooms", "/api/v1/nodes", "/api/metrics/websocket"] {
            assert_eq!((get(public, path), get(admin, path)), (404, 200), "{path}");
        }
        for path in ["/health", "/ready", "/live", "/openapi.json"] {
            assert_eq!((get(public, path), get(admin, path)), (200, 200), "{path}");
        }
        assert_eq!((get(public, "/ws"), get(admin, "/ws")), (426, 404));
    }
    let mut client = gateway.socket("ada", "acme");
    assert_eq!(client.ping(), "pong");
    gateway.signal(libc::SIGTERM);
    assert_eq!(client.expect("system:restart")["type"], "system:restart");
    assert_eq!(client.closed().0, 1012);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_second_address_that_cannot_be_had_is_an_error() {
    let first = Start::on(Driver::Epoll).start();
    let (code, text) = Start::on(Driver::Epoll).set("admin.listen", first.address).fail();
    assert!(code == Some(1) && text.contains(&format!("{} is in use", first.address)), "{text}");
    let (code, text) = Start::on(Driver::Epoll).set("admin.listen", "9090").fail();
    assert!(
        code == Some(1) && text.contains("admin.listen = \"9090\": must be an address and a port"),
        "{text}"
    );
}
