//! The floor under every gateway: one thread, epoll, and on a publish one frame made once and one write(2) to each other
//! member's socket. No limits, no heartbeat, no batching. Nothing is dropped either: what a socket does not take waits for it.

mod connection;
mod handshake;
mod server;
mod wire;

use std::{env, io, net::Ipv4Addr};

fn main() -> io::Result<()> {
    let port = env::args().nth(1).and_then(|it| it.parse().ok());
    let port: u16 = port.ok_or_else(|| io::Error::other("the first argument must be a port"))?;
    server::Server::bind((Ipv4Addr::LOCALHOST, port).into())?.run()
}
