//! The examples of RFC 7692 7.2.3, as golden bytes, and what the codec adds around them:
//! what real peers send, what must be refused, windows, and bounds on inflation.

use super::*;
use crate::ws::deflate::{Deflater, INFLATE_RATIO_FREE_BYTES};

fn client() -> Reader {
    Reader::new(Role::Client, Some(deflate_agreed()), LIMITS)
}

#[test]
fn decoded() {
    let hello = || vec![text("Hello")];
    let rows: [(&str, &str, Vec<Said>); 9] = [
        ("7.2.3.1 one block", "c1 07 f2 48 cd c9 c9 07 00", hello()),
        ("7.2.3.1 fragmented", "41 03 f2 48 cd  80 04 c9 c9 07 00", hello()),
        ("7.2.3.1 with a ping between", "41 03 f2 48 cd  89 00  80 04 c9 c9 07 00", {
            vec![Said::Ping(vec![]), text("Hello")]
        }),
        ("7.2.3.2 twice without takeover", "c1 07 f2 48 cd c9 c9 07 00  c1 07 f2 48 cd c9 c9 07 00", {
            [hello(), hello()].concat()
        }),
        ("7.2.3.3 no compression", "c1 0b 00 05 00 fa ff 48 65 6c 6c 6f 00", hello()),
        ("7.2.3.4 BFINAL", "c1 08 f3 48 cd c9 c9 07 00 00", hello()),
        ("7.2.3.5 two blocks", "c1 0d f2 48 05 00 00 00 ff ff ca c9 c9 07 00", hello()),
        ("7.2.3.6 empty", "c1 01 00", vec![text("")]),
        ("6 not compressed", "81 05 48 65 6c 6c 6f", hello()),
    ];
    for (name, wire, expected) in rows {
        assert_read(name, client, &hex(wire), &(expected, None));
    }
}

#[test]
fn what_peers_really_send() {
    let rows: [(&str, &str, Vec<Said>); 4] = [
        ("a flush that had nothing to flush", "c1 00", vec![text("")]),
        ("BFINAL without the padding block", "c1 07 f3 48 cd c9 c9 07 00", vec![text("Hello")]),
        ("BFINAL twice", "c1 0e f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00", vec![text("HelloHello")]),
        ("binary, empty first fragment", "42 00  80 07 f2 48 cd c9 c9 07 00", {
            vec![Said::Binary(b"Hello".to_vec())]
        }),
    ];
    for (name, wire, expected) in rows {
        assert_read(name, client, &hex(wire), &(expected, None));
    }
}

#[test]
fn refused() {
    let deflated = DecodeError::InvalidDeflate;
    let rows: [(&str, &str, DecodeError); 10] = [
        ("7.2.3.2 refers to the message before", "c1 05 f2 00 11 00 00", deflated),
        ("cut within a block", "c1 05 f2 48 cd c9 c9", deflated),
        ("ends only within the tail", "c1 01 03", deflated),
        ("a reserved block type", "c1 01 06", deflated),
        ("stored lengths that differ", "c1 06 00 01 00 00 00 41", deflated),
        ("noise", "c1 04 ff ff ff ff", deflated),
        ("inflates to no UTF-8", "c1 07 00 01 00 fe ff ff 00", DecodeError::InvalidUtf8),
        ("RSV1 on a continuation", "41 03 f2 48 cd  c0 04 c9 c9 07 00", {
            DecodeError::ReservedBits { bits: 0b100 }
        }),
        ("RSV1 on a ping", "c9 00", DecodeError::ReservedBits { bits: 0b100 }),
        ("RSV2 beside RSV1", "e1 00", DecodeError::ReservedBits { bits: 0b110 }),
    ];
    for (name, wire, error) in rows {
        assert_read(name, client, &hex(wire), &(vec![], Some(error)));
    }
    let many_streams = [hex("c2 7e 00 82"), [3, 0].repeat(65)].concat();
    assert_read("more streams than any compressor makes", client, &many_streams, &(vec![], Some(deflated)));
    let plain = || Reader::new(Role::Client, None, LIMITS);
    let not_agreed = DecodeError::ReservedBits { bits: 0b100 };
    assert_read(
        "RSV1 without a deal",
        plain,
        &hex("c1 07 f2 48 cd c9 c9 07 00"),
        &(vec![], Some(not_agreed)),
    );
}

/// The inflater is the shard's: what one connection did to it must not reach the next.
#[test]
fn an_inflater_forgets_what_failed() {
    let mut inflater = Inflater::new();
    let good = hex("c1 07 f2 48 cd c9 c9 07 00");
    let rows = ["c1 04 ff ff ff ff", "c1 05 f2 48 cd c9 c9", "c1 01 03", "c1 08 f3 48 cd c9 c9 07 00 ff"];
    for bad in rows.map(hex) {
        for (mut wire, expected) in
            [(bad, Err(DecodeError::InvalidDeflate)), (good.clone(), Ok(Some(Item::Text("Hello"))))]
        {
            let mut decoder = Decoder::new(Role::Client, Some(deflate_agreed()));
            assert_eq!(decoder.next(&mut Input::new(&mut wire), &mut inflater, &LIMITS), expected);
        }
    }
}

#[test]
fn the_compressor_leaves_out_the_tail() {
    let mut deflater = Deflater::new();
    for _ in 0..2 {
        let rows: [(&[u8], &str); 2] = [(b"", "00"), (b"Hello", "f2 48 cd c9 c9 07 00")];
        for (payload, expected) in rows {
            let mut out = b"kept".to_vec();
            deflater.compress(15, payload, &mut out);
            assert_eq!(out, [b"kept".as_slice(), &hex(expected)].concat(), "{payload:?}");
        }
    }
}

/// A repeat at a distance beyond the window must not be used: a peer with that window could not inflate it.
#[test]
fn the_compressor_keeps_to_its_window() {
    let mut deflater = Deflater::new();
    let noise: Vec<u8> = (0..600u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let payload = noise.repeat(8);
    for window_bits in 9..=15 {
        let mut out = Vec::new();
        deflater.compress(window_bits, &payload, &mut out);
        out.extend_from_slice(&hex("00 00 ff ff"));
        let mut narrow = flate2::Decompress::new_with_window_bits(false, window_bits);
        let mut back = Vec::with_capacity(payload.len() + 1);
        // In small steps, so that the inflater has nothing but its window to look back into.
        for piece in out.chunks(16) {
            narrow.decompress_vec(piece, &mut back, flate2::FlushDecompress::Sync).unwrap();
        }
        assert!(back == payload, "{window_bits}");
        assert_eq!(out.len() < payload.len() / 2, window_bits >= 10, "{window_bits}: {} bytes", out.len());
    }
}

#[test]
fn bombs() {
    let compressed = |payload: &[u8]| {
        let mut out = Vec::new();
        Deflater::new().compress(15, payload, &mut out);
        let mut wire = Vec::new();
        encode::frame(&mut wire, Opcode::Binary, &out, true, None);
        wire
    };
    let free = INFLATE_RATIO_FREE_BYTES;
    let limits =
        |message_bytes_max, inflate_ratio_max| Limits { message_bytes_max, inflate_ratio_max, ..LIMITS };
    let rows: [(&str, usize, Limits, Option<DecodeError>); 7] = [
        ("as long as may be", 4096, limits(4096, 10), None),
        ("one byte longer", 4097, limits(4096, 10), Some(DecodeError::MessageTooBig { bytes_max: 4096 })),
        ("far longer", 4 << 20, limits(4096, 10), Some(DecodeError::MessageTooBig { bytes_max: 4096 })),
        ("the first bytes are free", free, limits(1 << 20, 2), None),
        (
            "beyond them the ratio holds",
            free + 1,
            limits(1 << 20, 2),
            Some(DecodeError::InflateRatio { ratio_max: 2 }),
        ),
        ("a ratio that allows it", 1 << 20, limits(1 << 20, 1200), None),
        ("no limit", 4 << 20, limits(usize::MAX, u32::MAX), None),
    ];
    for (name, payload_bytes, limits, error) in rows {
        let payload = vec![0; payload_bytes];
        let said = if error.is_none() { vec![Said::Binary(payload.clone())] } else { vec![] };
        let reader = Reader::new(Role::Client, Some(deflate_agreed()), limits);
        assert!(read_in_pieces(reader, [compressed(&payload).as_slice()]) == (said, error), "{name}");
    }
}
