//! The plain protocol on fastwebsockets, upgraded through hyper as its examples do: one task a connection, a reader and a
//! writer in it. A publication is encoded once by the library's `Frame` and shared; a writer sends all that waits in its
//! outbox in one write.

use std::{io, rc::Rc};

use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocketError, WebSocketRead,
    after_handshake_split,
    upgrade::{UpgradeFut, upgrade},
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use peer_plain::{Command, JOINED, Member, Outbox, Rooms, serve};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, sink},
    net::{TcpStream, tcp::OwnedWriteHalf},
    task::spawn_local,
};

/// The most frames that one write takes along.
const BATCH_MAX: usize = 64;

/// A frame as it goes over the wire.
type Encoded = Rc<[u8]>;

fn main() -> io::Result<()> {
    let rooms = Rooms::default();
    serve(move |stream| {
        let rooms = rooms.clone();
        async move {
            // Errors end the connection they are about: a client that went away, or that broke the protocol.
            let _ = handshake(stream, rooms).await;
        }
    })
}

async fn handshake(stream: TcpStream, rooms: Rooms<Encoded>) -> hyper::Result<()> {
    let service = service_fn(async |mut request: Request<Incoming>| {
        let (response, upgraded) = upgrade(&mut request)?;
        let rooms = rooms.clone();
        spawn_local(async move {
            let _ = connection(upgraded, &rooms).await;
        });
        Ok::<_, WebSocketError>(response)
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
}

/// Takes the bare stream out of hyper's box again and runs both halves until the client leaves.
async fn connection(upgraded: UpgradeFut, rooms: &Rooms<Encoded>) -> Result<(), WebSocketError> {
    let upgraded = upgraded.await?.into_inner().into_inner();
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("hyper was given this type");
    let (read, write) = parts.io.into_inner().into_split();
    // A copy, nearly always of nothing: the original would keep hyper's whole read buffer.
    let read = io::Cursor::new(parts.read_buf.to_vec()).chain(read);
    // The library's writer would make each frame anew: the sink stands in for it, `send` has the stream.
    let (read, _) = after_handshake_split(read, sink(), Role::Server);
    let (member, outbox) = rooms.member();
    tokio::try_join!(receive(read, member), send(write, outbox))?;
    Ok(())
}

/// Obeys the client; its end drops `member`, which lets `send` finish the outbox and end too.
async fn receive<S>(read: WebSocketRead<S>, mut member: Member<Encoded>) -> Result<(), WebSocketError>
where
    S: AsyncRead + Unpin,
{
    let mut socket = FragmentCollectorRead::new(read);
    loop {
        let mut obliged = None;
        let frame = socket
            .read_frame(&mut |frame| {
                obliged = Some(encode(frame));
                async { Ok::<_, WebSocketError>(()) }
            })
            .await;
        if let Some(reply) = obliged {
            member.reply(reply);
        }
        let frame = frame?;
        match frame.opcode {
            OpCode::Text => obey(&frame.payload, &mut member),
            OpCode::Close => return Ok(()),
            OpCode::Binary | OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
        }
    }
}

fn obey(text: &[u8], member: &mut Member<Encoded>) {
    match Command::parse(text) {
        Some(Command::Join(room)) => {
            member.join(room);
            member.reply(encode_text(JOINED.as_bytes()));
        }
        Some(Command::Publish(payload)) => member.publish(&encode_text(payload)),
        Some(Command::Echo(payload)) => member.reply(encode_text(payload)),
        None => {}
    }
}

async fn send(mut stream: OwnedWriteHalf, mut outbox: Outbox<Encoded>) -> Result<(), WebSocketError> {
    let mut frames = Vec::new();
    let mut joined = Vec::new();
    while outbox.recv_many(&mut frames, BATCH_MAX).await > 0 {
        if let [frame] = frames.as_slice() {
            stream.write_all(frame).await?;
        } else {
            frames.iter().for_each(|it| joined.extend_from_slice(it));
            stream.write_all(&joined).await?;
            joined.clear();
        }
        frames.clear();
    }
    Ok(())
}

fn encode_text(payload: &[u8]) -> Encoded {
    encode(Frame::text(Payload::Borrowed(payload)))
}

fn encode(mut frame: Frame<'_>) -> Encoded {
    Rc::from(frame.write(&mut Vec::new()))
}
