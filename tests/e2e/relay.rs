//! Relay v1 as its clients meet it: binary publications beside JSON members, rooms that end, the limit of new rooms,
//! and a payload that nothing but the members' sockets ever shows.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ringway::{shell::driver::Driver, ws::Opcode};

use crate::support::{Gateway, Received, Socket, Start, frame, token};

on_both_drivers!(publications, nothing_shows_a_payload, quiet_rooms_end, room_creates_are_limited);

/// An open relay connection of `user` in `tenant`, with the bytes by which others get to know it as a sender.
#[track_caller]
fn relay(gateway: &Gateway, user: &str, tenant: &str) -> (Socket, [u8; 8]) {
    let token = token::token(user, tenant);
    let headers = format!("Sec-WebSocket-Protocol: ringway.relay.v1\r\nAuthorization: Bearer {token}\r\n");
    let mut socket = Socket::open(gateway.address, "/ws", &headers);
    assert_eq!(socket.upgrade.header("Sec-WebSocket-Protocol"), Some("ringway.relay.v1"));
    let established = socket.expect("connection:established");
    let id = established["connectionId"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap();
    let sender = std::array::from_fn(|at| byte(4 + at) ^ if at < 4 { 0 } else { byte(at - 4) });
    (socket, sender)
}

/// Joins; the room's id as it stands in binary messages.
#[track_caller]
fn join(socket: &mut Socket, room: &str) -> [u8; 8] {
    let ack = socket.call(&format!(r#""type":"room:join","room":"{room}","presence":false"#));
    assert_eq!(ack["success"], true, "{ack}");
    assert_eq!(socket.expect("room:joined")["room"], room);
    ack["roomId"].as_str().unwrap().parse::<u64>().unwrap().to_le_bytes()
}

fn publish(socket: &mut Socket, room: [u8; 8], payload: &[u8]) {
    socket.write(frame(Opcode::Binary, &[&[1], &room[..], payload].concat()));
}

fn publications(driver: Driver) {
    let gateway = Start::on(driver).shards(3).start();
    let (mut ada, sender) = relay(&gateway, "ada", "acme");
    let mut others: Vec<Socket> = (0..5).map(|_| relay(&gateway, "bob", "acme").0).collect();
    let mut json = gateway.socket("js", "acme");
    let room = join(&mut ada, "vault");
    for other in &mut others {
        assert_eq!(join(other, "vault"), room, "the same for all");
    }
    join(&mut json, "vault");
    let every: Vec<u8> = (0..=u8::MAX).collect();
    for payload in [&b""[..], b"\0", &every, &every.repeat(200)] {
        publish(&mut ada, room, payload);
        let expected = [&[2], &room[..], &sender, payload].concat();
        for other in &mut others {
            assert_eq!(other.receive(), Received::Binary(expected.clone()));
        }
        let message = json.expect("room:message");
        assert_eq!((&message["from"], &message["room"]), (&"ada".into(), &"vault".into()));
        assert_eq!(STANDARD.decode(message["binary"].as_str().unwrap()).unwrap(), payload);
        assert!(message.get("payload").is_none());
    }
    json.send(r#"{"type":"room:send","room":"vault","payload":{"a" : 1.0e0}}"#);
    for socket in others.iter_mut().chain([&mut ada]) {
        let Received::Binary(bytes) = socket.receive() else { panic!("no publication") };
        assert_eq!((bytes[0], &bytes[1..9], &bytes[17..]), (2, &room[..], &br#"{"a" : 1.0e0}"#[..]));
    }
    // Refused, and the connection stays.
    ada.write(frame(Opcode::Binary, b"\x01 too short"[..5].as_ref()));
    assert_eq!(ada.expect("system:error")["code"], "bad_request");
    publish(&mut ada, [0; 8], b"x");
    assert_eq!(ada.expect("system:error")["code"], "forbidden");
    assert_eq!(ada.ping(), "pong");
    // A JSON connection takes text only.
    publish(&mut json, room, b"x");
    assert_eq!(json.closed().0, 1003);
    assert_eq!(
        gateway.metric(r#"websocket_messages_received_total{type="room:send",protocol="relay"}"#),
        5.0
    );
}

fn nothing_shows_a_payload(driver: Driver) {
    const MARK: &[u8] = b"MARK-9b74c9897bac770f-MARK";
    let mut gateway = Start::on(driver).set("log.level", "trace").start();
    let (mut ada, _) = relay(&gateway, "ada", "acme");
    let (mut bob, _) = relay(&gateway, "bob", "acme");
    let mut json = gateway.socket("js", "acme");
    let room = join(&mut ada, "vault");
    join(&mut bob, "vault");
    join(&mut json, "vault");
    publish(&mut ada, room, MARK);
    assert!(matches!(bob.receive(), Received::Binary(bytes) if bytes.ends_with(MARK)));
    json.expect("room:message");
    let mut shown = String::new();
    for message in [MARK.to_vec(), [&[1; 9], MARK].concat(), [&[1], &MARK[..7]].concat()] {
        ada.write(frame(Opcode::Binary, &message));
        shown += &ada.expect("system:error").to_string();
    }
    // Ended by a breach of the protocol, with the payload in an unfinished message.
    let mut begun = frame(Opcode::Binary, &[&[1], &room[..], MARK].concat());
    begun[0] &= 0x7f;
    bob.write([begun, frame(Opcode::Text, MARK)].concat());
    shown += &format!("{:?}", bob.closed());
    let admin = token::admin();
    for path in ["/metrics", "/health", "/stats", "/api/v1/connections/health", "/api/metrics/websocket"] {
        shown += &gateway.get_as(&admin, path).text();
    }
    gateway.signal(15);
    gateway.wait();
    shown += &gateway.output();
    let hex: String = MARK.iter().map(|byte| format!("{byte:02x}")).collect();
    let coded = [0, 1, 2].map(|shift| {
        let coded = STANDARD.encode([&vec![0; shift], MARK].concat());
        coded[4..coded.len() - 4].to_owned()
    });
    let text = String::from_utf8(MARK[..12].to_vec()).unwrap();
    for needle in [text, hex].into_iter().chain(coded) {
        assert!(!shown.contains(&needle), "{needle} in {shown}");
    }
    assert!(shown.contains("\"ada\""), "the log says who came: {shown}");
}

fn quiet_rooms_end(driver: Driver) {
    let gateway = Start::on(driver).set("relay.room_ttl_s", 1).start();
    let (mut ada, _) = relay(&gateway, "ada", "acme");
    let room = join(&mut ada, "vault");
    assert_eq!(ada.expect("room:left")["room"], "vault");
    publish(&mut ada, room, b"x");
    assert_eq!(ada.expect("system:error")["code"], "forbidden");
    assert_eq!(gateway.metric("websocket_active_rooms"), 0.0);
}

fn room_creates_are_limited(driver: Driver) {
    let gateway = Start::on(driver).shards(1).env("MAX_ROOM_CREATES_PER_IP_PER_MIN", "3").start();
    let mut ada = gateway.socket("ada", "acme");
    for room in ["a", "b", "c"] {
        join(&mut ada, room);
    }
    let mut bob = gateway.socket("bob", "acme");
    let ack = bob.call(r#""type":"room:join","room":"d""#);
    let error = &ack["error"];
    assert_eq!((&error["code"], &error["status"]), (&"rate_limited".into(), &429.into()), "{ack}");
    assert!(error["retryAfterMs"].as_u64().is_some_and(|ms| (1..=20_000).contains(&ms)), "{ack}");
    join(&mut bob, "c");
    assert_eq!(gateway.metric(r#"websocket_rate_limited_total{limit="room_creates_per_ip"}"#), 1.0);
}
