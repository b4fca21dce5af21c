//! Rooms and echo on socketioxide, as a hyper service: WebSocket transport only, default namespace, packets of the common
//! parser. The library encodes a broadcast once, and its sockets share it.

use std::{env, io, net::Ipv4Addr};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use socketioxide::{
    SocketIo, TransportType,
    extract::{AckSender, Data, SocketRef},
};
use tokio::{net::TcpListener, runtime::Builder};

/// Packets that may wait for one socket before the library refuses more; its default, 128, loses messages in a burst.
const BUFFER_PACKETS_MAX: usize = 65_536;

fn main() -> io::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(listen())
}

async fn listen() -> io::Result<()> {
    let (service, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .max_buffer_size(BUFFER_PACKETS_MAX)
        .build_svc();
    io.ns("/", connected);
    let port = env::args().nth(1).and_then(|it| it.parse().ok());
    let port: u16 = port.ok_or_else(|| io::Error::other("the first argument must be a port"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            // An error is a client that went away during its handshake.
            let _ =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

async fn connected(socket: SocketRef) {
    socket.on("join", async |socket: SocketRef, Data::<String>(room), ack: AckSender| {
        socket.join(room.clone());
        socket.on("send", async move |socket: SocketRef, Data::<String>(payload)| {
            // It fails for a member whose buffer is full; the runner counts what did not arrive.
            let _ = socket.to(room.clone()).emit("message", &payload).await;
        });
        let _ = ack.send(&());
    });
    socket.on("echo", async |Data::<String>(payload), ack: AckSender| {
        let _ = ack.send(&payload);
    });
}
