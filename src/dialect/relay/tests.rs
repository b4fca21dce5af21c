//! Golden bytes of both directions, and everything that is too short.

use super::*;
use crate::{
    base::{ConnId, NodeId, RoomKey, RoomName, SenderId, ShardId, TenantName, UserName},
    model::{Json, MessageName},
};

#[test]
fn publications_from_clients() {
    let head = b"\x01\x01\x02\x03\x04\x05\x06\x07\x08";
    for payload in [&b""[..], b"\0", b"\xff\xfe not text \x01", &[7; 5_000]] {
        let relay = decode(&[head, payload].concat()).unwrap();
        assert_eq!((relay.room, relay.payload.as_bytes()), (RoomId(0x0807_0605_0403_0201), payload));
    }
    for length in 1..head.len() {
        let fault = decode(&head[..length]).unwrap_err();
        assert_eq!(fault.code, FaultCode::BadRequest, "{length} bytes");
    }
    let rows: [(&[u8], FaultCode); 5] = [
        (b"", FaultCode::BadRequest),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08x", FaultCode::UnknownType),
        (b"\x02\x01\x02\x03\x04\x05\x06\x07\x08x", FaultCode::UnknownType),
        (b"\xff", FaultCode::UnknownType),
        (b"{\"type\":\"ping\"}", FaultCode::UnknownType),
    ];
    for (message, code) in rows {
        assert_eq!(decode(message).unwrap_err().code, code, "{message:?}");
    }
}

#[test]
fn publications_to_members() {
    let conn = ConnId { shard: ShardId(0x11), slot: 0x22_3344, generation: 0x5566_7788 };
    let json = Json::from_checked(Bytes::from_static("[1, \"ü\"]".as_bytes()));
    let rows = [
        (Payload::Opaque(Bytes::from_static(b"\0\xffabc")), &b"\0\xffabc"[..]),
        (Payload::Opaque(Bytes::new()), b""),
        (Payload::Json(json), "[1, \"ü\"]".as_bytes()),
    ];
    for (payload, expected) in rows {
        let message = Message {
            id: MessageName::Numbered { epoch: 1, number: 2 },
            key: RoomKey { tenant: TenantName::default_tenant(), room: RoomName::parse("lobby").unwrap() },
            from: UserName::parse("ada").unwrap(),
            sender: SenderId::of(conn, NodeId(0)),
            payload,
            timestamp: 0,
            offset: None,
        };
        let mut out = b"before".to_vec();
        encode(&message, &mut out);
        // The room's id is a hash: see `RoomKey::id`, whose values stand for ever.
        let head = b"before\x02\x86\xb0\xce\xf2\xc2\x45\xef\x18\x11\x22\x33\x44\x55\x66\x77\x88";
        assert_eq!(out, [head, expected].concat());
        assert_eq!(out.len() - b"before".len(), encoded_len(&message));
    }
}
