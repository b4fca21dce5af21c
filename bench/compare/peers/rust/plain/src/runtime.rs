//! The runtime of the tokio peers: one thread, because the runner gives the server one core, and then tokio's current-thread
//! scheduler has no queue to share and no worker to wake.

use std::{env, io, net::Ipv4Addr};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::LocalRuntime,
    task::spawn_local,
};

/// Runs `connection` as a task for each stream accepted on 127.0.0.1 at the port that is the first argument; never returns
/// while the listener works.
pub fn serve<F>(connection: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    LocalRuntime::new()?.block_on(async {
        let listener = listen().await?;
        loop {
            let stream = accept(&listener).await?;
            spawn_local(connection(stream));
        }
    })
}

async fn listen() -> io::Result<TcpListener> {
    let port = env::args().nth(1).and_then(|it| it.parse().ok());
    let port = port.ok_or_else(|| io::Error::other("the first argument must be a port"))?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
