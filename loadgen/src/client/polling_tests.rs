//! A session of Socket.IO over long-polling against a scripted server: bytes on two lanes, in pieces of any size.

use ringway::ws::{Limits, deflate::Inflater};

use super::*;
use crate::{
    client::wire::{Gear, Wire},
    plan::RoomId,
    protocol::{Call, Dialogue, Heard, Publishing, RoomNames, Speak, Transport, Who, socketio::SocketIo},
};

const HOST: &str = "h:1";
const PATH: &str = "/socket.io/?EIO=4&transport=polling";
/// As recorded from socket.io 4.
const OPEN: &str = r#"0{"sid":"zi7Kj8r5TjjbdrKIAAAD","upgrades":["websocket"],"pingInterval":1500,"pingTimeout":3000,"maxPayload":1000000}"#;
const AGENT: &str = concat!("User-Agent: ringway-loadgen/", env!("CARGO_PKG_VERSION"), "\r\n");

/// How the server says where a response ends.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    Chunked,
    /// With a length, and each connection for one request.
    OneEach,
}

/// An Engine.IO server with Socket.IO's packets, as far as a session needs it.
struct Server {
    framing: Framing,
    /// What came on each lane and is no whole request yet.
    unread: [Vec<u8>; 2],
    /// Packets for the client.
    packets: Vec<String>,
    /// A GET waits.
    waiting: bool,
    /// What was posted.
    posted: Vec<String>,
}

impl Server {
    fn new(framing: Framing) -> Self {
        Self { framing, unread: Default::default(), packets: Vec::new(), waiting: false, posted: Vec::new() }
    }

    /// Takes in bytes of a lane; what is answered.
    fn take_in(&mut self, lane: Lane, bytes: &[u8]) -> Vec<(Lane, Vec<u8>)> {
        let unread = &mut self.unread[lane as usize];
        unread.extend_from_slice(bytes);
        let text = String::from_utf8(std::mem::take(unread)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("requests are written whole");
        assert!(head.contains(&format!("\r\nHost: {HOST}\r\n")), "{head}");
        let mut answers = Vec::new();
        let path = head.split(' ').nth(1).unwrap();
        let with_sid = format!("{PATH}&sid=zi7Kj8r5TjjbdrKIAAAD");
        match (lane, head.split(' ').next().unwrap()) {
            (Lane::Main, "GET") if path == PATH => answers.push((lane, self.response(OPEN))),
            (Lane::Main, "GET") => {
                assert_eq!((path, body, self.waiting), (with_sid.as_str(), "", false));
                self.waiting = true;
            }
            (Lane::Side, "POST") => {
                assert_eq!(path, with_sid);
                assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
                answers.push((lane, self.response("ok")));
                body.split('\x1e').for_each(|packet| self.posted(packet));
            }
            other => panic!("{other:?}"),
        }
        answers.extend(self.flush());
        answers
    }

    fn posted(&mut self, packet: &str) {
        self.posted.push(packet.to_owned());
        let answer = |id: &str| format!(r#"43{id}[{{"success":true}}]"#);
        if packet.starts_with("40") {
            self.packets.push(r#"40{"sid":"ZBieFle8fG"}"#.to_owned());
        } else if packet == CLOSE {
            self.packets.push("6".to_owned());
        } else if let Some(event) = packet.strip_prefix("42") {
            self.packets.push(answer(event.split('[').next().unwrap()));
        }
    }

    /// Answers the GET that waits, if there is something to say.
    fn flush(&mut self) -> Option<(Lane, Vec<u8>)> {
        if self.packets.is_empty() || !std::mem::take(&mut self.waiting) {
            return None;
        }
        let body = self.packets.join("\x1e");
        self.packets.clear();
        Some((Lane::Main, self.response(&body)))
    }

    fn response(&self, body: &str) -> Vec<u8> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\n";
        match self.framing {
            Framing::Length => format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
            Framing::OneEach => {
                format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            Framing::Chunked => {
                let (first, second) = body.split_at(1);
                let chunk = |part: &str| match part.len() {
                    0 => String::new(),
                    bytes => format!("{bytes:x}\r\n{part}\r\n"),
                };
                let chunks = [chunk(first), chunk(second)].concat();
                format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
            }
        }
        .into_bytes()
    }
}

/// What an event loop does for one connection.
struct Driver {
    wire: Wire,
    gear: Gear,
    server: Server,
    dialogue: Dialogue,
    names: [String; 1],
    piece: usize,
    now_ns: u64,
    dials: Vec<Lane>,
    heard: Vec<String>,
}

const SOCKETIO: SocketIo = SocketIo { transport: Transport::Polling };

impl Driver {
    fn new(framing: Framing, piece: usize) -> Self {
        let mut driver = Self {
            wire: Wire::polling(PATH),
            gear: Gear {
                inflater: Inflater::new(),
                limits: Limits { message_bytes_max: 0, fragments_max: 0, inflate_ratio_max: 0 },
                masks: fastrand::Rng::with_seed(1),
            },
            server: Server::new(framing),
            dialogue: Dialogue::Fresh,
            names: ["r0".to_owned()],
            piece,
            now_ns: 0,
            dials: vec![Lane::Main],
            heard: Vec::new(),
        };
        driver.wire.connected(Lane::Main, 0);
        driver
    }

    /// Goes on until both sides wait.
    fn run(&mut self) -> Result<(), String> {
        let mut request = Vec::new();
        while let Some(step) = self.wire.next(HOST, self.now_ns, &mut request) {
            match step {
                Step::Dial(lane) => {
                    self.dials.push(lane);
                    self.wire.connected(lane, self.now_ns);
                }
                Step::Send(lane) => {
                    for (lane, response) in self.server.take_in(lane, &std::mem::take(&mut request)) {
                        self.read(lane, response)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, lane: Lane, mut response: Vec<u8>) -> Result<(), String> {
        for piece in response.chunks_mut(self.piece) {
            let Self { wire, gear, dialogue, names, heard, now_ns, .. } = self;
            let mut out = Out::default();
            let token = || Some("t".to_owned());
            let who = Who { token: &token, rooms: RoomNames { all: names, own: &[RoomId(0)] } };
            wire.receive(lane, piece, *now_ns, gear, &mut Vec::new(), &mut |incoming| match incoming {
                Incoming::Accepted => assert_eq!(SOCKETIO.open(dialogue, who, &mut out), None),
                Incoming::Message(message) => {
                    SOCKETIO
                        .read(dialogue, who, message, &mut out, &mut |it| {
                            if it != Heard::Other {
                                heard.push(format!("{it:?}"));
                            }
                        })
                        .unwrap();
                }
            })?;
            wire.send(&out, gear, &mut Vec::new());
        }
        Ok(())
    }

    fn say(&mut self, write: impl FnOnce(&mut Dialogue, Who<'_>, &mut Out)) {
        let mut out = Out::default();
        let token = || None;
        write(
            &mut self.dialogue,
            Who { token: &token, rooms: RoomNames { all: &self.names, own: &[RoomId(0)] } },
            &mut out,
        );
        self.wire.send(&out, &mut self.gear, &mut Vec::new());
    }

    fn tell(&mut self, packets: &[&str]) -> Result<(), String> {
        self.server.packets.extend(packets.iter().map(|packet| (*packet).to_owned()));
        if let Some((lane, response)) = self.server.flush() {
            self.read(lane, response)?;
        }
        self.run()
    }
}

#[test]
fn a_session_of_socketio_goes_over_polling() {
    for framing in [Framing::Length, Framing::Chunked, Framing::OneEach] {
        for piece in [1, 7, usize::MAX] {
            let mut driver = Driver::new(framing, piece);
            driver.run().unwrap();
            assert_eq!(driver.heard, [format!("{:?}", Heard::Established)], "{framing:?} {piece}");
            driver.say(|dialogue, who, out| SOCKETIO.join(dialogue, who, 0, out));
            driver.run().unwrap();
            for seq in 0..2 {
                let call = Publishing { ordinal: 0, seq, payload: "{\"lg\":\"é\"}".as_bytes() };
                driver.say(|dialogue, who, out| SOCKETIO.publish(dialogue, who, call, out));
            }
            driver.run().unwrap();
            let delivery = r#"42["room:message",{"room":"r0","payload":{"lg":"é"}}]"#;
            driver.tell(&[delivery, "2", delivery]).unwrap();

            let acked = |call| format!("{:?}", Heard::Acked(call));
            let delivered = |heard: &&String| heard.starts_with("Delivery");
            assert_eq!(
                driver.heard[1..4],
                [
                    acked(Call::Join(0)),
                    acked(Call::Publish { ordinal: 0, seq: 0 }),
                    acked(Call::Publish { ordinal: 0, seq: 1 })
                ]
            );
            assert_eq!((driver.heard.iter().filter(delivered).count(), driver.heard.len()), (2, 6));
            assert_eq!(
                driver.server.posted,
                [
                    r#"40{"token":"t"}"#,
                    r#"423["room:join",{"room":"r0","presence":false}]"#,
                    r#"424["room:send",{"room":"r0","payload":{"lg":"é"}}]"#,
                    r#"425["room:send",{"room":"r0","payload":{"lg":"é"}}]"#,
                    "3"
                ]
            );
            match framing {
                Framing::Length | Framing::Chunked => assert_eq!(driver.dials, [Lane::Main, Lane::Side]),
                Framing::OneEach => assert!(driver.dials.len() > 6, "{:?}", driver.dials),
            }

            driver.wire.close(&mut driver.gear, &mut Vec::new());
            assert_eq!(driver.run(), Err("the session was closed".to_owned()));
            assert_eq!(driver.server.posted.last().unwrap(), CLOSE);
        }
    }
}

#[test]
fn requests_are_golden() {
    let mut polling = Polling::new(PATH);
    let mut out = Vec::new();
    assert_eq!(polling.next(HOST, 0, &mut out), None, "the main lane is being dialed");
    polling.connected(Lane::Main, 0);
    assert_eq!(polling.next(HOST, 0, &mut out), Some(Step::Send(Lane::Main)));
    assert_eq!(
        String::from_utf8(std::mem::take(&mut out)).unwrap(),
        format!("GET {PATH} HTTP/1.1\r\nHost: h:1\r\n{AGENT}\r\n")
    );

    let open = r#"0{"sid":"a","maxPayload":9}"#;
    let opened = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{open}", open.len());
    polling.receive(Lane::Main, opened.as_bytes(), 0, &mut |_| {}).unwrap();
    assert_eq!(polling.next(HOST, 0, &mut out), Some(Step::Send(Lane::Main)));
    assert!(out.starts_with(format!("GET {PATH}&sid=a HTTP/1.1\r\n").as_bytes()));
    assert_eq!(polling.next(HOST, 0, &mut out), None, "nothing to post");

    // A body has nine bytes at most, but where a packet alone is longer; binary goes as base64.
    let mut messages = Out::default();
    for (kind, text) in [
        (Kind::Text, "4a"),
        (Kind::Binary, "\x01\x02\x03"),
        (Kind::Text, "4 longer than nine"),
        (Kind::Text, "4b"),
    ] {
        messages.put(&[text]);
        messages.end(kind);
    }
    polling.send(&messages);
    assert_eq!(polling.unsent_bytes(), 2 + 1 + 5 + 1 + 18 + 1 + 2);
    assert_eq!(polling.next(HOST, 0, &mut out), Some(Step::Dial(Lane::Side)));
    for body in ["4a\x1ebAQID", "4 longer than nine", "4b"] {
        polling.connected(Lane::Side, 0);
        out.clear();
        assert_eq!(polling.next(HOST, 0, &mut out), Some(Step::Send(Lane::Side)));
        let expected = format!(
            "POST {PATH}&sid=a HTTP/1.1\r\nHost: h:1\r\n{AGENT}Content-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert_eq!(polling.next(HOST, 0, &mut out), None, "one request at a time");
        polling
            .receive(Lane::Side, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0, &mut |_| {})
            .unwrap();
    }
    assert_eq!((polling.next(HOST, 0, &mut out), polling.unsent_bytes()), (None, 0));
}

#[test]
fn a_lane_that_rested_is_dialed_anew() {
    let mut driver = Driver::new(Framing::Length, usize::MAX);
    driver.run().unwrap();
    for (now_ns, dials) in [(REST_NS - 1, 2), (2 * REST_NS - 1, 3), (2 * REST_NS, 3)] {
        driver.now_ns = now_ns;
        driver.say(|dialogue, _, out| SOCKETIO.presence(dialogue, 0, out));
        driver.run().unwrap();
        assert_eq!(driver.dials.len(), dials, "{now_ns}");
    }
    assert_eq!(driver.wire.closed(Lane::Side), Ok(()), "a lane that rests may be closed");
    driver.say(|dialogue, _, out| SOCKETIO.presence(dialogue, 0, out));
    driver.run().unwrap();
    assert_eq!(driver.dials.len(), 4);
    let over = "the connection of a GET was closed before its answer";
    assert_eq!(driver.wire.closed(Lane::Main), Err(over.to_owned()));
}

#[test]
fn what_ends_a_session() {
    let body = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let no_open = "the server broke the protocol: no open packet comes first";
    let rows = [
        (body("1"), "the server closed the session"),
        (body("40{}"), no_open),
        (body("0{}"), no_open),
        (body("0{\"sid\":\"a b\"}"), no_open),
        (body("0{\"sid\":\"\"}"), no_open),
        (body("b!"), "the server broke the protocol: a binary packet that is no base64"),
        (
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\n\r\n{\"code\":1}".to_owned(),
            "HTTP 400 Bad Request {\"code\":1}",
        ),
        ("HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n".to_owned(), "HTTP 503"),
        ("RTSP/1.0 ".to_owned(), "the answer is no HTTP response: invalid HTTP version"),
        (body(OPEN) + &body("6"), "the server answered what it was not asked"),
    ];
    for (response, why) in rows {
        let mut polling = Polling::new(PATH);
        polling.connected(Lane::Main, 0);
        polling.next(HOST, 0, &mut Vec::new());
        let over = polling.receive(Lane::Main, response.as_bytes(), 0, &mut |_| {});
        assert_eq!(over, Err(why.to_owned()), "{response}");
    }
}
