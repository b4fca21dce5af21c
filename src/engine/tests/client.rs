//! A client: its handshake, its masked frames, and what it has heard.

use serde_json::Value;

use super::harness::{Node, Side, token};
use crate::{
    base::ConnId,
    ws::{
        Decoder, Input, Item, Limits, Opcode, Role,
        deflate::{self, Agreed, Deflater, Inflater},
        encode, handshake,
    },
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const NO_LIMITS: Limits =
    Limits { message_bytes_max: usize::MAX, fragments_max: u32::MAX, inflate_ratio_max: u32::MAX };

/// Something that a client has heard.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// The client's end of a connection that has become a WebSocket.
pub(super) struct Client {
    pub(super) id: ConnId,
    /// The head of the 101.
    pub(super) head: String,
    decoder: Decoder,
    inflater: Inflater,
    deflate: Option<Agreed>,
}

/// A request for an upgrade; `headers` are lines with their ends.
pub(super) fn upgrade_request(target: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// A masked frame.
pub(super) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::frame(&mut out, opcode, payload, false, Some(MASK));
    out
}

pub(super) fn text(payload: &str) -> Vec<u8> {
    frame(Opcode::Text, payload.as_bytes())
}

pub(super) fn close(code: u16) -> Vec<u8> {
    let mut out = Vec::new();
    encode::close(&mut out, code, "", Some(MASK));
    out
}

impl Client {
    /// An established connection of `user`, whose greeting has been read.
    pub(super) fn connect(node: &mut Node, shard: u16, user: &str, tenant: &str) -> Self {
        let mut client = Self::with_token(node, shard, &token(user, tenant, None));
        let greeting = client.json(node);
        assert_eq!(greeting.len(), 1, "{greeting:?}");
        assert_eq!(greeting[0]["type"], "connection:established");
        client
    }

    /// Upgraded with a token as subprotocol.
    pub(super) fn with_token(node: &mut Node, shard: u16, token: &str) -> Self {
        let headers = format!("Sec-WebSocket-Protocol: ringway.json.v1, ringway.bearer.{token}\r\n");
        Self::upgrade(node, shard, "/ws", &headers)
    }

    /// Upgraded somehow.
    pub(super) fn upgrade(node: &mut Node, shard: u16, target: &str, headers: &str) -> Self {
        let id = node.accept(shard);
        node.receive(id, &upgrade_request(target, headers));
        Self::of(node, id)
    }

    /// The client of a connection that was sent a request for an upgrade and has answered all of it.
    pub(super) fn of(node: &mut Node, id: ConnId) -> Self {
        let bytes = node.take(id);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        let accept = format!("\r\nSec-WebSocket-Accept: {}\r\n", handshake::accept_key(KEY));
        assert!(head.contains(&accept), "{head}");
        let answer = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
        let deflate = deflate::accept(answer.unwrap_or_default()).unwrap();
        let (decoder, inflater) = (Decoder::new(Role::Client, deflate), Inflater::new());
        node.sockets.get_mut(&id).unwrap().put_back(&bytes[end..]);
        Self { id, head, decoder, inflater, deflate }
    }

    pub(super) fn protocol(&self) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "))
    }

    pub(super) fn deflates(&self) -> bool {
        self.deflate.is_some()
    }

    /// Sends a text message, and lets everything follow that follows.
    pub(super) fn say(&self, node: &mut Node, message: &str) {
        node.receive(self.id, &text(message));
    }

    /// Says something and answers what was heard then.
    pub(super) fn ask(&mut self, node: &mut Node, message: &str) -> Vec<Value> {
        self.say(node, message);
        self.json(node)
    }

    /// Joins a room without its presence events and reads the two answers.
    pub(super) fn join(&mut self, node: &mut Node, room: &str) {
        let heard =
            self.ask(node, &format!(r#"{{"type":"room:join","id":1,"room":"{room}","presence":false}}"#));
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!((&heard[0]["success"], &heard[1]["type"]), (&Value::Bool(true), &"room:joined".into()));
    }

    /// A compressed text message.
    pub(super) fn compressed(&self, message: &str) -> Vec<u8> {
        let (mut deflated, mut out) = (Vec::new(), Vec::new());
        let bits = self.deflate.expect("negotiated").client_window_bits;
        Deflater::new().compress(bits, message.as_bytes(), &mut deflated);
        encode::frame(&mut out, Opcode::Text, &deflated, true, Some(MASK));
        out
    }

    /// Everything that came since the last call.
    pub(super) fn heard(&mut self, node: &mut Node) -> Vec<Heard> {
        let mut bytes = node.take(self.id);
        let mut input = Input::new(&mut bytes);
        let mut heard = Vec::new();
        while let Some(item) = self.decoder.next(&mut input, &mut self.inflater, &NO_LIMITS).unwrap() {
            heard.push(match item {
                Item::Text(text) => Heard::Text(text.to_owned()),
                Item::Binary(bytes) => Heard::Binary(bytes.to_vec()),
                Item::Ping(bytes) => Heard::Ping(bytes.to_vec()),
                Item::Pong(bytes) => Heard::Pong(bytes.to_vec()),
                Item::Close(reason) => {
                    Heard::Close(reason.map(|reason| (reason.code, reason.text.to_owned())))
                }
            });
        }
        heard
    }

    /// The same, of a client that expects JSON messages and pings only (which it does not answer).
    pub(super) fn json(&mut self, node: &mut Node) -> Vec<Value> {
        let heard = self.heard(node).into_iter().filter(|heard| !matches!(heard, Heard::Ping(_)));
        let parse = |heard| {
            let Heard::Text(text) = heard else { panic!("{heard:?}") };
            serde_json::from_str(&text).unwrap()
        };
        heard.map(parse).collect()
    }

    /// The `type`s of what was heard.
    pub(super) fn types(&mut self, node: &mut Node) -> Vec<String> {
        self.json(node).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// The close code, which must be the last thing heard; what came before it is given, too.
    pub(super) fn closed(&mut self, node: &mut Node) -> (Vec<Heard>, Option<u16>) {
        let mut heard = self.heard(node);
        match heard.pop() {
            Some(Heard::Close(reason)) => (heard, reason.map(|(code, _)| code)),
            other => panic!("{heard:?}, then {other:?}, is no close"),
        }
    }

    /// The close code, when nothing but pings was heard before it.
    pub(super) fn close_code(&mut self, node: &mut Node) -> Option<u16> {
        let (mut before, code) = self.closed(node);
        before.retain(|heard| !matches!(heard, Heard::Ping(_)));
        assert_eq!(before, [], "before the close");
        code
    }

    pub(super) fn side(&self, node: &Node) -> Side {
        node.side(self.id)
    }
}
