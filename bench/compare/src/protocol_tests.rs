//! Each protocol's way from the upgrade to membership, as golden texts; handshakes in pieces.

use super::*;

/// Runs a server's texts past a new connection, and gives what it says.
fn talk(protocol: Protocol, role: Role, texts: &[&str]) -> Vec<Step> {
    let first = protocol.upgraded("r1", role);
    [first].into_iter().chain(texts.iter().map(|it| protocol.heard(it, "r1", role))).collect()
}

fn say(text: &str) -> Step {
    Step::Say(text.to_owned())
}

#[test]
fn members_come_in() {
    let rows = [
        (
            Protocol::Ringway,
            &[
                r#"{"type":"connection:established","connectionId":"1"}"#,
                r#"{"type":"ack","id":"join","success":true,"room":"r1"}"#,
            ][..],
            vec![
                say(r#"{"type":"room:join","id":"join","room":"r1","presence":false}"#),
                Step::Wait,
                Step::Ready,
            ],
        ),
        (Protocol::Plain, &["K"], vec![say("Jr1"), Step::Ready]),
        (
            Protocol::SocketIo,
            &[r#"0{"sid":"x","pingInterval":25000}"#, "2", r#"40{"sid":"y"}"#, "430[]"],
            vec![Step::Wait, say("40"), say("3"), say(r#"420["join","r1"]"#), Step::Ready],
        ),
        (
            Protocol::Pusher,
            &[
                r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":30}"}"#,
                r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-r1","data":"{}"}"#,
            ],
            vec![
                Step::Wait,
                say(concat!(
                    r#"{"event":"pusher:subscribe","data":{"channel":"private-r1","auth":"bench:"#,
                    r#"9171792f19d4e14e69515a61066c5bfbc0ed432fe6f22fec802039261590a81d"}}"#
                )),
                Step::Ready,
            ],
        ),
        (Protocol::Nchan, &[], vec![Step::Ready]),
    ];
    for (protocol, texts, expected) in rows {
        assert_eq!(talk(protocol, Role::Member, texts), expected, "{protocol:?}");
    }
}

#[test]
fn refusals_are_told() {
    let rows = [
        (Protocol::Ringway, r#"{"type":"ack","id":"join","success":false,"error":{"code":"forbidden"}}"#),
        (Protocol::Ringway, r#"{"type":"system:error","code":"bad_request"}"#),
        (Protocol::SocketIo, r#"44{"message":"no"}"#),
        (Protocol::Pusher, r#"{"event":"pusher:error","data":{"code":4009,"message":"no"}}"#),
        (Protocol::Pusher, r#"{"event":"pusher:subscription_error","data":"{}"}"#),
    ];
    for (protocol, text) in rows {
        assert_eq!(protocol.heard(text, "r1", Role::Member), Step::Refused(text.to_owned()), "{text}");
    }
}

#[test]
fn echoes_join_nothing() {
    assert_eq!(talk(Protocol::Ringway, Role::Echo, &[]), [Step::Ready]);
    assert_eq!(talk(Protocol::Plain, Role::Echo, &[]), [Step::Ready]);
    let steps = talk(Protocol::SocketIo, Role::Echo, &["0{}", "40{}"]);
    assert_eq!(steps, [Step::Wait, say("40"), Step::Ready]);
    assert!(!Protocol::Ringway.wants_token(Role::Echo));
    assert!(Protocol::Ringway.wants_token(Role::Member) && !Protocol::Plain.wants_token(Role::Member));
}

#[test]
fn publications_are_golden() {
    let rows = [
        (Protocol::Ringway, Role::Member, r#"{"type":"room:send","room":"r1","payload":"*"}"#),
        (Protocol::Ringway, Role::Echo, "*"),
        (Protocol::Plain, Role::Member, "P*"),
        (Protocol::Plain, Role::Echo, "E*"),
        (Protocol::SocketIo, Role::Member, r#"42["send","*"]"#),
        (Protocol::SocketIo, Role::Echo, r#"420["echo","*"]"#),
        (Protocol::Pusher, Role::Member, r#"{"event":"client-message","channel":"private-r1","data":"*"}"#),
        (Protocol::Nchan, Role::Publisher, "*"),
    ];
    for (protocol, role, expected) in rows {
        let (prefix, suffix) = protocol.around("r1", role);
        assert_eq!([&prefix[..], b"*", suffix.as_bytes()].concat(), expected.as_bytes());
        assert_eq!(protocol.opcode(role), Opcode::Text);
    }
    // The room's id is a hash of tenant and name, whose values stand for ever.
    let (prefix, suffix) = Protocol::Relay.around("r1", Role::Member);
    assert_eq!((prefix[0], prefix.len(), suffix), (0x01, 9, ""));
    assert_eq!(Protocol::Relay.opcode(Role::Member), Opcode::Binary);
    assert_eq!(Protocol::Relay.subprotocol(Role::Member), Some("ringway.relay.v1"));
    assert_eq!(Protocol::Relay.subprotocol(Role::Echo), Protocol::Ringway.subprotocol(Role::Member));
    assert_eq!(Protocol::Nchan.path("r1", Role::Publisher), "/pub/r1");
    assert_eq!(Protocol::Nchan.path("r1", Role::Member), "/sub/r1");
}

#[test]
fn pings_are_answered() {
    assert_eq!(Protocol::SocketIo.answer(b"2"), Some("3"));
    let pong = Protocol::Pusher.answer(br#"{"event":"pusher:ping","data":"{}"}"#);
    assert_eq!(pong, Some(r#"{"event":"pusher:pong","data":{}}"#));
    assert_eq!(Protocol::Plain.answer(b"2"), None);
}

#[test]
fn an_upgrade_may_come_in_any_pieces() {
    let mut handshake = Handshake::new();
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nX: y\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        handshake.accept
    );
    let bytes = [head.as_bytes(), &[0x81, 0]].concat();
    for cut in 0..head.len() {
        assert_eq!(handshake.read(&bytes[..cut]), Upgrade::Partial, "cut at {cut}");
    }
    // The second time it is the answer that is known.
    for _ in 0..2 {
        assert_eq!(handshake.read(&bytes), Upgrade::Accepted(head.len()));
        assert_eq!(handshake.read(&bytes[..head.len() - 1]), Upgrade::Partial);
        assert_eq!(handshake.read(b"HTTP/1.1 404 x\r\n\r\n"), Upgrade::Refused("HTTP/1.1 404 x".to_owned()));
    }
}

#[test]
fn a_refused_upgrade_says_why() {
    let mut handshake = Handshake::new();
    let rows = [
        ("HTTP/1.1 401 Unauthorized\r\n\r\n".to_owned(), "HTTP/1.1 401 Unauthorized"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n".to_owned(),
            "101 without the right Sec-WebSocket-Accept",
        ),
        (
            format!(
                "HTTP/1.1 101 x\r\nsec-websocket-accept: {}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                handshake.accept
            ),
            "101 with an extension that was not offered",
        ),
    ];
    for (answer, why) in rows {
        assert_eq!(handshake.read(answer.as_bytes()), Upgrade::Refused(why.to_owned()));
    }
}

#[test]
fn the_request_is_golden() {
    let mut request = "what stood there".to_owned();
    let rows = [
        (Some("a.b.c"), None, "Authorization: Bearer a.b.c\r\n"),
        (None, Some("x.v1"), "Sec-WebSocket-Protocol: x.v1\r\n"),
        (None, None, ""),
    ];
    for (token, subprotocol, lines) in rows {
        Handshake::new().request("/ws", 81, token, subprotocol, &mut request);
        let expected = format!(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Y29tcGFyZSwgY29tcGFyZQ==\r\n{lines}\r\n"
        );
        assert_eq!(request, expected);
    }
}
