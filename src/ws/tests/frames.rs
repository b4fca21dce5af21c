//! The rules of RFC 6455 5 for single frames, each with the byte at which a frame that breaks it is refused.
//! Rules that span frames are in `messages`.

use super::*;

#[test]
fn refused_as_early_as_can_be() {
    use DecodeError as E;
    let (server, client) = (Role::Server, Role::Client);
    let too_big = E::MessageTooBig { bytes_max: 1 << 20 };
    let rows: [(&str, Role, &str, E, usize); 35] = [
        ("RSV1", client, "c1 00", E::ReservedBits { bits: 0b100 }, 1),
        ("RSV2", client, "a1 00", E::ReservedBits { bits: 0b010 }, 1),
        ("RSV3", client, "91 00", E::ReservedBits { bits: 0b001 }, 1),
        ("all of them on a ping", client, "f9 00", E::ReservedBits { bits: 0b111 }, 1),
        ("opcode 3", client, "83 00", E::ReservedOpcode { opcode: 3 }, 1),
        ("opcode 7", client, "87 00", E::ReservedOpcode { opcode: 7 }, 1),
        ("opcode 11", client, "8b 00", E::ReservedOpcode { opcode: 11 }, 1),
        ("opcode 15", client, "8f 00", E::ReservedOpcode { opcode: 15 }, 1),
        ("opcode 3 inside a message", client, "01 00 83 00", E::ReservedOpcode { opcode: 3 }, 3),
        ("unmasked to a server", server, "81 00", E::MaskMissing, 2),
        ("unmasked close to a server", server, "88 00", E::MaskMissing, 2),
        ("masked to a client", client, "81 80 00 00 00 00", E::MaskForbidden, 2),
        ("125 in 16 bits", client, "82 7e 00 7d", E::LengthNotShortest { bytes: 125 }, 4),
        ("0 in 16 bits", client, "82 7e 00 00", E::LengthNotShortest { bytes: 0 }, 4),
        (
            "65535 in 64 bits",
            client,
            "82 7f 00 00 00 00 00 00 ff ff",
            E::LengthNotShortest { bytes: 0xffff },
            10,
        ),
        ("highest bit", client, "82 7f 80 00 00 00 00 00 00 00", E::LengthOutOfRange, 10),
        ("highest bit, all others", server, "82 ff ff ff ff ff ff ff ff ff", E::LengthOutOfRange, 10),
        ("2^63 - 1", client, "82 7f 7f ff ff ff ff ff ff ff", too_big, 10),
        ("one byte too long", client, "82 7f 00 00 00 00 00 10 00 01", too_big, 10),
        ("text one byte too long", client, "81 7f 00 00 00 00 00 10 00 01", too_big, 10),
        ("too long in two", client, "02 01 00 80 7f 00 00 00 00 00 10 00 00", too_big, 13),
        ("ping of 126", client, "89 7e", E::ControlTooLong, 2),
        ("close of 64 bits", client, "88 7f", E::ControlTooLong, 2),
        ("fragmented ping", client, "09 00", E::ControlFragmented, 1),
        ("fragmented close", client, "08 00", E::ControlFragmented, 1),
        ("nothing to continue", client, "80 00", E::NothingToContinue, 1),
        ("nothing to continue, not final", client, "00 00", E::NothingToContinue, 1),
        ("continued after its end", client, "01 00 80 00 80 00", E::NothingToContinue, 5),
        ("text inside a text", client, "01 00 81 00", E::MessageUnfinished, 3),
        ("binary inside a text, after a ping", client, "01 00 89 00 02 00", E::MessageUnfinished, 5),
        ("close of one byte", client, "88 01 03", E::CloseTruncated, 3),
        ("close with 1005", client, "88 02 03 ed", E::CloseCode { code: 1005 }, 4),
        ("close with bad text", client, "88 04 03 e8 c3 28", E::InvalidUtf8, 6),
        ("bad text", client, "81 0a c3 28", E::InvalidUtf8, 4),
        ("bad text behind a fragment", client, "01 01 c3 80 0a 28", E::InvalidUtf8, 6),
    ];
    for (name, role, wire, error, after) in rows {
        let reader = || Reader::new(role, None, LIMITS);
        let wire = hex(wire);
        assert_eq!(refused_after(reader(), &wire), Some(after), "{name}");
        let (_, found) = read_in_pieces(reader(), [&wire[..after]]);
        assert_eq!(found, Some(error), "{name}");
        let (_, found) = read_in_pieces(reader(), wire.chunks(1));
        assert_eq!(found, Some(error), "{name}: byte by byte");
    }
}

/// RFC 6455 7.4.1.
#[test]
fn close_codes_of_refusals() {
    let rows = [
        (DecodeError::MaskMissing, close::PROTOCOL_ERROR),
        (DecodeError::CloseCode { code: 1005 }, close::PROTOCOL_ERROR),
        (DecodeError::InvalidUtf8, close::INVALID_PAYLOAD),
        (DecodeError::InvalidDeflate, close::INVALID_PAYLOAD),
        (DecodeError::MessageTooBig { bytes_max: 1 }, close::MESSAGE_TOO_BIG),
        (DecodeError::TooManyFragments { fragments_max: 1 }, close::MESSAGE_TOO_BIG),
        (DecodeError::InflateRatio { ratio_max: 1 }, close::MESSAGE_TOO_BIG),
    ];
    for (error, code) in rows {
        assert_eq!(error.close_code(), code, "{error}");
        assert!(close::is_sendable(code));
    }
}

/// A frame that lies whole in the input is delivered where it lies.
#[test]
fn whole_frames_are_not_copied() {
    let mut wire = hex("81 85 37 fa 21 3d 7f 9f 4d 51 58  82 81 00 00 00 00 61");
    let place = wire.as_ptr_range();
    let mut decoder = Decoder::new(Role::Server, None);
    let (mut input, mut inflater) = (Input::new(&mut wire), Inflater::new());
    for expected in [b"Hello".as_slice(), b"a"] {
        let item = decoder.next(&mut input, &mut inflater, &LIMITS).unwrap();
        let payload = match item {
            Some(Item::Text(text)) => text.as_bytes(),
            Some(Item::Binary(bytes)) => bytes,
            other => panic!("{other:?}"),
        };
        assert_eq!(payload, expected);
        assert!(place.contains(&payload.as_ptr()));
        assert!(!decoder.is_partial());
        assert_eq!(decoder.held_bytes(), 0);
    }
}
