//! A WebSocket client over the library's own codec in the client's role. It answers pings unless told not to, can
//! send any bytes at all, and shows each frame that comes.

use std::{
    io::{self, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use ringway::ws::{
    Decoder, Input, Item, Limits, Opcode, Role,
    deflate::{self, Agreed, Deflater, Inflater},
    encode, handshake,
};
use serde_json::Value;

use super::{Http, Response, http::is_reset};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMITS: Limits = Limits { message_bytes_max: 64 << 20, fragments_max: 1, inflate_ratio_max: u32::MAX };

/// One open connection.
pub(crate) struct Socket {
    stream: BufReader<TcpStream>,
    decoder: Decoder,
    inflater: Inflater,
    agreed: Option<Agreed>,
    /// Of the 101.
    pub(crate) upgrade: Response,
    pub(crate) answers_pings: bool,
    /// Whether the last frame had RSV1 set: it was compressed.
    pub(crate) was_compressed: bool,
    calls: u32,
}

/// What came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection ended without another frame.
    End,
}

/// The request for an upgrade; `headers` are lines, each with its line end.
pub(crate) fn upgrade_request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

impl Socket {
    /// `/ws` with the token in `Authorization`.
    #[track_caller]
    pub(crate) fn with_token(address: SocketAddr, token: &str) -> Self {
        Self::open(address, "/ws", &format!("Authorization: Bearer {token}\r\n"))
    }

    /// The same, where the gateway may be unable to take connections at all.
    pub(crate) fn try_with_token(address: SocketAddr, token: &str) -> Option<Self> {
        let mut http = Http::connect(address);
        http.write(upgrade_request("/ws", &format!("Authorization: Bearer {token}\r\n")));
        let upgrade = http.try_response(true).ok()?;
        Self::upgraded(http, upgrade).ok()
    }

    /// Upgrades, which must succeed.
    #[track_caller]
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        Self::try_open(address, path, headers).unwrap_or_else(|response| panic!("{response:?}"))
    }

    /// Upgrades, or says what was answered instead.
    #[track_caller]
    pub(crate) fn try_open(address: SocketAddr, path: &str, headers: &str) -> Result<Self, Response> {
        Self::over(Http::connect(address), path, headers, &[])
    }

    /// Upgrades on a connection that is there, with `early` bytes right after the request.
    #[track_caller]
    pub(crate) fn over(mut http: Http, path: &str, headers: &str, early: &[u8]) -> Result<Self, Response> {
        http.write([upgrade_request(path, headers).as_bytes(), early].concat());
        let upgrade = http.response();
        Self::upgraded(http, upgrade)
    }

    /// The end of an upgrade request whose beginning was sent already.
    #[track_caller]
    pub(crate) fn finish_upgrade(mut http: Http, rest: &str) -> Self {
        http.write(rest);
        let upgrade = http.response();
        Self::upgraded(http, upgrade).unwrap_or_else(|response| panic!("{response:?}"))
    }

    #[track_caller]
    fn upgraded(http: Http, upgrade: Response) -> Result<Self, Response> {
        if upgrade.status != 101 {
            return Err(upgrade);
        }
        assert_eq!(upgrade.header("Sec-WebSocket-Accept"), Some(handshake::accept_key(KEY).as_str()));
        let answer = upgrade.header("Sec-WebSocket-Extensions").unwrap_or_default();
        let agreed = deflate::accept(answer).expect("the gateway answers what was offered");
        Ok(Self {
            stream: http.into_stream(),
            decoder: Decoder::new(Role::Client, agreed),
            inflater: Inflater::new(),
            agreed,
            upgrade,
            answers_pings: true,
            was_compressed: false,
            calls: 0,
        })
    }

    // ---- sending ----

    pub(crate) fn send(&mut self, text: &str) {
        self.write(text_frame(text));
    }

    /// Compressed, as was agreed on.
    pub(crate) fn send_compressed(&mut self, text: &str) {
        let bits = self.agreed.expect("compression was agreed on").client_window_bits;
        let (mut payload, mut bytes) = (Vec::new(), Vec::new());
        Deflater::new().compress(bits, text.as_bytes(), &mut payload);
        encode::frame(&mut bytes, Opcode::Text, &payload, true, Some(MASK));
        self.write(bytes);
    }

    /// Sends bytes as they are; that the peer has closed shows when reading.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Sends a call with an id of its own, and reads its ack, which must be next.
    #[track_caller]
    pub(crate) fn call(&mut self, fields: &str) -> Value {
        self.calls += 1;
        self.send(&format!(r#"{{"id":{},{fields}}}"#, self.calls));
        let ack = self.json();
        assert_eq!(ack["type"], "ack", "{ack}");
        assert_eq!(ack["id"], self.calls, "{ack}");
        ack
    }

    /// Joins without presence events, and reads the ack and the event.
    #[track_caller]
    pub(crate) fn join(&mut self, room: &str) -> Value {
        let ack = self.call(&format!(r#""type":"room:join","room":"{room}","presence":false"#));
        assert_eq!(ack["success"], true, "{ack}");
        assert_eq!(self.expect("room:joined")["room"], room);
        ack
    }

    /// Closing the socket will reset the connection: there is no orderly end.
    pub(crate) fn reset_on_drop(&self) {
        let socket = socket2::SockRef::from(self.stream.get_ref());
        socket.set_linger(Some(Duration::ZERO)).expect("a TCP socket has this option");
    }

    // ---- receiving ----

    /// The next frame; answered pings are not shown.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Received {
        loop {
            let received = self.frame().unwrap_or_else(|error| panic!("nothing came: {error}"));
            match &received {
                Received::Ping(payload) if self.answers_pings => self.write(frame(Opcode::Pong, payload)),
                _ => return received,
            }
        }
    }

    fn frame(&mut self) -> io::Result<Received> {
        let mut bytes = match self.frame_bytes() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_reset(&error) => {
                return Ok(Received::End);
            }
            Err(error) => return Err(error),
        };
        self.was_compressed = bytes[0] & 0x40 != 0;
        let mut input = Input::new(&mut bytes);
        let item = self.decoder.next(&mut input, &mut self.inflater, &LIMITS);
        let item =
            item.expect("the gateway's frames are good").expect("the gateway's frames are whole messages");
        Ok(match item {
            Item::Text(text) => Received::Text(text.to_owned()),
            Item::Binary(bytes) => Received::Binary(bytes.to_owned()),
            Item::Ping(payload) => Received::Ping(payload.to_owned()),
            Item::Pong(payload) => Received::Pong(payload.to_owned()),
            Item::Close(reason) => {
                let (code, text) = reason.map_or((1005, ""), |reason| (reason.code, reason.text));
                Received::Close(code, text.to_owned())
            }
        })
    }

    /// The bytes of one frame, unmasked as a server's are.
    fn frame_bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 2];
        self.stream.read_exact(&mut bytes)?;
        let extended = match bytes[1] {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        bytes.resize(2 + extended, 0);
        self.stream.read_exact(&mut bytes[2..])?;
        let length = match extended {
            0 => u64::from(bytes[1]),
            _ => bytes[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let start = bytes.len();
        bytes.resize(start + usize::try_from(length).map_err(io::Error::other)?, 0);
        self.stream.read_exact(&mut bytes[start..])?;
        Ok(bytes)
    }

    /// The next frame, which must be text.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        match self.receive() {
            Received::Text(text) => text,
            other => panic!("{other:?} instead of text"),
        }
    }

    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next message, which must be of this type.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let message = self.json();
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// Sends a JSON ping; the type of the next message.
    #[track_caller]
    pub(crate) fn ping(&mut self) -> String {
        self.send(r#"{"type":"ping"}"#);
        self.json()["type"].as_str().expect("a message has a type").to_owned()
    }

    /// The close frame, whatever messages come before it. Answers it, and checks that the connection then ends.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> (u16, String) {
        let (code, text) = self.close_frame();
        let payload = if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() };
        self.write(frame(Opcode::Close, &payload));
        assert_eq!(self.receive(), Received::End, "after a close frame");
        (code, text)
    }

    /// The close frame, whatever messages come before it; it is left unanswered.
    #[track_caller]
    pub(crate) fn close_frame(&mut self) -> (u16, String) {
        loop {
            match self.receive() {
                Received::Close(code, text) => return (code, text),
                Received::End => panic!("the connection ended without a close frame"),
                Received::Text(_) | Received::Binary(_) | Received::Ping(_) | Received::Pong(_) => {}
            }
        }
    }

    /// The shard that owns the connection, out of its public id.
    pub(crate) fn shard_of(established: &Value) -> usize {
        let id = established["connectionId"].as_str().expect("a connection has an id");
        usize::from_str_radix(&id[8..10], 16).expect("an id is hexadecimal")
    }
}

/// A whole frame as a client sends it.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::frame(&mut bytes, opcode, payload, false, Some(MASK));
    bytes
}

/// A whole text message in one frame.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    frame(Opcode::Text, text.as_bytes())
}
