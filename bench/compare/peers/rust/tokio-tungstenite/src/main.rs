//! The plain protocol on tokio-tungstenite: one task a connection, which reads commands and empties its outbox.
//! A publication is one `Utf8Bytes` cut out of the frame that brought it, cloned by reference count; all that waits in an
//! outbox is fed first and flushed once, so that it leaves in one write.

use std::io;

use futures_util::{SinkExt, StreamExt};
use peer_plain::{Command, JOINED, Member, Rooms, serve};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{self, Bytes, Message, Utf8Bytes, protocol::WebSocketConfig},
};

/// The most messages that one flush takes along.
const BATCH_MAX: usize = 64;

/// What the library's documentation advises for many connections that send little.
const READ_BUFFER_BYTES: usize = 4096;

fn main() -> io::Result<()> {
    let rooms = Rooms::default();
    serve(move |stream| {
        let rooms = rooms.clone();
        async move {
            // An error is a client that went away, or broke the protocol: either way its connection ends.
            let _ = connection(stream, &rooms).await;
        }
    })
}

async fn connection(stream: TcpStream, rooms: &Rooms<Utf8Bytes>) -> tungstenite::Result<()> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    let (mut member, mut outbox) = rooms.member();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            _ = outbox.recv_many(&mut batch, BATCH_MAX) => {
                for text in batch.drain(..) {
                    socket.feed(Message::Text(text)).await?;
                }
                socket.flush().await?;
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => obey(text, &mut member, &mut socket).await?,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

async fn obey(
    text: Utf8Bytes,
    member: &mut Member<Utf8Bytes>,
    socket: &mut WebSocketStream<TcpStream>,
) -> tungstenite::Result<()> {
    let text = Bytes::from(text);
    match Command::parse(&text) {
        Some(Command::Join(room)) => {
            member.join(room);
            socket.send(JOINED.into()).await?;
        }
        Some(Command::Publish(payload)) => member.publish(&Utf8Bytes::try_from(text.slice_ref(payload))?),
        Some(Command::Echo(payload)) => {
            socket.send(Message::Text(text.slice_ref(payload).try_into()?)).await?;
        }
        None => {}
    }
    Ok(())
}
