//! Every hostile input by itself, however its bytes are cut and however it ends: it gets its documented answer, the next client
//! is served, and nothing of it stays in slab, wheel, rooms, queues or tables. One node takes them all, one after the other.

use super::{
    api::with_key,
    client::{Client, Heard, text, upgrade_request},
    harness::{Flow, Node, Side, token},
    hostile_calls, hostile_frames, hostile_heads, hostile_tokens,
    http::bearer,
};
use crate::{base::ConnId, engine::Config, model::Scope};

/// Where in a connection's life the bytes come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Http,
    /// A WebSocket without a token so far.
    Pending,
    /// A member of a room.
    Open,
    /// The same, with compression.
    Deflated,
    /// The same, over relay.
    Relay,
}

/// What the sender is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// A response with this status, the last of all.
    Status(u16),
    /// A close frame with this code.
    Close(u16),
    /// An error or a refused ack with this code; the connection goes on.
    Fault(&'static str),
    /// Nothing: it is not whole, or says nothing.
    Silence,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) bytes: Vec<u8>,
    pub(super) fate: Fate,
}

/// A row; `bytes` may be text.
pub(super) fn row(name: impl Into<String>, stage: Stage, bytes: impl AsRef<[u8]>, fate: Fate) -> Row {
    Row { name: name.into(), stage, bytes: bytes.as_ref().to_vec(), fate }
}

/// How the bytes are cut.
const CUTS: [fn(usize) -> Vec<usize>; 3] = [
    |_| Vec::new(),
    |len| vec![len / 2],
    |len| if len > 400 { vec![1, len - 1] } else { (1..len).collect() },
];

/// How the connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The client ends its side.
    Fin,
    Reset,
    /// It says nothing more: deadlines end it.
    Silence,
    /// It has never read a byte, and says nothing more.
    Deaf,
}

const ENDS: [End; 4] = [End::Fin, End::Reset, End::Silence, End::Deaf];

/// Longer than any deadline.
const LONG_MS: u64 = 300_000;

fn node() -> Node {
    let scopes: Vec<_> = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin).collect();
    Node::with(Config { body_bytes_max: 64 * 1024, ..with_key(2, &scopes, &["acme"]) })
}

/// One who is at that stage.
fn mallory(node: &mut Node, stage: Stage) -> (ConnId, Option<Client>) {
    let token = bearer(&token("mallory", "acme", None));
    let headers = match stage {
        Stage::Http => return (node.accept(1), None),
        Stage::Pending => String::new(),
        Stage::Open => token,
        Stage::Deflated => format!("{token}Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        Stage::Relay => format!("{token}Sec-WebSocket-Protocol: ringway.relay.v1\r\n"),
    };
    let id = node.accept(1);
    node.receive(id, &upgrade_request("/ws", &headers));
    let mut client = Client::of(node, id);
    if stage != Stage::Pending {
        assert_eq!(client.types(node), ["connection:established"]);
        client.join(node, "lobby");
    }
    (id, Some(client))
}

/// Sends the bytes in pieces, until the gateway has heard enough.
fn deliver(node: &mut Node, id: ConnId, bytes: &[u8], cuts: &[usize]) {
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let mut start = 0;
    for end in ends.filter(|end| *end <= bytes.len()) {
        if node.side(id) == Side::Open {
            node.receive(id, &bytes[start..end]);
        }
        start = end;
    }
}

fn judge(node: &mut Node, row: &Row, id: ConnId, client: Option<Client>) {
    let name = &row.name;
    let Some(mut client) = client else { return judge_response(node, row, id) };
    let heard = client.heard(node);
    let last = heard.iter().rfind(|heard| !matches!(heard, Heard::Ping(_) | Heard::Pong(_)));
    match row.fate {
        Fate::Close(code) => {
            let is_closed = matches!(last, Some(Heard::Close(Some((found, _)))) if *found == code);
            assert!(is_closed, "{name}: {last:?} instead of {code}");
        }
        Fate::Fault(code) => {
            let Some(Heard::Text(text)) = last else { panic!("{name}: {last:?} instead of {code}") };
            let event: serde_json::Value = serde_json::from_str(text).unwrap();
            let error = if event["type"] == "ack" { &event["error"] } else { &event };
            assert_eq!(error["code"], code, "{name}: {text}");
            let message = error["message"].as_str().unwrap();
            assert!(message.len() < 250, "{name}: {message}");
            assert_eq!(client.side(node), Side::Open, "{name}");
            client.say(node, r#"{"type":"ping"}"#);
            assert_eq!(client.types(node), ["pong"], "{name} ends nothing");
        }
        Fate::Silence => assert_eq!(last, None, "{name}"),
        Fate::Status(_) => panic!("{name}: no HTTP any more"),
    }
}

fn judge_response(node: &mut Node, row: &Row, id: ConnId) {
    let (name, bytes) = (&row.name, node.take(id));
    let told = String::from_utf8_lossy(&bytes);
    match row.fate {
        Fate::Status(status) => {
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {told}");
            assert_eq!(
                told.matches("\r\nContent-Length: ").count(),
                1,
                "{name}: more than it asked for: {told}"
            );
        }
        // What an upgrade came to.
        Fate::Close(code) => {
            let close = [&[0x88_u8][..], &code.to_be_bytes()].concat();
            let at = bytes.windows(4).rposition(|four| four[0] == close[0] && four[2..] == close[1..]);
            assert!(told.starts_with("HTTP/1.1 101 ") && at.is_some(), "{name}: {told}");
        }
        Fate::Silence => assert_eq!(told, "", "{name}"),
        Fate::Fault(_) => panic!("{name}: there are no faults in HTTP"),
    }
}

fn suffer(node: &mut Node, row: &Row, cuts: &[usize], end: End) {
    let (id, client) = mallory(node, row.stage);
    if end == End::Deaf {
        node.flow(id, Flow::Blocked);
    }
    deliver(node, id, &row.bytes, cuts);
    if end != End::Deaf {
        judge(node, row, id, client);
    }
    match end {
        End::Fin => node.hang_up(id, false),
        End::Reset => node.hang_up(id, true),
        End::Silence | End::Deaf => node.advance(LONG_MS),
    }
    assert_eq!(node.side(id), Side::Closed, "{}: {end:?}", row.name);
    node.assert_empty();
}

/// A stranger comes, and all is as if nothing had been.
fn next(node: &mut Node) {
    let [mut one, mut other] = [0, 1].map(|shard| Client::connect(node, shard, "ada", "acme"));
    one.join(node, "lobby");
    other.join(node, "lobby");
    one.say(node, r#"{"type":"room:send","room":"lobby","payload":"still here"}"#);
    let heard = other.json(node);
    assert!(heard.len() == 1 && heard[0]["payload"] == "still here", "{heard:?}");
    for client in [&one, &other] {
        node.hang_up(client.id, true);
    }
    node.assert_empty();
}

/// Each row in every way; answers how many there are.
fn suffer_all(rows: &[Row]) -> usize {
    let mut node = node();
    for row in rows {
        println!("{}", row.name);
        for (cut, cuts) in CUTS.iter().enumerate() {
            // All ends of what comes whole, one of each other.
            let ends = if cut == 0 { &ENDS[..] } else { &ENDS[cut - 1..cut] };
            for end in ends {
                suffer(&mut node, row, &cuts(row.bytes.len()), *end);
            }
        }
        next(&mut node);
    }
    rows.len()
}

#[test]
fn heads_and_upgrades() {
    assert!(suffer_all(&hostile_heads::rows()) >= 60);
}

#[test]
fn frames() {
    assert!(suffer_all(&hostile_frames::rows()) >= 50);
}

#[test]
fn messages_and_calls_of_a_backend() {
    assert!(suffer_all(&hostile_calls::rows()) >= 80);
}

#[test]
fn tokens_in_every_way_they_come() {
    assert!(suffer_all(&hostile_tokens::rows()) >= 4 * 40);
}

/// A storm of all of them at once, and none reads: then they are cut off.
#[test]
fn all_at_once() {
    let mut node = node();
    let rows = [hostile_heads::rows(), hostile_frames::rows(), hostile_calls::rows(), hostile_tokens::rows()];
    for row in rows.iter().flatten() {
        let (id, _) = mallory(&mut node, row.stage);
        node.flow(id, Flow::Blocked);
        deliver(&mut node, id, &row.bytes, &[]);
    }
    let mut good = Client::connect(&mut node, 0, "ada", "acme");
    good.say(&mut node, r#"{"type":"ping"}"#);
    assert_eq!(good.types(&mut node), ["pong"]);
    node.hang_up(good.id, true);
    node.advance(LONG_MS);
    node.assert_empty();
    next(&mut node);
}

/// A masked text frame of a call.
pub(super) fn call(fields: &str) -> Vec<u8> {
    text(&format!(r#"{{"id":7,{fields}}}"#))
}
