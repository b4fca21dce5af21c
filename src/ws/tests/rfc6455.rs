//! The examples of RFC 6455 5.7, as golden bytes in both directions.
//! Beside them the lengths around each change of form, and close frames.

use super::*;

type Mask = Option<[u8; 4]>;

const MASK: Mask = Some([0x37, 0xfa, 0x21, 0x3d]);

#[test]
fn decoded() {
    let binary = |count: usize| (0..count).map(|i| i as u8).collect::<Vec<_>>();
    let with = |head: &str, payload: &[u8]| [&hex(head), payload].concat();
    let rows: [(&str, Role, Vec<u8>, Said); 7] = [
        ("unmasked text", Role::Client, hex("81 05 48 65 6c 6c 6f"), text("Hello")),
        ("masked text", Role::Server, hex("81 85 37 fa 21 3d 7f 9f 4d 51 58"), text("Hello")),
        ("fragmented unmasked text", Role::Client, hex("01 03 48 65 6c  80 02 6c 6f"), text("Hello")),
        ("unmasked ping", Role::Client, hex("89 05 48 65 6c 6c 6f"), Said::Ping(b"Hello".to_vec())),
        ("masked pong", Role::Server, hex("8a 85 37 fa 21 3d 7f 9f 4d 51 58"), Said::Pong(b"Hello".to_vec())),
        ("256 bytes", Role::Client, with("82 7e 01 00", &binary(256)), Said::Binary(binary(256))),
        (
            "64 KiB",
            Role::Client,
            with("82 7f 00 00 00 00 00 01 00 00", &binary(65536)),
            Said::Binary(binary(65536)),
        ),
    ];
    for (name, role, wire, expected) in rows {
        assert_read(name, || Reader::new(role, None, LIMITS), &wire, &(vec![expected], None));
    }
}

#[test]
fn encoded() {
    let rows: [(&str, Opcode, &[u8], Mask, &str); 4] = [
        ("unmasked text", Opcode::Text, b"Hello", None, "81 05 48 65 6c 6c 6f"),
        ("masked text", Opcode::Text, b"Hello", MASK, "81 85 37 fa 21 3d 7f 9f 4d 51 58"),
        ("unmasked ping", Opcode::Ping, b"Hello", None, "89 05 48 65 6c 6c 6f"),
        ("masked pong", Opcode::Pong, b"Hello", MASK, "8a 85 37 fa 21 3d 7f 9f 4d 51 58"),
    ];
    for (name, opcode, payload, mask, wire) in rows {
        let mut out = Vec::new();
        encode::frame(&mut out, opcode, payload, false, mask);
        assert_eq!(out, hex(wire), "{name}");
    }
}

/// The heads of the last two examples, and the lengths around each change of form.
#[test]
fn lengths_in_their_shortest_form() {
    let rows: [(usize, &str); 7] = [
        (0, "82 00"),
        (125, "82 7d"),
        (126, "82 7e 00 7e"),
        (256, "82 7e 01 00"),
        (65535, "82 7e ff ff"),
        (65536, "82 7f 00 00 00 00 00 01 00 00"),
        (0x12345678, "82 7f 00 00 00 00 12 34 56 78"),
    ];
    for (payload_bytes, expected) in rows {
        let mut out = Vec::new();
        encode::header(&mut out, Opcode::Binary, payload_bytes, false, None);
        assert_eq!(out, hex(expected), "{payload_bytes}");
    }
}

#[test]
fn close_frames() {
    let long = "é".repeat(100);
    let rows: [(u16, &str, Mask, Vec<u8>); 5] = [
        (1000, "", None, hex("88 02 03 e8")),
        (4401, "expired", None, [hex("88 09 11 31"), b"expired".to_vec()].concat()),
        (1000, "", MASK, hex("88 82 37 fa 21 3d 34 12")),
        (4430, &"x".repeat(200), None, [hex("88 7d 11 4e"), vec![b'x'; 123]].concat()),
        // 123 bytes would end within the 62nd character.
        (1001, &long, None, [hex("88 7c 03 e9"), "é".repeat(61).into_bytes()].concat()),
    ];
    for (code, reason, mask, expected) in rows {
        let mut out = Vec::new();
        encode::close(&mut out, code, reason, mask);
        assert_eq!(out, expected, "{code} {reason:?}");
    }
}
